"""Which n-grams score: the commonest of each bucket, and none that is too rare."""

from __future__ import annotations

import pytest
import torch

from kuaixun.export.student.ngrams import NOBODY, ngram_hashes, owned_buckets
from kuaixun.schemas.manifest import NgramBranch
from kuaixun.trainer.student.ngram_owners import ngram_owners

WIDE = NgramBranch(orders=(2,), bucket_bits=17)
ONE_BUCKET_PAIR = NgramBranch(orders=(2,), bucket_bits=1)


def bigrams(*pairs: tuple[int, int]) -> torch.Tensor:
    return torch.tensor(pairs, dtype=torch.int32)


def scored(ids: torch.Tensor, owners: torch.Tensor, branch: NgramBranch) -> list[bool]:
    """Whether each row's only n-gram owns a bucket."""
    buckets = owned_buckets(ngram_hashes(ids.long(), branch), owners)
    return (buckets[:, 0] < len(owners)).tolist()


def test_an_ngram_that_is_common_enough_owns_its_bucket_and_a_rare_one_does_not() -> None:
    owners = ngram_owners([bigrams((5, 6), (5, 6), (7, 8))], WIDE, minimum_frequency=2)

    assert owners.dtype == torch.int16
    assert scored(bigrams((5, 6), (7, 8), (9, 9)), owners, WIDE) == [True, False, False]
    assert int((owners != NOBODY).sum()) == 1


def test_of_ngrams_in_one_bucket_the_commonest_owns_it() -> None:
    pairs = [(first, second) for first in range(3, 9) for second in range(3, 9)]
    counts = {pair: 1 + index for index, pair in enumerate(pairs)}
    ids = bigrams(*(pair for pair, count in counts.items() for _ in range(count)))

    owners = ngram_owners([ids], ONE_BUCKET_PAIR, minimum_frequency=1)

    hashes = ngram_hashes(bigrams(*pairs).long(), ONE_BUCKET_PAIR)[:, 0]
    for bucket in (0, 1):
        rivals = [pair for pair, value in zip(pairs, hashes.tolist(), strict=True) if value & 1 == bucket]
        assert scored(bigrams(max(rivals, key=counts.__getitem__)), owners, ONE_BUCKET_PAIR) == [True]
        assert sum(scored(bigrams(*rivals), owners, ONE_BUCKET_PAIR)) == 1


def test_what_runs_into_padding_is_no_ngram() -> None:
    owners = ngram_owners([bigrams((5, 0), (5, 0))], WIDE, minimum_frequency=1)

    assert bool((owners == NOBODY).all())


def test_single_ids_own_buckets_too() -> None:
    branch = NgramBranch(orders=(1,), bucket_bits=17)
    owners = ngram_owners([bigrams((5, 0), (5, 6), (7, 0))], branch, minimum_frequency=2)

    assert scored(bigrams((5, 0), (6, 0), (7, 0)), owners, branch) == [True, False, False]


def test_texts_are_counted_alike_in_one_piece_and_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = torch.randint(3, 12, (300, 9), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    branch = NgramBranch(orders=(2, 3), bucket_bits=6)
    whole = ngram_owners([ids], branch, minimum_frequency=2)

    monkeypatch.setattr("kuaixun.trainer.student.ngram_owners.CHUNK_NGRAMS", 7 * 9 * 2)

    assert torch.equal(ngram_owners([ids[:100], ids[100:]], branch, minimum_frequency=2), whole)
