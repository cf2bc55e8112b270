"""A language model as a teacher: class scores are the likelihoods of the classes' names, whatever is beside them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from kuaixun.trainer.cli import main
from kuaixun.trainer.data.labelled_texts import read_labelled_texts
from kuaixun.trainer.encoder.pretrained_folders import open_tokenizer
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.scores.teacher_scores import read_scores
from kuaixun.trainer.teacher.folder import read_teacher
from kuaixun.trainer.teacher.generative import AFTER, BEFORE, GenerativeClassifier, open_language_model
from kuaixun.trainer.teacher.quantised import quantised, serialised_bytes
from kuaixun.trainer.teacher.settings import TeacherSettings
from kuaixun.trainer.teacher.token_rows import padded, token_rows
from tests.trainer.conftest import SHARED, TOPICS

ToyFile = Callable[[str, int, int], Path]
LABELS = ("finance", "sports")


@pytest.fixture(params=["gpt2", "llama"])
def language_model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A tiny one with random weights, a token a character."""
    characters = sorted(set("".join(TOPICS.values()) + SHARED + BEFORE + AFTER + "".join(LABELS)))
    unknown, end = "[UNK]", "[END]"
    ids = {token: index for index, token in enumerate([unknown, end, *characters])}
    tokenizer = Tokenizer(WordLevel(ids, unk_token=unknown))
    tokenizer.pre_tokenizer = Split(Regex(r"[\s\S]"), "isolated")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=unknown, eos_token=end)
    fast.save_pretrained(tmp_path / "model")
    torch.manual_seed(0)
    if request.param == "gpt2":
        config = GPT2Config(vocab_size=len(ids), n_embd=32, n_layer=2, n_head=2, n_positions=128, initializer_range=0.1)
        GPT2LMHeadModel(config).save_pretrained(tmp_path / "model")
    else:
        shape = LlamaConfig(
            vocab_size=len(ids),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=128,
        )
        LlamaForCausalLM(shape).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def classifier(folder: Path, **more: object) -> GenerativeClassifier:
    settings = {"instruction": "?", "max_tokens": 16} | more
    tokenizer = open_tokenizer(str(folder), "--encoder")
    model = GenerativeClassifier(open_language_model(str(folder), "--encoder"), tokenizer, LABELS, **settings)  # type: ignore[arg-type]
    model.train(False)
    return model


def test_class_scores_are_the_likelihoods_of_the_names(language_model: Path) -> None:
    model, tokenizer = classifier(language_model), open_tokenizer(str(language_model), "--encoder")
    rows = token_rows(["股市大涨", "赛"], tokenizer, 16, specials=False)

    with torch.inference_mode():
        logits = model(*padded(rows.ids, 0))["logits"]

    for row, text in enumerate(("股市大涨", "赛")):
        for column, label in enumerate(LABELS):
            prompt = tokenizer(BEFORE.format(instruction="?") + text + AFTER)["input_ids"]
            answer = [*tokenizer(label)["input_ids"], tokenizer.eos_token_id]
            with torch.inference_mode():
                each = torch.log_softmax(model.backbone(torch.tensor([prompt + answer])).logits[0], dim=-1)
            places = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
            expected = sum(each[place, token].item() for place, token in zip(places, answer, strict=True))
            assert logits[row, column].item() == pytest.approx(expected, abs=1e-3)


def test_the_loss_in_training_is_that_of_the_right_answer_alone(language_model: Path) -> None:
    model, tokenizer = classifier(language_model), open_tokenizer(str(language_model), "--encoder")
    rows = token_rows(["股市", "赛"], tokenizer, 16, specials=False)
    ids, mask = padded(rows.ids, 0)
    logits = model(ids, mask)["logits"]
    model.training = True

    loss = model(ids, mask, torch.tensor([1, 0]))["loss"]

    tokens = len("sports") + len("finance") + 2
    torch.testing.assert_close(loss, -(logits[0, 1] + logits[1, 0]) / tokens, rtol=1e-4, atol=1e-4)


def test_a_prompt_that_does_not_fit_is_refused(language_model: Path) -> None:
    with pytest.raises(SettingError, match=r"the model has 128 positions; pass fewer"):
        classifier(language_model, max_tokens=100)


@pytest.mark.parametrize("adapters", [False, True])
def test_a_language_model_is_taught_and_scores_files(
    toy_file: ToyFile, language_model: Path, tmp_path: Path, adapters: bool
) -> None:
    train, dev = toy_file("train.txt", 240, 1), toy_file("dev.txt", 40, 2)
    options = "--kind generative --instruction ? --epochs 8 --batch-size 16 --dropout 0 --max-tokens 16"
    more = "--lora-rank 4 --epochs 1" if adapters else ""
    rates = "--learning-rate 5e-3 --evaluate-every-steps 20 --device cpu --threads 1"
    where = ["--encoder", str(language_model), "--train", str(train), "--dev", str(dev), "--output"]
    scoring = f"--score={dev}={tmp_path / 'scores'}"
    before = safetensors.torch.load_file(language_model / "model.safetensors")

    command = ["teacher", *where, str(tmp_path / "teacher"), *options.split(), *rates.split(), *more.split(), scoring]
    assert main(command) == 0

    teacher = read_teacher(tmp_path / "teacher")
    after = safetensors.torch.load_file(tmp_path / "teacher" / "model.safetensors")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    if adapters:
        assert moved
        assert all(re.search(r"(c_attn|q_proj|v_proj)\.weight$", name) for name in moved)
    else:
        assert teacher.record.metrics["dev"]["accuracy"] > 0.8
    assert isinstance(teacher.model, GenerativeClassifier)
    data = read_labelled_texts(dev)
    scores = read_scores(tmp_path / "scores", data.texts, LABELS)
    right = float((scores.logits.argmax(axis=1) == data.label_ids).mean())
    assert right == pytest.approx(teacher.record.metrics["dev"]["accuracy"])
    assert not (tmp_path / "teacher" / "head.safetensors").exists()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"kind": "generative", "head": "mlp"}, "has no head"),
        ({"kind": "generative", "label_smoothing": 0.1}, "smooths no labels"),
        ({"instruction": "?"}, "pass --kind generative"),
    ],
)
def test_options_of_the_other_kind_are_refused(settings: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        TeacherSettings(**settings)  # type: ignore[arg-type]


def test_in_int8_a_language_model_is_smaller_and_says_much_the_same(language_model: Path) -> None:
    """Also one whose layers are Conv1D in place of linear, and whose output layer shares the embeddings' weights."""
    model = classifier(language_model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ids, mask = torch.arange(2, 10).reshape(2, 4), torch.ones(2, 4, dtype=torch.int64)

    small = quantised(model)

    assert small.layers >= 8
    assert small.share > 0.5
    assert serialised_bytes(small.model) < 0.75 * serialised_bytes(model)
    with torch.no_grad():
        found, expected = (one.train(False)(ids, mask)["logits"] for one in (small.model, model))
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
