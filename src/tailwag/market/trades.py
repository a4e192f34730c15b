"""Trades: signed prints of options, one row each, with what decides whether their sign can be trusted."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, TextArray, frozen


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
    repeats_removed: int = 0

    @classmethod
    def from_columns(cls, *, trade_id: Any, instrument: Any, repeats_removed: int = 0, **columns: Any) -> Trades:
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
        }
        unknown = set(columns) - set(kinds)
        if unknown:
            raise TypeError(f"Trades has no column {', '.join(sorted(unknown))}")
        filled = {name: frozen(columns.get(name, np.full(size, default, dtype=dtype)), dtype) for name, (dtype, default) in kinds.items()}
        return cls(trade_id=frozen(trade_id, object), instrument=frozen(instrument, object), repeats_removed=repeats_removed, **filled)

    def __len__(self) -> int:
        return int(self.instrument.size)

    def select(self, rows: Any) -> Trades:
        """The chosen rows in the chosen order."""
        kept = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "repeats_removed"}
        return Trades.from_columns(repeats_removed=self.repeats_removed, **kept)
