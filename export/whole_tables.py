"""Tables on a terminal that is too narrow for them. There rich ends a cell in "…", and 1… may have been 10 or 1,000."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

WIDEST_COLUMNS = 1000


def print_whole(table: Table, console: Console | None = None) -> None:
    """Print a table at the terminal's width, or as wide as it is: lines may break there, no name or figure is cut."""
    console = console or Console()
    widths = console.measure(table, options=console.options.update(max_width=WIDEST_COLUMNS))
    shortened = any("…" in segment.text for line in console.render_lines(table) for segment in line)
    if shortened or widths.minimum > console.width:
        table.width = widths.maximum
    console.print(table, crop=False)
