"""What this user may do, asked of the brokers before any work begins, so that all that is missing is said at once.

Brokers without an authorizer grant everything; one that cannot be asked (librdkafka's own, in the demo) leaves it to be
found out. For transactional ids there is no such question.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation  # which its package hands on without saying so

from kuaixun.worker.errors import AccessRefusedError
from kuaixun.worker.kafka.client_errors import COORDINATOR_ON_ITS_WAY
from kuaixun.worker.kafka.connection import SLICE_SECONDS, Connection
from kuaixun.worker.settings import WorkerSettings

LOG = logging.getLogger(__name__)
QUIET = logging.getLogger("librdkafka.rights")
QUIET.disabled = True  # the consumer and the producer connect with the same properties, and say what there is to say

ASK_AGAIN_SECONDS = 0.2
DENIED = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED}
# What connecting rests on; the rest belongs to consumers or producers alone.
_CONNECTING = ("security.", "sasl.", "ssl.", "enable.ssl.", "enable.sasl.", "client.", "broker.", "socket.", "https.")


@dataclass(frozen=True, slots=True)
class Right:
    """One operation on a topic or group, as Kafka's own tools name it."""

    operation: AclOperation
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.operation.name.title()} on {self.kind} {self.name}"


def check_rights(
    settings: WorkerSettings,
    *,
    reads: Iterable[str],
    writes: Iterable[str],
    look: Callable[[], None] = lambda: None,
) -> bool:
    """Raise AccessRefusedError where rights are missing, naming each; False where the brokers do not tell.

    `reads` are topics that the settings' group reads, with the consumer's credentials; `writes` are the producer's.
    `look` is called between waits, and may raise to end them.
    """
    reading = _Asking(settings, settings.consumer_properties(), look)
    # The group first, for a broker that cannot be asked says so at once there, and leaves one waiting elsewhere.
    group = Right(AclOperation.READ, "group", settings.group_id)
    answers = {group: reading.granted(group)}
    if answers[group] is None:
        return False
    answers |= {right: reading.granted(right) for right in _on_topics(AclOperation.READ, reads)}
    writing = _Asking(settings, settings.producer_properties(), look)
    answers |= {right: writing.granted(right) for right in _on_topics(AclOperation.WRITE, writes)}
    missing = [right for right, granted in answers.items() if granted is False]
    if missing:
        grants = " ".join(
            f"--operation {right.operation.name.title()} --{right.kind} {right.name}" for right in missing
        )
        raise AccessRefusedError(
            f"This user lacks {', '.join(map(str, missing))} at {settings.bootstrap_servers}. Grant each with "
            f"`kafka-acls.sh --add --allow-principal User:NAME`: {grants}; or correct the names in the settings."
        )
    return None not in answers.values()


def _on_topics(operation: AclOperation, topics: Iterable[str]) -> list[Right]:
    return [Right(operation, "topic", topic) for topic in topics]


class _Asking:
    """The administrator's client with the credentials of one of the worker's two."""

    def __init__(self, settings: WorkerSettings, properties: Mapping[str, str], look: Callable[[], None]) -> None:
        connection = Connection(settings, properties)
        config: dict[str, Any] = {
            **{name: value for name, value in properties.items() if name.startswith(_CONNECTING)},
            "bootstrap.servers": settings.bootstrap_servers,
            **connection.callbacks(),
        }
        try:
            self._admin = AdminClient(config, logger=QUIET)
        except KafkaException as exception:
            raise connection.error(exception.args[0], "configuring the client that asks for rights") from None
        self._seconds, self._look = settings.connect_seconds, look

    def granted(self, right: Right) -> bool | None:
        """Whether a right is there, None where nobody says. Blocks, for the time for connecting at most."""
        deadline = time.monotonic() + self._seconds
        while True:
            try:
                found = self._awaited(self._described(right)).authorized_operations
            except KafkaException as exception:
                code = exception.args[0].code()
                if code in DENIED:
                    return False
                if code in COORDINATOR_ON_ITS_WAY and time.monotonic() < deadline:
                    time.sleep(ASK_AGAIN_SECONDS)
                    continue
                LOG.debug("the brokers do not say whether there is %s: %s", right, exception.args[0].name())
                return None
            except TimeoutError:
                return None
            return None if found is None else right.operation in found

    def _awaited(self, answer: Future[Any]) -> Any:
        """Raises TimeoutError where none comes in the time for connecting."""
        deadline = time.monotonic() + self._seconds
        while True:
            self._look()
            left_seconds = deadline - time.monotonic()
            try:
                return answer.result(min(SLICE_SECONDS, left_seconds))
            except TimeoutError:
                if answer.done() or left_seconds <= SLICE_SECONDS:
                    raise

    def _described(self, right: Right) -> Future[Any]:
        options: dict[str, Any] = {"include_authorized_operations": True, "request_timeout": self._seconds}
        if right.kind == "group":
            return self._admin.describe_consumer_groups([right.name], **options)[right.name]
        return self._admin.describe_topics(TopicCollection([right.name]), **options)[right.name]
