"""Markets whose loop gain is known because it was put in: the simulator's prices beside a panel that says the gain, to try the study on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tailwag.experiments.study.known import Known
from tailwag.experiments.study.returns import Returns, grid_returns
from tailwag.hedging.policies import EveryStep
from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.blocks import paths_per_block, run_block
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.scenario import Scenario
from tailwag.units import NS_PER_DAY, NS_PER_MINUTE

IMPACT_PER_USD = 2e-11
STEP_MINUTES = 15.0
START_NS = 1_767_225_600 * 1_000_000_000
"""2026-01-01, midnight UTC."""
GAINS = tuple(round(-0.4 + 0.05 * place, 2) for place in range(17))
"""The gains that a simulated dealer may have: from long gamma of 0.4 to short gamma of 0.4."""


@dataclass(frozen=True, slots=True)
class SimulatedHistory:
    """Returns of a simulated market, and what a panel would have said of it."""

    returns: Returns
    known: Known


def gain_path(segments: int, generator: np.random.Generator, *, spread: float = 0.15, persistence: float = 0.9) -> FloatArray:
    """A gain that wanders from one book to the next, on the levels of ``GAINS``, (segments,)."""
    shocks = generator.normal(0.0, spread * np.sqrt(1.0 - persistence**2), segments)
    level, path = generator.normal(0.0, spread), np.empty(segments)
    for place, shock in enumerate(shocks):
        path[place] = level
        level = persistence * level + shock
    levels: FloatArray = np.asarray(GAINS)
    nearest: FloatArray = levels[np.abs(path[:, None] - levels).argmin(axis=1)]
    return nearest


def simulated_moves(gains: FloatArray, steps: int, *, late: bool, seed: int, vol: float = 0.6, start: int = 0) -> FloatArray:
    """Log moves of one stretch of ``steps`` for each gain, (segments, steps), by the simulator: a dealer of constant dollar gamma in each.

    ``late``: hedges arrive one step later, r' = e + gain * r; otherwise in the step of the move, r = e / (1 - gain).  Each stretch has its own shocks:
    those of paths ``start``, ``start + 1`` and so on.
    """
    moves = np.empty((gains.size, steps))
    for gain in np.unique(gains):
        plan = plan_run(_scenario(float(gain), steps, late=late, vol=vol), seed=seed)
        for first, places in _stretches(
            np.flatnonzero(gains == gain), paths_per_block(steps), start + int(np.searchsorted(np.unique(gains), gain)) * 10_000_019
        ):
            moves[places] = np.diff(run_block(plan, first, places.size).log_price, axis=1)
    return moves


def _stretches(places: IntArray, most: int, first: int) -> Iterator[tuple[int, IntArray]]:
    for begin in range(0, places.size, most):
        yield first + begin, places[begin : begin + most]


def _scenario(gain: float, steps: int, *, late: bool, vol: float) -> Scenario:
    dealer = Dealer("dealer", EveryStep(), 1 if late else 0, gamma_usd=-gain / IMPACT_PER_USD, iv=vol)
    return Scenario(
        spot_usd=60_000.0,
        grid=TimeGrid.uniform(horizon_days=steps * STEP_MINUTES / 1440.0, step_minutes=STEP_MINUTES),
        price=Gbm(vol=vol),
        impact=ImpactModel(permanent_per_usd=IMPACT_PER_USD),
        agents=(dealer,),
        clearing="lagged" if late else "implicit",
        stop_log_move=4.0,
    )


def stretched(moves: FloatArray, gains: FloatArray, *, gap: bool) -> SimulatedHistory:
    """One market out of stretches, one after another; ``gap`` leaves a candle out between two of them, where a late hedge would go missing.

    The panel knows each stretch's gain as it begins; implied vol, gross gain and open interest say nothing.
    """
    segments, steps = moves.shape
    step_ns = int(STEP_MINUTES * NS_PER_MINUTE)
    price = np.concatenate([[0.0], np.cumsum(moves)])
    width = steps + (2 if gap else 0)
    cell = np.arange(price.size)
    if gap:
        cell, price = _with_openings(price, segments, steps)
    returns = grid_returns(START_NS + step_ns * cell, 60_000.0 * np.exp(price), step_ns)
    known_ns = START_NS + step_ns * (np.arange(segments, dtype=np.int64) * width + 1)
    return SimulatedHistory(returns, uninformed(known_ns, gains))


def _with_openings(price: FloatArray, segments: int, steps: int) -> tuple[IntArray, FloatArray]:
    """Each stretch begins with the candle that the one before it ended at, one step after a missing one."""
    width = steps + 2
    cells = (np.arange(segments)[:, None] * width + np.arange(steps + 1)[None, :]).ravel()
    ends = price[1:].reshape(segments, steps)
    begins = np.concatenate([[0.0], ends[:-1, -1]])
    return cells, np.concatenate([begins[:, None], ends], axis=1).ravel()


def uninformed(known_ns: IntArray, gains: FloatArray, *, iv: FloatArray | float = 0.6) -> Known:
    """A panel that knows the gain and nothing else that matters."""
    same = np.full(gains.size, 1.0)
    return Known(
        known_ns=known_ns,
        gain=gains.astype(np.float64),
        gross_gain=0.3 * same + 0.1 * np.cos(np.arange(gains.size)),
        expiring_gain=0.0 * same,
        expiring_gross_gain=0.1 * same,
        next_expiry_ns=(known_ns // NS_PER_DAY + 1) * NS_PER_DAY,
        spot_usd=60_000.0 * same,
        atm_iv_1d=iv * same * np.exp(0.05 * np.sin(0.7 * np.arange(gains.size))),
        atm_iv_7d=iv * same * np.exp(0.05 * np.sin(0.3 * np.arange(gains.size))),
        near_strike_usd=60_000.0 * same,
    )
