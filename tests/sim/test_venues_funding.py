"""Hedging in a perp moves its funding by what depth and formula say, and funding brings as much capital as pays for it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.sim.test_venues import dealer, one_jump

from tailwag.margin.funding import DeadBandFunding
from tailwag.sim.agents.arbitrageur import Arbitrageur
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.ledger import PART
from tailwag.sim.scenario import Costs, Scenario
from tailwag.sim.venues import Venue, Venues
from tailwag.sim.venues_block import VenuesBlock, run_venues_block
from tailwag.sim.venues_engine import plan_venues

SPOT, PER_USD, JUMP, STEPS = 61_000.0, 2e-11, 0.01, 45
BAND, CAP = 0.00025, 0.005
STEP_HOURS = 0.5


def market(per_usd: float, *agents: Any, fee_bps: float = 0.0, jump: float = JUMP) -> Scenario:
    grid = TimeGrid.uniform(horizon_days=STEPS * STEP_HOURS / 24.0, step_minutes=60.0 * STEP_HOURS)
    impact = ImpactModel(permanent_per_usd=per_usd)
    return Scenario(SPOT, grid, one_jump(jump, steps=STEPS), impact, agents, "lagged", costs=Costs(fee_bps=fee_bps))


def perp_market(gamma: float, *arbitrageurs: Arbitrageur, fee_bps: float = 0.0) -> VenuesBlock:
    """Spot of endless depth, so that the index is what it is without anybody; a perp that dealers hedge on, with Deribit's funding."""
    perp = market(PER_USD, dealer(gamma), fee_bps=fee_bps)
    venues = (
        Venue("spot", market(0.0, fee_bps=fee_bps)),
        Venue("perp", perp, instrument="perp", funding=DeadBandFunding(BAND, CAP, 8.0)),
    )
    return run_venues_block(plan_venues(Venues(venues, arbitrageurs), seed=1), 0, 1, keep_agents=True)


def rate_of(premium: float) -> float:
    return min(max(max(BAND, premium) + min(-BAND, premium), -CAP), CAP)


@pytest.mark.parametrize("gamma", [-6e9, -9e9, 6e9])
def test_hedging_moves_the_premium_by_its_gain_and_funding_by_the_formula_on_it(gamma: float) -> None:
    """After the jump x everybody late, hedges add x (g + g^2 + ...) to the perp; each step the dealer pays the rate of the premium so far."""
    gain = -gamma * PER_USD
    block = perp_market(gamma)
    premium, logs, held, paid = 0.0, 0.0, 0.0, 0.0
    for step in range(1, STEPS + 1):
        before = logs  # the perp's price at the start of the step, and the index there
        index = SPOT * math.exp(JUMP if step > 1 else 0.0)
        premium = SPOT * math.exp(before) / index - 1.0 if step > 1 else 0.0
        paid += rate_of(premium) * (STEP_HOURS / 8.0) * held * SPOT * math.exp(before)
        bought_usd = -gamma * JUMP * gain ** (step - 2) if step >= 2 else 0.0
        logs = before + PER_USD * bought_usd + (JUMP if step == 1 else 0.0)
        held += bought_usd / (0.5 * SPOT * (math.exp(before) + math.exp(before + PER_USD * bought_usd)))
    told = block.venues[1]
    assert told.log_price[0, -1] == pytest.approx(JUMP / (1.0 - gain), rel=1e-9)
    assert told.log_price[0, -1] == pytest.approx(logs, rel=1e-9)
    mine = told.agents[0]
    assert mine.final_position_coin[0] == pytest.approx(held, rel=1e-9)
    assert -mine.pnl_usd[PART["funding_usd"], 0] == pytest.approx(paid, rel=1e-9)
    assert paid > 1e3, "short gamma is long where the perp is dear, long gamma short where it is cheap: both pay"
    assert (premium > 0.0) is (gamma < 0.0)


def test_the_funding_that_hedging_makes_brings_as_much_capital_as_it_pays() -> None:
    """Fees of 16 bp keep arbitrage out of a premium of 13.6 bp; with five days of funding in view it sells the perp down to where no more is paid.

    There premium + 15 (premium - band) = 16 bp, and to hold it against hedgers who sell as it falls takes (x g - (1 - g) premium) / lambda.
    """
    gamma, fee = -6e9, 8.0
    gain = -gamma * PER_USD
    blind, seeing = (
        Arbitrageur("carry", "spot", "perp", capital_usd=math.inf, latency_steps=1, holding_days=days, speed=0.5) for days in (0.0, 5.0)
    )
    alone, unpaid, pulled = perp_market(gamma, fee_bps=fee), perp_market(gamma, blind, fee_bps=fee), perp_market(gamma, seeing, fee_bps=fee)
    premium = [float(np.expm1(block.venues[1].log_price[0, -1] - block.venues[0].log_price[0, -1])) for block in (alone, unpaid, pulled)]
    assert premium[0] == pytest.approx(JUMP * gain / (1.0 - gain), rel=1e-3)
    assert premium[1] == premium[0]
    assert unpaid.venues[1].agents[1].turnover_usd[0] == 0.0
    wanted = (2.0 * fee * 1e-4 + 15.0 * BAND) / 16.0
    assert 0.995 * wanted < premium[2] <= wanted, "hedgers sell a little more after the last of it"
    capital = (JUMP * gain - (1.0 - gain) * wanted) / PER_USD
    sold = -float(pulled.venues[1].agents[1].final_position_coin[0]) * SPOT * math.exp(JUMP)
    assert sold == pytest.approx(capital, rel=5e-3)
    assert pulled.venues[0].agents[0].final_position_coin[0] == pytest.approx(-pulled.venues[1].agents[1].final_position_coin[0], rel=1e-9)
    received = float(pulled.venues[1].agents[1].pnl_usd[PART["funding_usd"], 0])
    assert received > 0.0
    cost = [-float(block.venues[1].agents[0].pnl_usd[PART["funding_usd"], 0]) for block in (alone, pulled)]
    assert cost[1] < 0.2 * cost[0], "capital takes the premium away that hedgers paid on"
