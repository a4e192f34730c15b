"""The projection: a store's tables as Parquet files, a day each, made from the segments and never trusted.

``tables/PERIOD/`` holds one file for each table that has rows, and a ``seal``: a line of JSON with the digest of the records it was made
of, and SHA-256 digests of each file's footer and of each of its columns.  A period whose records have changed, or whose seal or files are
not as they were written, is made anew.  Days that are over have one period; the newest day one for each hour; the newest hour one for each
few records, so that what is recorded now costs little.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tailwag.errors import StoreError, TailwagError
from tailwag.market.clock import format_time
from tailwag.sources.store.disk import Disk, SystemDisk, disk_trouble, write_whole
from tailwag.sources.store.history import History
from tailwag.sources.store.lines import opened_line, sealed_line
from tailwag.sources.store.segments import Entry
from tailwag.sources.store.tables import TABLES, VERSION, Frames, joined_frames, record_frames

FOLDER = "tables"
SEAL = "seal"
SCHEMA = "tailwag.tables/1"
NEWEST_RECORDS = 32
"""Records in one period of the newest hour."""
IN_MEMORY_RECORDS = 1_000
"""Where the disk takes no tables, so many records are made into tables for one question alone."""
_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Period:
    """Some records that lie together, and the digest of their hashes."""

    name: str
    entries: tuple[Entry, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Made:
    """A period on disk: what its seal says."""

    name: str
    first_ns: int
    last_ns: int
    left_out: tuple[int, ...]
    """Numbers of damaged records, which give no rows."""
    files: dict[str, Any]
    """By table: ``bytes``, ``rows``, ``footer_bytes``, ``footer`` and, by column, ``columns``: where its pages lie and their digest."""


def periods_of(entries: Iterable[Entry]) -> list[Period]:
    """The records in days, the newest day in hours, and the newest hour in spans of a few records."""
    grouped: dict[str, list[Entry]] = {}
    ordered = list(entries)
    if not ordered:
        return []
    newest = _hour(max(entry.record.as_of_ns for entry in ordered))
    counted = 0
    for entry in ordered:
        hour = _hour(entry.record.as_of_ns)
        if hour == newest:
            name = f"{hour}.{counted // NEWEST_RECORDS:05d}"
            counted += 1
        else:
            name = hour if hour[:10] == newest[:10] else hour[:10]
        grouped.setdefault(name, []).append(entry)
    return [Period(name, tuple(found), _digest(found)) for name, found in sorted(grouped.items())]


_HOURS: dict[int, str] = {}


def _hour(time_ns: int) -> str:
    """'2026-09-15T14'; a year has 8,760 of them, so each is put into words once."""
    number = time_ns // 3_600_000_000_000
    if number not in _HOURS:
        if len(_HOURS) > 100_000:
            _HOURS.clear()
        _HOURS[number] = format_time(number * 3_600_000_000_000)[:13]
    return _HOURS[number]


def _digest(entries: list[Entry]) -> str:
    return sha256(f"{SCHEMA}/{VERSION}\n".encode() + b"".join(entry.record.hash for entry in entries)).hexdigest()


def made_period(folder: Path, period: Period, tables: frozenset[str] = frozenset(TABLES)) -> Made | None:
    """A period as it lies on disk, or None where it has to be made: not there, of other records, or these tables not as written."""
    place = folder / FOLDER / period.name
    try:
        fields = opened_line((place / SEAL).read_bytes())
    except OSError:
        return None
    if fields is None or fields.pop("schema", None) != SCHEMA or fields.pop("records", None) != period.digest:
        return None
    if fields.pop("period", None) != period.name:
        return None
    made = Made(period.name, fields["first_ns"], fields["last_ns"], tuple(fields["left_out"]), fields["files"])
    wanted = {table: file for table, file in made.files.items() if table in tables}
    return made if all(_footer_is_whole(place / f"{table}.parquet", file) for table, file in wanted.items()) else None


def _footer_is_whole(path: Path, file: dict[str, Any]) -> bool:
    try:
        with open(path, "rb") as stream:
            if os.fstat(stream.fileno()).st_size != file["bytes"]:
                return False
            tail = os.pread(stream.fileno(), file["footer_bytes"], file["bytes"] - file["footer_bytes"])
    except OSError:
        return False
    return bool(_seal_of(tail) == file["footer"])


def columns_are_whole(folder: Path, made: Made, table: str, columns: Iterable[str]) -> bool:
    """Whether the pages of these columns are what was written: no other check of a Parquet file is as strict."""
    file = made.files[table]
    try:
        with open(folder / FOLDER / made.name / f"{table}.parquet", "rb") as stream:
            for column in columns:
                start, size, digest = file["columns"][column]
                if _seal_of(os.pread(stream.fileno(), size, start)) != digest:
                    return False
    except (OSError, KeyError):
        return False
    return True


def _seal_of(data: bytes) -> str:
    return sha256(data).hexdigest()[:_DIGITS]


def stale_periods(folder: Path, history: History) -> list[str]:
    """Periods on disk that are not what the segments would give today; read to the last byte.  Empty where there are no tables."""
    found = _stale(folder, history)
    # a query beside this one may have made some anew, and of newer records, while they were read
    return [name for name in _stale(folder, history.refreshed()) if name in found] if found else []


def _stale(folder: Path, history: History) -> list[str]:
    here = folder / FOLDER
    if not here.is_dir():
        return []
    known = {period.name: period for period in periods_of(_all_entries(history))}
    stale = []
    for place in sorted(path for path in here.iterdir() if path.is_dir() and not path.name.startswith(".")):
        made = made_period(folder, known[place.name]) if place.name in known else None
        whole = made is not None and all(columns_are_whole(folder, made, table, file["columns"]) for table, file in made.files.items())
        if not whole:
            stale.append(place.name)
    return stale


def _all_entries(history: History) -> list[Entry]:
    return sorted((*history.entries, *history.batches), key=lambda entry: entry.record.seq)


def updated_tables(
    history: History,
    *,
    from_ns: int | None = None,
    to_ns: int | None = None,
    tables: frozenset[str] = frozenset(TABLES),
    distrusted: frozenset[str] = frozenset(),
    disk: Disk | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Made]:
    """Make what is missing, stale or ``distrusted`` of the periods that touch [from, to]; everything in order of time.

    Raises StoreError where the disk refuses; a damaged record gives no rows and is named in its period.
    """
    folder, disk = history.folder, disk or SystemDisk()
    periods = periods_of(_all_entries(history))
    wanted = [period for period in periods if _touches(period, from_ns, to_ns)]
    with disk_trouble(folder / FOLDER, "write the tables", "the query has none to read; the records are untouched"):
        before = {period.name: made_period(folder, period, tables) for period in wanted if period.name not in distrusted}
        missing = [period for period in wanted if before.get(period.name) is None]
        if missing:
            disk.make_folder(folder / FOLDER)
            with _one_builder(folder / FOLDER):
                _remove_others(folder / FOLDER, {period.name for period in periods})
                for rank, period in enumerate(missing):
                    if period.name in distrusted or made_period(folder, period, tables) is None:
                        if progress is not None:
                            progress(f"making tables of {period.name} ({rank + 1} of {len(missing)})")
                        _make(history, period, disk)
    found = [before.get(period.name) or made_period(folder, period, tables) for period in wanted]
    return [made for made in found if made is not None]


def frames_in_memory(
    history: History, *, from_ns: int | None = None, to_ns: int | None = None, limit: int = IN_MEMORY_RECORDS
) -> tuple[Frames, tuple[int, ...]] | None:
    """The rows of the records that the tables would have, and the numbers of damaged ones; None where they are more than ``limit``."""
    periods = [period for period in periods_of(_all_entries(history)) if _touches(period, from_ns, to_ns)]
    entries = tuple(entry for period in periods for entry in period.entries)
    if len(entries) > limit:
        return None
    many, left_out = _readable_frames(history, entries)
    return joined_frames(many), tuple(left_out)


def _touches(period: Period, from_ns: int | None, to_ns: int | None) -> bool:
    times = [entry.record.as_of_ns for entry in period.entries]
    return (from_ns is None or max(times) >= from_ns) and (to_ns is None or min(times) <= to_ns)


def _make(history: History, period: Period, disk: Disk) -> None:
    """Write a period beside its place, then give it its name."""
    here = history.folder / FOLDER
    beside, place = here / f".{period.name}.part", here / period.name
    shutil.rmtree(beside, ignore_errors=True)
    disk.make_folder(beside)
    many, left_out = _readable_frames(history, period.entries)
    files = {name: _write(beside / f"{name}.parquet", frame, period) for name, frame in joined_frames(many).items() if len(frame)}
    times = [entry.record.as_of_ns for entry in period.entries]
    seal = {
        "schema": SCHEMA,
        "period": period.name,
        "records": period.digest,
        "first_ns": min(times),
        "last_ns": max(times),
        "left_out": left_out,
        "files": files,
    }
    write_whole(disk, beside / SEAL, sealed_line(seal))
    _take_away(place)
    disk.replace(beside, place)


def _readable_frames(history: History, entries: tuple[Entry, ...]) -> tuple[list[Frames], list[int]]:
    many, left_out = [], []
    for entry in entries:
        try:
            many.append(record_frames(history, entry))
        except TailwagError:
            left_out.append(entry.record.seq)
    return many, left_out


def _write(path: Path, frame: Any, period: Period) -> dict[str, Any]:
    """One table of a period, and what its seal will say of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = frame.to_arrow(compat_level=_plain_text()).replace_schema_metadata({b"tailwag.records": period.digest.encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True, row_group_size=max(table.num_rows, 1), store_schema=True)
    data = sink.getvalue().to_pybytes()
    footer_bytes = int.from_bytes(data[-8:-4], "little") + 8
    group = pq.read_metadata(pa.BufferReader(data)).row_group(0)
    columns = {}
    for rank in range(group.num_columns):
        chunk = group.column(rank)
        start = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
        columns[chunk.path_in_schema] = [start, chunk.total_compressed_size, _seal_of(data[start : start + chunk.total_compressed_size])]
    path.write_bytes(data)
    return {
        "bytes": len(data),
        "rows": table.num_rows,
        "footer_bytes": footer_bytes,
        "footer": _seal_of(data[-footer_bytes:]),
        "columns": columns,
    }


def _plain_text() -> Any:
    import polars as pl

    return pl.CompatLevel.oldest()


def _remove_others(here: Path, known: set[str]) -> None:
    """Hours of a day that is over, and what was left half made."""
    for path in here.iterdir():
        if path.is_dir() and path.name not in known:
            _take_away(path)


def _take_away(place: Path) -> None:
    """A period goes at once: no half of it is ever seen under its name."""
    aside = place.with_name(f".{place.name.lstrip('.')}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if place.is_dir() and place != aside:
        os.replace(place, aside)
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _one_builder(here: Path) -> Iterator[None]:
    """Others wait: what they want is then already there."""
    try:
        import fcntl
    except ImportError:
        raise StoreError("making tables needs a system with file locks (Linux, macOS); run it there") from None
    with open(here / "lock", "ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
