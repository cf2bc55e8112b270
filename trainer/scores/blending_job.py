"""From files of scores to those of a mixture: the body of `kuaixun-trainer blend`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kuaixun.export.real_path import real_path
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.data.labelled_texts import CsvColumns, LabelledTexts, read_classes, read_labelled_texts
from kuaixun.trainer.errors import ScoresError, SettingError
from kuaixun.trainer.evaluation.figures import Evaluation
from kuaixun.trainer.scores.ensemble import Blend, choose_blend
from kuaixun.trainer.scores.measured import measure, nothing_seen
from kuaixun.trainer.scores.requests import FileToScore, ScoreRequest, read_requests, write_file_scores
from kuaixun.trainer.scores.teacher_scores import TeacherScores, read_scores, read_scores_header


@dataclass(frozen=True, slots=True)
class Member:
    """One teacher: its files of scores, by the hash of the texts that each is about."""

    name: str
    paths: dict[str, Path]

    def scores(self, texts: Sequence[str], name: str, labels: tuple[str, ...]) -> TeacherScores:
        """Its scores of one file's texts. Raises ScoresError where it has none."""
        path = self.paths.get(sha256_of_texts(texts))
        if path is None:
            raise ScoresError(f"--member {self.name}: none of its files holds scores of {name}; score it first")
        return read_scores(path, texts, labels)


def blend(
    dev: Path,
    members: Sequence[Sequence[Path]],
    requests: tuple[ScoreRequest, ...],
    *,
    classes: Path | None,
    columns: CsvColumns,
    command: str,
    say: Callable[[str], None],
) -> None:
    """Choose the mixture on `dev` and write its scores of each requested file. Raises TrainerError."""
    if len(members) < 2:
        raise SettingError("--member: one teacher is no mixture; give the option once for each of several")
    _refuse_twice(members)
    files = read_requests(requests, columns)
    found = [_member(paths) for paths in members]
    labels = read_classes(classes) if classes else read_scores_header(members[0][0]).labels
    data = read_labelled_texts(dev, labels=labels, labels_of=classes or members[0][0], columns=columns)
    on_dev = [member.scores(data.texts, dev.name, labels).logits for member in found]
    # Read before the weights are chosen, so that a file which a member has not scored is refused at once.
    parts = [[member.scores(file.texts, file.name, labels) for member in found] for file in files]
    mixture = choose_blend(on_dev, data.label_ids)
    for member, weight, temperature, logits in zip(found, mixture.weights, mixture.temperatures, on_dev, strict=True):
        accuracy = _accuracy(logits.astype(np.float32), data).accuracy
        say(f"{member.name}: weight {weight:.4f}, temperature {temperature:.3f}, dev accuracy {accuracy:.4f}")
    figures = _accuracy(mixture.logits(on_dev), data)
    say(f"mixture: dev accuracy {figures.accuracy:.4f}, dev loss {mixture.dev_loss:.4f}")
    for file, of_file in zip(files, parts, strict=True):
        _write(file, found, of_file, mixture, command, say)


def _write(
    file: FileToScore,
    members: Sequence[Member],
    parts: Sequence[TeacherScores],
    mixture: Blend,
    command: str,
    say: Callable[[str], None],
) -> None:
    # One member that learnt from these rows makes the mixture one that did.
    folds = min(part.folds for part in parts)
    if len({part.folds for part in parts}) > 1:
        each = ", ".join(f"{member.name} {part.folds or 'none'}" for member, part in zip(members, parts, strict=True))
        say(
            f"warning: {file.name}: folds differ: {each}; who learnt from these rows says little more than their "
            "labels, and the weights chosen on dev trust it too much: give all members the same --folds"
        )
    if any(part.folds for part in parts):
        say(
            f"warning: {file.name}: one teacher of several scored each row, on dev the mean of all did; temperatures "
            "and weights are those of the mean, and make one alone a little too sure"
        )
    logits = mixture.logits([part.logits for part in parts])
    write_file_scores(file, logits, parts[0].labels, command, folds, say)


def _refuse_twice(members: Sequence[Sequence[Path]]) -> None:
    """Raise SettingError for a teacher that is mixed with itself."""
    paths = [real_path(path) for member in members for path in member]
    for path in paths:
        if paths.count(path) > 1:
            raise SettingError(f"--member: {path} stands there twice; name each teacher's files once")


def _member(paths: Sequence[Path]) -> Member:
    headers = {path: read_scores_header(path) for path in paths}
    by_texts: dict[str, Path] = {}
    for path, header in headers.items():
        if header.texts_sha256 in by_texts:
            raise ScoresError(f"--member: {by_texts[header.texts_sha256]} and {path} are both about {header.data_name}")
        by_texts[header.texts_sha256] = path
    return Member(str(paths[0]), by_texts)


def _accuracy(logits: np.ndarray, data: LabelledTexts) -> Evaluation:
    """Figures over all rows, whatever cleaning makes of them: a student's are told by its own command."""
    return measure(logits, np.ones(len(data), dtype=np.bool_), data, nothing_seen(data))
