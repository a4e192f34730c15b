"""Every agent keeps the contract, a user's own included, and plays as worked out by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from tests.contracts.agent import HALF_HOUR, SPOT, AgentContract, account_digest, agent_stream, flat, market, prices_digest

from tailwag.errors import InputError
from tailwag.hedging.execution import Maker
from tailwag.hedging.policies import AtTimes, Band, CharmOnly, EveryStep
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.ladder import Cluster, LiquidationLadder
from tailwag.sim.agents.protocol import Account, Draws, Market, Move, Orders, View, no_orders
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import plan_run
from tailwag.sim.fast import supports
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.option_hedge import ListedOptions, neutral_dealer
from tailwag.sim.run import simulate
from tailwag.sim.scalping import scalper
from tailwag.sim.scenario import Costs
from tailwag.sim.state import PNL_PARTS

WEEK = 7 / 365
CALL = OptionBook.single("call", strike_usd=60_500.0, expiry_years=WEEK, contracts_coin=-1_000.0, iv=0.6)
LISTED = ListedOptions.from_book(replace(CALL, strike_usd=CALL.strike_usd - 1_000.0), half_spread_volpt=0.5)


# a user's own agent


@dataclass(frozen=True)
class Trend:
    """What the trend follower remembers: a slow average of the log price, (paths,)."""

    average_log: FloatArray


@dataclass(frozen=True)
class MomentumTrader:
    """Holds ``usd_per_log`` times the distance of the price from its slow average, in coin at the first price; one step late."""

    name: str
    usd_per_log: float
    forgets: float = 0.25
    delay_steps: int = 1

    def content(self) -> str:
        return repr(("momentum", self.usd_per_log, self.forgets, self.delay_steps))

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        return -self.usd_per_log

    def at_work(self, market: Market) -> MomentumAtWork:
        return MomentumAtWork(self, market.spot_usd)


@dataclass(frozen=True)
class MomentumAtWork:
    terms: MomentumTrader
    spot_usd: float

    def init(self, paths: int, draw: Draws) -> Trend:
        return Trend(np.zeros(paths))

    def start_coin(self, state: Trend) -> FloatArray:
        return np.zeros(state.average_log.shape)

    def act(self, view: View, account: Account, state: Trend, draw: Draws) -> Orders:
        wanted = self.terms.usd_per_log * (view.log_price - state.average_log) / self.spot_usd
        coin = np.where(view.live, wanted - account.position_coin - account.flight_coin, 0.0)
        return Orders(usd=np.zeros(coin.shape), coin=coin)

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: Trend) -> FloatArray:
        return np.full(log_price.shape, -self.terms.usd_per_log)

    def hedged_vega_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: Trend) -> FloatArray:
        return np.zeros(log_price.shape)

    def options(self, move: Move, state: Trend) -> tuple[None, Trend]:
        pulled = state.average_log + self.terms.forgets * (move.log_price - state.average_log)
        return None, Trend(np.where(move.live, pulled, state.average_log))

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: Trend
    ) -> FloatArray:
        return np.zeros(log_price.shape)


class TestMomentumTrader(AgentContract):
    """A trend follower that nobody at home has heard of."""

    agent = MomentumTrader("trend", 5e8)

    def test_plays_by_the_book(self) -> None:
        """Price up 1 % of log, then still: the average follows by a quarter a step, and the position with it, one step late.

        Distance after steps 1, 2, 3: .75, .5625, .421875 of 1 %, seen after the average has moved; the order of step 1 arrives in step 2.
        """
        level = 5e8 * 0.01 / 100.0
        self.plays(
            prices=[100.0, *[100.0 * math.exp(0.01)] * 4],
            expected_coin=[0.0, 0.75 * level, -0.1875 * level, -0.140625 * level],
        )

    def test_is_run_by_the_plain_engine_and_the_run_says_so(self) -> None:
        scenario = market(self.agent)
        run = simulate(scenario, paths=64, seed=1)
        assert run.engine == "plain"
        assert str(supports(scenario)) == "the fast engine cannot step agent 'trend': it is no built-in dealer"
        with pytest.raises(InputError, match="no built-in dealer; take engine 'plain' or 'auto'"):
            simulate(scenario, paths=64, seed=1, engine="fast")

    def test_momentum_amplifies_what_it_follows(self) -> None:
        """A trader that never forgets is short gamma a step late: x_T - g x_(T-1) = F_T on every path, and its own flow is in USD of coin."""
        gain = 0.4
        never = MomentumTrader("trend", gain / 2e-11, forgets=0.0)
        impact = ImpactModel(permanent_per_coin=2e-11 * SPOT)
        block = run_block(plan_run(market(never, impact=impact, stop_log_move=4.0), seed=2), 0, 32)
        x, exogenous = block.log_price, block.fundamental_log
        assert np.abs(x[:, 1:] - gain * x[:, :-1] - exogenous[:, 1:]).max() < 1e-10
        assert np.abs(x[:, 1:] + gain * x[:, :-1] - exogenous[:, 1:]).max() > 1e-4


# the built-in agents


class TestConstantGammaSameStep(AgentContract):
    agent = Dealer("short gamma", EveryStep(), 0, gamma_usd=-5e9, iv=0.6)

    def test_buys_rises_and_sells_falls(self) -> None:
        """Five billion of short gamma: 1 % of log up is 50 million bought, back down is 50 million sold."""
        self.plays(prices=[100.0, 100.0 * math.exp(0.01), 100.0, 100.0], expected_usd=[5e7, -5e7, 0.0])

    def test_meets_its_own_impact(self) -> None:
        """g = 0.1 of permanent impact: a shock of 1 % ends at 1/0.9 %, and the flow is sized there."""
        moves = np.array([0.01, 0.0])
        block = run_block(
            plan_run(market(self.agent, price=Replay(np.pad(moves, (0, 10))), impact=ImpactModel(2e-11), costs=Costs()), seed=1), 0, 2
        )
        assert block.log_price[:, 1] == pytest.approx(0.01 / 0.9, rel=1e-12)
        assert block.net_flow_usd[:, 0] == pytest.approx(5e9 * 0.01 / 0.9, rel=1e-12)


class TestConstantGammaLate(AgentContract):
    agent = Dealer("long gamma", Band(half_width_usd=2e7), 1, gamma_usd=5e9, iv=0.6)

    def test_waits_for_the_band_and_trades_to_its_edge_one_step_late(self) -> None:
        """Long gamma sells rises.  Half a per cent is 25 million, 5 beyond the band; the order of step 1 is filled in step 2."""
        up = 100.0 * math.exp(0.005)
        self.plays(prices=[100.0, up, up, 100.0, 100.0, 100.0], expected_usd=[0.0, -5e6, 0.0, 0.0, 0.0])
        self.plays(prices=[100.0, 100.0 * math.exp(0.003), 100.0], expected_usd=[0.0, 0.0])


class TestBookSameStep(AgentContract):
    agent = Dealer("short calls", EveryStep(), 0, options=CALL)
    decays = True

    def test_buys_the_change_of_its_delta(self) -> None:
        """1,000 short calls: coin bought in a step is 1,000 times the change of N(d1), by SciPy."""
        prices = np.array([60_000.0, 60_600.0, 59_500.0, 59_500.0])
        left = WEEK - HALF_HOUR * np.arange(4)
        spread = 0.6 * np.sqrt(left)
        delta = norm.cdf(np.log(prices / 60_500.0) / spread + 0.5 * spread)
        self.plays(prices=prices, expected_coin=1_000.0 * np.diff(delta), rel=1e-7)


class TestBookAtTimes(AgentContract):
    agent = Dealer("on the hour", AtTimes(60.0, jitter_minutes=30.0), 1, options=CALL, execution=Maker(0.5))
    decays = True

    def test_draws_from_a_stream_of_its_content(self) -> None:
        twin = self.renamed(self.agent, "another name")
        assert agent_stream(plan_run(market(self.agent), seed=1), "on the hour") == agent_stream(
            plan_run(market(twin), seed=1), "another name"
        )


class TestCharmOnly(AgentContract):
    agent = Dealer("charm", CharmOnly(), 0, options=CALL)
    decays = True

    def test_answers_time_and_no_move(self) -> None:
        """Short 1,000 calls above the price: the delta that time takes away is sold, N(ln(S/K)/(vol sqrt t)) at the price of the step."""
        prices = np.array([60_000.0, 60_300.0, 59_900.0])
        left = WEEK - HALF_HOUR * np.arange(3)
        log_moneyness = np.log(prices / 60_500.0)[1:]
        change = norm.cdf(log_moneyness / (0.6 * np.sqrt(left[1:]))) - norm.cdf(log_moneyness / (0.6 * np.sqrt(left[:-1])))
        self.plays(prices=prices, expected_coin=1_000.0 * change, rel=1e-6)


class TestLadder(AgentContract):
    agent = LiquidationLadder("ladder", 0, density_usd=1e9, clusters=(Cluster(-0.05, 0.01, 6e8),))

    def test_liquidates_each_level_once(self) -> None:
        """Density 1e9 per unit of log price: the first fall of 1 % sells 10 million and what little the cluster has there, returning nothing."""
        down = 100.0 * math.exp(-0.01)
        cluster = 6e8 * (norm.cdf(-4.0) - norm.cdf(-5.0))
        self.plays(prices=[100.0, down, 100.0, down], expected_usd=[-1e7 - cluster, 0.0, 0.0], rel=1e-6)


class TestLadderLate(AgentContract):
    agent = LiquidationLadder("ladder", 1, density_usd=5e8, levels_per_log=400.0, level_usd=1e6, reach_log=0.1)


class TestScalper(AgentContract):
    agent = scalper("scalper", replace(CALL, contracts_coin=-CALL.contracts_coin), Band(half_width_coin=5.0), delay_steps=1)
    decays = False  # a call loses little delta in six hours: less than its band

    def test_sells_rises(self) -> None:
        """Long 1,000 calls: what their delta gains is sold, one step late, down to the edge of the band."""
        prices = np.array([60_000.0, 60_600.0, 60_600.0])
        left = WEEK - HALF_HOUR * np.arange(3)
        spread = 0.6 * np.sqrt(left)
        delta = norm.cdf(np.log(prices / 60_500.0) / spread + 0.5 * spread)
        self.plays(prices=prices, expected_coin=[0.0, -(1_000.0 * (delta[1] - delta[0]) - 5.0)], rel=1e-7)


class TestNeutralDealer(AgentContract):
    """A cost paid at the start has its counterparty, too."""

    agent = neutral_dealer(Dealer("neutral", EveryStep(), 0, options=CALL), LISTED, spot_usd=SPOT, rule="gamma-neutral")[0]
    decays = True

    def test_pays_at_the_start(self) -> None:
        assert self.agent.opening_cost_usd > 1e3
        assert (self.run(flat()).agents[0].pnl_usd[PNL_PARTS.index("spread_usd")] < -self.agent.opening_cost_usd).all()


# what the contract catches


@dataclass(frozen=True)
class Writes(MomentumAtWork):
    """Keeps its memory in place, which no agent may."""

    def options(self, move: Move, state: Trend) -> tuple[None, Trend]:
        state.average_log[:] += self.terms.forgets * (move.log_price - state.average_log)
        return None, state


@dataclass(frozen=True)
class NamesItself(MomentumTrader):
    """Puts its name into its content."""

    def content(self) -> str:
        return self.name


@dataclass(frozen=True)
class LooksAround(MomentumAtWork):
    """Follows the crowd's average over the paths, which are other worlds."""

    def act(self, view: View, account: Account, state: Trend, draw: Draws) -> Orders:
        own = super().act(view, account, state, draw)
        return Orders(usd=own.usd, coin=own.coin - own.coin.mean())


@dataclass(frozen=True)
class Broken(MomentumTrader):
    """A trader of another kind behind the same terms."""

    worker: Any = field(default=Writes, compare=False)

    def at_work(self, market: Market) -> MomentumAtWork:
        return self.worker(self, market.spot_usd)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("agent", "test", "words"),
    [
        (Broken("b", 5e8), "test_transitions_write_into_nothing", "read-only"),
        (NamesItself("b", 5e8), "test_order_and_names_change_no_bit", "leave the name out"),
        (Broken("b", 5e8, worker=LooksAround), "test_any_block_split_gives_the_same_paths", "another split"),
        (Broken("b", 5e8, worker=LooksAround), "test_paths_do_not_see_each_other", "saw other paths"),
    ],
)
def test_contract_catches(agent: Any, test: str, words: str) -> None:
    class Case(AgentContract):
        pass

    Case.agent = agent
    with pytest.raises((AssertionError, ValueError), match=words):
        getattr(Case(), test)()


def test_tables_of_play_can_fail() -> None:
    case = TestConstantGammaSameStep()
    with pytest.raises(AssertionError):
        case.plays(prices=[100.0, 101.0], expected_usd=[-5e9 * math.log(1.01)])


# what cannot be an agent


@dataclass(frozen=True)
class Nonsense(MomentumAtWork):
    """Answers with what is no order."""

    answer: Any = None

    def act(self, view: View, account: Account, state: Trend, draw: Draws) -> Orders:
        return self.answer(view.log_price.size)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Silly(MomentumTrader):
    answer: Any = field(default=None, compare=False)

    def at_work(self, market: Market) -> MomentumAtWork:
        return Nonsense(self, market.spot_usd, self.answer)


@pytest.mark.parametrize("delay_steps", [0, 1])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda paths: Orders(np.full(paths, np.nan), np.zeros(paths)), "finite"),
        (lambda paths: Orders(np.zeros(paths), np.full(paths, np.inf)), "finite"),
        (lambda paths: Orders(np.zeros(1 + paths), np.zeros(paths)), "one number for each of 8 paths"),
        (lambda paths: Orders(np.zeros(()), np.zeros(paths)), "one number for each of 8 paths"),
        (lambda paths: None, "Orders"),
    ],
)
def test_orders_that_are_none_are_refused_in_a_sentence(delay_steps: int, answer: Any, words: str) -> None:
    agent = Silly("silly", 5e8, delay_steps=delay_steps, answer=answer)
    with pytest.raises(InputError, match=f"agent 'silly'.*{words}"):
        run_block(plan_run(market(agent), seed=1), 0, 8)


def test_an_object_that_lacks_a_word_of_the_protocol_is_refused() -> None:
    @dataclass(frozen=True)
    class Half:
        name: str = "half"
        delay_steps: int = 1

    with pytest.raises(InputError, match=r"agent 'half'.*at_work, content, starting_dollar_gamma_usd"):
        market(Half())  # type: ignore[arg-type]


def test_a_trader_that_lacks_a_word_of_the_protocol_is_refused() -> None:
    @dataclass(frozen=True)
    class Hollow(MomentumTrader):
        def at_work(self, market: Market) -> Any:
            return object()

    with pytest.raises(InputError, match=r"agent 'hollow'.*act, dollar_gamma_usd.*start_coin"):
        plan_run(market(Hollow("hollow", 5e8)), seed=1)


def test_an_own_agent_that_never_trades_changes_nothing() -> None:
    dealer = Dealer("dealer", EveryStep(), 1, gamma_usd=-5e9, iv=0.6)
    idle = Silly("idle", 5e8, answer=no_orders)
    alone, together = (run_block(plan_run(market(*agents), seed=4), 0, 8) for agents in ((dealer,), (dealer, idle)))
    assert prices_digest(alone) == prices_digest(together)
    assert account_digest(alone, "dealer") == account_digest(together, "dealer")


def test_own_agents_run_on_any_number_of_threads() -> None:
    scenario = market(MomentumTrader("trend", 5e8), price=Gbm(vol=0.6))
    told = [str(simulate(scenario, paths=2_100, seed=3, threads=threads).metrics.to_document()) for threads in (1, 2)]
    assert told[0] == told[1]


@dataclass(frozen=True)
class OwnTrader(MomentumAtWork):
    """One object that is the agent and its trader at once: its `options` is a method, not a book."""

    terms: Any = field(default_factory=lambda: MomentumTrader("both", 5e8))
    spot_usd: float = SPOT
    name: str = "both"
    delay_steps: int = 1

    def content(self) -> str:
        return "own trader"

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        return -5e8

    def at_work(self, market: Market) -> OwnTrader:
        return self


def test_an_agent_may_be_its_own_trader() -> None:
    told = [simulate(market(agent), paths=16, seed=3).metrics.realised_vol for agent in (OwnTrader(), MomentumTrader("both", 5e8))]
    assert told[0] == told[1]
