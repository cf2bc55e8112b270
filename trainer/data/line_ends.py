"""A line ends with a line feed, whether or not a carriage return stands before it: what to say where none does."""

from __future__ import annotations

LONE_RETURNS = "lines end with carriage returns alone, as on old Macs: convert it with tr '\\r' '\\n'"


def has_lone_returns(text: str) -> bool:
    """Whether nothing but carriage returns parts the lines of a file."""
    return "\r" in text.rstrip("\r") and "\n" not in text
