"""Texts as a teacher reads them: cleaned, cut into the encoder's tokens, a row each, padded batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from kuaixun.export.batches import in_batches
from kuaixun.trainer.data.cleaning import clean

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BATCH_TEXTS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class TokenRows:
    """Token ids of texts, in order; `filled` (n,) says where cleaning left something to read."""

    ids: Sequence[NDArray[np.int32]]
    filled: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


def token_rows(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, max_tokens: int, *, specials: bool = True
) -> TokenRows:
    """Tokens of raw texts, at most `max_tokens` of each, an encoder's specials included.

    A language model puts its own prompt around them, and wants no `specials`.
    """
    ids: list[NDArray[np.int32]] = []
    filled: list[bool] = []
    for batch in in_batches(texts, BATCH_TEXTS):
        cleaned = clean(batch)
        encoded = tokenizer(
            cleaned,
            truncation=True,
            max_length=max_tokens,
            add_special_tokens=specials,
            return_attention_mask=False,
        )
        ids += [np.array(row, dtype=np.int32) for row in encoded["input_ids"]]
        filled += [bool(text) for text in cleaned]
    return TokenRows(ids, np.array(filled, dtype=np.bool_))


class LabelledRows(Dataset[dict[str, Any]]):
    """Rows and label ids for Hugging Face's Trainer; texts that cleaning emptied are not among them."""

    def __init__(self, rows: TokenRows, label_ids: NDArray[np.int64]) -> None:
        kept = np.flatnonzero(rows.filled).tolist()
        self._ids = [rows.ids[row] for row in kept]
        self._label_ids = label_ids[rows.filled]

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"input_ids": self._ids[row], "labels": int(self._label_ids[row])}


def pad_id_of(tokenizer: PreTrainedTokenizerFast) -> int:
    """What fills short rows; the mask hides it, so that where there is no such token any will do."""
    pad_id = tokenizer.pad_token_id
    return pad_id if isinstance(pad_id, int) else 0


def padded(rows: Sequence[NDArray[np.int32]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Ids and attention mask (batch, longest of the batch), int64."""
    ids = np.full((len(rows), max(map(len, rows))), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


class Collator:
    """What the Trainer makes a batch with. A class, because its data loaders may send it to other processes."""

    def __init__(self, pad_id: int) -> None:
        self._pad_id = pad_id

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """A batch in the words of the model's forward pass."""
        ids, mask = padded([row["input_ids"] for row in rows], self._pad_id)
        labels = torch.tensor([row["labels"] for row in rows])
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}
