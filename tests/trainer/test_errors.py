"""What a message quotes of a file is shown, and never obeyed, by the terminal."""

from __future__ import annotations

import io

from rich.console import Console

from kuaixun.trainer.commands.progress import plain_lines
from kuaixun.trainer.errors import DataError


def test_a_label_that_steers_the_terminal_is_shown_by_its_escapes() -> None:
    assert str(DataError("a.txt: the class \x1b[2Ja\u202eb")) == r"a.txt: the class \x1b[2Ja\u202eb"


def test_so_is_a_line_beside_the_bar() -> None:
    written = io.StringIO()

    plain_lines(Console(file=written))("the class \x1b[2Ja")

    assert written.getvalue() == "the class \\x1b[2Ja\n"
