"""A bundle's files, by name; those of the text pipeline stand in `export/text/file_names.py`."""

from kuaixun.export.text.file_names import PIPELINE_FILES

MANIFEST_FILE = "manifest.json"
TORCHSCRIPT_FILE = "student.pt"
WEIGHTS_FILE = "weights.safetensors"
GOLDEN_FILE = "golden.jsonl"
MODEL_CARD_FILE = "MODEL_CARD.md"
REQUIRED_FILES = frozenset({TORCHSCRIPT_FILE, WEIGHTS_FILE, GOLDEN_FILE, MODEL_CARD_FILE, *PIPELINE_FILES})
