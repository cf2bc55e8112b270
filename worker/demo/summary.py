"""What the demo says at its end: a few lines for people, then one of JSON."""

from __future__ import annotations

import msgspec

from kuaixun.worker.demo.ledger import Fate, Ledger

LEAST_MEASURED = 100  # headlines


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The line for machines.

    `consumed` is the worker's own count, and all others are of what came back. `agreement` is the share of labels that
    are the writers' own, where they gave any. `headlines_per_second` is None where they were too few to measure.
    """

    consumed: int
    labelled: int
    dead_lettered: int
    tombstones: int
    lost: int
    duplicated: int
    headlines_per_second: float | None
    seconds: float
    model: str
    engine: str
    agreement: float | None


def summarise(ledger: Ledger, consumed: int, seconds: float, model: str, engine: str) -> Summary:
    """The ledger as it stands; `consumed` is what the worker counted, `seconds` what the rate is counted over."""
    judged = ledger.judged[Fate.LABELLED]
    measured = seconds > 0 and ledger.arrived >= LEAST_MEASURED
    return Summary(
        consumed=consumed,
        labelled=ledger.outcomes[Fate.LABELLED],
        dead_lettered=ledger.outcomes[Fate.DEAD_LETTERED],
        tombstones=ledger.outcomes[Fate.TOMBSTONE],
        lost=ledger.outstanding,
        duplicated=ledger.duplicated,
        headlines_per_second=round(ledger.arrived / seconds, 1) if measured else None,
        seconds=round(seconds, 3),
        model=model,
        engine=engine,
        agreement=round(ledger.agreed[Fate.LABELLED] / judged, 4) if judged else None,
    )


def summary_lines(ledger: Ledger) -> list[str]:
    """What the audience should remember, before the line for machines."""
    lines = []
    for fate, what in (
        (Fate.LABELLED, "labels agree with the writers'"),
        (Fate.DEAD_LETTERED, "reasons are the expected"),
    ):
        judged, agreed = ledger.judged[fate], ledger.agreed[fate]
        if judged:
            lines.append(f"{what} on {agreed:,} of {judged:,} headlines ({agreed / judged:.1%})")
    if ledger.outstanding:
        lines.append(f"{ledger.outstanding:,} headlines never came back")
    if ledger.duplicated:
        lines.append(f"{ledger.duplicated:,} outcomes came more than once")
    if ledger.unknown:
        lines.append(f"{ledger.unknown:,} records on the output topics belong to no headline of the demo")
    return lines
