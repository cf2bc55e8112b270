"""`kuaixun-export sign`: its maker's signature beside a bundle's manifest."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kuaixun.export.command_line import path_of
from kuaixun.export.printable import printable

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("sign", help="put its maker's signature beside a bundle's manifest")
    parser.add_argument("--bundle", type=path_of, required=True, help="a bundle's folder")
    parser.add_argument("--key", type=path_of, required=True, help="an ed25519 private key in PEM, without a password")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Sign and say so."""
    from kuaixun.export.bundle.reader import sign_bundle
    from kuaixun.export.bundle.signature import SIGNATURE_FILE

    sign_bundle(options.bundle, options.key)
    print(f"{printable(str(options.bundle / SIGNATURE_FILE))}: signed")
    return 0
