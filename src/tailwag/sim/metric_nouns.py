"""What a run's metrics are: each a frozen noun, estimates with standard errors, hedged beside unhedged."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from tailwag.sim.estimates import Estimate, Share
from tailwag.sim.metrics_sentences import sentences


@dataclass(frozen=True, slots=True)
class Paired:
    """One quantity with everybody hedging, and on the same shocks with nobody hedging."""

    hedged: Estimate
    fundamental: Estimate


@dataclass(frozen=True, slots=True)
class HorizonMetrics:
    """Returns over one horizon: vol per year, variance ratio to one step, kurtosis (3 = normal), and hedged over unhedged vol."""

    steps: int
    hours: float
    vol: Paired
    variance_ratio: Paired
    kurtosis: Paired
    amplification: Estimate


@dataclass(frozen=True, slots=True)
class LagMetrics:
    """Correlation of one-step returns ``steps`` apart, about zero."""

    steps: int
    autocorrelation: Paired


@dataclass(frozen=True, slots=True)
class PinMetrics:
    """How often the price stands within ``half_width_bps`` of a strike at ``hours``; ``excess`` is hedged less unhedged, paired."""

    strike_usd: float
    half_width_bps: float
    hours: float
    hedged: Share
    fundamental: Share
    excess: Estimate


@dataclass(frozen=True, slots=True)
class TailMetrics:
    """Loss that a share ``level`` of paths stays below (value at risk) and the mean of what lies beyond (expected shortfall)."""

    level: float
    value_at_risk: Paired
    expected_shortfall: Paired


@dataclass(frozen=True, slots=True)
class LossMetrics:
    """An agent's loss in USD that a share ``level`` of paths stays below, and the mean beyond."""

    level: float
    value_at_risk_usd: Estimate
    expected_shortfall_usd: Estimate


@dataclass(frozen=True, slots=True)
class QuantileMetrics:
    """A quantile with its standard error."""

    level: float
    quantile: Estimate


@dataclass(frozen=True, slots=True)
class DrawdownMetrics:
    """The largest fall from a maximum on the way, as a share of that maximum."""

    mean: Paired
    mean_ratio: Estimate
    quantiles: tuple[QuantileMetrics, ...]
    fundamental_quantiles: tuple[QuantileMetrics, ...]


@dataclass(frozen=True, slots=True)
class FlowHour:
    """Net flow of all hedgers in one UTC hour of the day: + bought, and its size whatever the sign; USD per hour."""

    hour_utc: int
    signed_usd: Estimate
    absolute_usd: Estimate


@dataclass(frozen=True, slots=True)
class AgentMetrics:
    """What one agent earned, paid (spread, fees, gas, funding), traded, left unhedged, and held at most."""

    name: str
    pnl_usd: Estimate
    pnl_deviation_usd: Estimate
    pnl_parts_usd: dict[str, Estimate]
    cost_usd: Estimate
    cost_quantiles_usd: tuple[QuantileMetrics, ...]
    turnover_usd_per_day: Estimate
    trades_per_day: Estimate
    mishedge_rms_usd: Estimate
    peak_position_usd: Estimate
    tails: tuple[LossMetrics, ...]


@dataclass(frozen=True, slots=True)
class Fan:
    """Price quantiles over time, with everybody hedging and with nobody: ``hedged_usd``, ``fundamental_usd`` (quantiles, checkpoints)."""

    quantiles: tuple[float, ...]
    hours: tuple[float, ...]
    hedged_usd: tuple[tuple[float, ...], ...]
    fundamental_usd: tuple[tuple[float, ...], ...]
    resolution: str


@dataclass(frozen=True, slots=True)
class FinalPrice:
    """Where the price stands at the horizon: shares of paths between neighbouring ``edges_usd`` (one more than shares)."""

    edges_usd: tuple[float, ...]
    hedged_share: tuple[float, ...]
    fundamental_share: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Everything measured on a run.  Returns are of the paths that reached the horizon; levels, tails and P&L are of all paths.

    ``amplification_conditional``: some paths stopped, so that vols and their ratio are of the others only, which are the calmer ones;
    ``fundamental_vol_all_paths`` is what nobody hedging shows on all of them.  Units stand in the names; vols are decimal per year; ``exposure_long`` and ``exposure_short`` are losses per USD of exposure.
    """

    hours: float
    spot_usd: float
    paths: int
    finished: Share
    runaway: Share
    depth_exhausted: Share
    halted: Share
    realised_vol: Paired
    fundamental_vol_all_paths: Estimate
    amplification: Estimate
    amplification_conditional: bool
    horizons: tuple[HorizonMetrics, ...]
    horizons_reason: str
    vol_of_vol: Paired
    daily_vol_of_vol: Paired
    autocorrelations: tuple[LagMetrics, ...]
    momentum_slope: Paired
    pins: tuple[PinMetrics, ...]
    drawdown: DrawdownMetrics
    exposure_long: tuple[TailMetrics, ...]
    exposure_short: tuple[TailMetrics, ...]
    flow_by_hour: tuple[FlowHour, ...]
    agents: tuple[AgentMetrics, ...]
    fan: Fan
    final_price: FinalPrice

    def to_document(self) -> dict[str, Any]:
        """The metrics as strict JSON: every estimate a value with its standard error, null with a reason where unknown."""
        document: dict[str, Any] = _plain(self)
        return document

    def __str__(self) -> str:
        return "\n".join(sentences(self.to_document()))


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate | Share):
        return value.to_document()
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value
