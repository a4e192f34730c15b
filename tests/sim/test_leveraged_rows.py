"""Leveraged accounts in compiled code against their plain columns: the same sizes, margins, fund and prices, path by path."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.sim.anchors import SPOT
from tests.sim.test_leveraged import MIX, cluster, rules, scenario

from tailwag.hedging.policies import EveryStep
from tailwag.margin.contract import Contract
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.leveraged import LeveragedTraders, trader_of
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import RunPlan, State, init, plan_run, step
from tailwag.sim.leverage_buckets import LeverageBucket
from tailwag.sim.leveraged_accounts import Accounts
from tailwag.sim.leveraged_columns import ColumnTrader
from tailwag.sim.leveraged_rows import HAIR_LOG, Rows, columns_of, compacted, levels_log, rows_of
from tailwag.sim.leveraged_settling import settled
from tailwag.sim.leveraged_trader import RowTrader
from tailwag.sim.scenario import Scenario


def plan_of(world: Scenario, *, compiled: bool, seed: int = 3) -> RunPlan:
    plan = plan_run(world, seed=seed)
    seats = tuple(
        replace(seat, trader=trader_of(seat.agent, world.spot_usd, compiled=compiled)) if isinstance(seat.agent, LeveragedTraders) else seat
        for seat in plan.seats
    )
    return replace(plan, seats=seats)


def states_of(plan: RunPlan, paths: int) -> list[State]:
    states = [init(plan, 0, paths)]
    for _ in range(plan.scenario.grid.steps):
        states.append(step(plan, states[-1]))
    return states


def wild(agent: LeveragedTraders, steps: int = 40) -> Scenario:
    """Jumps that empty the fund, deleverage and leave bad debt, with a short-gamma dealer behind them."""
    world = scenario(np.zeros(steps), agent, Dealer("dealer", EveryStep(), 1, gamma_usd=-2e9))
    return replace(world, price=Gbm(vol=8.0))


def test_rows_are_kept_where_nothing_is_late_or_recorded() -> None:
    """Else columns: the twins that these tests compare are two."""
    agent = LeveragedTraders("traders", 0, MIX, rules(Contract.LINEAR))
    late = replace(agent, delay_steps=2)
    assert isinstance(trader_of(agent, SPOT), RowTrader)
    for other in (trader_of(agent, SPOT, compiled=False), trader_of(agent, SPOT, records=True), trader_of(late, SPOT)):
        assert isinstance(other, ColumnTrader)
    assert [trader_of(late, SPOT, records=kept).records for kept in (False, True)] == [False, True]


@pytest.mark.parametrize("contract", list(Contract))
@pytest.mark.parametrize("deleverages", [False, True])
@pytest.mark.parametrize("rounds", [False, True])
def test_rows_are_the_columns(contract: Contract, deleverages: bool, rounds: bool) -> None:
    """Every account, the fund, the bad debt and the price after every step, 1e-11 of the margin that was there."""
    two = (*MIX, LeverageBucket("long", 30.0, 2e8, 5e6, 0.01, accounts=6))  # a second margin on one side: another group
    venue = rules(contract, rounds=rounds, deleverages=deleverages, margin=0.008)
    agent = LeveragedTraders(
        "traders", 0, two, venue, fund_usd=3e5, premium_share=0.002, entries="drawn" if rounds is deleverages else "even"
    )
    plain, fast = (states_of(plan_of(wild(agent), compiled=compiled), 16) for compiled in (False, True))
    mine = next(place for place, seat in enumerate(plan_of(wild(agent), compiled=True).seats) if seat.agent is agent)
    whole = plain[0].seats[mine].memory.accounts.wallet.sum(axis=0).max()
    for one, other in zip(plain, fast):
        columns, rows = one.seats[mine].memory.accounts, other.seats[mine].memory.accounts
        assert other.log_price == pytest.approx(one.log_price, abs=1e-11)
        assert rows.size == pytest.approx(columns.size, rel=1e-9, abs=1e-11 * columns.size.max())
        for name in ("wallet", "fund", "bad_debt", "outside", "shared"):
            assert getattr(rows, name) == pytest.approx(getattr(columns, name), abs=1e-11 * whole), name
        assert rows.deleveraged_usd == pytest.approx(columns.deleveraged_usd, rel=1e-9, abs=1e-3)
    assert (fast[-1].seats[mine].memory.accounts.size == 0.0).mean() > 0.3
    assert fast[-1].seats[mine].memory.accounts.bad_debt.max() >= 0.0


def test_accounts_closed_in_parts_are_those_of_the_columns() -> None:
    """Small steps to and fro at the frontier, by rounds with fees: every account is closed in parts, again and again."""
    bucket = LeverageBucket("long", 60.0, 1e7, 1e5, 0.004, accounts=30)
    agent = LeveragedTraders(
        "traders", 0, (bucket,), rules(Contract.LINEAR, rounds=True, margin=0.01, fee=0.002), fund_usd=1e9, entries="drawn"
    )
    moves = np.where(np.arange(160) % 3 == 2, 0.0007, -0.0005)
    plain, fast = (states_of(plan_of(scenario(moves, agent), compiled=compiled), 6) for compiled in (False, True))
    for one, other in zip(plain, fast):
        columns, rows = one.seats[0].memory.accounts, other.seats[0].memory.accounts
        assert rows.size == pytest.approx(columns.size, rel=1e-9, abs=1e-11 * columns.size.max())
        assert rows.fund == pytest.approx(columns.fund, abs=1e-6)
    assert (fast[-1].seats[0].memory.accounts.size < fast[0].seats[0].memory.accounts.size).mean() > 0.5


def test_cascades_rest_at_the_same_smallest_fixed_point() -> None:
    for notional, move in ((0.6e9, 0.045), (1.0e9, 0.0355068 - 2e-5), (1.0e9, 0.0355068 + 2e-5), (1.5e9, 0.0327)):
        rests = [
            states_of(plan_of(scenario(np.array([-move]), cluster(notional, 800)), compiled=compiled), 1)[-1].log_price[0]
            for compiled in (False, True)
        ]
        assert rests[1] == pytest.approx(rests[0], abs=1e-12)


def test_an_earlier_state_stays_what_it_was_and_a_full_heap_is_made_anew() -> None:
    agent = LeveragedTraders("traders", 0, MIX, rules(Contract.LINEAR, rounds=True, margin=0.008), fund_usd=1e8)
    plan = plan_of(wild(agent, 30), compiled=True)
    mine = next(place for place, seat in enumerate(plan.seats) if seat.agent is agent)
    state = init(plan, 0, 4)
    before = state.seats[mine].memory.accounts
    heaps = set()
    for _ in range(30):
        old, kept = state, state.seats[mine].memory.accounts
        state, again = step(plan, state), step(plan, state)
        heaps.add(id(state.seats[mine].memory.rows.heap))
        assert (again.log_price == state.log_price).all()
        assert (again.seats[mine].memory.accounts.wallet == state.seats[mine].memory.accounts.wallet).all()
        assert (old.seats[mine].memory.accounts.wallet == kept.wallet).all()
    assert len(heaps) > 1
    assert (before.size == init(plan, 0, 4).seats[mine].memory.accounts.size).all()
    rows, everybody = state.seats[mine].memory.rows, np.arange(4)
    assert compacted(rows).heap is not rows.heap
    assert (columns_of(compacted(rows), everybody).wallet == columns_of(rows, everybody).wallet).all()


def test_a_quiet_price_reads_no_account() -> None:
    """Between the levels nobody is looked at: the rows may hold anything."""
    agent = LeveragedTraders("traders", 0, MIX, rules(Contract.LINEAR), fund_usd=1e8, premium_share=0.001)
    plan = plan_of(scenario(np.full(5, 1e-5), agent), compiled=True)
    state = init(plan, 0, 2)
    state.seats[0].memory.rows.heap.book.rows[:] = np.nan
    for _ in range(5):
        state = step(plan, state)
    assert state.log_price == pytest.approx(5e-5)
    assert np.isfinite(state.seats[0].memory.rows.paths.drift).all()
    assert state.seats[0].memory.rows.outside == pytest.approx(
        state.seats[0].memory.rows.net * SPOT * 5 * plan.seats[0].trader.funding_per_year / 525600, rel=1e-3
    )


def test_positions_that_go_whole_write_no_row() -> None:
    """They are entries of a log, which grows as far as it must; an earlier state does not see later ones."""
    buckets = tuple(LeverageBucket("long", leverage, 4e7, 1e5, 0.004, accounts=5) for leverage in (25.0, 40.0, 60.0))
    agent = LeveragedTraders("traders", 0, buckets, rules(Contract.LINEAR, margin=0.01, fee=0.002), fund_usd=1e9, premium_share=0.002)
    states = states_of(plan_of(scenario(np.full(30, -0.0011), agent), compiled=True), 12)
    memory = states[-1].seats[0].memory
    assert memory.rows.heap.used == 1
    assert memory.rows.heap.entries == int((memory.accounts.size == 0.0).sum()) > 2 * 15
    assert memory.rows.net == pytest.approx((memory.accounts.side * memory.accounts.size).sum(axis=0), abs=1e-9)
    assert (states[0].seats[0].memory.accounts.size > 0.0).all()


def test_where_rounding_puts_two_accounts_in_the_wrong_order_the_plain_rules_decide() -> None:
    """The first in line stays by a hair and the second goes: nothing is written down, the path gets a row."""
    venue, wallet, one = rules(Contract.LINEAR, margin=0.01, fee=0.0), np.array([[10.0], [10.0 + 5e-11]]), np.ones((2, 1))
    accounts = Accounts(one, 0.01 * one, 100.0 * one, one, wallet, *(np.zeros(1) for _ in range(5)))
    mark = np.full(3, (90.0 - 2.5e-11) / 0.99)
    for order, entries in (((0, 1), 3), ((1, 0), 0)):
        rows = rows_of(accounts, venue, 3)
        rows.heap.book.rows[0, 4:] = order
        after = settled(rows, venue, (mark, mark), np.arange(3))
        left = columns_of(after, np.arange(3))
        assert after.heap.entries == entries
        assert left.size.tolist() == [[0.0] * 3, [1.0] * 3]
        assert left.wallet[0] == pytest.approx(10.0 + mark - 100.0, abs=1e-12)
        assert after.net.tolist() == [1.0] * 3


def plain_levels(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Log prices at which the next account of each group is at its margin, path by path: the nearest on each side."""
    venue, stands, paths = rows.heap.venue, rows.paths, rows.net.size
    low, high = np.full(paths, -np.inf), np.full(paths, np.inf)
    for side, share, edge in zip(venue.side, venue.share, stands.edge):
        bankrupt, tilt = edge + stands.drift, side * share * stands.factor
        with np.errstate(divide="ignore", invalid="ignore"):
            price = bankrupt / (1.0 - tilt) if venue.linear else np.where(bankrupt < 0.0, (1.0 + tilt) / -bankrupt, np.inf)
        price = np.where(np.isfinite(edge), price, 0.0 if side > 0.0 else np.inf)
        level = np.log(np.maximum(price, 1e-300) / SPOT)
        low, high = (np.maximum(low, level), high) if side > 0.0 else (low, np.minimum(high, level))
    return low, high


@pytest.mark.parametrize("contract", list(Contract))
@pytest.mark.parametrize("sides", [("long", "short"), ("long",), ("short",)])
def test_the_levels_of_a_path_are_those_of_its_next_accounts(contract: Contract, sides: tuple[str, ...]) -> None:
    """A hair early; and far out of reach where nobody is left."""
    two = tuple(bucket for bucket in (*MIX, LeverageBucket("long", 30.0, 2e8, 5e6, 0.01, accounts=6)) if bucket.side in sides)
    agent = LeveragedTraders("traders", 0, two, rules(contract, margin=0.008), fund_usd=3e5, premium_share=0.002, entries="drawn")
    plan = plan_of(wild(agent), compiled=True)
    mine = next(place for place, seat in enumerate(plan.seats) if seat.agent is agent)
    gone = []
    for one in states_of(plan, 16):
        rows = one.seats[mine].memory.rows
        (low, high), (plain_low, plain_high) = levels_log(rows, SPOT), plain_levels(rows)
        assert np.isfinite(low).all()
        assert np.isfinite(high).all()
        assert np.maximum(low, -100.0) == pytest.approx(np.maximum(plain_low + HAIR_LOG, -100.0), abs=1e-13)
        assert np.minimum(high, 100.0) == pytest.approx(np.minimum(plain_high - HAIR_LOG, 100.0), abs=1e-13)
        gone.append((low < -100.0) | (high > 100.0))
    assert np.all(gone) or len(sides) == 2, "one side has nobody from the start"


def test_levels_that_are_kept_are_those_of_the_accounts_after_funding_too() -> None:
    """What is kept of a state is what its accounts say; funding moves it, on a venue that charges it from outside."""
    agent = LeveragedTraders("traders", 0, MIX, rules(Contract.LINEAR, margin=0.008), fund_usd=1e8)
    plan = plan_of(wild(agent), compiled=True)
    mine = next(place for place, seat in enumerate(plan.seats) if seat.agent is agent)
    for state in states_of(plan, 20):
        memory = state.seats[mine].memory
        charged = plan.seats[mine].trader.with_funding(np.full(20, 3e-4), np.full(20, SPOT), memory)
        for one in (memory, charged):
            for kept, fresh in zip(one.levels, levels_log(one.rows, SPOT)):
                assert np.array_equal(kept, fresh)
        moved = [np.abs(after - before) for after, before in zip(charged.levels, memory.levels)]
        assert max(np.nanmax(np.where(np.isfinite(one), one, 0.0)) for one in moved) > 1e-5
