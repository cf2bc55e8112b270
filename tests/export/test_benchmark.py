"""What `kuaixun-export bench` makes of its figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaixun.export import Predictions, benchmark
from kuaixun.export.benchmark import measure
from kuaixun.export.bundle.reader import Bundle
from kuaixun.export.engine.interface import EngineChoice
from kuaixun.export.text.pipeline import Encoded

TRACED_ON_CPU = EngineChoice("torchscript-convolutional", "cpu", "fp32")
# Texts per second on the clock below.
PACES = {
    EngineChoice("native", "cpu", "int8"): 1000,
    TRACED_ON_CPU: 10,
    EngineChoice("torchscript-convolutional", "cuda", "fp32"): 500,
}


class Clock:
    """Time that passes by classifying alone."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def perf_counter(self) -> float:
        return self.seconds


class KnownPace:
    """An engine that is as fast as it says."""

    logit_tolerance = 0.0
    instruction_set = "none"

    def __init__(self, name: str, texts_per_second: int, clock: Clock) -> None:
        self.name = name
        self._texts_per_second = texts_per_second
        self._clock = clock

    def classify(self, texts: Sequence[str]) -> Predictions:
        self._clock.seconds += len(texts) / self._texts_per_second
        return Predictions(np.zeros(len(texts), np.int64), np.zeros(len(texts)), np.zeros((len(texts), 2)))

    def logits(self, encoded: Encoded) -> NDArray[np.float64]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("present", "ratios"), [(list(PACES), [100.0, 1.0, 50.0]), ([c for c in PACES if c != TRACED_ON_CPU], [0.0, 0.0])]
)
def test_the_yardstick_is_the_traced_convolutions_on_the_cpu_whatever_a_gpu_does(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, present: list[EngineChoice], ratios: list[float]
) -> None:
    clock = Clock()
    paces = {(choice.name, choice.device): pace for choice, pace in PACES.items()}

    def opened(_: Bundle, choice: EngineChoice) -> KnownPace:
        return KnownPace(choice.name, paces[choice.name, choice.device], clock)

    monkeypatch.setattr(benchmark, "time", clock)
    monkeypatch.setattr(benchmark, "open_engine", opened)
    monkeypatch.setattr(benchmark, "_usable_cores", lambda: 1)
    speeds = measure(bundle, ["央行降准"], choices=present, batches=[4], seconds=1.0, say=lambda _: None)
    assert [speed.texts_per_second for speed in speeds] == [pytest.approx(PACES[choice]) for choice in present]
    assert [speed.ratio for speed in speeds] == ratios
