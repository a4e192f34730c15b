"""A scenario that has other venues beside it: one venue is home, whose block of paths tells everybody's profit, wherever they trade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.sim.agents.arbitrageur import Arbitrageur
from tailwag.sim.agents.protocol import Agent
from tailwag.sim.engine import RunPlan
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import AgentPaths, BlockPaths
from tailwag.sim.venues import Venue, Venues
from tailwag.sim.venues_block import VenuesBlock, run_venues_block
from tailwag.sim.venues_engine import VenuesPlan, plan_venues
from tailwag.sim.venues_price import Carried, expiry_of


def home_scenario(venues: Venues) -> Scenario:
    """The first venue's scenario with the others beside it: what ``simulate``, comparisons and reports of one scenario run.

    Raises InputError for a home that is a future, or two agents of one name on different venues.
    """
    if venues.venues[0].instrument == "future":
        raise InputError(f"expected spot or a perp as the first venue, got the future {venues.venues[0].name!r}; name another one first")
    scenario = replace(venues.venues[0].scenario, elsewhere=venues)
    names = [agent.name for agent in everybody(scenario)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"expected agents of different names on all venues together, got {twice[0]!r} twice; rename one of them")
    return scenario


def venues_of(scenario: Scenario) -> Venues:
    """All venues of a scenario as it stands now: home may have been changed since, and every venue shares its clock and shocks.

    Raises InputError for a scenario that has no other venue.
    """
    if scenario.elsewhere is None:
        raise InputError("expected a scenario with other venues beside it, got one venue alone")
    home = replace(scenario.elsewhere.venues[0], scenario=replace(scenario, elsewhere=None))
    others = tuple(_sharing(venue, scenario) for venue in scenario.elsewhere.venues[1:])
    return replace(scenario.elsewhere, venues=(home, *others))


def _sharing(venue: Venue, home: Scenario) -> Venue:
    drift, expires = venue.scenario.price, venue.expiry_years
    if isinstance(drift, Carried):
        settles = None if expires is None else expiry_of(home.grid.years, expires)
        price: Any = Carried(home.price, drift.drift_per_year, settles)
    else:
        price = home.price
    return replace(venue, scenario=replace(venue.scenario, price=price, grid=home.grid))


def everybody(scenario: Scenario) -> tuple[Agent | Arbitrageur, ...]:
    """Home's agents, then the arbitrageurs, then agents of the other venues; home's agents alone where there is no other venue."""
    if scenario.elsewhere is None:
        return scenario.agents
    others = tuple(agent for venue in scenario.elsewhere.venues[1:] for agent in venue.scenario.agents)
    return (*scenario.agents, *scenario.elsewhere.arbitrageurs, *others)


def movers_of_home(scenario: Scenario) -> int:
    """How many of :func:`everybody` trade at home, so that their flow moves its price."""
    return len(scenario.agents) + (0 if scenario.elsewhere is None else len(scenario.elsewhere.arbitrageurs))


def run_home_block(plan: RunPlan, first_path: int, paths: int, *, keep_agents: bool = False) -> BlockPaths:
    """A block of home's paths with everybody's accounts: an arbitrageur's two legs are one, its flow is what it trades at home."""
    told = plan_venues(venues_of(plan.scenario), seed=plan.seed)
    return home_block(told, run_venues_block(told, first_path, paths, keep_agents=keep_agents))


def home_block(plan: VenuesPlan, block: VenuesBlock) -> BlockPaths:
    """Home's part of a block on all venues; liquidity providers' cash holds what those of the other venues have, coins at the last price."""
    home, others = block.venues[0], block.venues[1:]
    own = [len(venue.scenario.agents) for venue in plan.venues.venues]
    legs = [_both(plan.venues, arbitrageur, block.venues) for arbitrageur in plan.venues.arbitrageurs]
    agents = (*home.agents[: own[0]], *legs, *(agent for other, count in zip(others, own[1:]) for agent in other.agents[:count]))
    cash = home.liquidity_cash_usd
    for one, other in zip(plan.plans[1:], others):
        cash = cash + other.liquidity_cash_usd + other.liquidity_position_coin * one.scenario.spot_usd * np.exp(other.log_price[:, -1])
    return replace(
        home,
        agents=agents,
        liquidity_cash_usd=cash,
        venue_cash_usd=sum((other.venue_cash_usd for other in others), start=home.venue_cash_usd),
        holders_cash_usd=sum((other.holders_cash_usd for other in others), start=home.holders_cash_usd),
        others=others,
    )


def leg_paths(venues: Venues, arbitrageur: Arbitrageur, blocks: Sequence[BlockPaths]) -> tuple[AgentPaths, AgentPaths]:
    """The accounts of an arbitrageur's two legs, the first venue's before the second's."""
    names = [venue.name for venue in venues.venues]
    first, second = (
        next(agent for agent in blocks[names.index(name)].agents if agent.name == arbitrageur.name) for name in arbitrageur.legs
    )
    return first, second


def _both(venues: Venues, arbitrageur: Arbitrageur, blocks: Sequence[BlockPaths]) -> AgentPaths:
    legs, home = leg_paths(venues, arbitrageur, blocks), venues.venues[0].name
    at_home = next((leg for leg, name in zip(legs, arbitrageur.legs) if name == home), None)
    flow = None
    if legs[0].flow_usd is not None:
        flow = np.zeros(legs[0].flow_usd.shape) if at_home is None else at_home.flow_usd
    first, second = legs
    return replace(
        first,
        turnover_usd=first.turnover_usd + second.turnover_usd,
        trades=first.trades + second.trades,
        pnl_usd=first.pnl_usd + second.pnl_usd,
        final_position_coin=first.final_position_coin + second.final_position_coin,
        final_cash_usd=first.final_cash_usd + second.final_cash_usd,
        peak_position_usd=first.peak_position_usd + second.peak_position_usd,
        flow_usd=flow,
    )
