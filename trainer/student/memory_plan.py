"""What to fit a last layer takes of memory, and how it is done with less: known before anything is computed.

What grows with the classes are the weights, of which L-BFGS holds two copies for each gradient that it remembers: a
shorter memory costs iterations, and leads to the same optimum. N-grams are by far the most of them. What grows with the
texts are features and class scores, and where those find no room the training goes by steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kuaixun.export.student.ngrams import NOBODY
from kuaixun.trainer.fitting.curriculum import TrainingTexts, texts_in_epoch

if TYPE_CHECKING:
    from kuaixun.export.student.textcnn import TextCNN
    from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
    from kuaixun.trainer.fitting.settings import FitSettings

# The same on every machine, so that the same data makes the same student.
MOST_BYTES = 4 << 30
# The first is what is best where there is room.
REMEMBERED_GRADIENTS = (20, 10, 5)
# Beside those that are remembered: weights, how loud they count, squares, gradients and directions of a search along a
# line; measured.
FURTHER_COPIES = 24
# Logits, what becomes of them in the loss, and the gradients of all these.
COPIES_OF_SCORES = 8
# While counts are sorted into rows and, once more, into columns.
NGRAM_BYTES = 100
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How many gradients are remembered, and whether n-grams count where the student has some."""

    remembered: int = REMEMBERED_GRADIENTS[0]
    ngrams: bool = True


PLANS = tuple(MemoryPlan(remembered, ngrams) for ngrams in (True, False) for remembered in REMEMBERED_GRADIENTS)


def memory_plan(module: TextCNN, train: TrainingTexts, dev: EncodedTexts, settings: FitSettings) -> MemoryPlan | None:
    """The first of `PLANS` that finds room; None where none does."""
    return next((plan for plan in PLANS if needed_bytes(module, train, dev, settings, plan) <= MOST_BYTES), None)


def needed_bytes(
    module: TextCNN, train: TrainingTexts, dev: EncodedTexts, settings: FitSettings, plan: MemoryPlan
) -> int:
    """What a fit takes at most, beside the module and the best weights so far, which every training holds."""
    classes, features = module.linear.weight.shape
    texts, found, owned = texts_in_epoch(train, settings) + len(dev), 0, 0
    if module.ngrams is not None and plan.ngrams:
        learnt = [train.labelled] + ([train.transfer] if train.transfer else [])
        share = texts_in_epoch(train, settings) / sum(map(len, learnt))
        tokens = share * sum(int(one.tokens.sum()) for one in learnt) + int(dev.tokens.sum())
        found = int(tokens * len(module.ngrams.branch.orders))
        owned = int((module.ngrams.owners != NOBODY).sum())
    of_texts = texts * (features + COPIES_OF_SCORES * classes) * FLOAT_BYTES + found * NGRAM_BYTES
    return of_texts + (2 * plan.remembered + FURTHER_COPIES) * (features + 1 + owned) * classes * FLOAT_BYTES


def told(plan: MemoryPlan | None, whole_bytes: int) -> str | None:
    """What the user is told of a plan where the whole would take so many bytes; nothing of the first."""
    if plan == PLANS[0]:
        return None
    reason = f"to fit the last layer would take {whole_bytes / (1 << 30):.1f} GiB, and {MOST_BYTES >> 30} are the limit"
    if plan is None:
        return f"{reason}: it is trained by steps, and n-grams count fully; fewer --filters take less"
    if plan.ngrams:
        return f"{reason}: {plan.remembered} gradients are remembered in place of {REMEMBERED_GRADIENTS[0]}"
    return f"{reason}: n-grams have no part in it; with fewer --ngram-orders or a lower --ngram-bits they may"
