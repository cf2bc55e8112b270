"""Files of labelled texts: what is read, and what is refused with file, line and reason."""

from __future__ import annotations

import gzip
import hashlib
import lzma
from pathlib import Path

import pytest

from kuaixun.schemas.manifest import LABEL_LIMIT_CHARACTERS, LABELS_LIMIT, LABELS_LIMIT_BYTES
from kuaixun.trainer.data.cleaning import clean
from kuaixun.trainer.data.labelled_texts import CsvColumns, read_classes, read_labelled_texts, read_split
from kuaixun.trainer.errors import DataError, SettingError

CLASSES = ("finance", "sports")


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path, labels: tuple[str, ...] | None = CLASSES, columns: CsvColumns | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read_labelled_texts(path, labels=labels, columns=columns)
    return str(caught.value)


def test_a_label_may_be_an_index_or_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "train.txt", "股市上涨\t0\n球队夺冠\tsports\n")

    read = read_labelled_texts(path, labels=CLASSES)

    assert read.texts == ("股市上涨", "球队夺冠")
    assert read.label_ids.tolist() == [0, 1]
    assert read.labels == CLASSES
    assert read.source == path
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_class_named_like_a_number_is_meant_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "train.txt", "甲\t0\n乙\t1\n")

    assert read_labelled_texts(path, labels=("1", "0")).label_ids.tolist() == [1, 0]


def test_where_classes_are_numbers_a_label_that_is_none_of_them_is_no_index(tmp_path: Path) -> None:
    path = write(tmp_path / "dev.txt", "差\t1\n好\t0\n")

    message = refusal(path, ("1", "2", "3"))

    assert "line 2: unknown label '0'; 3 are known: 1, 2, 3" in message
    assert "indices" not in message


@pytest.mark.parametrize("labels", [("1.0", "2.0", "3.0"), ("-1", "+1"), ("１", "２"), ("一", "二", "三")])
def test_numbers_however_spelt_are_no_order_for_indices(tmp_path: Path, labels: tuple[str, ...]) -> None:
    for label in ("0", "1"):
        message = refusal(write(tmp_path / "dev.txt", f"差\t{label}\n"), labels)

        assert f"line 1: unknown label '{label}'; {len(labels)} are known: {', '.join(labels)}" in message
        assert "indices" not in message


@pytest.mark.parametrize(("first", "second"), [("1.0", "1"), ("1", "1.0"), ("2", "02"), ("3", "+3.")])
def test_a_number_spelt_otherwise_is_refused_as_such(tmp_path: Path, first: str, second: str) -> None:
    train = write(tmp_path / "train.csv", f"text,label\n差,{first}\n好,5\n")
    dev = write(tmp_path / "dev.csv", f"text,label\n坏,{second}\n")

    with pytest.raises(DataError) as caught:
        read_split(train, dev)

    assert f"{dev}, line 2: unknown label '{second}'; 2 are known from {train}: " in str(caught.value)
    assert f"; '{first}' looks like the same number, spelt otherwise: spell both files alike" in str(caught.value)


def test_an_index_counts_only_where_somebody_chose_an_order(tmp_path: Path) -> None:
    train = write(tmp_path / "train.txt", "球队\tsports\n股市\tfinance\n")
    dev = write(tmp_path / "dev.txt", "球赛\t0\n债市\t1\n")
    classes = write(tmp_path / "class.txt", "sports\nfinance\n")

    assert read_split(train, dev, classes=classes).dev.label_ids.tolist() == [0, 1]
    with pytest.raises(DataError) as caught:
        read_split(train, dev)

    assert f"{dev}, line 1: unknown label '0'; 2 are known from {train}: finance, sports; " in str(caught.value)
    assert "if it is an index, name the classes in the order of their ids with --classes FILE" in str(caught.value)


def test_quotes_and_unicode_line_separators_in_tab_files_are_text(tmp_path: Path) -> None:
    path = write(tmp_path / "train.txt", '"半句引语\t0\n中\u2028间"\u0085的""引号\t1\n')

    assert read_labelled_texts(path, labels=CLASSES).texts == ('"半句引语', '中\u2028间"\u0085的""引号')


def test_byte_order_mark_and_windows_line_ends_are_no_part_of_the_data(tmp_path: Path) -> None:
    path = write(tmp_path / "train.txt", "\ufeff股市\t0\r\n球队\t1\r\n")

    read = read_labelled_texts(path, labels=CLASSES)

    assert read.texts == ("股市", "球队")
    assert read.label_ids.tolist() == [0, 1]


def test_control_characters_in_texts_are_read_and_gone_once_texts_are_cleaned(tmp_path: Path) -> None:
    for name, content in (("a.txt", "股\x00市\x1b\t0\n"), ("a.csv", "text,label\n股\x00市\x1b,0\n")):
        texts = read_labelled_texts(write(tmp_path / name, content), labels=CLASSES).texts

        assert texts == ("股\x00市\x1b",)
        assert clean(texts) == ["股市"]


def test_csv_columns_are_chosen_by_name_and_quoted_texts_stay_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "train.csv", '\ufeffid,Emotion,Comment\n1,sports,"赢了, ""真的"""\n2,finance,跌\n')

    read = read_labelled_texts(path, columns=CsvColumns(text="Comment", label="Emotion"))

    assert read.texts == ('赢了, "真的"', "跌")
    assert read.labels == ("finance", "sports")
    assert read.label_ids.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "content"),
    [("train.txt", "股市\tfinance\n球队\tsports\n"), ("train.csv", "text,label\n股市,finance\n球队,sports\n")],
)
def test_packed_files_read_like_plain_ones_and_are_known_by_their_bytes_on_disk(
    tmp_path: Path, name: str, content: str
) -> None:
    plain = read_labelled_texts(write(tmp_path / name, content))
    for suffix, pack in ((".xz", lzma.compress), (".gz", gzip.compress)):
        path = write(tmp_path / f"{name}{suffix}", pack(content.encode()))

        read = read_labelled_texts(path)

        assert (read.texts, read.label_ids.tolist(), read.lines) == (plain.texts, plain.label_ids.tolist(), plain.lines)
        assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        with pytest.raises(DataError, match=rf"{name}{suffix}: cannot be read: "):
            read_labelled_texts(write(path, path.read_bytes()[:-9]))
    assert read_classes(write(tmp_path / "class.txt.gz", gzip.compress(b"finance\nsports\n"))) == CLASSES


def test_a_text_in_a_table_may_be_as_long_as_any_other(tmp_path: Path) -> None:
    long = "股" * 200_000
    path = write(tmp_path / "train.csv", f"text,label\n{long},finance\n")

    assert read_labelled_texts(path).texts == (long,)


@pytest.mark.parametrize("labels", [("2", "10"), ("2.0", "10.0"), ("-10", "-2", "0.5", "1")])
def test_numeric_names_found_in_the_data_are_ordered_by_value(tmp_path: Path, labels: tuple[str, ...]) -> None:
    path = write(tmp_path / "train.txt", "".join(f"甲\t{label}\n" for label in reversed(labels)))

    assert read_labelled_texts(path).labels == labels


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.txt", "股市\t0\n没有标签\n", ("line 2", "no tab", "没有标签")),
        ("b.txt", "股市\t0\t1\n", ("line 1", "3 columns")),
        ("c.txt", "股市\t0\n天气\tweather\n", ("line 2", "unknown label 'weather'", "finance, sports")),
        ("d.txt", "股市\t2\n", ("line 1", "unknown label '2'")),
        ("e.txt", "股市\t0\n  \t1\n", ("line 2", "text is empty")),
        ("f.txt", "股市\t\n", ("line 1", "label is empty")),
        ("g.txt", "股市\t0\n\n球队\t1\n", ("line 2", "line is empty")),
        ("h.txt", "股市\t0\n".encode() + b"\xff\t1\n", ("line 2", "byte 9 ", "not UTF-8", "save the file as UTF-8")),
        ("p.txt", "股市上涨\t0\n".encode("gb18030"), ("line 1", "byte 0 ", "may be GBK", "iconv -f GB18030 -t UTF-8")),
        ("r.txt", "schön\tgröße\n".encode("latin-1"), ("line 1", "byte 3 ", "encoding is unknown", "-t UTF-8")),
        ("s.csv", "text;label\n股市;0\n", ("line 1", "separator is a semicolon, and must be a comma")),
        ("q.txt", "股市上涨\t0\n".encode("utf-16"), ("line 1", "byte 0 ", "is UTF-16", "iconv -f UTF-16 -t UTF-8")),
        ("u.txt", "股市\t0\n".encode("utf-32"), ("line 1", "it is UTF-32: ", "iconv -f UTF-32 -t UTF-8")),
        ("v.txt", "股市一\t0\n".encode("utf-16-le"), ("it is UTF-16 without a byte-order mark: ", "-f UTF-16LE")),
        ("w.txt", "股市一\t0\n".encode("utf-16-be"), ("it is UTF-16 without a byte-order mark: ", "-f UTF-16BE")),
        ("x.txt", "股市\t0\n".encode("utf-32-be"), ("it is UTF-32 without a byte-order mark: ", "-f UTF-32BE")),
        ("y.txt", "goal\t0\n".encode("utf-16-be"), ("line 1: its letters are not UTF-8", "-f UTF-16BE")),
        ("t.txt", "股市\t0\r球队\t1\r", ("line 1", "carriage returns alone", "old Macs", r"tr '\r' '\n'")),
        ("i.txt", "", ("file is empty",)),
        ("j.txt", "\n\n", ("holds no texts",)),
        ("k.csv", "text,label\n", ("holds no texts",)),
        ("l.csv", "title,label\n股市,0\n", ("line 1", "'text'", "'title', 'label'", "--text-column")),
        ("m.csv", "text,label\n股市,0\n股市,上涨,0\n", ("line 3", "3 columns", "header has 2")),
        ("n.csv", 'text,label\n"股市,0\n球队,1\n', ("line 2: not CSV: unexpected end", "in line 3", "quotation marks")),
        ("o.csv", 'text,label\n"股\n市",0\n,1\n', ("line 4", "text is empty")),
    ],
)
def test_a_bad_file_is_refused_with_file_line_and_reason(
    tmp_path: Path, name: str, content: str | bytes, parts: tuple[str, ...]
) -> None:
    path = write(tmp_path / name, content)

    message = refusal(path)

    for part in (str(path), *parts):
        assert part in message


def test_a_name_that_no_bundle_could_hold_is_refused_where_it_is_read(tmp_path: Path) -> None:
    longest, longer = "甲" * LABEL_LIMIT_CHARACTERS, "乙" * (LABEL_LIMIT_CHARACTERS + 1)
    said = f"乙…' has {LABEL_LIMIT_CHARACTERS + 1} characters, and a bundle's have at most {LABEL_LIMIT_CHARACTERS}; "

    for name, header, between in (("a.txt", "", "\t"), ("a.csv", "text,label\n", ",")):
        rows = f"{header}股市{between}{longest}\n"
        assert read_labelled_texts(write(tmp_path / name, rows)).labels == (longest,)
        message = refusal(write(tmp_path / name, f"{rows}球队{between}{longer}\n"), labels=None)
        assert f"{name}, line {2 + bool(header)}: the label '乙" in message
        assert said in message
        assert longer not in message

    assert read_classes(write(tmp_path / "class.txt", f"sports\n{longest}\n")) == ("sports", longest)
    with pytest.raises(DataError, match=r"class\.txt, line 2: the class name '乙") as caught:
        read_classes(write(tmp_path / "class.txt", f"sports\n{longer}\n"))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "limit"),
    [
        ([f"c{number}" for number in range(LABELS_LIMIT + 1)], f"at most {LABELS_LIMIT};"),
        ([f"{number:04d}" + "甲" * 190 for number in range(500)], f"at most {LABELS_LIMIT_BYTES} bytes together;"),
    ],
    ids=["count", "bytes"],
)
def test_classes_that_no_bundle_could_hold_are_refused_where_they_are_read(
    tmp_path: Path, labels: list[str], limit: str
) -> None:
    message = refusal(write(tmp_path / "a.txt", "".join(f"股市\t{label}\n" for label in labels)), labels=None)
    assert f"a.txt: the labels name {len(labels)} classes" in message
    assert limit in message
    with pytest.raises(DataError, match=rf"class\.txt: the labels name {len(labels)} classes"):
        read_classes(write(tmp_path / "class.txt", "\n".join(labels)))
    kept = labels[:-1] if len(labels) > LABELS_LIMIT else labels[:400]
    assert len(read_classes(write(tmp_path / "class.txt", "\n".join(kept)))) == len(kept)


def test_of_many_known_labels_the_first_are_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "train.txt", "股市\tnone\n")

    message = refusal(path, tuple(f"class{number}" for number in range(60)))

    assert "60 are known: class0, class1, " in message
    assert "class9, …; their indices" in message
    assert "class10" not in message


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    message = refusal(tmp_path / "nowhere.txt")

    assert "nowhere.txt" in message
    assert "No such file" in message


def test_training_on_one_class_is_refused(tmp_path: Path) -> None:
    train = write(tmp_path / "train.txt", "股市\t0\n债市\t0\n")
    classes = write(tmp_path / "class.txt", "finance\nsports\n")

    with pytest.raises(DataError, match=r"train\.txt: all 2 texts are of one class, 'finance'"):
        read_split(train, train, classes=classes)


def test_dev_and_test_are_read_with_the_labels_of_train(tmp_path: Path) -> None:
    train = write(tmp_path / "train.txt", "股市\tfinance\n球队\tsports\n")
    dev = write(tmp_path / "dev.txt", "球赛\tsports\n")
    test = write(tmp_path / "test.txt", "天气\tweather\n")

    assert read_split(train, dev).dev.label_ids.tolist() == [1]
    with pytest.raises(DataError, match=r"test\.txt, line 1: unknown label 'weather'; 2 are known from .*train\.txt: "):
        read_split(train, dev, test)


@pytest.mark.parametrize(
    ("dev", "test", "said"),
    [
        ("train", None, r"train\.txt: dev holds the same texts as train, .*: figures on texts that were learnt from"),
        ("copy", None, r"copy\.txt: dev holds the same texts as train, .*train\.txt: .*name other texts as dev"),
        ("dev", "train", r"train\.txt: test holds the same texts as train, .*leave test out, or name other texts"),
        ("dev", "dev", r"dev\.txt: test holds the same texts as dev, .*: figures on texts that were chosen on"),
    ],
)
def test_one_file_in_two_roles_is_refused(tmp_path: Path, dev: str, test: str | None, said: str) -> None:
    for name in ("train", "copy"):
        write(tmp_path / f"{name}.txt", "股市\tfinance\n球队\tsports\n")
    write(tmp_path / "dev.txt", "球赛\tsports\n")

    with pytest.raises(DataError, match=said):
        read_split(
            tmp_path / "train.txt", tmp_path / f"{dev}.txt", tmp_path / f"{test}.txt" if test is not None else None
        )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("finance\n\nsports\n", "line 2: a class name is missing"),
        ("finance\nsports\nfinance\n", "line 3: the class 'finance' already stands in line 1"),
        ("finance\n", "holds one class"),
        ("finance\rsports\r", "line 1: lines end with carriage returns alone"),
        ("股市上涨\t0\n球队夺冠\t1\n", r"line 1: a tab in '股市上涨\t0': labelled texts?"),
        ("\n", "line 1: a class name is missing"),
    ],
)
def test_a_bad_classes_file_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    path = write(tmp_path / "class.txt", content)

    with pytest.raises(DataError) as caught:
        read_classes(path)

    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


def test_labels_that_are_numbers_stand_by_value_whatever_their_length(tmp_path: Path) -> None:
    long = "1" + "0" * 198
    labels = [long + "1", "10", "2", long, "02", "0", "00", "0" * 199 + "3"]
    path = write(tmp_path / "train.txt", "".join(f"甲\t{label}\n" for label in labels))

    assert read_labelled_texts(path).labels == ("0", "00", "02", "2", "0" * 199 + "3", "10", long, long + "1")


@pytest.mark.parametrize("header", ["text\tlabel", "\ufeffHeadline\t Category ", "标题\t类别"])
@pytest.mark.parametrize("labels", [None, CLASSES])
def test_a_header_in_a_file_of_lines_is_no_class_of_its_own(
    tmp_path: Path, header: str, labels: tuple[str, ...] | None
) -> None:
    path = write(tmp_path / "dev.txt", f"{header}\n股市上涨\tfinance\n球队夺冠\tsports\n")

    label = header.split("\t")[1].strip()
    assert refusal(path, labels).startswith(
        f"{path}: the class {label!r} has one text, line 1, which may be a header: "
    )


@pytest.mark.parametrize(
    "content",
    [
        "text\tlabel\nclass\tlabel\n股市\tfinance\n",  # not the only one of its class
        "股市上涨\tlabel\n球队夺冠\tsports\n",
        "text\tfinance\n球队夺冠\tsports\n",
        "股市\tfinance\ntext\tlabel\n",
    ],
)
def test_a_row_that_only_resembles_a_header_is_a_text(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "dev.txt", content)

    assert len(read_labelled_texts(path)) == content.count("\n")


def test_a_first_row_of_a_known_class_is_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "dev.txt", "text\tlabel\n股市\tfinance\n")

    assert read_labelled_texts(path, labels=("finance", "label")).texts == ("text", "股市")


def test_one_column_cannot_hold_both_texts_and_labels() -> None:
    with pytest.raises(SettingError, match="--text-column and --label-column both name 'text'; a label is no text"):
        CsvColumns(label="text")


def test_a_stray_nul_is_a_character_like_others(tmp_path: Path) -> None:
    path = write(tmp_path / "train.txt", "股市\0上涨\t0\nabc\0\tsports\n")

    assert read_labelled_texts(path, labels=CLASSES).texts == ("股市\0上涨", "abc\0")
