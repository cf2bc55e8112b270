"""Whose bundles may run code of their maker's here: before `verify` and `bench` load a file that can hold some.

TorchScript and what torch.export and AOTInductor write are programs. Whoever loads one runs what its maker put there,
with the rights of the process, and a bundle that agrees with itself says nothing of who made it.
"""

from __future__ import annotations

import os
from pathlib import Path

from kuaixun.export.bundle.reader import default_bundle_path

NOT_RUN = "it can hold code of its maker's; --run-code runs it"


def may_run_code(bundle: Path, *, run_code: bool, public_key: Path | None) -> bool:
    """Whether somebody vouches for an opened bundle's maker.

    The user does, by `run_code`; so does a public key, under which it has been opened; and what came with this package
    is no stranger's.
    """
    return run_code or public_key is not None or os.path.realpath(bundle) == os.path.realpath(default_bundle_path())
