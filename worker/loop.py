"""The worker's loop: a headline's journey on one screen.

    1. consume   what has come by now, as much of it as `gathering` allows
    2. decode    } `labelling.BatchLabelling`: one outcome per record,
    3. classify  } in order; under load, while the batch before is sent
    4. produce   } a guarantee of `delivery/`, which sees to it that nothing is committed
    5. confirm   } before its outcome is on the broker
    6. commit    }

While the delivery is blocked a few batches are read at most, so that memory is bounded whatever waits on either side.
One thread does all of it but labelling ahead; the client's callbacks run inside `Source.batch` and `Sink.poll`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from kuaixun.worker.delivery.promise import Delivery, Pace
from kuaixun.worker.errors import WorkerError
from kuaixun.worker.gathering import Gathering
from kuaixun.worker.labelling import BatchLabelling
from kuaixun.worker.labelling_ahead import LabellingAhead
from kuaixun.worker.labels import Labels, Policy
from kuaixun.worker.records import Records
from kuaixun.worker.stop import Stop
from kuaixun.worker.streams import Source
from kuaixun.worker.witness import Handled

LOG = logging.getLogger(__name__)

AHEAD = 3  # how many batches may be read and wait, beside the one that is handed over
IDLE_SECONDS = 0.1  # how long a quiet topic may keep the loop from noticing a stop or a report


class Loop:
    """The loop over one source, with a delivery that is the source's GroupListener.

    `successor` is asked in each turn for a classifier that takes over from there on; `handled` is told of every batch
    once it is sent; `turned` of every turn, and whether the group has given this worker its share by then.
    """

    def __init__(
        self,
        source: Source,
        classifier: Labels,
        delivery: Delivery,
        *,
        policy: Policy,
        pace: Pace,
        stop: Stop,
        successor: Callable[[], Labels | None] = lambda: None,
        handled: Callable[[Handled], None] = lambda _batch: None,
        turned: Callable[[bool], None] = lambda _ready: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._classifier, self._delivery = source, classifier, delivery
        self._policy, self._stop, self._clock, self._monotonic = policy, stop, clock, monotonic
        self._gathering = Gathering(pace)
        self._ahead = LabellingAhead(self._read)
        self._successor, self._handled, self._turned = successor, handled, turned

    def run(self) -> None:
        """Label until asked to stop. Raises the WorkerError that ended it; commits what is confirmed either way."""
        with self._ahead:
            try:
                while not self._stop.requested:
                    self._step()
                self._delivery.finish()
            except BaseException:
                try:
                    self._delivery.leave()
                except WorkerError as error:  # what ended the worker is what there is to tell
                    LOG.warning("and it did not leave in order: %s", error)
                raise
            self._delivery.leave()

    def _step(self) -> None:
        """One turn."""
        records = Records()
        began_at = self._monotonic()
        max_records = self._gathering.max_records
        # 1. consume, or where the broker has to take something first, only go on with what comes after
        if self._delivery.blocked:
            self._source.stay(AHEAD * max_records)
            self._ahead.prepare()
        else:
            records = self._source.batch(max_records, self._gathering.max_delay_seconds, IDLE_SECONDS)
            read_at = self._monotonic()
            # 2. decode, 3. classify
            outcomes = self._ahead.outcomes(records)
            labelled_at = self._monotonic()
            self._delivery.counts.consumed += len(records)
        # On a quiet topic too, for the model that served until now is in memory as long.
        self._classifier = self._successor() or self._classifier
        if not self._ahead.is_at_work:
            self._ahead.begin(self._source.upcoming(max_records))
        if records:
            # 4. produce
            self._delivery.send(records, outcomes)
            sent_at = self._monotonic()
            self._gathering.took(len(records), sent_at - read_at)
            self._handled(Handled(records, outcomes, began_at, read_at, labelled_at, sent_at))
        # 5. confirm, 6. commit
        self._delivery.advance()
        self._turned(self._source.joined)

    def _read(self, records: Records) -> BatchLabelling:
        return BatchLabelling(records, self._classifier, self._policy, received_at=self._clock(), clock=self._clock)
