"""Masked-language pre-training: pieces of text in, a model that knows the language's characters in context.

A plain torch loop, where fine-tuning uses Hugging Face's Trainer. The Trainer draws batches of a number of rows;
this one of a number of tokens, all of one length, and sends only hidden places through the output layer. On two cores
with bfloat16 that is twice as many tokens a second, and the whole training is bound by time, on one device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.adamw import AdamW

from kuaixun.trainer.encoder.masked_batches import HELD_OUT, MASKS, Corpus, MaskedBatch, TokenIds, hide, one_pass, show
from kuaixun.trainer.encoder.masked_language import masked_loss
from kuaixun.trainer.encoder.pretraining_settings import PretrainSettings
from kuaixun.trainer.encoder.pretraining_state import Progress, save_state
from kuaixun.trainer.errors import FitError
from kuaixun.trainer.fitting.watching import DevFigures, Watcher
from kuaixun.trainer.interrupts import interrupts_between_steps

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RUNNING_STEPS = 50


@dataclass(frozen=True, slots=True)
class Pretrained:
    """The end of a training; the loss and the share guessed right on held-out pieces, where there are any."""

    progress: Progress
    held_out_loss: float | None
    held_out_accuracy: float | None
    interrupted: bool


class Pretraining:
    """One training of one model, on the device where it stands, from `progress` on."""

    def __init__(
        self,
        model: PreTrainedModel,
        corpora: Sequence[Corpus],
        held_out: Sequence[Corpus],
        special: TokenIds,
        settings: PretrainSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = model
        self.optimizer = new_optimizer(model, settings)
        self.progress = Progress()
        self._corpora = corpora
        self._special = special
        self._settings = settings
        self._clock = clock
        self._device = next(model.parameters()).device
        self._held_out = self._held_out_batches(held_out)

    def run(self, state: Path, made_from: Mapping[str, str], watcher: Watcher) -> Pretrained:
        """Train to the end, keeping it in the file `state` every so often, where Ctrl-C ends it, and at the end.

        Ctrl-C waits for the step under way. Raises FitError where the loss is no longer a number.
        """
        loss = accuracy = None
        interrupted = False
        try:
            with interrupts_between_steps() as asked_to_stop:
                for _ in self._steps(watcher):
                    if asked_to_stop():
                        interrupted = True
                        break
                    if self.progress.step % self._settings.save_every_steps == 0:
                        self.save(state, made_from)
            self.save(state, made_from)  # whatever ends the last look, or the writing: --resume ends what is trained
            if self._held_out and not interrupted:
                loss, accuracy = self.held_out_figures()
        except KeyboardInterrupt:  # the second, in the midst of a step, or one in the last look: the last state stays
            interrupted = True
        return Pretrained(self.progress, loss, accuracy, interrupted)

    def save(self, state: Path, made_from: Mapping[str, str]) -> None:
        """Put the state on disk. Raises OSError."""
        save_state(state, self.progress, made_from, self.model.state_dict(), self.optimizer.state_dict())

    def _steps(self, watcher: Watcher) -> Iterator[None]:
        """Take steps until the end; between two of them, `progress`, model and optimiser belong together."""
        settings, running, before = self._settings, 0.0, self._clock()
        taken = 0
        while settings.done(self.progress) < 1:
            batches = one_pass(self._corpora, settings.batch_tokens, settings.seed, self.progress.pass_number)
            for pieces in batches[self.progress.batches_met :]:
                loss, tokens = self._step(pieces)
                now, was = self._clock(), self.progress
                self.progress = replace(
                    was,
                    step=was.step + 1,
                    batches_met=was.batches_met + 1,
                    tokens=was.tokens + tokens,
                    elapsed_seconds=was.elapsed_seconds + now - before,
                )
                before, taken = now, taken + 1
                running += (loss - running) / min(taken, RUNNING_STEPS)
                steps = self._steps_expected()
                watcher.stepped(self.progress.step, steps, running)
                if self._held_out and self.progress.step % settings.evaluate_every_steps == 0:
                    dev_loss, dev_accuracy = self.held_out_figures()
                    watcher.evaluated(DevFigures(self.progress.step, steps, running, dev_loss, dev_accuracy, False))
                yield
                if settings.done(self.progress) >= 1:
                    return
            self.progress = replace(self.progress, pass_number=self.progress.pass_number + 1, batches_met=0)

    def _step(self, pieces: NDArray[np.int64]) -> tuple[float, int]:
        """One move of the parameters; returns the loss and the tokens that it learnt from."""
        settings, step = self._settings, self.progress.step
        batch = hide(
            show(self._corpora, pieces, self._special),
            self._special,
            settings.hidden_share,
            np.random.default_rng((settings.seed, MASKS, step)),
        ).to(self._device)
        torch.manual_seed((settings.seed << 32) + step)  # dropout, where a checkpoint has any
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate_at(self.progress)
        loss, _ = masked_loss(self.model, batch, bfloat16=settings.mixed_precision)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_norm)
        self.optimizer.step()
        value = loss.item()
        if not np.isfinite(value):
            raise FitError(f"the loss of step {step + 1} is {value}; lower --learning-rate and begin anew")
        return value, batch.ids.numel()

    def held_out_figures(self) -> tuple[float, float]:
        """Mean loss and share guessed right over the hidden places of the held-out pieces: the same every time."""
        self.model.train(False)
        loss_sum, right_sum, places = 0.0, 0, 0
        with torch.inference_mode():
            for batch in self._held_out:
                loss, right = masked_loss(self.model, batch.to(self._device), bfloat16=self._settings.mixed_precision)
                loss_sum += loss.item() * len(batch.truth)
                right_sum += int(right.item())
                places += len(batch.truth)
        return loss_sum / places, right_sum / places

    def _held_out_batches(self, held_out: Sequence[Corpus]) -> list[MaskedBatch]:
        if not sum(len(corpus.tokens) for corpus in held_out):
            return []
        seed, share = self._settings.seed, self._settings.hidden_share
        chance = np.random.default_rng((seed, HELD_OUT))
        batches = one_pass(held_out, self._settings.batch_tokens, seed, 0)
        return [hide(show(held_out, pieces, self._special), self._special, share, chance) for pieces in batches]

    def _steps_expected(self) -> int:
        """All steps, estimated from those taken where time is the bound."""
        return self._settings.steps or round(self.progress.step / max(self._settings.done(self.progress), 1e-9))


def new_optimizer(model: nn.Module, settings: PretrainSettings) -> AdamW:
    """AdamW; biases and LayerNorm, whose tensors are one-dimensional, do not decay."""
    decaying: list[Tensor] = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    steady: list[Tensor] = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [
        {"params": decaying, "weight_decay": settings.weight_decay},
        {"params": steady, "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)
