"""What a network says of texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.errors import DataError
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.fitting.training import logits_of
from kuaixun.trainer.network.folder import Network
from kuaixun.trainer.network.word_network import WordNetwork
from kuaixun.trainer.scores.scorer import Scorer
from kuaixun.trainer.words.segmentation import segmenter


def network_logits(network: Network, texts: Sequence[str], device: torch.device) -> NDArray[np.float32]:
    """Logits (n, classes) of raw texts. A text of which cleaning leaves nothing gets zeros: no class before another."""
    try:
        encoded = network.lexicon.encode(TextLines(tuple(texts), Path("the file to score"), sha256=""), segmenter())
    except DataError:  # of no text is anything left
        return np.zeros((len(texts), len(network.record.labels)), dtype=np.float32)
    return encoded_logits(network.module.to(device), encoded, network.record.settings.mixed_precision, len(texts))


def scorer_of_network(network: Network) -> Scorer:
    """A network as one that scores."""
    record = network.record
    of_texts = partial(network_logits, network)
    settings = (record.shape, record.settings, record.word_learning_rate)
    return Scorer(record.labels, record.training, of_texts, record.folds, record.texts_sha256, settings)


def encoded_logits(module: WordNetwork, encoded: EncodedTexts, mixed_precision: bool, rows: int) -> NDArray[np.float32]:
    """Logits (rows, classes) of a whole file."""
    device = next(module.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=mixed_precision):
        return encoded.in_whole_file(logits_of(module, encoded), rows)
