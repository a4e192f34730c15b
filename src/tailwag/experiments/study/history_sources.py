"""The snapshots of files, folders and stores, one after another: each with its own rows only, a file decoded once however many it holds."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.errors import FileFormatError, InputError, TimeError
from tailwag.market.clock import format_time
from tailwag.market.snapshot import Snapshot
from tailwag.sources.files import is_store, kind_of_file, read_snapshot_file
from tailwag.sources.opening import RawFile, bare_name, checked_path_text, list_folder, read_file

if TYPE_CHECKING:
    from tailwag.sources.crawls import Crawl

SINGLE = ("deribit-rest", "deribit-summary-csv", "cboe", "snapshot")
"""Kinds of files that hold one snapshot each."""
MANY = ("deribit-chain", "deribit-chain-csv", "daily")
_READ = (".json", ".csv", ".parquet", ".gz", ".zst", ".zip", ".txt")


@dataclass(frozen=True, slots=True)
class Moment:
    """One snapshot before it is read: what it is called, when it was taken where that can be told without reading it, and what reads it.

    ``sha256`` is of the snapshot's own contents.  ``label`` is empty and ``start_ns`` None where only reading tells.
    """

    source: str
    kind: str
    label: str
    currency: str
    start_ns: int | None
    end_ns: int | None
    sha256: str
    read: Callable[[], Snapshot]

    @property
    def key(self) -> str:
        """Of everything that decides the snapshot and its name."""
        return sha256("\0".join((self.source, self.kind, self.label, self.currency, self.sha256)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file or a store: ``sha256`` is of a file's bytes, of the records' digests for a store."""

    name: str
    kind: str
    sha256: str
    path: str

    def moments(self, currencies: Sequence[str]) -> Iterator[Moment]:
        """Its snapshots of some currencies.

        Raises FileFormatError where it is damaged or has changed since it was listed.
        """
        if self.kind == "store":
            yield from _store_moments(self, currencies)
            return
        raw = read_file(self.path)
        if raw.sha256 != self.sha256:
            raise FileFormatError(f"{self.name} changed while it was read; wait until it is written, and run the command again")
        yield from _file_moments(self, raw, currencies)

    def expected(self, currencies: Sequence[str]) -> int:
        """About how many snapshots it holds, for a progress bar; cheap, never too exact."""
        if self.kind in SINGLE:
            return len(currencies)
        if self.kind == "store":
            from tailwag.sources.store.history import History

            return len(History.open(self.path))
        return _distinct(self, "snapshot_utc" if self.kind == "daily" else "snapshot") * len(currencies)


def _distinct(file: SourceFile, column: str) -> int:
    from tailwag.sources.tables import open_parquet, read_columns

    raw = read_file(file.path)
    if not raw.data.startswith(b"PAR1"):
        return 1
    opened = open_parquet(raw)
    return len(read_columns(opened, raw, [column]).column(column).unique()) if column in opened.schema_arrow.names else 1


def listed(sources: Sequence[str]) -> tuple[SourceFile, ...]:
    """Every file and store that the words name, in an order that depends on names and contents only; the same file twice counts once.

    Raises InputError for a word that names nothing, FileFormatError for a file of a kind that holds no snapshot.
    """
    found = {(file.name, file.sha256): file for word in sources for file in _of_word(word)}
    return tuple(found[key] for key in sorted(found))


def _of_word(word: str) -> Iterator[SourceFile]:
    path = checked_path_text(word)
    if is_store(path):
        yield _store(path)
    elif os.path.isdir(path) and not os.path.islink(path):
        inside = [file for name in list_folder(path) if name.lower().endswith(_READ) for file in _of_file(f"{path}/{name}", required=False)]
        if not inside:
            raise FileFormatError(f"{bare_name(path)}: holds no file of snapshots; give a folder with chain files (JSON, CSV, Parquet)")
        yield from inside
    else:
        yield from _of_file(path, required=True)


def _of_file(path: str, *, required: bool) -> Iterator[SourceFile]:
    raw = read_file(path)
    kind = kind_of_file(raw)
    if kind in (*SINGLE, *MANY):
        yield SourceFile(raw.name, kind, raw.sha256, path)
    elif required:
        raise FileFormatError(
            f"{raw.name}: no snapshots in it; known are Deribit JSON, chain Parquet and CSV, OKX + Deribit daily Parquet, CBOE CSV, "
            "tailwag Parquet, and stores of tailwag record"
        )


def _store(path: str) -> SourceFile:
    from tailwag.sources.store.history import History

    digests = b"".join(entry.record.payload_sha256 for entry in History.open(path).entries)
    return SourceFile(bare_name(os.path.normpath(path)), "store", sha256(digests).hexdigest(), path)


def _store_moments(file: SourceFile, currencies: Sequence[str]) -> Iterator[Moment]:
    from tailwag.sources.store.history import History

    history = History.open(Path(file.path))
    for entry in history.entries:
        record = entry.record
        snapshot = history.snapshot(entry)
        if snapshot.currency in currencies:
            raw = RawFile(file.name, history.payload(entry), record.payload_sha256.hex())
            end_ns = max(record.received_ns, record.as_of_ns)
            yield Moment(
                file.name,
                "store",
                str(record.seq),
                snapshot.currency,
                record.as_of_ns,
                end_ns,
                raw.sha256,
                _Reading(raw, snapshot.currency),
            )


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads a file that is one snapshot."""

    raw: RawFile
    currency: str

    def __call__(self) -> Snapshot:
        return read_snapshot_file(self.raw, currency=self.currency, at_ns=None)


def _file_moments(file: SourceFile, raw: RawFile, currencies: Sequence[str]) -> Iterator[Moment]:
    if file.kind in SINGLE:
        for currency in currencies:
            yield Moment(file.name, file.kind, "", currency, None, None, raw.sha256, _Reading(raw, currency))
    elif file.kind == "daily":
        yield from _daily_moments(file, raw, currencies)
    else:
        from tailwag.sources.crawls import csv_crawls, parquet_crawls

        for crawl in (parquet_crawls if file.kind == "deribit-chain" else csv_crawls)(raw, currencies):
            yield _of_crawl(crawl)


def _of_crawl(crawl: Crawl) -> Moment:
    return Moment(crawl.name, "deribit-chain", crawl.label, crawl.currency, crawl.start_ns, crawl.end_ns, crawl.sha256, crawl.snapshot)


@dataclass(frozen=True, slots=True)
class _DailyReading:
    """Reads the rows of one day's snapshot of the daily table."""

    rows: bytes
    name: str
    sha256: str
    currency: str

    def __call__(self) -> Snapshot:
        import polars as pl

        from tailwag.sources.daily import read_daily

        return read_daily(pl.read_ipc(io.BytesIO(self.rows)), raw=RawFile(self.name, b"", self.sha256), currency=self.currency)


def _daily_moments(file: SourceFile, raw: RawFile, currencies: Sequence[str]) -> Iterator[Moment]:
    import polars as pl

    from tailwag.sources.daily import _time_ns
    from tailwag.sources.tables import open_parquet, read_columns

    opened = open_parquet(raw)
    frame: Any = pl.from_arrow(read_columns(opened, raw, list(opened.schema_arrow.names)))
    frame = frame.with_columns(pl.col("snapshot_utc").cast(pl.String), pl.col("underlying").cast(pl.String))
    for key, rows in frame.partition_by("snapshot_utc", "underlying", as_dict=True, maintain_order=True).items():
        text, currency = (str(part or "") for part in key)
        if currency not in currencies:
            continue
        try:
            start_ns: int | None = _time_ns(text, raw.name)
        except TimeError:
            start_ns = None
        sink = io.BytesIO()
        rows.write_ipc(sink)
        data = sink.getvalue()
        digest = sha256(data).hexdigest()
        yield Moment(file.name, "daily", text[:80], currency, start_ns, None, digest, _DailyReading(data, raw.name, digest, currency))


def named(moment: Moment, start_ns: int | None) -> str:
    """The id of a snapshot: its source's name, the source's own label (else its time) and its currency."""
    label = moment.label or ("" if start_ns is None else format_time(start_ns))
    return f"{moment.source}:{label}:{moment.currency}"


def check_currencies(currencies: Sequence[str]) -> tuple[str, ...]:
    """Each once, in alphabetical order; InputError for what is no currency."""
    for currency in currencies:
        if not (currency.isascii() and currency.isalnum() and currency == currency.upper() and len(currency) <= 10):
            raise InputError(f"--currency expects capital letters such as BTC or ETH, got {currency[:20]!a}")
    return tuple(sorted(set(currencies))) or ("BTC",)
