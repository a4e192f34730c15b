"""Several venues: the combined depth law, gains with and without arbitrage, conservation over all venues, and one venue as it always was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.contracts.agent import AgentContract

from tailwag.errors import InputError
from tailwag.hedging.execution import Twap
from tailwag.hedging.policies import AtTimes, EveryStep
from tailwag.margin.contract import Contract
from tailwag.margin.funding import ClampFunding, DeadBandFunding, HourlyFunding
from tailwag.margin.maintenance import SizeSlope
from tailwag.margin.prices import index_price_usd
from tailwag.margin.rulebook import Rulebook
from tailwag.sim.agents.arbitrageur import Arbitrageur
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel, ReactiveDepth
from tailwag.sim.leverage_buckets import LeverageBucket
from tailwag.sim.scenario import Costs, Scenario
from tailwag.sim.venues import Venue, Venues, future_scenario
from tailwag.sim.venues_block import VenuesBlock, run_venues_block
from tailwag.sim.venues_chain import SECONDS_PER_YEAR, Chain
from tailwag.sim.venues_engine import VenuesPlan, init, plan_venues, step
from tailwag.sim.venues_home import everybody, home_scenario, venues_of
from tailwag.sim.venues_price import index_usd

SPOT, STEPS = 52_000.0, 40
FREE = float("inf")


def one_jump(move: float = 0.0, *, steps: int = STEPS) -> Replay:
    """A jump in the first step and nothing after it."""
    moves = np.zeros(steps)
    moves[0] = move
    return Replay(moves)


def market(per_coin: float, *agents: Any, price: Any = None, steps: int = STEPS, **changes: Any) -> Scenario:
    """A linear venue in steps of half an hour; depth in coins, so that flows add up to the last bit."""
    given: dict[str, Any] = {"impact": ImpactModel(permanent_per_coin=per_coin), "clearing": "lagged"}
    grid = TimeGrid.uniform(horizon_days=steps / 48, step_minutes=30)
    return Scenario(
        spot_usd=SPOT, grid=grid, price=one_jump(steps=steps) if price is None else price, agents=agents, **{**given, **changes}
    )


def dealer(gamma_usd: float, name: str = "dealer", **changes: Any) -> Dealer:
    return Dealer(name, EveryStep(), 1, gamma_usd=gamma_usd, iv=0.6, **changes)


def pair(first: Scenario, second: Scenario, **terms: Any) -> Venues:
    arbitrageur = Arbitrageur("arb", "A", "B", **{"capital_usd": FREE, "latency_steps": 1, **terms})
    return Venues((Venue("A", first), Venue("B", second)), (arbitrageur,))


def stepped(venues: Venues, *, paths: int = 2, seed: int = 1) -> VenuesBlock:
    return run_venues_block(plan_venues(venues, seed=seed), 0, paths, keep_agents=True)


def pushed(plan: VenuesPlan, coin: float, *, steps: int) -> np.ndarray:
    """Log prices of all venues, (steps + 1, venues), after somebody bought ``coin`` on the first: nobody else trades."""
    state = init(plan, 0, 1)
    model, home = plan.plans[0].scenario.impact, state.states[0]
    moved = model.move(home.impact, np.array([coin * SPOT]), np.array([coin]))[0]
    state = replace(state, states=(replace(home, log_price=home.log_price + moved), *state.states[1:]))
    told = []
    for _ in range(steps):
        told.append([float(own.log_price[0]) for own in state.states])
        state = step(plan, state)
    return np.array(told)


# Closed forms: the combined depth


@pytest.mark.parametrize(("first", "second"), [(2.4e-6, 0.7e-6), (1.1e-6, 3.9e-6)])
def test_a_flow_on_one_venue_moves_both_by_their_combined_depth(first: float, second: float) -> None:
    coin = 700.0
    plan = plan_venues(pair(market(first), market(second), speed=0.6), seed=1)
    told = pushed(plan, coin, steps=STEPS)
    assert told[-1] == pytest.approx(coin / (1.0 / first + 1.0 / second), rel=1e-11)


@pytest.mark.parametrize("speed", [0.35, 0.8])
def test_the_difference_shrinks_by_one_less_the_speed_a_step(speed: float) -> None:
    """The excess that an order leaves is what the speed does not close: orders on their way are counted, so latency only shifts it."""
    plan = plan_venues(pair(market(2.4e-6), market(0.7e-6), speed=speed), seed=1)
    told = pushed(plan, 700.0, steps=14)
    gap = told[:, 0] - told[:, 1]
    assert gap[1] == gap[0]  # seen at the end of step 1, filled in step 2
    assert gap[2:] / gap[1:-1] == pytest.approx(np.full(12, 1.0 - speed), rel=3e-3)  # coins cost what each venue's price is


@pytest.mark.parametrize(
    ("speed", "latency"), [(0.5, 3), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((0.5, 1), (1.0, 1), (1.0, 3)))]
)
def test_the_gain_of_a_hedger_is_against_the_combined_depth(speed: float, latency: int) -> None:
    first, second, gamma, jump = 1.5e-6, 0.9e-6, -9e9, 0.01
    hedged = market(first, dealer(gamma), price=one_jump(jump, steps=160), steps=160)
    venues = pair(hedged, market(second, price=hedged.price, steps=160), speed=speed, latency_steps=latency)
    combined = 1.0 / (1.0 / first + 1.0 / second) / SPOT
    block = stepped(venues)
    for venue in block.venues:
        assert venue.log_price[0, -1] == pytest.approx(jump / (1.0 + gamma * combined), rel=2e-3)
    alone = stepped(replace(venues, arbitrageurs=()))
    assert alone.venues[0].log_price[0, -1] == pytest.approx(jump / (1.0 + gamma * first / SPOT), rel=4e-3)
    assert alone.venues[1].log_price[0, -1] == pytest.approx(jump, rel=1e-12)


def test_a_small_move_has_the_gain_to_six_digits() -> None:
    first, second, gamma, jump = 1.5e-6, 0.9e-6, -9e9, 1e-7
    hedged = market(first, dealer(gamma), price=one_jump(jump, steps=160), steps=160)
    block = stepped(pair(hedged, market(second, price=hedged.price, steps=160)))
    combined = 1.0 / (1.0 / first + 1.0 / second) / SPOT
    for venue in block.venues:
        assert venue.log_price[0, -1] / jump == pytest.approx(1.0 / (1.0 + gamma * combined), rel=1e-6)


def test_costs_leave_the_difference_that_they_do_not_pay_for() -> None:
    costs = Costs(fee_bps=3.0, half_spread_bps=1.0)
    venues = pair(market(2.4e-6, costs=costs), market(0.7e-6, costs=Costs(fee_bps=2.0)), margin_bps=1.5)
    told = pushed(plan_venues(venues, seed=1), 700.0, steps=STEPS)
    assert told[-1, 0] - told[-1, 1] == pytest.approx(7.5e-4, rel=1e-9)


def test_the_second_venue_dear_is_the_same_thing_mirrored() -> None:
    one = pushed(plan_venues(pair(market(2.4e-6), market(0.7e-6), margin_bps=2.0), seed=1), 400.0, steps=9)
    other = pushed(plan_venues(pair(market(2.4e-6), market(0.7e-6), margin_bps=2.0), seed=1), -400.0, steps=9)
    assert other[:3] == pytest.approx(-one[:3], rel=1e-12)  # later, a coin costs another number of dollars
    assert other == pytest.approx(-one, rel=2e-3)


# One venue


@pytest.mark.parametrize("seed", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_one_venue_is_the_plain_engine_bit_for_bit(seed: int) -> None:
    scenario = market(
        2e-6,
        dealer(-4e9),
        Dealer("twap", AtTimes(60.0), 1, gamma_usd=2e9, iv=0.6, execution=Twap(3)),
        price=Gbm(0.7),
        impact=ImpactModel(permanent_per_usd=2e-11, transient_per_usd=1e-11, transient_half_life_minutes=90.0),
        costs=Costs(fee_bps=2.0, half_spread_bps=1.0, gas_usd=3.0),
    )
    alone = run_block(plan_run(scenario, seed=seed), 0, 7, keep_agents=True)
    mine = run_venues_block(plan_venues(Venues((Venue("only", scenario),)), seed=seed), 0, 7, keep_agents=True).venues[0]
    for name in ("log_price", "fundamental_log", "net_flow_usd", "liquidity_cash_usd", "venue_cash_usd", "outcome"):
        assert (getattr(mine, name) == getattr(alone, name)).all(), name
    for one, other in zip(mine.agents, alone.agents):
        assert (one.pnl_usd == other.pnl_usd).all()


# Conservation


def everything(seed: int) -> Venues:
    """Spot, perp with funding, a dated future and a chain, all with hedgers and costs, and four arbitrageurs."""
    rng = np.random.default_rng(seed)
    impact = ImpactModel(
        permanent_per_usd=1.5e-11,
        transient_per_usd=1e-11,
        transient_half_life_minutes=60.0,
        depth_reacts=ReactiveDepth(vol_sensitivity=4.0, flow_sensitivity_per_usd=1e-9, half_life_minutes=120.0, floor=0.2),
    )
    costs = Costs(fee_bps=1.0, half_spread_bps=0.5, gas_usd=4.0)
    price, linear = Gbm(0.9), ImpactModel(permanent_per_coin=3e-6)
    gammas = rng.normal(0.0, 3e9, 4)
    spot = market(1e-6, dealer(gammas[0]), price=price, impact=impact, costs=costs)
    perp = market(1e-6, dealer(gammas[1]), price=price, impact=linear, costs=replace(costs, gas_usd=0.0))
    dated = future_scenario(market(1e-6, dealer(gammas[2]), price=price, impact=impact), carry_per_year=0.08, expiry_years=0.25)
    chain = market(1e-6, dealer(gammas[3]), price=price, impact=linear, costs=replace(costs, gas_usd=12.0))
    arbitrageurs = (
        Arbitrageur("perp", "spot", "perp", capital_usd=4e7, latency_steps=1, holding_days=5.0, return_per_year=0.05),
        Arbitrageur("dated", "spot", "future", capital_usd=2e7, latency_steps=2, speed=0.6),
        Arbitrageur("pool", "chain", "spot", capital_usd=3e7, latency_steps=1, margin_bps=2.0),
        Arbitrageur("rich", "chain", "perp", capital_usd=FREE, latency_steps=3, speed=0.3),
    )
    venues = (
        Venue("spot", spot),
        Venue("perp", perp, instrument="perp", funding=DeadBandFunding(0.00025, 0.005, 8.0), mark_seconds=3600.0),
        Venue("future", dated, instrument="future", carry_per_year=0.08, expiry_years=0.25),
        Venue("chain", chain, chain=Chain(12.0, 2e5, others_usd_per_block=2e4, others_usd_per_log_move=1e6), message_delay_steps=1),
    )
    return Venues(venues, arbitrageurs)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)])
def test_coin_and_cash_are_conserved_over_all_venues_together(seed: int) -> None:
    plan = plan_venues(everything(seed), seed=seed)
    state = init(plan, 0, 6)
    opened = sum(seat.holding.position_coin for own in state.states for seat in own.seats)
    turnover = 1.0
    for _ in range(STEPS):
        state = step(plan, state)
        coin, cash = -opened, np.zeros(6)
        for own in state.states:
            coin = coin + sum(seat.holding.position_coin for seat in own.seats) + own.liquidity_coin
            cash = cash + sum(seat.holding.cash_usd for seat in own.seats) + own.liquidity_usd + own.venue_usd + own.holders_usd
        turnover = max(turnover, max(float(seat.holding.turnover_usd.max()) for own in state.states for seat in own.seats))
        assert np.abs(coin).max() * SPOT <= 1e-10 * turnover
        assert np.abs(cash).max() <= 1e-10 * turnover
    legs = [seat for own, one in zip(state.states, plan.plans) for seat in zip(one.seats, own.seats) if seat[0].agent.name == "perp"]
    assert all(own.holding.turnover_usd.min() > 0.0 for _, own in legs), "the arbitrageur of the perp never traded"
    assert any(np.abs(own.holding.pnl_usd).max() > 0.0 for _, own in legs)


def test_an_arbitrageur_holds_as_many_coins_long_as_short_once_orders_arrived() -> None:
    plan = plan_venues(everything(7), seed=7)
    state = init(plan, 0, 6)
    for _ in range(STEPS):
        state = step(plan, state)
        for (first, one), (second, other) in plan.legs:
            legs = [state.states[first].seats[one], state.states[second].seats[other]]
            held = [leg.holding.position_coin + leg.flight.total_coin for leg in legs]
            assert held[0] == pytest.approx(-held[1], abs=1e-9)


def test_capital_limits_the_gross_legs() -> None:
    capital = 6e6
    venues = pair(market(2.4e-6), market(0.7e-6), capital_usd=capital)
    plan = plan_venues(venues, seed=1)
    told = pushed(plan, 700.0, steps=STEPS)
    free = pushed(plan_venues(pair(market(2.4e-6), market(0.7e-6)), seed=1), 700.0, steps=STEPS)
    assert abs(told[-1, 1]) < abs(free[-1, 1])
    sold = capital / (SPOT * (np.exp(told[1, 0]) + np.exp(told[1, 1])))
    assert told[2, 1] == pytest.approx(0.7e-6 * sold, rel=1e-9)
    assert told[-1, 1] == pytest.approx(0.7e-6 * sold, rel=1e-3)  # a cheaper coin leaves room for a few more


# On a chain


def test_a_queue_drains_at_what_its_blocks_hold() -> None:
    """An order of Q into blocks of C a step is done after Q / C steps, and waits on average what is left of it, summed, over Q."""
    scenario = market(1e-9, dealer(-1e9), price=one_jump(0.01))
    per_step = 30 * 60 / 12 * 2e4
    chained = Venues((Venue("chain", scenario, chain=Chain(12.0, 2e4)),))
    block = stepped(chained)
    waiting = block.waiting[0]
    assert waiting is not None
    flow = np.abs(block.venues[0].net_flow_usd[0])
    assert flow.max() == pytest.approx(per_step, rel=1e-9)
    whole = flow.sum()
    left = whole - np.cumsum(flow)
    busy = flow > 0.0
    expected = left[busy].sum() / whole * 1800.0
    assert waiting.mean_delay_seconds[0] == pytest.approx(expected, rel=2e-2)


def test_blocks_longer_than_steps_trade_at_block_times_only() -> None:
    scenario = market(1e-9, dealer(-1e9), price=Gbm(0.6))
    block = stepped(Venues((Venue("chain", scenario, chain=Chain(4 * 1800.0)),)))
    flow = block.venues[0].net_flow_usd
    traded = np.flatnonzero(np.abs(flow).max(axis=0) > 0.0) + 1
    assert traded.size > 5
    assert (traded % 4 == 0).all()


def test_a_chain_with_room_for_all_changes_no_price() -> None:
    scenario = market(2e-6, dealer(-4e9), price=Gbm(0.6))
    free = stepped(Venues((Venue("chain", scenario, chain=Chain(12.0)),)))
    plain = stepped(Venues((Venue("chain", scenario),)))
    assert (free.venues[0].log_price == plain.venues[0].log_price).all()
    assert not np.asarray(free.waiting[0].mean_delay_seconds).any()  # type: ignore[union-attr]


def test_gas_that_the_gain_does_not_pay_keeps_an_arbitrageur_still() -> None:
    """Closing an excess e against slopes of L in all earns e^2 / (2 L) USD; gas above that is not paid."""
    first, second, coin = 2.4e-6, 0.7e-6, 10.0
    gain_usd = (first * coin) ** 2 / (2.0 * (first + second)) * SPOT
    for share, trades in ((0.98, True), (1.02, False)):
        venues = pair(market(first), market(second, costs=Costs(gas_usd=share * gain_usd)))
        told = pushed(plan_venues(venues, seed=1), coin, steps=6)
        assert bool(told[-1, 1] > 0.0) is trades


# Funding


def test_funding_is_paid_on_the_premium_by_the_venues_formula() -> None:
    """Two venues without arbitrage, the perp pushed up by a hedger: longs pay the rule's rate on every step's premium."""
    rule, steps = DeadBandFunding(0.00025, 0.005, 8.0), 12
    price = one_jump(0.01, steps=steps)
    spot = market(1e-6, price=price, steps=steps)
    perp = market(4e-6, dealer(-2e9), price=price, steps=steps)
    block = stepped(Venues((Venue("spot", spot), Venue("perp", perp, instrument="perp", funding=rule))))
    spot_usd, perp_usd = (SPOT * np.exp(venue.log_price[0]) for venue in block.venues)
    mine = block.venues[1].agents[0]
    held = np.asarray(mine.position_coin)[0]
    paid = 0.0
    for now in range(steps):
        premium = perp_usd[now] / spot_usd[now] - 1.0
        rate = min(max(max(0.00025, premium) + min(-0.00025, premium), -0.005), 0.005)
        paid += rate * 0.5 / 8.0 * held[now] * perp_usd[now]
    assert paid > 0.0
    assert mine.pnl_usd[8, 0] == pytest.approx(-paid, rel=1e-9)


def test_funding_pulls_capital_where_fees_would_not() -> None:
    """A premium below fees: with a week of funding in view the arbitrageur sells the perp until what is left pays no more."""
    rule = ClampFunding(0.0001, 0.0005, 0.02, 8.0)
    price, costs = one_jump(0.0), Costs(fee_bps=6.0)
    perp = Venue("B", market(1e-6, price=price, costs=costs), instrument="perp", funding=rule)
    spot = Venue("A", market(2e-6, price=price, costs=costs))
    ends = {}
    for days in (0.0, 7.0):
        arb = Arbitrageur("arb", "A", "B", capital_usd=FREE, latency_steps=1, holding_days=days, return_per_year=0.02 if days else 0.0)
        plan = plan_venues(Venues((spot, perp), (arb,)), seed=1)
        state = init(plan, 0, 1)
        bumped = replace(state.states[1], log_price=np.array([0.001]))
        state = replace(state, states=(state.states[0], bumped), premium_share=(np.zeros(1), np.array([0.001])))
        for _ in range(STEPS):
            state = step(plan, state)
        ends[days] = float(state.states[1].log_price[0] - state.states[0].log_price[0])
    assert ends[0.0] == pytest.approx(0.001)
    years = 7.0 / 365.0
    left = ends[7.0]
    funding = (left + min(max(0.0001 - left, -0.0005), 0.0005)) * 1095.0
    assert left + years * funding == pytest.approx(12e-4 + 2.0 * 0.02 * years, abs=2e-5)


# A dated future


def test_a_future_is_fair_at_its_carry_and_arrives_at_spot() -> None:
    spot = market(1e-6, price=Gbm(0.5))
    dated = future_scenario(spot, carry_per_year=0.12, expiry_years=spot.grid.horizon_years)
    venues = Venues((Venue("A", spot), Venue("B", dated, instrument="future", carry_per_year=0.12, expiry_years=spot.grid.horizon_years)))
    block = stepped(venues)
    plan = plan_venues(venues, seed=1)
    assert np.abs(block.basis_log(plan, 1)).max() < 1e-13
    assert dated.spot_usd * np.exp(block.venues[1].log_price[:, -1]) == pytest.approx(SPOT * np.exp(block.venues[0].log_price[:, -1]))


# Refusals


def test_what_does_not_go_together_is_refused() -> None:
    scenario = market(1e-6, dealer(-1e9))
    with pytest.raises(InputError, match="share one set of shocks"):
        Venues((Venue("A", scenario), Venue("B", market(1e-6, price=Gbm(0.3)))))
    with pytest.raises(InputError, match="expected a venue"):
        Venues((Venue("A", scenario),), (Arbitrageur("arb", "A", "C", capital_usd=1.0, latency_steps=1),))
    with pytest.raises(InputError, match="different names"):
        Venues((Venue("A", scenario), Venue("A", scenario)))
    with pytest.raises(InputError, match="latency_steps"):
        Arbitrageur("arb", "A", "B", capital_usd=1.0, latency_steps=0)
    with pytest.raises(InputError, match="in the index"):
        Venues((Venue("A", scenario, instrument="perp", funding=DeadBandFunding(0.00025, 0.005, 8.0)),))
    with pytest.raises(InputError, match="same step"):
        Venue("A", replace(scenario, agents=(replace(dealer(-1e9), delay_steps=0),), clearing="implicit"), chain=Chain(12.0))
    assert SECONDS_PER_YEAR == 31_536_000.0


# The mark


def traders(**changes: Any) -> LeveragedTraders:
    """Longs at ten times whose liquidation lies about 9.5 % below, on a linear contract that is closed whole."""
    rules = Rulebook("made", Contract.LINEAR, SizeSlope(0.005, 0.0), DeadBandFunding(0.00025, 0.005, 8.0), 0.0, False, False)
    given: dict[str, Any] = {"delay_steps": 1, "buckets": (LeverageBucket("long", 10.0, 4e8, 1e5, 0.005, accounts=9),), "rules": rules}
    return LeveragedTraders("longs", **{**given, **changes})


@pytest.mark.parametrize("delay", [0, 1])
def test_a_venue_liquidates_on_the_index_or_on_its_own_price_as_its_rules_say(delay: int) -> None:
    """The venue's own price falls by 12 %, spot stays: longs go by the last price, and stay where the index counts."""
    clearing = "implicit" if delay == 0 else "lagged"
    sold = {}
    for mark in ("last", "mark", "index"):
        spot = market(1e-6, steps=6)
        perp = market(1e-9, traders(delay_steps=delay), steps=6, clearing=clearing)
        plan = plan_venues(Venues((Venue("spot", spot), Venue("perp", perp, instrument="perp", mark=mark, mark_seconds=1e6))), seed=1)
        state = init(plan, 0, 1)
        state = replace(state, states=(state.states[0], replace(state.states[1], log_price=np.array([-0.12]))))
        for _ in range(6):
            state = step(plan, state)
        sold[mark] = float(state.states[1].seats[0].holding.turnover_usd[0])
    assert sold["index"] == sold["mark"] == 0.0
    assert sold["last"] == pytest.approx(4e8 * np.exp(-0.12), rel=0.01)


@pytest.mark.parametrize("delay", [0, 1])
def test_a_fall_of_spot_liquidates_a_venue_that_looks_at_the_index(delay: int) -> None:
    clearing = "implicit" if delay == 0 else "lagged"
    price = one_jump(-0.12, steps=6)
    perp = market(1e-9, traders(delay_steps=delay), price=price, steps=6, clearing=clearing)
    block = stepped(Venues((Venue("spot", market(1e-6, price=price, steps=6)), Venue("perp", perp, instrument="perp", mark="index"))))
    flow = block.venues[1].net_flow_usd[0]
    assert int(np.flatnonzero(flow)[0]) == delay
    assert -flow.sum() == pytest.approx(4e8 * np.exp(-0.12), rel=0.01)


@pytest.mark.parametrize("delay", [0, 1])
def test_the_index_liquidates_even_where_the_venues_own_price_stands_high(delay: int) -> None:
    """The perp stands 12 % above spot as both fall by 12 %: its own price is back where longs entered, and the index sells them out."""
    price, clearing = one_jump(-0.12, steps=4), "implicit" if delay == 0 else "lagged"
    perp = market(1e-9, traders(delay_steps=delay), price=price, steps=4, clearing=clearing)
    plan = plan_venues(
        Venues((Venue("spot", market(1e-6, price=price, steps=4)), Venue("perp", perp, instrument="perp", mark="index"))), seed=1
    )
    state = init(plan, 0, 1)
    state = replace(state, states=(state.states[0], replace(state.states[1], log_price=np.array([0.12]))))
    for _ in range(4):
        state = step(plan, state)
    assert state.states[1].seats[0].holding.turnover_usd[0] == pytest.approx(4e8, rel=0.01)


def test_the_index_is_what_the_margin_rules_say_on_every_path() -> None:
    rng = np.random.default_rng(8)
    prices = [SPOT * np.exp(rng.normal(0.0, 0.01, 20)) for _ in range(4)]
    found = index_usd(prices, cap_share=0.005)
    for path in range(20):
        assert found[path] == pytest.approx(index_price_usd([price[path] for price in prices], cap_share=0.005), rel=1e-14)


class TestLeg(AgentContract):
    """The account of an arbitrageur on one venue is an agent like any other; alone it does nothing."""

    agent = Arbitrageur("arb", "A", "B", capital_usd=1e7, latency_steps=2).leg("A", 2)


# A scenario with other venues beside it


def test_a_run_of_home_tells_everybodys_profit() -> None:
    """Profit sums to nothing over agents, liquidity providers and venues of all venues together, valued at the end."""
    scenario = home_scenario(laddered(everything(3)))
    block = run_block(plan_run(scenario, seed=3), 0, 5, keep_agents=True)
    venues = run_venues_block(plan_venues(venues_of(scenario), seed=3), 0, 5, keep_agents=True)
    assert [agent.name for agent in block.agents] == [agent.name for agent in everybody(scenario)]
    assert (block.log_price == venues.venues[0].log_price).all()
    last = SPOT * np.exp(block.log_price[:, -1])
    worth = block.venue_cash_usd + block.holders_cash_usd + block.liquidity_cash_usd + block.liquidity_position_coin * last
    worth = worth + sum(agent.pnl_usd.sum(axis=0) for agent in block.agents)
    assert np.abs(worth).max() <= 1e-10 * sum(agent.turnover_usd for agent in block.agents).max()
    legs = [agent for told in venues.venues for agent in told.agents if agent.name == "perp"]
    mine = next(agent for agent in block.agents if agent.name == "perp")
    assert (mine.pnl_usd == legs[0].pnl_usd + legs[1].pnl_usd).all()
    assert mine.turnover_usd.min() > 0.0


def laddered(venues: Venues) -> Venues:
    """Liquidations in place of every hedger: whatever they lose, somebody has."""
    ladders = [
        replace(
            venue, scenario=replace(venue.scenario, agents=(LiquidationLadder(f"longs {venue.name}", 1, density_usd=3e9 * (1 + place)),))
        )
        for place, venue in enumerate(venues.venues[:2])
    ]
    empty = [replace(venue, scenario=replace(venue.scenario, agents=())) for venue in venues.venues[2:]]
    return replace(venues, venues=(*ladders, *empty))


def renamed_apart(venues: Venues) -> Venues:
    """Every venue's dealer under its own name."""
    apart = [
        replace(
            venue, scenario=replace(venue.scenario, agents=tuple(replace(a, name=f"{a.name} {venue.name}") for a in venue.scenario.agents))
        )
        for venue in venues.venues
    ]
    return replace(venues, venues=tuple(apart))


def test_a_change_of_homes_price_reaches_every_venue() -> None:
    scenario = home_scenario(renamed_apart(everything(3)))
    louder = replace(scenario, price=scenario.price.scaled(2.0))
    for venue in venues_of(louder).venues:
        assert venue.scenario.price.annual_vol == pytest.approx(2.0 * scenario.price.annual_vol)
    assert venues_of(louder).venues[0].scenario.elsewhere is None
    assert louder.without_hedging().elsewhere is None


def test_a_mark_follows_its_premium_as_slowly_as_its_rules_say() -> None:
    """The perp stands 12 % under an index that does not move: its mark gets there, with a time constant of two steps, and the index never."""
    sold = {}
    for mark in ("mark", "index"):
        perp = market(1e-9, traders(), steps=12)
        plan = plan_venues(
            Venues(
                (
                    Venue("spot", market(1e-6, steps=12)),
                    Venue("perp", perp, instrument="perp", mark=mark, mark_seconds=3600.0, funding=HourlyFunding(8.0, 0.0, 1e-7)),
                )
            ),
            seed=1,
        )
        state = init(plan, 0, 1)
        state = replace(state, states=(state.states[0], replace(state.states[1], log_price=np.array([-0.12]))))
        sold[mark] = []
        for _ in range(12):
            state = step(plan, state)
            sold[mark].append(float(state.states[1].seats[0].holding.turnover_usd[0]))
    assert not any(sold["index"])
    premium = [(np.exp(-0.12) - 1.0) * (1.0 - np.exp(-0.5 * now)) for now in range(12)]  # known before step now + 1
    whole = next(now for now, one in enumerate(premium) if 1.0 + one < 0.9 / 0.995 * np.exp(-0.012))
    called = next(now for now, one in enumerate(premium) if 1.0 + one < 0.9 / 0.995 * np.exp(0.012))
    first = next(now for now, amount in enumerate(sold["mark"]) if amount > 0.0)
    assert called + 1 <= first <= whole + 1


@pytest.mark.parametrize("delay", [0, 1])
def test_leveraged_longs_pay_funding_by_the_premium_of_their_venue(delay: int) -> None:
    """A premium of half a per cent that nobody trades away: every account pays the formula's rate on its value, and the rest of the market gets it."""
    rule, steps, premium = DeadBandFunding(0.00025, 0.005, 8.0), 8, 0.005
    clearing = "implicit" if delay == 0 else "lagged"
    venues = Venues(
        (
            Venue("spot", market(1e-6, steps=steps)),
            Venue("perp", market(1e-6, traders(delay_steps=delay), steps=steps, clearing=clearing), instrument="perp", funding=rule),
        )
    )
    plan = plan_venues(venues, seed=1)
    state = init(plan, 0, 1)
    bumped = replace(state.states[1], log_price=np.array([np.log1p(premium)]))
    state = replace(state, states=(state.states[0], bumped))
    first = state.states[1].seats[0].memory.accounts
    for _ in range(steps):
        state = step(plan, state)
    last = state.states[1].seats[0].memory.accounts
    rate = (premium - 0.00025) * (steps - 1) * 0.5 / 8.0  # the first step knows of no premium yet
    paid = np.asarray(first.wallet) - np.asarray(last.wallet)
    assert paid == pytest.approx(np.asarray(first.size) * SPOT * (1.0 + premium) * rate, rel=1e-9)
    assert np.asarray(last.outside) == pytest.approx(paid.sum(axis=0), rel=1e-9)


def test_a_path_that_stops_on_one_venue_stops_on_all() -> None:
    """The second venue exhausts its depth on some paths: the first stops in the same step, and nobody trades there afterwards."""
    price = Gbm(1.2)
    thin = ImpactModel(permanent_per_coin=1e-6, limit_usd_per_step=1.35e8)
    first, second = market(1e-6, dealer(2e9), price=price), market(1e-6, dealer(-5e9, name="other"), price=price, impact=thin)
    for pair_of in ((first, second), (second, first)):
        block = stepped(pair(*pair_of), paths=48, seed=4)
        one, other = block.venues
        stopped = one.outcome != 0
        assert 3 <= stopped.sum() <= 45
        assert (one.outcome == other.outcome).all()
        assert (one.stopped_step == other.stopped_step).all()
        after = np.arange(STEPS)[None, :] >= one.stopped_step[:, None]
        for venue in block.venues:
            assert not venue.net_flow_usd[after & stopped[:, None]].any()


def test_strangers_take_room_as_the_price_moves() -> None:
    chain = Chain(60.0, 5e5, others_usd_per_block=1e5, others_usd_per_log_move=2e7)
    assert chain.room_usd(3, np.array([0.0, -0.01, 0.03])) == pytest.approx([3 * 4e5, 3 * 2e5, 0.0])
    assert chain.room_usd(0, np.zeros(2)).tolist() == [0.0, 0.0]
    assert np.isinf(Chain(60.0, others_usd_per_block=1e5).room_usd(1, np.zeros(1))).all()
    scenario = market(1e-9, dealer(-1e9), price=Gbm(0.8))
    calm, busy = (
        stepped(Venues((Venue("chain", scenario, chain=Chain(1800.0, 2e6, others_usd_per_log_move=taken)),)), paths=8).waiting[0]
        for taken in (0.0, 2e8)
    )
    assert calm is not None
    assert busy is not None
    assert (busy.mean_delay_seconds > 1.5 * calm.mean_delay_seconds).all()
