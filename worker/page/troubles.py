"""What is amiss with a worker, for its page: the same that an alert rule speaks of, as soon as it is so."""

from __future__ import annotations

import msgspec

from kuaixun.worker.witness import Parts

DEAD_SHARE = 0.01  # of the last headlines: KuaixunDeadLetters


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One of them: its name in the page's words, a figure that goes with it, and what the worker says of it."""

    kind: str
    figure: float
    said: str = ""


def troubles(parts: Parts) -> list[Trouble]:
    """All that there are, the worst first."""
    found: list[Trouble] = []
    if (away_seconds := parts.outage_seconds) > 0:
        found.append(Trouble(kind="brokersAway", figure=round(away_seconds, 1)))
    limit = parts.limit
    if limit.error is not None:
        found.append(Trouble(kind="limitReached", figure=limit.ratio, said=str(limit.error)))
    elif limit.is_near:
        found.append(Trouble(kind="limitNear", figure=limit.ratio))
    elif limit.ratio > DEAD_SHARE:
        found.append(Trouble(kind="manyDeadLetters", figure=limit.ratio))
    if parts.reloads.refusal is not None:
        found.append(Trouble(kind="bundleRefused", figure=parts.reloads.refused, said=parts.reloads.refusal))
    return found
