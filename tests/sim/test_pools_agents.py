"""Agents of pools and squared perps: what every agent must keep, and their own tables of play."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.agent import SPOT, AgentContract
from tests.experiments.scenario_texts import BASE, saved

from tailwag.errors import InputError
from tailwag.experiments.scenario_files import Overrides, load_scenario
from tailwag.experiments.simulate import simulate_file
from tailwag.hedging.policies import Band, EveryStep, Leland
from tailwag.liquidity.pools import RangePool, WeightedPool
from tailwag.sim.agents.lp_hedger import LpHedger
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.agents.power_perp import Crab, Owed, PerpFunding, TimeOrThreshold
from tailwag.sim.agents.protocol import Market
from tailwag.sim.grid import TimeGrid
from tailwag.sim.pool_state import PoolFee, PoolTerms
from tailwag.units import HOURS_PER_YEAR

HALF = WeightedPool.worth(4e8, price_usd=SPOT)
RANGE = RangePool.worth(4e7, price_usd=SPOT, low_usd=0.7 * SPOT, high_usd=1.3 * SPOT)
FREE, THIRTY = PoolFee(0.0), PoolFee(30.0)
MOVING = PoolFee(5.0, bps_per_vol=40.0, half_life_minutes=60.0, start_vol=0.6)
FUNDING = PerpFunding(420.0, 0.8, 1.4)
CRAB = Crab("crab", 1, 1e8, 0.6, TimeOrThreshold(24.0, 0.01), FUNDING)


def at_100(value_usd: float = 4e6) -> WeightedPool:
    return WeightedPool.worth(value_usd, price_usd=100.0)


class TestFreePool(AgentContract):
    agent = PoolArbitrage("pool", PoolTerms(HALF, FREE))

    def test_plays(self) -> None:
        """4 M USD at 100: 20,000 coin, k = 200,000 / sqrt P.  At 121 the pool holds 200000 / 11 coin: what left it is sold in the market."""
        self.agent = PoolArbitrage("pool", PoolTerms(at_100(), FREE))
        held = [200_000.0 / math.sqrt(price) for price in (100.0, 121.0, 100.0, 81.0)]
        self.plays(prices=[100.0, 121.0, 100.0, 81.0], expected_coin=np.diff(held))
        assert np.diff(held)[0] < 0.0, "the market sees sales as price rises"


class TestPoolWithFee(AgentContract):
    agent = PoolArbitrage("pool", PoolTerms(HALF, THIRTY))

    def test_plays(self) -> None:
        """30 bp: a rise of 0.2 % is not arbitraged, one of 1 % up to 0.7 %, and then nothing until the pool is 0.3 % too dear."""
        self.agent = PoolArbitrage("pool", PoolTerms(at_100(), THIRTY))
        logs, reached = np.array([0.0, 0.002, 0.010, 0.0085, 0.001]), np.array([0.0, 0.0, 0.007, 0.007, 0.004])
        coin = 20_000.0 * np.exp(-0.5 * reached)
        self.plays(prices=list(100.0 * np.exp(logs)), expected_coin=np.diff(coin), rel=1e-8)


class TestPoolOfARange(AgentContract):
    agent = PoolArbitrage("pool", PoolTerms(RANGE, MOVING, block_minutes=60.0))


class TestLatePool(AgentContract):
    agent = PoolArbitrage("pool", PoolTerms(HALF, THIRTY), 2)


class TestLpHedger(AgentContract):
    agent = LpHedger("owner", PoolTerms(HALF, FREE), EveryStep(), 0)

    def test_plays(self) -> None:
        """Short the coin of the pool: buys what left it as price rose."""
        self.agent = LpHedger("owner", PoolTerms(at_100(), THIRTY), EveryStep(), 0)
        held = [-200_000.0 / math.sqrt(price) for price in (100.0, 121.0, 100.0, 81.0)]
        self.plays(prices=[100.0, 121.0, 100.0, 81.0], expected_coin=np.diff(held))
        assert np.diff(held)[0] > 0.0, "short gamma buys rises"


class TestLateLpHedger(AgentContract):
    agent = LpHedger("owner", PoolTerms(RANGE, MOVING, two_way_usd_per_day=1e7), Band(half_width_usd=1e5), 1, hedge_share=0.8, speed=0.7)


class TestRangeLpHedger(AgentContract):
    agent = LpHedger("owner", PoolTerms(RANGE, THIRTY), EveryStep(), 0)


class TestCrab(AgentContract):
    agent = CRAB

    def test_plays(self) -> None:
        """1 M USD of S^2 at 100 is hedged with 20,000 coin; 0.5 % does not call, 1 % (from the start) does, one step later, in full.

        Then the rule counts from 101: 100.5 is not 1 % away, 99.9 is.  No funding: iv = 0.
        """
        self.agent = Crab("crab", 1, 1e6, 0.0, TimeOrThreshold(24.0, 0.01), FUNDING)
        prices = [100.0, 100.5, 101.0, 100.5, 99.9, 99.9]
        self.plays(prices=prices, expected_coin=[0.0, 0.0, 200.0, 0.0, 200.0 * (99.9 - 101.0)])

    def test_the_clock_calls_where_price_does_not(self) -> None:
        """Steps of half an hour, a hedge every hour: moves of 0.1 % a step are answered at 1 h and 2 h, one step late."""
        self.agent = Crab("crab", 1, 1e6, 0.0, TimeOrThreshold(1.0, 0.5), FUNDING)
        prices = [100.0, 100.1, 100.2, 100.3, 100.4, 100.5]
        self.plays(prices=prices, expected_coin=[0.0, 0.0, 200.0 * 0.2, 0.0, 200.0 * 0.2])


class TestCrabOfEveryStep(AgentContract):
    agent = Crab("crab", 2, 1e8, 0.6, TimeOrThreshold(24.0, 0.0), FUNDING)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0, 2.0])
def test_the_rule_calls_after_a_move_of_its_share_to_the_bit(share: float) -> None:
    """Moves beside the thresholds, at them and far from them: the same answers as of the rule's formula on every path."""
    rule, down, up = TimeOrThreshold(1.0, share), math.log1p(-share) if share < 1.0 else -40.0, math.log1p(share)
    hairs = np.concatenate(([0.0], np.outer([1.0, -1.0], 10.0 ** np.arange(-16.0, -1.0)).ravel()))
    moved = np.concatenate((down * (1.0 + hairs), up * (1.0 + hairs), hairs, [-5.0, 5.0, 0.0, -0.0]))
    for hours in (0.0, 0.5, 1.0 - 1e-10, 1.0):
        since = np.full(moved.size, hours / HOURS_PER_YEAR)
        late = since >= (1.0 / HOURS_PER_YEAR) * (1.0 - 1e-9)
        told = late | ((np.abs(np.expm1(moved)) >= share * (1.0 - 1e-9)) & (moved != 0.0))
        assert (rule.due(since, moved) == told).all()


def test_the_rule_takes_one_time_for_all_paths() -> None:
    rule, moved = TimeOrThreshold(1.0, 0.01), np.array([0.0, 0.02, -0.02])
    for since in (0.0, np.float64(0.0), np.zeros(1), np.zeros(3)):
        assert rule.due(since, moved).tolist() == [False, True, True]  # type: ignore[arg-type]
    assert rule.due(np.full(1, 9.0), moved).all()


def test_what_the_short_owes_is_not_taken_from_another_step_or_price() -> None:
    """What is kept from the last step answers for that step and those prices alone."""
    trader = CRAB.at_work(Market(SPOT, TimeGrid.uniform(horizon_days=1.0, step_minutes=60.0)))
    price, blank = np.array([0.01, -0.02]), np.zeros(2)
    kept = replace(trader.init(2), owed=Owed(3, price, np.array([1.0, 2.0])))
    for step, log_price in ((3, price), (3, price.copy()), (4, price)):
        fresh = trader.dollar_gamma_usd(step, log_price, blank, trader.init(2))
        told = trader.dollar_gamma_usd(step, log_price, blank, kept)
        assert (told == (np.array([-2.0, -4.0]) if step == 3 and log_price is price else fresh)).all()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="keeper"):
        Crab("crab", 0, 1e8, 0.6, TimeOrThreshold(24.0, 0.01), FUNDING)
    with pytest.raises(InputError, match="wants options"):
        LpHedger("owner", PoolTerms(HALF, FREE), Leland(5.0, 60.0), 0)
    with pytest.raises(InputError, match="delay_steps"):
        PoolArbitrage("pool", PoolTerms(HALF, FREE), -1)
    with pytest.raises(InputError, match="base_bps"):
        PoolFee(30.0, most_bps=20.0)


def test_the_example_of_pools_runs() -> None:
    path = Path(__file__).resolve().parents[2] / "examples" / "pools_and_crab.toml"
    document = simulate_file(load_scenario(path, overrides=Overrides(paths=16, hours=3.0))).document
    assert [row["kind"] for row in document["assumptions"]["agents"]] == ["cpmm", "lp-hedger", "crab"]
    assert document["assumptions"]["agents"][2]["policy"] == "after 24 h or a 1 % move, whichever is first"
    assert document["assumptions"]["starting_gain"] == pytest.approx(0.203, abs=5e-4)
    owner = document["pools"][1]
    assert (owner["agent"], owner["paths"], owner["value_usd"]) == ("range owner", 16, pytest.approx(6e7))
    assert owner["lost_usd"]["value"] == pytest.approx(owner["arbitrage_usd"]["value"] + owner["arbitrage_fees_usd"]["value"])
    parts = document["pnl"][1]["parts_usd"]
    paid = owner["arbitrage_fees_usd"]["value"] + owner["two_way_fees_usd"]["value"] - owner["lost_usd"]["value"]
    assert parts["gamma_theta_usd"]["value"] == pytest.approx(paid, rel=1e-9)
    assert abs(owner["residual_usd"]["value"]) < 1e-4
    assert any("against rebalancing, of which arbitrageurs kept" in sentence for sentence in document["headline"])
    assert "538 M USD a day" in " ".join(document["assumptions"]["notes"])


@pytest.mark.parametrize(
    ("kind", "keys", "said"),
    [
        ("cpmm", "value_usd = 1e8\nfee_bps = 5\nrange_usd = [1]\ndelay_steps = 0", "two prices"),
        ("cpmm", "value_usd = 1e8\nfee_bps = 5\nrange_usd = [1, 2]\nweight = 0.5\ndelay_steps = 0", "expected one of range_usd, weight"),
        ("cpmm", "value_usd = 1e8\ndelay_steps = 0", "fee_bps is missing"),
        ("cpmm", "value_usd = 1e8\nfee_bps = 9000\ndelay_steps = 0", "base_bps"),
        ("cpmm", 'value_usd = 1e8\nfee_bps = 5\npolicy = "every-step"\ndelay_steps = 0', "unknown key 'policy'"),
        ("lp-hedger", 'value_usd = 1e8\nfee_bps = 5\npolicy = "leland:5bps,60min"\ndelay_steps = 0', "wants options"),
        ("crab", "notional_usd = 1e8\ndelay_steps = 0", "keeper"),
        ("crab", 'notional_usd = 1e8\npolicy = {kind = "every-step"}\ndelay_steps = 1', "time-or-threshold"),
        ("crab", 'notional_usd = 1e8\nrules = "other"\ndelay_steps = 1', "squeeth_eth"),
    ],
)
def test_a_file_that_cannot_be_is_refused_in_one_sentence(tmp_path: Path, kind: str, keys: str, said: str) -> None:
    text = BASE[: BASE.index("[[agent]]")] + f'[[agent]]\nkind = "{kind}"\n{keys}\n'
    with pytest.raises(InputError, match="(?s)" + said) as refused:
        load_scenario(saved(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_figures_that_a_file_leaves_out_are_the_protocols_of_the_day(tmp_path: Path) -> None:
    text = BASE[: BASE.index("[[agent]]")] + '[[agent]]\nkind = "crab"\nnotional_usd = 1e8\niv = 5.0\ndelay_steps = 1\n'
    file = load_scenario(saved(tmp_path, text))
    agent = file.scenario.agents[0]
    assert isinstance(agent, Crab)
    assert (agent.rule, agent.funding) == (TimeOrThreshold(24.0, 0.01), FUNDING)
    assert "funding is clamped: it pays for a vol of 2.65 at most" in " ".join(file.notes)
    with pytest.raises(InputError, match="known from 2022-01-10"):
        load_scenario(saved(tmp_path, text.replace("2026-03-01", "2021-03-01")))
