"""Training texts to token ids, once, by the very pipeline that the bundle will carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kuaixun.export.text.folding import unicode_table
from kuaixun.export.text.patterns import Patterns
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.export.text.vocabulary import SPECIALS, Vocabulary, count_vocabulary
from kuaixun.schemas.manifest import TextParameters
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.errors import DataError
from kuaixun.trainer.student.embeddings import CharacterEmbeddings


@dataclass(frozen=True, slots=True, eq=False)
class EncodedTexts:
    """What is left of a file after cleaning: `ids` (n, longest) int32, `tokens` (n,) in each row, `label_ids` (n,).

    `rows` (n,) are the positions in the file; texts of which cleaning leaves nothing are not here, as the classifier
    gives them no label either.
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


def build_pipeline(
    training_texts: LabelledTexts,
    parameters: TextParameters,
    *,
    vocabulary_size: int,
    minimum_frequency: int,
    drop_latin: bool = False,
) -> TextPipeline:
    """The pipeline of a new student: its vocabulary holds the commonest characters of the cleaned training texts."""
    table, patterns = unicode_table(drop_latin=drop_latin), Patterns()
    cleaned = TextPipeline(parameters, table, patterns, Vocabulary(())).clean(training_texts.texts)
    vocabulary = count_vocabulary(cleaned, max_size=vocabulary_size, min_frequency=minimum_frequency)
    return TextPipeline(parameters, table, patterns, vocabulary)


def encode(pipeline: TextPipeline, data: LabelledTexts) -> EncodedTexts:
    """Encode a whole file. Raises DataError where cleaning leaves nothing of any text."""
    encoded = pipeline.encode(data.texts)
    rows = np.flatnonzero(encoded.lengths > 0)
    if not len(rows):
        raise DataError(f"{data.source}: cleaning leaves nothing of any of its {len(data)} texts")
    tokens = (encoded.ids != 0).sum(axis=1)
    return EncodedTexts(
        ids=torch.from_numpy(encoded.ids[rows]),
        tokens=torch.from_numpy(tokens[rows]),
        label_ids=torch.from_numpy(data.label_ids[rows]),
        rows=torch.from_numpy(rows),
    )


def initial_embedding(table: Tensor, pipeline: TextPipeline, pretrained: CharacterEmbeddings) -> int:
    """Write the pretrained vectors into `table` (vocabulary, size), in place; returns how many characters got one.

    A character without a vector takes that of a form which the pipeline folds to it (the full-width colon's for the
    colon); the others keep what `table` held, brought to the spread of the trained vectors.
    """
    forms = list(pretrained.rows)
    vectors: dict[str, int] = {}
    for form, folded in zip(forms, pipeline.clean(forms), strict=True):
        if form == folded or folded not in vectors:
            vectors[folded] = pretrained.rows[form]
    with torch.no_grad():
        used = torch.from_numpy(pretrained.vectors[list(pretrained.rows.values())])  # (rows, size)
        table[1:] *= float(used.std()) / float(table[1:].std())
        found = 0
        for token_id, character in enumerate(pipeline.vocabulary.characters, start=len(SPECIALS)):
            if character in vectors:
                table[token_id] = torch.from_numpy(pretrained.vectors[vectors[character]])
                found += 1
    return found
