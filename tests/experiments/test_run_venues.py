"""What arbitrage leaves in one leg: nothing on paths that go to their end, the other venue's last fill on paths that stop, counted and told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.sim.test_venues import STEPS, dealer, market, pair

from tailwag.experiments.report_json import strict_json
from tailwag.experiments.run_venues import run_venues, venue_sentences, venue_tables
from tailwag.sim.dynamics import Gbm
from tailwag.sim.impact import ImpactModel
from tailwag.sim.run import simulate
from tailwag.sim.venues import Venues
from tailwag.sim.venues_block import run_venues_block
from tailwag.sim.venues_engine import plan_venues
from tailwag.sim.venues_home import home_scenario, leg_paths

PATHS, SEED = 48, 4


def halting(*, thin_first: bool = False) -> Venues:
    """A venue that exhausts its depth on some paths, and one beside it that does not."""
    price, thin = Gbm(1.2), ImpactModel(permanent_per_coin=1e-6, limit_usd_per_step=1.35e8)
    deep = market(1e-6, dealer(2e9), price=price)
    shallow = market(1e-6, dealer(-5e9, name="other"), price=price, impact=thin)
    return pair(shallow, deep) if thin_first else pair(deep, shallow)


def calm() -> Venues:
    return pair(market(1e-6, dealer(2e9), price=Gbm(1.2)), market(1e-6, dealer(-5e9, name="other"), price=Gbm(1.2)))


def told_of(venues: Venues) -> dict[str, Any]:
    found = run_venues(simulate(home_scenario(venues), paths=PATHS, seed=SEED))
    assert found is not None
    return found


@pytest.mark.parametrize("thin_first", [False, True])
def test_what_is_left_is_the_last_fill_of_the_venue_that_did_not_stop(thin_first: bool) -> None:
    """Path by path: equal legs in every step but the one that stops; there the stopping venue fills nothing, and the other's fill is left."""
    venues = halting(thin_first=thin_first)
    plan = plan_venues(venues, seed=SEED)
    block = run_venues_block(plan, 0, PATHS, keep_agents=True)
    deep, thin = (1, 0) if thin_first else (0, 1)
    legs = leg_paths(venues, venues.arbitrageurs[0], block.venues)
    held = [np.asarray(leg.position_coin) for leg in legs]
    left = 0
    for path in range(PATHS):
        outcome, last = int(block.venues[0].outcome[path]), int(block.venues[0].stopped_step[path])
        until = last if outcome else STEPS + 1
        for step in range(until):
            assert held[0][path, step] + held[1][path, step] == pytest.approx(0.0, abs=1e-9)
        if not outcome:
            continue
        filled = [held[place][path, last] - held[place][path, last - 1] for place in (deep, thin)]
        assert filled[1] == 0.0, "nobody trades on the venue that stops a path"
        open_coin = legs[0].final_position_coin[path] + legs[1].final_position_coin[path]
        assert open_coin == pytest.approx(filled[0], rel=1e-12)
        left += open_coin != 0.0
    assert left >= 3
    assert told_of(venues)["arbitrageurs"][0]["left_open"]["stopped_paths"] == left


def test_coin_and_cash_are_conserved_on_paths_that_leave_a_leg() -> None:
    """On each venue by itself: what agents hold and liquidity providers sold is what there was, whatever stopped the path."""
    venues = halting()
    block = run_venues_block(plan_venues(venues, seed=SEED), 0, PATHS)
    assert (block.venues[0].outcome != 0).any()
    for venue in block.venues:
        coin = venue.liquidity_position_coin + sum(agent.final_position_coin for agent in venue.agents)
        cash = venue.liquidity_cash_usd + venue.venue_cash_usd + sum(agent.final_cash_usd for agent in venue.agents)
        scale = sum(agent.turnover_usd for agent in venue.agents).max()
        assert np.abs(coin).max() * 52_000.0 < 1e-10 * scale
        assert np.abs(cash).max() < 1e-10 * scale


def test_what_is_left_is_counted_valued_and_told() -> None:
    venues = halting()
    found = told_of(venues)
    row = found["arbitrageurs"][0]["left_open"]
    block = run_venues_block(plan_venues(venues, seed=SEED), 0, PATHS, keep_agents=True)
    legs = leg_paths(venues, venues.arbitrageurs[0], block.venues)
    worth = [
        abs(float(legs[0].final_position_coin[path] + legs[1].final_position_coin[path]))
        * 52_000.0
        * float(np.exp(block.venues[0].log_price[path, -1]))
        for path in range(PATHS)
    ]
    kept = [value for value in worth if value > 1.0]
    assert (row["paths"], row["stopped_paths"]) == (len(kept), len(kept))
    assert row["usd"]["value"] == pytest.approx(sum(kept) / PATHS, rel=1e-9)
    (told,) = [line for line in venue_sentences(found) if line.startswith("arb: ")]
    assert f"One leg was left at the end of {len(kept)} paths, {len(kept)} of them stopped before the other leg was filled: $" in told
    assert f"({len(kept)} paths)" in venue_tables({"venues": found})


def test_nothing_is_left_where_no_path_stops_and_late_orders_are_no_halt() -> None:
    found = told_of(calm())
    assert found["arbitrageurs"][0]["left_open"] == {"paths": 0, "stopped_paths": 0, "usd": {"value": 0.0, "standard_error": 0.0}}
    assert not any("One leg" in line for line in venue_sentences(found))
    idle = halting()
    row = told_of(replace(idle, arbitrageurs=(replace(idle.arbitrageurs[0], capital_usd=0.0),)))["arbitrageurs"][0]["left_open"]
    assert (row["paths"], row["stopped_paths"]) == (0, 0), "paths stop, and nobody has a leg to leave"
    venues = calm()
    slow = replace(venues.venues[1], message_delay_steps=2)
    row = told_of(replace(venues, venues=(venues.venues[0], slow)))["arbitrageurs"][0]["left_open"]
    assert row["paths"] > 0
    assert row["stopped_paths"] == 0


def test_the_document_holds_it_as_strict_json() -> None:
    assert b'"left_open"' in strict_json(told_of(halting()))
