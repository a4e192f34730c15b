"""A dated future that settles inside a run: the mean of the index, cash for coin, conserved, and a carry trade that ends flat."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.hedging.policies import EveryStep
from tailwag.margin.contract import Contract
from tailwag.margin.funding import DeadBandFunding
from tailwag.margin.maintenance import SizeSlope
from tailwag.margin.rulebook import Rulebook
from tailwag.sim import engine
from tailwag.sim.agents.arbitrageur import Arbitrageur
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.leverage_buckets import LeverageBucket
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Costs, Scenario
from tailwag.sim.venues import Venue, Venues, future_scenario
from tailwag.sim.venues_block import run_venues_block
from tailwag.sim.venues_engine import VenuesPlan, VenuesState, init, plan_venues, step
from tailwag.sim.venues_home import home_scenario, venues_of
from tailwag.sim.venues_price import Expiry, expiry_of

SPOT, MINUTES, STEPS, EXPIRY = 48_000.0, 5, 60, 48
CARRY, COUNT = 0.1, 6
YEARS = EXPIRY * MINUTES / 525_600.0
DEALER = Dealer("hedgers", EveryStep(), 1, gamma_usd=-3e9, iv=0.7)


def spot_market(*agents: Any, price: Any = None, **changes: Any) -> Scenario:
    grid = TimeGrid.uniform(horizon_days=STEPS * MINUTES / 1440, step_minutes=MINUTES)
    given: dict[str, Any] = {"impact": ImpactModel(permanent_per_usd=2e-11), "clearing": "lagged", "agents": agents, **changes}
    return Scenario(SPOT, grid, price if price is not None else Gbm(0.8), **given)


def settling(*agents: Any, arbitrageurs: tuple[Arbitrageur, ...] = (), price: Any = None, per_coin: float = 2e-6, **changes: Any) -> Venues:
    """Spot and a future on it that expires four hours into five; agents trade the future."""
    spot = spot_market(price=price, **changes)
    dated = future_scenario(spot, carry_per_year=CARRY, expiry_years=YEARS)
    dated = replace(dated, agents=agents, impact=ImpactModel(permanent_per_coin=per_coin))
    venues = (Venue("spot", spot), Venue("dated", dated, instrument="future", carry_per_year=CARRY, expiry_years=YEARS))
    return Venues(venues, arbitrageurs)


def walked(plan: VenuesPlan, paths: int) -> list[VenuesState]:
    states = [init(plan, 0, paths)]
    for _ in range(STEPS):
        states.append(step(plan, states[-1]))
    return states


def one_call(*, expiry_years: float = YEARS, averaged: bool = False) -> OptionBook:
    one = np.ones(1)
    return OptionBook(
        right=np.array([1]),
        strike_usd=SPOT * one,
        expiry_years=expiry_years * one,
        contracts_coin=-900.0 * one,
        iv=0.7 * one,
        forward_ratio=one,
        skew=0.0 * one,
        averaged=np.array([averaged]),
    )


def prices(plan: VenuesPlan, states: list[VenuesState], place: int) -> np.ndarray:
    return np.array([plan.plans[place].scenario.spot_usd * np.exp(state.states[place].log_price) for state in states])


def hedgers(state: VenuesState) -> Any:
    return state.states[1].seats[0]


def test_positions_close_in_cash_at_the_mean_of_the_index() -> None:
    """The venue as its own engine leaves it at the expiry, settled by hand: every coin at the mean of six spot prices; nothing after it."""
    plan = plan_venues(settling(DEALER), seed=4)
    states = walked(plan, 3)
    spot, future = prices(plan, states, 0), prices(plan, states, 1)
    unsettled = engine.step(plan.plans[1], states[EXPIRY - 1].states[1])
    last = plan.plans[1].scenario.spot_usd * np.exp(unsettled.log_price)
    before, after = unsettled.seats[0].holding, hedgers(states[EXPIRY]).holding
    for path in range(3):
        mean = sum(float(spot[k, path]) for k in range(EXPIRY - COUNT + 1, EXPIRY + 1)) / COUNT
        held = float(before.position_coin[path])
        assert abs(held) > 10.0
        assert after.position_coin[path] == 0.0
        assert after.cash_usd[path] == pytest.approx(float(before.cash_usd[path]) + held * mean, rel=1e-12)
        gained = float((after.pnl_usd - before.pnl_usd)[:, path].sum())
        assert gained == pytest.approx(held * (mean - float(last[path])), rel=1e-9, abs=1e-6)
        assert future[EXPIRY:, path] == pytest.approx(np.full(STEPS + 1 - EXPIRY, mean), rel=1e-13)
        liquidity = float(unsettled.liquidity_usd[path] + unsettled.liquidity_coin[path] * mean)
        assert states[EXPIRY].states[1].liquidity_usd[path] == pytest.approx(liquidity, rel=1e-12)
    assert not hedgers(states[EXPIRY]).flight.total_usd.any()
    assert (hedgers(states[-1]).holding.pnl_usd == after.pnl_usd).all()
    assert not any(state.states[1].net_flow_usd.any() for state in states[EXPIRY + 1 :])
    assert np.abs(spot[-1] - spot[EXPIRY]).min() > 0.0, "spot goes on"


def test_a_future_that_nobody_trades_fades_into_its_settlement() -> None:
    """Its last price before settlement is the mean up to second order of the moves of half an hour; the price of the minutes before is its expectation."""
    venues = settling(price=Gbm(0.8))
    plan = plan_venues(venues, seed=9)
    states = walked(plan, 64)
    spot, future, told = prices(plan, states, 0), prices(plan, states, 1), states[EXPIRY].settling[1]
    assert told is not None
    half_hour = 0.8 * math.sqrt(30.0 / 525_600.0)
    assert np.abs(np.log(told.last_usd / told.price_usd)).max() < 4.0 * half_hour**2
    assert np.abs(np.log(told.last_usd / spot[EXPIRY])).max() > 20.0 * half_hour**2, "spot itself is elsewhere by then"
    middle = EXPIRY - 3  # three of six known
    known = sum(spot[k] for k in range(EXPIRY - COUNT + 1, middle + 1))
    assert future[middle] == pytest.approx(
        (known + 3.0 * spot[middle]) / COUNT * math.exp(CARRY * 15.0 / 525_600.0), rel=4.0 * half_hour**2
    )
    block = run_venues_block(plan, 0, 64)
    basis = block.basis_log(plan, 1)
    assert np.abs(basis[:, : EXPIRY - COUNT + 1]).max() < 1e-12
    assert 0.0 < np.abs(basis[:, :EXPIRY]).max() < 4.0 * half_hour**2
    assert not basis[:, EXPIRY:].any()


def test_coin_and_cash_are_conserved_through_the_settlement() -> None:
    """Agents who start with coin, costs on both venues, arbitrage: cash of all sums to what outsiders pay for what they sold before the run."""
    costs = Costs(fee_bps=2.0, half_spread_bps=0.5, gas_usd=3.0)
    arbitrageur = Arbitrageur("carry", "spot", "dated", capital_usd=5e7, latency_steps=2)
    holder = Dealer("options", EveryStep(), 1, options=one_call(), iv=0.7)
    plan = plan_venues(settling(DEALER, holder, arbitrageurs=(arbitrageur,), costs=costs), seed=6)
    states = walked(plan, 4)
    opened = sum(seat.holding.position_coin for own in states[0].states for seat in own.seats)
    assert np.abs(opened).min() > 1.0
    for state in states:
        told = state.settling[1]
        assert told is not None
        cash = -told.outside_usd
        coin = -opened if state.states[1].step < EXPIRY else np.zeros(4)
        for own in state.states:
            cash = cash + sum(seat.holding.cash_usd for seat in own.seats) + own.liquidity_usd + own.venue_usd + own.holders_usd
            coin = coin + sum(seat.holding.position_coin for seat in own.seats) + own.liquidity_coin
        assert np.abs(coin).max() < 1e-8
        assert np.abs(cash).max() < 1e-3
    assert states[-1].settling[1].outside_usd == pytest.approx(opened * states[-1].settling[1].price_usd, rel=1e-9)  # type: ignore[union-attr]
    for own in states[-1].states[1].seats:
        assert not own.holding.position_coin.any()


@pytest.mark.parametrize("latency", [1, 3])
def test_a_carry_trade_sells_its_coin_over_the_mean_and_earns_what_it_locked_in(latency: int) -> None:
    """A future pushed up is sold against coin; the coin is sold in six equal parts at the very prices of the mean: nothing is left to chance."""
    rng = np.random.default_rng(3)
    price = Replay(rng.normal(0.0, 0.002, STEPS))
    arbitrageur = Arbitrageur("carry", "spot", "dated", capital_usd=float("inf"), latency_steps=latency)
    venues = settling(arbitrageurs=(arbitrageur,), price=price, impact=ImpactModel(permanent_per_usd=0.0), costs=Costs(fee_bps=3.0))
    plan = plan_venues(venues, seed=1)
    state = init(plan, 0, 1)
    states = [replace(state, states=(state.states[0], replace(state.states[1], log_price=np.array([0.004]))))]
    for _ in range(STEPS):
        states.append(step(plan, states[-1]))
    coin, short = ([state.states[place].seats[seat].holding for state in states] for place, seat in plan.legs[0])
    held = float(coin[EXPIRY - COUNT].position_coin[0])
    assert held == pytest.approx((0.004 - 6e-4) / 2e-6, rel=0.05)
    assert float(short[EXPIRY - 1].position_coin[0]) == pytest.approx(-held, rel=1e-12)
    bought = np.diff([float(one.position_coin[0]) for one in coin])
    assert bought[EXPIRY - COUNT : EXPIRY] == pytest.approx(np.full(COUNT, -held / COUNT), rel=1e-9)
    assert np.abs(bought[EXPIRY:]).max() < 1e-9
    spot = prices(plan, states, 0)[:, 0]
    mean = float(spot[EXPIRY - COUNT + 1 : EXPIRY + 1].mean())
    profit = float(coin[-1].cash_usd[0] + short[-1].cash_usd[0])
    locked = float(coin[EXPIRY - COUNT].cash_usd[0] + short[EXPIRY - COUNT].cash_usd[0])
    assert profit == pytest.approx(locked - 3e-4 * held * mean, rel=1e-9), (
        "all that it locked in, less the fee of selling, whatever spot did"
    )
    assert profit > 0.0


def test_expiries_lie_on_the_grid() -> None:
    years = np.arange(13) * 10.0 / 525_600.0
    assert expiry_of(years, 60.0 / 525_600.0) == Expiry(step=6, count=3)
    assert expiry_of(years, 120.0 / 525_600.0) == Expiry(step=12, count=3)
    assert expiry_of(years, 121.0 / 525_600.0) is None
    with pytest.raises(InputError, match="the nearest is 1 h"):
        expiry_of(years, 61.0 / 525_600.0)


def test_home_and_switches_keep_the_settlement() -> None:
    scenario = home_scenario(settling(DEALER))
    assert plan_venues(venues_of(scenario), seed=1).expiries == (None, Expiry(EXPIRY, COUNT))
    longer = replace(scenario, grid=TimeGrid(scenario.grid.years[: EXPIRY - 3]))
    assert plan_venues(venues_of(longer), seed=1).expiries == (None, None)


def test_what_outlives_the_future_is_refused() -> None:
    rules = Rulebook("made", Contract.LINEAR, SizeSlope(0.005, 0.0), DeadBandFunding(0.00025, 0.005, 8.0), 0.0, False, False)
    longs = LeveragedTraders("longs", 1, (LeverageBucket("long", 10.0, 4e8, 1e5, 0.005, accounts=9),), rules)
    with pytest.raises(InputError, match="with an account of its own"):
        settling(longs)
    for changes, said in (({"expiry_years": 1.5 * YEARS}, "expire with it or before"), ({"averaged": True}, "settlement = 'spot'")):
        with pytest.raises(InputError, match=said):
            settling(Dealer("options", EveryStep(), 1, options=one_call(**changes), iv=0.7))
    venues = settling()
    with pytest.raises(InputError, match="outside the index"):
        replace(venues.venues[1], in_index=True)
    with pytest.raises(InputError, match="a settlement read it"):
        Venues((replace(venues.venues[0], in_index=False), venues.venues[1]))
