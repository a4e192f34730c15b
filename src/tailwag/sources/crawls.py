"""Every snapshot in a file that holds many: decoded once, cut into crawls, each with only its own rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from tailwag.errors import EmptyChainError
from tailwag.kernels.arrays import IntArray
from tailwag.market.clock import format_time, valid_time
from tailwag.market.snapshot import Snapshot, Source
from tailwag.sources import deribit_table as tables
from tailwag.sources.opening import RawFile
from tailwag.sources.tables import numbers, open_parquet, read_columns, read_table, strike_number


@dataclass(frozen=True, slots=True)
class Crawl:
    """One snapshot's rows of one currency, as they left the file.

    ``label`` is what the file calls the snapshot.  ``start_ns`` is its earliest row's time, None where no row has one; ``end_ns`` the latest
    row's, None where all rows carry the same time (the file then states when the crawl began, and nobody knows when it ended).
    ``columns`` and ``times`` are (n,); ``sha256`` is of these rows alone, so that rows added to the file later change nothing.
    """

    name: str
    label: str
    currency: str
    start_ns: int | None
    end_ns: int | None
    columns: dict[str, Any]
    times: IntArray
    sha256: str

    def snapshot(self) -> Snapshot:
        """The snapshot that :func:`tailwag.load` reads from the same file at the same time.

        Raises UnitError, FileFormatError, EmptyChainError as that does.
        """
        return tables._snapshot(self.columns, self.times, currency=self.currency, source=Source("deribit-chain", self.name, self.sha256))


def parquet_crawls(raw: RawFile, currencies: Sequence[str]) -> Iterator[Crawl]:
    """Every crawl of these currencies in a chain Parquet, in order of time; the file's pages are read and verified once.

    Raises FileFormatError, TimeError (a timestamp without a zone).
    """
    opened = open_parquet(raw)
    tables._check_types(opened.schema_arrow, raw)
    present = opened.schema_arrow.names
    known = [name for name in (*tables.REQUIRED, *tables._TEXTS, *tables._NUMBERS.values()) if name in present]
    table = read_columns(opened, raw, list(dict.fromkeys([*known, *(name for name in ("snapshot",) if name in present)])))
    times = tables._arrow_times(table.column("timestamp"))
    columns: dict[str, Any] = {name: tables._arrow_text(table.column(name)) for name in tables._TEXTS if name in known}
    wanted = {"strike", *tables._NUMBERS.values()}
    columns |= {name: tables._arrow_numbers(table.column(name), name, raw) for name in sorted(wanted) if name in known}
    columns["expiry_ns"] = tables._arrow_times(table.column("expiry_datetime"))
    names = tables._arrow_words(table.column("instrument_name"))
    groups = tables._arrow_words(table.column("snapshot")) if "snapshot" in present else tables._one_word(len(times))
    yield from _cut(raw.name, columns, times, names, groups, currencies)


def csv_crawls(raw: RawFile, currencies: Sequence[str]) -> Iterator[Crawl]:
    """Every crawl of these currencies in a chain CSV; a file without ``snapshot`` is one.

    Raises FileFormatError as ``name:line:column``, TimeError.
    """
    table = read_table(raw, required=tables.REQUIRED)
    times = tables._text_times(table, "timestamp")
    columns: dict[str, Any] = {name: np.array(table.columns[name], dtype=object) for name in tables._TEXTS if name in table.columns}
    columns |= {name: numbers(table.columns[name]) for name in sorted(tables._NUMBERS.values()) if name in table.columns}
    columns["strike"] = np.array([strike_number(cell) for cell in table.columns["strike"]], dtype=np.float64)
    columns["expiry_ns"] = tables._text_times(table, "expiry_datetime")
    names = tables._words(table.columns["instrument_name"])
    groups = tables._words(table.columns["snapshot"]) if "snapshot" in table.columns else tables._one_word(len(table))
    yield from _cut(raw.name, columns, times, names, groups, currencies)


def _cut(name: str, columns: dict[str, Any], times: IntArray, names: Any, groups: Any, currencies: Sequence[str]) -> Iterator[Crawl]:
    crawls = [crawl for currency in currencies for crawl in _of_currency(name, columns, times, names, groups, currency)]
    yield from sorted(crawls, key=lambda crawl: (crawl.start_ns or 0, crawl.label, crawl.currency))


def _of_currency(name: str, columns: dict[str, Any], times: IntArray, names: Any, groups: Any, currency: str) -> Iterator[Crawl]:
    try:
        wanted = tables._wanted_rows(names, currency, name=name)
    except EmptyChainError:
        return
    rows = np.flatnonzero(wanted)
    rows = rows[np.argsort(groups.places[rows], kind="stable")]
    edges = np.searchsorted(groups.places[rows], np.arange(len(groups.words) + 1))
    for number, word in enumerate(groups.words):
        mine = rows[edges[number] : edges[number + 1]]
        if mine.size:
            yield _crawl(name, word, currency, {key: values[mine] for key, values in columns.items()}, times[mine])


def _crawl(name: str, word: str, currency: str, columns: dict[str, Any], times: IntArray) -> Crawl:
    valid = times[valid_time(times)]
    start_ns = int(valid.min()) if valid.size else None
    end_ns = int(valid.max()) if valid.size and int(valid.max()) != start_ns else None
    label = word[:80] or ("" if start_ns is None else format_time(start_ns))
    return Crawl(name, label, currency, start_ns, end_ns, columns, times, _digest(columns, times))


def _digest(columns: dict[str, Any], times: IntArray) -> str:
    """Of the rows' contents, column after column by name."""
    seal = sha256(np.ascontiguousarray(times).tobytes())
    for key in sorted(columns):
        values = columns[key]
        seal.update(key.encode() + b"\0")
        seal.update("\0".join(values.tolist()).encode() if values.dtype == object else np.ascontiguousarray(values).tobytes())
    return seal.hexdigest()
