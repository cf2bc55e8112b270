"""Filters that know the telling words before any training, and keep to them."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kuaixun.trainer.data.character_embeddings import CharacterEmbeddings
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.student.keyword_filters import GAIN, detecting_filters, telling_patterns
from kuaixun.trainer.student.new_student import NewStudent, StudentShape, new_student

WORDS = {0: ("goal", "match", "goalkeeper"), 1: ("bond", "yield", "banking")}
SHARED = ("the", "a", "day", "was", "on")


@pytest.fixture(scope="module")
def labelled() -> LabelledTexts:
    chance = random.Random(1)
    label_ids = np.array([chance.randrange(2) for _ in range(200)])
    texts = tuple(
        " ".join([*chance.choices(SHARED, k=4), chance.choice(WORDS[label_id]), *chance.choices(SHARED, k=2)])
        for label_id in label_ids.tolist()
    )
    return LabelledTexts(texts, label_ids, ("sports", "finance"), Path("made.txt"), "0" * 64)


SHAPE = StudentShape(
    widths=(2, 8), filters=12, embedding_size=64, minimum_frequency=1, keyword_filters=True, max_tokens=80
)


def student_of(
    labelled: LabelledTexts, embeddings: CharacterEmbeddings | None = None, shape: StudentShape = SHAPE
) -> NewStudent:
    return new_student(labelled, shape, seed=1, dropout=0.0, embeddings=embeddings)


def fired(student: NewStudent, text: str) -> torch.Tensor:
    ids = torch.from_numpy(student.pipeline.encode([text]).ids).long()
    with torch.no_grad():
        return student.module.pooled(ids)[0, -12:] / GAIN  # (filters,) of the widest


def test_the_words_that_tell_classes_apart_come_first(labelled: LabelledTexts) -> None:
    found = telling_patterns(labelled.texts, labelled, 8)

    assert set(found[:6]) == {" goal ", " match ", " goalkee", " bond ", " yield ", " banking"}


def test_a_word_fires_its_filter_and_no_other(labelled: LabelledTexts) -> None:
    student = student_of(labelled)
    found = telling_patterns(labelled.texts, labelled, 8)
    for word, pattern in (("match", " match "), ("banking", " banking"), ("goalkeeper", " goalkee")):
        told = fired(student, f"on {word} day")
        assert told[found.index(pattern)].item() == pytest.approx(1.0, abs=0.01)
    quiet = fired(student, "on zzz day")
    assert quiet[:6].max() == 0.0


def test_filters_know_words_by_the_pretrained_embeddings_where_there_are_any(labelled: LabelledTexts) -> None:
    characters = " abcdefghijklmnopqrstuvwxyz"
    vectors = np.random.default_rng(1).normal(size=(len(characters), 64)).astype(np.float32)
    embeddings = CharacterEmbeddings(vectors, {character: row for row, character in enumerate(characters)})
    found = telling_patterns(labelled.texts, labelled, 8)

    told = fired(student_of(labelled, embeddings), "on banking day")

    assert told[found.index(" banking")].item() == pytest.approx(1.0, abs=0.01)


def test_a_word_at_the_end_is_three_quarters_as_loud(labelled: LabelledTexts) -> None:
    place = telling_patterns(labelled.texts, labelled, 8).index(" match ")

    assert fired(student_of(labelled), "on match")[place].item() == pytest.approx(0.75, abs=0.01)


def test_a_word_at_the_end_is_as_loud_as_any_where_texts_end_with_a_token(labelled: LabelledTexts) -> None:
    place = telling_patterns(labelled.texts, labelled, 8).index(" match ")

    with_token = student_of(labelled, shape=replace(SHAPE, append_cls=True))

    assert fired(with_token, "on match")[place].item() == pytest.approx(1.0, abs=0.01)


def test_the_first_word_fires_where_texts_begin_with_a_token(labelled: LabelledTexts) -> None:
    place = telling_patterns(labelled.texts, labelled, 8).index(" match ")

    with_token = student_of(labelled, shape=replace(SHAPE, prepend_cls=True))

    assert fired(with_token, "match day")[place].item() == pytest.approx(1.0, abs=0.01)
    assert fired(student_of(labelled), "match day")[place].item() == pytest.approx(0.0, abs=0.01)


WIDE = replace(SHAPE, widths=(12,), filters=40, prepend_cls=True, append_cls=True)


def test_wide_filters_know_two_neighbours_narrow_ones_words_alone(labelled: LabelledTexts) -> None:
    """Of words as they stand, and of the first and the last word and the ends of the text."""
    texts = ("\nxu li zhongguo\n", "\nxu li\n") * 2
    four = replace(labelled, texts=texts, label_ids=np.array([0, 1, 0, 1]))

    wide, narrow = (set(telling_patterns(texts, four, width)) for width in (12, 11))

    assert narrow == {" xu ", " li ", " zhongguo "}
    assert wide - narrow == {" xu li ", "\nxu ", " li\n", " zhongguo\n"}  # " li zhongguo " is too long


def test_two_neighbours_fire_their_filter_side_by_side_alone(labelled: LabelledTexts) -> None:
    chance = random.Random(2)
    label_ids = np.array([chance.randrange(2) for _ in range(100)])
    texts = tuple(" ".join(["xu li", "li xu"][label] for _ in range(2)) + " end" for label in label_ids.tolist())
    syllables = LabelledTexts(texts, label_ids, ("a", "b"), Path("made.txt"), "0" * 64)
    student = student_of(syllables, shape=WIDE)
    place = telling_patterns([f"\n{text}\n" for text in texts], syllables, 12)

    def told(text: str, pattern: str) -> float:
        ids = torch.from_numpy(student.pipeline.encode([text]).ids).long()
        with torch.no_grad():
            return student.module.pooled(ids)[0, place.index(pattern)].item() / GAIN

    assert told("end xu li", " xu li ") == pytest.approx(1.0, abs=0.01)
    assert told("xu end li", " xu li ") == pytest.approx(0.0, abs=0.01)
    assert told("xu li end", "\nxu ") == pytest.approx(1.0, abs=0.01)
    assert told("end xu li", "\nxu ") == pytest.approx(0.0, abs=0.01)
    assert told("xu end", " end\n") == pytest.approx(1.0, abs=0.01)
    assert told("end xu", " end\n") == pytest.approx(0.0, abs=0.01)
    assert told("end xu", " end ") == pytest.approx(1.0, abs=0.01)  # the end of a text is a space to a word


def test_a_word_with_another_letter_fires_nothing(labelled: LabelledTexts) -> None:
    """The vectors of letters are orthogonal, so that none looks a little like another."""
    found = telling_patterns(labelled.texts, labelled, 8)

    for almost in ("mutch", "natch", "matc"):
        told = fired(student_of(labelled), f"on {almost} day")
        assert told[found.index(" match ")].item() == pytest.approx(0.0, abs=0.01)


def test_filters_stay_and_what_they_say_is_learnt(labelled: LabelledTexts) -> None:
    module = student_of(labelled).module

    learning = {name for name, parameter in module.named_parameters() if parameter.requires_grad}

    assert learning == {"linear.weight", "linear.bias"}
    assert not module.linear.weight[:, -12:-6].any()


def test_filters_without_a_word_say_nothing(labelled: LabelledTexts) -> None:
    """Of the narrower width all count; of the widest those of which there is a word."""
    shape = replace(SHAPE, filters=40)
    words = len(telling_patterns(labelled.texts, labelled, 8))

    student = student_of(labelled, shape=shape)

    assert 0 < words == student.detected_words < 40
    ids = torch.from_numpy(student.pipeline.encode(list(labelled.texts)).ids).long()
    with torch.no_grad():
        states = student.module.pooled(ids)
    assert states[:, 40 : 40 + words].amax(dim=0).min() > 0
    assert not states[:, 40 + words :].any()
    assert not student.module.linear.weight[:, 40 + words :].any()
    assert detecting_filters(student.module) == 40 + words
