"""`kuaixun-trainer retrain`: new labelled rows and the bundle that serves to its successor, or to why there is none."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from rich.table import Table

from kuaixun.export import Classifier, open_classifier
from kuaixun.export.bundle.reader import Bundle, expect_no_checkpoint, open_bundle, read_manifest
from kuaixun.export.command_line import INTERRUPTED_EXIT_CODE, path_of
from kuaixun.export.errors import BundleError
from kuaixun.export.whole_tables import print_whole, quoted
from kuaixun.trainer.commands.options import add_columns, choose_device, columns_of
from kuaixun.trainer.commands.progress import plain_lines, watching
from kuaixun.trainer.commands.recorded_flags import recorded_flags
from kuaixun.trainer.commands.shown_paths import recorded_command
from kuaixun.trainer.commands.student_options import (
    STUDENT_FLAGS,
    TEACHER_FLAGS,
    TRANSFER_FLAGS,
    add_student,
    named_fit,
    names_shape,
    refuse_idle,
    student_of,
)
from kuaixun.trainer.commands.values import real_number
from kuaixun.trainer.data.labelled_texts import DataSplit
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.promotion.bundle_folder import BundleFolder
from kuaixun.trainer.promotion.contest import ContestRecord, contest, expect_same_meaning, settle
from kuaixun.trainer.promotion.met_files import doubts_about
from kuaixun.trainer.promotion.rows import RetrainingRows, labels_with, read_rows
from kuaixun.trainer.promotion.shape_differences import flags_alike, shape_differences

if TYPE_CHECKING:
    from kuaixun.schemas.manifest import Manifest
    from kuaixun.trainer.student.new_student import StudentShape

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

KEPT_EXIT_CODE = 1
MARGIN_POINTS = 0.5
CHECKPOINT = "checkpoint"


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "retrain",
        help="train on new rows too, compare with the bundle that serves, and replace it if nothing gets worse",
        description="Train a challenger on old and new rows, compare it with the champion on test rows that neither "
        "learnt from, and let the link `current` name it if no class falls by more than the margin. Exit code 0: "
        "promoted, or the same bundle serves already; 1: the champion is kept.",
    )
    parser.add_argument(
        "--bundles", type=path_of, required=True, metavar="DIR", help="folder of bundles and of the link `current`"
    )
    parser.add_argument("--train", type=path_of, required=True, metavar="FILE", help="the rows of the last training")
    parser.add_argument("--new", type=path_of, required=True, metavar="FILE", help="the rows that came since")
    dev = "texts to choose and calibrate on; with --challenger nothing is chosen, and they are not read"
    parser.add_argument("--dev", type=path_of, metavar="FILE", help=dev)
    parser.add_argument("--test", type=path_of, required=True, metavar="FILE", help="texts to compare on")
    parser.add_argument(
        "--margin",
        type=real_number(0, 100, "number of points; write 0.5 for half a point of F1"),
        default=MARGIN_POINTS,
        metavar="POINTS",
        help=f"points of F1 that a class may lose (default: {MARGIN_POINTS})",
    )
    parser.add_argument(
        "--add-label",
        action="append",
        default=[],
        metavar="NAME",
        help="a class that is new; its id comes after those that there are; may be given several times",
    )
    parser.add_argument(
        "--challenger", type=path_of, metavar="BUNDLE", help="a bundle that is trained already, in place of a training"
    )
    parser.add_argument("--origin", default="", help="where the training data comes from, for the model card")
    parser.add_argument("--engine", default="auto", metavar="NAME", help="engine to compare on (default: auto)")
    add_student(parser)
    add_columns(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Train, compare, promote or keep; a table on standard output. Raises TrainerError and ExportError."""

    say = plain_lines(console)
    _refuse(options)
    bundles = BundleFolder(options.bundles)
    with bundles.locked(), bundles.workshop() as workshop:
        champion = _open(bundles.champion, options)
        ready = _bundle_in(options.challenger) if options.challenger else None
        if ready and ready.manifest.model_id == champion.model_id:
            return _nothing_to_do(champion, say)
        rows = _read(options, champion, bundles, trained=ready is not None)
        _tell(rows, say, learnt_already=ready is not None)
        if not ready and not names_shape(options):
            _warn_of_another_shape(read_manifest(bundles.champion), student_of(options).shape, say)
        bundle = workshop / "bundle"
        doubts = doubts_about(ready.manifest.training.data, rows) if ready else ()
        for doubt in doubts:
            say(f"warning: {doubt}")
        if ready:
            bundles.copy(ready, bundle)
        elif not _train(options, recorded_command(arguments, options), rows, workshop, console):
            kept = bundles.set_aside(workshop / CHECKPOINT)
            say(
                f"interrupted: the champion is kept; the challenger's best weights so far are in {kept} until the next "
                f"interruption: kuaixun-export build {kept} BUNDLE makes a --challenger of them"
            )
            return INTERRUPTED_EXIT_CODE
        challenger = _open(bundle, options)
        if challenger.model_id == champion.model_id:
            return _nothing_to_do(champion, say)
        expect_same_meaning(champion, challenger)
        if challenger.labels != rows.test.labels:
            raise SettingError(f"--challenger has other labels, {', '.join(challenger.labels)}; name new ones too")
        record = contest(
            champion,
            challenger,
            rows.test,
            margin=options.margin / 100,
            seed=0,
            seen=rows.seen,
            superseded=rows.superseded,
            doubts=doubts,
        )
        place = settle(bundles, bundle, record)
    _show(record, Console())
    return _conclude(record, place, say)


def _refuse(options: argparse.Namespace) -> None:
    """Raises SettingError for options that do not go together."""
    if options.dev is None and not options.challenger:
        raise SettingError("--dev is missing; a training needs texts to choose and calibrate on")
    if options.challenger:
        refuse_idle(options, STUDENT_FLAGS, "with --challenger, which is trained already")
    refuse_idle(options, (*TEACHER_FLAGS, *TRANSFER_FLAGS), "in a training without teachers")


def _read(options: argparse.Namespace, champion: Classifier, bundles: BundleFolder, *, trained: bool) -> RetrainingRows:
    """The files of a contest; a challenger that is trained already needs no dev."""
    return read_rows(
        options.train,
        options.new,
        None if trained else options.dev,
        options.test,
        labels=labels_with(champion.labels, options.add_label),
        known=len(champion.labels),
        champion=bundles.champion,
        columns=columns_of(options),
    )


def _train(options: argparse.Namespace, command: str, rows: RetrainingRows, workshop: Path, console: Console) -> bool:
    """Train a challenger and build its bundle in the workshop; whether it came to its end."""
    # Imported here because tracing takes seconds, which a refused file need not wait for.
    from kuaixun.export.bundle.writer import write_bundle
    from kuaixun.trainer.student.distillation import DistillationJob, distil

    assert rows.dev is not None  # noqa: S101 - for the type checker: no training goes without
    student = student_of(options)
    if options.threads:
        torch.set_num_threads(options.threads)
    with watching(console) as watcher:
        done = distil(
            DistillationJob(
                split=DataSplit(rows.train, rows.dev, rows.test),
                shape=student.shape,
                settings=student.fit,
                output=workshop / CHECKPOINT,
                embeddings=None,
                device=choose_device(options.device),
                command=command,
                watcher=watcher,
                say=plain_lines(console),
                more_files=(*rows.files, *((student.origin,) if student.origin else ())),
                output_named=f"--bundles {options.bundles}",
                named_settings=named_fit(options),
            )
        )
    if done.fit.interrupted:
        return False
    write_bundle(workshop / "bundle", done.checkpoint, origin=options.origin)
    return True


def _open(bundle: Path, options: argparse.Namespace) -> Classifier:
    """A bundle on the engine that it will serve on. Raises ExportError."""
    return open_classifier(bundle, engine=options.engine, device=options.device, threads=options.threads)


def _bundle_in(folder: Path) -> Bundle:
    """A finished bundle where it lies. Raises SettingError, BundleError."""
    if not folder.is_dir():
        raise SettingError(f"--challenger: {folder} is no folder; name a bundle")
    try:
        expect_no_checkpoint(folder)
    except BundleError as error:
        raise SettingError(f"--challenger: {error}") from None
    return open_bundle(folder)


def _nothing_to_do(champion: Classifier, say: Callable[[str], None]) -> int:
    """The record of why the champion was promoted stays: of a contest with itself there is nothing to tell."""
    say(f"the same bundle serves already, {champion.model_id}; nothing to do")
    return 0


def _warn_of_another_shape(champion: Manifest, shape: StudentShape, say: Callable[[str], None]) -> None:
    recorded = recorded_flags(champion.training.command)
    if different := shape_differences(champion, shape, recorded):
        told = ", ".join(f"{one.name} {one.here} and not {one.champion}" for one in different)
        flags = flags_alike(different, recorded)
        say(f"warning: the default student has another shape than the champion, {told}; to train one alike: {flags}")


def _tell(rows: RetrainingRows, say: Callable[[str], None], *, learnt_already: bool) -> None:
    files = " and ".join(f"{file.rows} {file.role}" for file in rows.files)
    learnt = f"the challenger is taken to have learnt from {files}" if learnt_already else f"learning from {files}"
    say(f"{learnt}; comparing on {len(rows.test)} test rows")
    if rows.superseded:
        say(f"{rows.superseded} old rows give way to new ones that say the same under another label")
    for role, seen in (("test", rows.seen), ("dev", rows.seen_dev)):
        if seen:
            say(f"{seen} {role} rows are left out: they stand among the rows to learn from")


def _show(record: ContestRecord, console: Console) -> None:
    """F1 of each class, before and after, and the accuracy."""
    table = Table()
    table.add_column("class")
    for column in ("rows", "champion F1", "challenger F1", "points", "95 % interval"):
        table.add_column(column, justify="right")
    for one in record.verdict.classes:
        interval = f"{one.change_interval.low * 100:+.2f} to {one.change_interval.high * 100:+.2f}"
        figures = (f"{one.champion_f1:.4f}", f"{one.challenger_f1:.4f}", f"{one.change * 100:+.2f}", interval)
        table.add_row(quoted(one.label), str(one.texts), *figures)
    table.add_section()
    verdict = record.verdict
    whole = ("with new classes", record.test_rows, verdict.whole_champion_accuracy, verdict.whole_challenger_accuracy)
    accuracies = [("accuracy", verdict.rows, verdict.champion_accuracy, verdict.challenger_accuracy), whole]
    for name, rows, before, after in accuracies[: 1 if verdict.rows == record.test_rows else 2]:
        table.add_row(name, str(rows), f"{before:.4f}", f"{after:.4f}", f"{(after - before) * 100:+.2f}", "")
    print_whole(table, console)


def _conclude(record: ContestRecord, place: Path, say: Callable[[str], None]) -> int:
    say(f"challenger: {place}, every figure: {place}.json")
    if record.verdict.promoted:
        say(f"promoted: current is now {record.challenger}, it was {record.champion}")
        return 0
    for reason in record.verdict.reasons:
        say(f"the champion {record.champion} is kept: {reason}")
    return KEPT_EXIT_CODE
