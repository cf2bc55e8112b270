"""What is met in which epoch, and with whose word."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.fitting.batches import shuffled_batches
from kuaixun.trainer.fitting.curriculum import TrainingTexts, epochs, steps_of, temperature_in
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.fitting.objective import UNLABELLED
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.soft_targets import SoftTargets

SETTINGS = FitSettings(epochs=3, batch_size=8, seed=5)
CPU = torch.device("cpu")


def encoded(count: int, first: int, *, labels: bool) -> EncodedTexts:
    """Texts of one token each, whose ids are `first` and the following."""
    numbers = torch.arange(first, first + count)
    label_ids = numbers % 2 if labels else torch.full((count,), UNLABELLED)
    return EncodedTexts(numbers[:, None].int(), torch.ones(count, dtype=torch.int64), label_ids, torch.arange(count))


def targets(count: int, first: int) -> SoftTargets:
    """Logits from which the text's id can be read again."""
    numbers = torch.arange(first, first + count).half()
    return SoftTargets((torch.stack([numbers / 100, torch.zeros(count).half()], dim=1),), (1.0,))


LABELLED, TRANSFER = encoded(20, 100, labels=True), encoded(30, 200, labels=False)
BOTH = TrainingTexts(LABELLED, TRANSFER, (targets(20, 100), targets(30, 200)))


def ids_met(texts: TrainingTexts, settings: FitSettings) -> list[list[int]]:
    """The ids of each epoch."""
    return [
        [int(one) for batch in epoch.batches(CPU) for one in batch.ids.flatten()] for epoch in epochs(texts, settings)
    ]


def test_without_a_transfer_set_texts_are_shuffled_as_ever() -> None:
    generator = torch.Generator().manual_seed(5)
    expected = [torch.cat(list(shuffled_batches(20, 8, generator))) + 100 for _ in range(3)]

    assert ids_met(TrainingTexts(LABELLED), SETTINGS) == [one.tolist() for one in expected]


def test_each_epoch_meets_every_labelled_and_every_transfer_text_once() -> None:
    for met in ids_met(BOTH, SETTINGS):
        assert sorted(met) == [*range(100, 120), *range(200, 230)]


def test_an_epoch_takes_as_many_transfer_texts_as_are_asked_for_and_the_next_goes_on_from_there() -> None:
    settings = replace(SETTINGS, transfer_rows=10)

    met = ids_met(BOTH, settings)

    assert [len(one) for one in met] == [30, 30, 30]
    assert all(set(range(100, 120)) <= set(one) for one in met)
    assert sorted(one for epoch in met for one in epoch if one >= 200) == [*range(200, 230)]
    assert steps_of(BOTH, settings) == 3 * 4
    assert steps_of(BOTH, replace(settings, transfer_rows=1000)) == steps_of(BOTH, SETTINGS) == 3 * 7


def test_every_text_comes_with_its_own_teachers_word_and_only_labelled_ones_with_a_label() -> None:
    for epoch in epochs(BOTH, SETTINGS):
        for batch in epoch.batches(CPU):
            assert batch.teacher is not None
            logits = batch.ids.flatten().float() / 100
            expected = torch.sigmoid(logits / SETTINGS.temperature)
            torch.testing.assert_close(batch.teacher[:, 0], expected, atol=2e-3, rtol=0)
            torch.testing.assert_close(batch.teacher.sum(dim=1), torch.ones(len(batch.ids)))
            labels = torch.where(batch.ids.flatten() >= 200, UNLABELLED, batch.ids.flatten() % 2)
            found = batch.label_ids if batch.label_ids is not None else torch.full_like(labels, UNLABELLED)
            assert found.tolist() == labels.tolist()


def test_a_batch_without_labels_says_so() -> None:
    few = TrainingTexts(encoded(2, 100, labels=True), TRANSFER, (targets(2, 100), targets(30, 200)))

    batches = [batch for epoch in epochs(few, SETTINGS) for batch in epoch.batches(CPU)]

    assert any(batch.label_ids is None for batch in batches)
    assert all(batch.label_ids is None or bool((batch.label_ids >= 0).any()) for batch in batches)


@pytest.mark.parametrize(("final", "expected"), [(None, [4.0, 4.0, 4.0]), (1.0, [4.0, 2.5, 1.0])])
def test_the_temperature_falls_in_a_straight_line_to_the_final_one(final: float | None, expected: list[float]) -> None:
    settings = replace(SETTINGS, temperature=4.0, final_temperature=final)

    found = list(epochs(BOTH, settings))

    assert [epoch.objective.temperature for epoch in found] == expected
    assert found[0].teacher is not None
    assert found[2].teacher is not None
    assert torch.equal(found[0].teacher, found[2].teacher) == (final is None)


def test_a_temperature_that_would_rise_is_refused() -> None:
    assert FitSettings(temperature=2.0, final_temperature=2.0).final_temperature == 2.0
    with pytest.raises(SettingError, match=r"--final-temperature is 3\.0; the temperature falls, .* 2\.0"):
        FitSettings(temperature=2.0, final_temperature=3.0)


def test_one_epoch_has_the_first_temperature() -> None:
    assert temperature_in(0, FitSettings(epochs=1, temperature=3.0, final_temperature=1.0)) == 3.0


def test_an_alpha_of_zero_asks_no_teacher() -> None:
    taught = TrainingTexts(LABELLED, None, (targets(20, 100),))

    assert all(epoch.teacher is None for epoch in epochs(taught, replace(SETTINGS, alpha=0.0)))


def test_scores_for_another_number_of_texts_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="20 rows of teacher scores for 50 texts"):
        TrainingTexts(LABELLED, TRANSFER, (targets(20, 100),))
