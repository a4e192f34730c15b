"""Vega hedges whose every purchase calls for a larger one end as a stated outcome, never as a vol of thousands of per cent."""

import numpy as np
import pytest

from tailwag.hedging.policies import EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Scenario, VolDynamics
from tailwag.sim.state import BlockPaths, Outcome
from tailwag.sim.vega_loop import MOST_SHIFT, VegaMarket

RUNAWAY = int(Outcome.RUNAWAY)


def played(vega_impact_per_usd: float, *, delay: int = 0) -> BlockPaths:
    """Short far puts, whose vega grows with vol: volga is what feeds the loop."""
    book = OptionBook.single("put", strike_usd=30_000.0, expiry_years=30 / 365, contracts_coin=-20_000.0, iv=0.6)
    scenario = Scenario(
        60_000.0,
        TimeGrid.uniform(horizon_days=1.0, step_minutes=60.0),
        Gbm(vol=0.6),
        ImpactModel(permanent_per_usd=2.5e-11),
        (Dealer("short puts", EveryStep(), delay, options=book, vega_hedge_share=1.0),),
        "implicit",
        vol=VolDynamics(spot_vol_beta=-0.8, vega_impact_per_usd=vega_impact_per_usd),
    )
    return run_block(plan_run(scenario, seed=1), 0, 50, keep_agents=True)


@pytest.mark.parametrize(("impact", "delay"), [(2e-7, 0), (1e-6, 0), (1e-6, 1)])
def test_vol_that_never_rests_is_a_runaway(impact: float, delay: int) -> None:
    block = played(impact, delay=delay)
    assert (block.outcome == RUNAWAY).any()
    assert np.abs(block.vol_shift).max() <= MOST_SHIFT
    stopped = np.flatnonzero(block.outcome == RUNAWAY)
    for path in stopped:
        step = int(block.stopped_step[path])
        assert block.net_flow_usd[path, step - 1 :].tolist() == [0.0] * (24 - step + 1)  # nobody trades in the step that stops a path
        assert abs(block.log_price[path, step] - block.log_price[path, step - 1]) < 0.1  # the price is no runaway, and is not marked as one


@pytest.mark.parametrize("delay", [0, 1])
def test_a_loop_that_rests_is_left_alone(delay: int) -> None:
    assert (played(2e-8, delay=delay).outcome == int(Outcome.FINISHED)).all()


@pytest.mark.parametrize("delay", [0, 1])
def test_coin_and_cash_are_conserved_where_vol_runs_away(delay: int) -> None:
    block = played(1e-6, delay=delay)
    agent = block.agents[0]
    cash = agent.final_cash_usd + block.liquidity_cash_usd + block.venue_cash_usd + block.holders_cash_usd
    assert np.abs(cash).max() <= 1e-9 * max(1.0, np.abs(agent.final_cash_usd).max())


class Steady:
    """A book whose vega rises by `volga` for each unit of vol."""

    def __init__(self, volga: float) -> None:
        self.volga = volga

    def hedged_vega_usd(self, step: int, log_price: np.ndarray, vol_shift: np.ndarray, state: object) -> np.ndarray:
        return self.volga * vol_shift


@pytest.mark.parametrize(("gain", "rests"), [(0.9, True), (-0.9, True), (1.1, False), (-1.1, False)])
def test_rest_is_where_the_vega_gain_is_below_1(gain: float, rests: bool) -> None:
    """s = base - impact volga s: repeated purchases settle where |impact volga| < 1."""
    market = VegaMarket(np.full(3, 0.01), 1e-9, np.zeros(3), [(Steady(-gain * 1e9), np.zeros(3), None)], 1, np.ones(3))
    assert market.rests(np.zeros(3), np.zeros(3)).tolist() == [rests] * 3
