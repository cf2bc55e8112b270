"""Which n-gram owns which bucket of the student's table: the one that the training texts hold most often.

Three n-grams in four are seen once and teach nothing but the text they stand in; the rest outnumber the buckets. What
a bucket's owner shares it with scores nothing, in training as in service.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kuaixun.export.student.ngrams import NOBODY, OWNER_SHIFT, ngram_hashes
from kuaixun.schemas.manifest import NgramBranch

CHUNK_TEXTS = 8192


def ngram_owners(ids: Tensor, branch: NgramBranch, minimum_frequency: int) -> Tensor:
    """Owners (buckets,) int16 for the table of `branch`, from training texts ids (n, tokens), PAD at the end of rows.

    N-grams rarer than `minimum_frequency` own nothing; between equally common ones, the larger hash owns the bucket.
    """
    hashes = np.concatenate([_hashes(chunk, branch) for chunk in torch.split(ids, CHUNK_TEXTS)])  # (n-grams,)
    found, counts = np.unique(hashes, return_counts=True)  # (different n-grams,) both
    found, counts = found[counts >= minimum_frequency], counts[counts >= minimum_frequency]
    order = np.argsort(counts, kind="stable")
    owners = np.full(1 << branch.bucket_bits, NOBODY, dtype=np.int16)  # (buckets,)
    # Of several assignments to one bucket the last stays, hence the commonest come last.
    owners[found[order] & (len(owners) - 1)] = found[order] >> OWNER_SHIFT
    return torch.from_numpy(owners)


def _hashes(ids: Tensor, branch: NgramBranch) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    hashes = ngram_hashes(ids.long(), branch)  # (chunk, orders * tokens)
    kept: np.ndarray[tuple[int], np.dtype[np.int64]] = hashes[hashes >= 0].numpy()
    return kept
