"""Order books: what rests at which distance, how far the book reaches, and what lies within x per cent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tailwag.kernels.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class OrderBook:
    """One instrument's resting orders at one time, in USD and coin whatever the contract.

    Shapes: bids (b,), asks (a,), best first.  ``complete`` is True only if the venue says the book has no more levels.
    """

    venue: str
    instrument: str
    kind: Literal["spot", "perp", "future"]
    as_of_ns: int
    bid_price_usd: FloatArray
    bid_coin: FloatArray
    ask_price_usd: FloatArray
    ask_coin: FloatArray
    complete: bool = False

    @property
    def mid_usd(self) -> float:
        """Mean of best bid and best ask."""
        return 0.5 * (float(self.bid_price_usd[0]) + float(self.ask_price_usd[0]))
