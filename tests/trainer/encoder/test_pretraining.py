"""`kuaixun-trainer pretrain`: it learns, goes on where it stopped, and leaves nothing half-written."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
from pathlib import Path

import msgspec
import pytest
import safetensors.torch
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import AutoModelForMaskedLM, AutoTokenizer

from kuaixun.trainer.cli import main
from kuaixun.trainer.commands.pretrain import BATCH_TOKENS
from kuaixun.trainer.encoder.masked_language import FEWEST_POSITIONS
from kuaixun.trainer.encoder.pretraining import Pretraining
from kuaixun.trainer.encoder.pretraining_job import PretrainingRecord
from kuaixun.trainer.encoder.pretraining_state import Progress, load_state, save_state
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.interrupts import interrupts_between_steps
from tests.trainer.encoder.conftest import CHARACTERS

SHAPE = "--layers 2 --hidden 32 --heads 2 --intermediate 64 --max-tokens 16 --minimum-frequency 1"
TRAINING = "--batch-tokens 256 --learning-rate 3e-3 --held-out 20 --evaluate-every-steps 50 --device cpu --threads 1"


def pretrain(texts: Path, output: Path, *more: str) -> int:
    return main(["pretrain", "--texts", str(texts), "--output", str(output), *SHAPE.split(), *TRAINING.split(), *more])


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "model.safetensors")


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    def stepped(_: object, done: int, steps: int, loss: float) -> None:
        if done == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("kuaixun.trainer.commands.progress.Lines.stepped", stepped)


def test_fewer_pieces_held_out_than_asked_for_are_told_and_recorded(
    echo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain(echo_file, tmp_path / "encoder", "--steps", "1", "--held-out", "5000") == 0

    told = capsys.readouterr().err
    assert "30 pieces are held out to measure on, and not 5000: a tenth of each file at most" in told
    record = (tmp_path / "encoder" / "pretraining.json").read_bytes()
    assert msgspec.json.decode(record, type=PretrainingRecord).held_out_pieces == 30
    older = {name: value for name, value in json.loads(record).items() if name != "held_out_pieces"}
    assert msgspec.convert(older, PretrainingRecord).held_out_pieces is None


def test_all_files_of_an_encoder_are_as_open_as_the_umask_lets_them_be(echo_file: Path, tmp_path: Path) -> None:
    assert pretrain(echo_file, tmp_path / "encoder", "--steps", "1") == 0

    usual = echo_file.stat().st_mode
    assert {
        path.name: path.stat().st_mode for path in (tmp_path / "encoder").iterdir() if path.stat().st_mode != usual
    } == {}


def test_a_model_learns_the_toy_language_and_can_be_opened_by_anyone(
    echo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain(echo_file, tmp_path / "encoder", "--steps", "150") == 0

    record = json.loads((tmp_path / "encoder" / "pretraining.json").read_text())
    assert record["steps"] == 150
    assert record["held_out_loss"] < math.log(len(CHARACTERS)) / 2
    assert record["held_out_accuracy"] > 0.6
    assert record["held_out_pieces"] == 20
    assert record["training"]["command"].startswith("kuaixun-trainer pretrain --texts echo.txt --output encoder ")
    assert record["training"]["data"][0]["rows"] == 300
    assert "step 150/150" in capsys.readouterr().err
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "encoder")
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "encoder")
    ids = tokenizer("黄" * 10, return_tensors="pt")["input_ids"]
    ids[0, 4] = tokenizer.mask_token_id
    assert tokenizer.convert_ids_to_tokens(int(model(ids).logits[0, 4].argmax())) == "黄"
    assert model.config.max_position_embeddings == FEWEST_POSITIONS
    assert not (tmp_path / "encoder.unfinished").exists()


@pytest.mark.parametrize("stop", [7, 31])  # within the first pass, and in a later one
def test_a_resumed_training_ends_with_the_weights_of_one_that_was_never_interrupted(
    echo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    assert pretrain(echo_file, tmp_path / "whole", "--steps", "40") == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, stop)
        assert pretrain(echo_file, tmp_path / "parts", "--steps", "40") == 130
    assert not (tmp_path / "parts").exists()

    assert pretrain(echo_file, tmp_path / "parts", "--steps", "40", "--resume") == 0

    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())
    assert not (tmp_path / "parts.unfinished").exists()


def test_the_state_of_every_so_many_steps_outlives_a_crash(
    echo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: object, done: int, steps: int, loss: float) -> None:
        if done == 25:
            raise RuntimeError("power cut")

    assert pretrain(echo_file, tmp_path / "whole", "--steps", "40") == 0
    with monkeypatch.context() as patch:
        patch.setattr("kuaixun.trainer.commands.progress.Lines.stepped", crash)
        with pytest.raises(RuntimeError):
            pretrain(echo_file, tmp_path / "parts", "--steps", "40", "--save-every-steps", "10")
    state = torch.load(tmp_path / "parts.unfinished", weights_only=True)
    assert state["progress"]["step"] == 20

    assert pretrain(echo_file, tmp_path / "parts", "--steps", "40", "--save-every-steps", "10", "--resume") == 0
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())


def test_an_interrupted_training_can_be_ended_where_it_stands(
    echo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(patch, 5)
        assert pretrain(echo_file, tmp_path / "parts", "--steps", "40") == 130

    assert pretrain(echo_file, tmp_path / "parts", "--steps", "5", "--resume") == 0

    assert json.loads((tmp_path / "parts" / "pretraining.json").read_text())["steps"] == 5


def test_a_training_bound_by_time_ends_by_the_clock(
    echo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(10_000))
    # A second passes with every look.
    monkeypatch.setattr(Pretraining.__init__, "__kwdefaults__", {"clock": lambda: float(next(ticks))})

    assert pretrain(echo_file, tmp_path / "encoder", "--minutes", "0.5") == 0

    assert json.loads((tmp_path / "encoder" / "pretraining.json").read_text())["steps"] == 30


def test_what_was_interrupted_is_not_begun_anew_by_mistake_nor_mixed_with_another(
    echo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(patch, 5)
        assert pretrain(echo_file, tmp_path / "parts", "--steps", "40") == 130
    capsys.readouterr()

    assert pretrain(echo_file, tmp_path / "parts", "--steps", "40") == 2
    assert "pass --resume" in capsys.readouterr().err
    assert pretrain(echo_file, tmp_path / "parts", "--steps", "40", "--resume", "--hidden-share", "0.4") == 2
    assert "of another training: --hidden-share was 0.25, and is 0.4; repeat its" in capsys.readouterr().err
    assert pretrain(echo_file, tmp_path / "parts", "--steps", "40", "--resume", "--layers", "1", "--seed", "2") == 2
    assert "of another training: other shape, --seed was 1, and is 2; repeat its" in capsys.readouterr().err
    assert pretrain(echo_file, tmp_path / "other", "--steps", "40", "--resume") == 2
    assert "leave --resume away" in capsys.readouterr().err


def test_another_column_of_the_same_table_is_not_gone_on_with(
    echo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = echo_file.read_text(encoding="utf-8").splitlines()
    table = tmp_path / "echo.csv"
    rows = (f"{one},{other}\n" for one, other in zip(lines, lines[::-1], strict=True))
    table.write_text("title,body\n" + "".join(rows), encoding="utf-8")
    command = (table, tmp_path / "parts", "--steps", "40", "--text-column")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 5)
        assert pretrain(*command, "title") == 130

    assert pretrain(*command, "body", "--resume") == 2
    assert "of another training: other texts; repeat its" in capsys.readouterr().err


def test_what_follows_from_the_device_is_told_with_the_option_that_keeps_it(
    echo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["pretrain", "--texts", str(echo_file), "--output", str(tmp_path / "parts"), *SHAPE.split()]
    command += ["--steps", "9", "--device", "cpu", "--threads", "1", "--held-out", "20"]
    with monkeypatch.context() as patch:
        interrupt_at(patch, 1)
        patch.setitem(BATCH_TOKENS, "cpu", 512)  # as another device has it
        assert main([*command, "--mixed-precision"]) == 130

    assert main([*command, "--resume"]) == 2
    said = capsys.readouterr().err
    assert f"--batch-tokens was 512, and is {BATCH_TOKENS['cpu']} (its default depends on the device: give it)" in said
    assert "--mixed-precision was True, and is False (a GPU always has it: give it on a CPU, or " in said

    assert main([*command, "--resume", "--batch-tokens", "512", "--mixed-precision"]) == 0


def test_ctrl_c_waits_for_the_step_under_way_and_a_second_one_does_not() -> None:
    with interrupts_between_steps() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_full_disk_leaves_the_state_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "encoder.unfinished"
    save_state(path, Progress(step=1), {}, {"a": torch.ones(3)}, {})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_state(path, Progress(step=2), {}, {"a": torch.zeros(3)}, {})

    progress, model, _ = load_state(path, {})
    assert progress.step == 1
    assert model["a"].tolist() == [1, 1, 1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_first_save_that_fails_leaves_nothing_that_stands_in_the_way(
    echo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("kuaixun.trainer.encoder.pretraining_state.os.fsync", full)
        assert pretrain(echo_file, tmp_path / "encoder", "--steps", "5", "--save-every-steps", "2") == 2
    assert list(tmp_path.iterdir()) == [echo_file]

    assert pretrain(echo_file, tmp_path / "encoder", "--steps", "5") == 0


def test_a_second_ctrl_c_in_the_midst_of_a_step_leaves_the_state_saved_last(
    echo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def interrupted_twice(optimizer: torch.optim.Optimizer, *_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 5:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    assert pretrain(echo_file, tmp_path / "whole", "--steps", "20") == 0
    hook = register_optimizer_step_post_hook(interrupted_twice)
    try:
        assert pretrain(echo_file, tmp_path / "parts", "--steps", "20", "--save-every-steps", "2") == 130
    finally:
        hook.remove()
    state = torch.load(tmp_path / "parts.unfinished", weights_only=True)
    assert state["progress"]["step"] == 4

    assert pretrain(echo_file, tmp_path / "parts", "--steps", "20", "--save-every-steps", "2", "--resume") == 0
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())


@pytest.mark.parametrize(("ending", "code"), [(KeyboardInterrupt(), 130), (RuntimeError("out of memory"), None)])
def test_what_ends_the_last_look_at_the_held_out_pieces_costs_no_training(
    echo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: BaseException, code: int | None
) -> None:
    def ended(_: Pretraining) -> tuple[float, float]:
        raise ending

    assert pretrain(echo_file, tmp_path / "whole", "--steps", "5") == 0
    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "held_out_figures", ended)
        if code is None:
            with pytest.raises(RuntimeError):
                pretrain(echo_file, tmp_path / "parts", "--steps", "5")
        else:
            assert pretrain(echo_file, tmp_path / "parts", "--steps", "5") == code

    assert pretrain(echo_file, tmp_path / "parts", "--steps", "5", "--resume") == 0
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())
    assert json.loads((tmp_path / "parts" / "pretraining.json").read_text())["held_out_loss"] is not None


def test_a_state_that_is_no_state_is_refused_without_running_what_it_holds(tmp_path: Path) -> None:
    for content in (b"", b"cos\nsystem\n(S'true'\ntR."):
        (tmp_path / "state").write_bytes(content)
        with pytest.raises(SettingError, match="cannot be read"):
            load_state(tmp_path / "state", {})


def test_a_full_disk_at_the_end_leaves_no_folder_and_a_state_to_go_on_from(
    echo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("transformers.BertForMaskedLM.save_pretrained", full)
        assert pretrain(echo_file, tmp_path / "encoder", "--steps", "5") == 2
    assert {path.name for path in tmp_path.iterdir()} == {"encoder.unfinished", "echo.txt"}

    assert pretrain(echo_file, tmp_path / "encoder", "--steps", "5", "--resume") == 0


def test_a_checkpoint_learns_on_with_its_vocabulary_or_with_a_new_one(echo_file: Path, tmp_path: Path) -> None:
    assert pretrain(echo_file, tmp_path / "first", "--steps", "30") == 0
    other = tmp_path / "other.txt"
    other.write_text(echo_file.read_text(encoding="utf-8").replace("天", "甲"), encoding="utf-8")

    assert pretrain(echo_file, tmp_path / "on", "--from", str(tmp_path / "first"), "--steps", "0") == 0
    assert pretrain(other, tmp_path / "new", "--from", str(tmp_path / "first"), "--new-vocabulary", "--steps", "0") == 0

    first, on, new = (weights(tmp_path / name) for name in ("first", "on", "new"))
    assert all(torch.equal(tensor, on[name]) for name, tensor in first.items())
    table = "bert.embeddings.word_embeddings.weight"
    body = [name for name in first if ".encoder." in name]
    assert body
    assert all(torch.equal(first[name], new[name]) for name in body)
    old_ids, new_ids = (AutoTokenizer.from_pretrained(tmp_path / name).get_vocab() for name in ("first", "new"))
    assert torch.equal(first[table][old_ids["地"]], new[table][new_ids["地"]])
    assert "甲" in new_ids
    assert "甲" not in old_ids


def test_lines_of_unknown_characters_alone_are_left_out_and_a_file_of_them_is_refused(
    echo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain(echo_file, tmp_path / "first", "--steps", "0") == 0
    on = ("--from", str(tmp_path / "first"), "--steps", "40")
    unknown, both = tmp_path / "unknown.txt", tmp_path / "both.txt"
    unknown.write_text("甲乙丙丁戊\n" * 60, encoding="utf-8")  # of a length of their own, so batches of their own
    both.write_text(echo_file.read_text(encoding="utf-8") + unknown.read_text(encoding="utf-8"), encoding="utf-8")

    assert pretrain(both, tmp_path / "on", *on) == 0
    assert "both.txt: 360 lines, 300 pieces" in capsys.readouterr().err
    assert pretrain(unknown, tmp_path / "none", *on) == 2
    assert "nothing is left to learn from after cleaning" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_tokenising_tells_now_and_then_how_far_it_is(
    echo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kuaixun.trainer.encoder.pretraining_job.LINE_EVERY_SECONDS", 0)
    monkeypatch.setattr("kuaixun.trainer.encoder.token_array.BATCH_LINES", 200)

    assert pretrain(echo_file, tmp_path / "e", "--steps", "0", "--prepare-only", "--cache", str(tmp_path / "c")) == 0

    told = capsys.readouterr().err
    assert "echo.txt: 200/300 lines tokenised" in told
    assert "echo.txt: 300/300 lines tokenised" in told


def test_prepared_texts_are_read_from_the_cache(
    echo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ("--cache", str(tmp_path / "cache"))
    assert pretrain(echo_file, tmp_path / "encoder", "--steps", "2", "--prepare-only", *cache) == 0
    assert not (tmp_path / "encoder").exists()
    monkeypatch.setattr("kuaixun.trainer.encoder.token_array.clean", lambda _: pytest.fail("cleaned again"))
    monkeypatch.setattr("kuaixun.trainer.encoder.tokenizer.clean", lambda _: pytest.fail("counted again"))

    assert pretrain(echo_file, tmp_path / "encoder", "--steps", "2", *cache) == 0


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ((), "--steps and --minutes"),
        (("--steps", "1", "--minutes", "1"), "--steps and --minutes"),
        (("--steps", "1", "--heads", "3"), "--hidden 32 is no multiple of --heads 3"),
        (("--steps", "1", "--new-vocabulary"), "goes with --from"),
        (("--steps", "1", "--from", "a", "--vocabulary", "v"), "--new-vocabulary"),
        (("--steps", "1", "--from", "./nowhere"), "no such folder"),
        (("--steps", "1", "--embeddings", "e"), "--embedding-vocabulary need each other"),
        (("--steps", "1", "--prepare-only"), "--cache"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line_and_nothing_is_written(
    echo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], reason: str
) -> None:
    assert pretrain(echo_file, tmp_path / "encoder", *more) == 2

    told = capsys.readouterr().err.strip()
    assert reason in told
    assert len(told.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["echo.txt"]


def test_a_process_of_several_is_refused(
    echo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")

    assert pretrain(echo_file, tmp_path / "encoder", "--steps", "1") == 2
    assert "without torchrun" in capsys.readouterr().err


def test_a_share_of_a_file_is_read_and_bad_ones_refused(
    echo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for share in ("0", "1.5"):
        with pytest.raises(SystemExit):
            main(["pretrain", "--texts", f"{echo_file}={share}", "--output", str(tmp_path / "e"), "--steps", "1"])
        assert "out of range" in capsys.readouterr().err

    output = tmp_path / "encoder"
    assert pretrain(Path(f"{echo_file}=0.5"), output, "--steps", "1") == 0
    assert "--texts echo.txt=0.5 " in json.loads((output / "pretraining.json").read_text())["training"]["command"]
