"""`kuaixun-export inspect`: what a bundle says of itself."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kuaixun.export.commands.options import add_bundle

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("inspect", help="show what a bundle says of itself")
    add_bundle(parser)
    parser.add_argument("--json", action="store_true", help="print the manifest as it is")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the manifest, as tables or as it is."""
    from kuaixun.export.bundle.file_names import MANIFEST_FILE
    from kuaixun.export.bundle.reader import read_manifest
    from kuaixun.export.describe import manifest_tables
    from kuaixun.export.printable import printable_json
    from kuaixun.export.whole_tables import print_whole

    manifest = read_manifest(options.bundle)
    if options.json:
        print(printable_json((options.bundle / MANIFEST_FILE).read_text(encoding="utf-8")), end="")
        return 0
    for table in manifest_tables(manifest):
        print_whole(table)
    return 0
