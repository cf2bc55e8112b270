"""`kuaixun-export`: makes, describes, checks and tries out bundles."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from kuaixun.export.benchmark import drawn_texts, measure, speed_table
from kuaixun.export.bundle.golden import check_golden
from kuaixun.export.bundle.reader import MANIFEST_FILE, default_bundle_path, read_bundle, read_manifest
from kuaixun.export.checkpoint import read_checkpoint
from kuaixun.export.classifier import open_classifier
from kuaixun.export.classify_lines import classify_lines
from kuaixun.export.describe import manifest_tables, verification_table
from kuaixun.export.engine.interface import DEVICES, PRECISIONS
from kuaixun.export.engine.select import ENGINES, open_engine, present_engines, require_torch
from kuaixun.export.errors import ExportError

USAGE_EXIT_CODE = 2
INTERRUPTED_EXIT_CODE = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Expected errors print one paragraph on standard error."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except ExportError as error:
        print(f"kuaixun-export: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader went away (`| head`): leave without a trace, also when the interpreter flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT_CODE
    except OSError as error:
        print(f"kuaixun-export: {error}", file=sys.stderr)
        return USAGE_EXIT_CODE
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kuaixun-export", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="make a bundle from the trainer's checkpoint")
    build.add_argument("checkpoint", type=Path, help="the folder that kuaixun-trainer wrote")
    build.add_argument("bundle", type=Path, help="the folder to make; it must not exist")
    build.add_argument("--origin", default="", help="where the training data comes from, for the model card")
    build.set_defaults(run=_build)

    inspect = commands.add_parser("inspect", help="show what a bundle says of itself")
    _add_bundle(inspect)
    inspect.add_argument("--json", action="store_true", help="print the manifest as it is")
    inspect.set_defaults(run=_inspect)

    verify = commands.add_parser("verify", help="check every file, and the golden cases on every engine present")
    _add_bundle(verify)
    verify.set_defaults(run=_verify)

    bench = commands.add_parser("bench", help="measure every engine present, beside the traced convolutions")
    _add_bundle(bench)
    bench.add_argument("--texts", type=Path, help="one text a line; default: texts drawn from the vocabulary")
    bench.add_argument(
        "--batches", type=_count, nargs="+", default=[1, 64, 1024], metavar="N", help="default: 1 64 1024"
    )
    bench.add_argument("--seconds", type=float, default=0.5, help="for each figure and round; default: %(default)s")
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    bench.set_defaults(run=_bench)

    classify = commands.add_parser("classify", help="label standard input, one text per line, as JSON lines")
    _add_bundle(classify)
    classify.add_argument("--engine", default="auto", choices=("auto", *ENGINES), help="default: %(default)s")
    classify.add_argument("--device", default="auto", choices=DEVICES, help="default: %(default)s")
    classify.add_argument("--precision", default="auto", choices=PRECISIONS, help="default: the engine's own")
    classify.add_argument("--threads", type=_count, help="CPU threads; default: the engine's own choice")
    classify.set_defaults(run=_classify)
    return parser


def _add_bundle(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--bundle", type=Path, default=default_bundle_path(), help="a bundle's folder; default: the one shipped"
    )


def _count(text: str) -> int:
    """An argument that counts something: 1 or more."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _build(options: argparse.Namespace) -> int:
    require_torch("building a bundle")
    from kuaixun.export.bundle.writer import write_bundle

    manifest = write_bundle(options.bundle, read_checkpoint(options.checkpoint), origin=options.origin)
    print(f"{options.bundle}: model {manifest.model_id}")
    return _verify(options)


def _inspect(options: argparse.Namespace) -> int:
    manifest = read_manifest(options.bundle)
    if options.json:
        print((options.bundle / MANIFEST_FILE).read_text(encoding="utf-8"), end="")
        return 0
    console = Console()
    for table in manifest_tables(manifest):
        console.print(table)
    return 0


def _verify(options: argparse.Namespace) -> int:
    bundle = read_bundle(options.bundle)
    differences = {}
    for choice in present_engines():
        engine = open_engine(bundle, choice.name, device=choice.device, precision=choice.precision)
        differences[engine.name] = check_golden(bundle.golden, bundle.pipeline, engine, bundle.path)
    Console().print(verification_table(differences, len(bundle.golden)))
    return 0


def _bench(options: argparse.Namespace) -> int:
    bundle = read_bundle(options.bundle)
    texts = (
        options.texts.read_text(encoding="utf-8", errors="replace").split("\n")
        if options.texts
        else drawn_texts(bundle.pipeline.vocabulary)
    )
    progress = Console(stderr=True)
    with progress.status("opening the engines") as status:
        speeds = measure(bundle, texts, batches=options.batches, seconds=options.seconds, say=status.update)
    Console().print(speed_table(speeds, options.batches))
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(speeds), indent=1) + b"\n")
    return 0


def _classify(options: argparse.Namespace) -> int:
    classifier = open_classifier(
        options.bundle,
        engine=options.engine,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
    )
    classify_lines(sys.stdin.fileno(), sys.stdout.buffer, classifier)
    return 0


if __name__ == "__main__":
    sys.exit(main())
