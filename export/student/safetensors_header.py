"""The header of `weights.safetensors`, checked before the library reads it.

The library takes more than the C++ runtime does: other types, on some of which its numpy side fails with a KeyError,
fields that it does not know, a name twice.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from kuaixun.export.plain_json import read_plain_json

HEADER_LIMIT_BYTES = 1 << 16
_LENGTH_BYTES = 8
_Size = Annotated[int, msgspec.Meta(ge=0)]


class _Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor's entry."""

    dtype: Literal["F16", "F32", "I16", "I8"]
    shape: tuple[_Size, ...]
    data_offsets: tuple[_Size, _Size]


def check_header(content: bytes) -> None:
    """Raise ValueError where the header is none that every engine reads. Offsets are left to the library."""
    header_bytes = int.from_bytes(content[:_LENGTH_BYTES], "little")
    if header_bytes > min(HEADER_LIMIT_BYTES, len(content) - _LENGTH_BYTES):
        raise ValueError("not a safetensors file: its header is longer than it can be")
    header: Any = read_plain_json(content[_LENGTH_BYTES : _LENGTH_BYTES + header_bytes])
    if not isinstance(header, dict):
        raise ValueError("not a safetensors file: its header is no JSON object")  # noqa: TRY004 - of a file, not a caller
    for name, entry in header.items():
        msgspec.convert(entry, dict[str, str] if name == "__metadata__" else _Tensor)
