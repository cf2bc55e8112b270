"""A worker is seen from outside as it is: at work, without brokers, with a bad bundle, stopped by dead letters."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kuaixun.export import Predictions
from kuaixun.export.bundle.reader import default_bundle_path
from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker.errors import DeadLetterLimitError, SettingError
from kuaixun.worker.kafka.embedded_broker import EmbeddedBroker
from kuaixun.worker.observability import metric_names as names
from kuaixun.worker.observability.figures import Figures
from kuaixun.worker.observability.observatory import Observatory
from kuaixun.worker.observability.watched import Tally
from kuaixun.worker.observability.watching import watched
from kuaixun.worker.outcomes import TOMBSTONE
from kuaixun.worker.settings import WorkerSettings, read_settings
from kuaixun.worker.stop import Stop
from kuaixun.worker.witness import Handled
from tests.worker.bundles import damaged_bundle, renamed_bundle, turn
from tests.worker.fake_classifier import LABELS, FakeClassifier
from tests.worker.observability.asked import ask, samples, value
from tests.worker.running import RunningWorker, running_worker
from tests.worker.test_contract import many, process, record
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

NEVER_SECONDS = 3600.0


class Seen:
    """A worker's observatory, looked at without a server."""

    observatory: Observatory

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings

    def witness(self, stop: Stop) -> Observatory:
        self.observatory = Observatory(self._settings, stop, NEVER_SECONDS)
        return self.observatory

    def page(self) -> str:
        return self.observatory.exposition("")[0].decode()

    def until(self, is_so: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so(page := self.page()):
            assert time.monotonic() < deadline, page
            time.sleep(0.05)
        return page


def test_what_is_shown_is_what_has_become_of_the_records(topics: Topics) -> None:
    settings = topics.settings(confidence_threshold=0.9)
    seen = Seen(settings)
    topics.write([*many(60), record(0, None), record(1, b"{"), record(1, b"\xff")])
    with running_worker(settings, witness=seen.witness):
        page = seen.until(lambda page: names.LAG.name + "{" in page and 'outcome="labelled"} 60.0' in page)
        page = seen.until(lambda page: value(page, names.OUTCOMES.name, outcome="dead_letter") == 2)
        page = seen.until(lambda page: samples(page).get((f"{names.END_TO_END.name}_count", frozenset())) == 63)
        assert seen.observatory.health.ready().yes
        seen.until(lambda page: all(lag == 0 for (name, _), lag in samples(page).items() if name == names.LAG.name))
    assert value(page, names.CONSUMED.name) >= 63
    assert value(page, names.OUTCOMES.name, outcome="tombstone") == 1
    for reason in DeadLetterReason:
        is_one = reason in (DeadLetterReason.INVALID_JSON, DeadLetterReason.INVALID_UTF8)
        assert value(page, names.DEAD_LETTERS.name, reason=reason.value) == is_one
    assert sum(value(page, names.LABELS.name, label=label) for label in LABELS) >= 60
    assert value(page, names.ABSTENTIONS.name) >= 60, "the fake says 0.7 of everything"
    assert value(page, f"{names.CONFIDENCE.name}_count") >= 60
    assert value(page, f"{names.BATCH_RECORDS.name}_sum") == value(page, names.CONSUMED.name)
    assert value(page, f"{names.STAGE.name}_count", stage="confirm") >= 1
    assert value(page, names.MODEL.name, model="f" * 64, engine="FakeClassifier") == 1
    assert value(page, names.PARTITIONS.name) == PARTITIONS
    assert value(page, names.REBALANCES.name, event="assigned") >= 1
    assert value(page, names.OUTAGE_SECONDS.name) == 0
    assert not seen.observatory.health.ready().yes, "it has left"
    shown = set(re.findall(r"^# TYPE (kuaixun_\w+) (\w+)$", page, re.MULTILINE))
    assert shown == {(metric.name, metric.kind.value) for metric in names.METRICS}, "all of the list, and no other"


def test_a_lag_is_what_has_not_been_read(embedded_bootstrap: str) -> None:
    topics = Topics.create(embedded_bootstrap, real=False)
    settings = topics.settings(max_batch=1, max_in_flight=1)
    seen = Seen(settings)
    topics.write(many(40))
    held = HeldModel()
    with running_worker(settings, classifier=held, witness=seen.witness):
        page = seen.until(
            lambda page: any(lag > 0 for (name, _), lag in samples(page).items() if name == names.LAG.name)
        )
        held.released = True
        seen.until(lambda page: value(page, names.OUTCOMES.name, outcome="labelled") == 40)
        seen.until(lambda page: all(lag == 0 for (name, _), lag in samples(page).items() if name == names.LAG.name))
    lags = {labels: lag for (name, labels), lag in samples(page).items() if name == names.LAG.name}
    assert sum(lags.values()) <= 40
    assert {dict(labels)["topic"] for labels in lags} == {topics.input}


class HeldModel(FakeClassifier):
    """Takes a second for each batch until it is released."""

    released = False

    def classify(self, texts: Sequence[str]) -> Predictions:
        until = time.monotonic() + 1.0
        while not self.released and time.monotonic() < until:
            time.sleep(0.01)
        return super().classify(texts)


def test_brokers_that_are_away_are_seen_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with EmbeddedBroker() as broker:
        topics = Topics.create(broker.bootstrap, real=False)
        settings = topics.settings(shutdown_budget_seconds=2)
        seen = Seen(settings)
        worker = RunningWorker(settings, witness=seen.witness)
        seen.until(lambda page: "kuaixun_ready 1.0" in page)
        assert value(seen.page(), names.OUTAGE_SECONDS.name) == 0
    seen.until(lambda page: value(page, names.OUTAGE_SECONDS.name) > 0)
    assert "trouble with Kafka" in caplog.text
    worker.stop.request()
    worker.wait()


def test_a_bundle_that_is_refused_is_seen_until_one_serves(
    embedded_bootstrap: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    topics, link = Topics.create(embedded_bootstrap, real=False), tmp_path / "current"
    damaged_bundle(tmp_path / "damaged")
    model_id = renamed_bundle(tmp_path / "other", [*"零一二三四五六七八九"])
    turn(link, default_bundle_path())
    settings = topics.settings(bundle=link, engine="native", changed_labels_allowed=True)
    seen = Seen(settings)
    with running_worker(settings, witness=seen.witness):
        page = seen.until(lambda page: "kuaixun_ready 1.0" in page)
        assert value(page, names.BUNDLE_REFUSED.name) == 0
        assert 'engine="native' in page
        turn(link, tmp_path / "damaged")
        page = seen.until(lambda page: value(page, names.BUNDLE_REFUSED.name) == 1)
        assert value(page, names.RELOADS.name, result="refused") == 1
        turn(link, tmp_path / "other")
        page = seen.until(lambda page: f'model="{model_id}"' in page)
        assert value(page, names.BUNDLE_REFUSED.name) == 0
        assert value(page, names.RELOADS.name, result="taken_up") == 1
        assert value(page, names.LABELS.name, label="零") == 0
    (line,) = [line for line in caplog.records if line.getMessage().startswith("bundle refused")]
    assert vars(line)["bundle"] == str(tmp_path / "damaged")


def test_dead_letters_near_their_limit_and_beyond_it_are_seen(embedded_bootstrap: str) -> None:
    topics = Topics.create(embedded_bootstrap, real=False)
    settings = topics.settings(dead_letters_in_a_row=20)
    seen = Seen(settings)
    topics.write([record(0, b"{")] * 10)
    worker = RunningWorker(settings, witness=seen.witness)
    page = seen.until(lambda page: samples(page).get((names.DEAD_LETTERS_IN_A_ROW.name, frozenset())) == 10)
    assert value(page, names.DEAD_LETTERS_IN_A_ROW_LIMIT.name) == 20
    assert value(page, names.DEAD_LETTER_RATIO.name) == 1
    assert value(page, names.DEAD_LETTER_LIMIT_NEAR.name) == 0
    topics.write([record(0, b"{")] * 7)
    seen.until(lambda page: value(page, names.DEAD_LETTER_LIMIT_NEAR.name) == 1)
    assert value(page, names.DEAD_LETTER_LIMIT_REACHED.name) == 0
    topics.write([record(0, b"{")] * 3)
    worker.wait()
    assert isinstance(worker.error, DeadLetterLimitError)
    assert value(seen.page(), names.DEAD_LETTER_LIMIT_REACHED.name) == 1


def outage_at(url: str) -> float:
    return value(ask(f"{url}/metrics").body, names.OUTAGE_SECONDS.name)


def test_brokers_that_are_away_are_seen_while_the_worker_starts() -> None:
    topics = Topics("127.0.0.1:1", "in", "out", "dead", "group", session_ms=6000)
    with process(topics, "--health-address", "0", "--connect-seconds", "60", module="kuaixun.worker.cli") as worker:
        assert worker.stderr is not None
        url = json.loads(worker.stderr.readline())["url"]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (
            not (away := value(ask(f"{url}/metrics").body, names.OUTAGE_SECONDS.name)) and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        assert away > 0
        assert [one["kind"] for one in json.loads(ask(f"{url}/state.json").body)["troubles"]] == ["brokersAway"]
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == 0


def test_a_worker_that_dead_letters_end_is_seen_at_its_limit_until_it_is_told_to_leave(embedded_bootstrap: str) -> None:
    topics = Topics.create(embedded_bootstrap, real=False)
    topics.write([record(0, b"{")] * 20)
    flags = ("--health-address", "0", "--dead-letters-in-a-row", "20")
    with process(topics, *flags, module="kuaixun.worker.cli") as worker:
        assert worker.stderr is not None
        lines = [json.loads(worker.stderr.readline())]
        while not lines[-1]["message"].startswith("too many dead letters"):
            lines.append(json.loads(worker.stderr.readline()))
        page = ask(f"{lines[0]['url']}/metrics").body
        assert value(page, names.DEAD_LETTER_LIMIT_REACHED.name) == 1
        assert ask(f"{lines[0]['url']}/ready").status == 503
        assert [one["kind"] for one in json.loads(ask(f"{lines[0]['url']}/state.json").body)["troubles"]] == [
            "limitReached"
        ]
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == DeadLetterLimitError.exit_code
    assert "Too many dead letters" in said


def test_the_command_answers_on_its_port_and_says_where_as_lines_of_json(embedded_bootstrap: str) -> None:
    topics = Topics.create(embedded_bootstrap, real=False)
    with process(topics, "--health-address", "0", module="kuaixun.worker.cli") as worker:
        assert worker.stderr is not None
        lines = [json.loads(worker.stderr.readline())]
        url = lines[0]["url"]
        assert ask(f"{url}/live").status == 200
        while "assigned" not in lines[-1]["message"]:
            lines.append(json.loads(worker.stderr.readline()))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := ask(f"{url}/ready")).status != 200 and time.monotonic() < deadline:
            assert answer.status == 503
            assert not json.loads(answer.body)["ok"]
        assert ask(f"{url}/startup").body == '{"ok":true,"why":"started"}\n'
        metrics = ask(f"{url}/metrics", accept="application/openmetrics-text; version=1.0.0")
        assert metrics.headers["content-type"].startswith("application/openmetrics-text")
        assert metrics.body.endswith("# EOF\n")
        assert ask(f"{url}/metrics").headers["content-type"].startswith("text/plain; version=")
        worker.send_signal(signal.SIGTERM)
        _, rest = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == 0
    lines += map(json.loads, rest.splitlines())
    assert {"timestamp", "level", "logger", "message"} <= set.intersection(*map(set, lines))
    (assigned,) = [line for line in lines if line["message"].startswith("assigned")]
    assert assigned["partitions"] == ", ".join(f"{topics.input}[{number}]" for number in range(PARTITIONS))
    (counted,) = [line for line in lines if line["message"].startswith("consumed")]
    assert (counted["consumed"], counted["labelled"], counted["dead_lettered"]) == (0, 0, {})


def test_a_figure_that_goes_wrong_stops_nothing_and_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    for method in ("handled", "confirmed", "turned"):
        monkeypatch.setattr(Figures, method, fail)
    monkeypatch.setattr(Tally, "add", fail)
    observatory = Observatory(read_settings({}), Stop(1.0), NEVER_SECONDS)
    records = many(2)
    assert observatory.take_up(FakeClassifier()).classify(["一"]).confidences.tolist() == [0.7]
    observatory.handled(Handled(records, [TOMBSTONE] * 2, 0.0, 0.0, 0.0, 0.0))
    observatory.confirmed(records, [TOMBSTONE] * 2)
    observatory.turned(True)
    assert observatory.health.ready().yes
    assert caplog.text.count("wrong from here on") == 1


def test_nothing_is_watched_where_nobody_asks_for_it() -> None:
    with watched(read_settings({}), Stop(1.0), 60.0) as witness:
        assert witness is None


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(SettingError, match="KUAIXUN_HEALTH_ADDRESS or --health-address"):
        read_settings({"health_address": "here"})
