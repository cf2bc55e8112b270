"""Text that someone else wrote, made fit to be shown to a person.

A bundle's labels and names, an input's text: on a terminal an ESC in them moves the cursor or renames the window, a
newline forges a second message, a bidi control turns what is read around. `export/cpp/src/printable.cc` does the same.
"""

from __future__ import annotations

import re

# Unicode 16: general categories Cc, Cf, Zl, Zp and Cs, the last being bytes of a file's name that are no UTF-8.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u2064\u2066-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
QUOTED_CHARACTERS = 40


def printable(text: str) -> str:
    r"""The text with escapes in the place of what steers a terminal; of what is printable already it is the same.

    >>> printable("\x1b[2Jfinance\u202e")
    '\\x1b[2Jfinance\\u202e'
    """
    return _UNPRINTABLE.sub(_escape, text)


def printable_json(text: str) -> str:
    r"""JSON that means the same and steers no terminal: such characters stand in strings alone, where \u names them.

    Newlines stay, and so do the other spaces between tokens, but for the one that would overwrite a line.
    """
    return _UNPRINTABLE.sub(_json_escape, text.replace("\r", " "))


def shortened(text: str, characters: int = QUOTED_CHARACTERS) -> str:
    """What of a stranger's text a message quotes."""
    return text[:characters]


def _escape(match: re.Match[str]) -> str:
    point = ord(match[0])
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _json_escape(match: re.Match[str]) -> str:
    if match[0] in "\n\t":
        return match[0]
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
