"""Tables: CSV read strictly (one dialect, every fault with its place) and Parquet read with its checksums, within limits."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import FileFormatError
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sources.opening import RawFile, bare_name
from tailwag.sources.strict_json import line_and_column

if TYPE_CHECKING:
    import pyarrow

LARGEST_CELLS = 200_000_000
LARGEST_UNPACKED = 2 * 1024**3
LARGEST_NUMBER_TEXT = 40
THRIFT_STRINGS, THRIFT_CONTAINERS = 32 * 1024**2, 200_000
"""What a Parquet footer may make us allocate."""


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV as text: ``columns`` by header name, all of one length.  ``cut_short`` is True where the last line has no line end."""

    name: str
    columns: dict[str, list[str]]
    first_line: int
    cut_short: bool

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))


def csv_text(raw: RawFile) -> str:
    """The text of a CSV: plain UTF-8 with line feeds, nothing else.

    Raises FileFormatError as ``name:line:column`` for an empty file, a byte-order mark, UTF-16, NUL, carriage returns, invalid UTF-8.
    """
    data, name = raw.data, raw.name
    if not data.strip():
        raise FileFormatError(f"{name}:1:1: the file is empty; fetch it again")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileFormatError(f"{name}:1:1: UTF-16; save it as plain UTF-8")
    if data.startswith(b"\xef\xbb\xbf"):
        raise FileFormatError(f"{name}:1:1: starts with a byte-order mark; save it as UTF-8 without one ('CSV', not 'CSV UTF-8')")
    for byte, what in (
        (b"\0", "a NUL byte; the file is damaged or UTF-16, save it as plain UTF-8"),
        (b"\r", "a carriage return; save it with Unix line ends (LF)"),
    ):
        place = data.find(byte)
        if place >= 0:
            raise FileFormatError(f"{name}:{line_and_column(data, place)}: {what}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as trouble:
        raise FileFormatError(f"{name}:{line_and_column(data, trouble.start)}: not UTF-8; save it as plain UTF-8") from None


def read_table(raw: RawFile, *, required: tuple[str, ...]) -> Table:
    """A CSV with one header line; columns that nobody asked for are ignored, blank lines are skipped.

    Every row has exactly as many cells as the header; a header names each column once (one unnamed first column is allowed: pandas
    writes its row numbers there).  Raises FileFormatError as ``name:line:column``.
    """
    text = csv_text(raw)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    header: list[str] = []
    first_line = 1
    try:
        for row in reader:
            if not row:
                continue
            if not header:
                header, first_line = _checked_header(row, raw=raw, line=reader.line_num, required=required), reader.line_num + 1
            elif len(row) != len(header):
                raise FileFormatError(
                    f"{raw.name}:{reader.line_num}:{len(row)}: expected {len(header)} cells, got {len(row)}; the line is cut off or has a stray comma"
                )
            else:
                rows.append(row)
    except csv.Error as trouble:
        column = len(text.split("\n")[max(reader.line_num - 1, 0)]) or 1
        raise FileFormatError(f"{raw.name}:{reader.line_num}:{column}: {_plain(trouble)}; mend or fetch the file again") from None
    columns = zip(*rows) if rows else [() for _ in header]
    return Table(raw.name, {key: list(cells) for key, cells in zip(header, columns)}, first_line, not text.endswith("\n"))


def _plain(trouble: csv.Error) -> str:
    said = str(trouble)
    if "unexpected end of data" in said:
        return "a quote is opened and never closed"
    if "expected after" in said:
        return "a quote stands inside a cell"
    return f"not a CSV ({said[:80]})"


def _checked_header(row: list[str], *, raw: RawFile, line: int, required: tuple[str, ...]) -> list[str]:
    names = [cell.strip() for cell in row]
    for place, key in enumerate(names):
        if key in names[:place]:
            raise FileFormatError(
                f"{raw.name}:{line}:{place + 1}: the header names {key[:60]!a} twice; which one counts is unknown, remove one"
            )
        if not key and place:
            raise FileFormatError(f"{raw.name}:{line}:{place + 1}: the header has a column without a name; name it or remove it")
    missing = [key for key in required if key not in names]
    if missing:
        raise FileFormatError(f"{raw.name}:{line}:1: the header lacks {', '.join(missing)}; got {', '.join(names)[:200]!a}")
    return names


def header_of(raw: RawFile) -> list[str]:
    """Cells of the first line that is not blank, read leniently: it only tells kinds apart, the reader of the kind is strict."""
    start = raw.data[:20_000]
    text = start.decode("utf-16", "replace") if start[:2] in (b"\xff\xfe", b"\xfe\xff") else start.decode("utf-8-sig", "replace")
    for line in text.splitlines():
        if line.strip():
            return [cell.strip().strip('"') for cell in line.split(",")]
    return []


def number(text: str) -> float:
    """One cell as a number; NaN where it is empty or no finite plain decimal (the row's codes say so later).

    >>> number("9e-05"), number(""), number("1_000"), number("inf")
    (9e-05, nan, nan, nan)
    """
    if not text or len(text) > LARGEST_NUMBER_TEXT or not text.isascii() or "_" in text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def strike_number(text: str) -> float:
    """A strike's cell: as :func:`number`, and exponents are refused, no venue lists a strike that way.

    >>> strike_number("60000.0"), strike_number("6e4")
    (60000.0, nan)
    """
    return math.nan if "e" in text or "E" in text else number(text)


def numbers(cells: list[str]) -> FloatArray:
    """A column of cells as numbers, (n,)."""
    return np.array([number(cell) for cell in cells], dtype=np.float64)


def open_parquet(raw: RawFile) -> pyarrow.parquet.ParquetFile:
    """A Parquet file whose size, schema and types have been checked; pages are verified against their checksums as they are read.

    Raises FileFormatError for damage, an extension or nested type, or a size beyond the limits.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(
            pa.BufferReader(raw.data),
            page_checksum_verification=True,
            thrift_string_size_limit=THRIFT_STRINGS,
            thrift_container_size_limit=THRIFT_CONTAINERS,
        )
        schema = opened.schema_arrow
    except (OSError, ValueError, KeyError, pa.ArrowException) as trouble:
        raise FileFormatError(f"{raw.name}: not a Parquet file or damaged ({_first_line(trouble)}); fetch it again") from None
    _check_sizes(opened, raw)
    for field in schema:
        if isinstance(field.type, pa.BaseExtensionType) or b"ARROW:extension:name" in (field.metadata or {}):
            raise FileFormatError(f"{raw.name}: column {field.name[:60]!a} has an extension type, which is refused; save plain types")
    return opened


def _check_sizes(opened: Any, raw: RawFile) -> None:
    about = opened.metadata
    unpacked = sum(max(about.row_group(group).total_byte_size, 0) for group in range(about.num_row_groups))
    if about.num_rows < 0 or about.num_rows * max(about.num_columns, 1) > LARGEST_CELLS or unpacked > LARGEST_UNPACKED:
        raise FileFormatError(f"{raw.name}: {about.num_rows} rows by {about.num_columns} columns is beyond the limit; split the file")


def read_columns(opened: Any, raw: RawFile, columns: list[str]) -> pyarrow.Table:
    """Some columns of an opened Parquet file, verified.

    Raises FileFormatError for a missing column or a page that fails its checksum.
    """
    import pyarrow as pa

    missing = [name for name in columns if name not in opened.schema_arrow.names]
    if missing:
        raise FileFormatError(f"{raw.name}: lacks the column {', '.join(missing)}; got {', '.join(opened.schema_arrow.names)[:200]!a}")
    try:
        return opened.read(columns=columns, use_threads=False)
    except (OSError, ValueError, KeyError, pa.ArrowException) as trouble:
        raise FileFormatError(f"{raw.name}: a page is damaged ({_first_line(trouble)}); fetch the file again") from None


def plain_values(column: Any, dtype: Any) -> tuple[Any, BoolArray]:
    """A column's 64-bit numbers and where they are missing, (n,) each, straight from its buffers.

    Arrow's own conversion would import pandas wherever pandas happens to be installed, which costs most of a second.
    """
    import pyarrow as pa

    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    size, start = len(whole), whole.offset
    missing = np.zeros(size, dtype=bool)
    bits, values = whole.buffers() if size else (None, None)
    if values is None:
        return np.zeros(size, dtype=dtype), np.ones(size, dtype=bool)
    if bits is not None:
        missing = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), bitorder="little")[start : start + size] == 0
    return np.frombuffer(values, dtype=dtype, count=size, offset=8 * start).copy(), missing


def _first_line(trouble: BaseException) -> str:
    # the library quotes bytes of the damage
    return bare_name(str(trouble).split("\n")[0].replace("/", "|"))
