"""The plan's hypotheses on one market under one set of assumptions: estimates with their errors, in the order of the plan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.study.expiry import expiry_design
from tailwag.experiments.study.inference import Design, Estimate, block_bootstrap, robust_fit, with_blocks
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.pinning import Pins, pins, sign_flips
from tailwag.experiments.study.plan import AnalysisPlan
from tailwag.experiments.study.realised import realised_design
from tailwag.experiments.study.returns import Returns
from tailwag.experiments.study.reversal import reversal_design, shocks_design
from tailwag.units import NS_PER_DAY

PRIMARY_DAYS, SECONDARY_DAYS = 10, 5
DRAWS, FLIPS = 999, 9_999
REGRESSIONS = ("reversal", "realised-vol", "realised-vol-1h", "shocks", "expiry")
PINNING = "pinning"


@dataclass(frozen=True, slots=True)
class Found:
    """What one hypothesis gave: its estimate first, then the controls'; ``refused`` says in a sentence why there is none."""

    name: str
    estimates: tuple[Estimate, ...]
    left_out: dict[str, int]
    refused: str | None = None

    @property
    def estimate(self) -> Estimate | None:
        """The coefficient that the hypothesis is about."""
        return self.estimates[0] if self.estimates else None


def hypothesis_design(name: str, known: Known, returns: Returns, plan: AnalysisPlan, *, implied: bool = True) -> Design:
    """The regression of one of ``REGRESSIONS``, with the plan's exclusions."""
    limits = plan.content["exclusions"]
    age, below = float(limits["most_age_hours"]), float(limits["gain_from"])
    if name == "reversal":
        return reversal_design(known, returns, most_age_hours=age)
    if name == "shocks":
        return shocks_design(known, returns, most_age_hours=age)
    if name == "expiry":
        return expiry_design(known, returns, most_age_hours=age, gain_below=below)
    if name in ("realised-vol", "realised-vol-1h"):
        return realised_design(known, returns, hours=24 if name == "realised-vol" else 1, gain_below=below, implied=implied)
    raise InputError(f"expected a regression of the plan ({', '.join(REGRESSIONS)}), got {name[:40]!a}")


def regression(name: str, known: Known, returns: Returns, plan: AnalysisPlan, *, seed: int, implied: bool = True) -> Found:
    """One regression with both intervals; where it cannot be fitted, the reason."""
    days = PRIMARY_DAYS if name == plan.content["primary"]["name"] else SECONDARY_DAYS
    design = hypothesis_design(name, known, returns, plan, implied=implied)
    try:
        estimates = robust_fit(design, block_ns=days * NS_PER_DAY)
    except InputError as error:
        return Found(name, (), design.left_out, str(error))
    draws = block_bootstrap(design, block_ns=days * NS_PER_DAY, draws=DRAWS, seed=seed)
    return Found(name, with_blocks(estimates, draws), design.left_out)


def pinned(known: Known, returns: Returns, plan: AnalysisPlan, *, seed: int) -> Found:
    """The mean figure of all expiries: errors over blocks of days beside the sign flips, whose p-value is the plan's."""
    found = pins(known, returns, most_age_hours=float(plan.content["exclusions"]["most_age_hours"]))
    try:
        mean = robust_fit(_mean(found), block_ns=SECONDARY_DAYS * NS_PER_DAY)
    except InputError as error:
        return Found(PINNING, (), found.left_out, str(error))
    p_value = sign_flips(found.nearer, draws=FLIPS, seed=seed)
    return Found(PINNING, (replace(mean[0], p_value=p_value),), found.left_out)


def _mean(found: Pins) -> Design:
    ones = np.ones((found.nearer.size, 1))
    return Design(found.nearer, ones, ("mean",), found.expiry_ns, found.left_out)
