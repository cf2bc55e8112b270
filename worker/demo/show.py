"""The demo itself: a broker, the worker as it always runs, and an audience that sends headlines and reads them back.

The worker runs in a thread of its own and knows nothing of the demo; all three meet over TCP, on the broker alone.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import msgspec
from pydantic import SecretStr
from rich.console import Console

from kuaixun.export import Classifier
from kuaixun.worker.addresses import host_and_port
from kuaixun.worker.demo.arrivals import read_arrival
from kuaixun.worker.demo.headlines import Headline, own_headlines, read_headlines
from kuaixun.worker.demo.ledger import Ledger
from kuaixun.worker.demo.plain import PlainScreen
from kuaixun.worker.demo.screen import Screen, Stage
from kuaixun.worker.demo.summary import summarise, summary_lines
from kuaixun.worker.demo.terminal import TerminalScreen
from kuaixun.worker.demo.worker_thread import WorkerThread
from kuaixun.worker.errors import SettingError, WorkerError
from kuaixun.worker.kafka.client_log import CLIENT_LOG
from kuaixun.worker.kafka.embedded_broker import EmbeddedBroker
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.kafka.source import KafkaSource
from kuaixun.worker.messages import Outgoing
from kuaixun.worker.observability.server import HttpServer
from kuaixun.worker.opening import open_settings_classifier
from kuaixun.worker.records import Partition
from kuaixun.worker.settings import WorkerSettings, read_settings
from kuaixun.worker.stop import Stop, stop_on_signals
from kuaixun.worker.streams import TooLargeError

DEFAULT_COUNT = 1200
SECONDS_ON_A_TERMINAL = 15.0
PAGE_ADDRESS = "127.0.0.1:0"  # a free port, unless the settings name one
# What may be under way at once: far less than the embedded broker keeps of a partition before it forgets the oldest.
WINDOW_RECORDS = 2000
WINDOW_BYTES = 1_000_000
PATIENCE_SECONDS = 30.0
END_SECONDS = 10.0
END_KEY = b"end of the demo"
READ_AT_ONCE = 1000
READ_DELAY_SECONDS = 0.005
READ_IDLE_SECONDS = 0.02

OF_THE_CLUSTER = (
    *("input_topic", "output_topic", "dead_letter_topic", "group_id", "auto_offset_reset", "partitioning"),
    *("group_protocol", "delivery", "transactional_id", "transaction_interval_ms", "transaction_timeout_seconds"),
    *("kafka", "consumer", "producer"),
)
# Whoever brings headlines of their own may bring what they like.
WITHOUT_LIMITS = {"dead_letters_in_a_row": 0, "dead_letter_ratio": 1.0}
# The embedded broker, unlike Kafka, answers a waiting fetch only when its time is over.
CONSUMER_PROPERTIES = {"fetch.wait.max.ms": SecretStr("50")}


def run_demo(*, headlines: Path | None = None, count: int | None = None, seconds: float | None = None) -> int:
    """Show `count` headlines of a file, or of this project's own. Blocks until all are back; 0 where none was lost.

    They are sent over so many `seconds`; by default over a few on a terminal, and at once elsewhere.

    Ctrl-C ends it early: what was sent is still awaited and accounted for. Raises WorkerErrors.
    """
    if count is not None and count < 1:
        raise SettingError(f"--count must be at least 1, but is {count}.")
    if seconds is not None and not 0 < seconds < float("inf"):
        raise SettingError(f"--seconds must be above 0, but is {seconds}.")
    lines = read_headlines(headlines or own_headlines())
    rounds = max(1.0, (seconds or 0.0) / SECONDS_ON_A_TERMINAL)
    planned = count or (int(DEFAULT_COUNT * rounds) if headlines is None else len(lines))
    if seconds is None and sys.stdout.isatty():
        seconds = SECONDS_ON_A_TERMINAL
    settings = read_settings({})
    classifier = open_settings_classifier(settings)
    # The broker lives and dies with this process: its clients' farewells are no news.
    CLIENT_LOG.setLevel(logging.CRITICAL)
    stop = Stop(settings.shutdown_budget_seconds)
    with stop_on_signals(stop), EmbeddedBroker() as broker:
        on_the_broker = _on_the_embedded_broker(settings, broker.bootstrap)
        return Show(on_the_broker, classifier, lines, planned, stop, seconds, by_user=headlines is not None).play()


class Show:
    """One run of the demo."""

    def __init__(
        self,
        settings: WorkerSettings,
        classifier: Classifier,
        lines: list[Headline],
        planned: int,
        stop: Stop,
        seconds: float | None,
        *,
        by_user: bool,
    ) -> None:
        self._seconds_planned = seconds
        self._settings, self._classifier, self._stop, self._planned = settings, classifier, stop, planned
        self._script = islice(cycle(lines), planned)
        self._ledger = Ledger()
        self._topics = (settings.output_topic, settings.dead_letter_topic)
        self._sink = KafkaSink(settings)
        self._partitions = {topic: self._sink.partition_count(topic) for topic in (settings.input_topic, *self._topics)}
        # The audience reads in a group of its own, so that the worker's is the worker's alone.
        self._source = KafkaSource(settings.model_copy(update={"group_id": "demo-audience"}), self._topics)
        self._worker = WorkerThread(settings, classifier)
        self._unread_ends: set[Partition] = set()
        self._unsent: Exception | None = None
        self._started_at: float | None = None
        self._last_arrival_at = time.monotonic()
        host, port = host_and_port(settings.health_address or PAGE_ADDRESS)
        self._server = HttpServer(host, port, self._worker.observatory.routes)
        self._stage = Stage(
            planned,
            classifier.labels,
            classifier.model_id,
            classifier.engine.name,
            settings.bootstrap_servers,
            by_user,
        )

    def play(self) -> int:
        """Everything in order; the exit code. Says what became of the headlines whatever it raises."""
        with self._server:
            return self._play(replace(self._stage, page=self._server.url))

    def _play(self, stage: Stage) -> int:
        on_terminal = sys.stdout.isatty()
        self._screen: Screen = TerminalScreen(stage, Console()) if on_terminal else PlainScreen(stage, sys.stdout)
        try:
            self._screen.note("the worker joins its consumer group …")
            self._source.subscribe(_Audience())
            self._worker.start()
            self._send_and_read()
            self._worker.leave()
            self._read_to_the_end()
        finally:
            self._screen.close()
            self._worker.leave()
            self._sink.close(END_SECONDS)
            self._source.close(END_SECONDS)
            lost = self._account()
        if self._worker.error is not None:
            raise self._worker.error
        return 1 if lost else 0

    def _send_and_read(self) -> None:
        """Until all is back, or the worker is gone, or nothing has come for too long."""
        said_stopping = False
        self._send_next()  # alone: its return says that both groups have formed, and starts the clock
        while self._ledger.outstanding or (self._ledger.sent < self._planned and not self._stop.requested):
            while self._may_send():
                self._send_next()
            self._sink.poll(0.0)
            if self._unsent is not None:
                raise self._unsent
            self._read()
            if self._stop.requested and self._started_at is None and not said_stopping:
                said_stopping = True
                self._screen.note("stopping, once the headline under way is back …")
            if not self._worker.running or time.monotonic() - self._last_arrival_at > PATIENCE_SECONDS:
                return

    def _may_send(self) -> bool:
        if self._started_at is None or self._stop.requested or self._ledger.sent >= self._planned:
            return False
        if self._ledger.outstanding >= WINDOW_RECORDS or self._ledger.outstanding_bytes >= WINDOW_BYTES:
            return False
        if self._seconds_planned is None:
            return True
        return self._ledger.sent < self._planned * (time.monotonic() - self._started_at) / self._seconds_planned

    def _send_next(self) -> None:
        key, value = self._ledger.send(next(self._script))
        message = Outgoing(topic=self._settings.input_topic, partition=None, key=key.encode(), value=value)
        try:
            self._sink.send(message, self._sent)
        except TooLargeError as error:
            raise SettingError(f"The headline {key} is too long for the demo's broker: {error}.") from None

    def _sent(self, error: Exception | None) -> None:
        """A Report. What it notes is raised outside of the client's callback."""
        self._unsent = self._unsent or error

    def _read(self) -> None:
        """What has come back since; each goes to the ledger, and to the screen where it is news."""
        for record in self._source.batch(READ_AT_ONCE, READ_DELAY_SECONDS, READ_IDLE_SECONDS):
            if record.key == END_KEY:
                self._unread_ends.discard(Partition(record.topic, record.partition))
                continue
            self._last_arrival_at = time.monotonic()
            self._started_at = self._started_at or self._last_arrival_at
            arrival = read_arrival(record, self._settings.dead_letter_topic)
            if self._ledger.receive(arrival):
                self._screen.show(arrival)
        self._screen.refresh(self._ledger, self._seconds())

    def _read_to_the_end(self) -> None:
        """Read what the worker wrote last: up to a mark that the audience sets behind it in every partition."""
        self._unread_ends = {
            Partition(topic, number) for topic in self._topics for number in range(self._partitions[topic])
        }
        for partition in sorted(self._unread_ends):
            self._sink.send(
                Outgoing(topic=partition.topic, partition=partition.number, key=END_KEY, value=None), self._sent
            )
        until = time.monotonic() + END_SECONDS
        while self._unread_ends and time.monotonic() < until:
            self._sink.poll(0.0)
            self._read()
        if self._unread_ends:
            raise WorkerError(f"The demo could not read {', '.join(map(str, sorted(self._unread_ends)))} to the end.")

    def _seconds(self) -> float:
        """From the first headline's return to the last one's."""
        return self._last_arrival_at - self._started_at if self._started_at is not None else 0.0

    def _account(self) -> int:
        """Say what became of everything, last of all in one line of JSON; how many headlines are lost."""
        ledger, model = self._ledger, self._classifier
        summary = summarise(ledger, self._worker.consumed, self._seconds(), model.model_id, model.engine.name)
        if self._stop.requested:
            print(f"interrupted: {ledger.sent:,} of {self._planned:,} headlines were sent")
        print("", *summary_lines(ledger), sep="\n")
        print(msgspec.json.encode(summary).decode(), flush=True)
        return summary.lost


class _Audience:
    """A group member with nothing to commit: it never leaves before the end. See GroupListener."""

    def positioned(self, offsets: object) -> None:
        """Reading starts at the beginning."""

    def revoked(self, partitions: object) -> None:
        """There is nothing to finish."""

    def lost(self, partitions: object) -> None:
        """There is nothing to drop."""

    def committed(self, offsets: object) -> None:
        """Nothing is committed."""


def _on_the_embedded_broker(settings: WorkerSettings, bootstrap: str) -> WorkerSettings:
    """The user's settings for the model and the batches; none of their cluster."""
    defaults = {name: WorkerSettings.model_fields[name].get_default() for name in OF_THE_CLUSTER}
    changes = {"consumer": CONSUMER_PROPERTIES, "bootstrap_servers": bootstrap, **WITHOUT_LIMITS}
    return settings.model_copy(update={**defaults, **changes})
