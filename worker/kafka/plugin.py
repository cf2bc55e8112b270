"""The worker's C++ as a plugin of the client, which lets it share the client. At both ends of the journey."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer, cimpl

try:
    from kuaixun.worker.kafka import _batches
except ImportError:
    PLUGIN = None
else:
    PLUGIN = _batches.__file__ if _batches.find_librdkafka(cimpl.__file__) else None

PLUGINS_PROPERTY = "plugin.library.paths"


def with_plugin(chosen: str | None) -> dict[str, str]:
    """The property that lets batches be read and handed over in one call, beside the operator's plugins."""
    paths = [path for path in (PLUGIN, chosen) if path]
    return {PLUGINS_PROPERTY: ";".join(paths)} if paths else {}


def batch_consumer(consumer: Consumer) -> _batches.BatchConsumer | None:
    """Reads with a consumer; None where it has not this plugin."""
    try:
        return _batches.BatchConsumer(consumer) if PLUGIN is not None else None
    except ValueError:
        return None


def batch_producer(producer: Producer) -> _batches.BatchProducer | None:
    """Produces with a producer; None where it has not this plugin."""
    try:
        return _batches.BatchProducer(producer) if PLUGIN is not None else None
    except ValueError:
        return None
