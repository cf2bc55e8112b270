"""A fault that has struck: whether it had its effect, and what it excuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.schedule import Fault
from tests.chaos.windows import Window


@dataclass(frozen=True, slots=True)
class Strike:
    """`took_effect` may be asked once the run is over; `window` is None where nothing is excused."""

    fault: Fault
    worker: int | None
    at_seconds: float
    took_effect: Callable[[], bool]
    window: Window | None = None
