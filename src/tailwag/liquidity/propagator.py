"""Propagators: how the price effect of one trade fades, and what that does to diffusion, to response and to a hedging loop.

The price is the sum of what every earlier trade still does to it, x_t = sum_k G(k) q_{t-k} + noise.  Source: Bouchaud, Gefen, Potters and
Wyart 2004; the sums of exponentials follow Beylkin and Monzon 2005 in spirit (positive weights, so a fitted kernel keeps every property of
a completely monotone one: no round trip against it pays).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import BoolArray, FloatArray, frozen

LEAST_EXPONENT = 0.01
GREATEST_EXPONENT = 3.0
GREATEST_HORIZON_UNITS = 1e5
SPACINGS = (4.0, 3.0, 2.5, 2.0, 1.7, 1.5)
"""Ratios of neighbouring rates that the fit tries, coarse to fine: the first one within the stated error gives the fewest terms."""


@dataclass(frozen=True, slots=True)
class ExponentialSum:
    """A kernel as a sum of exponentials: G(age) = sum_i weight_i exp(-rate_i age), with weights that add to one.

    Shapes: ``weights``, ``rates_per_unit`` (terms,).  ``greatest_relative_error`` is measured over ages 0 .. ``horizon_units`` on a grid
    ten times finer than the one that was fitted.
    """

    weights: FloatArray
    rates_per_unit: FloatArray
    horizon_units: float
    greatest_relative_error: float

    def __call__(self, age_units: FloatArray) -> FloatArray:
        """Share of the impact that is left after these ages (ages,)."""
        ages = np.asarray(age_units, dtype=np.float64)
        return np.asarray(np.exp(-np.multiply.outer(ages, self.rates_per_unit)) @ self.weights)

    def __str__(self) -> str:
        return f"{self.weights.size} exponentials, within {100 * self.greatest_relative_error:.2g} % of the kernel up to {self.horizon_units:g} units"


def power_kernel(age_units: FloatArray, exponent: float) -> FloatArray:
    """Share of a trade's impact that is left after an age: (1 + age)^-exponent, one at age zero.

    >>> power_kernel(np.array([0.0, 3.0]), 0.5)
    array([1. , 0.5])
    """
    return np.asarray((1.0 + np.asarray(age_units, dtype=np.float64)) ** -exponent)


def exponential_kernel(age: FloatArray, half_life: float) -> FloatArray:
    """Share of a trade's impact that is left after an age: 2^(-age / half_life), in the unit of the half-life.

    >>> exponential_kernel(np.array([0.0, 30.0]), 30.0)
    array([1. , 0.5])
    """
    _positive("half_life", half_life)
    return np.asarray(0.5 ** (np.asarray(age, dtype=np.float64) / half_life))


def diffusive_exponent(sign_exponent: float) -> float:
    """The decay that keeps prices diffusive when trade signs remember as lag^-gamma: beta = (1 - gamma) / 2.

    Slower decay makes prices trend, faster decay makes them revert.  Source: Bouchaud et al. 2004.  RuleError unless 0 < gamma < 1.

    >>> diffusive_exponent(0.5)
    0.25
    """
    if not 0.0 < sign_exponent < 1.0:
        raise RuleError(
            f"expected a sign exponent between 0 and 1 (long memory), got {sign_exponent}; shorter memory needs no decay at all"
        )
    return 0.5 * (1.0 - sign_exponent)


def price_variance_per_trade(kernel: FloatArray, sign_correlation: FloatArray, lags: FloatArray) -> FloatArray:
    """Var(x_{t+l} - x_t) / l that trading alone makes (lags,): level over l when prices diffuse.

    x_t = sum_k G(k) s_{t-k};  Var = H' C H with H(k) = G(k) - G(k - l).  ``kernel`` (ages,) from age 0, ``sign_correlation`` (ages,) from
    lag 0; both are cut at the same age, which must be many times the longest lag (the tail is left out).

    >>> price_variance_per_trade(np.ones(50), np.eye(50)[0], np.array([10])).round(12)    # impact that stays, independent signs
    array([1.])
    """
    rows = [_increment(kernel, int(lag)) for lag in lags]
    return np.array([row @ _correlate(row, sign_correlation) / int(lag) for row, lag in zip(rows, lags)])


def response(kernel: FloatArray, sign_correlation: FloatArray, lags: FloatArray) -> FloatArray:
    """R(l) = E[(x_{t+l-1} - x_{t-1}) s_t]: where the price stands l trades after a buy, itself included (lags,).

    R(l) = sum_k H(k) C(|k - l + 1|).  With independent signs R(l) = G(l - 1).  Source: Bouchaud et al. 2004.

    >>> response(power_kernel(np.arange(400.0), 0.5), np.eye(400)[0], np.array([4]))
    array([0.5])
    """
    return np.array([_correlate(_increment(kernel, int(lag)), sign_correlation)[int(lag) - 1] for lag in lags])


def frequency_response(kernel: FloatArray, radians_per_step: FloatArray) -> FloatArray:
    """|K| (frequencies,) of what a flow per step does to the return per step, K(w) = sum_k (G(k) - G(k-1)) e^(-iwk), G(-1) = 0.

    0 frequency sees what stays (a cut kernel: its last value), the fastest alternation sees the most.

    >>> float(frequency_response(power_kernel(np.arange(200_000.0), 0.5), np.array([np.pi]))[0].round(3))
    1.21
    """
    steps = np.diff(kernel, prepend=0.0)
    ages = np.arange(kernel.size)
    return np.array([abs(np.sum(steps * np.exp(-1j * frequency * ages))) for frequency in radians_per_step])


def greatest_response(rates_per_step: FloatArray, weights: FloatArray) -> float:
    """sup over frequencies of |K| for a mixture of exponentials: sum_i weight_i 2 / (1 + rho_i), reached by alternating flow.

    >>> round(greatest_response(np.array([-np.log(0.9)]), np.array([1.0])), 6)    # 2 / 1.9
    1.052632
    """
    return float(np.sum(2.0 * weights / (1.0 + np.exp(-rates_per_step))))


def greatest_response_power(exponent: float, unit_steps: float = 1.0) -> float:
    """sup over frequencies of |K| for (1 + age / unit)^-exponent: 2 sum_k (-1)^k G(k), summed with Cohen, Villegas and Zagier 2000.

    >>> round(greatest_response_power(0.5), 4), round(1 / greatest_response_power(0.5), 4)    # twice Dirichlet's eta of one half
    (1.2098, 0.8266)
    """
    _positive("exponent", exponent)
    _positive("unit_steps", unit_steps)
    terms = 32
    power = (3.0 + math.sqrt(8.0)) ** terms
    scale = 0.5 * (power + 1.0 / power)
    factor, carried, total = -1.0, -scale, 0.0
    for age in range(terms):
        carried = factor - carried
        total += carried * (1.0 + age / unit_steps) ** -exponent
        factor *= (age + terms) * (age - terms) / ((age + 0.5) * (age + 1.0))
    return 2.0 * total / scale


def greatest_loop_gain(permanent_gain: float, transient_gain: float, greatest: float) -> float:
    """sup over frequencies of the hedging loop's gain; below 1 it is stable whatever the hedgers' delay or speed (small-gain theorem).

    max(|g_P|, |g_P + g_T greatest|), exact for every kernel that is a mixture of exponentials: its response stays in the disc whose
    diameter runs from 0 to ``greatest``.

    >>> round(greatest_loop_gain(0.0, 0.8266, greatest_response_power(0.5)), 4)
    1.0
    """
    return max(abs(permanent_gain), abs(permanent_gain + transient_gain * greatest))


def fit_power_kernel(exponent: float, horizon_units: float, *, greatest_relative_error: float = 1e-3) -> ExponentialSum:
    """The power kernel (1 + age)^-exponent as few exponentials with positive weights, so that a simulation carries terms, not history.

    Relative error at most ``greatest_relative_error`` over ages 0 .. ``horizon_units``; exact at age zero.
    RuleError for an exponent outside 0.01 .. 3 or a horizon outside 0 .. 100,000 units.

    >>> fitted = fit_power_kernel(0.5, 2016.0)
    >>> bool(abs(fitted(np.array([99.0]))[0] / 0.1 - 1.0) < 1e-3)
    True
    """
    _check_power(exponent, horizon_units)
    for spacing in SPACINGS:
        fitted = _fit_with_spacing(exponent, horizon_units, spacing)
        if fitted.greatest_relative_error <= greatest_relative_error:
            return fitted
    raise RuleError(
        f"expected a power kernel that a sum of exponentials can follow to {greatest_relative_error:g}, got exponent {exponent:g} over "
        f"{horizon_units:g} units; take a shorter horizon or allow a larger error"
    )


def _increment(kernel: FloatArray, lag: int) -> FloatArray:
    if not 1 <= lag < kernel.size:
        raise RuleError(f"expected lags from 1 to {kernel.size - 1} under a kernel of {kernel.size} ages, got {lag}; give a longer kernel")
    moved = np.zeros_like(kernel)
    moved[lag:] = kernel[:-lag]
    return np.asarray(kernel - moved)


def _correlate(row: FloatArray, correlation: FloatArray) -> FloatArray:
    """C row for the symmetric Toeplitz matrix of a correlation, by Fourier transform."""
    if correlation.shape != row.shape:
        raise RuleError(f"expected as many correlations as kernel ages, {row.size}, got {correlation.size}; cut both at the same age")
    circle = np.concatenate([correlation, [0.0], correlation[:0:-1]])
    padded = np.fft.rfft(np.concatenate([row, np.zeros(row.size)]))
    return np.asarray(np.fft.irfft(np.fft.rfft(circle) * padded, circle.size)[: row.size])


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise RuleError(f"expected {name} above 0, got {value}; state how fast impact fades")


def _check_power(exponent: float, horizon_units: float) -> None:
    if not LEAST_EXPONENT <= exponent <= GREATEST_EXPONENT:
        raise RuleError(
            f"expected a power exponent from {LEAST_EXPONENT:g} to {GREATEST_EXPONENT:g}, got {exponent}; markets show 0.2 to 0.8, and impact "
            "that passes faster is an exponential kernel"
        )
    if not 0.0 < horizon_units <= GREATEST_HORIZON_UNITS:
        raise RuleError(
            f"expected a horizon above 0 and up to {GREATEST_HORIZON_UNITS:g} units of the kernel, got {horizon_units}; take a longer unit"
        )


def _fit_with_spacing(exponent: float, horizon_units: float, spacing: float) -> ExponentialSum:
    slowest, fastest = min(0.3 * exponent, 0.02) / (1.0 + horizon_units), 2.0 * exponent + 4.0
    rates = np.geomspace(slowest, fastest, math.ceil(math.log(fastest / slowest) / math.log(spacing)) + 1)
    ages = np.concatenate([[0.0], np.geomspace(0.01 * min(1.0, horizon_units), horizon_units, 400)])
    relative = np.exp(-np.outer(ages, rates)) / power_kernel(ages, exponent)[:, None]
    weights = _positive_least_squares(relative, np.ones(ages.size))
    kept = weights > 0.0
    weights, rates = weights[kept] / weights.sum(), rates[kept]
    between = np.concatenate([[0.0], np.geomspace(1e-3 * min(1.0, horizon_units), horizon_units, 4001)])
    miss = np.exp(-np.outer(between, rates)) @ weights / power_kernel(between, exponent) - 1.0
    return ExponentialSum(frozen(weights), frozen(rates), float(horizon_units), float(np.abs(miss).max()))


def _positive_least_squares(columns: FloatArray, wanted: FloatArray) -> FloatArray:
    """Weights >= 0 that come nearest (Lawson and Hanson 1974): free the steepest weight, step back from every one that turns negative."""
    weights, free = np.zeros(columns.shape[1]), np.zeros(columns.shape[1], dtype=bool)
    for _ in range(4 * columns.shape[1]):
        slope = np.where(free, -np.inf, columns.T @ (wanted - columns @ weights))
        if slope.max() <= 1e-13 * wanted.size:
            break
        free[int(slope.argmax())] = True
        weights, free = _settle(columns, wanted, weights, free)
    return weights


def _settle(columns: FloatArray, wanted: FloatArray, weights: FloatArray, free: BoolArray) -> tuple[FloatArray, BoolArray]:
    while True:
        solved = np.zeros_like(weights)
        solved[free] = np.linalg.lstsq(columns[:, free], wanted, rcond=None)[0]
        negative = free & (solved <= 0.0)
        if not negative.any():
            return solved, free
        reach = float(np.min(weights[negative] / (weights[negative] - solved[negative])))
        weights = weights + reach * (solved - weights)
        free = free & (weights > 1e-15)
        weights = np.where(free, weights, 0.0)
