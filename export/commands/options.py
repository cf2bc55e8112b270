"""Options that several commands have, and what counts as a number."""

from __future__ import annotations

import argparse

from kuaixun.export.command_line import path_of


def add_bundle(command: argparse.ArgumentParser) -> None:
    """`--bundle`: the folder to work on."""
    from kuaixun.export.bundle.reader import default_bundle_path

    command.add_argument(
        "--bundle", type=path_of, default=default_bundle_path(), help="a bundle's folder; default: the one shipped"
    )


def add_public_key(command: argparse.ArgumentParser) -> None:
    """`--public-key`: whose signature is asked for."""
    command.add_argument(
        "--public-key", type=path_of, metavar="FILE", help="refuse the bundle unless the owner of this key signed it"
    )


def add_run_code(command: argparse.ArgumentParser, verb: str) -> None:
    """`--run-code`: what to do with what can run anything."""
    command.add_argument(
        "--run-code",
        action="store_true",
        help=f"{verb} even what can run anything on this machine, such as student.pt: for bundles that you trust; not "
        "needed for the one shipped and with --public-key",
    )


def count(text: str) -> int:
    """An argument that counts something: 1 or more."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number
