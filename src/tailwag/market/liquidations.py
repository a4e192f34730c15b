"""Liquidations: orders that a venue placed in futures and perps for traders who ran out of margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray, TextArray, frozen
from tailwag.market.clock import format_time

if TYPE_CHECKING:
    import polars

_TEXT = ("venue", "instrument", "trade_id")


@dataclass(frozen=True, slots=True)
class Liquidations:
    """Forced trades in futures and perps, in time order.  Shapes: every column (n,); missing numbers are NaN.

    ``order_sign`` is +1 where the liquidated trader's order buys (a short was closed), -1 where it sells (a long was closed), 0 unknown;
    both sides of one trade may be liquidations, and then it is two rows of one ``trade_id``.

    >>> forced = Liquidations.from_columns(
    ...     instrument=["BTC-PERPETUAL"], venue=["deribit"], time_ns=[1_770_308_580 * 10**9], order_sign=[-1], amount_usd=[2_000_000.0]
    ... )
    >>> print(forced)
    1 liquidations from 2026-02-05T16:23:00Z to 2026-02-05T16:23:00Z: 0.0 M USD bought, 2.0 M USD sold
    """

    venue: TextArray
    instrument: TextArray
    time_ns: IntArray
    order_sign: IntArray
    amount_usd: FloatArray
    amount_coin: FloatArray
    price_usd: FloatArray
    trade_id: TextArray
    """'' where the venue gives none."""

    @classmethod
    def from_columns(cls, *, instrument: Any = (), **columns: Any) -> Liquidations:
        """Liquidations from whatever columns a source has; absent ones are missing on every row."""
        size = len(instrument)
        filled: dict[str, Any] = {}
        for field in fields(cls):
            if field.name == "instrument":
                continue
            dtype: Any = object if field.name in _TEXT else np.int64 if field.name in ("time_ns", "order_sign") else np.float64
            default: Any = "" if dtype is object else 0 if dtype is np.int64 else np.nan
            filled[field.name] = frozen(columns.pop(field.name, np.full(size, default, dtype=dtype)), dtype)
        if columns:
            raise TypeError(f"Liquidations has no column {', '.join(sorted(columns))}")
        return cls(instrument=frozen(list(instrument), object), **filled)

    def __len__(self) -> int:
        return int(self.instrument.size)

    def __str__(self) -> str:
        if not len(self):
            return "no liquidations"
        span = f"{format_time(int(self.time_ns[0]))} to {format_time(int(self.time_ns[-1]))}"
        bought, sold = (float(np.nansum(self.amount_usd[self.order_sign == sign])) / 1e6 for sign in (1, -1))
        return f"{len(self):,} liquidations from {span}: {bought:,.1f} M USD bought, {sold:,.1f} M USD sold"

    def between(self, start_ns: int, end_ns: int) -> Liquidations:
        """Liquidations at or after ``start_ns`` and before ``end_ns``."""
        return self.select((self.time_ns >= start_ns) & (self.time_ns < end_ns))

    @classmethod
    def joined(cls, tables: Sequence[Liquidations]) -> Liquidations:
        """Several tables as one in time order; those of equal times stay in the order given."""
        if not tables:
            return cls.from_columns()
        columns = {field.name: np.concatenate([getattr(table, field.name) for table in tables]) for field in fields(cls)}
        joined = cls.from_columns(**columns)
        return joined.select(np.argsort(joined.time_ns, kind="stable"))

    def select(self, rows: Any) -> Liquidations:
        """The chosen rows in the chosen order."""
        return Liquidations.from_columns(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def to_frame(self) -> polars.DataFrame:
        """One row per liquidation, times as UTC datetimes too; null where unknown."""
        import polars as pl

        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        frame = pl.DataFrame(
            {name: pl.Series(name, list(values), dtype=pl.String) if name in _TEXT else values for name, values in columns.items()}
        )
        return frame.with_columns(
            pl.col(pl.Float64).fill_nan(None), pl.from_epoch("time_ns", time_unit="ns").dt.replace_time_zone("UTC").alias("time")
        )
