"""Contents to HTML. Texts and labels are strangers' words: everything is escaped but the drawings made here."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kuaixun.trainer.evaluation.target_threshold import LEAST_TEXTS
from kuaixun.trainer.report.contents import Contents, commonest_confusions
from kuaixun.trainer.report.data_plots import SHOWN_CLASSES
from kuaixun.trainer.report.drawing import LABEL_COLUMNS, columns_of
from kuaixun.trainer.report.quality_plots import NUMBERED_CLASSES, what_abstaining_buys
from kuaixun.trainer.report.state_map import NAMED_CLASSES

SHOWN_CHARS = 160
NOTHING = "–"
NARROW_SPACE = "\u202f"


def render(contents: Contents) -> str:
    """The whole page, style sheet and drawings in it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "figure": figure,
        "grouped": grouped,
        "megabytes": megabytes,
        "points": points,
        "cut": cut,
        "label_class": label_class,
    }
    return environment.get_template("report.html").render(
        report=contents,
        figures=contents.figures,
        confusions=commonest_confusions(contents.figures),
        abstaining=what_abstaining_buys(contents.figures),
        matrix_is_wide=len(contents.figures.classes) > NUMBERED_CLASSES,
        maps_are_numbered=len(contents.figures.classes) > NAMED_CLASSES,
        drawn_classes=SHOWN_CLASSES,
        least_texts=LEAST_TEXTS,
    )


def percent(share: float | None, decimals: int = 2) -> str:
    """A share as a reader says it.

    >>> percent(0.9317)
    '93.17\\u202f%'
    """
    return NOTHING if share is None else f"{100 * share:.{decimals}f}{NARROW_SPACE}%"


def figure(number: float | None, decimals: int = 4) -> str:
    """A figure with so many decimals."""
    return NOTHING if number is None else f"{number:.{decimals}f}"


def grouped(number: int) -> str:
    """A whole number with its thousands apart.

    >>> grouped(180000)
    '180,000'
    """
    return f"{number:,}"


def megabytes(size_bytes: int | None) -> str:
    """Millions of bytes."""
    return NOTHING if size_bytes is None else f"{size_bytes / 1e6:.1f}{NARROW_SPACE}MB"


def points(difference: float) -> str:
    """A difference of shares in points, always with its sign."""
    return f"{100 * difference:+.2f}"


def label_class(label: str) -> str:
    """How a label stands in a cell: a short one on one line, a long one on as many as it needs."""
    return "whole" if columns_of(label) <= LABEL_COLUMNS else "label"


def cut(text: str, limit_chars: int = SHOWN_CHARS) -> str:
    """A text that may be of any length, as long as a reader needs it."""
    return text if len(text) <= limit_chars else text[:limit_chars] + "…"
