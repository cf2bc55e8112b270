"""Classifying what comes next while the batch before it is sent: the two share the time of a headline's journey.

A record's outcome follows from the record and the model, so it can be had before the record's turn. Whatever the group
or a transaction makes of the records meanwhile, only those that the source hands over are sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

from kuaixun.worker.labelling import BatchLabelling, Outcome
from kuaixun.worker.streams import Record

_Read: TypeAlias = Callable[[Sequence[Record]], BatchLabelling]


class _Begun(NamedTuple):
    batch: BatchLabelling
    classified: Future[None]


class LabellingAhead:
    """One batch at most is classified ahead, in a thread of its own, and nothing else is classified meanwhile.

    `read` begins the labelling of a batch. What the interpreter does for one stays with the caller's thread.
    """

    def __init__(self, read: _Read) -> None:
        self._read = read
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="labelling-ahead")
        self._begun: _Begun | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    @property
    def size(self) -> int:
        """How many records have been begun with and not been asked for; with none, nothing is under way."""
        return len(self._begun.batch.records) if self._begun is not None else 0

    def begin(self, records: Sequence[Record]) -> None:
        """These are likely to be asked for next. Not while others are."""
        if records:
            batch = self._read(records)
            self._begun = _Begun(batch, self._thread.submit(batch.classify))

    def outcomes(self, records: Sequence[Record]) -> list[Outcome]:
        """One outcome a record, in order. Raises what `BatchLabelling.outcomes` raises."""
        begun, self._begun = self._begun, None
        if begun is None:
            return self._label(records)
        begun.classified.result()
        count = len(begun.batch.records)
        if records[:count] != begun.batch.records:
            return self._label(records)
        return begun.batch.outcomes() + self._label(records[count:])

    def _label(self, records: Sequence[Record]) -> list[Outcome]:
        if not records:
            return []
        batch = self._read(records)
        batch.classify()
        return batch.outcomes()
