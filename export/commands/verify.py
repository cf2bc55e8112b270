"""`kuaixun-export verify`: every file of a bundle, and its golden cases on every engine present."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kuaixun.export.commands.options import add_bundle, add_public_key, add_run_code

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("verify", help="check every file, and the golden cases on every engine present")
    add_bundle(parser)
    add_public_key(parser)
    add_run_code(parser, "check")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check and print what was found; raises ExportError for what is not as it should be."""
    from kuaixun.export.bundle.file_names import TORCHSCRIPT_FILE
    from kuaixun.export.bundle.reader import read_bundle
    from kuaixun.export.describe import verification_table
    from kuaixun.export.engine.select import open_and_compare, present_engines
    from kuaixun.export.errors import GoldenCaseError
    from kuaixun.export.further.check import check_further_outputs
    from kuaixun.export.makers_code import NOT_RUN, may_run_code
    from kuaixun.export.whole_tables import print_whole

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
