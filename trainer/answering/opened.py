"""Whatever is finished and gives scores: a teacher's folder, a network's, or a student's checkpoint."""

from __future__ import annotations

from pathlib import Path

from kuaixun.export.checkpoint import RECORD_FILE as STUDENT_RECORD_FILE
from kuaixun.trainer.network.folder import RECORD_FILE as NETWORK_RECORD_FILE
from kuaixun.trainer.network.folder import read_network
from kuaixun.trainer.network.scoring import scorer_of_network
from kuaixun.trainer.scores.scorer import Scorer
from kuaixun.trainer.student.scoring import scorer_of_student
from kuaixun.trainer.teacher.folder import read_teacher
from kuaixun.trainer.teacher.scoring import scorer_of


def open_scorer(folder: Path) -> Scorer:
    """The teacher, network or student in a folder. Raises SettingError, CheckpointError."""
    if (folder / STUDENT_RECORD_FILE).exists():
        return scorer_of_student(folder)
    if (folder / NETWORK_RECORD_FILE).exists():
        return scorer_of_network(read_network(folder))
    return scorer_of(read_teacher(folder))
