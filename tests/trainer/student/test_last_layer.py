"""The last layer alone: the optimum that another library finds, the penalty that dev chooses, Ctrl-C."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.distributions import Categorical, kl_divergence

from kuaixun.export.student.ngrams import ngram_hashes, owned_buckets
from kuaixun.export.student.textcnn import TextCNN
from kuaixun.schemas.manifest import NgramBranch
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.fitting.curriculum import TrainingTexts
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts, encode
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.soft_targets import SoftTargets
from kuaixun.trainer.fitting.watching import DevFigures
from kuaixun.trainer.student import last_layer, penalty_search
from kuaixun.trainer.student.idle_parts import without_idle_parts
from kuaixun.trainer.student.keyword_filters import telling_patterns
from kuaixun.trainer.student.last_layer import fit_last_layer, only_last_layer_trains
from kuaixun.trainer.student.memory_plan import MemoryPlan
from kuaixun.trainer.student.new_student import NewStudent, StudentShape, new_student
from kuaixun.trainer.student.penalty_search import PENALTIES

WORDS = ("goal", "match", "team", "bond", "note", "bank", "vote", "law", "treaty")
SHAPE = StudentShape(
    widths=(8,),
    filters=12,
    embedding_size=32,
    minimum_frequency=1,
    keyword_filters=True,
    prepend_cls=True,
    append_cls=True,
    max_tokens=64,
)
NGRAMS = replace(SHAPE, ngrams=NgramBranch(bucket_bits=12), ngram_minimum_frequency=1)
SETTINGS = FitSettings(label_smoothing=0.0)


class Following:
    """Remembers what it is told; at one of the evaluations, or of the looks at the loss, presses Ctrl-C."""

    def __init__(self, interrupt_at: int = 0, interrupt_at_look: int = 0) -> None:
        self.seen: list[DevFigures] = []
        self.looks: list[tuple[int, float]] = []
        self._interrupt_at = interrupt_at
        self._interrupt_at_look = interrupt_at_look

    def stepped(self, step: int, steps: int, training_loss: float) -> None:
        self.looks.append((step, training_loss))
        if len(self.looks) == self._interrupt_at_look:
            raise KeyboardInterrupt

    def evaluated(self, figures: DevFigures) -> None:
        self.seen.append(figures)
        if len(self.seen) == self._interrupt_at:
            raise KeyboardInterrupt


def texts_of(seed: int, rows: int) -> LabelledTexts:
    """Three classes of three words each; a third of the words is drawn from all of them."""
    chance = random.Random(seed)
    label_ids = np.array([chance.randrange(3) for _ in range(rows)])
    texts = tuple(
        " ".join(chance.choice(WORDS if chance.random() < 0.4 else WORDS[3 * one : 3 * one + 3]) for _ in range(3))
        for one in label_ids.tolist()
    )
    return LabelledTexts(texts, label_ids, ("sports", "finance", "politics"), Path("made.txt"), "0" * 64)


@pytest.fixture
def student() -> NewStudent:
    return new_student(texts_of(1, 300), SHAPE, seed=1, dropout=0.0)


@pytest.fixture
def dev(student: NewStudent) -> EncodedTexts:
    return encode(student.pipeline, texts_of(2, 200))


def states_of(student: NewStudent, texts: EncodedTexts) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = student.module.pooled(texts.batch(torch.arange(len(texts)), torch.device("cpu"))[0]).numpy()
    return found


def words_in(student: NewStudent, texts: LabelledTexts) -> np.ndarray:
    """Which text has the word of which filter, by its letters: (texts, filters); `note` and `vote` are nearly alike."""
    words = [pattern.strip() for pattern in telling_patterns(texts.texts, texts, SHAPE.widths[0])]
    idle = [""] * (student.architecture.filters - len(words))
    return np.array([[word in text.split() for word in (*words, *idle)] for text in texts.texts])


def loudness_by_hand(present: np.ndarray, label_ids: np.ndarray) -> np.ndarray:
    """The root of what each feature, which a text has or not (texts, features), says of the class, were all equally
    common; the highest is 1.
    """
    texts, equal = np.bincount(label_ids, minlength=3), Categorical(torch.ones(3))
    shares = [np.bincount(label_ids[column], minlength=3) / texts for column in present.T]
    nats = [float(kl_divergence(Categorical(torch.from_numpy(one)), equal)) if one.any() else 0.0 for one in shares]
    loudness: np.ndarray = np.sqrt(np.array(nats) / max(nats))
    return loudness


def test_it_finds_the_optimum_that_logistic_regression_has_of_features_as_loud_as_they_say_much(
    student: NewStudent, dev: EncodedTexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(penalty_search, "PENALTIES", (4.0,))
    states, label_ids = states_of(student, student.texts), student.texts.label_ids.numpy()
    loudness = loudness_by_hand(words_in(student, texts_of(1, 300)), label_ids) / states.max()
    expected = LogisticRegression(C=1 / 4.0, max_iter=1000, tol=1e-8).fit(states * loudness, label_ids)

    fit = fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, Following())

    student.module.load_state_dict(fit.state)
    with torch.no_grad():
        found = student.module.linear(torch.from_numpy(states_of(student, dev))).softmax(dim=1).numpy()
    assert np.abs(found - expected.predict_proba(states_of(student, dev) * loudness)).max() < 2e-3
    assert fit.best.training_loss > 0.1


def test_dev_chooses_the_penalty(student: NewStudent, dev: EncodedTexts) -> None:
    following = Following()

    fit = fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, following)

    losses = [figures.dev_loss for figures in following.seen]
    assert fit.best.dev_loss == min(losses)
    assert fit.best.step == 1 + losses.index(min(losses))
    assert 3 <= fit.steps_done == len(losses) <= len(PENALTIES)
    assert [figures.training_loss for figures in following.seen] == sorted(
        (figures.training_loss for figures in following.seen), reverse=True
    )
    student.module.load_state_dict(fit.state)
    rightly = student.module(dev.batch(torch.arange(len(dev)), torch.device("cpu"))[0]).argmax(dim=1) == dev.label_ids
    assert rightly.double().mean().item() == fit.best.dev_accuracy > 0.7


def test_the_same_data_gives_the_same_weights(student: NewStudent, dev: EncodedTexts) -> None:
    again = new_student(texts_of(1, 300), SHAPE, seed=1, dropout=0.0)
    first, second = (
        fit_last_layer(one.module, TrainingTexts(one.texts), dev, SETTINGS, Following()) for one in (student, again)
    )

    assert all(torch.equal(tensor, second.state[name]) for name, tensor in first.state.items())


def test_a_teacher_is_followed(student: NewStudent, dev: EncodedTexts) -> None:
    """One that says politics of every text, and the labels have no part."""
    logits = torch.tensor([[0.0, 0.0, 6.0]]).expand(len(student.texts), 3)
    taught = TrainingTexts(student.texts, teachers=(SoftTargets.weighted((logits,), (1.0,)),))

    fit = fit_last_layer(student.module, taught, dev, FitSettings(alpha=1.0, label_smoothing=0.0), Following())

    student.module.load_state_dict(fit.state)
    assert (student.module(dev.batch(torch.arange(len(dev)), torch.device("cpu"))[0]).argmax(dim=1) == 2).all()


def test_ctrl_c_keeps_the_best_so_far(student: NewStudent, dev: EncodedTexts) -> None:
    following = Following(interrupt_at=2)

    fit = fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, following)

    assert fit.interrupted
    assert fit.best.dev_loss == min(figures.dev_loss for figures in following.seen)
    assert len(following.seen) == 2


def test_ctrl_c_on_the_way_to_the_first_minimum_keeps_what_was_learnt(student: NewStudent, dev: EncodedTexts) -> None:
    following = Following(interrupt_at_look=6)

    fit = fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, following)

    assert fit.interrupted
    assert (fit.steps_done, fit.best.step, len(following.seen)) == (0, 0, 1)
    assert fit.best.dev_accuracy > 0.5
    assert fit.state["linear.weight"].any()


def test_ctrl_c_before_anything_was_learnt_goes_through(student: NewStudent, dev: EncodedTexts) -> None:
    following = Following(interrupt_at_look=1)

    with pytest.raises(KeyboardInterrupt):
        fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, following)

    assert not following.seen


def test_the_loss_is_told_within_a_penalty(student: NewStudent, dev: EncodedTexts) -> None:
    following = Following()

    fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, following)

    first = [loss for step, loss in following.looks if step == 0]
    assert len(first) > 2
    assert first[-1] < first[0]
    assert [step for step, _ in following.looks] == sorted(step for step, _ in following.looks)


def test_it_is_for_students_of_which_nothing_else_trains(student: NewStudent) -> None:
    ordinary = new_student(texts_of(1, 300), StudentShape(filters=4, minimum_frequency=1), seed=1, dropout=0.0)

    assert only_last_layer_trains(student.module)
    assert not only_last_layer_trains(ordinary.module)


def test_fewer_remembered_gradients_lead_to_the_same_optimum(
    student: NewStudent, dev: EncodedTexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(penalty_search, "PENALTIES", (4.0,))
    monkeypatch.setattr(penalty_search, "LEAST_CHANGE", 1e-9)  # a search ends where a step changes less
    again = new_student(texts_of(1, 300), SHAPE, seed=1, dropout=0.0)

    whole = fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, Following())
    less = fit_last_layer(again.module, TrainingTexts(again.texts), dev, SETTINGS, Following(), MemoryPlan(5))

    assert less.best.dev_loss == pytest.approx(whole.best.dev_loss, abs=1e-4)


def test_ngrams_have_no_part_where_the_plan_has_none() -> None:
    student = new_student(texts_of(1, 300), NGRAMS, seed=1, dropout=0.0)
    dev, following = encode(student.pipeline, texts_of(2, 200)), Following()
    plan = MemoryPlan(ngrams=False)

    fit = fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, following, plan)

    assert not fit.state["ngrams.table"].any()
    assert following.seen[0].steps == len(PENALTIES)


def counts_of(student: NewStudent, texts: EncodedTexts) -> np.ndarray:
    """How often each bucket's n-gram stands in each text: (texts, buckets)."""
    assert student.module.ngrams is not None
    ngrams, ids = student.module.ngrams, texts.batch(torch.arange(len(texts)), torch.device("cpu"))[0]
    buckets = owned_buckets(ngram_hashes(ids, ngrams.branch), ngrams.owners).numpy()
    return np.stack([np.bincount(row, minlength=len(ngrams.owners) + 1)[:-1] for row in buckets])


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_with_ngrams_it_is_the_optimum_of_words_and_counts_together(
    monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr(penalty_search, "PENALTIES", (4.0,))
    monkeypatch.setattr(last_layer, "NGRAM_SHARES", (share,))
    monkeypatch.setattr(penalty_search, "LEAST_GAIN", -1e9)  # the trial with n-grams comes last, and stays
    student = new_student(texts_of(1, 300), NGRAMS, seed=1, dropout=0.0)
    dev = encode(student.pipeline, texts_of(2, 200))
    states, counts = states_of(student, student.texts), counts_of(student, student.texts)
    label_ids = student.texts.label_ids.numpy()
    of_states = loudness_by_hand(words_in(student, texts_of(1, 300)), label_ids) / states.max()
    of_counts = share * loudness_by_hand(counts > 0, label_ids)

    def features(texts: EncodedTexts) -> np.ndarray:
        return np.hstack([states_of(student, texts) * of_states, counts_of(student, texts) * of_counts])

    expected = LogisticRegression(C=1 / 4.0, max_iter=2000, tol=1e-8).fit(features(student.texts), label_ids)
    expected_probabilities = expected.predict_proba(features(dev))

    fit = fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, Following())

    student.module.load_state_dict(fit.state)
    assert student.module.ngrams is not None
    assert student.module.ngrams.table.abs().sum() > 0
    with torch.no_grad():
        found = student.module(dev.batch(torch.arange(len(dev)), torch.device("cpu"))[0]).softmax(dim=1).numpy()
    assert np.abs(found - expected_probabilities).max() < 2e-3


def test_what_gains_nothing_on_dev_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither n-grams nor more words than the most telling ones, where nothing is enough of a gain."""
    monkeypatch.setattr(last_layer, "FEW_FILTERS", 6)
    monkeypatch.setattr(penalty_search, "LEAST_GAIN", 1.0)
    student = new_student(texts_of(1, 300), NGRAMS, seed=1, dropout=0.0)
    dev = encode(student.pipeline, texts_of(2, 200))
    following = Following()

    fit = fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, following)
    architecture, state = without_idle_parts(student.architecture, fit.state)

    assert len(following.seen) > len(PENALTIES)
    kept = fit.best.dev_loss
    lower = [one.step for one in following.seen if one.dev_loss < kept]
    assert lower == [one.step for one in following.seen if one.hardly_lower]  # told, so that no reader wonders
    assert lower
    assert (architecture.filters, architecture.ngrams) == (6, None)
    smaller = TextCNN(architecture, 3)
    smaller.load_state_dict(state)
    student.module.load_state_dict(fit.state)
    ids = dev.batch(torch.arange(len(dev)), torch.device("cpu"))[0]
    with torch.no_grad():
        assert torch.allclose(smaller(ids), student.module.eval()(ids), atol=1e-5)


def test_filters_that_know_neighbours_count_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_layer, "FEW_FILTERS", 6)
    monkeypatch.setattr(penalty_search, "LEAST_GAIN", 1.0)
    for width, there_are_more in ((11, False), (12, True)):
        student = new_student(texts_of(1, 300), replace(SHAPE, widths=(width,), filters=20), seed=1, dropout=0.0)
        dev = encode(student.pipeline, texts_of(2, 200))

        fit = fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, Following())

        assert bool(fit.state["linear.weight"][:, 6:].any()) == there_are_more


def test_filters_for_which_there_is_no_word_are_left_out_and_never_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine words: neither a trial of more of them, nor a filter that detects nothing."""
    monkeypatch.setattr(last_layer, "FEW_FILTERS", 30)
    student = new_student(texts_of(1, 300), replace(SHAPE, filters=70), seed=1, dropout=0.0)
    dev, following = encode(student.pipeline, texts_of(2, 200)), Following()

    fit = fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, following)
    architecture, _ = without_idle_parts(student.architecture, fit.state)

    assert student.detected_words == len(WORDS)
    assert architecture.filters == len(WORDS)
    assert following.seen[0].steps == len(PENALTIES)


def test_near_a_loss_of_nothing_a_share_of_it_is_no_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the share, what is larger has to gain a number of nats; here more than there are to gain."""
    monkeypatch.setattr(penalty_search, "LEAST_GAIN", 0.0)
    monkeypatch.setattr(penalty_search, "LEAST_GAIN_NATS", 10.0)
    student = new_student(texts_of(1, 300), NGRAMS, seed=1, dropout=0.0)
    dev = encode(student.pipeline, texts_of(2, 200))

    fit = fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, Following())

    assert not fit.state["ngrams.table"].any()


def test_labels_as_they_are_are_tried_where_smooth_ones_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second trial is the fit without smoothing; it is kept where it is better by enough."""
    student = new_student(texts_of(1, 300), SHAPE, seed=1, dropout=0.0)
    dev, train = encode(student.pipeline, texts_of(2, 200)), TrainingTexts(student.texts)
    alone, both, more_wanted = Following(), Following(), Following()
    monkeypatch.setattr(penalty_search, "PENALTIES", (0.3,))
    monkeypatch.setattr(penalty_search, "LEAST_GAIN", 0.0)
    monkeypatch.setattr(penalty_search, "LEAST_GAIN_NATS", 0.0)

    fit_last_layer(student.module, train, dev, SETTINGS, alone)
    tried = fit_last_layer(student.module, train, dev, FitSettings(label_smoothing=0.3), both)
    monkeypatch.setattr(penalty_search, "LEAST_GAIN", 1.0)
    left = fit_last_layer(student.module, train, dev, FitSettings(label_smoothing=0.3), more_wanted)

    (as_they_are,), (smooth, without) = ([one.dev_loss for one in seen] for seen in (alone.seen, both.seen))
    assert [figures.steps for figures in (*alone.seen, *both.seen)] == [1, 2, 2]
    assert without == pytest.approx(as_they_are, abs=1e-4)
    assert abs(smooth - as_they_are) > 1e-3
    assert tried.best.dev_loss == min(smooth, without)
    assert left.best.step == 1


def test_of_several_widths_all_filters_count_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detectors are the widest, which come last."""
    monkeypatch.setattr(last_layer, "FEW_FILTERS", 6)
    student = new_student(texts_of(1, 300), replace(SHAPE, widths=(2, 8)), seed=1, dropout=0.0)
    dev, following = encode(student.pipeline, texts_of(2, 200)), Following()

    fit = fit_last_layer(student.module, TrainingTexts(student.texts), dev, SETTINGS, following)

    assert len(following.seen) <= len(PENALTIES)
    assert fit.state["linear.weight"][:, 12:].abs().sum() > 0
