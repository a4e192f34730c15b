"""Which strikes a run watches for pinning: those with the most contracts of each expiry that falls inside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.dynamics import expected_vol
from tailwag.sim.metric_plan import PinWatch
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Scenario

STRIKES_PER_EXPIRY = 5
MOST_WATCHED = 20
REACH_DEVIATIONS = 3.0
"""A strike further away than this many standard deviations of the move to its expiry is not watched."""


def watched_strikes(scenario: Scenario) -> tuple[PinWatch, ...]:
    """The five strikes with the most contracts of each expiry inside the run, all agents together, at the step of their expiry.

    Half width: 2 % of the standard deviation of the move to the expiry, vol sqrt(years) of the scenario's own price.
    """
    books = [book for book in (getattr(agent, "options", None) for agent in scenario.agents) if isinstance(book, OptionBook)]
    if not books:
        return ()
    expiry, strike, size = (
        np.concatenate([getattr(book, name) for book in books]) for name in ("expiry_years", "strike_usd", "contracts_coin")
    )
    inside = (expiry > 0.0) & (expiry <= scenario.grid.horizon_years * (1.0 + 1e-12))
    watched: list[PinWatch] = []
    for years in np.unique(expiry[inside]):
        mine = expiry == years
        watched += _largest(scenario, float(years), strike[mine], np.abs(size[mine]))
    return tuple(watched[:MOST_WATCHED])


def _largest(scenario: Scenario, years: float, strike_usd: FloatArray, contracts_coin: FloatArray) -> list[PinWatch]:
    """The strikes within reach that hold the most contracts of one expiry, in order of strike."""
    vol = expected_vol(scenario.price, years)
    near = np.abs(np.log(strike_usd / scenario.spot_usd)) <= REACH_DEVIATIONS * vol * years**0.5
    strikes, place = np.unique(strike_usd[near], return_inverse=True)
    if vol <= 0.0 or not strikes.size:
        return []
    held = np.bincount(place, weights=contracts_coin[near])
    step = max(int(np.searchsorted(scenario.grid.years, years * (1.0 + 1e-12), side="right")) - 1, 1)
    chosen = np.sort(strikes[np.lexsort((strikes, -held))[:STRIKES_PER_EXPIRY]])
    return [replace(PinWatch.from_vol(float(one), vol=vol, years=years), step=step) for one in chosen]
