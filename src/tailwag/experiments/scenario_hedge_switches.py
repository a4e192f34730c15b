"""Switches of what a book is hedged with and what a pool charges: a squared perpetual in place of trading, a fee that follows vol."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tailwag.experiments.scenario_changed_agents import with_agents
from tailwag.hedging.policies import CharmOnly, NoHedge
from tailwag.kernels.arrays import FloatArray
from tailwag.market.clock import parse_time_ns
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.lp_hedger import LpHedger
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.agents.power_perp import Crab, PerpFunding, TimeOrThreshold
from tailwag.sim.agents.protocol import Agent
from tailwag.sim.dynamics import expected_vol
from tailwag.sim.net_delta import DirectNetDelta
from tailwag.sim.option_book import LEAST_YEARS, OptionBook
from tailwag.sim.scenario import Scenario
from tailwag.sources.rules import load_rules
from tailwag.units import HOURS_PER_YEAR

Parameters = Mapping[str, Any]
RULES, UNDATED = "squeeth_eth", "2026-01-01T00:00:00Z"
"""The squared perpetual's dated rules, and the day whose rules hold for a run without a start."""
LOWEST, HIGHEST, WIDEST = 0.4, 2.4, 0.05
"""Strikes of the strip, in first prices: from, to, and no further apart than."""


def power_perp_hedge(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Dealers hold a squared perpetual against a share of their starting gamma; holders who hedge nothing have the other side."""
    return _each_hedging(scenario, lambda dealer: _with_perp(dealer, scenario, numbers))


def power_perp_crab(scenario: Scenario, numbers: Parameters) -> Scenario:
    """The same, bought by dealers who are short gamma from strategies that hedge by the protocol's public rule; those trade a step late."""
    short = [agent for agent in scenario.agents if _hedges(agent) and agent.starting_dollar_gamma_usd(scenario.spot_usd) < 0.0]
    if not short:
        return scenario
    kept = tuple(
        _with_perp(agent, scenario, numbers) if agent in short and isinstance(agent, Dealer) else agent for agent in scenario.agents
    )
    sellers = tuple(_seller(agent, scenario, numbers) for agent in short if isinstance(agent, Dealer))
    return replace(scenario, agents=(*kept, *sellers))


def dynamic_fee(scenario: Scenario, numbers: Parameters) -> Scenario:
    """A share of every pool's fee follows recent vol: at the vol that is expected it is what it was, twice the vol pays twice that share."""
    vol = expected_vol(scenario.price, scenario.grid.horizon_years)

    def moving(agent: LpHedger | PoolArbitrage) -> Agent:
        fee, share = agent.terms.fee, min(numbers["share"], 1.0)
        if fee.bps_per_vol > 0.0 or fee.base_bps == 0.0 or vol == 0.0:
            return agent
        follows = share * fee.base_bps
        changed = replace(
            fee,
            base_bps=fee.base_bps - follows,
            bps_per_vol=follows / vol,
            half_life_minutes=numbers["half_life_minutes"],
            start_vol=vol,
        )
        return replace(agent, terms=replace(agent.terms, fee=changed))

    changed = tuple(moving(agent) if isinstance(agent, LpHedger | PoolArbitrage) else agent for agent in scenario.agents)
    return with_agents(scenario, changed)


def _hedges(agent: Agent) -> bool:
    return isinstance(agent, Dealer) and not isinstance(agent.policy, NoHedge | CharmOnly)


def _each_hedging(scenario: Scenario, change: Callable[[Dealer], Dealer]) -> Scenario:
    return with_agents(scenario, (change(agent) if isinstance(agent, Dealer) and _hedges(agent) else agent for agent in scenario.agents))


def _share(numbers: Parameters) -> float:
    return min(float(numbers["share"]), 1.0)


def _held_gamma_usd(dealer: Dealer, spot_usd: float) -> float:
    """Dollar gamma of the book itself, hedged or not."""
    return float(replace(dealer, hedge_share=1.0).starting_dollar_gamma_usd(spot_usd))


def _with_perp(dealer: Dealer, scenario: Scenario, numbers: Parameters) -> Dealer:
    """The dealer with minus a share of its starting gamma in squared perpetuals, and the half-spread in vol paid for holding them over the run.

    Worth N, dollar gamma 2 N: N = share |gamma| / 2.  Bought at iv + spread (sold at iv - spread), a year costs N |(iv +- spread)^2 - iv^2| beside
    the funding at iv, which is what the gamma that it replaces earned.
    """
    gamma = _held_gamma_usd(dealer, scenario.spot_usd)
    if gamma == 0.0:
        return dealer
    iv = dealer.iv if dealer.options is None else _gamma_weighted_iv(dealer.options, scenario.spot_usd)
    spread = math.copysign(min(float(numbers["spread_vol"]), iv), -gamma)
    worth = 0.5 * _share(numbers) * abs(gamma)
    paid = worth * abs((iv + spread) ** 2 - iv**2) * scenario.grid.horizon_years
    costly = replace(dealer, opening_cost_usd=dealer.opening_cost_usd + paid)
    if dealer.options is None:
        return replace(costly, gamma_usd=float(dealer.gamma_usd or 0.0) * (1.0 - _share(numbers)))
    return replace(costly, options=_joined(dealer.options, squared_strip(scenario, iv=iv, dollar_gamma_usd=-_share(numbers) * gamma)))


def squared_strip(scenario: Scenario, *, iv: float, dollar_gamma_usd: float) -> OptionBook:
    """A squared perpetual as options: the same contracts at every strike, puts below the first price and calls above, priced at ``iv``.

    They expire one funding period after the run, so that their value moves with vol as the perpetual's mark does, and they wear off by iv^2 a year,
    which is its funding.  The strip's dollar gamma at the start is ``dollar_gamma_usd``, + long; at S it is (S / S0)^2 times that.
    """
    years = scenario.grid.horizon_years + _funding_hours(scenario) / HOURS_PER_YEAR
    apart = min(WIDEST, 0.75 * iv * math.sqrt(_funding_hours(scenario) / HOURS_PER_YEAR))
    strikes = scenario.spot_usd * np.arange(LOWEST, HIGHEST, apart)
    rights = np.where(strikes < scenario.spot_usd, -1, 1)
    whole = np.ones(strikes.size)
    unit = OptionBook(
        right=rights,
        strike_usd=strikes,
        expiry_years=years * whole,
        contracts_coin=whole,
        iv=iv * whole,
        forward_ratio=whole,
        skew=0.0 * whole,
        averaged=np.zeros(strikes.size, dtype=np.bool_),
    )
    slope = float(DirectNetDelta(unit, np.zeros(2), scenario.spot_usd).at(0, np.zeros(1), np.zeros(1))[1][0]) * scenario.spot_usd
    return replace(unit, contracts_coin=whole * dollar_gamma_usd / slope)


def _joined(first: OptionBook, second: OptionBook) -> OptionBook:
    columns = ("right", "strike_usd", "expiry_years", "contracts_coin", "iv", "forward_ratio", "skew", "averaged")
    return OptionBook(**{name: np.concatenate((getattr(first, name), getattr(second, name))) for name in columns})


def _gamma_weighted_iv(book: OptionBook, spot_usd: float) -> float:
    """Mean vol of the rows, each weighted with its gamma at the first price: what the replaced gamma earned."""
    alive = book.expiry_years > 0.0
    deviation: FloatArray = book.iv * np.sqrt(np.maximum(book.expiry_years, LEAST_YEARS))
    forward = spot_usd * book.forward_ratio
    d1 = np.log(forward / book.strike_usd) / deviation + 0.5 * deviation
    weight = np.where(alive, np.abs(book.contracts_coin) * np.exp(-0.5 * d1 * d1) / deviation, 0.0)
    if weight.sum() == 0.0:
        return float(book.iv.mean())
    return float((weight * book.iv).sum() / weight.sum())


def _seller(dealer: Dealer, scenario: Scenario, numbers: Parameters) -> Crab:
    """Who sold the perpetual to a dealer, hedging by the public rule; paid by funding at the vol of the gamma that it replaces."""
    figure = _figures(scenario)
    iv = dealer.iv if dealer.options is None else _gamma_weighted_iv(dealer.options, scenario.spot_usd)
    funding = PerpFunding(figure["funding_period_hours"], figure["least_mark_ratio"], figure["most_mark_ratio"])
    worth = 0.5 * _share(numbers) * abs(_held_gamma_usd(dealer, scenario.spot_usd))
    rule = TimeOrThreshold(figure["hedge_hours"], figure["hedge_move_share"])
    return Crab(f"perp sellers to {dealer.name}", max(dealer.delay_steps, 1), worth, iv, rule, funding, stream=dealer.stream)


def _figures(scenario: Scenario) -> dict[str, Any]:
    rules = load_rules(RULES)
    at_ns = parse_time_ns(UNDATED) if scenario.start_ns is None else scenario.start_ns
    return {key: rules.in_force(key, at_ns).value for key in rules.rows}


def _funding_hours(scenario: Scenario) -> float:
    return float(_figures(scenario)["funding_period_hours"])
