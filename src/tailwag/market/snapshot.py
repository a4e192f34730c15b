"""Snapshot: chain, futures, perps, books, trades and liquidations of one currency at one UTC time, with where they came from."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray, TextArray, frozen
from tailwag.market.book import OrderBook
from tailwag.market.chain import Chain
from tailwag.market.clock import format_time
from tailwag.market.liquidations import Liquidations
from tailwag.market.trades import Trades

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True, slots=True)
class Source:
    """Where a snapshot came from; ``sha256`` is of the bytes read; ``synthetic`` data are labelled wherever they appear."""

    kind: str
    name: str
    sha256: str = ""
    synthetic: bool = False


@dataclass(frozen=True, slots=True)
class Futures:
    """Dated futures and perps.  Shapes: every column (n,); missing numbers are NaN; ``expiry_ns`` is 0 for a perp."""

    instrument: TextArray
    venue: TextArray
    kind: TextArray
    """'perp', 'future' or 'spot'."""
    settlement: TextArray
    expiry_ns: IntArray
    mark_usd: FloatArray
    bid_usd: FloatArray
    ask_usd: FloatArray
    open_interest_usd: FloatArray
    volume_24h_usd: FloatArray
    funding_8h: FloatArray
    usd_per_contract: FloatArray
    """Size of one inverse contract; NaN where it is linear or not known."""
    coin_per_contract: FloatArray
    """Size of one linear contract; NaN where it is inverse or not known."""

    @classmethod
    def from_columns(cls, *, instrument: Any = (), **columns: Any) -> Futures:
        """A table from whatever columns a source has."""
        size = len(instrument)
        text = {"venue": "", "kind": "future", "settlement": "inverse"}
        filled: dict[str, Any] = {}
        for field in fields(cls):
            if field.name == "instrument":
                continue
            dtype: Any = object if field.name in text else np.int64 if field.name == "expiry_ns" else np.float64
            default: Any = text.get(field.name, 0 if dtype is np.int64 else np.nan)
            filled[field.name] = frozen(columns.pop(field.name, np.full(size, default, dtype=dtype)), dtype)
        if columns:
            raise TypeError(f"Futures has no column {', '.join(sorted(columns))}")
        return cls(instrument=frozen(list(instrument), object), **filled)

    def __len__(self) -> int:
        return int(self.instrument.size)

    def __str__(self) -> str:
        kinds = ", ".join(f"{int((self.kind == kind).sum())} {kind}" for kind in dict.fromkeys(self.kind.tolist()))
        volume = float(self.volume_24h_usd[np.isfinite(self.volume_24h_usd)].sum())
        return f"{kinds}: {volume / 1e6:,.0f} M USD traded in 24 h" if len(self) else "no futures, perps or spot pairs"

    def to_frame(self) -> polars.DataFrame:
        """One row per instrument; null where unknown."""
        import polars as pl

        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        frame = pl.DataFrame(
            [
                pl.Series(name, list(values), dtype=pl.String) if values.dtype == object else pl.Series(name, values)
                for name, values in columns.items()
            ]
        )
        return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that was observed of one currency at one time.

    ``spot_usd`` is the median index price over the chain's rows.  ``degraded`` holds one sentence for each doubt about the whole.
    """

    currency: str
    as_of_ns: int
    spot_usd: float
    chain: Chain
    futures: Futures
    source: Source
    books: tuple[OrderBook, ...] = ()
    trades: Trades | None = None
    degraded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    liquidations: Liquidations | None = None
    """Forced trades in futures and perps since the snapshot before; None where the source does not say."""

    @property
    def venues(self) -> tuple[str, ...]:
        """Venues whose options are in the chain, in alphabetical order."""
        return tuple(sorted(set(self.chain.venue.tolist())))

    def with_parts(self, **parts: Any) -> Snapshot:
        """The same snapshot with some parts replaced."""
        return replace(self, **parts)

    def to_frame(self) -> polars.DataFrame:
        """The chain, one row per listed option; ``futures`` and each of ``books`` have frames of their own."""
        return self.chain.to_frame()

    def __str__(self) -> str:
        made = "SYNTHETIC " if self.source.synthetic else ""
        return (
            f"{made}{self.currency} at {format_time(self.as_of_ns)}: {len(self.chain)} options on {', '.join(self.venues) or 'no venue'}, "
            f"spot {self.spot_usd:,.2f} USD, {float(self.chain.counted_open_interest_coin().sum()):,.0f} {self.currency} open interest"
        )
