"""The closed loop keeps its books: coin and cash are conserved, idle agents change nothing, names and order change no bit."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.hedging.execution import AtOnce, Maker, Twap
from tailwag.hedging.policies import AtTimes, Band, EveryStep, Leland, NoHedge, Predictive, WhalleyWilmott, Zakamouline
from tailwag.sim.agents.dealer import Dealer, HedgeInstrument
from tailwag.sim.agents.protocol import no_orders
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import init, plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel, ReactiveDepth, SquareRootLaw
from tailwag.sim.option_book import OptionBook, book_greeks
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Costs, Scenario, VolDynamics
from tailwag.sim.state import PNL_PARTS, BlockPaths

SPOT = 60_000.0
STEPS = 48


def random_book(rng: np.random.Generator, *, rows: int = 5) -> OptionBook:
    return OptionBook(
        right=rng.choice([-1, 1], rows),
        strike_usd=SPOT * np.exp(rng.normal(0.0, 0.05, rows)),
        expiry_years=rng.choice([0.4, 0.75, 1.0, 7.0, 30.0], rows) / 365.0,
        contracts_coin=rng.normal(0.0, 200.0, rows),
        iv=rng.uniform(0.3, 1.0, rows),
        forward_ratio=rng.uniform(0.99, 1.01, rows),
        skew=rng.normal(0.0, 0.2, rows),
        averaged=rng.random(rows) < 0.3,
    )


def random_policy(rng: np.random.Generator, clearing: str):  # type: ignore[no-untyped-def]
    choices = [
        EveryStep(),
        NoHedge(),
        AtTimes(60.0),
        AtTimes(120.0, jitter_minutes=60.0),
        Band(half_width_usd=2e5),
        Band(half_width_coin=3.0, target="centre"),
        WhalleyWilmott(1e-6, 5.0),
        Zakamouline(1e-6, 5.0),
        Leland(5.0, 60.0),
    ]
    if clearing == "lagged":
        choices.append(Predictive())
    return choices[rng.integers(len(choices))]


def random_scenario(seed: int) -> Scenario:
    """Anything goes, short of a gain that leaves no clearing price."""
    rng = np.random.default_rng(seed)
    clearing = ("implicit", "lagged", "damped")[seed % 3]
    agents = []
    for number in range(int(rng.integers(1, 5))):
        delay = 1 if clearing == "damped" else int(rng.integers(1 if clearing == "lagged" else 0, 4))
        execution = AtOnce() if delay == 0 else (AtOnce(), Twap(3), Maker(0.4))[rng.integers(3)]
        held = {"gamma_usd": float(rng.normal(0.0, 1e8))} if rng.random() < 0.4 else {"options": random_book(rng)}
        policy = random_policy(rng, clearing)
        if "gamma_usd" in held and isinstance(policy, Leland | Zakamouline):
            policy = EveryStep()
        agents.append(
            Dealer(
                f"dealer {number}",
                policy,
                delay,
                iv=0.6,
                speed=float(rng.uniform(0.3, 1.0)),
                hedge_share=float(rng.uniform(0.5, 1.0)),
                after_expiry=("unwind", "hold")[rng.integers(2)],
                execution=execution,
                vega_hedge_share=0.5 if "options" in held and rng.random() < 0.3 else 0.0,
                instrument=HedgeInstrument("perp", funding_per_year=0.1, margin_share=0.05),
                **held,
            )
        )
    impacts = (
        ImpactModel(permanent_per_usd=3e-11),
        ImpactModel(permanent_per_coin=2e-6, transient_per_usd=2e-11, transient_half_life_minutes=60.0),
        ImpactModel(square_root=SquareRootLaw(10e9, 0.03, crossover_usd=1e7)),
        ImpactModel(permanent_per_usd=2e-11, depth_reacts=ReactiveDepth(1.0, 1e-9, 60.0, 0.5)),
    )
    return Scenario(
        spot_usd=SPOT,
        grid=TimeGrid.uniform(horizon_days=1.0, step_minutes=30.0),
        price=Gbm(vol=0.6),
        impact=impacts[int(rng.integers(len(impacts)))],
        agents=tuple(agents),
        clearing=clearing,
        vol=VolDynamics(spot_vol_beta=float(rng.normal(0.0, 0.5)), mean_reversion_per_day=1.0, vega_impact_per_usd=1e-10),
        costs=Costs(fee_bps=2.0, half_spread_bps=1.0, gas_usd=3.0),
    )


def digest(block: BlockPaths) -> str:
    parts = [block.log_price, block.fundamental_log, block.net_flow_usd, block.outcome]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def account_digest(block: BlockPaths, name: str) -> str:
    agent = next(agent for agent in block.agents if agent.name == name)
    parts = (agent.pnl_usd, agent.turnover_usd, agent.final_position_coin, agent.final_cash_usd, agent.gap_squared_usd)
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


@pytest.mark.parametrize("seed", range(30))
def test_coin_and_cash_are_conserved(seed: int) -> None:
    scenario = random_scenario(seed)
    block = run_block(plan_run(scenario, seed=seed), 0, 16, keep_agents=True)
    start = sum(agent.position_coin[:, 0] for agent in block.agents)
    end = sum(agent.final_position_coin for agent in block.agents)
    turnover = sum(agent.turnover_usd for agent in block.agents) + 1.0
    assert np.abs(end - start + block.liquidity_position_coin).max() * SPOT <= 1e-9 * turnover.max()
    cash = sum(agent.final_cash_usd for agent in block.agents) + block.liquidity_cash_usd + block.venue_cash_usd + block.holders_cash_usd
    assert np.abs(cash).max() <= 1e-9 * max(turnover.max(), np.abs(block.holders_cash_usd).max())


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_profit_closes_with_the_account(seed: int, split: bool) -> None:
    """Parts of the profit sum to the change of cash, coin and option value, which are kept separately."""
    scenario = random_scenario(seed)
    plan = plan_run(scenario, seed=seed, full_pnl=split)
    books = {seat.agent.name: getattr(seat.trader, "book", None) for seat in plan.seats}
    block = run_block(plan, 0, 16, keep_agents=True)
    live = block.outcome == 0
    for agent in block.agents:
        book = books[agent.name]  # its expiries stand on the time grid
        if book is None:
            continue
        spot = SPOT * np.exp(block.log_price)
        options = _end_value(book, block) - _start_value(book)
        account = agent.final_cash_usd + agent.final_position_coin * spot[:, -1] - agent.position_coin[:, 0] * SPOT + options
        total = agent.pnl_usd.sum(axis=0)
        scale = agent.turnover_usd + np.abs(agent.pnl_usd).sum(axis=0) + abs(_start_value(book)) + 1.0
        assert np.abs(account - total)[live].max(initial=0.0) <= 1e-9 * scale.max()


def _start_value(book: OptionBook) -> float:
    return float(book_greeks(book, 0.0, SPOT, np.zeros(1), np.zeros(1))[0, 0])


def _end_value(book: OptionBook, block: BlockPaths) -> np.ndarray:
    stay = book.where(book.expiry_years > block.time_years[-1] + 1e-9)
    shift = np.zeros(block.paths) if block.vol_shift is None else block.vol_shift[:, -1]
    if not stay.rows:
        return np.zeros(block.paths)
    return book_greeks(stay, float(block.time_years[-1]), SPOT, block.log_price[:, -1], shift)[0]


@pytest.mark.parametrize("seed", range(9))
def test_idle_agent_changes_no_bit(seed: int) -> None:
    scenario = random_scenario(seed)
    idle = Dealer("idle", NoHedge(), 1, options=random_book(np.random.default_rng(seed + 100)))
    asleep = Dealer("asleep", Band(half_width_usd=1e15), 1, gamma_usd=-1e6)
    watched = scenario.clearing == "damped" or any(isinstance(agent.policy, Predictive) for agent in scenario.agents)  # its gamma is public
    crowd = replace(scenario, agents=(idle, *scenario.agents) if watched else (idle, *scenario.agents, asleep))
    alone = run_block(plan_run(scenario, seed=5), 0, 16)
    together = run_block(plan_run(crowd, seed=5), 0, 16)
    assert digest(alone) == digest(together)
    assert all(agent.turnover_usd.max() == 0.0 for agent in together.agents if agent.name in ("idle", "asleep"))


@pytest.mark.parametrize("seed", range(12))
def test_names_and_order_change_no_bit(seed: int) -> None:
    scenario = random_scenario(seed)
    renamed = tuple(replace(agent, name=f"zz {len(scenario.agents) - place}") for place, agent in enumerate(scenario.agents))
    shuffled = replace(scenario, agents=tuple(reversed(renamed)))
    one = run_block(plan_run(scenario, seed=5), 0, 16)
    other = run_block(plan_run(shuffled, seed=5), 0, 16)
    assert digest(one) == digest(other)
    for agent, new in zip(scenario.agents, renamed):
        assert account_digest(one, agent.name) == account_digest(other, new.name)


@pytest.mark.parametrize("seed", range(6))
def test_any_block_split_gives_the_same_paths(seed: int) -> None:
    plan = plan_run(random_scenario(seed), seed=9)
    whole = run_block(plan, 0, 24)
    parts = [run_block(plan, first, count) for first, count in ((17, 7), (0, 16), (16, 1))]
    joined = np.concatenate([part.log_price for part in sorted(parts, key=lambda part: part.first_path)])
    assert (joined == whole.log_price).all()


def test_threads_change_no_bit() -> None:
    scenario = replace(random_scenario(1), agents=random_scenario(1).agents[:1])
    documents = [str(simulate(scenario, paths=2100, seed=3, threads=threads).metrics.to_document()) for threads in (1, 2, 4)]
    assert documents[0] == documents[1] == documents[2]


def test_profit_parts_are_named_once() -> None:
    assert len(set(PNL_PARTS)) == len(PNL_PARTS) == 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"clearing": "explicit"}, "clearing one of"),
        ({"spot_usd": 0.0}, "spot_usd"),
        ({"stop_log_move": 0.0}, "stop_log_move"),
        ({"agents": (Dealer("a", EveryStep(), 0, gamma_usd=1e6),), "clearing": "lagged"}, "delay_steps >= 1"),
        ({"agents": (Dealer("a", EveryStep(), 2, gamma_usd=1e6),), "clearing": "damped"}, "delay_steps = 1"),
        ({"agents": (Dealer("a", EveryStep(), 0, gamma_usd=-1e12),), "clearing": "implicit"}, "gain below 1"),
        ({"agents": (Dealer("a", EveryStep(), 1, gamma_usd=-1e12),), "clearing": "damped"}, "gain below 1"),
        (
            {"agents": (Dealer("a", EveryStep(), 0, gamma_usd=1e6), Dealer("a", EveryStep(), 0, gamma_usd=2e6)), "clearing": "implicit"},
            "different names",
        ),
    ],
)
def test_what_cannot_go_together_is_refused(change: dict, words: str) -> None:  # type: ignore[type-arg]
    base = random_scenario(0)
    with pytest.raises(InputError, match=words):
        replace(replace(base, agents=(), impact=ImpactModel(permanent_per_usd=3e-11)), **change)


def test_crossing_saves_costs_and_moves_nothing() -> None:
    """Two dealers on opposite sides: their orders meet, so that only the net pays; price, positions and impact are the same."""
    base = random_scenario(0)
    agents = (Dealer("short", EveryStep(), 0, gamma_usd=-3e8, iv=0.6), Dealer("long", EveryStep(), 0, gamma_usd=1e8, iv=0.6))
    open_book = replace(base, agents=agents, impact=ImpactModel(permanent_per_usd=3e-11), costs=Costs(fee_bps=2.0, half_spread_bps=1.0))
    crossed = replace(open_book, costs=Costs(fee_bps=2.0, half_spread_bps=1.0, internal_crossing=True))
    one, other = (run_block(plan_run(scenario, seed=1), 0, 8) for scenario in (open_book, crossed))
    assert digest(one) == digest(other)
    fees = {agent.name: agent.pnl_usd[PNL_PARTS.index("fees_usd")] for agent in other.agents}
    full = {agent.name: agent.pnl_usd[PNL_PARTS.index("fees_usd")] for agent in one.agents}
    assert fees["long"].max() == fees["long"].min() == 0.0
    assert fees["short"] == pytest.approx(full["short"] * 2.0 / 3.0, rel=1e-9)
    assert other.venue_cash_usd == pytest.approx(-fees["short"], rel=1e-9)


def test_an_order_on_its_way_comes_nearer_while_it_waits_for_an_auction() -> None:
    """One move in step 1, decided on at its end, two steps on the way, an auction every third: it is filled in step 3."""
    moves = np.zeros(9)
    moves[0] = 0.01
    dealer = Dealer("dealer", EveryStep(), 2, gamma_usd=-1e9, iv=0.6)
    grid = TimeGrid.uniform(horizon_days=9 / 1440, step_minutes=1.0)
    found = Scenario(SPOT, grid, Replay(moves), ImpactModel(permanent_per_usd=1e-16), (dealer,), "lagged", batch_steps=3)
    flows = np.asarray(run_block(plan_run(found, seed=1), 0, 1, keep_agents=True).agents[0].flow_usd)[0]
    assert np.flatnonzero(np.abs(flows) > 1.0).tolist() == [2]
    assert flows[2] == pytest.approx(1e9 * 0.01, rel=1e-5)


def test_nothing_to_buy_may_be_filled_in() -> None:
    orders = no_orders(3)
    orders.usd[:], orders.coin[0] = 5.0, 1.0
    assert no_orders(3).usd.tolist() == [0.0, 0.0, 0.0]


class OddStart:
    """A trader that starts with one number for all paths, or with none at all."""

    def __init__(self, inner: Any, coin: float, paths: int) -> None:
        self.inner, self.coin = inner, np.full(paths, coin)

    def __getattr__(self, word: str) -> Any:
        return getattr(self.inner, word)

    def start_coin(self, state: Any) -> Any:
        return self.coin


@pytest.mark.parametrize(("coin", "paths"), [(1.0, 1), (np.nan, 4)])
def test_a_start_that_is_no_number_for_each_path_is_refused(coin: float, paths: int) -> None:
    grid = TimeGrid.uniform(horizon_days=9 / 1440, step_minutes=1.0)
    dealer = Dealer("dealer", EveryStep(), 1, gamma_usd=-1e9, iv=0.6)
    plan = plan_run(Scenario(SPOT, grid, Gbm(0.6), ImpactModel(permanent_per_usd=1e-12), (dealer,), "lagged"), seed=1)
    odd = replace(plan, seats=(replace(plan.seats[0], trader=OddStart(plan.seats[0].trader, coin, paths)),))
    with pytest.raises(InputError, match=r"agent 'dealer': expected start_coin\(\) to answer with one finite number for each of 4 paths"):
        init(odd, 0, 4)
