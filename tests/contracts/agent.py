"""What every agent of the simulated market must keep; inherit, set `agent`, and add the agent's own table of play."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from tailwag.hedging.policies import EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.protocol import Account, Agent, Market, View
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import AGENT_STREAMS, RunPlan, init, plan_run, step
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_model import OptionModel, OptionTerms
from tailwag.sim.scenario import Costs, Scenario
from tailwag.sim.state import BlockPaths

SPOT = 60_000.0
STEPS, PATHS = 12, 16
STEP_MINUTES = 30.0
OPTIONS = OptionTerms(iv=0.6)
HALF_HOUR = STEP_MINUTES / 525_600
IMPACT = ImpactModel(permanent_per_usd=2e-11, transient_per_usd=1e-11, transient_half_life_minutes=60.0)
OTHERS = (Dealer("zoe", EveryStep(), 1, gamma_usd=-3e8, iv=0.6), Dealer("ann", EveryStep(), 2, gamma_usd=2e8, iv=0.6))


def market(*agents: Agent, **changes: Any) -> Scenario:
    """Six hours of a busy market with costs and impact that stays and passes."""
    delays = [agent.delay_steps for agent in agents]
    given = {
        "spot_usd": SPOT,
        "grid": TimeGrid.uniform(horizon_days=STEPS * STEP_MINUTES / 1440, step_minutes=STEP_MINUTES),
        "price": Gbm(vol=0.6),
        "impact": IMPACT,
        "clearing": "lagged" if delays and min(delays) > 0 else "implicit",
        "costs": Costs(fee_bps=2.0, half_spread_bps=1.0, gas_usd=3.0),
        "options": OPTIONS,
    }
    return Scenario(agents=agents, **{**given, **changes})


def flat(steps: int = STEPS) -> Replay:
    """Nothing moves the price."""
    return Replay(np.zeros(steps))


def frozen_arrays(noun: Any) -> Any:
    """Make every array inside a noun read-only, however deep: whoever writes into it fails."""
    if isinstance(noun, np.ndarray):
        noun.setflags(write=False)
    elif isinstance(noun, tuple | list):
        for part in noun:
            frozen_arrays(part)
    elif is_dataclass(noun):
        for field in fields(noun):
            frozen_arrays(getattr(noun, field.name))
    return noun


def prices_digest(block: BlockPaths) -> str:
    """The market of a block as one word."""
    return _digest(
        block.log_price, block.fundamental_log, block.net_flow_usd, block.outcome, block.liquidity_cash_usd, block.venue_cash_usd
    )


def account_digest(block: BlockPaths, name: str) -> str:
    """One agent's account as one word."""
    mine = next(agent for agent in block.agents if agent.name == name)
    return _digest(mine.turnover_usd, mine.trades, mine.pnl_usd, mine.gap_squared_usd, mine.final_position_coin, mine.final_cash_usd)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def renamed(agent: Any, name: str) -> Any:
    """The same agent under another name; an agent of your own that is no dataclass overrides `renamed` in its test."""
    return replace(agent, name=name)


def rows_of(noun: Any, rows: slice) -> Any:
    """The chosen paths of a view or an account."""
    taken = {f.name: getattr(noun, f.name)[rows] for f in fields(noun) if isinstance(getattr(noun, f.name), np.ndarray)}
    return replace(noun, **taken)


class AgentContract:
    """Inherit, set `agent`; get conservation, reproducibility, independence of blocks, order and name, purity, and rest in a flat market.

    ``decays``: the agent answers time alone, so a market that stands still does not keep it idle.
    """

    agent: Agent
    decays: bool = False

    def test_is_an_agent(self) -> None:
        assert isinstance(self.agent, Agent)
        assert self.agent.name
        assert self.agent.delay_steps >= 0
        assert np.isfinite(self.agent.starting_dollar_gamma_usd(SPOT))

    def test_answers_for_every_path(self) -> None:
        trader, memory = self._at_work()
        view, account = random_view(1), random_account(2)
        orders = trader.act(view, account, memory, _halves(PATHS))
        assert orders.usd.shape == orders.coin.shape == (PATHS,)
        assert np.isfinite(orders.usd).all()
        assert np.isfinite(orders.coin).all()
        assert (orders.demand is None) or self.agent.delay_steps == 0, "only same-step orders can be sized at the clearing price"
        assert trader.start_coin(memory).shape == (PATHS,)
        for told in (
            trader.dollar_gamma_usd(1, view.log_price, view.vol_shift, memory),
            trader.hedged_vega_usd(1, view.log_price, view.vol_shift, memory),
            trader.gap_usd(1, view.log_price, view.spot_usd, view.vol_shift, account, memory),
        ):
            assert told.shape == (PATHS,)
            assert np.isfinite(told).all()

    def test_a_demand_has_the_slope_that_it_states(self) -> None:
        trader, memory = self._at_work()
        view, nothing = random_view(4), np.zeros(PATHS)
        demand = trader.act(view, random_account(5), memory, _halves(PATHS)).demand
        if demand is None:
            return
        width = 1e-6
        low, middle, high = (demand(view.log_price + shift, nothing) for shift in (-width, 0.0, width))
        for amount, slope in ((0, 2), (1, 3)):
            measured = (high[amount] - low[amount]) / (2.0 * width)
            assert measured == pytest.approx(np.broadcast_to(middle[slope], measured.shape), rel=1e-4, abs=1e-7 * np.abs(measured).max())

    def test_a_choice_of_paths_is_answered_as_among_all(self) -> None:
        trader, memory = self._at_work()
        view = random_view(4)
        orders = trader.act(view, random_account(5), memory, _halves(PATHS))
        if orders.demand is None or orders.some is None:
            return
        for distance in (0.0, 0.01, -0.03):
            price, shift = view.log_price + distance, np.full(PATHS, 0.02)
            everywhere = orders.demand(price, shift)
            for chosen in (np.arange(PATHS), np.array([1]), np.array([], dtype=np.int64)):
                alone = orders.some(chosen)(price[chosen], shift[chosen])
                for one, other in zip(alone, everywhere):
                    assert (np.broadcast_to(one, chosen.shape) == other[chosen]).all()

    def test_coin_and_cash_are_conserved(self) -> None:
        scenario = market(self.agent, *OTHERS)
        block = run_block(plan_run(scenario, seed=3), 0, PATHS, keep_agents=True)
        start = sum(np.asarray(agent.position_coin)[:, 0] for agent in block.agents)
        coin = sum(agent.final_position_coin for agent in block.agents) - start + block.liquidity_position_coin
        cash = (
            sum(agent.final_cash_usd for agent in block.agents) + block.liquidity_cash_usd + block.venue_cash_usd + block.holders_cash_usd
        )
        scale = sum(agent.turnover_usd for agent in block.agents).max() + np.abs(block.holders_cash_usd).max() + 1.0
        assert np.abs(coin).max() * SPOT <= 1e-9 * scale
        assert np.abs(cash).max() <= 1e-9 * scale

    def test_the_same_seed_gives_the_same_bits_and_another_does_not(self) -> None:
        one, again, other = (run_block(plan_run(market(self.agent, *OTHERS), seed=seed), 0, PATHS) for seed in (3, 3, 4))
        assert prices_digest(one) == prices_digest(again)
        assert account_digest(one, self.agent.name) == account_digest(again, self.agent.name)
        assert prices_digest(one) != prices_digest(other)

    def test_any_block_split_gives_the_same_paths(self) -> None:
        plan = plan_run(market(self.agent, *OTHERS), seed=5)
        whole = run_block(plan, 0, PATHS)
        parts = [run_block(plan, first, count) for first, count in ((0, 5), (5, 1), (6, PATHS - 6))]
        assert (np.concatenate([part.log_price for part in parts]) == whole.log_price).all(), "another split gave other prices"
        mine = [next(agent for agent in block.agents if agent.name == self.agent.name) for block in (*parts, whole)]
        assert (np.concatenate([agent.pnl_usd for agent in mine[:-1]], axis=1) == mine[-1].pnl_usd).all()

    def test_order_and_names_change_no_bit(self) -> None:
        agents = (self.agent, *OTHERS)
        new = [self.renamed(agent, f"name {9 - place}") for place, agent in enumerate(agents)]
        assert [agent.content() for agent in new] == [agent.content() for agent in agents], "content() must leave the name out"
        one = run_block(plan_run(market(*agents), seed=6), 0, PATHS)
        other = run_block(plan_run(market(*reversed(new)), seed=6), 0, PATHS)
        assert prices_digest(one) == prices_digest(other)
        for agent, again in zip(agents, new):
            assert account_digest(one, agent.name) == account_digest(other, again.name)

    def test_transitions_write_into_nothing(self) -> None:
        """Every array of a state is made read-only before it is stepped, twice: the run and its bits stay."""
        plan = plan_run(market(self.agent, *OTHERS), seed=7)
        state = frozen_arrays(init(plan, 0, PATHS))
        for _ in range(STEPS):
            first, second = step(plan, state), step(plan, state)
            assert _digest(first.log_price, first.net_flow_usd) == _digest(second.log_price, second.net_flow_usd)
            state = frozen_arrays(first)
        assert (run_block(plan, 0, PATHS).log_price[:, -1] == state.log_price).all()

    def test_acting_is_a_pure_function(self) -> None:
        trader, memory = self._at_work()
        view, account = frozen_arrays(random_view(1)), frozen_arrays(random_account(2))
        frozen_arrays(memory)
        first, second = (trader.act(view, account, memory, _halves(PATHS)) for _ in range(2))
        assert _digest(first.usd, first.coin) == _digest(second.usd, second.coin)
        if first.demand is not None and second.demand is not None:
            there = frozen_arrays(view.log_price + 0.01)
            assert _digest(*first.demand(there, view.vol_shift)) == _digest(*second.demand(there, view.vol_shift))

    def test_paths_do_not_see_each_other(self) -> None:
        trader, _ = self._at_work()
        view, account = random_view(8), random_account(9)
        whole = trader.act(view, account, trader.init(PATHS, _halves(PATHS)), _halves(PATHS))
        for rows in (slice(0, 3), slice(3, 4)):
            count = rows.stop - rows.start
            part = trader.act(rows_of(view, rows), rows_of(account, rows), trader.init(count, _halves(count)), _halves(count))
            assert (part.usd == whole.usd[rows]).all(), "a path saw other paths"
            assert (part.coin == whole.coin[rows]).all(), "a path saw other paths"

    def test_idle_while_nothing_moves(self) -> None:
        block = self.run(flat())
        mine = block.agents[0]
        if self.decays:
            assert mine.turnover_usd.min() > 0.0, "said to answer time alone, and did not"
            return
        assert not mine.turnover_usd.any()
        assert not block.log_price.any()

    def test_a_stopped_path_is_left_alone(self) -> None:
        """The market halts at the first jump: nobody trades afterwards."""
        moves = np.zeros(STEPS)
        moves[2:] = 0.02
        plan = plan_run(market(self.agent, price=Replay(moves), halt_log_move=0.01), seed=1)
        state = init(plan, 0, 4)
        for _ in range(3):
            state = step(plan, state)
        held = state.seats[0].holding.position_coin.copy()
        for _ in range(3, STEPS):
            state = step(plan, state)
            assert not state.net_flow_usd.any()
        assert (state.seats[0].holding.position_coin == held).all()

    def renamed(self, agent: Agent, name: str) -> Agent:
        """The same agent under another name."""
        return renamed(agent, name)

    def run(self, price: Any, **changes: Any) -> BlockPaths:
        """This agent alone, on 4 paths."""
        return run_block(plan_run(market(self.agent, price=price, **changes), seed=1), 0, 4, keep_agents=True)

    def plays(
        self,
        *,
        prices: Sequence[float],
        expected_usd: Sequence[float] | None = None,
        expected_coin: Sequence[float] | None = None,
        rel: float = 1e-9,
    ) -> None:
        """The agent buys these amounts (+) as the price goes through ``prices``, the first of which is the start; its trades move nothing.

        One amount for each step: what was filled in it, in USD at the price of the step, or in coin.
        """
        path = np.asarray(prices, dtype=np.float64)
        grid = TimeGrid.uniform(horizon_days=(path.size - 1) * STEP_MINUTES / 1440, step_minutes=STEP_MINUTES)
        quiet = {"impact": ImpactModel(), "costs": Costs(), "grid": grid, "spot_usd": float(path[0]), "stop_log_move": 5.0}
        block = self.run(Replay(np.diff(np.log(path))), **quiet)
        mine = block.agents[0]
        for expected, found in (
            (expected_usd, np.asarray(mine.flow_usd)[0]),
            (expected_coin, np.diff(np.asarray(mine.position_coin)[0])),
        ):
            if expected is not None:
                assert found == pytest.approx(np.asarray(expected), rel=rel, abs=1e-7)

    def _at_work(self) -> tuple[Any, Any]:
        grid = TimeGrid.uniform(horizon_days=1.0, step_minutes=STEP_MINUTES)
        trader = self.agent.at_work(Market(SPOT, grid, option_model=OptionModel(OPTIONS, grid, SPOT)))
        return trader, trader.init(PATHS, _halves(PATHS))


def random_view(seed: int) -> View:
    """Sixteen paths somewhere in the first step."""
    rng = np.random.default_rng(seed)
    log_price = 0.02 * rng.standard_normal(PATHS)
    return View(
        step=1,
        time_years=HALF_HOUR,
        step_years=HALF_HOUR,
        log_price=log_price,
        spot_usd=SPOT * np.exp(log_price),
        vol_shift=np.zeros(PATHS),
        last_log_price=log_price - 0.005 * rng.standard_normal(PATHS),
        market_gain=rng.uniform(-0.5, 0.5, PATHS),
        live=np.ones(PATHS, dtype=bool),
    )


def random_account(seed: int) -> Account:
    """Accounts that hold something, with nothing on its way."""
    rng = np.random.default_rng(seed)
    nothing = np.zeros(PATHS)
    return Account(10.0 * rng.standard_normal(PATHS), 1e6 * rng.standard_normal(PATHS), 1e6 * rng.standard_normal(PATHS), nothing, nothing)


def _halves(paths: int) -> Any:
    """A draw that is 0.5 always."""
    return lambda kind, count: np.full(paths, 0.5)


def agent_stream(plan: RunPlan, name: str) -> int:
    """The stream of random numbers that an agent draws from."""
    stream = next(seat.stream for seat in plan.seats if seat.agent.name == name)
    assert stream >= AGENT_STREAMS
    return stream
