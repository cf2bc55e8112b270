"""A pre-training on its way, on disk: enough to go on as if it had never stopped.

The file `<output>.unfinished` lies beside the folder that the training will write. It is replaced whole, so that one of
two states is always readable; the finished model takes its place.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from kuaixun.trainer.errors import SettingError


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
    path: Path, progress: Progress, fingerprint: str, model: Mapping[str, Any], optimizer: Mapping[str, Any]
) -> None:
    """Replace the state. Raises OSError; the state before it stays."""
    fresh = path.with_name(f".{path.name}.fresh")  # one name, so that a killed save leaves one file at most
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            torch.save(
                {"progress": asdict(progress), "fingerprint": fingerprint, "model": model, "optimizer": optimizer}, file
            )
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def load_state(path: Path, fingerprint: str) -> tuple[Progress, dict[str, Any], dict[str, Any]]:
    """Progress, the model's state and the optimiser's. Raises SettingError for the state of another training.

    The file is read without running any code in it.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        progress = Progress(**{field.name: state["progress"][field.name] for field in fields(Progress)})
        model, optimizer, found = state["model"], state["optimizer"], state["fingerprint"]
    except FileNotFoundError:
        raise SettingError(f"--resume: there is no {path}; leave --resume away to begin") from None
    except (OSError, KeyError, TypeError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).split("\n")[0]
        raise SettingError(f"--resume: {path} cannot be read: {reason}; remove it to begin anew") from None
    if found != fingerprint:
        raise SettingError(
            f"--resume: {path} is of a training with other texts, shape or settings; repeat its options "
            f"(--steps and --minutes may change), or remove it to begin anew"
        )
    return progress, model, optimizer
