"""A margined account of options and their perp hedge at work: it hedges while its margin lasts, and its venue closes what has too little.

Part k of the account stays where equity is below maintenance margin, k = equity / needed: so much of its options go to a backstop at their mark, and
so much of its hedge to the market.  Both depend on the clearing price and are part of the same search for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sim.agents.empty_answers import HedgesNoVega
from tailwag.sim.agents.protocol import Account, Draws, Market, Move, OptionStep, Orders, View
from tailwag.sim.book_trader import SCAN_SHARE, BookState, BookTrader
from tailwag.sim.margined_accounts import MarginedAccounts, with_fees, with_shortfall
from tailwag.sim.margined_events import OPTIONS, PERP, Takeovers
from tailwag.sim.margined_marks import MarkedBook, Marks, Place
from tailwag.sim.margined_terms import Purse, both_kept
from tailwag.sim.state import Borne

if TYPE_CHECKING:
    from tailwag.sim.agents.margined_book import MarginedBook


@dataclass(frozen=True, slots=True)
class MarginedState:
    """Where every path stands.  ``flight`` (delay, 3, paths): coin of the account, of the backstop, and what of the account's is forced, on its way.

    ``ordered`` (paths,): coin of both that was ordered in the last step, where orders are late; ``forced_usd`` of the hedge closed by force so far.  ``mark_usd``: the price that the venue looks at in this
    step (None: its own).  ``closing_only`` (paths,): too little for initial margin, so that the account may only reduce its hedge.
    """

    book: BookState
    accounts: MarginedAccounts
    closing_only: BoolArray
    flight: FloatArray
    ordered: FloatArray
    forced_usd: FloatArray
    events: tuple[Takeovers, ...] = ()
    mark_usd: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Aim:
    """What account and backstop would hold at a price, (paths,): parts kept of options and hedge, coin of both, and of the hedge what is closed by force.

    ``slope``: of all coin together by log price.  ``free``: coin of both if nobody were called.
    """

    options_kept: FloatArray
    hedge_kept: FloatArray
    perp_coin: FloatArray
    taken_coin: FloatArray
    forced_coin: FloatArray
    free_coin: FloatArray
    slope: FloatArray

    @property
    def coin(self) -> FloatArray:
        """Both together."""
        return self.perp_coin + self.taken_coin


@dataclass(frozen=True, slots=True)
class MarginedTrader(HedgesNoVega):
    """The account in one market; ``writes_down``: keep every takeover in the state."""

    agent: MarginedBook
    market: Market
    book: BookTrader
    marked: MarkedBook
    writes_down: bool = False

    def init(self, paths: int, draw: Draws | None = None) -> MarginedState:
        """Hedged, with the collateral and the premium in its purses."""
        agent, nothing, book = self.agent, np.zeros(paths), self.book.init(paths)
        hedge = -agent.hedge_share * self.book.net_delta.at(0, nothing, nothing, running_average_usd=book.average_usd)[0]
        value = self._book_at(0).marks(self._place(0, nothing, nothing, book)).value_usd
        behind_perp = agent.hedge_collateral_share * agent.collateral_usd
        accounts = MarginedAccounts(
            nothing + 1.0,
            hedge,
            nothing,
            agent.collateral_usd - behind_perp - value,
            behind_perp - hedge * self.market.spot_usd,
            nothing,
            nothing + agent.fund_usd,
            nothing,
        )
        return MarginedState(book, accounts, np.zeros(paths, dtype=np.bool_), np.zeros((agent.delay_steps, 3, paths)), nothing, nothing)

    def start_coin(self, state: MarginedState) -> FloatArray:
        """The hedge at the start."""
        return state.accounts.coin

    def act(self, view: View, account: Account, state: MarginedState, draw: Draws) -> Orders:
        """The gap between what account and backstop aim at and what they hold, at the clearing price; late, what was decided at the last one."""
        nothing = np.zeros(view.log_price.shape)
        if self.agent.delay_steps:
            return Orders(usd=nothing, coin=np.where(view.live, state.ordered, 0.0))
        book, held = self._book_at(view.step), state.accounts.coin

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            aim = self._aim(book, view.step, log_price, vol_shift, state)
            return nothing, np.where(view.live, aim.coin - held, 0.0), nothing, np.where(view.live, aim.slope, 0.0)

        return Orders(usd=nothing, coin=nothing, demand=demand, scale_log=np.where(view.live, self._scale_log(view, state), np.inf))

    def liquidation_usd(self, log_price: FloatArray, view: View, state: MarginedState) -> FloatArray:
        """What a call would sell (-) or buy (+) if price went to a log price, the backstop's hedge with it, (paths,)."""
        aim = self._aim(self._book_at(view.step), view.step, log_price, view.vol_shift, state)
        return np.where(view.live, (aim.coin - aim.free_coin) * self.market.spot_usd * np.exp(log_price), 0.0)

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: MarginedState) -> FloatArray:
        """What it answers a move with at the price, calls included."""
        aim = self._aim(self._book_at(step), step, log_price, vol_shift, state)
        return np.asarray(-aim.slope * self.market.spot_usd * np.exp(log_price))

    def options(self, move: Move, state: MarginedState) -> tuple[OptionStep, MarginedState]:
        """What the options of account and backstop earned in a cleared step; trades, calls, payoffs and losses booked."""
        traded = move.live if move.traded is None else move.traded
        book = self._book_at(move.step)
        aim = self._aim(book, move.step, move.log_price, move.vol_shift, state)
        arrived, waiting = self._arrived(state, aim, traded)
        now = replace(state, accounts=state.accounts.traded(arrived[0], arrived[1], move.fill_usd), flight=waiting)
        if self.agent.delay_steps:
            aim = self._aim(book, move.step, move.log_price, move.vol_shift, now)
            now = self._ordered(now, aim, traded)
        kept = np.where(traded, aim.options_kept, 1.0)
        marks = self._marks(book, move.step, move.log_price, move.vol_shift, state)
        now = self._called(now, (kept, arrived[2], np.where(traded, aim.hedge_kept, 1.0)), marks, book.gross_coin, move)
        earned, options = self.book.options(move, state.book)
        now = replace(now, book=options, accounts=now.accounts.settled(earned.paid_usd))
        return earned, self._closed(now, move)

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: MarginedState
    ) -> FloatArray:
        """USD still to be bought for the shares of delta that both hedge, whatever margin lets them; orders in flight not counted as bought."""
        delta = self.book.net_delta.at(step, log_price, vol_shift, running_average_usd=state.book.average_usd)[0]
        share = state.accounts.share
        hedged = self.agent.hedge_share * share + self.agent.backstop_hedge_share * (1.0 - share)
        return np.asarray((-hedged * delta - account.position_coin) * spot_usd)

    def purses(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: MarginedState) -> tuple[Purse, Purse]:
        """What the options' and the perp's purse have and must have at a price; under cross margin their sums count."""
        return self._purses(self._marks(self._book_at(step), step, log_price, vol_shift, state), state)

    def initial_options_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: MarginedState) -> FloatArray:
        """Initial margin of the options beyond their value, (paths,)."""
        return np.asarray(state.accounts.share * self._book_at(step).initial_usd(self._place(step, log_price, vol_shift, state.book)))

    def taken(self, state: MarginedState) -> tuple[FloatArray, FloatArray]:
        """USD of the hedge that was closed by force, and the part of the options that was taken over, (paths,) each."""
        return state.forced_usd, 1.0 - state.accounts.share

    def borne(self, last_usd: FloatArray, state: MarginedState) -> Borne:
        """What the insurance fund paid, less the fees that it took, and what nobody paid, (paths,)."""
        return Borne(self.agent.fund_usd - state.accounts.fund_usd, state.accounts.bad_debt_usd)

    def _purses(self, marks: Marks, state: MarginedState) -> tuple[Purse, Purse]:
        accounts, terms, spot = state.accounts, self.agent.terms, marks.spot_usd
        share, coin, follows = accounts.share, accounts.perp_coin, float(state.mark_usd is None)  # a mark from elsewhere stays where it is
        options = Purse(
            accounts.option_cash_usd + share * marks.counts_usd,
            share * marks.needed_usd,
            follows * share * marks.counts_slope_usd,
            follows * share * marks.needed_slope_usd,
        )
        needed = terms.perp_usd(self._ordered_coin(state), spot)
        return options, Purse(accounts.perp_cash_usd + coin * spot, needed, follows * coin * spot, follows * needed)

    def _aim(self, book: MarkedBook, step: int, log_price: FloatArray, vol_shift: FloatArray, state: MarginedState) -> Aim:
        """What would be held if a step cleared there."""
        marks = self._marks(book, step, log_price, vol_shift, state)
        (held, held_slope), (hedge, hedge_slope) = both_kept(*self._purses(marks, state), cross=self.agent.terms.cross)
        delta, bend = self.book.net_delta.at(step, log_price, vol_shift, running_average_usd=state.book.average_usd)
        share, ours, theirs = state.accounts.share, -self.agent.hedge_share, -self.agent.backstop_hedge_share
        wish, owned = ours * share * delta, self._ordered_coin(state)
        least, most = np.minimum(owned, 0.0), np.maximum(owned, 0.0)
        bound = state.closing_only & ((wish < least) | (wish > most))
        wish, wish_slope = np.where(bound, np.clip(wish, least, most), wish), np.where(bound, 0.0, ours * share * bend)
        taken, gone = 1.0 - share * held, theirs * (1.0 - share) * delta
        slope = hedge_slope * wish + hedge * wish_slope + theirs * (taken * bend - share * held_slope * delta)
        return Aim(held, hedge, hedge * wish, theirs * taken * delta, (hedge - 1.0) * wish, wish + gone, slope)

    def _arrived(self, state: MarginedState, aim: Aim, traded: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Coin of account, backstop and by force that was filled in a step, (3, paths), and what is still on its way."""
        if not self.agent.delay_steps:
            held = state.accounts
            bought = np.stack((aim.perp_coin - held.perp_coin, aim.taken_coin - held.taken_coin, aim.forced_coin))
            return np.where(traded, bought, 0.0), state.flight
        waiting = np.concatenate((state.flight[1:], np.zeros((1, *state.flight.shape[1:]))))
        waiting[0] += np.where(traded, 0.0, state.flight[0])  # an order that met no auction waits for the next
        return np.where(traded, state.flight[0], 0.0), waiting

    def _ordered(self, state: MarginedState, aim: Aim, traded: BoolArray) -> MarginedState:
        """With the orders of this step on their way."""
        going, held = state.flight.sum(axis=0), state.accounts
        bought = np.stack((aim.perp_coin - held.perp_coin - going[0], aim.taken_coin - held.taken_coin - going[1], aim.forced_coin))
        bought, flight = np.where(traded, bought, 0.0), state.flight.copy()
        flight[-1] += bought
        return replace(state, flight=flight, ordered=bought[0] + bought[1])

    def _ordered_coin(self, state: MarginedState) -> FloatArray:
        """The account's hedge once its orders have arrived."""
        return np.asarray(state.accounts.perp_coin + state.flight[:, 0].sum(axis=0))

    def _called(
        self, state: MarginedState, what: tuple[FloatArray, FloatArray, FloatArray], marks: Marks, gross_coin: float, move: Move
    ) -> MarginedState:
        """After a call: options to the backstop, fees to the fund.  ``what``: part of options kept, coin of the hedge forced, part of the hedge kept."""
        kept, forced, hedge_kept = what
        over, terms = (1.0 - kept) * state.accounts.share, self.agent.terms
        if not over.any() and not forced.any():
            return state
        closed_usd = np.abs(forced) * move.fill_usd
        accounts = state.accounts.handed_over(kept, marks.value_usd)
        fees = with_fees(
            accounts,
            terms,
            option_fee_usd=terms.option.fee_share * over * gross_coin * marks.spot_usd,
            perp_fee_usd=terms.perp_fee_share * closed_usd,
            worth_usd=(accounts.share * marks.value_usd, accounts.perp_coin * marks.spot_usd),
        )
        state = replace(state, accounts=fees, forced_usd=state.forced_usd + closed_usd)
        if not self.writes_down:
            return state
        mean = -marks.value_usd / max(gross_coin, 1e-300)
        rows = (
            Takeovers.of(move.step, PERP, (forced, move.fill_usd, hedge_kept)),
            Takeovers.of(move.step, OPTIONS, (over * gross_coin, mean, kept)),
        )
        return replace(state, events=(*state.events, *(row for row in rows if row.rows)))

    def _closed(self, state: MarginedState, move: Move) -> MarginedState:
        """After the fund paid for purses without positions, and with what the account may do in the next step."""
        left = self._book_at(move.step + 1)
        accounts, terms = state.accounts, self.agent.terms
        going = state.flight[:, 0].any(axis=0)
        accounts = with_shortfall(
            accounts,
            terms,
            options_open=(accounts.share > 0.0) & (left.rows > 0),
            perp_open=(accounts.perp_coin != 0.0) | going,
            live=move.live,
        )
        now = replace(state, accounts=accounts)
        marks = self._marks(left, move.step, move.log_price, move.vol_shift, now)
        options, perp = self._purses(marks, now)
        delta = self.book.net_delta.at(move.step, move.log_price, move.vol_shift, running_average_usd=state.book.average_usd)[0]
        wish = -self.agent.hedge_share * accounts.share * delta
        asked = terms.perp_initial_usd(np.maximum(np.abs(wish), np.abs(self._ordered_coin(now))), marks.spot_usd)
        short = perp.equity_usd < asked
        if terms.cross:
            short = options.equity_usd + perp.equity_usd < asked + accounts.share * left.initial_usd(
                self._place(move.step, self._looked_at(move.log_price, now), move.vol_shift, state.book)
            )
        return replace(now, closing_only=np.where(move.live, short, state.closing_only))

    def _book_at(self, step: int) -> MarkedBook:
        """What is alive in a step: options are paid out at the end of the one that fixes them."""
        return self.marked.after(step - 1)

    def with_mark(self, mark_usd: FloatArray, state: MarginedState) -> MarginedState:
        """The state of a venue that calls at this mark in the coming step, whatever its own price does; (paths,)."""
        return replace(state, mark_usd=mark_usd)

    def _looked_at(self, log_price: FloatArray, state: MarginedState) -> FloatArray:
        """The log price at which the venue adds up."""
        return log_price if state.mark_usd is None else np.asarray(np.log(state.mark_usd / self.market.spot_usd))

    def _marks(self, book: MarkedBook, step: int, log_price: FloatArray, vol_shift: FloatArray, state: MarginedState) -> Marks:
        """The options where the venue looks at them."""
        return book.marks(self._place(step, self._looked_at(log_price, state), vol_shift, state.book))

    def _place(self, step: int, log_price: FloatArray, vol_shift: FloatArray, book: BookState) -> Place:
        return Place(float(self.market.grid.years[step]), log_price, vol_shift, book.average_usd)

    def _scale_log(self, view: View, state: MarginedState) -> FloatArray:
        """A call closes an account over a move as wide as its maintenance margin: no longer strides than a part of that."""
        accounts, terms, spot = state.accounts, self.agent.terms, view.spot_usd
        book = self._book_at(view.step)
        options, short = accounts.share * book.gross_coin, accounts.share * book.shorts.gross_coin * terms.option.maintenance_share
        coin = np.abs(accounts.perp_coin)
        perp = terms.perp_usd(coin, spot) / spot
        if terms.cross:
            held = options + coin
            width = np.where(held > 0.0, (short + perp) / np.where(held > 0.0, held, 1.0), np.inf)
        else:
            legs = [np.where(held > 0.0, part / np.where(held > 0.0, held, 1.0), np.inf) for part, held in ((short, options), (perp, coin))]
            width = np.minimum(*legs)
        return np.minimum(SCAN_SHARE * np.where(width > 0.0, width, np.inf), self.book.scale_log(view))
