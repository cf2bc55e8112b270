"""Tables on a terminal that show what they hold: no figure cut, and strangers' words as they stand.

Where a terminal is too narrow rich ends a cell in "…", and 1… may have been 10 or 1,000. In a plain string it reads
`[bold]` as markup, and lets an ESC pass.
"""

from __future__ import annotations

from collections import Counter

from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from kuaixun.export.printable import printable

WIDEST_COLUMNS = 1000


def quoted(text: str) -> Text:
    """Someone else's words, for a cell or a title: a label, a name, a text."""
    return Text(printable(text))


def print_whole(table: Table, console: Console | None = None) -> None:
    """Print a table at the terminal's width, or as wide as it is: lines may break there, no name or figure is cut."""
    console = console or Console()
    wide = console.options.update(max_width=WIDEST_COLUMNS)
    widths = console.measure(table, options=wide)
    shortened = _shown(table, console, console.options) != _shown(table, console, wide)
    if shortened or widths.minimum > console.width:
        table.width = widths.maximum
    console.print(table, crop=False)


def _shown(table: Table, console: Console, options: ConsoleOptions) -> Counter[str]:
    """The letters, figures and "…" of a table at a width: those of its cells where none is cut, be they of headlines
    that have a "…" of their own.
    """
    lines = console.render_lines(table, options)
    characters = (character for line in lines for segment in line for character in segment.text)
    return Counter(character for character in characters if character == "…" or character.isalnum())
