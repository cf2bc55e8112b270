"""The account of a run: every headline sent has its outcome, and at which price."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.chaos.inputs import PARTITIONS, TOMBSTONE, partition
from tests.chaos.windows import Repeat

LABELLED = "labelled"


@dataclass(frozen=True, slots=True)
class Output:
    """What a reader finds: of which input, what it is (`labelled`, TOMBSTONE, a dead letter's reason), and where."""

    number: int
    outcome: str
    topic: str
    partition: int
    model: str = ""
    label: str = ""


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
        self._serving: dict[int, str] = {}
        self.repeats: list[Repeat] = []
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
            self.repeats.append(Repeat(number, self._first_seconds[number], at_seconds))
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

    @property
    def first_seconds(self) -> Sequence[float]:
        """By input's number, when its first output came; 0 where none has come."""
        return self._first_seconds

    def all_labelled_by(self, model: str) -> bool:
        """Whether the latest event of each partition is this model's."""
        return [self._serving.get(lane) for lane in range(PARTITIONS)] == [model] * PARTITIONS

    def totals(self) -> dict[str, int]:
        """The run in figures. `wrong` counts outputs of the wrong kind and outputs that no input asked for."""
        return {
            "sent": self.sent,
            "consumed": self._answered,
            "labelled": self._kinds[LABELLED],
            "dead_lettered": self._kinds["dead_lettered"],
            "tombstones": self._kinds[TOMBSTONE],
            "lost": self.missing,
            "duplicated": len(self.repeats),
            "disordered": self._disordered,
            "wrong": self._wrong,
            "mislabelled": self._mislabelled,
        }

    @property
    def models(self) -> dict[str, int]:
        """How many events each model labelled."""
        return dict(self._models)

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
            self._serving[partition(output.number)] = output.model
            answer = self._label(output.model, output.number)
            if output.label != answer:
                self._mislabelled += 1
                self._example(f"the model says {answer}", output)

    def _example(self, what: str, output: Output) -> None:
        if len(self.examples) < 5:
            self.examples.append(f"{what}: {output}")
