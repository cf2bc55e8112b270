"""What can be wrong with a bundle or an engine. Each stops the process that meets it; none is about one message.

    ExportError                    exit code
    ├── BundleError                 3   the folder is not a bundle that may serve
    │   ├── BundleTamperedError     3   a file is missing, cut short or altered
    │   ├── BundleSignatureError    3   it is not signed by whom it should be
    │   ├── GoldenCaseError         3   its files are whole, but the engine gives other answers than when it was made
    │   └── BundleVersionError      4   it is of a format that this version does not read
    ├── EngineError                10   the engine asked for cannot run here
    ├── CheckpointError             2   the trainer's output is not what the exporter expects
    └── KeyFileError                2   a file is not the key that it should be, or nothing here can read keys

The codes are the same in every command that opens a bundle.
"""

from typing import ClassVar

from kuaixun.export.printable import printable


class ExportError(Exception):
    """Root of this package's errors."""

    exit_code: ClassVar[int] = 70

    def __str__(self) -> str:
        """The message, fit to be shown: it may quote a bundle, a file's name or a text."""
        return printable(super().__str__())


class BundleError(ExportError):
    """The folder is not a bundle that may serve. The message names the file and the reason."""

    exit_code = 3


class BundleTamperedError(BundleError):
    """A file differs from what the manifest says of it."""


class BundleSignatureError(BundleError):
    """The bundle is unsigned, or not signed by the owner of the public key."""


class GoldenCaseError(BundleError):
    """The engine does not reproduce the answers recorded in the bundle."""


class BundleVersionError(BundleError):
    """The manifest is of another format version."""

    exit_code = 4


class EngineError(ExportError):
    """The engine asked for cannot run here."""

    exit_code = 10


class CheckpointError(ExportError):
    """The checkpoint is incomplete or inconsistent."""

    exit_code = 2


class KeyFileError(ExportError):
    """A key for signatures cannot be used."""

    exit_code = 2
