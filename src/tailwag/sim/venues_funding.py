"""Funding that follows the premium, and the mark price that a venue liquidates on, between two steps of the engine."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.engine import RunPlan, SeatState, State
from tailwag.sim.venues_chain import SECONDS_PER_YEAR


def premium_after(premium: FloatArray, now: FloatArray, *, years: float, ema_seconds: float) -> FloatArray:
    """The averaged premium after a step that ended at premium ``now``: the gap to it shrinks by exp(-step / time constant); 0 s is no average.

    >>> premium_after(np.zeros(1), np.array([0.01]), years=30.0 / SECONDS_PER_YEAR, ema_seconds=30.0).round(6).tolist()
    [0.006321]
    """
    keeps = math.exp(-years * SECONDS_PER_YEAR / ema_seconds) if ema_seconds > 0.0 else 0.0
    return keeps * premium + (1.0 - keeps) * now


def charged(plan: RunPlan, state: State, rate: FloatArray) -> State:
    """Funding of the coming step at ``rate`` of the position's value, (paths,), + longs pay: liquidity providers are the other side.

    A trader with accounts of its own (leveraged traders) charges those instead, by its ``with_funding``.
    """
    spot = plan.scenario.spot_usd * np.exp(state.log_price)
    live_rate = np.where(state.live, rate, 0.0)
    seats, received = [], np.zeros(spot.shape)
    for seat, own in zip(plan.seats, state.seats):
        with_funding = getattr(seat.trader, "with_funding", None)
        if with_funding is not None:
            seats.append(replace(own, memory=with_funding(live_rate, spot, own.memory)))
            continue
        paid = live_rate * own.holding.position_coin * spot
        received = received + paid
        seats.append(replace(own, holding=own.holding.earning("funding_usd", -paid)))
    return replace(state, seats=tuple(seats), liquidity_usd=state.liquidity_usd + received)


def marked(plan: RunPlan, state: State, mark_usd: FloatArray) -> State:
    """The venue with its mark told to every trader that reads one (``with_mark``)."""
    seats: list[SeatState] = []
    for seat, own in zip(plan.seats, state.seats):
        with_mark = getattr(seat.trader, "with_mark", None)
        seats.append(own if with_mark is None else replace(own, memory=with_mark(mark_usd, own.memory)))
    return replace(state, seats=tuple(seats))
