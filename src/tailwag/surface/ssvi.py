"""SSVI: one surface of three numbers through all expiries of a venue, free of butterflies by construction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.kernels import svi
from tailwag.kernels.arrays import FloatArray, IntArray, frozen
from tailwag.surface.quotes import vega_share
from tailwag.surface.smile import Smile

MIN_SMILES = 2
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
    free_of_butterflies: FloatArray

    def total_variance(self, log_moneyness: FloatArray, theta: FloatArray | float) -> FloatArray:
        """Total variance of the surface where the at-the-money total variance is ``theta``."""
        return svi.ssvi_total_variance(log_moneyness, theta, self.rho, svi.ssvi_phi(theta, self.eta, self.gamma))

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
    counts = np.array([len(smile.points) for smile in chosen])
    data = _Points.of(chosen, np.repeat(theta, counts))
    rho, eta, gamma = _descend(data)
    fitted = SsviFit(
        venue, rho, eta, gamma, frozen([smile.expiry_ns for smile in chosen], np.int64), frozen(theta), frozen(theta), frozen(theta)
    )
    error = data.vol_error(rho, eta, gamma)
    parts = zip(np.split(error, np.cumsum(counts)[:-1]), np.split(data.weight, np.cumsum(counts)[:-1]))
    rmse = [100.0 * float(np.sqrt(np.sum(q * q * e * e) / np.sum(q * q))) for e, q in parts]
    free = svi.ssvi_free_of_butterflies(theta, rho, svi.ssvi_phi(theta, eta, gamma))
    return SsviFit(venue, rho, eta, gamma, fitted.expiry_ns, fitted.theta, frozen(rmse), frozen(free, np.bool_))


@dataclass(frozen=True, slots=True)
class _Points:
    log_moneyness: FloatArray
    theta: FloatArray
    years: FloatArray
    target_iv: FloatArray
    weight: FloatArray

    @classmethod
    def of(cls, smiles: list[Smile], theta: FloatArray) -> _Points:
        k = np.concatenate([smile.points.log_moneyness for smile in smiles])
        iv = np.concatenate([smile.points.target_iv for smile in smiles])
        years = np.concatenate([np.full(len(smile.points), smile.years) for smile in smiles])
        return cls(k, theta, years, iv, np.sqrt(np.maximum(vega_share(k, iv, years), 1e-4)))

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
        step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), gradient)
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
