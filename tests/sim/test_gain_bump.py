"""The measured loop gain against gains that are known: closed forms of constant gammas, pools, ladders; its errors; and what it refuses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import norm
from tests.sim.gain_markets import LASTING, PASSING, POOL, RANGE, SPOT, constant, crab, leveraged, market

from tailwag.errors import InputError
from tailwag.hedging.execution import Maker, Twap
from tailwag.hedging.policies import AtTimes, Band, EveryStep, NoHedge
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.ladder import Cluster, LiquidationLadder
from tailwag.sim.agents.lp_hedger import LpHedger
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.agents.price_band import PriceBand
from tailwag.sim.gain_bump import Bump, measure_gain, stated_gains, stated_response_usd
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.pool_state import PoolFee, PoolTerms
from tailwag.sim.scenario import VolDynamics, gain_with_vanna, starting_gain

AT_REST = Bump(size_log=1e-4, noise_log=0.0)


@pytest.mark.parametrize("gain", [0.3, 0.95, -0.5, -3.0, 0.0])
def test_a_constant_gamma_is_measured_exactly(gain: float) -> None:
    found = measure_gain(market(constant(gain)), paths=4, seed=1)
    assert found.total.value == pytest.approx(gain, abs=1e-9)
    assert found.amplification.value == pytest.approx(1.0 / (1.0 - gain), rel=1e-9)
    assert found.agents[0].response_usd.value == pytest.approx(gain / (LASTING + PASSING), rel=1e-9, abs=1.0)
    assert found.agents[0].stated_usd == pytest.approx(gain / (LASTING + PASSING))
    assert abs(gain) < 0.1 or abs(found.total.value + gain) > 0.1  # the sign of the hedge decides


@pytest.mark.parametrize("delay_steps", [1, 3])
@pytest.mark.parametrize("gain", [0.6, -0.4])
def test_late_hedges_are_measured_when_they_have_arrived(gain: float, delay_steps: int) -> None:
    found = measure_gain(market(constant(gain, delay_steps=delay_steps), clearing="lagged"), paths=2, seed=1, bump=AT_REST)
    assert found.total.value == pytest.approx(gain, abs=1e-7)
    assert found.steps > delay_steps * math.log(1e-7) / math.log(abs(gain))


def test_partial_sliced_and_resting_orders_arrive_in_the_end() -> None:
    slow = replace(constant(0.3, delay_steps=1), speed=0.25)
    sliced = constant(0.2, delay_steps=2, name="sliced", execution=Twap(4))
    resting = constant(0.1, delay_steps=1, name="maker", execution=Maker(fill_probability=0.6))
    found = measure_gain(market(slow, sliced, resting, clearing="lagged"), paths=8, seed=2, bump=AT_REST)
    assert found.total.value == pytest.approx(0.6, abs=1e-6)
    assert [agent.gain.value for agent in found.agents] == pytest.approx([0.3, 0.2, 0.1], abs=1e-6)


def test_the_parts_sum_to_the_whole_whatever_they_are() -> None:
    ladder = LiquidationLadder("ladder", 0, levels_per_log=300.0, level_usd=2e6)
    found = measure_gain(market(constant(0.4), ladder, constant(-0.2, name="long", delay_steps=2)), paths=64, seed=3)
    assert found.summed == pytest.approx(found.total.value, abs=1e-14)
    assert all(agent.gain.standard_error is not None for agent in found.agents)


def test_impact_that_passes_counts_while_time_stands_still_and_not_once_it_has_passed() -> None:
    at_once = measure_gain(market(constant(0.3)), paths=2, seed=1)
    long_run = measure_gain(market(constant(0.3)), paths=2, seed=1, bump=Bump(clock="running"))
    assert at_once.total.value == pytest.approx(0.3, abs=1e-9)
    assert long_run.total.value == pytest.approx(0.3 * LASTING / (LASTING + PASSING), abs=1e-6)
    assert long_run.total.value != pytest.approx(0.3, abs=0.01)


def test_an_owner_of_a_pool_adds_a_quarter_of_it_and_of_a_range_half_of_l_root_p() -> None:
    fee = PoolFee()
    whole, part = (
        measure_gain(market(LpHedger("owner", PoolTerms(pool, fee), EveryStep(), 0)), paths=2, seed=1, bump=AT_REST)
        for pool in (POOL, RANGE)
    )
    value, liquidity = float(POOL.value_usd(np.asarray(SPOT))), RANGE.liquidity
    assert whole.total.value == pytest.approx((LASTING + PASSING) * value / 4.0, rel=1e-7)
    assert part.total.value == pytest.approx((LASTING + PASSING) * liquidity * math.sqrt(SPOT) / 2.0, rel=1e-7)
    assert whole.total.value != pytest.approx((LASTING + PASSING) * value / 8.0, rel=0.1)


def test_a_pool_is_depth_and_not_gain() -> None:
    """Impact k beside a pool of V is impact k / (1 + k V / 4) without it: the same answer, read on either side of 1 / (1 - G)."""
    impact = ImpactModel(permanent_per_usd=LASTING)
    hedgers = constant(0.3, per_usd=LASTING)
    with_pool = measure_gain(
        market(hedgers, PoolArbitrage("pool", PoolTerms(POOL, PoolFee())), impact=impact), paths=2, seed=1, bump=AT_REST
    )
    depth = LASTING * float(POOL.value_usd(np.asarray(SPOT))) / 4.0
    deeper = measure_gain(market(hedgers, impact=ImpactModel(permanent_per_usd=LASTING / (1.0 + depth))), paths=2, seed=1, bump=AT_REST)
    assert with_pool.total.value == pytest.approx(0.3 - depth, abs=1e-8)
    assert deeper.total.value == pytest.approx(0.3 / (1.0 + depth), abs=1e-10)
    # an order of Q USD moves price by k Q in the first market and by k Q / (1 + depth) in the second, before anybody answers
    assert with_pool.amplification.value == pytest.approx(deeper.amplification.value / (1.0 + depth), rel=1e-7)


def test_a_ladder_of_random_levels_amplifies_by_its_branching_ratio() -> None:
    """Mean of the Borel-Tanner law: a shock x moves price by x / (1 - b), b = impact x notional per unit of log price."""
    ladder = LiquidationLadder("ladder", 0, levels_per_log=400.0, level_usd=2.5e7)
    impact = ImpactModel(permanent_per_usd=LASTING)
    found = measure_gain(market(ladder, impact=impact), paths=1500, seed=5, bump=Bump(size_log=0.02))
    branching = LASTING * 400.0 * 2.5e7
    z = (found.total.value - branching) / found.total.standard_error
    assert abs(z) < 4.0
    assert found.total.standard_error < 0.05 * branching
    assert abs(found.total.value - branching / 2.0) > 4.0 * found.total.standard_error  # one side of the ladder left out


def test_standard_errors_are_the_spread_between_seeds() -> None:
    ladder = LiquidationLadder("ladder", 0, levels_per_log=400.0, level_usd=2.5e7)
    world = market(ladder, constant(-0.3, name="long"), impact=ImpactModel(permanent_per_usd=LASTING))
    runs = [measure_gain(world, paths=100, seed=seed, bump=Bump(size_log=0.02)) for seed in range(16)]
    for of in (
        lambda run: run.total,
        lambda run: run.agents[0].gain,
        lambda run: run.agents[0].response_usd,
        lambda run: run.amplification,
    ):
        spread = np.std([of(run).value for run in runs], ddof=1)
        stated = np.mean([of(run).standard_error for run in runs])
        assert 0.5 < spread / stated < 1.7


def test_a_cluster_is_measured_at_the_size_of_the_bump() -> None:
    cluster = LiquidationLadder("cluster", 0, clusters=(Cluster(-0.05, 0.01, 6e8),))
    impact = ImpactModel(permanent_per_usd=3.1e-11)
    small, large = (
        measure_gain(market(cluster, impact=impact), paths=2, seed=1, bump=Bump(size_log=size, noise_log=0.0)) for size in (1e-3, 0.045)
    )
    assert abs(small.total.value) < 1e-5
    fallen = 0.061128  # the price at rest after a shock of 4.5 % into this cluster, a known fixed point
    assert 0.045 + 3.1e-11 * 6e8 * (norm.cdf((fallen - 0.05) / 0.01) - norm.cdf(-5.0)) == pytest.approx(fallen, abs=1e-6)
    assert large.amplification.value == pytest.approx((fallen + 0.045) / 0.09, rel=1e-5)


def test_a_ladder_that_price_has_been_through_answers_no_more() -> None:
    """Levels fire once: after a day of moves most paths stand inside what has been liquidated."""
    ladder = LiquidationLadder("ladder", 0, density_usd=1e10)
    impact = ImpactModel(permanent_per_usd=LASTING)
    fresh, later = (
        measure_gain(market(ladder, impact=impact), paths=128, seed=4, bump=Bump(size_log=1e-4, after_steps=steps)) for steps in (0, 100)
    )
    assert fresh.total.value == pytest.approx(0.2, abs=1e-9)
    assert later.total.value < 0.1
    assert ladder.starting_flow_response_usd(SPOT) == 1e10


def test_inside_a_band_and_before_its_time_a_hedger_is_silent() -> None:
    for policy in (Band(half_width_usd=1e9), AtTimes(60.0), NoHedge()):
        assert measure_gain(market(Dealer("d", policy, 0, gamma_usd=-5e9, iv=0.6)), paths=2, seed=1, bump=AT_REST).total.value == 0.0
    banded = PriceBand(LiquidationLadder("ladder", 0, density_usd=1e10), 0.01, 30.0, 300.0)
    assert measure_gain(market(banded), paths=2, seed=1, bump=AT_REST).total.value == pytest.approx(0.3, abs=1e-9)
    held = measure_gain(market(banded), paths=2, seed=1, bump=Bump(size_log=0.02, noise_log=0.0))
    assert held.total.value == pytest.approx(1.0 - 0.02 / 0.023, abs=1e-9)  # a band of 1 % lets 100 million through, 0.3 %
    small, large = (
        measure_gain(market(crab(), clearing="lagged"), paths=2, seed=1, bump=Bump(size_log=size, noise_log=0.0)) for size in (5e-3, 2e-2)
    )
    assert small.total.value == 0.0
    assert large.amplification.value == pytest.approx(1.0 + (LASTING + PASSING) * 4e9, rel=1e-3)  # one round: it follows each 1 % once


def test_leveraged_traders_state_the_mean_of_both_sides() -> None:
    agent = leveraged(accounts=400)
    assert agent.starting_flow_response_usd(SPOT) < -agent.starting_dollar_gamma_usd(SPOT)  # which is the denser side
    density = 0.0
    for side, leverage, notional, width in ((1.0, 40.0, 6e8, 0.012), (-1.0, 30.0, 4e8, 0.015)):
        level = math.log((1.0 - side / leverage) / (1.0 - side * 0.005))
        density += 0.5 * notional * norm.pdf(level / width) / width / norm.cdf(abs(level) / width)
    assert agent.starting_flow_response_usd(SPOT) == pytest.approx(density, rel=1e-9)


def test_vol_that_follows_spot_is_part_of_the_response() -> None:
    puts = OptionBook.single("put", strike_usd=54_000.0, expiry_years=30 / 365, contracts_coin=-20_000.0, iv=0.6)
    world = replace(market(Dealer("dealers", EveryStep(), 0, options=puts)), vol=VolDynamics(spot_vol_beta=-0.8))
    found = measure_gain(world, paths=2, seed=1, bump=AT_REST)
    assert found.total.value == pytest.approx(gain_with_vanna(world), rel=1e-3)
    assert abs(found.total.value - starting_gain(world)) > 0.05 * found.total.value


def test_what_swings_runs_away_or_stops_is_unknown_with_its_reason() -> None:
    swings = measure_gain(market(constant(-1.5, delay_steps=1), clearing="lagged"), paths=2, seed=1, bump=AT_REST)
    assert swings.total.value is None
    assert swings.summed is None
    assert "stopped" in swings.reason or "settled" in swings.reason
    slow = measure_gain(market(constant(0.9, delay_steps=3), clearing="lagged"), paths=2, seed=1, bump=replace(AT_REST, most_steps=10))
    assert "had not settled after 11 steps" in slow.reason
    halted = measure_gain(market(constant(0.2), halt_log_move=0.001), paths=2, seed=1, bump=Bump(size_log=0.01))
    assert "bumped paths stopped" in halted.reason


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size_log": 0.0}, "bump above 0"),
        ({"size_log": 0.6}, "bump above 0"),
        ({"noise_log": -1.0}, "noise_log"),
        ({"clock": "slow"}, "clock"),
        ({"most_steps": 0}, "most_steps"),
    ],
)
def test_bumps_that_mean_nothing_are_refused(changes: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Bump(**changes)


def test_runs_too_small_or_too_short_are_refused() -> None:
    for changes in ({"paths": 1, "seed": 1}, {"paths": 4, "seed": -1}, {"paths": 4, "seed": 1, "bump": Bump(after_steps=288)}):
        with pytest.raises(InputError, match="expected"):
            measure_gain(market(constant(0.2)), **changes)


def test_the_same_seed_gives_the_same_bits_in_any_order_of_agents() -> None:
    agents = (LiquidationLadder("ladder", 0, levels_per_log=300.0, level_usd=2e6), constant(0.2), constant(-0.1, name="long"))
    one, other = (measure_gain(market(*order), paths=600, seed=9) for order in (agents, agents[::-1]))
    assert one.total == other.total
    assert {agent.name: agent.gain for agent in one.agents} == {agent.name: agent.gain for agent in other.agents}


@dataclass(frozen=True)
class Silent:
    """An agent of a user's own that says nothing of its flow but its gamma."""

    name: str = "silent"

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        return -2e9


def test_who_states_no_flow_response_is_taken_by_its_gamma() -> None:
    assert stated_response_usd(Silent(), SPOT) == 2e9
    ladder = LiquidationLadder("ladder", 0, clusters=(Cluster(-0.01, 0.01, 1e8),))
    density = 1e8 / (0.01 * math.sqrt(2.0 * math.pi)) * math.exp(-0.5)
    assert stated_response_usd(ladder, SPOT) == pytest.approx(density / 2.0, rel=1e-9)  # below the start only: half of the bumps go there
    assert ladder.starting_dollar_gamma_usd(SPOT) == pytest.approx(-density, rel=1e-9)
    said = stated_gains(market(constant(0.2), ladder))
    assert [one.name for one in said] == ["dealers", "ladder"]
    assert said[0].gain == pytest.approx(0.2)
