"""What a run sends: the demo's headlines over and over, each with its number, poison and tombstones among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from kuaixun.worker.demo.headlines import TOMBSTONE, own_headlines, read_headlines

PARTITIONS = 4
KEYS = 100 * PARTITIONS


@dataclass(frozen=True, slots=True)
class Input:
    """`expected` is the reason of a dead letter, TOMBSTONE, or None where `title` is to be labelled."""

    value: bytes | None
    title: str
    expected: str | None


class Inputs:
    """Inputs by number, which are the same in each run. No two titles are the same; keys come again and again."""

    def __init__(self) -> None:
        self._headlines = read_headlines(own_headlines())
        self._round = len(self._headlines)

    def __getitem__(self, number: int) -> Input:
        headline = self._headlines[number % self._round]
        if headline.event is None:
            return Input(headline.payload, "", headline.expected)
        title = f"{headline.event['title']} {number}"
        return Input(msgspec.json.encode({**headline.event, "id": f"n{number}", "title": title}), title, None)

    def expected(self, number: int) -> str | None:
        """The outcome of an input: a dead letter's reason, TOMBSTONE, or None where it is to be labelled."""
        headline = self._headlines[number % self._round]
        return headline.expected if headline.event is None else None

    def titles(self, count: int) -> Iterator[str]:
        """The titles of the first inputs; empty where there is none to label."""
        return (self[number].title for number in range(count))


def key(number: int) -> bytes:
    """An input's key; inputs of one key go to one partition."""
    return b"k%d" % (number % KEYS)


def partition(number: int) -> int:
    """An input's partition."""
    return number % PARTITIONS


def offset(number: int) -> int:
    """Where an input stands in its partition, which nobody else writes to."""
    return number // PARTITIONS


__all__ = ["KEYS", "PARTITIONS", "TOMBSTONE", "Input", "Inputs", "key", "offset", "partition"]
