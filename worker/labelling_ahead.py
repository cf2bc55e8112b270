"""Labelling what comes next while the batch before it is sent: the two share the time of a headline's journey.

A record's outcome follows from the record and the model, so it can be had before the record's turn. Whatever the group
or a transaction makes of the records meanwhile, only those that the source hands over are sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

from kuaixun.worker.labelling import BatchLabelling
from kuaixun.worker.outcomes import Outcomes
from kuaixun.worker.records import Records

MOST = 8  # batches, more than wait for their turn at once: of others, that nobody will ask for, the oldest go

_Read: TypeAlias = Callable[[Records], BatchLabelling]


@dataclass(slots=True)
class _Begun:
    batch: BatchLabelling
    classified: Future[None]
    outcomes: Outcomes | None = None

    def conclude(self) -> Outcomes:
        """Waits for the other thread where that is still at work."""
        if self.outcomes is None:
            self.classified.result()
            self.outcomes = self.batch.outcomes()
        return self.outcomes


class LabellingAhead:
    """Batches in the order in which they are likely to be asked for.

    One at a time is classified, in a thread of its own. `read` begins the labelling of a batch, and `prepare` ends it,
    where there is time before its turn: both in the caller's thread.
    """

    def __init__(self, read: _Read) -> None:
        self._read = read
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="labelling-ahead")
        self._begun: deque[_Begun] = deque(maxlen=MOST)
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    @property
    def is_at_work(self) -> bool:
        """Whether a batch is on its way, so that no other may be begun."""
        return bool(self._begun) and self._begun[-1].outcomes is None

    def begin(self, records: Records) -> None:
        """This batch is likely to be asked for after those that were begun with. Not while at work."""
        if records:
            batch = self._read(records)
            self._last = self._thread.submit(batch.classify)
            self._begun.append(_Begun(batch, self._last))

    def prepare(self) -> None:
        """Have the outcomes of all that was begun with. Raises what `BatchLabelling.outcomes` raises."""
        for one in self._begun:
            one.conclude()

    def outcomes(self, records: Records) -> Outcomes:
        """One outcome a record, in order. Raises what `BatchLabelling.outcomes` raises.

        What was begun with before this batch is no longer ours, or is read again: it is of no use any more.
        """
        while self._begun:
            one = self._begun.popleft()
            if one.batch.records is records:
                return one.conclude()
        if not records:
            return Outcomes()
        if self._last is not None:  # an engine labels one batch at a time
            wait([self._last])
        batch = self._read(records)
        batch.classify()
        return batch.outcomes()
