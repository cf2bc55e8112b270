"""A model swapped behind its link, and whether the workers that run are seen to take it up."""

from __future__ import annotations

from collections.abc import Sequence

from tests.chaos.account import Account
from tests.chaos.models import Models
from tests.chaos.workers import Worker

RELOAD_SECONDS = 60.0  # a worker looks once a second; the rest is to open the bundle on a machine that is busy


class Swap:
    """The swap itself, at once. `seen` once the latest event of every partition is the new model's.

    For a group that is whole and labels all partitions: as no process has been started since, each has reloaded. Where
    one was, by its supervisor, the model is swapped again and the wait begins anew.
    """

    def __init__(self, models: Models, account: Account, crew: Sequence[Worker], at_seconds: float) -> None:
        self._models, self._account, self._crew = models, account, crew
        self.seen = False
        self._swap(at_seconds)

    def over(self, at_seconds: float) -> bool:
        """Whether it is seen, or waited for in vain."""
        if self._starts() != self._starts_before:
            if all(worker.whole for worker in self._crew if worker.at_work):
                self._swap(at_seconds)
            return False
        self.seen = self._account.all_labelled_by(self._model)
        return self.seen or at_seconds - self._at_seconds > RELOAD_SECONDS

    def _swap(self, at_seconds: float) -> None:
        self._model, self._at_seconds, self._starts_before = self._models.swap(), at_seconds, self._starts()

    def _starts(self) -> int:
        return sum(worker.starts for worker in self._crew)
