"""`kuaixun-export build`: the trainer's checkpoint to a bundle."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kuaixun.export.command_line import path_of
from kuaixun.export.commands import verify
from kuaixun.export.printable import printable

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    from kuaixun.export.further.outputs import FURTHER_OUTPUTS

    parser = commands.add_parser("build", help="make a bundle from the trainer's checkpoint")
    parser.add_argument("checkpoint", type=path_of, help="the folder that kuaixun-trainer wrote")
    parser.add_argument("bundle", type=path_of, help="the folder to make; it must not exist, or be empty")
    parser.add_argument("--origin", default="", help="where the training data comes from, for the model card")
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        choices=tuple(FURTHER_OUTPUTS),
        help="put the student beside it in this form too; may be given several times",
    )
    parser.set_defaults(run=run, run_code=True, public_key=None)


def run(options: argparse.Namespace) -> int:
    """Make it, then check it as `verify` does."""
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
    return verify.run(options)
