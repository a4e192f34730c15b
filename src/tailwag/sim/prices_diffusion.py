"""Prices that move without jumping: Brownian, with random variance, and with fat-tailed steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.paths import gaussian_step, gaussian_steps, heston_coefficients, heston_step, student_step
from tailwag.sim.prices_checks import (
    Drift,
    check_drift,
    check_least,
    check_step,
    check_variance,
    check_vol,
    no_state,
    price_key,
    same_start,
)

State = tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True)
class Gbm:
    """The price moves by the same volatility always: ln S takes independent normal steps.

    d ln S = drift dt + vol dW, exact for a step of any length; "martingale" is -vol^2/2.  Units: decimal vol and drift of ln S, per year.
    Source: Osborne 1959, Samuelson 1965.

    >>> model = Gbm(vol=0.6)
    >>> increments, _ = model.increments(model.init(3), step=1, step_years=1 / 365, seed=7, first_path=0)
    >>> increments.shape
    (3,)

    Raises UnitError for vol 60 instead of 0.60, InputError or RuleError for numbers no price can have.
    """

    vol: float
    drift_per_year: Drift = 0.0

    def __post_init__(self) -> None:
        check_vol("vol", self.vol)
        check_drift(self.drift_per_year)

    @property
    def annual_vol(self) -> float:
        """Expected vol a year."""
        return self.vol

    def scaled(self, factor: float) -> Gbm:
        """The same with `factor` times the vol."""
        return replace(self, vol=factor * self.vol)

    def init(self, paths: int) -> State:
        """Nothing to remember but the number of paths."""
        return no_state(paths)

    def increments(self, state: State, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, State]:
        """Log increments of one step."""
        check_step(step, step_years)
        deviation = self.vol * math.sqrt(step_years)
        return gaussian_step(price_key(seed), first_path, step, self._drift() * step_years, deviation, state[0].size), state

    def fill(self, out: FloatArray, years: FloatArray, *, seed: int, first_path: int) -> None:
        """Log increments of all steps of a grid of times `years` (steps + 1,) into `out` (steps, paths): those of :meth:`increments`."""
        lengths = np.diff(years)
        check_step(years.size - 1, float(lengths.min()))
        gaussian_steps(price_key(seed), first_path, self._drift() * lengths, self.vol * np.sqrt(lengths), out)

    def _drift(self) -> float:
        return -0.5 * self.vol**2 if isinstance(self.drift_per_year, str) else self.drift_per_year


@dataclass(frozen=True, slots=True)
class StudentT:
    """Each step of ln S is Student-t: large moves come more often than a normal law allows, at the same vol.

    step = drift dt + vol sqrt(dt) sqrt((nu - 2)/nu) T_nu, so every step has variance vol^2 dt whatever its length; a kurtosis exists for
    nu > 4 and is 3 + 6/(nu - 4) *per step* (sums of steps tend to the normal law).  E[S] does not exist: "martingale" is refused.
    Units: decimal vol a year.  Source: Praetz 1972; drawn as in Bailey 1994.

    >>> StudentT(vol=0.6, degrees_of_freedom=3.0).annual_vol
    0.6

    Raises InputError for 2 degrees of freedom or fewer (no variance), RuleError for "martingale".
    """

    vol: float
    degrees_of_freedom: float
    drift_per_year: float = 0.0

    def __post_init__(self) -> None:
        check_vol("vol", self.vol)
        check_least("degrees_of_freedom", self.degrees_of_freedom, 2.0, beyond=True, advice="at 2 or fewer the variance is infinite")
        check_drift(self.drift_per_year)
        given: object = self.drift_per_year
        if isinstance(given, str):
            raise RuleError(
                'expected drift_per_year of a Student-t price as a number, got "martingale"; E[e^x] is infinite, so no drift keeps it still'
            )

    @property
    def annual_vol(self) -> float:
        """Expected vol a year."""
        return self.vol

    def scaled(self, factor: float) -> StudentT:
        """The same with `factor` times the vol."""
        return replace(self, vol=factor * self.vol)

    def init(self, paths: int) -> State:
        """Nothing to remember but the number of paths."""
        return no_state(paths)

    def increments(self, state: State, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, State]:
        """Log increments of one step."""
        check_step(step, step_years)
        nu = self.degrees_of_freedom
        deviation = self.vol * math.sqrt(step_years * (nu - 2.0) / nu)
        return student_step(price_key(seed), first_path, step, self.drift_per_year * step_years, deviation, nu, state[0].size), state


@dataclass(frozen=True, slots=True)
class Heston:
    """Volatility is random too, reverts to a long-run level, and (rho < 0) rises when the price falls.

    d ln S = drift dt + sqrt(v) dW,  dv = kappa (theta - v) dt + xi sqrt(v) dB,  dW dB = rho dt;  "martingale" is -v/2.
    State: (variance,).  Units: v0 and theta are variances a year (60 % vol: 0.36), kappa and xi per year.
    Simulated by Andersen's quadratic-exponential scheme with E[S] exact in each step. Its bias vanishes with the step's length: measured on
    option prices it is below 3e-4 at kappa dt = 0.1, but where variance mostly lies at zero (Andersen's cases I and II) 6e-4 to 9e-4 at
    steps of a month and 3e-4 at six days.  Source: Heston 1993; Andersen 2008.

    >>> model = Heston(v0=0.36, kappa=3.0, theta=0.45, xi=1.2, rho=-0.25, drift_per_year="martingale")
    >>> round(model.vol_over(30 / 365), 6)
    0.608471

    Raises UnitError for variances above 100, InputError for kappa, theta or xi of 0 or less and for rho outside (-1, 1).
    """

    v0: float
    kappa: float
    theta: float
    xi: float
    rho: float
    drift_per_year: Drift = 0.0

    def __post_init__(self) -> None:
        check_heston(self)
        check_drift(self.drift_per_year)

    @property
    def annual_vol(self) -> float:
        """Expected vol a year in the long run, sqrt(theta); :meth:`vol_over` starts from v0."""
        return math.sqrt(self.theta)

    def vol_over(self, years: float) -> float:
        """Expected vol over the first `years`: square root of the mean of E[v]."""
        return math.sqrt(mean_variance(self.v0, self.kappa, self.theta, years))

    def scaled(self, factor: float) -> Heston:
        """The same with `factor` times the vol on every path: variances and xi scale with it."""
        return replace(self, v0=factor**2 * self.v0, theta=factor**2 * self.theta, xi=factor * self.xi)

    def init(self, paths: int) -> State:
        """Every path starts at v0."""
        return (same_start(self.v0, paths),)

    def increments(self, state: State, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, State]:
        """Log increments of one step, and the variances after it."""
        check_step(step, step_years)
        drift = 0.0 if isinstance(self.drift_per_year, str) else self.drift_per_year
        numbers = heston_coefficients(self.kappa, self.theta, self.xi, self.rho, step_years=step_years, drift_per_year=drift)
        martingale = isinstance(self.drift_per_year, str)
        moves, variance = heston_step(state[0], price_key(seed), first_path, step, numbers, martingale)
        return moves, (variance,)


def mean_variance(v0: float, kappa: float, theta: float, years: float) -> float:
    """Mean over [0, years] of E[v]: theta + (v0 - theta)(1 - e^(-kappa T))/(kappa T)."""
    return v0 if years <= 0.0 else theta + (v0 - theta) * -math.expm1(-kappa * years) / (kappa * years)


def check_heston(model: Heston | object) -> None:
    """Refuse variances, speeds and correlations that Heston's model cannot have."""
    numbers = {name: float(getattr(model, name)) for name in ("v0", "kappa", "theta", "xi", "rho")}
    check_variance("v0", numbers["v0"], above_zero=False)
    check_variance("theta", numbers["theta"], above_zero=True)
    check_least("kappa", numbers["kappa"], 0.0, beyond=True, advice="variance must revert; a half-life of 0.23 years is kappa = 3")
    check_least("xi", numbers["xi"], 0.0, beyond=True, advice="for a variance that does not vary take Gbm")
    check_least("rho", numbers["rho"], -1.0, beyond=True, advice="a correlation lies between -1 and 1")
    check_least("-rho", -numbers["rho"], -1.0, beyond=True, advice="a correlation lies between -1 and 1")
