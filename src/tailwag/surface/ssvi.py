"""SSVI: one surface of three numbers through all expiries of a venue, free of butterflies by construction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tailwag.kernels import svi
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, frozen
from tailwag.surface.quotes import vega_share
from tailwag.surface.smile import Smile

if TYPE_CHECKING:
    import polars

MIN_SMILES = 2
MOST_POINTS = 60
MOST_RHO = 0.98
GAMMA_RANGE = (0.02, 0.5)
_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class SsviFit:
    """w(k) = theta/2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2)), phi = eta / (theta^gamma (1 + theta)^(1 - gamma)).

    Shapes: ``expiry_ns``, ``theta`` (at-the-money total variance, never falling), ``rmse_volpt``, ``free_of_butterflies`` (expiries,).
    """

    venue: str
    rho: float
    eta: float
    gamma: float
    expiry_ns: IntArray
    theta: FloatArray
    rmse_volpt: FloatArray
    free_of_butterflies: BoolArray

    def total_variance(self, log_moneyness: FloatArray, theta: FloatArray | float) -> FloatArray:
        """Total variance of the surface where the at-the-money total variance is ``theta``."""
        return svi.ssvi_total_variance(log_moneyness, theta, self.rho, svi.ssvi_phi(theta, self.eta, self.gamma))

    def to_frame(self) -> polars.DataFrame:
        """One row per expiry: at-the-money total variance, residual, and whether butterflies are excluded."""
        import polars as pl

        return pl.DataFrame({name: getattr(self, name) for name in ("expiry_ns", "theta", "rmse_volpt", "free_of_butterflies")})

    def __str__(self) -> str:
        clean = "free of butterflies" if bool(np.all(self.free_of_butterflies)) else "butterflies not excluded at every expiry"
        return (
            f"SSVI of {self.venue} over {self.theta.size} expiries: rho {self.rho:+.2f}, eta {self.eta:.2f}, gamma {self.gamma:.2f}, "
            f"within {float(np.median(self.rmse_volpt)):.2f} vol points (median expiry), {clean}"
        )


def fit_ssvi(smiles: tuple[Smile, ...]) -> SsviFit | None:
    """The SSVI surface through the smiles of the venue that has most of them; None with fewer than two.

    theta is each smile's at-the-money total variance, made non-decreasing in time; (rho, eta, gamma) minimise the vega-weighted squared
    vol error over all points with gamma <= 1/2 and eta (1 + |rho|) <= 2, which excludes static arbitrage (Gatheral and Jacquier, 4.1).
    """
    venues = [smile.venue for smile in smiles]
    if not venues:
        return None
    venue = max(sorted(set(venues)), key=venues.count)
    chosen = sorted((smile for smile in smiles if smile.venue == venue), key=lambda smile: smile.expiry_ns)
    if len(chosen) < MIN_SMILES:
        return None
    theta = np.maximum.accumulate([float(smile.total_variance(0.0)) for smile in chosen])
    kept = [_thinned(len(smile.points)) for smile in chosen]
    data = _Points.of(chosen, kept, theta)
    rho, eta, gamma = _descend(data)
    square, weight = data.vol_error(rho, eta, gamma) ** 2, data.weight**2
    starts = np.concatenate([[0], np.cumsum([part.size for part in kept])[:-1]])
    rmse = 100.0 * np.sqrt(np.add.reduceat(weight * square, starts) / np.add.reduceat(weight, starts))
    free = svi.ssvi_free_of_butterflies(theta, rho, svi.ssvi_phi(theta, eta, gamma))
    expiry_ns = frozen([smile.expiry_ns for smile in chosen], np.int64)
    return SsviFit(venue, rho, eta, gamma, expiry_ns, frozen(theta), frozen(rmse), frozen(free, np.bool_))


def _thinned(size: int) -> IntArray:
    """At most ``MOST_POINTS`` evenly chosen points: three numbers need no more."""
    return np.unique(np.linspace(0, size - 1, min(size, MOST_POINTS)).astype(np.int64))


@dataclass(frozen=True, slots=True)
class _Points:
    log_moneyness: FloatArray
    theta: FloatArray
    years: FloatArray
    target_iv: FloatArray
    weight: FloatArray

    @classmethod
    def of(cls, smiles: list[Smile], kept: list[IntArray], theta: FloatArray) -> _Points:
        k = np.concatenate([smile.points.log_moneyness[rows] for smile, rows in zip(smiles, kept)])
        iv = np.concatenate([smile.points.target_iv[rows] for smile, rows in zip(smiles, kept)])
        sizes = [rows.size for rows in kept]
        years = np.repeat([smile.years for smile in smiles], sizes)
        return cls(k, np.repeat(theta, sizes), years, iv, np.sqrt(np.maximum(vega_share(k, iv, years), 1e-4)))

    def vol_error(self, rho: float, eta: float, gamma: float) -> FloatArray:
        w = svi.ssvi_total_variance(self.log_moneyness, self.theta, rho, svi.ssvi_phi(self.theta, eta, gamma))
        return np.sqrt(np.maximum(w, 1e-16) / self.years) - self.target_iv

    def residual(self, free: FloatArray) -> FloatArray:
        return self.weight * self.vol_error(*_bounded(free))


def _bounded(free: FloatArray) -> tuple[float, float, float]:
    """(rho, eta, gamma) inside their bounds from three unbounded numbers."""
    rho = MOST_RHO * float(np.tanh(free[0]))
    low, high = GAMMA_RANGE
    share = 0.5 * (1.0 + np.tanh(free[1:]))
    return rho, float(share[0]) * 2.0 / (1.0 + abs(rho)), low + (high - low) * float(share[1])


def _descend(data: _Points) -> tuple[float, float, float]:
    """Levenberg-Marquardt over three parameters with a forward-difference Jacobian."""
    free, damping = np.array([-0.2, 0.0, 0.5]), 1e-2
    residual = data.residual(free)
    cost = float(residual @ residual)
    for _ in range(_ROUNDS):
        jacobian = np.stack([(data.residual(free + 1e-6 * np.eye(3)[u]) - residual) / 1e-6 for u in range(3)])
        normal, gradient = jacobian @ jacobian.T, jacobian @ residual
        step = -np.linalg.solve(normal + np.diag(damping * np.diag(normal) + 1e-12 * (np.trace(normal) + 1e-12)), gradient)
        trial = np.clip(free + step, -4.0, 4.0)
        after = data.residual(trial)
        better = float(after @ after)
        if not better < cost:
            damping *= 8.0
            if damping > 1e8:
                break
            continue
        done = cost - better < 1e-9 * cost
        free, residual, cost, damping = trial, after, better, max(damping * 0.2, 1e-10)
        if done:
            break
    return _bounded(free)
