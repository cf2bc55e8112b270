"""What a text comes to: heads by their definition, padding without effect, no pooler that pre-training never met."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch.nn import functional as F
from transformers import BertConfig, BertForMaskedLM

from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.teacher.encoder_classifier import EncoderClassifier, open_encoder
from kuaixun.trainer.teacher.settings import HEADS

IDS = torch.tensor([[2, 7, 8, 9, 3]])
MASK = torch.ones_like(IDS)


@pytest.mark.parametrize("kind", HEADS)
def test_padding_changes_nothing(encoder: Path, kind: str) -> None:
    model = EncoderClassifier(open_encoder(str(encoder), "--encoder"), kind, 3).train(False)

    padded = F.pad(IDS, (0, 4))
    alone, beside = model(IDS, MASK)["logits"], model(padded, F.pad(MASK, (0, 4)))["logits"]

    torch.testing.assert_close(alone, beside, rtol=1e-4, atol=1e-5)


def test_half_is_the_mean_of_the_pooled_state_and_the_mean_over_the_text(encoder: Path) -> None:
    model = EncoderClassifier(open_encoder(str(encoder), "--encoder"), "half", 3).train(False)
    output = model.backbone(input_ids=IDS, attention_mask=MASK)

    expected = model.head((output.pooler_output + output.last_hidden_state.mean(dim=1)) / 2)

    torch.testing.assert_close(model(IDS, MASK)["logits"], expected)


def test_labels_are_smoothed_in_training_alone(encoder: Path) -> None:
    model = EncoderClassifier(open_encoder(str(encoder), "--encoder"), "linear", 3, label_smoothing=0.3).train(False)
    labels = torch.tensor([1])

    result = model(IDS, MASK, labels)

    torch.testing.assert_close(result["loss"], F.cross_entropy(result["logits"], labels))
    model.training = True
    smoothed = model(IDS, MASK, labels)
    torch.testing.assert_close(smoothed["loss"], F.cross_entropy(smoothed["logits"], labels, label_smoothing=0.3))


def test_an_encoder_without_a_pooler_gives_its_first_tokens_state(tmp_path: Path) -> None:
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertForMaskedLM(config).save_pretrained(tmp_path / "mlm")
    model = EncoderClassifier(open_encoder(str(tmp_path / "mlm"), "--encoder"), "linear", 3).train(False)

    states = model.backbone(input_ids=IDS, attention_mask=MASK).last_hidden_state

    torch.testing.assert_close(model(IDS, MASK)["logits"], model.head(states[:, 0]))


def test_a_checkpoint_that_lacks_weights_is_refused(encoder: Path) -> None:
    weights = safetensors.torch.load_file(encoder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if ".layer.1." not in name}
    safetensors.torch.save_file(kept, encoder / "model.safetensors", {"format": "pt"})

    with pytest.raises(SettingError, match=r"lack 16 of the encoder's tensors, such as encoder\.layer\.1"):
        open_encoder(str(encoder), "--encoder")
