"""What a new student reads with: its text pipeline, and the vectors that its characters begin with."""

from __future__ import annotations

import torch
from torch import Tensor

from kuaixun.export.batches import in_batches
from kuaixun.export.text.folding import unicode_table
from kuaixun.export.text.patterns import Patterns
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.export.text.vocabulary import SPECIALS, Vocabulary, count_vocabulary
from kuaixun.schemas.manifest import TextParameters
from kuaixun.trainer.data.character_embeddings import CharacterEmbeddings
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.fitting.encoded_texts import CHUNK_TEXTS


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
