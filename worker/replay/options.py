"""The flags of `kuaixun-worker replay` beside the settings, and what the operator asks for by them."""

from __future__ import annotations

import argparse
from datetime import datetime

from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker.replay.selection import MAX_REPLAYS, Request, Selection


def add_replay_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags that say what to replay."""
    asked = parser.add_argument_group("what to replay")
    asked.add_argument(
        "--reason",
        action="append",
        choices=[reason.value for reason in DeadLetterReason],
        help="only letters of this reason; may be given several times",
    )
    asked.add_argument("--since", type=_time_ms, metavar="TIME", help="only letters from this time on")
    asked.add_argument("--until", type=_time_ms, metavar="TIME", help="only letters before this time")
    asked.add_argument(
        "--max-replays",
        type=_positive,
        default=MAX_REPLAYS,
        metavar="N",
        help="leave letters that were replayed in vain as often as this; default %(default)s",
    )
    asked.add_argument("--rate", type=_rate, metavar="N", help="replay no more than N letters a second")
    asked.add_argument("--dry-run", action="store_true", help="label and count, and write nothing")
    asked.add_argument("--json", action="store_true", help="print the summary as one line of JSON")


def request_of(parsed: argparse.Namespace) -> Request:
    """The request among the parsed arguments."""
    selection = Selection(
        reasons=frozenset(map(DeadLetterReason, parsed.reason or DeadLetterReason)),
        since_ms=parsed.since,
        until_ms=parsed.until,
        max_replays=parsed.max_replays,
    )
    return Request(selection, letters_per_second=parsed.rate, dry_run=parsed.dry_run)


# What is refused is not repeated in any message, for it may be a secret that lost its place.


def _time_ms(text: str) -> int:
    """A time with its zone, in milliseconds of the epoch.

    >>> _time_ms("1970-01-01T08:00:01+08:00")
    1000
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("no time such as 2026-05-06T09:30:00+08:00") from None
    if time.tzinfo is None:
        raise argparse.ArgumentTypeError("the time has no zone; write it as in 2026-05-06T09:30:00+08:00 or …Z")
    return round(time.timestamp() * 1000)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("no whole number from 1 on")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError("no number above 0")
    return rate
