"""What the benches of one engine alone say: the line through times that are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaixun.export import Predictions
from kuaixun.export.cli import main
from kuaixun.export.engine.interface import EngineChoice
from kuaixun.export.scaling import TEXTS, measure_lengths
from kuaixun.export.text.pipeline import Encoded
from kuaixun.export.text.vocabulary import Vocabulary


class KnownPace:
    """An engine that takes 3 microseconds a text and half of one a character, by a clock of its own.

    It is slow in the first of each round's four calls, as what finds the caches full of another's tables.
    """

    name = "known"
    logit_tolerance = 0.0
    instruction_set = "none"

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0

    def classify(self, texts: Sequence[str]) -> Predictions:
        self.seconds += sum(3.0 + 0.5 * len(text) for text in texts) / 1e6 + (self.calls % 4 == 0)
        self.calls += 1
        return Predictions(np.zeros(len(texts), np.int64), np.zeros(len(texts)), np.zeros((len(texts), 2)))

    def logits(self, encoded: Encoded) -> NDArray[np.float64]:
        raise NotImplementedError


def test_the_line_through_the_lengths_is_the_pace_of_the_engine() -> None:
    engine = KnownPace()
    vocabulary = Vocabulary(tuple("快讯新闻"))
    engines = [(EngineChoice("known", "cpu", "fp32"), engine)]
    [scaling] = measure_lengths(engines, vocabulary, [4, 8, 32], rounds=3, clock=lambda: engine.seconds)
    assert (scaling.engine, scaling.precision) == ("known", "fp32")
    assert scaling.microseconds == pytest.approx([5.0, 7.0, 19.0])
    assert scaling.microseconds_per_character == pytest.approx(0.5)
    assert scaling.microseconds_per_text == pytest.approx(3.0)
    assert scaling.worst_deviation == pytest.approx(0.0)
    assert engine.seconds == pytest.approx(3 * (1 + TEXTS * (5 + 7 + 19 + 19) / 1e6))


@pytest.mark.parametrize(("lengths", "reason"), [("8", "a line needs two or more"), ("4,0", "0 is less than 1")])
def test_lengths_that_make_no_line_are_refused(lengths: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "--lengths", lengths])
    assert reason in capsys.readouterr().err
