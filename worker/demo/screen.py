"""What the demo shows while headlines go by: the part that terminal and plain output share."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Protocol

from kuaixun.worker.demo.ledger import Arrival, Ledger


@dataclass(frozen=True, slots=True)
class Stage:
    """Who plays: fixed before the first headline.

    `planned` is the number of records to be sent, `by_user` whether they are the user's own, `page` the address of the
    worker's page.
    """

    planned: int
    labels: tuple[str, ...]
    model: str
    engine: str
    broker: str
    by_user: bool = False
    page: str = ""


class Screen(Protocol):
    """Where the demo's audience looks. Nothing here blocks longer than writing to the terminal does."""

    def note(self, text: str) -> None:
        """Say what is being waited for."""

    def show(self, arrival: Arrival) -> None:
        """One headline has come back."""

    def refresh(self, ledger: Ledger, seconds: float) -> None:
        """The counts now, `seconds` after the first headline was sent. Called many times a second."""

    def close(self) -> None:
        """Leave the terminal as it was; what was shown last stays. May be called twice."""


def readable(text: str) -> str:
    """A text as one line of printable characters: what would move the cursor or take no cell is left out.

    >>> readable("a\\x1b[2J\\u200bb\\n c")
    'a[2Jb c'
    """
    printable = (" " if char.isspace() else char for char in text if char.isspace() or _takes_a_cell(char))
    return " ".join("".join(printable).split())


def _takes_a_cell(char: str) -> bool:
    """Control, format, surrogate and private characters and variation selectors do not, or not on every terminal."""
    return unicodedata.category(char)[0] != "C" and not "\ufe00" <= char <= "\ufe0f"
