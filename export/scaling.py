"""`kuaixun-export bench --lengths`: how the time of a text grows with its length.

Processor time of one thread, which no other process adds to, and the median of many rounds in which all lengths of all
engines take turns; then the straight line through them, by least squares.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from rich.table import Table

from kuaixun.export.benchmark import drawn_texts
from kuaixun.export.engine.interface import Engine, EngineChoice
from kuaixun.export.text.vocabulary import Vocabulary

TEXTS = 1024
ROUNDS = 20


class Scaling(msgspec.Struct, frozen=True):
    """One engine: microseconds of a text at each length, and the line through them.

    `worst_deviation` is the greatest distance of a figure from the line, as a share of the line.
    """

    engine: str
    precision: str
    lengths: list[int]
    microseconds: list[float]
    microseconds_per_character: float
    microseconds_per_text: float
    worst_deviation: float


def measure_lengths(
    engines: Sequence[tuple[EngineChoice, Engine]],
    vocabulary: Vocabulary,
    lengths: Sequence[int],
    *,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.thread_time,
) -> list[Scaling]:
    """Measure engines that run on the calling thread, each with the choice that it was opened by; no two alike."""
    texts = {length: drawn_texts(vocabulary, TEXTS, lengths=(length, length)) for length in lengths}
    seconds: list[dict[int, list[float]]] = [{length: [] for length in lengths} for _ in engines]
    for _ in range(rounds):
        for own, (_, engine) in zip(seconds, engines, strict=True):
            # Not counted: it brings the engine's tables back into the caches, from which the one before took them.
            engine.classify(texts[lengths[-1]])
            for length in lengths:
                started = clock()
                engine.classify(texts[length])
                own[length].append(clock() - started)
    return [
        _fitted(choice, lengths, [float(np.median(own[length])) / TEXTS * 1e6 for length in lengths])
        for own, (choice, _) in zip(seconds, engines, strict=True)
    ]


def scaling_table(scalings: Sequence[Scaling]) -> Table:
    """Microseconds by engine and length, and the line through them."""
    table = Table(title=f"microseconds a text, by its characters; batches of {TEXTS}, one thread", title_justify="left")
    table.add_column("engine")
    table.add_column("in")
    for length in scalings[0].lengths:
        table.add_column(str(length), justify="right")
    for column in ("slope", "intercept", "off the line"):
        table.add_column(column, justify="right")
    for one in scalings:
        figures = [f"{value:.2f}" for value in one.microseconds]
        line = [f"{one.microseconds_per_character:.3f}", f"{one.microseconds_per_text:.2f}"]
        table.add_row(one.engine, one.precision, *figures, *line, f"{one.worst_deviation:.0%}")
    return table


def _fitted(choice: EngineChoice, lengths: Sequence[int], microseconds: Sequence[float]) -> Scaling:
    """The line of least squares: `microseconds = per_character * length + per_text`. Two lengths at least."""
    per_character, per_text = np.polyfit(lengths, microseconds, deg=1)
    line = per_character * np.array(lengths) + per_text
    return Scaling(
        choice.name,
        choice.precision,
        list(lengths),
        [round(value, 3) for value in microseconds],
        round(float(per_character), 4),
        round(float(per_text), 3),
        round(float(np.abs(np.array(microseconds) / line - 1).max()), 4),
    )
