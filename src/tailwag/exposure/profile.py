"""The profile: the book's exposures over spot, repriced in full under a stated smile dynamic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import ProfileRangeError
from tailwag.exposure.book import Book, GammaSource, priced_book
from tailwag.exposure.greeks import PRICE
from tailwag.exposure.levels import Levels, book_levels
from tailwag.exposure.reprice import SmileDynamicsLike, as_dynamics, exposures_of, gamma_on_grid, net_on_grid
from tailwag.exposure.totals import Exposure, Numeraire, exposure_totals
from tailwag.kernels.arrays import FloatArray, frozen

if TYPE_CHECKING:
    import polars
    from plotly.graph_objects import Figure

    from tailwag.exposure.book import PricingSurface
    from tailwag.figures.palette import Theme
    from tailwag.positioning import Positions

DEFAULT_RANGE = (0.5, 1.5)
DEFAULT_LEVELS = 401
MOST_LEVELS = 100_000


@dataclass(frozen=True, slots=True)
class Profile:
    """A book's exposures over spot.  Shapes: every array (g,), spot ascending.  Units in the names; + GEX: dealers long gamma.

    At each spot forwards move in proportion, volatilities by ``dynamics``, and everything is repriced.  ``totals`` and ``levels`` are
    today's.
    """

    book: Book
    dynamics: SmileDynamicsLike
    numeraire: Numeraire
    spot_usd: FloatArray
    gex_usd_per_pct: FloatArray
    gross_gex_usd_per_pct: FloatArray
    """Unsigned: open interest of every repriced row."""
    vanna_usd_per_volpt: FloatArray
    charm_usd_per_day: FloatArray
    delta_usd: FloatArray
    vega_usd_per_volpt: FloatArray
    totals: Exposure
    levels: Levels

    @property
    def range_usd(self) -> tuple[float, float]:
        """Lowest and highest spot of the profile."""
        return float(self.spot_usd[0]), float(self.spot_usd[-1])

    def gex_at(self, spot_usd: Any) -> FloatArray:
        """Net GEX in USD per 1 % at any spots (s,) within the range, repriced there (never read off the grid).

        Raises ProfileRangeError outside the range.
        """
        spots = self._inside(spot_usd)
        if self.book.is_unpriced:
            return np.full_like(spots, np.nan)
        gamma = gamma_on_grid(self.book, spots / self.book.spot_usd, self.book.position_coin, dynamics=self.dynamics)[0]
        return np.asarray(gamma * spots**2 / 100.0)

    def exposures_at(self, spot_usd: Any) -> dict[str, FloatArray]:
        """All measures at any spots (s,) within the range, repriced there; ProfileRangeError outside."""
        return exposures_on(self.book, self._inside(spot_usd), dynamics=self.dynamics, numeraire=self.numeraire)

    def _inside(self, spot_usd: Any) -> FloatArray:
        spots = np.atleast_1d(np.asarray(spot_usd, dtype=np.float64))
        low, high = self.range_usd
        slack = 1e-12 * high
        outside = ~((spots >= low - slack) & (spots <= high + slack))
        if bool(outside.any()):
            raise ProfileRangeError(
                f"this profile covers {low:,.2f} to {high:,.2f} USD, asked for {spots[outside][0]:,.2f}; widen spot_range"
            )
        return spots

    def plot(self, *, theme: Theme = "light") -> Figure:
        """GEX at every spot with the flips, as an interactive figure."""
        from tailwag.figures import gex_profile

        flips = [flip.spot_usd for flip in self.levels.flips]
        return gex_profile(self.spot_usd, self.gex_usd_per_pct, spot_usd=self.book.spot_usd, flips_usd=flips, theme=theme)

    def __str__(self) -> str:
        low, high = self.range_usd
        return f"{self.totals}; from {low:,.0f} to {high:,.0f} USD under {self.dynamics.name}: {self.levels}"

    def to_frame(self) -> polars.DataFrame:
        """One row per spot level."""
        import polars as pl

        kept = (
            "spot_usd",
            "gex_usd_per_pct",
            "gross_gex_usd_per_pct",
            "vanna_usd_per_volpt",
            "charm_usd_per_day",
            "delta_usd",
            "vega_usd_per_volpt",
        )
        return pl.DataFrame({name: getattr(self, name) for name in kept})


def exposure_profile(
    positions: Positions,
    surface: PricingSurface,
    *,
    dynamics: SmileDynamicsLike | str,
    vol: str = "venue",
    numeraire: Numeraire = "usd",
    day_count: str = "act-365",
    gamma: GammaSource = "model",
    spot_range: tuple[float, float] | None = None,
    spot_levels: int | None = None,
) -> Profile:
    """The dealers' exposures today and over a range of spots, with every level that traders name.

    ``dynamics`` has no default because it decides the shape: 'sticky-strike', 'sticky-moneyness' or 'ssr:VALUE'.  ``spot_range`` in
    multiples of the spot (default 0.5 to 1.5) and ``spot_levels``: given, the grid is exactly ``linspace(low * S, high * S, levels)``;
    left out, 401 levels that contain the spot itself.

    Raises ProfileRangeError for a range that is no range, RuleError for an unknown name.
    Source: docs/explanation/loop-gain.
    """
    book = priced_book(positions, surface, vol=vol, day_count=day_count, gamma=gamma)
    return book_profile(book, dynamics=dynamics, numeraire=numeraire, spot_range=spot_range, spot_levels=spot_levels)


def book_profile(
    book: Book,
    *,
    dynamics: SmileDynamicsLike | str,
    numeraire: Numeraire = "usd",
    spot_range: tuple[float, float] | None = None,
    spot_levels: int | None = None,
) -> Profile:
    """The profile of a book that is priced already; arguments as in :func:`exposure_profile`."""
    smile = as_dynamics(dynamics)
    spots = spot_grid(book.spot_usd, spot_range, spot_levels)
    measures = exposures_on(book, spots, dynamics=smile, numeraire=numeraire)
    gross = gamma_on_grid(book, spots / book.spot_usd, np.where(book.usable, book.open_interest_coin, 0.0), dynamics=smile)[0]
    return Profile(
        book=book,
        dynamics=smile,
        numeraire=numeraire,
        spot_usd=frozen(spots),
        gross_gex_usd_per_pct=frozen(np.full_like(spots, np.nan) if book.is_unpriced else gross * spots**2 / 100.0),
        totals=exposure_totals(book, numeraire=numeraire),
        levels=book_levels(book, spots, dynamics=smile),
        **{name: frozen(values) for name, values in measures.items()},
    )


def spot_grid(spot_usd: float, spot_range: tuple[float, float] | None = None, spot_levels: int | None = None) -> FloatArray:
    """Spot levels of a profile, ascending.

    >>> spot_grid(100.0, (0.8, 1.2), 3).tolist(), 100.0 in spot_grid(100.0)
    ([80.0, 100.0, 120.0], True)
    """
    low, high = DEFAULT_RANGE if spot_range is None else (float(spot_range[0]), float(spot_range[1]))
    levels = DEFAULT_LEVELS if spot_levels is None else int(spot_levels)
    if not (math.isfinite(low) and math.isfinite(high) and 0.0 < low < high <= 100.0):
        raise ProfileRangeError(f"spot_range expects two multiples of spot, 0 < low < high <= 100, got {low:g}:{high:g}; try 0.5:1.5")
    if not 3 <= levels <= MOST_LEVELS:
        raise ProfileRangeError(f"spot_levels expects 3 to {MOST_LEVELS} levels, got {levels}")
    grid: FloatArray = np.linspace(low * spot_usd, high * spot_usd, levels)
    if spot_range is None and spot_levels is None:
        grid[int(np.argmin(np.abs(grid - spot_usd)))] = spot_usd
    return grid


def exposures_on(book: Book, spots_usd: FloatArray, *, dynamics: SmileDynamicsLike, numeraire: Numeraire = "usd") -> dict[str, FloatArray]:
    """Every measure of the book at spots (s,), repriced under ``dynamics``; NaN where all open interest is masked."""
    ratios = spots_usd / book.spot_usd
    measures = exposures_of(net_on_grid(book, ratios, dynamics=dynamics)[0], spots_usd)
    if book.is_unpriced:
        return {name: np.full_like(spots_usd, np.nan, dtype=np.float64) for name in measures}
    if numeraire == "coin":
        weights = book.position_coin / book.forward_usd
        per_forward = net_on_grid(book, ratios, dynamics=dynamics, weights=weights, priced=True)[0, :, PRICE] / ratios
        measures["delta_usd"] = measures["delta_usd"] - per_forward * spots_usd
    return measures
