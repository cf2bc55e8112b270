"""What is opened is a folder of safetensors; a pickle or a model with code of its own never is."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, BertConfig, BertModel

from kuaixun.trainer.encoder.pretrained_folders import open_model, open_tokenizer
from kuaixun.trainer.encoder.tokenizer import ENCODER_SPECIALS, character_tokenizer
from kuaixun.trainer.errors import SettingError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=10,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=8,
    )
    BertModel(config).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def test_a_folder_of_safetensors_opens(folder: Path) -> None:
    assert isinstance(open_model(AutoModel, str(folder), "--encoder"), BertModel)


def test_pickled_weights_are_refused_with_the_way_to_convert_them(folder: Path) -> None:
    weights = folder / "model.safetensors"
    torch.save(BertModel(BertConfig.from_pretrained(folder)).state_dict(), folder / "pytorch_model.bin")
    weights.unlink()

    with pytest.raises(SettingError, match=r"pickles, which can run any code; .*save_pretrained"):
        open_model(AutoModel, str(folder), "--encoder")


def test_code_that_a_model_brings_along_is_never_run(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoModel": "own.Own", "AutoConfig": "own.OwnConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")

    with pytest.raises(SettingError, match="cannot be opened"):
        open_model(AutoModel, str(folder), "--encoder")

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "a/b/c", "nowhere/"])
def test_a_path_that_is_not_there_is_refused_without_asking_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AutoModel, "from_pretrained", lambda *_, **__: pytest.fail("looked elsewhere"))

    with pytest.raises(SettingError, match="no such folder"):
        open_model(AutoModel, name, "--encoder")


def test_a_name_of_the_hub_is_passed_on_as_it_is_and_its_failure_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def from_pretrained(name: str, **settings: object) -> None:
        asked.append((name, settings["local_files_only"], settings["use_safetensors"], settings["trust_remote_code"]))
        raise OSError("We couldn't connect")

    monkeypatch.setattr(AutoModel, "from_pretrained", from_pretrained)

    with pytest.raises(SettingError, match=r"bert-base-chinese: there is no such folder, and the .* We couldn't"):
        open_model(AutoModel, "bert-base-chinese", "--encoder")

    assert asked == [("bert-base-chinese", False, True, False)]


def test_a_folder_without_a_model_or_a_tokenizer_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"no config\.json"):
        open_model(AutoModel, str(tmp_path), "--encoder")
    with pytest.raises(SettingError, match="no tokenizer beside the model"):
        open_tokenizer(str(folder), "--encoder")


def damaged(folder: Path, file: str, content: bytes) -> str:
    """What the folder's refusal says once this file holds that."""
    (folder / file).write_bytes(content)
    with pytest.raises(SettingError) as caught:
        (open_tokenizer if file.startswith("tokenizer") else partial(open_model, AutoModel))(str(folder), "--encoder")
    return str(caught.value)


@pytest.mark.parametrize("kept_bytes", [0, 100, -5])
def test_weights_that_are_cut_off_are_refused_with_folder_and_file(folder: Path, kept_bytes: int) -> None:
    said = damaged(folder, "model.safetensors", (folder / "model.safetensors").read_bytes()[:kept_bytes])

    assert said.startswith(f"--encoder {folder}: model.safetensors, as config.json describes it, cannot be opened: ")
    assert "SafetensorError: Error while deserializing header" in said
    assert said.endswith("if it is damaged, copy the folder anew")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_size": "abc"}, "config.json cannot be opened: .*'hidden_size': .* expected int, got str"),
        ({"dtype": "none"}, "config.json cannot be opened: "),
        ({"num_attention_heads": 0}, "model.safetensors, as config.json describes it, cannot be opened: "),
        ({"hidden_act": "none"}, "model.safetensors, as config.json describes it, cannot be opened: .*'none'"),
    ],
)
def test_a_configuration_that_says_nonsense_is_refused_with_folder_and_file(
    folder: Path, changes: dict[str, object], said: str
) -> None:
    content = json.loads((folder / "config.json").read_text()) | changes

    assert re.match(rf"--encoder {folder}: {said}", damaged(folder, "config.json", json.dumps(content).encode()))


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"3", b"{", b"\xff"])
def test_a_file_that_holds_something_else_is_refused_with_folder_and_file(folder: Path, content: bytes) -> None:
    character_tokenizer((*ENCODER_SPECIALS, "股"), 8).save_pretrained(folder)

    said = damaged(folder, "tokenizer.json", content)
    assert said.startswith(f"--encoder {folder}: tokenizer.json or tokenizer_config.json cannot be opened: ")
    said = damaged(folder, "config.json", content)
    assert said.startswith(f"--encoder {folder}: config.json cannot be opened: ")
