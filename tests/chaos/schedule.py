"""Which fault strikes when: a function of the seed alone, so that a run that lost something can be had again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What happens to a worker, or to the broker under all of them."""

    KILL = "kill"  # SIGKILL, then a new process
    TERMINATE = "terminate"  # SIGTERM, which must end in order, then a new process
    FREEZE = "freeze"  # SIGSTOP for longer than the group waits, then SIGCONT: as if cut off and back
    OUTAGE = "outage"  # the broker ends and comes back at the same address


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` strikes `worker` once `after_inputs` headlines have been sent."""

    after_inputs: int
    kind: Kind
    worker: int


def schedule(seed: int, faults: int, inputs: int, workers: int) -> list[Fault]:
    """Faults in the order in which they strike: every kind in turn, moments and workers by chance."""
    chance = random.Random(seed)
    kinds = list(Kind) * (faults // len(Kind)) + chance.sample(list(Kind), faults % len(Kind))
    chance.shuffle(kinds)
    moments = sorted(chance.randrange(inputs) for _ in kinds)
    return [Fault(moment, kind, chance.randrange(workers)) for moment, kind in zip(moments, kinds, strict=True)]
