"""Progress without a terminal: a line now and then."""

from __future__ import annotations

import io

from rich.console import Console

from kuaixun.trainer.advance import LINE_EVERY_SECONDS, advancing


def test_without_a_terminal_there_is_a_line_now_and_then() -> None:
    written = io.StringIO()
    seconds = 0.0

    with advancing(Console(file=written), "work", lambda: seconds) as advance:
        for step in range(100):
            seconds = step * LINE_EVERY_SECONDS / 40
            advance(step / 100, "as it goes")
        seconds += LINE_EVERY_SECONDS
        advance(None, "without end")

    assert written.getvalue().splitlines() == [
        "work: 40%, as it goes",
        "work: 80%, as it goes",
        "work: without end",
    ]


def test_on_a_terminal_nothing_stays_behind() -> None:
    written = io.StringIO()

    with advancing(Console(file=written, force_terminal=True, width=80), "work") as advance:
        advance(0.5, "half")
        advance(None, "without end")

    assert "work" in written.getvalue()
    assert written.getvalue().rpartition("\x1b[2K")[2].strip("\x1b[?25h1A\r\n") == ""
