"""Predators: the contract, what victims pay more by hand, and the two defences: private flow and batch auctions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from tests.contracts.agent import SPOT, AgentContract, market, prices_digest

from tailwag.errors import InputError
from tailwag.hedging.policies import EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.predator import Predator
from tailwag.sim.agents.protocol import Orders
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import plan_run
from tailwag.sim.fast import supports
from tailwag.sim.impact import ImpactModel
from tailwag.sim.orders import Flight
from tailwag.sim.scenario import Costs

LASTING = 2e-11
SLOW = Dealer("slow dealer", EveryStep(), 3, gamma_usd=-4e9, iv=0.6)


def predator(share: float = 0.6, **changes: Any) -> Predator:
    return Predator("searcher", changes.pop("delay", 0), share, **changes)


class TestInto(AgentContract):
    agent = predator()


class TestLateAfterAndCapped(AgentContract):
    agent = predator(0.9, delay=1, ahead=0.7, most_usd=1e6, unwinds="after")


@dataclass(frozen=True)
class Buyer:
    """Buys USD decided at the end of stated steps, ``delay_steps`` late: {step: usd}."""

    name: str
    orders: tuple[tuple[int, float], ...]
    delay_steps: int = 2

    def content(self) -> str:
        return repr(("buyer", self.orders, self.delay_steps))

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        return 0.0

    def at_work(self, market: Any) -> Any:
        return self

    def init(self, paths: int, draw: Any) -> np.ndarray:
        return np.zeros(paths)

    def start_coin(self, state: np.ndarray) -> np.ndarray:
        return np.zeros(state.shape)

    def act(self, view: Any, account: Any, state: np.ndarray, draw: Any) -> Orders:
        return Orders(np.full(state.shape, dict(self.orders).get(view.step, 0.0)), np.zeros(state.shape))

    def options(self, move: Any, state: np.ndarray) -> tuple[None, np.ndarray]:
        return None, state

    def dollar_gamma_usd(self, step: int, log_price: np.ndarray, vol_shift: np.ndarray, state: np.ndarray) -> np.ndarray:
        return np.zeros(log_price.shape)

    def hedged_vega_usd(self, step: int, log_price: np.ndarray, vol_shift: np.ndarray, state: np.ndarray) -> np.ndarray:
        return np.zeros(log_price.shape)

    def gap_usd(self, step: int, log_price: np.ndarray, spot_usd: Any, vol_shift: Any, account: Any, state: np.ndarray) -> np.ndarray:
        return np.zeros(log_price.shape)


def played(*agents: Any, price: Any = None, **changes: Any) -> Any:
    given = {"impact": ImpactModel(permanent_per_usd=LASTING), "costs": Costs(), "price": Replay(np.zeros(12)) if price is None else price}
    paths = changes.pop("paths", 1)
    return run_block(plan_run(market(*agents, **{**given, **changes}), seed=13), 0, paths, keep_agents=True)


def own(block: Any, name: str) -> Any:
    return next(agent for agent in block.agents if agent.name == name)


def cost_usd(block: Any, name: str) -> float:
    """What an agent paid for its coins above the first price."""
    mine = own(block, name)
    return float(-mine.final_cash_usd[0] - mine.final_position_coin[0] * SPOT)


@pytest.mark.parametrize(("unwinds", "factor"), [("into", 0.5), ("after", 1.0)])
@pytest.mark.parametrize(("share", "ahead", "bought"), [(0.6, 1.0, 5e6), (0.25, 2.0, -8e6)])
def test_a_victim_pays_impact_times_both_sizes_more_and_the_predator_earns_it(
    unwinds: str, factor: float, share: float, ahead: float, bought: float
) -> None:
    """V = 5m sent in step 3, seen in step 4, filled in step 5.  Without a predator V pays lambda V^2 / 2; with one lambda V P / 2, or lambda V P, more."""
    victim, searcher = Buyer("victim", ((3, bought),)), predator(share, ahead=ahead, unwinds=unwinds)
    alone, seen = played(victim), played(victim, searcher)
    held = share * ahead * bought
    assert cost_usd(alone, "victim") == pytest.approx(0.5 * LASTING * bought**2, rel=1e-3)
    leaked = cost_usd(seen, "victim") - cost_usd(alone, "victim")
    assert leaked == pytest.approx(factor * LASTING * bought * held, rel=2e-3)
    assert own(seen, "searcher").pnl_usd.sum() == pytest.approx(leaked, rel=3e-3)
    coin = np.diff(np.asarray(own(seen, "searcher").position_coin)[0])
    closes = 4 if unwinds == "into" else 5
    assert coin[3] == pytest.approx(held / SPOT)
    assert coin[closes] == pytest.approx(-coin[3], rel=1e-3)
    assert own(seen, "searcher").final_position_coin[0] == 0.0


def test_it_sees_sums_of_others_slices_and_never_its_own_orders() -> None:
    """Two buyers, one seller: the net on its way decides; a late predator does not follow itself."""
    others = (Buyer("one", ((2, 4e6),)), Buyer("two", ((2, -1e6),), 3), Buyer("three", ((3, 2e6),)))
    seen = played(*others, predator(1.0, ahead=0.5))
    held = np.asarray(own(seen, "searcher").position_coin)[0] * SPOT
    assert held[3:7] == pytest.approx([1.5e6, 0.5e6, 0.0, 0.0], rel=1e-3, abs=1.0)
    late = played(Buyer("slow", ((1, 4e6),), 7), predator(1.0, ahead=0.5, delay=3))
    followed = np.asarray(own(late, "searcher").position_coin)[0] * SPOT
    assert followed.max() == pytest.approx(2e6, rel=1e-3), "its own order on its way is none that it sees"
    assert followed[-1] == pytest.approx(0.0, abs=1e-6)


def test_private_flow_leaves_every_bit_of_a_market_without_predators() -> None:
    for agents in ((SLOW,), (SLOW, Buyer("victim", ((3, 5e6),)))):
        bare, blind = (played(*agents, *more, price=Gbm(vol=0.6), paths=6) for more in ((), (predator(0.0),)))
        assert (bare.log_price == blind.log_price).all()
        assert not own(blind, "searcher").turnover_usd.any()
        assert (own(bare, agents[0].name).pnl_usd == own(blind, agents[0].name).pnl_usd).all()


def test_leakage_of_a_hedger_on_common_seeds_grows_with_the_share_that_is_seen() -> None:
    """A short-gamma dealer three steps late: its loss to the predator, paired; twice the share, about twice the leak."""
    profits = [
        own(played(SLOW, predator(share, most_usd=1e9), price=Gbm(vol=0.6), paths=300), SLOW.name).pnl_usd.sum(axis=0)
        for share in (0.0, 0.2, 0.4)
    ]
    leaks = [profits[0] - one for one in profits[1:]]
    for leak in leaks:
        assert leak.mean() > 4.0 * leak.std() / np.sqrt(300)
    assert leaks[1].mean() / leaks[0].mean() == pytest.approx(2.0, rel=0.25)


def test_in_a_batch_auction_only_what_is_on_its_way_as_it_closes_is_seen_in_time() -> None:
    """Auctions in steps 4, 8, 12.  Sent in step 1, due in 3: cleared in 4 together with what the predator does there, unseen before.  Due in 5: still seen."""
    for sent, exposed in ((1, False), (2, False), (3, True)):
        victim = Buyer("victim", ((sent, 5e6),))
        alone, seen = (played(victim, *more, batch_steps=4) for more in ((), (predator(1.0),)))
        leaked = cost_usd(seen, "victim") - cost_usd(alone, "victim")
        assert leaked == pytest.approx(0.5 * LASTING * 25e12 if exposed else 0.0, rel=2e-3, abs=1e-6)
        traded = np.flatnonzero(alone.net_flow_usd[0]) + 1
        assert traded.tolist() == [4 if sent < 3 else 8]


def test_a_batch_auction_clears_everybody_at_one_price_and_conserves() -> None:
    """Late orders of between add up; who trades in the step of a move trades in the auction only; the last step is one too."""
    agents = (Buyer("one", ((1, 3e6), (2, 1e6), (6, 2e6)), 1), Dealer("dealer", EveryStep(), 0, gamma_usd=-4e9, iv=0.6))
    block = played(*agents, price=Gbm(vol=0.6), batch_steps=5, paths=4)
    flows = np.asarray(own(block, "one").flow_usd)
    assert flows[:, [4, 9]] == pytest.approx(np.tile([4e6, 2e6], (4, 1)), rel=0.02)
    assert (np.flatnonzero(np.abs(block.net_flow_usd).sum(axis=0)) == [4, 9, 11]).all()
    fills = [np.diff(np.asarray(agent.position_coin)[:, 4:6])[:, 0] for agent in block.agents]
    assert (
        np.abs(sum(agent.final_position_coin for agent in block.agents) + block.liquidity_position_coin).max() < 1e-9 * np.abs(fills).max()
    )
    assert played(*agents, price=Gbm(vol=0.6), batch_steps=1).log_price.tobytes() == played(*agents, price=Gbm(vol=0.6)).log_price.tobytes()


def test_orders_that_wait_for_an_auction_add_up() -> None:
    flight = Flight(np.array([[1.0], [2.0], [4.0]]), np.array([[0.5], [0.0], [0.25]])).hold()
    assert flight.usd.ravel().tolist() == [3.0, 4.0, 0.0]
    assert flight.coin.ravel().tolist() == [0.5, 0.25, 0.0]
    assert Flight(np.ones((1, 1)), np.ones((1, 1))).hold().usd.tolist() == [[1.0]]


def test_auctions_want_a_number_of_steps_and_the_plain_engine() -> None:
    for steps in (0, 13):
        with pytest.raises(InputError, match="batch_steps"):
            market(SLOW, batch_steps=steps)
    assert "batch auctions" in str(supports(replace(market(SLOW), batch_steps=2)))


def test_seen_orders_change_no_bit_with_the_order_of_agents() -> None:
    agents = (SLOW, predator(0.5), Buyer("victim", ((3, 5e6),)))
    one, other = (played(*these, price=Gbm(vol=0.6), paths=5) for these in (agents, agents[::-1]))
    assert prices_digest(one) == prices_digest(other)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"share": 1.5}, "sees_flow_share"),
        ({"ahead": 0.0}, "ahead"),
        ({"most_usd": 0.0}, "most_usd"),
        ({"unwinds": "never"}, "unwinds"),
        ({"delay": -1}, "delay"),
    ],
)
def test_what_is_no_predator_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        predator(**changes)
