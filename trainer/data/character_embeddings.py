"""Pretrained character embeddings: the student's first table before training begins.

The rows are an .npz file's array `embeddings` (n, size); a JSON object maps each character to its row. Published
tables fill the characters that they never met with uniform noise from [0, 1], far from the zero-centred rest. Such
rows carry nothing and are left out; they are told by that signature, so that a new table needs no list.
"""

from __future__ import annotations

import json
import lzma
import math
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuaixun.schemas.manifest import DataFile
from kuaixun.trainer.data.content_hash import sha256_of
from kuaixun.trainer.errors import EmbeddingError

ARRAY_NAME = "embeddings"
# What a damaged archive is noticed by, whichever of its bytes are: RuntimeError is of what zipfile cannot unpack.
DAMAGE = (ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


@dataclass(frozen=True, slots=True)
class CharacterEmbeddings:
    """`vectors` (n, size) float32, and for each trained character its row; `files` they were read from, for records."""

    vectors: NDArray[np.float32]
    rows: dict[str, int]
    files: tuple[DataFile, ...] = ()

    @property
    def size(self) -> int:
        """The length of a vector."""
        return int(self.vectors.shape[1])

    def rows_after(self, clean: Callable[[Sequence[str]], list[str]]) -> dict[str, int]:
        """The row of each character as `clean` leaves it: its own, or that of a form which is folded to it."""
        forms = list(self.rows)
        rows: dict[str, int] = {}
        for form, folded in zip(forms, clean(forms), strict=True):
            if form == folded or folded not in rows:
                rows[folded] = self.rows[form]
        return rows


def read_embeddings(npz: Path, vocabulary: Path) -> CharacterEmbeddings:
    """Read a table and its vocabulary, without the rows of random fill. Raises EmbeddingError."""
    vectors = _read_vectors(npz)
    rows = _read_rows(vocabulary)
    if len(rows) != len(vectors) or set(rows.values()) != set(range(len(vectors))):
        raise EmbeddingError(
            f"{vocabulary} names {len(rows)} characters, {npz} holds {len(vectors)} rows; "
            "each row, counted from 0, needs one character"
        )
    fill = (vectors.min(axis=1) >= 0.0) & (vectors.max(axis=1) <= 1.0)  # (n,)
    trained = {character: row for character, row in rows.items() if len(character) == 1 and not fill[row]}
    if not trained:
        raise EmbeddingError(f"{npz}: every row lies in [0, 1] throughout: random fill, no trained embedding")
    with np.errstate(over="ignore"):
        spread = float(vectors[list(trained.values())].std())
    if not 0 < spread < math.inf:  # what begins from them is brought to another spread
        raise EmbeddingError(f"{npz}: its numbers spread by {spread:g}; trained embeddings spread by about 1")
    files = (_recorded("embeddings", npz, len(vectors)), _recorded("embedding vocabulary", vocabulary, len(rows)))
    return CharacterEmbeddings(vectors, trained, files)


def _recorded(role: str, path: Path, rows: int) -> DataFile:
    return DataFile(role=role, name=path.name, rows=rows, sha256=sha256_of(path))


def _read_vectors(path: Path) -> NDArray[np.float32]:
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile) or ARRAY_NAME not in archive.files:
                raise EmbeddingError(
                    f"{path}: no .npz file with an array named {ARRAY_NAME!r}; save it with "
                    f"numpy.savez(FILE, {ARRAY_NAME}=ARRAY)"
                )
            with archive:
                array = archive[ARRAY_NAME]
    except OSError as error:
        raise EmbeddingError(f"{path}: cannot be read as .npz: {error.strerror or error}") from None
    except DAMAGE as error:
        # numpy takes any other file for a pickle and says how to load it all the same: never repeat that.
        reason = "it is no archive of arrays of numbers" if "pickle" in str(error) else str(error)
        raise EmbeddingError(f"{path}: cannot be read as .npz: {reason}") from None
    if array.ndim != 2 or not array.size or not np.issubdtype(array.dtype, np.floating):
        raise EmbeddingError(f"{path}: {ARRAY_NAME!r} is {array.dtype} {array.shape}; expected floats (n, size)")
    vectors = array.astype(np.float32)
    if not np.isfinite(vectors).all():
        raise EmbeddingError(f"{path}: row {int(np.argwhere(~np.isfinite(vectors))[0, 0])} is not finite")
    return vectors


def _read_rows(path: Path) -> dict[str, int]:
    try:
        tree: Any = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise EmbeddingError(f"{path}: byte {error.start} is not UTF-8: {error.reason}; save it as UTF-8") from None
    except OSError as error:
        raise EmbeddingError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise EmbeddingError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(tree, dict) or any(type(row) is not int for row in tree.values()):
        raise EmbeddingError(f"{path}: expected one JSON object that maps characters to rows")
    return tree
