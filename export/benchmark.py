"""`kuaixun-export bench`: every engine that can run here, text to label, beside the traced convolutions on the CPU.

Seconds depend on the machine and on what else it does; a ratio of two figures measured side by side hardly does. So
all engines take turns, round by round, and each figure is the best of its rounds.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from kuaixun.export.batches import in_batches
from kuaixun.export.bundle.reader import Bundle
from kuaixun.export.engine.interface import CONVOLUTIONAL, Engine, EngineChoice
from kuaixun.export.engine.select import open_engine
from kuaixun.export.text.vocabulary import Vocabulary

# Engine and device: the traced convolutions on the CPU, whatever else can run here.
YARDSTICK = (CONVOLUTIONAL, "cpu")
TEXTS = 4096
ROUNDS = 3
LENGTHS = (8, 30)


class Speed(msgspec.Struct, frozen=True):
    """One figure. `ratio` is to the yardstick's best batch size on as many threads; 0 where it cannot run here.

    `instruction_set` is the engine's own, empty on a GPU: what tells figures of two machines apart.
    """

    engine: str
    precision: str
    device: str
    threads: int
    batch: int
    instruction_set: str
    texts_per_second: float
    ratio: float


def drawn_texts(
    vocabulary: Vocabulary, count: int = TEXTS, seed: int = 0, lengths: tuple[int, int] = LENGTHS
) -> list[str]:
    """Texts of so many characters, from and to, drawn from the vocabulary as often as words are: the n-th with weight
    1 / n.
    """
    generator = np.random.default_rng(seed)
    characters = np.array(vocabulary.characters)
    weights = 1 / np.arange(1, len(characters) + 1)
    sizes = generator.integers(*lengths, endpoint=True, size=count)
    drawn = generator.choice(characters, size=int(sizes.sum()), p=weights / weights.sum())
    ends = np.cumsum(sizes)
    return ["".join(drawn[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


def _usable_cores() -> int:
    """The cores that this process may use; where no one can say, all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure(
    bundle: Bundle,
    texts: Sequence[str],
    *,
    choices: Sequence[EngineChoice],
    batches: Sequence[int],
    seconds: float,
    say: Callable[[str], None],
) -> list[Speed]:
    """Measure the engines chosen, on one thread and on all, at each batch size, `seconds` for each figure and round."""
    texts = [*texts] * -(-max(batches) // len(texts))  # a batch is as large as it says
    best: dict[tuple[str, str, str, int, int, str], float] = {}
    for threads in sorted({1, _usable_cores()}):
        # Opened anew for each number of threads, which torch keeps for the whole process.
        engines = [(choice, open_engine(bundle, dataclasses.replace(choice, threads=threads))) for choice in choices]
        for number in range(1, ROUNDS + 1):
            for choice, engine in engines:
                say(f"{threads} threads, round {number} of {ROUNDS}: {engine.name}")
                for batch in batches:
                    key = (choice.name, choice.precision, choice.device, threads, batch, engine.instruction_set)
                    best[key] = max(best.get(key, 0.0), _texts_per_second(engine, texts, batch, seconds))
    # Whatever the threads: the traced graph is slower on more of them where others use the processors too.
    yardstick = max(
        (speed for (name, _, device, *_), speed in best.items() if (name, device) == YARDSTICK), default=0.0
    )
    return [
        Speed(*key, round(speed, 1), round(speed / yardstick, 2) if yardstick else 0.0) for key, speed in best.items()
    ]


def speed_table(speeds: Sequence[Speed], batches: Sequence[int]) -> Table:
    """Texts per second by engine and batch size, and the best as a ratio to the yardstick's best."""
    table = Table(title="texts per second, text to label", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("engine")
    table.add_column("in")
    table.add_column("threads", justify="right")
    for batch in batches:
        table.add_column(f"batch {batch}", justify="right")
    table.add_column("best / traced", justify="right")
    for row in dict.fromkeys(map(_row, speeds)):
        own = {speed.batch: speed for speed in speeds if _row(speed) == row}
        ratio = max(speed.ratio for speed in own.values())
        figures = [f"{own[batch].texts_per_second:,.0f}" for batch in batches]
        table.add_row(*row, *figures, f"{ratio:.1f} ×" if ratio else "")
    return table


def _row(speed: Speed) -> tuple[str, str, str]:
    """Whose figure it is, as the table names it."""
    engine = f"{speed.engine} on cuda" if speed.device == "cuda" else speed.engine
    return engine, speed.precision, str(speed.threads)


def _texts_per_second(engine: Engine, texts: Sequence[str], batch: int, seconds: float) -> float:
    """How many texts go through in about `seconds`, after one batch to warm up."""
    supply = _endless(texts, batch)
    engine.classify(next(supply))
    count, passed = 0, 0.0
    started = time.perf_counter()
    while not count or passed < seconds:
        count += len(engine.classify(next(supply)))
        passed = time.perf_counter() - started
    return count / passed


def _endless(texts: Sequence[str], batch: int) -> Iterator[Sequence[str]]:
    """Batches of the texts, from the start again when they run out."""
    while True:
        yield from in_batches(texts, batch)
