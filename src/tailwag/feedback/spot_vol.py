"""Spot and vol together: the smile moves with spot, dealers hedge the delta that this changes, and some hedge their vega too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwag.kernels.arrays import FloatArray, frozen


@dataclass(frozen=True, slots=True)
class SpotVolLoop:
    """The two-dimensional loop, cut at the dealers' flows.

    ``loop`` (2, 2) is L = -H (I - B)^-1 Lambda, rows and columns (delta flow, vega flow); its determinant det(I - L) does not depend on
    where the loop is cut, its spectral radius does, so it is always taken here.  ``effective_gain`` folds vol into spot:
    g_SS + g_Sv g_vS / (1 - g_vv).  ``amplification`` is what a spot shock grows to, None where the loop folds (``reason``).
    """

    loop: FloatArray
    links: FloatArray
    """[[g_SS, g_Sv], [g_vS, g_vv]]: the same loop written between spot and vol."""
    spectral_radius: float
    determinant: float
    effective_gain: float | None
    amplification: float | None
    folds: bool
    reason: str | None

    def __str__(self) -> str:
        if self.amplification is None:
            return f"spot and vol run away together: {self.reason}"
        return f"with vol, a 1 % shock becomes {self.amplification:.3f} % (gain {self.effective_gain:+.3f}; spectral radius {self.spectral_radius:.3f})"

    def document(self) -> dict[str, Any]:
        """Plain values for strict JSON."""
        return {
            "loop": self.loop.tolist(),
            "spectral_radius": self.spectral_radius,
            "determinant": self.determinant,
            "effective_gain": self.effective_gain,
            "amplification": self.amplification,
            "reason": self.reason,
        }


def shadow_gain(*, gamma_usd: float, vanna_usd: float, spot_vol_beta: float, impact_per_usd: float) -> float:
    """Gain with the smile's move in it: g_eff = -lambda (Gamma$ + beta Va$), the loop gain of the smile-adjusted gamma.

    Units: gamma_usd = S^2 Gamma (USD per unit log move), vanna_usd = S * vanna (USD per 1.00 vol), beta = d vol / d ln S.
    Source: docs/explanation/loop-gain.

    >>> round(shadow_gain(gamma_usd=-2.1806e9, vanna_usd=3.2915e8, spot_vol_beta=-0.8, impact_per_usd=3.1e-11), 5)
    0.07576
    """
    return -impact_per_usd * (gamma_usd + spot_vol_beta * vanna_usd)


def spot_vol_loop(
    *,
    gamma_usd: float,
    vanna_usd: float,
    spot_vol_beta: float,
    impact_per_usd: float,
    volga_usd: float = 0.0,
    vega_hedge_share: float = 0.0,
    vol_impact_per_vega_usd: float = 0.0,
) -> SpotVolLoop:
    """Close the loop over spot and vol.

    H = [[Gamma$, Va$], [phi Va$, phi Volga]] (S dVega/dS is Va$), B = [[0, 0], [beta, 0]], Lambda = diag(lambda, lambda_v),
    phi = ``vega_hedge_share``.  Units: volga in USD per (1.00 vol)^2, vol impact in 1.00 vol per USD of vega (per 1.00 vol) bought.
    Source: docs/explanation/loop-gain (this project's own result).

    >>> spot_vol_loop(gamma_usd=0.0, vanna_usd=0.0, spot_vol_beta=-0.8, impact_per_usd=3e-11).amplification
    1.0
    """
    hedges = np.array([[gamma_usd, vanna_usd], [vega_hedge_share * vanna_usd, vega_hedge_share * volga_usd]])
    impacts = np.diag([impact_per_usd, vol_impact_per_vega_usd])
    answers = np.array([[1.0, 0.0], [spot_vol_beta, 1.0]])
    loop = -hedges @ answers @ impacts
    links = -impacts @ hedges + np.array([[0.0, 0.0], [spot_vol_beta, 0.0]])
    own, back = 1.0 - links[0, 0], 1.0 - links[1, 1]
    determinant = float(own * back - links[0, 1] * links[1, 0])
    folds = determinant <= 0.0 or back <= 0.0
    effective = None if back <= 0.0 else float(links[0, 0] + links[0, 1] * links[1, 0] / back)
    reason = (
        "vega hedging alone feeds on itself (its own gain is 1 or more)" if back <= 0.0 else "det(I - L) is 0 or less" if folds else None
    )
    return SpotVolLoop(
        loop=frozen(loop),
        links=frozen(links),
        spectral_radius=float(np.abs(np.linalg.eigvals(loop)).max()),
        determinant=determinant,
        effective_gain=effective,
        amplification=None if folds else float(back / determinant),
        folds=folds,
        reason=reason,
    )
