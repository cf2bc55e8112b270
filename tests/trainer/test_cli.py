"""The command line as a whole."""

from __future__ import annotations

from tests.test_import_rules import imports_of


def test_nothing_that_the_command_line_is_made_of_imports_it() -> None:
    assert [str(one) for one in imports_of("trainer") if one.name.startswith("kuaixun.trainer.cli")] == []
