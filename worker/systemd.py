"""Word to systemd, where it supervises the worker: one datagram to the socket that it names. Nothing elsewhere.

The protocol: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import logging
import os
import socket

LOG = logging.getLogger(__name__)

READY = "READY=1"
WATCHDOG = "WATCHDOG=1"


def tell_systemd(*words: str) -> None:
    """Send words such as READY. Does nothing where no supervisor listens, and never fails: it is no reason to stop."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # of the abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd:
            to_systemd.setblocking(False)
            to_systemd.sendto("\n".join(words).encode(), address)
    except OSError as error:
        LOG.warning("systemd did not hear %s: %s", ", ".join(words), error)
