"""What a student of fixed filters says of its features: brought to its optimum, at the penalty that suits dev.

Where the features are fixed the objective is convex in the last layer and in the n-grams' class scores
(penalty_search.py). How much n-grams may say beside the words, how many words there are to be, and whether labels are
smoothed where that is asked for, dev chooses too. N-grams are worth twenty points where words are many and rare, as in
several languages at once, and cost some where a few words decide; smooth labels are better for three classes and
worse for twenty (docs/experiments.md).

Adam would move the weight of a word that stands in two texts as far as that of one in a thousand, and a few thousand
texts of many classes are then known by heart within three epochs (docs/experiments.md, small files).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from kuaixun.trainer.fitting.curriculum import TrainingTexts, epochs
from kuaixun.trainer.fitting.training import Fit, best_of
from kuaixun.trainer.fitting.watching import Watcher
from kuaixun.trainer.student.information import loudness_of
from kuaixun.trainer.student.keyword_filters import LEAST_WIDTH_OF_NEIGHBOURS, detecting_filters
from kuaixun.trainer.student.memory_plan import MemoryPlan
from kuaixun.trainer.student.penalty_search import PenaltySearch
from kuaixun.trainer.student.text_features import features_of, features_of_epoch, in_order
from kuaixun.trainer.student.trial import Trial

if TYPE_CHECKING:
    from kuaixun.export.student.textcnn import TextCNN
    from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
    from kuaixun.trainer.fitting.settings import FitSettings

# An n-gram counts as much as this of a word that says as much, each time that it stands in a text.
NGRAM_SHARES = (1.0, 0.25)
# Of more filters, all of one width and of single words, the first alone are tried before: the most telling ones.
FEW_FILTERS = 512
WHOLE = MemoryPlan()
# What has no part in such a fit: the course of a training by steps.
IDLE_SETTINGS = (
    "epochs",
    "batch_size",
    "learning_rate",
    "ngram_learning_rate",
    "weight_decay",
    "dropout",
    "branch_loss",
    "warm_up",
    "final_temperature",
    "evaluate_every_steps",
    "patience",
    "mixed_precision",
)


def only_last_layer_trains(module: TextCNN) -> bool:
    """Whether all else was kept from training, as by keyword_filters.py; n-grams may bring class scores of theirs."""
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    return trained - {"ngrams.table"} == {"linear.weight", "linear.bias"}


def fit_last_layer(
    module: TextCNN,
    train: TrainingTexts,
    dev: EncodedTexts,
    settings: FitSettings,
    watcher: Watcher,
    plan: MemoryPlan = WHOLE,
) -> Fit:
    """Fit the last layer, and n-grams' class scores, where they stand, to the objective of a first epoch.

    Of the settings count those of the objective and `transfer_rows`. Same data and device: same weights, but for the
    last bits of products, which some libraries round otherwise in another process. Filters that were better without
    have zeros in the last layer, and n-grams in the table. A KeyboardInterrupt ends the search with the best weights so
    far, which may be those on the way to the first minimum; before any it goes through. Raises FitError where the loss
    is no number.
    """
    module.eval()
    epoch = next(epochs(train, settings))
    device = module.linear.weight.device
    learnt, told = features_of_epoch(module, epoch, device, ngrams=plan.ngrams)
    dev_features = features_of(module, in_order(dev, device), len(dev), ngrams=plan.ngrams, like=learnt)
    loudness = loudness_of(learnt, told, module.linear.out_features)
    shares = (0.0,) if learnt.ngrams is None else (0.0, *NGRAM_SHARES)
    smoothing = epoch.objective.label_smoothing if epoch.objective.hears_labels(told) else 0.0
    trials = len(shares) + (_few_filters(module) < _filters(module)) + (smoothing > 0)
    search = PenaltySearch(
        module, learnt, told, epoch.objective, loudness, dev, dev_features, watcher, trials, plan.remembered
    )
    return best_of(
        _searched(search, shares, smoothing),
        search.lowest,
        search.steps,
        "the dev loss was never a number: the pretrained embeddings may be too large",
    )


def _searched(search: PenaltySearch, shares: tuple[float, ...], smoothing: float) -> Iterator[int]:
    """Words alone, with n-grams, and of what was best so far with more words and with labels as they are; yield how
    many penalties there were.
    """
    filters, few = _filters(search.module), _few_filters(search.module)
    for share in shares:
        yield from search.sweep(Trial(share, few, smoothing))
    if few < filters and search.best:
        yield from search.sweep(replace(search.best, filters=filters))
    if smoothing > 0 and search.best:
        yield from search.sweep(replace(search.best, label_smoothing=0.0))


def _few_filters(module: TextCNN) -> int:
    filters = _filters(module)
    widths = module.architecture.widths
    # Two neighbours say more than one word, and less often: a few of them would do worse than n-grams.
    if len(widths) > 1 or widths[0] >= LEAST_WIDTH_OF_NEIGHBOURS:
        return filters
    return min(filters, FEW_FILTERS)


def _filters(module: TextCNN) -> int:
    """Without those that detect nothing; one at least."""
    return max(detecting_filters(module), 1)
