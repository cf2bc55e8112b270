"""What the student meets, epoch by epoch: which rows, in which order, with which teacher's word."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kuaixun.trainer.fitting.batches import shuffled_batches
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.fitting.objective import UNLABELLED, Batch, Objective
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.soft_targets import Silence, SoftTargets


@dataclass(frozen=True, slots=True, eq=False)
class TrainingTexts:
    """`labelled` texts, and after them `transfer` texts without labels.

    `teachers` hold a row for each of the labelled texts and then for each transfer text: for no text, or for all.
    """

    labelled: EncodedTexts
    transfer: EncodedTexts | None = None
    teachers: tuple[SoftTargets | Silence, ...] = ()

    def __post_init__(self) -> None:
        texts = len(self.labelled) + (len(self.transfer) if self.transfer else 0)
        taught = sum(map(len, self.teachers))
        if taught != texts and (self.teachers or self.transfer):
            raise ValueError(f"{taught} rows of teacher scores for {texts} texts")


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """One pass: the objective, and row numbers (batch,) of each step's texts."""

    objective: Objective
    rows: Sequence[Tensor]
    texts: EncodedTexts
    teacher: Tensor | None

    def batches(self, device: torch.device) -> Iterator[Batch]:
        """The steps' texts, on the device."""
        for rows in self.rows:
            ids, label_ids = self.texts.batch(rows, device)
            has_labels = bool((self.texts.label_ids[rows] != UNLABELLED).any())
            yield Batch(ids, label_ids if has_labels else None, self._teacher_of(rows, device))

    def _teacher_of(self, rows: Tensor, device: torch.device) -> Tensor | None:
        if self.teacher is None:
            return None
        found = self.teacher[rows].to(device, non_blocking=True).float()  # (batch, classes)
        sums = found.sum(dim=1, keepdim=True)  # (batch, 1)
        return found / torch.where(sums > 0, sums, 1.0)  # half precision rounds: let each row add up to 1 again


def steps_of(texts: TrainingTexts, settings: FitSettings) -> int:
    """Optimiser steps of the whole course."""
    return math.ceil(texts_in_epoch(texts, settings) / settings.batch_size) * settings.epochs


def texts_in_epoch(texts: TrainingTexts, settings: FitSettings) -> int:
    """Labelled texts, and as many of the transfer set as an epoch meets."""
    return len(texts.labelled) + _transfer_rows(texts, settings)


def epochs(texts: TrainingTexts, settings: FitSettings) -> Iterator[Epoch]:
    """The whole course. Where alpha is 0 the teachers are not asked, and it is that of a training without any."""
    generator = torch.Generator().manual_seed(settings.seed)
    labelled, taken = len(texts.labelled), _transfer_rows(texts, settings)
    together = texts.labelled.followed_by(texts.transfer) if texts.transfer else texts.labelled
    # Epochs go on in this order where the last one ended, so that no transfer text waits while another comes twice.
    transfer = labelled + torch.randperm(len(texts.transfer), generator=generator) if texts.transfer else None
    teacher, tempered_by = None, math.nan
    for epoch in range(settings.epochs):
        temperature = temperature_in(epoch, settings)
        if texts.teachers and settings.alpha and temperature != tempered_by:
            teacher = torch.cat([targets.probabilities(temperature) for targets in texts.teachers])  # (n, classes)
            tempered_by = temperature
        rows = shuffled_batches(labelled + taken, settings.batch_size, generator)
        if transfer is not None:
            places = (torch.arange(taken) + epoch * taken) % len(transfer)  # (taken,)
            met = torch.cat([torch.arange(labelled), transfer[places]])  # (labelled + taken,)
            rows = [met[batch] for batch in rows]
        yield Epoch(Objective(settings.alpha, temperature, settings.label_smoothing), rows, together, teacher)


def temperature_in(epoch: int, settings: FitSettings) -> float:
    """The temperature of an epoch, counted from 0: a straight line from the first's to the last's."""
    if settings.final_temperature is None or settings.epochs == 1:
        return settings.temperature
    share = epoch / (settings.epochs - 1)
    return settings.temperature + share * (settings.final_temperature - settings.temperature)


def _transfer_rows(texts: TrainingTexts, settings: FitSettings) -> int:
    """Transfer texts in an epoch."""
    available = len(texts.transfer) if texts.transfer else 0
    return available if settings.transfer_rows is None else min(settings.transfer_rows, available)
