"""A pre-training on its way, on disk: enough to go on as if it had never stopped.

The file `<output>.unfinished` lies beside the folder that the training will write. It is replaced whole, so that one of
two states is always readable; the finished model takes its place.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from kuaixun.trainer.errors import SettingError

# What follows from the device where it is not given, and how to have it as it was on another.
OF_THE_DEVICE = {
    "--batch-tokens": " (its default depends on the device: give it)",
    "--mixed-precision": " (a GPU always has it: give it on a CPU, or go on without it by --device cpu)",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is: steps taken, in pass `pass_number` (from 0) batches met, tokens, training time."""

    step: int = 0
    pass_number: int = 0
    batches_met: int = 0
    tokens: int = 0
    elapsed_seconds: float = 0.0


def state_file(output: Path) -> Path:
    """Where the state of the training that writes `output` lies."""
    return output.with_name(f"{output.name}.unfinished")


def save_state(
    path: Path, progress: Progress, made_from: Mapping[str, str], model: Mapping[str, Any], optimizer: Mapping[str, Any]
) -> None:
    """Replace the state; `made_from` is what a training that goes on must share. Raises OSError; the old one stays."""
    fresh = path.with_name(f".{path.name}.fresh")  # one name, so that a killed save leaves one file at most
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            torch.save(
                {"progress": asdict(progress), "made_from": made_from, "model": model, "optimizer": optimizer}, file
            )
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def load_state(path: Path, made_from: Mapping[str, str]) -> tuple[Progress, dict[str, Any], dict[str, Any]]:
    """Progress, the model's state and the optimiser's. Raises SettingError for the state of another training, naming
    what of `made_from` differs.

    The file is read without running any code in it.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        progress = Progress(**{field.name: state["progress"][field.name] for field in fields(Progress)})
        model, optimizer, found = state["model"], state["optimizer"], dict(state["made_from"])
    except FileNotFoundError:
        raise SettingError(f"--resume: there is no {path}; leave --resume away to begin") from None
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).split("\n")[0]
        raise SettingError(f"--resume: {path} cannot be read: {reason}; remove it to begin anew") from None
    if found != made_from:
        raise SettingError(
            f"--resume: {path} is of another training: {', '.join(_differences(found, made_from))}; repeat its options "
            "(--steps and --minutes may change), or remove it to begin anew"
        )
    return progress, model, optimizer


def _differences(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """What the two were not both made from: options by both values, all else by its name."""
    for name in dict.fromkeys((*then, *now)):
        if then.get(name) != now.get(name):
            values = f"{name} was {then.get(name)}, and is {now.get(name)}{OF_THE_DEVICE.get(name, '')}"
            yield values if name.startswith("--") else f"other {name}"
