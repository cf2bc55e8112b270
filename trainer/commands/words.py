"""`kuaixun-trainer words`: texts without labels to vectors of their words."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kuaixun.export.command_line import path_of
from kuaixun.schemas.manifest import DataFile, Training
from kuaixun.trainer.advance import advancing
from kuaixun.trainer.commands.options import add_texts
from kuaixun.trainer.commands.progress import plain_lines
from kuaixun.trainer.commands.shown_paths import recorded_command
from kuaixun.trainer.commands.values import whole_number
from kuaixun.trainer.data.text_lines import read_text_lines
from kuaixun.trainer.output_folder import refuse_unwritable
from kuaixun.trainer.versions import library_versions
from kuaixun.trainer.words.skipgram import Corpus, SkipgramSettings, learn_vectors
from kuaixun.trainer.words.vectors import write_word_vectors

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

DEFAULTS = SkipgramSettings()


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "words",
        help="learn vectors of words from texts without labels",
        description="Cut texts into words and learn a vector of each, from which networks begin.",
    )
    add_texts(parser, "learnt from")
    parser.add_argument("--output", type=path_of, required=True, metavar="DIR", help="new folder for the vectors")

    def number(flag: str, kind: Any, says: str) -> None:
        default = getattr(DEFAULTS, flag.removeprefix("--").replace("-", "_"))
        parser.add_argument(flag, type=kind, default=default, metavar="N", help=f"{says} (default: {default})")

    number("--size", whole_number(1, 4096), "length of a vector")
    number("--epochs", whole_number(1, 10_000), "passes over the texts")
    number("--window", whole_number(1, 100), "words on either side that count as company")
    number("--negatives", whole_number(1, 100), "words drawn for contrast with each true one")
    number("--minimum-frequency", whole_number(1), "rarer words get no vector")
    number("--sampling", float, "share of all words above which a word is skipped now and then")
    number("--learning-rate", float, "at its highest")
    number("--seed", whole_number(0, (1 << 31) - 1), "of every random choice")
    number("--threads", whole_number(1, 1024), "with more than one, the same seed gives other vectors each time")
    parser.set_defaults(run=run, expect=settings_of)


def settings_of(options: argparse.Namespace) -> SkipgramSettings:
    """How vectors are learnt. Raises SettingError."""
    return SkipgramSettings(**{name: getattr(options, name) for name in SkipgramSettings.__dataclass_fields__})


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Read, learn, write. Raises TrainerError."""
    say = plain_lines(console)
    refuse_unwritable(options.output)
    corpora = [Corpus(read_text_lines(file.path, options.text_column), file.share) for file in options.texts]
    settings = settings_of(options)
    with advancing(console, "words") as advance:
        vectors = learn_vectors(corpora, settings, advance, say)
    training = Training(
        command=recorded_command(arguments, options, files=["--texts"]),
        seed=settings.seed,
        versions=library_versions("jieba", "numpy") | {"fasttext": version("fasttext")},
        data=tuple(
            DataFile(role="texts", name=one.texts.source.name, rows=len(one.texts), sha256=one.texts.sha256)
            for one in corpora
        ),
    )
    write_word_vectors(options.output, vectors, training)
    say(f"vectors of {len(vectors.words)} words: {options.output}")
    return 0
