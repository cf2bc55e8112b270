"""Only what was named moves, and each part at its own rate."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.teacher.encoder_classifier import EncoderClassifier, open_encoder
from kuaixun.trainer.teacher.settings import TeacherSettings
from kuaixun.trainer.teacher.trainable import choose_trainable, matching, optimizer_for


def trained(encoder: Path, settings: TeacherSettings) -> set[str]:
    model = EncoderClassifier(open_encoder(str(encoder), "--encoder"), settings.head, 2)
    choose_trainable(model, settings)
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_the_head_alone_trains_where_nothing_else_is_named(encoder: Path) -> None:
    assert trained(encoder, TeacherSettings(train_layers="head")) == {"head.0.weight", "head.0.bias"}


def test_named_layers_train_beside_the_head(encoder: Path) -> None:
    names = trained(encoder, TeacherSettings(train_layers="layer.1.output, pooler"))

    output = {f"backbone.encoder.layer.1.output.{part}" for part in ("dense.weight", "dense.bias")}
    norm = {f"backbone.encoder.layer.1.output.LayerNorm.{part}" for part in ("weight", "bias")}
    pooler = {"backbone.pooler.dense.weight", "backbone.pooler.dense.bias"}
    assert names == {"head.0.weight", "head.0.bias"} | output | norm | pooler


def test_a_layers_number_is_matched_as_a_whole() -> None:
    names = [f"encoder.layer.{number}.output.dense.bias" for number in (1, 10, 11)]

    assert matching(names, "layer.1") == {names[0]}
    assert matching(names, "layer.1.output,layer.11.output") == {names[0], names[2]}


def test_a_name_that_matches_nothing_is_refused_with_the_nearest() -> None:
    names = [f"encoder.layer.{number}.output.dense.bias" for number in range(6)]

    with pytest.raises(SettingError, match=r"holds 'layer\.11\.output'; near it are .*layer\.1\.output"):
        matching(names, "head,layer.11.output")


def test_adapters_alone_train_beside_the_head(encoder: Path) -> None:
    names = trained(encoder, TeacherSettings(lora_rank=2, lora_targets="query,value"))

    assert all("lora_" in name for name in names - {"head.0.weight", "head.0.bias"})
    assert len(names) == 2 + 2 * 2 * 2  # two layers, two targets, two matrices each


def test_targets_that_do_not_exist_are_refused_with_those_that_do(encoder: Path) -> None:
    with pytest.raises(SettingError, match=r"--lora-targets: .*dense, key, query, value"):
        trained(encoder, TeacherSettings(lora_rank=2, lora_targets="q_proj"))


def test_biases_and_layer_norms_do_not_decay_and_lower_layers_move_slower(encoder: Path) -> None:
    settings = TeacherSettings(learning_rate=1e-4, head_learning_rate=1e-3, layer_decay=0.5, weight_decay=0.1)
    model = EncoderClassifier(open_encoder(str(encoder), "--encoder"), "linear", 2)
    choose_trainable(model, settings)

    optimizer = optimizer_for(model, settings)

    of = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    named = {name: of[id(parameter)] for name, parameter in model.named_parameters()}
    assert named["head.0.weight"] == (1e-3, 0.1)
    assert named["head.0.bias"] == (1e-3, 0.0)
    assert named["backbone.pooler.dense.weight"] == (1e-4, 0.1)
    assert named["backbone.encoder.layer.1.output.dense.weight"] == (1e-4, 0.1)
    assert named["backbone.encoder.layer.1.output.LayerNorm.weight"] == (1e-4, 0.0)
    assert named["backbone.encoder.layer.0.output.dense.bias"] == (0.5e-4, 0.0)
    assert named["backbone.embeddings.word_embeddings.weight"] == (0.25e-4, 0.1)
