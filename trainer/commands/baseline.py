"""`kuaixun-trainer baseline`: what a student has to beat on these files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Table

from kuaixun.export.command_line import path_of
from kuaixun.export.new_folder import write_folder
from kuaixun.export.whole_tables import print_whole
from kuaixun.trainer.advance import advancing
from kuaixun.trainer.baselines.fasttext import FastTextSettings, fasttext
from kuaixun.trainer.baselines.fasttext_tokens import TOKENS
from kuaixun.trainer.baselines.frozen_states import FrozenSettings, frozen_states
from kuaixun.trainer.baselines.majority import majority
from kuaixun.trainer.baselines.measured import Baseline, Baselines
from kuaixun.trainer.commands.options import add_columns, add_device, add_split, choose_device, columns_of
from kuaixun.trainer.commands.progress import plain_lines
from kuaixun.trainer.commands.shown_paths import recorded_command
from kuaixun.trainer.commands.values import whole_number
from kuaixun.trainer.data.labelled_texts import DataSplit, read_split
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.number_ranges import expect_numbers
from kuaixun.trainer.output_folder import refuse_unwritable

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

KINDS = ("majority", "fasttext", "frozen")
FASTTEXT = FastTextSettings()
FILE_NAME = "baseline.json"


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "baseline",
        help="measure what a student has to beat: the commonest class, fastText, a frozen encoder",
        description="Train baselines on --train, choose on --dev, measure on --dev and --test.",
    )
    add_split(parser, "texts to choose on")
    parser.add_argument(
        "--kinds",
        type=kinds_of,
        metavar="KIND,…",
        help=f"of {', '.join(KINDS)} (default: majority and fasttext; with --encoder all)",
    )
    parser.add_argument("--output", type=path_of, metavar="DIR", help=f"new folder for {FILE_NAME}")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    parser.add_argument("--seed", type=whole_number(0, (1 << 31) - 1), default=1, metavar="N", help="(default: 1)")
    _add_fasttext(parser.add_argument_group("fastText"))
    encoder = parser.add_argument_group("logistic regression on frozen states")
    encoder.add_argument("--encoder", metavar="DIR", help="Hugging Face folder, or a name of its hub")
    encoder.add_argument(
        "--max-tokens", type=whole_number(3, 8192), default=64, metavar="N", help="of a text (default: 64)"
    )
    encoder.add_argument("--batch-size", type=whole_number(1), default=64, metavar="N", help="texts (default: 64)")
    add_device(encoder)
    add_columns(parser)
    parser.set_defaults(run=run, expect=kinds_to_train)


def kinds_to_train(options: argparse.Namespace) -> tuple[str, ...]:
    """The kinds of baselines, before any file is read. Raises SettingError."""
    kinds = tuple(options.kinds or (KINDS if options.encoder else KINDS[:2]))
    if ("frozen" in kinds) != (options.encoder is not None):
        raise SettingError("--kinds frozen and --encoder need each other; name the encoder's folder, or neither")
    expect_numbers(options, "learning_rate", above=0)
    return kinds


def _add_fasttext(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--tokens", choices=TOKENS, default=FASTTEXT.tokens, help=f"(default: {FASTTEXT.tokens})")
    group.add_argument(
        "--search",
        choices=("autotune", "none"),
        default="autotune",
        help="fastText's own search on --dev, beginning at the settings below, or just these (default: autotune)",
    )

    def number(flag: str, default: int, lowest: int, says: str) -> None:
        kind = whole_number(lowest, (1 << 31) - 1)
        group.add_argument(flag, type=kind, default=default, metavar="N", help=f"{says} (default: {default})")

    number("--autotune-seconds", FASTTEXT.search_seconds, 1, "how long to search, before the training that follows")
    number("--threads", FASTTEXT.threads, 1, "with more than one, the same seed gives another model each time")
    group.add_argument(
        "--learning-rate",
        type=float,
        default=FASTTEXT.learning_rate,
        metavar="X",
        help=f"(default: {FASTTEXT.learning_rate:g})",
    )
    number("--epochs", FASTTEXT.epochs, 1, "passes over the training texts")
    number("--word-ngrams", FASTTEXT.word_ngrams, 1, "tokens of the longest n-gram")
    number("--dimension", FASTTEXT.dimension, 1, "length of a vector; not searched")
    number("--buckets", FASTTEXT.buckets, 1, "of hashed n-grams; not searched")
    number("--minimum-count", FASTTEXT.minimum_count, 1, "rarer tokens are left out; not searched")
    group.add_argument(
        "--loss",
        choices=("ova", "softmax"),
        default=FASTTEXT.loss,
        help=f"a sigmoid for each class, or softmax; not searched (default: {FASTTEXT.loss})",
    )


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Train, measure, print on standard output. Raises TrainerError; then nothing is written."""

    say = plain_lines(console)
    kinds = kinds_to_train(options)
    if options.output:
        refuse_unwritable(options.output)
    split = read_split(options.train, options.dev, options.test, classes=options.classes, columns=columns_of(options))
    found = [baseline for kind in KINDS if kind in kinds for baseline in _train(kind, split, options, console, say)]
    baselines = Baselines(
        command=recorded_command(arguments, options, models=["--encoder"]),
        labels=split.train.labels,
        data=split.files,
        baselines=tuple(found),
    )
    written = msgspec.json.encode(baselines)
    if options.output:
        write_folder(options.output, {FILE_NAME: msgspec.json.format(written, indent=2) + b"\n"})
    if options.json:
        sys.stdout.write(written.decode() + "\n")
    else:
        show(baselines, Console())
    return 0


def _train(
    kind: str, split: DataSplit, options: argparse.Namespace, console: Console, say: Callable[[str], None]
) -> list[Baseline]:
    if kind == "majority":
        return [majority(split)]
    if kind == "frozen":
        frozen = FrozenSettings(options.encoder, options.max_tokens, options.batch_size, options.seed)
        with advancing(console, "frozen encoder") as advance:
            return frozen_states(split, frozen, choose_device(options.device), advance, say)
    settings = FastTextSettings(
        tokens=options.tokens,
        search_seconds=options.autotune_seconds if options.search == "autotune" else 0,
        threads=options.threads,
        seed=options.seed,
        learning_rate=options.learning_rate,
        epochs=options.epochs,
        word_ngrams=options.word_ngrams,
        dimension=options.dimension,
        buckets=options.buckets,
        minimum_count=options.minimum_count,
        loss=options.loss,
    )
    with advancing(console, "fastText") as advance:
        return [fasttext(split, settings, advance, say)]


def show(baselines: Baselines, console: Console) -> None:
    """A row for each baseline, accuracies and macro F1; its settings below. `unseen` is test without texts of train."""
    table = Table()
    table.add_column("baseline", no_wrap=True)
    for column in ("dev", "dev F1", "test", "test F1", "unseen"):
        table.add_column(column, justify="right")
    for one in baselines.baselines:
        test = ["—"] * 3
        if one.test is not None:
            clean = one.test.clean_accuracy
            test = [f"{one.test.accuracy:.4f}", f"{one.test.macro_f1:.4f}", "—" if clean is None else f"{clean:.4f}"]
        table.add_row(one.name, f"{one.dev.accuracy:.4f}", f"{one.dev.macro_f1:.4f}", *test)
    print_whole(table, console)
    for one in baselines.baselines:
        settings = ", ".join(f"{name} {value}" for name, value in one.settings.items())
        plain_lines(console)(f"{one.name}: {settings}")


def kinds_of(text: str) -> tuple[str, ...]:
    """Kinds of baselines, as in majority,fasttext."""
    kinds = tuple(part.strip() for part in text.split(","))
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no kind of baseline; there are {', '.join(KINDS)}")
    return kinds
