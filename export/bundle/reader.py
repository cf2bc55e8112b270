"""Opening a bundle: every byte is checked before it is parsed, and parsed from the bytes that were checked.

(signature, where a public key is set →) version → manifest's own id → what a bundle may weigh → size and SHA-256 of
every file → contents against each other (→ golden cases, on the engine that will serve: see `golden.py`)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kuaixun.export.bundle.checked_file import RESTORE, check_file, read_checked, read_limited
from kuaixun.export.bundle.file_names import (
    CHECKPOINT_FILE,
    GOLDEN_FILE,
    MANIFEST_FILE,
    REQUIRED_FILES,
    WEIGHTS_FILE,
)
from kuaixun.export.bundle.limits import MANIFEST_LIMIT_BYTES, check_sizes
from kuaixun.export.bundle.signature import SIGNATURE_FILE, SIGNATURE_FILE_LIMIT_BYTES, check_signature, sign
from kuaixun.export.durable_file import write_durably
from kuaixun.export.errors import BundleError, BundleTamperedError, BundleVersionError
from kuaixun.export.plain_json import read_plain_json
from kuaixun.export.printable import shortened
from kuaixun.export.text.file_names import PIPELINE_FILES
from kuaixun.schemas.manifest import FORMAT_VERSION, Manifest

if TYPE_CHECKING:
    from kuaixun.export.bundle.golden import GoldenCase
    from kuaixun.export.student.weights import StudentWeights
    from kuaixun.export.text.pipeline import TextPipeline


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle whose files are whole. It may serve on an engine that passes its golden cases.

    What its files say is read at its first use, for the native engine reads them by itself; each raises BundleError
    where its file is unusable, or no longer the one that was checked.
    """

    path: Path
    manifest: Manifest
    manifest_content: bytes  # the bytes that were checked, those of its signature too

    def read_file(self, name: str) -> bytes:
        """A file's bytes, checked against the manifest anew. Raises BundleError."""
        return read_checked(self.path, name, self.manifest.files[name])

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
    # A link that is turned to another bundle later changes nothing for who has opened this one.
    path = Path(os.path.realpath(path))
    content = _manifest_content(path, public_key)
    manifest = _parsed_manifest(content, path)
    for name, entry in manifest.files.items():
        check_file(path, name, entry)
    return Bundle(path, manifest, content)


def read_manifest(path: Path, public_key: Path | None = None) -> Manifest:
    """Read and check the manifest alone. Raises BundleError, or a kind of it, and KeyFileError."""
    return _parsed_manifest(_manifest_content(path, public_key), path)


def expect_no_checkpoint(path: Path) -> None:
    """Raise BundleError, with the way to a bundle, where the folder is a checkpoint."""
    if os.path.lexists(path / CHECKPOINT_FILE) and not os.path.lexists(path / MANIFEST_FILE):
        raise BundleError(
            f"{path} is a checkpoint and no bundle; make one of it and name that: kuaixun-export build {path} BUNDLE"
        )


def _manifest_content(path: Path, public_key: Path | None) -> bytes:
    """The manifest's bytes, vouched for where there is a public key."""
    expect_no_checkpoint(path)
    content = read_limited(path, MANIFEST_FILE, MANIFEST_LIMIT_BYTES)
    if public_key is not None:
        is_signed = os.path.lexists(path / SIGNATURE_FILE)
        signature = read_limited(path, SIGNATURE_FILE, SIGNATURE_FILE_LIMIT_BYTES) if is_signed else None
        check_signature(content, signature, public_key, path)
    return content


def _parsed_manifest(content: bytes, path: Path) -> Manifest:
    """What the manifest of the bundle `path` says, if all of it may be."""
    try:
        read_plain_json(content)
        version = msgspec.json.decode(content, type=_VersionOnly).format_version
    except (ValueError, msgspec.DecodeError) as error:
        raise BundleTamperedError(f"{path / MANIFEST_FILE} is not a manifest: {error}. {RESTORE}") from error
    if version != FORMAT_VERSION:
        raise BundleVersionError(
            f"{path / MANIFEST_FILE} is of bundle format {version}; this version of kuaixun reads format "
            f"{FORMAT_VERSION}. Build it again from its checkpoint (kuaixun-export build), or install the kuaixun "
            "that wrote it."
        )
    if not content.endswith(b"\n"):
        # Its id vouches for what it says, not for its last byte.
        raise BundleTamperedError(f"{path / MANIFEST_FILE} is cut short: it ends without a newline. {RESTORE}")
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise BundleTamperedError(f"{path / MANIFEST_FILE} is not a manifest: {error}. {RESTORE}") from error
    if manifest.content_id() != manifest.model_id:
        raise BundleTamperedError(
            f"{path / MANIFEST_FILE} was altered: its content does not hash to its model_id. {RESTORE}"
        )
    if missing := REQUIRED_FILES - manifest.files.keys():
        raise BundleError(f"{path / MANIFEST_FILE} lists no {', '.join(sorted(missing))}. {RESTORE}")
    for name in manifest.files:
        if "/" in name or "\\" in name or "\0" in name or name in {"", ".", "..", MANIFEST_FILE}:
            raise BundleError(
                f"{path / MANIFEST_FILE} lists {shortened(name)!r}, which is no name for a file of a bundle"
            )
    if len(set(manifest.labels)) != len(manifest.labels):
        raise BundleError(f"{path / MANIFEST_FILE} names a label twice")
    check_sizes(manifest, path / MANIFEST_FILE)
    return manifest


def sign_bundle(path: Path, private_key: Path) -> None:
    """Check a bundle's files, and put its maker's signature beside the manifest, in the place of one that is there.

    Raises BundleError, KeyFileError, and OSError where it cannot be written.
    """
    bundle = open_bundle(path)
    write_durably(bundle.path / SIGNATURE_FILE, sign(bundle.manifest_content, private_key))
