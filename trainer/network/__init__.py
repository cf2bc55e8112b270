"""Teachers that are neither students nor encoders: networks over characters and the words that they belong to."""
