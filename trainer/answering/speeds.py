"""How fast models are, on this machine, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ROUNDS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """What answers texts, and how many of them a round gives it: few for what is slow."""

    answer: Callable[[Sequence[str]], object]
    round_texts: int


def texts_per_second(models: Sequence[Timed], texts: Sequence[str]) -> tuple[float, ...]:
    """Of each model the fastest round. They take turns, so that what slows the machine slows all of them."""
    shares = [texts[: one.round_texts] for one in models]
    seconds = [float("inf")] * len(models)
    for _ in range(ROUNDS):
        for place, (one, share) in enumerate(zip(models, shares, strict=True)):
            started = time.perf_counter()
            one.answer(share)
            seconds[place] = min(seconds[place], time.perf_counter() - started)
    return tuple(len(share) / one for share, one in zip(shares, seconds, strict=True))
