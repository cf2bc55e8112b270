"""A record as a producer in C writes it: with a header's name that no producer in Python can give it."""

from __future__ import annotations

import ctypes

from confluent_kafka import cimpl

PATIENCE_MS = 30_000
# Of rdkafka.h; each stands before its argument in a call to rd_kafka_producev.
PRODUCER = 0
END, TOPIC, PARTITION, VALUE, KEY, MSGFLAGS, HEADER = 0, 1, 3, 4, 5, 7, 9
COPY = 2


def write_with_header(bootstrap: str, topic: str, key: bytes, value: bytes, name: bytes, content: bytes) -> None:
    """Write one record to partition 0 and wait until the broker has it."""
    librdkafka = ctypes.CDLL(cimpl.__file__)  # what it is linked with is found through it
    librdkafka.rd_kafka_conf_new.restype = librdkafka.rd_kafka_new.restype = ctypes.c_void_p
    why = ctypes.create_string_buffer(512)
    config = ctypes.c_void_p(librdkafka.rd_kafka_conf_new())
    librdkafka.rd_kafka_conf_set(config, b"bootstrap.servers", bootstrap.encode(), why, ctypes.c_size_t(512))
    producer = ctypes.c_void_p(librdkafka.rd_kafka_new(PRODUCER, config, why, ctypes.c_size_t(512)))
    assert producer.value, why.value
    failed = librdkafka.rd_kafka_producev(
        producer,
        *(ctypes.c_int(TOPIC), ctypes.c_char_p(topic.encode())),
        *(ctypes.c_int(PARTITION), ctypes.c_int32(0)),
        *(ctypes.c_int(MSGFLAGS), ctypes.c_int(COPY)),
        *(ctypes.c_int(KEY), ctypes.c_char_p(key), ctypes.c_size_t(len(key))),
        *(ctypes.c_int(VALUE), ctypes.c_char_p(value), ctypes.c_size_t(len(value))),
        *(ctypes.c_int(HEADER), ctypes.c_char_p(name), ctypes.c_char_p(content), ctypes.c_ssize_t(len(content))),
        ctypes.c_int(END),
    )
    assert not failed, failed
    assert not librdkafka.rd_kafka_flush(producer, ctypes.c_int(PATIENCE_MS))
    librdkafka.rd_kafka_destroy(producer)
