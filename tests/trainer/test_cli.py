"""The command line as a whole: whole names of options, and nobody below who asks for it."""

from __future__ import annotations

import pytest

from kuaixun.trainer.cli import main
from tests.test_import_rules import imports_of


@pytest.mark.parametrize(
    ("command", "short"),
    [("distil --train a --dev b --output c", "--filt=8"), ("analyse --json", "--dat=a"), ("run run.toml", "--dry")],
)
def test_an_option_has_its_whole_name(command: str, short: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`retrain` reads what is recorded of a command line, and would take another for nothing."""
    with pytest.raises(SystemExit) as caught:
        main([*command.split(), short])

    assert caught.value.code == 2
    assert f"unrecognized arguments: {short}. See" in capsys.readouterr().err


def test_nothing_that_the_command_line_is_made_of_imports_it() -> None:
    assert [str(one) for one in imports_of("trainer") if one.name.startswith("kuaixun.trainer.cli")] == []
