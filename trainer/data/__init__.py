"""Labelled files: reading them, looking at them, cutting them in splits."""
