"""Hashed n-grams of token ids: which bucket an n-gram falls into, and whether it owns it.

An n-gram of order 1 is the id (a), of order 2 the ids (a, b), of order 3 (a, b, c), all of them tokens and none PAD; of
the products, those of ids that it does not have are left out:

    h = (a * M[0] + b * M[1] + c * M[2] + order * M[3]) mod 2^32
    h = ((h xor (h >> 15)) * 0x2C1B3C6D) mod 2^32
    h = h xor (h >> 12)
    bucket = h mod 2^bucket_bits

Multiply-xor mixing after the finaliser of the Murmur family; ids stay under 2^20, so no product leaves 63 bits.

Many n-grams fall into one bucket, and most of them say nothing: three in four are seen once. So a bucket belongs to one
n-gram, told by the hash's upper 15 bits, `owners[bucket] = h >> 17`, and any other scores nothing. On the reference
data 2^17 owned buckets serve better than twice as many shared ones (docs/experiments.md).
"""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F

from kuaixun.export.text.vocabulary import PAD
from kuaixun.schemas.manifest import NgramBranch

MULTIPLIERS = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F)
FINALISER = 0x2C1B3C6D
MASK32 = 0xFFFFFFFF
OWNER_SHIFT = 17
NOBODY = -1


def ngram_hashes(ids: Tensor, branch: NgramBranch) -> Tensor:
    """Hashes of every n-gram of a batch, in the order of `branch.orders`; -1 where the n-gram runs over the end.

    ids (batch, tokens) int64, PAD only at the end of a row → (batch, orders * tokens) int64.
    """
    tokens = ids.shape[1]
    padded = F.pad(ids, (0, max(branch.orders) - 1), value=PAD)  # (batch, tokens + longest - 1)
    places = [padded[:, place : place + tokens] for place in range(max(branch.orders))]  # (batch, tokens) each
    # One sum runs through all orders, and they are mixed together: what counts in a small batch is how many operations.
    sums = list(accumulate(place * multiplier for place, multiplier in zip(places, MULTIPLIERS, strict=False)))
    mixed = torch.stack([sums[order - 1] + order * MULTIPLIERS[3] for order in branch.orders], dim=1) & MASK32
    mixed = ((mixed ^ (mixed >> 15)) * FINALISER) & MASK32
    mixed = mixed ^ (mixed >> 12)  # (batch, orders, tokens)
    last = torch.stack([places[order - 1] for order in branch.orders], dim=1)  # PAD where it runs over the end
    return torch.where(last == PAD, -1, mixed).flatten(1)  # (batch, orders * tokens)


def owned_buckets(hashes: Tensor, owners: Tensor) -> Tensor:
    """Buckets of the n-grams that own theirs: one past the last, an embedding bag's padding row, for all others.

    hashes (batch, n-grams) int64, -1 for none; owners (buckets,) int16, NOBODY where a bucket is free → (batch,
    n-grams) int64.
    """
    none = owners.shape[0]
    buckets = hashes & (none - 1)  # (batch, n-grams)
    # index_select has a path of its own on a CPU; indexing goes through the general iterator.
    owner = owners.index_select(0, buckets.flatten()).view_as(buckets)  # (batch, n-grams)
    owned = (owner == (hashes >> OWNER_SHIFT)) & (hashes >= 0)  # (batch, n-grams)
    return torch.where(owned, buckets, none)
