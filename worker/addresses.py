"""Addresses as the operator writes them.

The brokers' are looked at before librdkafka, which takes more than it should; the other is where the worker answers.
"""

from __future__ import annotations

import re

from kuaixun.worker.errors import SettingError

PORTS = range(1, 65_536)
LOOPBACK = "127.0.0.1"
_LISTENING = re.compile(r"(?:(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):)?(?P<port>[0-9]{1,5})", re.ASCII)


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


def host_and_port(written: str) -> tuple[str, int]:
    """Where to listen: on loopback where there is no host, on a free port where it is 0. Raises SettingError.

    >>> host_and_port("9464"), host_and_port("0.0.0.0:9464"), host_and_port("[::]:0")
    (('127.0.0.1', 9464), ('0.0.0.0', 9464), ('::', 0))
    """
    match = _LISTENING.fullmatch(written)
    if match is None or int(match["port"]) > PORTS[-1]:
        raise SettingError(
            "KUAIXUN_HEALTH_ADDRESS or --health-address is no address to listen on. Write a port, such as 9464, for "
            "this machine alone, or host:port, such as 0.0.0.0:9464 for whoever can reach it."
        )
    return (match["host"] or LOOPBACK).strip("[]"), int(match["port"])


def check_listening(written: str) -> str:
    """An address to listen on, unchanged. Raises SettingError."""
    host_and_port(written)
    return written
