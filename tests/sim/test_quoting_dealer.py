"""The quoting dealer: its prices, limits and lean by hand, its hedge, what it crosses and what moves against it; and every agent's contract."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from tests.contracts.agent import SPOT, AgentContract, market
from tests.sim.option_players import Player

from tailwag.errors import InputError
from tailwag.hedging.policies import CharmOnly, EveryStep, NoHedge, Predictive
from tailwag.sim.agents.quoting_dealer import QuotingDealer
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Replay
from tailwag.sim.engine import init, plan_run, step
from tailwag.sim.gain_bump import Bump, bumped, measure_gain, stated_response_usd
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.option_market import Contract, OptionFill, OptionModel, OptionOrder, OptionTerms
from tailwag.sim.option_slots import OptionHolding
from tailwag.sim.quoting import QuoteRule
from tailwag.sim.scenario import Costs, Scenario

RULE = QuoteRule(half_spread_volpt=2.5, size_coin=30.0)
BOOK = OptionBook.single("put", strike_usd=58_000.0, expiry_years=3 / 365, contracts_coin=-40.0, iv=0.6)
GRID = TimeGrid.uniform(horizon_days=1.0, step_minutes=30.0)
PATHS = 4
FAR = Contract(1, 96, np.full(PATHS, 61_000.0))


class TestContract(AgentContract):
    """A quoting dealer with a book besides, one step late."""

    agent = QuotingDealer("eve", RULE, EveryStep(), 1, options=BOOK)
    decays = True


class TestContractAtOnce(AgentContract):
    """Hedged at the price at which the step clears."""

    agent = QuotingDealer("eve", RULE, EveryStep(), 0, options=BOOK, hedge_share=0.8)
    decays = True


def calls(now: int, coin: float, contract: Contract = FAR, word: str = "a taker", *, until: int | None = None) -> Player:
    """Buys ``coin`` in step ``now``, or in every step up to ``until``."""
    order = OptionOrder(contract, np.full(PATHS, coin))
    last = now if until is None else until
    return Player(f"the {word}", word, orders=lambda view: (order,) if now <= view.step <= last else ())


def quiet(*agents: Any, moves: Any = None, **changes: Any) -> Scenario:
    """Nothing but the agents' impact moves the price, or stated moves."""
    steps = np.zeros(GRID.steps) if moves is None else moves
    given: dict[str, Any] = {
        "grid": GRID,
        "price": Replay(steps),
        "impact": ImpactModel(),
        "costs": Costs(),
        "options": OptionTerms(0.6, averaged=False),
    }
    return market(*agents, **{**given, **changes})


def walked(scenario: Scenario, steps: int, name: str = "eve") -> list[Any]:
    """One agent's seat after every step."""
    plan = plan_run(scenario, seed=1)
    place = next(at for at, seat in enumerate(plan.seats) if seat.agent.name == name)
    state, told = init(plan, 0, PATHS), []
    for _ in range(steps):
        state = step(plan, state)
        told.append((state, state.seats[place]))
    return told


def black(spot: float, strike: float, years: float, vol: float) -> tuple[float, float, float, float]:
    """Call price, delta, gamma, vega."""
    w = vol * np.sqrt(years)
    d1 = np.log(spot / strike) / w + 0.5 * w
    price = spot * norm.cdf(d1) - strike * norm.cdf(d1 - w)
    return price, norm.cdf(d1), norm.pdf(d1) / (spot * w), spot * norm.pdf(d1) * np.sqrt(years)


def test_quotes_lean_against_what_is_held() -> None:
    """ask - model = vega (half + lean) / 100, lean = -(a Vega + b S^2 Gamma) / 1e6 volpt; the dealer is short 7 of another call."""
    rule = replace(RULE, vega_skew_volpt=3.0, gamma_skew_volpt=0.25)
    model = OptionModel(OptionTerms(0.6, averaged=False), GRID, SPOT)
    still, other = np.zeros(PATHS), Contract(1, 60, np.full(PATHS, 59_000.0))
    held = OptionHolding.opened(model, PATHS).traded(OptionFill(other, np.full(PATHS, -7.0), still, model.mark(other, 3, still, still)))
    mark = model.mark(FAR, 3, still, still)
    quote = rule.quote(
        held.slots,
        FAR,
        price_usd=mark.price_usd,
        vega_usd=mark.greeks[3],
        greeks=held.slots.greeks(3, still, still),
        spot_usd=np.full(PATHS, SPOT),
    )
    price, _, _, vega = black(SPOT, 61_000.0, 93 * 0.5 / 8760, 0.6)
    _, _, gamma, own_vega = black(SPOT, 59_000.0, 57 * 0.5 / 8760, 0.6)
    lean = 7.0 * (3.0 * own_vega + 0.25 * gamma * SPOT**2) / 1e6
    assert quote.ask_usd == pytest.approx(np.full(PATHS, price + vega * (2.5 + lean) / 100), rel=1e-9)
    assert quote.bid_usd == pytest.approx(np.full(PATHS, price + vega * (-2.5 + lean) / 100), rel=1e-9)
    wide = replace(rule, least_half_spread_bps=40.0).quote(
        held.slots, FAR, price_usd=mark.price_usd, vega_usd=mark.greeks[3], greeks=np.zeros((8, PATHS)), spot_usd=np.full(PATHS, SPOT)
    )
    assert wide.ask_usd - mark.price_usd == pytest.approx(np.full(PATHS, 0.004 * SPOT), rel=1e-9)


def test_limits_by_strike_and_by_expiry_hold() -> None:
    """A taker buys 12 in every step: a strike is sold up to 40, an expiry up to 50, and the rest is not filled."""
    rule = replace(RULE, strike_limit_coin=40.0, expiry_limit_coin=50.0)
    puts = Contract(-1, 96, np.full(PATHS, 61_000.0))
    others = Contract(1, 96, np.full(PATHS, 64_000.0))
    agents = (
        QuotingDealer("eve", rule, NoHedge(), 1),
        calls(1, 12.0, until=9),
        calls(1, 3.0, puts, "b taker", until=9),
        calls(1, 2.0, others, "c taker", until=9),
    )
    for _, seat in walked(quiet(*agents), 9):
        slots = seat.memory.holding.slots
        at_strike = slots.of(FAR) + slots.of(puts)
        assert (at_strike >= -40.0 - 1e-12).all()
        assert (at_strike + slots.of(others) >= -50.0 - 1e-12).all()
    assert at_strike.tolist() == [-40.0] * PATHS
    assert (at_strike + slots.of(others)).tolist() == [-50.0] * PATHS
    free = walked(quiet(replace(agents[0], rule=RULE), *agents[1:]), 9)[-1][1]
    assert free.memory.holding.slots.of(FAR).tolist() == [-108.0] * PATHS


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_a_late_hedge_is_the_delta_of_what_was_sold(share: float) -> None:
    """10 calls sold in step 2: hedged in step 3 at the delta of step 2's end, then rehedged as the price has moved."""
    moves = np.zeros(GRID.steps)
    moves[4] = 0.01
    told = walked(quiet(QuotingDealer("eve", RULE, EveryStep(), 1, hedge_share=share), calls(2, 10.0), moves=moves), 7)
    held = [seat.holding.position_coin[0] for _, seat in told]
    for now, spot in ((2, SPOT), (3, SPOT), (4, SPOT), (5, SPOT * np.exp(0.01)), (6, SPOT * np.exp(0.01))):
        expected = 0.0 if now == 2 else share * 10.0 * black(SPOT if now == 5 else spot, 61_000.0, (96 - (now - 1)) * 0.5 / 8760, 0.6)[1]
        assert held[now - 1] == pytest.approx(expected, rel=1e-9)


def test_a_hedge_of_the_same_step_clears_at_its_own_price() -> None:
    """x = lambda S (coin bought) with coin = 25 N(d1(x)): the fixed point of a dealer that sold 25 calls in this very step."""
    per_usd = 4e-9
    told = walked(quiet(QuotingDealer("eve", RULE, EveryStep(), 0), calls(2, 25.0), impact=ImpactModel(permanent_per_usd=per_usd)), 2)
    x, years = 0.0, (96 - 2) * 0.5 / 8760
    for _ in range(200):
        x = per_usd * SPOT * 25.0 * black(SPOT * np.exp(x), 61_000.0, years, 0.6)[1]
    state, seat = told[-1]
    assert x > 1e-3
    assert state.log_price == pytest.approx(np.full(PATHS, x), rel=1e-12)
    assert seat.holding.position_coin == pytest.approx(np.full(PATHS, 25.0 * black(SPOT * np.exp(x), 61_000.0, years, 0.6)[1]), rel=1e-10)
    gamma = plan_run(quiet(QuotingDealer("eve", RULE, EveryStep(), 0)), seed=1).seats[0].trader.dollar_gamma_usd
    spot = SPOT * np.exp(x)
    assert gamma(2, state.log_price, np.zeros(PATHS), seat.memory) == pytest.approx(
        np.full(PATHS, -25.0 * black(spot, 61_000.0, years, 0.6)[2] * spot**2), rel=1e-9
    )


def test_sold_calls_make_the_hedge_amplify_moves_and_bought_ones_dampen_them() -> None:
    """A jump of 1 %: with the dealer short gamma the price goes further, with the dealer long gamma less far."""
    moves = np.zeros(GRID.steps)
    moves[5] = 0.01
    ends = {}
    for coin in (-25.0, 0.0, 25.0):
        agents = (QuotingDealer("eve", RULE, EveryStep(), 0), calls(2, coin))
        state = [state for state, _ in walked(quiet(*agents, moves=moves, impact=ImpactModel(permanent_per_usd=4e-9)), 6)]
        ends[coin] = float((state[-1].log_price - state[-2].log_price)[0])
    assert ends[25.0] > ends[0.0] + 1e-4
    assert ends[-25.0] < ends[0.0] - 1e-4
    assert ends[0.0] == pytest.approx(0.01, rel=1e-12)


def test_what_one_buys_and_another_sells_in_a_step_is_crossed() -> None:
    """9 bought and 4 sold of one contract, 5 sold of another: 8 of 18 coin are crossed, and the hedge sees the net."""
    puts = Contract(-1, 96, np.full(PATHS, 61_000.0))
    agents = (
        QuotingDealer("eve", RULE, EveryStep(), 1),
        calls(2, 9.0),
        calls(2, -4.0, word="b taker"),
        calls(2, -5.0, puts, "c taker"),
        calls(3, 6.0, puts, "d taker"),
    )
    seat = walked(quiet(*agents), 4)[-1][1]
    assert seat.memory.crossing.crossed_coin.tolist() == [8.0] * PATHS
    assert seat.memory.holding.traded_coin.tolist() == [24.0] * PATHS
    delta = black(SPOT, 61_000.0, 93 * 0.5 / 8760, 0.6)[1]
    assert seat.holding.position_coin == pytest.approx(np.full(PATHS, 5.0 * delta - 1.0 * (1.0 - delta)), rel=1e-9)
    spread = 2.5 / 100 * 13.0 * black(SPOT, 61_000.0, 94 * 0.5 / 8760, 0.6)[3]
    after_two = walked(quiet(*agents[:3]), 2)[-1][1]
    assert after_two.memory.holding.edge_usd == pytest.approx(np.full(PATHS, spread), rel=1e-9)


def test_prices_that_move_after_a_fill_are_counted_against_the_dealer() -> None:
    """10 calls sold in step 2 before a rise in step 4; looked at after 5 steps, or at the expiry if that is sooner."""
    moves = np.zeros(GRID.steps)
    moves[3] = 0.02
    spot, sooner = SPOT * np.exp(0.02), Contract(1, 5, np.full(PATHS, 60_500.0))
    watched = QuotingDealer("eve", RULE, EveryStep(), 1, watch_steps=5)
    then, now = (black(s, 61_000.0, (96 - at) * 0.5 / 8760, 0.6)[0] for s, at in ((SPOT, 2), (spot, 7)))
    first = walked(quiet(watched, calls(2, 10.0), moves=moves), 8)
    assert first[5][1].memory.watch.coin.tolist() == [0.0] * PATHS
    assert first[6][1].memory.watch.coin.tolist() == [10.0] * PATHS
    assert first[7][1].memory.watch.against_usd == pytest.approx(np.full(PATHS, 10.0 * (now - then)), rel=1e-9)
    sold = black(SPOT, 60_500.0, 3 * 0.5 / 8760, 0.6)[0]
    second = walked(quiet(watched, calls(2, -10.0, sooner), moves=moves), 8)[-1][1].memory.watch
    assert second.against_usd == pytest.approx(np.full(PATHS, -10.0 * (spot - 60_500.0 - sold)), rel=1e-6)
    assert not second.waiting


def test_options_that_expire_are_paid_and_their_hedge_is_unwound() -> None:
    near = Contract(1, 4, np.full(PATHS, 59_000.0))
    told = walked(quiet(QuotingDealer("eve", RULE, EveryStep(), 1), calls(2, 10.0, near)), 6)
    assert told[3][1].memory.holding.settled_usd == pytest.approx(np.full(PATHS, -10.0 * (SPOT - 59_000.0)), rel=1e-12)
    assert told[3][1].holding.position_coin == pytest.approx(np.full(PATHS, 10.0), rel=1e-3)
    assert not told[4][1].holding.position_coin.any()
    assert told[5][1].holding.pnl_usd.sum(axis=0) == pytest.approx(told[5][1].holding.cash_usd, rel=1e-9)


def test_a_full_set_of_slots_takes_no_new_contract() -> None:
    other = Contract(1, 90, np.full(PATHS, 60_000.0))
    agents = (
        QuotingDealer("eve", RULE, EveryStep(), 1, slots=1),
        calls(2, 9.0),
        calls(3, 4.0, other, "b taker"),
        calls(4, -9.0, word="c taker"),
    )
    told = walked(quiet(*agents, calls(5, 4.0, other, "d taker")), 6)
    assert told[2][1].memory.holding.slots.of(other).tolist() == [0.0] * PATHS
    assert told[5][1].memory.holding.slots.of(other).tolist() == [-4.0] * PATHS


def test_the_book_besides_is_hedged_with_what_was_traded() -> None:
    alone, both = (
        walked(quiet(QuotingDealer("eve", RULE, EveryStep(), 1, options=book), calls(2, 10.0)), 4)[-1][1] for book in (None, BOOK)
    )
    book = walked(quiet(QuotingDealer("eve", RULE, EveryStep(), 1, options=BOOK)), 4)[-1][1]
    put_delta = black(SPOT, 58_000.0, 3 / 365 - 3 * 0.5 / 8760, 0.6)[1] - 1.0
    assert book.holding.position_coin == pytest.approx(np.full(PATHS, 40.0 * put_delta), rel=1e-6)
    assert both.holding.position_coin == pytest.approx(alone.holding.position_coin + book.holding.position_coin, rel=1e-12)
    assert QuotingDealer("eve", RULE, NoHedge(), 1, options=BOOK).starting_dollar_gamma_usd(SPOT) == 0.0
    assert QuotingDealer("eve", RULE, EveryStep(), 1, options=BOOK).starting_dollar_gamma_usd(SPOT) < 0.0


def test_order_and_names_change_no_bit_with_takers() -> None:
    agents = (QuotingDealer("eve", RULE, EveryStep(), 0), calls(2, 10.0, until=20), calls(5, -3.0, word="b taker", until=30))
    impact = ImpactModel(permanent_per_usd=2e-10)
    one = run_block(plan_run(quiet(*agents, impact=impact), seed=1), 0, PATHS)
    renamed = tuple(replace(agent, name=f"n{place}") for place, agent in enumerate(reversed(agents)))
    other = run_block(plan_run(quiet(*renamed, impact=impact), seed=1), 0, PATHS)
    assert (one.log_price == other.log_price).all()
    assert one.log_price.any()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"delay_steps": -1}, "delay_steps"),
        ({"hedge_share": 1.2}, "hedge_share"),
        ({"speed": 0.0}, "speed"),
        ({"slots": 17}, "slots"),
        ({"watch_steps": 0}, "watch_steps"),
        ({"policy": CharmOnly()}, "policy"),
        ({"policy": Predictive(), "delay_steps": 0}, "predictive"),
    ],
)
def test_impossible_dealers_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        replace(QuotingDealer("eve", RULE, EveryStep(), 1), **changes)


@pytest.mark.parametrize(
    "changes", [{"half_spread_volpt": -1.0}, {"size_coin": -1.0}, {"strike_limit_coin": 0.0}, {"vega_skew_volpt": -2.0}]
)
def test_impossible_rules_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(changes))):
        replace(RULE, **changes)


def test_the_bump_measures_what_it_states_and_what_it_has_sold_since() -> None:
    """The book's gamma at the start as stated; and after 25 calls were sold, their gamma at the price to which their hedge has moved."""
    per_usd, brief = 4e-9, TimeGrid.uniform(horizon_days=4 / 48, step_minutes=30.0)
    changes = {"grid": brief, "price": Replay(np.zeros(4)), "impact": ImpactModel(permanent_per_usd=per_usd)}
    desk = QuotingDealer("eve", RULE, EveryStep(), 0, options=BOOK)
    still = measure_gain(quiet(desk, **changes), paths=2, seed=1, bump=Bump(size_log=1e-5, noise_log=0.0))
    assert still.agents[0].stated_usd == stated_response_usd(desk, SPOT)
    assert still.agents[0].response_usd.value == pytest.approx(still.agents[0].stated_usd, rel=5e-3)  # it is half an hour older
    bump = Bump(size_log=1e-5, noise_log=0.0, after_steps=3)
    years = bumped(quiet(**changes), bump, 1.0).grid.years
    later = years.size - 1 + round((48 / 8760 - years[-1]) / (years[-1] - years[-2]))  # the same expiry on a clock that stands still
    sold = quiet(replace(desk, options=None), calls(2, 25.0, replace(FAR, expiry_step=later)), **changes)
    found = measure_gain(sold, paths=PATHS, seed=1, bump=bump)
    spot = SPOT * float(np.exp(walked(quiet(replace(desk, options=None), calls(2, 25.0), **changes), 4)[-1][0].log_price[0]))
    assert found.agents[0].response_usd.value == pytest.approx(25.0 * black(spot, 61_000.0, 92 * 0.5 / 8760, 0.6)[2] * spot**2, rel=2e-3)
