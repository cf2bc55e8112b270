"""What a training says without a terminal: a line an evaluation, and none for half a minute at most."""

from __future__ import annotations

import io

from rich.console import Console

from kuaixun.trainer.advance import LINE_EVERY_SECONDS
from kuaixun.trainer.commands.progress import Lines
from kuaixun.trainer.fitting.watching import DevFigures


def test_long_ways_between_evaluations_are_not_silent() -> None:
    written = io.StringIO()
    seconds = 0.0
    lines = Lines(Console(file=written), lambda: seconds)

    for step in range(1, 7):
        seconds += LINE_EVERY_SECONDS / 2
        lines.stepped(step, 9, float("nan") if step < 3 else 0.5)
        if step == 4:
            lines.evaluated(DevFigures(4, 9, 0.5, 0.4, 0.9, lowest=True))
            lines.evaluated(DevFigures(4, 9, 0.5, 0.399, 0.9, lowest=False, hardly_lower=True))

    assert written.getvalue().splitlines() == [
        "step 2/9",
        "step 4/9: training loss 0.5000",
        "step 4/9: training loss 0.5000, dev loss 0.4000, dev accuracy 0.9000, lowest loss so far",
        "step 4/9: training loss 0.5000, dev loss 0.3990, dev accuracy 0.9000, lower by too little to count",
        "step 6/9: training loss 0.5000",
    ]
