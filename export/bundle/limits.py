"""What a bundle may weigh: its manifest's sizes are held to this before anything else of it is allocated or read.

A bundle comes from outside, and parsing multiplies: a small JSON file can become gigabytes of lists, a file without an
end fills any memory. So each kind of file has a limit that no sound bundle comes near, the tables' by the architecture,
and all of them together have one. `export/cpp/src/bundle_limits.cc` says the same.
"""

from __future__ import annotations

from pathlib import Path

from kuaixun.export.bundle.file_names import GOLDEN_FILE, WEIGHTS_FILE
from kuaixun.export.errors import BundleError
from kuaixun.export.printable import shortened
from kuaixun.export.student.safetensors_header import HEADER_LIMIT_BYTES
from kuaixun.export.text.file_names import CODE_POINTS_FILE, PATTERNS_FILE, VOCABULARY_FILE
from kuaixun.schemas.manifest import Architecture, Manifest

MANIFEST_LIMIT_BYTES = 1 << 20
PATTERNS_LIMIT_BYTES = 1 << 18
GOLDEN_LIMIT_BYTES = 1 << 20  # and for each class:
GOLDEN_CLASS_LIMIT_BYTES = 1 << 10
CODE_POINTS_LIMIT_BYTES = 1 << 20
FILE_LIMIT_BYTES = 1 << 30  # of files that are hashed and not parsed here
TOTAL_LIMIT_BYTES = 1 << 31

_LIMITS_BYTES = {
    PATTERNS_FILE: PATTERNS_LIMIT_BYTES,
    CODE_POINTS_FILE: CODE_POINTS_LIMIT_BYTES,
}

_FIRST_LINES_BYTES = len("[PAD]\n[UNK]\n[CLS]\n")
_CHARACTER_LINE_BYTES = len("U+10FFFF\t\U0010ffff\n".encode())
_SPECIALS = 3
_LENGTH_BYTES = 8
_INT8, _HALF, _INT16, _SINGLE = 1, 2, 2, 4


def check_sizes(manifest: Manifest, where: Path) -> None:
    """Raise BundleError where the manifest, which stands in `where`, promises more than a bundle may weigh."""
    for name, entry in manifest.files.items():
        if entry.size_bytes > (limit := file_limit_bytes(name, manifest.architecture, len(manifest.labels))):
            raise BundleError(
                f"{where} promises {shortened(name)} at {entry.size_bytes} bytes, and no bundle's has more than {limit}"
            )
    if (total := sum(entry.size_bytes for entry in manifest.files.values())) > TOTAL_LIMIT_BYTES:
        raise BundleError(f"{where} promises {total} bytes in all, and no bundle has more than {TOTAL_LIMIT_BYTES}")


def file_limit_bytes(name: str, architecture: Architecture, classes: int) -> int:
    """The most that a file of this name may hold, in a bundle of that shape."""
    if name == VOCABULARY_FILE:
        return _FIRST_LINES_BYTES + (architecture.vocabulary_size - _SPECIALS) * _CHARACTER_LINE_BYTES
    if name == GOLDEN_FILE:
        return GOLDEN_LIMIT_BYTES + classes * GOLDEN_CLASS_LIMIT_BYTES
    if name == WEIGHTS_FILE:
        return _LENGTH_BYTES + HEADER_LIMIT_BYTES + _tensor_bytes(architecture, classes)
    return _LIMITS_BYTES.get(name, FILE_LIMIT_BYTES)


def _tensor_bytes(architecture: Architecture, classes: int) -> int:
    """All tensors of `weights.safetensors`, as `student/weights.py` writes them."""
    vocabulary, size, filters = architecture.vocabulary_size, architecture.embedding_size, architecture.filters
    total = vocabulary * (size * _INT8 + _HALF)
    for width in architecture.widths:
        total += filters * (size * width * _HALF + _HALF + _SINGLE)
    total += classes * (len(architecture.widths) * filters + 1) * _HALF
    if architecture.ngrams:
        total += (1 << architecture.ngrams.bucket_bits) * (classes * _INT8 + _INT16) + classes * _HALF
    return total
