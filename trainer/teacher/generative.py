"""A generative teacher: a causal language model that answers an instruction with the name of a class.

It learns rows of (instruction, input, output) by the likelihood of the output alone, and scores a class by the
likelihood of its name's tokens and of the end after them. So it stands where an encoder with a head stands, and is
trained, kept, measured and asked for scores by the same code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kuaixun.trainer.encoder.pretrained_folders import open_model
from kuaixun.trainer.errors import SettingError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# The layout of Taori et al. 2023, Stanford Alpaca, which many instruction-tuned models have met.
BEFORE = "### Instruction:\n{instruction}\n\n### Input:\n"
AFTER = "\n\n### Response:\n"
INSTRUCTION = "Name the class of the text. The classes are: {labels}."
SEQUENCES_AT_ONCE = 64


class GenerativeClassifier(nn.Module):
    """A causal language model as a classifier of texts: `labels` are its possible answers, word for word."""

    def __init__(
        self,
        backbone: Any,
        tokenizer: PreTrainedTokenizerFast,
        labels: Sequence[str],
        *,
        instruction: str,
        max_tokens: int,
    ) -> None:
        """Raises SettingError where the model has no room for a prompt with `max_tokens` tokens of text."""
        super().__init__()
        self.backbone = backbone
        instruction = instruction or INSTRUCTION.format(labels=", ".join(labels))
        self.before: list[int] = tokenizer(BEFORE.format(instruction=instruction))["input_ids"]
        ends = [tokenizer.eos_token_id] if isinstance(tokenizer.eos_token_id, int) else []
        if self.before[len(self.before) - len(ends) :] == ends:
            self.before = self.before[: len(self.before) - len(ends)]  # some tokenizers end every text
        after: list[int] = tokenizer(AFTER, add_special_tokens=False)["input_ids"]
        self.after = after
        self.answers = [[*tokenizer(label, add_special_tokens=False)["input_ids"], *ends] for label in labels]
        same = next((index for index, answer in enumerate(self.answers) if answer in self.answers[:index]), None)
        if same is not None:
            raise SettingError(f"--encoder: its tokenizer does not tell the class {labels[same]!r} from another")
        longest = len(self.before) + max_tokens + len(after) + max(map(len, self.answers))
        positions = getattr(backbone.config, "max_position_embeddings", longest)
        if longest > positions:
            raise SettingError(
                f"--max-tokens {max_tokens}: with the instruction that is {longest} tokens, the model has {positions} "
                "positions; pass fewer, or a shorter --instruction"
            )

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Class scores (batch, classes), log-likelihoods of the answers; in training the loss of the right one alone.

        `input_ids` (batch, tokens) are those of the texts, without specials, padded on the right.
        """
        lengths = attention_mask.sum(dim=1).tolist()
        texts = [ids[:length] for ids, length in zip(input_ids.tolist(), lengths, strict=True)]
        if self.training and labels is not None:
            answers = [self.answers[label] for label in labels.tolist()]
            likelihoods = self._log_likelihoods(texts, answers, input_ids.device)  # (batch,)
            tokens = torch.tensor([len(answer) for answer in answers], device=input_ids.device)
            return {"loss": -(likelihoods.sum() / tokens.sum()), "logits": likelihoods.unsqueeze(1)}
        pairs = [(text, answer) for text in texts for answer in self.answers]
        parts = [
            self._log_likelihoods([text for text, _ in part], [answer for _, answer in part], input_ids.device)
            for part in _slices(pairs, SEQUENCES_AT_ONCE)
        ]
        logits = torch.cat(parts).view(len(texts), len(self.answers))  # (batch, classes)
        if labels is None:
            return {"logits": logits}
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}

    def _log_likelihoods(
        self, texts: Sequence[list[int]], answers: Sequence[list[int]], device: torch.device
    ) -> Tensor:
        """log P(answer | prompt) (batch,) of each text with its answer.

        Padded on the left, so that all answers end together and only their places go through the output layer.
        """
        rows = [self.before + text + self.after + answer for text, answer in zip(texts, answers, strict=True)]
        width, kept = max(map(len, rows)), max(map(len, answers))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=device)  # (batch, width)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
        counted = torch.tensor([[0] * (kept - len(answer)) + [1] * len(answer) for answer in answers], device=device)
        output = self.backbone(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(dim=1) - 1).clamp_min(0),
            logits_to_keep=kept + 1,
            use_cache=False,
        )
        logits: Tensor = output.logits[:, -kept - 1 : -1].float()  # (batch, kept, vocabulary): before each token
        found = torch.log_softmax(logits, dim=-1).gather(2, ids[:, -kept:].unsqueeze(2)).squeeze(2)  # (batch, kept)
        return (found * counted).sum(dim=1)


def open_language_model(name: str, option: str) -> Any:
    """The causal language model of a folder or hub name, in single precision. Raises SettingError."""
    from transformers import AutoModelForCausalLM

    model, loading = open_model(AutoModelForCausalLM, name, option, dtype=torch.float32, output_loading_info=True)
    lost = sorted(loading["missing_keys"])
    if lost:
        reason = f"{len(lost)} of its tensors are not there, such as {lost[0]}"
        raise SettingError(f"{option} {name}: no causal language model: {reason}")
    return model


def _slices(pairs: Sequence[tuple[list[int], list[int]]], size: int) -> Iterator[Sequence[tuple[list[int], list[int]]]]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]
