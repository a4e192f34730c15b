"""Agents in their seats: ready to work, in the order of what they are, each with its own stream of random numbers."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.hedging.execution import Maker
from tailwag.hedging.policies import Predictive
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.random import uniforms
from tailwag.sim.agents.protocol import Agent, Draws, Market, Trader, missing_words
from tailwag.sim.ledger import Terms
from tailwag.sim.option_model import OptionModel
from tailwag.sim.scenario import Scenario
from tailwag.sim.vol_reach import vol_reach

AGENT_STREAMS = 1 << 62
"""Streams of agents start here; those below belong to the price."""


@dataclass(frozen=True, slots=True)
class Seat:
    """An agent at its place in the market: ready to work, with its own stream of random numbers and what it pays."""

    agent: Agent
    trader: Trader
    stream: int
    terms: Terms
    weights: FloatArray
    fill_probability: float | None
    position: int
    hedges_vega: bool
    reads_gain: bool = False


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What all blocks of a run share; ``seats`` are in the order of content.  ``walks``: compiled code searches prices if it knows all demands."""

    scenario: Scenario
    seats: tuple[Seat, ...]
    seed: int
    needs_gain: bool
    option_model: OptionModel | None = None
    walks: bool = False


def plan_run(scenario: Scenario, *, seed: int, tabulate: bool = False, full_pnl: bool = True) -> RunPlan:
    """Put every agent in its seat, in the order of what they are."""
    model = None if scenario.options is None else OptionModel(scenario.options, scenario.grid, scenario.spot_usd)
    reach = vol_reach(scenario) if tabulate else math.inf
    market = Market(scenario.spot_usd, scenario.grid, tabulate=tabulate, full_pnl=full_pnl, option_model=model, vol_reach=reach)
    seats = [_seat(scenario, agent, market, position) for position, agent in enumerate(scenario.agents)]
    predicted = any(isinstance(getattr(agent, "policy", None), Predictive) for agent in scenario.agents)
    in_order = tuple(sorted(seats, key=lambda seat: seat.agent.content()))
    return RunPlan(scenario, in_order, seed, predicted or scenario.clearing == "damped", model, tabulate)


def _seat(scenario: Scenario, agent: Agent, market: Market, position: int) -> Seat:
    digest = hashlib.sha256(agent.content().encode()).digest()
    execution = getattr(agent, "execution", None)
    makes = isinstance(execution, Maker)
    instrument = getattr(agent, "instrument", None)
    trader = agent.at_work(market)
    missing = missing_words(trader, Trader)
    if missing:
        raise InputError(f"agent {agent.name!r}: expected at_work() to hand over a trader, got one without {missing}")
    if (hasattr(trader, "option_orders") or hasattr(trader, "quote")) and not hasattr(trader, "traded"):
        raise InputError(
            f"agent {agent.name!r}: expected a trader of options to have traded(fill, state), got one without; its options would be lost"
        )
    return Seat(
        agent,
        trader,
        AGENT_STREAMS + int.from_bytes(digest[:7], "big"),
        Terms(scenario.costs, makes, 0.0 if instrument is None else instrument.funding_per_year),
        np.ones(1) if execution is None else execution.weights(),
        execution.fill_probability if isinstance(execution, Maker) else None,
        position,
        getattr(agent, "vega_hedge_share", 0.0) > 0.0,
        bool(getattr(agent, "reads_gain", False)),
    )


def opening_cost_usd(seat: Seat) -> float:
    """What an agent paid liquidity providers in spreads for options it starts with."""
    return float(getattr(seat.agent, "opening_cost_usd", 0.0))


def draws_of(plan: RunPlan, seat: Seat, first_path: int, paths: int) -> Draws:
    def draw(kind: int, count: int) -> FloatArray:
        return np.asarray(uniforms(plan.seed, seat.stream, first_path, paths, count, kind + 1)[kind])

    return draw
