"""Vectors of words from texts without labels: fastText's skip-gram over jieba's words.

Names that keep like company get vectors near each other: a club that the labelled texts never mention lies among those
that they do. Source: Mikolov et al. 2013, Distributed Representations of Words and Phrases, sections 2, 2.2 and 2.3.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from kuaixun.export.batches import in_batches
from kuaixun.trainer.advance import Advance
from kuaixun.trainer.data.cleaning import clean
from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.errors import DataError, FitError
from kuaixun.trainer.number_ranges import expect_numbers
from kuaixun.trainer.words.fasttext_care import met_nan, started, why_it_ended
from kuaixun.trainer.words.segmentation import segmenter
from kuaixun.trainer.words.skipgram_process import EMPTY_MESSAGE, Job, Outcome
from kuaixun.trainer.words.vectors import WordVectors

PROCESS = "kuaixun.trainer.words.skipgram_process"
CHUNK_TEXTS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """A file's texts, and the share of them, drawn at random, that is learnt from."""

    texts: TextLines
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class SkipgramSettings:
    """How the vectors are learnt. The same seed gives the same vectors with one thread only; several race.

    Words that are more than the share `sampling` of all are skipped now and then, the oftener the commoner they are.
    Raises SettingError for a number out of its range.
    """

    size: int = 128
    epochs: int = 3
    window: int = 6
    negatives: int = 5
    minimum_frequency: int = 4
    sampling: float = 1e-4
    learning_rate: float = 0.05
    seed: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        expect_numbers(self, "sampling", above=0, at_most=1)
        expect_numbers(self, "learning_rate", above=0, at_most=10)


def learn_vectors(
    corpora: Sequence[Corpus], settings: SkipgramSettings, advance: Advance, say: Callable[[str], None]
) -> WordVectors:
    """Segment all texts, then train. Blocks until it is done; Ctrl-C gives it up. Raises DataError, FitError."""
    with tempfile.TemporaryDirectory(prefix="kuaixun-words-") as name:
        folder = Path(name)
        total = sum(round(len(corpus.texts) * corpus.share) for corpus in corpora)
        written = 0
        with (folder / "words.txt").open("w", encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(_lines(corpora, settings.seed), start=1):
                written += len(line.split())
                file.write(f"{line}\n")
                if number % CHUNK_TEXTS == 0:
                    advance(number / total, f"words of {number} of {total} texts")
        if not written:
            raise DataError("--texts: cleaning leaves no word of any text")
        job = Job(
            size=settings.size,
            epochs=settings.epochs,
            window=settings.window,
            negatives=settings.negatives,
            minimum_frequency=settings.minimum_frequency,
            sampling=settings.sampling,
            learning_rate=settings.learning_rate,
            seed=settings.seed,
            threads=settings.threads,
        )
        (folder / "job.json").write_bytes(msgspec.json.encode(job))
        outcome = _train(folder, f"learning from {written} words", advance)
        if outcome.retries:
            say(f"fastText met NaN {outcome.retries} times; learnt with the learning rate {outcome.learning_rate:.4g}")
        found = tuple((folder / "vocabulary.txt").read_text(encoding="utf-8").split("\n")[:-1])
        return WordVectors(found, np.load(folder / "vectors.npy"))


def _lines(corpora: Sequence[Corpus], seed: int) -> Iterator[str]:
    """Every chosen text's words, with a space between."""
    cut = segmenter()
    chance = np.random.default_rng(seed)
    for corpus in corpora:
        texts = corpus.texts.texts
        chosen = np.sort(chance.permutation(len(texts))[: round(len(texts) * corpus.share)]).tolist()
        for rows in in_batches(chosen, CHUNK_TEXTS):
            for text in clean([texts[row] for row in rows]):
                yield " ".join(cut(text))


def _train(folder: Path, remark: str, advance: Advance) -> Outcome:
    """Run the process to its end: with one thread fastText says nothing on the way. Raises FitError."""
    started_seconds = time.monotonic()
    with (folder / "said").open("w+") as said:
        with started(PROCESS, folder, said) as process:
            try:
                while True:
                    try:
                        process.wait(timeout=1.0)
                        break
                    except subprocess.TimeoutExpired:
                        advance(None, f"{remark} for {time.monotonic() - started_seconds:.0f} s")
            except BaseException:
                process.kill()
                raise
        if process.returncode or not (folder / "outcome.json").exists():
            said.seek(0)
            reason = why_it_ended(process.returncode, said.read().strip().rpartition("\n")[2])
            raise FitError(f"fastText failed: {reason}; choose a smaller --size, or raise --minimum-frequency")
    outcome = msgspec.json.decode((folder / "outcome.json").read_bytes(), type=Outcome)
    if EMPTY_MESSAGE in outcome.failure:
        raise FitError("fastText failed: no word is frequent enough; lower --minimum-frequency, or give more --texts")
    if outcome.failure:
        raise FitError(met_nan(outcome.failure) or f"fastText failed: {outcome.failure}")
    return outcome
