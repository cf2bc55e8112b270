"""Logistic regression on the states of an encoder that stays as it is: what its pretraining knows of these classes.

Two kinds of states of the last layer: the mean over a text's tokens, and that of its first token ([CLS]).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.trainer.advance import Advance
from kuaixun.trainer.baselines.measured import Baseline, Guesses, measured
from kuaixun.trainer.data.labelled_texts import DataSplit, LabelledTexts
from kuaixun.trainer.encoder.positions import expect_positions
from kuaixun.trainer.encoder.pretrained_folders import open_tokenizer
from kuaixun.trainer.errors import DataError, FitError
from kuaixun.trainer.fitting.batches import batches_by_length
from kuaixun.trainer.teacher.encoder_classifier import open_encoder
from kuaixun.trainer.teacher.token_rows import TokenRows, pad_id_of, padded, token_rows

OPTION = "--encoder"
STATES = ("mean", "cls")
STRENGTHS = (0.0001, 0.001, 0.01, 0.1, 1.0)
MOST_ITERATIONS = 300


@dataclass(frozen=True, slots=True)
class FrozenSettings:
    """The encoder's folder or hub name, and how its states are computed. Texts are cut to `max_tokens`."""

    encoder: str
    max_tokens: int = 64
    batch_size: int = 64
    seed: int = 1


def frozen_states(
    split: DataSplit, settings: FrozenSettings, device: torch.device, advance: Advance, say: Callable[[str], None]
) -> list[Baseline]:
    """One baseline for each kind of states: standardised by train, C chosen by the accuracy on dev.

    Raises SettingError where the folder holds no encoder that transformers can read, or one of shorter texts, DataError
    where cleaning leaves texts of fewer than two classes.
    """
    tokenizer = open_tokenizer(settings.encoder, OPTION)
    encoder = open_encoder(settings.encoder, OPTION)
    expect_positions(encoder, settings.max_tokens, settings.encoder)
    encoder.to(device).eval()
    rows = {role: token_rows(data.texts, tokenizer, settings.max_tokens) for role, data in split.parts.items()}
    _expect_classes(split.train, rows["train"].filled)
    total, before = sum(map(len, rows.values())), 0
    states: dict[str, tuple[NDArray[np.float32], ...]] = {}
    for role, found in rows.items():

        def done(texts: int, role: str = role, before: int = before) -> None:
            advance((before + texts) / total, f"states of {role}")

        states[role] = states_of(encoder, found, pad_id_of(tokenizer), settings.batch_size, device, done)
        before += len(found)
    filled = {role: found.filled for role, found in rows.items()}
    return [
        _regression(kind, split, {role: found[place] for role, found in states.items()}, filled, settings, advance, say)
        for place, kind in enumerate(STATES)
    ]


def _expect_classes(train: LabelledTexts, filled: NDArray[np.bool_]) -> None:
    """Raise DataError where cleaning leaves texts of fewer than two classes: nothing can be told apart."""
    left = {train.label_of(row) for row in np.flatnonzero(filled).tolist()}
    if len(left) < 2:
        what = f"texts of one class, {left.pop()!r}" if left else "nothing of any text"
        raise DataError(
            f"{train.source}: cleaning leaves {what}; training needs at least two classes, so mend the texts of the "
            "others, or leave --kinds frozen away"
        )


def states_of(
    encoder: Any, rows: TokenRows, pad_id: int, batch_size: int, device: torch.device, done: Callable[[int], None]
) -> tuple[NDArray[np.float32], ...]:
    """The mean and the first state of every text, each (n, size); those of a text that has no tokens are zeros."""
    kinds = tuple(np.zeros((len(rows), encoder.config.hidden_size), dtype=np.float32) for _ in STATES)
    kept = np.array([row for row, ids in enumerate(rows.ids) if rows.filled[row] and len(ids)], dtype=np.int64)
    lengths = torch.tensor([len(rows.ids[row]) for row in kept])
    met = 0
    with torch.inference_mode():
        for batch in batches_by_length(lengths, batch_size):
            chosen = kept[batch.numpy()]
            ids, attention = (part.to(device) for part in padded([rows.ids[row] for row in chosen], pad_id))
            hidden = encoder(input_ids=ids, attention_mask=attention).last_hidden_state.float()  # (batch, tokens, size)
            mask = attention.unsqueeze(2).float()  # (batch, tokens, 1)
            kinds[0][chosen] = ((hidden * mask).sum(1) / mask.sum(1)).cpu().numpy()  # (batch, size)
            kinds[1][chosen] = hidden[:, 0].cpu().numpy()  # (batch, size)
            met += len(chosen)
            done(met)
    return kinds


def _regression(
    kind: str,
    split: DataSplit,
    states: dict[str, NDArray[np.float32]],
    filled: dict[str, NDArray[np.bool_]],
    settings: FrozenSettings,
    advance: Advance,
    say: Callable[[str], None],
) -> Baseline:
    """Fit with each C, keep the one that dev likes best, the smallest of several."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    kept = filled["train"]
    if not all(np.isfinite(found).all() for found in states.values()):
        raise FitError(f"{OPTION} {settings.encoder}: its states are not finite; the encoder is damaged")
    scaler = StandardScaler().fit(states["train"][kept])
    scaled = {role: scaler.transform(found) for role, found in states.items()}
    truth = split.train.label_ids[kept]
    best: tuple[float, float, Any] | None = None
    for place, strength in enumerate(STRENGTHS):
        advance(place / len(STRENGTHS), f"logistic regression on {kind} states, C {strength:g}")
        fitted = LogisticRegression(C=strength, max_iter=MOST_ITERATIONS, random_state=settings.seed)
        with warnings.catch_warnings():
            # Said below, in one line.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted.fit(scaled["train"][kept], truth)
        accuracy = float((fitted.predict(scaled["dev"]) == split.dev.label_ids).mean())
        remark = f", stopped after {MOST_ITERATIONS} iterations" if fitted.n_iter_.max() >= MOST_ITERATIONS else ""
        say(f"frozen {kind} states, C {strength:g}: dev accuracy {accuracy:.4f}{remark}")
        if best is None or accuracy > best[0]:
            best = accuracy, strength, fitted
    assert best is not None  # noqa: S101 - for the type checker: there is at least one C
    _, strength, fitted = best
    guesses = {}
    for role in (role for role in scaled if role != "train"):
        probabilities = fitted.predict_proba(scaled[role])  # (n, classes with training texts)
        label_ids = fitted.classes_[probabilities.argmax(axis=1)].astype(np.int64)
        confidences = probabilities.max(axis=1).astype(np.float64)
        label_ids[~filled[role]], confidences[~filled[role]] = -1, 0.0
        guesses[role] = Guesses(label_ids, confidences)
    chosen: dict[str, str | int | float] = {
        "encoder": Path(settings.encoder).name,
        "states": kind,
        "C": strength,
        "max_tokens": settings.max_tokens,
    }
    return measured(f"frozen-{kind}", chosen, split, guesses)
