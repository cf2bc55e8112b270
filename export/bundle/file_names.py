"""A bundle's files, by name; those of the text pipeline stand in `export/text/file_names.py`."""

from kuaixun.export.text.file_names import PIPELINE_FILES

MANIFEST_FILE = "manifest.json"
TORCHSCRIPT_FILE = "student.pt"
WEIGHTS_FILE = "weights.safetensors"
GOLDEN_FILE = "golden.jsonl"
MODEL_CARD_FILE = "MODEL_CARD.md"
CHECKPOINT_FILE = "checkpoint.json"  # of what a bundle is built from, and of no bundle
REQUIRED_FILES = frozenset({TORCHSCRIPT_FILE, WEIGHTS_FILE, GOLDEN_FILE, MODEL_CARD_FILE, *PIPELINE_FILES})
