"""The fastText baseline: files in its `__label__` format, its training or its own search, its guesses measured."""

from __future__ import annotations

import contextlib
import math
import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from kuaixun.trainer.advance import Advance
from kuaixun.trainer.baselines.fasttext_process import NO_TIME_MESSAGE, Job, Outcome
from kuaixun.trainer.baselines.fasttext_tokens import LABEL_PREFIX, tokenised
from kuaixun.trainer.baselines.measured import Baseline, Guesses, measured
from kuaixun.trainer.data.labelled_texts import DataSplit, LabelledTexts
from kuaixun.trainer.errors import DataError, FitError
from kuaixun.trainer.words.fasttext_care import met_nan, started, why_it_ended

PROCESS = "kuaixun.trainer.baselines.fasttext_process"
SEARCHING = re.compile(rb"Progress: +([\d.]+)% Trials: +(\d+) Best score: +(\S+)")
TRAINING = re.compile(rb"Progress: +([\d.]+)% words")
SEARCH_ENDED = b"Training again"
# The thread that times a search, and tells of it twice a second, may end before it begins: 0.9.3 tells it to go on only
# after it was started. Then nothing is told, and the search would go on for ever.
SILENT_SECONDS = 20.0
MOST_STARTS = 4
OVERTIME_SECONDS = 30.0
KEPT_BYTES = 2000


@dataclass(frozen=True, slots=True)
class FastTextSettings:
    """How fastText is trained. `search_seconds` of 0 trains once with these settings; a search begins at them.

    `loss` is fastText's name: a sigmoid for each class ("ova") did half a point better on headlines than "softmax".
    The same seed gives the same model with one thread only; with several, they race.
    """

    tokens: str = "characters"
    search_seconds: int = 300
    threads: int = 1
    seed: int = 1
    learning_rate: float = 0.5
    epochs: int = 8
    word_ngrams: int = 3
    dimension: int = 50
    buckets: int = 2_000_000
    minimum_count: int = 1
    loss: str = "ova"


def fasttext(split: DataSplit, settings: FastTextSettings, advance: Advance, say: Callable[[str], None]) -> Baseline:
    """Train fastText on train, search on dev if that is set, measure on dev and test. Blocks until it is done.

    Ctrl-C during a search ends the search and keeps its best so far; a second one, or one before the search has told
    anything or during a training, gives up. Texts of which cleaning leaves nothing are left out of the training and get
    no label. Raises FitError where fastText finds no model; leaves no file behind.
    """
    with tempfile.TemporaryDirectory(prefix="kuaixun-fasttext-") as name:
        folder = Path(name)
        rows = {role: _write(folder, role, data, settings.tokens, advance) for role, data in split.parts.items()}
        roles = tuple(role for role in rows if role != "train")
        job = Job(
            learning_rate=settings.learning_rate,
            epochs=settings.epochs,
            word_ngrams=settings.word_ngrams,
            dimension=settings.dimension,
            buckets=settings.buckets,
            minimum_count=settings.minimum_count,
            loss=settings.loss,
            threads=settings.threads,
            seed=settings.seed,
            search_seconds=settings.search_seconds,
            roles=roles,
        )
        (folder / "job.json").write_bytes(msgspec.json.encode(job))
        outcome = _outcome(folder, job, advance, say)
        guesses = _guesses(folder, {role: (rows[role], len(split.parts[role])) for role in roles})
    if outcome.retries:
        say(f"fastText met NaN {outcome.retries} times; trained with the learning rate {outcome.learning_rate:.4g}")
    name = f"fasttext-{settings.tokens}" + ("-searched" if settings.search_seconds else "")
    chosen: dict[str, str | int | float] = {
        "learning_rate": round(outcome.learning_rate, 6),
        "epochs": outcome.epochs,
        "word_ngrams": outcome.word_ngrams,
        "dimension": settings.dimension,
        "buckets": settings.buckets,
        "minimum_count": settings.minimum_count,
        "loss": settings.loss,
        "seed": settings.seed,
        "threads": settings.threads,
        "search_seconds": settings.search_seconds,
    }
    return measured(name, chosen, split, guesses)


def _write(folder: Path, role: str, data: LabelledTexts, tokens: str, advance: Advance) -> list[int]:
    """A file with labels to learn or to search on, and one without to guess; returns the rows that are in them.

    Labels are written as their indices: those survive whatever characters a name has.
    """
    lines = tokenised(data.texts, tokens, advance)
    rows = [row for row, line in enumerate(lines) if line]
    if not rows:
        raise DataError(f"{data.source}: cleaning leaves nothing of any of its {len(data)} texts")
    with (folder / f"{role}.txt").open("w", encoding="utf-8", newline="\n") as labelled:
        labelled.writelines(f"{LABEL_PREFIX}{data.label_ids[row]} {lines[row]}\n" for row in rows)
    with (folder / f"{role}.tokens").open("w", encoding="utf-8", newline="\n") as bare:
        bare.writelines(f"{lines[row]}\n" for row in rows)
    return rows


class _SilentSearchError(Exception):
    """A search that has told nothing for so long that nobody times it."""


def _outcome(folder: Path, job: Job, advance: Advance, say: Callable[[str], None]) -> Outcome:
    """Run the process to its end. Raises FitError with what can be done, KeyboardInterrupt where nothing was kept."""
    for start in range(MOST_STARTS):
        patience_seconds = SILENT_SECONDS if start < MOST_STARTS - 1 else math.inf
        with contextlib.suppress(_SilentSearchError):
            return _outcome_of_one_start(folder, job, patience_seconds, advance, say)
    raise AssertionError("unreachable: the last start has all the patience that it needs")


def _outcome_of_one_start(
    folder: Path, job: Job, patience_seconds: float, advance: Advance, say: Callable[[str], None]
) -> Outcome:
    with started(PROCESS, folder, subprocess.PIPE) as process:
        try:
            last_words, interrupted = _watch(process, job.search_seconds, patience_seconds, advance, say)
        except BaseException:
            process.kill()
            raise
    # One that was about to end of itself, or had no handler yet, dies of the signal that asked it for its best.
    if interrupted and process.returncode not in (0, -signal.SIGKILL):
        raise KeyboardInterrupt
    if process.returncode or not (folder / "outcome.json").exists():
        reason = why_it_ended(process.returncode, last_words)
        raise FitError(f"fastText failed: {reason}; choose a smaller --dimension or --buckets")
    outcome = msgspec.json.decode((folder / "outcome.json").read_bytes(), type=Outcome)
    if not outcome.failure:
        return outcome
    if interrupted:
        raise KeyboardInterrupt
    if NO_TIME_MESSAGE in outcome.failure:
        raise FitError(
            f"fastText finished no training in {job.search_seconds} seconds; raise --autotune-seconds or --threads, or "
            "train once with --search none"
        )
    raise FitError(met_nan(outcome.failure) or f"fastText failed: {outcome.failure}")


def _watch(
    process: subprocess.Popen[bytes],
    search_seconds: int,
    patience_seconds: float,
    advance: Advance,
    say: Callable[[str], None],
) -> tuple[str, bool]:
    """Turn what fastText writes into `advance` until it ends; its last words, and whether Ctrl-C ended a search.

    Raises _SilentSearchError where a search has told nothing at all when `patience_seconds` are over. With one thread,
    0.9.3 is silent about a training until that is done.
    """
    assert process.stderr is not None  # noqa: S101 - for the type checker: it is a pipe
    searching, stopped, interrupted = search_seconds > 0, False, False
    started_seconds = time.monotonic()
    stop_search_at_seconds = started_seconds + search_seconds + OVERTIME_SECONDS
    told = b""
    while True:
        try:
            ready, _, _ = select.select([process.stderr], [], [], 1.0)
            if ready:
                piece = os.read(process.stderr.fileno(), 1 << 16)
                if not piece:
                    return told.decode(errors="replace").strip().rpartition("\n")[2], interrupted
                told = (told + piece)[-KEPT_BYTES:]
                if searching and SEARCH_ENDED in told:
                    searching, started_seconds = False, time.monotonic()
                _tell(told, advance)
            elif not searching:
                advance(None, f"training for {time.monotonic() - started_seconds:.0f} s")
            if searching and not told and not stopped and time.monotonic() > started_seconds + patience_seconds:
                raise _SilentSearchError
            if searching and not stopped and time.monotonic() > stop_search_at_seconds:
                stopped = True
                process.send_signal(signal.SIGINT)
        except KeyboardInterrupt:
            # Before it tells anything, a search has nothing to keep, and may not have come to listen to signals.
            if stopped or not searching or not SEARCHING.search(told):
                raise
            stopped = interrupted = True
            process.send_signal(signal.SIGINT)
            say("interrupted: training with the best settings found so far; press Ctrl-C again to give up")


def _tell(told: bytes, advance: Advance) -> None:
    """The newest progress in what fastText wrote."""
    found = [match for pattern in (SEARCHING, TRAINING) for match in pattern.finditer(told)]
    if not found:
        return
    newest = max(found, key=lambda match: match.start())
    share = min(float(newest[1]) / 100, 1.0)
    if newest.re is SEARCHING:
        advance(share, f"search, {newest[2].decode()} trials, best dev accuracy {newest[3].decode()}")
    else:
        advance(share, "training")


def _guesses(folder: Path, rows: dict[str, tuple[list[int], int]]) -> dict[str, Guesses]:
    """The process's guesses, put back in the rows of the whole files."""
    guesses = {}
    with np.load(folder / "guesses.npz", allow_pickle=False) as arrays:
        for role, (kept, length) in rows.items():
            label_ids, confidences = np.full(length, -1, dtype=np.int64), np.zeros(length)
            label_ids[kept] = arrays[f"{role}_label_ids"]
            # Sums of single-precision figures may pass 1 by a little.
            confidences[kept] = np.minimum(arrays[f"{role}_confidences"], 1.0)
            guesses[role] = Guesses(label_ids, confidences)
    return guesses
