"""A training as those see it who follow it: its figures on the way, and who is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DevFigures:
    """One evaluation on the way. `training_loss` is a running mean; `lowest` says that the weights were kept.

    `hardly_lower` says that they were not, though the loss is lower than that of those kept: by too little to count.

    `dev_loss` is a student's or a network's of calibrated probabilities, as they will be served; a teacher's
    cross-entropy as it is; a pre-training's over the hidden places of what was held out.
    """

    step: int
    steps: int
    training_loss: float
    dev_loss: float
    dev_accuracy: float
    lowest: bool
    hardly_lower: bool = False


class Watcher(Protocol):
    """Whoever follows a training. Called in the training's own thread; what it raises ends the training."""

    def stepped(self, step: int, steps: int, training_loss: float) -> None:
        """After every step; within a long one too, with the number of those that are done and the loss by then."""

    def evaluated(self, figures: DevFigures) -> None:
        """After every evaluation."""
