"""How good a classifier is, and what its confidences mean."""
