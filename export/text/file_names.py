"""The text pipeline's files, by name: what a checkpoint and a bundle carry alike."""

CODE_POINTS_FILE = "codepoints.tsv"
PATTERNS_FILE = "patterns.json"
VOCABULARY_FILE = "vocabulary.tsv"
PIPELINE_FILES = (CODE_POINTS_FILE, PATTERNS_FILE, VOCABULARY_FILE)
