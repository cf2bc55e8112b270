"""Every piece is met, hardly one padded, specials are never hidden, and all of it follows from the seed."""

from __future__ import annotations

import numpy as np
import pytest

from kuaixun.trainer.encoder.masked_batches import Corpus, TokenIds, hide, hold_out, one_pass, show
from kuaixun.trainer.encoder.token_array import TokenArray

SPECIAL = TokenIds(pad=0, cls=2, sep=3, mask=4, specials=(0, 1, 2, 3, 4), size=50)


def corpus(pieces: int, share: float = 1.0, seed: int = 0) -> Corpus:
    chance = np.random.default_rng(seed)
    lengths = chance.integers(4, 30, pieces)
    ids = chance.integers(5, 50, int(lengths.sum())).astype(np.int32)
    return Corpus(TokenArray(ids, np.concatenate([[0], np.cumsum(lengths)])), share)


def test_a_pass_meets_every_piece_once_in_batches_of_the_size_asked_for() -> None:
    corpora = [corpus(500), corpus(300, seed=1)]

    batches = one_pass(corpora, 256, seed=1, number=0)

    assert sorted(np.concatenate(batches).tolist()) == list(range(800))
    assert max(show(corpora, batch, SPECIAL).size for batch in batches) <= 256


def test_a_pass_meets_the_share_of_a_file_that_was_asked_for_and_another_one_in_the_next_pass() -> None:
    corpora = [corpus(500), corpus(300, share=0.1, seed=1)]

    first, second = (np.concatenate(one_pass(corpora, 256, seed=1, number=number)) for number in (0, 1))

    assert len(first) == len(second) == 530
    assert set(first[first >= 500].tolist()) != set(second[second >= 500].tolist())


def test_hardly_anything_is_padding() -> None:
    corpora = [corpus(5000)]

    shown = [show(corpora, batch, SPECIAL) for batch in one_pass(corpora, 512, seed=1, number=0)]

    assert sum(int((ids == 0).sum()) for ids in shown) / sum(ids.size for ids in shown) < 0.01


def test_the_order_follows_from_the_seed_and_the_number_of_the_pass() -> None:
    corpora = [corpus(200)]

    def order(seed: int, number: int) -> list[int]:
        return np.concatenate(one_pass(corpora, 256, seed, number)).tolist()  # type: ignore[no-any-return]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_a_piece_is_shown_between_its_specials_and_padding_is_masked_out() -> None:
    tokens = TokenArray(np.array([7, 8, 9, 10, 11, 12, 13, 14, 15], dtype=np.int32), np.array([0, 4, 9]))

    ids = show([Corpus(tokens)], np.array([0, 1]), SPECIAL)
    batch = hide(ids, SPECIAL, 0.25, np.random.default_rng(0))

    assert ids.tolist() == [[2, 7, 8, 9, 10, 3, 0], [2, 11, 12, 13, 14, 15, 3]]
    assert batch.attention is not None
    assert batch.attention.tolist() == [[1] * 6 + [0], [1] * 7]


@pytest.mark.parametrize("share", [0.15, 0.25, 0.4])
def test_the_share_asked_for_is_hidden_in_the_three_ways_and_no_special_ever_is(share: float) -> None:
    # Long rows, because a span that began before the first token hides none: short rows hide a little less.
    ids = np.full((200, 502), 2, dtype=np.int64)
    ids[:, 1:-1] = np.random.default_rng(0).integers(5, 50, (200, 500))
    ids[:, -1] = 3

    batch = hide(ids, SPECIAL, share, np.random.default_rng(1))

    hidden = batch.hidden.numpy()
    assert hidden[:, 1:-1].mean() == pytest.approx(share, abs=0.01)
    assert not hidden[:, [0, -1]].any()
    assert batch.truth.tolist() == ids[hidden].tolist()
    shown = batch.ids.numpy()
    assert (shown[hidden] == SPECIAL.mask).mean() == pytest.approx(0.85, abs=0.01)
    assert (shown[hidden] == ids[hidden]).mean() == pytest.approx(0.10, abs=0.01)
    assert (shown[~hidden] == ids[~hidden]).all()
    after_hidden = hidden[:, 2:-1][hidden[:, 1:-2]].mean()
    assert after_hidden > share + 0.2  # spans, not single characters


def test_a_hidden_token_that_shows_another_shows_no_special_and_never_itself() -> None:
    two = TokenIds(pad=0, cls=2, sep=3, mask=4, specials=(0, 1, 2, 3, 4), size=7)
    ids = np.random.default_rng(0).integers(5, 7, (200, 500))

    batch = hide(ids, two, 0.4, np.random.default_rng(1))

    shown, truth = batch.ids.numpy()[batch.hidden.numpy()], batch.truth.numpy()
    assert set(shown.tolist()) == {4, 5, 6}
    assert (shown == 11 - truth).mean() == pytest.approx(0.05, abs=0.005)
    one = TokenIds(pad=0, cls=2, sep=3, mask=4, specials=(0, 1, 2, 3, 4), size=6)
    alone = hide(np.full((20, 50), 5), one, 0.4, np.random.default_rng(1))
    assert set(alone.ids.flatten().tolist()) == {4, 5}


def test_something_is_hidden_of_the_shortest_batch() -> None:
    ids = np.array([[2, 7, 8, 9, 10, 3]])

    assert all(len(hide(ids, SPECIAL, 1e-6, np.random.default_rng(seed)).truth) for seed in range(20))


def test_held_out_pieces_are_never_learnt_from() -> None:
    whole = [corpus(400), corpus(400, share=0.5, seed=1)]

    learnt, held = hold_out(whole, 30, seed=1)

    assert [len(part.tokens) for part in held] == [20, 10]
    assert [len(part.tokens) for part in learnt] == [380, 390]
    for before, one, other in zip(whole, learnt, held, strict=True):
        rows = sorted(piece for part in (one, other) for piece in pieces_of(part.tokens))
        assert rows == sorted(pieces_of(before.tokens))
    assert learnt[1].share == 0.5


def pieces_of(tokens: TokenArray) -> list[list[int]]:
    return [tokens.ids[tokens.offsets[row] : tokens.offsets[row + 1]].tolist() for row in range(len(tokens))]
