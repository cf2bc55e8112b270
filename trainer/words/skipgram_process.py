"""fastText's skip-gram in a process of its own: `python -m kuaixun.trainer.words.skipgram_process FOLDER`.

A process, because fastText does not let Ctrl-C through. The folder holds job.json and words.txt; vocabulary.txt and
vectors.npy are added.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np

END_OF_LINE = "</s>"  # fastText counts it as a word


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


def main(folder: Path) -> None:
    """Train and write. Whole words only: parts of Chinese words are their characters, which networks read as well."""
    import fasttext_pybind as fasttext

    job = msgspec.json.decode((folder / "job.json").read_bytes(), type=Job)
    arguments = fasttext.args()
    arguments.model, arguments.loss = fasttext.model_name.skipgram, fasttext.loss_name.ns
    arguments.input, arguments.output = str(folder / "words.txt"), ""
    arguments.lr, arguments.dim, arguments.ws, arguments.epoch = job.learning_rate, job.size, job.window, job.epochs
    arguments.minCount, arguments.neg, arguments.t = job.minimum_frequency, job.negatives, job.sampling
    arguments.minn = arguments.maxn = arguments.bucket = 0
    arguments.thread, arguments.seed, arguments.verbose = job.threads, job.seed, 0
    model = fasttext.fasttext()
    fasttext.train(model, arguments)
    words, _ = model.getVocab("strict")
    kept = [row for row, word in enumerate(words) if word != END_OF_LINE]
    if not kept:
        raise SystemExit("no word is frequent enough")
    vectors = np.array(model.getInputMatrix(), dtype=np.float32)[kept]
    np.save(folder / "vectors.npy", vectors)
    (folder / "vocabulary.txt").write_text("".join(f"{words[row]}\n" for row in kept), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
