"""Every metric that a worker shows: this list is the whole of it, and docs/metrics.md is made of it.

    python -m kuaixun.worker.observability.metric_names > docs/metrics.md

A name follows Prometheus: the unit in its end, `_total` behind a counter. The values of every label are few and known
beforehand: classes of the model, reasons, partitions of the input, and nothing that a headline could bring along.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What Prometheus calls a metric's type."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `bounds` are the upper ends of a histogram's buckets, without the last, which has none."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """One that an operator asks, and the metrics that answer it."""

    title: str
    metrics: tuple[Metric, ...]


def _counter(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, meaning, labels)


def _gauge(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, meaning, labels)


def _histogram(name: str, meaning: str, bounds: tuple[float, ...], *labels: str) -> Metric:
    return Metric(name, Kind.HISTOGRAM, meaning, labels, bounds)


# Powers of four: from one headline to the largest batch that a worker is usually given.
_RECORD_BOUNDS: Final = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0)
# From a tenth of a millisecond, which a small batch takes, to the longest a turn is meant to last.
_STAGE_BOUNDS: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    5.0,
    30.0,
)
# From light load, where a headline waits for no other, to a backlog of a day.
_LATENCY_BOUNDS: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    3600.0,
    86400.0,
)
_CONFIDENCE_BOUNDS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)

CONSUMED: Final = _counter(
    "kuaixun_consumed_records_total",
    "Records read from the input topic; again what is read again, as after a transaction that was undone.",
)
OUTCOMES: Final = _counter(
    "kuaixun_outcomes_total",
    "Records by what became of them: labelled, dead_letter or tombstone. Counted once the brokers have confirmed it "
    "(exactly-once: committed).",
    "outcome",
)
DEAD_LETTERS: Final = _counter(
    "kuaixun_dead_letters_total", "Confirmed dead letters by reason; docs/journey.md says what each means.", "reason"
)
BATCH_RECORDS: Final = _histogram("kuaixun_batch_records", "Records of a batch.", _RECORD_BOUNDS)

STAGE: Final = _histogram(
    "kuaixun_stage_seconds",
    "How long a batch spent in each stage: read (waiting for its first record included), label (decode, classify and "
    "encode), send (into the producer's queue), confirm (from there until every outcome is confirmed, or committed).",
    _STAGE_BOUNDS,
    "stage",
)
END_TO_END: Final = _histogram(
    "kuaixun_end_to_end_seconds",
    "From a record's timestamp to the confirmation of its outcome; records without a timestamp are left out. Of a "
    "large batch some stand for all.",
    _LATENCY_BOUNDS,
)
BLOCKED_SECONDS: Final = _counter(
    "kuaixun_blocked_seconds_total",
    "Time in which nothing was read because the brokers had to take something first.",
)

LAG: Final = _gauge(
    "kuaixun_lag_records",
    "Records of a partition that this worker holds and has not read yet, as far as its client has heard.",
    "topic",
    "partition",
)
PARTITIONS: Final = _gauge("kuaixun_assigned_partitions", "Input partitions that the group has given this worker.")
REBALANCES: Final = _counter(
    "kuaixun_rebalances_total",
    "Changes of this worker's share: assigned, revoked (given up in order) or lost (another member has it already).",
    "event",
)
OUTAGE_SECONDS: Final = _gauge(
    "kuaixun_broker_outage_seconds",
    "How long the brokers have been away by now, 0 while they answer. Past KUAIXUN_OUTAGE_SECONDS the worker leaves.",
)

MODEL: Final = _gauge(
    "kuaixun_model_info", "1 for the model that labels now: its id and the engine that computes it.", "model", "engine"
)
RELOADS: Final = _counter(
    "kuaixun_reloads_total", "Bundles met while running by result: taken_up or refused.", "result"
)
BUNDLE_REFUSED: Final = _gauge(
    "kuaixun_bundle_refused", "1 while the bundle that was named last is refused, and the one before it serves on."
)
LABELS: Final = _counter(
    "kuaixun_labels_total",
    "Headlines by the label that the model gave them. Counted when they are labelled, so again what is read again.",
    "label",
)
CONFIDENCE: Final = _histogram(
    "kuaixun_confidence", "Confidence of the labels given. Of a large batch some stand for all.", _CONFIDENCE_BOUNDS
)
ABSTENTIONS: Final = _counter(
    "kuaixun_abstentions_total", "Labels given with a confidence under KUAIXUN_CONFIDENCE_THRESHOLD."
)
DRIFT: Final = _gauge(
    "kuaixun_label_drift_psi",
    "Population stability index of the labels of about the last 10,000 headlines against those of the training data. "
    "By custom below 0.1 is no drift and above 0.25 is much. Absent until 1,000 headlines are labelled, and for a "
    "bundle that does not tell its training labels.",
)
TRAINING_SHARE: Final = _gauge(
    "kuaixun_training_label_share", "Share of a label in the data that the serving model was trained on.", "label"
)

DEAD_LETTERS_IN_A_ROW: Final = _gauge(
    "kuaixun_dead_letters_in_a_row",
    "Dead letters at the end of the last confirmed batch without another outcome between.",
)
DEAD_LETTERS_IN_A_ROW_LIMIT: Final = _gauge(
    "kuaixun_dead_letters_in_a_row_limit", "KUAIXUN_DEAD_LETTERS_IN_A_ROW: so many stop the worker. 0 for no limit."
)
DEAD_LETTER_RATIO: Final = _gauge(
    "kuaixun_dead_letter_ratio", "Share of dead letters in the window of KUAIXUN_DEAD_LETTER_WINDOW records."
)
DEAD_LETTER_RATIO_LIMIT: Final = _gauge(
    "kuaixun_dead_letter_ratio_limit", "KUAIXUN_DEAD_LETTER_RATIO: a larger share of a full window stops the worker."
)
DEAD_LETTER_LIMIT_NEAR: Final = _gauge(
    "kuaixun_dead_letter_limit_near",
    "1 while a full window, or the dead letters in a row, are within a fifth of the limit that stops the worker.",
)
DEAD_LETTER_LIMIT_REACHED: Final = _gauge(
    "kuaixun_dead_letter_limit_reached",
    "1 once a limit was passed: the worker finishes what is in flight and ends with exit code 14.",
)

BUILD: Final = _gauge("kuaixun_build_info", "1: this worker's version and its Kafka client's.", "version", "librdkafka")
READY: Final = _gauge("kuaixun_ready", "1 while /ready says so, else 0.")
SINCE_TURN: Final = _gauge("kuaixun_loop_turn_age_seconds", "How long ago the loop turned last; /live has its limit.")

QUESTIONS: Final = (
    Question("What passes through", (CONSUMED, OUTCOMES, DEAD_LETTERS, BATCH_RECORDS)),
    Question("How long it takes", (STAGE, END_TO_END, BLOCKED_SECONDS)),
    Question("The group and the brokers", (LAG, PARTITIONS, REBALANCES, OUTAGE_SECONDS)),
    Question("The model", (MODEL, RELOADS, BUNDLE_REFUSED, LABELS, CONFIDENCE, ABSTENTIONS, DRIFT, TRAINING_SHARE)),
    Question(
        "Too many dead letters",
        (
            DEAD_LETTERS_IN_A_ROW,
            DEAD_LETTERS_IN_A_ROW_LIMIT,
            DEAD_LETTER_RATIO,
            DEAD_LETTER_RATIO_LIMIT,
            DEAD_LETTER_LIMIT_NEAR,
            DEAD_LETTER_LIMIT_REACHED,
        ),
    ),
    Question("The process", (BUILD, READY, SINCE_TURN)),
)
METRICS: Final = tuple(metric for question in QUESTIONS for metric in question.metrics)

_INTRODUCTION: Final = """\
# Metrics

With `--health-address 9464` a worker shows its metrics to Prometheus at `http://127.0.0.1:9464/metrics`, as
[operating](operating.md#health-and-metrics) says. They are about this one process: what concerns the whole group is a
sum over its workers. Counters begin at 0 with each start.

No label takes values from headlines, so the number of series is known: the classes of the model, the reasons for dead
letters, and the partitions that the worker holds.

This page is made from `worker/observability/metric_names.py` by
`python -m kuaixun.worker.observability.metric_names > docs/metrics.md`.
"""
_ENDING: Final = """
Besides these there are the usual `process_…` (memory, processor time, open files, start) and `python_…` of the
Prometheus client.
"""


def page() -> str:
    """docs/metrics.md as Markdown."""
    return "".join(_lines())


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    for question in QUESTIONS:
        yield f"\n## {question.title}\n\n| name | type | labels | meaning |\n|---|---|---|---|\n"
        for metric in question.metrics:
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |\n"
    yield _ENDING


if __name__ == "__main__":
    print(page(), end="")
