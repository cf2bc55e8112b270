"""`kuaixun-export bench`: every engine present, measured beside the traced convolutions."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from kuaixun.export.command_line import USAGE_EXIT_CODE, path_of
from kuaixun.export.commands import PROGRAM
from kuaixun.export.commands.options import add_bundle, add_public_key, add_run_code, count
from kuaixun.export.printable import printable

if TYPE_CHECKING:
    from kuaixun.export.bundle.reader import Bundle
    from kuaixun.export.engine.interface import EngineChoice

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

BATCH_LIMIT = 1 << 20
BATCHES = (1, 64, 128, 1024)


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("bench", help="measure every engine present, beside the traced convolutions")
    add_bundle(parser)
    add_public_key(parser)
    add_run_code(parser, "measure")
    parser.add_argument("--texts", type=path_of, help="one text a line; default: texts drawn from the vocabulary")
    parser.add_argument(
        "--batches", type=_batch, nargs="+", metavar="N", help=f"default: {' '.join(map(str, BATCHES))}"
    )
    parser.add_argument(
        "--lengths",
        type=_lengths,
        metavar="N,N,...",
        help="measure instead how the time of a text grows with its length, on one thread; such as 4,8,16,32",
    )
    parser.add_argument("--seconds", type=_seconds, default=0.5, help="for each figure and round; default: %(default)s")
    parser.add_argument("--json", type=path_of, metavar="FILE", help="write the figures there as well")
    parser.set_defaults(run=run)


def _batch(text: str) -> int:
    """An argument that counts the texts of a batch."""
    if (number := count(text)) > BATCH_LIMIT:
        raise argparse.ArgumentTypeError(f"{number} is more than {BATCH_LIMIT}")
    return number


def _lengths(text: str) -> list[int]:
    """An argument that lists lengths, as many as a line needs."""
    lengths = sorted({count(number) for number in text.split(",")})
    if len(lengths) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} names one length; a line needs two or more")
    return lengths


def _seconds(text: str) -> float:
    """An argument that is a time: more than none, and not for ever."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time to measure for; it must be above 0")
    return number


def run(options: argparse.Namespace) -> int:
    """Measure and print; returns the exit code."""
    from rich.console import Console

    from kuaixun.export.benchmark import drawn_texts, measure, speed_table
    from kuaixun.export.bundle.reader import read_bundle
    from kuaixun.export.figures_file import expect_writable_figures, write_figures
    from kuaixun.export.whole_tables import print_whole

    bundle = read_bundle(options.bundle, options.public_key)
    if options.json:
        expect_writable_figures(options.json)
    if options.lengths:
        return _bench_lengths(options, bundle)
    texts, batches = drawn_texts(bundle.pipeline.vocabulary), options.batches or BATCHES
    if options.texts:
        lines = options.texts.read_text(encoding="utf-8", errors="replace").split("\n")
        texts = [line for line in lines if line.strip()]
        if not texts:
            return _refuse(f"{options.texts} holds no text to label")
    choices, progress = _choices_to_measure(options, bundle), Console(stderr=True)
    with progress.status("opening the engines") as status:
        speeds = measure(bundle, texts, choices=choices, batches=batches, seconds=options.seconds, say=status.update)
    print_whole(speed_table(speeds, batches))
    if options.json:
        write_figures(options.json, speeds)
    return 0


def _bench_lengths(options: argparse.Namespace, bundle: Bundle) -> int:
    import dataclasses

    from kuaixun.export.engine.select import open_engine
    from kuaixun.export.figures_file import write_figures
    from kuaixun.export.scaling import measure_lengths, scaling_table
    from kuaixun.export.whole_tables import print_whole

    limit = bundle.manifest.text.max_tokens
    if options.texts or options.batches:
        return _refuse("--lengths draws its own texts and batches; leave --texts and --batches away")
    if max(options.lengths) > limit:
        return _refuse(f"--lengths {max(options.lengths)}: this bundle reads no more than {limit} characters of a text")
    # The processor time of the calling thread says nothing of a GPU.
    choices = [choice for choice in _choices_to_measure(options, bundle) if choice.device != "cuda"]
    engines = [(choice, open_engine(bundle, dataclasses.replace(choice, threads=1))) for choice in choices]
    scalings = measure_lengths(engines, bundle.pipeline.vocabulary, options.lengths)
    print_whole(scaling_table(scalings))
    if options.json:
        write_figures(options.json, scalings)
    return 0


def _choices_to_measure(options: argparse.Namespace, bundle: Bundle) -> list[EngineChoice]:
    """Every engine that can run here, but for what would run a stranger's code; tells of what is left out."""
    from kuaixun.export.bundle.file_names import TORCHSCRIPT_FILE
    from kuaixun.export.engine.select import present_engines
    from kuaixun.export.makers_code import NOT_RUN, may_run_code

    present = present_engines()
    if may_run_code(bundle.path, run_code=options.run_code, public_key=options.public_key):
        return present
    if left_out := {choice.name for choice in present if choice.runs_code}:
        print(
            f"{PROGRAM}: {', '.join(left_out)} is not measured, nor any ratio to it: of {TORCHSCRIPT_FILE}, {NOT_RUN}",
            file=sys.stderr,
        )
    return [choice for choice in present if not choice.runs_code]


def _refuse(reason: str) -> int:
    print(f"{PROGRAM}: {printable(reason)}", file=sys.stderr)
    return USAGE_EXIT_CODE
