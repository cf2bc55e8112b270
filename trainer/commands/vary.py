"""`kuaixun-trainer vary`: training texts to a transfer set of texts like them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.console import Console

from kuaixun.export.command_line import path_of
from kuaixun.trainer.advance import advancing
from kuaixun.trainer.commands.options import add_columns, columns_of
from kuaixun.trainer.commands.progress import plain_lines
from kuaixun.trainer.commands.values import number_list, whole_number
from kuaixun.trainer.data.labelled_texts import read_labelled_texts
from kuaixun.trainer.data.text_lines import read_text_lines
from kuaixun.trainer.errors import DataError
from kuaixun.trainer.new_file import write_new_file
from kuaixun.trainer.output_folder import refuse_unwritable_file
from kuaixun.trainer.words.segmentation import segmenter
from kuaixun.trainer.words.variants import VariantSettings, variants
from kuaixun.trainer.words.vectors import read_word_vectors

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

DEFAULTS = VariantSettings()


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "vary",
        help="make texts like the training texts, for teachers to score and students to learn from",
        description="Write variants of labelled texts, one a line, without labels: words give way to their neighbours, "
        "vanish, or are left out at the ends.",
    )
    parser.add_argument("--train", type=path_of, required=True, metavar="FILE", help="labelled texts to vary")
    parser.add_argument("--words", type=path_of, required=True, metavar="DIR", help="what the words command wrote")
    parser.add_argument("--output", type=path_of, required=True, metavar="FILE", help="new file of texts, one a line")
    shares = (
        ("--replaced", "share of the words that give way to a neighbour"),
        ("--dropped", "share of the words that vanish"),
        ("--cut-short", "share of the texts of which a stretch is taken alone"),
    )
    for flag, says in shares:
        default = getattr(DEFAULTS, flag.removeprefix("--").replace("-", "_"))
        parser.add_argument(flag, type=float, default=default, metavar="N", help=f"{says} (default: {default})")
    parser.add_argument(
        "--neighbours",
        type=whole_number(1, 1000),
        default=DEFAULTS.neighbours,
        metavar="N",
        help=f"nearest words that a word may give way to (default: {DEFAULTS.neighbours})",
    )
    parser.add_argument(
        "--seed",
        type=number_list(0, (1 << 31) - 1),
        default=DEFAULTS.seeds,
        metavar="N,N,…",
        help="of every random choice; of several, all texts are varied once for each (default: 1)",
    )
    parser.add_argument(
        "--without",
        type=path_of,
        action="append",
        default=[],
        metavar="FILE",
        help="texts that no variant may be, labelled or not, such as those of dev and test; give it once a file",
    )
    add_columns(parser)
    parser.set_defaults(run=run, expect=settings_of)


def settings_of(options: argparse.Namespace) -> VariantSettings:
    """What is done to a text. Raises SettingError."""
    return VariantSettings(options.replaced, options.dropped, options.cut_short, options.neighbours, options.seed)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Read, vary, write. Raises TrainerError."""
    del arguments
    say = plain_lines(console)
    settings = settings_of(options)
    refuse_unwritable_file("--output", options.output)
    data = read_labelled_texts(options.train, columns=columns_of(options))
    without = [text for path in options.without for text in read_text_lines(path, options.text_column).texts]
    vectors = read_word_vectors(options.words)
    with advancing(console, "variants") as advance:
        found = list(variants(data.texts, segmenter(spaces=True), vectors, settings, advance, say, without))
    if not found:
        raise DataError(f"{options.train}: none of its texts could be varied; raise --replaced or --dropped")
    write_new_file(options.output, "".join(f"{text}\n" for text in found).encode())
    say(f"{len(found)} variants of {len(data)} texts: {options.output}")
    return 0
