"""A teacher's network: any Hugging Face encoder, and a head over what it makes of a text."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kuaixun.trainer.encoder.pretrained_folders import open_model
from kuaixun.trainer.errors import SettingError


class EncoderClassifier(nn.Module):
    """Encoder, pooling, head. `kind` is one of settings.HEADS:

    linear  a linear layer on the pooled state
    half    a linear layer on the mean of two states, the pooled one and the mean over the text's tokens
    mlp     a hidden layer with GELU and a linear one, on the pooled state

    The pooled state is that of the encoder's own pooler where the checkpoint has one, else that of the first token: a
    pooler which pre-training never met would be noise between them.
    """

    def __init__(self, encoder: Any, kind: str, classes: int, *, dropout: float = 0.0, label_smoothing: float = 0.0):
        super().__init__()
        self.backbone = encoder
        self.kind = kind
        self.label_smoothing = label_smoothing
        self.dropout = nn.Dropout(dropout)
        hidden: int = encoder.config.hidden_size
        last = nn.Linear(hidden, classes)
        self.head = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout), last)
        if kind != "mlp":
            self.head = nn.Sequential(last)
        nn.init.normal_(last.weight, std=getattr(encoder.config, "initializer_range", 0.02))
        nn.init.zeros_(last.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Logits (batch, classes), and with `labels` (batch,) the mean loss, smoothed in training alone."""
        output = self.backbone(input_ids=input_ids, attention_mask=attention_mask)
        states: Tensor = output.last_hidden_state  # (batch, tokens, hidden)
        pooled: Tensor | None = getattr(output, "pooler_output", None)  # (batch, hidden)
        text = states[:, 0] if pooled is None else pooled  # (batch, hidden)
        if self.kind == "half":
            inside = attention_mask.unsqueeze(-1).to(states.dtype)  # (batch, tokens, 1)
            text = (text + (states * inside).sum(dim=1) / inside.sum(dim=1)) / 2  # (batch, hidden)
        logits: Tensor = self.head(self.dropout(text))  # (batch, classes)
        if labels is None:
            return {"logits": logits}
        smoothing = self.label_smoothing if self.training else 0.0
        return {"loss": F.cross_entropy(logits.float(), labels, label_smoothing=smoothing), "logits": logits}


def open_encoder(name: str, option: str) -> Any:
    """The encoder of a folder or hub name, in single precision, without a pooler that its checkpoint has not.

    Raises SettingError, also where weights are missing.
    """
    from transformers import AutoModel

    encoder, loading = open_model(AutoModel, name, option, dtype=torch.float32, output_loading_info=True)
    missing = sorted(loading["missing_keys"])
    lost = [key for key in missing if "pooler" not in key.split(".")]
    if lost:
        raise SettingError(f"{option} {name}: its weights lack {len(lost)} of the encoder's tensors, such as {lost[0]}")
    if missing:
        encoder.pooler = None
    if not hasattr(encoder.config, "hidden_size"):
        raise SettingError(f"{option} {name}: a {encoder.config.model_type} model tells no hidden_size: no encoder")
    return encoder


def set_dropout(module: nn.Module, share: float) -> None:
    """Drop this share wherever the module drops anything."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = share
