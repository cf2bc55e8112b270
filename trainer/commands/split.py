"""`kuaixun-trainer split`: one labelled file to train, dev and test."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console

from kuaixun.export.command_line import path_of
from kuaixun.export.new_folder import write_folder
from kuaixun.trainer.commands.options import add_classes, add_columns, columns_of
from kuaixun.trainer.commands.progress import plain_lines
from kuaixun.trainer.commands.values import whole_number
from kuaixun.trainer.data.labelled_texts import read_classes, read_labelled_texts
from kuaixun.trainer.data.splitting import FEW_TEXTS, RATIOS, ScarceClass, folder_of, scarce_classes, split_texts
from kuaixun.trainer.output_folder import refuse_unwritable

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

SHOWN_SCARCE = 4


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "split",
        help="cut one labelled file into train, dev and test",
        description="Cut one labelled file into train, dev and test, or into train and test: stratified, seeded, rows "
        "that say the same always in one part.",
    )
    parser.add_argument("--data", type=path_of, required=True, metavar="FILE", help="the labelled file")
    parser.add_argument("--output", type=path_of, required=True, metavar="DIR", help="new folder for the parts")
    parser.add_argument(
        "--ratios",
        type=ratios_of,
        default=RATIOS,
        metavar="N:N:N|N:N",
        help="shares of train, dev and test, or of train and test (default: 8:1:1)",
    )
    parser.add_argument("--seed", type=whole_number(0), default=1, metavar="N", help="of the shuffle (default: 1)")
    add_classes(parser)
    add_columns(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Cut, write, tell the sizes. Raises TrainerError."""

    say = plain_lines(console)
    refuse_unwritable(options.output)
    labels = read_classes(options.classes) if options.classes else None
    columns = columns_of(options)
    data = read_labelled_texts(options.data, labels=labels, labels_of=options.classes, columns=columns)
    parts = split_texts(data, options.ratios, seed=options.seed)
    files = folder_of(parts, columns=columns)
    write_folder(options.output, files)
    _warn_of_scarce(scarce_classes(parts), say)
    for name, part in parts.items():
        say(f"{name}: {len(part)} texts")
    say(f"written to {options.output}: {', '.join(files)}")
    return 0


def _warn_of_scarce(scarce: list[ScarceClass], say: Callable[[str], None]) -> None:
    """A line for each where they are few, one line for all where they are many."""
    if len(scarce) <= SHOWN_SCARCE:
        for one in scarce:
            say(
                f"warning: {one.part} has {one.texts} texts of the class {one.label!r}; its figures will mean little: "
                "collect more, or merge the class with another"
            )
        return
    classes = dict.fromkeys(one.label for one in scarce)
    named = ", ".join(f"{one.part} {one.texts} of {one.label!r}" for one in scarce[:SHOWN_SCARCE])
    say(
        f"warning: {len(classes)} classes have fewer than {FEW_TEXTS} texts in a part ({named}, …); their figures will "
        "mean little: collect more, or merge classes"
    )


def ratios_of(text: str) -> tuple[float, ...]:
    """Two or three numbers above 0, as in 8:1:1 and 7:3."""
    try:
        ratios = tuple(float(part) for part in text.split(":"))
    except ValueError:
        ratios = ()
    if len(ratios) not in (2, 3) or not all(0 < ratio < float("inf") for ratio in ratios):
        raise argparse.ArgumentTypeError(f"{text!r} is not two or three numbers above 0, as in 8:1:1 or 7:3")
    return ratios
