"""Hashed n-grams of token ids: which bucket an n-gram falls into. The definition that every engine repeats.

An order-2 n-gram of the ids (a, b), an order-3 n-gram of (a, b, c), all of them tokens and none PAD:

    h = (a * M[0] + b * M[1] + c * M[2] + order * M[3]) mod 2^32
    h = ((h xor (h >> 15)) * 0x2C1B3C6D) mod 2^32
    bucket = (h xor (h >> 12)) mod 2^bucket_bits

Multiply-xor mixing after the finaliser of the Murmur family; ids stay under 2^20, so no product leaves 63 bits.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kuaixun.export.text.vocabulary import PAD
from kuaixun.schemas.manifest import NgramBranch

MULTIPLIERS = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F)
FINALISER = 0x2C1B3C6D
MASK32 = 0xFFFFFFFF


def ngram_buckets(ids: Tensor, branch: NgramBranch) -> Tensor:
    """Buckets of every n-gram of a batch, in the order of `branch.orders`.

    ids (batch, tokens) int64, PAD only at the end of a row → (batch, orders * tokens) int64, where what is no
    n-gram bears the number of buckets itself: one past the last, the padding row of an embedding bag.
    """
    none = 1 << branch.bucket_bits
    columns = []
    for order in branch.orders:
        padded = F.pad(ids, (0, order - 1), value=PAD)  # (batch, tokens + order - 1)
        mixed = torch.full_like(ids, order * MULTIPLIERS[3])  # (batch, tokens)
        for place in range(order):
            mixed = mixed + padded[:, place : place + ids.shape[1]] * MULTIPLIERS[place]  # (batch, tokens)
        mixed = mixed & MASK32
        mixed = ((mixed ^ (mixed >> 15)) * FINALISER) & MASK32
        bucket = (mixed ^ (mixed >> 12)) & (none - 1)  # (batch, tokens)
        last = padded[:, order - 1 :]  # (batch, tokens): PAD where the n-gram runs over the end
        columns.append(torch.where(last == PAD, none, bucket))
    return torch.cat(columns, dim=1)  # (batch, orders * tokens)
