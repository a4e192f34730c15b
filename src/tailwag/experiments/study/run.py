"""The study: a built history and candles in, the plan's estimates out as a document, under the plan's assumptions and, beside them, its placebos and others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.study.beyond import forecasts, identified, replicated
from tailwag.experiments.study.estimates import PINNING, PRIMARY_DAYS, REGRESSIONS, Found, hypothesis_design, pinned, regression
from tailwag.experiments.study.expiry import expiry_design
from tailwag.experiments.study.inference import Design, holm
from tailwag.experiments.study.inputs import Inputs, Variant, read_inputs
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.placebos import HOURS, SHIFTS_DAYS, Placebo, drawn_signs, other_hours, shifted, shifted_dates
from tailwag.experiments.study.returns import Returns

OUT_OF_SAMPLE = "out-of-sample"
NAMES = {
    "reversal": ("reversal", "shocks"),
    "realised-vol": ("realised-vol", "realised-vol-1h"),
    "expiry": ("expiry",),
    "pinning": (PINNING,),
    "all": (*REGRESSIONS, PINNING),
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
            raise InputError(f"expected a study of {', '.join(NAMES)}, trades or case, got {self.name[:40]!a}")


def study(request: StudyRequest, *, say: Say = lambda text: None) -> Document:
    """Estimate what the plan names, under the plan's assumptions; the document is schema ``tailwag.study/1``.

    Raises InputError or FileFormatError for a history or candles that cannot be used.
    """
    say("reading")
    inputs = read_inputs(request.panel, request.candles, currency=request.currency)
    found = []
    for name in NAMES[request.name]:
        say(name)
        found.append(_entry(name, inputs, request.seed))
    say("beyond the hypotheses")
    document = _head(request, inputs) | {"hypotheses": found}
    if request.name in ("realised-vol", "all"):
        document["out_of_sample"] = forecasts(inputs)
    if request.name in ("reversal", "all"):
        document["identification"] = identified(inputs, block_days=PRIMARY_DAYS)
    if request.name == "all":
        document["rejected"] = _rejected(document, inputs)
        document["replication"] = replicated(request.panel, inputs)
    return document


def _head(request: StudyRequest, inputs: Inputs) -> Document:
    view = inputs.view
    return {
        "schema": SCHEMA,
        "study": request.name,
        "plan": {"sha256": inputs.plan.digest, "version": inputs.plan.content["plan"]["version"]},
        "currency": request.currency,
        "assumptions": {"rule": view.rule, "dynamics": view.dynamics, "depth_usd_per_pct": view.depth_usd_per_pct},
        "history": {"tables": view.digests, "rows": int(view.known.known_ns.size), "left_out": view.left_out},
        "candles": inputs.market.told,
        "seed": request.seed,
    }


def _entry(name: str, inputs: Inputs, seed: int) -> Document:
    plan, known, returns = inputs.plan, inputs.view.known, inputs.market.returns
    found = _found(name, known, inputs, seed)
    entry = {
        **_told(found),
        **{said: plan.hypothesis(name)[said] for said in ("predicted", "predicted_says")},
        "hypothesis": plan.hypothesis(name)["hypothesis"],
    }
    if name in ("realised-vol", "realised-vol-1h"):
        entry["without_implied_vol"] = _told(regression(name, known, returns, plan, seed=seed, implied=False))
    entry["placebos"] = [] if found.estimate is None else [_placebo(one) for one in _placebos(name, known, inputs, seed)]
    # the strike and the spot of pinning are the same whoever is short and however deep the market is, not whenever they are known
    others = [variant for variant in inputs.variants if name != PINNING or variant.later_minutes]
    entry["other_assumptions"] = [_under(name, variant, inputs, seed) for variant in others]
    return entry


def _found(name: str, known: Known, inputs: Inputs, seed: int) -> Found:
    if name == PINNING:
        return pinned(known, inputs.market.returns, inputs.plan, seed=seed)
    return regression(name, known, inputs.market.returns, inputs.plan, seed=seed)


def _under(name: str, variant: Variant, inputs: Inputs, seed: int) -> Document:
    """The hypothesis' own coefficient under another set of assumptions."""
    told = {"rule": variant.rule, "dynamics": variant.dynamics, "depth": variant.depth, "later_minutes": variant.later_minutes}
    if variant.known is None:
        return told | {"estimate": None, "refused": variant.refused}
    found = _found(name, variant.known, inputs, seed)
    first = found.estimate
    return told | {"estimate": None if first is None else first.document(), "refused": found.refused}


def _told(found: Found) -> Document:
    return {
        "name": found.name,
        "estimates": [one.document() for one in found.estimates],
        "left_out": found.left_out,
        "refused": found.refused,
    }


def _rejected(document: Document, inputs: Inputs) -> Document:
    """What the plan calls rejected: the primary where both its intervals leave 0 out, the secondary hypotheses by Holm over all six.

    A hypothesis without an estimate has no p-value and counts as one that is not rejected, at p = 1.
    """
    primary = inputs.plan.content["primary"]["name"]
    first = {entry["name"]: next(iter(entry["estimates"]), None) for entry in document["hypotheses"]}
    p_values = {name: 1.0 if one is None else float(one["p_value"]) for name, one in first.items() if name != primary}
    p_values[OUT_OF_SAMPLE] = 1.0 if document["out_of_sample"]["refused"] else float(document["out_of_sample"]["clark_west"]["p_value"])
    own = first[primary]
    return {"primary": {primary: bool(own is not None and own["rejects_zero"])}, "secondary": holm(p_values), "p_values": p_values}


def _placebos(name: str, known: Known, inputs: Inputs, seed: int) -> list[Placebo]:
    if name not in REGRESSIONS:
        return []
    returns, plan = inputs.market.returns, inputs.plan
    true = hypothesis_design(name, known, returns, plan)
    shifts = [lambda days=days: hypothesis_design(name, shifted(known, days), returns, plan) for days in SHIFTS_DAYS]
    made = [drawn_signs(true, seed=seed), shifted_dates(true, shifts)]
    if name == "expiry":
        made.append(_other_hours(known, returns, true, plan.content["exclusions"]))
    return made


def _other_hours(known: Known, returns: Returns, true: Design, limits: Document) -> Placebo:
    age, below = float(limits["most_age_hours"]), float(limits["gain_from"])

    def at(hour: int) -> Callable[[], Design]:
        return lambda: expiry_design(known, returns, most_age_hours=age, gain_below=below, hour=hour)

    return other_hours(true, [at(hour) for hour in HOURS])


def _placebo(one: Placebo) -> Document:
    return {"name": one.name, "true": one.true, "placebos": int(one.values.size), "share_as_far": one.as_far, "values": one.values.tolist()}
