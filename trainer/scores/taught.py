"""What is recorded of any model that was fitted to labels to teach others, whatever it is made of."""

from __future__ import annotations

from typing import Annotated

import msgspec

from kuaixun.schemas.manifest import Label, Training


class TaughtRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Of a teacher or a network, all but its numbers and its own settings.

    `metrics` maps a data role to named figures; `best_step` is the step whose weights were kept; `texts_sha256` is that
    of the training texts, all folds of them; `fold` and `folds` are 0 where it learnt from all rows.
    """

    labels: Annotated[tuple[Label, ...], msgspec.Meta(min_length=2)]
    metrics: dict[str, dict[str, float]]
    best_step: int
    training: Training
    texts_sha256: str
    fold: int = 0
    folds: int = 0
