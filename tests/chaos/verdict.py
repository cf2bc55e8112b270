"""The figures of a run, those of them that must be 0: for the worker's promises, and for the run to prove them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.errors import (
    BrokerUnreachableError,
    DeliveryFailedError,
    FatalKafkaError,
    FencedError,
    ShutdownBudgetError,
)
from tests.chaos.run import Found
from tests.chaos.schedule import Kind
from tests.chaos.windows import inputs_covered

Totals: TypeAlias = dict[str, int]

_BOTH = ("lost", "disordered", "wrong", "mislabelled", "reloads_unseen", "crashed", "ended_in_disorder")
PROMISES: dict[str, tuple[str, ...]] = {
    Guarantee.AT_LEAST_ONCE: (*_BOTH, "duplicated_outside_faults"),
    Guarantee.EXACTLY_ONCE: (*_BOTH, "duplicated"),
}
"""The figures that must be 0, or a promise is broken."""

PROOFS: dict[str, tuple[str, ...]] = {
    Guarantee.AT_LEAST_ONCE: ("faults_in_vain", "inputs_in_windows_over_the_limit"),
    Guarantee.EXACTLY_ONCE: ("faults_in_vain",),
}
"""The figures that must be 0, or the run proves too little."""

# Of the inputs, how many may be such that a fault excuses their repeat.
WINDOWS_SHARE = 0.5

# With which a worker may give up by itself, for whoever supervises it to start another.
GIVEN_UP = {kind.exit_code for kind in (BrokerUnreachableError, DeliveryFailedError, FatalKafkaError, FencedError)}
# Asked to leave while its network was gone, a worker may say that its time was over.
CUT_OFF = {0, ShutdownBudgetError.exit_code, *GIVEN_UP}


def totals_of(found: Found, faults: int) -> Totals:
    """A run in figures."""
    given_up = sum(code in GIVEN_UP for code in found.ended_alone)
    account = found.account
    in_windows = inputs_covered(found.windows, account.first_seconds[: account.sent])
    swaps = [strike for strike in found.strikes if strike.fault.kind is Kind.SWAP]
    effective = sum(strike.took_effect() for strike in found.strikes)
    reloads = sum(swap.took_effect() for swap in swaps)
    return {
        **account.totals(),
        "duplicated_outside_faults": len(found.attribution.unexplained),
        "inputs_in_windows": in_windows,
        "inputs_in_windows_over_the_limit": max(0, in_windows - int(WINDOWS_SHARE * account.sent)),
        "faults": effective,
        "faults_in_vain": faults - effective - (len(swaps) - reloads),
        "reloads_seen": reloads,
        "reloads_unseen": len(swaps) - reloads,
        "given_up": given_up,
        "crashed": len(found.ended_alone) - given_up,
        "ended_in_order": found.ended_in_order.count(0),
        "ended_in_disorder": sum(code != 0 for code in found.ended_in_order)
        + sum(code not in CUT_OFF for code in found.ended_cut_off),
    }


def broken(found: Mapping[str, Totals]) -> bool:
    """Whether a promise of the guarantees named is broken."""
    return any(totals[promise] for guarantee, totals in found.items() for promise in PROMISES[guarantee])


def unproven(found: Mapping[str, Totals]) -> bool:
    """Whether a run under one of them proves too little."""
    return any(totals[proof] for guarantee, totals in found.items() for proof in PROOFS[guarantee])


def summed(found: Mapping[str, Totals]) -> Totals:
    """The sums over all runs."""
    sums: Counter[str] = Counter()
    for totals in found.values():
        sums.update(totals)
    return dict(sums)
