"""librdkafka's errors as the worker's own. Beside the headline's journey."""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import KafkaError

from kuaixun.worker.errors import (
    AccessRefusedError,
    BrokerUnreachableError,
    DeliveryFailedError,
    FatalKafkaError,
    FencedError,
    SettingError,
    TopicMissingError,
    WorkerError,
)
from kuaixun.worker.streams import RefusedAlongError, RefusedError, TooLargeError

AWAY = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._WAIT_COORD,
    KafkaError._NODE_UPDATE,
}
COORDINATOR_ON_ITS_WAY = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}
# What Kafka's protocol calls retriable, and the client retries by itself.
TRANSIENT = (
    AWAY
    | COORDINATOR_ON_ITS_WAY
    | {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError._PARTITION_EOF,
    }
)
# The group moves on without the request; a later one, of whoever holds the partition then, will do.
REBALANCING = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.STALE_MEMBER_EPOCH,
    KafkaError.FENCED_MEMBER_EPOCH,
}
REFUSED = {
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.ILLEGAL_SASL_STATE,
    KafkaError.SECURITY_DISABLED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
MISSING = {KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART}
BAD_SETTING = {
    KafkaError._INVALID_ARG,
    KafkaError.INVALID_GROUP_ID,
    KafkaError.INVALID_SESSION_TIMEOUT,
    KafkaError.INCONSISTENT_GROUP_PROTOCOL,
    KafkaError.INVALID_TRANSACTION_TIMEOUT,
}
# Another instance has this one's place, or the broker has ended the transaction of one that was silent for too long.
FENCED = {
    KafkaError._FENCED,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.UNRELEASED_INSTANCE_ID,
    KafkaError.INVALID_PRODUCER_EPOCH,
}
_FENCED_IN_WORDS = [KafkaError(code).str() for code in FENCED]
FATAL = {KafkaError._FATAL} | FENCED
TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
# The topic's own rules, such as that a compacted one takes no record without a key.
RECORD_REFUSED = {KafkaError.INVALID_RECORD, KafkaError.INVALID_TIMESTAMP, KafkaError._INVALID_DIFFERENT_RECORD}


def classify(error: KafkaError, doing: str, bootstrap: str, hide: Callable[[str], str]) -> WorkerError:
    """The worker's error for one of the client's. `doing` says what was being done, `hide` takes secrets out."""
    code, said = error.code(), hide(error.str())
    where = f"{doing} at {bootstrap}: {said} ({error.name()})."
    # The client's Python side keeps the words of a consumer's fatal error alone.
    if code in FENCED or (code == KafkaError._FATAL and any(words in said for words in _FENCED_IN_WORDS)):
        return FencedError(
            f"Fenced while {where} Another worker has this one's place under the same KUAIXUN_TRANSACTIONAL_ID or "
            "group.instance.id, or this one was silent for longer than KUAIXUN_TRANSACTION_TIMEOUT_SECONDS. What it "
            "had open is undone. Give each worker a name of its own, and restart this one where no other has its place."
        )
    if code in REFUSED:
        return AccessRefusedError(
            f"Refused while {where} Check security.protocol, sasl.* and ssl.* in KUAIXUN_KAFKA, and this user's rights."
        )
    if (error.fatal() and code not in BAD_SETTING) or code in FATAL:
        return FatalKafkaError(
            f"The Kafka client gave up while {where} Nothing unconfirmed is committed; restart the worker."
        )
    if code in MISSING:
        return TopicMissingError(f"No such topic or partition while {where} Create it, or correct the topic's name.")
    if code in BAD_SETTING:
        named = "Correct it in KUAIXUN_KAFKA, _CONSUMER or _PRODUCER."
        if code == KafkaError.INVALID_TRANSACTION_TIMEOUT:
            named = "Lower KUAIXUN_TRANSACTION_TIMEOUT_SECONDS."
        if code == KafkaError.INCONSISTENT_GROUP_PROTOCOL:
            named = "Give all workers of the group the same KUAIXUN_GROUP_PROTOCOL."
        return SettingError(f"A setting was refused while {where} {named}")
    if code in AWAY:
        return BrokerUnreachableError(
            f"No answer while {where} Check KUAIXUN_BOOTSTRAP_SERVERS, security.protocol, the network and the brokers."
        )
    return FatalKafkaError(
        f"Stopped while {where} Waiting would not help; see the brokers' logs, then restart the worker."
    )


def refusal(error: KafkaError, hide: Callable[[str], str]) -> RefusedError | None:
    """The refusal that an error amounts to, None where it says nothing of the message itself."""
    if error.code() in TOO_LARGE:
        return TooLargeError(hide(error.str()))
    if error.code() == KafkaError._INVALID_DIFFERENT_RECORD:
        return RefusedAlongError(hide(error.str()))
    return RefusedError(hide(error.str())) if error.code() in RECORD_REFUSED else None


def undelivered(error: KafkaError, topic: str, bootstrap: str, hide: Callable[[str], str]) -> WorkerError:
    """The error that stops the worker for one message's failed delivery."""
    found = classify(error, f"writing to {topic}", bootstrap, hide)
    if isinstance(found, AccessRefusedError | TopicMissingError) or error.fatal():
        return found
    return DeliveryFailedError(
        f"An outcome could not be written to {topic} at {bootstrap}: {hide(error.str())} ({error.name()}). Its "
        "headline is not committed, so a restarted worker takes it up again. Check the brokers, then restart."
    )
