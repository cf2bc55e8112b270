"""`kuaixun-export classify`: standard input, one text a line, to JSON lines."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, NoReturn

from kuaixun.export.commands import PROGRAM
from kuaixun.export.commands.options import add_bundle, add_public_key, count

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

THREADS_LIMIT = 1024


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    from kuaixun.export.engine.interface import DEVICES, PRECISIONS
    from kuaixun.export.engine.select import ENGINES

    parser = commands.add_parser("classify", help="label standard input, one text per line, as JSON lines")
    add_bundle(parser)
    add_public_key(parser)
    parser.add_argument("file", nargs="*", type=_no_file, help=argparse.SUPPRESS)
    parser.add_argument("--engine", default="auto", choices=("auto", *ENGINES), help="default: %(default)s")
    parser.add_argument("--device", default="auto", choices=DEVICES, help="default: %(default)s")
    parser.add_argument("--precision", default="auto", choices=PRECISIONS, help="default: what the bundle names")
    parser.add_argument("--threads", type=_threads, help="CPU threads; default: the engine's own choice")
    parser.add_argument("--dump", action="store_true", help="print cleaned texts and token ids, and label nothing")
    parser.set_defaults(run=run)


def _threads(text: str) -> int:
    """An argument that counts threads."""
    if (number := count(text)) > THREADS_LIMIT:
        raise argparse.ArgumentTypeError(f"{number} is more than {THREADS_LIMIT}")
    return number


def _no_file(name: str) -> NoReturn:
    """What `classify` says to a file's name."""
    raise argparse.ArgumentTypeError(
        f"{name!r} is not read: it reads standard input, one text per line, as in {PROGRAM} classify < FILE"
    )


def run(options: argparse.Namespace) -> int:
    """Label until standard input ends."""
    from kuaixun.export.bundle.reader import default_bundle_path, open_bundle
    from kuaixun.export.classifier import open_classifier
    from kuaixun.export.classify_lines import classify_lines, dump_lines

    if sys.stdin is None:
        raise OSError(f"standard input is closed; run it as in {PROGRAM} classify < FILE")
    if options.dump:
        bundle = open_bundle(options.bundle or default_bundle_path(), options.public_key)
        dump_lines(sys.stdin.fileno(), sys.stdout.buffer, bundle.pipeline)
        return 0
    classifier = open_classifier(
        options.bundle,
        engine=options.engine,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
        public_key=options.public_key,
    )
    classify_lines(sys.stdin.fileno(), sys.stdout.buffer, classifier, options.threads or 1)
    return 0
