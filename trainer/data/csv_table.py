"""CSV tables with a header: the cells of some columns, record by record."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from kuaixun.trainer.errors import DataError

SHOWN_CHARS = 200
SEPARATORS = {"semicolon": ";", "tab": "\t"}  # what spreadsheets write in place of commas


def is_csv(path: Path) -> bool:
    """Whether a file's suffix says that it is a table; one that is packed keeps it before .xz or .gz."""
    packed = path.suffix.lower() in (".xz", ".gz")
    return (path.with_suffix("") if packed else path).suffix.lower() == ".csv"


def csv_cells(path: Path, content: str, columns: Sequence[str], advice: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, cells of `columns`) of every record after the header; a quoted cell may span lines, the last one is given.

    Raises DataError with file, line and reason; `advice` says how to name a column.
    """
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    # A text may be as long in a table as elsewhere; the limit of the csv module would name a number and no reason.
    csv.field_size_limit(max(csv.field_size_limit(), len(content)))
    begin = 1
    try:
        header = next(reader, None)
        if header is None:
            return
        missing = [name for name in columns if header.count(name) != 1]
        if missing:
            for name, separator in SEPARATORS.items():
                if len(header) == 1 and set(columns) <= set(header[0].split(separator)):
                    raise DataError(
                        f"{path}, line 1: its separator is a {name}, and must be a comma; save it with commas"
                    )
            shown = ", ".join(map(repr, header))
            raise DataError(
                f"{path}, line 1: the header has no column, or several, named {' and '.join(map(repr, missing))}; its "
                f"columns are {shown if len(shown) <= SHOWN_CHARS else shown[:SHOWN_CHARS] + '…'}; {advice}"
            )
        places = [header.index(name) for name in columns]
        begin = reader.line_num + 1
        for cells in reader:
            if len(cells) != len(header):
                found = f"{len(cells)} columns" if cells else "an empty line"
                raise DataError(f"{path}, line {reader.line_num}: {found} where the header has {len(header)} columns")
            yield reader.line_num, tuple(cells[place] for place in places)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {begin}: not CSV: {error}, in line {reader.line_num}; look at the quotation marks"
        ) from None
