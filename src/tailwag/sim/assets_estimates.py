"""Covariances and correlations of simulated assets with their standard errors, sharpened by the shocks' known covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwag.kernels.arrays import FloatArray, frozen

LEAST_PATHS_PER_CONTROL = 20


@dataclass(frozen=True, slots=True, eq=False)
class CovarianceEstimate:
    """A covariance of log prices per year and the correlation in it, with standard errors over paths.  Shapes: (a, a)."""

    per_year: FloatArray
    per_year_error: FloatArray
    correlation: FloatArray
    correlation_error: FloatArray

    @property
    def vol(self) -> FloatArray:
        """Vols per year, decimal, (a,)."""
        return np.asarray(np.sqrt(np.diagonal(self.per_year)))

    def to_document(self) -> dict[str, Any]:
        """Plain values for strict JSON."""
        return {name: getattr(self, name).tolist() for name in ("per_year", "per_year_error", "correlation", "correlation_error")}


def products_over_time(log_price: FloatArray) -> FloatArray:
    """Sum over steps of r_i r_j on every path, (a, a, paths); ``log_price`` (steps + 1, a, paths)."""
    moves = np.diff(log_price, axis=0)
    size = moves.shape[1]
    total = np.zeros((size, size, moves.shape[2]))
    for move in moves:
        total += move[:, None] * move[None, :]
    return total


def products_of_ends(log_price: FloatArray) -> FloatArray:
    """R_i R_j of the whole move on every path, (a, a, paths)."""
    whole = log_price[-1] - log_price[0]
    return np.asarray(whole[:, None] * whole[None, :])


def estimate(
    products: FloatArray, years: float, *, controls: FloatArray | None = None, expected: FloatArray | None = None
) -> CovarianceEstimate:
    """Mean over paths of ``products`` (a, a, paths) per year, and the correlation in it, both with standard errors.

    ``controls`` (k, a, a, paths): products of the shocks alone, whose means are ``expected`` (a, a) x years; what they explain of the
    products' scatter is taken out by least squares (control variates), where there are enough paths to estimate that.
    """
    size, paths = products.shape[0], products.shape[2]
    flat = products.reshape(size * size, paths) / years
    if controls is not None and expected is not None:
        flat = _sharpened(flat, controls / years, expected)
    mean = flat.mean(axis=1)
    error = flat.std(axis=1, ddof=1) / np.sqrt(paths) if paths > 1 else np.zeros(size * size)
    covariance = mean.reshape(size, size)
    correlation, correlation_error = _correlation(covariance, flat.reshape(size, size, paths))
    return CovarianceEstimate(frozen(covariance), frozen(error.reshape(size, size)), frozen(correlation), frozen(correlation_error))


def _sharpened(flat: FloatArray, controls: FloatArray, expected: FloatArray) -> FloatArray:
    """Products less what deviations of the shocks' own covariances explain."""
    size, paths = expected.shape[0], flat.shape[1]
    upper = np.triu_indices(size)
    known = np.concatenate([control[upper] - expected[upper][:, None] for control in controls])
    known = known[known.std(axis=1) > 0.0]
    if paths < LEAST_PATHS_PER_CONTROL * (1 + len(known)):
        return flat
    design = np.concatenate((np.ones((1, paths)), known)).T
    found = np.linalg.lstsq(design / _scale(design), flat.T, rcond=None)[0] / _scale(design)[:, None]
    return np.asarray(flat - found[1:].T @ known)


def _scale(design: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt((design**2).mean(axis=0)))


def _correlation(covariance: FloatArray, each: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Correlation and its standard error: d rho = (dC_ij - rho (C_jj dC_ii + C_ii dC_jj) / 2 ...) / sqrt(C_ii C_jj), path by path."""
    size, paths = covariance.shape[0], each.shape[2]
    variance = np.diagonal(covariance)
    norm = np.sqrt(np.maximum(np.outer(variance, variance), 0.0))
    correlation = np.where(norm > 0.0, covariance / np.where(norm > 0.0, norm, 1.0), np.eye(size))
    off = each - covariance[:, :, None]
    own = np.stack([off[i, i] / variance[i] if variance[i] > 0.0 else np.zeros(paths) for i in range(size)])
    influence = off / np.where(norm > 0.0, norm, np.inf)[:, :, None] - 0.5 * correlation[:, :, None] * (own[:, None] + own[None, :])
    error = influence.std(axis=2, ddof=1) / np.sqrt(paths) if paths > 1 else np.zeros((size, size))
    return correlation, error * (1.0 - np.eye(size))
