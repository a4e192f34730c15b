"""Passes of the compiled loop before the market clears: the exogenous move, orders that arrive, and who wants to trade."""

from __future__ import annotations

import math

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.loop_rows import (
    ALWAYS,
    AMOUNT,
    BAND,
    BAND_UNIT,
    BASE,
    BOUGHT,
    BY_COIN,
    BY_GAMMA,
    COIN,
    COUPLED,
    DELAY,
    DELTA,
    FLYING,
    FOUND,
    FUNDAMENTAL,
    GAMMA_USD,
    HELD,
    LIVE,
    LOG,
    LOOKED,
    OFFSET,
    OVER_SPOT,
    OWED,
    OWN_VOL,
    PACE,
    PATH_ROWS,
    POLICY,
    PRE,
    PREVIOUS,
    SHARE,
    SHIFT,
    SHOCK,
    SLOPE,
    SLOTS,
    SPEED,
    SPOT,
    SPOT_BEFORE,
    SPOT_PRE,
    SPOT_START,
    STEEP_COIN,
    STEEP_USD,
    TIMES_SPOT,
    TO_EDGE,
    USD,
    WIDTH,
    stepping,
)
from tailwag.kernels.normal import exponential

__all__ = ["add_flying", "arrive", "decide", "demand", "move_before_trading"]

LEAST_VOL = 1e-4
NOWHERE = 1e300
"""No log price: nothing has been read in this step."""


@stepping
def move_before_trading(numbers: FloatArray, kept: FloatArray, fading: float, p: FloatArray) -> None:
    """Random move and decay of passing impact (`kept` (terms,) of it stays); paths that stopped stay where they are."""
    spot_start, own, coupled = numbers[SPOT_START], numbers[OWN_VOL], numbers[COUPLED]
    for j in range(WIDTH):
        p[PREVIOUS + j] = p[LOG + j]
        p[SPOT_BEFORE + j] = p[SPOT + j]
        p[PRE + j] = 0.0
    for term in range(kept.size):
        first, stays = (PATH_ROWS + term) * WIDTH, kept[term]
        passing = p[first : first + WIDTH]  # an array of its own, so that the compiler sees that it overlaps no other row
        for j in range(WIDTH):
            left = stays * passing[j]
            p[PRE + j] += left - passing[j]
            passing[j] = left
    for j in range(WIDTH):
        vol = own + p[SHIFT + j] if coupled > 0.0 else own
        vol = vol if vol > LEAST_VOL or coupled == 0.0 else LEAST_VOL
        moved = p[SHOCK + j] * (vol / own)
        live = p[LIVE + j] > 0.0
        p[FUNDAMENTAL + j] += moved
        p[PRE + j] = p[LOG + j] + (moved + p[PRE + j] if live else 0.0)
        p[BASE + j] = p[SHIFT + j] * fading if live else p[SHIFT + j]
    for j in range(WIDTH):
        p[SPOT_PRE + j] = spot_start * exponential(p[PRE + j])
        p[USD + j] = p[COIN + j] = p[STEEP_USD + j] = p[STEEP_COIN + j] = 0.0
        p[FOUND + j] = 1.0
        p[LOOKED + j] = NOWHERE


@stepping
def arrive(terms: FloatArray, p: FloatArray, own: FloatArray, flight: FloatArray, step: int) -> None:
    """Late orders that reach the market now, summed by unit; `terms`, `own` and `flight` of all agents."""
    for seat in range(terms.shape[0]):
        o = own[seat]
        for j in range(WIDTH):
            o[AMOUNT + j] = o[FLYING + j] = o[SPEED + j] = 0.0
        if terms[seat, DELAY] == 0.0:
            continue
        due = flight[seat, step % int(terms[seat, SLOTS])]
        row = COIN if terms[seat, BY_COIN] > 0.0 else USD
        for j in range(WIDTH):
            o[AMOUNT + j] = due[j] if p[LIVE + j] > 0.0 else 0.0
            due[j] = 0.0
        for j in range(WIDTH):
            p[row + j] += o[AMOUNT + j]


@stepping
def add_flying(o: FloatArray, ring: FloatArray, slots: int, step: int) -> None:
    """What an agent has on its way after this step's arrivals; `ring` (slots or more, paths)."""
    for j in range(WIDTH):
        o[FLYING + j] = 0.0
    for ahead in range(1, slots + 1):
        later = ring[(step + ahead) % slots]
        for j in range(WIDTH):
            o[FLYING + j] += later[j]


@stepping
def decide(terms: FloatArray, p: FloatArray, o: FloatArray) -> None:
    """An agent's decision at the price before trading, or, if it is late, at the cleared one: SPEED (0: none), OFFSET, what it OWES the target."""
    late = terms[DELAY] > 0.0
    at, spot_at = LOG if late else PRE, SPOT if late else SPOT_PRE
    by_coin, share, hedged, pace = terms[BY_COIN] > 0.0, terms[SHARE], terms[SHARE] * terms[GAMMA_USD], terms[PACE]
    held = HELD if by_coin else BOUGHT
    for j in range(WIDTH):
        o[OWED + j] = o[held + j] + o[FLYING + j]
    _half_widths(terms, p, o, spot_at)
    edge = terms[TO_EDGE]
    for j in range(WIDTH):
        target = -share * o[DELTA + j] if by_coin else -hedged * p[at + j]
        gap, half = target - o[OWED + j], o[OFFSET + j]
        o[SPEED + j] = pace if abs(gap) > half and p[LIVE + j] > 0.0 else 0.0
        o[OFFSET + j] = math.copysign(half, gap) * edge


@stepping
def _half_widths(terms: FloatArray, p: FloatArray, o: FloatArray, spot_at: int) -> None:
    """Half the band in the agent's own unit, into OFFSET; below zero where there is no band."""
    policy, width, unit = terms[POLICY], terms[BAND], terms[BAND_UNIT]
    if policy == ALWAYS:
        for j in range(WIDTH):
            o[OFFSET + j] = -1.0
        return
    if policy == BY_GAMMA:
        for j in range(WIDTH):
            spot = p[spot_at + j]
            dollar = terms[SHARE] * (o[SLOPE + j] * spot if terms[BY_COIN] > 0.0 else terms[GAMMA_USD])
            gamma = dollar / (spot * spot)
            o[OFFSET + j] = np.cbrt(width * spot * gamma * gamma)
    else:
        for j in range(WIDTH):
            o[OFFSET + j] = width
    if unit == TIMES_SPOT:
        for j in range(WIDTH):
            o[OFFSET + j] *= p[spot_at + j]
    elif unit == OVER_SPOT:
        for j in range(WIDTH):
            o[OFFSET + j] /= p[spot_at + j]


@stepping
def demand(terms: FloatArray, p: FloatArray, o: FloatArray) -> None:
    """Add what a same-step agent wants before trading, and its slope by log price, to the pack's net orders."""
    share, hedged = terms[SHARE], terms[SHARE] * terms[GAMMA_USD]
    if terms[BY_COIN] > 0.0:
        for j in range(WIDTH):
            p[COIN + j] += o[SPEED + j] * (-share * o[DELTA + j] - o[OWED + j] - o[OFFSET + j])
            p[STEEP_COIN + j] -= o[SPEED + j] * share * o[SLOPE + j]
    else:
        for j in range(WIDTH):
            p[USD + j] += o[SPEED + j] * (-hedged * p[PRE + j] - o[OWED + j] - o[OFFSET + j])
            p[STEEP_USD + j] -= o[SPEED + j] * hedged
