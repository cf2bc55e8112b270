"""What a student has to beat: the commonest class, fastText, and a linear layer on an encoder that stays as it is."""
