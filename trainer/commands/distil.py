"""`kuaixun-trainer distil`: labelled files to a checkpoint folder."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from kuaixun.export.command_line import INTERRUPTED_EXIT_CODE, path_of
from kuaixun.schemas.manifest import NgramBranch
from kuaixun.trainer.commands.options import (
    add_columns,
    bits_or_none,
    columns_of,
    number_list,
    recorded_command,
    whole_number,
)
from kuaixun.trainer.data.labelled_texts import read_split
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.progress import watching
from kuaixun.trainer.student.distillation import distil, refuse_unwritable
from kuaixun.trainer.student.embeddings import read_embeddings
from kuaixun.trainer.student.new_student import StudentShape
from kuaixun.trainer.student.settings import FIT_DEFAULTS, FIT_NAMES, FitSettings

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

SHAPE = StudentShape()


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "distil",
        help="train a student and write its checkpoint",
        description="Train a TextCNN on labelled headlines. It learns from the labels alone.",
    )
    parser.add_argument("--train", type=path_of, required=True, metavar="FILE", help="texts to learn from")
    parser.add_argument("--dev", type=path_of, required=True, metavar="FILE", help="texts to choose and calibrate on")
    parser.add_argument("--test", type=path_of, metavar="FILE", help="texts to measure on, once, at the end")
    parser.add_argument(
        "--classes", type=path_of, metavar="FILE", help="class names, one a line, in the order of their ids"
    )
    parser.add_argument("--embeddings", type=path_of, metavar="NPZ", help="pretrained character embeddings")
    parser.add_argument("--embedding-vocabulary", type=path_of, metavar="JSON", help="their characters and rows")
    parser.add_argument("--output", type=path_of, required=True, metavar="DIR", help="new folder for the checkpoint")
    _add_shape(parser.add_argument_group("the student"))
    _add_fit(parser.add_argument_group("the training"))
    add_columns(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Train, write, tell the figures. Raises TrainerError."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    started_seconds = time.monotonic()
    settings = FitSettings(**{name: getattr(options, name) for name in FIT_NAMES})
    refuse_unwritable(options.output)
    if (options.embeddings is None) != (options.embedding_vocabulary is None):
        raise SettingError("--embeddings and --embedding-vocabulary need each other; pass both or neither")
    device = choose_device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    embeddings = read_embeddings(options.embeddings, options.embedding_vocabulary) if options.embeddings else None
    split = read_split(options.train, options.dev, options.test, classes=options.classes, columns=columns_of(options))
    classes = len(split.train.labels)
    say(f"learning from {len(split.train)} labels alone, {classes} classes, on {device}")
    with watching(console) as watcher:
        done = distil(
            split,
            _shape(options),
            settings,
            options.output,
            embeddings=embeddings,
            device=device,
            command=recorded_command(arguments, options),
            watcher=watcher,
            say=say,
        )
    for role, figures in done.figures.items():
        say(f"{role}: {', '.join(f'{name} {figure:.4f}' for name, figure in figures.metrics().items())}")
    seconds = time.monotonic() - started_seconds
    say(f"checkpoint: {options.output}, from step {done.fit.best.step}, after {seconds:.0f} s")
    if done.fit.interrupted:
        say(f"interrupted after {done.fit.steps_done} of {done.fit.best.steps} steps: kept the best weights so far")
        return INTERRUPTED_EXIT_CODE
    return 0


def choose_device(name: str) -> torch.device:
    """The device for auto, cpu or cuda. Raises SettingError for a GPU that is not there."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise SettingError("--device cuda: torch finds no usable GPU here; pass --device cpu, or auto")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def _shape(options: argparse.Namespace) -> StudentShape:
    ngrams = None
    if options.ngram_bits is not None:
        ngrams = NgramBranch(orders=options.ngram_orders, bucket_bits=options.ngram_bits, size=options.ngram_size)
    return StudentShape(
        widths=options.widths,
        filters=options.filters,
        embedding_size=options.embedding_size,
        ngrams=ngrams,
        max_tokens=options.max_tokens,
        prepend_cls=options.prepend_cls,
        drop_latin=options.drop_latin,
        vocabulary_size=options.vocabulary_size,
        minimum_frequency=options.minimum_frequency,
        ngram_minimum_frequency=options.ngram_minimum_frequency,
    )


def _add_shape(group: argparse._ArgumentGroup) -> None:
    ngrams = NgramBranch()

    def number(flag: str, default: int, lowest: int, highest: int, says: str) -> None:
        kind = whole_number(lowest, highest)
        group.add_argument(flag, type=kind, default=default, metavar="N", help=f"{says} (default: {default})")

    def numbers(flag: str, default: tuple[int, ...], lowest: int, highest: int, says: str) -> None:
        kind, shown = number_list(lowest, highest), ",".join(map(str, default))
        group.add_argument(flag, type=kind, default=default, metavar="N,N,…", help=f"{says} (default: {shown})")

    numbers("--widths", SHAPE.widths, 1, 16, "convolution widths")
    number("--filters", SHAPE.filters, 1, 1 << 16, "filters of each width")
    number("--embedding-size", SHAPE.embedding_size, 1, 4096, "length of a character's vector")
    group.add_argument(
        "--ngram-bits",
        type=bits_or_none,
        default=ngrams.bucket_bits,
        metavar="N|none",
        help=f"2^N buckets of hashed n-grams, or none (default: {ngrams.bucket_bits})",
    )
    numbers("--ngram-orders", ngrams.orders, 2, 3, "characters of an n-gram")
    number("--ngram-size", ngrams.size, 1, 4096, "length of a bucket's vector in training")
    number("--ngram-minimum-frequency", SHAPE.ngram_minimum_frequency, 1, 1 << 30, "rarer n-grams own no bucket")
    number("--max-tokens", SHAPE.max_tokens, 1, 4096, "characters of a text that count")
    group.add_argument("--prepend-cls", action="store_true", help="begin every text with a token of its own")
    group.add_argument("--drop-latin", action="store_true", help="drop the letters a to z in all their forms")
    number("--vocabulary-size", SHAPE.vocabulary_size, 4, 1 << 20, "characters at most, three specials included")
    number("--minimum-frequency", SHAPE.minimum_frequency, 1, 1 << 30, "rarer characters are unknown ones")


def _add_fit(group: argparse._ArgumentGroup) -> None:
    def number(flag: str, kind: type[int | float], says: str) -> None:
        default: Any = getattr(FIT_DEFAULTS, flag.removeprefix("--").replace("-", "_"))
        group.add_argument(flag, type=kind, default=default, metavar="N", help=f"{says} (default: {default})")

    number("--epochs", int, "passes over the training texts")
    number("--batch-size", int, "texts in a step")
    number("--learning-rate", float, "of AdamW, at its highest")
    number("--ngram-learning-rate", float, "of the n-gram table's Adam, at its highest")
    number("--weight-decay", float, "of AdamW")
    number("--dropout", float, "share of pooled features dropped")
    number("--branch-loss", float, "weight of the losses of convolutions and of n-grams alone")
    number("--warm-up", float, "share of the steps in which the learning rate rises")
    number("--label-smoothing", float, "share of each label spread over all classes")
    number("--evaluate-every-steps", int, "steps between looks at dev")
    number("--patience", int, "looks at dev without a lower loss before the training ends")
    number("--seed", int, "of every random choice")
    group.add_argument(
        "--mixed-precision",
        action="store_true",
        help="train in bfloat16: faster on GPUs and on processors with bfloat16 instructions",
    )
    group.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    group.add_argument(
        "--threads", type=whole_number(1, 1024), metavar="N", help="processor threads (default: torch's)"
    )
