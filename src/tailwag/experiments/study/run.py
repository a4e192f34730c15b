"""The study: a built history and candles in, the plan's estimates out as a document, under the plan's assumptions and beside them its placebos."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.candles import read_candles
from tailwag.experiments.study.estimates import PINNING, REGRESSIONS, Found, hypothesis_design, pinned, regression
from tailwag.experiments.study.expiry import expiry_design
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.panel_view import Assumptions, PanelView, panel_view
from tailwag.experiments.study.placebos import HOURS, SHIFTS_DAYS, Placebo, drawn_signs, other_hours, shifted, shifted_dates
from tailwag.experiments.study.plan import AnalysisPlan, analysis_plan
from tailwag.experiments.study.returns import Returns, grid_returns
from tailwag.sources.opening import read_file

NAMES = {
    "reversal": ("reversal", "shocks"),
    "realised-vol": ("realised-vol", "realised-vol-1h"),
    "expiry": ("expiry",),
    "pinning": (PINNING,),
}
"""What ``tailwag study NAME`` estimates."""
SCHEMA = "tailwag.study/1"
Document = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """One study: which of ``NAMES``, the folder of the history, the file of candles, the coin, and the seed of bootstrap and placebos."""

    name: str
    panel: str
    candles: str
    currency: str = "BTC"
    seed: int = 7

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise InputError(f"expected a study of {', '.join(NAMES)}, got {self.name[:40]!a}")


@dataclass(frozen=True, slots=True)
class _Inputs:
    view: PanelView
    returns: Returns
    plan: AnalysisPlan
    candles: Document


def study(request: StudyRequest, *, say: Say = lambda text: None) -> Document:
    """Estimate what the plan names, under the plan's assumptions; the document is schema ``tailwag.study/1``.

    Raises InputError or FileFormatError for a history or candles that cannot be used.
    """
    say("reading")
    inputs = _inputs(request)
    found = []
    for name in NAMES[request.name]:
        say(name)
        found.append(_entry(name, inputs, request.seed))
    return {
        "schema": SCHEMA,
        "study": request.name,
        "plan": {"sha256": inputs.plan.digest, "version": inputs.plan.content["plan"]["version"]},
        "currency": request.currency,
        "assumptions": {"rule": inputs.view.rule, "dynamics": inputs.view.dynamics, "depth_usd_per_pct": inputs.view.depth_usd_per_pct},
        "history": {"tables": inputs.view.digests, "rows": int(inputs.view.known.known_ns.size), "left_out": inputs.view.left_out},
        "candles": inputs.candles,
        "seed": request.seed,
        "hypotheses": found,
    }


def _inputs(request: StudyRequest) -> _Inputs:
    plan = analysis_plan()
    told = plan.content["assumptions"]
    assumptions = Assumptions(told["rule"], told["dynamics"], float(told["depth_usd_per_pct"]))
    share = float(plan.content["exclusions"]["most_masked_share"])
    view = panel_view(request.panel, assumptions, currency=request.currency, most_masked_share=share)
    returns, candles = candle_grid(request.candles)
    return _Inputs(view, returns, plan, candles)


def candle_grid(path: str | os.PathLike[str]) -> tuple[Returns, Document]:
    """Returns of a file of candles, whose times are those at which they open, and what was read; candles without volume count as missing."""
    raw = read_file(path)
    candles = read_candles(raw, volumes=True)
    returns = grid_returns(candles.time_ns, candles.close_usd, candles.candle_ns, traded=candles.traded)
    minutes = candles.candle_ns / 6e10
    if minutes != 15.0:
        raise InputError(f"{raw.name}: expected candles of 15 minutes, as the plan has them, got {minutes:g}; take another file")
    told = {"name": raw.name, "sha256": raw.sha256, "candles": int(candles.time_ns.size), "without_volume": int((~candles.traded).sum())}
    return returns, told


def _entry(name: str, inputs: _Inputs, seed: int) -> Document:
    plan = inputs.plan
    known, returns = inputs.view.known, inputs.returns
    found = pinned(known, returns, plan, seed=seed) if name == PINNING else regression(name, known, returns, plan, seed=seed)
    entry = {**_told(found), "predicted": plan.hypothesis(name)["predicted"], "hypothesis": plan.hypothesis(name)["hypothesis"]}
    if name in ("realised-vol", "realised-vol-1h"):
        entry["without_implied_vol"] = _told(regression(name, known, returns, plan, seed=seed, implied=False))
    entry["placebos"] = [] if found.estimate is None else [_placebo(one) for one in _placebos(name, known, returns, plan, seed)]
    return entry


def _told(found: Found) -> Document:
    return {
        "name": found.name,
        "estimates": [{**asdict(one), "rejects_zero": one.rejects_zero} for one in found.estimates],
        "left_out": found.left_out,
        "refused": found.refused,
    }


def _placebos(name: str, known: Known, returns: Returns, plan: AnalysisPlan, seed: int) -> list[Placebo]:
    if name not in REGRESSIONS:
        return []
    true = hypothesis_design(name, known, returns, plan)
    limits = plan.content["exclusions"]
    shifts = [lambda days=days: hypothesis_design(name, shifted(known, days), returns, plan) for days in SHIFTS_DAYS]
    made = [drawn_signs(true, seed=seed), shifted_dates(true, shifts)]
    if name == "expiry":
        age, below = float(limits["most_age_hours"]), float(limits["gain_from"])
        hours = [lambda hour=hour: expiry_design(known, returns, most_age_hours=age, gain_below=below, hour=hour) for hour in HOURS]
        made.append(other_hours(true, hours))
    return made


def _placebo(one: Placebo) -> Document:
    return {"name": one.name, "true": one.true, "placebos": int(one.values.size), "share_as_far": one.as_far, "values": one.values.tolist()}
