"""The last layer of a student whose filters stay as they are: brought to its optimum, at the penalty that suits dev.

Where the features are fixed the objective is convex in the last layer, and with a penalty for large weights it has one
minimum: there is no learning rate to choose, no number of epochs and no first weights. How dear large weights are is
tried, from the strongest penalty down, each time going on from the weights found before. A step of the history is one
penalty.

Adam would move the weight of a word that stands in two texts as far as that of one in a thousand, and a few thousand
texts of many classes are then known by heart within three epochs (docs/experiments.md, small files).

Source of the method: Liu and Nocedal 1989, On the Limited Memory BFGS Method for Large Scale Optimization.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lbfgs import LBFGS

from kuaixun.export.student.textcnn import TextCNN
from kuaixun.trainer.evaluation.calibration import calibrated_loss
from kuaixun.trainer.fitting.curriculum import Epoch, TrainingTexts, epochs, texts_in_epoch
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.fitting.objective import UNLABELLED, Batch
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.training import EVALUATION_BATCH, Fit, LowestLoss, best_of
from kuaixun.trainer.fitting.watching import DevFigures, Watcher
from kuaixun.trainer.student.pooled_states import pooled_states

# The weights' squares are added to the loss of all texts with these factors, halved: 1 is what scikit-learn's logistic
# regression does by default. Features are at most 1 here.
PENALTIES = tuple(10 * 0.5**halvings for halvings in range(12))
PATIENCE = 3
MOST_ITERATIONS = 200
MOST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class _Features:
    """`states` (texts, features), the largest of them 1, and what is to be said of the texts, without their ids."""

    states: Tensor
    told: Batch


def only_last_layer_trains(module: TextCNN) -> bool:
    """Whether all else was kept from training, as by keyword_filters.py, and there are no n-grams."""
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    return trained == {"linear.weight", "linear.bias"}


def features_fit(module: TextCNN, train: TrainingTexts, settings: FitSettings) -> bool:
    """Whether the features of all texts of an epoch take no more than a gibibyte."""
    return texts_in_epoch(train, settings) * module.linear.in_features * 4 <= MOST_BYTES


def fit_last_layer(
    module: TextCNN, train: TrainingTexts, dev: EncodedTexts, settings: FitSettings, watcher: Watcher
) -> Fit:
    """Fit the last layer where it stands, on the module's device, to the objective of a first epoch.

    Of the settings count those of the objective and `transfer_rows`. Same data and device: same weights. A
    KeyboardInterrupt ends the search with the best weights so far; before the first evaluation there are none, and it
    goes through. Raises FitError where the loss is no number.
    """
    lowest = LowestLoss()
    steps = _tried(module, train, dev, settings, watcher, lowest)
    return best_of(
        steps, lowest, PATIENCE, "the dev loss was never a number: the pretrained embeddings may be too large"
    )


def _tried(
    module: TextCNN,
    train: TrainingTexts,
    dev: EncodedTexts,
    settings: FitSettings,
    watcher: Watcher,
    lowest: LowestLoss,
) -> Iterator[int]:
    """Fit to one penalty after another, evaluate, yield how many there were."""
    module.eval()
    epoch = next(epochs(train, settings))
    device = module.linear.weight.device
    learnt = _features(module, epoch, device)
    largest = learnt.states.max().clamp(min=1e-6)
    learnt.states.div_(largest)
    dev_states = torch.cat(list(_states(module, _in_order(dev, device))))  # (dev texts, features)
    weight = torch.zeros_like(module.linear.weight, requires_grad=True)  # (classes, features)
    bias = torch.zeros_like(module.linear.bias, requires_grad=True)  # (classes,)
    for step, penalty in enumerate(PENALTIES, start=1):
        loss = _minimise(weight, bias, learnt, epoch, penalty)
        watcher.stepped(step, len(PENALTIES), loss)
        with torch.no_grad():
            module.linear.weight.copy_(weight / largest)
            module.linear.bias.copy_(bias)
            logits = module.linear(dev_states).cpu()  # (dev texts, classes)
        accuracy = (logits.argmax(dim=1) == dev.label_ids).double().mean().item()
        figures = DevFigures(step, len(PENALTIES), loss, calibrated_loss(logits, dev.label_ids), accuracy, lowest=False)
        watcher.evaluated(lowest.offer(figures, module))
        yield step


def _minimise(weight: Tensor, bias: Tensor, learnt: _Features, epoch: Epoch, penalty: float) -> float:
    """Bring weight (classes, features) and bias (classes,) to the minimum, in place; returns the loss there."""
    optimizer = LBFGS([weight, bias], max_iter=MOST_ITERATIONS, line_search_fn="strong_wolfe")
    loss_there = 0.0

    def loss_and_gradient() -> Tensor:
        nonlocal loss_there
        optimizer.zero_grad()
        loss = epoch.objective.loss(F.linear(learnt.states, weight, bias), learnt.told)
        total = loss + penalty / len(learnt.states) * weight.square().sum() / 2
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        loss_there = loss.item()
        return total

    optimizer.step(loss_and_gradient)  # type: ignore[no-untyped-call]
    loss_and_gradient()  # the line search looks further than where it ends
    return loss_there


def _features(module: TextCNN, epoch: Epoch, device: torch.device) -> _Features:
    """The texts of an epoch as one batch of features."""
    batches = list(epoch.batches(device))
    states = torch.cat(list(_states(module, (batch.ids for batch in batches))))  # (texts, features)
    classes = module.linear.out_features
    labels, teachers = [], []
    for batch in batches:
        texts = len(batch.ids)
        silent = torch.full((texts,), UNLABELLED, device=device)
        labels.append(silent if batch.label_ids is None else batch.label_ids)
        teachers.append(torch.zeros(texts, classes, device=device) if batch.teacher is None else batch.teacher)
    label_ids, teacher = torch.cat(labels), torch.cat(teachers)  # (texts,), (texts, classes)
    taught = any(batch.teacher is not None for batch in batches)
    no_ids = torch.empty(0, dtype=torch.int64)
    return _Features(states, Batch(no_ids, label_ids, teacher if taught else None))


def _in_order(data: EncodedTexts, device: torch.device) -> Iterator[Tensor]:
    for rows in torch.split(torch.arange(len(data)), EVALUATION_BATCH):
        yield data.batch(rows, device)[0]


def _states(module: TextCNN, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Pooled states (batch, features) of batches of ids (batch, tokens)."""
    with torch.no_grad():
        for ids in batches:
            yield pooled_states(module, ids)
