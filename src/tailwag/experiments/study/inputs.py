"""What a study reads: a built history under each set of the plan's assumptions, and candles; a set that the history lacks is named, not passed over."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.candles import Candles, read_candles
from tailwag.experiments.study.depths import volume_depth, with_depth
from tailwag.experiments.study.history_options import PUBLICATION_DELAY_MINUTES
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.panel_view import Assumptions, PanelView, panel_view
from tailwag.experiments.study.plan import AnalysisPlan, analysis_plan
from tailwag.experiments.study.returns import Returns, grid_returns, last_price_log, on_grid
from tailwag.kernels.arrays import FloatArray
from tailwag.sources.opening import read_file
from tailwag.units import NS_PER_MINUTE

GIVEN, BY_VOLUME = "given", "by volume"
SPELLED = {"sticky-delta": "sticky-moneyness"}
"""What the plan calls by another name than the rest of the library."""
MOST_APART = 0.05
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Market:
    """Candles as a study uses them: returns, and beside each its USD volume and signed taker flow (NaN where unknown); ``told``: the file."""

    returns: Returns
    volume_usd: FloatArray
    flow_usd: FloatArray
    told: Document


@dataclass(frozen=True, slots=True)
class Variant:
    """One set of assumptions, and what was known under it; ``refused`` says why it could not be had, ``later_minutes`` how much later it all was known."""

    rule: str
    dynamics: str
    depth: str
    known: Known | None
    refused: str | None = None
    later_minutes: float = 0.0


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a study estimates from: the plan's own assumptions in ``view``, the others in ``variants``."""

    view: PanelView
    variants: tuple[Variant, ...]
    market: Market
    plan: AnalysisPlan


def read_inputs(panel: str, candles: str, *, currency: str) -> Inputs:
    """Raises InputError or FileFormatError for a history or candles that cannot be used under the plan's own assumptions."""
    plan = analysis_plan()
    share = float(plan.content["exclusions"]["most_masked_share"])
    view = panel_view(panel, planned(plan), currency=currency, most_masked_share=share)
    market = candle_market(candles)
    variants = [_viewed(panel, other, currency, share) for other in _others(plan)]
    _refuse_another_coin(view, market, currency)
    later = [_later(view, float(minutes)) for minutes in plan.content["other-assumptions"]["known_minutes"]]
    return Inputs(view, (*variants, _by_volume(view, market), *later), market, plan)


def _later(view: PanelView, minutes: float) -> Variant:
    """Everything known so many minutes after it began, instead of the ten that stand in the panel."""
    later = minutes - PUBLICATION_DELAY_MINUTES
    known = replace(view.known, known_ns=view.known.known_ns + round(later * NS_PER_MINUTE))
    return Variant(view.rule, view.dynamics, GIVEN, known, later_minutes=later)


def _refuse_another_coin(view: PanelView, market: Market, currency: str) -> None:
    """Candles whose price is far from the snapshots' own are of another coin, or of another time."""
    price = last_price_log(market.returns, view.known.known_ns)
    apart = np.abs(price - np.log(view.known.spot_usd))
    apart = apart[np.isfinite(apart)]
    if not apart.size:
        raise InputError(
            f"{market.told['name']}: expected candles at the times of the snapshots, got none there; take a file that covers them"
        )
    if float(np.median(apart)) > MOST_APART:
        raise InputError(
            f"{market.told['name']}: expected candles of {currency}, got prices that lie {100 * float(np.median(apart)):.3g} % off the snapshots' own in the "
            "median; take the coin's own candles"
        )


def planned(plan: AnalysisPlan) -> Assumptions:
    """The assumptions of the plan's primary hypothesis."""
    told = plan.content["assumptions"]
    return Assumptions(told["rule"], told["dynamics"], float(told["depth_usd_per_pct"]))


def _others(plan: AnalysisPlan) -> list[Assumptions]:
    own, others = planned(plan), plan.content["other-assumptions"]
    return [replace(own, rule=rule) for rule in others["rules"]] + [
        replace(own, dynamics=SPELLED.get(name, name)) for name in others["dynamics"]
    ]


def _viewed(panel: str, assumptions: Assumptions, currency: str, share: float) -> Variant:
    try:
        known = panel_view(panel, assumptions, currency=currency, most_masked_share=share).known
    except InputError as error:
        return Variant(assumptions.rule, assumptions.dynamics, GIVEN, None, str(error))
    return Variant(assumptions.rule, assumptions.dynamics, GIVEN, known)


def _by_volume(view: PanelView, market: Market) -> Variant:
    try:
        depth = volume_depth(view.known, market.returns, market.volume_usd, mean_usd_per_pct=view.depth_usd_per_pct)
    except InputError as error:
        return Variant(view.rule, view.dynamics, BY_VOLUME, None, str(error))
    return Variant(view.rule, view.dynamics, BY_VOLUME, with_depth(view.known, depth / view.depth_usd_per_pct))


def candle_market(path: str | os.PathLike[str]) -> Market:
    """A file of candles of 15 minutes, whose times are those at which they open; candles without volume count as missing."""
    raw = read_file(path)
    candles = read_candles(raw, volumes=True)
    minutes = candles.candle_ns / 6e10
    if minutes != 15.0:
        raise InputError(f"{raw.name}: expected candles of 15 minutes, as the plan has them, got {minutes:g}; take another file")
    if bool((candles.time_ns % candles.candle_ns).any()):
        raise InputError(
            f"{raw.name}: expected candles that open on whole quarters of an hour, got others; take another file or mend its times"
        )
    returns = grid_returns(candles.time_ns, candles.close_usd, candles.candle_ns, traded=candles.traded)
    volume, flow = (on_grid(candles.time_ns, column, candles.candle_ns) for column in (candles.volume_usd, candles.taker_flow_usd))
    return Market(returns, volume, flow, _told(candles, raw.sha256))


def _told(candles: Candles, digest: str) -> Document:
    count = int(candles.time_ns.size)
    return {"name": candles.name, "sha256": digest, "candles": count, "without_volume": int((~candles.traded).sum())}
