"""Tables on narrow terminals: no figure is cut, for one that is reads as another."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from kuaixun.export.whole_tables import print_whole


def printed(width: int) -> list[str]:
    table = Table("class of the text", "texts", "accuracy")
    table.add_row("finance", "180000", "0.9349")
    written = io.StringIO()
    print_whole(table, Console(file=written, width=width))
    return written.getvalue().splitlines()


@pytest.mark.parametrize("width", [8, 20, 30])
def test_a_table_is_as_wide_as_its_figures_where_the_terminal_would_cut_them(width: int) -> None:
    lines = printed(width)

    assert "│ finance           │ 180000 │ 0.9349   │" in lines
    assert not any("…" in line for line in lines)


def test_headings_break_where_that_cuts_nothing() -> None:
    lines = printed(36)

    assert max(map(len, lines)) <= 36
    assert any("180000" in line and "0.9349" in line for line in lines)


def test_a_headline_with_dots_of_its_own_widens_no_table() -> None:
    table, written = Table("row", "highest loss"), io.StringIO()
    for row in range(3):
        table.add_row(str(row), "股市涨了…… " + "又跌了…… " * 12)
    print_whole(table, Console(file=written, width=60))

    shown = written.getvalue()
    assert max(cell_len(line) for line in shown.splitlines()) <= 60
    assert shown.count("又跌了……") == 36


def test_a_headline_that_is_cut_right_before_its_dots_is_shown_whole() -> None:
    table, written = Table("row", "text"), io.StringIO()
    table.columns[1].no_wrap = True
    table.add_row("0", "rises and falls…")
    print_whole(table, Console(file=written, width=20))

    assert "rises and falls…" in written.getvalue()
