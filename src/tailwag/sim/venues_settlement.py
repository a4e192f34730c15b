"""A dated future that settles inside a run: on the mean of the index over its last 30 minutes, in cash, and then its venue is closed.

Grid times t_k in (T - 30 min, T] enter the mean, n of them.  With k of them known and the index at S, the mean is expected at (sum of the known +
(n - k) S) / n, so that each step moves it by (n - k) / n of what the index moves: the future fades into its settlement, and a leg that is hedged with the
index needs (T - t) / 30 min of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sim.engine import RunPlan, SeatState, State
from tailwag.sim.orders import Flight
from tailwag.sim.venues_price import Expiry


@dataclass(frozen=True, slots=True)
class Settling:
    """A future's way into its settlement.  Shapes: (paths,).

    ``total_usd``: sum of the index over the ``known`` grid times of the window so far; ``price_usd``: what it settled at (0 before), ``last_usd`` its price
    before that; ``outside_usd``: cash for positions that agents opened before the run, paid by whoever sold them those.
    """

    total_usd: FloatArray
    known: int
    price_usd: FloatArray
    last_usd: FloatArray
    outside_usd: FloatArray

    @classmethod
    def nothing(cls, paths: int) -> Settling:
        """The start."""
        none = np.zeros(paths)
        return cls(none, 0, none, none, none)

    def seen(self, index_usd: FloatArray, expiry: Expiry, step: int) -> Settling:
        """After a step that ended with this index."""
        if not expiry.first <= step <= expiry.step:
            return self
        return replace(self, total_usd=self.total_usd + index_usd, known=self.known + 1)

    def expected_log(self, index_usd: FloatArray, expiry: Expiry) -> FloatArray:
        """Log of the expected settlement price over the index, (paths,).

        >>> half = Settling(np.array([99.0]), 1, *(np.zeros(1),) * 3)
        >>> float(np.exp(half.expected_log(np.array([101.0]), Expiry(step=10, count=2)))[0] * 101.0)
        100.0
        """
        if self.known == 0:
            return np.zeros(index_usd.shape)
        return np.asarray(np.log((self.total_usd + (expiry.count - self.known) * index_usd) / (expiry.count * index_usd)))


def settle(plan: RunPlan, state: State, told: Settling) -> tuple[State, Settling]:
    """All positions of a venue closed in cash at the mean, orders on their way void; paths that stopped before are left as they are."""
    live, last = state.live, plan.scenario.spot_usd * np.exp(state.log_price)
    price = told.total_usd / told.known
    seats, paid = [], np.zeros(price.shape)
    for own in state.seats:
        closed, received = _closed_seat(own, price, last, live)
        seats.append(closed)
        paid = paid + received
    liquidity = np.where(live, state.liquidity_coin * price, 0.0)
    after = replace(
        state,
        seats=tuple(seats),
        liquidity_coin=np.where(live, 0.0, state.liquidity_coin),
        liquidity_usd=state.liquidity_usd + liquidity,
        log_price=np.where(live, np.log(price / plan.scenario.spot_usd), state.log_price),
    )
    settled = replace(told, price_usd=np.where(live, price, 0.0), last_usd=np.where(live, last, 0.0), outside_usd=paid + liquidity)
    return after, settled


def _closed_seat(own: SeatState, price: FloatArray, last: FloatArray, live: BoolArray) -> tuple[SeatState, FloatArray]:
    holding = own.holding
    received = np.where(live, holding.position_coin * price, 0.0)
    carried = np.where(live, holding.position_coin * (price - last), 0.0)
    closed = replace(holding.earning("delta_usd", carried, received), position_coin=np.where(live, 0.0, holding.position_coin))
    void = Flight(np.where(live, 0.0, own.flight.usd), np.where(live, 0.0, own.flight.coin))
    return replace(own, holding=closed, flight=void), received


def rested(state: State) -> State:
    """A step of a venue that is closed: nobody trades, nothing moves."""
    nothing = np.zeros(state.net_flow_usd.shape)
    return replace(state, step=state.step + 1, net_flow_usd=nothing, fills_usd=tuple(nothing for _ in state.fills_usd))


def expected_log_path(index_usd: FloatArray, expiry: Expiry) -> FloatArray:
    """Log of the expected settlement price over the index along whole paths, (paths, steps + 1); 0 before the window."""
    tilt = np.zeros(index_usd.shape)
    inside = slice(expiry.first, expiry.step + 1)
    known = np.arange(1, expiry.count + 1)
    expected = np.cumsum(index_usd[:, inside], axis=1) + (expiry.count - known) * index_usd[:, inside]
    tilt[:, inside] = np.log(expected / (expiry.count * index_usd[:, inside]))
    return tilt
