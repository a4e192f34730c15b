"""What a study says beside its regressions: forecasts out of sample, which signs can be told apart, depth from flow, and another coin."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.study.depths import flow_depth
from tailwag.experiments.study.estimates import hypothesis_design
from tailwag.experiments.study.identification import Identification, identification
from tailwag.experiments.study.inference import robust_fit
from tailwag.experiments.study.inputs import GIVEN, Inputs, Variant, planned
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.out_of_sample import out_of_sample
from tailwag.experiments.study.panel_view import panel_view
from tailwag.experiments.study.replication import hedge_usd, spacing_design
from tailwag.units import NS_PER_DAY

Document = dict[str, Any]
FORECAST = "realised-vol"
REPLICATED = ("BTC", "ETH")


def forecasts(inputs: Inputs) -> Document:
    """Out-of-sample R2 and losses of the day's vol, under the plan's assumptions and the others."""
    view = inputs.view
    own = Variant(view.rule, view.dynamics, GIVEN, view.known)
    return _forecast(own, inputs) | {"other_assumptions": [_forecast(variant, inputs) for variant in inputs.variants]}


def _forecast(variant: Variant, inputs: Inputs) -> Document:
    told: Document = {
        "rule": variant.rule,
        "dynamics": variant.dynamics,
        "depth": variant.depth,
        "later_minutes": variant.later_minutes,
        "refused": variant.refused,
    }
    if variant.known is None:
        return told
    try:
        found = out_of_sample(hypothesis_design(FORECAST, variant.known, inputs.market.returns, inputs.plan), horizon_ns=NS_PER_DAY)
    except InputError as error:
        return told | {"refused": str(error)}
    return (
        told
        | {"r2": found.r2, "clark_west": found.clark_west.document(), "qlike": found.qlike, "rows": found.rows}
        | {
            "qlike_corrected": found.qlike_corrected,
            "beside_implied": {name: one.document() for name, one in found.beside_implied.items()},
        }
    )


def identified(inputs: Inputs, *, block_days: int) -> Document:
    """Signs of the parts of the book that returns can tell apart, with depth as assumed; beside it the depth that signed flow says."""
    age = float(inputs.plan.content["exclusions"]["most_age_hours"])
    known = inputs.view.known
    told: Document = {"depth_from_flow": _depth_from_flow(inputs, known, age), "refused": None}
    try:
        found = identification(known, inputs.market.returns, known.parts, most_age_hours=age, block_ns=block_days * NS_PER_DAY)
    except InputError as error:
        return told | {"refused": str(error)}
    return told | _identified(found)


def _identified(found: Identification) -> Document:
    return {
        "signs": [one.document() for one in found.signs],
        "contrasts": [
            {"weights": one.weights, "information": one.information, "estimate": one.estimate.document()} for one in found.contrasts
        ],
        "correlation": found.correlation.tolist(),
    }


def _depth_from_flow(inputs: Inputs, known: Known, age: float) -> Document:
    market = inputs.market
    hedged = hedge_usd(known, market.returns, depth_usd_per_pct=inputs.view.depth_usd_per_pct, most_age_hours=age)
    try:
        return {**asdict(flow_depth(market.returns.log_return, market.flow_usd, hedged)), "refused": None}
    except InputError as error:
        return {"refused": str(error)}


def replicated(panel: str, inputs: Inputs) -> list[Document]:
    """The primary question at the spacing of snapshots, from the index prices that the chains carry, for each coin that the history holds."""
    return [_replicated(panel, currency, inputs) for currency in REPLICATED]


def _replicated(panel: str, currency: str, inputs: Inputs) -> Document:
    limits = inputs.plan.content["exclusions"]
    try:
        view = panel_view(panel, planned(inputs.plan), currency=currency, most_masked_share=float(limits["most_masked_share"]))
        design = spacing_design(view.known, most_gap_hours=float(limits["most_age_hours"]))
        found = robust_fit(design, block_ns=10 * NS_PER_DAY)
    except InputError as error:
        return {"currency": currency, "refused": str(error)}
    return {"currency": currency, "refused": None, "estimates": [one.document() for one in found], "left_out": design.left_out}
