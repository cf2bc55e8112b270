"""An end to the waiting for a call into the client that may never come back. Beside the headline's journey."""

from __future__ import annotations

import threading
from collections.abc import Callable


class OverdueError(Exception):
    """The call has not come back. It goes on in a thread that nobody waits for."""


def call_in_time(call: Callable[[], None], timeout_seconds: float) -> None:
    """Call, in a thread of its own, and wait so long for the end of it. Raises what the call raises, or OverdueError.

    The thread keeps whatever the call needs; the process may end in its midst.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="call-in-time", daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    if thread.is_alive():
        raise OverdueError
    if raised:
        raise raised[0]
