"""What the record of a training names: the versions that its figures were got with."""

from __future__ import annotations

import platform
from importlib import import_module

import kuaixun


def library_versions(*libraries: str) -> dict[str, str]:
    """The versions of this package, of Python and of the libraries that decide what a training comes to."""
    return {"kuaixun": kuaixun.__version__, "python": platform.python_version()} | {
        library: str(import_module(library).__version__) for library in libraries
    }
