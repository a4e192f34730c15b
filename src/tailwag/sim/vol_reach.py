"""How far a run's vol shifts go, and so how far tables of net deltas must."""

from __future__ import annotations

import math

from tailwag.sim.scenario import Scenario

DAYS_PER_YEAR = 365.0
LEAST_SHIFT, REACH_SD = 0.05, 8.0


def vol_reach(scenario: Scenario) -> float:
    """How far vol shifts are tabulated, decimal: 8 standard deviations of beta * price, and 5 volpt more where jumps or hedgers help.

    Var = beta^2 vol^2 (1 - e^(-2 k T))/(2 k).  What goes further is summed option by option, so this is a matter of speed and memory alone.
    """
    vol = scenario.vol
    if not vol.moves:
        return 0.0
    if vol.vega_impact_per_usd > 0.0:
        return math.inf
    fading, years = 2.0 * vol.mean_reversion_per_day * DAYS_PER_YEAR, scenario.grid.horizon_years
    remembered = -math.expm1(-fading * years) / fading if fading > 0.0 else years
    return LEAST_SHIFT + REACH_SD * abs(vol.spot_vol_beta) * scenario.price.annual_vol * math.sqrt(remembered)
