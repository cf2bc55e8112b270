"""What is amiss with a worker, for its page: the same that an alert rule speaks of, as soon as it is so."""

from __future__ import annotations

import msgspec

from kuaixun.worker.witness import Parts


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One of them: its name in the page's words, a figure that goes with it, and what the worker says of it.

    `in_a_row` is how many dead letters came so, where it is their limit that speaks and not that of the share.
    """

    kind: str
    figure: float
    in_a_row: int = 0
    said: str = ""


def troubles(away_seconds: float, parts: Parts | None) -> list[Trouble]:
    """All that there are, the worst first; of a worker that is not put together yet, how long the brokers are away."""
    found: list[Trouble] = []
    if away_seconds > 0:
        found.append(Trouble(kind="brokersAway", figure=round(away_seconds, 1)))
    if parts is None:
        return found
    limit = parts.limit
    if limit.error is not None:
        said = str(limit.error)
        found.append(Trouble(kind="limitReached", figure=limit.ratio, in_a_row=limit.run_reached, said=said))
    elif limit.is_near:
        in_a_row = limit.in_a_row if limit.is_run_near else 0
        found.append(Trouble(kind="limitNear", figure=limit.ratio, in_a_row=in_a_row))
    elif limit.is_felt:
        found.append(Trouble(kind="manyDeadLetters", figure=limit.ratio))
    if parts.reloads.refusal is not None:
        found.append(Trouble(kind="bundleRefused", figure=parts.reloads.refused, said=parts.reloads.refusal))
    return found
