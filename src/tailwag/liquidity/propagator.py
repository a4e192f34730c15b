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
