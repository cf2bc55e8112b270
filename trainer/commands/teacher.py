"""`kuaixun-trainer teacher`: a pretrained model and labelled files to a teacher, and to its scores of files."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from kuaixun.export.command_line import INTERRUPTED_EXIT_CODE, path_of
from kuaixun.trainer.advance import advancing
from kuaixun.trainer.commands.fold_option import add_folds, fit_folds
from kuaixun.trainer.commands.options import (
    add_columns,
    add_device,
    add_score,
    add_split,
    add_threads,
    choose_device,
    columns_of,
)
from kuaixun.trainer.commands.progress import plain_lines, watching
from kuaixun.trainer.commands.shown_paths import recorded_command
from kuaixun.trainer.data.labelled_texts import read_split
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.scores.processes import is_first_process
from kuaixun.trainer.scores.requests import read_requests
from kuaixun.trainer.teacher.settings import HEADS, KINDS, TEACHER_DEFAULTS, TEACHER_NAMES, TeacherSettings
from kuaixun.trainer.teacher.sharding import refuse_sharding

if TYPE_CHECKING:
    from kuaixun.trainer.scores.requests import FileToScore

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "teacher",
        help="fine-tune a pretrained model on labelled texts, and score files with it",
        description="Fine-tune a Hugging Face model on labelled texts and write its scores of files, which students "
        "learn from. Start it with torchrun to use several GPUs.",
    )
    parser.add_argument("--encoder", metavar="DIR", help="Hugging Face folder, or a name of its hub")
    add_split(parser, "texts to choose the best weights on", required=False)
    parser.add_argument("--output", type=path_of, metavar="DIR", help="new folder for the teacher")
    scores = parser.add_argument_group("scores")
    add_score(scores, "the scores")
    add_folds(scores)
    scores.add_argument("--scores-only", action="store_true", help="score with finished teachers; nothing is trained")
    scores.add_argument(
        "--teacher",
        type=path_of,
        action="append",
        default=[],
        metavar="DIR",
        help="with --scores-only: a finished teacher, or a student's checkpoint as one; of several folds of one "
        "training, the mean",
    )
    _add_training(parser.add_argument_group("the fine-tuning"))
    add_columns(parser)
    parser.set_defaults(run=run, expect=settings_of)


def settings_of(options: argparse.Namespace) -> TeacherSettings:
    """The fine-tuning, before any file is read. Raises SettingError."""
    _refuse_options_that_do_not_go_together(options)
    return TeacherSettings(**{name: getattr(options, name) for name in TEACHER_NAMES})


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Train, write, score, tell the figures. Raises TrainerError."""

    say = plain_lines(console)
    if not is_first_process():
        console.quiet = True  # of several processes one speaks
    settings = settings_of(options)
    device = choose_device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    files = read_requests(tuple(options.score), columns_of(options))
    if options.scores_only:
        return _score_only(options, files, device, console)
    refuse_sharding()
    missing = [f"--{name}" for name in ("encoder", "train", "dev", "output") if getattr(options, name) is None]
    if missing:
        raise SettingError(f"{' and '.join(missing)}: needed to train a teacher; or pass --scores-only and --teacher")
    if options.teacher:
        raise SettingError("--teacher names a finished teacher; pass --scores-only too, or --encoder to train from one")
    columns = columns_of(options)
    split = read_split(options.train, options.dev, options.test, classes=options.classes, columns=columns)

    # Imported here because transformers takes seconds, which other commands and refusals need not wait for.
    from kuaixun.trainer.encoder.pretrained_folders import quieten
    from kuaixun.trainer.teacher.fold_training import in_folds
    from kuaixun.trainer.teacher.job import TeacherJob, teach

    quieten()
    job = TeacherJob(
        encoder=options.encoder,
        split=split,
        settings=settings,
        output=options.output,
        device=device,
        command=recorded_command(arguments, options, files=["--score"], models=["--encoder"]),
        watching=lambda: watching(console),
        advancing=partial(advancing, console),
        say=say,
    )
    if options.folds:
        return fit_folds(in_folds(job, options.folds), files, say)
    done = teach(job, files, int8=options.int8)
    if done.interrupted:
        say(f"interrupted after {done.steps_done} of {done.best.steps} steps: kept the best; no file is scored")
        return INTERRUPTED_EXIT_CODE
    return 0


def _refuse_options_that_do_not_go_together(options: argparse.Namespace) -> None:
    """Raise SettingError for an option that would change nothing, and for one that --scores-only lacks."""
    if options.int8 and (options.folds or options.scores_only):
        raise SettingError(
            "--int8 tells of the one teacher that is trained; leave it away with --folds or --scores-only"
        )
    if not options.scores_only:
        return
    if not options.teacher or not options.score:
        raise SettingError("--scores-only needs --teacher, a finished teacher's folder, and --score FILE=OUT")
    idle = [
        name for name in ("encoder", "train", "dev", "test", "output", "folds") if getattr(options, name) is not None
    ]
    if idle:
        raise SettingError(f"--{idle[0]} changes nothing with --scores-only; leave it away")


def _score_only(
    options: argparse.Namespace, files: tuple[FileToScore, ...], device: torch.device, console: Console
) -> int:
    from kuaixun.trainer.answering.opened import open_scorer
    from kuaixun.trainer.scores.scorer import score_files

    teachers = [open_scorer(folder) for folder in options.teacher]
    for folder, teacher in zip(options.teacher, teachers, strict=True):
        if teacher.labels != teachers[0].labels:
            raise SettingError(f"--teacher: {folder} and {options.teacher[0]} have other labels; score with each alone")
        for file in files:
            if teacher.learnt_from_a_part_of(file.texts):
                raise SettingError(
                    f"--score: {folder} learnt from a part of {file.name}; for out-of-fold scores repeat the command "
                    "that trained it, which finds its folds finished"
                )
    named = " or ".join(str(folder) for folder in options.teacher)
    advice = f"the weights of {named} are damaged: copy the folder again from where it was made, or train anew"
    say = plain_lines(console)
    score_files(teachers, files, device, partial(advancing, console), say, where_no_number=advice)
    return 0


def _add_training(group: argparse._ArgumentGroup) -> None:
    def option(flag: str, kind: Any, says: str, metavar: str = "N") -> None:
        default = getattr(TEACHER_DEFAULTS, flag.removeprefix("--").replace("-", "_"))
        shown = f" (default: {default})" if default != "" else ""
        group.add_argument(flag, type=kind, default=default, metavar=metavar, help=says + shown)

    group.add_argument("--kind", choices=KINDS, default=TEACHER_DEFAULTS.kind, help="an encoder, or a language model")
    option("--instruction", str, "what a language model is asked; its text and answer follow", "TEXT")
    group.add_argument("--head", choices=HEADS, default=TEACHER_DEFAULTS.head, help="what is put on the encoder")
    option("--train-layers", str, "all, head, or parts of parameter names such as layer.11.output,pooler", "PARTS")
    option("--lora-rank", int, "above 0: train adapters of this rank in place of the encoder's weights")
    option("--lora-alpha", int, "their scale, divided by the rank")
    option("--lora-targets", str, "names of linear layers that get one, as in query,value", "NAMES")
    option("--max-tokens", int, "tokens of a text that count, specials included")
    option("--epochs", float, "passes over the training texts")
    option("--batch-size", int, "texts in a step, on each device")
    option("--learning-rate", float, "of AdamW for the encoder, at its highest")
    option("--head-learning-rate", float, "of AdamW for the head, at its highest")
    option("--layer-decay", float, "factor of the learning rate for each layer below the top")
    option("--weight-decay", float, "of AdamW; biases and LayerNorm do not decay")
    option("--warm-up", float, "share of the steps in which the learning rate rises")
    option("--dropout", float, "share of states dropped in training")
    option("--label-smoothing", float, "share of each label spread over all classes")
    option("--evaluate-every-steps", int, "steps between looks at dev")
    option("--patience", int, "looks at dev without a lower loss before the training ends")
    option("--seed", int, "of every random choice")
    group.add_argument("--mixed-precision", action="store_true", help="train in bfloat16")
    group.add_argument("--int8", action="store_true", help="tell size and accuracy of the teacher in 8-bit integers")
    add_device(group)
    add_threads(group)
