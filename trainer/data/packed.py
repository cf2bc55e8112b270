"""Files packed as .xz or .gz, unpacked piece by piece: a small one may hold more than any memory does."""

from __future__ import annotations

import gzip
import io
import lzma
from pathlib import Path

from kuaixun.trainer.errors import DataError

MOST_UNPACKED_BYTES = 4 << 30  # a hundred million headlines
_PIECE_BYTES = 1 << 20


def unpacked(path: Path, content: bytes) -> bytes:
    """What the `content` of the file `path` holds; the file's suffix tells the packing, others are plain.

    Raises DataError where that is more than the limit, and what gzip and lzma raise at damage: OSError, EOFError,
    zlib.error, lzma.LZMAError.
    """
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
