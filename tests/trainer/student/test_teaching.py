"""Teachers' scores find their texts, whatever the order, the batch and the cleaning."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kuaixun.export.text.vocabulary import SPECIALS
from kuaixun.schemas.manifest import NgramBranch
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.data.labelled_texts import LabelledTexts, read_labelled_texts, read_split
from kuaixun.trainer.errors import ScoresError, SettingError
from kuaixun.trainer.fitting.curriculum import epochs
from kuaixun.trainer.fitting.encoded_texts import encode
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.training import Fit
from kuaixun.trainer.fitting.watching import DevFigures
from kuaixun.trainer.scores.teacher_scores import TeacherScores, write_scores
from kuaixun.trainer.scores.weighted_scores import WeightedScores
from kuaixun.trainer.student.new_student import NewStudent, StudentShape, new_student
from kuaixun.trainer.student.teaching import LABELS_ALONE, Teaching, read_teaching
from kuaixun.trainer.student.training import fit

ToyFile = Callable[[str, int, int], Path]
SHAPE = StudentShape(filters=8, embedding_size=12, ngrams=NgramBranch(bucket_bits=8, size=4), minimum_frequency=1)
SETTINGS = FitSettings(epochs=2, batch_size=16, learning_rate=0.01, evaluate_every_steps=8, seed=3)
CPU = torch.device("cpu")


class Losses:
    """Keeps the running loss of every step."""

    def __init__(self) -> None:
        self.running: list[float] = []

    def stepped(self, step: int, steps: int, training_loss: float) -> None:
        self.running.append(training_loss)

    def evaluated(self, figures: DevFigures) -> None: ...


def scored(data: Path, texts: tuple[str, ...], labels: tuple[str, ...], *, salt: str = "") -> WeightedScores:
    """A file of scores in which every text's are a hash of the text itself."""
    digests = [hashlib.sha256((salt + text).encode()).digest() for text in texts]
    logits = np.array([[byte / 64 for byte in digest[: len(labels)]] for digest in digests], dtype=np.float16)
    path = data.with_name(f"{data.name}{salt}.safetensors")
    write_scores(path, TeacherScores(logits, data.name, sha256_of_texts(texts), labels, "toy", folds=5))
    return WeightedScores(path)


def scored_file(path: Path) -> tuple[LabelledTexts, WeightedScores]:
    data = read_labelled_texts(path)
    return data, scored(path, data.texts, data.labels)


def words_by_text(student: NewStudent, teaching: Teaching, settings: FitSettings) -> dict[str, list[float]]:
    """What is taught of each text in the first epoch."""
    characters = student.pipeline.vocabulary.characters
    epoch = next(epochs(teaching.of_texts(student.texts, student.transfer), settings))
    found: dict[str, list[float]] = {}
    for batch in epoch.batches(CPU):
        assert batch.teacher is not None
        for ids, teacher in zip(batch.ids.tolist(), batch.teacher.tolist(), strict=True):
            found["".join(characters[one - len(SPECIALS)] for one in ids if one)] = teacher
    return found


def test_a_shuffled_file_with_its_own_scores_teaches_the_same_of_each_text(toy_file: ToyFile, tmp_path: Path) -> None:
    # One text that cleaning empties, so that rows and encoded texts are not numbered alike.
    lines = [*toy_file("train.txt", 100, 1).read_text(encoding="utf-8").splitlines(), "\u200b\tsports"]
    random.Random(9).shuffle(lines)
    found = []
    for name, batch_size in (("one.txt", 16), ("other.txt", 7)):
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        data, scores = scored_file(path)
        student = new_student(data, SHAPE, seed=1, dropout=0.0)
        found.append(words_by_text(student, read_teaching(data, (scores,)), replace(SETTINGS, batch_size=batch_size)))
        lines.reverse()

    one, other = found
    assert len(one) > 90
    assert one == other


def train(toy_file: ToyFile, settings: FitSettings, teaching: Teaching, losses: Losses) -> tuple[NewStudent, Fit]:
    split = read_split(toy_file("train.txt", 240, 1), toy_file("dev.txt", 60, 2))
    student = new_student(split.train, SHAPE, seed=3, dropout=settings.dropout, transfer=teaching.transfer)
    texts = teaching.of_texts(student.texts, student.transfer)
    return student, fit(student.module, texts, encode(student.pipeline, split.dev), settings, losses)


def test_an_alpha_of_zero_is_a_training_without_teachers_bit_for_bit(toy_file: ToyFile) -> None:
    data, scores = scored_file(toy_file("train.txt", 240, 1))

    _, alone = train(toy_file, SETTINGS, LABELS_ALONE, Losses())
    _, deaf = train(toy_file, replace(SETTINGS, alpha=0.0), read_teaching(data, (scores,)), Losses())
    _, taught = train(toy_file, SETTINGS, read_teaching(data, (scores,)), Losses())

    assert all(torch.equal(tensor, deaf.state[name]) for name, tensor in alone.state.items())
    assert not all(torch.equal(tensor, taught.state[name]) for name, tensor in alone.state.items())


def test_a_student_learns_by_heart_what_its_teacher_says_of_a_few_texts(toy_file: ToyFile) -> None:
    data, scores = scored_file(toy_file("train.txt", 32, 1))
    settings = replace(SETTINGS, alpha=1.0, branch_loss=0.0, epochs=120, patience=1000, evaluate_every_steps=1000)
    student = new_student(data, replace(SHAPE, filters=32), seed=3, dropout=0.0)
    texts = read_teaching(data, (scores,)).of_texts(student.texts, None)
    losses = Losses()

    fit(student.module, texts, student.texts, settings, losses)

    assert losses.running[-1] < 0.001 < 0.1 < losses.running[0]


def test_transfer_texts_are_learnt_from_the_teacher_and_their_labels_never_asked(toy_file: ToyFile) -> None:
    train_path = toy_file("train.txt", 240, 1)
    data, scores = scored_file(train_path)
    transfer = train_path.with_name("transfer.txt")
    transfer.write_text("股市球赛大了\n\n今日基金\n", encoding="utf-8")
    transfer_scores = scored(transfer, ("股市球赛大了", "", "今日基金"), data.labels)

    teaching = read_teaching(data, (scores,), transfer, (transfer_scores,))
    student, found = train(toy_file, SETTINGS, teaching, Losses())

    assert found.steps_done == 2 * -(-242 // 16)
    assert student.transfer is not None
    assert student.transfer.rows.tolist() == [0, 2]
    assert set(student.transfer.label_ids.tolist()) == {-100}
    assert [file.role for file in teaching.files] == ["teacher scores", "transfer", "transfer scores"]
    assert [file.rows for file in teaching.files] == [240, 3, 3]
    assert teaching.files[1].sha256 == hashlib.sha256(transfer.read_bytes()).hexdigest()
    assert teaching.files[2].sha256 == hashlib.sha256(transfer_scores.path.read_bytes()).hexdigest()


def test_weights_share_out_the_word_of_several_teachers(toy_file: ToyFile) -> None:
    path = toy_file("train.txt", 30, 1)
    data, one = scored_file(path)
    other = scored(path, data.texts, data.labels, salt="-second")

    teaching = read_teaching(data, (one, WeightedScores(other.path, weight=3.0)))

    assert teaching.soft is not None
    assert teaching.soft.weights == (0.25, 0.75)
    assert teaching.notes[1] == "teacher toy: 30 texts of train.txt, 5 folds, weight 0.750"


def test_scores_of_other_rows_are_refused(toy_file: ToyFile) -> None:
    _, scores = scored_file(toy_file("other.txt", 240, 2))

    with pytest.raises(ScoresError, match=r"other\.txt\.safetensors: holds scores of 240 rows of other\.txt"):
        read_teaching(read_labelled_texts(toy_file("train.txt", 240, 1)), (scores,))


def test_a_transfer_set_needs_scores_of_its_own(toy_file: ToyFile, tmp_path: Path) -> None:
    data, scores = scored_file(toy_file("train.txt", 30, 1))

    with pytest.raises(SettingError, match="--transfer and --transfer-scores need each other"):
        read_teaching(data, (scores,), tmp_path / "transfer.txt")


def test_a_teacher_of_the_transfer_set_alone_leaves_the_training_texts_to_their_labels(toy_file: ToyFile) -> None:
    train_path = toy_file("train.txt", 240, 1)
    transfer = train_path.with_name("transfer.txt")
    transfer.write_text("股市球赛\n今日基金\n", encoding="utf-8")
    data = read_labelled_texts(train_path)
    transfer_scores = scored(transfer, ("股市球赛", "今日基金"), data.labels)

    teaching = read_teaching(data, (), transfer, (transfer_scores,))
    student, found = train(toy_file, SETTINGS, teaching, Losses())

    assert found.steps_done == 2 * -(-242 // 16)
    teachers = teaching.of_texts(student.texts, student.transfer).teachers
    of_labelled, of_transfer = (targets.probabilities(2.0) for targets in teachers)
    assert of_labelled.shape == (240, len(data.labels))
    assert not of_labelled.any()
    assert of_transfer.float().sum(dim=1).tolist() == pytest.approx([1, 1], abs=1e-3)


def test_the_transfer_set_has_a_say_in_ngrams_and_characters_only_where_it_is_asked_for_one(
    toy_file: ToyFile, tmp_path: Path
) -> None:
    transfer = tmp_path / "transfer.txt"
    transfer.write_text("鑫淼森\n" * 50, encoding="utf-8")
    data, scores = scored_file(toy_file("train.txt", 30, 1))
    teaching = read_teaching(data, (scores,), transfer, (scored(transfer, ("鑫淼森",) * 50, data.labels),))

    def student(*, ngrams: bool, characters: bool) -> NewStudent:
        shape = replace(SHAPE, count_transfer_ngrams=ngrams, count_transfer_characters=characters)
        return new_student(data, shape, seed=1, dropout=0.0, transfer=teaching.transfer)

    def owners(one: NewStudent) -> torch.Tensor:
        assert one.module.ngrams is not None
        return one.module.ngrams.owners

    plain, characters = student(ngrams=False, characters=False), student(ngrams=False, characters=True)
    both = student(ngrams=True, characters=True)
    assert "鑫" not in plain.pipeline.vocabulary.characters
    assert "鑫" in characters.pipeline.vocabulary.characters
    assert torch.equal(owners(characters), owners(student(ngrams=False, characters=True)))
    assert not torch.equal(owners(both), owners(characters))
