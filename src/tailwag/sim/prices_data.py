"""Prices made of real returns: shuffled in blocks, or replayed as they were."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.kernels.paths import bootstrap_step
from tailwag.sim.prices_checks import check_least, check_step, no_state, price_key, same_start
from tailwag.sim.prices_diffusion import State
from tailwag.units import HOURS_PER_YEAR

MOST_LOG_RETURN = 3.0
WHOLE = 1e-6  # a step may miss a whole number of candles by this share of a candle


@dataclass(frozen=True, slots=True, eq=False)
class Bootstrap:
    """Real candles in a new order: whole stretches are kept together, so that fat tails and clustered vol survive.

    Each path runs through the history from a random candle on and, with probability candle/block, leaps to another one: stretches last
    `block_hours` on average.  The last candle is followed by the first.  `demean` takes the mean return off (no drift).
    Shapes: log_returns (candles,), oldest first.  State: (the candle each path stands at,).  A step must last a whole number of candles.
    Source: Politis and Romano 1994 (stationary bootstrap).

    >>> hour = 1 / 8760
    >>> model = Bootstrap([0.01, -0.02, 0.015], candle_years=hour, block_hours=2.0)
    >>> increments, _ = model.increments(model.init(2), step=1, step_years=hour, seed=7, first_path=0)
    >>> bool(abs(increments).max() < 0.03)
    True

    Raises UnitError for returns in per cent, InputError for gaps, too few candles, or blocks shorter than a candle.
    """

    log_returns: FloatArray
    candle_years: float
    block_hours: float
    demean: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_returns", checked_returns(self.log_returns, least=2))
        check_least("candle_years", self.candle_years, 0.0, beyond=True, advice="an hour is 1/8760")
        hours = self.candle_years * HOURS_PER_YEAR
        if not (math.isfinite(self.block_hours) and self.block_hours >= hours * (1.0 - WHOLE)):
            raise InputError(
                f"expected block_hours of at least one candle ({hours:g} h), got {self.block_hours:g}; a day (24) keeps vol clusters"
            )

    @property
    def annual_vol(self) -> float:
        """Standard deviation of the candles, per year."""
        return float(np.std(self.log_returns)) / math.sqrt(self.candle_years)

    def scaled(self, factor: float) -> Bootstrap:
        """The same with `factor` times the vol: every return's distance from their mean is stretched."""
        mean = float(np.mean(self.log_returns))
        return replace(self, log_returns=mean + factor * (self.log_returns - mean))

    def init(self, paths: int) -> State:
        """No path has a candle yet."""
        return (same_start(-1.0, paths),)

    def increments(self, state: State, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, State]:
        """Log increments of one step, and the candles the paths have come to."""
        check_step(step, step_years)
        candles = round(step_years / self.candle_years)
        if candles < 1 or abs(step_years / self.candle_years - candles) > WHOLE * candles:
            raise InputError(
                f"expected steps of a whole number of candles ({self.candle_years * HOURS_PER_YEAR * 60:g} minutes), got "
                f"{step_years * HOURS_PER_YEAR * 60:g} minutes; change the time grid (a graded one does not fit) or the candles"
            )
        returns = self.log_returns - float(np.mean(self.log_returns)) if self.demean else self.log_returns
        restart = min(1.0, self.candle_years * HOURS_PER_YEAR / self.block_hours)
        moves, candle = bootstrap_step(state[0], price_key(seed), first_path, step, candles, restart, returns)
        return moves, (candle,)


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """The same given moves on every path: what happened, once more, for instance without the hedgers.

    Step k moves ln S by log_returns[k - 1].  `years` is how long they lasted together; only `annual_vol` asks for it.
    Shapes: log_returns (steps,).

    >>> model = Replay([0.01, -0.02])
    >>> model.increments(model.init(2), step=2, step_years=0.1, seed=0, first_path=0)[0]
    array([-0.02, -0.02])

    Raises InputError for gaps and for steps beyond the last return, UnitError for returns in per cent.
    """

    log_returns: FloatArray
    years: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_returns", checked_returns(self.log_returns, least=1))
        if self.years is not None:
            check_least("years", self.years, 0.0, beyond=True, advice="give the time that all returns took together")

    @property
    def annual_vol(self) -> float:
        """Realised vol a year: square root of the sum of squared returns over `years`."""
        if self.years is None:
            raise InputError("expected a replay that knows its length, got none; give Replay(log_returns, years=...) to ask for its vol")
        return math.sqrt(math.fsum(self.log_returns**2) / self.years)

    def scaled(self, factor: float) -> Replay:
        """The same with `factor` times every return."""
        return replace(self, log_returns=factor * self.log_returns)

    def init(self, paths: int) -> State:
        """Nothing to remember but the number of paths."""
        return no_state(paths)

    def increments(self, state: State, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, State]:
        """The return of this step, on every path; seed and path do not matter."""
        check_step(step, step_years)
        if not 1 <= step <= self.log_returns.size:
            raise InputError(f"expected a step from 1 to the {self.log_returns.size} returns of the replay, got {step}; shorten the run")
        return np.full(state[0].size, self.log_returns[step - 1]), state


def checked_returns(values: FloatArray, *, least: int) -> FloatArray:
    """A read-only copy of log returns; refuses gaps, wrong shapes, and per cent."""
    returns = frozen(values)
    if returns.ndim != 1 or returns.size < least:
        raise InputError(f"expected log_returns as one row of {least} or more, got shape {returns.shape}; give ln(close / close before)")
    if not np.isfinite(returns).all():
        first = int(np.flatnonzero(~np.isfinite(returns))[0])
        raise InputError(f"expected finite log_returns, got {returns[first]} at index {first}; fill or cut the gap in the candles")
    if not np.abs(returns).max() <= MOST_LOG_RETURN:
        largest = float(returns[np.abs(returns).argmax()])
        raise UnitError(f"expected log_returns within +-{MOST_LOG_RETURN:g}, got {largest:g}; give ln(close / close before), not per cent")
    return returns
