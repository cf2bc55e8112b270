"""Texts to token ids, once, by the very pipeline that the bundle will carry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from kuaixun.export.batches import in_batches
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.export.text.vocabulary import PAD
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.errors import DataError
from kuaixun.trainer.fitting.objective import UNLABELLED

# Bounds what cleaning holds in memory at once.
CHUNK_TEXTS = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class EncodedTexts:
    """What is left of a file after cleaning: `ids` (n, longest), `tokens` (n,) in each row, `label_ids` (n,).

    Ids are int32, or int64 where a network's lexicon packs a character, its place and its word into one.
    Texts without labels have UNLABELLED. `rows` (n,) are the positions in the file; texts of which cleaning leaves
    nothing are not here, as the classifier gives them no label either.
    """

    ids: Tensor
    tokens: Tensor
    label_ids: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, rows: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """ids (batch, longest of the batch) int64 and label ids (batch,) of the rows named, on the device."""
        ids = self.ids[rows, : int(self.tokens[rows].max())].long()
        return ids.to(device, non_blocking=True), self.label_ids[rows].to(device, non_blocking=True)

    def of_rows(self, rows: NDArray[np.int64]) -> EncodedTexts:
        """Those of these texts that stand in these rows of the file."""
        kept = torch.from_numpy(np.isin(self.rows.numpy(), rows))  # (n,)
        return EncodedTexts(self.ids[kept], self.tokens[kept], self.label_ids[kept], self.rows[kept])

    def in_whole_file(self, logits: Tensor, rows: int) -> NDArray[np.float32]:
        """Logits (rows, classes) of the whole file from those (n, classes) of these texts, on the CPU.

        A row of which cleaning leaves nothing gets zeros: no class before another.
        """
        whole = np.zeros((rows, logits.shape[1]), dtype=np.float32)
        whole[self.rows.numpy()] = logits.numpy()
        return whole

    def followed_by(self, other: EncodedTexts) -> EncodedTexts:
        """These texts and then the others."""
        longest = max(self.ids.shape[1], other.ids.shape[1])
        ids = [F.pad(ids, (0, longest - ids.shape[1]), value=PAD) for ids in (self.ids, other.ids)]
        return EncodedTexts(
            ids=torch.cat(ids),
            tokens=torch.cat([self.tokens, other.tokens]),
            label_ids=torch.cat([self.label_ids, other.label_ids]),
            rows=torch.cat([self.rows, other.rows]),
        )


def encode(pipeline: TextPipeline, data: LabelledTexts | TextLines) -> EncodedTexts:
    """Encode a whole file. Raises DataError where cleaning leaves nothing of any text."""
    label_ids = data.label_ids if isinstance(data, LabelledTexts) else np.full(len(data), UNLABELLED, dtype=np.int64)
    chunks = []
    for numbers in in_batches(range(len(data)), CHUNK_TEXTS):
        encoded = pipeline.encode(data.texts[numbers[0] : numbers[-1] + 1])
        kept = np.flatnonzero(encoded.lengths > 0)  # (kept,)
        ids, rows = encoded.ids[kept], kept + numbers[0]
        tokens = (ids != PAD).sum(axis=1)
        chunks.append(EncodedTexts(*map(torch.from_numpy, (ids, tokens, label_ids[rows], rows))))
    together = reduce(EncodedTexts.followed_by, chunks)
    if not len(together):
        raise DataError(f"{data.source}: cleaning leaves nothing of any of its {len(data)} texts")
    return together
