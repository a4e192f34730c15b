"""A pool that trades options against depositors' money: at a fixed vol, at a vol that trades move, or at an oracle's late price; hedged or not."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.hedging.policies import CharmOnly, Leland, NoHedge, Policy, Predictive, Zakamouline
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sim.agents.empty_answers import HedgesNoVega
from tailwag.sim.agents.protocol import Account, Draws, Market, Move, OptionStep, Orders, Trader, View, no_orders
from tailwag.sim.amm_account import PoolBooks, PoolWorth, pool_worth
from tailwag.sim.amm_oracle import OracleRule, OracleState
from tailwag.sim.amm_pricing import FeeRule, Priced, VolRule, black, standard_factor
from tailwag.sim.amm_vols import PoolVols
from tailwag.sim.book_trader import SCAN_SHARE
from tailwag.sim.hedge_terms import decide
from tailwag.sim.option_book import LEAST_YEARS, WINDOW_YEARS
from tailwag.sim.option_market import Contract, Mark, OptionFill, OptionModel, OptionOrder, Quote
from tailwag.sim.option_model import VALUE, VEGA
from tailwag.sim.option_slots import MOST_SLOTS, OptionHolding
from tailwag.units import HOURS_PER_YEAR

LEAST_VOL, LEAST_PRICE_USD = 0.01, 1e-9
SAME_TIME = 1e-9
NEVER = -1e9
NO_FEES, NO_HEDGE = FeeRule(), NoHedge()


@dataclass(frozen=True, slots=True)
class KeeperRule:
    """Anybody may have the pool hedged, at most once in ``every_hours``, to minus its option delta held within +-``cap_coin``; to nothing at any time.

    InputError for hours or a cap that is not positive.
    """

    every_hours: float
    cap_coin: float = math.inf

    def __post_init__(self) -> None:
        if not (self.every_hours > 0.0 and self.cap_coin > 0.0):
            raise InputError(f"expected a keeper's every_hours and cap_coin above 0, got {self.every_hours:g} and {self.cap_coin:g}")

    def __str__(self) -> str:
        return f"by keepers, every {self.every_hours:g} h"


@dataclass(frozen=True, slots=True)
class OptionsAmm:
    """``deposit_usd`` of liquidity that quotes every option order, at ``vols`` plus ``fees``, while its collateral lasts.

    Behind a call sold stands a coin at its price, behind a put its strike, behind the hedge ``hedge_margin_share`` of its value; what is left of
    the pool's worth is free, and an order is filled as far as that goes.  No trade in options whose call delta is within ``least_delta`` of 0 or 1
    or that expire within ``cutoff_hours``.  Hedged by ``keeper`` or by the policy ``hedging``, else not.  With an ``oracle`` quotes use its late spot.
    InputError or UnitError for numbers out of range, both ways of hedging, or a keeper in the same step.
    """

    name: str
    deposit_usd: float
    vols: VolRule
    delay_steps: int
    fees: FeeRule = NO_FEES
    hedging: Policy = NO_HEDGE
    keeper: KeeperRule | None = None
    oracle: OracleRule | None = None
    least_delta: float = 0.0
    cutoff_hours: float = 0.5
    hedge_share: float = 1.0
    hedge_margin_share: float = 1.0
    speed: float = 1.0
    slots: int = MOST_SLOTS
    stream: int = 0

    def __post_init__(self) -> None:
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        if not (math.isfinite(self.deposit_usd) and self.deposit_usd > 0.0):
            raise InputError(f"agent {self.name!r}: expected deposit_usd above 0, got {self.deposit_usd:g}")
        if not 0.0 <= self.least_delta < 0.5:
            raise UnitError(f"agent {self.name!r}: expected least_delta from 0 to 0.5, got {self.least_delta:g}; 0.15 is 15 delta")
        if not 0.0 <= self.hedge_share <= 1.0 or not 0.0 <= self.hedge_margin_share <= 10.0:
            raise UnitError(
                f"agent {self.name!r}: expected hedge_share from 0 to 1 and hedge_margin_share from 0 to 10, got {self.hedge_share:g} and "
                f"{self.hedge_margin_share:g}"
            )
        if not 0.0 < self.speed <= 2.0 or not 1 <= self.slots <= MOST_SLOTS or not self.cutoff_hours >= 0.0:
            raise InputError(
                f"agent {self.name!r}: expected speed above 0 and at most 2, 1 to {MOST_SLOTS} slots and cutoff_hours of 0 or more, got "
                f"{self.speed:g}, {self.slots} and {self.cutoff_hours:g}"
            )
        if isinstance(self.hedging, Leland | Zakamouline | CharmOnly | Predictive):
            raise InputError(
                f"agent {self.name!r}: policy {str(self.hedging)!r} wants a book that stays; a pool's changes: use every-step or a band"
            )
        if self.keeper is not None and not isinstance(self.hedging, NoHedge):
            raise InputError(f"agent {self.name!r}: expected a keeper or a policy that hedges, got both; take one")
        if self.keeper is not None and self.delay_steps < 1:
            raise InputError(
                f"agent {self.name!r}: expected delay_steps of 1 or more, as a keeper trades after the price it has seen; got 0"
            )

    def __str__(self) -> str:
        return str(self.policy)

    @property
    def policy(self) -> Any:
        """Who hedges it: keepers by their rule, or its own policy."""
        return self.hedging if self.keeper is None else self.keeper

    @property
    def mode(self) -> str:
        """Which kind of pool it is: oracle, managed, dynamic or static."""
        if self.oracle is not None:
            return "oracle"
        if not isinstance(self.hedging, NoHedge):
            return "managed"
        return "dynamic" if self.vols.moves or self.keeper is not None else "static"

    @property
    def hedges(self) -> bool:
        """Whether it trades the underlying at all."""
        return self.keeper is not None or not isinstance(self.hedging, NoHedge)

    @property
    def trades_options(self) -> bool:
        """It has no place in a scenario without an option market."""
        return True

    @property
    def after_expiry(self) -> str:
        """Hedges of options that have gone are unwound."""
        return "unwind"

    @property
    def vega_hedge_share(self) -> float:
        """Vega is not hedged; fees price it."""
        return 0.0

    @property
    def iv(self) -> float:
        """Its options state theirs."""
        return 0.0

    def content(self) -> str:
        """Everything but the name."""
        return repr(["options amm", *(getattr(self, entry.name) for entry in fields(self) if entry.name != "name")])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """Zero: nothing is traded yet."""
        return 0.0

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """Zero at the start; later what it hedges: minus the dollar gamma of what it holds, so short options buy rises."""
        return 0.0

    def at_work(self, market: Market) -> Trader:
        """Ready to quote.  InputError without an option market, or where it would quote inside a settlement average."""
        model = market.option_model
        if model is None:
            raise InputError(f"agent {self.name!r}: expected an option market to quote in, got a scenario without; state [options]")
        if model.terms.averaged and self.cutoff_hours < WINDOW_YEARS * HOURS_PER_YEAR * (1.0 - SAME_TIME):
            raise InputError(
                f"agent {self.name!r}: expected cutoff_hours of 0.5 or more where options settle on a 30-minute average, got "
                f"{self.cutoff_hours:g}; its price knows no average"
            )
        return AmmTrader(self, market, model)


@dataclass(frozen=True, slots=True)
class AmmState:
    """What a pool remembers: options, vols, oracle, books; when it was last hedged by keepers, and whether it is now.  (paths,)."""

    holding: OptionHolding
    vols: PoolVols
    oracle: OracleState | None
    books: PoolBooks
    hedged_years: FloatArray
    called: BoolArray


@dataclass(frozen=True, slots=True)
class AmmTrader(HedgesNoVega):
    """A pool at work."""

    agent: OptionsAmm
    market: Market
    model: OptionModel

    def init(self, paths: int, draw: Draws | None = None) -> AmmState:
        """The deposit, nothing traded."""
        rule = self.agent.oracle
        return AmmState(
            OptionHolding.opened(self.model, paths, self.agent.slots),
            PoolVols.opened(self.agent.vols, self.model, paths),
            None if rule is None else OracleState.opened(rule, self.market.grid, paths),
            PoolBooks.opened(paths),
            np.full(paths, NEVER),
            np.zeros(paths, dtype=np.bool_),
        )

    def start_coin(self, state: AmmState) -> FloatArray:
        """None: the deposit is money, and stands beside the market account."""
        return np.zeros(state.hedged_years.shape)

    def quote_order(self, view: View, account: Account, order: OptionOrder, mark: Mark, state: AmmState) -> Quote:
        """The price of the whole order, or of as much as free liquidity allows, at the vol to which that would move the pool."""
        now = self.worth(view, account, state)
        coin = self._affordable(order, now, view, state)
        told, call_delta = self._priced(order.contract, coin, mark, state, nav_usd=now.nav_usd)
        fees, within = self.agent.fees.of(told).total_usd, self.agent.vols.within(coin, told.base_iv, told.skew)
        least = self.agent.least_delta
        open_now = float(self.model.years_left(order.contract.expiry_step, mark.step)) * HOURS_PER_YEAR >= self.agent.cutoff_hours * (
            1.0 - SAME_TIME
        )
        good = within & (call_delta >= least) & (call_delta <= 1.0 - least) & (now.nav_usd > 0.0) & view.live & open_now
        size = np.where(good, coin, 0.0)
        return Quote(np.maximum(told.price_usd - fees, 0.0), told.price_usd + fees, np.maximum(-size, 0.0), np.maximum(size, 0.0))

    def option_room(self, contract: Contract, state: AmmState) -> BoolArray:
        """Paths with a slot for a contract and a row for its strike."""
        return np.asarray(state.holding.slots.room(contract) & state.vols.room(contract))

    def traded(self, fill: OptionFill, state: AmmState) -> AmmState:
        """Vols move, and the books say what the trade brought."""
        coin, contract, mark = -fill.coin, fill.contract, fill.mark
        told_spot = self._quoted_spot(mark.spot_usd, state)
        vols = state.vols.traded(contract, coin, told_spot)
        step = np.asarray(self.agent.vols.moved(coin))
        base, skew, _ = state.vols.of(contract, told_spot)
        vol = np.maximum((base + step) * (skew + self.agent.vols.skew_share * step), LEAST_VOL)
        years = self.model.acting_years(contract.expiry_step, mark.step)
        told, true = (black(contract.right, spot, contract.strike_usd, years, vol)[0] for spot in (told_spot, mark.spot_usd))
        books = state.books.traded(coin, fill.price_usd, told_usd=told, true_usd=true, model_usd=fill.model_price_usd)
        return replace(state, holding=state.holding.traded(fill), vols=vols, books=books)

    def act(self, view: View, account: Account, state: AmmState, draw: Draws) -> Orders:
        """Where a keeper calls, or by the policy, close the gap between minus the options' delta and what is held or on its way."""
        if not self.agent.hedges:
            return no_orders(view.log_price.size)
        owned, nothing = account.position_coin + account.flight_coin, np.zeros(view.log_price.shape)
        target, slope = self._target(view.step, view.log_price, view.vol_shift, state)
        if self.agent.keeper is not None:
            return Orders(usd=nothing, coin=np.where(state.called & view.live, target - owned, 0.0))
        decision = decide(
            self.agent,
            view,
            draw,
            gap=target - owned,
            unit="coin",
            dollar_gamma_usd=-slope * view.spot_usd,
            vol=np.maximum(self.model.terms.iv + view.vol_shift, LEAST_VOL),
            years_left=float("inf"),
        )
        if self.agent.delay_steps:
            return Orders(usd=nothing, coin=decision.speed * (target - owned - decision.offset))

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            there, steepness = self._target(view.step, log_price, vol_shift, state)
            return nothing, decision.speed * (there - owned - decision.offset), nothing, decision.speed * steepness

        return Orders(usd=nothing, coin=nothing, demand=demand, scale_log=np.where(decision.active, self._scale_log(view, state), np.inf))

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: AmmState) -> FloatArray:
        """S^2 Gamma that is hedged, at the price; zero where it does not hedge."""
        if not self.agent.hedges:
            return np.zeros(log_price.shape)
        return -self._target(step, log_price, vol_shift, state)[1] * self.market.spot_usd * np.exp(log_price)

    def options(self, move: Move, state: AmmState) -> tuple[OptionStep, AmmState]:
        """What all options earned in a step; means of vols, reports of the oracle and keepers' calls follow the cleared price."""
        earned, holding = state.holding.stepped(move)
        now = float(self.market.grid.years[move.step])
        rule, oracle = self.agent.oracle, state.oracle
        if rule is not None and oracle is not None:
            oracle = oracle.stepped(rule, move.log_price, now)
        after = AmmState(
            holding, state.vols.stepped(move.step, move.step_years), oracle, state.books.stepped(), state.hedged_years, state.called
        )
        return earned, after if self.agent.keeper is None else self._called(self.agent.keeper, move, now, after)

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: AmmState
    ) -> FloatArray:
        """USD still to be bought, orders in flight not counted as bought; zero where it does not hedge."""
        if not self.agent.hedges:
            return np.zeros(spot_usd.shape)
        return np.asarray((self._target(step, log_price, vol_shift, state)[0] - account.position_coin) * spot_usd)

    def worth(self, view: View, account: Account, state: AmmState) -> PoolWorth:
        """What the pool has at the price that it trades at, premium of the step counted."""
        slots = state.holding.slots
        return pool_worth(
            slots,
            replace(account, cash_usd=account.cash_usd + state.books.fresh_usd),
            slots.greeks(view.step, view.log_price, view.vol_shift)[VALUE],
            spot_usd=view.spot_usd,
            deposit_usd=self.agent.deposit_usd,
            margin_share=self.agent.hedge_margin_share,
        )

    def _affordable(self, order: OptionOrder, now: PoolWorth, view: View, state: AmmState) -> FloatArray:
        """As much of an order as closes what is held and as free liquidity pays for."""
        contract, held = order.contract, state.holding.slots.of(order.contract)
        behind = view.spot_usd if contract.right > 0 else contract.strike_usd
        spot = self._quoted_spot(view.spot_usd, state)
        base, skew, _ = state.vols.of(contract, spot)
        years = self.model.acting_years(contract.expiry_step, view.step)
        price = black(contract.right, spot, contract.strike_usd, years, np.maximum(base * skew, LEAST_VOL))[0]
        sells = np.maximum(held, 0.0) + now.free_usd / behind
        buys = np.maximum(-held, 0.0) + now.free_usd / np.maximum(price, LEAST_PRICE_USD)
        return np.clip(order.coin, -buys, sells)

    def _priced(
        self, contract: Contract, coin: FloatArray, mark: Mark, state: AmmState, *, nav_usd: FloatArray
    ) -> tuple[Priced, FloatArray]:
        """One coin of an order of ``coin`` at the vol after it, and its call delta."""
        spot = self._quoted_spot(mark.spot_usd, state)
        base, skew, mean = state.vols.of(contract, spot)
        step = np.asarray(self.agent.vols.moved(coin))
        base, skew = base + step, skew + self.agent.vols.skew_share * step
        years, left = self.model.acting_years(contract.expiry_step, mark.step), self.model.years_left(contract.expiry_step, mark.step)
        price, call_delta, vega = black(contract.right, spot, contract.strike_usd, years, np.maximum(base * skew, LEAST_VOL))
        before = self._standard_vega(mark, state)
        told = Priced(
            spot_usd=spot,
            price_usd=price,
            vega_usd=vega,
            base_iv=base,
            skew=skew,
            iv_variance=np.abs(base - mean),
            standard_vega_before=before,
            standard_vega_after=before - coin * standard_factor(left) * mark.greeks[VEGA],
            nav_usd=nav_usd,
            weeks=float(left) * HOURS_PER_YEAR / 168.0,
        )
        return told, call_delta

    def _standard_vega(self, mark: Mark, state: AmmState) -> FloatArray:
        """The pool's vega in vol points of 30 days, at the common model's vols."""
        held = state.holding.slots.held
        if self.agent.fees.vega_factor == 0.0 or not held.coin.any():
            return np.zeros(mark.spot_usd.shape)
        factors = standard_factor(np.maximum(self.model.years_left(held.expiry_step, mark.step), 0.0))
        log_price = np.log(mark.spot_usd / self.market.spot_usd)
        return np.asarray(self.model.greeks(replace(held, coin=held.coin * factors), mark.step, log_price, mark.vol_shift)[VEGA])

    def _quoted_spot(self, spot_usd: FloatArray, state: AmmState) -> FloatArray:
        """The price that quotes are made at: the market's, or the oracle's."""
        return spot_usd if state.oracle is None else np.asarray(self.market.spot_usd * np.exp(state.oracle.told_log))

    def _target(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: AmmState) -> tuple[FloatArray, FloatArray]:
        """Coin to hold, and its slope per unit of log price."""
        delta, slope = state.holding.slots.hedge_delta(step, log_price, vol_shift)
        target, slope = -self.agent.hedge_share * delta, -self.agent.hedge_share * slope
        cap = math.inf if self.agent.keeper is None else self.agent.keeper.cap_coin
        return np.clip(target, -cap, cap), np.where(np.abs(target) <= cap, slope, 0.0)

    def _called(self, keeper: KeeperRule, move: Move, now: float, state: AmmState) -> AmmState:
        """Keepers call as soon as the pool may be hedged and there is something to do, or once nothing is left to hedge."""
        target = self._target(move.step, move.log_price, move.vol_shift, state)[0]
        due = now - state.hedged_years >= keeper.every_hours / HOURS_PER_YEAR * (1.0 - SAME_TIME)
        called = move.live & (due | (target == 0.0))
        return replace(state, called=called, hedged_years=np.where(called & (target != 0.0), now, state.hedged_years))

    def _scale_log(self, view: View, state: AmmState) -> FloatArray:
        """Over what distance of log price the options' delta is smooth, (paths,)."""
        held = state.holding.slots.held
        left = np.maximum(self.model.years_left(held.expiry_step, view.step), LEAST_YEARS)
        return np.asarray(np.where(held.coin != 0.0, SCAN_SHARE * self.model.terms.iv * np.sqrt(left), np.inf).min(axis=0))
