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
from torch import Tensor

from kuaixun.trainer.advance import Advance
from kuaixun.trainer.baselines.measured import Baseline, Guesses, measured
from kuaixun.trainer.data.cleaning import clean
from kuaixun.trainer.data.labelled_texts import DataSplit, LabelledTexts
from kuaixun.trainer.encoder.pretrained_folders import open_tokenizer
from kuaixun.trainer.errors import DataError, FitError, SettingError
from kuaixun.trainer.teacher.encoder_classifier import open_encoder

OPTION = "--encoder"
STATES = ("mean", "cls")
STRENGTHS = (0.0001, 0.001, 0.01, 0.1, 1.0)
MOST_ITERATIONS = 300


@dataclass(frozen=True, slots=True)
class FrozenSettings:
    """The encoder's folder and how its states are computed. Texts are cut to `max_tokens`."""

    encoder: Path
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
    tokenizer = open_tokenizer(str(settings.encoder), OPTION)
    encoder = open_encoder(str(settings.encoder), OPTION)
    positions = getattr(encoder.config, "max_position_embeddings", settings.max_tokens)
    if settings.max_tokens > positions:
        raise SettingError(
            f"--max-tokens is {settings.max_tokens}; {OPTION} {settings.encoder} reads at most {positions}"
        )
    encoder.to(device).eval()
    texts = {role: clean(data.texts) for role, data in split.parts.items()}
    _expect_classes(split.train, texts["train"])
    total, before = sum(map(len, texts.values())), 0
    states: dict[str, tuple[NDArray[np.float32], ...]] = {}
    for role, cleaned in texts.items():

        def done(rows: int, role: str = role, before: int = before) -> None:
            advance((before + rows) / total, f"states of {role}")

        states[role] = states_of(tokenizer, encoder, cleaned, settings, device, done)
        before += len(cleaned)
    empty = {role: np.array([not text for text in cleaned]) for role, cleaned in texts.items()}
    return [
        _regression(kind, split, {role: found[place] for role, found in states.items()}, empty, settings, advance, say)
        for place, kind in enumerate(STATES)
    ]


def _expect_classes(train: LabelledTexts, cleaned: list[str]) -> None:
    """Raise DataError where cleaning leaves texts of fewer than two classes: nothing can be told apart."""
    left = {train.label_of(row) for row, text in enumerate(cleaned) if text}
    if len(left) < 2:
        what = f"texts of one class, {left.pop()!r}" if left else "nothing of any text"
        raise DataError(
            f"{train.source}: cleaning leaves {what}; training needs at least two classes, so mend the texts of the "
            "others, or leave --kinds frozen away"
        )


def states_of(
    tokenizer: Any,
    encoder: Any,
    texts: list[str],
    settings: FrozenSettings,
    device: torch.device,
    done: Callable[[int], None],
) -> tuple[NDArray[np.float32], ...]:
    """The mean and the first state of every text, each (n, size)."""
    kinds: tuple[list[Tensor], ...] = ([], [])
    with torch.inference_mode():
        for start in range(0, len(texts), settings.batch_size):
            batch = tokenizer(
                texts[start : start + settings.batch_size],
                padding=True,
                truncation=True,
                max_length=settings.max_tokens,
                return_tensors="pt",
            ).to(device)
            hidden = encoder(**batch).last_hidden_state.float()  # (batch, tokens, size)
            mask = batch["attention_mask"].unsqueeze(2).float()  # (batch, tokens, 1)
            kinds[0].append(((hidden * mask).sum(1) / mask.sum(1).clamp(min=1)).cpu())  # (batch, size)
            kinds[1].append(hidden[:, 0].cpu())  # (batch, size)
            done(min(start + settings.batch_size, len(texts)))
    return tuple(torch.cat(pieces).numpy() for pieces in kinds)


def _regression(
    kind: str,
    split: DataSplit,
    states: dict[str, NDArray[np.float32]],
    empty: dict[str, NDArray[np.bool_]],
    settings: FrozenSettings,
    advance: Advance,
    say: Callable[[str], None],
) -> Baseline:
    """Fit with each C, keep the one that dev likes best, the smallest of several."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    kept = ~empty["train"]
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
        label_ids[empty[role]], confidences[empty[role]] = -1, 0.0
        guesses[role] = Guesses(label_ids, confidences)
    chosen: dict[str, str | int | float] = {
        "encoder": settings.encoder.name,
        "states": kind,
        "C": strength,
        "max_tokens": settings.max_tokens,
    }
    return measured(f"frozen-{kind}", chosen, split, guesses)
