"""A trial of the last layer: which features count in it, how loud they are, and the weights that it finds for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from kuaixun.export.student.textcnn import TextCNN
    from kuaixun.trainer.student.information import Loudness
    from kuaixun.trainer.student.ngram_counts import NgramCounts
    from kuaixun.trainer.student.text_features import TextFeatures


@dataclass(frozen=True, slots=True)
class Trial:
    """What one series of penalties is tried with: how loud n-grams are beside words, how many filters count, and how
    smooth labels are.
    """

    ngram_share: float
    filters: int
    label_smoothing: float


@dataclass(frozen=True, slots=True, eq=False)
class TrialWeights:
    """What is fitted: (classes, features), (classes,) and, where n-grams count, (n-grams, classes)."""

    of_states: Tensor
    bias: Tensor
    of_ngrams: Tensor | None

    @classmethod
    def none_yet(cls, module: TextCNN, ngrams: int) -> TrialWeights:
        """Zeros, where the module stands; of no n-grams there are none."""
        of_states, bias = module.linear.weight, module.linear.bias
        return cls(
            torch.zeros_like(of_states, requires_grad=True),
            torch.zeros_like(bias, requires_grad=True),
            of_states.new_zeros(ngrams, len(bias)).requires_grad_() if ngrams else None,
        )

    def logits(self, features: TextFeatures, trial: Trial, loudness: Loudness) -> Tensor:
        """(texts, classes)."""
        logits = F.linear(features.states[:, : trial.filters], self._loud_states(trial, loudness), self.bias)
        loud_ngrams = self._loud_ngrams(trial, loudness)
        if features.ngrams is None or loud_ngrams is None:
            return logits
        return logits + features.ngrams.times(loud_ngrams)

    def all(self) -> list[Tensor]:
        """Those that there are."""
        return [self.of_states, self.bias] + ([] if self.of_ngrams is None else [self.of_ngrams])

    def any_learnt(self) -> bool:
        """Whether any is another than zero, as all are at first."""
        return any(bool(one.detach().any()) for one in self.all())

    def put_into(self, module: TextCNN, loudness: Loudness, counts: NgramCounts | None, trial: Trial) -> None:
        """Make the module say the same of features as they are; what had no part says nothing."""
        with torch.no_grad():
            module.linear.weight.zero_()
            module.linear.weight[:, : trial.filters] = self._loud_states(trial, loudness)
            module.linear.bias.copy_(self.bias)
            if module.ngrams is not None:
                module.ngrams.table.zero_()
                loud_ngrams = self._loud_ngrams(trial, loudness)
                if loud_ngrams is not None and counts is not None:
                    module.ngrams.table[counts.columns] = loud_ngrams

    def _loud_states(self, trial: Trial, loudness: Loudness) -> Tensor:
        """Those of features as they are: (classes, filters of the trial)."""
        return self.of_states[:, : trial.filters] * loudness.of_states[: trial.filters]

    def _loud_ngrams(self, trial: Trial, loudness: Loudness) -> Tensor | None:
        """Those of counts as they are: (n-grams, classes)."""
        if self.of_ngrams is None or loudness.of_ngrams is None:
            return None
        return self.of_ngrams * (trial.ngram_share * loudness.of_ngrams).unsqueeze(1)
