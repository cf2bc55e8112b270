"""Reading and writing streams that may be set not to block: they are waited for, as if they did.

Standard input and output are so where another program of the same terminal, or the end of a socket, has set them so.
"""

from __future__ import annotations

import os
import select
from typing import BinaryIO


def read_some(source: int, size_bytes: int) -> bytes:
    """What a descriptor has, up to so many bytes; waits for the first. Nothing at the end. Raises OSError."""
    while True:
        try:
            return os.read(source, size_bytes)
        except BlockingIOError:
            _wait(source, select.POLLIN)


def write_whole(sink: BinaryIO, content: bytes) -> None:
    """Write to a buffered stream and flush it, waiting where it has no room. Raises OSError."""
    left = memoryview(content)
    while True:
        try:
            sink.write(left)
            left = left[len(left) :]
            sink.flush()
        except BlockingIOError as error:
            left = left[error.characters_written :]
            _wait(sink.fileno(), select.POLLOUT)
        else:
            return


def _wait(descriptor: int, event: int) -> None:
    stream = select.poll()
    stream.register(descriptor, event)
    stream.poll()
