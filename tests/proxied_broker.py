"""A real Kafka with several doors, each behind a stretch of network of its own: one client's cut is not another's.

The plain listener of `kafka_broker.py` stays, for whoever is not to be disturbed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.kafka_broker import KafkaBroker, free_ports
from tests.tcp_proxy import TcpProxy

MARKERS_SKIPPED = "Couldn't find leader endpoint for partitions"


class ProxiedBroker(KafkaBroker):
    """A node that is found behind each of `doors` as well.

    `clean_up_seconds` is how often it looks for transactions whose time is over.
    """

    def __init__(self, jars: Path, doors: int, clean_up_seconds: int = 10, *, short_lived: bool = False) -> None:
        super().__init__(jars, short_lived=short_lived)
        self._clean_up_seconds = clean_up_seconds
        ports = free_ports(2 * doors)
        self._inner, self._outer = ports[:doors], ports[doors:]

    def door(self, number: int, on_request: Callable[[int], None] | None = None) -> TcpProxy:
        """The network before one of them, not entered yet."""
        return TcpProxy(self._outer[number], self._inner[number], on_request)

    def _server_properties(self) -> list[str]:
        inner, outer = (
            [f"DOOR{number}://127.0.0.1:{port}" for number, port in enumerate(ports)]
            for ports in (self._inner, self._outer)
        )
        added = {
            "listeners=": inner,
            "advertised.listeners=": outer,
            "listener.security.protocol.map=": [f"DOOR{number}:PLAINTEXT" for number in range(len(inner))],
        }
        lines = []
        for line in super()._server_properties():
            more = next((more for start, more in added.items() if line.startswith(start)), [])
            lines.append(",".join([line, *more]))
        interval = "transaction.abort.timed.out.transaction.cleanup.interval.ms"
        return [*lines, f"{interval}={self._clean_up_seconds * 1000}"]

    def _of_the_start(self) -> list[str]:
        return ["-Dorg.slf4j.simpleLogger.log.kafka.coordinator.transaction.TransactionMarkerChannelManager=info"]

    @property
    def markers_skipped(self) -> int:
        """How often Kafka (4.3) has called a transaction undone without writing so to its partitions.

        A single node that starts does so where a transaction's time is over before the node knows itself as their
        leader, for it takes them for deleted. The producer's next transaction that is committed then commits what
        should have been undone: records twice, which no client can prevent.
        """
        return (self.folder / "broker.log").read_text(encoding="utf-8", errors="replace").count(MARKERS_SKIPPED)
