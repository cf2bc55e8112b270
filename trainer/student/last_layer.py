"""What a student of fixed filters says of its features: brought to its optimum, at the penalty that suits dev.

Where the features are fixed the objective is convex in the last layer and in the n-grams' class scores, and with a
penalty for large weights it has one minimum: there is no learning rate to choose, no number of epochs and no first
weights. How dear large weights are is tried, from the strongest penalty down, each time going on from the weights found
before. A step of the history is one penalty.

How much n-grams may say beside the words, and how many words there are to be, dev chooses too. N-grams are worth
twenty points where words are many and rare, as in several languages at once, and cost some where a few words decide
(docs/experiments.md).

Adam would move the weight of a word that stands in two texts as far as that of one in a thousand, and a few thousand
texts of many classes are then known by heart within three epochs (docs/experiments.md, small files).

Source of the method: Liu and Nocedal 1989, On the Limited Memory BFGS Method for Large Scale Optimization.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lbfgs import LBFGS

from kuaixun.export.student.ngrams import ngram_hashes, owned_buckets
from kuaixun.trainer.evaluation.calibration import calibrated_loss
from kuaixun.trainer.fitting.curriculum import Epoch, TrainingTexts, epochs, texts_in_epoch
from kuaixun.trainer.fitting.objective import UNLABELLED, Batch, Objective
from kuaixun.trainer.fitting.training import EVALUATION_BATCH, Fit, LowestLoss, best_of
from kuaixun.trainer.fitting.watching import DevFigures, Watcher
from kuaixun.trainer.student.pooled_states import pooled_states

if TYPE_CHECKING:
    from kuaixun.export.student.textcnn import TextCNN
    from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
    from kuaixun.trainer.fitting.settings import FitSettings

# The weights' squares are added to the loss of all texts with these factors, halved: 1 is what scikit-learn's logistic
# regression does by default. Features are at most 1 here.
PENALTIES = tuple(10 * 0.5**halvings for halvings in range(12))
PATIENCE = 3
# A larger student has to lower the dev loss by this share: less is as likely chance.
LEAST_GAIN = 0.02
# An n-gram counts as much of a word as this, each time that it stands in a text.
NGRAM_SHARES = (0.25, 1.0)
# Of more filters, all of one width, the first alone are tried before: those of the most telling words.
FEW_FILTERS = 512
MOST_ITERATIONS = 200
REMEMBERED_GRADIENTS = 20
LEAST_CHANGE = 1e-7
MOST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Trial:
    """What one series of penalties is tried with: how loud n-grams are beside words, and how many filters count."""

    ngram_share: float
    filters: int


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """How often each n-gram stands in each text, and the same turned round: both sparse, by rows.

    Five hundred times fewer numbers than a dense matrix, and products faster than an embedding bag's by far.
    """

    columns: Tensor  # (n-grams,) their buckets, ascending
    matrix: Tensor  # (texts, n-grams)
    transposed: Tensor  # (n-grams, texts)

    @classmethod
    def of(cls, buckets: Tensor, columns: Tensor) -> _Counts:
        """Of buckets (texts, places); those that are no column do not count."""
        places = torch.searchsorted(columns, buckets)  # (texts, places)
        texts, found = torch.isin(buckets, columns).nonzero(as_tuple=True)  # (found,), (found,)
        indices = torch.stack([texts, places[texts, found]])  # (2, found)
        shape = (len(buckets), len(columns))
        ones = torch.ones(len(texts), device=buckets.device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse ")  # unchecked, and in beta
            matrix = torch.sparse_coo_tensor(indices, ones, shape).coalesce()
            return cls(columns, matrix.to_sparse_csr(), matrix.t().coalesce().to_sparse_csr())


class _Product(torch.autograd.Function):
    """Counts times scores (n-grams, classes): (texts, classes), with a gradient for the scores."""

    @staticmethod
    def forward(context: Any, counts: _Counts, scores: Tensor) -> Tensor:
        """Remember the counts, multiply."""
        context.counts = counts
        return counts.matrix @ scores

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[None, Tensor]:
        """Of the scores, (n-grams, classes)."""
        return None, context.counts.transposed @ gradient


@dataclass(frozen=True, slots=True, eq=False)
class _Features:
    """Of some texts: `states` (texts, features), the largest 1 in training, and how often each n-gram occurs."""

    states: Tensor
    ngrams: _Counts | None

    def logits(self, weights: _Weights, trial: Trial) -> Tensor:
        """(texts, classes)."""
        logits = F.linear(self.states[:, : trial.filters], weights.of_states[:, : trial.filters], weights.bias)
        if self.ngrams is None or weights.of_ngrams is None:
            return logits
        product: Tensor = _Product.apply(self.ngrams, weights.of_ngrams)  # type: ignore[no-untyped-call]
        return logits + trial.ngram_share * product


@dataclass(frozen=True, slots=True, eq=False)
class _Weights:
    """What is fitted: (classes, features), (classes,) and, where n-grams count, (n-grams, classes)."""

    of_states: Tensor
    bias: Tensor
    of_ngrams: Tensor | None

    @classmethod
    def none_yet(cls, module: TextCNN, ngrams: int) -> _Weights:
        """Zeros, where the module stands; of no n-grams there are none."""
        of_states, bias = module.linear.weight, module.linear.bias
        return cls(
            torch.zeros_like(of_states, requires_grad=True),
            torch.zeros_like(bias, requires_grad=True),
            of_states.new_zeros(ngrams, len(bias)).requires_grad_() if ngrams else None,
        )

    def all(self) -> list[Tensor]:
        """Those that there are."""
        return [self.of_states, self.bias] + ([] if self.of_ngrams is None else [self.of_ngrams])

    def put_into(self, module: TextCNN, largest: Tensor, counts: _Counts | None, trial: Trial) -> None:
        """Make the module say the same of features as they are; what had no part says nothing."""
        with torch.no_grad():
            module.linear.weight.zero_()
            module.linear.weight[:, : trial.filters] = self.of_states[:, : trial.filters] / largest
            module.linear.bias.copy_(self.bias)
            if module.ngrams is not None:
                module.ngrams.table.zero_()
                if self.of_ngrams is not None and counts is not None:
                    module.ngrams.table[counts.columns] = trial.ngram_share * self.of_ngrams


@dataclass(slots=True, eq=False)
class _Search:
    """Trials, one after the other: the module has the last weights, `lowest` the best, which are those of `best`."""

    module: TextCNN
    learnt: _Features
    told: Batch
    objective: Objective
    largest: Tensor
    dev: EncodedTexts
    dev_features: _Features
    watcher: Watcher
    steps: int
    lowest: LowestLoss = field(default_factory=LowestLoss)
    best: Trial | None = None
    step: int = 0

    def sweep(self, trial: Trial) -> Iterator[int]:
        """Fit to one penalty after another, until some were no better; yield how many there were in all.

        After the first trial weights count only where they gain something worth their room and time.
        """
        at_most = math.inf if self.lowest.kept is None else (1 - LEAST_GAIN) * self.lowest.kept.figures.dev_loss
        counts = self.learnt.ngrams if trial.ngram_share else None
        weights, losses = _Weights.none_yet(self.module, len(counts.columns) if counts else 0), list[float]()
        for penalty in PENALTIES:
            loss = self._minimise(weights, trial, penalty)
            self.step += 1
            self.watcher.stepped(self.step, self.steps, loss)
            weights.put_into(self.module, self.largest, counts, trial)
            with torch.no_grad():
                logits = self.dev_features.logits(weights, trial).cpu()  # (dev texts, classes)
            accuracy = (logits.argmax(dim=1) == self.dev.label_ids).double().mean().item()
            dev_loss = calibrated_loss(logits, self.dev.label_ids)
            figures = DevFigures(self.step, self.steps, loss, dev_loss, accuracy, lowest=False)
            if dev_loss < at_most:
                figures = self.lowest.offer(figures, self.module)
            if figures.lowest:
                self.best = trial
            self.watcher.evaluated(figures)
            yield self.step
            losses.append(dev_loss)
            if len(losses) - 1 - losses.index(min(losses)) >= PATIENCE:
                return

    def _minimise(self, weights: _Weights, trial: Trial, penalty: float) -> float:
        """Bring the weights to the minimum, in place; returns the loss there."""
        optimizer = LBFGS(
            weights.all(),
            max_iter=MOST_ITERATIONS,
            tolerance_change=LEAST_CHANGE,
            history_size=REMEMBERED_GRADIENTS,
            line_search_fn="strong_wolfe",
        )
        loss_there = 0.0

        def loss_and_gradient() -> Tensor:
            nonlocal loss_there
            optimizer.zero_grad()
            loss = self.objective.loss(self.learnt.logits(weights, trial), self.told)
            squares = sum((one.square().sum() for one in weights.all() if one is not weights.bias), torch.tensor(0.0))
            total = loss + penalty / len(self.learnt.states) * squares / 2
            total.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            loss_there = loss.item()
            return total

        optimizer.step(loss_and_gradient)  # type: ignore[no-untyped-call]
        loss_and_gradient()  # the line search looks further than where it ends
        return loss_there


def only_last_layer_trains(module: TextCNN) -> bool:
    """Whether all else was kept from training, as by keyword_filters.py; n-grams may bring class scores of theirs."""
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    return trained - {"ngrams.table"} == {"linear.weight", "linear.bias"}


def features_fit(module: TextCNN, train: TrainingTexts, settings: FitSettings) -> bool:
    """Whether the features of all texts of an epoch take no more than a gibibyte."""
    ngrams = len(module.ngrams.branch.orders) * train.labelled.ids.shape[1] if module.ngrams else 0
    return texts_in_epoch(train, settings) * (module.linear.in_features * 4 + ngrams * 8) <= MOST_BYTES


def fit_last_layer(
    module: TextCNN, train: TrainingTexts, dev: EncodedTexts, settings: FitSettings, watcher: Watcher
) -> Fit:
    """Fit the last layer, and n-grams' class scores, where they stand, to the objective of a first epoch.

    Of the settings count those of the objective and `transfer_rows`. Same data and device: same weights, but for the
    last bits of products, which some libraries round otherwise in another process. Filters that were better without
    have zeros in the last layer, and n-grams in the table. A KeyboardInterrupt ends the search with the best weights so
    far; before the first evaluation there are none, and it goes through. Raises FitError where the loss is no number.
    """
    module.eval()
    epoch = next(epochs(train, settings))
    learnt, told = _learnt(module, epoch, module.linear.weight.device)
    largest = learnt.states.max().clamp(min=1e-6)
    learnt.states.div_(largest)
    dev_features = _features(module, _in_order(dev, module.linear.weight.device), like=learnt)
    dev_features.states.div_(largest)
    trials = len(_beside_words(module)) + 1 + (_few_filters(module) < module.linear.in_features)
    steps = trials * len(PENALTIES)
    search = _Search(module, learnt, told, epoch.objective, largest, dev, dev_features, watcher, steps)
    return best_of(
        _searched(search),
        search.lowest,
        steps,
        "the dev loss was never a number: the pretrained embeddings may be too large",
    )


def _searched(search: _Search) -> Iterator[int]:
    """Words alone, with n-grams, and with more words what was best so far; yield how many penalties there were."""
    features, few = search.module.linear.in_features, _few_filters(search.module)
    for share in (0.0, *_beside_words(search.module)):
        yield from search.sweep(Trial(share, few))
    if few < features:
        yield from search.sweep(Trial(search.best.ngram_share if search.best else 0.0, features))


def _beside_words(module: TextCNN) -> tuple[float, ...]:
    return () if module.ngrams is None else NGRAM_SHARES


def _few_filters(module: TextCNN) -> int:
    features = module.linear.in_features
    return min(features, FEW_FILTERS) if len(module.convolutions) == 1 else features


def _learnt(module: TextCNN, epoch: Epoch, device: torch.device) -> tuple[_Features, Batch]:
    """The texts of an epoch as features, and what is said of them, without their ids."""
    batches = list(epoch.batches(device))
    features = _features(module, (batch.ids for batch in batches))
    classes = module.linear.out_features
    labels, teachers = [], []
    for batch in batches:
        texts = len(batch.ids)
        silent = torch.full((texts,), UNLABELLED, device=device)
        labels.append(silent if batch.label_ids is None else batch.label_ids)
        teachers.append(torch.zeros(texts, classes, device=device) if batch.teacher is None else batch.teacher)
    label_ids, teacher = torch.cat(labels), torch.cat(teachers)  # (texts,), (texts, classes)
    taught = any(batch.teacher is not None for batch in batches)
    return features, Batch(torch.empty(0, dtype=torch.int64), label_ids, teacher if taught else None)


def _features(module: TextCNN, batches: Iterable[Tensor], like: _Features | None = None) -> _Features:
    """States of batches of ids (batch, tokens), and counts of their n-grams, or of those that are counted in `like`."""
    states, buckets = [], []
    with torch.no_grad():
        for ids in batches:
            states.append(pooled_states(module, ids))  # (batch, features)
            if module.ngrams is not None:
                hashes = ngram_hashes(ids, module.ngrams.branch)  # (batch, orders * tokens)
                buckets.append(owned_buckets(hashes, module.ngrams.owners))  # (batch, orders * tokens)
    if module.ngrams is None:
        return _Features(torch.cat(states), None)
    most, none = max(one.shape[1] for one in buckets), len(module.ngrams.owners)
    found = torch.cat([F.pad(one, (0, most - one.shape[1]), value=none) for one in buckets])
    known = like.ngrams if like is not None else None
    columns = torch.unique(found[found < none]) if known is None else known.columns
    return _Features(torch.cat(states), _Counts.of(found, columns))


def _in_order(data: EncodedTexts, device: torch.device) -> Iterator[Tensor]:
    for rows in torch.split(torch.arange(len(data)), EVALUATION_BATCH):
        yield data.batch(rows, device)[0]
