"""Logistic regression on an encoder that stays as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kuaixun.trainer.baselines.frozen_states import FrozenSettings, frozen_states, states_of
from kuaixun.trainer.data.labelled_texts import DataSplit
from kuaixun.trainer.encoder.pretrained_folders import open_tokenizer
from kuaixun.trainer.encoder.tokenizer import ENCODER_SPECIALS, character_tokenizer
from kuaixun.trainer.errors import DataError, FitError, SettingError
from kuaixun.trainer.teacher.encoder_classifier import open_encoder
from kuaixun.trainer.teacher.token_rows import token_rows

CPU = torch.device("cpu")


def nothing(*_: object) -> None:
    """Neither progress nor lines are of interest."""


@pytest.fixture
def encoder(toy_split: DataSplit, tmp_path: Path) -> str:
    """A small BERT of random weights: its states still tell which characters a text has."""
    from transformers import BertConfig, BertModel

    tokens = (*ENCODER_SPECIALS, *sorted(set("".join(toy_split.train.texts))))
    torch.manual_seed(1)
    shape = BertConfig(
        vocab_size=len(tokens), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    folder = tmp_path / "encoder"
    BertModel(shape).save_pretrained(folder)
    character_tokenizer(tokens, 64).save_pretrained(folder)
    return str(folder)


def test_both_kinds_of_states_are_measured_with_the_strength_that_dev_likes_best(
    toy_split: DataSplit, encoder: str
) -> None:
    said: list[str] = []

    mean, cls = frozen_states(toy_split, FrozenSettings(encoder), CPU, nothing, said.append)

    assert [mean.name, cls.name] == ["frozen-mean", "frozen-cls"]
    assert mean.dev.accuracy >= 0.9
    assert mean.test is not None
    assert mean.test.accuracy >= 0.9
    assert mean.dev != cls.dev
    told = {line: float(line.rpartition(" ")[2]) for line in said if "frozen mean states" in line}
    chosen = f"frozen mean states, C {mean.settings['C']:g}: dev accuracy {mean.dev.accuracy:.4f}"
    assert told[chosen] == max(told.values())
    assert len(set(told.values())) > 1
    assert len(told) == 5


def test_padding_has_no_part_in_the_states(toy_split: DataSplit, encoder: str) -> None:
    opened = open_encoder(encoder, "--encoder").eval()
    texts = ["涨", "😀", "股市大涨", *toy_split.dev.texts[:4]]
    rows = token_rows(texts, open_tokenizer(encoder, "--encoder"), 64)
    alone = states_of(opened, rows, 0, 1, CPU, nothing)
    together = states_of(opened, rows, 0, 60, CPU, nothing)

    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
        assert [bool(state.any()) for state in one] == [text != "😀" for text in texts]
    assert len(set(map(len, texts))) > 1


def test_a_tokenizer_without_a_token_for_padding_will_do(toy_split: DataSplit, encoder: str) -> None:
    settings = FrozenSettings(encoder)
    with_one = frozen_states(toy_split, settings, CPU, nothing, nothing)
    tokenizer = open_tokenizer(encoder, "--encoder")
    tokenizer.pad_token = None
    tokenizer.save_pretrained(encoder)
    assert open_tokenizer(encoder, "--encoder").pad_token_id is None

    assert frozen_states(toy_split, settings, CPU, nothing, nothing) == with_one


def test_texts_that_cleaning_empties_get_no_label(toy_split: DataSplit, encoder: str) -> None:
    dev = toy_split.dev
    emptied = replace(dev, texts=("😀", *dev.texts), label_ids=np.concatenate([[0], dev.label_ids]))

    mean, _ = frozen_states(replace(toy_split, dev=emptied), FrozenSettings(encoder), CPU, nothing, nothing)

    assert mean.dev.unlabelled == 1


def test_a_folder_that_holds_no_encoder_is_refused_by_name(toy_split: DataSplit, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"--encoder .*nowhere: no such folder"):
        frozen_states(toy_split, FrozenSettings(str(tmp_path / "nowhere")), CPU, nothing, nothing)
    with pytest.raises(SettingError, match=r"--encoder .*: no tokenizer beside the model|no config\.json"):
        frozen_states(toy_split, FrozenSettings(str(tmp_path)), CPU, nothing, nothing)


def test_texts_longer_than_the_encoder_reads_are_refused_before_any_work(toy_split: DataSplit, encoder: str) -> None:
    with pytest.raises(SettingError, match=r"--max-tokens 513: the model in .* has 512 positions"):
        frozen_states(toy_split, FrozenSettings(encoder, max_tokens=513), CPU, nothing, nothing)


def test_an_encoder_of_damaged_weights_is_refused(toy_split: DataSplit, encoder: str) -> None:
    from transformers import BertModel

    model = BertModel.from_pretrained(encoder)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.fill_(float("nan"))
    model.save_pretrained(encoder)

    with pytest.raises(FitError, match="states are not finite"):
        frozen_states(toy_split, FrozenSettings(encoder), CPU, nothing, nothing)


def test_a_class_that_cleaning_empties_is_told_before_any_states_are_computed(
    toy_split: DataSplit, encoder: str
) -> None:
    train = toy_split.train
    sports = train.labels.index("sports")
    texts = tuple("😀" if label == sports else text for text, label in zip(train.texts, train.label_ids, strict=True))

    told: list[object] = []
    for left, says in ((texts, "texts of one class, 'finance'"), (("😀",) * len(texts), "nothing of any text")):
        split = replace(toy_split, train=replace(train, texts=left))
        with pytest.raises(DataError, match=rf"train\.txt: cleaning leaves {says}"):
            frozen_states(split, FrozenSettings(encoder), CPU, lambda *progress: told.append(progress), nothing)

    assert not told
