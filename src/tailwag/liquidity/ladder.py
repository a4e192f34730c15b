"""The real ladder: what a flow does to the price by walking one or several venues' order books, and how far those books reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.liquidity.laws import Impact, SumImpact, depth_usd_per_pct
from tailwag.liquidity.money import dollars
from tailwag.market.book import OrderBook

if TYPE_CHECKING:
    import polars

    from tailwag.market.snapshot import Snapshot

Extrapolation = Literal["linear", "square-root"]

SAME_PRICE_PCT = 1e-9
"""Distances closer than this are one price: far below any tick, far above the rounding of a ratio of prices."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """One side of the merged books: cumulative dollars resting within each distance from the mid, nearest first.

    Shapes: both (levels,).  ``reach_pct`` is the distance up to which every book still shows its levels; nothing beyond it is counted.
    ``complete`` means the venue says that nothing rests beyond.
    """

    distance_pct: FloatArray
    cumulative_usd: FloatArray
    reach_pct: float
    complete: bool

    @property
    def visible_usd(self) -> float:
        """Dollars resting within the reach."""
        return float(self.cumulative_usd[-1]) if self.cumulative_usd.size else 0.0

    def walk_pct(self, size_usd: float) -> float | None:
        """Distance of the last price that a market order of this size touches; None if it takes more than is visible."""
        if size_usd <= 0.0:
            return 0.0
        if size_usd > self.visible_usd:
            return None
        return float(self.distance_pct[int(np.searchsorted(self.cumulative_usd, size_usd, side="left"))])

    def within_usd(self, pct: float) -> float | None:
        """Dollars resting within ``pct`` of the mid; None beyond the reach."""
        if pct > self.reach_pct + SAME_PRICE_PCT and not self.complete:
            return None
        count = int(np.searchsorted(self.distance_pct, pct + SAME_PRICE_PCT, side="right"))
        return float(self.cumulative_usd[count - 1]) if count else 0.0


@dataclass(frozen=True, slots=True)
class BookImpact:
    """What the books that rest now would do: buys walk the asks, sells walk the bids.

    The move is the distance from the mid of the last price touched, so it holds half the spread and no recovery: the law of minutes.
    Distances are measured from each book's own mid (a dated future's premium is no depth), dollars of all books add, and the merged
    ladder ends where the first incomplete book ends.  Beyond that the answer is None, unless ``extrapolation`` says how to go on:
    'linear' at the average depth out to the reach, 'square-root' from the same point; both are labelled in ``source``.
    """

    bids: Ladder
    asks: Ladder
    basis: str
    extrapolation: Extrapolation | None = None
    name: str = "book"

    @classmethod
    def from_books(cls, books: Sequence[OrderBook], *, extrapolation: Extrapolation | None = None) -> BookImpact:
        """Merge the ladders of one or several books (several venues, perps and spot alike).

        Books of options are left out: delta is hedged with the underlying.  RuleError if no book of a spot, perp or future has both
        sides, or if the extrapolation is unknown.
        """
        if extrapolation not in (None, "linear", "square-root"):
            raise RuleError(f"expected extrapolation linear, square-root or none, got {extrapolation!r}")
        two_sided = [book for book in books if book.kind != "option" and len(book.bid_price_usd) and len(book.ask_price_usd)]
        if not two_sided:
            raise RuleError(
                "expected at least one order book of a spot, perp or future with bids and asks, got none; "
                "use the square-root law or state a depth"
            )
        named = ", ".join(f"{book.venue} {book.instrument}" for book in two_sided)
        return cls(bids=_merged(two_sided, side=-1), asks=_merged(two_sided, side=+1), basis=named, extrapolation=extrapolation)

    @classmethod
    def from_snapshot(cls, snapshot: Snapshot, *, extrapolation: Extrapolation | None = None) -> BookImpact:
        """All books of the snapshot merged.  RuleError if it holds none."""
        if not snapshot.books:
            raise RuleError(f"the snapshot ({snapshot.source.name}) holds no order book; use the square-root law or state a depth")
        return cls.from_books(snapshot.books, extrapolation=extrapolation)

    @property
    def reach_pct(self) -> tuple[float, float]:
        """How far the merged book reaches from the mid, (bid, ask), in per cent."""
        return self.bids.reach_pct, self.asks.reach_pct

    @property
    def source(self) -> str:
        """Which books, how far they reach, and what happens beyond."""
        beyond = f", beyond that EXTRAPOLATED ({self.extrapolation})" if self.extrapolation else ""
        return f"order book of {self.basis}, reach {self.reach_pct[0]:.2f} % below and {self.reach_pct[1]:.2f} % above the mid{beyond}"

    def depth_usd(self, pct: float) -> tuple[float | None, float | None]:
        """Dollars resting within ``pct`` of the mid, (bid, ask); None beyond the reach, never the visible sum."""
        return self.bids.within_usd(pct), self.asks.within_usd(pct)

    def price_move_pct(self, flow_usd: float) -> float | None:
        """Per cent, without sign: buys (+) walk the asks, sells (-) the bids; None beyond the reach unless extrapolated."""
        side = self._side(flow_usd)
        size = abs(flow_usd)
        walked = side.walk_pct(size)
        if walked is not None or self.extrapolation is None or side.visible_usd <= 0.0:
            return walked
        ratio = size / side.visible_usd
        return side.reach_pct * (ratio if self.extrapolation == "linear" else ratio**0.5)

    def depth_usd_per_pct(self, flow_usd: float) -> float | None:
        """Secant dollars per 1 % at this flow, on the side that it walks."""
        return depth_usd_per_pct(self, flow_usd)

    def is_extrapolated(self, flow_usd: float, move_pct: float = 0.0) -> bool:
        """True where the answer leans on prices that no book showed."""
        return self._side(flow_usd).walk_pct(abs(flow_usd)) is None or self._short_of(move_pct)

    def doubt_at_move(self, move_pct: float) -> str | None:
        """A book that reaches less far than the move says nothing about it, unless an extrapolation was asked for."""
        if self.extrapolation is not None or not self._short_of(move_pct):
            return None
        return f"the book reaches {min(self.reach_pct):.2f} %, less than the move of {move_pct:g} %; depth there was not seen"

    def reason(self, flow_usd: float) -> str:
        """Why the walk has no end: more is wanted than is visible."""
        side, rest = self._side(flow_usd), "asks" if flow_usd >= 0.0 else "bids"
        where = "the whole book" if side.complete else f"its reach of {side.reach_pct:.2f} %"
        return f"a flow of {dollars(flow_usd)} takes more than the {dollars(side.visible_usd)} of {rest} within {where}"

    def _side(self, flow_usd: float) -> Ladder:
        return self.asks if flow_usd >= 0.0 else self.bids

    def _short_of(self, move_pct: float) -> bool:
        return any(side.reach_pct + SAME_PRICE_PCT < move_pct and not side.complete for side in (self.bids, self.asks))

    def __add__(self, other: Impact) -> SumImpact:
        return SumImpact((self, other))

    def to_frame(self) -> polars.DataFrame:
        """One row per level of the merged ladders: side, distance from the mid in per cent, dollars up to there."""
        import polars as pl

        sides = (("bid", self.bids), ("ask", self.asks))
        return pl.concat(
            [
                pl.DataFrame({"distance_pct": ladder.distance_pct, "cumulative_usd": ladder.cumulative_usd}).select(
                    pl.lit(side).alias("side"), pl.all()
                )
                for side, ladder in sides
            ]
        )

    def __str__(self) -> str:
        return f"{self.name}: {self.source}"


def _merged(books: Sequence[OrderBook], *, side: int) -> Ladder:
    """Ladders of one side (+1 asks, -1 bids) laid over each other by distance from their own mids, cut at the shortest reach."""
    distances, sizes, reaches = [], [], []
    for book in books:
        price = np.asarray(book.ask_price_usd if side > 0 else book.bid_price_usd, dtype=np.float64)
        coin = np.asarray(book.ask_coin if side > 0 else book.bid_coin, dtype=np.float64)
        away = side * (price / book.mid_usd - 1.0) * 100.0
        distances.append(away)
        sizes.append(price * coin)
        if not book.complete:
            reaches.append(float(away.max()))
    distance, size = np.concatenate(distances), np.concatenate(sizes)
    reach = min(reaches) if reaches else float(distance.max())
    kept = distance <= reach + SAME_PRICE_PCT
    order = np.argsort(distance[kept], kind="stable")
    return Ladder(frozen(distance[kept][order]), frozen(np.cumsum(size[kept][order])), reach, not reaches)
