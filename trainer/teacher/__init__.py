"""Teachers: large models fine-tuned on labelled headlines, and the scores that a student learns from."""
