# Types of the C++ module; see cpp/module.cc.

from confluent_kafka import Producer

from kuaixun.schemas.dead_letter import Header

def find_librdkafka(binding: str) -> bool: ...

class BatchProducer:
    def __init__(self, producer: Producer) -> None: ...
    def produce(
        self,
        topics: list[str],
        partitions: list[int | None],
        keys: list[bytes | None],
        values: list[bytes | None],
        headers: list[tuple[Header, ...]],
        timestamps_ms: list[int | None],
    ) -> tuple[int, int]: ...
    def reports(self) -> list[tuple[int, int, list[tuple[int, int, str]]]]: ...
