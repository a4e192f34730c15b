"""Options pools: prices, fees and vols by hand, free liquidity, hedges, the oracle's lateness; and every agent's contract."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from tests.contracts.agent import SPOT, AgentContract, market
from tests.sim.option_players import Player

from tailwag.errors import InputError
from tailwag.hedging.policies import CharmOnly, EveryStep, NoHedge
from tailwag.sim.agents.options_amm import KeeperRule, OptionsAmm
from tailwag.sim.amm_oracle import OracleRule, OracleState, expected_gap_share, expected_move_share, expected_stale_loss_usd
from tailwag.sim.amm_pricing import FeeRule, Priced, VolRule, standard_factor
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import init, plan_run, step
from tailwag.sim.gain_bump import Bump, bumped, measure_gain, stated_response_usd
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.ledger import PART
from tailwag.sim.option_market import Contract, OptionOrder, OptionTerms
from tailwag.sim.scenario import Costs, Scenario

GRID = TimeGrid.uniform(horizon_days=2.0, step_minutes=30.0)
YEAR_STEPS = 365 * 48
PATHS = 4
FAR = Contract(1, 480, np.full(PATHS, 61_000.0))
PUTS = Contract(-1, 480, np.full(PATHS, 57_000.0))
MOVING = VolRule(start_iv=0.7, standard_size_coin=8.0, skew_share=0.6, least_skew=0.5, most_skew=1.5)
FEES = FeeRule(
    option_share=0.02,
    option_slow_weeks=1.0,
    option_double_weeks=2.0,
    spot_share=0.001,
    vega_factor=90.0,
    variance_share=0.3,
    variance_floor=2.0,
    variance_vega=0.02,
    variance_skew=2.5,
    variance_iv=1.4,
)
STATIC = OptionsAmm("eve", 5e6, VolRule(start_iv=0.7), 1, FeeRule(option_share=0.02, spot_share=0.001))
DYNAMIC = OptionsAmm("eve", 5e6, MOVING, 1, FEES, keeper=KeeperRule(24.0), least_delta=0.15, cutoff_hours=12.0)
MANAGED = OptionsAmm("eve", 5e6, MOVING, 0, FEES, hedging=EveryStep())
ORACLE = OptionsAmm("eve", 5e6, VolRule(), 1, FeeRule(option_share=0.01), oracle=OracleRule(lag_seconds=5400.0, deviation_share=0.002))


class TestStatic(AgentContract):
    """Nobody asks it for a quote."""

    agent = STATIC


class TestDynamic(AgentContract):
    """Lyra's way, hedged by keepers."""

    agent = DYNAMIC


class TestManaged(AgentContract):
    """Hedged in the same step."""

    agent = MANAGED


class TestOracle(AgentContract):
    """At a late price."""

    agent = ORACLE


def taker(now: int, coin: float, contract: Contract = FAR, word: str = "a taker", *, until: int | None = None) -> Player:
    """Buys ``coin`` in step ``now``, or in every step up to ``until``."""
    last = now if until is None else until

    def orders(view: Any) -> tuple[OptionOrder, ...]:
        paths = view.spot_usd.size
        mine = Contract(contract.right, contract.expiry_step, np.full(paths, contract.strike_usd[0]))
        return (OptionOrder(mine, np.full(paths, coin)),) if now <= view.step <= last else ()

    return Player(f"the {word}", word, orders=orders)


def quiet(*agents: Any, moves: Any = None, **changes: Any) -> Scenario:
    """Stated moves, or none; no impact, no costs."""
    given: dict[str, Any] = {
        "grid": GRID,
        "price": Replay(np.zeros(GRID.steps) if moves is None else moves),
        "impact": ImpactModel(),
        "costs": Costs(),
        "options": OptionTerms(0.6, averaged=False),
    }
    return market(*agents, **{**given, **changes})


def walked(scenario: Scenario, steps: int, name: str = "eve", seed: int = 1) -> list[Any]:
    """The state and one agent's seat after every step."""
    plan = plan_run(scenario, seed=seed)
    place = next(at for at, seat in enumerate(plan.seats) if seat.agent.name == name)
    state, told = init(plan, 0, PATHS), []
    for _ in range(steps):
        state = step(plan, state)
        told.append((state, state.seats[place]))
    return told


def black(right: int, spot: float, strike: float, years: float, vol: float) -> tuple[float, float, float]:
    """Price, delta, vega: this file's own."""
    w = vol * math.sqrt(years)
    d1 = math.log(spot / strike) / w + 0.5 * w
    price = right * (spot * norm.cdf(right * d1) - strike * norm.cdf(right * (d1 - w)))
    return float(price), float(right * norm.cdf(right * d1)), float(spot * norm.pdf(d1) * math.sqrt(years))


def test_a_static_pool_asks_its_vol_plus_fees() -> None:
    """3 calls at step 2: Black at 70 % + 2 % of it + 0.1 % of spot; a seller gets Black less the same."""
    for coin in (3.0, -3.0):
        seat = walked(quiet(STATIC, taker(2, coin)), 2)[-1][1]
        price = black(1, SPOT, 61_000.0, 478 / YEAR_STEPS, 0.7)[0]
        fee = 0.02 * price + 0.001 * SPOT
        assert seat.holding.cash_usd == pytest.approx(np.full(PATHS, coin * price + abs(coin) * fee), rel=1e-10)
        assert seat.memory.books.fees_usd == pytest.approx(np.full(PATHS, 3.0 * fee), rel=1e-9)
        assert seat.memory.holding.slots.of(FAR).tolist() == [-coin] * PATHS


def test_fees_by_hand() -> None:
    """The rules of Lyra's pricer on one order, computed with a pencil.

    Option 120 USD, spot 1,800, 11 weeks: option fee 0.01 x 1.5 x 120 = 1.8; spot fee 0.01 x (1 + 5/6) x 1,800 = 33.
    Vega: 100 x (0.8 x 1.05) x 300 / 500,000 = 0.0504 a coin.
    Variance: 0.25 x (0 + 0.01 x 90) x (1 + 3 x 0.05) x (1 + 1.5 x 0.04) = 0.25 x 0.9 x 1.15 x 1.06 = 0.274275.
    """
    rule = FeeRule(
        option_share=0.01, spot_share=0.01, vega_factor=100.0, variance_share=0.25, variance_vega=0.01, variance_skew=3.0, variance_iv=1.5
    )
    one = np.ones(1)
    order = Priced(
        spot_usd=1800 * one,
        price_usd=120 * one,
        vega_usd=90 * one,
        base_iv=0.8 * one,
        skew=1.05 * one,
        iv_variance=0.04 * one,
        standard_vega_before=-250 * one,
        standard_vega_after=-300 * one,
        nav_usd=500_000 * one,
        weeks=11.0,
    )
    parts = rule.of(order)
    assert [float(part[0]) for part in (parts.option_usd, parts.spot_usd, parts.vega_usd, parts.variance_usd)] == pytest.approx(
        [1.8, 33.0, 0.0504, 0.274275], rel=1e-12
    )
    assert parts.total_usd[0] == pytest.approx(35.124675, rel=1e-12)
    falls = replace(order, standard_vega_before=310 * one)
    assert rule.of(falls).vega_usd[0] == 0.0
    assert rule.of(replace(order, weeks=3.0)).option_usd[0] == pytest.approx(1.2, rel=1e-12)
    assert rule.of(replace(order, nav_usd=-5 * one)).vega_usd[0] == 0.0


def test_the_published_example_of_the_vega_fee() -> None:
    """Lyra's own test of it: 1 coin, vol traded 1, vega 0.1 -> 80, NAV 500,000, factor 100: 0.016."""
    one = np.ones(1)
    order = Priced(one, one, 10 * one, one, one, 0 * one, 0.1 * one, 80 * one, 500_000 * one, 1.0)
    assert FeeRule(vega_factor=100.0).of(order).vega_usd[0] == pytest.approx(0.016, rel=1e-12)


def test_standard_vega_counts_whole_days() -> None:
    days = np.array([40.5, 30.0, 12.9, 7.0, 1.0])
    assert standard_factor(days / 365) == pytest.approx([math.sqrt(30 / whole) / 100 for whole in (40, 30, 12, 7, 7)], rel=1e-12)


def test_trades_move_the_vol_and_the_next_price() -> None:
    """12 calls, then 5 puts sold to it at another strike, then 2 calls more; every price at the vol after its own order."""
    agents = (DYNAMIC, taker(2, 12.0), taker(3, -5.0, PUTS, "b taker"), taker(4, 2.0, word="c taker"))
    told = walked(quiet(*agents), 4)
    base, skews, cash = 0.7, {61_000.0: 1.0, 57_000.0: 1.0}, 0.0
    log_mean, held = None, {}
    for now, (coin, contract) in enumerate(((12.0, FAR), (-5.0, PUTS), (2.0, FAR)), start=2):
        strike, right = float(contract.strike_usd[0]), contract.right
        move = coin / 8.0 / 100
        if log_mean is None:
            log_mean = math.log(base)
        base, skews[strike] = base + move, skews[strike] + 0.6 * move
        years = (480 - now) / YEAR_STEPS
        price, _, own_vega = black(right, SPOT, strike, years, base * skews[strike])
        factor = math.sqrt(30 / max(math.floor(365 * years + 1e-9), 7)) / 100
        before = sum(held.get(key, 0.0) * black(key[0], SPOT, key[1], years, 0.6)[2] * factor for key in held)
        after = before - coin * black(right, SPOT, strike, years, 0.6)[2] * factor
        value = sum(held.get(key, 0.0) * black(key[0], SPOT, key[1], years, 0.6)[0] for key in held)
        nav = 5e6 + cash + value
        weeks = (480 - now) / 336
        fee = 0.02 * max(1.0, 1.0 + (weeks - 1.0)) * price + 0.001 * SPOT
        if abs(after) > abs(before):
            fee += 90.0 * base * skews[strike] * abs(after) / (nav + hedge_worth(told, now))
        iv_variance = abs(base - math.exp(log_mean))
        fee += 0.3 * (2.0 + 0.02 * own_vega) * (1 + 2.5 * abs(skews[strike] - 1.0)) * (1 + 1.4 * iv_variance)
        paid = price + fee if coin > 0 else price - fee
        held[(right, strike)] = held.get((right, strike), 0.0) - coin
        cash += coin * paid
        seat = told[now - 1][1]
        assert -seat.memory.holding.premium_usd == pytest.approx(np.full(PATHS, cash), rel=1e-9)
        log_mean = log_mean * math.exp(-0.5 / 24) + (1 - math.exp(-0.5 / 24)) * math.log(base)
        assert seat.memory.vols.boards[0].base_iv == pytest.approx(np.full(PATHS, base), rel=1e-12)
    listed = {float(k): float(s) for k, s in zip(seat.memory.vols.strike_usd[:, 0], seat.memory.vols.skew[:, 0]) if k > 0}
    assert listed == pytest.approx(skews, rel=1e-12)


def hedge_worth(told: list[Any], now: int) -> float:
    """What the hedge has gained before step ``now``: coin at spot less what was paid for it (prices stand still: nothing)."""
    holding = told[now - 2][1].holding
    premium = told[now - 2][1].memory.holding.premium_usd
    return float((holding.position_coin * SPOT + holding.cash_usd + premium)[0])


def test_a_pool_sells_while_its_collateral_lasts() -> None:
    """5 M USD stand behind 83 coin of calls at 60,000: an order for 200 gets what worth and premium pay for, the next nothing."""
    told = walked(
        quiet(replace(STATIC, fees=FeeRule()), taker(2, 200.0), taker(3, 50.0, word="b taker"), taker(4, 50.0, PUTS, "c taker")), 4
    )
    first = told[1][1]
    assert first.memory.holding.slots.of(FAR) == pytest.approx(np.full(PATHS, -5e6 / SPOT), rel=1e-12)
    price, model = (black(1, SPOT, 61_000.0, 478 / YEAR_STEPS, vol)[0] for vol in (0.7, 0.6))
    edge = 5e6 / SPOT * (price - model)
    second = 5e6 / SPOT + edge / SPOT  # worth has grown by the edge; options that age change it a little
    aged = 5e6 / SPOT * (model - black(1, SPOT, 61_000.0, 477 / YEAR_STEPS, 0.6)[0]) / SPOT
    assert told[2][1].memory.holding.slots.of(FAR) == pytest.approx(np.full(PATHS, -(second + aged)), rel=1e-9)
    assert np.abs(told[3][1].memory.holding.slots.of(PUTS)).max() < 1.0
    back = walked(quiet(replace(STATIC, fees=FeeRule()), taker(2, 200.0), taker(3, -30.0, word="b taker")), 3)[-1][1]
    assert back.memory.holding.slots.of(FAR) == pytest.approx(np.full(PATHS, -5e6 / SPOT + 30.0), rel=1e-12)


def test_no_trade_beyond_the_bounds() -> None:
    """12 hours before expiry, at a call delta outside 0.15 to 0.85, above the highest skew or below the lowest vol."""
    near, far_out = Contract(1, 25, np.full(PATHS, 60_000.0)), Contract(1, 480, np.full(PATHS, 90_000.0))
    for agents in (
        (DYNAMIC, taker(2, 1.0, near)),
        (DYNAMIC, taker(2, 1.0, far_out)),
        (DYNAMIC, taker(2, 1.0, replace(far_out, strike_usd=np.full(PATHS, 40_000.0)))),
        (replace(DYNAMIC, vols=replace(MOVING, most_skew=1.005)), taker(2, 12.0)),
        (replace(DYNAMIC, vols=replace(MOVING, least_vol=0.699)), taker(2, -12.0)),
        (replace(DYNAMIC, vols=replace(MOVING, most_base_iv=0.71)), taker(2, 12.0)),
    ):
        assert not walked(quiet(*agents), 2)[-1][1].memory.holding.traded_coin.any()
    for agents in (
        (DYNAMIC, taker(1, 1.0, near)),
        (replace(DYNAMIC, least_delta=0.0), taker(2, 1.0, far_out)),
        (replace(DYNAMIC, vols=replace(MOVING, most_skew=1.005)), taker(2, -12.0)),
        (replace(DYNAMIC, vols=replace(MOVING, least_vol=0.699)), taker(2, 12.0)),
    ):
        assert walked(quiet(*agents), 2)[-1][1].memory.holding.traded_coin.all()


def test_keepers_hedge_once_a_day_and_to_nothing_at_any_time() -> None:
    """Sold in step 2, called at its end, hedged in 3; after a move nothing until 24 h after the call; a cap holds; bought back: unwound."""
    moves = np.zeros(GRID.steps)
    moves[9] = 0.02
    agents = (DYNAMIC, taker(2, 10.0))
    held = [seat.holding.position_coin[0] for _, seat in walked(quiet(*agents, moves=moves), 60)]
    delta = black(1, SPOT, 61_000.0, 478 / YEAR_STEPS, 0.6)[1]
    assert held[1] == 0.0
    assert held[2:50] == pytest.approx([10.0 * delta] * 48, rel=1e-9)
    later = black(1, SPOT * math.exp(0.02), 61_000.0, 430 / YEAR_STEPS, 0.6)[1]
    assert held[50:] == pytest.approx([10.0 * later] * 10, rel=1e-9)
    capped = replace(DYNAMIC, keeper=KeeperRule(24.0, cap_coin=2.0))
    assert walked(quiet(capped, taker(2, 10.0)), 4)[-1][1].holding.position_coin == pytest.approx(np.full(PATHS, 2.0), rel=1e-12)
    closed = walked(quiet(*agents, taker(6, -10.0, word="b taker")), 8)
    assert closed[6][1].holding.position_coin == pytest.approx(np.zeros(PATHS), abs=1e-12)


def test_the_bump_measures_what_the_hedge_answers() -> None:
    """Managed, 25 calls sold: response = 25 gamma S^2 where the hedge has moved price to; not hedged: nothing, as stated at the start."""
    per_usd, brief = 4e-9, TimeGrid.uniform(horizon_days=4 / 48, step_minutes=30.0)
    changes: dict[str, Any] = {"grid": brief, "price": Replay(np.zeros(4)), "impact": ImpactModel(permanent_per_usd=per_usd)}
    bump = Bump(size_log=1e-5, noise_log=0.0, after_steps=3)
    years = bumped(quiet(**changes), bump, 1.0).grid.years
    later = years.size - 1 + round((480 / YEAR_STEPS - years[-1]) / (years[-1] - years[-2]))  # the same expiry on a clock that stands still
    order = taker(2, 25.0, replace(FAR, expiry_step=later))
    found = measure_gain(quiet(MANAGED, order, **changes), paths=PATHS, seed=1, bump=bump).agents[0]
    log_price = walked(quiet(MANAGED, taker(2, 25.0), **changes), 4)[-1][0].log_price[0]
    spot, years_left, width = SPOT * math.exp(log_price), 476 / YEAR_STEPS, 1.0
    gamma = (black(1, spot + width, 61_000.0, years_left, 0.6)[1] - black(1, spot - width, 61_000.0, years_left, 0.6)[1]) / (2 * width)
    assert found.response_usd.value == pytest.approx(25.0 * gamma * spot**2, rel=2e-3)
    assert found.gain.value == pytest.approx(per_usd * 25.0 * gamma * spot**2, rel=5e-3)
    idle = measure_gain(quiet(replace(MANAGED, hedging=NoHedge()), order, **changes), paths=PATHS, seed=1, bump=bump).agents[0]
    assert idle.response_usd.value == 0.0
    assert stated_response_usd(MANAGED, SPOT) == stated_response_usd(STATIC, SPOT) == stated_response_usd(DYNAMIC, SPOT) == 0.0


def test_a_managed_pool_clears_at_its_own_price() -> None:
    """x = lambda S coin with coin = 25 N(d1(x)): the fixed point of a pool that sold 25 calls in this very step."""
    per_usd = 4e-9
    state, _ = walked(quiet(MANAGED, taker(2, 25.0), impact=ImpactModel(permanent_per_usd=per_usd)), 2)[-1]
    x = 0.0
    for _ in range(200):
        x = per_usd * SPOT * 25.0 * black(1, SPOT * math.exp(x), 61_000.0, 478 / YEAR_STEPS, 0.6)[1]
    assert x > 1e-3
    assert state.log_price == pytest.approx(np.full(PATHS, x), rel=1e-10)
    late = walked(quiet(replace(MANAGED, delay_steps=1), taker(2, 25.0)), 3)
    assert not late[1][1].holding.position_coin.any()
    assert late[2][1].holding.position_coin == pytest.approx(
        np.full(PATHS, 25.0 * black(1, SPOT, 61_000.0, 478 / YEAR_STEPS, 0.6)[1]), rel=1e-9
    )


def test_everything_is_conserved_and_accounted_for() -> None:
    """Premium from one account to another; coin of every contract sums to zero; edge = fees - stale + vol; worth closes to rounding."""
    flow = (taker(1, 2.0, until=90), taker(3, -1.5, PUTS, "b taker", until=80), taker(7, -0.5, word="c taker", until=60))
    for agent in (STATIC, DYNAMIC, MANAGED, replace(ORACLE, cutoff_hours=1.0)):
        scenario = quiet(agent, *flow, price=Gbm(vol=0.7), impact=ImpactModel(permanent_per_usd=1e-10), costs=Costs(2.0, 1.0, 3.0))
        plan = plan_run(scenario, seed=5)
        state = init(plan, 0, PATHS)
        for _ in range(GRID.steps):
            state = step(plan, state)
            for contract in (FAR, PUTS):
                total = sum(holding_of(own).slots.of(contract) for own in state.seats)
                assert np.abs(total).max() < 1e-12
            premia = sum(holding_of(own).premium_usd for own in state.seats)
            assert np.abs(premia).max() < 1e-6
        own = next(own for seat, own in zip(plan.seats, state.seats) if seat.agent.name == "eve")
        books, holding = own.memory.books, own.memory.holding
        assert holding.traded_coin.min() > 50.0
        assert books.fees_usd - books.stale_usd + books.vol_usd == pytest.approx(holding.edge_usd, rel=1e-9)
        assert (books.fees_usd > 0.0).all()
        assert books.stale_usd.any() == (agent.oracle is not None)
        spot = SPOT * np.exp(state.log_price)
        worth = own.holding.cash_usd + own.holding.position_coin * spot + holding.value_usd
        assert worth == pytest.approx(own.holding.pnl_usd.sum(axis=0), rel=1e-9)
        assert own.holding.pnl_usd[PART["spread_usd"]].min() > 0.0 or agent.oracle is not None


def holding_of(own: Any) -> Any:
    """Options of an agent, whatever it is."""
    return getattr(own.memory, "holding", own.memory)


def test_order_and_names_change_no_bit_with_takers() -> None:
    agents = (MANAGED, taker(2, 1.0, until=20), taker(5, -0.5, word="b taker", until=30))
    one = run_block(plan_run(quiet(*agents, impact=ImpactModel(permanent_per_usd=2e-9)), seed=1), 0, PATHS)
    renamed = tuple(replace(agent, name=f"n{place}") for place, agent in enumerate(reversed(agents)))
    other = run_block(plan_run(quiet(*renamed, impact=ImpactModel(permanent_per_usd=2e-9)), seed=1), 0, PATHS)
    assert (one.log_price == other.log_price).all()
    assert one.log_price.any()


def test_an_oracle_reports_late_and_only_what_moved_enough() -> None:
    """Lag of 3 steps, 1 % deviation, a heartbeat of 5 steps, by a loop over one path."""
    rule = OracleRule(lag_seconds=1.4 * 3600, deviation_share=0.01, heartbeat_hours=2.5)
    rng = np.random.default_rng(3)
    logs = np.cumsum(0.004 * rng.standard_normal(60))
    state, reports, last_at = OracleState.opened(rule, GRID, 1), [0.0], 0
    for now, log_price in enumerate(logs, start=1):
        state = state.stepped(rule, np.array([log_price]), float(GRID.years[now]))
        if abs(math.exp(log_price - reports[-1]) - 1.0) >= 0.01 or now - last_at >= 5:
            reports.append(float(log_price))
            last_at = now
        else:
            reports.append(reports[-1])
        assert state.told_log[0] == reports[max(now - 2, 0)]
    assert len(set(reports)) > 10


def test_the_loss_to_a_stale_quote_in_the_run_is_the_move_since() -> None:
    """A jump of 1 % in step 3: who buys a call in step 3 pays the price of the spot before it, and the books say what that cost."""
    moves = np.zeros(GRID.steps)
    moves[2] = 0.01
    pool = OptionsAmm("eve", 5e6, VolRule(), 1, oracle=OracleRule(lag_seconds=0.0))
    told = walked(quiet(pool, taker(3, 2.0), taker(4, 2.0, word="b taker"), moves=moves), 4)
    true, stale = (black(1, spot, 61_000.0, 477 / YEAR_STEPS, 0.6)[0] for spot in (SPOT * math.exp(0.01), SPOT))
    assert told[2][1].memory.books.stale_usd == pytest.approx(np.full(PATHS, 2.0 * (true - stale)), rel=1e-9)
    assert told[3][1].memory.books.stale_usd == pytest.approx(told[2][1].memory.books.stale_usd, rel=1e-9)
    slower = replace(pool, oracle=OracleRule(lag_seconds=3600.0))
    again = walked(quiet(slower, taker(3, 2.0), taker(4, 2.0, word="b taker"), moves=moves), 4)[-1][1].memory.books
    later_true, later_stale = (black(1, spot, 61_000.0, 476 / YEAR_STEPS, 0.6)[0] for spot in (SPOT * math.exp(0.01), SPOT))
    assert again.stale_usd == pytest.approx(np.full(PATHS, 2.0 * (true - stale + later_true - later_stale)), rel=1e-9)
    free = replace(pool, oracle=OracleRule(deviation_share=0.02))
    assert (walked(quiet(free, taker(5, 2.0), moves=moves), 5)[-1][1].memory.books.stale_usd > 0.0).all()


CASES = [
    (1, 3000.0, 3100.0, 7 / 365, 0.7, 90.0, 0.0),
    (-1, 3000.0, 2900.0, 3 / 365, 0.9, 600.0, 0.8),
    (1, 50.0, 45.0, 0.2, 1.2, 86_400.0, 1.0),
]


@pytest.mark.parametrize(("right", "spot", "strike", "years", "vol", "lag", "fee"), CASES)
def test_expected_stale_loss_by_another_integral(
    right: int, spot: float, strike: float, years: float, vol: float, lag: float, fee: float
) -> None:
    s = vol * math.sqrt(lag / 31_536_000)
    quoted = black(right, spot, strike, years, vol)[0]

    def paid(z: float) -> float:
        there = black(right, spot * math.exp(s * z - s * s / 2), strike, years, vol)[0]
        return float(max(abs(there - quoted) - fee, 0.0) * norm.pdf(z))

    expected = quad(paid, -9, 9, limit=400, epsabs=1e-12, epsrel=1e-10, points=[0.0])[0]
    found = expected_stale_loss_usd(right, spot_usd=spot, strike_usd=strike, years=years, vol=vol, lag_years=lag / 31_536_000, fee_usd=fee)
    assert found == pytest.approx(expected, rel=1e-6)


def test_short_lags_lose_delta_times_the_expected_move() -> None:
    """|delta| S vol sqrt(2 L / pi); a coin itself loses 2 (2 N(s/2) - 1) of its price."""
    lag = 5 / 31_536_000
    found = expected_stale_loss_usd(-1, spot_usd=3000.0, strike_usd=3050.0, years=0.1, vol=0.8, lag_years=lag)
    delta = black(-1, 3000.0, 3050.0, 0.1, 0.8)[1]
    assert found == pytest.approx(abs(delta) * 3000.0 * 0.8 * math.sqrt(2 * lag / math.pi), rel=1e-3)
    s = 0.8 * math.sqrt(0.3)
    by_hand = quad(lambda z: abs(math.exp(s * z - s * s / 2) - 1) * norm.pdf(z), -12, 12, points=[s / 2], limit=300)[0]
    assert expected_move_share(0.8, 0.3) == pytest.approx(by_hand, rel=1e-9)


def informed(word: str, contract: Contract, coin: float, iv: float) -> Player:
    """Buys where the ask is below the true price, sells where the bid is above it."""

    def orders(view: Any) -> tuple[OptionOrder, ...]:
        paths = view.spot_usd.size
        mine = Contract(contract.right, contract.expiry_step, np.full(paths, contract.strike_usd[0]))
        w = iv * math.sqrt((contract.expiry_step - view.step) / YEAR_STEPS)
        d1 = np.log(view.spot_usd / mine.strike_usd) / w + w / 2
        worth = view.spot_usd * norm.cdf(d1) - mine.strike_usd * norm.cdf(d1 - w)
        return (OptionOrder(mine, np.full(paths, coin), worth), OptionOrder(mine, np.full(paths, -coin), worth))

    return Player(f"the {word}", word, orders=orders)


def lost_at_once(first: int, last: int, fee: float, paths: int, seed: int) -> np.ndarray:
    """Stale loss net of fees of each path in the one step ``last`` in which informed takers trade."""
    contract = Contract(1, 480, np.full(paths, 61_000.0))
    pool = OptionsAmm("eve", 5e9, VolRule(), 1, FeeRule(spot_share=fee), oracle=OracleRule(lag_seconds=1800.0 * (last - first)))
    once = informed("one who knows", contract, 1.0, 0.6)
    sends = once.orders
    assert sends is not None
    scenario = quiet(pool, replace(once, orders=lambda view: sends(view) if view.step == last else ()), price=Gbm(vol=0.6))
    plan = plan_run(scenario, seed=seed)
    place = next(at for at, seat in enumerate(plan.seats) if seat.agent.name == "eve")
    state = init(plan, 0, paths)
    for _ in range(last):
        state = step(plan, state)
    books = state.seats[place].memory.books
    return np.asarray(books.stale_usd - books.fees_usd)


@pytest.mark.parametrize(("lag_steps", "fee"), [(1, 0.0), (3, 0.0004)])
def test_informed_takers_win_what_the_closed_form_says(lag_steps: int, fee: float) -> None:
    """Quotes ``lag_steps`` old, everything else as in the formula: the run starts so that the told price is the first one."""
    lost = lost_at_once(0, lag_steps, fee, 20_000, 7)
    expected = expected_stale_loss_usd(
        1,
        spot_usd=SPOT,
        strike_usd=61_000.0,
        years=(480 - lag_steps) / YEAR_STEPS,
        vol=0.6,
        lag_years=lag_steps / YEAR_STEPS,
        fee_usd=fee * SPOT,
    )
    error = lost.std(ddof=1) / math.sqrt(lost.size)
    assert error < 0.01 * expected
    assert abs(lost.mean() - expected) / error < 4.0


def test_the_gap_of_a_threshold_oracle_is_a_third_of_it() -> None:
    """A walk of +-1 that is reset at +-n stands |k| away with weight n - |k|: (n^2 - 1) / (3 n), the third of n for small steps."""
    n = 40
    weights = np.array([n - abs(k) for k in range(-n + 1, n)], dtype=float)
    mean = float((weights * np.abs(np.arange(-n + 1, n))).sum() / weights.sum())
    assert mean == pytest.approx((n * n - 1) / (3 * n), rel=1e-12)
    assert expected_gap_share(0.04) == pytest.approx(0.04 * mean / n, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"delay_steps": -1}, "delay_steps"),
        ({"deposit_usd": 0.0}, "deposit_usd"),
        ({"least_delta": 0.5}, "least_delta"),
        ({"hedge_share": 1.2}, "hedge_share"),
        ({"slots": 17}, "slots"),
        ({"hedging": CharmOnly()}, "policy"),
        ({"hedging": EveryStep(), "keeper": KeeperRule(24.0)}, "both"),
        ({"keeper": KeeperRule(24.0), "delay_steps": 0}, "keeper"),
    ],
)
def test_impossible_pools_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        replace(STATIC, **changes)


def test_rules_out_of_range_are_refused() -> None:
    for made in (
        lambda: VolRule(start_iv=60.0),
        lambda: VolRule(standard_size_coin=0.0),
        lambda: VolRule(least_skew=2.0, most_skew=1.0),
        lambda: FeeRule(option_share=-0.1),
        lambda: FeeRule(spot_share=1.0),
        lambda: FeeRule(spot_slow_weeks=20.0),
        lambda: OracleRule(lag_seconds=-1.0),
        lambda: OracleRule(heartbeat_hours=0.0),
        lambda: KeeperRule(0.0),
    ):
        with pytest.raises(InputError):
            made()
    with pytest.raises(InputError, match="cutoff_hours"):
        plan_run(quiet(replace(STATIC, cutoff_hours=0.2), options=OptionTerms(0.6)), seed=1)
    with pytest.raises(InputError, match="option market"):
        plan_run(quiet(STATIC, options=None), seed=1)
