"""Small CSV tables that users write by hand: books, positions; every refusal names the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from tailwag.errors import FileFormatError


def rows_of_csv(text: str, *, name: str, required: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row of a small CSV as (line number, {column: text}); blank lines and lines that start with # are skipped.

    >>> list(rows_of_csv("instrument,contracts\\nBTC-PERPETUAL,-5\\n", name="book.csv", required=("instrument", "contracts")))
    [(2, {'instrument': 'BTC-PERPETUAL', 'contracts': '-5'})]

    Raises FileFormatError if a column is missing, twice there, or a row is longer or shorter than the header.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    header: list[str] | None = None
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if header is None:
                header = _header(cells, name, reader.line_num, required)
                continue
            if len(cells) != len(header):
                raise FileFormatError(f"{name}:{reader.line_num}: expected {len(header)} cells ({', '.join(header)}), got {len(cells)}")
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise FileFormatError(f"{name}:{reader.line_num}: {error}; check quotes and commas") from None
    if header is None:
        raise FileFormatError(f"{name}:1: the file is empty; expected a header with {', '.join(required)}")


def _header(cells: list[str], name: str, line: int, required: tuple[str, ...]) -> list[str]:
    names = [cell.lower() for cell in cells]
    if any(column not in names for column in required):
        raise FileFormatError(f"{name}:{line}: expected columns {', '.join(required)}, got {', '.join(cells)[:120]!a}; add the header line")
    if len(set(names)) != len(names):
        raise FileFormatError(f"{name}:{line}: a column name stands twice in {', '.join(cells)[:120]!a}; rename one")
    return names
