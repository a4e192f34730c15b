"""A dealer who quotes options during the run and hedges their delta: what takers buy from it makes it short, and the market feels its hedge."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.hedging.policies import CharmOnly, Leland, NoHedge, Policy, Predictive, Zakamouline
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sim.agents.empty_answers import HedgesNoVega
from tailwag.sim.agents.protocol import Account, Draws, Market, Move, OptionStep, Orders, Trader, View, no_orders
from tailwag.sim.book_trader import SCAN_SHARE, BookState, BookTrader
from tailwag.sim.hedge_terms import decide
from tailwag.sim.net_delta import DirectNetDelta
from tailwag.sim.option_book import LEAST_YEARS, OptionBook
from tailwag.sim.option_market import Contract, OptionFill, OptionModel, Quote
from tailwag.sim.option_slots import MOST_SLOTS, OptionHolding
from tailwag.sim.quoting import Crossing, FillWatch, QuoteRule

LEAST_VOL = 1e-4


@dataclass(frozen=True, slots=True)
class QuotingDealer:
    """Quotes by ``rule`` to whoever asks and holds minus ``hedge_share`` of the Black delta of all its options in the market, by ``policy``.

    ``options`` is a book that it holds besides (read from the net-delta table, not quoted on; the lean counts what was traded in the run alone).
    ``slots``: contracts that it can hold at a time; ``watch_steps``: how long after a fill its price is looked at again (adverse selection).
    InputError for a delay below 0, a share or speed out of range, or a policy at a changed vol (of which trades in a run know none).
    """

    name: str
    rule: QuoteRule
    policy: Policy
    delay_steps: int
    options: OptionBook | None = None
    hedge_share: float = 1.0
    speed: float = 1.0
    slots: int = MOST_SLOTS
    watch_steps: int = 12
    stream: int = 0

    def __post_init__(self) -> None:
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        if not 0.0 <= self.hedge_share <= 1.0:
            raise InputError(f"agent {self.name!r}: expected hedge_share from 0 to 1, got {self.hedge_share:g}")
        if not 0.0 < self.speed <= 2.0:
            raise InputError(f"agent {self.name!r}: expected speed above 0 and at most 2, got {self.speed:g}")
        if not 1 <= self.slots <= MOST_SLOTS:
            raise InputError(f"agent {self.name!r}: expected 1 to {MOST_SLOTS} slots, got {self.slots}")
        if self.watch_steps < 1:
            raise InputError(f"agent {self.name!r}: expected watch_steps of 1 or more, got {self.watch_steps}")
        if isinstance(self.policy, Leland | Zakamouline | CharmOnly):
            raise InputError(
                f"agent {self.name!r}: policy {str(self.policy)!r} wants a book that stays; a quoting dealer's changes: use every-step or a band"
            )
        if isinstance(self.policy, Predictive) and self.delay_steps == 0:
            raise InputError(f"agent {self.name!r}: predictive hedging wants delay_steps of 1 or more, got 0; use every-step")

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
        """Vega is not hedged; it leans the quotes."""
        return 0.0

    @property
    def iv(self) -> float:
        """Its options state theirs."""
        return 0.0

    def content(self) -> str:
        """Everything but the name, a book by its digest."""
        values = [getattr(self, entry.name) for entry in fields(self) if entry.name != "name"]
        return repr(["quoting dealer", *(value.digest() if isinstance(value, OptionBook) else value for value in values)])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """Hedged dollar gamma of the book at the start; nothing is traded yet."""
        if self.options is None or isinstance(self.policy, NoHedge):
            return 0.0
        slope = DirectNetDelta(self.options, np.zeros(2), spot_usd).at(0, np.zeros(1), np.zeros(1))[1]
        return self.hedge_share * float(slope[0]) * spot_usd

    def at_work(self, market: Market) -> Trader:
        """Ready to quote; InputError where the scenario has no option market."""
        if market.option_model is None:
            raise InputError(f"agent {self.name!r}: a quoting dealer wants an option market, got a market without")
        book = None if self.options is None else BookTrader(self.options, self, market)
        return QuotingTrader(self, market, market.option_model, book)


@dataclass(frozen=True, slots=True)
class QuotingState:
    """What it has traded, its book besides, how prices moved against its fills, and what it crossed."""

    holding: OptionHolding
    book: BookState | None
    watch: FillWatch
    crossing: Crossing


@dataclass(frozen=True, slots=True)
class QuotingTrader(HedgesNoVega):
    """The quoting dealer in one market."""

    agent: QuotingDealer
    market: Market
    model: OptionModel
    book: BookTrader | None

    def init(self, paths: int, draw: Draws | None = None) -> QuotingState:
        """Nothing traded yet."""
        return QuotingState(
            OptionHolding.opened(self.model, paths, self.agent.slots),
            None if self.book is None else self.book.init(paths),
            FillWatch.opened(self.agent.watch_steps, paths, self.market.spot_usd),
            Crossing.opened(self.model, paths),
        )

    def start_coin(self, state: QuotingState) -> FloatArray:
        """Hedged at the start: minus the share of the book's delta."""
        still = np.zeros(state.holding.value_usd.shape)
        return self._target(0, still, still, state)[0]

    def quote(self, view: View, contract: Contract, model_price_usd: FloatArray, model_vega_usd: FloatArray, state: QuotingState) -> Quote:
        """Two prices and sizes by the rule, on what is held by now."""
        slots = state.holding.slots
        return self.agent.rule.quote(
            slots,
            contract,
            price_usd=model_price_usd,
            vega_usd=model_vega_usd,
            greeks=slots.greeks(view.step, view.log_price, view.vol_shift),
            spot_usd=view.spot_usd,
        )

    def option_room(self, contract: Contract, state: QuotingState) -> BoolArray:
        """Paths with a slot for a contract."""
        return state.holding.slots.room(contract)

    def traded(self, fill: OptionFill, state: QuotingState) -> QuotingState:
        """The other side of a taker's trade."""
        return replace(state, holding=state.holding.traded(fill), watch=state.watch.traded(fill), crossing=state.crossing.traded(fill))

    def act(self, view: View, account: Account, state: QuotingState, draw: Draws) -> Orders:
        """Close the gap in coin between minus the delta of all options, those traded in this step included, and what is held or on its way."""
        if isinstance(self.agent.policy, NoHedge):
            return no_orders(view.log_price.size)
        owned = account.position_coin + account.flight_coin
        target, slope = self._target(view.step, view.log_price, view.vol_shift, state)
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
        nothing = np.zeros(owned.shape)
        if self.agent.delay_steps:
            return Orders(usd=nothing, coin=decision.speed * (target - owned - decision.offset))

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            there, steepness = self._target(view.step, log_price, vol_shift, state)
            return nothing, decision.speed * (there - owned - decision.offset), nothing, decision.speed * steepness

        return Orders(usd=nothing, coin=nothing, demand=demand, scale_log=np.where(decision.active, self._scale_log(view, state), np.inf))

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: QuotingState) -> FloatArray:
        """S^2 Gamma that is hedged, at the price."""
        if isinstance(self.agent.policy, NoHedge):
            return np.zeros(log_price.shape)
        return -self._target(step, log_price, vol_shift, state)[1] * self.market.spot_usd * np.exp(log_price)

    def options(self, move: Move, state: QuotingState) -> tuple[OptionStep, QuotingState]:
        """What all options earned in a step, contracts that expire paid out."""
        earned, holding = state.holding.stepped(move)
        book = state.book
        if self.book is not None and book is not None:
            besides, book = self.book.options(move, book)
            earned = OptionStep(*(getattr(earned, part.name) + getattr(besides, part.name) for part in fields(OptionStep)))
        return earned, QuotingState(holding, book, state.watch.stepped(self.model, move), state.crossing.stepped())

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: QuotingState
    ) -> FloatArray:
        """USD still to be bought, orders in flight not counted as bought."""
        return np.asarray((self._target(step, log_price, vol_shift, state)[0] - account.position_coin) * spot_usd)

    def _target(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: QuotingState) -> tuple[FloatArray, FloatArray]:
        """Coin to hold, and its slope per unit of log price."""
        delta, slope = state.holding.slots.hedge_delta(step, log_price, vol_shift)
        if self.book is not None and state.book is not None:
            more, steeper = self.book.net_delta.at(step, log_price, vol_shift, running_average_usd=state.book.average_usd)
            delta, slope = delta + more, slope + steeper
        return -self.agent.hedge_share * delta, -self.agent.hedge_share * slope

    def _scale_log(self, view: View, state: QuotingState) -> FloatArray:
        """Over what distance of log price the options' delta is smooth, (paths,)."""
        held = state.holding.slots.held
        left = np.maximum(self.model.years_left(held.expiry_step, view.step), LEAST_YEARS)
        reach = np.where(held.coin != 0.0, SCAN_SHARE * self.model.terms.iv * np.sqrt(left), np.inf).min(axis=0)
        return np.asarray(reach if self.book is None else np.minimum(reach, self.book.scale_log(view)))
