"""What a file, a folder or a list of texts holds, as one hash: what holds the same is the same, wherever it lies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, or of the names and contents of a folder's files."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    together = hashlib.sha256()
    for one in sorted(path.rglob("*")):
        if one.is_file():
            together.update(f"{one.relative_to(path)}\0{sha256_of(one)}\n".encode())
    return together.hexdigest()


def sha256_of_texts(texts: Iterable[str]) -> str:
    """The SHA-256 of texts in their order, whatever file they stood in and under whatever labels."""
    together = hashlib.sha256()
    for text in texts:
        content = text.encode()
        together.update(b"%d:%b" % (len(content), content))  # with its length, so that no two lists run together alike
    return together.hexdigest()
