"""Smile: one expiry's volatilities on one venue, what they were fitted to, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from tailwag.kernels.arrays import FloatArray
from tailwag.market.clock import format_time
from tailwag.surface.curves import Curve
from tailwag.surface.quotes import SmilePoints

if TYPE_CHECKING:
    import polars
    from plotly.graph_objects import Figure

    from tailwag.figures.palette import Theme

SmileModel = Literal["svi", "svi-repaired", "interpolated", "flat"]
CURVE_POINTS = 61
LEAST_VARIANCE = 1e-16


@dataclass(frozen=True, slots=True)
class Smile:
    """The volatility of every strike of one expiry on one venue.

    ``rmse_volpt`` is the root mean square distance from the mids, weighted by vega; ``inside_share`` the share of two-sided quotes that
    the fit passes between bid and ask (None without such quotes); ``butterfly_min_g`` the smallest Durrleman g, below 0 = arbitrage.
    """

    venue: str
    expiry_ns: int
    years: float
    forward_usd: float
    model: SmileModel
    curve: Curve
    points: SmilePoints
    rmse_volpt: float
    inside_share: float | None
    butterfly_min_g: float
    notes: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, float]:
        """The numbers of the model by name."""
        return self.curve.parameters

    def total_variance(self, log_moneyness: ArrayLike) -> FloatArray:
        """vol^2 * years at each log-moneyness ln(K / F)."""
        return np.maximum(self.curve.derivatives(np.asarray(log_moneyness, dtype=np.float64))[0], LEAST_VARIANCE)

    def vol(self, log_moneyness: ArrayLike) -> FloatArray:
        """Volatility at each log-moneyness, as a decimal."""
        return np.asarray(np.sqrt(self.total_variance(log_moneyness) / self.years))

    def skew(self, log_moneyness: ArrayLike) -> FloatArray:
        """d vol / d log-moneyness: negative where lower strikes are dearer."""
        k = np.asarray(log_moneyness, dtype=np.float64)
        return np.asarray(self.curve.derivatives(k)[1] / (2.0 * self.years * self.vol(k)))

    @property
    def quoted_range(self) -> tuple[float, float]:
        """Log-moneyness of the lowest and the highest strike it stands on."""
        k = self.points.log_moneyness
        return float(k[0]), float(k[-1])

    def to_frame(self) -> polars.DataFrame:
        """The points it stands on, one row per strike."""
        return self.points.to_frame()

    def plot(self, *, theme: Theme = "light") -> Figure:
        """The fit against bid, ask and mark of every strike, as an interactive figure."""
        from tailwag.figures import smile_fit

        points, k = self.points, self._curve_log_moneyness()
        return smile_fit(
            points.strike_usd,
            points.bid_iv,
            points.ask_iv,
            points.mark_iv,
            curve_strike_usd=self.forward_usd * np.exp(k),
            curve_iv=self.vol(k),
            forward_usd=self.forward_usd,
            theme=theme,
        )

    def _curve_log_moneyness(self) -> FloatArray:
        low, high = self.quoted_range
        return np.linspace(low, high, CURVE_POINTS) if high > low else np.array([low])

    def document(self) -> dict[str, Any]:
        """The smile as plain numbers and None, for the report."""
        points = self.points
        columns = zip(
            *(
                getattr(points, name).tolist()
                for name in ("strike_usd", "log_moneyness", "right", "bid_iv", "ask_iv", "mark_iv", "fit_iv", "source")
            )
        )
        k = self._curve_log_moneyness()
        curve = zip(k.tolist(), (self.forward_usd * np.exp(k)).tolist(), self.vol(k).tolist())
        return {
            "venue": self.venue,
            "expiry": format_time(self.expiry_ns),
            "years": self.years,
            "forward_usd": number_or_none(self.forward_usd),
            "model": self.model,
            "parameters": {name: number_or_none(value) for name, value in self.parameters.items()},
            "rmse_volpt": number_or_none(self.rmse_volpt),
            "inside_share": self.inside_share,
            "butterfly_min_g": number_or_none(self.butterfly_min_g),
            "notes": list(self.notes),
            "points": [
                {
                    "strike_usd": strike,
                    "log_moneyness": x,
                    "right": "call" if right > 0 else "put",
                    "bid_iv": number_or_none(bid),
                    "ask_iv": number_or_none(ask),
                    "mark_iv": number_or_none(mark),
                    "fit_iv": number_or_none(fit),
                    "source": source,
                }
                for strike, x, right, bid, ask, mark, fit, source in columns
            ],
            "curve": [{"log_moneyness": x, "strike_usd": strike, "iv": iv} for x, strike, iv in curve],
        }

    def __str__(self) -> str:
        inside = "" if self.inside_share is None else f", {self.inside_share:.0%} of the quotes inside bid and ask"
        arbitrage = "no butterfly arbitrage" if self.butterfly_min_g >= 0.0 else f"BUTTERFLY ARBITRAGE (g {self.butterfly_min_g:.3f})"
        return (
            f"{self.venue} {format_time(self.expiry_ns)[:10]}: at the money {float(self.vol(0.0)):.1%}, skew {float(self.skew(0.0)):+.2f}, "
            f"{self.model} through {len(self.points)} strikes within {self.rmse_volpt:.2f} vol points{inside}; {arbitrage}"
        )


def number_or_none(value: float) -> float | None:
    """A finite number, or None."""
    return float(value) if np.isfinite(value) else None
