"""What the teachers say of each row, as a target for the student.

Several teachers become one by the weighted mean of their tempered probabilities, not of their logits. Its gradient is
the weighted mean of the gradients that each teacher alone would give, so a weight means what it says; a mean of logits
would be ruled by the teacher whose logits happen to spread the most. Hinton et al. 2015 (Distilling the Knowledge in a
Neural Network, section 2) allow either.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Silence:
    """No teacher's word of `rows` texts: rows of zeros in place of probabilities, which the objective leaves out."""

    rows: int
    classes: int

    def __len__(self) -> int:
        return self.rows

    def probabilities(self, temperature: float) -> Tensor:
        """Zeros (n, classes) float16, whatever the temperature."""
        return torch.zeros(self.rows, self.classes, dtype=torch.float16)


@dataclass(frozen=True, slots=True, eq=False)
class SoftTargets:
    """Each teacher's `logits` (n, classes) float16 for the same n texts, and its weight; the weights add up to 1."""

    logits: tuple[Tensor, ...]
    weights: tuple[float, ...]

    @classmethod
    def weighted(cls, logits: tuple[Tensor, ...], weights: tuple[float, ...]) -> SoftTargets:
        """Teachers by weights of any positive sum."""
        return cls(logits, tuple(weight / sum(weights) for weight in weights))

    def __len__(self) -> int:
        return len(self.logits[0])

    @property
    def classes(self) -> int:
        """Columns of the logits."""
        return self.logits[0].shape[1]

    def of_rows(self, rows: Tensor) -> SoftTargets:
        """The targets of the rows (m,) named, in that order."""
        return SoftTargets(tuple(logits[rows] for logits in self.logits), self.weights)

    def probabilities(self, temperature: float) -> Tensor:
        """The teachers' mean of softmax(logits / temperature): (n, classes) float16."""
        found = torch.empty(self.logits[0].shape, dtype=torch.float16)  # (n, classes)
        for start in range(0, len(self), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            found[rows] = sum(
                weight * torch.softmax(logits[rows].float() / temperature, dim=1)
                for logits, weight in zip(self.logits, self.weights, strict=True)
            )  # (chunk, classes)
        return found
