"""Fitting a module: encoded texts in, the weights with the lowest dev loss out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from kuaixun.trainer.errors import FitError
from kuaixun.trainer.evaluation.calibration import calibrated_loss
from kuaixun.trainer.fitting.batches import batches_by_length
from kuaixun.trainer.fitting.curriculum import TrainingTexts, epochs, steps_of
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.fitting.learning_rates import course, set_learning_rates
from kuaixun.trainer.fitting.objective import Batch, Objective
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.watching import DevFigures, Watcher

EVALUATION_BATCH = 500
RUNNING_STEPS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The end of a training: `state` is the module's state at the lowest dev loss, on the CPU."""

    state: dict[str, Tensor]
    best: DevFigures
    steps_done: int
    interrupted: bool


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """What is trained: `module` gives logits (batch, classes) of ids (batch, tokens).

    `loss_of` a batch is what the optimizers lower.
    """

    module: nn.Module
    loss_of: Callable[[Batch, Objective], Tensor]
    optimizers: Sequence[Optimizer]

    def step(self, batch: Batch, objective: Objective, device_type: str, *, mixed_precision: bool) -> float:
        """One forward and backward pass and one move of the parameters; returns the batch's mean loss."""
        self.module.train()
        with torch.autocast(device_type, torch.bfloat16, enabled=mixed_precision):
            loss = self.loss_of(batch, objective)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.item()


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Weights and the figures that they were measured at."""

    figures: DevFigures
    state: dict[str, Tensor]


class LowestLoss:
    """The weights with the lowest dev loss so far, and how many evaluations ago that was."""

    def __init__(self) -> None:
        self.kept: Kept | None = None
        self.evaluations_since = 0

    def offer(self, figures: DevFigures, module: nn.Module) -> DevFigures:
        """Keep the module's state if its loss is the lowest; says so in the figures returned."""
        if not figures.dev_loss < (self.kept.figures.dev_loss if self.kept else math.inf):  # NaN is never the lowest
            self.evaluations_since += 1
            return figures
        figures = replace(figures, lowest=True)
        state = {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
        # One assignment: Ctrl-C falls before or after it, and never pairs figures with the weights of others.
        self.kept = Kept(figures, state)
        self.evaluations_since = 0
        return figures


def fit_module(
    learner: Learner, train: TrainingTexts, dev: EncodedTexts, settings: FitSettings, watcher: Watcher
) -> Fit:
    """Train a learner where it stands, on its module's device.

    On a processor the same seed, data and threads give the same weights. On CUDA they need not: some of its sums are
    in another order each time.

    A KeyboardInterrupt ends the training with the best weights so far; before the first evaluation there are none,
    and it goes through. Raises FitError where no dev loss was a number.
    """
    lowest = LowestLoss()
    steps = _steps(learner, train, dev, settings, watcher, lowest)
    return best_of(steps, lowest, settings.patience, "the dev loss was never a number; lower --learning-rate")


def best_of(steps: Iterator[int], lowest: LowestLoss, patience: int, without_any: str) -> Fit:
    """Take steps, which offer their weights to `lowest`, until as many evaluations as `patience` were no better.

    A KeyboardInterrupt ends it with the best weights so far; before the first evaluation there are none, and it goes
    through. Raises FitError, saying `without_any`, where no loss was a number.
    """
    steps_done, interrupted = 0, False
    try:
        for steps_done in steps:  # noqa: B007  # the last one is told
            if lowest.evaluations_since >= patience:
                break
    except KeyboardInterrupt:
        interrupted = True
        if lowest.kept is None:
            raise
    if lowest.kept is None:
        raise FitError(without_any)
    return Fit(lowest.kept.state, lowest.kept.figures, steps_done, interrupted)


def _steps(
    learner: Learner,
    train: TrainingTexts,
    dev: EncodedTexts,
    settings: FitSettings,
    watcher: Watcher,
    lowest: LowestLoss,
) -> Iterator[int]:
    """Take one optimiser step at a time, evaluate where one is due, yield the number of steps taken."""
    device = next(learner.module.parameters()).device
    torch.manual_seed(settings.seed)  # dropout draws from the global generator
    steps = steps_of(train, settings)
    step, running = 0, 0.0
    for epoch in epochs(train, settings):
        for batch in epoch.batches(device):
            set_learning_rates(learner.optimizers, course(step, steps, settings.warm_up))
            loss = learner.step(batch, epoch.objective, device.type, mixed_precision=settings.mixed_precision)
            step += 1
            running += (loss - running) / min(step, RUNNING_STEPS)
            watcher.stepped(step, steps, running)
            if step % settings.evaluate_every_steps == 0 or step == steps:
                dev_loss, dev_accuracy = _loss_and_accuracy(learner.module, dev)
                figures = DevFigures(step, steps, running, dev_loss, dev_accuracy, lowest=False)
                watcher.evaluated(lowest.offer(figures, learner.module))
            yield step


def _loss_and_accuracy(module: nn.Module, data: EncodedTexts) -> tuple[float, float]:
    logits = logits_of(module, data)  # (n, classes)
    return calibrated_loss(logits, data.label_ids), (logits.argmax(dim=1) == data.label_ids).double().mean().item()


def logits_of(module: nn.Module, data: EncodedTexts) -> Tensor:
    """Logits (n, classes), on the CPU, in the order of `data`. Leaves the module in evaluation mode."""
    device = next(module.parameters()).device
    module.eval()
    batches = batches_by_length(data.tokens, EVALUATION_BATCH)
    with torch.inference_mode():
        found = [module(data.batch(rows, device)[0]).float().cpu() for rows in batches]
    logits = torch.empty(len(data), found[0].shape[1])  # (n, classes)
    logits[torch.cat(list(batches))] = torch.cat(found)
    return logits
