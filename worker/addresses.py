"""The brokers' addresses as the operator writes them, looked at before librdkafka, which takes more than it should."""

from __future__ import annotations

from kuaixun.worker.errors import SettingError

PORTS = range(1, 65_536)


def check_addresses(written: str) -> str:
    """The addresses unchanged. Raises SettingError, which repeats none of them: one may hold a password.

    librdkafka would log `user:password@host`, and take port 99999 for 34463.

    >>> check_addresses("kafka-1:9092, SSL://[::1]:9093, localhost")
    'kafka-1:9092, SSL://[::1]:9093, localhost'
    """
    for position, address in enumerate(written.split(","), 1):
        if "@" in address:
            raise _refusal(position, "holds an @; give user and password as sasl.username and sasl.password")
        port = _port(address.strip().rpartition("://")[2])
        if port is not None and not (port.isascii() and port.isdigit() and int(port) in PORTS):
            raise _refusal(position, f"has a port that is no number from {PORTS[0]} to {PORTS[-1]}")
    return written


def _port(address: str) -> str | None:
    """What is written as the port, None where the default is left to the client: `::1` is all host."""
    host, colon, port = address.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")) or address.endswith("]"):
        return None
    return port


def _refusal(position: int, what: str) -> SettingError:
    return SettingError(
        f"Address {position} in KUAIXUN_BOOTSTRAP_SERVERS or --bootstrap-servers {what}. Write host:port, by commas."
    )
