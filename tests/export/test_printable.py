"""Nothing that a bundle, an input or a name holds steers the terminal of whoever reads about it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from kuaixun.export import ExportError
from kuaixun.export.bundle.file_names import GOLDEN_FILE, MANIFEST_FILE
from kuaixun.export.bundle.golden import golden_from_file
from kuaixun.export.cli import main
from kuaixun.export.printable import printable, printable_json
from tests.export.both_readers import BothReaders, by_python
from tests.export.hostile_bundles import rewrite, rewrite_at

# Colour, a forged line, C1's own CSI, turned text, a separator that some terminals break lines at, an invisible tag.
STEERING = "\x1b[31m\nkuaixun: all is well\r\x9b2J\u202e\u2028\U000e0041"
ESCAPED = r"\x1b[31m\x0akuaixun: all is well\x0d\x9b2J\u202e\u2028\U000e0041"
CATEGORIES = {"Cc", "Cf", "Zl", "Zp"}
CODE_POINTS_AT_ONCE = 50


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "copy"))


def steers(text: str) -> bool:
    """Whether anything but a line's end is left that does."""
    return any(unicodedata.category(character) in CATEGORIES for character in text.replace("\n", ""))


def test_what_unicode_calls_control_or_format_is_escaped_and_nothing_that_is_read() -> None:
    for point in range(0x110000):
        character = chr(point)
        if unicodedata.category(character) in {*CATEGORIES, "Cs"}:
            assert printable(character).encode().decode("unicode_escape") == character
        elif unicodedata.category(character) != "Cn":  # a later Unicode may have given it a meaning
            assert printable(character) == character
    assert printable(STEERING) == printable(ESCAPED) == ESCAPED


def test_json_that_is_shown_means_the_same() -> None:
    for text in (STEERING, "\x7f", "财经 \U000e0041\U0001f3c0", "\\u001b", '"\\'):
        document = json.dumps({text: [text]}, ensure_ascii=False, indent=1).replace("\n", "\r\n")
        shown = printable_json(document)
        assert not steers(shown)
        assert json.loads(shown) == json.loads(document)


def test_both_languages_escape_the_same(runtime: Path, tmp_path: Path) -> None:
    readers = BothReaders(runtime / "libkuaixun.so")
    points = [point for point in range(1, 0x110000) if chr(point) not in "./" and not 0xD800 <= point < 0xE000]
    # A block for every plane and every run of the table would do; all of the first plane and of what is left a sample.
    chosen = [point for point in points if point < 0x10000 or unicodedata.category(chr(point)) in CATEGORIES]
    for start in range(0, len(chosen), CODE_POINTS_AT_ONCE):
        name = "".join(map(chr, chosen[start : start + CODE_POINTS_AT_ONCE]))
        cpp = readers.by_cpp(tmp_path / name).message
        assert cpp == by_python(tmp_path / name).message
        assert not steers(cpp)
    no_utf8 = tmp_path / os.fsdecode(b"\xff\xe4\xb8")
    assert rf"{tmp_path}/\xff\xe4\xb8: no such folder" in readers.by_cpp(no_utf8).message
    assert rf"{tmp_path}/\udcff\udce4\udcb8: no such folder" in by_python(no_utf8).message


def test_an_error_says_what_it_quotes_in_plain_characters() -> None:
    assert str(ExportError(f"the label {STEERING} is unknown")) == f"the label {ESCAPED} is unknown"


def _labels_and_names(copy: Path) -> None:
    manifest = json.loads((copy / MANIFEST_FILE).read_bytes())
    rewrite(
        copy,
        {STEERING: b""},
        labels=[STEERING, "sports", "game"],
        created_at=STEERING,
        metrics={STEERING: {STEERING: 0.5}},
        training={**manifest["training"], "command": STEERING},
    )


def _golden(copy: Path) -> None:
    case, *others = golden_from_file((copy / GOLDEN_FILE).read_bytes(), classes=3)
    cases = [msgspec.structs.replace(case, cleaned=STEERING), *others]
    rewrite(copy, {GOLDEN_FILE: b"\n".join(msgspec.json.encode(case) for case in cases)})


def _file_name(copy: Path) -> None:
    rewrite_at(copy, ("files", f"/{STEERING}"), {"size_bytes": 0, "sha256": "0" * 64})


def _missing_file(copy: Path) -> None:
    rewrite_at(copy, ("files", STEERING), {"size_bytes": 0, "sha256": "0" * 64})


def _pattern(copy: Path) -> None:
    pattern = {"name": STEERING, "guard": "", "regex": "", "replacement": ""}
    rewrite(copy, {"patterns.json": json.dumps({"patterns": [pattern], "entities": {}}).encode()})


def _unknown_field(copy: Path) -> None:
    rewrite_at(copy, (STEERING,), 1)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_inspect_shows_a_hostile_manifest_in_plain_characters(
    copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    _labels_and_names(copy)
    assert main(["inspect", "--bundle", str(copy), *options]) == 0
    shown = capsys.readouterr().out
    assert not steers(shown)
    if options:
        assert json.loads(shown)["labels"][0] == STEERING
    else:
        assert shown.count(ESCAPED) == 6


@pytest.mark.parametrize("damage", [_golden, _file_name, _missing_file, _pattern, _unknown_field])
def test_a_hostile_bundle_is_refused_in_one_plain_line_by_either_language(
    runtime: Path, copy: Path, damage: Callable[[Path], None]
) -> None:
    damage(copy)
    cpp = [runtime / "kuaixun-classify", "--golden", "--bundle", copy]
    python = [sys.executable, "-m", "kuaixun.export.cli", "verify", "--bundle", copy]
    for command in (cpp, python):
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.count("\n") == 1
        assert not steers(done.stderr)


def test_arguments_are_quoted_in_plain_characters(runtime: Path) -> None:
    python = [sys.executable, "-m", "kuaixun.export.cli", "classify"]
    for command in (
        [*python, f"--{STEERING}"],
        [*python, STEERING],
        [*python, "--bundle", STEERING],
        [*python, "--public-key", STEERING],
        [str(runtime / "kuaixun-classify"), f"--{STEERING}"],
        [str(runtime / "kuaixun-classify"), "--bundle", STEERING],
    ):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode in {2, 3}
        assert done.stderr.count("\n") == 1
        assert r"\x1b[31m" in done.stderr
        assert not steers(done.stderr)
