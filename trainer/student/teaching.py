"""What a student may learn from beside its labels: teachers' scores of the training texts, and a transfer set.

Scores are files by row of one data file, and name its texts by their hash: see kuaixun.trainer.scores.teacher_scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from kuaixun.schemas.manifest import DataFile
from kuaixun.trainer.data.content_hash import sha256_of
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.data.text_lines import TextLines, read_text_lines
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.fitting.curriculum import TrainingTexts
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.fitting.soft_targets import Silence, SoftTargets
from kuaixun.trainer.scores.teacher_scores import SEEN, read_scores
from kuaixun.trainer.scores.weighted_scores import WeightedScores


@dataclass(frozen=True, slots=True, eq=False)
class Teaching:
    """`soft` has a row for each row of the training file, `transfer_soft` for each line of `transfer`.

    `files` are for the training record, `notes` for whoever watches. Without teachers, all is empty.
    """

    soft: SoftTargets | None = None
    transfer: TextLines | None = None
    transfer_soft: SoftTargets | None = None
    files: tuple[DataFile, ...] = ()
    notes: tuple[str, ...] = ()

    def of_texts(self, labelled: EncodedTexts, transfer: EncodedTexts | None) -> TrainingTexts:
        """The encoded texts with their scores: each text's by its row in its file, whatever cleaning left out."""
        if transfer is None or self.transfer_soft is None:
            return TrainingTexts(labelled, teachers=(self.soft.of_rows(labelled.rows),) if self.soft else ())
        of_transfer = self.transfer_soft.of_rows(transfer.rows)
        silence = Silence(len(labelled), of_transfer.classes)
        of_labelled = self.soft.of_rows(labelled.rows) if self.soft else silence
        return TrainingTexts(labelled, transfer, (of_labelled, of_transfer))


LABELS_ALONE = Teaching()


def read_teaching(
    train: LabelledTexts,
    scores: tuple[WeightedScores, ...],
    transfer: Path | None = None,
    transfer_scores: tuple[WeightedScores, ...] = (),
    text_column: str = "text",
) -> Teaching:
    """Read all that is taught. Raises SettingError, ScoresError for scores of other rows or labels, DataError."""
    if (transfer is None) != (not transfer_scores):
        raise SettingError("--transfer and --transfer-scores need each other; pass both or neither")
    soft = transfer_soft = transfer_set = None
    files: list[DataFile] = []
    notes: list[str] = []
    if scores:
        soft = _read_all(scores, train, train.labels, "teacher scores", files, notes)
    if transfer is not None:
        transfer_set = read_text_lines(transfer, text_column)
        files.append(_record("transfer", transfer, len(transfer_set), transfer_set.sha256))
        transfer_soft = _read_all(transfer_scores, transfer_set, train.labels, "transfer scores", files, notes)
    return Teaching(soft, transfer_set, transfer_soft, tuple(files), tuple(notes))


def _read_all(
    scores: tuple[WeightedScores, ...],
    data: LabelledTexts | TextLines,
    labels: tuple[str, ...],
    role: str,
    files: list[DataFile],
    notes: list[str],
) -> SoftTargets:
    """Several teachers of one file; records each in `files`, tells of each in `notes`."""
    total = sum(file.weight for file in scores)
    logits = []
    for file in scores:
        found = read_scores(file.path, data.texts, labels)
        logits.append(torch.from_numpy(found.logits))
        files.append(_record(role, file.path, len(data), sha256_of(file.path)))
        seen = found.folds == SEEN and isinstance(data, LabelledTexts)
        origin = "which it was fitted on" if seen else f"{found.folds} folds" if found.folds else "without labels"
        share = f", weight {file.weight / total:.3f}" if len(scores) > 1 else ""
        notes.append(f"teacher {found.teacher}: {len(data)} texts of {data.source.name}, {origin}{share}")
    return SoftTargets.weighted(tuple(logits), tuple(file.weight for file in scores))


def _record(role: str, path: Path, rows: int, sha256: str) -> DataFile:
    return DataFile(role=role, name=path.name, rows=rows, sha256=sha256)
