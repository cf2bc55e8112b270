"""The peers that the worker is measured against label, and label right; their environments say what they lack."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from kuaixun.export import open_classifier
from kuaixun.export.bundle.reader import default_bundle_path
from kuaixun.schemas.events import LabelledNews, Origin
from kuaixun.worker import cli
from kuaixun.worker.demo.headlines import own_headlines, read_headlines
from kuaixun.worker.records import Record
from tests.benchmarks.peers import collector, environments
from tests.benchmarks.peers.environments import PEERS, PeerUnavailableError, python_of, script_of, versions_of
from tests.benchmarks.peers.options import ENGINES
from tests.benchmarks.peers.student import labelled, now, open_student
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

BUNDLE = default_bundle_path()
TITLES = list(
    dict.fromkeys(str(one.event["title"]) for one in read_headlines(own_headlines()) if one.event is not None)
)[:40]
REFERENCE = {"native": "native", "traced": "torchscript-convolutional"}
SCORE_TOLERANCE = 1e-3

needs_peers = pytest.mark.skipif(
    "KUAIXUN_TEST_PEERS" not in os.environ, reason="fetches the peers, half a gigabyte: set KUAIXUN_TEST_PEERS=1 for it"
)


def check(events: list[LabelledNews], engine: str) -> None:
    """The events of TITLES, in order, say what the engine says."""
    classifier = open_classifier(BUNDLE, engine=REFERENCE[engine], threads=1)
    expected = classifier.classify(TITLES)
    assert [event.title for event in events] == TITLES
    assert [event.label for event in events] == [classifier.labels[index] for index in expected.label_ids]
    assert [event.confidence for event in events] == pytest.approx(expected.confidences.tolist(), abs=SCORE_TOLERANCE)
    assert {event.model for event in events} == {classifier.model_id}
    for event, scores in zip(events, expected.scores, strict=True):
        top = sorted(scores.tolist(), reverse=True)[: len(event.scores)]
        assert next(iter(event.scores)) == event.label
        assert [*event.scores.values()] == pytest.approx(top, abs=SCORE_TOLERANCE)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_student_that_peers_ask_says_what_the_engine_says(engine: str) -> None:
    student = open_student(BUNDLE, engine)
    step = 1 if engine == "traced" else len(TITLES)
    verdicts = [verdict for start in range(0, len(TITLES), step) for verdict in student.verdicts(TITLES[start:][:step])]
    events = [
        labelled({"id": "n", "title": title, "body": "…"}, verdict, student.model_id, ("t", 0, 0), (now(), now()))
        for title, verdict in zip(TITLES, verdicts, strict=True)
    ]
    assert not any("body" in event for event in events)
    check([msgspec.convert(event, LabelledNews) for event in events], engine)


def test_peers_collect_garbage_as_seldom_as_the_worker() -> None:
    assert collector.OBJECTS_PER_COLLECTION == cli.OBJECTS_PER_COLLECTION


@needs_peers
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PEERS)
def test_a_peer_labels_each_headline_once_and_right(
    name: str, engine: str, kafka_bootstrap: str, tmp_path: Path
) -> None:
    topics = Topics.create(kafka_bootstrap, real=True)
    values = [msgspec.json.encode({"id": f"n{number}", "title": title}) for number, title in enumerate(TITLES)]
    topics.write(
        [
            Record(topics.input, number % PARTITIONS, 0, b"%d" % number, value, (), None)
            for number, value in enumerate(values)
        ]
    )
    command = [
        *(str(python_of(name)), str(script_of(name)), "--bootstrap", kafka_bootstrap, "--input", topics.input),
        *("--output", topics.output, "--group", topics.group, "--bundle", str(BUNDLE), "--engine", engine),
    ]
    log = tmp_path / "log"
    with log.open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said, cwd=tmp_path) as peer:
        try:
            messages = topics.read(topics.output, len(TITLES))
        finally:
            peer.send_signal(signal.SIGTERM)
            try:
                peer.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                peer.kill()
            print(log.read_text("utf-8"))
    assert peer.returncode in {0, -signal.SIGTERM}
    assert len(messages) == len(TITLES)
    by_key = {message.key(): msgspec.json.decode(message.value() or b"", type=LabelledNews) for message in messages}
    events = [by_key[b"%d" % number] for number in range(len(TITLES))]
    check(events, engine)
    assert [event.id for event in events] == [f"n{number}" for number in range(len(TITLES))]
    assert [event.origin for event in events] == [
        Origin(topic=topics.input, partition=number % PARTITIONS, offset=number // PARTITIONS)
        for number in range(len(TITLES))
    ]


def test_a_peer_that_cannot_be_installed_says_what_pip_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("# of nowhere\nno-such-package==1.0\n", encoding="utf-8")
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / "peers")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(environments, "PINNED_FOR", sys.version_info[:2])
    with pytest.raises(PeerUnavailableError, match=r"(?s)plain cannot be installed.*no-such-package==1\.0"):
        python_of("plain")


def test_another_python_than_the_pinned_one_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "PINNED_FOR", (3, 2))
    with pytest.raises(PeerUnavailableError, match=r"pinned for Python 3\.2"):
        python_of("plain")


@pytest.mark.parametrize("name", PEERS)
def test_every_package_of_a_peer_is_pinned(name: str) -> None:
    assert all(version[0].isdigit() for version in versions_of(name).values())
    assert versions_of(name)
