"""The flow that each kind states is the flow that bumping the market measures, alone and together."""

from __future__ import annotations

import pytest
from tests.contracts.agent import SPOT, market

from tailwag.hedging.policies import EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.hawkes import SelfExcitingOrders
from tailwag.sim.agents.insurer import ConstantProportion, PortfolioInsurer, SyntheticPut
from tailwag.sim.agents.manipulator import SettlementManipulator
from tailwag.sim.agents.momentum import TrendFollower
from tailwag.sim.agents.predator import Predator
from tailwag.sim.gain_bump import Bump, measure_gain
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Costs

CALLS = OptionBook.single(strike_usd=SPOT, expiry_years=0.125 / 365, contracts_coin=500.0, iv=0.6, averaged=True)
KINDS = (
    PortfolioInsurer("put", SyntheticPut(0.93, 0.4, 60.0), 1.5e9, 0),
    PortfolioInsurer("late cushion", ConstantProportion(0.75, 3.0), 8e8, 2),
    TrendFollower("trend", 1, 3e9, 90.0),
    SelfExcitingOrders("flow", 0, 4.0, 0.5, 20.0, 1e6),
    SettlementManipulator("pusher", CALLS, 0, 2e7, 60.0),
)
IMPACT = ImpactModel(permanent_per_usd=2e-11, transient_per_usd=1e-11, transient_half_life_minutes=60.0)


def test_the_sum_of_what_they_state_is_what_is_measured() -> None:
    """Two insurers, a trend follower, orders and a manipulator beside a dealer: total gain and each response, one path at rest, to a small bump."""
    dealer = Dealer("dealer", EveryStep(), 1, gamma_usd=-2e9, iv=0.6)
    scenario = market(*KINDS, dealer, impact=IMPACT, costs=Costs())
    found = measure_gain(scenario, paths=4, seed=2, bump=Bump(size_log=1e-4, noise_log=0.0))
    stated = {agent.name: agent.starting_flow_response_usd(SPOT) for agent in KINDS} | {"dealer": 2e9}
    for agent in found.agents:
        assert agent.stated_usd == pytest.approx(stated[agent.name])
        assert agent.response_usd.value == pytest.approx(stated[agent.name], rel=3e-3, abs=1e4)
    assert found.total.value == pytest.approx(3e-11 * sum(stated.values()), rel=3e-3)
    assert 0.2 < float(found.total.value or 0.0) < 0.7


def test_a_predator_lengthens_the_push_of_whom_it_sees_and_has_gain_zero_once_all_has_arrived() -> None:
    victim = Dealer("victim", EveryStep(), 3, gamma_usd=-4e9, iv=0.6)
    found = measure_gain(
        market(victim, Predator("searcher", 0, sees_flow_share=0.8), impact=ImpactModel(permanent_per_usd=4e-11), costs=Costs()),
        paths=2,
        seed=2,
        bump=Bump(size_log=1e-4, noise_log=0.0),
    )
    parts = {agent.name: agent.response_usd.value for agent in found.agents}
    assert parts["searcher"] == pytest.approx(0.0, abs=4e6)
    assert parts["victim"] == pytest.approx(4e9, rel=3e-3)
