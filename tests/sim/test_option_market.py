"""The option market of a run against a slow twin that shares nothing with it, and what it must keep: bits, sums, order, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.contracts.agent import frozen_arrays
from tests.sim.option_players import Player
from tests.sim.option_twin import Ask, Fixed, Leaning, Option, World, play

from tailwag.errors import InputError
from tailwag.hedging.policies import EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.protocol import View
from tailwag.sim.agents.quoting_dealer import QuotingDealer
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import State, init, plan_run, step
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_market import Contract, OptionOrder, OptionTerms, Quote
from tailwag.sim.quoting import QuoteRule
from tailwag.sim.scenario import Costs, Scenario, VolDynamics

SPOT, STEPS, PATHS, MINUTES = 2_950.0, 30, 6, 10.0
TERMS = OptionTerms(iv=0.71, skew=-0.4)
RULE = QuoteRule(
    half_spread_volpt=3.0, size_coin=40.0, vega_skew_volpt=9.0, gamma_skew_volpt=0.4, strike_limit_coin=55.0, expiry_limit_coin=70.0
)


def market(*agents: Any, **changes: Any) -> Scenario:
    given: dict[str, Any] = {
        "spot_usd": SPOT,
        "grid": TimeGrid.uniform(horizon_days=STEPS * MINUTES / 1440, step_minutes=MINUTES),
        "price": Gbm(vol=0.9),
        "impact": ImpactModel(permanent_per_usd=4e-8),
        "clearing": "implicit",
        "vol": VolDynamics(spot_vol_beta=-0.7),
        "options": TERMS,
        "costs": Costs(),
    }
    return Scenario(agents=agents, **{**given, **changes})


class Table:
    """Random orders in four contracts: two expire inside the run (strikes differ by path), one beyond its end; known to both sides of the test."""

    def __init__(self, seed: int, *, contracts: int = 4) -> None:
        rng = np.random.default_rng(seed)
        strikes = SPOT * np.exp(0.01 * np.random.default_rng(77).standard_normal((4, PATHS)))
        strikes[3] = strikes[2]
        self.contracts = [Contract(right, at, strike) for right, at, strike in zip((1, -1, 1, -1), (14, 22, 40, 40), strikes)]
        self.coin = np.round(60.0 * rng.standard_normal((STEPS + 1, contracts, PATHS)), 1)
        self.coin[rng.random((STEPS + 1, contracts)) < 0.55] = 0.0
        self.limit = np.where(rng.random((STEPS + 1, contracts, 1)) < 0.4, SPOT * 0.02 * rng.random((STEPS + 1, contracts, PATHS)), np.nan)
        self.auction = rng.random((STEPS + 1, contracts)) < 0.4

    def asked(self, now: int) -> list[int]:
        return [place for place in range(self.coin.shape[1]) if self.coin[now, place].any() and self.contracts[place].expiry_step > now]

    def orders(self, view: View) -> tuple[OptionOrder, ...]:
        first = self.first
        rows = slice(first, first + view.live.size)
        return tuple(
            OptionOrder(
                replace(self.contracts[place], strike_usd=self.contracts[place].strike_usd[rows]),
                self.coin[view.step, place, rows],
                None if np.isnan(self.limit[view.step, place]).any() else self.limit[view.step, place, rows],
                bool(self.auction[view.step, place]),
            )
            for place in self.asked(view.step)
        )

    first = 0

    def asks(self, path: int) -> dict[int, list[Ask]]:
        told: dict[int, list[Ask]] = {}
        for now in range(1, STEPS + 1):
            for place in self.asked(now):
                limit = self.limit[now, place, path]
                coin = float(self.coin[now, place, path])
                told.setdefault(now, []).append(Ask(place, coin, None if np.isnan(limit) else float(limit), bool(self.auction[now, place])))
        return told


def players(one: Table, two: Table) -> tuple[Any, ...]:
    return (
        Player("zed", "a taker", orders=one.orders, slots=2),
        Player("amy", "b taker and maker", orders=two.orders, half=0.10, size=25.0),
        Player("bob", "c maker", half=0.04, size=12.0),
        Player("cat", "d maker", half=0.04, size=20.0),
        QuotingDealer("eve", RULE, EveryStep(), 1),
    )


NAMES = {"a taker": "zed", "b taker and maker": "amy", "c maker": "bob", "d maker": "cat", "quoting dealer": "eve"}


def walked(scenario: Scenario, seed: int = 3) -> list[State]:
    """All states of a run."""
    plan = plan_run(scenario, seed=seed)
    states = [init(plan, 0, PATHS)]
    for _ in range(scenario.grid.steps):
        states.append(step(plan, states[-1]))
    return states


def test_everybody_trades_and_is_paid_as_in_the_twin() -> None:
    one, two = Table(1), Table(2)
    scenario = market(*players(one, two))
    states, plan = walked(scenario), plan_run(scenario, seed=3)
    logs, fundamental = np.array([state.log_price for state in states]), np.array([state.fundamental_log for state in states])
    shifts = np.array([state.vol_shift for state in states])
    before = logs[:-1] + np.diff(fundamental, axis=0)
    shift_before = shifts[:-1] - 0.7 * (before - logs[:-1])
    scale, refused = 0.0, 0.0
    for path in range(PATHS):
        world = World(
            iv=0.71,
            skew=-0.4,
            averaged=True,
            step_minutes=MINUTES,
            before=[np.nan, *(SPOT * np.exp(before[:, path])).tolist()],
            cleared=(SPOT * np.exp(logs[:, path])).tolist(),
            shift_before=[np.nan, *shift_before[:, path].tolist()],
            options=[Option(told.right > 0, told.expiry_step, float(told.strike_usd[path])) for told in one.contracts],
            takers={"a taker": one.asks(path), "b taker and maker": two.asks(path)},
            makers={
                "b taker and maker": Fixed(0.10, 25.0),
                "c maker": Fixed(0.04, 12.0),
                "d maker": Fixed(0.04, 20.0),
                "quoting dealer": Leaning(3.0, 40.0, 9.0, 0.4, 55.0, 70.0),
            },
            slots={"a taker": 2},
        )
        told = play(world)
        for seat, own in zip(plan.seats, states[-1].seats):
            word = "quoting dealer" if seat.agent.name == "eve" else seat.agent.content()
            holding = own.memory.holding if seat.agent.name == "eve" else own.memory
            for place, contract in enumerate(one.contracts):
                mine = replace(contract, strike_usd=contract.strike_usd)
                assert holding.slots.of(mine)[path] == pytest.approx(told.coin.get((word, place), 0.0), abs=1e-10)
            options_cash = -holding.premium_usd[path] + holding.settled_usd[path]
            scale = max(scale, abs(options_cash))
            assert options_cash == pytest.approx(told.cash.get(word, 0.0), rel=1e-10, abs=1e-7)
            assert holding.settled_usd[path] == pytest.approx(told.settled.get(word, 0.0), rel=1e-10, abs=1e-7)
            assert holding.edge_usd[path] == pytest.approx(told.edge.get(word, 0.0), rel=1e-10, abs=1e-7)
            assert holding.refused_coin[path] == pytest.approx(told.refused.get(word, 0.0), abs=1e-10)
            refused += float(holding.refused_coin[path])
            if seat.agent.name != "eve":
                assert own.holding.cash_usd[path] == pytest.approx(told.cash.get(word, 0.0), rel=1e-10, abs=1e-7)
    assert scale > 1e4
    assert refused > 0.0


def test_options_premium_cash_and_coin_sum_to_nothing() -> None:
    """Every contract on every path in every step; premium and edge; and all cash with liquidity, venue and what settlement paid."""
    one, two = Table(4), Table(5)
    scenario = market(*players(one, two), Dealer("dan", EveryStep(), 1, gamma_usd=-2e6, iv=0.7), costs=Costs(fee_bps=3.0, gas_usd=1.0))
    for state in walked(scenario):
        holdings = [
            getattr(own.memory, "holding", own.memory)
            for own in state.seats
            if hasattr(own.memory, "holding") or hasattr(own.memory, "slots")
        ]
        assert len(holdings) == 5
        for contract in one.contracts:
            assert np.abs(sum(holding.slots.of(contract) for holding in holdings)).max() <= 1e-10
        scale = 1.0 + sum(np.abs(holding.premium_usd) for holding in holdings).max()
        for word in ("premium_usd", "edge_usd", "settled_usd", "value_usd"):
            assert np.abs(sum(getattr(holding, word) for holding in holdings)).max() <= 1e-10 * scale
        cash = sum(own.holding.cash_usd for own in state.seats) + state.liquidity_usd + state.venue_usd + state.holders_usd
        assert np.abs(cash).max() <= 1e-10 * scale + 1e-6
        for own in state.seats:
            value = getattr(getattr(own.memory, "holding", own.memory), "value_usd", None)
            if value is not None:
                worth = own.holding.cash_usd + own.holding.position_coin * SPOT * np.exp(state.log_price) + value
                assert own.holding.pnl_usd.sum(axis=0) == pytest.approx(worth, rel=1e-9, abs=1e-8 * scale)


def test_a_step_is_explained_by_its_greeks() -> None:
    """The residual of everybody's profit is small beside what the greeks explain, trades of the step included."""
    one, two = Table(4), Table(5)
    last = walked(market(*players(one, two), options=OptionTerms(0.71, -0.4, averaged=False)))[-1]
    for own in last.seats:
        parts = np.abs(own.holding.pnl_usd)
        assert parts[-1].mean() < 0.15 * (parts[0] + parts[1] + parts[3]).mean() + 1e-9


def test_a_market_in_which_nobody_trades_options_keeps_its_bits() -> None:
    dealers = (Dealer("dan", EveryStep(), 1, gamma_usd=-2e6, iv=0.7), Dealer("flo", EveryStep(), 0, gamma_usd=3e6, iv=0.7))
    with_market, without = (run_block(plan_run(market(*dealers, options=terms), seed=2), 0, PATHS) for terms in (TERMS, None))
    assert (with_market.log_price == without.log_price).all()
    for one, other in zip(with_market.agents, without.agents):
        assert (one.pnl_usd == other.pnl_usd).all()
        assert (one.final_cash_usd == other.final_cash_usd).all()


def test_blocks_order_and_names_change_no_bit() -> None:
    one, two = Table(6), Table(7)
    scenario = market(*players(one, two))
    whole = run_block(plan_run(scenario, seed=5), 0, PATHS)
    for first, count in ((0, 2), (2, 1), (3, PATHS - 3)):
        one.first = two.first = first
        part = run_block(plan_run(scenario, seed=5), first, count)
        assert (part.log_price == whole.log_price[first : first + count]).all()
        for mine, all_of_it in zip(part.agents, whole.agents):
            assert (mine.pnl_usd == all_of_it.pnl_usd[:, first : first + count]).all()
    one.first = two.first = 0
    renamed = [replace(agent, name=f"n{9 - place}") for place, agent in enumerate(scenario.agents)]
    again = run_block(plan_run(replace(scenario, agents=tuple(reversed(renamed))), seed=5), 0, PATHS)
    assert (again.log_price == whole.log_price).all()
    for mine, other in zip(whole.agents, reversed(again.agents)):
        assert (mine.pnl_usd == other.pnl_usd).all()


def test_trading_writes_into_nothing() -> None:
    plan = plan_run(market(*players(Table(8), Table(9))), seed=7)
    state = frozen_arrays(init(plan, 0, PATHS))
    for _ in range(12):
        state, again = frozen_arrays(step(plan, state)), step(plan, state)
        assert (state.log_price == again.log_price).all()


def test_a_path_that_has_stopped_trades_no_options() -> None:
    scenario = market(*players(Table(4), Table(5)), halt_log_move=0.006)
    states = walked(scenario)
    stopped = states[-1].stopped_step
    assert (stopped < STEPS).any()
    for path in np.flatnonzero(stopped < STEPS):
        for now, last in zip(states[stopped[path]].seats, states[-1].seats):
            one, two = (getattr(own.memory, "holding", own.memory) for own in (now, last))
            assert one.premium_usd[path] == two.premium_usd[path]
            assert one.value_usd[path] == two.value_usd[path]
            assert one.settled_usd[path] == two.settled_usd[path]


def _ordering(**changes: Any) -> Player:
    contract = changes.pop("contract", Contract(1, 20, np.full(PATHS, SPOT)))
    order = OptionOrder(contract, changes.pop("coin", np.ones(PATHS)), changes.pop("limit", None))
    return Player("zed", "a taker", orders=lambda view: (order,), **changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"contract": Contract(1, 1, np.full(PATHS, SPOT))}, "expires after step 1"),
        ({"coin": np.full(PATHS, np.nan)}, "one coin for each"),
        ({"coin": np.ones(2)}, "one coin for each"),
        ({"contract": Contract(1, 20, np.full(2, SPOT))}, "one strike_usd for each"),
        ({"limit": np.full(PATHS, np.nan)}, "one limit_price_usd for each"),
    ],
)
def test_orders_that_are_none_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        walked(market(_ordering(**changes), Player("bob", "c maker", half=0.04, size=12.0)))


def test_quotes_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="bid at or below the ask"):
        walked(market(_ordering(), Player("bob", "c maker", half=-0.04, size=12.0)))
    with pytest.raises(InputError, match="bid_coin of 0 or more"):
        walked(market(_ordering(), Player("bob", "c maker", half=0.04, size=-1.0)))
    with pytest.raises(InputError, match="option market"):
        market(QuotingDealer("eve", RULE, EveryStep(), 1), options=None)


def test_without_a_maker_nothing_is_filled_and_it_is_counted() -> None:
    state = walked(market(replace(_ordering(contract=Contract(1, STEPS + 9, np.full(PATHS, SPOT))))))[-1]
    holding = state.seats[0].memory
    assert not holding.traded_coin.any()
    assert holding.unfilled_coin.tolist() == [float(STEPS)] * PATHS
    assert not Quote.none(3).ask_coin.any()
