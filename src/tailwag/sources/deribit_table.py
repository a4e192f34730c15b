"""Deribit chains kept as tables: the chain Parquet and CSV (many crawls in one file) and book summaries saved as CSV.

In the chain files ``snapshot`` names one crawl and ``timestamp`` is its start; rows were asked for one after another, so each has an
index price of its own.  Volatility is decimal, prices and open interest are in coin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwag.errors import EmptyChainError, FileFormatError, TimeError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.market.chain import Chain
from tailwag.market.clock import LATEST_NS, format_time, parse_time_ns, valid_time
from tailwag.market.instrument import CALL, CURRENCIES, PUT
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.market.validate import chain_doubts, validated
from tailwag.sources.deribit import VENUE, snapshot_from_records
from tailwag.sources.deribit_records import Record, find_records
from tailwag.sources.listing import COMBO, OPTION, OTHER, contradicted, kind_of, listed
from tailwag.sources.opening import RawFile, open_member
from tailwag.sources.spot import spot_of
from tailwag.sources.tables import (
    THRIFT_CONTAINERS,
    THRIFT_STRINGS,
    Table,
    number,
    numbers,
    open_parquet,
    plain_values,
    read_columns,
    read_table,
    strike_number,
)

REQUIRED = ("timestamp", "instrument_name", "strike", "expiry_datetime", "mark_price", "implied_volatility", "open_interest")
"""Columns without which a chain file is no chain; the others may be missing, on every row."""
_NUMBERS = {
    "bid_quoted": "bid_price",
    "ask_quoted": "ask_price",
    "mark_quoted": "mark_price",
    "iv": "implied_volatility",
    "underlying_usd": "underlying",
    "index_usd": "index_price",
    "open_interest_contracts": "open_interest",
    "volume_contracts": "volume",
    "delta_published": "delta",
    "gamma_published": "gamma",
    "vega_published": "vega",
}
_TEXTS = ("instrument_name", "underlying_name", "option_type")
_RIGHTS = {"call": CALL, "put": PUT, "C": CALL, "P": PUT}
_SCALE_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
Columns = dict[str, Any]


def read_chain_parquet(raw: RawFile, *, currency: str, at_ns: int | None = None) -> Snapshot:
    """The latest crawl at or before ``at_ns`` (or the last) in a chain Parquet; only its rows leave the file.

    Raises FileFormatError, TimeError (a timestamp without a zone), UnitError, EmptyChainError.
    """
    opened = open_parquet(raw)
    _check_types(opened.schema_arrow, raw)
    names = [name for name in ("snapshot", "currency", "timestamp", "instrument_name") if name in opened.schema_arrow.names]
    keys = read_columns(opened, raw, names)
    times = _arrow_times(keys.column("timestamp"))
    wanted = _wanted_rows(_arrow_words(keys.column("instrument_name")), currency, name=raw.name)
    groups = _arrow_words(keys.column("snapshot")) if "snapshot" in names else _one_word(len(times))
    rows = _chosen_rows(times, groups, wanted, at_ns=at_ns, name=raw.name)
    if rows.size == 0:
        return _empty(currency, raw, at_ns)
    known = [name for name in (*REQUIRED, *_TEXTS, *_NUMBERS.values()) if name in opened.schema_arrow.names]
    table = read_columns(opened, raw, list(dict.fromkeys(known))).slice(int(rows[0]), int(rows[-1] - rows[0]) + 1)
    inside = rows - rows[0]
    columns: Columns = {name: _arrow_text(table.column(name))[inside] for name in _TEXTS if name in known}
    columns |= {name: _arrow_numbers(table.column(name), name, raw)[inside] for name in {"strike", *_NUMBERS.values()} if name in known}
    columns["expiry_ns"] = _arrow_times(table.column("expiry_datetime"))[inside]
    return _snapshot(columns, times[rows], currency=currency, source=Source("deribit-chain", raw.name, raw.sha256))


def read_chain_csv(raw: RawFile, *, currency: str, at_ns: int | None = None) -> Snapshot:
    """The latest crawl at or before ``at_ns`` (or the last) in a chain CSV; a file without ``snapshot`` is one crawl.

    Raises FileFormatError as ``name:line:column``, TimeError, UnitError, EmptyChainError.
    """
    table = read_table(raw, required=REQUIRED)
    times = _text_times(table, "timestamp")
    wanted = _wanted_rows(_words(table.columns["instrument_name"]), currency, name=raw.name)
    groups = _words(table.columns["snapshot"]) if "snapshot" in table.columns else _one_word(len(table))
    rows = _chosen_rows(times, groups, wanted, at_ns=at_ns, name=raw.name)
    if rows.size == 0:
        return _empty(currency, raw, at_ns)
    picked = {name: [cells[row] for row in rows] for name, cells in table.columns.items()}
    columns: Columns = {name: np.array(picked[name], dtype=object) for name in _TEXTS if name in picked}
    columns |= {name: numbers(picked[name]) for name in _NUMBERS.values() if name in picked}
    columns["strike"] = np.array([strike_number(cell) for cell in picked["strike"]], dtype=np.float64)
    columns["expiry_ns"] = _text_times(table, "expiry_datetime")[rows]
    snapshot = _snapshot(columns, times[rows], currency=currency, source=Source("deribit-chain", raw.name, raw.sha256))
    return _doubting_cut(snapshot, table)


def read_summary_csv(raw: RawFile, *, currency: str, at_ns: int | None = None) -> Snapshot:
    """The snapshot in a book summary that somebody saved as CSV: the columns are the reply's keys.

    Raises FileFormatError as ``name:line:column``, TimeError, UnitError, EmptyChainError.
    """
    table = read_table(raw, required=("instrument_name", "mark_price", "open_interest", "creation_timestamp"))
    keys = [key for key in table.columns if key]
    records: list[Record] = [
        {key: cell if key in _SUMMARY_TEXTS else number(cell) for key, cell in zip(keys, cells) if cell != ""}
        for cells in zip(*(table.columns[key] for key in keys))
    ]
    found = find_records({"result": [{"instrument_name": "", **record} for record in records]}, name=raw.name)
    source = Source("deribit-rest", raw.name, raw.sha256)
    return _doubting_cut(snapshot_from_records(found, currency=currency, at_ns=at_ns, source=source), table)


_SUMMARY_TEXTS = frozenset(
    ["instrument_name", "base_currency", "quote_currency", "underlying_index", "currency", "expire_date", "option_type", "instrument_type"]
)


def parquet_span_ns(folder: str, name: str) -> tuple[int, int] | None:
    """First and last time in a chain Parquet by its footer alone; None where it is no chain or its footer does not say."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_member(folder, name) as handle:
        try:
            opened = pq.ParquetFile(handle, thrift_string_size_limit=THRIFT_STRINGS, thrift_container_size_limit=THRIFT_CONTAINERS)
            about, schema = opened.metadata, opened.schema_arrow
        except (OSError, ValueError, KeyError, pa.ArrowException):
            return None
    if not set(REQUIRED) <= set(schema.names) or not pa.types.is_timestamp(schema.field("timestamp").type):
        return None
    place, scale = about.schema.names.index("timestamp"), _SCALE_NS[schema.field("timestamp").type.unit]
    stated = [about.row_group(group).column(place).statistics for group in range(about.num_row_groups)]
    if not stated or any(one is None or not one.has_min_max for one in stated):
        return None
    return min(int(one.min_raw) for one in stated) * scale, max(int(one.max_raw) for one in stated) * scale


def csv_start_ns(raw: RawFile) -> int:
    """The time in the first row of a chain CSV, without reading the rest; 0 where it has none."""
    lines = [line.split(",") for line in raw.data[:20_000].decode("utf-8", "replace").split("\n") if line][:2]
    if len(lines) < 2 or "timestamp" not in lines[0] or lines[0].index("timestamp") >= len(lines[1]):
        return 0
    try:
        return parse_time_ns(lines[1][lines[0].index("timestamp")])
    except TimeError:
        return 0


def _doubting_cut(snapshot: Snapshot, table: Table) -> Snapshot:
    if not table.cut_short:
        return snapshot
    return snapshot.with_parts(
        degraded=(*snapshot.degraded, f"{table.name}: the last line has no line end, the file may have been cut short")
    )


def _snapshot(columns: Columns, times: IntArray, *, currency: str, source: Source) -> Snapshot:
    as_of_ns = int(times.min())
    names = columns["instrument_name"].tolist()
    kinds = [kind_of(name, currency) for name in names]
    rows = np.array([kind in (OPTION, OTHER) for kind in kinds], dtype=bool)
    chain = validated(_chain({key: values[rows] for key, values in columns.items()}, currency=currency, as_of_ns=as_of_ns))
    spot_usd, doubts = spot_of(chain, name=source.name)
    combos = kinds.count(COMBO)
    return Snapshot(
        currency=currency,
        as_of_ns=as_of_ns,
        spot_usd=spot_usd,
        chain=chain,
        futures=Futures.from_columns(),
        source=source,
        degraded=(*doubts, *chain_doubts(chain)),
        notes=(f"{combos} combos left out: their open interest is that of their legs",) if combos else (),
    )


def _chain(columns: Columns, *, currency: str, as_of_ns: int) -> Chain:
    names = columns["instrument_name"].tolist()
    listing = listed(names, currency)
    size = len(names)
    types = columns.get("option_type")
    right = listing.right if types is None else np.array([_RIGHTS.get(kind, 0) for kind in types.tolist()], dtype=np.int64)
    expiry_ns = columns["expiry_ns"]
    stated = np.full(size, 3 if types is None else 7, dtype=np.int64)
    codes = contradicted(listing, strike_usd=columns["strike"], expiry_ns=expiry_ns, right=right, stated=stated)
    found = {name: columns[key] for name, key in _NUMBERS.items() if key in columns}
    underlying_name = columns.get("underlying_name", np.full(size, "", dtype=object))
    return Chain.from_columns(
        currency=currency,
        as_of_ns=as_of_ns,
        instrument=names,
        venue=[VENUE] * size,
        right=listing.right,
        strike_usd=columns["strike"],
        expiry_ns=expiry_ns,
        settlement=listing.settlement,
        coin_per_contract=np.ones(size),
        underlying_name=[text[:40] for text in underlying_name.tolist()],
        codes=listing.codes | codes,
        **found,
    )


@dataclass(frozen=True, slots=True)
class _Words:
    """A text column as its distinct words and each row's place among them."""

    words: list[str]
    places: IntArray


def _one_word(size: int) -> _Words:
    return _Words([""], np.zeros(size, dtype=np.int64))


def _words(cells: list[str]) -> _Words:
    known: dict[str, int] = {}
    places = np.array([known.setdefault(cell, len(known)) for cell in cells], dtype=np.int64)
    return _Words(list(known), places)


def _wanted_rows(names: _Words, currency: str, *, name: str) -> BoolArray:
    """Rows that belong to a currency's chain: its own, and those whose name means nothing or an unknown underlying."""
    bases = [word.split("-", 1)[0].split("_", 1)[0] for word in names.words]
    wanted = np.array([base == currency or base not in CURRENCIES for base in bases], dtype=bool)
    rows: BoolArray = wanted[names.places] if bases else np.zeros(0, dtype=bool)
    if len(rows) and not rows.any():
        held = ascii(", ".join(sorted(set(bases))))[1:80]
        raise EmptyChainError(f"{name}: no {currency} option; it holds {held}; choose another --currency")
    return rows


def _chosen_rows(times: IntArray, groups: _Words, wanted: BoolArray, *, at_ns: int | None, name: str) -> IntArray:
    """Row numbers of the latest crawl that starts at or before ``at_ns``; a crawl starts at its earliest valid time."""
    usable = wanted & valid_time(times)
    if not usable.any():
        if wanted.any():
            raise TimeError(f"{name}: no row has a timestamp in 2009 to 2100; is it in another unit?")
        return np.zeros(0, dtype=np.int64)
    group = groups.places
    starts = np.full(len(groups.words), np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(starts, group[usable], times[usable])
    allowed = starts < np.iinfo(np.int64).max if at_ns is None else starts <= at_ns
    if not allowed.any():
        earliest = format_time(int(starts.min()))
        raise EmptyChainError(f"{name}: no snapshot at or before {format_time(at_ns or 0)}, the first is of {earliest}; give a later --at")
    chosen = int(np.argmax(np.where(allowed, starts, -1)))
    return np.flatnonzero(wanted & (group == chosen))


def _empty(currency: str, raw: RawFile, at_ns: int | None) -> Snapshot:
    as_of_ns = at_ns or 0
    return Snapshot(
        currency=currency,
        as_of_ns=as_of_ns,
        spot_usd=float("nan"),
        chain=Chain.from_columns(currency=currency, as_of_ns=as_of_ns, instrument=[]),
        futures=Futures.from_columns(),
        source=Source("deribit-chain", raw.name, raw.sha256),
        degraded=() if as_of_ns else ("the file has no rows and states no time",),
        notes=("empty: the file has a chain's header and no rows",),
    )


def _text_times(table: Table, column: str) -> IntArray:
    """A column of ISO 8601 times, (n,); 0 where it is none, TimeError with its place where it names no zone."""
    found: dict[str, int] = {}
    cells = table.columns[column]
    for row, cell in enumerate(cells):
        if cell not in found:
            found[cell] = _time_or_zero(cell, place=f"{table.name}:{table.first_line + row}:{list(table.columns).index(column) + 1}")
    return np.array([found[cell] for cell in cells], dtype=np.int64)


def _time_or_zero(cell: str, *, place: str) -> int:
    try:
        return parse_time_ns(cell)
    except TimeError as trouble:
        if "no offset" in str(trouble):
            raise TimeError(f"{place}: {trouble}") from None
        return 0


def _check_types(schema: Any, raw: RawFile) -> None:
    import pyarrow as pa

    missing = [name for name in REQUIRED if name not in schema.names]
    if missing:
        raise FileFormatError(f"{raw.name}: lacks the column {', '.join(missing)}; got {', '.join(schema.names)[:200]!a}")
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise FileFormatError(f"{raw.name}: has the column {', '.join(twice)[:80]!a} twice; which one counts is unknown, remove one")
    for name in ("timestamp", "expiry_datetime"):
        kind = schema.field(name).type
        if not pa.types.is_timestamp(kind):
            raise FileFormatError(f"{raw.name}: column {name} is {kind}, expected a timestamp with a zone; save it as one")
        if kind.tz is None:
            raise TimeError(f"{raw.name}: column {name} has no zone, so it names no moment; save it as UTC")
    for name in (*_TEXTS, "snapshot", "currency"):
        if name in schema.names and not _is_text(schema.field(name).type):
            raise FileFormatError(f"{raw.name}: column {name} is {schema.field(name).type}, expected text; save it as text")


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner))


def _arrow_words(column: Any) -> _Words:
    import pyarrow as pa

    whole = column.combine_chunks()
    encoded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    words = [word or "" for word in encoded.dictionary.to_pylist()]
    places, missing = plain_values(encoded.indices.cast(pa.int64()), np.int64)
    return _Words([*words, ""], np.where(missing, len(words), places))


def _arrow_text(column: Any) -> Any:
    """Text as Python strings, '' for null, each distinct text made once."""
    found = _arrow_words(column)
    return np.array(found.words, dtype=object)[found.places]


def _arrow_times(column: Any) -> IntArray:
    """Timestamps as UTC nanoseconds, 0 where null or beyond what nanoseconds hold."""
    import pyarrow as pa

    counts, missing = plain_values(column.cast(pa.int64()), np.int64)
    scale = _SCALE_NS[column.type.unit]
    return np.where(~missing & (np.abs(counts) < LATEST_NS // scale), counts, 0) * np.int64(scale)


def _arrow_numbers(column: Any, name: str, raw: RawFile) -> FloatArray:
    import pyarrow as pa

    kind = column.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise FileFormatError(f"{raw.name}: column {name} is {kind}, expected numbers; save it as numbers")
    values, missing = plain_values(column.cast(pa.float64(), safe=False), np.float64)
    return np.where(missing, np.nan, values)
