"""librdkafka's properties where the operator says nothing else: memory, and the time after an outage."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import libversion

# How long a connection that was lost may wait before it is tried again. The client's own ten seconds are added to every
# outage, and let what one worker has queued be written next to what another has taken over.
RECONNECT_MS = "2000"

CONSUMER_DEFAULTS: dict[str, str] = {
    "reconnect.backoff.max.ms": RECONNECT_MS,
    "queued.max.messages.kbytes": "65536",  # what a backlog may take in memory
    # Of small messages what the client keeps beside each, half a kilobyte, would be several times that: fewer of them.
    "queued.min.messages": "20000",
    # Of what comes compressed the limit is known when it is there: no more at once than is well within it unpacked.
    "fetch.message.max.bytes": "1048576",
    "fetch.max.bytes": "8388608",
    "fetch.queue.backoff.ms": "50",
}
PRODUCER_DEFAULTS: dict[str, str] = {
    "reconnect.backoff.max.ms": RECONNECT_MS,
    "compression.type": "lz4",
    "linger.ms": "5",
    # What fitted the input topic fits the dead-letter topic: Kafka's own limit for a batch, rather than the client's.
    "message.max.bytes": "1048588",
    "queue.buffering.max.kbytes": "131072",  # what may await its confirmation in memory
}


def with_defaults(defaults: Mapping[str, str], chosen: Mapping[str, str]) -> dict[str, str]:
    """The operator's properties, and the defaults of the others."""
    # The client refuses a longest pause below the first one, which the operator may have chosen alone.
    apart = {"reconnect.backoff.max.ms"} if "reconnect.backoff.ms" in chosen else set()
    return {name: value for name, value in defaults.items() if name not in apart} | dict(chosen)


def client_version() -> str:
    """The version of librdkafka."""
    return str(libversion()[0])
