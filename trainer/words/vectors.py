"""Vectors of words as a folder, which networks begin with: see kuaixun.trainer.network.

words.txt             one word a line, the commonest first
vectors.safetensors   the tensor `vectors` (words, size) float32, a row for each line
words.json            how they were made
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from kuaixun.export.new_folder import write_folder
from kuaixun.schemas.manifest import Training
from kuaixun.trainer.errors import EmbeddingError

WORDS_FILE = "words.txt"
VECTORS_FILE = "vectors.safetensors"
RECORD_FILE = "words.json"
TENSOR = "vectors"


@dataclass(frozen=True, slots=True, eq=False)
class WordVectors:
    """`vectors` (words, size) float32 of `words`, all different.

    `sha256` is that of the file of vectors; empty for those that were read from none.
    """

    words: tuple[str, ...]
    vectors: NDArray[np.float32]
    sha256: str = ""

    @property
    def size(self) -> int:
        """The length of a vector."""
        return int(self.vectors.shape[1])


def write_word_vectors(folder: Path, vectors: WordVectors, training: Training) -> None:
    """Write a new folder, whole or not at all. Raises OSError, FileExistsError."""
    write_folder(
        folder,
        {
            WORDS_FILE: "".join(f"{word}\n" for word in vectors.words).encode(),
            VECTORS_FILE: safetensors.numpy.save({TENSOR: np.ascontiguousarray(vectors.vectors)}),
            RECORD_FILE: msgspec.json.format(msgspec.json.encode(training), indent=2) + b"\n",
        },
    )


def read_word_vectors(folder: Path) -> WordVectors:
    """Read what `write_word_vectors` wrote. Raises EmbeddingError naming the file and the reason."""
    try:
        words = tuple((folder / WORDS_FILE).read_bytes().decode().removesuffix("\n").split("\n"))
        content = (folder / VECTORS_FILE).read_bytes()
        vectors = safetensors.numpy.load(content)[TENSOR]
    except OSError as error:
        raise EmbeddingError(
            f"{folder}: cannot be read: {error.strerror}: {error.filename}; name a folder that the words command wrote"
        ) from None
    except (ValueError, KeyError, safetensors.SafetensorError) as error:
        raise EmbeddingError(f"{folder} holds no vectors of words: {error}; write them anew") from None
    if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(words) or not vectors.size:
        raise EmbeddingError(
            f"{folder / VECTORS_FILE}: {vectors.dtype} {vectors.shape}; expected float32 ({len(words)}, size), a row "
            f"for each line of {WORDS_FILE}"
        )
    if not np.isfinite(vectors).all():
        row = int(np.argwhere(~np.isfinite(vectors))[0, 0])
        raise EmbeddingError(f"{folder / VECTORS_FILE}: the vector of {words[row]!r} is not finite; write them anew")
    if len(set(words)) != len(words):
        raise EmbeddingError(f"{folder / WORDS_FILE}: a word stands there twice; write them anew")
    return WordVectors(words, vectors, hashlib.sha256(content).hexdigest())
