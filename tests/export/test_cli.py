"""`kuaixun-export` as its users call it."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kuaixun import __version__
from kuaixun.export import Classifier, open_classifier
from kuaixun.export.benchmark import drawn_texts
from kuaixun.export.bundle.file_names import MANIFEST_FILE
from kuaixun.export.bundle.reader import open_bundle
from kuaixun.export.checkpoint import RECORD_FILE, WEIGHTS_FILE, Checkpoint, write_checkpoint
from kuaixun.export.classify_lines import BATCH_LINES, ClassifiedLine, classify_lines
from kuaixun.export.cli import main
from tests.export.hostile_bundles import rewrite


@pytest.fixture(scope="module")
def classifier(bundle_path: Path) -> Classifier:
    return open_classifier(bundle_path)


def classified(content: bytes, classifier: Classifier, tmp_path: Path) -> list[dict[str, object]]:
    source = tmp_path / "input"
    source.write_bytes(content)
    sink = io.BytesIO()
    descriptor = os.open(source, os.O_RDONLY)
    try:
        count = classify_lines(descriptor, sink, classifier)
    finally:
        os.close(descriptor)
    answers = [json.loads(line) for line in sink.getvalue().splitlines()]
    assert len(answers) == count
    return answers


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=8), st.booleans())
def test_any_input_line_gives_exactly_one_output_line(
    classifier: Classifier, tmp_path: Path, lines: list[bytes], ended: bool
) -> None:
    while not ended and lines and not lines[-1]:
        lines.pop()  # nothing after the last newline is no line
    content = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    answers = classified(content, classifier, tmp_path)
    expected = classifier.classify([line.decode("utf-8", "replace") for line in lines])
    assert [answer["confidence"] for answer in answers] == expected.confidences.tolist()


def test_lines_end_at_newlines_alone(classifier: Classifier, tmp_path: Path) -> None:
    content = "甲\u2028乙\x0b丙\r\n\x85丁\n".encode()
    assert len(classified(content, classifier, tmp_path)) == 2


def test_a_line_longer_than_any_block_is_one_line_and_as_its_beginning(classifier: Classifier, tmp_path: Path) -> None:
    beginning = "央行降准" * 100
    long, short, after = classified(
        (beginning + "字" * 1_000_000 + "\n" + beginning + "\n中").encode(), classifier, tmp_path
    )
    assert long == short
    assert after["label"] is not None


def test_an_answer_has_label_confidence_and_all_scores(classifier: Classifier, tmp_path: Path) -> None:
    answer, empty = classified("央行降准\n\n".encode(), classifier, tmp_path)
    assert list(answer) == ["label", "confidence", "scores"]
    scores = answer["scores"]
    assert isinstance(scores, dict)
    assert list(scores) == list(classifier.labels)
    assert answer["confidence"] == scores[answer["label"]] == max(scores.values())
    assert empty == {"label": None, "confidence": 0.0, "scores": {}}


def test_lines_that_are_there_already_are_labelled_together_as_many_as_the_threads_are_worth(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen threads want 256 rows each; what a read brings, of lines as long as these, are some 2,700."""
    handed: list[int] = []

    def counted(texts: Sequence[str], classifier: Classifier) -> list[ClassifiedLine]:
        handed.append(len(texts))
        return [ClassifiedLine(None, 0.0, {}) for _ in texts]

    monkeypatch.setattr("kuaixun.export.classify_lines.label_lines", counted)
    source = tmp_path / "input"
    source.write_bytes(("字" * 32 + "\n").encode() * 20_000)
    with source.open("rb") as file:
        assert classify_lines(file.fileno(), io.BytesIO(), classifier, threads=16) == 20_000
    assert handed[0] == 16 * BATCH_LINES
    assert sum(handed) == 20_000


def test_a_line_waits_for_none_that_is_not_there(classifier: Classifier) -> None:
    reading, writing = os.pipe()
    sink = Mock(write=Mock(side_effect=lambda _: os.close(writing)))
    os.write(writing, "央行降准\n".encode())
    # The pipe is closed by the first answer: a reader that waited for more lines before it would wait for ever.
    assert classify_lines(reading, sink, classifier, threads=16) == 1
    os.close(reading)


def test_answers_come_before_the_input_ends(bundle_path: Path) -> None:
    """A person at a pipe sees each answer at once."""
    command = [sys.executable, "-m", "kuaixun.export.cli", "classify", "--bundle", str(bundle_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in ("央行降准", "主队晋级"):
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["label"]
        process.stdin.close()
        assert process.wait(60) == 0


def test_what_the_pipeline_makes_of_texts_is_printed_where_that_is_asked_for(bundle_path: Path) -> None:
    command = [sys.executable, "-m", "kuaixun.export.cli", "classify", "--dump", "--bundle", str(bundle_path)]
    said = subprocess.run(command, input="央行<b>降准</b>\n\n".encode(), capture_output=True, check=True).stdout
    pipeline = open_bundle(bundle_path).pipeline
    first, nothing = map(json.loads, said.splitlines())
    assert first == {"cleaned": "央行降准", "ids": pipeline.encode(["央行降准"]).ids[0].tolist()}
    assert nothing["cleaned"] == ""


def test_a_reader_that_goes_away_is_no_error(bundle_path: Path) -> None:
    command = [sys.executable, "-m", "kuaixun.export.cli", "classify", "--bundle", str(bundle_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stdin is not None
        process.stdin.write("央行降准\n".encode() * 5000)
        process.stdin.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_never_read_is_no_error_either(bundle_path: Path, options: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "kuaixun.export.cli", "inspect", "--bundle", str(bundle_path), *options]
    outcome = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (outcome.returncode, outcome.stderr) == (0, b"")


def test_build_verifies_what_it_made(
    checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_checkpoint(tmp_path / "run", checkpoint)
    assert main(["build", str(tmp_path / "run"), str(tmp_path / "bundle"), "--origin", "Made up."]) == 0
    output = capsys.readouterr().out
    assert "torchscript-convolutional (cpu)" in output
    assert "- Origin: Made up." in (tmp_path / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert main(["verify", "--bundle", str(tmp_path / "bundle")]) == 0


def test_inspect_shows_the_manifest(bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--bundle", str(bundle_path), "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed == (bundle_path / MANIFEST_FILE).read_text(encoding="utf-8")
    assert main(["inspect", "--bundle", str(bundle_path)]) == 0
    assert json.loads(printed)["model_id"] in capsys.readouterr().out


def test_inspect_shows_labels_and_names_that_look_like_markup_as_they_are(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    copy = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    manifest = json.loads((copy / MANIFEST_FILE).read_bytes())
    rewrite(
        copy,
        {"[bold]notes": b""},
        labels=["[finance]", "[/x]", "[red]game[/red]"],
        created_at="[/today]",
        metrics={"[dev]": {"[/accuracy]": 0.5}},
        training={**manifest["training"], "command": "kuaixun-trainer [/distil]"},
    )
    assert main(["inspect", "--bundle", str(copy)]) == 0
    shown = capsys.readouterr().out
    for part in ("[finance], [/x], [red]game[/red]", "[/today]", "[dev]", "[/accuracy]", "[/distil]", "[bold]notes"):
        assert part in shown


@pytest.mark.parametrize(
    ("number", "reason"),
    [("x", "'x' is no whole number"), ("0", "0 is less than 1"), ("99999", "99999 is more than 1024")],
)
def test_a_count_that_is_none_is_refused_in_words(number: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["classify", "--threads", number])
    assert caught.value.code == 2
    assert f"argument --threads: {reason}" in capsys.readouterr().err


def test_bench_measures_every_engine_present_beside_the_traced_convolutions(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "speeds.json"
    options = ["--run-code", "--batches", "1", "8", "--seconds", "0.01", "--json", str(figures)]
    assert main(["bench", "--bundle", str(bundle_path), *options]) == 0
    speeds = json.loads(figures.read_text(encoding="utf-8"))
    native = {("native", precision) for precision in ("fp32", "bf16", "int8")}
    engines = {*native, ("torchscript", "fp32"), ("torchscript-convolutional", "fp32")}
    measured = {(speed["engine"], speed["precision"], speed["batch"]) for speed in speeds if speed["device"] == "cpu"}
    assert measured == {(*engine, batch) for engine in engines for batch in (1, 8)}
    yardstick = [speed["ratio"] for speed in speeds if speed["engine"] == "torchscript-convolutional"]
    assert max(yardstick) == 1.0
    assert all(speed["texts_per_second"] > 0 for speed in speeds)
    sets = {speed["engine"]: speed["instruction_set"] for speed in speeds if speed["device"] == "cpu"}
    assert sets["native"] in {"avx512", "avx2", "portable"}
    assert sets["torchscript"] == sets["torchscript-convolutional"] == torch.backends.cpu.get_cpu_capability().lower()
    printed = capsys.readouterr().out
    assert re.search(r"^ native +int8 +1 ", printed, re.MULTILINE)
    assert re.search(r"^ torchscript-convolutional +fp32 +1 ", printed, re.MULTILINE), "no name is cut at 80 columns"


def test_texts_to_measure_with_are_the_same_every_time(classifier: Classifier) -> None:
    vocabulary = classifier.bundle.pipeline.vocabulary
    texts = drawn_texts(vocabulary, count=50)
    assert texts == drawn_texts(vocabulary, count=50)
    assert {len(text) for text in texts} <= set(range(8, 31))
    assert set("".join(texts)) <= set(vocabulary.characters)


@pytest.mark.parametrize("command", ["verify", "inspect", "classify"])
def test_what_is_no_bundle_ends_in_one_line_and_its_exit_code(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--bundle", str(tmp_path)]) == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{tmp_path / MANIFEST_FILE} cannot be read" in error


def test_a_bundle_of_another_format_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_FILE).write_text('{"format_version": 99}', encoding="utf-8")
    assert main(["verify", "--bundle", str(tmp_path)]) == 4


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", str(tmp_path / "none"), str(tmp_path / "bundle")]) == 2
    assert "is no checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("name", [RECORD_FILE, WEIGHTS_FILE])
def test_a_checkpoint_with_a_broken_file_is_refused_by_the_name_of_the_file(
    checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    write_checkpoint(tmp_path / "run", checkpoint)
    (tmp_path / "run" / name).write_bytes(b"{")
    assert main(["build", str(tmp_path / "run"), str(tmp_path / "bundle")]) == 2
    assert f"does not fit together: {name}: " in capsys.readouterr().err


def test_a_bundle_that_cannot_be_written_is_refused_by_the_name_that_was_given(
    checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_checkpoint(tmp_path / "run", checkpoint)
    (tmp_path / "own.txt").write_text("kept")
    bundle = tmp_path / "own.txt" / "bundle"
    assert main(["build", str(tmp_path / "run"), str(bundle)]) == 2
    told = f"kuaixun-export: the bundle {bundle} cannot be written: Not a directory; name another folder\n"
    assert capsys.readouterr().err == told


def test_a_file_that_is_not_there_is_told_without_the_number_of_the_error(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "none.txt"
    assert main(["bench", "--bundle", str(bundle_path), "--texts", str(texts)]) == 2
    assert capsys.readouterr().err == f"kuaixun-export: {texts}: No such file or directory\n"


def test_a_folder_that_does_not_exist_is_told_from_a_damaged_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--bundle", str(tmp_path / "none")]) == 3
    assert f"there is no bundle at {tmp_path / 'none'}: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["inspect", "--bundle", ""], "argument --bundle: the name is empty"),
        (["classify", "news.txt"], "'news.txt' is not read: it reads standard input"),
        (["bench", "--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_a_command_line_that_cannot_be_followed_is_refused_in_one_line(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert reason in told
    assert told.count("\n") == 1
    assert told.endswith("--help.\n")


def test_the_version_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"kuaixun-export {__version__}\n"


def test_ctrl_c_while_numpy_is_imported_leaves_quietly() -> None:
    """The first moments of a command, in the longest of its imports."""
    program = """
import sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == "numpy":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from kuaixun.export.cli import main
sys.exit(main(["classify"]))
"""
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (outcome.returncode, outcome.stderr) == (130, b"")


def test_a_terminal_that_lacks_a_sign_gets_its_escape(bundle_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "kuaixun.export.cli", "inspect", "--bundle", str(bundle_path)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert (outcome.returncode, outcome.stderr) == (0, b"")
    assert rb"characters \xd7 12" in outcome.stdout


@pytest.mark.parametrize("command", ["classify <&-", "classify < /dev/null >&-", "verify >&-", "inspect >&-"])
def test_a_closed_standard_stream_is_refused_in_one_line(bundle_path: Path, command: str) -> None:
    command = f'"{sys.executable}" -m kuaixun.export.cli {command} --bundle "{bundle_path}"'
    outcome = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert outcome.returncode == 2
    assert outcome.stderr.startswith("kuaixun-export: standard ")
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_has_no_room_for_all_answers_is_never_a_success(
    bundle_path: Path, tmp_path: Path, unbuffered: str
) -> None:
    limit_bytes = 5_000  # ends amid an answer, where a write is cut short before it fails
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes})); "
    command = f"{limited}import sys; from kuaixun.export.cli import main; sys.exit(main())"
    with (tmp_path / "answers").open("wb") as answers:
        ended = subprocess.run(
            [sys.executable, "-c", command, "classify", "--bundle", str(bundle_path)],
            input="国足输了\n".encode() * 100,
            stdout=answers,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    assert ended.returncode == 2
    assert b"File too large" in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_output_without_room_is_told_in_one_line(bundle_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        outcome = subprocess.run(
            [sys.executable, "-m", "kuaixun.export.cli", "inspect", "--json", "--bundle", str(bundle_path)],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (outcome.returncode, outcome.stderr) == (2, b"kuaixun-export: No space left on device\n")
