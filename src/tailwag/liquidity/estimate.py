"""Lambda from trades: by how much a traded dollar moves the price, and how far hedging itself bends the estimate.

Hedgers trade because the price moved, so regressing returns on flow reads their answer as if it were a cause: with short-gamma hedgers the
slope comes out too large.  Every estimate made without an instrument says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailwag.errors import EmptyChainError, RuleError
from tailwag.kernels.arrays import FloatArray, IntArray, frozen
from tailwag.liquidity.money import dollars
from tailwag.units import NS_PER_MINUTE

LEAST_OBSERVATIONS = 20
WEAK_FIRST_STAGE = 10.0
"""Below this F an instrument is called weak: Staiger and Stock 1997."""


@dataclass(frozen=True, slots=True)
class SignedFlow:
    """What prints say step by step: log return and net bought dollars.  Shapes: (steps,).  Sign: + takers bought."""

    log_return: FloatArray
    flow_usd: FloatArray

    @classmethod
    def from_prints(cls, time_ns: IntArray, price_usd: FloatArray, bought_usd: FloatArray, *, step_minutes: float) -> SignedFlow:
        """Prints in time order (prints,) gathered into steps: each return runs from last print to last print, empty steps return 0.

        The first step only opens the price and is left out.  RuleError for prices that are not positive or times out of order.
        """
        _positive("step_minutes", step_minutes)
        if time_ns.size == 0 or np.any(np.diff(time_ns) < 0) or not np.all(price_usd > 0.0):
            raise RuleError(
                "expected prints in time order with positive prices, got none, or others; sort them and drop rows without a price"
            )
        step = ((time_ns - time_ns[0]) // int(step_minutes * NS_PER_MINUTE)).astype(np.int64)
        steps = int(step[-1]) + 1
        last = np.searchsorted(step, np.arange(steps), side="right") - 1
        flow = np.bincount(step, weights=bought_usd, minlength=steps)
        return cls(frozen(np.diff(np.log(price_usd[last]))), frozen(flow[1:]))


@dataclass(frozen=True, slots=True)
class LambdaEstimate:
    """Log price per dollar bought, with its standard error and what must be believed for it to be right.

    ``first_stage_f`` is None without an instrument; then ``bias_warning`` is the reason not to trust the slope beside a hedged book.
    """

    per_usd: float
    standard_error: float
    method: str
    observations: int
    first_stage_f: float | None = None

    @property
    def depth_usd_per_pct(self) -> float:
        """Dollars per 1 % of price, 0.01 / lambda; infinite where the slope is not positive."""
        return 0.01 / self.per_usd if self.per_usd > 0.0 else math.inf

    @property
    def bias_warning(self) -> str:
        """Why the number may be wrong; empty where nothing speaks against it."""
        if self.first_stage_f is None:
            return (
                "no instrument: hedgers who trade because the price moved bend this slope (upwards when they are short gamma), so it is no "
                "clean lambda"
            )
        if self.first_stage_f < WEAK_FIRST_STAGE:
            return f"weak instrument (first-stage F {self.first_stage_f:.1f}, 10 wanted): the slope leans towards the biased one"
        return ""

    def __str__(self) -> str:
        size = f"{self.method}: {self.per_usd:.3g} +- {self.standard_error:.2g} log price per USD from {self.observations:,} steps"
        depth = f"{dollars(self.depth_usd_per_pct)} per 1 %" if self.per_usd > 0.0 else "no positive slope, so no depth"
        return f"{size} ({depth})" + (f"; {self.bias_warning}" if self.bias_warning else "")


@dataclass(frozen=True, slots=True)
class PropagatorEstimate:
    """What is left of a dollar's impact after 0, 1, 2 ... steps: ``per_usd`` and ``standard_error`` (ages,), log price per USD."""

    per_usd: FloatArray
    standard_error: FloatArray
    observations: int

    @property
    def bias_warning(self) -> str:
        """The immediate impact is a plain regression on same-step flow."""
        return "no instrument: hedging within the same step bends the immediate impact (upwards under short gamma)"

    def __str__(self) -> str:
        first, last = float(self.per_usd[0]), float(self.per_usd[-1])
        left = f", {100.0 * last / first:.0f} % of it left after {self.per_usd.size - 1} steps" if first > 0.0 else ""
        return f"propagator: {first:.3g} log price per USD at once{left}, from {self.observations:,} steps; {self.bias_warning}"


def simultaneity_plim(true_per_usd: float, *, hedge_usd_per_log_move: float, exogenous_sd: float, other_flow_sd_usd: float) -> float:
    """Where the plain slope ends up, however long the sample, when hedgers answer price: r = e + lambda q, q = h r + u.

    plim = (h s_e^2 + lambda s_u^2) / (h^2 s_e^2 + s_u^2), h = -Gamma$ of all hedgers (+ when they are short gamma).

    >>> round(simultaneity_plim(1.0, hedge_usd_per_log_move=0.3, exogenous_sd=1.0, other_flow_sd_usd=0.5), 4)
    1.6176
    """
    h, news, other = hedge_usd_per_log_move, exogenous_sd**2, other_flow_sd_usd**2
    spread = h * h * news + other
    if not spread > 0.0:
        raise RuleError("expected some flow (a hedge or other flow), got none; without flow there is no slope")
    return (h * news + true_per_usd * other) / spread


def kyle_lambda(value_sd: float, noise_flow_sd: float) -> float:
    """Kyle's equilibrium slope: one insider, noise flow, a market maker who breaks even: lambda = s_v / (2 s_u).  Source: Kyle 1985.

    >>> kyle_lambda(1.0, 10.0)
    0.05
    """
    _positive("value_sd", value_sd)
    _positive("noise_flow_sd", noise_flow_sd)
    return value_sd / (2.0 * noise_flow_sd)


def ols_lambda(log_return: FloatArray, flow_usd: FloatArray) -> LambdaEstimate:
    """Slope of returns on same-step signed flow (steps,), with standard errors that allow for uneven noise; biased beside hedgers.

    This is also how Kyle's lambda is read from signed trades.  Standard error: White 1980 with n / (n - 2).
    EmptyChainError below 20 steps, RuleError for numbers that are not finite or flow that never varies.

    >>> flow = np.linspace(-1e6, 1e6, 41)
    >>> print(str(ols_lambda(2e-11 * flow, flow)).split(";")[0])
    plain regression: 2e-11 +- 0 log price per USD from 41 steps ($500m per 1 %)
    """
    returns, flow = _centred(log_return, flow_usd)
    spread = float(flow @ flow)
    _varies("flow_usd", spread, flow.size)
    slope = float(flow @ returns) / spread
    return LambdaEstimate(slope, _robust_error(flow, returns - slope * flow, spread), "plain regression", flow.size)


def instrumented_lambda(log_return: FloatArray, flow_usd: FloatArray, instrument: FloatArray) -> LambdaEstimate:
    """Slope of returns on the part of flow that an outside cause explains (steps,): not bent by hedging if the cause is truly outside.

    lambda = cov(z, r) / cov(z, q); robust standard error, and the robust F of the first stage (weak below 10).
    An instrument moves flow and touches price through flow alone: expiry unwinds on a timetable, scheduled vault rolls, funding-time flow.

    >>> news, timetable = np.cos(np.arange(400.0)), np.sin(7.0 * np.arange(400.0))
    >>> r = (news + timetable) / 0.7; q = 0.3 * r + timetable    # lambda 1, hedgers answer with 0.3
    >>> round(ols_lambda(r, q).per_usd, 2), round(instrumented_lambda(r, q, timetable).per_usd, 2)
    (1.19, 1.0)
    """
    returns, flow = _centred(log_return, flow_usd)
    outside, _ = _centred(instrument, flow_usd)
    spread = float(outside @ outside)
    _varies("instrument", spread, flow.size)
    together = float(outside @ flow)
    _varies("flow along the instrument", abs(together), flow.size)
    first = together / spread
    first_error = _robust_error(outside, flow - first * outside, spread)
    slope = float(outside @ returns) / together
    error = _robust_error(outside, returns - slope * flow, abs(together))
    strength = math.inf if first_error == 0.0 else (first / first_error) ** 2
    return LambdaEstimate(slope, error, "with an instrument", flow.size, first_stage_f=strength)


def hedge_free_lambda(log_return: FloatArray, flow_usd: FloatArray, *, hedge_usd_per_log_move: float) -> LambdaEstimate:
    """Slope when the hedgers' answer is known from a measured book: what they did not trade, q - h r, is the instrument.

    h = -Gamma$ of the hedged book [USD per unit log move], + when it is short gamma.  Right only as far as h is, and only if hedging
    happens inside the step; a wrong h leaves the same bias with h replaced by its error.
    """
    other = np.asarray(flow_usd) - hedge_usd_per_log_move * np.asarray(log_return)
    found = instrumented_lambda(log_return, flow_usd, other)
    return LambdaEstimate(
        found.per_usd, found.standard_error, "with the measured book's hedging taken out", found.observations, found.first_stage_f
    )


def propagator_estimate(log_return: FloatArray, flow_usd: FloatArray, *, ages: int) -> PropagatorEstimate:
    """How a dollar's impact fades, from signed flow: returns regressed on this step's flow and that of the ``ages`` - 1 steps before.

    r_t = sum_k dG(k) q_{t-k} + noise, G = running sum of dG: exact least squares of Bouchaud's propagator, whatever the memory of flow.
    Robust standard errors of G.  EmptyChainError if there are fewer than ten steps for each age.
    """
    returns, flow = _checked(log_return, flow_usd)
    if ages < 1 or returns.size < max(LEAST_OBSERVATIONS, 11 * ages):
        raise EmptyChainError(
            f"expected at least 1 age and 11 steps for each, got {ages} ages and {returns.size} steps; ask for fewer ages"
        )
    lagged = np.lib.stride_tricks.sliding_window_view(flow, ages)[:, ::-1]
    lagged, later = np.ascontiguousarray(lagged - lagged.mean(axis=0)), returns[ages - 1 :] - returns[ages - 1 :].mean()
    scale = float(np.sqrt(np.mean(flow**2)))
    _varies("flow_usd", scale, flow.size)
    scaled = lagged / scale
    inverse = _inverse(scaled.T @ scaled)
    steps = inverse @ (scaled.T @ later)
    noise = later - scaled @ steps
    meat = (scaled * noise[:, None] ** 2).T @ scaled * (later.size / max(later.size - ages - 1, 1))
    running = np.tril(np.ones((ages, ages)))
    covariance = running @ inverse @ meat @ inverse @ running.T
    return PropagatorEstimate(
        frozen(running @ steps / scale), frozen(np.sqrt(np.maximum(np.diag(covariance), 0.0)) / scale), int(later.size)
    )


def _inverse(square: FloatArray) -> FloatArray:
    if np.linalg.cond(square) > 1e12:
        raise RuleError("expected flow that differs from step to step, got flow that repeats itself; ask for fewer ages or longer data")
    return np.asarray(np.linalg.inv(square))


def _checked(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise RuleError(f"expected one number per step in every column, got shapes {one.shape} and {other.shape}; align them first")
    if one.size < LEAST_OBSERVATIONS:
        raise EmptyChainError(f"expected at least {LEAST_OBSERVATIONS} steps, got {one.size}; take a longer sample or shorter steps")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise RuleError("expected finite numbers in every step, got some that are not; drop or fill those steps first")
    return one, other


def _centred(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    one, other = _checked(first, second)
    return one - one.mean(), other - other.mean()


def _robust_error(regressor: FloatArray, noise: FloatArray, spread: float) -> float:
    size = regressor.size
    return float(np.sqrt(np.sum((regressor * noise) ** 2) * size / (size - 2))) / spread


def _varies(name: str, spread: float, size: int) -> None:
    if not spread > 0.0:
        raise RuleError(f"expected {name} that varies over the {size} steps, got none that does; without variation there is no slope")


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise RuleError(f"expected {name} above 0, got {value}; give it in its own unit")
