"""Teachers: large pretrained models, fine-tuned on labelled headlines."""
