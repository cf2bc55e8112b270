"""fastText's skip-gram in a process of its own: `python -m kuaixun.trainer.words.skipgram_process FOLDER`.

A process, because fastText does not let Ctrl-C through and may ask for more memory than there is. The folder holds
job.json and words.txt; outcome.json is added, and where there is no failure vocabulary.txt and vectors.npy.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np

from kuaixun.trainer.words.fasttext_care import trained_without_nan

END_OF_LINE = "</s>"  # fastText counts it as a word
EMPTY_MESSAGE = "Empty vocabulary"  # fastText's own words


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to train."""

    size: int
    epochs: int
    window: int
    negatives: int
    minimum_frequency: int
    sampling: float
    learning_rate: float
    seed: int
    threads: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How it went: with what learning rate, after how many retries, or why there are no vectors."""

    learning_rate: float = 0.0
    retries: int = 0
    failure: str = ""


def main(folder: Path) -> None:
    """Train and write. What fastText refuses to do is an outcome as well."""
    job = msgspec.json.decode((folder / "job.json").read_bytes(), type=Job)
    try:
        outcome = learn(folder, job)
    except (RuntimeError, ValueError, MemoryError) as error:
        outcome = Outcome(failure=str(error) or "out of memory")
    (folder / "outcome.json").write_bytes(msgspec.json.encode(outcome))


def learn(folder: Path, job: Job) -> Outcome:
    """Whole words only: parts of Chinese words are their characters, which networks read as well."""
    import fasttext_pybind as fasttext

    arguments = fasttext.args()
    arguments.model, arguments.loss = fasttext.model_name.skipgram, fasttext.loss_name.ns
    arguments.input, arguments.output = str(folder / "words.txt"), ""
    arguments.lr, arguments.dim, arguments.ws, arguments.epoch = job.learning_rate, job.size, job.window, job.epochs
    arguments.minCount, arguments.neg, arguments.t = job.minimum_frequency, job.negatives, job.sampling
    arguments.minn = arguments.maxn = arguments.bucket = 0
    arguments.thread, arguments.seed, arguments.verbose = job.threads, job.seed, 0
    model, retries = trained_without_nan(arguments)
    words, _ = model.getVocab("strict")
    kept = [row for row, word in enumerate(words) if word != END_OF_LINE]
    if not kept:
        raise ValueError(EMPTY_MESSAGE)
    vectors = np.array(model.getInputMatrix(), dtype=np.float32)[kept]
    np.save(folder / "vectors.npy", vectors)
    (folder / "vocabulary.txt").write_text("".join(f"{words[row]}\n" for row in kept), encoding="utf-8")
    return Outcome(learning_rate=model.getArgs().lr, retries=retries)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
