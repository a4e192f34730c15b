"""Prices that jump: independently (Merton, Kou), with random variance (Bates), and in clusters (Hawkes)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.jumps import add_kou_jumps, add_normal_jumps, hawkes_step, poisson_counts
from tailwag.kernels.paths import gaussian_step, heston_coefficients, heston_step
from tailwag.sim.prices_checks import (
    Drift,
    check_drift,
    check_jump_count,
    check_jump_size,
    check_least,
    check_step,
    check_vol,
    no_state,
    price_key,
    same_start,
)
from tailwag.sim.prices_diffusion import State, check_heston, mean_variance

RATE_ADVICE = "give jumps per year, such as 20"


@dataclass(frozen=True, slots=True)
class Merton:
    """A steady price that now and then jumps by a normally distributed log move.

    ln S = drift t + vol W + sum of N normal jumps; N is Poisson.  Exact for a step of any length.  A drift given as a number is added as
    it is (jumps with a mean move ln S on top); "martingale" is -vol^2/2 - rate (E[e^J] - 1).  Units: per year; log moves (-0.02 is -2 %).
    Source: Merton 1976.

    >>> model = Merton(vol=0.5, jumps_per_year=20.0, jump_mean=-0.02, jump_std=0.06)
    >>> round(model.annual_vol, 6)
    0.574456

    Raises UnitError for per cent, InputError for a negative rate.
    """

    vol: float
    jumps_per_year: float
    jump_mean: float
    jump_std: float
    drift_per_year: Drift = 0.0

    def __post_init__(self) -> None:
        check_vol("vol", self.vol)
        check_least("jumps_per_year", self.jumps_per_year, 0.0, advice=RATE_ADVICE)
        check_jump_size(jump_mean=self.jump_mean, jump_std=self.jump_std)
        check_drift(self.drift_per_year)

    @property
    def annual_vol(self) -> float:
        """sqrt(vol^2 + rate E[J^2])."""
        return math.sqrt(self.vol**2 + self.jumps_per_year * (self.jump_mean**2 + self.jump_std**2))

    def scaled(self, factor: float) -> Merton:
        """The same with `factor` times the total vol: diffusion and jump sizes scale, the rate stays."""
        return replace(self, vol=factor * self.vol, jump_mean=factor * self.jump_mean, jump_std=factor * self.jump_std)

    def init(self, paths: int) -> State:
        """Nothing to remember but the number of paths."""
        return no_state(paths)

    def increments(self, state: State, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, State]:
        """Log increments of one step."""
        check_step(step, step_years)
        drift = self.drift_per_year
        if isinstance(drift, str):
            drift = -0.5 * self.vol**2 - self.jumps_per_year * normal_jump_gain(self.jump_mean, self.jump_std)
        key, expected = price_key(seed), self.jumps_per_year * step_years
        check_jump_count(expected)
        moves = gaussian_step(key, first_path, step, drift * step_years, self.vol * math.sqrt(step_years), state[0].size)
        counts = poisson_counts(key, first_path, step, expected, state[0].size)
        add_normal_jumps(moves, counts, key, first_path, step, self.jump_mean, self.jump_std)
        return moves, state


@dataclass(frozen=True, slots=True)
class Kou:
    """A steady price that jumps up or down by exponentially distributed log moves: skewed, fat tails.

    A jump is up with `up_probability` and mean size 1/up_rate, else down with mean size 1/down_rate; their number is Poisson.  Exact for a
    step of any length.  "martingale" is -vol^2/2 - rate (p a/(a - 1) + (1 - p) b/(b + 1) - 1), a = up_rate, b = down_rate.
    Units: per year; rates per unit log move (25 = jumps of 4 % on average).  Source: Kou 2002.

    >>> round(Kou(vol=0.5, jumps_per_year=20.0, up_probability=0.4, up_rate=30.0, down_rate=20.0).annual_vol, 6)
    0.572519

    Raises InputError for up_rate of 1 or less (E[e^J] is infinite), a probability outside [0, 1], or a negative rate.
    """

    vol: float
    jumps_per_year: float
    up_probability: float
    up_rate: float
    down_rate: float
    drift_per_year: Drift = 0.0

    def __post_init__(self) -> None:
        check_vol("vol", self.vol)
        check_least("jumps_per_year", self.jumps_per_year, 0.0, advice=RATE_ADVICE)
        if not 0.0 <= self.up_probability <= 1.0:
            raise InputError(f"expected up_probability from 0 to 1, got {self.up_probability:g}; 0.4 makes four jumps in ten go up")
        check_least("up_rate", self.up_rate, 1.0, beyond=True, advice="at 1 or less E[e^J] is infinite; jumps of 4 % on average are 25")
        check_least("down_rate", self.down_rate, 0.0, beyond=True, advice="jumps of 4 % on average are 25")
        check_drift(self.drift_per_year)

    @property
    def annual_vol(self) -> float:
        """sqrt(vol^2 + rate E[J^2])."""
        square = 2.0 * (self.up_probability / self.up_rate**2 + (1.0 - self.up_probability) / self.down_rate**2)
        return math.sqrt(self.vol**2 + self.jumps_per_year * square)

    def scaled(self, factor: float) -> Kou:
        """The same with `factor` times the total vol: diffusion and jump sizes scale, the rate stays."""
        check_least("factor", factor, 0.0, beyond=True, advice="a jump of no size has no rate")
        return replace(self, vol=factor * self.vol, up_rate=self.up_rate / factor, down_rate=self.down_rate / factor)

    def init(self, paths: int) -> State:
        """Nothing to remember but the number of paths."""
        return no_state(paths)

    def increments(self, state: State, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, State]:
        """Log increments of one step."""
        check_step(step, step_years)
        drift = self.drift_per_year
        if isinstance(drift, str):
            up, down = self.up_rate / (self.up_rate - 1.0), self.down_rate / (self.down_rate + 1.0)
            drift = -0.5 * self.vol**2 - self.jumps_per_year * (self.up_probability * up + (1.0 - self.up_probability) * down - 1.0)
        key, expected = price_key(seed), self.jumps_per_year * step_years
        check_jump_count(expected)
        moves = gaussian_step(key, first_path, step, drift * step_years, self.vol * math.sqrt(step_years), state[0].size)
        counts = poisson_counts(key, first_path, step, expected, state[0].size)
        add_kou_jumps(moves, counts, key, first_path, step, self.up_probability, self.up_rate, self.down_rate)
        return moves, state


@dataclass(frozen=True, slots=True)
class Bates:
    """Random variance and normal jumps together: Heston's price with Merton's jumps on top.

    "martingale" is -v/2 - rate (E[e^J] - 1).  State: (variance,).  Units and scheme as in :class:`Heston` and :class:`Merton`.
    Source: Bates 1996.

    >>> model = Bates(v0=0.36, kappa=3.0, theta=0.45, xi=1.2, rho=-0.25, jumps_per_year=20.0, jump_mean=-0.02, jump_std=0.06)
    >>> round(model.annual_vol, 6)
    0.728011

    Raises the errors of both.
    """

    v0: float
    kappa: float
    theta: float
    xi: float
    rho: float
    jumps_per_year: float
    jump_mean: float
    jump_std: float
    drift_per_year: Drift = 0.0

    def __post_init__(self) -> None:
        check_heston(self)
        check_least("jumps_per_year", self.jumps_per_year, 0.0, advice=RATE_ADVICE)
        check_jump_size(jump_mean=self.jump_mean, jump_std=self.jump_std)
        check_drift(self.drift_per_year)

    @property
    def annual_vol(self) -> float:
        """sqrt(theta + rate E[J^2]), in the long run; :meth:`vol_over` starts from v0."""
        return math.sqrt(self.theta + self._jump_variance())

    def vol_over(self, years: float) -> float:
        """Expected vol over the first `years`."""
        return math.sqrt(mean_variance(self.v0, self.kappa, self.theta, years) + self._jump_variance())

    def scaled(self, factor: float) -> Bates:
        """The same with `factor` times the total vol: variances, xi and jump sizes scale, the rate stays."""
        return replace(
            self,
            v0=factor**2 * self.v0,
            theta=factor**2 * self.theta,
            xi=factor * self.xi,
            jump_mean=factor * self.jump_mean,
            jump_std=factor * self.jump_std,
        )

    def init(self, paths: int) -> State:
        """Every path starts at v0."""
        return (same_start(self.v0, paths),)

    def increments(self, state: State, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, State]:
        """Log increments of one step, and the variances after it."""
        check_step(step, step_years)
        martingale = isinstance(self.drift_per_year, str)
        drift = self.drift_per_year
        if isinstance(drift, str):
            drift = -self.jumps_per_year * normal_jump_gain(self.jump_mean, self.jump_std)
        key, expected = price_key(seed), self.jumps_per_year * step_years
        check_jump_count(expected)
        numbers = heston_coefficients(self.kappa, self.theta, self.xi, self.rho, step_years=step_years, drift_per_year=drift)
        moves, variance = heston_step(state[0], key, first_path, step, numbers, martingale)
        counts = poisson_counts(key, first_path, step, expected, moves.size)
        add_normal_jumps(moves, counts, key, first_path, step, self.jump_mean, self.jump_std)
        return moves, (variance,)

    def _jump_variance(self) -> float:
        return self.jumps_per_year * (self.jump_mean**2 + self.jump_std**2)


@dataclass(frozen=True, slots=True)
class HawkesJumps:
    """Jumps call forth jumps: each raises the rate of the next, so they come in clusters, as liquidations do.

    rate(t) = base + sum over past jumps of n beta e^(-beta age); n < 1 is the number of direct children of a jump, 1/beta their mean delay
    in years.  Paths start at the mean rate base/(1 - n).  Jump sizes are normal.  Exact for a step of any length.
    State: (excess of the rate over its base,).  "martingale" takes rate(t) (E[e^J] - 1) off as it comes.
    Units: per year; log moves.  Source: Hawkes 1971; Bacry, Mastromatteo and Muzy 2015.

    >>> model = HawkesJumps(vol=0.5, base_jumps_per_year=10.0, branching_ratio=0.6, decay_per_year=2000.0, jump_mean=-0.01, jump_std=0.02)
    >>> model.mean_rate_per_year, round(model.annual_vol, 6)
    (25.0, 0.512348)

    Raises InputError for a branching ratio of 1 or more (the jumps never end), a base rate or decay of 0 or less.
    """

    vol: float
    base_jumps_per_year: float
    branching_ratio: float
    decay_per_year: float
    jump_mean: float
    jump_std: float
    drift_per_year: Drift = 0.0

    def __post_init__(self) -> None:
        check_vol("vol", self.vol)
        check_least("base_jumps_per_year", self.base_jumps_per_year, 0.0, beyond=True, advice=RATE_ADVICE)
        if not 0.0 <= self.branching_ratio < 1.0:
            raise InputError(
                f"expected branching_ratio from 0 to below 1, got {self.branching_ratio:g}; at 1 each jump calls forth another without end"
            )
        check_least("decay_per_year", self.decay_per_year, 0.0, beyond=True, advice="clusters of about an hour are 8760")
        check_jump_size(jump_mean=self.jump_mean, jump_std=self.jump_std)
        check_drift(self.drift_per_year)

    @property
    def mean_rate_per_year(self) -> float:
        """Jumps expected a year, children included."""
        return self.base_jumps_per_year / (1.0 - self.branching_ratio)

    @property
    def annual_vol(self) -> float:
        """sqrt(vol^2 + rate E[J^2]): the expected sum of squared moves; clustered jumps with a mean make long returns vary more than that."""
        return math.sqrt(self.vol**2 + self.mean_rate_per_year * (self.jump_mean**2 + self.jump_std**2))

    def scaled(self, factor: float) -> HawkesJumps:
        """The same with `factor` times the total vol: diffusion and jump sizes scale, rates stay."""
        return replace(self, vol=factor * self.vol, jump_mean=factor * self.jump_mean, jump_std=factor * self.jump_std)

    def init(self, paths: int) -> State:
        """Every path starts at the mean rate."""
        return (same_start(self.mean_rate_per_year - self.base_jumps_per_year, paths),)

    def jumps(self, state: State, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, State]:
        """Number of jumps of each path in this step, and the state after it: the part of :meth:`increments` that counts."""
        check_step(step, step_years)
        check_jump_count(self.mean_rate_per_year * step_years)
        kick = self.branching_ratio * self.decay_per_year
        numbers = (step_years, self.base_jumps_per_year, kick, self.decay_per_year)
        counts, excess = hawkes_step(state[0], price_key(seed), first_path, step, *numbers)
        return counts.astype(np.float64), (excess,)

    def increments(self, state: State, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, State]:
        """Log increments of one step, and the excess rates after it."""
        counts, new = self.jumps(state, step=step, step_years=step_years, seed=seed, first_path=first_path)
        drift = -0.5 * self.vol**2 if isinstance(self.drift_per_year, str) else self.drift_per_year
        key, deviation = price_key(seed), self.vol * math.sqrt(step_years)
        moves = gaussian_step(key, first_path, step, drift * step_years, deviation, counts.size)
        if isinstance(self.drift_per_year, str):
            # the excess rate obeys dY = -beta Y dt + n beta dN, which gives its integral over the step without any approximation
            fed = self.branching_ratio * self.decay_per_year * counts
            integral = self.base_jumps_per_year * step_years + (state[0] - new[0] + fed) / self.decay_per_year
            moves -= normal_jump_gain(self.jump_mean, self.jump_std) * integral
        add_normal_jumps(moves, counts.astype(np.int64), key, first_path, step, self.jump_mean, self.jump_std)
        return moves, new


def normal_jump_gain(jump_mean: float, jump_std: float) -> float:
    """E[e^J] - 1 of a normal log jump."""
    return math.expm1(jump_mean + 0.5 * jump_std**2)
