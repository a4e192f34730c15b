"""Trades in a store: batches as records of their own, and the trades, open interest and little else of a recorded snapshot, read fast.

A batch is one Parquet table (the columns of :class:`~tailwag.market.trades.Trades`) with page checksums, and a header in its metadata
that says which currency and source it is of and which spans it covers; that its bytes are whole, the record's SHA-256 says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import InputError, StoreError
from tailwag.market.trades import Covered, Trades
from tailwag.sources.snapshot_file import METADATA_KEY as SNAPSHOT_KEY
from tailwag.units import NS_PER_HOUR

if TYPE_CHECKING:
    from pathlib import Path

    from tailwag.sources.store.history import History
    from tailwag.sources.store.segments import Entry

SCHEMA = "tailwag.trades/1"
_KEY = b"tailwag.trades"
_TEXT = ("trade_id", "instrument", "liquidated", "venue")
LATEST_PRINT_NS = NS_PER_HOUR
"""No snapshot holds a trade that is later than itself by more than this."""
_COLUMNS = tuple(field.name for field in fields(Trades) if field.name not in ("repeats_removed", "covered"))
_INTEREST = ("instrument", "venue", "open_interest_contracts", "coin_per_contract", "expiry_ns", "codes")


@dataclass(frozen=True, slots=True)
class TradeBatch:
    """Trades of one currency from one source; ``source_sha256`` is of the file they came from, '' where they came from a venue."""

    currency: str
    trades: Trades
    source: str
    source_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Light:
    """What an inventory needs of a record: its trades and, where it is a snapshot, the open interest of each option listed."""

    currency: str
    as_of_ns: int
    trades: Trades | None
    venue: tuple[str, ...] = ()
    instrument: tuple[str, ...] = ()
    expiry_ns: tuple[int, ...] = ()
    open_interest_coin: tuple[float, ...] = ()
    """NaN where unknown."""
    is_snapshot: bool = True
    source: str = ""


def batch_time_ns(batch: TradeBatch) -> int:
    """The market time of a batch: its last trade, or the end of what it covers.

    Raises InputError for a batch without trades that covers nothing.
    """
    times = [int(batch.trades.time_ns.max())] if len(batch.trades) else []
    times += [span.to_ns for span in batch.trades.covered]
    if not times:
        raise InputError(f"{batch.source}: no trades and no span of time; there is nothing to record")
    return max(times)


def encoded_batch(batch: TradeBatch) -> bytes:
    """The bytes of a batch."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    trades = batch.trades
    header = {
        "schema": SCHEMA,
        "currency": batch.currency,
        "source": batch.source,
        "source_sha256": batch.source_sha256,
        "repeats_removed": trades.repeats_removed,
        "covered": [[span.venue, int(span.from_ns), int(span.to_ns)] for span in trades.covered],
    }
    columns = {name: pa.array(getattr(trades, name).tolist() if name in _TEXT else getattr(trades, name)) for name in _COLUMNS}
    columns = {name: column.cast(pa.string()) if name in _TEXT else column for name, column in columns.items()}
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(header, sort_keys=True).encode()})
    sink = pa.BufferOutputStream()
    # dictionaries only for text: plain pages keep every bit of a number
    pq.write_table(table, sink, use_dictionary=list(_TEXT), compression="zstd", write_page_checksum=True, write_statistics=False)
    return bytes(sink.getvalue().to_pybytes())


def decoded_batch(payload: bytes, *, name: str) -> TradeBatch:
    """The batch in these bytes.

    Raises StoreError where they are no batch, or one of a newer version.
    """
    table = _opened(payload, name).read(use_threads=False)
    header = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    if header.get("schema") != SCHEMA:
        raise StoreError(f"{name}: expected {SCHEMA}, got {ascii(header.get('schema'))[:60]}; read it with the version that wrote it")
    return TradeBatch(header["currency"], _trades_of(table, header), header["source"], header["source_sha256"])


def light_record(payload: bytes, *, kind: int, as_of_ns: int, name: str) -> Light:
    """Trades and open interest in a record's payload, nothing else decoded; the caller has checked the payload's SHA-256.

    Raises StoreError where it cannot be read.
    """
    from tailwag.sources.store.records import TRADES

    if kind == TRADES:
        batch = decoded_batch(payload, name=name)
        return Light(batch.currency, as_of_ns, batch.trades, is_snapshot=False, source=batch.source)
    file = _opened(payload, name)
    header = json.loads((file.schema_arrow.metadata or {}).get(SNAPSHOT_KEY, b"{}"))
    groups = _row_groups(header)
    interest = _interest(file, groups["chain"]) if "chain" in groups else {}
    return Light(
        header["currency"], header["as_of_ns"], _snapshot_trades(file, header, groups), **interest, source=header["source"]["name"]
    )


def _row_groups(header: dict[str, Any]) -> dict[str, int]:
    """A snapshot file has a row group for each part that has rows, in the order of the parts."""
    from tailwag.sources.snapshot_file import _PARTS

    held = [name for name in _PARTS if header["rows"].get(name, 0)]
    return {name: number for number, name in enumerate(held)}


def _interest(file: Any, group: int) -> dict[str, Any]:
    table = file.read_row_group(group, columns=list(_INTEREST), use_threads=False)
    return interest_columns({name: table.column(name).to_numpy() for name in _INTEREST})


def interest_columns(columns: dict[str, Any]) -> dict[str, Any]:
    """The open interest of a chain's rows, in coin, as :class:`Light` keeps it."""
    from tailwag.market.codes import QUARANTINE

    coin = columns["open_interest_contracts"] * columns["coin_per_contract"]
    known = np.isfinite(coin) & ((columns["codes"] & int(QUARANTINE)) == 0)
    return {
        "venue": tuple(columns["venue"].tolist()),
        "instrument": tuple(columns["instrument"].tolist()),
        "expiry_ns": tuple(columns["expiry_ns"].tolist()),
        "open_interest_coin": tuple(np.where(known, coin, np.nan).tolist()),
    }


def _snapshot_trades(file: Any, header: dict[str, Any], groups: dict[str, int]) -> Trades | None:
    if header["trades"] is None:
        return None
    if "trades" not in groups:
        return _trades_of(None, header["trades"])
    present = [name for name in _COLUMNS if name in file.schema_arrow.names]
    return _trades_of(file.read_row_group(groups["trades"], columns=present, use_threads=False), header["trades"])


def _trades_of(table: Any, header: dict[str, Any]) -> Trades:
    covered = tuple(Covered(*span) for span in header.get("covered", ()))
    names = [] if table is None else [name for name in _COLUMNS if name in table.column_names]
    columns = {name: np.array(table.column(name).to_pylist(), dtype=object) for name in names if name in _TEXT}
    columns |= {name: table.column(name).to_numpy() for name in names if name not in _TEXT}
    return Trades.from_columns(**({"trade_id": [], "instrument": []} | columns), repeats_removed=header["repeats_removed"], covered=covered)


def _opened(payload: bytes, name: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(pa.BufferReader(payload), page_checksum_verification=True)
    except (pa.ArrowException, OSError) as trouble:
        raise StoreError(f"{name}: cannot be read ({ascii(str(trouble))[:80]}); run tailwag verify") from None


def light_records(history: History, entries: Any) -> Iterator[tuple[Entry, Light | None]]:
    """Records read lightly, one at a time; None for a damaged one."""
    for entry in entries:
        name = f"record {entry.record.seq} of {history.folder.name}"
        try:
            payload = history.payload(entry)
            yield entry, light_record(payload, kind=entry.record.kind, as_of_ns=entry.record.as_of_ns, name=name)
        except StoreError:
            yield entry, None


def recorded_trades(history: History, from_ns: int | None, to_ns: int | None) -> Trades:
    """See :meth:`~tailwag.sources.store.history.History.trades`."""
    low, high = -(1 << 63) if from_ns is None else from_ns, (1 << 63) - 1 if to_ns is None else to_ns
    every = sorted((*history.entries, *history.batches), key=lambda entry: entry.record.seq)
    later = [entry for entry in every if entry.record.as_of_ns >= low - LATEST_PRINT_NS]
    tables = [light.trades for _, light in light_records(history, later) if light is not None and light.trades is not None]
    seen: set[tuple[str, str]] = set()
    kept = [_unseen(table, seen) for table in tables]
    joined = Trades.joined([once.select((once.time_ns >= low) & (once.time_ns <= high)) for once in kept] or [_none()])
    repeats = sum(table.repeats_removed + len(table) - len(once) for table, once in zip(tables, kept, strict=True))
    columns = {name: getattr(joined, name) for name in _COLUMNS}
    return Trades.from_columns(**columns, repeats_removed=repeats, covered=tuple(span for table in tables for span in table.covered))


def _none() -> Trades:
    return Trades.from_columns(trade_id=[], instrument=[])


def _unseen(table: Trades, seen: set[tuple[str, str]]) -> Trades:
    """The trades of a table whose (venue, trade id) has not come before."""
    kept = []
    for place, key in enumerate(zip(table.venue.tolist(), table.trade_id.tolist(), strict=True)):
        if key not in seen:
            seen.add(key)
            kept.append(place)
    return table.select(np.array(kept, dtype=np.int64))


def export_trades(history: History, out: Path, from_ns: int | None, to_ns: int | None) -> int:
    """The trades of :meth:`History.trades` as one Parquet table, page checksums on, whole or not at all; the number of rows.

    Raises InputError where there is none, StoreError where the disk refuses.
    """
    import io

    from tailwag.sources.store.disk import SystemDisk, disk_trouble, write_whole

    trades = recorded_trades(history, from_ns, to_ns)
    if not len(trades):
        raise InputError(
            f"{history.folder}: no option trade in this range; record a source with trades, or fill it with tailwag trades backfill"
        )
    sink = io.BytesIO()
    trades.to_frame().write_parquet(sink, use_pyarrow=True, pyarrow_options={"write_page_checksum": True, "compression": "zstd"})
    with disk_trouble(out, "write the trades", "there are none"):
        write_whole(SystemDisk(), out, sink.getvalue())
    return len(trades)
