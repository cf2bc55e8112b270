"""A table's header where there is none: the first line of `text<TAB>label` lines may be a spreadsheet's.

Read as a text it would be a class of its own, of one text, which no figure shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kuaixun.trainer.errors import DataError

# What columns of texts and of labels are called, folded.
COLUMN_NAMES = frozenset(
    (
        *("text", "texts", "title", "headline", "sentence", "content", "review", "question", "message", "summary"),
        *("label", "labels", "class", "classes", "category", "topic", "sentiment", "target", "intent", "tag"),
        *("文本", "标题", "標題", "内容", "新闻", "新聞", "标签", "標籤", "类别", "類別", "分类", "分類"),
        *("テキスト", "見出し", "本文", "ラベル", "カテゴリ", "クラス"),
    )
)


def expect_no_header(path: Path, rows: Sequence[tuple[int, str, str]]) -> None:
    """Raise DataError where the first of `rows`, (line, text, label), names columns and no other row has its label."""
    line, text, first_label = rows[0]
    names_columns = all(cell.strip().casefold() in COLUMN_NAMES for cell in (text, first_label))
    if line == 1 and names_columns and not any(label == first_label for _, _, label in rows[1:]):
        raise header_refusal(path, first_label)


def header_refusal(path: Path, label: str) -> DataError:
    """What to say of a file whose first line alone bears a label."""
    return DataError(
        f"{path}: the class {label!r} has one text, line 1, which may be a header: take that line out, or name the "
        "file .csv if it is a table; else collect more texts of the class"
    )
