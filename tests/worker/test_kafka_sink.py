"""The producer's side at the client's seam: which timestamp it is given, and what becomes of one that is fenced."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from kuaixun.worker.errors import FencedError
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.kafka.transactional_sink import KafkaTransactionalSink
from kuaixun.worker.messages import Outgoing, OutgoingColumns
from kuaixun.worker.settings import read_settings
from kuaixun.worker.stop import EarlyStop, Stop, StoppedEarlyError
from kuaixun.worker.streams import Receipts


@pytest.mark.parametrize(("of_the_record", "sent"), [(0, 1), (1, 1), (1_700_000_000_000, 1_700_000_000_000), (None, 0)])
def test_a_timestamp_of_zero_is_not_sent_as_now(
    monkeypatch: pytest.MonkeyPatch, of_the_record: int | None, sent: int
) -> None:
    given: list[int] = []

    class NotingProducer:
        """Keeps the timestamps; 0 is what librdkafka takes for "now"."""

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def produce(
            self,
            topic: str,
            value: bytes,
            key: bytes,
            partition: int,
            callback: object,
            on_delivery: object,
            timestamp: int,
            headers: object,
        ) -> None:
            given.append(timestamp)

    monkeypatch.setattr("kuaixun.worker.kafka.sink.Producer", NotingProducer)
    sink = KafkaSink(read_settings({}))
    message = Outgoing("t", 0, None, None, (), of_the_record)
    sink.send(message, lambda _: None)
    sink.send_all(OutgoingColumns.of([message]), Receipts(1))
    assert given == [sent, sent]


def test_a_producer_found_fenced_as_it_is_given_up_ends_the_worker_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    silences = [KafkaError(KafkaError._TIMED_OUT, "late", False, True) for _ in range(2)]

    class FencedProducer:
        """Says so when what it has open is to be undone."""

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def purge(self) -> None:
            pass

        def flush(self, _timeout_seconds: float) -> int:
            return 0

        def abort_transaction(self, _timeout_seconds: float) -> None:
            if silences:
                raise KafkaException(silences.pop())
            raise KafkaException(KafkaError(KafkaError._FENCED, "fenced by a newer instance", True))

    monkeypatch.setattr("kuaixun.worker.kafka.sink.Producer", FencedProducer)
    sink = KafkaTransactionalSink(read_settings({}))
    with pytest.raises(FencedError):
        sink.renew(100.0)
    sink.close(1.0)


def test_an_error_of_which_the_client_keeps_nothing_is_let_pass_and_reports_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class ForgetfulProducer:
        """Met two errors in its first call, and raises neither."""

        def __init__(self, *_: object, **__: object) -> None:
            self.calls = 0

        def __len__(self) -> int:
            return 1

        def flush(self, _timeout_seconds: float) -> int:
            self.calls += 1
            if self.calls == 1:
                raise SystemError("returned NULL without setting an exception")
            return 0

        def poll(self, _timeout_seconds: float) -> int:
            raise SystemError("returned NULL without setting an exception")

    monkeypatch.setattr("kuaixun.worker.kafka.sink.Producer", ForgetfulProducer)
    sink = KafkaTransactionalSink(read_settings({}))
    assert sink.flush(5.0)
    sink.poll(0.0)


def test_what_is_fatal_to_a_producer_that_is_given_up_does_not_keep_the_next_one_from_taking_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready: list[object] = []

    class SpoiltProducer:
        """Can neither end what it has open nor do anything else; the next one is whole."""

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def purge(self) -> None:
            pass

        def flush(self, _timeout_seconds: float) -> int:
            return 0

        def abort_transaction(self, _timeout_seconds: float) -> None:
            raise KafkaException(KafkaError(KafkaError.INVALID_TXN_STATE, "in an invalid state", True))

        def init_transactions(self, _timeout_seconds: float) -> None:
            ready.append(self)

    monkeypatch.setattr("kuaixun.worker.kafka.sink.Producer", SpoiltProducer)
    sink = KafkaTransactionalSink(read_settings({}))
    sink.renew(1.0)
    assert len(ready) == 1


def test_an_outage_in_which_a_producer_is_made_anew_is_told_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lasted: list[float] = []

    class CutOffProducer:
        """Finds no broker at first, and says so where somebody listens."""

        def __init__(self, config: dict[str, Any], **_: object) -> None:
            self._error_cb = config["error_cb"]

        def purge(self) -> None:
            pass

        def flush(self, _timeout_seconds: float) -> int:
            return 0

        def poll(self, _timeout_seconds: float) -> None:
            self._error_cb(KafkaError(KafkaError._ALL_BROKERS_DOWN))

        def abort_transaction(self, _timeout_seconds: float) -> None:
            pass

        def init_transactions(self, _timeout_seconds: float) -> None:
            lasted.append(sink.outage_seconds)
            if len(lasted) < 3:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no coordinator", False, True))

    monkeypatch.setattr("kuaixun.worker.kafka.sink.Producer", CutOffProducer)
    sink = KafkaTransactionalSink(read_settings({}))
    sink.renew(100.0)
    assert 0 == lasted[0] < lasted[1] < lasted[2]
    assert sink.outage_seconds == 0
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "trouble with Kafka",
        "Kafka answers again after 0.0 s",
    ]


def test_told_to_leave_while_it_waits_for_its_transactional_id_it_waits_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, asked = Stop(5.0), []

    class LonelyProducer:
        """Has no coordinator to talk to."""

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def purge(self) -> None:
            pass

        def flush(self, _timeout_seconds: float) -> int:
            return 0

        def abort_transaction(self, _timeout_seconds: float) -> None:
            pass

        def poll(self, _timeout_seconds: float) -> None:
            pass

        def init_transactions(self, timeout_seconds: float) -> None:
            asked.append(timeout_seconds)
            if len(asked) == 3:
                stop.request()
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no coordinator", False, True))

    monkeypatch.setattr("kuaixun.worker.kafka.sink.Producer", LonelyProducer)
    sink = KafkaTransactionalSink(read_settings({}), EarlyStop(stop))
    with pytest.raises(StoppedEarlyError):
        sink.renew(1000.0)
    assert len(asked) == 3
