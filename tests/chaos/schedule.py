"""Which fault strikes when: a function of the seed alone, so that a run that lost something can be had again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What happens to a worker, to its network, to the group, to the model, or to the broker under all of them."""

    KILL = "kill"  # SIGKILL, then a new process
    TERMINATE = "terminate"  # SIGTERM, which must end in order, then a new process
    FREEZE = "freeze"  # SIGSTOP for longer than the group's session lasts, then SIGCONT
    STALL = "stall"  # the same for longer than the poll limit
    CUT = "cut"  # its connections end and new ones are refused
    HOLE = "hole"  # its connections stay and nothing passes
    SLOW = "slow"  # every packet is late
    ADD = "add"  # one worker more
    REMOVE = "remove"  # one less: SIGTERM
    SWAP = "swap"  # the link `current` names the other bundle
    RESTART = "restart"  # the broker ends in order and comes back at the same address
    CRASH = "crash"  # the broker is killed and comes back


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` strikes once `after_inputs` headlines have been sent. `worker` counts those at work, round and round."""

    after_inputs: int
    kind: Kind
    worker: int


def schedule(seed: int, faults: int, inputs: int, workers: int) -> list[Fault]:
    """Faults in the order in which they strike: every kind in turn, moments and workers by chance.

    A worker that is added leaves before another comes, so that there is never more than one beyond `workers`.
    """
    chance = random.Random(seed)
    kinds = list(Kind) * (faults // len(Kind)) + chance.sample(list(Kind), faults % len(Kind))
    chance.shuffle(kinds)
    membership = [place for place, kind in enumerate(kinds) if kind in (Kind.ADD, Kind.REMOVE)]
    for turn, place in enumerate(membership):
        kinds[place] = Kind.REMOVE if turn % 2 else Kind.ADD
    moments = sorted(chance.randrange(inputs) for _ in kinds)
    return [Fault(moment, kind, chance.randrange(workers)) for moment, kind in zip(moments, kinds, strict=True)]
