"""Option vaults in the loop: the agent's contract, the twin by hand, conservation, auctions, fees, and what a wrong sign would do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from tests.contracts.agent import SPOT, AgentContract, market
from tests.sim.vault_twin import vault_by_hand

from tailwag.sim.agents.protocol import Account, Draws, Market, Move, OptionStep, Orders, View, no_orders
from tailwag.sim.agents.vault import OptionVault, VaultState
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import RunPlan, State, init, plan_run, step
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_market import Contract, OptionFill, OptionTerms, Quote
from tailwag.sim.option_slots import OptionHolding
from tailwag.sim.scenario import Costs, Scenario
from tailwag.sim.vault_account import VaultFees
from tailwag.sim.vault_epochs import VaultEpochs

TERMS = OptionTerms(iv=0.6)
SHORT = VaultEpochs(first_hours=0.5, length_hours=2.5, auction_after_hours=0.5)
CALLS = OptionVault("calls", 1, 1000.0, 0.1, 100.0, SHORT, reserve_share=0.2, fees=VaultFees(0.1, 0.02))
PUTS = OptionVault("puts", -1, 6e7, 0.15, 100.0, SHORT, reserve_share=0.2, fees=VaultFees(0.1, 0.02), delay_steps=0)


@dataclass(frozen=True)
class Bidder:
    """Bids a share of the model price for so much coin of whatever is offered, holds it, and hedges nothing."""

    name: str
    share: float
    coin: float
    delay_steps: int = 1

    def content(self) -> str:
        return repr(["bidder of a test", self.share, self.coin])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        return 0.0

    def at_work(self, found: Market) -> Any:
        return BidderTrader(self, found)


@dataclass(frozen=True)
class BidderTrader:
    bidder: Bidder
    market: Market

    def init(self, paths: int, draw: Draws) -> OptionHolding:
        assert self.market.option_model is not None
        return OptionHolding.opened(self.market.option_model, paths)

    def start_coin(self, state: OptionHolding) -> Any:
        return np.zeros(state.value_usd.shape)

    def quote(self, view: View, contract: Contract, model_price_usd: Any, model_vega_usd: Any, state: OptionHolding) -> Quote:
        size = np.full(model_price_usd.shape, self.bidder.coin)
        return Quote(self.bidder.share * model_price_usd, 2.0 * model_price_usd + 1.0, size, 0.0 * size)

    def traded(self, fill: OptionFill, state: OptionHolding) -> OptionHolding:
        return state.traded(fill)

    def act(self, view: View, account: Account, state: OptionHolding, draw: Draws) -> Orders:
        return no_orders(view.log_price.size)

    def dollar_gamma_usd(self, step: int, log_price: Any, vol_shift: Any, state: OptionHolding) -> Any:
        return np.zeros(log_price.shape)

    def hedged_vega_usd(self, step: int, log_price: Any, vol_shift: Any, state: OptionHolding) -> Any:
        return np.zeros(log_price.shape)

    def options(self, move: Move, state: OptionHolding) -> tuple[OptionStep, OptionHolding]:
        return state.stepped(move)

    def gap_usd(self, step: int, log_price: Any, spot_usd: Any, vol_shift: Any, account: Account, state: OptionHolding) -> Any:
        return np.zeros(spot_usd.shape)


MAKERS = ((0.9, 300.0), (0.7, 400.0))
BIDDERS = tuple(Bidder(f"maker {share}", share, coin) for share, coin in MAKERS)


class InAnOptionMarket(AgentContract):
    """The agent's contract in a market in which options trade and somebody bids for them."""

    @pytest.fixture(autouse=True)
    def _options(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import tests.contracts.agent as contract

        def with_options(*agents: Any, **changes: Any) -> Scenario:
            return market(*agents, *BIDDERS, **{"options": TERMS, **changes})

        monkeypatch.setattr(contract, "market", with_options)


class TestCallVault(InAnOptionMarket):
    agent = CALLS
    decays = True


class TestPutVault(InAnOptionMarket):
    agent = PUTS

    def test_idle_while_nothing_moves(self) -> None:
        """It sells options and trades no coin."""
        block = run_block(plan_run(market(self.agent, *BIDDERS, price=Replay(np.zeros(12)), options=TERMS), seed=1), 0, 4)
        assert not block.agents[0].turnover_usd.any()
        assert (block.agents[0].pnl_usd != 0.0).any()


@pytest.mark.slow
class TestJitteredVault(InAnOptionMarket):
    agent = replace(CALLS, epochs=replace(SHORT, jitter_hours=1.0, tranches=2, tranche_hours=0.5), most_strike_share=0.4, delay_steps=2)
    decays = True


GRID = TimeGrid.uniform(horizon_days=15.0, step_minutes=15.0)
WEEKLY = VaultEpochs(first_hours=12.0, length_hours=168.0, auction_after_hours=2.25)


def quiet(*agents: Any, seed: int = 2, **changes: Any) -> RunPlan:
    """Fifteen days on which trades move nothing and cost nothing."""
    given = {"grid": GRID, "price": Gbm(vol=0.9), "impact": ImpactModel(), "costs": Costs(), "stop_log_move": 5.0, "options": TERMS}
    return plan_run(market(*agents, **{**given, **changes}), seed=seed)


def stepped(plan: RunPlan, paths: int) -> tuple[np.ndarray[Any, Any], State]:
    state = init(plan, 0, paths)
    logs = [state.log_price]
    for _ in range(plan.scenario.grid.steps):
        state = step(plan, state)
        logs.append(state.log_price)
    return np.stack(logs, axis=1), state


def memory(plan: RunPlan, state: State, name: str) -> Any:
    return next(own.memory for seat, own in zip(plan.seats, state.seats) if seat.agent.name == name)


FEW = ((0.9, 120.0), (0.7, 50.0))


@pytest.mark.parametrize("right", [1, -1])
@pytest.mark.parametrize("spread", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["one strike", "strikes and tranches"])
def test_every_path_is_the_vault_by_hand(right: int, spread: bool) -> None:
    """Four paths over two epochs, price and premium in plain loops; only the auctions' times are read from the run."""
    epochs = replace(WEEKLY, tranches=2, tranche_hours=9.0, jitter_hours=20.0) if spread else WEEKLY
    vault = OptionVault("v", right, 900.0 if right > 0 else 5e7, 0.25, 500.0, epochs, 0.5, VaultFees(0.1, 0.02), 0.4 if spread else 1.0)
    plan = quiet(
        vault, *(Bidder(f"maker {share}", share, coin) for share, coin in FEW), price=Gbm(vol=0.9, drift_per_year=6.0 * right)
    )  # towards the strikes
    logs, state = stepped(plan, 4)
    own: VaultState = memory(plan, state, "v")
    for path in range(4):
        said = {
            "right": right,
            "assets": vault.assets,
            "delta": 0.25,
            "step_usd": 500.0,
            "reserve": 0.5,
            "performance": 0.1,
            "management": 0.02,
            "limit": vault.most_strike_share,
            "iv": 0.6,
            "length_hours": 168.0,
            "start_hours": 12.0,
            "auctions": own.auction_step[:, path].tolist(),
            "parts": epochs.tranches,
        }
        by_hand = vault_by_hand(said, (SPOT * np.exp(logs[path])).tolist(), 0.25, FEW)
        books = own.books
        found = {
            "premium": books.premium_usd,
            "payoff": books.payoff_usd,
            "fee": books.fee_usd,
            "offered": books.offered_coin,
            "sold": books.sold_coin,
            "model": books.model_usd,
            "assets": books.assets,
            "locked": books.locked,
        }
        for word, values in found.items():
            assert values[path] == pytest.approx(by_hand[word], rel=1e-9, abs=1e-9), word
        slots = own.holding.slots.held
        rows = zip(slots.coin[:, path], slots.strike_usd[:, path], slots.expiry_step[:, path])
        held = {(float(strike), int(expiry)): -float(coin) for coin, strike, expiry in rows if coin != 0.0}
        assert held.keys() == by_hand["open"].keys()
        assert [held[key] for key in sorted(held)] == pytest.approx([by_hand["open"][key] for key in sorted(held)])
        assert len({step // 672 for step, *_ in by_hand["sales"]}) >= 2, "two epochs and more were sold"
    assert own.books.payoff_usd.max() > 0.0
    assert 0.0 < own.books.sold_coin.max() < own.books.offered_coin.max()
