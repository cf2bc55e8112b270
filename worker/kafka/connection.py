"""What consumer and producer share, at both ends of the journey: errors met in callbacks, and a first answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from operator import methodcaller
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException

from kuaixun.worker.access_token import TokenSource
from kuaixun.worker.errors import AccessRefusedError, TopicMissingError, WorkerError
from kuaixun.worker.kafka.client_errors import AWAY, FATAL, REFUSED, TRANSIENT, classify
from kuaixun.worker.kafka.outage import Outage
from kuaixun.worker.properties import hide_secrets
from kuaixun.worker.settings import PREFIX, TOPIC_FIELDS, WorkerSettings

LOG = logging.getLogger(__name__)

PROBE_EVERY_SECONDS = 5.0
PROBE_SECONDS = 1.0
SLICE_SECONDS = 1.0  # so that a refused password is noticed before the whole time for connecting is over
LEAST_SECONDS = 0.1  # what a call that blocks is given even when the time is over


# On a fatal error the client sets its exception and may call back all the same. The interpreter does not see it in a
# call of a method that it has specialised, and would raise it wherever it looks next. Here it does: as a SystemError.
seen = methodcaller("code")


def error_of(exception: KafkaException | SystemError) -> KafkaError:
    """The client's error in an exception of its own, or behind a SystemError. Raises a SystemError that has none."""
    found: BaseException | None = exception
    while found is not None and not isinstance(found, KafkaException):
        found = found.__cause__
    if found is None:
        raise exception
    error: KafkaError = found.args[0]
    return error


class Client(Protocol):
    """What a consumer and a producer of confluent_kafka have in common."""

    def list_topics(self, topic: str, /, *, timeout: float) -> Any:
        """Metadata; raises KafkaException."""

    def poll(self, timeout: float, /) -> object:
        """Serve callbacks."""


class Connection:
    """What both clients share: settings, the errors of callbacks, and the outage they add up to.

    `monotonic` is a clock in seconds; `look` is called between waits, and may raise to end them.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        properties: Mapping[str, str],
        monotonic: Callable[[], float] = time.monotonic,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings, self.look, self.monotonic = settings, look, monotonic
        self.outage = Outage(settings.outage_seconds, monotonic)
        self._properties = properties
        # Several times within the limit, so that an outage that is over is never taken for one that lasted.
        self._probe_every_seconds = min(PROBE_EVERY_SECONDS, settings.outage_seconds / 4)
        self._probe_at = 0.0
        self._raised: WorkerError | None = None
        self._last_away: WorkerError | None = None
        self._tokens: TokenSource | None = None
        self._first_token: tuple[str, float] | None = None

    def callbacks(self) -> dict[str, Callable[..., Any]]:
        """What the client is to call. Raises AccessRefusedError where the operator's source gives no token.

        That is asked once beforehand, for the client only says, after a while, that it had none.
        """
        callbacks: dict[str, Callable[..., Any]] = {"error_cb": self.on_error}
        if self.settings.oauth_token_source is not None:
            self._tokens = TokenSource(self.settings.oauth_token_source.get_secret_value())
            self._first_token = self._tokens()
            callbacks["oauth_cb"] = self._token
        return callbacks

    def _token(self, _config: str) -> tuple[str, float]:
        """librdkafka's `oauth_cb`, called from a thread of its own."""
        token, self._first_token = self._first_token, None
        if token is not None:
            return token
        if self._tokens is None:
            raise AssertionError("asked for a token without a source")
        try:
            return self._tokens()
        except AccessRefusedError as error:
            self.outage.trouble(error)
            raise

    def hide(self, text: str) -> str:
        """A message of librdkafka's without secrets."""
        return hide_secrets(text, self._properties)

    def error(self, error: KafkaError, doing: str) -> WorkerError:
        """The worker's error for one of the client's."""
        return classify(error, doing, self.settings.bootstrap_servers, self.hide)

    def raised(self, exception: KafkaException | SystemError, doing: str) -> WorkerError:
        """The worker's error for what the client raises while it serves callbacks: a fatal error of its own."""
        return self.error(error_of(exception), doing)

    def raise_written(self, exception: KafkaException | SystemError) -> None:
        """Raise the worker's error for what a producer raises while it serves reports, as `raised` says it.

        Of two errors in one call the client (2.16) keeps neither, and raises a SystemError of nothing. That one is let
        pass: reports have come or will, and what is fatal is said again by whatever is asked for next.
        """
        if isinstance(exception, SystemError) and exception.__cause__ is None:
            LOG.debug("writing outcomes: %s", exception)
        else:
            raise self.raised(exception, "writing outcomes") from None

    def serve_reports(self, producer: Client, timeout_seconds: float) -> None:
        """Have a producer call back, waiting up to the timeout for the first. Raises as `raise_written` does."""
        try:
            producer.poll(timeout_seconds)
        except (KafkaException, SystemError) as exception:
            self.raise_written(exception)

    def raise_later(self, error: WorkerError) -> None:
        """Note an error met in a callback; the first one counts."""
        self._raised = self._raised or error

    def raise_noted(self) -> None:
        """Raise what a callback has noted, or the outage that has lasted too long."""
        if self._raised is not None:
            raise self._raised
        self.outage.check()

    def probe(self, client: Client, topic: str) -> None:
        """While an outage lasts, ask the brokers once in a while: else nothing may say for long that it is over.

        Blocks for up to PROBE_SECONDS when it asks.
        """
        if not self.outage.lasting or self.monotonic() < self._probe_at:
            return
        self._probe_at = self.monotonic() + self._probe_every_seconds
        try:
            error = client.list_topics(topic, timeout=PROBE_SECONDS).topics[topic].error
        except KafkaException as exception:
            error = exception.args[0]
        if error is None:
            self.outage.over()
        else:
            LOG.debug("still in trouble with %s: %s", self.settings.bootstrap_servers, self.hide(error.str()))

    def on_error(self, error: KafkaError) -> None:
        """librdkafka's `error_cb`: most errors here are news of what it is already mending by itself."""
        seen(error)
        found = self.error(error, "talking to Kafka")
        if error.fatal() or error.code() in FATAL:
            self.raise_later(found)
        elif error.code() in REFUSED:
            self.outage.trouble(found)
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            # One broker of several may be away without harm, all of them may not. The error before says why they are.
            if not isinstance(self.outage.error, AccessRefusedError):
                self.outage.trouble(self._last_away or found)
        elif error.code() in AWAY:
            self._last_away = found
            LOG.debug("%s", found)
        else:
            LOG.warning("%s", found)

    def partition_count(self, client: Client, topic: str) -> int:
        """How many partitions a topic has; tries for as long as the settings allow for connecting.

        Raises TopicMissingError, AccessRefusedError or BrokerUnreachableError.
        """
        deadline = self.monotonic() + self.settings.connect_seconds
        while True:
            self.look()
            left = max(0.1, deadline - self.monotonic())
            try:
                found = client.list_topics(topic, timeout=min(SLICE_SECONDS, left)).topics[topic]
                error = found.error
                if error is None and found.partitions:
                    self.outage.over()
                    return len(found.partitions)
            except KafkaException as exception:
                error = exception.args[0]
            client.poll(0)
            if error is None or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise missing_topic(topic, self.settings)
            is_late = self.monotonic() >= deadline  # asked once: what is noted says more than the client's error
            if self.outage.error is not None and (isinstance(self.outage.error, AccessRefusedError) or is_late):
                raise self.outage.error
            if is_late or error.code() not in TRANSIENT:
                raise self.error(error, f"asking for topic {topic}")


def missing_topic(topic: str, settings: WorkerSettings) -> TopicMissingError:
    """The error for a topic that is not there, with the setting that names it."""
    fields = [field for field in TOPIC_FIELDS if getattr(settings, field) == topic]
    return TopicMissingError(
        f"The topic {topic} does not exist at {settings.bootstrap_servers}, or this user may not describe it. "
        f"Create it with `kafka-topics.sh --bootstrap-server {settings.bootstrap_servers} --create --topic {topic} "
        f"--partitions 4`, or correct {' or '.join(PREFIX + field.upper() for field in fields)}."
    )
