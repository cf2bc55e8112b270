"""Tables on a terminal that show what they hold: no figure cut, and strangers' words as they stand.

Where a terminal is too narrow rich ends a cell in "…", and 1… may have been 10 or 1,000. In a plain string it reads
`[bold]` as markup, and lets an ESC pass.
"""

from __future__ import annotations

from rich.console import Console
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
    widths = console.measure(table, options=console.options.update(max_width=WIDEST_COLUMNS))
    shortened = any("…" in segment.text for line in console.render_lines(table) for segment in line)
    if shortened or widths.minimum > console.width:
        table.width = widths.maximum
    console.print(table, crop=False)
