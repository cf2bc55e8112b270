"""`kuaixun-trainer prune`: a bundle to a smaller one that gives the same labels faster."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from kuaixun.export.bundle.reader import default_bundle_path, open_bundle
from kuaixun.export.command_line import path_of
from kuaixun.export.whole_tables import print_whole
from kuaixun.trainer.advance import advancing
from kuaixun.trainer.commands.options import add_columns, columns_of
from kuaixun.trainer.commands.progress import plain_lines
from kuaixun.trainer.commands.shown_paths import recorded_command
from kuaixun.trainer.commands.values import whole_number
from kuaixun.trainer.data.labelled_texts import DataSplit, expect_different_files, read_labelled_texts
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.output_folder import refuse_unwritable

if TYPE_CHECKING:
    from kuaixun.schemas.manifest import Manifest
    from kuaixun.trainer.student.pruning import Trial

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "prune",
        help="leave out the filters of a bundle that say next to nothing",
        description="Write a bundle with the filters of another that count for most. How many may go is tried on dev: "
        "no more than costs a tenth of a point of accuracy, or one label of two hundred.",
    )
    parser.add_argument("--bundle", type=path_of, metavar="DIR", help="the bundle (default: the one that ships)")
    files = (("train", "texts that it learnt from"), ("dev", "texts to choose and calibrate on"))
    for role, says in files:
        parser.add_argument(f"--{role}", type=path_of, required=True, metavar="FILE", help=says)
    parser.add_argument("--test", type=path_of, metavar="FILE", help="texts to measure on, once, at the end")
    parser.add_argument("--output", type=path_of, required=True, metavar="DIR", help="new folder for the bundle")
    parser.add_argument(
        "--filters",
        type=whole_number(1),
        metavar="N",
        help="filters of each width that stay, whatever it costs (default: as few as dev allows)",
    )
    add_columns(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Try, choose, write; a table on standard output. Raises TrainerError and ExportError."""
    # Imported here because torch takes seconds, which a refused option need not wait for.
    from kuaixun.export.student.quantisation import FILTER_PADDING
    from kuaixun.trainer.fitting.encoded_texts import encode
    from kuaixun.trainer.student.deployed import DeployedStudent
    from kuaixun.trainer.student.pruned_bundle import write_pruned
    from kuaixun.trainer.student.pruning import smaller_sizes, smallest_near, trials, what_filters_say

    say = plain_lines(console)
    refuse_unwritable(options.output)
    bundle = open_bundle(options.bundle or default_bundle_path())
    labels, architecture, columns = bundle.manifest.labels, bundle.manifest.architecture, columns_of(options)
    sizes = [options.filters] if options.filters else [*smaller_sizes(architecture.filters)]
    if not sizes or sizes[0] >= architecture.filters:
        steps = "" if sizes else f"; by itself this goes down to multiples of {FILTER_PADDING} alone"
        raise SettingError(
            f"the bundle has {architecture.filters} filters of each width; name fewer with --filters{steps}"
        )
    split = DataSplit(
        train=read_labelled_texts(options.train, labels=labels, columns=columns),
        dev=read_labelled_texts(options.dev, labels=labels, columns=columns),
        test=read_labelled_texts(options.test, labels=labels, columns=columns) if options.test else None,
    )
    expect_different_files({role: (data.source, data.sha256) for role, data in split.parts.items()})
    student, dev = DeployedStudent(bundle.weights, architecture), encode(bundle.pipeline, split.dev)
    say(f"listening to {architecture.filters} filters of each width on {split.train.source}")
    with advancing(console, f"what {architecture.filters} filters of each width say") as advance:
        says = what_filters_say(student, encode(bundle.pipeline, split.train), advance)
    with advancing(console, "fewer filters on dev") as advance:
        found = trials(student, sizes, says, dev, advance)
    chosen = found[0] if options.filters else smallest_near(found)
    _show(found, chosen)
    if chosen is None:
        raise SettingError(
            "every filter counts: without any of them more labels change on dev than may; name --filters to prune it "
            "all the same"
        )
    command = recorded_command(_naming(bundle.manifest.model_id, arguments), options)
    manifest, figures = write_pruned(options.output, bundle, chosen.student, split, command=command, say=say)
    for role, one in figures.items():
        say(f"{role}: {one.told()}")
    say(f"bundle: {options.output}, model {manifest.model_id}")
    say(f"size: {_megabytes(manifest)}, it was {_megabytes(bundle.manifest)}")
    return 0


def _naming(model_id: str, arguments: Sequence[str]) -> list[str]:
    """The arguments with the bundle's model in place of its folder, whose name says nothing of what it holds."""
    rest = iter(arguments)
    # The option's value is taken along with it.
    kept = [one for one in rest if not one.startswith("--bundle=") and not (one == "--bundle" and next(rest))]
    return [*kept, "--bundle", model_id]


def _show(found: Sequence[Trial], chosen: Trial | None) -> None:
    """What each size costs on dev, the chosen one marked."""
    table = Table("filters of each width")
    for column in ("dev accuracy", "points", "same label"):
        table.add_column(column, justify="right")
    for trial in found:
        table.add_row(
            f"{trial.student.architecture.filters}{' *' if trial is chosen else ''}",
            f"{trial.accuracy:.4f}",
            f"{trial.accuracy_difference * 100:+.2f}",
            f"{trial.label_agreement:.2%}",
        )
    print_whole(table)


def _megabytes(manifest: Manifest) -> str:
    return f"{sum(entry.size_bytes for entry in manifest.files.values()) / 1e6:.1f} MB"
