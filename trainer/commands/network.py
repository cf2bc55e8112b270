"""`kuaixun-trainer network`: labelled files and vectors of words to a teacher that is no encoder."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from kuaixun.export.command_line import INTERRUPTED_EXIT_CODE, path_of
from kuaixun.schemas.manifest import DataFile
from kuaixun.trainer.advance import advancing
from kuaixun.trainer.commands.fold_option import add_folds, fit_folds
from kuaixun.trainer.commands.options import (
    add_columns,
    add_device,
    add_embeddings,
    add_score,
    add_split,
    add_threads,
    choose_device,
    columns_of,
    embeddings_of,
)
from kuaixun.trainer.commands.progress import plain_lines, watching
from kuaixun.trainer.commands.shown_paths import recorded_command
from kuaixun.trainer.data.labelled_texts import read_split
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.network.word_network import KINDS, NetworkShape
from kuaixun.trainer.number_ranges import expect_numbers
from kuaixun.trainer.output_folder import refuse_unwritable
from kuaixun.trainer.scores.requests import read_requests
from kuaixun.trainer.words.vectors import VECTORS_FILE, WordVectors, read_word_vectors

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

SHAPE = NetworkShape()
FIT = FitSettings(epochs=3, learning_rate=1e-3, dropout=0.4, label_smoothing=0.1)
FIT_FLAGS = (
    ("--epochs", int, "passes over the training texts"),
    ("--batch-size", int, "texts in a step"),
    ("--learning-rate", float, "of AdamW, at its highest"),
    ("--weight-decay", float, "of AdamW"),
    ("--dropout", float, "share of features dropped, and twice the share of what is read"),
    ("--warm-up", float, "share of the steps in which the learning rate rises"),
    ("--label-smoothing", float, "share of each label spread over all classes"),
    ("--evaluate-every-steps", int, "steps between looks at dev"),
    ("--patience", int, "looks at dev without a lower loss before the training ends"),
    ("--seed", int, "of every random choice"),
)


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "network",
        help="train a convolutional or recurrent teacher over characters and words, and score files with it",
        description="Train a network over characters and the words that they belong to, whose vectors `words` learnt "
        "from texts without labels, and write its scores of files, which students learn from.",
    )
    add_split(parser, "texts to choose the weights on")
    parser.add_argument("--words", type=path_of, required=True, metavar="DIR", help="what the words command wrote")
    add_embeddings(parser)
    parser.add_argument("--output", type=path_of, required=True, metavar="DIR", help="new folder for the network")
    add_score(parser, "the scores")
    add_folds(parser)
    _add_shape(parser.add_argument_group("the network"))
    _add_fit(parser.add_argument_group("the training"))
    add_columns(parser)
    parser.set_defaults(run=run, expect=settings_of)


def settings_of(options: argparse.Namespace) -> tuple[NetworkShape, FitSettings]:
    """The network, its embeddings' length aside, and its training, before any file is read. Raises SettingError."""
    expect_numbers(options, "word_learning_rate", above=0)
    shape = NetworkShape(
        kind=options.kind,
        features=options.features,
        embedding_size=SHAPE.embedding_size,
        max_tokens=options.max_tokens,
        minimum_frequency=options.minimum_frequency,
    )
    names = [flag.removeprefix("--").replace("-", "_") for flag, *_ in FIT_FLAGS]
    given = {name: getattr(options, name) for name in names}
    return shape, replace(FIT, **given, mixed_precision=options.mixed_precision)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Train, write, score, tell the figures. Raises TrainerError."""
    say = plain_lines(console)
    shape, settings = settings_of(options)
    device = choose_device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    if not options.folds:  # those that are finished lie there already
        refuse_unwritable(options.output)
    files = read_requests(tuple(options.score), columns_of(options))
    words = read_word_vectors(options.words)
    embeddings = embeddings_of(options)
    if embeddings:
        shape = replace(shape, embedding_size=embeddings.size)
    split = read_split(options.train, options.dev, options.test, classes=options.classes, columns=columns_of(options))

    # Imported here because transformers takes seconds, which refusals need not wait for.
    from kuaixun.trainer.network.fold_training import in_folds
    from kuaixun.trainer.network.job import NetworkJob, teach_network
    from kuaixun.trainer.network.scoring import scorer_of_network
    from kuaixun.trainer.scores.scorer import score_files

    job = NetworkJob(
        split=split,
        words=words,
        embeddings=embeddings,
        shape=shape,
        settings=settings,
        word_learning_rate=options.word_learning_rate,
        output=options.output,
        device=device,
        command=recorded_command(arguments, options, files=["--score"]),
        more_files=(_record_of(options.words, words),),
        watching=lambda: watching(console),
        advancing=partial(advancing, console),
        say=say,
    )
    if options.folds:
        return fit_folds(in_folds(job, options.folds), files, say)
    network, done = teach_network(job)
    say(f"network: {options.output}, from step {done.best.step}")
    if done.interrupted:
        say(f"interrupted after {done.steps_done} of {done.best.steps} steps: kept the best; no file is scored")
        return INTERRUPTED_EXIT_CODE
    score_files([scorer_of_network(network)], files, device, job.advancing, say)
    return 0


def _record_of(folder: Path, words: WordVectors) -> DataFile:
    return DataFile(role="words", name=f"{folder.name}/{VECTORS_FILE}", rows=len(words.words), sha256=words.sha256)


def _add_shape(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--kind", choices=KINDS, default=SHAPE.kind, help=f"(default: {SHAPE.kind})")

    def number(flag: str, says: str) -> None:
        default = getattr(SHAPE, flag.removeprefix("--").replace("-", "_"))
        group.add_argument(flag, type=int, default=default, metavar="N", help=f"{says} (default: {default})")

    number("--features", "filters of each width, or the width of each direction")
    number("--max-tokens", "characters of a text that count")
    number("--minimum-frequency", "rarer characters are unknown ones, unless they have an embedding")


def _add_fit(group: argparse._ArgumentGroup) -> None:
    for flag, kind, says in FIT_FLAGS:
        default: Any = getattr(FIT, flag.removeprefix("--").replace("-", "_"))
        group.add_argument(flag, type=kind, default=default, metavar="N", help=f"{says} (default: {default})")
    group.add_argument(
        "--word-learning-rate", type=float, default=3e-4, metavar="N", help="of the words' vectors (default: 0.0003)"
    )
    group.add_argument("--mixed-precision", action="store_true", help="train and score in bfloat16")
    add_device(group)
    add_threads(group)
