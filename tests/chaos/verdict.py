"""The figures of a run, those of them that must be 0 under a guarantee, and the sums over both."""

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

Totals: TypeAlias = dict[str, int]

_BOTH = ("lost", "duplicated_outside_faults", "disordered", "wrong", "mislabelled", "crashed", "ended_in_disorder")
PROMISES: dict[str, tuple[str, ...]] = {
    Guarantee.AT_LEAST_ONCE: _BOTH,
    Guarantee.EXACTLY_ONCE: (*_BOTH, "duplicated"),
}
"""The figures that must be 0."""

# With which a worker may give up by itself, for whoever supervises it to start another.
GIVEN_UP = {kind.exit_code for kind in (BrokerUnreachableError, DeliveryFailedError, FatalKafkaError, FencedError)}
# Asked to leave while its network was gone, a worker may say that its time was over.
CUT_OFF = {0, ShutdownBudgetError.exit_code, *GIVEN_UP}


def totals_of(found: Found, faults: int) -> Totals:
    """A run in figures."""
    given_up = sum(code in GIVEN_UP for code in found.ended_alone)
    return {
        **found.account.totals(found.windows),
        "faults": faults,
        "given_up": given_up,
        "crashed": len(found.ended_alone) - given_up,
        "ended_in_order": found.ended_in_order.count(0),
        "ended_in_disorder": sum(code != 0 for code in found.ended_in_order)
        + sum(code not in CUT_OFF for code in found.ended_cut_off),
    }


def verdict(found: Mapping[str, Totals]) -> int:
    """The exit code of the runs under the guarantees named."""
    return int(any(totals[promise] for guarantee, totals in found.items() for promise in PROMISES[guarantee]))


def summed(found: Mapping[str, Totals]) -> Totals:
    """The sums over all runs."""
    sums: Counter[str] = Counter()
    for totals in found.values():
        sums.update(totals)
    return dict(sums)
