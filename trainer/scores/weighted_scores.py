"""A file of one teacher's scores, as it is named on a command line or in a run's file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WeightedScores:
    """The file and the weight of this teacher's word among the others'."""

    path: Path
    weight: float = 1.0
