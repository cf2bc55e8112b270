"""Figures by the batch: the same as one by one, whatever a batch goes through."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as OneByOne

from kuaixun.export import Predictions
from kuaixun.worker.observability.figures import Figures
from kuaixun.worker.observability.histogram import Histogram
from kuaixun.worker.observability.label_mix import LEAST_HEADLINES, LabelMix, population_stability_index
from kuaixun.worker.observability.watched import KEPT_TALLIES, ModelFigures
from kuaixun.worker.outcomes import TOMBSTONE
from kuaixun.worker.records import Record
from kuaixun.worker.witness import Handled, Parts
from tests.worker.fake_classifier import LABELS, FakeClassifier, expected_label
from tests.worker.test_loop import Clock

BOUNDS = (0.1, 0.5, 1.0)


def test_a_histogram_by_the_batch_is_the_same_as_prometheus_own_one_by_one() -> None:
    values = np.array([0.0, 0.1, 0.10001, 0.5, 0.7, 1.0, 1.1, 50.0])
    registry = CollectorRegistry()
    theirs, ours = OneByOne("h", "h", buckets=BOUNDS, registry=registry), Histogram(BOUNDS)
    for value in values:
        theirs.observe(value)
    ours.add(values[:5])
    for value in values[5:].tolist():
        ours.add_one(value)
    assert ours.cumulative() == [
        (le, registry.get_sample_value("h_bucket", {"le": le})) for le in ("0.1", "0.5", "1.0", "+Inf")
    ]
    assert ours.sum == pytest.approx(registry.get_sample_value("h_sum"))


def test_of_a_large_batch_a_few_stand_for_all_and_their_number_is_exact() -> None:
    values = np.random.default_rng(1).random(4099)
    histogram = Histogram((0.25, 0.5, 0.75))
    histogram.add(values)
    below = dict(histogram.cumulative())
    assert below["+Inf"] == 4099
    for bound in ("0.25", "0.5", "0.75"):
        assert below[bound] == round(below[bound])
        assert below[bound] / 4099 == pytest.approx(float(bound), abs=0.1)
    assert histogram.sum == pytest.approx(values.sum(), rel=0.1)
    histogram.add(np.array([]))
    histogram.add(np.array([1.0]), 0)
    assert dict(histogram.cumulative()) == below


def test_the_index_is_nothing_for_the_same_mix_and_known_for_a_known_one() -> None:
    half = np.array([5000.0, 5000.0])
    assert population_stability_index(half, half * 3) == pytest.approx(0, abs=1e-6)
    # (0.3 - 0.5) ln(0.3 / 0.5) + (0.7 - 0.5) ln(0.7 / 0.5)
    assert population_stability_index(half, np.array([3000.0, 7000.0])) == pytest.approx(0.16946, abs=1e-4)
    assert population_stability_index(half, np.array([0.0, 10_000.0])) < 10, "a label that never comes is no infinity"


def test_drift_is_of_the_last_headlines_and_silent_about_few() -> None:
    mix = LabelMix(("a", "b"), {"a": 100, "b": 100})
    mix.add(np.array([LEAST_HEADLINES // 2 - 1, LEAST_HEADLINES // 2]))
    assert mix.drift is None
    for _ in range(100):
        mix.add(np.array([500, 500]))
    assert mix.drift is not None
    assert mix.drift < 0.001
    for _ in range(100):
        mix.add(np.array([900, 100]))
    assert mix.drift > 0.5, "what came before is forgotten"


def test_a_bundle_that_does_not_tell_its_training_labels_has_no_drift() -> None:
    mix = LabelMix(("a", "b"), None)
    mix.add(np.array([50_000, 1]))
    assert mix.drift is None
    assert mix.training_shares == {}


def test_labels_confidences_and_abstentions_are_counted_as_the_model_says_them() -> None:
    figures = ModelFigures(confidence_threshold=0.8)
    model = figures.take_up(FakeClassifier())
    titles = ["一", "二", "三", " "]
    model.classify(titles)
    model.classify(titles[:1])
    given = [*map(expected_label, ["一", "二", "三", "一"])]
    assert figures.by_label() == {label: given.count(label) for label in LABELS}
    assert figures.confidences.cumulative()[-1] == ("+Inf", 4.0), "a title without a label has no confidence"
    assert figures.abstentions == 4


def test_labels_of_a_model_before_go_on_counting_under_their_names() -> None:
    figures = ModelFigures(0.0)
    figures.take_up(FakeClassifier()).classify(["一"])
    other = FakeClassifier(model_id="e" * 64)
    other.labels = (*reversed(LABELS), "新")
    figures.take_up(other).classify(["二"])
    assert sum(figures.by_label().values()) == 2
    assert figures.by_label()["新"] == 0
    assert figures.now.model_id == "e" * 64


def test_a_batch_begun_under_the_model_before_counts_by_its_labels() -> None:
    figures = ModelFigures(0.0)
    before = figures.take_up(FakeClassifier())
    other = FakeClassifier(model_id="e" * 64)
    other.labels = ("新", *reversed(LABELS[1:]))
    figures.take_up(other)
    before.classify(["一"])
    assert figures.by_label() == {label: int(label == expected_label("一")) for label in (*LABELS, "新")}
    assert figures.now.mix.drift is None


def test_what_was_said_is_kept_however_many_models_come() -> None:
    figures = ModelFigures(0.0)
    for _ in range(3 * KEPT_TALLIES):
        figures.take_up(FakeClassifier()).classify(["一"])
    assert figures.by_label()[expected_label("一")] == 3 * KEPT_TALLIES


def test_a_watched_model_says_what_the_model_says() -> None:
    model = FakeClassifier()
    watched = ModelFigures(0.0).take_up(model)
    assert (watched.labels, watched.model_id) == (model.labels, model.model_id)
    ours, theirs = watched.classify(["一", "二"]), model.classify(["一", "二"])
    assert isinstance(ours, Predictions)
    assert ours.label_ids.tolist() == theirs.label_ids.tolist()
    with pytest.raises(ValueError, match="no word"):
        watched.classify(["毒"])


def record(offset: int, timestamp_ms: int | None) -> Record:
    return Record("news", 0, offset, None, b"", timestamp_ms=timestamp_ms)


def test_latency_is_from_the_records_timestamp_to_its_confirmation() -> None:
    figures = Figures(0.0, wall=lambda: 100.0)
    figures.confirmed([record(0, 99_900), record(1, None), record(2, 95_000), record(3, 101_000)])
    assert figures.end_to_end.cumulative()[-1] == ("+Inf", 3.0), "one without a timestamp has no latency"
    assert figures.end_to_end.sum == pytest.approx(0.1 + 5.0), "one from a clock ahead took no time"
    figures.confirmed([record(4, None)])
    assert figures.end_to_end.cumulative()[-1] == ("+Inf", 3.0)


def test_stages_are_timed_and_what_was_undone_is_not_confirmed() -> None:
    clock = Clock(0.0)
    figures = Figures(0.0, monotonic=clock)
    undone, done = [record(0, None)], [record(0, None)]
    figures.handled(Handled(undone, [TOMBSTONE], 0.0, 1.0, 3.0, 6.0))
    figures.handled(Handled(done, [TOMBSTONE], 10.0, 11.0, 13.0, 16.0))
    clock.now = 20.0
    figures.confirmed(done)
    assert {stage: times.sum for stage, times in figures.stages.items()} == {
        "read": 2.0,
        "label": 4.0,
        "send": 6.0,
        "confirm": 4.0,
    }
    figures.confirmed(undone)
    assert figures.stages["confirm"].sum == 4.0
    assert figures.batch_records.cumulative()[0] == ("1.0", 2.0)


def test_it_counts_as_blocked_from_when_a_batch_was_sent_though_the_turn_ends_unblocked() -> None:
    clock = Clock(0.0)
    figures = Figures(0.0, monotonic=clock)
    delivery = SimpleNamespace(blocked=True)
    figures.begin(cast(Parts, SimpleNamespace(delivery=delivery, source=SimpleNamespace(lags=dict))))
    figures.handled(Handled([record(0, None)], [TOMBSTONE], 0.0, 1.0, 2.0, 3.0))
    clock.now, delivery.blocked = 5.0, False
    figures.turned()
    assert figures.blocked_seconds == 2.0
    clock.now = 6.0
    figures.handled(Handled([record(1, None)], [TOMBSTONE], 5.0, 5.0, 5.0, 6.0))
    figures.turned()
    assert figures.blocked_seconds == 2.0


def test_what_is_rare_in_large_batches_is_met_as_often_as_it_is() -> None:
    figures = Figures(0.0, wall=lambda: 100.0)
    batches, slow = 50, 40
    for batch in range(batches):
        first = 5 * batch % 16  # they come in a run, or in step with whatever looks at every 16th
        late = {first + 16 * number for number in range(slow)} if batch % 2 else set(range(first, first + slow))
        figures.confirmed([record(n, 95_000 if n in late else 99_990) for n in range(4096)])
    counts = figures.end_to_end.counts()
    assert counts.sum() == batches * 4096
    within = int(figures.end_to_end.bounds.searchsorted(1.0))
    assert counts[within + 1 :].sum() == pytest.approx(batches * slow, rel=0.25)
