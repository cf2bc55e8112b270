"""A challenger takes over only where nothing gets worse; whatever else happens, the champion stays."""

from __future__ import annotations

import errno
import fcntl
import json
import random
from pathlib import Path

import pytest

from kuaixun.export import cli as export_cli
from kuaixun.export import open_classifier
from kuaixun.export.bundle.reader import read_manifest
from kuaixun.export.bundle.signature import SIGNATURE_FILE
from kuaixun.trainer.cli import main
from kuaixun.trainer.commands.recorded_flags import recorded_flags
from kuaixun.trainer.promotion.bundle_folder import BundleFolder
from tests.trainer.promotion.conftest import STUDENT, crown, retrain


def current(home: Path) -> str:
    return (home / "bundles" / "current").resolve().name


def bundles_in(home: Path) -> set[str]:
    return {path.name for path in (home / "bundles").iterdir() if path.is_dir() and not path.is_symlink()}


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_challenger_that_is_better_is_trained_compared_and_promoted(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    champion = crown(home, "poor")

    assert retrain(home, *STUDENT, "6") == 0

    challenger = current(home)
    assert challenger != champion
    assert bundles_in(home) == {champion, challenger}
    assert open_classifier(home / "bundles" / "current").model_id == challenger
    record = json.loads((home / "bundles" / f"{challenger}.json").read_bytes())
    assert record["verdict"]["promoted"]
    assert record["verdict"]["challenger_accuracy"] > record["verdict"]["champion_accuracy"]
    assert f"promoted: current is now {challenger}, it was {champion}" in capsys.readouterr().err
    roles = {file.role: file.rows for file in read_manifest(home / "bundles" / challenger).training.data}
    assert roles == {"train": 260, "dev": 60, "test": 120, "old rows": 200, "new rows": 60}


def test_a_challenger_that_is_worse_is_kept_beside_the_champion_with_the_reasons(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    champion = crown(home, "good")

    assert retrain(home, f"--challenger={home / 'poor'}") == 1

    assert current(home) == champion
    poor = read_manifest(home / "poor").model_id
    assert bundles_in(home) == {champion, poor}
    reasons = json.loads((home / "bundles" / f"{poor}.json").read_bytes())["verdict"]["reasons"]
    assert "fewer of 120 rows are right" in reasons[0]
    assert f"the champion {champion} is kept: {reasons[0]}" in capsys.readouterr().err


def test_the_link_is_there_at_every_moment_of_the_switch(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    champion = crown(home, "poor")
    link, seen = home / "bundles" / "current", []
    for name in ("symlink_to", "unlink", "replace"):
        original = getattr(Path, name)

        def watched(self: Path, *arguments: object, _original: object = original, **more: object) -> object:
            seen.append(link.resolve().name)
            found = _original(self, *arguments, **more)  # type: ignore[operator]
            seen.append(link.resolve().name)
            return found

        monkeypatch.setattr(Path, name, watched)
    BundleFolder(home / "bundles").promote("other")

    assert seen == [champion] * 5 + ["other"]


def test_a_crash_between_building_and_switching_leaves_the_champion(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = crown(home, "poor")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(BundleFolder, "promote", crash)
        assert retrain(home, f"--challenger={home / 'good'}") == 130

    assert current(home) == champion
    assert not list((home / "bundles").glob(".retraining-*"))
    assert retrain(home, f"--challenger={home / 'good'}") == 0
    assert current(home) != champion


def test_what_a_killed_run_left_is_cleared_away(home: Path) -> None:
    crown(home, "poor")
    left = home / "bundles" / ".retraining-abc"
    left.mkdir()
    (home / "bundles" / ".current.next").symlink_to("nowhere")

    assert retrain(home, f"--challenger={home / 'good'}") == 0

    assert not left.exists()
    assert current(home) == read_manifest(home / "good").model_id


def test_an_interrupted_training_leaves_the_champion_alone_and_its_best_weights_aside(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    champion = crown(home, "poor")
    aside = home / "bundles" / ".interrupted"

    for _ in range(2):  # the second time it gives way to the next
        with monkeypatch.context() as patched:
            patched.setattr("kuaixun.trainer.commands.progress.Lines.evaluated", interrupt)
            assert retrain(home, *STUDENT, "6") == 130
        assert current(home) == champion
        assert bundles_in(home) == {champion, aside.name}
        assert f"best weights so far are in {aside} until" in capsys.readouterr().err.replace("\n", " ")

    assert export_cli.main(["build", str(aside), str(home / "rescued")]) == 0
    assert retrain(home, f"--challenger={home / 'rescued'}", "--margin=100") in {0, 1}
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("more", [(*STUDENT, "1"), ("--challenger=good",)])
def test_a_full_disk_is_told_of_the_folder_of_bundles_and_leaves_the_champion(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    champion = crown(home, "poor")
    monkeypatch.chdir(home)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)

    assert retrain(home, *more) == 2

    told = capsys.readouterr().err
    assert f"{home / 'bundles'} cannot be written: No space left on device; make room there" in told
    assert "--output" not in told
    assert bundles_in(home) == {champion}


def test_two_retrainings_at_once_are_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crown(home, "poor")
    with (home / "bundles" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert retrain(home, f"--challenger={home / 'good'}") == 2

    assert "another retraining is at work" in capsys.readouterr().err


def test_test_rows_that_are_learnt_from_do_not_count_and_their_number_is_told(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crown(home, "poor")
    tests = (home / "test.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    with (home / "new.txt").open("a", encoding="utf-8") as new:
        new.writelines(f"“{line}" for line in tests[:7])

    retrain(home, f"--challenger={home / 'good'}")

    assert "7 test rows are left out" in capsys.readouterr().err
    record = json.loads(next((home / "bundles").glob("*.json")).read_bytes())
    assert (record["test_rows"], record["seen_test_rows"]) == (113, 7)


def test_a_corrected_row_takes_the_place_of_the_old_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crown(home, "poor")
    text, label = (home / "train.txt").read_text(encoding="utf-8").splitlines()[0].split("\t")
    with (home / "new.txt").open("a", encoding="utf-8") as new:
        new.write(f"{text}\t{'sports' if label == 'finance' else 'finance'}\n")

    retrain(home, f"--challenger={home / 'good'}")

    assert "1 old rows give way" in capsys.readouterr().err


def test_new_rows_that_contradict_each_other_are_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crown(home, "poor")
    with (home / "new.txt").open("a", encoding="utf-8") as new:
        new.write("球赛新的\tsports\n“球赛新的”\tfinance\n")

    assert retrain(home, f"--challenger={home / 'good'}") == 2

    assert "new.txt, line 62: says the same as line 61 under another label" in capsys.readouterr().err


def test_dev_rows_that_are_learnt_from_choose_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crown(home, "poor")
    dev = (home / "dev.txt").read_text(encoding="utf-8")
    with (home / "new.txt").open("a", encoding="utf-8") as new:
        new.writelines(dev.splitlines(keepends=True)[:5])
    retrain(home, *STUDENT, "1")
    assert "5 dev rows are left out" in capsys.readouterr().err

    (home / "new.txt").write_text(dev, encoding="utf-8")
    assert retrain(home, *STUDENT, "1") == 2
    assert "dev.txt: all 60 rows stand among those to learn from; choose on others" in capsys.readouterr().err


def test_a_challenger_that_is_trained_needs_no_dev_and_a_training_does(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crown(home, "poor")
    (home / "new.txt").write_bytes((home / "dev.txt").read_bytes())
    assert retrain(home, f"--challenger={home / 'good'}") == 0

    without_dev = ["--bundles", "--train", "--new", "--test"]
    paths = [home / "bundles", home / "train.txt", home / "new.txt", home / "test.txt"]
    command = ["retrain", *(f"{flag}={path}" for flag, path in zip(without_dev, paths, strict=True)), "--device=cpu"]
    assert main([*command, f"--challenger={home / 'good'}"]) == 0
    assert main(command) == 2
    assert "--dev is missing" in capsys.readouterr().err


def test_a_challenger_of_other_training_texts_is_doubted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crown(home, "poor")
    assert retrain(home, f"--challenger={home / 'good'}") == 0
    assert "warning" not in capsys.readouterr().err

    with (home / "train.txt").open("a", encoding="utf-8") as train:
        train.write("新的球赛\tsports\n")
    retrain(home, f"--challenger={home / 'poor'}")

    doubt = "the challenger learnt from train.txt (200 rows), which is neither --train nor --new"
    assert f"warning: {doubt}" in capsys.readouterr().err
    poor = read_manifest(home / "poor").model_id
    record = json.loads((home / "bundles" / f"{poor}.json").read_bytes())
    assert [one.startswith(doubt) for one in record["doubts"]] == [True]


def test_a_challenger_of_an_earlier_retraining_on_the_same_rows_is_not_doubted(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crown(home, "poor")
    assert retrain(home, *STUDENT, "6") == 0

    retrain(home, f"--challenger={home / 'bundles' / current(home)}")

    assert "warning" not in capsys.readouterr().err


def test_a_challenger_that_learnt_the_test_file_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    champion = crown(home, "poor")
    (home / "train.txt").rename(home / "test.txt")
    (home / "dev.txt").rename(home / "train.txt")

    assert retrain(home, f"--challenger={home / 'good'}") == 2

    assert "test.txt (train), the --test file; compare on other rows" in capsys.readouterr().err
    assert bundles_in(home) == {champion}


def test_a_challenger_that_was_chosen_on_the_test_file_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    champion = crown(home, "poor")
    (home / "dev.txt").rename(home / "test.txt")

    assert retrain(home, f"--challenger={home / 'good'}") == 2

    told = capsys.readouterr().err
    assert "--challenger was chosen on " in told
    assert "test.txt (dev), the --test file; compare on other rows" in told
    assert bundles_in(home) == {champion}


def test_a_folder_that_is_no_bundle_is_no_challenger_and_is_not_copied(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = crown(home, "poor")
    monkeypatch.setattr(BundleFolder, "copy", lambda *_: pytest.fail("it was copied"))

    assert retrain(home, f"--challenger={home / 'bundles'}") == 3

    assert bundles_in(home) == {champion}


def test_a_checkpoint_is_no_challenger_and_the_way_to_a_bundle_is_told(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crown(home, "poor")

    assert retrain(home, f"--challenger={home / 'good-run'}") == 2

    told = capsys.readouterr().err
    assert f"{home / 'good-run'} is a checkpoint and no bundle" in told
    assert f"kuaixun-export build {home / 'good-run'} BUNDLE" in told


def test_the_bundle_that_serves_is_no_challenger_of_itself(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crown(home, "poor")
    assert retrain(home, f"--challenger={home / 'good'}") == 0
    champion = current(home)
    record = home / "bundles" / f"{champion}.json"
    before = record.read_bytes()
    capsys.readouterr()

    assert retrain(home, f"--challenger={home / 'good'}") == 0

    told = capsys.readouterr().err
    assert f"the same bundle serves already, {champion}; nothing to do" in told
    assert "promoted" not in told
    assert (current(home), record.read_bytes()) == (champion, before)


def test_a_challenger_that_was_one_before_keeps_its_earlier_records_by_number(home: Path) -> None:
    poor, good = (read_manifest(home / name).model_id for name in ("poor", "good"))
    crown(home, "poor")
    records = []
    # The same contest twice has the same record, of which one is enough.
    for margin in ("0.5", "0.5", "5", "7"):
        (home / "bundles" / "current").unlink()
        (home / "bundles" / "current").symlink_to(poor)
        assert retrain(home, f"--challenger={home / 'good'}", f"--margin={margin}") == 0
        records.append((home / "bundles" / f"{good}.json").read_bytes())

    earlier = {path.name: path.read_bytes() for path in (home / "bundles").glob(f"{good}.*.json")}
    assert earlier == {f"{good}.1.json": records[0], f"{good}.2.json": records[2]}


def test_nothing_is_said_to_be_learnt_where_a_challenger_is_trained_already(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crown(home, "poor")

    retrain(home, f"--challenger={home / 'good'}")

    told = capsys.readouterr().err
    assert "the challenger is taken to have learnt from 200 old rows and 60 new rows; comparing on 120" in told
    assert "learning from" not in told


@pytest.mark.parametrize(("flags", "warns"), [((), True), (("--filters=4",), False)])
def test_a_default_student_of_another_shape_than_the_champion_is_told_with_the_flags(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
    warns: bool,
) -> None:
    crown(home, "poor")
    monkeypatch.setattr("kuaixun.trainer.commands.retrain._train", interrupt)

    assert retrain(home, *flags) == 130

    told = capsys.readouterr().err.replace("\n", " ")
    assert ("warning: the default student has another shape than the champion" in told) == warns
    assert ("max-tokens 32 and not 16, widths 2,3,4 and not 2, " in told) == warns
    assert ("to train one alike: --max-tokens 16 --widths 2 --filters 4 --embedding-size 8 --ngram-bits" in told) == (
        warns
    )


def test_the_flags_told_of_a_champion_of_word_detectors_train_one_as_good(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"finance": ("bond", "yield", "bank"), "sports": ("goal", "match", "team")}
    for seed, (name, texts) in enumerate((("train", 120), ("dev", 40), ("test", 60), ("new", 30))):
        chance = random.Random(seed)
        labels = [("finance", "sports")[row % 2] for row in range(texts)]
        said = (f"{' '.join(chance.choices(('the', 'a', 'of'), k=4))} {chance.choice(words[one])}" for one in labels)
        lines = "".join(f"{text} {row}\t{label}\n" for row, (text, label) in enumerate(zip(said, labels, strict=True)))
        (home / f"{name}.txt").write_text(lines, encoding="utf-8")
    files = [f"--{role}={home / role}.txt" for role in ("train", "dev")]
    detectors = ["--keyword-filters", "--prepend-cls", "--append-cls", "--widths=10", "--filters=64", "--ngram-bits=8"]
    fit = ["--embedding-size=32", "--label-smoothing=0.05", "--minimum-frequency=1", "--device=cpu", "--threads=1"]
    assert main(["distil", *files, *detectors, *fit, f"--output={home / 'words-run'}"]) == 0
    assert export_cli.main(["build", str(home / "words-run"), str(home / "words")]) == 0
    champion = crown(home, "words")
    with monkeypatch.context() as patched:
        patched.setattr("kuaixun.trainer.commands.retrain._train", interrupt)
        capsys.readouterr()
        assert retrain(home) == 130
    told = " ".join(capsys.readouterr().err.split())
    assert "keyword-filters off and not on" in told
    flags = told.partition("to train one alike: ")[2].partition(" kuaixun-trainer: interrupted")[0].split()
    assert {
        "--keyword-filters",
        "--prepend-cls",
        "--append-cls",
        "--filters",
        "64",
        "--label-smoothing",
        "0.05",
    } <= set(flags)

    assert retrain(home, *flags) == 0

    assert "another shape" not in capsys.readouterr().err
    assert current(home) != champion
    verdict = json.loads((home / "bundles" / f"{current(home)}.json").read_bytes())["verdict"]
    assert verdict["challenger_accuracy"] == verdict["champion_accuracy"] == 1.0


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (
            "kuaixun-trainer distil --no-prepend-cls --append-cls --ngram-bits none",
            {"prepend-cls", "append-cls", "ngram-bits"},
        ),
        ("kuaixun-trainer distil --dev d.txt --configuration published-256 --seed 3", {"configuration", "seed"}),
        ("kuaixun-trainer distil --configuration mine.toml --widths 2", {"widths"}),
        ("kuaixun-trainer distil --teacher-scores=t --alpha 0.9 --epochs 2 --max-tokens 48", {"max-tokens"}),
        ("kuaixun-trainer distil --filters 9 --widths 3 && kuaixun-trainer prune --filters 2", {"widths"}),
        ("made by hand, 'or by another version", set()),
        ("kuaixun-trainer distil --filters many", set()),
    ],
)
def test_of_a_recorded_training_those_flags_are_read_that_a_retraining_takes(command: str, flags: set[str]) -> None:
    assert set(recorded_flags(command)) == flags


def test_of_a_challenger_its_own_files_are_taken_and_its_signature(home: Path) -> None:
    crown(home, "poor")
    files = {path.name for path in (home / "good").iterdir()}
    (home / "good" / SIGNATURE_FILE).write_bytes(b"by its maker")
    (home / "good" / "notes").mkdir()
    (home / "good" / "notes" / "large.bin").write_bytes(b"of no concern")

    assert retrain(home, f"--challenger={home / 'good'}") == 0

    taken = home / "bundles" / current(home)
    assert {path.name for path in taken.iterdir()} == files | {SIGNATURE_FILE}
    assert (taken / SIGNATURE_FILE).read_bytes() == b"by its maker"


def test_dev_that_is_the_test_file_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crown(home, "poor")
    (home / "dev.txt").write_bytes((home / "test.txt").read_bytes())

    assert retrain(home, *STUDENT, "1") == 2

    assert "test.txt: test holds the same texts as dev, " in capsys.readouterr().err


def test_test_rows_of_new_classes_alone_compare_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crown(home, "poor")
    for name in ("new", "test"):
        (home / f"{name}.txt").write_text(f"雨雪风云{name}\tweather\n", encoding="utf-8")

    assert retrain(home, "--add-label=weather", *STUDENT, "1") == 2

    assert "test.txt: no row is of a class that the champion knows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--alpha=0.5"], "--alpha changes nothing in a training without teachers"),
        (["--transfer-rows=5"], "--transfer-rows changes nothing in a training without teachers"),
        (["--challenger=good", "--epochs=3"], "--epochs changes nothing with --challenger"),
    ],
)
def test_flags_that_would_change_nothing_are_refused(
    home: Path, capsys: pytest.CaptureFixture[str], flags: list[str], why: str
) -> None:
    crown(home, "poor")

    assert retrain(home, *flags) == 2

    assert why in capsys.readouterr().err


def test_a_label_that_is_new_must_be_announced_and_comes_last(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crown(home, "poor")
    weather = "雨雪风云晴阴"
    for name, texts in (("new", 40), ("test", 10), ("dev", 10)):
        with (home / f"{name}.txt").open("a", encoding="utf-8") as file:
            file.writelines(
                f"{weather[row % 6]}{weather[row // 6 % 6]}{name}{row}\taaa weather\n" for row in range(texts)
            )
    assert retrain(home, *STUDENT, "6") == 2
    told = capsys.readouterr().err
    assert "unknown label 'aaa weather'" in told
    assert "announce a class that is new with --add-label NAME" in told

    assert retrain(home, "--add-label=aaa weather", "--margin=20", *STUDENT, "6") == 0

    assert open_classifier(home / "bundles" / "current").labels == ("finance", "sports", "aaa weather")


def test_a_folder_without_a_champion_says_how_to_name_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert retrain(home, f"--challenger={home / 'good'}") == 2

    assert "ln -s BUNDLE" in capsys.readouterr().err
    assert not list((home / "bundles").iterdir())  # no lock either
