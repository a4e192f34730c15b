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


def series_columns(folder: Path) -> list[tuple[str, str]]:
    """Names and types of the columns."""
    import pyarrow as pa

    names = {pa.float64(): "DOUBLE", pa.string(): "VARCHAR", pa.bool_(): "BOOLEAN", pa.int64(): "BIGINT"}
    return [(one.name, names.get(one.type, "TIMESTAMP")) for one in series_table(folder, None).schema]


def series_table(folder: Path, columns: set[str] | None) -> Any:
    """Rows of every set of assumptions, of all columns or of those named; a file that is not what was written gives none."""
    import pyarrow as pa

    tables: list[Any] = []
    for place in sorted(path for path in (folder / FOLDER).glob("*") if path.is_dir()):
        files = [_file_table(path, columns) for path in sorted(place.glob("rows-*.parquet"))]
        files.append(_journal_table(place / JOURNAL, columns))
        tables.extend(_with_place(table, place.name) for table in files if table is not None and table.num_rows)
    if not tables:
        return _with_place(
            pa.table({"seq": pa.array([], pa.int64()), "as_of_ns": pa.array([], pa.int64()), "source": pa.array([], pa.string())}), ""
        )
    return pa.concat_tables(tables, promote_options="default")


def damaged_series(folder: Path) -> list[str]:
    """Files of the series that differ from what was written, as their seals say it."""
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


def _wanted(field: str, columns: set[str] | None) -> bool:
    return columns is None or field.lower() in {name.lower() for name in columns}


def _file_table(path: Path, columns: set[str] | None) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = path.read_bytes()
        if not _is_sealed(path, data):
            return None
        with pq.ParquetFile(io.BytesIO(data)) as opened:
            there = opened.schema_arrow.names
            # numbers first: a field that was a number once and a text another time is the number
            fields = {name: name.partition(":") for name in sorted(there) if ":" in name}
            chosen = [name for name, (_, _, field) in fields.items() if _wanted(field, columns)]
            table = opened.read([*(name for name in _PLAIN if name in there), *chosen])
    except (OSError, pa.ArrowException):
        return None
    return _renamed(table)


def _renamed(table: Any) -> Any:
    """Columns under the path of their field; of a field that has had several kinds, numbers under it and the others under PATH:KIND."""
    names: list[str] = []
    for name in table.column_names:
        kind, colon, field = name.partition(":")
        names.append(name if not colon else field if kind == "n" or f"n:{field}" not in table.column_names else f"{field}:{kind}")
    return table.rename_columns(names)


def _journal_table(path: Path, columns: set[str] | None) -> Any:
    import pyarrow as pa

    rows = [row for row in _journal_rows(path) if row is not None]
    if not rows:
        return None
    found: dict[str, Any] = {name: [row[name] for row in rows] for name in _PLAIN}
    types = {"seq": pa.int64(), "as_of_ns": pa.int64(), "source": pa.string()}
    for field in sorted({field for row in rows for field in row["fields"] if _wanted(field, columns)}):
        values = [row["fields"].get(field) for row in rows]
        numbers = [float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None for value in values]
        if any(value is not None for value in numbers):
            found[field], types[field] = numbers, pa.float64()
        else:
            texts = [value if isinstance(value, str) else None for value in values]
            truths = [value if isinstance(value, bool) else None for value in values]
            kept, kind = (texts, pa.string()) if any(value is not None for value in texts) else (truths, pa.bool_())
            if any(value is not None for value in kept):
                found[field], types[field] = kept, kind
    return pa.table({name: pa.array(values, types[name]) for name, values in found.items()})


def _with_place(table: Any, name: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    times = pc.cast(pc.divide(table["as_of_ns"], 1_000), pa.timestamp("us"))
    table = table.add_column(0, "as_of", times)
    return table.add_column(0, "assumptions", pa.array([name] * table.num_rows, pa.string()))
