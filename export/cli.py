"""`kuaixun-export`: makes, describes, checks and tries out bundles."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from kuaixun import __version__
from kuaixun.export.command_line import USAGE_EXIT_CODE, OneLineParser, finish, path_of
from kuaixun.export.printable import printable

if TYPE_CHECKING:
    from kuaixun.export.bundle.reader import Bundle
    from kuaixun.export.engine.interface import EngineChoice

PROGRAM = "kuaixun-export"
THREADS_LIMIT = 1024
BATCH_LIMIT = 1 << 20
BATCHES = (1, 64, 1024)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Expected errors print one paragraph on standard error."""

    def command() -> int:
        options = build_parser().parse_args(arguments)
        if sys.stdout is None:
            raise OSError(f"standard output is closed, and what {PROGRAM} finds is printed there")
        code: int = options.run(options)
        return code

    return finish(PROGRAM, command)


# Imports that take long stand inside the functions, here and below: Ctrl-C during them is caught by `main`.
def build_parser(kind: type[argparse.ArgumentParser] = OneLineParser) -> argparse.ArgumentParser:
    """The options of every command; `kind` says what becomes of a refusal."""
    from kuaixun.export.engine.interface import DEVICES, PRECISIONS
    from kuaixun.export.engine.select import ENGINES
    from kuaixun.export.further.outputs import FURTHER_OUTPUTS

    parser = kind(prog=PROGRAM, description=__doc__)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="make a bundle from the trainer's checkpoint")
    build.add_argument("checkpoint", type=path_of, help="the folder that kuaixun-trainer wrote")
    build.add_argument("bundle", type=path_of, help="the folder to make; it must not exist, or be empty")
    build.add_argument("--origin", default="", help="where the training data comes from, for the model card")
    build.add_argument(
        "--also",
        action="append",
        default=[],
        choices=tuple(FURTHER_OUTPUTS),
        help="put the student beside it in this form too; may be given several times",
    )
    build.set_defaults(run=_build, run_code=True, public_key=None)

    inspect = commands.add_parser("inspect", help="show what a bundle says of itself")
    _add_bundle(inspect)
    inspect.add_argument("--json", action="store_true", help="print the manifest as it is")
    inspect.set_defaults(run=_inspect)

    verify = commands.add_parser("verify", help="check every file, and the golden cases on every engine present")
    _add_bundle(verify)
    _add_public_key(verify)
    _add_run_code(verify, "check")
    verify.set_defaults(run=_verify)

    sign = commands.add_parser("sign", help="put its maker's signature beside a bundle's manifest")
    sign.add_argument("--bundle", type=path_of, required=True, help="a bundle's folder")
    sign.add_argument("--key", type=path_of, required=True, help="an ed25519 private key in PEM, without a password")
    sign.set_defaults(run=_sign)

    bench = commands.add_parser("bench", help="measure every engine present, beside the traced convolutions")
    _add_bundle(bench)
    _add_public_key(bench)
    _add_run_code(bench, "measure")
    bench.add_argument("--texts", type=path_of, help="one text a line; default: texts drawn from the vocabulary")
    bench.add_argument("--batches", type=_batch, nargs="+", metavar="N", help=f"default: {' '.join(map(str, BATCHES))}")
    bench.add_argument(
        "--lengths",
        type=_lengths,
        metavar="N,N,...",
        help="measure instead how the time of a text grows with its length, on one thread; such as 4,8,16,32",
    )
    bench.add_argument("--seconds", type=_seconds, default=0.5, help="for each figure and round; default: %(default)s")
    bench.add_argument("--json", type=path_of, metavar="FILE", help="write the figures there as well")
    bench.set_defaults(run=_bench)

    classify = commands.add_parser("classify", help="label standard input, one text per line, as JSON lines")
    _add_bundle(classify)
    _add_public_key(classify)
    classify.add_argument("file", nargs="*", type=_no_file, help=argparse.SUPPRESS)
    classify.add_argument("--engine", default="auto", choices=("auto", *ENGINES), help="default: %(default)s")
    classify.add_argument("--device", default="auto", choices=DEVICES, help="default: %(default)s")
    classify.add_argument("--precision", default="auto", choices=PRECISIONS, help="default: what the bundle names")
    classify.add_argument("--threads", type=_threads, help="CPU threads; default: the engine's own choice")
    classify.set_defaults(run=_classify)
    return parser


def _add_bundle(command: argparse.ArgumentParser) -> None:
    from kuaixun.export.bundle.reader import default_bundle_path

    command.add_argument(
        "--bundle", type=path_of, default=default_bundle_path(), help="a bundle's folder; default: the one shipped"
    )


def _add_public_key(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--public-key", type=path_of, metavar="FILE", help="refuse the bundle unless the owner of this key signed it"
    )


def _add_run_code(command: argparse.ArgumentParser, verb: str) -> None:
    command.add_argument(
        "--run-code",
        action="store_true",
        help=f"{verb} even what can run anything on this machine, such as student.pt: for bundles that you trust; not "
        "needed for the one shipped and with --public-key",
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


def _seconds(text: str) -> float:
    """An argument that is a time: more than none, and not for ever."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time to measure for; it must be above 0")
    return number


def _lengths(text: str) -> list[int]:
    """An argument that lists lengths, as many as a line needs."""
    lengths = sorted({_count(number) for number in text.split(",")})
    if len(lengths) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} names one length; a line needs two or more")
    return lengths


def _batch(text: str) -> int:
    """An argument that counts the texts of a batch."""
    if (number := _count(text)) > BATCH_LIMIT:
        raise argparse.ArgumentTypeError(f"{number} is more than {BATCH_LIMIT}")
    return number


def _threads(text: str) -> int:
    """An argument that counts threads."""
    if (number := _count(text)) > THREADS_LIMIT:
        raise argparse.ArgumentTypeError(f"{number} is more than {THREADS_LIMIT}")
    return number


def _no_file(name: str) -> NoReturn:
    """What `classify` says to a file's name."""
    raise argparse.ArgumentTypeError(
        f"{name!r} is not read: it reads standard input, one text per line, as in {PROGRAM} classify < FILE"
    )


def _build(options: argparse.Namespace) -> int:
    from kuaixun.export.checkpoint import read_checkpoint
    from kuaixun.export.engine.select import require_torch

    require_torch("building a bundle")
    from kuaixun.export.bundle.writer import write_bundle
    from kuaixun.export.further.outputs import FURTHER_OUTPUTS

    also = [FURTHER_OUTPUTS[name] for name in dict.fromkeys(options.also)]
    checkpoint = read_checkpoint(options.checkpoint)
    try:
        manifest = write_bundle(options.bundle, checkpoint, origin=options.origin, also=also)
    except FileExistsError:
        raise
    except OSError as error:
        # The file that it names is a temporary one, which nobody asked for.
        raise OSError(
            f"the bundle {options.bundle} cannot be written: {error.strerror or error}; name another folder"
        ) from error
    print(f"{printable(str(options.bundle))}: model {manifest.model_id}")
    return _verify(options)


def _inspect(options: argparse.Namespace) -> int:
    from rich.console import Console

    from kuaixun.export.bundle.file_names import MANIFEST_FILE
    from kuaixun.export.bundle.reader import read_manifest
    from kuaixun.export.describe import manifest_tables
    from kuaixun.export.printable import printable_json

    manifest = read_manifest(options.bundle)
    if options.json:
        print(printable_json((options.bundle / MANIFEST_FILE).read_text(encoding="utf-8")), end="")
        return 0
    console = Console()
    for table in manifest_tables(manifest):
        console.print(table)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from kuaixun.export.bundle.file_names import TORCHSCRIPT_FILE
    from kuaixun.export.bundle.reader import read_bundle
    from kuaixun.export.describe import print_whole, verification_table
    from kuaixun.export.engine.select import open_and_compare, present_engines
    from kuaixun.export.errors import GoldenCaseError
    from kuaixun.export.further.check import check_further_outputs
    from kuaixun.export.makers_code import NOT_RUN, may_run_code

    bundle = read_bundle(options.bundle, options.public_key)
    differences, remarks = {}, {}
    may = may_run_code(bundle.path, run_code=options.run_code, public_key=options.public_key)
    for choice in present_engines():
        if choice.runs_code and not may:
            remarks[TORCHSCRIPT_FILE] = f"not checked: {NOT_RUN}"
            continue
        try:
            engine, difference = open_and_compare(bundle, choice)
            differences[engine.name] = difference
        except GoldenCaseError as error:
            # The manifest names a default because another precision may cost too much.
            if choice.precision in {"auto", "fp32", bundle.manifest.precision.default}:
                raise
            remarks[f"{choice.name} ({choice.precision})"] = f"refused: {error}"
    further, not_checked = check_further_outputs(bundle, run_code=may)
    remarks |= {file: f"not checked: {reason}" for file, reason in not_checked.items()}
    print_whole(verification_table(differences | further, remarks, len(bundle.golden)))
    return 0


def _sign(options: argparse.Namespace) -> int:
    from kuaixun.export.bundle.reader import sign_bundle
    from kuaixun.export.bundle.signature import SIGNATURE_FILE

    sign_bundle(options.bundle, options.key)
    print(f"{printable(str(options.bundle / SIGNATURE_FILE))}: signed")
    return 0


def _bench(options: argparse.Namespace) -> int:
    from rich.console import Console

    from kuaixun.export.benchmark import drawn_texts, measure, speed_table
    from kuaixun.export.bundle.reader import read_bundle
    from kuaixun.export.describe import print_whole
    from kuaixun.export.figures_file import expect_writable_figures, write_figures

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


def _bench_lengths(options: argparse.Namespace, bundle: Bundle) -> int:
    import dataclasses

    from kuaixun.export.describe import print_whole
    from kuaixun.export.engine.select import open_engine
    from kuaixun.export.figures_file import write_figures
    from kuaixun.export.scaling import measure_lengths, scaling_table

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


def _classify(options: argparse.Namespace) -> int:
    from kuaixun.export.classifier import open_classifier
    from kuaixun.export.classify_lines import classify_lines

    if sys.stdin is None:
        raise OSError(f"standard input is closed; run it as in {PROGRAM} classify < FILE")
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


if __name__ == "__main__":
    sys.exit(main())
