"""How dear large weights are: tried from the strongest penalty down, each time going on from the weights found before.

With a penalty the objective is convex in the weights and has one minimum: there is no learning rate to choose, no
number of epochs and no first weights. A step of the history is one penalty.

Source of the method: Liu and Nocedal 1989, On the Limited Memory BFGS Method for Large Scale Optimization.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim.lbfgs import LBFGS

from kuaixun.trainer.evaluation.calibration import calibrated_loss
from kuaixun.trainer.fitting.objective import Batch, Objective
from kuaixun.trainer.fitting.training import LowestLoss
from kuaixun.trainer.fitting.watching import DevFigures, Watcher
from kuaixun.trainer.student.text_features import TextFeatures
from kuaixun.trainer.student.trial import Trial, TrialWeights

if TYPE_CHECKING:
    from kuaixun.export.student.textcnn import TextCNN
    from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
    from kuaixun.trainer.student.information import Loudness
    from kuaixun.trainer.student.ngram_counts import NgramCounts

# The weights' squares are added to the loss of all texts with these factors, halved: 1 is what scikit-learn's logistic
# regression does by default. Features are at most 1 here, as loud as they are.
PENALTIES = tuple(10 * 0.5**halvings for halvings in range(12))
PATIENCE = 3
# A later trial, most often of a larger student, has to lower the dev loss by this share: less is as likely chance.
LEAST_GAIN = 0.02
# And by this much, in nats: the mean of 500 dev texts moves as far where one text is half a nat surer. Of a loss near 0
# the share alone would be less than what one text does by chance.
LEAST_GAIN_NATS = 0.001
MOST_ITERATIONS = 200
LEAST_CHANGE = 1e-7


@dataclass(slots=True, eq=False)
class PenaltySearch:
    """Trials, one after the other: the module has the last weights, `lowest` the best, which are those of `best`."""

    module: TextCNN
    learnt: TextFeatures
    told: Batch
    objective: Objective
    loudness: Loudness
    dev: EncodedTexts
    dev_features: TextFeatures
    watcher: Watcher
    trials: int
    remembered: int
    lowest: LowestLoss = field(default_factory=LowestLoss)
    best: Trial | None = None
    step: int = 0
    loss: float = math.nan  # of the training texts, when it was last computed

    @property
    def steps(self) -> int:
        """Penalties of all trials: the most that there can be."""
        return self.trials * len(PENALTIES)

    def sweep(self, trial: Trial) -> Iterator[int]:
        """Fit to one penalty after another, until some were no better; yield how many there were in all.

        After the first trial weights count only where the dev loss is lower by enough: most are of a larger student.
        """
        at_most = math.inf
        if self.lowest.kept is not None:
            lowest = self.lowest.kept.figures.dev_loss
            at_most = min((1 - LEAST_GAIN) * lowest, lowest - LEAST_GAIN_NATS)
        counts = self.learnt.ngrams if trial.ngram_share else None
        weights, losses = TrialWeights.none_yet(self.module, len(counts.columns) if counts else 0), list[float]()
        for penalty in PENALTIES:
            try:
                self._minimise(weights, trial, penalty)
            except KeyboardInterrupt:
                # Of the first trial's way to its first minimum, too, what was learnt by then is worth keeping.
                if self.lowest.kept is None and weights.any_learnt():
                    self._measure(weights, trial, counts, at_most)
                raise
            self.step += 1
            self.watcher.stepped(self.step, self.steps, self.loss)
            dev_loss = self._measure(weights, trial, counts, at_most)
            yield self.step
            losses.append(dev_loss)
            if len(losses) - 1 - losses.index(min(losses)) >= PATIENCE:
                return

    def _measure(self, weights: TrialWeights, trial: Trial, counts: NgramCounts | None, at_most: float) -> float:
        """Put the weights into the module and look at dev; keep them where its loss, which is returned, is lowest."""
        weights.put_into(self.module, self.loudness, counts, trial)
        with torch.no_grad():
            logits = weights.logits(self.dev_features, trial, self.loudness).cpu()  # (dev texts, classes)
        accuracy = (logits.argmax(dim=1) == self.dev.label_ids).double().mean().item()
        dev_loss = calibrated_loss(logits, self.dev.label_ids)
        kept = self.lowest.kept
        hardly = kept is not None and at_most <= dev_loss < kept.figures.dev_loss
        figures = DevFigures(self.step, self.steps, self.loss, dev_loss, accuracy, lowest=False, hardly_lower=hardly)
        if dev_loss < at_most:
            figures = self.lowest.offer(figures, self.module)
        if figures.lowest:
            self.best = trial
        self.watcher.evaluated(figures)
        return dev_loss

    def _minimise(self, weights: TrialWeights, trial: Trial, penalty: float) -> None:
        """Bring the weights to the minimum, in place, telling the watcher of each look at the loss on the way."""
        optimizer = LBFGS(
            weights.all(),
            max_iter=MOST_ITERATIONS,
            tolerance_change=LEAST_CHANGE,
            history_size=self.remembered,
            line_search_fn="strong_wolfe",
        )

        objective = replace(self.objective, label_smoothing=trial.label_smoothing)

        def loss_and_gradient() -> Tensor:
            optimizer.zero_grad()
            loss = objective.loss(weights.logits(self.learnt, trial, self.loudness), self.told)
            squares = sum((one.square().sum() for one in weights.all() if one is not weights.bias), torch.tensor(0.0))
            total = loss + penalty / len(self.learnt.states) * squares / 2
            total.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            self.loss = loss.item()
            self.watcher.stepped(self.step, self.steps, self.loss)
            return total

        optimizer.step(loss_and_gradient)  # type: ignore[no-untyped-call]
        loss_and_gradient()  # the line search looks further than where it ends
