"""What a file or a folder holds, as one hash: two that hold the same are the same, wherever they lie."""

from __future__ import annotations

import hashlib
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
