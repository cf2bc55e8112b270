"""A body of one language begins another: shared tokens keep their vectors, new ones look alike to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from kuaixun.trainer.data.character_embeddings import CharacterEmbeddings
from kuaixun.trainer.encoder.new_vocabulary import first_vectors, give_vocabulary
from kuaixun.trainer.encoder.tokenizer import ENCODER_SPECIALS, character_tokenizer

CHARACTERS = "股市大涨球赛决"
TOKENS = [*ENCODER_SPECIALS, "3", *CHARACTERS]


def embeddings(size: int) -> CharacterEmbeddings:
    vectors = np.random.default_rng(0).normal(0.5, 3.0, (len(CHARACTERS), size)).astype(np.float32)
    return CharacterEmbeddings(vectors, {character: row for row, character in enumerate(CHARACTERS)})


@pytest.mark.parametrize("size", [4, 16, 40])
def test_new_vectors_lie_where_the_old_ones_lay_and_are_as_long(size: int) -> None:
    old = torch.randn(200, 16, generator=torch.Generator().manual_seed(0)) * 0.05 + 0.3

    vectors, found = first_vectors(TOKENS, old, kept={}, pretrained=embeddings(size), seed=1)

    centre = old.mean(dim=0)
    assert found == len(CHARACTERS)
    torch.testing.assert_close(
        (vectors - centre).norm(dim=1).mean(), (old - centre).norm(dim=1).mean(), rtol=0.01, atol=0.0
    )


def test_pretrained_vectors_keep_their_angles_where_there_is_room() -> None:
    old = torch.randn(200, 16, generator=torch.Generator().manual_seed(0))
    pretrained = embeddings(8)

    vectors, _ = first_vectors(TOKENS, old, kept={}, pretrained=pretrained, seed=1)

    given = torch.from_numpy(pretrained.vectors - pretrained.vectors.mean(axis=0))
    found = vectors[-len(CHARACTERS) :] - old.mean(dim=0)
    torch.testing.assert_close(
        torch.cosine_similarity(found[0], found[1:]), torch.cosine_similarity(given[0], given[1:]), rtol=0, atol=1e-4
    )


def test_tokens_that_the_old_vocabulary_has_keep_their_vectors() -> None:
    old = torch.randn(9, 16)

    vectors, found = first_vectors(TOKENS, old, kept={"[CLS]": 7, "3": 1, "股": 2}, pretrained=embeddings(8), seed=1)

    assert torch.equal(vectors[TOKENS.index("[CLS]")], old[7])
    assert torch.equal(vectors[TOKENS.index("3")], old[1])
    assert torch.equal(vectors[TOKENS.index("股")], old[2])
    assert found == len(CHARACTERS) - 1


@pytest.mark.parametrize("old_tokens", [6, 13, 40])
def test_a_model_with_a_new_vocabulary_reads_and_guesses_it(old_tokens: int) -> None:
    config = BertConfig(
        vocab_size=old_tokens, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    model = BertForMaskedLM(config)
    body = {name: tensor.clone() for name, tensor in model.bert.encoder.state_dict().items()}

    give_vocabulary(model, character_tokenizer(tuple(TOKENS), 16), kept={"3": 1}, pretrained=None, seed=1)

    logits = model(torch.tensor([[2, 5, 12, 3]])).logits
    assert logits.shape == (1, 4, len(TOKENS))
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.config.vocab_size == len(TOKENS)
    assert all(torch.equal(tensor, body[name]) for name, tensor in model.bert.encoder.state_dict().items())
