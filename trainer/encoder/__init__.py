"""Encoders of the BERT family: their character tokenizer, and pre-training by masked characters."""
