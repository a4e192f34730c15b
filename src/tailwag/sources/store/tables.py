"""The tables of a store: what each record says, as rows that other programs can query; times are UTC, unknown is null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.kernels.black import black_greeks
from tailwag.units import NS_PER_YEAR

if TYPE_CHECKING:
    import polars

    from tailwag.market.book import OrderBook
    from tailwag.market.chain import Chain
    from tailwag.market.liquidations import Liquidations
    from tailwag.market.snapshot import Futures, Snapshot
    from tailwag.market.trades import Trades
    from tailwag.sources.store.history import History
    from tailwag.sources.store.segments import Entry

VERSION = 2
"""Raised whenever a column changes: tables of another version are made anew."""
DEPTHS_PCT = (0.1, 0.5, 1.0, 2.0)
TABLES = ("snapshots", "options", "futures", "depth", "trades", "liquidations")
_SORTED_BY = {
    "options": ("as_of", "seq", "expiry", "strike_usd", "right"),
    "trades": ("time", "seq", "trade_id"),
    "liquidations": ("time", "seq", "trade_id"),
}
_GAMMA = 2
"""Row of gamma among the greeks."""
Frames = dict[str, "polars.DataFrame"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every row of a record begins with."""

    seq: int
    as_of_ns: int
    currency: str


def record_frames(history: History, entry: Entry) -> Frames:
    """The rows of one record, by table.

    Raises StoreError where the record is damaged.
    """
    from tailwag.sources.store.records import SNAPSHOT, TRADES

    record = entry.record
    if record.kind == SNAPSHOT:
        return snapshot_frames(history.snapshot(entry), seq=record.seq, received_ns=record.received_ns)
    if record.kind == TRADES:
        batch = history.batch(entry)
        return {"trades": _trades(batch.trades, Stamp(record.seq, record.as_of_ns, batch.currency))}
    return {}


def snapshot_frames(snapshot: Snapshot, *, seq: int, received_ns: int) -> Frames:
    """The rows of a snapshot, by table; tables without a row are left out."""
    stamp = Stamp(seq, snapshot.as_of_ns, snapshot.currency)
    options = _options(snapshot.chain, snapshot.futures, snapshot.spot_usd, stamp)
    found = {
        "snapshots": _summary(snapshot, options, stamp, received_ns),
        "options": options,
        "futures": _stamped(snapshot.futures.to_frame(), stamp),
        "depth": _depth(snapshot.books, stamp),
        "trades": None if snapshot.trades is None else _trades(snapshot.trades, stamp),
        "liquidations": None if snapshot.liquidations is None else _liquidations(snapshot.liquidations, stamp),
    }
    return {name: frame for name, frame in found.items() if frame is not None and len(frame)}


def empty_frames() -> Frames:
    """Every table with its columns and no row."""
    from tailwag.market.chain import Chain
    from tailwag.market.liquidations import Liquidations
    from tailwag.market.snapshot import Futures, Snapshot, Source
    from tailwag.market.trades import Trades

    stamp = Stamp(0, 0, "")
    chain = Chain.from_columns(currency="", as_of_ns=0, instrument=[])
    snapshot = Snapshot("", 0, 1.0, chain, Futures.from_columns(), Source("", ""))
    options = _options(chain, snapshot.futures, 1.0, stamp)
    return {
        "snapshots": _summary(snapshot, options, stamp, 0).clear(),
        "options": options,
        "futures": _stamped(snapshot.futures.to_frame(), stamp),
        "depth": _depth((), stamp),
        "trades": _trades(Trades.from_columns(instrument=[], trade_id=[], time_ns=[], amount_coin=[]), stamp),
        "liquidations": _liquidations(Liquidations.from_columns(), stamp),
    }


def joined_frames(many: list[Frames]) -> Frames:
    """The rows of several records under each other, in the order that a table is searched in."""
    import polars as pl

    found = {}
    for name, empty in empty_frames().items():
        frames = [frames[name] for frames in many if name in frames]
        frame = pl.concat([empty, *(one.cast(dict(empty.schema)) for one in frames)])  # type: ignore[arg-type]
        found[name] = frame.sort(_SORTED_BY.get(name, ("as_of", "seq")), maintain_order=True)
    return found


def _stamped(frame: polars.DataFrame, stamp: Stamp) -> polars.DataFrame:
    """The rows behind their record's number, time and currency; times without zone, to the microsecond, as databases have them."""
    import polars as pl

    times = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    frame = frame.with_columns([pl.col(name).dt.replace_time_zone(None).dt.cast_time_unit("us") for name in times])
    beside = [
        pl.lit(stamp.seq, pl.Int64).alias("seq"),
        _time(stamp.as_of_ns).alias("as_of"),
        pl.lit(stamp.currency, pl.String).alias("currency"),
    ]
    return frame.select([*beside, pl.all().exclude("seq", "as_of", "currency")])


def _time(time_ns: int) -> Any:
    import polars as pl

    return pl.lit(time_ns // 1_000, pl.Int64).cast(pl.Datetime("us"))


def _options(chain: Chain, futures: Futures, spot_usd: float, stamp: Stamp) -> polars.DataFrame:
    import polars as pl

    gamma, interest = _gamma(chain, futures), np.asarray(chain.live_open_interest_coin)
    usable = chain.usable & np.isfinite(gamma)
    columns = {
        "open_interest_coin": interest,
        "gamma_per_usd": np.where(usable, gamma, np.nan),
        "gross_gex_usd_per_pct": np.where(usable, interest * gamma * spot_usd**2 / 100.0, np.nan),
        "spot_usd": np.full(len(chain), spot_usd),
    }
    frame = chain.to_frame().with_columns([pl.Series(name, values, dtype=pl.Float64).fill_nan(None) for name, values in columns.items()])
    return _stamped(frame, stamp)


def _gamma(chain: Chain, futures: Futures) -> Any:
    """Black gamma on the expiry's forward, as a measurement has it, and each row's own volatility, (n,).

    NaN where one is missing or the option has expired.
    """
    from tailwag.market.forwards import forward_curve, pricing_curve

    forward, _ = pricing_curve(forward_curve(chain, futures)).rows(chain)
    years = (chain.expiry_ns - chain.as_of_ns) / NS_PER_YEAR
    known = chain.priced & (years > 0.0) & (forward > 0.0) & (chain.iv > 0.0) & (chain.strike_usd > 0.0)
    found = np.full(len(chain), np.nan)
    if known.any():
        row = black_greeks(chain.right[known].astype(np.float64), forward[known], chain.strike_usd[known], years[known], chain.iv[known])
        found[known] = row[_GAMMA]
    return found


def _summary(snapshot: Snapshot, options: polars.DataFrame, stamp: Stamp, received_ns: int) -> polars.DataFrame:
    import polars as pl

    columns = {
        "received": _time(received_ns),
        "spot_usd": pl.lit(snapshot.spot_usd, pl.Float64).fill_nan(None),
        "source": pl.lit(snapshot.source.name, pl.String),
        "source_kind": pl.lit(snapshot.source.kind, pl.String),
        "synthetic": pl.lit(snapshot.source.synthetic, pl.Boolean),
        "options": pl.lit(len(snapshot.chain), pl.Int64),
        "open_interest_coin": pl.lit(_sum(options["open_interest_coin"]), pl.Float64),
        "gross_gex_usd_per_pct": pl.lit(_sum(options["gross_gex_usd_per_pct"]), pl.Float64),
        "doubts": pl.lit(len(snapshot.degraded), pl.Int64),
    }
    return _stamped(pl.select(**columns), stamp)


def _sum(column: polars.Series) -> float | None:
    """As SQL sums: of nothing known, nothing is known."""
    return float(column.sum()) if column.count() else None


def _depth(books: tuple[OrderBook, ...], stamp: Stamp) -> polars.DataFrame:
    import polars as pl

    names = ("venue", "instrument", "kind")
    figures = ("mid_usd", "spread_bps", "reach_pct", *(f"{side}_{_pct(pct)}_usd" for pct in DEPTHS_PCT for side in ("bid", "ask")))
    rows = [(book.venue, book.instrument, book.kind, book.as_of_ns // 1_000, *_book_figures(book)) for book in books]
    schema = {**dict.fromkeys(names, pl.String), "book_as_of": pl.Int64, **dict.fromkeys(figures, pl.Float64)}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    times = pl.col("book_as_of").cast(pl.Datetime("us"))
    return _stamped(frame.with_columns(times, pl.col(pl.Float64).fill_nan(None)), stamp)


def _pct(pct: float) -> str:
    """In a column's name: 0.5 per cent is '0p5_pct'."""
    return f"{pct:g}".replace(".", "p") + "_pct"


def _book_figures(book: OrderBook) -> tuple[float | None, ...]:
    mid = book.mid_usd
    both = bool(book.bid_price_usd.size and book.ask_price_usd.size)
    spread = 1e4 * (float(book.ask_price_usd[0]) - float(book.bid_price_usd[0])) / mid if both else None
    depth = [side for pct in DEPTHS_PCT for side in book.depth_usd(pct)]
    return (mid if both else None, spread, book.reach_pct if np.isfinite(book.reach_pct) else None, *depth)


def _trades(trades: Trades, stamp: Stamp) -> polars.DataFrame:
    return _timed(trades.to_frame(), trades.time_ns, stamp)


def _liquidations(forced: Liquidations, stamp: Stamp) -> polars.DataFrame:
    return _timed(forced.to_frame(), forced.time_ns, stamp)


def _timed(frame: polars.DataFrame, time_ns: Any, stamp: Stamp) -> polars.DataFrame:
    import polars as pl

    time = pl.Series("time", np.asarray(time_ns) // 1_000, dtype=pl.Int64).cast(pl.Datetime("us"))
    return _stamped(frame.drop("time", strict=False).with_columns(time), stamp)
