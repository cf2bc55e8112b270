"""What can be chosen about a pre-training, and the course of its learning rate."""

from __future__ import annotations

from dataclasses import dataclass

from kuaixun.trainer.encoder.pretraining_state import Progress
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.number_ranges import expect_numbers

LOWEST_SHARE = 0.02  # of the learning rate, where its rise begins and its fall ends


@dataclass(frozen=True, slots=True)
class PretrainSettings:
    """How a model is pre-trained. Raises SettingError for a number out of its range.

    The training ends after `steps`, or after `minutes` of training, those before an interruption included: one of the
    two is None. The learning rate rises in the share `warm_up` of the training and falls linearly to the end.
    `batch_tokens` is the size of a batch, specials included. `hidden_share` of the tokens are hidden.
    `mixed_precision` computes in bfloat16.
    """

    steps: int | None = None
    minutes: float | None = None
    batch_tokens: int = 4096
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    warm_up: float = 0.05
    hidden_share: float = 0.25
    gradient_norm: float = 1.0
    evaluate_every_steps: int = 500
    save_every_steps: int = 1000
    seed: int = 1
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise SettingError("--steps and --minutes: pass one of the two, to say when the training ends")
        expect_numbers(self, "learning_rate", "gradient_norm", "minutes", above=0)
        expect_numbers(self, "weight_decay", at_least=0)
        expect_numbers(self, "warm_up", at_least=0, below=1)
        expect_numbers(self, "hidden_share", above=0, below=1)

    def done(self, progress: Progress) -> float:
        """The share of the training that lies behind: 1 at its end."""
        if self.steps is not None:
            return progress.step / self.steps if self.steps else 1.0
        return progress.elapsed_seconds / 60 / (self.minutes or 1)

    def learning_rate_at(self, progress: Progress) -> float:
        """The learning rate of the next step."""
        done = self.done(progress)
        rise = min(1.0, max(LOWEST_SHARE, done / self.warm_up)) if self.warm_up else 1.0
        return self.learning_rate * rise * max(LOWEST_SHARE, 1 - done)
