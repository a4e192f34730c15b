"""Portfolio insurers: the contract of every agent, the put that trading copies, the floor, and what the loop makes of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm
from tests.contracts.agent import SPOT, AgentContract, market

from tailwag.errors import InputError, UnitError
from tailwag.hedging.policies import Band, EveryStep, NoHedge
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.insurer import ConstantProportion, PortfolioInsurer, SyntheticPut
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Costs, starting_gain

PUT = SyntheticPut(floor_share=0.94, iv=0.45, days=40.0)
PROPORTION = ConstantProportion(floor_share=0.8, multiplier=4.0)
HOLDING = 8e8
FREE = {"costs": Costs()}


def insurer(rule=PUT, *, delay: int = 0, **changes) -> PortfolioInsurer:  # type: ignore[no-untyped-def]
    return PortfolioInsurer("insurer", rule, changes.pop("holding_usd", HOLDING), delay, **changes)


class TestPut(AgentContract):
    agent = insurer()
    decays = True


class TestLatePutOfHalfSpeed(AgentContract):
    agent = insurer(delay=2, speed=0.5)
    decays = True


class TestProportion(AgentContract):
    agent = insurer(PROPORTION)

    def test_plays(self) -> None:
        """E = 4 (V - 640m): start 640m; 5 % down: V = 768m, E = 512m of 608m held; 5 % up again: V = 793.6m and E = 614.4m."""
        up = 1.05
        wealth = 8e8 - 0.05 * 6.4e8
        held = 4.0 * (wealth - 6.4e8)
        later = wealth + 0.05 * held
        self.plays(
            prices=[SPOT, 0.95 * SPOT, up * 0.95 * SPOT],
            expected_coin=[(held / 0.95 - 6.4e8) / SPOT, (4.0 * (later - 6.4e8) / (up * 0.95) - held / 0.95) / SPOT],
        )


class TestLateProportionWithABand(AgentContract):
    agent = insurer(PROPORTION, delay=1, policy=Band(half_width_usd=2e6))


class TestProportionThatBorrows(AgentContract):
    agent = insurer(ConstantProportion(floor_share=0.5, multiplier=6.0, most_share=1.5))


def positions(agent, price, *, steps: int = 12, minutes: float = 30.0, paths: int = 8, **changes):  # type: ignore[no-untyped-def]
    grid = TimeGrid.uniform(horizon_days=steps * minutes / 1440, step_minutes=minutes)
    block = run_block(plan_run(market(agent, price=price, grid=grid, **{**FREE, **changes}), seed=11), 0, paths, keep_agents=True)
    return block, block.agents[0]


def test_the_share_held_is_the_delta_of_a_holding_with_its_put() -> None:
    block, mine = positions(insurer(), Gbm(vol=0.8), impact=ImpactModel())
    left = 40 / 365 - block.time_years
    spread = 0.45 * np.sqrt(left)
    upper = (block.log_price - math.log(0.94)) / spread + 0.5 * spread
    assert np.asarray(mine.position_coin) == pytest.approx(HOLDING / SPOT * norm.cdf(upper), rel=1e-11)


def test_an_insurer_moves_the_price_as_a_dealer_does_who_is_short_the_puts_that_it_copies() -> None:
    coins = HOLDING / SPOT
    puts = OptionBook.single("put", strike_usd=0.94 * SPOT, expiry_years=40 / 365, contracts_coin=-coins, iv=0.45)
    dealer = Dealer("dealer", EveryStep(), 0, options=puts)
    impact = ImpactModel(permanent_per_usd=2e-10, transient_per_usd=1e-10, transient_half_life_minutes=40.0)
    (one, mine), (other, its) = (positions(agent, Gbm(vol=0.8), impact=impact) for agent in (insurer(), dealer))
    assert one.log_price == pytest.approx(other.log_price, abs=1e-11)
    assert np.asarray(mine.position_coin) - np.asarray(its.position_coin) == pytest.approx(np.full((8, 13), coins), rel=1e-9)
    assert insurer().starting_dollar_gamma_usd(SPOT) == pytest.approx(dealer.starting_dollar_gamma_usd(SPOT), rel=1e-12)
    assert np.abs(one.log_price - one.fundamental_log).max() > 0.003, "the loop does something"


def test_price_less_impact_of_the_holding_is_the_shock_alone() -> None:
    """x - A N(d1(x)) = x0 - A N(d1(x0)) + F on every path and step: permanent impact per coin, A = impact of selling the whole holding."""
    share = 0.11
    per_coin = share / (HOLDING / SPOT)
    block, mine = positions(insurer(), Gbm(vol=0.8), impact=ImpactModel(permanent_per_coin=per_coin))
    held = np.asarray(mine.position_coin) / (HOLDING / SPOT)
    assert block.log_price - share * (held - held[:, :1]) == pytest.approx(block.fundamental_log, abs=1e-10)
    left = 0.45 * np.sqrt(40 / 365 - block.time_years)
    assert held == pytest.approx(norm.cdf((block.log_price - math.log(0.94)) / left + 0.5 * left), abs=1e-10)


def test_the_cushion_is_the_product_of_the_geared_returns() -> None:
    """C_t = C_0 prod (1 + m r): every step, exactly, as long as no return takes it all."""
    block, mine = positions(insurer(PROPORTION), Gbm(vol=0.9), impact=ImpactModel())
    prices = np.exp(block.log_price)
    cushion = 0.2 * HOLDING * np.cumprod(np.hstack((np.ones((8, 1)), 1.0 + 4.0 * (prices[:, 1:] / prices[:, :-1] - 1.0))), axis=1)
    assert np.asarray(mine.position_coin) * SPOT * prices == pytest.approx(4.0 * cushion, rel=1e-10)
    assert mine.pnl_usd.sum(axis=0) == pytest.approx(cushion[:, -1] - cushion[:, 0], rel=1e-9)


def test_the_floor_breaks_where_one_fall_is_larger_than_one_over_the_multiplier_and_then_nothing_is_held() -> None:
    for fall, breaks in ((0.24, False), (0.26, True)):
        moves = np.zeros(12)
        moves[2], moves[5] = math.log(1.0 - fall), 0.1
        _, mine = positions(insurer(PROPORTION), Replay(moves), impact=ImpactModel(), stop_log_move=5.0)
        lost = -mine.pnl_usd.sum(axis=0)
        held = np.asarray(mine.position_coin)[:, 4]
        assert (lost > 0.2 * HOLDING).all() == breaks
        assert (held == 0.0).all() == breaks


def coin_wanted(after: float, money: float, coin: float) -> float:
    """Four times the cushion over 80 % of the holding, at most 95 % of wealth, in coin, less what is held."""
    wealth = money + coin * after
    return max(min(4.0 * (wealth - 0.8 * HOLDING), 0.95 * wealth), 0.0) / after - coin


def excess_of_one_step(move: float, before: float, money: float, coin: float) -> float:
    """Log price that the purchase leads to, less the one at which it was sized; impact 6e-11 per USD at the price before trading."""
    return move - 6e-11 * coin_wanted(before * math.exp(move), money, coin) * before


def test_a_proportional_insurer_against_a_loop_of_plain_numbers() -> None:
    """The same market in scalars: each step's price by root finding, cash and coin by hand."""
    rule = ConstantProportion(floor_share=0.8, multiplier=4.0, most_share=0.95)
    moves = 0.03 * np.random.default_rng(5).standard_normal(12)
    block, mine = positions(insurer(rule), Replay(moves), impact=ImpactModel(permanent_per_usd=6e-11), paths=1, stop_log_move=3.0)
    price, coin = SPOT, 0.8 * HOLDING / SPOT
    money = start = HOLDING - coin * SPOT
    for step, move in enumerate(moves):
        before = price * math.exp(move)
        price = before * math.exp(brentq(excess_of_one_step, -1.0, 1.0, args=(before, money, coin), xtol=1e-15))
        bought = coin_wanted(price, money, coin)
        coin, money = coin + bought, money - bought * 0.5 * (before + price)
        assert block.log_price[0, step + 1] == pytest.approx(math.log(price / SPOT), abs=1e-10)
        assert np.asarray(mine.position_coin)[0, step + 1] == pytest.approx(coin, rel=1e-8)
    assert mine.final_cash_usd[0] == pytest.approx(money - start, rel=1e-8)


@pytest.mark.parametrize("rule", [PUT, PROPORTION, ConstantProportion(0.5, 6.0, 1.5), SyntheticPut(1.02, 0.3, 5.0)])
def test_the_stated_response_is_what_the_market_measures_by_a_bump(rule) -> None:  # type: ignore[no-untyped-def]
    """A first move of 1 bp: what is bought over the cleared move is the response, and price goes 1 / (1 - g) times as far."""
    agent, per_usd = insurer(rule), 8e-11
    found = []
    for bump in (1e-4, -1e-4, 0.0):
        moves = np.zeros(12)
        moves[0] = bump
        block, mine = positions(agent, Replay(moves), impact=ImpactModel(permanent_per_usd=per_usd), paths=1)
        found.append((block.log_price[0, 1], np.asarray(mine.flow_usd)[0, 0]))
    (up, bought), (down, sold), _ = found
    response = agent.starting_flow_response_usd(SPOT)
    assert (bought - sold) / (up - down) == pytest.approx(response, rel=2e-3)
    gain = starting_gain(market(agent, impact=ImpactModel(permanent_per_usd=per_usd)))
    assert gain == pytest.approx(per_usd * response)
    assert (up - down) / 2e-4 == pytest.approx(1.0 / (1.0 - gain), rel=2e-3)


def test_insuring_costs_the_put_and_leaves_an_error_that_halves_with_four_times_the_trades() -> None:
    """Wealth at the horizon less max(S_T, K) plus the put's price: mean zero within 4 SE, and half as wide on a grid four times as fine."""
    rule = SyntheticPut(floor_share=0.97, iv=0.6, days=4.0)
    spread = 0.6 * math.sqrt(4 / 365)
    upper = -math.log(0.97) / spread + 0.5 * spread
    put = HOLDING * (0.97 * norm.cdf(-upper + spread) - norm.cdf(-upper))
    wide = []
    for steps in (48, 192):
        block, mine = positions(
            insurer(rule), Gbm(vol=0.6), steps=steps, minutes=4 * 1440 / steps, paths=400, impact=ImpactModel(), stop_log_move=5.0
        )
        target = HOLDING * np.maximum(np.exp(block.log_price[:, -1]), 0.97) - put
        error = HOLDING + mine.pnl_usd.sum(axis=0) - target
        assert abs(error.mean()) < 4.0 * error.std() / 20.0
        wide.append(error.std())
    assert wide[0] / wide[1] == pytest.approx(2.0, rel=0.2)


def test_at_its_end_it_is_all_or_nothing() -> None:
    for move, share in ((0.01, 1.0), (-0.05, 0.0)):
        _, mine = positions(insurer(SyntheticPut(0.98, 0.5, 0.1)), Replay(np.r_[move, np.zeros(11)]), impact=ImpactModel())
        assert np.asarray(mine.position_coin)[:, -1] == pytest.approx(np.full(8, share * HOLDING / SPOT), abs=1e-6)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: SyntheticPut(90.0, 0.2, 30.0), UnitError, "floor_share"),
        (lambda: SyntheticPut(0.9, 20.0, 30.0), UnitError, "20 %"),
        (lambda: SyntheticPut(0.9, 0.2, 0.0), InputError, "days"),
        (lambda: ConstantProportion(1.1, 3.0), UnitError, "floor_share"),
        (lambda: ConstantProportion(0.9, 0.5), InputError, "multiplier"),
        (lambda: ConstantProportion(0.9, 3.0, 0.0), InputError, "most_share"),
        (lambda: insurer(holding_usd=-1.0), InputError, "holding_usd"),
        (lambda: insurer(delay=-1), InputError, "delay_steps"),
        (lambda: insurer(speed=0.0), InputError, "speed"),
        (lambda: insurer(policy=NoHedge()), InputError, "owns none"),
    ],
)
def test_what_is_no_insurer_is_refused(make, kind, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(kind, match=words):
        make()
