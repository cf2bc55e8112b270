"""Engines: token ids in, logits out. One interface, several ways to compute the same student."""
