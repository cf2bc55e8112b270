"""The networks: what padding may not change, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.fitting.training import logits_of
from kuaixun.trainer.network.folder import new_network
from kuaixun.trainer.network.lexicon import Lexicon
from kuaixun.trainer.network.word_network import KINDS, NetworkShape
from kuaixun.trainer.words.segmentation import segmenter

LEXICON = Lexicon(tuple("股市球赛大涨今日"), ("股市", "球赛"), max_tokens=16)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_has_the_same_logits_whatever_company_it_is_padded_for(kind: str) -> None:
    torch.manual_seed(3)
    module = new_network(NetworkShape(kind=kind, features=5, embedding_size=4), LEXICON, 3, 2, dropout=0.5)
    texts = ("股市大涨", "球赛", "今日股市大涨球赛大涨今日")
    cut = segmenter()

    together = logits_of(module, LEXICON.encode(TextLines(texts, Path("a"), ""), cut))

    for row, text in enumerate(texts):
        alone = logits_of(module, LEXICON.encode(TextLines((text,), Path("a"), ""), cut))
        torch.testing.assert_close(together[row], alone[0], atol=1e-6, rtol=0)
    assert not torch.allclose(together[0], together[1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_characters_and_their_words_both_count(kind: str) -> None:
    torch.manual_seed(3)
    module = new_network(NetworkShape(kind=kind, features=8, embedding_size=4), LEXICON, 3, 2, dropout=0.0).eval()
    known = torch.tensor([LEXICON.ids(["股市", "大"])])
    cut_otherwise = torch.tensor([LEXICON.ids(["股", "市", "大"])])
    turned = torch.tensor([LEXICON.ids(["大", "股市"])])

    assert not torch.allclose(module(known), module(cut_otherwise))
    assert not torch.allclose(module(known), module(turned))


@pytest.mark.parametrize(("name", "value"), [("kind", "magical"), ("features", 0), ("max_tokens", 1 << 20)])
def test_a_shape_out_of_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(SettingError, match="must be"):
        NetworkShape(**{name: value})  # type: ignore[arg-type]
