"""What a fit takes of memory is counted before it begins: it remembers less, then n-grams go, then it gives up."""

from __future__ import annotations

import pytest
import torch

from kuaixun.export.student.textcnn import TextCNN
from kuaixun.schemas.manifest import Architecture, NgramBranch
from kuaixun.trainer.fitting.curriculum import TrainingTexts
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.student import memory_plan as plans
from kuaixun.trainer.student.memory_plan import PLANS, MemoryPlan, memory_plan, needed_bytes, told

SETTINGS = FitSettings()
CLASSES = 200


def student_of(classes: int) -> TextCNN:
    architecture = Architecture(
        vocabulary_size=20,
        embedding_size=4,
        widths=(3,),
        filters=8,
        ngrams=NgramBranch(bucket_bits=10, size=classes),
    )
    module = TextCNN(architecture, classes)
    assert module.ngrams is not None
    module.ngrams.owners.fill_(1)
    return module


def texts_of(rows: int) -> EncodedTexts:
    tokens = torch.full((rows,), 10)
    return EncodedTexts(torch.ones(rows, 10, dtype=torch.int32), tokens, tokens % 2, torch.arange(rows))


def needed(plan: MemoryPlan, classes: int = CLASSES, rows: int = 100, dev: int = 50) -> int:
    return needed_bytes(student_of(classes), TrainingTexts(texts_of(rows)), texts_of(dev), SETTINGS, plan)


def planned() -> MemoryPlan | None:
    return memory_plan(student_of(CLASSES), TrainingTexts(texts_of(100)), texts_of(50), SETTINGS)


def test_where_there_is_room_nothing_is_spared_and_nothing_said() -> None:
    assert planned() == MemoryPlan()
    assert told(planned(), 0) is None


def test_each_plan_takes_less_than_the_one_before_and_is_chosen_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [needed(plan) for plan in PLANS]

    assert sizes == sorted(set(sizes), reverse=True)
    assert sizes[0] > 40 * 1024 * CLASSES * 4  # what L-BFGS remembers of the n-grams' scores alone
    for plan, size in zip(PLANS, sizes, strict=True):
        monkeypatch.setattr(plans, "MOST_BYTES", size)
        assert planned() == plan
    monkeypatch.setattr(plans, "MOST_BYTES", sizes[-1] - 1)
    assert planned() is None


def test_classes_and_dev_texts_count() -> None:
    whole = needed(PLANS[0])

    assert needed(PLANS[0], classes=2 * CLASSES) > 1.9 * whole
    assert needed(PLANS[0], dev=5000) > whole
    assert needed(PLANS[0], rows=5000) > whole


def test_the_user_is_told_what_is_done_without() -> None:
    remembered, silent, steps = (told(plan, 6 << 30) or "" for plan in (MemoryPlan(5), MemoryPlan(ngrams=False), None))

    assert "6.0 GiB, and 4 are the limit" in remembered
    assert "5 gradients are remembered in place of 20" in remembered
    assert "n-grams have no part" in silent
    assert "trained by steps" in steps
