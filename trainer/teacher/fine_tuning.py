"""Fine-tuning an encoder by Hugging Face's Trainer, so that torchrun and accelerate scale it out unchanged.

The Trainer moves the weights. Which weights are kept is decided here, in memory: those of the lowest dev loss. So an
interruption keeps the best so far, and nothing is on disk before the finished folder.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import EvalPrediction, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from kuaixun.trainer.errors import DataError, FitError
from kuaixun.trainer.fitting.history import Recorder
from kuaixun.trainer.fitting.watching import DevFigures, Watcher
from kuaixun.trainer.teacher.classifiers import TeacherModel
from kuaixun.trainer.teacher.settings import TeacherSettings
from kuaixun.trainer.teacher.token_rows import Collator, LabelledRows
from kuaixun.trainer.teacher.trainable import optimizer_for

LOGGING_STEPS = 20
EVALUATION_BATCH = 128


@dataclass(frozen=True, slots=True)
class FineTuned:
    """The end of a fine-tuning: the figures at which the model's weights were kept, and all looks at dev before and
    after. `writes` is false in all but one process of several.
    """

    best: DevFigures
    steps_done: int
    interrupted: bool
    writes: bool
    history: tuple[DevFigures, ...]


def fine_tune(
    model: TeacherModel,
    train: LabelledRows,
    dev: LabelledRows,
    settings: TeacherSettings,
    pad_id: int,
    device: torch.device,
    watcher: Watcher,
) -> FineTuned:
    """Train what requires gradients; `model` ends with the weights of its lowest dev loss.

    A KeyboardInterrupt ends the training with the best weights so far; before the first evaluation there are none,
    and it goes through. Raises DataError where nothing can be read of train or dev, FitError where no dev loss is a
    number, and where the best weights do not fit the model any more.
    """
    if not len(train) or not len(dev):
        raise DataError(f"cleaning leaves nothing of any text of {'dev' if len(train) else 'train'}")
    recorder = Recorder(watcher)
    following = _Following(model, settings.patience, recorder)
    interrupted = False
    with tempfile.TemporaryDirectory() as unused:
        trainer = Trainer(
            model=model,
            args=_arguments(settings, device, unused, len(train)),
            train_dataset=train,
            eval_dataset=dev,
            data_collator=Collator(pad_id),
            compute_metrics=_dev_figures,
            callbacks=[following],
            optimizers=(optimizer_for(model, settings), None),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        try:
            trainer.train()
        except KeyboardInterrupt:
            interrupted = True
            if following.kept is None:
                raise
    if following.kept is None:
        raise FitError("the dev loss was never a number; lower --learning-rate")
    figures, state = following.kept
    _put_back(model, state)
    return FineTuned(
        figures,
        trainer.state.global_step,
        interrupted,
        writes=bool(trainer.is_world_process_zero()),
        history=tuple(recorder.history),
    )


def _put_back(model: TeacherModel, state: dict[str, Tensor]) -> None:
    """Load what was trained, and all of it. Raises FitError where the model's names are not those that were kept."""
    unexpected = model.load_state_dict(state, strict=False).unexpected_keys
    lost = sorted({*unexpected, *(_trained_names(model) ^ state.keys())})
    if lost:
        raise FitError(
            f"the best weights cannot be put back: kept and trained parameters differ in {len(lost)} names, such as "
            f"{lost[0]}; train with plain torchrun, without plugins of accelerate"
        )


def _trained_names(model: TeacherModel) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def _arguments(settings: TeacherSettings, device: torch.device, folder: str, rows: int) -> TrainingArguments:
    steps = math.ceil(rows / settings.batch_size * settings.epochs)
    return TrainingArguments(
        output_dir=folder,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=EVALUATION_BATCH,
        warmup_steps=settings.warm_up,  # below 1, a share of all steps
        lr_scheduler_type="linear",
        eval_strategy="steps",
        eval_steps=settings.evaluate_every_steps,
        logging_steps=max(1, min(LOGGING_STEPS, settings.evaluate_every_steps, steps // 2)),
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        seed=settings.seed,
        bf16=settings.mixed_precision,
        use_cpu=device.type == "cpu",
        dataloader_pin_memory=device.type == "cuda",
        log_level="error",
    )


class _Following(TrainerCallback):
    """Watches the Trainer: keeps the best weights, ends it when patience does, tells whoever looks on."""

    def __init__(self, model: TeacherModel, patience: int, watcher: Watcher) -> None:
        self.kept: tuple[DevFigures, dict[str, Tensor]] | None = None
        self._model = model
        self._patience = patience
        self._watcher = watcher
        self._since = 0
        self._loss = float("nan")

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        """Remember the running training loss."""
        self._loss = (rest.get("logs") or {}).get("loss", self._loss)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        """Tell the step; the last one is evaluated too."""
        self._watcher.stepped(state.global_step, state.max_steps, self._loss)
        if state.global_step >= state.max_steps:
            control.should_evaluate = True

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        """Keep the weights where the dev loss is the lowest so far."""
        metrics = rest["metrics"]
        loss, accuracy = metrics["eval_dev_loss"], metrics["eval_dev_accuracy"]
        figures = DevFigures(state.global_step, state.max_steps, self._loss, loss, accuracy, lowest=False)
        if loss < (self.kept[0].dev_loss if self.kept else math.inf):  # NaN is never the lowest
            figures = replace(figures, lowest=True)
            # One assignment: Ctrl-C falls before or after it, and never pairs figures with the weights of others.
            self.kept = (figures, self._trained())
            self._since = 0
        else:
            self._since += 1
            control.should_training_stop = self._since >= self._patience
        self._watcher.evaluated(figures)

    def _trained(self) -> dict[str, Tensor]:
        """What the training moves, on the CPU: all else is as it was."""
        return {
            name: parameter.detach().cpu().clone()
            for name, parameter in self._model.named_parameters()
            if parameter.requires_grad
        }


def _dev_figures(prediction: EvalPrediction) -> dict[str, float]:
    logits = torch.from_numpy(np.asarray(prediction.predictions)).double()  # (n, classes)
    label_ids = torch.from_numpy(np.asarray(prediction.label_ids))  # (n,)
    right = (logits.argmax(dim=1) == label_ids).double().mean()
    return {"dev_loss": F.cross_entropy(logits, label_ids).item(), "dev_accuracy": right.item()}
