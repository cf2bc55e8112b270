"""From labelled files to a checkpoint folder: the body of `kuaixun-trainer distil`.

read → build the pipeline → encode once → fit to labels and teachers → round as deployed → calibrate and measure →
choose int8 scales → write, whole or not
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from kuaixun.export.checkpoint import Checkpoint, write_checkpoint
from kuaixun.export.student.weights import StudentWeights
from kuaixun.schemas.manifest import Architecture, DataFile, Training
from kuaixun.trainer.data.character_embeddings import CharacterEmbeddings
from kuaixun.trainer.data.labelled_texts import DataSplit
from kuaixun.trainer.errors import FitError
from kuaixun.trainer.evaluation.figures import Evaluation
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.fitting.history import HISTORY_FILE, Recorder, history_to_file
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.training import Fit
from kuaixun.trainer.fitting.watching import Watcher
from kuaixun.trainer.fitting.weights import size_bytes
from kuaixun.trainer.interrupts import interrupts_between_steps
from kuaixun.trainer.number_ranges import flag_of
from kuaixun.trainer.output_folder import refuse_unwritable
from kuaixun.trainer.student.deployed import DeployedStudent
from kuaixun.trainer.student.description import describe, encoded_parts
from kuaixun.trainer.student.idle_parts import without_idle_parts
from kuaixun.trainer.student.last_layer import IDLE_SETTINGS, fit_last_layer, only_last_layer_trains
from kuaixun.trainer.student.memory_plan import PLANS, memory_plan, needed_bytes, told
from kuaixun.trainer.student.new_student import NewStudent, StudentShape, new_student
from kuaixun.trainer.student.teaching import LABELS_ALONE, Teaching
from kuaixun.trainer.student.training import fit
from kuaixun.trainer.versions import library_versions


@dataclass(frozen=True, slots=True, eq=False)
class Distilled:
    """A finished run: what was written, how the fit went, the figures by role (dev, test)."""

    checkpoint: Checkpoint
    fit: Fit
    figures: dict[str, Evaluation]


@dataclass(frozen=True, slots=True, eq=False)
class DistillationJob:
    """What to train on what, where and before whom.

    `command` is recorded as the way to make the model again, with all files that took part, `more_files` among them;
    `say` takes one line at a time; `output_named` is what a refusal calls the output, where that is not `--output` and
    the folder; `named_settings` are the fields of `settings` that the user named one by one.
    """

    split: DataSplit
    shape: StudentShape
    settings: FitSettings
    output: Path
    embeddings: CharacterEmbeddings | None
    device: torch.device
    command: str
    watcher: Watcher
    say: Callable[[str], None]
    teaching: Teaching = LABELS_ALONE
    more_files: tuple[DataFile, ...] = ()
    output_named: str | None = None
    named_settings: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[DataFile, ...]:
        """All that takes part."""
        embeddings = self.embeddings.files if self.embeddings else ()
        return (*self.split.files, *embeddings, *self.teaching.files, *self.more_files)


def distil(job: DistillationJob) -> Distilled:
    """Train a student on labels and on what it is taught, and write its checkpoint as the new folder `job.output`.

    Raises TrainerError for settings and data that do not go together, before any training.
    """
    student = _new_student(job)
    encoded = encoded_parts(student.pipeline, job.split)
    texts = ((job.split.train, student.texts), (job.teaching.transfer, student.transfer))
    for data, found in (*texts, *((job.split.parts[role], found) for role, found in encoded.items())):
        if data is not None and found is not None:
            job.say(f"{data.source}: {len(data)} texts, {len(data) - len(found)} of them empty after cleaning")
    recorder = Recorder(job.watcher)
    result = _fit(job, student, encoded["dev"], recorder)
    architecture, state = without_idle_parts(student.architecture, result.state)
    result = replace(result, state=state)
    # What took hours is written even where Ctrl-C comes now; a second one gives it up.
    with interrupts_between_steps() as asked_to_stop:
        deployed = DeployedStudent(_deployed(architecture, result), architecture)
        described = describe(deployed, student.pipeline, job.split, encoded, _training(job), job.say)
        arrays = {name: tensor.numpy() for name, tensor in state.items()}
        for index, scales in enumerate(described.weights.convolution_scales):
            arrays[f"convolutions.{index}.scales"] = scales
        checkpoint = Checkpoint(described.record, student.pipeline, arrays)
        write_checkpoint(job.output, checkpoint, {HISTORY_FILE: history_to_file(recorder.history)})
    result = replace(result, interrupted=result.interrupted or asked_to_stop())
    return Distilled(checkpoint, result, described.figures)


def _new_student(job: DistillationJob) -> NewStudent:
    student = new_student(
        job.split.train,
        job.shape,
        seed=job.settings.seed,
        dropout=job.settings.dropout,
        embeddings=job.embeddings,
        transfer=job.teaching.transfer,
    )
    refuse_unwritable(job.output, size_bytes(student.module), named=job.output_named)
    if job.embeddings is not None:
        characters = len(student.pipeline.vocabulary.characters)
        job.say(f"{student.pretrained_characters} of {characters} characters start from pretrained embeddings")
    if job.shape.keyword_filters and student.detected_words < job.shape.filters:
        job.say(f"{student.detected_words} words for {job.shape.filters} filters: those without one are silent")
    return student


def _fit(job: DistillationJob, student: NewStudent, dev: EncodedTexts, watcher: Watcher) -> Fit:
    """By steps, or to the optimum where the last layer alone is left to learn."""
    train = job.teaching.of_texts(student.texts, student.transfer)
    module = student.module.to(job.device)
    if only_last_layer_trains(module):
        plan = memory_plan(module, train, dev, job.settings)
        note = told(plan, needed_bytes(module, train, dev, job.settings, PLANS[0]))
        if note is not None:
            job.say(note)
        if plan is not None:
            # Not refused before: which way the training goes, the texts' number decides.
            idle = ", ".join(flag_of(name) for name in job.named_settings if name in IDLE_SETTINGS)
            in_vain = f"; without effect: {idle}" if idle else ""
            job.say(f"the filters stay as they are: the last layer is fitted, at one penalty after another{in_vain}")
            return fit_last_layer(module, train, dev, job.settings, watcher, plan)
    return fit(module, train, dev, job.settings, watcher)


def _training(job: DistillationJob) -> Training:
    return Training(
        command=job.command,
        seed=job.settings.seed,
        versions=library_versions("torch", "numpy"),
        data=job.files,
        label_counts=job.split.train.label_counts,
    )


def _deployed(architecture: Architecture, result: Fit) -> StudentWeights:
    """The numbers that a bundle will hold: figures are measured on what is served."""
    state = {name: tensor.numpy() for name, tensor in result.state.items()}
    try:
        return StudentWeights.from_trained(state, architecture)
    except ValueError as error:
        raise FitError(f"the trained weights cannot be deployed: {error}; lower --learning-rate") from error
