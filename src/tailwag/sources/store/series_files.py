"""The measured series of a service as one table: a row for each measurement, a column for each figure by its dotted path."""

from __future__ import annotations

import io
from hashlib import sha256
from pathlib import Path
from typing import Any

from tailwag.sources.store.lines import opened_row

FOLDER = "series"
JOURNAL = "newest.jsonl"
_PLAIN = ("seq", "as_of_ns", "source")
_OWN = frozenset({"assumptions", "as_of", *_PLAIN})
"""Columns of every row: a field of the document with such a name says the same in words and is left out."""
_KINDS = "ntb"
_LOOKS_AGAIN = 2


def series_columns(folder: Path) -> list[tuple[str, str]]:
    """Names and types of the columns."""
    import pyarrow as pa

    names = {pa.float64(): "DOUBLE", pa.string(): "VARCHAR", pa.bool_(): "BOOLEAN", pa.int64(): "BIGINT"}
    return [(one.name, names.get(one.type, "TIMESTAMP")) for one in series_table(folder, None).schema]


def series_table(folder: Path, columns: set[str] | None) -> Any:
    """Rows of every set of assumptions, of all columns or of those named; a file that is not what was written gives none."""
    import pyarrow as pa

    asked = None if columns is None else _asked(columns)
    tables: list[Any] = []
    for place in sorted(path for path in (folder / FOLDER).glob("*") if path.is_dir()):
        # the journal first: its rows go into a file, and only then out of it; what is in both by then counts once
        newest = [row for row in _journal_rows(place / JOURNAL) if row is not None]
        files = [table for path in sorted(place.glob("rows-*.parquet")) if (table := _file_table(path, asked)) is not None]
        filed = {seq for table in files for seq in table["seq"].to_pylist()} if newest else set[int]()
        files.append(_journal_table([row for row in newest if row["seq"] not in filed], asked))
        tables.extend(_with_place(table, place.name) for table in files if table.num_rows)
    if not tables:
        return _with_place(
            pa.table({"seq": pa.array([], pa.int64()), "as_of_ns": pa.array([], pa.int64()), "source": pa.array([], pa.string())}), ""
        )
    names = _names({name for table in tables for name in table.column_names})
    return pa.concat_tables(
        [table.rename_columns([names[name] for name in table.column_names]) for table in tables], promote_options="default"
    )


def _asked(columns: set[str]) -> set[str]:
    """The fields of these columns: PATH:KIND is asked for by either name."""
    lower = {name.lower() for name in columns}
    return lower | {name[:-2] for name in lower if name[-2:] in (":t", ":b")}


def _names(there: set[str]) -> dict[str, str]:
    """Columns under the path of their field; of a field that has had several kinds, the first of number, text and truth value alone."""
    found = {}
    for name in there:
        kind, colon, field = name.partition(":")
        before = _KINDS[: _KINDS.index(kind)] if colon else ""
        found[name] = name if not colon else f"{field}:{kind}" if any(f"{one}:{field}" in there for one in before) else field
    return found


def damaged_series(folder: Path) -> list[str]:
    """Files of the series that differ from what was written, as their seals say it; a row that is just being written is whole soon."""
    found = _damaged(folder)
    for _ in range(_LOOKS_AGAIN if found else 0):
        found = [name for name in _damaged(folder) if name in found]
    return found


def _damaged(folder: Path) -> list[str]:
    found = [path for path in (folder / FOLDER).glob("*/rows-*.parquet") if not _is_sealed(path, _bytes_of(path))]
    found += [path for path in (folder / FOLDER).glob(f"*/{JOURNAL}") if any(row is None for row in _journal_rows(path))]
    return sorted(f"{path.parent.name}/{path.name}" for path in found)


def _journal_rows(path: Path) -> list[dict[str, Any] | None]:
    """The rows of a journal, None for one that is not what was written, or was cut short."""
    return [opened_row(line) for line in _bytes_of(path).splitlines(keepends=True)]


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _is_sealed(path: Path, data: bytes) -> bool:
    return sha256(data).hexdigest()[:32] == path.stem.rpartition("-")[2]


def _wanted(field: str, asked: set[str] | None) -> bool:
    return field.lower() not in _OWN and (asked is None or field.lower() in asked)


def _file_table(path: Path, asked: set[str] | None) -> Any:
    """Rows of a file, fields under KIND:PATH."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = path.read_bytes()
        if not _is_sealed(path, data):
            return None
        with pq.ParquetFile(io.BytesIO(data)) as opened:
            there = opened.schema_arrow.names
            chosen = [name for name in sorted(there) if ":" in name and _wanted(name.partition(":")[2], asked)]
            table = opened.read([*(name for name in _PLAIN if name in there), *chosen])
    except (OSError, pa.ArrowException):
        return None
    # polars writes large strings, a journal's are plain ones
    texts = [pa.string() if one.type == pa.large_string() else one.type for one in table.schema]
    return table.cast(pa.schema(list(zip(table.column_names, texts))))


def _journal_table(rows: list[dict[str, Any]], asked: set[str] | None) -> Any:
    """Rows of a journal, fields under KIND:PATH."""
    import pyarrow as pa

    found: dict[str, Any] = {name: [row[name] for row in rows] for name in _PLAIN}
    for rank, row in enumerate(rows):
        for field, value in row["fields"].items():
            kind = _kind(value)
            if kind and _wanted(field, asked):
                found.setdefault(f"{kind}:{field}", [None] * len(rows))[rank] = float(value) if kind == "n" else value
    types = {"seq": pa.int64(), "as_of_ns": pa.int64(), "source": pa.string(), "n": pa.float64(), "t": pa.string(), "b": pa.bool_()}
    return pa.table({name: pa.array(values, types.get(name) or types[name[0]]) for name, values in sorted(found.items(), key=_order)})


def _order(column: tuple[str, Any]) -> tuple[bool, str]:
    """Those of every row first, then the fields by path."""
    return ":" in column[0], column[0].partition(":")[2]


def _kind(value: Any) -> str:
    return "b" if isinstance(value, bool) else "t" if isinstance(value, str) else "n" if isinstance(value, (int, float)) else ""


def _with_place(table: Any, name: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    times = pc.cast(pc.divide(table["as_of_ns"], 1_000), pa.timestamp("us"))
    table = table.add_column(0, "as_of", times)
    return table.add_column(0, "assumptions", pa.array([name] * table.num_rows, pa.string()))
