"""Opening a bundle: every byte is checked before it is parsed, and parsed from the bytes that were checked.

(signature, where a public key is set →) version → manifest's own id → size and SHA-256 of every file
→ contents against each other (→ golden cases, on the engine that will serve: see `golden.py`)
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kuaixun.export.bundle.signature import SIGNATURE_FILE, SIGNATURE_FILE_LIMIT_BYTES, check_signature, sign
from kuaixun.export.durable_file import write_durably
from kuaixun.export.errors import BundleError, BundleTamperedError, BundleVersionError
from kuaixun.export.plain_json import read_plain_json
from kuaixun.export.text.file_names import PIPELINE_FILES
from kuaixun.schemas.manifest import FORMAT_VERSION, Manifest

if TYPE_CHECKING:
    from kuaixun.export.bundle.golden import GoldenCase
    from kuaixun.export.student.weights import StudentWeights
    from kuaixun.export.text.pipeline import TextPipeline

MANIFEST_FILE = "manifest.json"
TORCHSCRIPT_FILE = "student.pt"
WEIGHTS_FILE = "weights.safetensors"
GOLDEN_FILE = "golden.jsonl"
MODEL_CARD_FILE = "MODEL_CARD.md"
REQUIRED_FILES = frozenset({TORCHSCRIPT_FILE, WEIGHTS_FILE, GOLDEN_FILE, MODEL_CARD_FILE, *PIPELINE_FILES})

MANIFEST_LIMIT_BYTES = 1 << 20
FILE_LIMIT_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle whose files are whole. It may serve on an engine that passes its golden cases.

    What its files say is read at its first use, for the native engine reads them by itself; each raises BundleError
    where its file is unusable, or no longer the one that was checked.
    """

    path: Path
    manifest: Manifest

    def read_file(self, name: str) -> bytes:
        """A file's bytes, checked against the manifest anew. Raises BundleError."""
        return _read_checked(self.path, name, self.manifest)

    @cached_property
    def pipeline(self) -> TextPipeline:
        """How texts become token ids."""
        from kuaixun.export.text.files import pipeline_from_files

        files = {name: self.read_file(name) for name in PIPELINE_FILES}
        try:
            pipeline = pipeline_from_files(self.manifest.text, files)
        except ValueError as error:
            raise BundleError(f"the bundle {self.path} has an unusable file: {error}") from error
        if len(pipeline.vocabulary) != self.manifest.architecture.vocabulary_size:
            raise BundleError(
                f"the bundle {self.path} has a vocabulary of {len(pipeline.vocabulary)} entries; its architecture says "
                f"{self.manifest.architecture.vocabulary_size}"
            )
        return pipeline

    @cached_property
    def weights(self) -> StudentWeights:
        """The student's numbers."""
        from kuaixun.export.student.weights import StudentWeights

        manifest, content = self.manifest, self.read_file(WEIGHTS_FILE)
        try:
            return StudentWeights.from_safetensors(content, manifest.architecture, classes=len(manifest.labels))
        except ValueError as error:
            raise BundleError(f"{self.path / WEIGHTS_FILE} does not fit the manifest: {error}") from error

    @cached_property
    def golden(self) -> tuple[GoldenCase, ...]:
        """What every engine must answer before it serves."""
        from kuaixun.export.bundle.golden import golden_from_file

        content = self.read_file(GOLDEN_FILE)
        try:
            return golden_from_file(content, classes=len(self.manifest.labels))
        except (ValueError, msgspec.DecodeError) as error:
            raise BundleError(f"{self.path / GOLDEN_FILE} is unusable: {error}") from error

    def read_all(self) -> None:
        """Read what has not been read yet."""
        _ = self.pipeline, self.weights, self.golden


class _VersionOnly(msgspec.Struct):
    """The one field that manifests of every format version share."""

    format_version: int


def default_bundle_path() -> Path:
    """The bundle that ships inside the package."""
    return Path(__file__).parent.parent / "default_bundle"


def read_bundle(path: Path, public_key: Path | None = None) -> Bundle:
    """Read a bundle whole and check everything in it. Raises BundleError, or a kind of it, naming file and reason.

    With a public key it must be signed by the key's owner. Raises KeyFileError where that is no key.
    """
    bundle = open_bundle(path, public_key)
    bundle.read_all()
    return bundle


def open_bundle(path: Path, public_key: Path | None = None) -> Bundle:
    """Check size and SHA-256 of every file, and leave what they say to its first use. Raises as `read_bundle` does."""
    path = path.resolve()  # a link that is turned to another bundle later changes nothing for who has opened this one
    manifest = read_manifest(path, public_key)
    for name in manifest.files:
        _read_checked(path, name, manifest)
    return Bundle(path, manifest)


def read_manifest(path: Path, public_key: Path | None = None) -> Manifest:
    """Read and check the manifest alone. Raises BundleError, or a kind of it, and KeyFileError."""
    content = _read(path, MANIFEST_FILE, MANIFEST_LIMIT_BYTES)
    if public_key is not None:
        is_signed = os.path.lexists(path / SIGNATURE_FILE)
        signature = _read(path, SIGNATURE_FILE, SIGNATURE_FILE_LIMIT_BYTES) if is_signed else None
        check_signature(content, signature, public_key, path)
    try:
        read_plain_json(content)
        version = msgspec.json.decode(content, type=_VersionOnly).format_version
    except (ValueError, msgspec.DecodeError) as error:
        raise BundleTamperedError(f"{path / MANIFEST_FILE} is not a manifest: {error}. {_RESTORE}") from error
    if version != FORMAT_VERSION:
        raise BundleVersionError(
            f"{path / MANIFEST_FILE} is of bundle format {version}; this version of kuaixun reads format "
            f"{FORMAT_VERSION}. Build it again from its checkpoint (kuaixun-export build), or install the kuaixun "
            "that wrote it."
        )
    if not content.endswith(b"\n"):
        # Its id vouches for what it says, not for its last byte.
        raise BundleTamperedError(f"{path / MANIFEST_FILE} is cut short: it ends without a newline. {_RESTORE}")
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise BundleTamperedError(f"{path / MANIFEST_FILE} is not a manifest: {error}. {_RESTORE}") from error
    if manifest.content_id() != manifest.model_id:
        raise BundleTamperedError(
            f"{path / MANIFEST_FILE} was altered: its content does not hash to its model_id. {_RESTORE}"
        )
    if missing := REQUIRED_FILES - manifest.files.keys():
        raise BundleError(f"{path / MANIFEST_FILE} lists no {', '.join(sorted(missing))}. {_RESTORE}")
    for name in manifest.files:
        if "/" in name or "\\" in name or "\0" in name or name in {"", ".", "..", MANIFEST_FILE}:
            raise BundleError(f"{path / MANIFEST_FILE} lists {name!r}, which is no name for a file of a bundle")
    if len(set(manifest.labels)) != len(manifest.labels):
        raise BundleError(f"{path / MANIFEST_FILE} names a label twice")
    return manifest


_RESTORE = "Copy the bundle again from where it was made."


def sign_bundle(path: Path, private_key: Path) -> None:
    """Check a bundle's files, and put its maker's signature beside the manifest, in the place of one that is there.

    Raises BundleError, KeyFileError, and OSError where it cannot be written.
    """
    path = path.resolve()
    open_bundle(path)
    write_durably(path / SIGNATURE_FILE, sign(_read(path, MANIFEST_FILE, MANIFEST_LIMIT_BYTES), private_key))


def _read(path: Path, name: str, limit_bytes: int) -> bytes:
    """A file's bytes, at most `limit_bytes` of them."""
    try:
        with open(path / name, "rb", opener=_open_at_once) as file:
            is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            content = file.read(limit_bytes + 1) if is_regular else b""
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and not path.is_dir():
            raise BundleError(f"there is no bundle at {path}: no such folder. Name the folder of a bundle.") from error
        raise BundleTamperedError(f"{path / name} cannot be read: {error.strerror}. {_RESTORE}") from error
    if not is_regular:
        raise BundleTamperedError(f"{path / name} is no regular file. {_RESTORE}")
    if len(content) > limit_bytes:
        raise BundleTamperedError(f"{path / name} is larger than the {limit_bytes} bytes expected. {_RESTORE}")
    return content


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting: a pipe that nobody writes to would wait for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def _read_checked(path: Path, name: str, manifest: Manifest) -> bytes:
    """A file's bytes, if they are those that the manifest promises."""
    entry = manifest.files[name]
    if entry.size_bytes > FILE_LIMIT_BYTES:
        raise BundleError(f"{path / MANIFEST_FILE} promises {name} at {entry.size_bytes} bytes, more than any bundle's")
    content = _read(path, name, entry.size_bytes)
    if len(content) < entry.size_bytes:
        raise BundleTamperedError(f"{path / name} is cut short: {len(content)} bytes of {entry.size_bytes}. {_RESTORE}")
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise BundleTamperedError(f"{path / name} was altered: its SHA-256 is not the manifest's. {_RESTORE}")
    return content
