"""Surface: smiles, forwards and SSVI of a chain, and what they say about each of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray, IntArray, TextArray, frozen
from tailwag.market.chain import Chain
from tailwag.market.clock import format_time
from tailwag.market.codes import NO_VENUE_VOL, RowCode
from tailwag.market.forwards import ForwardCurve
from tailwag.surface.arbitrage import CalendarViolation
from tailwag.surface.dynamics import SmileDynamics, parse_dynamics
from tailwag.surface.smile import Smile, number_or_none
from tailwag.surface.ssvi import SsviFit
from tailwag.units import DAYS_PER_YEAR

if TYPE_CHECKING:
    import polars
    from plotly.graph_objects import Figure

    from tailwag.figures.palette import Theme

VOL_SOURCES = ("venue", "surface")


@dataclass(frozen=True, slots=True)
class RowVols:
    """The volatility each row is priced with, where it comes from ('venue', 'surface' or ''), and the codes that are left; all (n,)."""

    iv: FloatArray
    iv_source: TextArray
    codes: IntArray


@dataclass(frozen=True, slots=True)
class Surface:
    """Forwards and smiles of one chain, row by row.

    Shapes: ``forward_usd`` (n,) NaN where there is none, ``smile_of_row`` (n,) index into ``smiles`` or -1, ``log_moneyness`` (n,).
    """

    chain: Chain
    forwards: ForwardCurve
    forward_usd: FloatArray
    log_moneyness: FloatArray
    smiles: tuple[Smile, ...]
    smile_of_row: IntArray
    ssvi: SsviFit | None
    calendar_violations: tuple[CalendarViolation, ...]
    row_codes: IntArray
    """The chain's codes with those of the forwards: FORWARD_MISSING as it is now, FORWARD_DISAGREES added."""

    def row_vols(self, vol: str) -> RowVols:
        """Each row's volatility: the venue's mark with the smile where that is missing ('venue'), or the smile first ('surface').

        Under 'venue' a stated volatility of 0 or below is wrong, not missing: its row stays masked IV_NONPOSITIVE.
        Raises RuleError for another word.
        """
        if vol not in VOL_SOURCES:
            raise RuleError(f"expected vol 'venue' or 'surface', got {vol[:40]!a}; say whose volatility feeds the greeks")
        venue, fitted = self._venue_vols(), self.fitted_vols()
        first, second = (venue, fitted) if vol == "venue" else (fitted, venue)
        if vol == "venue":
            second = np.where((self.chain.codes & int(RowCode.IV_NONPOSITIVE)) == 0, second, np.nan)
        names = VOL_SOURCES if vol == "venue" else VOL_SOURCES[::-1]
        iv = np.where(np.isfinite(first), first, second)
        source = np.where(np.isfinite(first), names[0], np.where(np.isfinite(second), names[1], ""))
        codes = np.where(np.isfinite(iv), self.row_codes & ~int(NO_VENUE_VOL), self.row_codes)
        unnamed = ~np.isfinite(iv) & ((codes & int(NO_VENUE_VOL)) == 0)
        codes = np.where(unnamed, codes | int(RowCode.IV_MISSING), codes)
        return RowVols(frozen(iv), frozen(source, object), frozen(codes, np.int64))

    def _venue_vols(self) -> FloatArray:
        iv = self.chain.iv
        with np.errstate(invalid="ignore"):
            good = np.isfinite(iv) & (iv > 0.0) & ((self.chain.codes & int(NO_VENUE_VOL)) == 0)
        return np.where(good, iv, np.nan)

    def fitted_vols(self) -> FloatArray:
        """The smile's volatility of each row, (n,); NaN where the row has no smile."""
        return self._by_smile(lambda smile, k: smile.vol(k))

    def skews(self) -> FloatArray:
        """d vol / d ln K of each row on its smile, (n,); 0 where the row has no smile."""
        return np.nan_to_num(self._by_smile(lambda smile, k: smile.skew(k)))

    def _by_smile(self, value: Any) -> FloatArray:
        column = np.full(len(self.chain), np.nan)
        for index, smile in enumerate(self.smiles):
            rows = self.smile_of_row == index
            column[rows] = value(smile, self.log_moneyness[rows])
        return column

    def moved_vols(self, iv: FloatArray, log_moves: FloatArray, dynamics: SmileDynamics | str) -> FloatArray:
        """Volatility of each row after spot has moved by each log move, (g, n).

        iv + smile(k - (1 - R) dx) - smile(k), forwards moving with spot.  A row without a smile keeps its iv.  Where a row's own iv is far
        from its smile the difference could leave the plausible: it is held between half of the smaller and twice the larger of the two.
        """
        ratio = parse_dynamics(dynamics).ratio
        own = np.asarray(iv, dtype=np.float64)
        shifts = (1.0 - ratio) * np.atleast_1d(np.asarray(log_moves, dtype=np.float64))
        moved = np.repeat(own[None, :], shifts.size, axis=0)
        if ratio == 1.0:
            return moved
        for index, smile in enumerate(self.smiles):
            rows = np.flatnonzero(self.smile_of_row == index)
            if rows.size == 0:
                continue
            k = self.log_moneyness[rows]
            there = smile.vol(k[None, :] - shifts[:, None])
            here = own[rows]
            moved[:, rows] = np.clip(here + there - smile.vol(k), 0.5 * np.minimum(here, there), 2.0 * np.maximum(here, there))
        return moved

    def spot_vol_beta(self, dynamics: SmileDynamics | str) -> FloatArray:
        """d vol / d ln S of each row at its strike under the dynamics, (n,): (R - 1) * skew; 0 without a smile."""
        return (parse_dynamics(dynamics).ratio - 1.0) * self.skews()

    def to_frame(self) -> polars.DataFrame:
        """One row per smile: expiry, forward and its source, level, skew, model, residual and arbitrage."""
        import polars as pl

        frame = pl.DataFrame([self._smile_row(smile) for smile in self.smiles], infer_schema_length=None)
        return frame if frame.is_empty() else frame.with_columns(pl.col("expiry").str.to_datetime(time_zone="UTC"))

    def _smile_row(self, smile: Smile) -> dict[str, Any]:
        source = next((s for v, e, _, s in self.forwards if v == smile.venue and e == smile.expiry_ns), "")
        return {
            "venue": smile.venue,
            "expiry": format_time(smile.expiry_ns),
            "years": smile.years,
            "forward_usd": smile.forward_usd,
            "forward_source": source,
            "atm_iv": float(smile.vol(0.0)),
            "atm_skew": float(smile.skew(0.0)),
            "model": smile.model,
            "points": len(smile.points),
            "rmse_volpt": smile.rmse_volpt,
            "inside_share": smile.inside_share,
            "butterfly_min_g": smile.butterfly_min_g,
        }

    def plot(self, *, theme: Theme = "light") -> Figure:
        """At-the-money vol and the forward's distance from spot over time to expiry; each of ``smiles`` plots its own fit."""
        from tailwag.figures import term_structure

        smiles = sorted(self.smiles, key=lambda smile: (smile.venue, smile.expiry_ns))
        index_usd = self.forwards.index_usd[np.isfinite(self.forwards.index_usd)]
        return term_structure(
            [DAYS_PER_YEAR * smile.years for smile in smiles],
            [float(smile.vol(0.0)) for smile in smiles],
            [smile.forward_usd for smile in smiles],
            spot_usd=float(np.median(index_usd)) if index_usd.size else None,
            theme=theme,
        )

    def document(self) -> dict[str, Any]:
        """The surface as plain numbers and None, for the report."""
        return {
            "forwards": [
                {"venue": venue, "expiry": format_time(expiry), "forward_usd": number_or_none(forward), "source": source or None}
                for venue, expiry, forward, source in self.forwards
            ],
            "smiles": [smile.document() for smile in self.smiles],
            "ssvi": None if self.ssvi is None else self._ssvi_document(self.ssvi),
            "calendar_violations": [violation.document() for violation in self.calendar_violations],
        }

    @staticmethod
    def _ssvi_document(fit: SsviFit) -> dict[str, Any]:
        rows = zip(fit.expiry_ns.tolist(), fit.theta.tolist(), fit.rmse_volpt.tolist(), fit.free_of_butterflies.tolist())
        return {
            "venue": fit.venue,
            "rho": fit.rho,
            "eta": fit.eta,
            "gamma": fit.gamma,
            "expiries": [
                {"expiry": format_time(e), "theta": t, "rmse_volpt": number_or_none(r), "free_of_butterflies": bool(f)}
                for e, t, r, f in rows
            ],
        }

    def __str__(self) -> str:
        if not self.smiles:
            return f"no smile could be fitted; {self.forwards}"
        models = [smile.model for smile in self.smiles]
        counted = ", ".join(f"{models.count(name)} {name}" for name in ("svi", "svi-repaired", "interpolated", "flat") if name in models)
        worst = max(self.smiles, key=lambda smile: smile.rmse_volpt)
        butterflies = sum(smile.butterfly_min_g < 0.0 for smile in self.smiles)
        return (
            f"{len(self.smiles)} smiles ({counted}), worst residual {worst.rmse_volpt:.2f} vol points at {format_time(worst.expiry_ns)[:10]}; "
            f"{butterflies} with butterfly arbitrage, {len(self.calendar_violations)} calendar crossings; {self.forwards}"
        )
