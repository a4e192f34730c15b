"""Several assets: dealers hedge one with the other, flows in one move the other, and the gain becomes a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray, frozen

if TYPE_CHECKING:
    import polars

    from tailwag.feedback.gain import Gain

REAL_WITHIN = 1e-9
"""An eigenvalue counts as real when its imaginary part is below this share of the spectral radius."""


@dataclass(frozen=True, slots=True)
class MatrixGain:
    """Loop gain over several assets, G = -Lambda Gamma$.

    ``spectral_radius`` < 1: stable with hedges one step late.  ``largest_real_part`` < 1: stable with hedges in the same step.
    ``largest_real_eigenvalue`` is the gain of long horizons (None if no eigenvalue is real).  ``amplification_norm`` = ||(I - G)^-1||_2 is
    the most that any mixed shock grows; it can be large while the spectral radius is small, so both are reported.
    """

    gain: FloatArray
    eigenvalues: tuple[complex, ...]
    spectral_radius: float
    largest_real_part: float
    largest_real_eigenvalue: float | None
    amplification_norm: float | None
    assets: tuple[str, ...] = ()
    """Names of rows and columns, where known."""

    @property
    def stable_same_step(self) -> bool:
        """Simultaneous hedging settles."""
        return self.largest_real_part < 1.0

    @property
    def stable_lagged(self) -> bool:
        """Hedging one step late settles."""
        return self.spectral_radius < 1.0

    def long_run_covariance(self, shocks: Any) -> FloatArray | None:
        """(I - G)^-1 Sigma (I - G)^-T: covariance of simultaneous hedging, and of long horizons whatever the lag; None if it runs away."""
        if not self.stable_same_step:
            return None
        spread = np.linalg.inv(np.eye(len(self.gain)) - self.gain)
        covariance: FloatArray = spread @ np.asarray(shocks, dtype=np.float64) @ spread.T
        return covariance

    def lagged_covariance(self, shocks: Any) -> FloatArray | None:
        """One-step covariance with hedges one step late: V = G V G^T + Sigma (discrete Lyapunov); None if it runs away."""
        if not self.stable_lagged:
            return None
        size = len(self.gain)
        system = np.eye(size * size) - np.kron(self.gain, self.gain)
        flat: FloatArray = np.linalg.solve(system, np.asarray(shocks, dtype=np.float64).reshape(-1)).astype(np.float64)
        covariance: FloatArray = flat.reshape(size, size)
        return covariance

    def one_round_covariance(self, shocks: Any) -> FloatArray:
        """(I + G) Sigma (I + G)^T: hedgers react once within the step and not to each other (Cont and Wagalath 2013)."""
        spread = np.eye(len(self.gain)) + self.gain
        covariance: FloatArray = spread @ np.asarray(shocks, dtype=np.float64) @ spread.T
        return covariance

    def document(self) -> dict[str, Any]:
        """Plain values for strict JSON; eigenvalues as [real, imaginary]."""
        return {
            "assets": list(self.assets),
            "gain": self.gain.tolist(),
            "eigenvalues": [[value.real, value.imag] for value in self.eigenvalues],
            "spectral_radius": self.spectral_radius,
            "largest_real_part": self.largest_real_part,
            "largest_real_eigenvalue": self.largest_real_eigenvalue,
            "amplification_norm": self.amplification_norm,
            "stable_same_step": self.stable_same_step,
            "stable_lagged": self.stable_lagged,
        }

    def to_frame(self) -> polars.DataFrame:
        """One row per pair of assets: the gain of the row's asset from moves of the column's."""
        import polars as pl

        size = len(self.gain)
        rows, columns = np.divmod(np.arange(size * size), size)
        names = self.assets or tuple(str(number) for number in range(size))
        return pl.DataFrame(
            {"asset": [names[row] for row in rows], "moved_by": [names[column] for column in columns], "gain": self.gain.reshape(-1)}
        )

    def __str__(self) -> str:
        grown = "without bound" if self.amplification_norm is None else f"at most {self.amplification_norm:.3g} times"
        named = f" ({', '.join(self.assets)})" if self.assets else ""
        return f"over {len(self.gain)} assets{named} the spectral radius is {self.spectral_radius:.3f}; a shock grows {grown}"


def joint_gain(gains: Mapping[str, Gain], *, cross_moves: Any) -> MatrixGain:
    """The loop over several markets from each one's own gain: flow in one asset moves the others too.

    ``gains``: each asset's :func:`tailwag.feedback.loop_gain`, whose GEX, hedge share and depth are used.  ``cross_moves`` (a, a), in the
    order of ``gains``: the per cent that asset i moves when flow moves asset j by 1 %, with ones on the diagonal; it has no default,
    because it decides the answer.  Lambda = cross_moves * 0.01 / depth of each column, Gamma$ = diag(100 * GEX * hedge share).

    Raises RuleError where a gain has no depth or ``cross_moves`` is not such a matrix.  Source: docs/explanation/loop-gain.
    """
    names, parts = tuple(gains), list(gains.values())
    silent = next((name for name, gain in gains.items() if gain.depth_usd_per_pct is None), None)
    if silent is not None:
        raise RuleError(f"{silent} has no depth ({gains[silent].reason}); state its liquidity or leave it out")
    cross = np.asarray(cross_moves, dtype=np.float64)
    if cross.shape != (len(parts), len(parts)) or not (np.diagonal(cross) == 1.0).all():
        raise RuleError(f"expected cross_moves of shape ({len(parts)}, {len(parts)}) with ones on the diagonal, got shape {cross.shape}")
    impact = cross * np.array([0.01 / float(gain.depth_usd_per_pct or np.nan) for gain in parts])
    gamma = np.diag([100.0 * gain.gex_usd_per_pct * gain.hedge_share for gain in parts])
    return replace(matrix_gain(impact, gamma), assets=names)


def matrix_gain(impact_per_usd: Any, dollar_gamma_usd: Any) -> MatrixGain:
    """G = -Lambda Gamma$ over assets.

    Shapes: both (a, a).  ``impact_per_usd[i, j]`` is the relative move of asset i per dollar bought of j; ``dollar_gamma_usd[i, j]`` the
    delta in i that a unit log move of j creates (proxy hedges included), signed, short negative.  Source: docs/explanation/loop-gain.

    >>> round(matrix_gain([[3e-11]], [[-5e9]]).spectral_radius, 3)
    0.15

    Raises RuleError unless both are square, finite and of one size.
    """
    impact, gamma = np.asarray(impact_per_usd, dtype=np.float64), np.asarray(dollar_gamma_usd, dtype=np.float64)
    if impact.ndim != 2 or impact.shape[0] != impact.shape[1] or impact.shape != gamma.shape or impact.size == 0:
        raise RuleError(f"expected two square matrices of one size, got {impact.shape} and {gamma.shape}; one row and column per asset")
    if not (np.isfinite(impact).all() and np.isfinite(gamma).all()):
        raise RuleError("expected finite impact and gamma, got a missing number; leave the asset out or state it")
    gain = -impact @ gamma
    values = np.linalg.eigvals(gain).astype(np.complex128)
    values = values[np.argsort(-values.real, kind="stable")]
    radius = float(np.abs(values).max())
    real = values.real[np.abs(values.imag) <= REAL_WITHIN * max(radius, 1e-300)]
    largest = float(values.real.max())
    norm = float(np.linalg.norm(np.linalg.inv(np.eye(len(gain)) - gain), 2)) if largest < 1.0 else None
    return MatrixGain(
        gain=frozen(gain),
        eigenvalues=tuple(complex(value) for value in values),
        spectral_radius=radius,
        largest_real_part=largest,
        largest_real_eigenvalue=float(real.max()) if real.size else None,
        amplification_norm=norm,
    )
