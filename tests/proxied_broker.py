"""A real Kafka with several doors, each behind a stretch of network of its own: one client's cut is not another's.

The plain listener of `kafka_broker.py` stays, for whoever is not to be disturbed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.kafka_broker import KafkaBroker, free_ports
from tests.tcp_proxy import TcpProxy


class ProxiedBroker(KafkaBroker):
    """A node that is found behind each of `doors` as well."""

    def __init__(self, jars: Path, doors: int) -> None:
        super().__init__(jars)
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
        # A worker that is killed leaves its transaction to its timeout, which is looked at every 10 s otherwise.
        return [*lines, "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000"]
