"""What can be chosen about a teacher's fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass, fields

from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.number_ranges import expect_numbers, flag_of

KINDS = ENCODER, GENERATIVE = ("encoder", "generative")
HEADS = ("linear", "half", "mlp")
ALL, HEAD = "all", "head"
LORA_ALPHA = 16
MOST_EPOCHS = 10_000  # of more, the steps are soon a number that no computer counts to


@dataclass(frozen=True, slots=True)
class TeacherSettings:
    """How a teacher is fine-tuned. Raises SettingError for a number out of its range.

    `kind` is an encoder with a `head`, or a causal language model that follows an `instruction`, the standard one where
    it is empty. `train_layers` is `all`, `head`, or parts of parameter names, with commas between them, that train
    beside the head. `layer_decay` multiplies the learning rate once for each layer below the top. A `lora_rank` above 0
    trains adapters of that rank in place of the model's own weights, at `lora_targets` or where peft puts them for this
    kind of model. `patience` counts evaluations in a row without a lower dev loss.
    """

    kind: str = ENCODER
    head: str = "linear"
    instruction: str = ""
    train_layers: str = ALL
    lora_rank: int = 0
    lora_alpha: int = LORA_ALPHA
    lora_targets: str = ""
    max_tokens: int = 64
    epochs: float = 3.0
    batch_size: int = 32
    learning_rate: float = 5e-5
    head_learning_rate: float = 5e-4
    layer_decay: float = 1.0
    weight_decay: float = 0.01
    warm_up: float = 0.1
    dropout: float = 0.1
    label_smoothing: float = 0.0
    evaluate_every_steps: int = 500
    patience: int = 5
    seed: int = 1
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingError(f"--kind is {self.kind!r}; it must be one of {', '.join(KINDS)}")
        if self.instruction and self.kind != GENERATIVE:
            raise SettingError("--instruction is for a language model; pass --kind generative, or leave it away")
        if self.kind == GENERATIVE and (self.label_smoothing or self.head != "linear"):
            raise SettingError("--kind generative has no head and smooths no labels; leave both options away")
        if self.kind == GENERATIVE and self.train_layers == HEAD:
            raise SettingError("--kind generative has no head to train alone; name layers, or pass --lora-rank")
        if self.head not in HEADS:
            raise SettingError(f"--head is {self.head!r}; it must be one of {', '.join(HEADS)}")
        if self.lora_rank and self.train_layers != ALL:
            raise SettingError("--lora-rank trains adapters in all layers; leave --train-layers away")
        for name, idle in (("lora_targets", ""), ("lora_alpha", LORA_ALPHA)):
            if getattr(self, name) != idle and not self.lora_rank:
                raise SettingError(f"{flag_of(name)} without --lora-rank; pass the adapters' rank, such as 8")
        expect_numbers(self, "lora_rank", "seed", at_least=0)
        expect_numbers(self, "lora_alpha", "batch_size", "evaluate_every_steps", "patience", at_least=1)
        expect_numbers(self, "max_tokens", at_least=3)
        expect_numbers(self, "epochs", above=0, at_most=MOST_EPOCHS)
        expect_numbers(self, "learning_rate", "head_learning_rate", above=0)
        expect_numbers(self, "layer_decay", above=0, at_most=1)
        expect_numbers(self, "weight_decay", at_least=0)
        expect_numbers(self, "warm_up", "dropout", "label_smoothing", at_least=0, below=1)
        if self.seed >= 1 << 32:
            raise SettingError(f"--seed is {self.seed}; it must be below 2^32")


TEACHER_DEFAULTS = TeacherSettings()
TEACHER_NAMES = tuple(field.name for field in fields(TeacherSettings))
