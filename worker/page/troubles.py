"""What is amiss with a worker, for its page: the same that an alert rule speaks of, as soon as it is so."""

from __future__ import annotations

import msgspec

from kuaixun.worker.witness import Parts

DEAD_SHARE = 0.01  # of the last headlines: KuaixunDeadLetters
LEAST_RECORDS = 1000  # or the window, where it is smaller: a share of fewer is chance


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One of them: its name in the page's words, a figure that goes with it, and what the worker says of it.

    `in_a_row` is how many dead letters came so, where it is their limit that speaks and not that of the share.
    """

    kind: str
    figure: float
    in_a_row: int = 0
    said: str = ""


def troubles(parts: Parts) -> list[Trouble]:
    """All that there are, the worst first."""
    found: list[Trouble] = []
    if (away_seconds := parts.outage_seconds) > 0:
        found.append(Trouble(kind="brokersAway", figure=round(away_seconds, 1)))
    limit = parts.limit
    if limit.error is not None:
        said = str(limit.error)
        found.append(Trouble(kind="limitReached", figure=limit.ratio, in_a_row=limit.run_reached, said=said))
    elif limit.is_near:
        in_a_row = limit.in_a_row if limit.is_run_near else 0
        found.append(Trouble(kind="limitNear", figure=limit.ratio, in_a_row=in_a_row))
    elif limit.ratio > DEAD_SHARE and limit.records >= min(LEAST_RECORDS, limit.limits.window):
        found.append(Trouble(kind="manyDeadLetters", figure=limit.ratio))
    if parts.reloads.refusal is not None:
        found.append(Trouble(kind="bundleRefused", figure=parts.reloads.refused, said=parts.reloads.refusal))
    return found
