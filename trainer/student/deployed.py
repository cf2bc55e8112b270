"""A student as a bundle holds it, and what it makes of texts before its last layer speaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.export.student.tracing import convolutional_module
from kuaixun.export.student.weights import StudentWeights
from kuaixun.schemas.manifest import Architecture
from kuaixun.trainer.advance import Advance, in_silence
from kuaixun.trainer.fitting.batches import batches_by_length
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.student.pooled_states import pooled_states

BATCH = 500


class States(NamedTuple):
    """Of a batch: the state before the last layer (b, widths * filters), n-gram scores (b, classes), label ids (b,)."""

    pooled: NDArray[np.float32]
    ngrams: NDArray[np.float32]
    label_ids: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class DeployedStudent:
    """A student as it is deployed."""

    weights: StudentWeights
    architecture: Architecture

    def states(self, texts: EncodedTexts, advance: Advance = in_silence) -> Iterator[States]:
        """Of all texts, in batches of like length."""
        module, done = convolutional_module(self.architecture, self.weights).eval(), 0
        with torch.inference_mode():
            for rows in batches_by_length(texts.tokens, BATCH):
                ids, label_ids = texts.batch(rows, torch.device("cpu"))
                ngrams = module.ngrams(ids) if module.ngrams is not None else torch.zeros(1, 1)
                yield States(pooled_states(module, ids).numpy(), ngrams.numpy(), label_ids.numpy())
                done += len(rows)
                advance(done / len(texts), f"{done} of {len(texts)} texts")
