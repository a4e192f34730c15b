"""Order books: what rests at which distance, how far the book reaches, and what lies within x per cent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray, frozen
from tailwag.market.clock import format_time

if TYPE_CHECKING:
    import polars


class Sides(NamedTuple):
    """One figure for each side of a book; None where the book does not reach that far."""

    bid: float | None
    ask: float | None


@dataclass(frozen=True, slots=True)
class Walk:
    """What a market order does to the visible book.

    ``flow_usd`` > 0 buys (eats asks), < 0 sells (eats bids); ``move_pct`` is the last price paid against the mid, ``cost_pct`` the average
    price paid against the mid: both signed like the flow, because buying lifts the price.
    """

    flow_usd: float
    last_price_usd: float
    average_price_usd: float
    move_pct: float
    cost_pct: float


@dataclass(frozen=True, slots=True)
class OrderBook:
    """One instrument's resting orders at one time, in USD and coin whatever the contract.

    Shapes: bids (b,), asks (a,), best first.  ``complete`` is True only if the venue says the book has no more levels; otherwise the
    book is known as far as its last level and not a cent further.

    Raises InputError if the book is crossed, out of order, or holds a price or amount that is not above 0.
    """

    venue: str
    instrument: str
    kind: Literal["spot", "perp", "future", "option"]
    as_of_ns: int
    bid_price_usd: FloatArray
    bid_coin: FloatArray
    ask_price_usd: FloatArray
    ask_coin: FloatArray
    complete: bool = False

    def __post_init__(self) -> None:
        _check_side(self, "bid", self.bid_price_usd, self.bid_coin, -1.0)
        _check_side(self, "ask", self.ask_price_usd, self.ask_coin, +1.0)
        if self.bid_coin.size and self.ask_coin.size and self.bid_price_usd[0] >= self.ask_price_usd[0]:
            raise InputError(
                f"{self.instrument[:40]!a}: crossed book, best bid {self.bid_price_usd[0]:g} is not below best ask {self.ask_price_usd[0]:g}; "
                "updates were lost or mixed: take a fresh snapshot of the book"
            )

    @classmethod
    def from_levels(
        cls,
        *,
        venue: str,
        instrument: str,
        kind: Literal["spot", "perp", "future", "option"],
        as_of_ns: int,
        bids: FloatArray,
        asks: FloatArray,
        complete: bool = False,
    ) -> OrderBook:
        """A book from (levels, 2) arrays of USD price and coin amount in any order; levels with amount 0 are gone.

        >>> import numpy as np
        >>> levels = OrderBook.from_levels(venue="x", instrument="BTC", kind="spot", as_of_ns=0,
        ...                                bids=np.array([[99.0, 1.0], [99.5, 2.0]]), asks=np.array([[100.5, 3.0]]))
        >>> levels.bid_price_usd, levels.mid_usd
        (array([99.5, 99. ]), 100.0)
        """
        bid, ask = _sorted_levels(bids, -1.0), _sorted_levels(asks, +1.0)
        return cls(venue, instrument, kind, as_of_ns, frozen(bid[:, 0]), frozen(bid[:, 1]), frozen(ask[:, 0]), frozen(ask[:, 1]), complete)

    def __str__(self) -> str:
        return (
            f"{self.venue} {self.instrument} at {format_time(self.as_of_ns)}: {self.bid_coin.size} bids and {self.ask_coin.size} asks around "
            f"{self.mid_usd:,.2f} USD, known within {self.reach_pct:.2f} %"
        )

    def to_frame(self) -> polars.DataFrame:
        """One row per level, best first: side, price in USD, amount in coin."""
        import polars as pl

        side = ["bid"] * self.bid_coin.size + ["ask"] * self.ask_coin.size
        price, coin = np.concatenate([self.bid_price_usd, self.ask_price_usd]), np.concatenate([self.bid_coin, self.ask_coin])
        return pl.DataFrame([pl.Series("side", side, dtype=pl.String), pl.Series("price_usd", price), pl.Series("amount_coin", coin)])

    @property
    def mid_usd(self) -> float:
        """Mean of best bid and best ask; NaN where one side is empty."""
        if not (self.bid_coin.size and self.ask_coin.size):
            return float("nan")
        return 0.5 * (float(self.bid_price_usd[0]) + float(self.ask_price_usd[0]))

    @property
    def side_reach_pct(self) -> Sides:
        """How far from the mid each side is known, in per cent; None where the side or the mid is missing.

        A complete book is known to the end, so its sides reach without limit.
        """
        if not (self.bid_coin.size and self.ask_coin.size):
            return Sides(None, None)
        if self.complete:
            return Sides(100.0, float("inf"))
        mid = self.mid_usd
        return Sides(100.0 * (1.0 - float(self.bid_price_usd[-1]) / mid), 100.0 * (float(self.ask_price_usd[-1]) / mid - 1.0))

    @property
    def reach_pct(self) -> float:
        """How far from the mid both sides are known, in per cent; 0 where a side is empty."""
        bid, ask = self.side_reach_pct
        return 0.0 if bid is None or ask is None else min(bid, ask)

    def depth_usd(self, pct: float) -> Sides:
        """USD resting within ``pct`` per cent of the mid, per side; None where the book does not reach that far.

        Never the visible sum in place of an unknown one.
        """
        bid_reach, ask_reach = self.side_reach_pct
        mid = self.mid_usd
        bid_rows = self.bid_price_usd >= mid * (1.0 - 0.01 * pct)
        ask_rows = self.ask_price_usd <= mid * (1.0 + 0.01 * pct)
        return Sides(
            None if bid_reach is None or bid_reach < pct else _usd(self.bid_price_usd, self.bid_coin, bid_rows),
            None if ask_reach is None or ask_reach < pct else _usd(self.ask_price_usd, self.ask_coin, ask_rows),
        )

    @property
    def visible_usd(self) -> tuple[float, float]:
        """USD on the whole visible bid and ask side: how much, never how deep."""
        return float(self.bid_price_usd @ self.bid_coin), float(self.ask_price_usd @ self.ask_coin)

    def walk(self, flow_usd: float) -> Walk | None:
        """Eat the book with a market order of ``flow_usd`` (+ buys, - sells); None where the visible book is exhausted first.

        >>> import numpy as np
        >>> book = OrderBook.from_levels(venue="x", instrument="BTC", kind="spot", as_of_ns=0,
        ...                              bids=np.array([[99.0, 1.0]]), asks=np.array([[101.0, 1.0], [102.0, 1.0]]))
        >>> round(book.walk(+152.0).move_pct, 9), round(book.walk(-50.0).move_pct, 9), book.walk(204.0)
        (2.0, -1.0, None)
        """
        mid = self.mid_usd
        price, coin = (self.ask_price_usd, self.ask_coin) if flow_usd > 0 else (self.bid_price_usd, self.bid_coin)
        spent = np.cumsum(price * coin)
        wanted = abs(flow_usd)
        last = int(np.searchsorted(spent, wanted))
        if not np.isfinite(mid) or not np.isfinite(flow_usd) or last >= spent.size:
            return None
        bought_coin = float(coin[:last].sum()) + (wanted - (float(spent[last - 1]) if last else 0.0)) / float(price[last])
        average = wanted / bought_coin if wanted > 0.0 else float(price[0])
        return Walk(flow_usd, float(price[last]), average, 100.0 * (float(price[last]) / mid - 1.0), 100.0 * (average / mid - 1.0))


def _usd(price: FloatArray, coin: FloatArray, rows: BoolArray) -> float:
    return float((price * coin)[rows].sum())


def _sorted_levels(levels: FloatArray, direction: float) -> FloatArray:
    table = np.asarray(levels, dtype=np.float64).reshape(-1, 2)
    table = table[table[:, 1] != 0.0]
    ordered: FloatArray = table[np.argsort(direction * table[:, 0], kind="stable")]
    return ordered


def _check_side(book: OrderBook, side: str, price: FloatArray, coin: FloatArray, direction: float) -> None:
    name = f"{book.instrument[:40]!a}: {side} side"
    if price.ndim != 1 or price.shape != coin.shape:
        raise InputError(f"{name} has {price.shape} prices and {coin.shape} amounts; give one amount for each price")
    if not (np.all(np.isfinite(price) & (price > 0.0)) and np.all(np.isfinite(coin) & (coin > 0.0))):
        raise InputError(f"{name} holds a price or an amount that is not above 0; the message it came from is damaged")
    if np.any(direction * np.diff(price) <= 0.0):
        raise InputError(f"{name} is not ordered best price first, each price once; sort it, or build it with OrderBook.from_levels")
