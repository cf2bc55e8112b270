"""A file of scores holds for the rows that it was made of, and for no others."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.errors import ScoresError
from kuaixun.trainer.scores.teacher_scores import TeacherScores, as_half, read_scores, read_scores_header, write_scores

LABELS = ("金融", "b")
TEXTS = ("股市", "球赛", "")
SCORES = TeacherScores(
    logits=np.array([[1, -1], [0.5, 2], [0, 0]], dtype=np.float16),
    data_name="train.txt",
    texts_sha256=sha256_of_texts(TEXTS),
    labels=LABELS,
    teacher="kuaixun-trainer teacher …",
    folds=5,
)


def read(path: Path, *, texts: tuple[str, ...] = TEXTS, labels: tuple[str, ...] = LABELS) -> TeacherScores:
    return read_scores(path, texts, labels)


def test_scores_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_scores(tmp_path / "new" / "scores", SCORES)

    found = read(tmp_path / "new" / "scores")

    assert found.logits.dtype == np.float16
    assert found.logits.tolist() == SCORES.logits.tolist()
    header = read_scores_header(tmp_path / "new" / "scores")
    for one in (found, header):
        assert (one.data_name, one.texts_sha256, one.labels) == ("train.txt", sha256_of_texts(TEXTS), LABELS)
        assert (one.teacher, one.folds) == (SCORES.teacher, 5)


def test_the_file_is_what_the_format_says(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores", SCORES)

    with safetensors.safe_open(tmp_path / "scores", framework="numpy") as file:
        assert file.metadata() == {
            "format": "kuaixun-teacher-scores-2",
            "data_name": "train.txt",
            "texts_sha256": hashlib.sha256("6:股市6:球赛0:".encode()).hexdigest(),
            "rows": "3",
            "labels": '["金融", "b"]',
            "teacher": SCORES.teacher,
            "folds": "5",
        }
        assert list(file.keys()) == ["logits"]


@pytest.mark.parametrize(
    ("labels", "texts", "reason"),
    [
        (("b", "金融"), TEXTS, "class 0 is '金融' for the teacher, 'b' in the data"),
        ((*LABELS, "c"), TEXTS, "the teacher has 2 classes, the data 3"),
        (LABELS, TEXTS[::-1], r"3 rows of train\.txt with SHA-256 \w{12}…, .* 3 others, \w{12}…"),
        (LABELS, TEXTS[:2], r"3 rows of train\.txt with SHA-256 \w{12}…, .* 2 others, \w{12}…"),
        (LABELS, ("股", "市球赛", ""), "by the same --text-column"),
    ],
)
def test_scores_of_other_rows_or_classes_are_refused(
    tmp_path: Path, labels: tuple[str, ...], texts: tuple[str, ...], reason: str
) -> None:
    write_scores(tmp_path / "scores", SCORES)

    with pytest.raises(ScoresError, match=rf"scores: .*{reason}"):
        read(tmp_path / "scores", labels=labels, texts=texts)


def test_a_file_whose_strings_tell_of_more_rows_than_it_holds_is_refused(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores", replace(SCORES, logits=SCORES.logits[:2]))

    with pytest.raises(ScoresError, match=r"logits are \(2, 2\), the data needs \(3, 2\)"):
        read(tmp_path / "scores")


def test_a_file_that_holds_no_scores_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores"
    with pytest.raises(ScoresError, match=r"scores: cannot be read: No such file or directory$"):
        read(path)
    with pytest.raises(ScoresError, match="is a folder; name a file of scores"):
        read(tmp_path)
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(ScoresError, match="no file of teacher scores, or cut off; write"):
        read(path)
    path.write_bytes(safetensors.numpy.save({"other": SCORES.logits}))
    with pytest.raises(ScoresError, match="no file of teacher scores, or cut off; write"):
        read(path)
    path.write_bytes(safetensors.numpy.save({"logits": SCORES.logits}))
    with pytest.raises(ScoresError, match="the format is 'none'"):
        read(path)


@pytest.mark.parametrize(
    ("stored_type", "shape", "stored_bytes"),
    [("F32", [3, 2], 24), ("BF16", [3, 2], 12), ("F8_E4M3", [3, 2], 6), ("F16", [6], 12), ("F16", [1] * 70, 2)],
)
def test_logits_of_another_type_or_shape_are_refused(
    tmp_path: Path, stored_type: str, shape: list[int], stored_bytes: int
) -> None:
    """Also of types that numpy lacks, at which the library ends in a TypeError or an AttributeError."""
    entry = {"dtype": stored_type, "shape": shape, "data_offsets": [0, stored_bytes]}
    header = json.dumps({"logits": entry}).encode()
    path = tmp_path / "scores"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(stored_bytes))

    with pytest.raises(
        ScoresError, match=rf"the logits are {stored_type} \({shape[0]},.*expected F16 \(rows, classes\)"
    ):
        read(path)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("labels", "[1]", "no JSON list of names"), ("labels", "[", "no JSON list"), ("folds", "-1", "no whole number")],
)
def test_a_file_with_damaged_strings_is_refused(tmp_path: Path, field: str, value: str, reason: str) -> None:
    write_scores(tmp_path / "scores", SCORES)
    with safetensors.safe_open(tmp_path / "scores", framework="numpy") as file:
        metadata = dict(file.metadata() or {}) | {field: value}
    (tmp_path / "scores").write_bytes(safetensors.numpy.save({"logits": SCORES.logits}, metadata))

    with pytest.raises(ScoresError, match=reason):
        read(tmp_path / "scores")


def test_a_logit_that_is_not_finite_is_neither_written_nor_read(tmp_path: Path) -> None:
    logits = SCORES.logits.copy()
    logits[1, 0] = np.nan
    with pytest.raises(ScoresError, match="row 1, class 0 is nan"):
        write_scores(tmp_path / "scores", replace(SCORES, logits=logits))
    assert not list(tmp_path.iterdir())

    write_scores(tmp_path / "scores", SCORES)
    with safetensors.safe_open(tmp_path / "scores", framework="numpy") as file:
        metadata = file.metadata()
    (tmp_path / "scores").write_bytes(safetensors.numpy.save({"logits": logits}, metadata))
    with pytest.raises(ScoresError, match="row 1, class 0 is nan"):
        read(tmp_path / "scores")


def test_logits_beyond_half_precision_become_its_largest_number() -> None:
    assert as_half(np.array([[1e9, -1e9, 1.5]])).tolist() == [[65504.0, -65504.0, 1.5]]


def test_scores_are_never_written_over_and_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scores(tmp_path / "scores", SCORES)
    with pytest.raises(FileExistsError):
        write_scores(tmp_path / "scores", SCORES)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_scores(tmp_path / "other", SCORES)
    assert [path.name for path in tmp_path.iterdir()] == ["scores"]
