"""librdkafka's own broker, as the demo embeds it, told how to behave: by calls that its Python side does not have."""

from __future__ import annotations

import ctypes
from types import TracebackType
from typing import Self

from confluent_kafka import cimpl

PRODUCER = 0  # of rdkafka.h


class MockBroker:
    """A broker for as long as the context lasts. A group's first member waits for no others, else it would for 3 s."""

    def __init__(self) -> None:
        self._librdkafka = librdkafka = ctypes.CDLL(cimpl.__file__)  # what it is linked with is found through it
        for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_handle_mock_cluster"):
            getattr(librdkafka, name).restype = ctypes.c_void_p
        librdkafka.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        why = ctypes.create_string_buffer(512)
        config = ctypes.c_void_p(librdkafka.rd_kafka_conf_new())
        librdkafka.rd_kafka_conf_set(config, b"test.mock.num.brokers", b"1", why, ctypes.c_size_t(512))
        self._host = ctypes.c_void_p(librdkafka.rd_kafka_new(ctypes.c_int(PRODUCER), config, why, ctypes.c_size_t(512)))
        assert self._host.value, why.value
        self._cluster = ctypes.c_void_p(librdkafka.rd_kafka_handle_mock_cluster(self._host))
        librdkafka.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, ctypes.c_int32(0))
        self.bootstrap: str = librdkafka.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._librdkafka.rd_kafka_destroy(self._host)

    def let_topic_fail(self, topic: str, code: int) -> None:
        """Tell of this error whoever asks after the topic, from here on; 0: of none."""
        self._librdkafka.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), ctypes.c_int(code))

    def fail_next(self, request: int, code: int) -> None:
        """Answer the next request of this API key with this error."""
        self._librdkafka.rd_kafka_mock_push_request_errors(
            self._cluster, ctypes.c_int16(request), ctypes.c_size_t(1), ctypes.c_int(code)
        )
