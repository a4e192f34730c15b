"""Files and folders: tell the kind by content, hand it to its reader, combine what belongs together.

Readers (each is imported when a file of its kind is met, so that a JSON file costs neither polars nor pyarrow):

========================  =====================================================================================================
kind                      reader
========================  =====================================================================================================
deribit-rest              ``deribit.read_deribit(raw, *, currency, at_ns)``             JSON, one or several replies
deribit-chain             ``deribit_table.read_chain_parquet | read_chain_csv(raw, *, currency, at_ns)``
deribit-summary-csv       ``deribit_table.read_summary_csv(raw, *, currency, at_ns)``   a book summary saved as CSV
cboe                      ``cboe.read_cboe(text, *, raw, currency)``                     CSV with "Expiration Date,Calls"
daily                     ``daily.read_daily(frame, *, raw, currency, at_ns)``           Parquet with snapshot_utc, exchange, ...
a store                   ``store.history.History``                                    a folder of ``tailwag record``
snapshot                  ``snapshot_file.read_snapshot(raw)``, ``snapshot_file.is_snapshot(schema_metadata)``
========================  =====================================================================================================
"""

from __future__ import annotations

import os

from tailwag.errors import EmptyChainError, FileFormatError
from tailwag.market.clock import format_time
from tailwag.market.snapshot import Snapshot
from tailwag.sources.opening import RawFile, checked_path_text, read_file

_RECORDS_TRIED = 1_000
"""A store that records the currency at all has it among so many records."""
_CHAIN_COLUMNS = {"instrument_name", "expiry_datetime", "implied_volatility", "open_interest"}
_SUMMARY_COLUMNS = {"instrument_name", "mark_price", "open_interest", "creation_timestamp"}
_DAILY_COLUMNS = {"snapshot_utc", "exchange", "instrument"}


def load(path: str | os.PathLike[str], *, currency: str = "BTC", at_ns: int | None = None) -> Snapshot:
    """The market in a file or folder: the latest snapshot at or before ``at_ns`` (UTC nanoseconds), or the last one.

    A folder of one kind is a timeline; pieces of one moment, and several venues, become one snapshot.  So is a store of tailwag record.

    Raises FileFormatError, UnitError, TimeError, EmptyChainError: the message says what was expected, what came and what to do.
    """
    text = checked_path_text(path)
    if os.path.isdir(text) and not os.path.islink(text):
        if is_store(text):
            return _from_store(text, currency=currency, at_ns=at_ns)
        from tailwag.sources.folders import load_folder

        return load_folder(text, currency=currency, at_ns=at_ns)
    return read_snapshot_file(read_file(text), currency=currency, at_ns=at_ns)


def is_store(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is a store of ``tailwag record``: it holds the mark or a segment of one."""
    from pathlib import Path

    folder = Path(path)
    return folder.is_dir() and ((folder / "mark").is_file() or any(folder.glob("segment-*.tws")))


def _from_store(path: str, *, currency: str, at_ns: int | None) -> Snapshot:
    """The last recorded snapshot of a currency at or before a time.

    Raises EmptyChainError where there is none, StoreError where it is damaged.
    """
    from tailwag.sources.store.history import History

    history = History.open(path)
    newest = sorted(history.between(None, at_ns), key=lambda entry: (entry.record.as_of_ns, entry.record.seq), reverse=True)
    for entry in newest[:_RECORDS_TRIED]:
        snapshot = history.snapshot(entry)
        if snapshot.currency == currency:
            return snapshot
    if not newest:
        history.at(at_ns)  # tells that there is nothing, and what to do
    raise EmptyChainError(
        f"{os.path.basename(os.path.normpath(path))}: none of the last {len(newest[:_RECORDS_TRIED])} snapshots"
        f"{'' if at_ns is None else f' up to {format_time(at_ns)}'} is of {currency}; choose another --currency or time"
    )


def read_snapshot_file(raw: RawFile, *, currency: str, at_ns: int | None) -> Snapshot:
    """The snapshot in one file already read; its kind is told by content, never by its name.

    Raises FileFormatError for an unknown kind.
    """
    kind = kind_of_file(raw)
    if kind == "deribit-rest":
        from tailwag.sources.deribit import read_deribit

        return read_deribit(raw, currency=currency, at_ns=at_ns)
    if kind in ("deribit-chain", "deribit-chain-csv", "deribit-summary-csv"):
        return _read_deribit_table(kind, raw, currency=currency, at_ns=at_ns)
    if kind == "daily":
        return _read_daily(raw, currency=currency, at_ns=at_ns)
    if kind == "cboe":
        from tailwag.sources.cboe import read_cboe
        from tailwag.sources.tables import csv_text

        return not_after(read_cboe(csv_text(raw), raw=raw, currency=currency), at_ns)
    if kind == "snapshot":
        from tailwag.sources.snapshot_file import read_snapshot

        return not_after(_of_currency(read_snapshot(raw), currency), at_ns)
    if kind == "csv":
        from tailwag.sources.tables import csv_text

        # an empty file, or one in another encoding, is told with its place before its header is judged
        csv_text(raw)
    raise FileFormatError(
        f"{raw.name}: {_unknown(kind)}; known are Deribit JSON, chain Parquet and CSV, OKX + Deribit daily Parquet, CBOE CSV, tailwag Parquet"
    )


def _unknown(kind: str) -> str:
    hints = {
        "parquet": "a Parquet file with the columns of no kind that is known",
        "csv": "a text file whose header belongs to no kind that is known",
        "trades": "these are trades, not a chain: give them as --rule flow:FILE",
    }
    return hints.get(kind, "neither JSON, CSV nor Parquet")


def _of_currency(snapshot: Snapshot, currency: str) -> Snapshot:
    if snapshot.currency != currency:
        raise EmptyChainError(
            f"{snapshot.source.name}: no {currency} option, it is a snapshot of {snapshot.currency}; choose another --currency"
        )
    return snapshot


def not_after(snapshot: Snapshot, at_ns: int | None) -> Snapshot:
    """The snapshot itself, refused where it is later than the time asked for.

    Raises EmptyChainError.
    """
    if at_ns is not None and snapshot.as_of_ns > at_ns:
        raise EmptyChainError(
            f"{snapshot.source.name}: no snapshot at or before {format_time(at_ns)}, its only one is of {format_time(snapshot.as_of_ns)}; "
            "give a later --at, or leave it out"
        )
    return snapshot


def kind_of_file(raw: RawFile) -> str:
    """What a file is, by its content: a kind of the table above, or 'parquet', 'csv', 'trades', 'unknown'."""
    if raw.data.startswith(b"PAR1"):
        return _kind_of_parquet(raw)
    start = raw.data[:64].lstrip(b" \t\r\n\xef\xbb\xbf")
    if start[:1] in (b"{", b"[") or (start[:1] == b'"' and b"," not in raw.data[:4_000].split(b"\n")[0]):
        return "deribit-rest"
    return _kind_of_text(raw)


def _is_cboe(raw: RawFile) -> bool:
    return any(line.startswith((b"Expiration Date,Calls", b'"Expiration Date","Calls"')) for line in raw.data[:4_000].split(b"\n")[:8])


def _kind_of_text(raw: RawFile) -> str:
    from tailwag.sources.tables import header_of

    if _is_cboe(raw):
        return "cboe"
    if any(byte < 9 for byte in raw.data[:256]) and not raw.data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "unknown"
    header = set(header_of(raw))
    if header >= _CHAIN_COLUMNS:
        return "deribit-chain-csv"
    if header >= _SUMMARY_COLUMNS:
        return "deribit-summary-csv"
    return "trades" if header >= {"trade_id", "direction"} else "daily" if header >= _DAILY_COLUMNS else "csv"


def _kind_of_parquet(raw: RawFile) -> str:
    from tailwag.sources.tables import open_parquet

    schema = open_parquet(raw).schema_arrow
    names = set(schema.names)
    if _is_own(schema.metadata or {}):
        return "snapshot"
    if names >= _CHAIN_COLUMNS:
        return "deribit-chain"
    if names >= _DAILY_COLUMNS:
        return "daily"
    return "trades" if names >= {"trade_id", "direction"} else "parquet"


def _is_own(metadata: dict[bytes, bytes]) -> bool:
    if not any(key.startswith(b"tailwag") for key in metadata):
        return False
    from tailwag.sources.snapshot_file import is_snapshot

    return bool(is_snapshot(metadata))


def _read_deribit_table(kind: str, raw: RawFile, *, currency: str, at_ns: int | None) -> Snapshot:
    from tailwag.sources import deribit_table

    readers = {
        "deribit-chain": deribit_table.read_chain_parquet,
        "deribit-chain-csv": deribit_table.read_chain_csv,
        "deribit-summary-csv": deribit_table.read_summary_csv,
    }
    return readers[kind](raw, currency=currency, at_ns=at_ns)


def _read_daily(raw: RawFile, *, currency: str, at_ns: int | None) -> Snapshot:
    import polars as pl

    from tailwag.sources.daily import read_daily
    from tailwag.sources.tables import open_parquet, read_columns

    opened = open_parquet(raw)
    frame = pl.from_arrow(read_columns(opened, raw, list(opened.schema_arrow.names)))
    if not isinstance(frame, pl.DataFrame):
        raise FileFormatError(f"{raw.name}: expected a table")
    return read_daily(frame, raw=raw, currency=currency, at_ns=at_ns)
