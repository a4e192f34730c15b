"""The series: every number of every measurement as one row, so that a month of one field is a read of one column.

A projection: rows can be thrown away and measured again from the store.  Rows of different assumptions never stand in one series, each
set of assumptions has its own folder.  Newest rows lie in a journal of sealed lines, older ones in Parquet files of a few thousand rows.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError
from tailwag.service.prices import NOT_BELIEVED, Prices
from tailwag.sources.store.lines import opened_row, sealed_row

if TYPE_CHECKING:
    import polars

    from tailwag.experiments.options import MeasureOptions
    from tailwag.market.snapshot import Snapshot
    from tailwag.service.publish import Publication

ROWS_IN_A_FILE = 2_880
LONGEST_LIST = 8
LONGEST_TEXT = 200
LAYOUTS_KEPT = 32
JOURNAL = "newest.jsonl"
PRICES = "prices"
_ROW = {"seq", "as_of_ns", "source", "code_hash", "fields"}
_LEFT_OUT = ("headline", "notes", "source.sha256")


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one field; ``value`` is None where the measurement had none."""

    as_of_ns: int
    seq: int
    value: float | str | bool | None


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    first_ns: int
    last_ns: int


class _Layouts:
    """The fields of rows, held small: rows of the same fields share one table of places, equal texts are one text."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], dict[str, int]] = {}

    def packed(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row whose fields are a :class:`_Fields`."""
        keys = tuple(row["fields"])
        if keys not in self._known:
            if len(self._known) >= LAYOUTS_KEPT:
                self._known.clear()
            self._known[keys] = {key: place for place, key in enumerate(keys)}
        values = tuple(sys.intern(value) if type(value) is str else value for value in row["fields"].values())
        texts = {name: sys.intern(row[name]) for name in ("source", "code_hash")}
        return {"seq": row["seq"], "as_of_ns": row["as_of_ns"], **texts, "fields": _Fields(self._known[keys], values)}


@dataclass(frozen=True, slots=True)
class _Fields:
    places: dict[str, int]
    values: tuple[Any, ...]

    def __contains__(self, field: str) -> bool:
        return field in self.places

    def get(self, field: str) -> Any:
        place = self.places.get(field)
        return None if place is None else self.values[place]

    def items(self) -> Iterator[tuple[str, Any]]:
        return zip(self.places, self.values, strict=True)


def assumptions_digest(options: MeasureOptions) -> str:
    """Sixteen hex digits that two series share only where every assumption is the same."""
    rules = [rule.name for rule in options.rules]
    return sha256(repr((rules, replace(options, rules=()))).encode()).hexdigest()[:16]


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of every number, truth value and short text of a document, lists of more than a few entries left out.

    >>> dict(leaves({"a": {"b": 1.5, "c": [{"d": "x"}]}}))
    {'a.b': 1.5, 'a.c.0.d': 'x'}
    """
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{place}.{key}" if place else str(key))
    elif isinstance(value, (list, tuple)):
        if len(value) <= LONGEST_LIST:
            for rank, part in enumerate(value):
                yield from leaves(part, f"{place}.{rank}")
    elif not place.startswith(_LEFT_OUT) and not (isinstance(value, str) and len(value) > LONGEST_TEXT):
        yield place, value


def value_at(document: Any, field: str) -> Any:
    """The value at a dotted path; entries of lists are counted from 0.

    >>> value_at({"flows": [{"buy_usd": 2.0}]}, "flows.0.buy_usd")
    2.0

    Raises InputError where there is none, or where it is no single value.
    """
    found = document
    for step in field.split("."):
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isascii() and step.isdigit() and len(step) < 7 and int(step) < len(found):
            found = found[int(step)]
        else:
            raise InputError(f"the document has no field {field[:80]!a}; give the path of one number, such as gain.value")
    if isinstance(found, (Mapping, list)):
        raise InputError(f"{field[:80]!a} is not one value; give the path of one number, such as gain.value")
    return found


class Series:
    """The rows of one store under one set of assumptions; safe from several threads of one process."""

    def __init__(self, folder: Path, *, rows_in_a_file: int = ROWS_IN_A_FILE) -> None:
        self._folder, self._rows_in_a_file = folder, rows_in_a_file
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [found for path in sorted(folder.glob("rows-*.parquet")) if (found := _file_of(path)) is not None]
        self._layouts = _Layouts()
        self._rows = [self._layouts.packed(row) for row in _journal_rows(folder / JOURNAL)]
        self.prices = Prices(folder / PRICES)
        # unbuffered: a reader of the file sees whole lines
        self._journal = open(folder / JOURNAL, "ab", buffering=0)  # noqa: SIM115 - closed in close()

    def append(self, publication: Publication) -> None:
        """Keep the numbers of a publication."""
        row = {
            "seq": publication.seq,
            "as_of_ns": publication.as_of_ns,
            "source": publication.source,
            "code_hash": publication.code_hash,
            "fields": dict(leaves(publication.document)),
        }
        with self._lock:
            self._journal.write(sealed_row(row))
            self._rows.append(self._layouts.packed(row))
            if len(self._rows) >= self._rows_in_a_file:
                self._seal()

    def priced(self, source: str, snapshot: Snapshot, *, seq: int, believed: bool = True) -> None:
        """Keep the index price of a recorded snapshot, whether it will be measured or not; that of one not believed counts nowhere."""
        spot_usd = snapshot.spot_usd if believed else NOT_BELIEVED
        self.prices.record(source, seq=seq, as_of_ns=snapshot.as_of_ns, spot_usd=spot_usd)

    def _seal(self) -> None:
        """Move the journal's rows into a Parquet file that appears whole; only then is the journal emptied."""
        import pyarrow.parquet as pq

        frame, times = _frame(self._rows), [int(row["as_of_ns"]) for row in self._rows]
        sink = io.BytesIO()
        pq.write_table(frame.to_arrow(), sink, compression="zstd")
        data = sink.getvalue()
        # the seal stands in the name: Parquet's own checksums leave the footer, and with it the names of the columns, unguarded
        path = self._folder / f"rows-{min(times)}-{max(times)}-{self._rows[-1]['seq']}-{_seal_of(data)}.parquet"
        beside = path.with_suffix(".part")
        with open(beside, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
        self._journal.truncate(0)
        self._rows = []
        found = _file_of(path)
        if found is not None:
            self._files.append(found)

    def close(self) -> None:
        """Give the journal back."""
        with self._lock:
            self._journal.close()

    def seqs(self, from_ns: int = 0) -> set[int]:
        """The numbers of every row; with ``from_ns`` those of earlier times may be left out."""
        with self._lock:
            found = {row["seq"] for row in self._rows}
            files = tuple(file for file in self._files if file.last_ns >= from_ns)
        for file in files:
            frame = self._read(file, ["seq"])
            found.update([] if frame is None else frame["seq"].to_list())
        return found

    def points(self, field: str, *, source: str, from_ns: int, to_ns: int, limit: int) -> tuple[list[Point], int | None]:
        """Values of a field of one source at times in [from, to], in order, at most ``limit``; then the time of the next, if any.

        Of equal times the one recorded last counts.
        """
        frame = self._frame_of(("seq", "as_of_ns", "source", f"n:{field}", f"t:{field}", f"b:{field}"), from_ns, to_ns)
        if frame is None:
            return [], None
        import polars as pl

        kept = (
            frame.filter((pl.col("source") == source) & pl.col("as_of_ns").is_between(from_ns, to_ns))
            .sort("as_of_ns", "seq")
            .unique("as_of_ns", keep="last", maintain_order=True)
            .head(limit + 1)
        )
        columns = [kept[name].to_list() for name in (f"n:{field}", f"t:{field}", f"b:{field}") if name in kept.columns]
        values = [next((value for value in row if value is not None), None) for row in zip(*columns)] if columns else [None] * len(kept)
        found = [Point(*row) for row in zip(kept["as_of_ns"].to_list(), kept["seq"].to_list(), values, strict=True)]
        return found[:limit], found[limit].as_of_ns if len(found) > limit else None

    def knows(self, field: str) -> bool:
        """Whether any row has had this field."""
        wanted = {f"{kind}:{field}" for kind in "ntb"}
        with self._lock:
            if any(field in row["fields"] for row in self._rows[-3:]):
                return True
            files = tuple(self._files[-3:])
        return any(wanted & set(frame.columns) for file in files if (frame := self._read(file, sorted(wanted))) is not None)

    def seq_at(self, source: str, at_ns: int) -> int | None:
        """The number of the last measured snapshot of a source at or before a time."""
        import polars as pl

        with self._lock:
            starts = [file.first_ns for file in self._files if file.first_ns <= at_ns]
        # a source that is seldom heard may not be in the newest file
        for start in [*sorted(starts, reverse=True)[:4], None]:
            frame = self._frame_of(("seq", "as_of_ns", "source"), 0 if start is None else start, at_ns)
            found = None if frame is None else frame.filter((pl.col("source") == source) & (pl.col("as_of_ns") <= at_ns))
            if found is not None and len(found):
                return int(found.sort("as_of_ns", "seq")["seq"][-1])
        return None

    def _frame_of(self, columns: Iterable[str], from_ns: int, to_ns: int) -> polars.DataFrame | None:
        import polars as pl

        with self._lock:
            files = [file for file in self._files if file.first_ns <= to_ns and file.last_ns >= from_ns]
            rows = [row for row in self._rows if from_ns <= row["as_of_ns"] <= to_ns]
        wanted = list(columns)
        frames = [frame for file in files if (frame := self._read(file, wanted)) is not None]
        if rows:
            frames.append(_newest_frame(rows, wanted))
        return pl.concat(frames, how="diagonal") if frames else None

    def _read(self, file: _File, wanted: list[str]) -> polars.DataFrame | None:
        """Some columns of a file, its seal verified; a damaged file is set aside and its rows are measured again after the next start."""
        import polars as pl
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(io.BytesIO(self._sealed_bytes(file))) as opened:
                there = set(opened.schema_arrow.names)
                found = pl.from_arrow(opened.read([name for name in wanted if name in there]))
        except (OSError, pa.ArrowException):
            with self._lock:
                self._files = [one for one in self._files if one != file]
            _set_aside(file.path)
            return None
        assert isinstance(found, pl.DataFrame)
        return found

    def _sealed_bytes(self, file: _File) -> bytes:
        """A file's bytes, held against the seal in its name; OSError where they differ."""
        data = file.path.read_bytes()
        if _seal_of(data) != file.path.stem.rpartition("-")[2]:
            raise OSError(f"{file.path.name} differs from what was written")
        return data


def _seal_of(data: bytes) -> str:
    return sha256(data).hexdigest()[:32]


def _newest_frame(rows: list[dict[str, Any]], wanted: list[str]) -> polars.DataFrame:
    """Some columns of rows of the journal."""
    import polars as pl

    columns = []
    for name in wanted:
        kind, colon, field = name.partition(":")
        if not colon:
            columns.append(pl.Series(name, [row[name] for row in rows], dtype=_plain_types()[name]))
            continue
        values = [row["fields"].get(field) for row in rows]
        if any(_kind(value) == kind for value in values):
            kept = [value if _kind(value) == kind else None for value in values]
            columns.append(pl.Series(name, kept, dtype=_field_types()[kind], strict=False))
    return pl.DataFrame(columns)


def _kind(value: Any) -> str:
    return "" if value is None else "b" if isinstance(value, bool) else "t" if isinstance(value, str) else "n"


def _plain_types() -> dict[str, Any]:
    import polars as pl

    return {"seq": pl.Int64, "as_of_ns": pl.Int64, "source": pl.String, "code_hash": pl.String}


def _field_types() -> dict[str, Any]:
    import polars as pl

    return {"n": pl.Float64, "t": pl.String, "b": pl.Boolean}


def _frame(rows: list[dict[str, Any]]) -> polars.DataFrame:
    """Rows as columns: numbers under ``n:PATH``, texts under ``t:PATH``, truth values under ``b:PATH``."""
    import polars as pl

    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in _plain_types()}
    for rank, row in enumerate(rows):
        for field, value in row["fields"].items():
            kind = _kind(value)
            if kind:
                columns.setdefault(f"{kind}:{field}", [None] * len(rows))[rank] = float(value) if kind == "n" else value
    types = _plain_types()
    return pl.DataFrame([pl.Series(name, values, dtype=types.get(name) or _field_types()[name[0]]) for name, values in columns.items()])


def _journal_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a journal that are what was written; where others stand among them it is written anew without those."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    opened = [(line, opened_row(line)) for line in lines]
    good = [(line, row) for line, row in opened if row is not None and set(row) >= _ROW]
    if len(good) < len(lines):
        beside = path.with_suffix(".part")
        beside.write_bytes(b"".join(line for line, _ in good))
        beside.replace(path)
    return [row for _, row in good]


def _file_of(path: Path) -> _File | None:
    """A Parquet file of rows by its name, None for another."""
    parts = path.stem.removeprefix("rows-").split("-")
    return _File(path, int(parts[0]), int(parts[1])) if len(parts) == 4 and all(part.isdigit() for part in parts[:2]) else None


def _set_aside(path: Path) -> None:
    with suppress(FileNotFoundError):  # by another reader that found the same
        path.rename(path.with_suffix(".damaged"))
