"""Trades: signed prints of options, one row each, with what decides whether their sign can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, TextArray, frozen
from tailwag.market.clock import format_time

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True, slots=True)
class Covered:
    """A span of time of which every option trade is known: all that ``venue`` printed in the table's currency in [from, to)."""

    venue: str
    from_ns: int
    to_ns: int


_BESIDE = ("repeats_removed", "covered")
"""Fields that are no columns."""


@dataclass(frozen=True, slots=True)
class Trades:
    """Option trades in time order.  Shapes: every column (n,).

    ``taker_sign`` is +1 where the venue's ``direction`` says buy, -1 for sell, 0 unknown; on block trades the venue's direction is the
    maker's, kept as sent.  ``liquidated`` is '' or which side was a liquidation: 'M' maker, 'T' taker, 'MT' both.
    """

    trade_id: TextArray
    instrument: TextArray
    time_ns: IntArray
    taker_sign: IntArray
    amount_coin: FloatArray
    price_quoted: FloatArray
    iv: FloatArray
    index_usd: FloatArray
    is_block: BoolArray
    is_combo: BoolArray
    liquidated: TextArray
    venue: TextArray
    """Where it printed; '' where the source does not say. Two venues may list instruments of one name."""
    repeats_removed: int = 0
    covered: tuple[Covered, ...] = ()
    """Spans of which nothing is missing; none where the source does not say."""

    @classmethod
    def from_columns(
        cls, *, trade_id: Any, instrument: Any, repeats_removed: int = 0, covered: tuple[Covered, ...] = (), **columns: Any
    ) -> Trades:
        """Trades from whatever columns a source has; absent ones are missing on every row."""
        size = len(instrument)
        kinds: dict[str, tuple[Any, Any]] = {
            "time_ns": (np.int64, 0),
            "taker_sign": (np.int64, 0),
            "amount_coin": (np.float64, np.nan),
            "price_quoted": (np.float64, np.nan),
            "iv": (np.float64, np.nan),
            "index_usd": (np.float64, np.nan),
            "is_block": (np.bool_, False),
            "is_combo": (np.bool_, False),
            "liquidated": (object, ""),
            "venue": (object, ""),
        }
        unknown = set(columns) - set(kinds)
        if unknown:
            raise TypeError(f"Trades has no column {', '.join(sorted(unknown))}")
        filled = {name: frozen(columns.get(name, np.full(size, default, dtype=dtype)), dtype) for name, (dtype, default) in kinds.items()}
        names = {"trade_id": frozen(trade_id, object), "instrument": frozen(instrument, object)}
        return cls(**names, repeats_removed=repeats_removed, covered=tuple(covered), **filled)

    def __len__(self) -> int:
        return int(self.instrument.size)

    def __str__(self) -> str:
        if not len(self):
            return "no trades"
        span = f"{format_time(int(self.time_ns[0]))} to {format_time(int(self.time_ns[-1]))}"
        block = (
            f"{int(self.is_block.sum()):,} block, {int(self.is_combo.sum()):,} combo, {int((self.liquidated != '').sum()):,} liquidation"
        )
        return f"{len(self):,} trades from {span} ({block}; {self.repeats_removed:,} repeats removed)"

    def covering(self, spans: tuple[Covered, ...]) -> Trades:
        """The same trades, with the spans of which they are known to be all there are."""
        return replace(self, covered=spans)

    def between(self, start_ns: int, end_ns: int) -> Trades:
        """Trades at or after ``start_ns`` and before ``end_ns``."""
        return self.select((self.time_ns >= start_ns) & (self.time_ns < end_ns))

    @classmethod
    def joined(cls, tables: Sequence[Trades]) -> Trades:
        """Several tables as one in time order; their counts of removed repeats and the spans they cover add up."""
        names = [f.name for f in fields(cls) if f.name not in _BESIDE]
        columns = {name: np.concatenate([getattr(table, name) for table in tables]) for name in names}
        order = np.argsort(columns["time_ns"], kind="stable")
        return cls.from_columns(
            repeats_removed=sum(table.repeats_removed for table in tables),
            covered=tuple(span for table in tables for span in table.covered),
            **{name: column[order] for name, column in columns.items()},
        )

    def to_frame(self) -> polars.DataFrame:
        """The trades as a Polars frame, times as UTC datetimes."""
        import polars as pl

        text = ("trade_id", "instrument", "liquidated", "venue")
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _BESIDE}
        frame = pl.DataFrame(
            {name: pl.Series(name, list(values), dtype=pl.String) if name in text else values for name, values in columns.items()}
        )
        return frame.with_columns(pl.from_epoch("time_ns", time_unit="ns").dt.replace_time_zone("UTC").alias("time"))

    def select(self, rows: Any) -> Trades:
        """The chosen rows in the chosen order; what is a choice claims to cover nothing."""
        kept = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name not in _BESIDE}
        return Trades.from_columns(repeats_removed=self.repeats_removed, **kept)
