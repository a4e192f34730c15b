"""Fundamental vol from observed vol: what was observed already holds the feedback, so it must not be fed in and amplified once more."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.sim import fast
from tailwag.sim.blocks import paths_per_block, run_block
from tailwag.sim.dynamics import Replay, expected_vol
from tailwag.sim.engine import RunPlan, State, init, plan_run, step
from tailwag.sim.fast import FastPlan
from tailwag.sim.metrics_sentences import span
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import BlockPaths
from tailwag.units import HOURS_PER_YEAR

CALIBRATION_PATHS = 4096
MOST_ROUNDS = 25
TOLERANCE = 1e-6
LEAST_SLOPE, MOST_SLOPE = 0.2, 5.0
"""Elasticity of the closed loop's vol to the fundamental one, as far as a step of the search trusts it."""
MOST_INVERSIONS = 60
INVERSION_LOG = 2e-15


@dataclass(frozen=True, slots=True)
class Calibration:
    """A scenario whose closed loop shows the observed vol, and how it was found.

    ``factor`` scales the price model's vol; ``closed_vol`` is what the calibrated loop shows on the calibration's own shocks and
    ``double_counted_vol`` what the loop would have shown had the observed vol been fed in as fundamental (None: paths would have run away).
    """

    scenario: Scenario
    factor: float
    observed_vol: float
    fundamental_vol: float
    closed_vol: float
    double_counted_vol: float | None
    horizon_steps: int
    paths: int

    @property
    def horizon_hours(self) -> float:
        """The length of the returns whose vol was matched."""
        years = self.scenario.grid.years
        return float(years[self.horizon_steps] - years[0]) * HOURS_PER_YEAR

    @property
    def span(self) -> str:
        """The same in words: vols of shorter returns differ where hedging trends or reverts."""
        return span(self.horizon_hours)

    def __str__(self) -> str:
        twice = "have run away" if self.double_counted_vol is None else f"have come out as {100 * self.double_counted_vol:.2f} %"
        return (
            f"the observed vol of {100 * self.observed_vol:.2f} % already contains hedging: a fundamental vol of "
            f"{100 * self.fundamental_vol:.2f} % closes the loop at {100 * self.closed_vol:.2f} % for returns over {self.span} (fed in unchanged, the observed vol would {twice})"
        )


def calibrated(scenario: Scenario, *, seed: int, horizon_steps: int | None = None, paths: int = CALIBRATION_PATHS) -> Calibration:
    """Scale the price model so that the closed loop's vol equals the one the model was given (the observed one, over the run's length).

    Vol over ``horizon_steps`` (the whole run unless stated): sqrt(E[r_h^2] / h), estimated as model vol times the ratio of hedged to unhedged
    squared returns on the same shocks, which takes most of the noise out.  Each round rescales by observed / closed.
    Replayed candles are inverted instead, step by step (:func:`fundamental_returns`): the loop then moves as they did.
    InputError if paths stop early or the rounds do not settle: then no fundamental vol explains the observed one.
    """
    if isinstance(scenario.price, Replay):
        return _inverted(scenario, seed)
    horizon = scenario.grid.steps if horizon_steps is None else horizon_steps
    if not 1 <= horizon <= scenario.grid.steps:
        raise InputError(f"expected horizon_steps from 1 to the run's {scenario.grid.steps}, got {horizon}")
    observed, plan = expected_vol(scenario.price, scenario.grid.horizon_years), plan_run(scenario, seed=seed, full_pnl=False)
    quick = fast.prepare(plan) if fast.supports(scenario) is None else None
    tried: list[tuple[float, float]] = []
    ceiling = math.inf
    for _ in range(MOST_ROUNDS):
        factor = _next_factor(tried, ceiling)
        trial = replace(scenario, price=scenario.price.scaled(factor))
        ratio = _amplification(_runner(quick, plan, trial), horizon, paths, scenario.grid.steps)
        if ratio is None:
            ceiling = factor
            continue
        closed = factor * observed * ratio
        tried.append((math.log(factor), math.log(closed / observed)))
        if abs(closed / observed - 1.0) <= TOLERANCE:
            twice = observed * math.exp(tried[0][1]) if tried[0][0] == 0.0 else None
            return Calibration(trial, factor, observed, factor * observed, closed, twice, horizon, paths)
    raise InputError(
        f"expected a fundamental vol whose closed loop shows {100 * observed:.2f} %, got none in {MOST_ROUNDS} rounds; the gain is too near 1, or "
        "paths stop early: deepen the market, cut the gamma, or give the fundamental vol yourself"
    )


def _inverted(scenario: Scenario, seed: int) -> Calibration:
    """The replay whose closed loop moves as the observed candles did."""
    assert isinstance(scenario.price, Replay)
    observed = np.asarray(scenario.price.log_returns, dtype=np.float64)
    years = scenario.grid.horizon_years
    found = fundamental_returns(scenario, observed, seed=seed)
    twice = run_block(plan_run(scenario, seed=seed, full_pnl=False), 0, 1)
    vols = [float(np.sqrt((moves**2).sum() / years)) for moves in (observed, found, np.diff(twice.log_price[0]))]
    return Calibration(
        replace(scenario, price=Replay(found, years=years)),
        vols[1] / vols[0],
        vols[0],
        vols[1],
        vols[0],
        None if twice.outcome[0] else vols[2],
        1,  # step by step
        1,
    )


def _next_factor(tried: list[tuple[float, float]], ceiling: float) -> float:
    """Next scale to try: the observed vol over the closed one, then the secant of log against log; below any scale at which paths stopped."""
    if not tried:
        return min(1.0, 0.5 * ceiling)
    here, miss = tried[-1]
    slope = 1.0
    if len(tried) > 1 and here != tried[-2][0]:
        slope = (miss - tried[-2][1]) / (here - tried[-2][0])
    wanted = math.exp(here - miss / min(max(slope, LEAST_SLOPE), MOST_SLOPE))
    return wanted if wanted < ceiling else math.sqrt(math.exp(here) * ceiling)


def _runner(quick: FastPlan | None, plan: RunPlan, trial: Scenario) -> Callable[[int, int], BlockPaths]:
    """A block of the trial's paths; agents and their tables do not depend on the price model, so they are built once."""
    changed = replace(plan, scenario=trial)
    if quick is None:
        return partial(run_block, changed)
    return partial(fast.run_block, replace(quick, plan=changed))


def _amplification(block_of: Callable[[int, int], BlockPaths], horizon: int, paths: int, steps: int) -> float | None:
    """Ratio of hedged to unhedged vol over windows of ``horizon`` steps, on the same shocks; None where a path stopped early."""
    hedged, plain = 0.0, 0.0
    size = paths_per_block(steps)
    for first in range(0, paths, size):
        block = block_of(first, min(size, paths - first))
        if block.outcome.any():
            return None
        hedged += _squares(block.log_price, horizon)
        plain += _squares(block.fundamental_log, horizon)
    return float(np.sqrt(hedged / plain))


def _squares(log_price: FloatArray, horizon: int) -> float:
    ends = log_price[:, ::horizon]
    return float((np.diff(ends, axis=1) ** 2).sum())


class _Forced:
    """A price model that does what it is told: one increment for the next step."""

    annual_vol = 1.0

    def __init__(self) -> None:
        self.increment = 0.0

    def init(self, paths: int) -> tuple[FloatArray, ...]:
        return ()

    def increments(
        self, state: tuple[FloatArray, ...], *, step: int, step_years: float, seed: int, first_path: int
    ) -> tuple[FloatArray, tuple[FloatArray, ...]]:
        return np.array([self.increment]), ()

    def scaled(self, factor: float) -> _Forced:
        return self


def fundamental_returns(scenario: Scenario, log_returns: FloatArray, *, seed: int) -> FloatArray:
    """Invert the loop: the exogenous log returns under which this scenario's prices would have moved as observed.

    ``log_returns`` (steps,) are observed, one per grid step; so is the answer.  For a constant gain with passing impact this is
    F_t = (1 - g_P) x_t - D_t.  Replaying the answer through the same scenario gives the observed prices back.
    InputError where no exogenous move explains an observed one (a band dealer can make such gaps), naming the step.
    """
    observed = np.asarray(log_returns, dtype=np.float64)
    if observed.shape != (scenario.grid.steps,) or not np.isfinite(observed).all():
        raise InputError(
            f"expected {scenario.grid.steps} finite log returns, one per step, got shape {observed.shape}; resample the candles"
        )
    forced = _Forced()
    plan = plan_run(replace(scenario, price=forced), seed=seed, full_pnl=False)
    state, found = init(plan, 0, 1), np.zeros(observed.size)
    target = 0.0
    for number, move in enumerate(observed):
        target += float(move)
        guess, slope = float(move), 1.0
        for _ in range(MOST_INVERSIONS):
            forced.increment = guess
            after = step(plan, state)
            miss = target - float(after.log_price[0])
            if abs(miss) <= INVERSION_LOG:
                break
            guess, slope = _next_guess(plan, state, forced, guess, miss, slope)
        else:
            raise InputError(
                f"step {number + 1}: no exogenous move explains an observed log return of {move:.6g}; "
                "the hedging rule jumps there: use a rule that trades every step"
            )
        found[number], state = forced.increment, after
        target = float(after.log_price[0]) if after.outcome[0] else target
    return found


def _next_guess(plan: RunPlan, state: State, forced: _Forced, guess: float, miss: float, slope: float) -> tuple[float, float]:
    """Newton's step with the slope taken from a small change of the exogenous move."""
    bump = max(abs(miss), 1e-9)
    forced.increment = guess
    here = float(step(plan, state).log_price[0])
    forced.increment = guess + bump
    there = float(step(plan, state).log_price[0])
    steep = (there - here) / bump
    return guess + miss / (steep if steep > 1e-6 else slope), steep
