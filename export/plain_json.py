"""JSON that every reader takes alike, for the files of a bundle: what RFC 8259 leaves to the reader is refused.

Names that stand twice in one object, numbers beyond 64 bits, brackets within brackets without end: where one reader
refuses and the next shrugs, a bundle would be whole to one of them only. `export/cpp/src/json.cc` draws the same lines.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

DEPTH_LIMIT = 32
_SIGNS = re.compile(r'\\.|["{}\[\]]', re.DOTALL)  # what a backslash stands before is no sign of its own


def read_plain_json(content: bytes) -> Any:
    """The JSON of a file, untyped. Raises ValueError for what is none, or not plain."""
    text = content.decode()
    _expect_shallow(text)
    return json.loads(
        text, object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_no_constant
    )


def _expect_shallow(text: str) -> None:
    """Raise ValueError for brackets within brackets beyond the limit, in one pass, whatever the text is."""
    depth, in_string = 0, False
    for found in _SIGNS.finditer(text):
        sign = found.group()
        if sign == '"':
            in_string = not in_string
        elif not in_string and sign in "[]{}":
            depth += 1 if sign in "[{" else -1
            if depth > DEPTH_LIMIT:
                raise ValueError(f"malformed JSON: nested more than {DEPTH_LIMIT} deep")


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(members)
    if len(names) != len(members):
        raise ValueError("malformed JSON: a name twice in one object")
    return names


def _integer(text: str) -> int:
    if len(text) > 20 or not -(1 << 63) <= int(text) < 1 << 63 or text == "-0":
        raise ValueError(f"malformed JSON: {text[:40]} is no integer of 64 bits")
    return int(text)


def _real(text: str) -> float:
    number = float(text)
    is_nothing = not re.search("[1-9]", re.split("[eE]", text)[0])
    if math.isinf(number) or (number == 0.0) != is_nothing:
        raise ValueError(f"malformed JSON: {text[:40]} is out of range")
    return number


def _no_constant(name: str) -> float:
    raise ValueError(f"malformed JSON: {name} is no number")
