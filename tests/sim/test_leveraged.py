"""Leveraged traders: levels, cascades, the venue's purse, conservation, and what dealers' gamma does to them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, norm
from tests.contracts.agent import AgentContract
from tests.sim.anchors import SPOT
from tests.sim.test_ladder import LAMBDA, borel_tanner

from tailwag.errors import InputError
from tailwag.hedging.policies import EveryStep
from tailwag.margin.contract import Contract
from tailwag.margin.funding import DeadBandFunding
from tailwag.margin.maintenance import SizeSlope
from tailwag.margin.rulebook import Rulebook
from tailwag.market.snapshot import Futures
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.leveraged import LeveragedTraders, trader_of
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import init, plan_run, step
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.leverage_buckets import LeverageBucket, buckets_from_open_interest, perp_open_interest_usd
from tailwag.sim.leveraged_accounts import Accounts, closing, settle
from tailwag.sim.liquidation_events import Against, Liquidations
from tailwag.sim.scenario import Scenario, starting_gain

NO_FUNDING = DeadBandFunding(0.00025, 0.005, 8.0)


def rules(
    contract: Contract = Contract.INVERSE, *, rounds: bool = False, deleverages: bool = True, margin: float = 0.005, fee: float = 0.0075
) -> Rulebook:
    return Rulebook("made", contract, SizeSlope(margin, 0.0), NO_FUNDING, fee, rounds, deleverages)


def scenario(moves: np.ndarray, *agents, clearing: str = "implicit", impact: ImpactModel | None = None, stop: float = 2.0) -> Scenario:
    return Scenario(
        spot_usd=SPOT,
        grid=TimeGrid.uniform(horizon_days=moves.size / 1440, step_minutes=1.0),
        price=Replay(log_returns=moves),
        impact=impact or ImpactModel(permanent_per_usd=LAMBDA),
        agents=agents,
        clearing=clearing,
        stop_log_move=stop,
    )


def recorded(world: Scenario, *, paths: int = 1, seed: int = 0):
    """The last state of a run whose leveraged traders keep every liquidation."""
    plan = plan_run(world, seed=seed)
    found = [isinstance(seat.agent, LeveragedTraders) for seat in plan.seats]
    seats = [
        replace(seat, trader=trader_of(seat.agent, world.spot_usd, records=True)) if mine else seat for seat, mine in zip(plan.seats, found)
    ]
    plan = replace(plan, seats=tuple(seats))
    state = init(plan, 0, paths)
    states = [state]
    for _ in range(world.grid.steps):
        state = step(plan, state)
        states.append(state)
    return states, found.index(True)


MIX = (
    LeverageBucket("long", 10.0, 4e8, 1e5, 0.02, accounts=7),
    LeverageBucket("long", 50.0, 2e8, 1e5, 0.01, accounts=9),
    LeverageBucket("short", 25.0, 3e8, 1e5, 0.015, accounts=8),
    LeverageBucket("short", 100.0, 1e8, 2e5, 0.01, accounts=5),
)


class TestLinearWhole(AgentContract):
    agent = LeveragedTraders("traders", 0, MIX, rules(Contract.LINEAR), fund_usd=1e5)


class TestInverseRounds(AgentContract):
    agent = LeveragedTraders("traders", 0, MIX, rules(rounds=True, deleverages=False, margin=0.01 - 1e-4), fund_usd=1e5)


class TestLateDrawn(AgentContract):
    agent = LeveragedTraders("traders", 1, MIX, rules(Contract.LINEAR, rounds=True), entries="drawn")


class TestLateFunded(AgentContract):
    """Funding moves no coin as long as it liquidates nobody."""

    far = (LeverageBucket("long", 3.0, 4e8, 1e5, 0.02, accounts=3), LeverageBucket("short", 2.0, 3e8, 1e5, 0.02, accounts=3))
    agent = LeveragedTraders("traders", 2, (*far, *MIX[2:]), rules(Contract.INVERSE, rounds=True), premium_share=0.001)


def conserved(world: Scenario, *, paths: int = 8, seed: int = 5) -> tuple[list, int]:
    """Runs and checks, after every step, that margin, fund, bad debt, funding from outside and open value move as the ledger says."""
    states, mine = recorded(world, paths=paths, seed=seed)
    agent = next(agent for agent in world.agents if isinstance(agent, LeveragedTraders))
    linear = agent.rules.contract is Contract.LINEAR
    first = states[0].seats[mine]
    for state in states[1:]:
        seat, spot = state.seats[mine], world.spot_usd * np.exp(state.log_price)
        had, has = first.memory.accounts, seat.memory.accounts
        coin, cash = seat.holding.position_coin - first.holding.position_coin, seat.holding.cash_usd
        if linear:  # USD: margins + fund - bad debt + funding from outside - cost of what is open = cash; coins = sizes open

            def money(book):
                return (book.wallet - book.side * book.size * book.entry).sum(axis=0) + book.fund - book.bad_debt + book.outside

            assert (has.side * (has.size - had.size)).sum(axis=0) == pytest.approx(coin, abs=1e-10 * had.size.sum())
            assert money(has) - money(had) == pytest.approx(cash, abs=1e-10 * (had.size.sum() * SPOT))
        else:  # coin: margins + fund - bad debt + outside + sizes / entry = coin; the USD owed = cash

            def coins(book):
                return (book.wallet - book.side * book.size * book.entry).sum(axis=0) + book.fund - book.bad_debt + book.outside

            scale = had.size.sum()
            assert coins(has) - coins(had) == pytest.approx(coin, abs=1e-10 * scale / SPOT)
            assert -(has.side * (has.size - had.size)).sum(axis=0) == pytest.approx(cash, abs=1e-10 * scale)
        assert (has.fund >= 0.0).all()
        assert (has.bad_debt >= -1e-12 * had.wallet.sum()).all()
        assert (has.size >= 0.0).all()
        assert np.isfinite(spot).all()
    return states, mine


@pytest.mark.parametrize("contract", list(Contract))
@pytest.mark.parametrize("rounds", [False, True])
@pytest.mark.parametrize("deleverages", [False, True])
@pytest.mark.parametrize("delay", [0, 1, 3])
def test_every_coin_and_dollar_is_somewhere(contract: Contract, rounds: bool, deleverages: bool, delay: int) -> None:
    agent = LeveragedTraders(
        "traders",
        delay,
        MIX,
        rules(contract, rounds=rounds, deleverages=deleverages, margin=0.008),
        fund_usd=3e5,
        premium_share=0.002,
        entries="drawn",
    )
    world = scenario(
        np.zeros(40), agent, Dealer("dealer", EveryStep(), max(delay, 1), gamma_usd=-2e9), clearing="lagged" if delay else "implicit"
    )
    world = replace(world, price=Gbm(vol=8.0))
    states, mine = conserved(world)
    last = states[-1].seats[mine].memory
    events = Liquidations.joined(last.events)
    assert events.rows > 0
    ours = np.abs(states[-1].seats[mine].holding.turnover_usd).sum()
    sold = events.usd[np.isin(events.against, (Against.MARKET, Against.FUND, Against.EMPTY_FUND))].sum()
    assert sold == pytest.approx(ours, rel=1e-9)  # every dollar traded is a liquidation with a price, a counterparty and a reason
    assert all(Against(int(code)).reason and Against(int(code)).words for code in np.unique(events.against))
    sides = [
        np.where(events.against == int(party), events.usd / events.price_usd if contract is Contract.LINEAR else events.usd, 0.0).sum()
        for party in (2, 3)
    ]
    assert sides[0] == pytest.approx(sides[1], rel=1e-9)  # what is deleveraged meets what was bankrupt, size for size
    assert (events.price_usd > 0.0).all()


@pytest.mark.parametrize("contract", list(Contract))
@pytest.mark.parametrize("rounds", [False, True])
@pytest.mark.parametrize("delay", [1, 2, 4])
def test_what_is_sent_to_the_market_is_not_deleveraged_before_it_arrives(contract: Contract, rounds: bool, delay: int) -> None:
    """Longs are called by a fall; before their orders arrive a rise ruins the shorts, and the longs rank first with an empty fund."""
    mix = (
        LeverageBucket("long", 10.0, 4e8, 1e5, 0.02, accounts=7),
        LeverageBucket("long", 25.0, 2e8, 1e5, 0.01, accounts=9),
        LeverageBucket("short", 12.0, 3e8, 1e5, 0.015, accounts=8),
        LeverageBucket("short", 30.0, 2e8, 2e5, 0.01, accounts=5),
    )
    agent = LeveragedTraders("traders", delay, mix, rules(contract, rounds=rounds, margin=0.008))
    moves = np.zeros(12)
    moves[1:3] = -0.05, 0.2
    states, mine = conserved(scenario(moves, agent, clearing="lagged", impact=ImpactModel(permanent_per_usd=1e-12)), paths=2)
    called = states[2].seats[mine].memory  # after the fall
    assert ((called.due > 0) & (called.accounts.side > 0.0)).any()
    events = Liquidations.joined(states[-1].seats[mine].memory.events)
    assert (events.against == int(Against.BANKRUPT)).any()


@pytest.mark.parametrize(("sent", "taken"), [(0.0, 1.0), (0.75, 0.25), (1.0, 0.0)])
def test_the_other_side_takes_over_no_more_than_is_not_sent_yet(sent: float, taken: float) -> None:
    """A short is bankrupt at 130 and the fund is empty; the only long on the other side has sold a part that has not arrived."""
    side, nothing = np.array([[1.0], [-1.0]]), np.zeros(1)
    entry, size, wallet = np.full((2, 1), 100.0), np.ones((2, 1)), np.full((2, 1), 10.0)
    accounts = Accounts(side, np.full((2, 1), 0.01), entry, size, wallet, *(nothing for _ in range(5)))
    on_its_way, price = np.array([[sent], [0.0]]), np.array([130.0])
    wants = np.array([[0.0], [1.0]])
    closed = closing(accounts, rules(Contract.LINEAR), wants, mark_usd=price, fill_usd=price, sent=on_its_way)
    assert closed.taken[:, 0].tolist() == pytest.approx([0.0, taken])
    assert closed.sold[:, 0].tolist() == pytest.approx([0.0, 1.0 - taken])
    after, against = settle(accounts, rules(Contract.LINEAR), closed, mark_usd=price, fill_usd=price, sent=on_its_way)
    net_closed = (side * (accounts.size - after.size)).sum()
    assert net_closed == pytest.approx(taken - 1.0)  # at the market, and by nobody else
    assert after.bad_debt[0] == pytest.approx(20.0 * (1.0 - taken))  # 30 lost a coin at the market, 10 of them covered
    assert against[0, 0] == pytest.approx(taken)


def ladder_like(
    count: int, *, width: float = 1.0, leverage: float = 100.0, level_usd: float = 1e-3 / LAMBDA, side: str = "long"
) -> LeveragedTraders:
    """Inverse longs of one size, entries scattered so wide that levels are as good as evenly spread near the start."""
    bucket = LeverageBucket(side, leverage, count * level_usd, 1e5, width, accounts=count)
    return LeveragedTraders("traders", 0, (bucket,), rules(fee=0.0), entries="drawn")


@pytest.mark.parametrize(
    ("branching", "paths"),
    [(0.3, 1_500), pytest.param(0.3, 14_000, marks=pytest.mark.slow), pytest.param(0.6, 30_000, marks=pytest.mark.slow)],
)
def test_t16_cascade_sizes_are_borel_tanner(branching: float, paths: int) -> None:
    """One size of position at random levels: a shock that ``hits`` of them reach liquidates a Borel-Tanner number."""
    hits, delta, count = 2.0, 1e-3, 400
    agent = ladder_like(count, width=count * delta / branching * math.sqrt(2.0 / math.pi))
    rate = float(agent.density_usd(np.array([-1e-9]), SPOT)[0]) * LAMBDA / delta
    assert rate * delta == pytest.approx(branching, rel=0.02)
    branching = rate * delta
    plan = plan_run(scenario(np.array([-hits / rate]), agent), seed=4)
    blocks = [run_block(plan, first, 500) for first in range(0, paths, 500)]
    found = np.round(np.concatenate([np.abs(block.log_price - block.fundamental_log)[:, -1] for block in blocks]) / delta)
    mean, error = found.mean(), found.std() / math.sqrt(found.size)
    assert abs(mean - hits / (1.0 - branching)) < 4.0 * error
    assert paths < 10_000 or error < 0.01 * mean
    assert abs(mean - hits / (1.0 - 0.5 * branching)) > 4.0 * error
    bins = np.arange(0, 10)
    expected, wrong = (np.append(borel_tanner(bins.astype(float), hits, rate), 0.0) for rate in (branching, 0.85 * branching))
    expected[-1], wrong[-1] = 1.0 - expected.sum(), 1.0 - wrong.sum()
    observed = np.append([(found == k).sum() for k in bins], (found > 9).sum())
    statistics = [((observed - found.size * law) ** 2 / (found.size * law)).sum() for law in (expected, wrong)]
    assert statistics[0] < chi2.ppf(1.0 - 1e-4, bins.size)
    assert paths < 10_000 or statistics[1] > chi2.ppf(1.0 - 1e-4, bins.size)


def cluster(notional: float, accounts: int = 4000) -> LeveragedTraders:
    """Longs whose levels are normal around -5 % with a width of 1 %: the limit in which accounts are a continuous ladder."""
    leverage = 1.0 / (1.005 / math.exp(-0.05) - 1.0)  # inverse: level = (1 + m) / (1 + 1 / L)
    return LeveragedTraders("traders", 0, (LeverageBucket("long", leverage, notional, 1e5, 0.01, accounts=accounts),), rules(fee=0.0))


@pytest.mark.parametrize(
    ("notional", "move", "rest"),
    [(0.6e9, 0.03, 0.030473), (0.6e9, 0.04, 0.047373), (0.6e9, 0.045, 0.061128), (1.0e9, 0.035, 0.039688), (1.0e9, 0.04, 0.070352)],
)
def test_t16_many_accounts_rest_at_the_smallest_fixed_point(notional: float, move: float, rest: float) -> None:
    found = -run_block(plan_run(scenario(np.array([-move]), cluster(notional)), seed=0), 0, 1).log_price[0, -1]
    assert found == pytest.approx(rest, abs=2e-5)
    assert found == pytest.approx(move + LAMBDA * notional * norm.cdf((found - 0.05) / 0.01), abs=LAMBDA * notional / 4000)


@pytest.mark.parametrize(("notional", "fold"), [(1.0e9, 0.0355068), (1.5e9, 0.0326923)])
def test_t16_fold(notional: float, fold: float) -> None:
    before, after = (
        -run_block(plan_run(scenario(np.array([-(fold + hair)]), cluster(notional)), seed=0), 0, 1).log_price[0, -1]
        for hair in (-2e-5, 2e-5)
    )
    assert before < 0.05 < after


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize(
    ("contract", "expected"),
    [(Contract.LINEAR, {"long": 54271.3568, "short": 65671.6418}), (Contract.INVERSE, {"long": 54818.1818, "short": 66333.3333})],
)
def test_t17_accounts_are_liquidated_at_their_price_and_not_before(side: str, contract: Contract, expected: dict[str, float]) -> None:
    bucket = LeverageBucket(side, 10.0, 1e8, 1e5, 1e-6, accounts=1)
    agent = LeveragedTraders("traders", 0, (bucket,), rules(contract))
    way = -1.0 if side == "long" else 1.0
    for hair, sold in ((1e-6, False), (-1e-6, True)):
        move = math.log(expected[side] / SPOT) - way * hair
        block = run_block(plan_run(scenario(np.array([move]), agent, impact=ImpactModel()), seed=0), 0, 1)
        assert bool(block.agents[0].turnover_usd[0] > 0.0) is sold
    assert math.exp(bucket.level_log(agent.rules, SPOT)[0]) * SPOT == pytest.approx(expected[side], abs=1e-4)


def test_gains_of_dealers_and_leverage_add() -> None:
    """g_total = g_dealers + lambda l(x), stated at the start and measured by a small move: 0.3 of a dealer, 0.25 of leverage."""
    bucket = LeverageBucket("long", 100.0, 1.0, 1e5, 0.02, accounts=4000)
    unit = float(bucket.density_usd(np.array([-1e-9]), rules(fee=0.0), SPOT)[0])
    agent = LeveragedTraders("traders", 0, (replace(bucket, notional_usd=0.25 / LAMBDA / unit),), rules(fee=0.0))
    dealer = Dealer("dealer", EveryStep(), 0, gamma_usd=-0.3 / LAMBDA)
    world = scenario(np.array([-2e-4]), agent, dealer)
    assert starting_gain(world) == pytest.approx(0.55, rel=1e-7)
    moved = -run_block(plan_run(world, seed=0), 0, 1).log_price[0, -1]
    assert 1.0 - 2e-4 / moved == pytest.approx(0.55, rel=0.02)
    with pytest.raises(InputError, match="gain below 1"):
        scenario(np.zeros(1), replace(agent, buckets=(replace(agent.buckets[0], notional_usd=1.1 / LAMBDA / unit),)))


def test_dealers_long_gamma_shrink_a_cascade_and_short_gamma_swells_it() -> None:
    """Same shocks, same leverage, gain of the dealer -0.5, 0, 0.35: USD liquidated, differences with their errors."""
    traders = LeveragedTraders("traders", 1, tuple(replace(bucket, accounts=40) for bucket in MIX), rules(Contract.LINEAR), fund_usd=1e7)
    moves = 96
    totals = []
    for gain in (-0.5, 0.0, 0.35):
        agents = (traders, Dealer("dealer", EveryStep(), 1, gamma_usd=-gain / LAMBDA)) if gain else (traders,)
        base = scenario(np.zeros(moves), *agents, clearing="lagged")
        block = run_block(plan_run(replace(base, price=Gbm(vol=1.5)), seed=11), 0, 400)
        totals.append(block.agents[0].turnover_usd)
    calm, alone, wild = totals
    for less, more in ((calm, alone), (alone, wild)):
        gap = more - less
        assert gap.mean() > 4.0 * gap.std() / math.sqrt(gap.size)


def test_a_bankrupt_long_is_paid_by_the_fund_then_by_the_shorts() -> None:
    """One long of 100 coins at 60,000 on 1,200 x 100 USD of margin (50 x), closed at 57,000 by one jump: 180,000 short of its 300,000 loss.

    Worked by hand: margin 120,000, loss at the fill 300,000, so 180,000 lack.  The fund has 45,000: three quarters of the position go to the
    short at the bankruptcy price 58,800, a quarter is sold at 57,000.  The short made 3,000 a coin and gets 1,200 on 75 coins.
    """
    longs = LeverageBucket("long", 50.0, 6e6, 6e6, 1e-6, accounts=1)
    shorts = LeverageBucket("short", 5.0, 6e6, 6e6, 1e-6, accounts=1)
    venue = Rulebook("made", Contract.LINEAR, SizeSlope(0.005, 0.0), NO_FUNDING, 0.0, rounds=False, deleverages=True, collateral_floor=1.0)
    agent = LeveragedTraders("traders", 0, (longs, shorts), venue, fund_usd=45_000.0)
    world = replace(scenario(np.array([math.log(57_000.0 / 60_000.0)]), agent, impact=ImpactModel()), spot_usd=60_000.0)
    states, mine = conserved(world, paths=1)
    after = states[-1].seats[mine].memory.accounts
    # nothing moves but the price: the fill is half way between the price before trading and after, which are both 57,000
    assert after.fund[0] == pytest.approx(0.0, abs=1.0)
    assert after.size[:, 0] == pytest.approx([0.0, 25.0], rel=1e-4)
    assert after.wallet[1, 0] == pytest.approx(1_200_000.0 + 75.0 * 1_200.0, rel=1e-4)
    assert after.bad_debt[0] == pytest.approx(0.0, abs=1e-6)
    assert states[-1].seats[mine].holding.turnover_usd[0] == pytest.approx(25.0 * 57_000.0, rel=1e-4)
    events = Liquidations.joined(states[-1].seats[mine].memory.events)
    assert events.against.tolist() == [Against.FUND, Against.OTHER_SIDE, Against.BANKRUPT]
    assert events.price_usd == pytest.approx([57_000.0, 58_800.0, 58_800.0], rel=1e-5)
    assert events.side.tolist() == [1.0, 1.0, -1.0]
    shared = replace(agent, rules=replace(venue, deleverages=False))
    empty, place = conserved(replace(world, agents=(replace(shared, fund_usd=0.0),)), paths=1)
    assert Liquidations.joined(empty[-1].seats[place].memory.events).against.tolist() == [Against.EMPTY_FUND], "no fund paid anything"
    states, mine = conserved(replace(world, agents=(shared,)), paths=1)
    after = states[-1].seats[mine].memory.accounts
    assert after.size[:, 0] == pytest.approx([0.0, 100.0], rel=1e-4)
    assert after.wallet[1, 0] == pytest.approx(1_200_000.0 - 135_000.0, rel=1e-4)  # the winner bears what the fund did not


def test_rounds_sell_less_than_the_whole_and_stop_when_margin_is_met() -> None:
    """A price 0.2 % past the level: a round leaves equity / (m price) and the account then stands exactly at its maintenance margin."""
    bucket = LeverageBucket("long", 20.0, 1e7, 1e5, 1e-6, accounts=1)
    venue = rules(Contract.LINEAR, rounds=True, margin=0.01, fee=0.0)
    level = bucket.level_log(venue, SPOT)[0]
    world = scenario(np.array([level - 0.002, 0.0]), LeveragedTraders("traders", 0, (bucket,), venue), impact=ImpactModel())
    states, mine = conserved(world, paths=1)
    price = SPOT * math.exp(level - 0.002)
    book = states[1].seats[mine].memory.accounts
    equity = (book.wallet + book.side * book.size * (price - book.entry))[0, 0]
    assert equity == pytest.approx(0.01 * book.size[0, 0] * price, rel=1e-9)
    bankruptcy = SPOT * 0.95
    assert book.size[0, 0] == pytest.approx(1e7 / SPOT * (price - bankruptcy) / (0.01 * price), rel=1e-4)
    assert states[2].seats[mine].memory.accounts.size[0, 0] == pytest.approx(book.size[0, 0], rel=1e-6)
    whole = replace(venue, rounds=False)
    states, mine = conserved(replace(world, agents=(LeveragedTraders("traders", 0, (bucket,), whole),)), paths=1)
    assert states[1].seats[mine].memory.accounts.size[0, 0] == 0.0


def test_funding_is_paid_by_longs_at_a_premium_and_liquidates_the_thinnest() -> None:
    """A day at 0.1 % premium under Deribit's formula: 0.075 % per 8 hours of the value at each step."""
    longs, shorts = LeverageBucket("long", 5.0, 6e6, 1e5, 1e-6, accounts=1), LeverageBucket("short", 5.0, 3e6, 1e5, 1e-6, accounts=1)
    agent = LeveragedTraders("traders", 0, (longs, shorts), rules(Contract.LINEAR), premium_share=0.001)
    states, mine = conserved(scenario(np.zeros(480), agent), paths=1)
    before, after = (states[place].seats[mine].memory.accounts for place in (0, -1))
    assert (after.wallet - before.wallet)[:, 0] == pytest.approx([-6e6 * 0.00075, 3e6 * 0.00075], rel=1e-9)
    assert after.outside[0] == pytest.approx(3e6 * 0.00075, rel=1e-9)
    for _ in range(1):
        thin = replace(longs, leverage=190.0)
        states, mine = conserved(scenario(np.zeros(480), replace(agent, buckets=(thin,))), paths=1)
        assert states[-1].seats[mine].memory.accounts.size[0, 0] == 0.0


def test_open_interest_becomes_buckets_and_nonsense_is_refused() -> None:
    mix = buckets_from_open_interest(8e9, longs={10.0: 0.25, 50.0: 0.05}, shorts={5.0: 0.3}, account_usd=1e5)
    agent = LeveragedTraders("traders", 0, mix, rules(Contract.LINEAR))
    state = agent.at_work(type("M", (), {"spot_usd": SPOT})()).init(1, lambda kind, count: np.full(1, 0.5))
    held = (state.accounts.side * state.accounts.size).sum() * SPOT
    assert held == pytest.approx(8e9 * (0.3 - 0.3), abs=1.0)
    assert state.accounts.size.sum() * SPOT == pytest.approx(8e9 * 0.6)
    assert state.accounts.wallet.sum() == pytest.approx(8e9 * (0.25 / 10 + 0.05 / 50 + 0.3 / 5), rel=0.01)
    for wrong in ({"longs": {10.0: 1.2}, "shorts": {}}, {"longs": {10.0: -0.1}, "shorts": {}}):
        with pytest.raises(InputError, match="sum to 1"):
            buckets_from_open_interest(8e9, account_usd=1e5, **wrong)
    with pytest.raises(InputError, match="liquidated at once"):
        LeveragedTraders("traders", 0, (LeverageBucket("long", 500.0, 1e6, 1e5),), rules()).starting_dollar_gamma_usd(SPOT)
    for change in ({"delay_steps": -1}, {"buckets": ()}, {"fund_usd": -1.0}, {"premium_share": 3.0}, {"entries": "some"}):
        with pytest.raises(InputError):
            replace(agent, **change)
    for change in ({"side": "flat"}, {"leverage": 0.0}, {"notional_usd": -1.0}, {"entry_width_log": 0.0}, {"accounts": 0}):
        with pytest.raises(InputError):
            replace(mix[0], **change)


def test_a_snapshot_states_the_open_interest_of_its_perps() -> None:
    futures = Futures.from_columns(
        instrument=["BTC-PERPETUAL", "BTC_USDC-PERPETUAL", "BTC-27MAR26", "BTCUSDT", "BTCUSD"],
        venue=["deribit", "deribit", "deribit", "binance", "bybit"],
        kind=["perp", "perp", "future", "perp", "perp"],
        open_interest_usd=[1.0e9, 0.25e9, 9e9, 6e9, np.nan],
    )
    assert perp_open_interest_usd(futures) == pytest.approx(7.25e9)
    assert perp_open_interest_usd(futures, venue="deribit") == pytest.approx(1.25e9)
    with pytest.raises(InputError, match="on bybit"):
        perp_open_interest_usd(futures, venue="bybit")


def test_entries_are_those_of_the_accounts_that_are_alive() -> None:
    """Longs of 50 x whose entries scatter by 5 %: quantiles of the normal law cut where an account would already be liquidated."""
    bucket, venue = LeverageBucket("long", 50.0, 1e8, 1e5, 0.05, accounts=100), rules()
    mean, _ = bucket.level_log(venue, SPOT)
    found = bucket.entries_log(np.array([0.1, 0.5, 0.9]), venue, SPOT)
    cut = norm.cdf(-mean / 0.05)
    assert found == pytest.approx(0.05 * norm.ppf(np.array([0.1, 0.5, 0.9]) * cut), abs=1e-6)
    assert (found + mean < 0.0).all()
    there = np.linspace(-0.5, -1e-9, 20_001)
    density = bucket.density_usd(there, venue, SPOT)
    assert np.trapezoid(density, there) == pytest.approx(1e8, rel=1e-4)
    assert not bucket.density_usd(-there, venue, SPOT)[:-1].any()
