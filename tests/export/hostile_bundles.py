"""Bundles altered the way their maker could: every hash and the id made to agree, so that contents alone can betray."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from kuaixun.export.bundle.file_names import MANIFEST_FILE
from kuaixun.export.text.file_names import CODE_POINTS_FILE
from kuaixun.schemas.manifest import FORMAT_VERSION, MODEL_ID_DIGITS, Manifest

# A place in the manifest, what a hostile maker puts there, and what both readers say of it.
MANIFESTS: tuple[tuple[tuple[str, ...], object, str], ...] = (
    (("temperature",), 1e-310, "temperature"),
    (("temperature",), 1e300, "temperature"),
    (("precision", "default"), "int4", "default"),
    (("precision", "costs", "int8", "label_agreement"), 1.1, "label_agreement"),
    (("training", "label_counts"), {"财经": -1}, "label"),
    (("training", "label_counts"), {"财经": 1.5}, "label"),
    (("training", "label_counts"), [1, 2], "label_counts"),
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
# Numbers and values that readers of JSON take differently, or not at all.
HOSTILE_NUMBERS = (
    *(b"9223372036854775808", b"18446744073709551616", b"-9223372036854775809", b"9" * 5000, b"-0", b"20.0", b"2e1"),
    *(b"020", b"+20", b"0x14", b"20.", b".2", b"NaN", b"Infinity", b"-Infinity", b'"20"', b"true", b"null", b"[]"),
)
HOSTILE_VALUES = (
    *(b"[" * 100_000, b"[" * 31 + b"]" * 31, b'{"a":' * 2000 + b"1" + b"}" * 2000),
    *(b"1e999", b"1e-999", b"9223372036854775808", b"-0", b"NaN", b"01", b"tru", b"'a'", b'"a', b"/**/1"),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\x41"', b'"\\u12"', b'"\xff"', b'"\xed\xa0\x80"', b'"\x00"', b'"\n"'),
    *(b'{"a": 1, "a": 1}', b'{"a": 1, "\\u0061": 1}', b'{"a": 1,}', b"{1: 1}", b"[1,]", b"[1 1]"),
)
VERSION = f'"format_version": {FORMAT_VERSION}'.encode()
# In the manifest's text: what stands there, and what a hostile maker writes instead. Both readers refuse it.
MANIFEST_TEXTS: tuple[tuple[bytes, bytes], ...] = (
    *((b'"seed": 20', b'"seed": ' + number) for number in HOSTILE_NUMBERS),
    *((b'"seed": 20', b'"seed": 20, "note": ' + value) for value in HOSTILE_VALUES),
    *((b'"rows": 1', b'"rows": ' + number) for number in (b"1.0", b"1e0", b"true", b"null", b'"1"')),
    *((b'"accuracy": 0.5', b'"accuracy": ' + number) for number in (b"1e999", b"-1e999", b"1e-999", b"NaN", b"-0")),
    (b'"temperature": 1.5', b'"temperature": 2.5, "temperature": 1.5'),
    (b'"max_tokens": 8', b'"max_tokens": 8, "max_tokens": 8'),
    (b'"files": {', b'"extra": 1, "files": {'),
    (b'"golden.jsonl": {', b'"golden.jsonl": {}, "golden.jsonl": {'),
    (b'"golden.jsonl": {', b'"../golden.jsonl": {'),
    (VERSION, b'"format_version": 18446744073709551617'),
    (VERSION, b'"format_version": 1.0'),
    (VERSION + b",", b""),
    (b'"labels": [', b'"labels": [[],'),
    (b'"sha256": "' + b"0" * 64, b'"sha256": "' + b"0" * 64 + b"\\n"),
    (b'"sha256": "' + b"0" * 64, b'"sha256": "' + b"0" * 63 + b"A"),
    (b"{", b"\xef\xbb\xbf{"),
    (b"{", b"//\n{"),
    (b"{", b"{,"),
    (b"{", b"[{"),
    (b"}", b",}"),
    (b'"', b"'"),
)
# Ways of writing the same: both readers take it.
NEUTRAL_TEXTS: tuple[tuple[bytes, bytes], ...] = (
    (b'"seed": 20', b'\r\n\t "seed" :\t20 '),
    (b'"seed": 20', b'"note": [{"deep": [null, -1.5e-3]}], "seed": 20'),
    (b'"temperature": 1.5', b'"temperature": 15E-1'),
    (b'"accuracy": 0.5', b'"accuracy": 0.50000'),
    (b'"finance"', b'"fin\\u0061nce"'),
    (b',\n  "prepend_cls": false', b""),
    (b'"prepend_cls": false', b'"append_cls": false, "prepend_cls": false'),
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


def rewrite_text(bundle: Path, old: bytes, new: bytes) -> None:
    """Replace a place in the manifest's text, keeping its spelling, and give it the id that it must bear."""
    content = (bundle / MANIFEST_FILE).read_bytes()
    assert old in content
    content = content.replace(old, new, 1)
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # what is no manifest to msgspec has no id either
    else:
        content = content.replace(manifest.model_id.encode(), manifest.content_id().encode(), 1)
    (bundle / MANIFEST_FILE).write_bytes(content)


def sign(bundle: Path, tree: dict[str, Any]) -> None:
    """Write a manifest, whatever it holds, with the id that it must bear."""
    digest = hashlib.sha256(msgspec.json.encode({**tree, "model_id": ""}, order="sorted")).hexdigest()
    (bundle / MANIFEST_FILE).write_bytes(msgspec.json.encode({**tree, "model_id": digest[:MODEL_ID_DIGITS]}) + b"\n")
