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
from kuaixun.export.text.folding import unicode_table
from kuaixun.export.text.patterns import Patterns
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.export.text.vocabulary import PAD, SPECIALS, Vocabulary, count_vocabulary
from kuaixun.schemas.manifest import TextParameters
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.errors import DataError
from kuaixun.trainer.student.embeddings import CharacterEmbeddings
from kuaixun.trainer.student.objective import UNLABELLED

# Bounds what cleaning holds in memory at once.
CHUNK_TEXTS = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class EncodedTexts:
    """What is left of a file after cleaning: `ids` (n, longest) int32, `tokens` (n,) in each row, `label_ids` (n,).

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


def build_pipeline(
    training_texts: LabelledTexts,
    parameters: TextParameters,
    *,
    vocabulary_size: int,
    minimum_frequency: int,
    drop_latin: bool = False,
    transfer: TextLines | None = None,
) -> TextPipeline:
    """The pipeline of a new student: its vocabulary holds the commonest characters of the cleaned training texts.

    Those of `transfer` are counted as well, where it is given.
    """
    table, patterns = unicode_table(drop_latin=drop_latin), Patterns()
    bare = TextPipeline(parameters, table, patterns, Vocabulary(()))
    texts = training_texts.texts + (transfer.texts if transfer else ())
    cleaned = (text for chunk in in_batches(texts, CHUNK_TEXTS) for text in bare.clean(chunk))
    vocabulary = count_vocabulary(cleaned, max_size=vocabulary_size, min_frequency=minimum_frequency)
    return TextPipeline(parameters, table, patterns, vocabulary)


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


def initial_embedding(table: Tensor, pipeline: TextPipeline, pretrained: CharacterEmbeddings) -> int:
    """Write the pretrained vectors into `table` (vocabulary, size), in place; returns how many characters got one.

    A character without a vector takes that of a form which the pipeline folds to it (the full-width colon's for the
    colon); the others keep what `table` held, brought to the spread of the trained vectors.
    """
    rows = pretrained.rows_after(pipeline.clean)
    with torch.no_grad():
        used = torch.from_numpy(pretrained.vectors[list(pretrained.rows.values())])  # (rows, size)
        table[1:] *= float(used.std()) / float(table[1:].std())
        found = 0
        for token_id, character in enumerate(pipeline.vocabulary.characters, start=len(SPECIALS)):
            if character in rows:
                table[token_id] = torch.from_numpy(pretrained.vectors[rows[character]])
                found += 1
    return found
