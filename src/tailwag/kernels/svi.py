"""The smile's formulas: raw SVI and its derivatives, Durrleman's g, the JW and natural forms, SSVI, Lee's moments.

Plain NumPy; the compiled fit is :mod:`tailwag.kernels.svi_fit`.  ``raw`` is always (a, b, rho, m, sigma) of

    w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)),        k = ln(K / F),  w = vol^2 * years.

Source: Gatheral and Jacquier, "Arbitrage-free SVI volatility surfaces", 2014.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tailwag.kernels.arrays import FloatArray

RAW_NAMES = ("a", "b", "rho", "m", "sigma")
JW_NAMES = ("v", "psi", "p", "c", "v_min")
MAX_WING_SLOPE = 2.0
"""Lee's bound on the slope of total variance in log-moneyness: steeper wings have no finite price."""


def total_variance(log_moneyness: ArrayLike, raw: ArrayLike) -> FloatArray:
    """Total implied variance of a raw SVI slice at each log-moneyness.

    >>> round(float(total_variance(0.0, (-0.0410, 0.1331, 0.3060, 0.3586, 0.4153))), 8)
    0.01742625
    """
    a, b, rho, m, sigma = np.asarray(raw, dtype=np.float64)
    shifted = np.asarray(log_moneyness, dtype=np.float64) - m
    return np.asarray(a + b * (rho * shifted + np.sqrt(shifted * shifted + sigma * sigma)))


def variance_derivatives(log_moneyness: ArrayLike, raw: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(w, dw/dk, d2w/dk2) of a raw SVI slice, each of the shape of ``log_moneyness``."""
    a, b, rho, m, sigma = np.asarray(raw, dtype=np.float64)
    shifted = np.asarray(log_moneyness, dtype=np.float64) - m
    root = np.sqrt(shifted * shifted + sigma * sigma)
    return a + b * (rho * shifted + root), b * (rho + shifted / root), b * sigma * sigma / root**3


def durrleman(log_moneyness: ArrayLike, variance: ArrayLike, slope: ArrayLike, curvature: ArrayLike) -> FloatArray:
    """Durrleman's g: where it is negative, butterflies of this smile cost less than nothing.

    g = (1 - k w'/(2 w))^2 - (w'^2 / 4)(1/w + 1/4) + w''/2; the implied density is g / sqrt(2 pi w) * exp(-d2^2 / 2).

    >>> float(durrleman(0.3, 0.04, 0.0, 0.0))      # a flat smile is Black-Scholes itself
    1.0
    """
    k, w, first, second = (np.asarray(value, dtype=np.float64) for value in (log_moneyness, variance, slope, curvature))
    return np.asarray((1.0 - 0.5 * k * first / w) ** 2 - 0.25 * first * first * (1.0 / w + 0.25) + 0.5 * second)


def raw_durrleman(log_moneyness: ArrayLike, raw: ArrayLike) -> FloatArray:
    """Durrleman's g of a raw SVI slice."""
    return durrleman(log_moneyness, *variance_derivatives(log_moneyness, raw))


def check_grid(raw: ArrayLike, *, low: float = -3.0, high: float = 3.0, points: int = 401) -> FloatArray:
    """Log-moneynesses between ``low`` and ``high`` at which a slice is checked, dense around its bend (sinh-spaced), shape (points,)."""
    _, _, _, m, sigma = np.asarray(raw, dtype=np.float64)
    return np.asarray(m + sigma * np.sinh(np.linspace(np.arcsinh((low - m) / sigma), np.arcsinh((high - m) / sigma), points)))


def butterfly_minimum(raw: ArrayLike, *, low: float = -3.0, high: float = 3.0) -> tuple[float, float]:
    """The smallest Durrleman g of a slice between two log-moneynesses, and where it sits; below 0 the smile is arbitrageable.

    A grid of 401 points and then two finer ones around its minimum; far out g tends to 1/4 - (wing slope)^2/16 >= 0.

    >>> g, k = butterfly_minimum((-0.0410, 0.1331, 0.3060, 0.3586, 0.4153))      # Axel Vogt's slice
    >>> round(g, 7), round(k, 4)
    (-0.0328636, 0.8793)
    """
    grid = check_grid(raw, low=low, high=high)
    for _ in range(2):
        lowest = int(np.argmin(raw_durrleman(grid, raw)))
        grid = np.linspace(grid[max(lowest - 1, 0)], grid[min(lowest + 1, grid.size - 1)], 101)
    values = raw_durrleman(grid, raw)
    lowest = int(np.argmin(values))
    return float(values[lowest]), float(grid[lowest])


def is_admissible(raw: ArrayLike, *, tolerance: float = 1e-12) -> bool:
    """True where total variance is nowhere negative and no wing is steeper than Lee allows."""
    a, b, rho, _, sigma = np.asarray(raw, dtype=np.float64)
    lowest = a + b * sigma * np.sqrt(max(1.0 - rho * rho, 0.0))
    return bool(b >= 0 and abs(rho) < 1 and sigma > 0 and lowest >= -tolerance and b * (1 + abs(rho)) <= MAX_WING_SLOPE + tolerance)


def raw_to_jw(raw: ArrayLike, years: float) -> tuple[float, float, float, float, float]:
    """(v, psi, p, c, v_min): at-the-money variance, skew, put-wing and call-wing slopes, and smallest variance of a raw slice.

    >>> [round(x, 7) for x in raw_to_jw((-0.0410, 0.1331, 0.3060, 0.3586, 0.4153), 1.0)]
    [0.0174263, -0.1752111, 0.6997381, 1.3167982, 0.0116249]
    """
    a, b, rho, m, sigma = (float(value) for value in np.asarray(raw, dtype=np.float64))
    at_the_money = float(total_variance(0.0, raw))
    root = np.sqrt(at_the_money)
    psi = 0.5 * b / root * (rho - m / np.sqrt(m * m + sigma * sigma))
    lowest = (a + b * sigma * np.sqrt(1.0 - rho * rho)) / years
    return at_the_money / years, float(psi), float(b * (1.0 - rho) / root), float(b * (1.0 + rho) / root), float(lowest)


def jw_to_raw(jump_wings: ArrayLike, years: float) -> FloatArray:
    """Raw (a, b, rho, m, sigma) of a JW slice; the inverse of :func:`raw_to_jw`.

    With beta = rho - 2 psi sqrt(w)/b = m / sqrt(m^2 + sigma^2); beta = 0 is the case m = 0, where sigma follows from w - w_min.
    Raises ValueError where no SVI slice has these values (|beta| > 1), or where the minimum lies at the money so that sigma is free.
    """
    v, psi, p, c, v_min = (float(value) for value in np.asarray(jump_wings, dtype=np.float64))
    at_the_money = v * years
    root = np.sqrt(at_the_money)
    b = 0.5 * root * (c + p)
    rho = 1.0 - p * root / b
    beta = rho - 2.0 * psi * root / b
    if not abs(beta) <= 1.0:
        raise ValueError(f"expected |beta| <= 1 in the JW parameters, got {beta:.6g}; p, c and psi do not belong to one slice")
    across = np.sqrt(1.0 - rho * rho)
    # with m = beta r, sigma = sqrt(1 - beta^2) r, r = sqrt(m^2 + sigma^2): w - w_min = b r (1 - rho beta - across sqrt(1 - beta^2))
    gap = 1.0 - rho * beta - across * np.sqrt(1.0 - beta * beta)
    if not (b * gap > 0.0 and v > v_min):
        raise ValueError("expected v above v_min and a minimum away from the money; with v = v_min the JW form does not fix sigma")
    radius = (v - v_min) * years / (b * gap)
    m, sigma = beta * radius, np.sqrt(1.0 - beta * beta) * radius
    return np.array([v_min * years - b * sigma * across, b, rho, m, sigma])


def raw_to_natural(raw: ArrayLike) -> tuple[float, float, float, float, float]:
    """(Delta, mu, rho, omega, zeta) with w = Delta + omega/2 (1 + zeta rho (k - mu) + sqrt((zeta (k - mu) + rho)^2 + 1 - rho^2))."""
    a, b, rho, m, sigma = (float(value) for value in np.asarray(raw, dtype=np.float64))
    across = np.sqrt(1.0 - rho * rho)
    omega = 2.0 * b * sigma / across
    return a - 0.5 * omega * (1.0 - rho * rho), float(m + rho * sigma / across), rho, float(omega), float(across / sigma)


def natural_to_raw(natural: ArrayLike) -> FloatArray:
    """Raw (a, b, rho, m, sigma) of a natural slice; the inverse of :func:`raw_to_natural`."""
    delta, mu, rho, omega, zeta = (float(value) for value in np.asarray(natural, dtype=np.float64))
    across = np.sqrt(1.0 - rho * rho)
    return np.array([delta + 0.5 * omega * (1.0 - rho * rho), 0.5 * omega * zeta, rho, mu - rho / zeta, across / zeta])


def butterfly_repair(raw: ArrayLike, years: float) -> FloatArray | None:
    """The nearest slice without butterflies that keeps the at-the-money level, skew and put wing (None where there is none).

    c' = p + 2 psi,  v_min' = v * 4 p c' / (p + c')^2, which is an SSVI slice; where c' <= 0 the call wing is kept and p' = c - 2 psi.
    Source: Gatheral and Jacquier 2014, section 5.1.
    """
    v, psi, p, c, _ = raw_to_jw(raw, years)
    if p + 2.0 * psi > 0.0:
        c = p + 2.0 * psi
    else:
        p = c - 2.0 * psi
    if not (p > 0.0 and c > 0.0):
        return None
    try:
        repaired = jw_to_raw((v, psi, p, c, v * 4.0 * p * c / (p + c) ** 2), years)
    except ValueError:
        return None
    return repaired if is_admissible(repaired) else None


def ssvi_phi(theta: ArrayLike, eta: float, gamma: float) -> FloatArray:
    """The power law phi = eta / (theta^gamma (1 + theta)^(1 - gamma)) that bends an SSVI slice.

    >>> [round(float(x), 6) for x in ssvi_phi([0.01, 0.05, 0.25, 1.0], 1.0, 0.5)]
    [9.950372, 4.364358, 1.788854, 0.707107]
    """
    level = np.asarray(theta, dtype=np.float64)
    return np.asarray(eta / (level**gamma * (1.0 + level) ** (1.0 - gamma)))


def ssvi_total_variance(log_moneyness: ArrayLike, theta: ArrayLike, rho: float, phi: ArrayLike) -> FloatArray:
    """w(k) = theta/2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2)) with theta the at-the-money total variance."""
    k, level, bend = (np.asarray(value, dtype=np.float64) for value in (log_moneyness, theta, phi))
    return np.asarray(0.5 * level * (1.0 + rho * bend * k + np.sqrt((bend * k + rho) ** 2 + 1.0 - rho * rho)))


def ssvi_to_raw(theta: float, rho: float, phi: float) -> FloatArray:
    """The raw SVI slice that an SSVI slice is."""
    across = np.sqrt(1.0 - rho * rho)
    return np.array([0.5 * theta * (1.0 - rho * rho), 0.5 * theta * phi, rho, -rho / phi, across / phi])


def ssvi_free_of_butterflies(theta: ArrayLike, rho: float, phi: ArrayLike) -> FloatArray:
    """True where both sufficient conditions hold: theta phi (1 + |rho|) < 4 and theta phi^2 (1 + |rho|) <= 4.

    Together they suffice; the second alone does not, and neither is necessary, so False means "not shown", not "arbitrage".
    """
    level, bend = np.asarray(theta, dtype=np.float64), np.asarray(phi, dtype=np.float64)
    steep = level * bend * (1.0 + abs(rho))
    return np.asarray((steep < 4.0) & (steep * bend <= 4.0))


def lee_wing_slope(moments: ArrayLike) -> FloatArray:
    """The wing slope beyond which the ``moments``-th further moment of the price is infinite: 2 - 4 (sqrt(p^2 + p) - p).

    >>> [round(float(x), 8) for x in lee_wing_slope([1.0, 2.0, 5.0])]
    [0.34314575, 0.20204103, 0.0910977]
    """
    p = np.asarray(moments, dtype=np.float64)
    return np.asarray(2.0 - 4.0 * (np.sqrt(p * p + p) - p))


def lee_moments(wing_slope: ArrayLike) -> FloatArray:
    """How many moments beyond the first a wing slope leaves finite: p* = 1/(2 beta) + beta/8 - 1/2 (R. Lee 2004)."""
    beta = np.asarray(wing_slope, dtype=np.float64)
    return np.asarray(0.5 / beta + 0.125 * beta - 0.5)
