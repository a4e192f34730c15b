"""What the compiled loop remembers between steps, and where: rows of 128 paths in flat buffers, at constant distances.

A *pack* is 128 paths that are stepped together, so that every loop has one length and every path meets the same instructions wherever it
stands. A pack's own numbers are rows of `Block.path`, an agent's are rows of `Block.own`.
"""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from tailwag.kernels.arrays import FloatArray, IntArray

__all__ = ["DUST_SHARE", "DUST_USD", "OWN_ROWS", "PATH_ROWS", "WIDTH", "Block", "Loop", "inside", "stepping"]

WIDTH = 128
"""Paths of one pack."""

# strict rules: no licence to reorder, so that bits do not depend on where a path stands
stepping = njit(error_model="numpy", fastmath=False, cache=True, nogil=True)
# handing a table, a reader and a block on costs more than a short function does: what runs for every path is written into its caller
inside = njit(error_model="numpy", fastmath=False, forceinline=True)

PATH_ROWS = 23
(
    LOG,
    FUNDAMENTAL,
    SHIFT,
    SPOT,
    LIVE,
    PREVIOUS,
    SPOT_BEFORE,
    PRE,
    SPOT_PRE,
    BASE,
    USD,
    COIN,
    STEEP_USD,
    STEEP_COIN,
    LOOKED,
    FOUND,
    TRADING,
    MIDDLE,
    AVERAGE,
    OUTCOME,
    STOPPED,
    GAMMA,
    SHOCK,
) = (row * WIDTH for row in range(PATH_ROWS))
"""Rows of a pack; passing impact follows, one row a term.

LOG price and its exogenous part (FUNDAMENTAL), vol SHIFT, SPOT, LIVE 1 or 0; the same before the step (PREVIOUS, SPOT_BEFORE) and before trading
(PRE, SPOT_PRE, BASE); net orders and their slopes; LOOKED: the log price at which net deltas were last read; FOUND: whether a clearing price exists;
TRADING: whether this step's fills stand; MIDDLE: the price of all fills; the settlement AVERAGE; GAMMA: everybody's hedged dollar gamma, and the speed that
follows from it; SHOCK: this step's exogenous increment.
"""

OWN_ROWS = 20
(
    HELD,
    BOUGHT,
    CASH,
    DELTA,
    SLOPE,
    CARRIED,
    SPEED,
    OFFSET,
    OWED,
    FLYING,
    AMOUNT,
    FILLED,
    CARRY,
    EXECUTION,
    OPTION,
    FUNDING,
    TURNOVER,
    TRADES,
    GAP_SQUARED,
    PEAK,
) = (row * WIDTH for row in range(OWN_ROWS))
"""Rows of an agent: coin HELD, USD BOUGHT, CASH spent less received before costs; its options' DELTA and SLOPE where last read and at the end of the
last step (CARRIED); the decision: SPEED (0: none), OFFSET, what is OWED to the target, orders FLYING; AMOUNT in its own unit, FILLED in USD; profit
sums; TURNOVER, TRADES, the mis-hedge and the PEAK position.
"""

# entries of `Loop.numbers`
SPOT_START, STOP, HALT, LIMIT, PER_USD, PER_COIN, BETA, OWN_VOL, COUPLED, DAMPED, SLOPED = range(11)
"""Start price, bounds on |log price|, most USD a step, impact of a step's flow, vol per log move, the price's vol; 1 where coupled, damped; 1 if late
agents look at slopes."""

# columns of `Loop.terms`
(
    BY_COIN,
    GAMMA_USD,
    SHARE,
    PACE,
    DELAY,
    POLICY,
    BAND,
    BAND_UNIT,
    TO_EDGE,
    IV,
    FUNDING_RATE,
    LANE,
    SLICES,
    SLOTS,
) = range(14)
"""An agent: 1 if it hedges options (in coin), dollar gamma, hedged share, speed, delay, policy, its band, vol, funding, the lane of its book, flights."""

NEVER, ALWAYS, IN_BAND, BY_GAMMA = 0.0, 1.0, 2.0, 3.0
"""Policies: none; whenever its time has come; outside a fixed band; outside one that widens with gamma (BAND is its factor)."""
SAME, TIMES_SPOT, OVER_SPOT = 0.0, 1.0, 2.0
"""How a band's width becomes the agent's own unit."""

FINISHED, RUNAWAY, DEPTH_EXHAUSTED, HALTED = 0.0, 1.0, 2.0, 3.0

DUST_USD, DUST_SHARE = 1e-4, 1e-12
"""A fill worth less than this, and less than this share of the peak position, is the last digit of a position and no trade: no gas."""


class Loop(NamedTuple):
    """What all packs and steps share, by step where it changes: (steps + 1,) with step 0 unused.

    `numbers` and `terms` (agents, columns) as named above; `passing` (2, terms): passing impact per USD and per coin, `kept` (steps + 1, terms): what of it
    stays over a step; `fading`: what of the vol shift stays; `may_trade` (agents, steps + 1): the time of a timed policy; `smooth` (agents, steps + 1):
    over what log distance its delta is smooth; `averaged`: grid times so far in the settlement window that is open, -1 where none is;
    `weights` (agents, slices) of an order.
    """

    numbers: FloatArray
    terms: FloatArray
    years: FloatArray
    passing: FloatArray
    kept: FloatArray
    fading: FloatArray
    may_trade: IntArray
    smooth: FloatArray
    averaged: IntArray
    weights: FloatArray


class Block(NamedTuple):
    """A block of paths in packs: state, orders on their way, and the trajectories it leaves, time first.

    `path` (packs, rows * WIDTH), `own` (packs, agents, rows * WIDTH), `flight` (packs, agents, slots, WIDTH), a ring by arrival; `log_price`, `fundamental`
    (steps + 1, paths; on entry `fundamental` holds each step's increments), `flow` (steps, paths); `shift` (steps + 1 or 0, paths);
    `positions` (agents or 0, steps + 1, paths), `flows` (agents or 0, steps, paths).
    """

    path: FloatArray
    own: FloatArray
    flight: FloatArray
    log_price: FloatArray
    fundamental: FloatArray
    flow: FloatArray
    shift: FloatArray
    positions: FloatArray
    flows: FloatArray
