"""Metrics of a simulated run: how much vol hedging adds, where price pins, how it moves on every horizon, what tails and hedges cost.

Blocks of paths are folded into sums of fixed size and merged in any order to the same bits; metrics are read from the sums, each with its
standard error and beside its value on the same shocks with nobody hedging.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.block_sums import BlockSums, fold, merge
from tailwag.sim.estimates import Estimate, Share, kurtosis, spread
from tailwag.sim.histogram import Distribution
from tailwag.sim.metric_nouns import (
    AgentMetrics,
    DrawdownMetrics,
    Fan,
    FinalPrice,
    FlowHour,
    HorizonMetrics,
    LagMetrics,
    LossMetrics,
    Metrics,
    Paired,
    PinMetrics,
    QuantileMetrics,
    TailMetrics,
)
from tailwag.sim.metric_plan import MetricPlan, PinWatch
from tailwag.sim.state import PNL_PARTS, Outcome
from tailwag.sim.totals import NOBODY, Totals
from tailwag.units import DAYS_PER_YEAR, HOURS_PER_YEAR

__all__ = ["BlockSums", "MetricPlan", "Metrics", "PinWatch", "fold", "merge", "metrics"]

FEWEST_IN_TAIL = 10
FINAL_PRICE_BINS = 120
FINAL_PRICE_REACH = 3.5
"""Bins of the final price end this many interquartile ranges from the median (4.7 deviations of a normal law) at the latest."""
UNEVEN = "the time grid is not uniform, and returns by horizon need equal steps"


def metrics(sums: BlockSums, plan: MetricPlan) -> Metrics:
    """Read every metric from merged sums; the plan must be the one that folded them."""
    totals = Totals.of(sums, plan)
    ended = {kind: Share(int(sums.outcomes[int(kind)]), sums.paths) for kind in Outcome}
    return Metrics(
        hours=plan.years * HOURS_PER_YEAR,
        spot_usd=plan.spot_usd,
        paths=sums.paths,
        finished=ended[Outcome.FINISHED],
        runaway=ended[Outcome.RUNAWAY],
        depth_exhausted=ended[Outcome.DEPTH_EXHAUSTED],
        halted=ended[Outcome.HALTED],
        realised_vol=_paired(lambda series: totals.mean(f"{series}.variance").root()),
        fundamental_vol_all_paths=totals.mean("fundamental.all_variance").root(),
        amplification=totals.ratio("price.square.1", "fundamental.square.1").root(),
        amplification_conditional=sums.finished < sums.paths,
        horizons=tuple(_horizon(totals, plan, steps) for steps in plan.measured_horizons) if plan.uniform else (),
        horizons_reason="" if plan.uniform else UNEVEN,
        vol_of_vol=_paired(lambda series: spread(totals.pair(f"{series}.vol", f"{series}.variance"), reason=NOBODY)),
        daily_vol_of_vol=_paired(lambda series: _daily(totals, plan, series)),
        autocorrelations=tuple(_lag(totals, lag) for lag in plan.measured_lags),
        momentum_slope=_paired(lambda series: _momentum(totals, plan, series)),
        pins=tuple(_pin(sums, plan, place) for place in range(len(plan.pins))),
        drawdown=_drawdown(sums, totals, plan),
        exposure_long=tuple(_tail(sums, level, side=+1.0) for level in plan.tail_levels),
        exposure_short=tuple(_tail(sums, level, side=-1.0) for level in plan.tail_levels),
        flow_by_hour=tuple(_flow_hour(totals, int(hour)) for hour in np.flatnonzero(plan.hours_covered() > 0.0)),
        agents=tuple(_agent(sums, totals, plan, place) for place in range(len(sums.agents))),
        fan=_fan(sums, plan),
        final_price=_final_price(sums, plan),
    )


def _paired(law: Callable[[str], Estimate]) -> Paired:
    return Paired(law("price"), law("fundamental"))


def _horizon(totals: Totals, plan: MetricPlan, steps: int) -> HorizonMetrics:
    years = steps * plan.years / plan.steps
    square, fourth = f"square.{steps}", f"fourth.{steps}"
    return HorizonMetrics(
        steps,
        years * HOURS_PER_YEAR,
        vol=_paired(lambda series: totals.mean(f"{series}.{square}").times(1.0 / years).root()),
        variance_ratio=_paired(
            lambda series: Estimate(1.0, 0.0) if steps == 1 else totals.ratio(f"{series}.{square}", f"{series}.square.1").times(1.0 / steps)
        ),
        kurtosis=_paired(lambda series: kurtosis(totals.pair(f"{series}.{fourth}", f"{series}.{square}"), reason=NOBODY)),
        amplification=totals.ratio(f"price.{square}", f"fundamental.{square}").root(),
    )


def _lag(totals: Totals, lag: int) -> LagMetrics:
    return LagMetrics(lag, _paired(lambda series: totals.ratio(f"{series}.product.{lag}", f"{series}.square.1")))


def _daily(totals: Totals, plan: MetricPlan, series: str) -> Estimate:
    if plan.day_steps is None:
        return Estimate.unknown("no whole day of equal steps fits the run")
    return spread(totals.pair(f"{series}.daily_vol", f"{series}.daily_variance"), reason=NOBODY)


def _momentum(totals: Totals, plan: MetricPlan, series: str) -> Estimate:
    if plan.close_steps() is None:
        return Estimate.unknown(
            "no whole day with its last window fits the time grid; run at least a day, with steps that divide the window"
        )
    return totals.ratio(f"{series}.close_product", f"{series}.close_square")


def _pin(sums: BlockSums, plan: MetricPlan, place: int) -> PinMetrics:
    pin, (hedged, alone, both) = plan.pins[place], (int(count) for count in sums.pinned[place])
    step = plan.steps if pin.step is None else pin.step
    paths = sums.paths
    difference = (hedged - alone) / paths
    error = ((hedged + alone - 2 * both) / paths - difference**2) / paths
    hours = float(plan.time_years[step] - plan.time_years[0]) * HOURS_PER_YEAR
    return PinMetrics(
        pin.strike_usd, pin.half_width_bps, hours, Share(hedged, paths), Share(alone, paths), Estimate(difference, max(error, 0.0) ** 0.5)
    )


def _quantile(distribution: Distribution, level: float) -> Estimate:
    reason = _too_thin(distribution.total, min(level, 1.0 - level))
    return Estimate.unknown(reason) if reason else Estimate(distribution.quantile(level), distribution.quantile_error(level))


def _too_thin(paths: int, share: float) -> str:
    if paths * share >= FEWEST_IN_TAIL * (1.0 - 1e-9):
        return ""
    return f"{FEWEST_IN_TAIL} paths in the tail needed, {paths * share:.3g} there; run {FEWEST_IN_TAIL / share:,.0f} paths or more"


def _losses(outcomes: Distribution, level: float) -> tuple[Estimate, Estimate]:
    """Value at risk and expected shortfall of -outcome.  SE of the shortfall: sqrt((var of tail + level (ES - VaR)^2)/(paths in tail))."""
    share = 1.0 - level
    at_risk = _quantile(outcomes, share).times(-1.0)
    if at_risk.value is None:
        return at_risk, at_risk
    centre, variance = outcomes.moments_below(share)
    error = ((variance + level * (-centre - at_risk.value) ** 2) / (outcomes.total * share)) ** 0.5
    return at_risk, Estimate(-centre, error)


def _tail(sums: BlockSums, level: float, *, side: float) -> TailMetrics:
    """Losses on one USD of exposure, long (+1) or short (-1), held to the horizon: side (S_T/S_0 - 1)."""
    found = [_losses(sums.final.distribution(row).mapped(np.expm1, scale=side), level) for row in (0, 1)]
    return TailMetrics(level, Paired(found[0][0], found[1][0]), Paired(found[0][1], found[1][1]))


def _drawdown(sums: BlockSums, totals: Totals, plan: MetricPlan) -> DrawdownMetrics:
    falls = [sums.drawdown.distribution(row) for row in (0, 1)]
    quantiles = [tuple(QuantileMetrics(level, _quantile(fall, level)) for level in (0.5, *plan.tail_levels)) for fall in falls]
    means = _paired(lambda series: totals.mean(f"{series}.drawdown"))
    return DrawdownMetrics(means, totals.ratio("price.drawdown", "fundamental.drawdown"), quantiles[0], quantiles[1])


def _flow_hour(totals: Totals, hour: int) -> FlowHour:
    return FlowHour(hour, totals.mean(f"signed.{hour}"), totals.mean(f"absolute.{hour}"))


def _agent(sums: BlockSums, totals: Totals, plan: MetricPlan, place: int) -> AgentMetrics:
    name, days = f"agent.{place}", plan.years * DAYS_PER_YEAR
    earned, paid = sums.money.distribution(2 * place), sums.money.distribution(2 * place + 1)
    losses = [(level, *_losses(earned, level)) for level in plan.tail_levels]
    return AgentMetrics(
        sums.agents[place],
        pnl_usd=totals.mean(f"{name}.pnl_usd"),
        pnl_deviation_usd=spread(totals.pair(f"{name}.pnl_usd", f"{name}.pnl_squared"), reason=NOBODY),
        pnl_parts_usd={part: totals.mean(f"{name}.{part}") for part in PNL_PARTS},
        cost_usd=totals.mean(f"{name}.cost_usd"),
        cost_quantiles_usd=tuple(QuantileMetrics(level, _quantile(paid, level)) for level in (*plan.fan_quantiles, *plan.tail_levels[1:])),
        turnover_usd_per_day=totals.mean(f"{name}.turnover_usd").times(1.0 / days),
        trades_per_day=totals.mean(f"{name}.trades").times(1.0 / days),
        mishedge_rms_usd=totals.mean(f"{name}.gap_squared").root(),
        peak_position_usd=totals.mean(f"{name}.peak_position_usd"),
        tails=tuple(LossMetrics(level, at_risk, shortfall) for level, at_risk, shortfall in losses),
    )


def _fan(sums: BlockSums, plan: MetricPlan) -> Fan:
    count = len(plan.checkpoint_steps)
    hours = (plan.time_years[list(plan.checkpoint_steps)] - plan.time_years[0]) * HOURS_PER_YEAR
    found = np.array([[sums.fan.distribution(row).quantile(level) for row in range(2 * count)] for level in plan.fan_quantiles])
    prices: FloatArray = plan.spot_usd * np.exp(found.reshape(len(plan.fan_quantiles), 2, count))
    hedged, alone = (tuple(tuple(map(float, line)) for line in prices[:, row]) for row in (0, 1))
    resolution = f"bins of {sums.fan.bins.resolution_pct:.2g} % of the log move, interpolated"
    return Fan(plan.fan_quantiles, tuple(map(float, hours)), hedged, alone, resolution)


def _final_price(sums: BlockSums, plan: MetricPlan) -> FinalPrice:
    """Equal bins of price over all but the outermost 0.2 % of paths, hedged or not; a few runaways do not stretch them."""
    found = [sums.final.distribution(row) for row in (0, 1)]
    reach = [FINAL_PRICE_REACH * (each.quantile(0.75) - each.quantile(0.25)) for each in found]
    low = min(max(each.quantile(0.001), each.quantile(0.5) - far) for each, far in zip(found, reach, strict=True))
    high = max(min(each.quantile(0.999), each.quantile(0.5) + far) for each, far in zip(found, reach, strict=True))
    edges = np.linspace(np.exp(low), np.exp(max(high, low + 1e-6)), FINAL_PRICE_BINS + 1)
    shares = [np.diff(each.share_below(np.log(edges))) for each in found]
    return FinalPrice(tuple(map(float, plan.spot_usd * edges)), *(tuple(map(float, share)) for share in shares))
