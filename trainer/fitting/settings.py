"""What can be chosen about a training: the student's shape is the manifest's `Architecture`, the rest stands here."""

from __future__ import annotations

from dataclasses import dataclass, fields

from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.number_ranges import expect_numbers


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How the student is fitted. Raises SettingError for a number out of its range.

    `epochs` is the length of the learning rate's course, and the most that is trained: patience may end it earlier.
    `patience` counts evaluations in a row without a lower dev loss. `branch_loss` is the weight of the losses that
    convolutions and n-grams have by themselves, beside that of their sum. `warm_up` is the share of all steps in
    which the learning rate rises. `alpha` and `temperature` are those of the objective (see objective.py) and count
    where there is a teacher; the temperature falls, epoch by epoch, to `final_temperature`, where that is given.
    `transfer_rows` of the transfer set are met in an epoch, None for all. `mixed_precision` computes the forward pass
    in bfloat16, looks at dev on the way in single precision; a network is then measured, and scores, in bfloat16 too.
    """

    epochs: int = 4
    batch_size: int = 128
    learning_rate: float = 2e-3
    ngram_learning_rate: float = 4e-4
    weight_decay: float = 0.01
    dropout: float = 0.3
    branch_loss: float = 0.7
    warm_up: float = 0.05
    label_smoothing: float = 0.1
    alpha: float = 0.8
    temperature: float = 2.0
    final_temperature: float | None = None
    transfer_rows: int | None = None
    evaluate_every_steps: int = 700
    patience: int = 5
    seed: int = 1
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        expect_numbers(self, "epochs", "batch_size", "evaluate_every_steps", "patience", "transfer_rows", at_least=1)
        expect_numbers(self, "learning_rate", "ngram_learning_rate", "temperature", "final_temperature", above=0)
        expect_numbers(self, "weight_decay", at_least=0)
        expect_numbers(self, "dropout", "branch_loss", "warm_up", "label_smoothing", at_least=0, below=1)
        expect_numbers(self, "alpha", at_least=0, at_most=1)
        if self.final_temperature is not None and self.final_temperature > self.temperature:
            raise SettingError(
                f"--final-temperature is {self.final_temperature}; the temperature falls, so it must be at most that "
                f"of the first epoch, --temperature {self.temperature}"
            )
        if not 0 <= self.seed < 1 << 63:
            raise SettingError(f"--seed is {self.seed}; it must be at least 0 and below 2^63")


FIT_DEFAULTS = FitSettings()
FIT_NAMES = tuple(field.name for field in fields(FitSettings))
