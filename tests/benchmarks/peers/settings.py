"""Each peer's settings, the best that were found for it; why, stands in its program. No peer's package is needed here.

What differs by what it labels with is by `traced`, one headline at a time, and `native`, in batches.
"""

from __future__ import annotations

# Three of the peers stand on librdkafka; these are its own names.
# Of a backlog the default megabyte a partition makes it wait for the broker: measured, 0.75 M messages/s become 2.7 M.
# A full queue is looked at again after 10 ms, not after a second.
CONSUMER = {
    "auto.offset.reset": "earliest",
    "fetch.message.max.bytes": 8_388_608,
    "fetch.max.bytes": 67_108_864,
    "queued.max.messages.kbytes": 204_800,
    "queued.min.messages": 1_000_000,
    "fetch.queue.backoff.ms": 10,
}
# Large, compressed requests, no more than 20 ms late: measured, 0.5 M messages/s become 1.1 to 1.3 M.
PRODUCER = {
    "compression.type": "lz4",
    "linger.ms": 20,
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 1_000_000,
}

PLAIN_BATCH = 20_000
PLAIN_COMMIT_EVERY = 1000

BYTEWAX_WORKERS = {"traced": 2, "native": 1}
BYTEWAX_READ_AT_ONCE = {"traced": 100, "native": 20_000}

QUIX_BATCH = 2000
QUIX_COMMIT_EVERY = 50_000
QUIX_COMMIT_SECONDS = 1.0

FAUST_BATCH = 4096
FAUST_BATCH_SECONDS = 0.1
FAUST_APP = {
    "stream_buffer_maxsize": 131_072,
    "consumer_max_fetch_size": 8_388_608,
    "producer_compression_type": "lz4",
    "producer_linger": 0.02,
    "producer_max_batch_size": 1_000_000,
}

FAST_STREAM_BATCHES = {"max_records": 2000, "batch_timeout_ms": 50}  # events of half a kilobyte are a megabyte
FAST_STREAM_BROKER = {
    "compression_type": "lz4",
    "linger_ms": 20,
    "max_batch_size": 2_000_000,
    "max_request_size": 2_000_000,
}
FAST_STREAM_SUBSCRIPTION = {"auto_offset_reset": "earliest", "max_partition_fetch_bytes": 8_388_608}

_LIBRDKAFKA = {"consumer": CONSUMER, "producer": PRODUCER}
SETTINGS: dict[str, dict[str, object]] = {
    "plain": {"batch": PLAIN_BATCH, "commit every": PLAIN_COMMIT_EVERY, **_LIBRDKAFKA},
    "quix_streams": {
        "batch": QUIX_BATCH,
        "commit every": QUIX_COMMIT_EVERY,
        "commit interval s": QUIX_COMMIT_SECONDS,
        **_LIBRDKAFKA,
    },
    "bytewax_flow": {"workers": BYTEWAX_WORKERS, "read at once": BYTEWAX_READ_AT_ONCE, **_LIBRDKAFKA},
    "faust_agent": {"batch": FAUST_BATCH, "batch s": FAUST_BATCH_SECONDS, "loop": "uvloop", "app": FAUST_APP},
    "fast_stream": {
        "batches": FAST_STREAM_BATCHES,
        "loop": "uvloop",
        "broker": FAST_STREAM_BROKER,
        "subscription": FAST_STREAM_SUBSCRIPTION,
    },
}
