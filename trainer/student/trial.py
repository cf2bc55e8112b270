"""A trial of the last layer: which features count in it, how loud they are, and the weights that it finds for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from kuaixun.export.student.textcnn import TextCNN
    from kuaixun.trainer.student.ngram_counts import NgramCounts
    from kuaixun.trainer.student.text_features import TextFeatures


@dataclass(frozen=True, slots=True)
class Trial:
    """What one series of penalties is tried with: how loud n-grams are beside words, and how many filters count."""

    ngram_share: float
    filters: int


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

    def logits(self, features: TextFeatures, trial: Trial) -> Tensor:
        """(texts, classes)."""
        logits = F.linear(features.states[:, : trial.filters], self.of_states[:, : trial.filters], self.bias)
        if features.ngrams is None or self.of_ngrams is None:
            return logits
        return logits + trial.ngram_share * features.ngrams.times(self.of_ngrams)

    def all(self) -> list[Tensor]:
        """Those that there are."""
        return [self.of_states, self.bias] + ([] if self.of_ngrams is None else [self.of_ngrams])

    def any_learnt(self) -> bool:
        """Whether any is another than zero, as all are at first."""
        return any(bool(one.detach().any()) for one in self.all())

    def put_into(self, module: TextCNN, largest: Tensor, counts: NgramCounts | None, trial: Trial) -> None:
        """Make the module say the same of features as they are; what had no part says nothing."""
        with torch.no_grad():
            module.linear.weight.zero_()
            module.linear.weight[:, : trial.filters] = self.of_states[:, : trial.filters] / largest
            module.linear.bias.copy_(self.bias)
            if module.ngrams is not None:
                module.ngrams.table.zero_()
                if self.of_ngrams is not None and counts is not None:
                    module.ngrams.table[counts.columns] = trial.ngram_share * self.of_ngrams
