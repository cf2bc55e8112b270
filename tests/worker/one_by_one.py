"""What a sink of the tests does with a batch: it takes the messages one by one, as its `send` does."""

from __future__ import annotations

from functools import partial

from kuaixun.worker.messages import Outgoing, OutgoingColumns
from kuaixun.worker.streams import QueueFullError, Receipts, RefusedError, Report


class OneByOne:
    """A Sink's send_all by its send."""

    def send(self, message: Outgoing, report: Report) -> None:
        raise NotImplementedError

    def send_all(self, messages: OutgoingColumns, receipts: Receipts) -> None:
        for message in messages:
            try:
                self.send(message, partial(receipts.report, receipts.queued))
            except (QueueFullError, RefusedError):
                return
            receipts.queued += 1
