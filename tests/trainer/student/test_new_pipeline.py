"""From texts to batches: nothing lost, nothing moved, pretrained vectors where they belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kuaixun.schemas.manifest import TextParameters
from kuaixun.trainer.data.character_embeddings import CharacterEmbeddings
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.errors import DataError, SettingError
from kuaixun.trainer.fitting.batches import batches_by_length, shuffled_batches
from kuaixun.trainer.fitting.encoded_texts import encode
from kuaixun.trainer.student.new_pipeline import build_pipeline, initial_embedding
from kuaixun.trainer.student.new_student import StudentShape, new_student

PARAMETERS = TextParameters()


def labelled(*texts: str) -> LabelledTexts:
    ids = np.arange(len(texts), dtype=np.int64) % 2
    return LabelledTexts(texts, ids, ("a", "b"), Path("toy.txt"), "0" * 64)


def test_texts_that_cleaning_empties_are_left_out_and_the_rows_say_which() -> None:
    data = labelled("股市", "\u200b", "球赛")
    pipeline = build_pipeline(data, PARAMETERS, vocabulary_size=100, minimum_frequency=1)

    encoded = encode(pipeline, data)

    assert encoded.rows.tolist() == [0, 2]
    assert encoded.label_ids.tolist() == [0, 0]
    assert encoded.tokens.tolist() == [2, 2]


def test_a_file_that_cleaning_empties_is_refused_by_name() -> None:
    pipeline = build_pipeline(labelled("股市"), PARAMETERS, vocabulary_size=100, minimum_frequency=1)

    with pytest.raises(DataError, match=r"toy\.txt: cleaning leaves nothing"):
        encode(pipeline, labelled("\u200b"))


def test_a_batch_is_as_wide_as_its_longest_text() -> None:
    data = labelled("股", "股市大涨", "球赛")
    encoded = encode(build_pipeline(data, PARAMETERS, vocabulary_size=100, minimum_frequency=1), data)

    ids, label_ids = encoded.batch(torch.tensor([2, 0]), torch.device("cpu"))

    assert ids.shape == (2, 2)
    assert ids.dtype == torch.int64
    assert label_ids.tolist() == [0, 0]


def test_an_epoch_meets_every_text_once_in_an_order_that_the_generator_decides() -> None:
    def epoch(seed: int) -> list[list[int]]:
        return [batch.tolist() for batch in shuffled_batches(1000, 16, torch.Generator().manual_seed(seed))]

    assert sorted(row for batch in epoch(1) for row in batch) == list(range(1000))
    assert epoch(1) == epoch(1)
    assert epoch(1) != epoch(2)


def test_evaluation_meets_every_text_once_the_shortest_first() -> None:
    tokens = torch.randint(1, 30, (100,), generator=torch.Generator().manual_seed(0))

    rows = torch.cat(list(batches_by_length(tokens, 16)))

    assert sorted(rows.tolist()) == list(range(100))
    assert bool((tokens[rows].diff() >= 0).all())


def test_pretrained_vectors_reach_their_characters_through_the_pipelines_folding() -> None:
    data = labelled("股：市", "球A")
    pipeline = build_pipeline(data, PARAMETERS, vocabulary_size=100, minimum_frequency=1)
    vectors = np.random.default_rng(0).normal(0, 0.3, (4, 8)).astype(np.float32)
    table = torch.zeros(len(pipeline.vocabulary), 8)
    torch.nn.init.normal_(table[1:])

    found = initial_embedding(table, pipeline, CharacterEmbeddings(vectors, {"股": 0, "A": 1, "a": 2, "：": 3}))

    row = {character: index for index, character in enumerate(pipeline.vocabulary.characters, start=3)}
    assert found == 3
    torch.testing.assert_close(table[row["股"]], torch.from_numpy(vectors[0]))
    torch.testing.assert_close(table[row["a"]], torch.from_numpy(vectors[2]))
    torch.testing.assert_close(table[row[":"]], torch.from_numpy(vectors[3]))
    assert table[row["市"]].any()
    assert not table[0].any()


def test_embeddings_of_another_size_than_the_student_are_refused() -> None:
    embeddings = CharacterEmbeddings(np.zeros((1, 8), dtype=np.float32), {"股": 0})

    with pytest.raises(SettingError, match="--embedding-size 8"):
        new_student(labelled("股", "市"), StudentShape(), seed=1, dropout=0.5, embeddings=embeddings)
