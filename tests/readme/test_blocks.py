from __future__ import annotations

import pytest

from tests.readme.blocks import Block, UnrunnableBlockError, blocks_of


def test_blocks_come_in_order_with_their_lines_and_other_fences_are_left_out() -> None:
    page = "# A\n```sh\nmake demo\n```\n```json\n{}\n```\ntext\n```console\n$ echo a\na\n```\n"
    assert list(blocks_of(page)) == [Block(2, "make demo\n"), Block(9, "echo a\n", "a")]


def test_fence_in_a_list_loses_its_indent() -> None:
    page = "1. First\n\n   ```sh\n   if true; then\n     echo a\n   fi\n   ```\n"
    assert list(blocks_of(page)) == [Block(3, "if true; then\n  echo a\nfi\n")]


def test_console_commands_go_on_after_a_backslash() -> None:
    (block,) = blocks_of("```console\n$ echo a \\\n    b\na b\n$ echo c\nc\n```\n")
    assert block == Block(1, "echo a \\\n    b\necho c\n", "a b\nc")


def test_service_is_told_from_a_script() -> None:
    (block,) = blocks_of("```sh service\nkuaixun-worker run \\\n  --group a\n```\n")
    assert block.service


@pytest.mark.parametrize(
    ("fence", "complaint"),
    [
        ("sh service\na\nb", "line 3: a service is one command"),
        ("bash\necho a", "line 3: mark commands"),
        ("sh title=x\necho a", "line 3: mark commands"),
        ("console\necho a", "line 3: a `console` block has its commands after"),
        ("sh\nclassify --bundle <folder>", "line 3: `<folder>` is a gap"),
        ("sh\nclassify /path/to/bundle", "line 3: `/path/to` is a gap"),
        ("sh\nclassify ...", "line 3: `...` is a gap"),
    ],
)
def test_block_that_no_reader_could_run_is_refused_with_its_line(fence: str, complaint: str) -> None:
    with pytest.raises(UnrunnableBlockError, match="^" + complaint.replace(".", r"\.")):
        list(blocks_of(f"# A\n\n```{fence}\n```\n"))


def test_redirections_are_no_gaps() -> None:
    (block,) = blocks_of("```sh\nclassify <in.txt >out.jsonl\n```\n")
    assert block.script == "classify <in.txt >out.jsonl\n"


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\nb", "a\nc\n", False),
        ("a\n…\nd", "a\nb\nc\nd\n", True),
        ('{"label": "体育", "confidence": 0.9…}', '{"label": "体育", "confidence": 0.93}', True),
        ('{"label": "体育"…}', '{"label": "财经", "confidence": 0.93}', False),
        ("a", "a\nb", False),
        ("a.c", "abc", False),
        (None, "anything", True),
    ],
)
def test_output_shown_is_held_to_the_output_printed(shown: str | None, printed: str, same: bool) -> None:
    assert Block(1, "", shown).prints(printed) is same
