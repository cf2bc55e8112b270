"""What a student says of texts: one too large to serve, with more filters or a wider table of n-grams, is a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.export.checkpoint import read_checkpoint
from kuaixun.export.errors import CheckpointError
from kuaixun.export.student.tracing import convolutional_module
from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.errors import DataError
from kuaixun.trainer.fitting.encoded_texts import encode
from kuaixun.trainer.fitting.training import logits_of
from kuaixun.trainer.scores.scorer import Scorer


def scorer_of_student(folder: Path) -> Scorer:
    """The student in a checkpoint's folder as one that scores. Raises CheckpointError."""
    checkpoint = read_checkpoint(folder)
    record = checkpoint.record
    try:
        module = convolutional_module(record.architecture, checkpoint.deployed())
    except CheckpointError as error:
        raise CheckpointError(f"--teacher {folder}: {error}") from error

    def of_texts(texts: Sequence[str], device: torch.device) -> NDArray[np.float32]:
        """A text of which cleaning leaves nothing gets zeros: no class before another."""
        try:
            encoded = encode(checkpoint.pipeline, TextLines(tuple(texts), Path("the file to score"), sha256=""))
        except DataError:  # of no text is anything left
            return np.zeros((len(texts), len(record.labels)), dtype=np.float32)
        return encoded.in_whole_file(logits_of(module.to(device), encoded), len(texts))

    return Scorer(record.labels, record.training, of_texts)
