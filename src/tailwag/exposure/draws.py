"""Uncertainty about who is short, carried to the numbers: GEX and the nearest flip of every drawn book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tailwag.exposure.book import Book
from tailwag.exposure.profile import Profile
from tailwag.exposure.reprice import HeldGamma, SmileDynamicsLike, gamma_on_grid
from tailwag.exposure.roots import profile_signs, refine_roots, sign_changes
from tailwag.kernels.arrays import FloatArray, frozen

if TYPE_CHECKING:
    import polars

QUANTILES = (0.05, 0.5, 0.95)
FLIP_RELATIVE = 1e-8


@dataclass(frozen=True, slots=True)
class ExposureBands:
    """GEX and nearest flip over draws of the positions.  Shapes: (d,); a draw without a flip in range is NaN.

    Quantiles are the 5th, 50th and 95th per cent; those of the flip are over draws that have one, ``no_flip_share`` is the rest.
    """

    gex_usd_per_pct: FloatArray
    nearest_flip_usd: FloatArray
    gex_quantiles_usd_per_pct: tuple[float, float, float]
    flip_quantiles_usd: tuple[float, float, float] | None
    no_flip_share: float
    short_gamma_share: float
    """Share of draws in which dealers are short gamma at the current spot."""

    def __len__(self) -> int:
        return int(self.gex_usd_per_pct.size)

    def __str__(self) -> str:
        low, middle, high = (value / 1e6 for value in self.gex_quantiles_usd_per_pct)
        return (
            f"GEX {middle:+,.1f} M USD per 1 % (5 to 95 %: {low:+,.1f} to {high:+,.1f} M over {len(self)} draws); "
            f"dealers are short gamma in {self.short_gamma_share:.0%} of them"
        )

    def to_frame(self) -> polars.DataFrame:
        """One row per draw; null where there is no flip."""
        import polars as pl

        return pl.DataFrame({"gex_usd_per_pct": self.gex_usd_per_pct, "nearest_flip_usd": self.nearest_flip_usd}).with_columns(
            pl.col("nearest_flip_usd").fill_nan(None)
        )


def exposure_bands(profile: Profile) -> ExposureBands | None:
    """Bands of GEX and nearest flip over the drawn positions; None where the rule carries no draws, or all is masked.

    Every option's gamma over the profile's spots is computed once and each draw is a weighted sum of it; the crossing nearest to spot is
    then refined by repricing, all draws at once.
    """
    book = profile.book
    if book.draws is None or not book.draws.shape[0] or book.is_unpriced:
        return None
    held = np.where(book.counted, np.nan_to_num(book.draws), 0.0)
    order = book.chain.order_by_contents
    gex = held[:, order] @ np.nan_to_num(book.gamma)[order] * book.spot_usd**2 / 100.0
    flips = _nearest_flips(book, held, profile.spot_usd, profile.gross_gex_usd_per_pct, dynamics=profile.dynamics)
    has_flip = np.isfinite(flips)
    return ExposureBands(
        gex_usd_per_pct=frozen(gex),
        nearest_flip_usd=frozen(flips),
        gex_quantiles_usd_per_pct=_quantiles(gex),
        flip_quantiles_usd=_quantiles(flips[has_flip]) if has_flip.any() else None,
        no_flip_share=float(np.mean(~has_flip)),
        short_gamma_share=float(np.mean(gex < 0.0)),
    )


def _quantiles(values: FloatArray) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, QUANTILES)
    return float(low), float(middle), float(high)


def _nearest_flips(book: Book, held: FloatArray, spots_usd: FloatArray, gross: FloatArray, *, dynamics: SmileDynamicsLike) -> FloatArray:
    gamma = gamma_on_grid(book, spots_usd / book.spot_usd, held, dynamics=dynamics)
    cells = np.array([_nearest_cell(spots_usd, row, gross / spots_usd**2 * 100.0, book.spot_usd) for row in gamma], dtype=np.int64).reshape(
        -1, 2
    )
    flips = np.full(held.shape[0], np.nan)
    found = cells[:, 0] >= 0
    if found.any():
        drawn = HeldGamma.of(book, held[found], dynamics=dynamics)

        def own_gamma(spots: FloatArray) -> FloatArray:
            return np.diagonal(drawn.at(spots / book.spot_usd))

        flips[found] = refine_roots(own_gamma, spots_usd[cells[found, 0]], spots_usd[cells[found, 1]], relative=FLIP_RELATIVE)
    return flips


def _nearest_cell(spots_usd: FloatArray, gamma: FloatArray, gross: FloatArray, spot_usd: float) -> tuple[int, int]:
    """Grid points around the sign change closest to spot; (-1, -1) without one."""
    changes = sign_changes(profile_signs(gamma, gross))
    nearest = min(changes, key=lambda change: abs(spots_usd[change.left] + spots_usd[change.right] - 2.0 * spot_usd), default=None)
    return (-1, -1) if nearest is None else (nearest.left, nearest.right)
