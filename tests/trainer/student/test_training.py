"""The fit: what it learns, what it keeps, and that it can be made again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kuaixun.export.student.textcnn import TextCNN
from kuaixun.export.text.vocabulary import PAD
from kuaixun.schemas.manifest import NgramBranch
from kuaixun.trainer.data.labelled_texts import read_split
from kuaixun.trainer.errors import FitError
from kuaixun.trainer.evaluation.calibration import calibrated_loss
from kuaixun.trainer.fitting.curriculum import TrainingTexts
from kuaixun.trainer.fitting.encoded_texts import encode
from kuaixun.trainer.fitting.objective import Batch, Objective
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.training import Fit, logits_of
from kuaixun.trainer.fitting.watching import DevFigures, Watcher
from kuaixun.trainer.student.new_student import NewStudent, StudentShape, new_student
from kuaixun.trainer.student.training import fit, student_loss

SHAPE = StudentShape(filters=8, embedding_size=12, ngrams=NgramBranch(bucket_bits=8, size=4), minimum_frequency=1)
SETTINGS = FitSettings(
    epochs=4,
    batch_size=16,
    learning_rate=0.01,
    ngram_learning_rate=0.01,
    label_smoothing=0.0,
    evaluate_every_steps=8,
    patience=50,
    seed=3,
)

LABELS_ALONE = Objective(alpha=0.8, temperature=2.0, label_smoothing=0.0)

ToyFile = Callable[[str, int, int], Path]


class Silent:
    """Follows a training and ends it, as Ctrl-C would, at the evaluation or the step named."""

    def __init__(self, *, interrupt_at_evaluation: int = 0, interrupt_at_step: int = 0) -> None:
        self.seen: list[DevFigures] = []
        self._evaluation = interrupt_at_evaluation
        self._step = interrupt_at_step

    def stepped(self, step: int, steps: int, training_loss: float) -> None:
        if step == self._step:
            raise KeyboardInterrupt

    def evaluated(self, figures: DevFigures) -> None:
        self.seen.append(figures)
        if len(self.seen) == self._evaluation:
            raise KeyboardInterrupt


def train(toy_file: ToyFile, watcher: Watcher, settings: FitSettings = SETTINGS) -> Fit:
    split = read_split(toy_file("train.txt", 240, 1), toy_file("dev.txt", 60, 2))
    student = new_student(split.train, SHAPE, seed=settings.seed, dropout=settings.dropout)
    return fit(student.module, TrainingTexts(student.texts), encode(student.pipeline, split.dev), settings, watcher)


def same(left: Fit, right: Fit) -> bool:
    return all(torch.equal(tensor, right.state[name]) for name, tensor in left.state.items())


def test_a_separable_set_is_learnt(toy_file: ToyFile) -> None:
    assert train(toy_file, Silent()).best.dev_accuracy >= 0.95


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(toy_file: ToyFile) -> None:
    first, again = train(toy_file, Silent()), train(toy_file, Silent())
    other = train(toy_file, Silent(), replace(SETTINGS, seed=4))

    assert same(first, again)
    assert not same(first, other)


def test_the_weights_of_the_lowest_dev_loss_are_kept(toy_file: ToyFile) -> None:
    # A rate this high unlearns between evaluations, so the lowest loss is not the last.
    watcher = Silent()
    settings = replace(SETTINGS, learning_rate=0.3, evaluate_every_steps=2, epochs=2)

    found = train(toy_file, watcher, settings)

    lowest = min(watcher.seen, key=lambda figures: figures.dev_loss)
    assert found.best == lowest
    assert lowest != watcher.seen[-1]
    assert dev_loss(toy_file, found, settings) == pytest.approx(lowest.dev_loss, abs=1e-6)


def dev_loss(toy_file: ToyFile, found: Fit, settings: FitSettings) -> float:
    split = read_split(toy_file("train.txt", 240, 1), toy_file("dev.txt", 60, 2))
    student = new_student(split.train, SHAPE, seed=settings.seed, dropout=settings.dropout)
    student.module.load_state_dict(found.state)
    dev = encode(student.pipeline, split.dev)
    return calibrated_loss(logits_of(student.module, dev), dev.label_ids)


def test_training_ends_early_when_patience_is_spent(toy_file: ToyFile) -> None:
    watcher = Silent()

    found = train(toy_file, watcher, replace(SETTINGS, learning_rate=0.3, evaluate_every_steps=1, patience=2))

    assert found.steps_done < watcher.seen[0].steps
    assert [figures.lowest for figures in watcher.seen[-3:]] == [True, False, False]


def test_an_interrupted_training_keeps_the_best_so_far(toy_file: ToyFile) -> None:
    watcher = Silent(interrupt_at_evaluation=2)

    found = train(toy_file, watcher)

    assert found.interrupted
    assert found.best in watcher.seen
    assert found.best.dev_loss == min(figures.dev_loss for figures in watcher.seen)
    assert set(found.state) >= {"embedding.weight", "linear.weight", "ngrams.table"}


def test_an_interruption_while_weights_are_kept_leaves_the_last_ones_with_their_own_figures(
    toy_file: ToyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = Silent()
    kept: list[dict[str, torch.Tensor]] = []
    plain = TextCNN.state_dict

    def state_dict(module: TextCNN) -> dict[str, torch.Tensor]:
        if kept:
            raise KeyboardInterrupt
        kept.append({name: tensor.clone() for name, tensor in plain(module).items()})
        return kept[0]

    monkeypatch.setattr(TextCNN, "state_dict", state_dict)

    found = train(toy_file, watcher)

    assert found.interrupted
    assert [found.best] == watcher.seen
    assert all(torch.equal(found.state[name], tensor) for name, tensor in kept[0].items())


def test_an_interruption_before_the_first_evaluation_goes_through(toy_file: ToyFile) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(toy_file, Silent(interrupt_at_step=3))


def test_padding_rows_stay_zero_in_training(toy_file: ToyFile) -> None:
    state = train(toy_file, Silent()).state

    assert not state["embedding.weight"][PAD].any()
    assert not state["ngrams.table"][-1].any()


def test_logits_come_in_the_order_of_the_data_whatever_the_lengths(toy_file: ToyFile) -> None:
    split = read_split(toy_file("train.txt", 240, 1), toy_file("dev.txt", 60, 2))
    student = new_student(split.train, SHAPE, seed=1, dropout=0.5)
    dev = encode(student.pipeline, split.dev)

    together = logits_of(student.module, dev)
    alone = torch.cat([student.module(dev.batch(torch.tensor([row]), torch.device("cpu"))[0]) for row in range(60)])

    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_each_branch_answers_for_itself_by_the_weight_of_the_branch_loss(toy_file: ToyFile, share: float) -> None:
    split = read_split(toy_file("train.txt", 240, 1), toy_file("dev.txt", 60, 2))
    student = new_student(split.train, SHAPE, seed=1, dropout=0.0)
    module = student.module
    batch = batch_of(student, None)
    assert module.ngrams is not None
    assert batch.label_ids is not None
    convolutions, ngrams = module.linear(module.pooled(batch.ids)), module.ngrams(batch.ids)
    together, one, other = (
        torch.nn.functional.cross_entropy(logits, batch.label_ids).item()
        for logits in (convolutions + ngrams, convolutions, ngrams)
    )

    loss = student_loss(module, batch, LABELS_ALONE, share).item()

    assert loss == pytest.approx((1 - share) * together + share * (one + other), rel=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_a_teacher_judges_the_sum_and_each_branch_alike(toy_file: ToyFile, share: float) -> None:
    split = read_split(toy_file("train.txt", 240, 1), toy_file("dev.txt", 60, 2))
    student = new_student(split.train, SHAPE, seed=1, dropout=0.0)
    module = student.module
    batch = batch_of(student, torch.rand(16, 2, generator=torch.Generator().manual_seed(0)).softmax(dim=1))
    objective = Objective(alpha=0.8, temperature=3.0, label_smoothing=0.1)
    assert module.ngrams is not None
    convolutions, ngrams = module.linear(module.pooled(batch.ids)), module.ngrams(batch.ids)
    together, one, other = (
        objective.loss(logits, batch).item() for logits in (convolutions + ngrams, convolutions, ngrams)
    )

    loss = student_loss(module, batch, objective, share).item()

    assert loss == pytest.approx((1 - share) * together + share * (one + other), rel=1e-5)


def batch_of(student: NewStudent, teacher: torch.Tensor | None) -> Batch:
    ids, label_ids = student.texts.batch(torch.arange(16), torch.device("cpu"))
    return Batch(ids, label_ids, teacher)


def test_a_student_without_ngrams_is_learnt_too(toy_file: ToyFile) -> None:
    split = read_split(toy_file("train.txt", 240, 1), toy_file("dev.txt", 60, 2))
    student = new_student(split.train, replace(SHAPE, ngrams=None), seed=3, dropout=0.5)

    found = fit(student.module, TrainingTexts(student.texts), encode(student.pipeline, split.dev), SETTINGS, Silent())

    assert found.best.dev_accuracy >= 0.95


def test_a_loss_that_is_no_number_is_never_kept(toy_file: ToyFile) -> None:
    with pytest.raises(FitError, match="--learning-rate"):
        train(toy_file, Silent(), replace(SETTINGS, learning_rate=1e30, epochs=1))
