"""What a baseline says of dev and test, and the record of how well it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from kuaixun.schemas.manifest import DataFile
from kuaixun.trainer.data.labelled_texts import DataSplit
from kuaixun.trainer.evaluation.figures import Evaluation, evaluate


@dataclass(frozen=True, slots=True, eq=False)
class Guesses:
    """A label id and a confidence for each row of a file, both (n,); a negative label id is none."""

    label_ids: NDArray[np.int64]
    confidences: NDArray[np.float64]


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """One baseline: its name, what was set or chosen on dev, its figures. `test` is None where no file was given."""

    name: str
    settings: dict[str, str | int | float]
    dev: Evaluation
    test: Evaluation | None


class Baselines(msgspec.Struct, frozen=True, kw_only=True):
    """The content of baseline.json."""

    command: str
    labels: tuple[str, ...]
    data: tuple[DataFile, ...]
    baselines: tuple[Baseline, ...]


def measured(
    name: str, settings: dict[str, str | int | float], split: DataSplit, guesses: Mapping[str, Guesses]
) -> Baseline:
    """Compare the guesses for each role with its labels."""
    evaluations = {
        role: evaluate(
            data.label_ids,
            guesses[role].label_ids,
            guesses[role].confidences,
            data.labels,
            texts=data.texts,
            training_texts=split.train.texts,
        )
        for role, data in split.parts.items()
        if role != "train"
    }
    return Baseline(name=name, settings=settings, dev=evaluations["dev"], test=evaluations.get("test"))
