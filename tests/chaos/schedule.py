"""Which fault strikes when: a function of the seed alone, so that a run that lost something can be had again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# Of a fault's share of the inputs: the rest stays free on either side, so that it is not always upon the next.
SPREAD = 0.8


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


def schedule(seed: int, faults: int, inputs: int, workers: int, kinds: Sequence[Kind] = tuple(Kind)) -> list[Fault]:
    """Faults in the order in which they strike: every kind in turn, moments and workers by chance.

    Each strikes within its own equal share of the inputs, so that they do not all come at once. A worker that is added
    leaves before another comes, so that there is never more than one beyond `workers`.
    """
    chance = random.Random(seed)
    chosen = list(kinds) * (faults // len(kinds)) + chance.sample(list(kinds), faults % len(kinds))
    chance.shuffle(chosen)
    membership = [place for place, kind in enumerate(chosen) if kind in (Kind.ADD, Kind.REMOVE)]
    for turn, place in enumerate(membership):
        chosen[place] = Kind.REMOVE if turn % 2 else Kind.ADD
    share = inputs / max(faults, 1)
    moments = [int((place + 0.1 + SPREAD * chance.random()) * share) for place in range(faults)]
    return [Fault(moment, kind, chance.randrange(workers)) for moment, kind in zip(moments, chosen, strict=True)]
