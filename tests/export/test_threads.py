"""Any number of threads may use a classifier, each any number of them, and a call may use several threads itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from kuaixun.export import Classifier, open_classifier
from kuaixun.export.bundle.reader import default_bundle_path
from tests.export.c_interface import CClassifier

SERVING = [("native", "int8"), ("native", "bf16"), ("native", "fp32"), ("torchscript", "fp32")]
CALLERS = 4
ROUNDS = 3
TEXTS = 600  # in a call: two parts, where it may use two threads
FP32, INT8 = 0, 2  # of kuaixun.h


def texts_of(caller: int, count: int = TEXTS) -> list[str]:
    """Texts that no other caller has, of all lengths; some leave nothing, some meet the patterns."""
    return [
        f"<b>央行</b>第{caller}次降准{'甲' * (number % 23)}{number}" if number % 9 else "" for number in range(count)
    ]


def assert_each_caller_gets_its_own(answers: Sequence[Callable[[Sequence[str]], Any]]) -> None:
    """Callers at once, each going through all of `answers`, get what each gets alone."""
    expected = [[answer(texts_of(caller)) for answer in answers] for caller in range(CALLERS)]

    def call(caller: int) -> bool:
        texts = texts_of(caller)
        return all([answer(texts) for answer in answers] == expected[caller] for _ in range(ROUNDS))

    with ThreadPoolExecutor(CALLERS) as pool:
        assert list(pool.map(call, range(CALLERS))) == [True] * CALLERS


def _scores_of(classifier: Classifier) -> Callable[[Sequence[str]], Any]:
    return lambda texts: classifier.classify(texts).scores.tolist()


def _scores_of_c(classifier: CClassifier) -> Callable[[Sequence[str]], Any]:
    return lambda texts: classifier.scores([text.encode() for text in texts], threads=2)


def test_callers_at_once_get_what_each_gets_alone_of_bundles_of_any_shape(bundle_path: Path) -> None:
    kinds = [(bundle_path, *serving) for serving in SERVING] + [(default_bundle_path(), "native", "int8")]
    assert_each_caller_gets_its_own(
        [
            _scores_of(open_classifier(path, engine=engine, device="cpu", precision=precision, threads=2))
            for path, engine, precision in kinds
        ]
    )


def test_callers_of_the_c_interface_at_once_get_what_each_gets_alone(runtime: Path, bundle_path: Path) -> None:
    assert_each_caller_gets_its_own(
        [
            _scores_of_c(CClassifier(runtime / "libkuaixun.so", path, precision))
            for path in (bundle_path, default_bundle_path())
            for precision in (INT8, FP32)
        ]
    )


@pytest.mark.parametrize(("engine", "precision"), SERVING)
def test_any_number_of_threads_gives_the_same_figures(bundle_path: Path, engine: str, precision: str) -> None:
    texts = texts_of(0, 2000)
    figures = [
        open_classifier(bundle_path, engine=engine, device="cpu", precision=precision, threads=threads).classify(texts)
        for threads in (1, 2, 5)
    ]
    for other in figures[1:]:
        assert np.array_equal(figures[0].scores, other.scores)
        assert np.array_equal(figures[0].label_ids, other.label_ids)


def _share_of_others(work: Callable[[], object]) -> float:
    """How much of this process' computing some work leaves to threads other than the caller's."""
    own_before, all_before = time.thread_time(), time.process_time()
    work()
    own = time.thread_time() - own_before
    return 1 - own / (time.process_time() - all_before)


@pytest.mark.parametrize(("threads", "expected"), [(1, 0.0), (2, 0.5), (5, 0.8)])
def test_the_native_engine_leaves_other_threads_their_parts(threads: int, expected: float) -> None:
    """Processor time, which does not depend on when a thread gets it; what a thread gets of the caches does."""
    classifier = open_classifier(default_bundle_path(), engine="native", precision="fp32", threads=threads)
    texts = texts_of(0, 20_000)
    shares = [_share_of_others(lambda: classifier.classify(texts)) for _ in range(5)]
    assert abs(median(shares) - expected) < 0.25, shares
