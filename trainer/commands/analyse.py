"""`kuaixun-trainer analyse`: labelled files, looked at before anything is trained on them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Table

from kuaixun.export.command_line import path_of
from kuaixun.export.whole_tables import print_whole, quoted
from kuaixun.trainer.commands.options import add_classes, add_columns, add_embeddings, columns_of, embeddings_of
from kuaixun.trainer.commands.progress import plain_lines
from kuaixun.trainer.commands.values import whole_number
from kuaixun.trainer.data.alike_labels import shown_apart
from kuaixun.trainer.data.analysis import (
    MINIMUM_FREQUENCY,
    VOCABULARY_SIZE,
    Analysis,
    FileAnalysis,
    Lengths,
    Row,
    analyse,
)
from kuaixun.trainer.data.labelled_texts import LabelledTexts, read_classes, read_labelled_texts
from kuaixun.trainer.errors import SettingError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

ROLES = ("data", "train", "dev", "test")
SHOWN_CHARS = 60


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "analyse",
        help="look at labelled files: balance, lengths, characters, duplicates, contradictions, overlaps",
        description="Look at one labelled file, or at several and what they share.",
    )
    parser.add_argument("--data", type=path_of, metavar="FILE", help="one labelled file by itself")
    parser.add_argument("--train", type=path_of, metavar="FILE", help="texts to learn from")
    parser.add_argument("--dev", type=path_of, metavar="FILE", help="texts to choose on")
    parser.add_argument("--test", type=path_of, metavar="FILE", help="texts to measure on")
    add_classes(parser)
    add_embeddings(parser)
    for flag, default, says in (
        ("--vocabulary-size", VOCABULARY_SIZE, "characters at most of the vocabulary counted on --train"),
        ("--minimum-frequency", MINIMUM_FREQUENCY, "rarer characters are not in it"),
    ):
        lowest = 4 if flag == "--vocabulary-size" else 1
        parser.add_argument(
            flag, type=whole_number(lowest), default=default, metavar="N", help=f"{says} (default: {default})"
        )
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the tables")
    add_columns(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Analyse and print on standard output. Raises TrainerError."""
    embeddings = embeddings_of(options)
    parts = _read(options)
    analysis = analyse(
        parts,
        embedded=embeddings.rows if embeddings else None,
        vocabulary_size=options.vocabulary_size,
        minimum_frequency=options.minimum_frequency,
    )
    if options.json:
        sys.stdout.write(msgspec.json.encode(analysis).decode() + "\n")
    else:
        show(analysis, Console())
    return 0


def _read(options: argparse.Namespace) -> dict[str, LabelledTexts]:
    """The files named, by role. The first gives the labels where no --classes does."""
    paths: dict[str, Path] = {role: getattr(options, role) for role in ROLES if getattr(options, role)}
    if not paths:
        raise SettingError("nothing to analyse; name files with --train, --dev and --test, or one with --data")
    if "data" in paths and len(paths) > 1:
        raise SettingError("--data is one file by itself; pass several as --train, --dev and --test")
    labels, labels_of = (read_classes(options.classes) if options.classes else None), options.classes
    parts: dict[str, LabelledTexts] = {}
    for role, path in paths.items():
        parts[role] = read_labelled_texts(
            path,
            labels=labels,
            labels_of=labels_of,
            order_chosen=options.classes is not None,
            columns=columns_of(options),
        )
        labels, labels_of = parts[role].labels, labels_of or path
    return parts


def show(analysis: Analysis, console: Console) -> None:
    """Tables of the figures, examples of what is wrong below them."""
    for file in analysis.files:
        print_whole(_classes_table(file), console)
    print_whole(_scripts_table(analysis), console)
    print_whole(_repeats_table(analysis), console)
    if analysis.coverage:
        print_whole(_coverage_table(analysis), console)
    if analysis.overlaps:
        print_whole(_overlaps_table(analysis), console)
    for file in analysis.files:
        _show_groups(console, f"{file.role}: empty after cleaning", tuple((row,) for row in file.empty_examples))
        _show_groups(console, f"{file.role}: contradictions", file.contradictions.examples)
        _show_groups(console, f"{file.role}: normalised duplicates", file.normalised_duplicates.examples)
    for overlap in analysis.overlaps:
        between = f"{overlap.role} and {overlap.also_in}"
        _show_groups(console, f"{between}: the same text", overlap.examples)
        _show_groups(console, f"{between}: contradictions", overlap.contradicting_examples)
    for group in analysis.alike_labels:
        plain_lines(console)(
            f"note: {shown_apart(group)} look alike and are {len(group)} classes; if one is meant, write it in one way"
        )


def _table(title: str, *columns: str) -> Table:
    """A table whose first column is of words, the others of figures."""
    table = Table(columns[0], title=quoted(title), title_justify="left")
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _classes_table(file: FileAnalysis) -> Table:
    table = _table(
        f"{file.role} ({file.name}): {file.texts} texts, lengths in characters",
        *("class", "texts", "share", "mean", "deviation", "5 %", "median", "95 %", "longest"),
    )
    for one in file.classes:
        table.add_row(quoted(one.label), str(one.texts), f"{one.share:.1%}", *_length_cells(one.lengths))
    table.add_section()
    table.add_row("together", str(file.texts), "100.0%", *_length_cells(file.lengths))
    return table


def _length_cells(lengths: Lengths | None) -> list[str]:
    if lengths is None:
        return ["—"] * 6
    percentiles = (lengths.p05, lengths.p50, lengths.p95, lengths.maximum)
    return [f"{lengths.mean:.1f}", f"{lengths.deviation:.1f}", *(f"{length:.0f}" for length in percentiles)]


def _scripts_table(analysis: Analysis) -> Table:
    table = _table("Written with", "file", "spaces among characters", "ideographs among letters", "kana")
    for file in analysis.files:
        shares = (file.script.spaces, file.script.ideographs, file.script.kana)
        table.add_row(file.role, *(f"{share:.1%}" for share in shares))
    return table


def _repeats_table(analysis: Analysis) -> Table:
    table = _table(
        "Rows to look at", "file", "empty after cleaning", "exact duplicates", "normalised", "contradicting groups"
    )
    for file in analysis.files:
        table.add_row(
            file.role,
            str(file.empty_after_cleaning),
            str(file.exact_duplicates.surplus_texts),
            str(file.normalised_duplicates.surplus_texts),
            str(file.contradictions.groups),
        )
    return table


def _coverage_table(analysis: Analysis) -> Table:
    table = _table("Characters known", "vocabulary", "its size", "file", "characters", "known", "commonest unknown")
    for one in analysis.coverage:
        unknown = quoted(" ".join(one.commonest_unknown[:8]))
        size, characters = str(one.vocabulary_characters), str(one.characters)
        table.add_row(one.vocabulary, size, one.role, characters, f"{one.share:.3%}", unknown)
    return table


def _overlaps_table(analysis: Analysis) -> Table:
    table = _table("Texts in two files", "rows of", "also in", "exact", "normalised", "under another label")
    for one in analysis.overlaps:
        table.add_row(one.role, one.also_in, str(one.exact), str(one.normalised), str(one.contradicting))
    return table


def _show_groups(console: Console, title: str, groups: tuple[tuple[Row, ...], ...]) -> None:
    """Examples, a row a line, a blank line between groups of several."""
    if not groups:
        return
    console.print(f"\n{title}, for example", highlight=False, markup=False)
    for group in groups:
        for row in group:
            shown = row.text if len(row.text) <= SHOWN_CHARS else row.text[:SHOWN_CHARS] + "…"
            line = f"  {row.file}:{row.line}: {shown!r} {row.label}"
            plain_lines(console)(line)
        if len(group) > 1:
            console.print()
