"""The baseline that reads nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kuaixun.trainer.baselines.majority import majority
from kuaixun.trainer.data.labelled_texts import DataSplit, LabelledTexts


def labelled(*label_ids: int) -> LabelledTexts:
    texts = tuple(map(str, range(len(label_ids))))
    return LabelledTexts(texts, np.array(label_ids), ("a", "b", "c"), Path("x.txt"), "0" * 64)


def test_the_commonest_class_of_train_is_said_of_everything() -> None:
    baseline = majority(DataSplit(labelled(0, 2, 2, 1), labelled(2, 2, 2, 0), labelled(0, 1, 1, 2)))

    assert baseline.settings == {"label": "c", "share": 0.5}
    assert baseline.dev.accuracy == 0.75
    assert baseline.test is not None
    assert baseline.test.accuracy == 0.25
    assert [one.recall for one in baseline.test.classes] == [0.0, 0.0, 1.0]
