"""Which of a teacher's parameters train, and how fast each of them moves."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim.adamw import AdamW

from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.teacher.classifiers import TeacherModel
from kuaixun.trainer.teacher.settings import ALL, GENERATIVE, HEAD, TeacherSettings

LAYER = re.compile(r"\.(?:layers?|h|block)\.(\d+)\.")
SHOWN_NAMES = 4


def choose_trainable(model: TeacherModel, settings: TeacherSettings) -> None:
    """Freeze what does not train; put adapters in where they train instead. The head always trains.

    Raises SettingError for a part that no parameter's name holds.
    """
    if settings.lora_rank:
        model.backbone = _with_adapters(model.backbone, settings)
        return
    names = [name for name, _ in model.backbone.named_parameters()]
    chosen = set(names) if settings.train_layers == ALL else matching(names, settings.train_layers)
    for name, parameter in model.backbone.named_parameters():
        parameter.requires_grad = name in chosen


def matching(names: Iterable[str], parts: str) -> set[str]:
    """The names that hold one of the parts, whole components in a row: layer.1 is not in layer.11.output.

    >>> sorted(matching(["layer.1.output.bias", "layer.11.output.bias"], "head,layer.1"))
    ['layer.1.output.bias']
    """
    names = list(names)
    chosen: set[str] = set()
    for part in (part.strip() for part in parts.split(",")):
        if part == HEAD:
            continue
        found = {name for name in names if part and f".{part}." in f".{name}."}
        if not found:
            raise SettingError(f"--train-layers: no parameter's name holds {part!r}; near it are {_near(part, names)}")
        chosen |= found
    return chosen


def optimizer_for(model: TeacherModel, settings: TeacherSettings) -> AdamW:
    """AdamW over what trains: biases and LayerNorm do not decay, lower layers move slower, the head at its own rate.

    Source of the layers' rates: Howard and Ruder 2018, Universal Language Model Fine-tuning, section 3.2.
    """
    layers = 1 + max((layer_of(name) or 0 for name, _ in model.backbone.named_parameters()), default=0)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = settings.head_learning_rate
        if name.startswith("backbone."):
            rate = settings.learning_rate * settings.layer_decay ** _layers_above(name, layers)
        decay = settings.weight_decay if parameter.ndim >= 2 else 0.0
        group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})
        group["params"].append(parameter)
    return AdamW(list(groups.values()))


def layer_of(name: str) -> int | None:
    """The number of the layer that a parameter belongs to, None for one outside the layers."""
    found = LAYER.search(f".{name}.")
    return int(found[1]) if found else None


def _layers_above(name: str, layers: int) -> int:
    number = layer_of(name)
    if number is not None:
        return layers - 1 - number
    return layers if "embeddings" in name or "wte" in name else 0


def _with_adapters(encoder: Any, settings: TeacherSettings) -> Any:
    import peft

    targets = [target.strip() for target in settings.lora_targets.split(",") if target.strip()]
    configuration = peft.LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.dropout,
        target_modules=targets or None,
        task_type=peft.TaskType.CAUSAL_LM if settings.kind == GENERATIVE else peft.TaskType.FEATURE_EXTRACTION,
    )
    try:
        with warnings.catch_warnings():
            # peft asks transformers by the old name of a property.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            # What it says it does is right: GPT-2 keeps its weights turned.
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to False but the target module", UserWarning)
            return peft.get_peft_model(encoder, configuration)
    except ValueError as error:
        linear = {name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)}
        near = sorted({name.rsplit(".", 1)[-1] for name in linear})
        reason = str(error).split("\n")[0][:200]
        raise SettingError(f"--lora-targets: {reason}; linear layers here are named {', '.join(near)}") from None


def _near(part: str, names: Iterable[str]) -> str:
    """Parts of names that look like what was asked for."""
    pieces = [name.split(".") for name in names]
    candidates = dict.fromkeys(
        ".".join(piece[start:end])
        for piece in pieces
        for start in range(len(piece))
        for end in range(start + 1, len(piece) + 1)
    )
    return ", ".join(difflib.get_close_matches(part, candidates, SHOWN_NAMES, 0.0))
