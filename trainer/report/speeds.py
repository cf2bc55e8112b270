"""How fast teachers and student are, on this machine, side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from kuaixun.export import Classifier
from kuaixun.trainer.report.inputs import TeacherFolder

ROUNDS = 3
STUDENT_TEXTS = 5_000
TEACHER_TEXTS = 128


def teacher_ratios(
    classifier: Classifier, teachers: Sequence[TeacherFolder], texts: tuple[str, ...], device: torch.device
) -> tuple[float, ...]:
    """How many times as fast as each teacher the student is: texts in a second over texts in a second.

    They take turns, so that what slows the machine slows both; of each the fastest round counts. Raises SettingError
    for a teacher whose weights cannot be opened.
    """
    if not teachers:
        return ()
    # Imported here because transformers takes seconds, which a report without teachers need not wait for.
    from kuaixun.trainer.encoder.pretrained_folders import quieten
    from kuaixun.trainer.teacher.scorers import open_scorer

    quieten()
    ratios = []
    for folder in teachers:
        teacher = open_scorer(folder.path)
        student_seconds: list[float] = []
        teacher_seconds: list[float] = []
        for _ in range(ROUNDS):
            with _timed(student_seconds):
                classifier.classify(texts[:STUDENT_TEXTS])
            with _timed(teacher_seconds):
                teacher.logits_of(texts[:TEACHER_TEXTS], device)
        a_text = min(student_seconds) / len(texts[:STUDENT_TEXTS])
        ratios.append(min(teacher_seconds) / len(texts[:TEACHER_TEXTS]) / a_text)
    return tuple(ratios)


@contextmanager
def _timed(seconds: list[float]) -> Iterator[None]:
    """Add how long the block took."""
    started = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - started)
