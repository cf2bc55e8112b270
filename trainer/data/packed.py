"""Files packed as .xz or .gz, unpacked piece by piece: a small one may hold more than any memory does."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import zlib
from pathlib import Path

from kuaixun.trainer.errors import DataError

MOST_UNPACKED_BYTES = 4 << 30  # a hundred million headlines
_PIECE_BYTES = 1 << 20
TOO_LARGE = "cannot be read: its texts take more memory than there is; cut it"


def read_unpacked(path: Path) -> tuple[bytes, str]:
    """What a file holds, and the SHA-256 of its bytes as they lie on disk, packed or not.

    The file's suffix tells the packing; others are plain. Raises DataError for one that is missing or damaged, or
    unpacks to more than the limit.
    """
    try:
        content = path.read_bytes()
        return _unpacked(path, content), hashlib.sha256(content).hexdigest()
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _unpacked(path: Path, content: bytes) -> bytes:
    match path.suffix.lower():
        case ".xz":
            with lzma.LZMAFile(io.BytesIO(content)) as file:
                return _whole(path, file)
        case ".gz":
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
                return _whole(path, file)
        case _:
            return content


def _whole(path: Path, file: lzma.LZMAFile | gzip.GzipFile) -> bytes:
    found = io.BytesIO()
    while piece := file.read(_PIECE_BYTES):
        if found.tell() + len(piece) > MOST_UNPACKED_BYTES:
            raise DataError(f"{path}: unpacks to more than {MOST_UNPACKED_BYTES} bytes; cut it into several files")
        found.write(piece)
    return found.getvalue()
