"""Everybody's same-step demand while a step clears: only paths whose price is still sought are asked about again.

What was last answered on each path is kept, so that the fills at the clearing price need no further question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, zero_row
from tailwag.sim.agents.protocol import Orders
from tailwag.sim.ledger import Fill
from tailwag.sim.orders import plus
from tailwag.sim.walked import Found, Market, searched

MOST_CHOSEN_SHARE = 0.75
"""Where more paths than this are sought all are asked about: choosing them costs more than asking."""

Answer = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


class Demands:
    """The demands of one step and what they answered last: USD, coin and their slopes, (4, paths) each.

    ``asked`` (2, paths): at which price and vol shift (None: the agents themselves were not asked yet).  A scratch of one clearing, written to as it asks.
    """

    __slots__ = ("answers", "asked", "in_coin", "orders", "searched")

    def __init__(self, orders: Sequence[Orders], paths: int) -> None:
        self.orders = [one for one in orders if one.demand is not None]
        self.answers = np.empty((len(self.orders), 4, paths))
        self.asked: FloatArray | None = None
        self.searched: BoolArray | None = None
        self.in_coin: BoolArray | None = None

    @property
    def known(self) -> bool:
        """Whether compiled code knows all of them."""
        return all(one.walked is not None for one in self.orders)

    def walk(self, market: Market) -> Found:
        """Clearing prices found by compiled code, with the answers there; paths that are left to the agents' own demands are noted in ``searched``.

        Each demand that compiled code knows is in one unit, whoever answers.
        """
        found = searched([one.walked for one in self.orders if one.walked is not None], market, self.answers)
        self.searched = np.zeros(market.rows.shape[1], dtype=np.bool_) if found.hard is None else found.hard
        self.in_coin = found.in_coin
        return found

    def ask(self, log_price: FloatArray, vol_shift: FloatArray, chosen: IntArray | None) -> FloatArray:
        """The answers on the chosen paths (None: all), (demands, 4, chosen); ``log_price`` and ``vol_shift`` (paths,)."""
        last = self._asked_last()
        if chosen is None:
            for kept, one in zip(self.answers, self.orders):
                assert one.demand is not None
                for row, part in zip(kept, one.demand(log_price, vol_shift)):
                    row[:] = part
            last[0], last[1] = log_price, vol_shift
            return self.answers
        price, shift = log_price[chosen], vol_shift[chosen]
        last[0, chosen], last[1, chosen] = price, shift
        found = np.empty((len(self.orders), 4, chosen.size))
        for rows, one in zip(found, self.orders):
            assert one.demand is not None
            answer = one.demand(log_price, vol_shift) if one.some is None else one.some(chosen)(price, shift)
            for row, part in zip(rows, answer):
                row[:] = part[chosen] if one.some is None else part
        self.answers[:, :, chosen] = found
        return found

    def _asked_last(self) -> FloatArray:
        """At which price and vol shift each path was asked about; nobody answers anything on a path before its first question."""
        if self.asked is None:
            self.asked = np.full((2, self.answers.shape[2]), np.nan)
            if self.searched is None:
                self.answers[:] = 0.0
        return self.asked

    @property
    def settled(self) -> bool:
        """Whether everybody's answers at the clearing prices are there already: compiled code asked about every path."""
        return self.searched is not None and not self.searched.any()

    def settle(self, log_price: FloatArray, vol_shift: FloatArray) -> None:
        """Have everybody's answer at these prices: asked again only where it was another that was asked about last."""
        last = self._asked_last()
        others = (last[0] != log_price) | (last[1] != vol_shift)
        other = np.flatnonzero(others if self.searched is None else others & self.searched)
        if other.size:
            every = self.searched is None and other.size > MOST_CHOSEN_SHARE * log_price.size
            self.ask(log_price, vol_shift, None if every else other)

    def added(self, fill: Fill, orders: Orders | None) -> Fill:
        """Late orders and what an agent's demand came to."""
        if orders is None or orders.demand is None:
            return fill
        place = next(place for place, one in enumerate(self.orders) if one is orders)
        usd, coin, *_ = self.answers[place]
        if self.in_coin is not None:
            usd, coin = (zero_row(coin.size), coin) if self.in_coin[place] else (usd, zero_row(usd.size))
        return Fill(plus(fill.usd, usd), plus(fill.coin, coin))


def chosen_paths(wanted: BoolArray) -> IntArray | None:
    """The wanted paths as numbers; None where it is not worth choosing them."""
    chosen = np.flatnonzero(wanted)
    return None if chosen.size > MOST_CHOSEN_SHARE * wanted.size else chosen


def only_where(orders: Orders, filled: BoolArray) -> Orders:
    """The demand of a maker: nothing where nobody came."""
    inner = orders.demand
    if inner is None:
        return orders

    def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        usd, coin, slope_usd, slope_coin = (np.where(filled, part, 0.0) for part in inner(log_price, vol_shift))
        return usd, coin, slope_usd, slope_coin

    return replace(orders, demand=demand, some=None, walked=None)
