"""Which n-gram owns which bucket of the student's table: the one that the counted texts hold most often.

Three n-grams in four are seen once and teach nothing but the text they stand in; the rest outnumber the buckets. What
a bucket's owner shares it with scores nothing, in training as in service.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kuaixun.export.student.ngrams import NOBODY, OWNER_SHIFT, ngram_hashes
from kuaixun.schemas.manifest import NgramBranch

# 32 MB to sort at a time.
CHUNK_NGRAMS = 1 << 22


def ngram_owners(texts: Iterable[Tensor], branch: NgramBranch, minimum_frequency: int) -> Tensor:
    """Owners (buckets,) int16 for the table of `branch`, from one or more ids (n, tokens), PAD at the end of rows.

    N-grams rarer than `minimum_frequency` own nothing; between equally common ones, the larger hash owns the bucket.
    """
    found = np.empty(0, dtype=np.int64)
    counts = np.empty(0, dtype=np.int64)
    for ids in texts:
        for chunk in torch.split(ids, max(CHUNK_NGRAMS // max(ids.shape[1] * len(branch.orders), 1), 1)):
            found, counts = _merged(found, counts, *np.unique(_hashes(chunk, branch), return_counts=True))
    found, counts = found[counts >= minimum_frequency], counts[counts >= minimum_frequency]
    order = np.argsort(counts, kind="stable")
    owners = np.full(1 << branch.bucket_bits, NOBODY, dtype=np.int16)  # (buckets,)
    # Of several assignments to one bucket the last stays, hence the commonest come last.
    owners[found[order] & (len(owners) - 1)] = found[order] >> OWNER_SHIFT
    return torch.from_numpy(owners)


def _merged(
    found: NDArray[np.int64], counts: NDArray[np.int64], more: NDArray[np.int64], more_counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two lists of different n-grams, each with its counts, as one: ascending, counts added."""
    both = np.concatenate([found, more])  # (n-grams,)
    order = np.argsort(both, kind="stable")
    both = both[order]
    first = np.flatnonzero(np.diff(both, prepend=-1))  # where each n-gram begins; hashes are never negative
    return both[first], np.add.reduceat(np.concatenate([counts, more_counts])[order], first) if len(first) else counts


def _hashes(ids: Tensor, branch: NgramBranch) -> NDArray[np.int64]:
    hashes = ngram_hashes(ids.long(), branch)  # (chunk, orders * tokens)
    kept: NDArray[np.int64] = hashes[hashes >= 0].numpy()
    return kept
