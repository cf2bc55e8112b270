"""Bundles altered the way their maker could: every hash and the id made to agree, so that contents alone can betray."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from kuaixun.export.bundle.reader import MANIFEST_FILE
from kuaixun.export.text.files import CODE_POINTS_FILE
from kuaixun.schemas.manifest import MODEL_ID_DIGITS

# A place in the manifest, what a hostile maker puts there, and what both readers say of it.
MANIFESTS: tuple[tuple[tuple[str, ...], object, str], ...] = (
    (("temperature",), 1e-310, "temperature"),
    (("temperature",), 1e300, "temperature"),
    (("architecture", "ngrams", "orders"), [], "orders"),
    (("architecture", "ngrams", "orders"), [2, 2], "orders"),
    (("architecture", "ngrams", "orders"), [3, 2], "orders"),
    (("architecture", "widths"), [], "widths"),
    (("architecture", "widths"), [3, 2, 5], "widths"),
    (("architecture",), {"vocabulary_size": 1 << 20, "filters": 1 << 16, "widths": [16]}, "fold"),
)
_SURROGATES = b"D800\tDFFF\t-\n"
TABLES = (
    b"",
    b"# nothing\n",
    b"D800\tDFFE\t-\n",
    b"D800\tDFFF\t4E00\n",
    b"00aa\t00AA\t0061\n" + _SURROGATES,
    b"AA\tAA\t61\n" + _SURROGATES,
    b"+0AA\t00AA\t0061\n" + _SURROGATES,
    b"0_AA\t00AA\t0061\n" + _SURROGATES,
    b"00AA\t00AA\t0061\r\n" + _SURROGATES,
    "00AA\t00AA\t0061\u2028".encode() + _SURROGATES,
    "００ＡＡ\t00AA\t0061\n".encode() + _SURROGATES,
    b"# \xff\n" + _SURROGATES,
    b"\n" + _SURROGATES,
)


def rewrite(bundle: Path, files: Mapping[str, bytes] | None = None, **fields: Any) -> None:
    """Replace files of a bundle and fields of its manifest."""
    tree = json.loads((bundle / MANIFEST_FILE).read_bytes())
    for name, content in (files or {}).items():
        (bundle / name).write_bytes(content)
        tree["files"][name] = {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    sign(bundle, {**tree, **fields})


def rewrite_at(bundle: Path, place: tuple[str, ...], value: object) -> None:
    """Put a value somewhere into a bundle's manifest."""
    tree = holder = json.loads((bundle / MANIFEST_FILE).read_bytes())
    for name in place[:-1]:
        holder = holder[name]
    holder[place[-1]] = value
    sign(bundle, tree)


def rewrite_table(bundle: Path, table: bytes) -> None:
    """Replace the table of code points."""
    rewrite(bundle, {CODE_POINTS_FILE: table})


def sign(bundle: Path, tree: dict[str, Any]) -> None:
    """Write a manifest, whatever it holds, with the id that it must bear."""
    digest = hashlib.sha256(msgspec.json.encode({**tree, "model_id": ""}, order="sorted")).hexdigest()
    (bundle / MANIFEST_FILE).write_bytes(msgspec.json.encode({**tree, "model_id": digest[:MODEL_ID_DIGITS]}))
