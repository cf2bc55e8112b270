"""The account of a run: every headline sent has its outcome, and at which price."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.chaos.inputs import TOMBSTONE, partition

LABELLED = "labelled"
# What was written and not yet committed when a fault struck: commits are a second apart, on a machine that is busy.
UNCOMMITTED_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Output:
    """What a reader finds: of which input, what it is (`labelled`, TOMBSTONE, a dead letter's reason), and where."""

    number: int
    outcome: str
    topic: str
    partition: int
    model: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """From the strike of a fault until the group has caught up and settled again, in seconds of the run."""

    start_seconds: float
    end_seconds: float


class Account:
    """Inputs by number against the outputs, read as any consumer would; nothing that a worker says is believed.

    `expected` is what is to become of an input, None for a label; `label` a model's answer to it.
    """

    def __init__(
        self, inputs: int, expected: Callable[[int], str | None], label: Callable[[str, int], str | None]
    ) -> None:
        self._expected, self._label = expected, label
        self._outputs = array("H", bytes(2 * inputs))
        self._first_seconds = array("f", bytes(4 * inputs))
        self._latest: dict[tuple[str, int, int], int] = {}
        self._repeats: list[tuple[int, float]] = []
        self._kinds: Counter[str] = Counter()
        self._models: Counter[str] = Counter()
        self._wrong = self._mislabelled = self._disordered = self._answered = self._done_to = 0
        self.examples: list[str] = []
        self.sent = 0

    def receive(self, output: Output, at_seconds: float) -> None:
        """Enter an output; those of one topic and partition come in their order there.

        An output that comes again is no disorder; one that comes for the first time after a later one is.
        """
        number = output.number
        if not 0 <= number < self.sent:
            self._wrong += 1
            self._example("of no input", output)
            return
        self._check(output)
        self._outputs[number] += 1
        if self._outputs[number] > 1:
            self._repeats.append((number, at_seconds))
            return
        self._answered += 1
        self._first_seconds[number] = at_seconds
        expected = self._expected(number) or LABELLED
        self._kinds[expected if expected in (LABELLED, TOMBSTONE) else "dead_lettered"] += 1
        lane = (output.topic, output.partition, partition(number))
        if number < self._latest.get(lane, -1):
            self._disordered += 1
            self._example("out of order", output)
        self._latest[lane] = max(number, self._latest.get(lane, -1))

    @property
    def missing(self) -> int:
        """How many inputs have no output so far: once all is read, the lost ones."""
        return self.sent - self._answered

    @property
    def done_to(self) -> int:
        """All inputs before this one have their outcome."""
        while self._done_to < self.sent and self._outputs[self._done_to]:
            self._done_to += 1
        return self._done_to

    def totals(self, windows: Sequence[Window]) -> dict[str, int]:
        """The run in figures. `wrong` counts outputs of the wrong kind and outputs that no input asked for."""
        return {
            "sent": self.sent,
            "consumed": self._answered,
            "labelled": self._kinds[LABELLED],
            "dead_lettered": self._kinds["dead_lettered"],
            "tombstones": self._kinds[TOMBSTONE],
            "lost": self.missing,
            "duplicated": len(self._repeats),
            "duplicated_outside_faults": sum(not self._explained(*repeat, windows) for repeat in self._repeats),
            "disordered": self._disordered,
            "wrong": self._wrong,
            "mislabelled": self._mislabelled,
        }

    @property
    def models(self) -> dict[str, int]:
        """How many events each model labelled."""
        return dict(self._models)

    def repeated(self, count: int) -> list[tuple[int, float, float]]:
        """The first of the inputs whose outcome came again: number, and when it came first and again, in seconds."""
        return [
            (number, round(self._first_seconds[number], 1), round(again_seconds, 1))
            for number, again_seconds in self._repeats[:count]
        ]

    def lost(self, count: int) -> list[int]:
        """The first of the inputs without an outcome."""
        return [number for number in range(self.sent) if not self._outputs[number]][:count]

    def _check(self, output: Output) -> None:
        expected = self._expected(output.number) or LABELLED
        if output.outcome != expected:
            self._wrong += 1
            self._example(f"not {expected}", output)
        elif expected == LABELLED:
            self._models[output.model] += 1
            answer = self._label(output.model, output.number)
            if output.label != answer:
                self._mislabelled += 1
                self._example(f"the model says {answer}", output)

    def _explained(self, number: int, again_seconds: float, windows: Sequence[Window]) -> bool:
        """Whether an input may have come twice: in a fault's window, and not committed yet when that struck."""
        first_seconds = self._first_seconds[number]
        return any(
            window.start_seconds - UNCOMMITTED_SECONDS <= first_seconds
            and window.start_seconds <= again_seconds <= window.end_seconds
            for window in windows
        )

    def _example(self, what: str, output: Output) -> None:
        if len(self.examples) < 5:
            self.examples.append(f"{what}: {output}")
