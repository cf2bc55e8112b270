"""A topic full of headlines, written as fast as the client can."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from kuaixun.worker.demo.headlines import own_headlines, read_headlines
from tests.benchmarks.failures import BenchmarkError
from tests.worker.topics import PARTITIONS, Topics

FLUSH_SECONDS = 600
VARIOUS = 20_000
MARKUP = set("<>&")
MOST_CHARACTERS = 100_000  # a broker takes no message beyond a megabyte
TRANSACTION_MS = 900_000  # the most that brokers grant; millions take longer to write than the client's own minute


def write_backlog(topics: Topics, count: int, texts: Path | None = None, *, all_at_once: bool = False) -> None:
    """Spread `count` headlines over the input's partitions. Blocks until all are confirmed.

    They are various ones, or those of a file: the first column of each line. `all_at_once` writes them in a
    transaction, so that none is seen before the last.
    """
    values = payloads(texts)
    if all_at_once:
        held = HeldBacklogs(topics, values)
        held.write(count)
        held.let_go()
        return
    _write(Producer(_properties(topics)), topics.input, values, count, PARTITIONS)


class HeldBacklogs:
    """Backlogs of one topic that follow one another, each written in a transaction and unseen until it is let go.

    Every call blocks until the broker has confirmed.
    """

    def __init__(self, topics: Topics, values: Sequence[bytes], partitions: int = PARTITIONS) -> None:
        of_transactions = {"transactional.id": topics.input, "transaction.timeout.ms": TRANSACTION_MS}
        self._producer = Producer({**_properties(topics), **of_transactions})
        self._producer.init_transactions()
        self._topic, self._values, self._partitions = topics.input, values, partitions

    def write(self, count: int) -> None:
        """Spread so many headlines over the partitions."""
        self._producer.begin_transaction()
        _write(self._producer, self._topic, self._values, count, self._partitions)

    def let_go(self) -> None:
        """Let what was written be seen, all at once."""
        self._producer.commit_transaction()


def _properties(topics: Topics) -> dict[str, Any]:
    return {
        "bootstrap.servers": topics.bootstrap,
        "compression.type": "lz4",
        "linger.ms": 20,
        "batch.size": 1_000_000,
        "queue.buffering.max.messages": 1_000_000,
    }


def _write(producer: Producer, topic: str, values: Sequence[bytes], count: int, partitions: int) -> None:
    for number, value in zip(range(count), itertools.cycle(values), strict=False):
        while True:
            try:
                producer.produce(topic, value, b"%d" % number, number % partitions)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 10_000 == 0:
            producer.poll(0)
    if producer.flush(FLUSH_SECONDS):
        raise BenchmarkError("the broker does not take the backlog")


def payloads(texts: Path | None = None) -> list[bytes]:
    """Raw events of various headlines, or of a file's."""
    return events(various_titles() if texts is None else titles_of(texts))


def various_titles() -> list[str]:
    """Made of the demo's few hundred: the beginning of one and the end of another, the dirty ones as they are.

    The demo's own over and over would be easier to read and to label than a stream is, for what comes soon again.
    """
    own = [str(one.event["title"]) for one in read_headlines(own_headlines()) if one.event is not None]
    clean = [title for title in own if not MARKUP & set(title)]
    drawn = random.Random(1)
    found = []
    for number in range(VARIOUS):
        title, other = own[number % len(own)], drawn.choice(clean)
        found.append(title if MARKUP & set(title) else title[: len(title) // 2] + other[len(other) // 2 :])
    return found


def titles_of(texts: Path) -> list[str]:
    """The first column of each line, but blank ones. Raises BenchmarkError for none, or one that no broker takes."""
    try:
        titles = [line.partition("\t")[0] for line in texts.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BenchmarkError(f"--texts {texts}: cannot be read: {reason}; name a file of a headline a line") from None
    if not any(map(str.strip, titles)):
        raise BenchmarkError(f"--texts {texts}: holds no headlines; write one a line")
    longest = max(titles, key=len)
    if len(longest) > MOST_CHARACTERS:
        line = titles.index(longest) + 1
        raise BenchmarkError(f"--texts {texts}, line {line}: {len(longest):,} characters; {MOST_CHARACTERS:,} at most")
    return list(filter(str.strip, titles))


def events(titles: Sequence[str]) -> list[bytes]:
    """A raw event of each title."""
    return [json.dumps({"id": f"n{i}", "title": title}, ensure_ascii=False).encode() for i, title in enumerate(titles)]
