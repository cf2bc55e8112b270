"""From labelled files to a checkpoint folder: the body of `kuaixun-trainer distil`.

read → build the pipeline → encode once → fit to labels and teachers → round as deployed → calibrate and measure →
choose int8 scales → write, whole or not
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from kuaixun.export.checkpoint import Checkpoint, CheckpointRecord, write_checkpoint
from kuaixun.export.student.quantisation import with_best_scales
from kuaixun.export.student.tracing import convolutional_module
from kuaixun.export.student.weights import StudentWeights
from kuaixun.schemas.manifest import Architecture, DataFile, Training
from kuaixun.trainer.data.character_embeddings import CharacterEmbeddings
from kuaixun.trainer.data.labelled_texts import DataSplit, LabelledTexts
from kuaixun.trainer.errors import FitError
from kuaixun.trainer.evaluation.calibration import fit_temperature
from kuaixun.trainer.evaluation.figures import Evaluation
from kuaixun.trainer.evaluation.precision_costs import measure_precision
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts, encode
from kuaixun.trainer.fitting.history import HISTORY_FILE, Recorder, history_to_file
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.training import Fit, logits_of
from kuaixun.trainer.fitting.watching import Watcher
from kuaixun.trainer.interrupts import interrupts_between_steps
from kuaixun.trainer.output_folder import refuse_unwritable
from kuaixun.trainer.student.deployed_figures import measure_deployed
from kuaixun.trainer.student.last_layer import features_fit, fit_last_layer, only_last_layer_trains
from kuaixun.trainer.student.new_student import StudentShape, new_student
from kuaixun.trainer.student.teaching import LABELS_ALONE, Teaching
from kuaixun.trainer.student.training import fit
from kuaixun.trainer.versions import library_versions


@dataclass(frozen=True, slots=True, eq=False)
class Distilled:
    """A finished run: what was written, how the fit went, the figures by role (dev, test)."""

    checkpoint: Checkpoint
    fit: Fit
    figures: dict[str, Evaluation]


def distil(
    split: DataSplit,
    shape: StudentShape,
    settings: FitSettings,
    output: Path,
    *,
    teaching: Teaching = LABELS_ALONE,
    more_files: tuple[DataFile, ...] = (),
    embeddings: CharacterEmbeddings | None,
    device: torch.device,
    command: str,
    watcher: Watcher,
    say: Callable[[str], None],
    output_named: str | None = None,
) -> Distilled:
    """Train a student on labels and on what it is taught, and write its checkpoint as the new folder `output`.

    `command` is recorded as the way to make the model again, with all files that took part, `more_files` among them;
    `say` takes one line at a time; `output_named` is what a refusal calls the output, where that is not `--output` and
    the folder. Raises TrainerError for settings and data that do not go together, before any training.
    """
    student = new_student(
        split.train,
        shape,
        seed=settings.seed,
        dropout=settings.dropout,
        embeddings=embeddings,
        transfer=teaching.transfer,
    )
    size_bytes = sum(tensor.nbytes for tensor in student.module.state_dict().values())
    refuse_unwritable(output, size_bytes, named=output_named)
    if embeddings is not None:
        characters = len(student.pipeline.vocabulary.characters)
        say(f"{student.pretrained_characters} of {characters} characters start from pretrained embeddings")
    dev = encode(student.pipeline, split.dev)
    measured: dict[str, tuple[LabelledTexts, EncodedTexts]] = {"dev": (split.dev, dev)}
    if split.test is not None:
        measured["test"] = (split.test, encode(student.pipeline, split.test))
    for data, encoded in ((split.train, student.texts), (teaching.transfer, student.transfer), *measured.values()):
        if data is not None and encoded is not None:
            say(f"{data.source}: {len(data)} texts, {len(data) - len(encoded)} of them empty after cleaning")
    train = teaching.of_texts(student.texts, student.transfer)
    recorder = Recorder(watcher)
    module = student.module.to(device)
    if only_last_layer_trains(module) and features_fit(module, train, settings):
        say("the filters stay as they are: the last layer is fitted, at one penalty after another")
        result = fit_last_layer(module, train, dev, settings, recorder)
    else:
        result = fit(module, train, dev, settings, recorder)

    # What took hours is written even where Ctrl-C comes now; a second one gives it up.
    with interrupts_between_steps() as asked_to_stop:
        weights = _deployed(student.architecture, result)
        deployed = convolutional_module(student.architecture, weights)
        temperature = fit_temperature(logits_of(deployed, dev), dev.label_ids)
        figures = {
            role: measure_deployed(deployed, encoded, data, split.train, temperature)
            for role, (data, encoded) in measured.items()
        }
        say("choosing the int8 scales, and measuring what each precision costs, on the dev texts")
        weights = with_best_scales(weights, dev.ids.numpy())
        record = CheckpointRecord(
            labels=split.train.labels,
            text=student.pipeline.parameters,
            architecture=student.architecture,
            temperature=temperature,
            precision=measure_precision(weights, student.architecture, dev.ids.numpy(), dev.label_ids.numpy()),
            metrics={role: evaluation.metrics() for role, evaluation in figures.items()},
            training=Training(
                command=command,
                seed=settings.seed,
                versions=library_versions("torch", "numpy"),
                data=(*split.files, *(embeddings.files if embeddings else ()), *teaching.files, *more_files),
                label_counts=split.train.label_counts,
            ),
        )
        state = {name: tensor.numpy() for name, tensor in result.state.items()}
        for index, scales in enumerate(weights.convolution_scales):
            state[f"convolutions.{index}.scales"] = scales
        checkpoint = Checkpoint(record, student.pipeline, state)
        write_checkpoint(output, checkpoint, {HISTORY_FILE: history_to_file(recorder.history)})
    result = replace(result, interrupted=result.interrupted or asked_to_stop())
    return Distilled(checkpoint, result, figures)


def _deployed(architecture: Architecture, result: Fit) -> StudentWeights:
    """The numbers that a bundle will hold: figures are measured on what is served."""
    state = {name: tensor.numpy() for name, tensor in result.state.items()}
    try:
        return StudentWeights.from_trained(state, architecture)
    except ValueError as error:
        raise FitError(f"the trained weights cannot be deployed: {error}; lower --learning-rate") from error
