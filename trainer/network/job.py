"""From labelled files and vectors of words to a network's folder: the body of `kuaixun-trainer network`.

read → segment and encode once → fit → measure → write, whole or not → score the files that students will learn from
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SparseAdam
from torch.optim.adamw import AdamW

from kuaixun.schemas.manifest import DataFile, Training
from kuaixun.trainer.advance import Advancing
from kuaixun.trainer.data.character_embeddings import CharacterEmbeddings
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.data.labelled_texts import DataSplit
from kuaixun.trainer.fitting.curriculum import TrainingTexts
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.fitting.history import Recorder
from kuaixun.trainer.fitting.objective import Batch, Objective
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.training import Fit, Learner, fit_module
from kuaixun.trainer.fitting.watching import DevFigures, Watcher
from kuaixun.trainer.fitting.weights import size_bytes
from kuaixun.trainer.interrupts import interrupts_between_steps
from kuaixun.trainer.network.folder import Network, NetworkRecord, new_network, write_network
from kuaixun.trainer.network.lexicon import UNKNOWN, Lexicon, new_lexicon
from kuaixun.trainer.network.scoring import encoded_logits
from kuaixun.trainer.network.word_network import NetworkShape, WordNetwork
from kuaixun.trainer.number_ranges import expect_numbers
from kuaixun.trainer.output_folder import refuse_unwritable
from kuaixun.trainer.scores.measured import measure
from kuaixun.trainer.scores.taught import sha256_of_rows
from kuaixun.trainer.versions import library_versions
from kuaixun.trainer.words.segmentation import segmenter
from kuaixun.trainer.words.vectors import WordVectors

# How far the numbers of a row spread when the training begins, whatever table they come from.
SPREAD = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class NetworkJob:
    """What to teach a network on, where and before whom. `command` and `more_files` are recorded.

    Raises SettingError for a learning rate that is none.
    """

    split: DataSplit
    words: WordVectors
    embeddings: CharacterEmbeddings | None
    shape: NetworkShape
    settings: FitSettings
    word_learning_rate: float
    output: Path
    device: torch.device
    command: str
    more_files: tuple[DataFile, ...]
    watching: Callable[[], AbstractContextManager[Watcher]]
    advancing: Advancing
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        expect_numbers(self, "word_learning_rate", above=0)

    @property
    def files(self) -> tuple[DataFile, ...]:
        """All that took part."""
        return (*self.split.files, *(self.embeddings.files if self.embeddings else ()), *self.more_files)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The split as networks read it: the texts of train, dev and test by role."""

    lexicon: Lexicon
    encoded: dict[str, EncodedTexts]


def teach_network(job: NetworkJob) -> tuple[Network, Fit]:
    """Train on all training rows and write the folder. Raises TrainerError.

    An interrupted training writes its best network so far. So does one that is interrupted while the network is
    measured and written; a second KeyboardInterrupt then gives it up.
    """
    refuse_unwritable(job.output)
    reading = read_rows(job)
    module, done, history = train_network(job, reading, reading.encoded["train"])
    with interrupts_between_steps() as asked_to_stop:
        network = measured(job, reading, module, done)
        write_network(job.output, network, history)
    return network, replace(done, interrupted=done.interrupted or asked_to_stop())


def read_rows(job: NetworkJob) -> Reading:
    """Segment and encode train, dev and test. Raises DataError where cleaning leaves nothing of any text of one."""
    lexicon = new_lexicon(
        job.split.train.texts,
        job.words.words,
        job.embeddings.rows if job.embeddings else (),
        minimum_frequency=job.shape.minimum_frequency,
        max_tokens=job.shape.max_tokens,
    )
    encoded = {}
    with job.advancing("words") as advance:
        for role, data in job.split.parts.items():
            encoded[role] = lexicon.encode(data, segmenter(), advance)
    for role, data in job.split.parts.items():
        job.say(f"{data.source}: {len(data)} texts, {len(data) - len(encoded[role])} of them empty after cleaning")
    return Reading(lexicon, encoded)


def train_network(
    job: NetworkJob, reading: Reading, train: EncodedTexts, *, fold: int = 0
) -> tuple[WordNetwork, Fit, Sequence[DevFigures]]:
    """A network that learnt from `train`, all training rows or those of all folds but one; its looks at dev."""
    torch.manual_seed(job.settings.seed)
    classes = len(job.split.train.labels)
    module = new_network(job.shape, reading.lexicon, job.words.size, classes, dropout=job.settings.dropout)
    refuse_unwritable(job.output / f"fold-{fold}" if fold else job.output, size_bytes(module))
    found = _fill(module, reading.lexicon, job.words, job.embeddings)
    job.say(f"{found} of {len(reading.lexicon.characters)} characters start from pretrained embeddings")
    with job.watching() as watcher:
        recorder = Recorder(watcher)
        done = _fit(job, module.to(job.device), train, reading.encoded["dev"], recorder)
    module.load_state_dict(done.state)
    return module, done, recorder.history


def measured(
    job: NetworkJob, reading: Reading, module: WordNetwork, done: Fit, *, fold: int = 0, folds: int = 0
) -> Network:
    """A trained network with its record, the figures on dev and test told as well."""
    # Of folds, one by itself is measured on dev alone; test is for all together.
    measured = [role for role in job.split.parts if role == "dev" or (role == "test" and not fold)]
    record = NetworkRecord(
        labels=job.split.train.labels,
        shape=job.shape,
        settings=job.settings,
        word_learning_rate=job.word_learning_rate,
        metrics={role: _figures(job, module, reading.encoded[role], role) for role in measured},
        best_step=done.best.step,
        training=Training(
            command=job.command,
            seed=job.settings.seed,
            versions=library_versions("torch", "numpy"),
            data=job.files,
        ),
        texts_sha256=sha256_of_texts(job.split.train.texts),
        rows_sha256=sha256_of_rows(job.split),
        fold=fold,
        folds=folds,
    )
    return Network(module.train(False), reading.lexicon, record)


def _fit(job: NetworkJob, module: WordNetwork, train: EncodedTexts, dev: EncodedTexts, watcher: Watcher) -> Fit:
    """The words' table is moved row by row where the batch meets it; all else by AdamW."""
    dense = [parameter for name, parameter in module.named_parameters() if name != "words.weight"]
    optimizers = (
        AdamW(dense, lr=job.settings.learning_rate, weight_decay=job.settings.weight_decay, fused=True),
        SparseAdam([module.words.weight], lr=job.word_learning_rate),
    )

    def loss_of(batch: Batch, objective: Objective) -> Tensor:
        return objective.loss(module(batch.ids), batch)

    learner = Learner(module, loss_of, optimizers)
    return fit_module(learner, TrainingTexts(train), dev, job.settings, watcher)


def _fill(module: WordNetwork, lexicon: Lexicon, words: WordVectors, embeddings: CharacterEmbeddings | None) -> int:
    """Write the pretrained vectors into the tables, in place; returns how many characters got one.

    Vectors of words are brought to one length, so that the rare ones, which are short, count as much.
    """
    with torch.no_grad():
        vectors = torch.from_numpy(words.vectors)
        module.words.weight[0] = 0.0
        module.words.weight[1:] = nn.functional.normalize(vectors, dim=1) * words.size**0.5 * SPREAD
        table = module.characters.weight
        table[UNKNOWN:] *= SPREAD
        if embeddings is None:
            return 0
        spread = float(embeddings.vectors[list(embeddings.rows.values())].std())
        found = 0
        for token_id, character in enumerate(lexicon.characters, start=UNKNOWN + 1):
            if character in embeddings.rows:
                table[token_id] = torch.from_numpy(embeddings.vectors[embeddings.rows[character]]) * (SPREAD / spread)
                found += 1
    return found


def _figures(job: NetworkJob, module: WordNetwork, encoded: EncodedTexts, role: str) -> dict[str, float]:
    """Figures over the whole file, texts that cleaning emptied included; told as well."""
    data = job.split.parts[role]
    logits = encoded_logits(module, encoded, job.settings.mixed_precision, len(data))
    filled = np.isin(np.arange(len(data)), encoded.rows.numpy())
    figures = measure(logits, filled, data, job.split.train)
    job.say(f"{role}: {figures.told()}")
    return figures.metrics()
