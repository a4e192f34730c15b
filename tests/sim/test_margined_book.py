"""An account of options and perp under one margin: its contract, a slow twin, closed forms, conservation, the bump, cross against isolated."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from tests.contracts.agent import SPOT, AgentContract, random_account, random_view
from tests.sim import margined_twin

from tailwag.errors import InputError
from tailwag.experiments.scenario_gain_hedgers import margined_book_law
from tailwag.experiments.scenario_gain_setting import Setting
from tailwag.hedging.policies import EveryStep
from tailwag.margin.maintenance import SizeSlope
from tailwag.margin.options import OptionMargin, option_margin
from tailwag.market.clock import parse_time_ns
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.agents.protocol import Market
from tailwag.sim.dynamics import Merton, Replay
from tailwag.sim.engine import init, plan_run, step
from tailwag.sim.gain_bump import Bump, measure_gain, stated_response_usd
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.margined_events import OPTIONS, PERP, Takeovers
from tailwag.sim.margined_terms import MarginTerms
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Costs, Scenario, VolDynamics
from tailwag.sources.rules import load_rules

FIGURES = {
    "mm": 0.06,
    "im": 0.13,
    "least": 0.09,
    "option_fee": 0.003,
    "perp": 0.012,
    "perp_initial": 0.025,
    "per_coin": 4e-5,
    "perp_fee": 0.006,
}
ROWS = (
    (1, 64_000.0, 5 / 365, -900.0, 0.7),
    (-1, 58_000.0, 5 / 365, -700.0, 0.65),
    (1, 61_000.0, 10 / 8760, -400.0, 0.6),
    (1, 70_000.0, 9 / 365, 250.0, 0.8),
)
"""Right, strike, expiry, coin, vol: three short, one of them gone within the run, and one long."""


def book(rows: Any = ROWS) -> OptionBook:
    parts = [
        OptionBook.single(right, strike_usd=strike, expiry_years=expiry, contracts_coin=coin, iv=iv)
        for right, strike, expiry, coin, iv in rows
    ]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merged(part)
    return whole


def terms(margin: str = "cross", accounts: int = 12) -> MarginTerms:
    option = OptionMargin(FIGURES["mm"], FIGURES["im"], FIGURES["least"], FIGURES["option_fee"])
    perp, initial = (SizeSlope(FIGURES[name], FIGURES["per_coin"]) for name in ("perp", "perp_initial"))
    return MarginTerms(option, perp, initial, FIGURES["perp_fee"], margin, accounts)


def account(margin: str = "cross", **changes: Any) -> MarginedBook:
    given: dict[str, Any] = {
        "collateral_usd": 1.8e7,
        "delay_steps": 0,
        "backstop_hedge_share": 0.3,
        "hedge_share": 0.9,
        "hedge_collateral_share": 0.3,
        "fund_usd": 2e5,
    }
    return MarginedBook("seller", changes.pop("options", book()), terms(margin), **{**given, **changes})


def world(
    agent: MarginedBook, moves: Any, *, per_usd: float = 1e-10, beta: float = -0.7, minutes: float = 60.0, **changes: Any
) -> Scenario:
    price = Replay(np.asarray(moves)) if isinstance(moves, list | np.ndarray) else moves
    steps = np.asarray(moves).size if isinstance(moves, list | np.ndarray) else 48
    return Scenario(
        SPOT,
        TimeGrid.uniform(horizon_days=steps * minutes / 1440, step_minutes=minutes),
        price,
        ImpactModel(permanent_per_usd=per_usd),
        (agent, *changes.pop("others", ())),
        changes.pop("clearing", "implicit" if agent.delay_steps == 0 else "lagged"),
        vol=VolDynamics(spot_vol_beta=beta),
        stop_log_move=2.0,
        **changes,
    )


def states(scenario: Scenario, *, paths: int = 1, seed: int = 4) -> list[Any]:
    """Every state of a run whose account writes down what was taken."""
    plan = plan_run(scenario, seed=seed)
    seats = tuple(
        replace(seat, trader=replace(seat.trader, writes_down=True)) if hasattr(seat.trader, "writes_down") else seat for seat in plan.seats
    )
    plan = replace(plan, seats=seats)
    found = [init(plan, 0, paths)]
    for _ in range(scenario.grid.steps):
        found.append(step(plan, found[-1]))
    return found


def seat_of(state: Any) -> Any:
    return next(own for own in state.seats if hasattr(own.memory, "closing_only"))


JUMPY = Merton(0.9, 900.0, -0.005, 0.05)
PATH = [0.012, 0.025, -0.015, 0.04, 0.035, -0.05, 0.03, 0.06, -0.02, 0.04, 0.005, 0.13, -0.03, 0.16, 0.02, -0.07]


class TestContract(AgentContract):
    """Cross margin, called at the clearing price; six hours of 60 % vol and little collateral."""

    agent = account()
    decays = True


@pytest.mark.slow
class TestContractIsolatedAndLate(AgentContract):
    """Isolated margin, its orders a step late."""

    agent = account("isolated", delay_steps=1, collateral_usd=2.2e7)
    decays = True


@lru_cache
def wild(margin: str) -> tuple[MarginedBook, list[Any]]:
    """An account of little collateral and every state of two wild days, on 40 paths."""
    agent = account(margin, collateral_usd=1.3e7 if margin == "cross" else 2e7)
    return agent, states(world(agent, JUMPY), paths=40)


MARGINS = ("cross", pytest.param("isolated", marks=pytest.mark.slow))
CASES = ((1.0, 0.9), (-2.2, 0.2), (1.8, 0.2))
"""Moves as stated with nearly all of the delta hedged; and a fall and a rise that ruin who hedged a fifth of it."""


def agrees(agent: MarginedBook, rows: Any, moves: list[float]) -> list[dict[str, Any]]:
    """What the twin says of a path, once every balance of every step is the same."""
    found = states(world(agent, moves))
    margins = (agent.hedge_collateral_share, agent.fund_usd, 12, FIGURES)
    given = (SPOT, 1.0, moves, list(rows), agent.collateral_usd, agent.terms.cross, agent.hedge_share, 0.3, agent.delay_steps, 1e-10, -0.7)
    twin = margined_twin.play(margined_twin.World(*given, *margins))
    names = {"share": "share", "perp_coin": "perp", "taken_coin": "taken"}
    cash = {f"{name}_usd": name for name in ("option_cash", "perp_cash", "taken_cash", "fund")} | {"bad_debt_usd": "debt"}
    for number, (state, told) in enumerate(zip(found, twin, strict=True)):
        mine = seat_of(state).memory
        assert SPOT * np.exp(state.log_price[0]) == pytest.approx(told["price"], rel=1e-9), number
        for name, word in names.items():
            assert getattr(mine.accounts, name)[0] == pytest.approx(told[word], rel=1e-7, abs=1e-6), (number, word)
        for name, word in cash.items():
            assert getattr(mine.accounts, name)[0] == pytest.approx(told[word], rel=1e-7, abs=2.0), (number, word)
        assert bool(mine.closing_only[0]) == told["locked"], number
    return twin


@pytest.mark.parametrize("margin", ["cross", "isolated"])
@pytest.mark.parametrize("delay", [0, 1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("turn", "hedge"), CASES)
def test_a_slow_twin_finds_the_same_prices_and_balances(margin: str, delay: int, turn: float, hedge: float) -> None:
    collateral = 1.35e7 if margin == "cross" else 2.0e7
    agent = account(margin, delay_steps=delay, collateral_usd=collateral, hedge_share=hedge)
    twin = agrees(agent, ROWS, [turn * move for move in PATH])
    assert any(row["options_closed"] > 0.0 for row in twin)
    assert any(row["perp_closed"] != 0.0 for row in twin)
    assert (twin[-1]["debt"] > 0.0) == (turn < 0.0)


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize(("margin", "collateral", "behind"), [("isolated", 1.2e7, 0.045), ("cross", 6.1e6, 0.3)])
def test_an_account_below_its_initial_margin_reduces_its_hedge_and_no_more(
    margin: str, delay: int, collateral: float, behind: float
) -> None:
    """A hedge that the purse does not carry: it may fall with the delta, and stays where it is when the delta rises; then the way is free again."""
    rows = ((1, 62_000.0, 4 / 365, -900.0, 0.7),)
    sold = account(margin, options=book(rows), delay_steps=delay, collateral_usd=collateral, hedge_share=1.0, hedge_collateral_share=behind)
    twin = agrees(sold, rows, [-0.012, 0.01, 0.012, -0.02, -0.03, 0.012, 0.02, 0.012, -0.05, -0.06, 0.02, 0.01])
    assert {row["locked"] for row in twin[1:]} == {True, False}


def conserved(found: list[Any]) -> None:
    """Cash of account, backstop, fund and debt moves as the ledger's does without costs; coin is what the market sold; shares lie in [0, 1]."""
    first = seat_of(found[0])
    for before, state in pairwise(found):
        own, had = seat_of(state), seat_of(before)
        mine, costs = own.memory.accounts, own.holding.pnl_usd[[5, 6, 7, 8]].sum(axis=0)
        size = np.abs(mine.taken_cash_usd) + np.abs(mine.option_cash_usd) + np.abs(mine.perp_cash_usd) + own.holding.turnover_usd
        assert np.abs(mine.cash_usd - first.memory.accounts.cash_usd - (own.holding.cash_usd - costs)).max() <= 1e-10 * size.max()
        assert np.abs(mine.coin - own.holding.position_coin).max() <= 1e-10 * max(np.abs(mine.coin).max(), 1.0)
        assert ((mine.share >= 0.0) & (mine.share <= had.memory.accounts.share)).all()
        assert (mine.fund_usd >= 0.0).all()
        assert (mine.bad_debt_usd >= had.memory.accounts.bad_debt_usd).all()


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize(
    ("delay", "batch"), [pytest.param(0, 1, marks=pytest.mark.slow), (2, 1), pytest.param(0, 3, marks=pytest.mark.slow), (2, 3)]
)
def test_everything_is_conserved_through_wild_days(margin: str, delay: int, batch: int) -> None:
    agent = account(margin, delay_steps=delay, collateral_usd=1.3e7 if margin == "cross" else 2e7)
    found = states(world(agent, JUMPY, batch_steps=batch, costs=Costs(fee_bps=2.0, half_spread_bps=1.0, gas_usd=3.0)), paths=40)
    conserved(found)
    last = seat_of(found[-1]).memory.accounts
    assert ((last.share > 0.0) & (last.share < 1.0)).any()
    assert (last.share == 1.0).any()


def test_what_is_written_down_is_what_happened() -> None:
    """Options that the backstop has are those of the rows; every row has price, counterparty and reason; forced perp trades are the account's."""
    _, found = wild("cross")
    mine, gross = seat_of(found[-1]).memory, sum(abs(row[3]) for row in ROWS if row[2] > 1 / 365)
    rows = Takeovers.joined(mine.events)
    assert rows.rows > 20
    over = rows.leg == OPTIONS
    late = rows.step > 10  # the option of ten hours is gone
    taken = np.bincount(rows.path[over & late], weights=rows.coin[over & late], minlength=40) / gross
    then = seat_of(found[10]).memory.accounts.share
    assert taken == pytest.approx(then - mine.accounts.share, abs=1e-12)
    for row in range(rows.rows):
        assert rows.price_usd[row] > 0.0
        assert rows.counterparty(row) == ("backstop" if over[row] else "market")
        assert rows.reason(row).startswith("nothing was left" if rows.kept[row] == 0.0 else "equity fell below")
    forced = rows.leg == PERP
    before = np.array(
        [seat_of(found[step - 1]).memory.accounts.perp_coin[path] for step, path in zip(rows.step[forced], rows.path[forced])]
    )
    assert (np.sign(rows.coin[forced]) == -np.sign(before))[np.abs(before) > 1.0].mean() > 0.9


@pytest.mark.parametrize("margin", MARGINS)
def test_demand_while_it_is_called_or_may_only_reduce_has_the_slope_that_it_states(margin: str) -> None:
    """By central differences, off the kinks at which an account is called, is closed whole, or meets what it holds."""
    agent, found = wild(margin)
    trader = agent.at_work(Market(SPOT, world(agent, JUMPY).grid))
    called, reduces = 0, 0
    for state in found[12:40:4]:
        live, spot = np.ones(40, dtype=bool), SPOT * np.exp(state.log_price)
        view = replace(random_view(1), step=state.step + 1, spot_usd=spot, live=live, vol_shift=state.vol_shift)
        for locked in (False, True):
            mine = replace(seat_of(state).memory, closing_only=live & locked)
            demand = trader.act(view, random_account(1), mine, lambda kind, count: np.zeros(40)).demand
            for away in (0.03, -0.05, 0.1):
                there, width = state.log_price + away, 1e-6
                low, middle, high = (demand(there + shift, state.vol_shift) for shift in (-width, 0.0, width))
                below, above = (middle[1] - low[1]) / width, (high[1] - middle[1]) / width
                smooth = np.abs(above - below) <= 1e-3 * np.abs(above) + 20.0
                assert (0.5 * (below + above))[smooth] == pytest.approx(middle[3][smooth], rel=1e-3, abs=40.0)
                taken = trader.liquidation_usd(there, view, mine) != 0.0
                called, reduces = called + int((smooth & taken).sum()), reduces + int((smooth & locked & (middle[1] == 0.0)).sum())
    assert called > 40
    assert reduces > 100


def test_what_is_missing_of_a_hedge_is_told_whatever_margin_allows() -> None:
    """The account's share of its delta and the backstop's of the rest, by hand, less what both hold."""
    agent = account(options=book(ROWS[:2]), collateral_usd=1e7, hedge_share=0.9)
    state = states(world(agent, [0.03, 0.2, 0.01]))[-1]
    mine, spot = seat_of(state).memory, float(SPOT * np.exp(state.log_price[0]))
    share, shift = float(mine.accounts.share[0]), float(state.vol_shift[0])
    assert 0.0 < share < 1.0
    assert mine.closing_only[0]
    delta = sum(
        coin * margined_twin.option(right, strike, expiry - 3 / 8760, iv + shift, spot)[1] for right, strike, expiry, coin, iv in ROWS[:2]
    )
    wanted = -(0.9 * share + 0.3 * (1.0 - share)) * delta
    held, trader = random_account(3), agent.at_work(Market(SPOT, world(agent, [0.03, 0.2, 0.01]).grid))
    held = replace(held, position_coin=np.full(1, 123.0))
    missing = trader.gap_usd(3, state.log_price, np.full(1, spot), state.vol_shift, held, mine)
    assert missing[0] == pytest.approx((wanted - 123.0) * spot, rel=1e-7)


@pytest.mark.parametrize("margin", MARGINS)
def test_what_others_may_see_of_a_call_is_what_a_rich_account_would_not_trade(margin: str) -> None:
    """liquidation_usd is the demand there less that of the same positions with a billion more behind them."""
    agent, found = wild(margin)
    trader, state = agent.at_work(Market(SPOT, world(agent, JUMPY).grid)), found[24]
    mine = seat_of(state).memory
    rich = replace(mine.accounts, option_cash_usd=mine.accounts.option_cash_usd + 1e9, perp_cash_usd=mine.accounts.perp_cash_usd + 1e9)
    view = replace(
        random_view(1), step=25, spot_usd=SPOT * np.exp(state.log_price), live=np.ones(40, dtype=bool), vol_shift=state.vol_shift
    )
    looked = 0
    for away in (0.08, -0.12, 0.16):
        there = state.log_price + away
        poor_coin, rich_coin = (
            trader.act(view, random_account(1), one, lambda kind, count: np.zeros(40)).demand(there, state.vol_shift)[1]
            for one in (mine, replace(mine, accounts=rich))
        )
        told = trader.liquidation_usd(there, view, mine)
        assert told == pytest.approx((poor_coin - rich_coin) * SPOT * np.exp(there), abs=1.0)
        looked += int((np.abs(told) > 1e5).sum())
    assert ((mine.accounts.share > 0.0) & (mine.accounts.share < 1.0)).any()
    assert looked > 4


@pytest.mark.parametrize("mark", [0.8, 1.0, 1.25])
def test_a_venue_that_looks_at_a_mark_calls_by_it_and_not_by_its_own_price(mark: float) -> None:
    """Part kept by hand at the mark; the hedge that stays is sized at the own price.  What the own price does calls nobody."""
    rows = ((1, 66_000.0, 20 / 365, -2000.0, 0.6),)
    agent = account(options=book(rows), collateral_usd=1.5e7, hedge_share=1.0, backstop_hedge_share=0.0)
    trader = agent.at_work(Market(SPOT, TimeGrid.uniform(horizon_days=1e-6, step_minutes=1e-6 * 1440)))
    nothing, moves = np.zeros(3), np.array([-0.2, 0.0, 0.3])
    state = trader.with_mark(nothing + mark * SPOT, trader.init(3))
    view = replace(random_view(1), log_price=nothing, spot_usd=nothing + SPOT, vol_shift=nothing, live=np.ones(3, dtype=bool))
    demand = trader.act(view, random_account(1), state, lambda kind, count: nothing).demand
    (first, hedge), (value, _) = (margined_twin.option(1, 66_000.0, 20 / 365, 0.6, part * SPOT) for part in (1.0, mark))
    each = 2000.0 * hedge / 12
    equity = 1.5e7 + 2000.0 * (first - value) + 2000.0 * hedge * (mark - 1.0) * SPOT
    needed = mark * SPOT * (0.06 * 2000.0 + 12 * each * (0.012 + 4e-5 * each))
    kept = min(max(equity, 0.0) / needed, 1.0)
    assert (kept < 1.0) == (mark > 1.0)
    deltas = np.array([margined_twin.option(1, 66_000.0, 20 / 365, 0.6, SPOT * math.exp(move))[1] for move in moves])
    _, bought, _, slope = demand(moves, nothing)
    assert bought == pytest.approx(2000.0 * (kept * deltas - hedge), rel=1e-6, abs=1e-2)
    width = 1e-6
    low, high = (demand(moves + side * width, nothing)[1] for side in (-1.0, 1.0))
    assert slope == pytest.approx((high - low) / (2 * width), rel=1e-4, abs=1e-3)


def black_gamma_usd(rows: Any) -> float:
    total = 0.0
    for _, strike, expiry, coin, iv in rows:
        root = iv * math.sqrt(expiry)
        total += coin * SPOT * norm.pdf(math.log(SPOT / strike) / root + 0.5 * root) / root
    return total


def test_the_bump_measures_the_response_that_it_states() -> None:
    agent = account(collateral_usd=4e7, hedge_share=0.8)
    said = stated_response_usd(agent, SPOT)
    assert said == pytest.approx(-0.8 * black_gamma_usd(ROWS), rel=1e-6)
    assert said > 0.0, "short gamma buys rises"
    found = measure_gain(
        world(agent, [0.0, 0.0], per_usd=2e-11, beta=0.0, minutes=0.1), paths=4, seed=1, bump=Bump(size_log=1e-4, noise_log=0.0)
    )
    assert found.agents[0].response_usd.value == pytest.approx(said, rel=2e-3)


def test_a_book_that_goes_over_with_its_whole_hedge_moves_no_price() -> None:
    """Hedged whole before and after: the market sees a plain dealer, whoever holds the book."""
    agent = account(options=book(ROWS[:2]), collateral_usd=1e7, hedge_share=1.0, backstop_hedge_share=1.0, fund_usd=0.0)
    jumps = [0.03, 0.15]
    mine = states(world(agent, jumps))
    assert 0.1 < seat_of(mine[-1]).memory.accounts.share[0] < 0.9, "it was called"
    dealer = Dealer("dealer", EveryStep(), 0, options=book(ROWS[:2]))
    plain = states(replace(world(agent, jumps), agents=(dealer,)))
    for one, other in zip(mine, plain, strict=True):
        assert one.log_price == pytest.approx(other.log_price, abs=1e-12)


def test_without_a_hedge_of_the_backstop_the_venue_sells_the_account_s_hedge_into_the_market() -> None:
    """A vol move alone: spot hardly moves, vol jumps, the account is called, and its long hedge of short calls is sold."""
    calls = book(((1, 66_000.0, 20 / 365, -2000.0, 0.6),))
    agent = account(options=calls, collateral_usd=1.5e7, hedge_share=1.0, backstop_hedge_share=0.0)
    quiet, wild = (states(world(agent, [-0.03], beta=beta)) for beta in (0.0, -60.0))
    before = seat_of(wild[0]).memory.accounts.perp_coin[0]
    assert before == pytest.approx(2000.0 * margined_twin.option(1, 66_000.0, 20 / 365, 0.6, SPOT)[1], rel=1e-9)
    assert seat_of(quiet[-1]).memory.accounts.share[0] == 1.0
    after = seat_of(wild[-1]).memory.accounts
    assert (after.share[0], after.perp_coin[0]) == (0.0, 0.0)
    fell, calm = (float(found[-1].log_price[0]) for found in (wild, quiet))
    assert fell == pytest.approx(-0.03 - 1e-10 * before * SPOT * math.exp(-0.03), abs=1e-12)
    assert fell < calm - 1e-3


@pytest.mark.parametrize("shift", [0.1, 0.45, 0.6, 2.0])
def test_a_vol_move_at_one_price_sells_what_the_equity_no_longer_carries(shift: float) -> None:
    """k = (collateral + V0 - V(vol)) / (maintenance of calls and perp), by hand; the hedge then held is k times the delta at the new vol."""
    strike, years, sold, collateral = 66_000.0, 20 / 365, 2000.0, 1.5e7
    agent = account(options=book(((1, strike, years, -sold, 0.6),)), collateral_usd=collateral, hedge_share=1.0, backstop_hedge_share=0.4)
    trader = agent.at_work(Market(SPOT, TimeGrid.uniform(horizon_days=1e-6, step_minutes=1e-6 * 1440)))
    state, nothing = trader.init(1), np.zeros(1)
    view = replace(random_view(1), log_price=nothing, spot_usd=np.full(1, SPOT), vol_shift=nothing, live=np.ones(1, dtype=bool))
    demand = trader.act(view, random_account(1), state, lambda kind, count: nothing).demand
    assert demand is not None
    first, hedge = margined_twin.option(1, strike, years, 0.6, SPOT)
    value, delta = margined_twin.option(1, strike, years, 0.6 + shift, SPOT)
    each = sold * hedge / 12
    equity = collateral + sold * (first - value)
    needed = 0.06 * SPOT * sold + 12 * each * (0.012 + 4e-5 * each) * SPOT
    kept = min(max(equity, 0.0) / needed, 1.0)
    assert demand(nothing, np.full(1, shift))[1][0] == pytest.approx(sold * (kept * delta + 0.4 * (1.0 - kept) * delta - hedge), rel=1e-6)


def test_what_stays_open_needs_what_is_left_of_the_equity() -> None:
    """Without fees or impact equity after a call is the maintenance margin of the options and of the hedge that it came with, times the part that stays."""
    flat = replace(terms(), perp=SizeSlope(0.012, 0.0), perp_initial=SizeSlope(0.025, 0.0), perp_fee_share=0.0)
    agent = replace(
        account(options=book(ROWS[:2]), collateral_usd=1e7, hedge_share=1.0),
        terms=replace(flat, option=replace(flat.option, fee_share=0.0)),
    )
    market = world(agent, [0.0, 0.2], per_usd=1e-16, beta=0.0)
    found = states(market)
    own, trader, spot = seat_of(found[-1]).memory, agent.at_work(Market(SPOT, market.grid)), SPOT * math.exp(0.2)
    kept, hedge = own.accounts.share[0], abs(seat_of(found[1]).memory.accounts.perp_coin[0])
    assert 0.0 < kept < 1.0
    assert hedge > 0.0
    options, perp = trader.purses(2, found[-1].log_price, found[-1].vol_shift, own)
    assert (options + perp).equity_usd[0] == pytest.approx(kept * spot * (0.06 * 1600.0 + 0.012 * hedge), rel=1e-6)


class TestFigures:
    def test_margins_of_the_venue_s_table_by_hand(self) -> None:
        """60,000: a call at 63,000 worth 1,500 and a put at 50,000 worth 400; deep in the money a put asks for its own value's share."""
        rule = option_margin(load_rules("margin_deribit_btc"), parse_time_ns("2026-02-05T00:00:00Z"))
        at = {"spot_usd": 60_000.0}
        assert rule.maintenance_usd(1, mark_usd=1500.0, **at) == 0.075 * 60_000 + 1500
        assert rule.initial_usd(1, 63_000.0, mark_usd=1500.0, **at) == 0.15 * 60_000 - 3_000 + 1500
        assert rule.initial_usd(-1, 50_000.0, mark_usd=400.0, **at) == 0.1 * 60_000 + 400
        assert rule.maintenance_usd(-1, mark_usd=140_000.0, **at) == 1.075 * 140_000
        assert rule.initial_usd(-1, 200_000.0, mark_usd=140_000.0, **at) == 1.075 * 140_000
        assert rule.initial_usd(-1, 61_000.0, mark_usd=2_000.0, **at) == 0.15 * 60_000 + 2_000
        assert rule.fee_share == 0.002
        assert not rule.long_lends

    def test_a_venue_without_a_figure_is_refused(self) -> None:
        for venue in ("deribit_eth", "binance_btcusdt"):
            with pytest.raises(InputError, match="not 'option_maintenance_share'; add a dated, sourced row"):
                option_margin(load_rules(f"margin_{venue}"), parse_time_ns("2026-02-05T00:00:00Z"))
        with pytest.raises(InputError, match="add the earlier figure"):
            option_margin(load_rules("margin_deribit_btc"), parse_time_ns("2021-02-05T00:00:00Z"))

    def test_what_cannot_be_is_refused(self) -> None:
        with pytest.raises(InputError, match="of initial margin at the start"):
            states(world(account(collateral_usd=9e6), [0.0]))
        with pytest.raises(InputError, match="of initial margin at the start"):
            states(world(account("isolated", hedge_collateral_share=0.0), [0.0]))
        for words, changes in (
            ("delay_steps", {"delay_steps": -1}),
            ("collateral above 0", {"collateral_usd": 0.0}),
            ("fund_usd", {"fund_usd": math.nan}),
            ("backstop_hedge_share", {"backstop_hedge_share": 1.1}),
            ("at most 64", {"options": book(ROWS * 20)}),
        ):
            with pytest.raises(InputError, match=words):
                account(**changes)
        with pytest.raises(InputError, match="'cross' or 'isolated'"):
            terms("both")
        with pytest.raises(InputError, match="whole number"):
            terms(accounts=0)
        with pytest.raises(InputError, match="maintenance <= least"):
            OptionMargin(0.2, 0.15, 0.1, 0.0)
        with pytest.raises(InputError, match="damped"):
            world(account(delay_steps=1), [0.0, 0.0], clearing="damped")


def test_long_options_lend_nothing_unless_the_venue_lets_them() -> None:
    """The same account with and without the rule: what the long call is worth is missing from its equity."""
    strict, kind = account(collateral_usd=2e7), account(collateral_usd=2e7)
    kind = replace(kind, terms=replace(kind.terms, option=replace(kind.terms.option, long_lends=True)))
    grid, nothing = TimeGrid.uniform(horizon_days=1, step_minutes=60), np.zeros(1)
    has = []
    for agent in (strict, kind):
        trader = agent.at_work(Market(SPOT, grid))
        options, perp = trader.purses(0, nothing, nothing, trader.init(1))
        has.append(float(options.equity_usd[0] + perp.equity_usd[0]))
    _, strike, expiry, coin, iv = ROWS[3]
    worth = coin * margined_twin.option(1, strike, expiry, iv, SPOT)[0]
    assert has[1] == pytest.approx(2e7, rel=1e-9)
    assert has[1] - has[0] == pytest.approx(worth, rel=1e-9)


@pytest.mark.slow
def test_one_purse_is_called_less_often_than_two_with_the_same_money() -> None:
    """The same book, the same collateral, the same shocks."""
    called = {}
    for margin in ("cross", "isolated"):
        last = seat_of(states(world(account(margin, collateral_usd=2.2e7), JUMPY, per_usd=3e-11), paths=400)[-1]).memory
        called[margin] = np.unique(Takeovers.joined(last.events).path).size / 400
    assert called["cross"] < 0.5 * called["isolated"]


def test_the_closed_form_of_its_gain_is_what_it_buys_while_nobody_is_called() -> None:
    agent = account(options=book(ROWS[:2]), collateral_usd=4e7, hedge_share=0.8)
    found = margined_book_law(agent, Setting(SPOT, 0.0, 1e-6, 0.0, late=False, fades=False))
    assert found is not None
    trader = agent.at_work(Market(SPOT, TimeGrid.uniform(horizon_days=1e-6, step_minutes=1e-6 * 1440)))
    nothing, live, moves = np.zeros(3), np.ones(3, dtype=bool), np.array([-0.03, 0.01, 0.05])
    view = replace(random_view(1), log_price=nothing, spot_usd=nothing + SPOT, vol_shift=nothing, live=live)
    demand = trader.act(view, random_account(1), trader.init(3), lambda kind, count: nothing).demand
    assert found[0](moves, nothing)[1] == pytest.approx(demand(moves, nothing)[1], rel=1e-5)
    assert found[1] == "-Gamma$ (Black), nobody called"
