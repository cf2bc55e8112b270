"""Row i is line i, whatever the file is packed in: teacher scores are paired with lines by their number."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kuaixun.trainer.data.labelled_texts import read_labelled_texts
from kuaixun.trainer.data.text_lines import read_text_lines
from kuaixun.trainer.errors import DataError


def test_packed_files_read_like_plain_ones_and_are_known_by_their_bytes_on_disk(tmp_path: Path) -> None:
    content = "一\n\n三\n".encode()
    packed = {"a.txt": content, "a.txt.xz": lzma.compress(content), "a.txt.gz": gzip.compress(content)}
    for name, on_disk in packed.items():
        (tmp_path / name).write_bytes(on_disk)

        lines = read_text_lines(tmp_path / name)

        assert lines.texts == ("一", "", "三")
        assert lines.sha256 == hashlib.sha256(on_disk).hexdigest()


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("一\n\n三", ("一", "", "三")),
        ("一\n二\n\n\n", ("一", "二", "", "")),
        ("一\t二\n三\n", ("一\t二", "三")),  # a tab in one line makes no labels
        ("\ufeff一\r\n二\r\n", ("一", "二")),
        ("一\r", ("一",)),
    ],
)
def test_every_line_of_a_file_without_labels_is_a_row(tmp_path: Path, content: str, texts: tuple[str, ...]) -> None:
    path = tmp_path / "transfer.txt"
    path.write_text(content, encoding="utf-8", newline="")

    assert read_text_lines(path).texts == texts


@pytest.mark.parametrize("content", ["一\ta\n二\tb\n", "一\ta\n二\tb\n\n\n", "\ufeff一\ta\r\n二\tb\r\n"])
def test_rows_with_labels_are_those_that_a_student_reads(tmp_path: Path, content: str) -> None:
    path = tmp_path / "train.txt"
    path.write_text(content, encoding="utf-8", newline="")

    lines, labelled = read_text_lines(path), read_labelled_texts(path)

    assert (lines.texts, lines.sha256) == (labelled.texts, labelled.sha256)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"\n\n", "holds no texts"),
        ("a.txt", "一\r二\r".encode(), "line 1: lines end with carriage returns alone"),
        ("a.txt", "一\n".encode() + b"\xff\n", "line 2: not UTF-8"),
        ("a.txt", "one goal\n".encode("utf-16-le"), "line 1: its letters are not UTF-8: it is UTF-16 without"),
        ("a.xz", lzma.compress("一二三".encode())[:-8], "cannot be read"),
        ("a.gz", b"no gzip", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataError, match=reason):
        read_text_lines(tmp_path / name)


@pytest.mark.parametrize(("suffix", "pack"), [(".xz", lzma.compress), (".gz", gzip.compress)])
def test_a_small_file_that_unpacks_beyond_the_limit_is_refused_before_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(pack(b"a\n" * (1 << 20)))
    monkeypatch.setattr("kuaixun.trainer.data.packed.MOST_UNPACKED_BYTES", 1 << 21)
    assert len(read_text_lines(path)) == 1 << 20

    monkeypatch.setattr("kuaixun.trainer.data.packed.MOST_UNPACKED_BYTES", (1 << 21) - 1)
    with pytest.raises(DataError, match=rf"a\.txt{suffix}: unpacks to more than 2097151 bytes"):
        read_text_lines(path)


def test_a_file_for_which_there_is_no_memory_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bytes:
        raise MemoryError

    (tmp_path / "a.txt").write_text("一\n", encoding="utf-8")
    monkeypatch.setattr("kuaixun.trainer.data.text_lines.read_unpacked", full)

    with pytest.raises(DataError, match=r"a\.txt: cannot be read: its texts take more memory than there is"):
        read_text_lines(tmp_path / "a.txt")


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt: cannot be read"):
        read_text_lines(tmp_path / "nowhere.txt")


def test_of_a_table_only_the_texts_are_read(tmp_path: Path) -> None:
    """Words and encoders would learn that every text ends in its class."""
    table = 'label,title\nfinance,"股市上涨, 大涨"\nsports,\nsports,"绝杀\n进球"\n'.encode()
    for name, content in {"a.csv": table, "a.csv.xz": lzma.compress(table), "A.CSV": table}.items():
        (tmp_path / name).write_bytes(content)

        assert read_text_lines(tmp_path / name, "title").texts == ("股市上涨, 大涨", "", "绝杀\n进球")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("title\n一\n", "line 1: the header has no column, or several, named 'text'; its columns are 'title'"),
        ("text,text\n一,二\n", "line 1: the header has no column, or several, named 'text'"),
        (" text\n一\n", "its columns are ' text'; choose with --text-column"),
        ("text\n一,二\n", "line 2: 2 columns where the header has 1"),
        ("text,label\n\n一,二\n", "line 2: an empty line where the header has 2 columns"),
        ("text\n", "holds no texts"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "texts.csv"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(DataError, match=re.escape(f"{path}")) as refused:
        read_text_lines(path)

    assert reason in str(refused.value)
