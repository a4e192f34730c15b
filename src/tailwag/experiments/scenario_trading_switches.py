"""Switches of where trading happens: when a venue halts, pauses and clears, and who may trade on what he knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.scenario_auctions import refuse_late_accounts
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.insurer import PortfolioInsurer
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.agents.manipulator import SettlementManipulator
from tailwag.sim.agents.predator import Predator
from tailwag.sim.agents.price_band import MINUTES_PER_YEAR, PriceBand
from tailwag.sim.agents.protocol import Agent
from tailwag.sim.scenario import Scenario

Parameters = Mapping[str, Any]


def circuit_breaker(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Trading ends for the rest of the run once price is ``log_move`` from the start; a tighter halt stays."""
    now = scenario.halt_log_move
    return scenario if now is not None and now <= numbers["log_move"] else replace(scenario, halt_log_move=numbers["log_move"])


def price_band_pause(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Nobody trades beyond a band of a reference price; InputError for an agent whose trades cannot rest."""

    def behind(agent: Agent) -> Agent:
        if not isinstance(agent, Dealer | PortfolioInsurer | LiquidationLadder):
            raise InputError(
                f"expected dealers, insurers and liquidation ladders, which can rest, got agent {agent.name!r}; its trades are part of its own books, so it cannot be paused"
            )
        return PriceBand(agent, numbers["band"], numbers["pause_minutes"], numbers["window_minutes"])

    return replace(scenario, agents=tuple(map(behind, scenario.agents)))


def window_ban(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Who holds options on a settlement average no longer trades to push it."""
    quiet = tuple(replace(agent, push_usd=0.0) if isinstance(agent, SettlementManipulator) else agent for agent in scenario.agents)
    return scenario if quiet == scenario.agents else replace(scenario, agents=quiet)


def private_flow(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Nobody sees others' orders before they are filled, nor where they are liquidated."""
    blind = tuple(replace(agent, sees_flow_share=0.0, levels=None) if isinstance(agent, Predator) else agent for agent in scenario.agents)
    return scenario if blind == scenario.agents else replace(scenario, agents=blind)


def batch_auction(scenario: Scenario, numbers: Parameters) -> Scenario:
    """All orders clear every so many minutes only, in whole steps, no later than at the end of the run."""
    refuse_late_accounts(scenario.agents)
    step_minutes = float(np.median(scenario.grid.step_years)) * MINUTES_PER_YEAR
    steps = min(max(round(numbers["every_minutes"] / step_minutes), 1), scenario.grid.steps)
    return scenario if steps == scenario.batch_steps else replace(scenario, batch_steps=steps)
