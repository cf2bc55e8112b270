"""fastText in a process of its own: `python -m kuaixun.trainer.baselines.fasttext_process FOLDER`.

A process, because fastText writes its progress on standard error itself, does not let Ctrl-C through, and may ask for
more memory than there is. The folder holds job.json, train.txt and a file of tokens for each role that is to be
guessed; outcome.json and guesses.npz are added.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from kuaixun.trainer.baselines.fasttext_tokens import LABEL_PREFIX
from kuaixun.trainer.words.fasttext_care import trained_without_nan

NO_TIME_MESSAGE = "Didn't have enough time"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to train, in fastText's own words. `search_seconds` of 0 trains once, with these very settings."""

    learning_rate: float
    epochs: int
    word_ngrams: int
    dimension: int
    buckets: int
    minimum_count: int
    loss: str
    threads: int
    seed: int
    search_seconds: int
    roles: tuple[str, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How it went: the settings that the model was trained with, or the reason why there is none."""

    learning_rate: float = 0.0
    epochs: int = 0
    word_ngrams: int = 0
    retries: int = 0
    failure: str = ""


def main(folder: Path) -> None:
    """Train, guess, write. What fastText refuses to do is an outcome as well."""
    job = msgspec.json.decode((folder / "job.json").read_bytes(), type=Job)
    try:
        model, outcome = train(folder, job)
    except (RuntimeError, ValueError, MemoryError) as error:
        outcome = Outcome(failure=str(error) or "out of memory")
    else:
        np.savez(folder / "guesses.npz", **guess(model, folder, job.roles))
    (folder / "outcome.json").write_bytes(msgspec.json.encode(outcome))


def train(folder: Path, job: Job) -> tuple[Any, Outcome]:
    """One search or one training, done again where it meets NaN."""
    model, retries = trained_without_nan(_arguments(folder, job))
    used = model.getArgs()
    return model, Outcome(learning_rate=used.lr, epochs=used.epoch, word_ngrams=used.wordNgrams, retries=retries)


def guess(model: Any, folder: Path, roles: tuple[str, ...]) -> dict[str, Any]:
    """The label ids and confidences of each role's lines. A list at once: 0.9.3 fails on one text under NumPy 2."""
    arrays: dict[str, Any] = {}
    for role in roles:
        lines = (folder / f"{role}.tokens").read_text(encoding="utf-8").split("\n")[:-1]
        labels, confidences = model.multilinePredict([f"{line}\n" for line in lines], 1, 0.0, "strict")
        arrays[f"{role}_label_ids"] = np.array([int(found[0].removeprefix(LABEL_PREFIX)) for found in labels])
        arrays[f"{role}_confidences"] = np.array([float(found[0]) for found in confidences])
    return arrays


def _arguments(folder: Path, job: Job) -> Any:
    """fastText's own settings object. What is marked manual stays out of the search.

    The public `train_supervised` marks all that is passed; so the search could not start from settings known to be
    good. Size and buckets stay as they are: they decide about memory, and 1000 × 10,000,000 is in the search's range.
    """
    import fasttext_pybind as fasttext

    arguments = fasttext.args()
    arguments.model, arguments.loss = fasttext.model_name.supervised, getattr(fasttext.loss_name, job.loss)
    arguments.input, arguments.output, arguments.label = str(folder / "train.txt"), "", LABEL_PREFIX
    arguments.lr, arguments.epoch, arguments.wordNgrams = job.learning_rate, job.epochs, job.word_ngrams
    arguments.dim, arguments.bucket, arguments.minCount = job.dimension, job.buckets, job.minimum_count
    arguments.minn = arguments.maxn = 0
    arguments.thread, arguments.seed, arguments.verbose = job.threads, job.seed, 2
    if job.search_seconds:
        arguments.autotuneValidationFile = str(folder / "dev.txt")
        arguments.autotuneDuration = job.search_seconds
        for name in ("loss", "dim", "bucket", "minn", "maxn"):
            arguments.setManual(name)
    return arguments


if __name__ == "__main__":
    main(Path(sys.argv[1]))
