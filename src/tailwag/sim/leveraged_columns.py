"""Leveraged traders at work with their accounts in columns: the plain twin of `tailwag.sim.leveraged_trader`, which also knows late orders and records.

With orders that arrive late a venue calls an account in one step and closes it some steps later, at the price of then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, zero_row
from tailwag.margin.contract import Contract
from tailwag.sim.agents.empty_answers import WantsNoHedge
from tailwag.sim.agents.protocol import Account, Draws, Move, Orders, View
from tailwag.sim.leveraged_accounts import Accounts, Closing, account_sum, closing, funded, market_order, settle, trigger_prices, wanted
from tailwag.sim.leveraged_venue import (
    accounts_at_start,
    announced_margin,
    borne_at,
    farthest,
    gamma_at_frontier_usd,
    in_its_unit,
    scan_scale_log,
    start_coin,
    traded,
)
from tailwag.sim.liquidation_events import Liquidations, written_down
from tailwag.sim.state import Borne

if TYPE_CHECKING:
    from tailwag.sim.agents.leveraged import LeveragedTraders


@dataclass(frozen=True, slots=True)
class ColumnState:
    """Accounts, orders of the venue on their way, and how far price has been.

    ``due`` (accounts, paths): steps until an order arrives, 0 = none, ``ordered`` its size; (paths,): first prices that liquidate, and the
    mark that the venue looks at in this step (None: its own price).  ``waiting``: margin factors announced and not yet in force.
    """

    accounts: Accounts
    due: IntArray
    ordered: FloatArray
    long_trigger: FloatArray
    short_trigger: FloatArray
    lowest: FloatArray
    highest: FloatArray
    events: tuple[Liquidations, ...] = ()
    mark_usd: FloatArray | None = None
    waiting: FloatArray | None = None


class Touched(NamedTuple):
    """Paths on which a venue has work after a step, ``where`` (paths,), and the prices there: of its mark and of its fills, (touched,)."""

    step: int
    where: BoolArray
    mark_usd: FloatArray
    fill_usd: FloatArray


@dataclass(frozen=True, slots=True)
class ColumnTrader(WantsNoHedge):
    """Leveraged traders whose venue calls them at once or late; ``records``: keep every liquidation in the state."""

    agent: LeveragedTraders
    spot_usd: float
    funding_per_year: float
    records: bool = False

    def init(self, paths: int, draw: Draws) -> ColumnState:
        """Everybody's position at the start."""
        accounts = accounts_at_start(self.agent, self.spot_usd, paths, draw)
        longs, shorts = trigger_prices(accounts, self.agent.rules.contract)
        nothing = np.zeros(paths)
        due = np.zeros((accounts.side.size, paths), dtype=np.int64)
        return ColumnState(accounts, due, np.zeros(due.shape), longs, shorts, nothing, nothing)

    def start_coin(self, state: ColumnState) -> FloatArray:
        """Longs less shorts at the start: coins, or for inverse contracts USD over the entry price."""
        return start_coin(state.accounts, self.agent.rules.contract)

    def act(self, view: View, account: Account, state: ColumnState, draw: Draws) -> Orders:
        """The venue's orders: positions whose margin is gone, sold or bought in at the market."""
        nothing, contract = zero_row(view.log_price.size), self.agent.rules.contract
        if self.agent.delay_steps:
            called = np.where(state.due == self.agent.delay_steps, state.ordered, 0.0)
            usd, coin, _, _ = in_its_unit(contract, _bought(view, state, called), nothing, nothing)
            return Orders(usd=usd, coin=coin)

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            amount, slope = self._demand(log_price, view, state)
            return in_its_unit(contract, amount, slope, nothing)

        return Orders(usd=nothing, coin=nothing, demand=demand, scale_log=scan_scale_log(self.agent, self.spot_usd, view.live))

    def liquidation_usd(self, log_price: FloatArray, view: View, state: ColumnState) -> FloatArray:
        """What the venue would buy (+) or sell (-) if price went to a log price, (paths,): positions that nobody has called yet."""
        spot = self.spot_usd * np.exp(log_price)
        if self.agent.delay_steps:
            called = wanted(state.accounts, self.agent.rules, spot if state.mark_usd is None else state.mark_usd)
            amount = _bought(view, state, np.where(state.due == 0, called, 0.0))
        else:
            amount, _ = self._demand(log_price, view, state)
        return np.asarray(amount * spot if self.agent.rules.contract is Contract.LINEAR else amount)

    def options(self, move: Move, state: ColumnState) -> tuple[None, ColumnState]:
        """No options; settles what was liquidated in the step, calls the next accounts, and charges funding."""
        now = self._worked(move, state)
        if self.funding_per_year != 0.0:  # on what is still open: the demand of this step was sized before it
            rate = self.funding_per_year * move.step_years
            now = self._with(now, funded(now.accounts, self.agent.rules, rate=rate, spot_usd=move.spot_usd, live=move.live))
        lowest, highest = farthest(move, state.lowest, state.highest)
        return None, self._margined(move, replace(now, lowest=lowest, highest=highest))

    def with_mark(self, mark_usd: FloatArray, state: ColumnState) -> ColumnState:
        """The state of a venue that liquidates on this mark in the coming step, whatever its own price does; (paths,)."""
        return replace(state, mark_usd=mark_usd)

    def with_funding(self, rate: FloatArray, spot_usd: FloatArray, state: ColumnState) -> ColumnState:
        """The state after longs paid ``rate`` of their value to shorts, (paths,); what does not net out comes from the rest of the market."""
        everybody = np.ones(spot_usd.shape, dtype=bool)
        return self._with(state, funded(state.accounts, self.agent.rules, rate=rate, spot_usd=spot_usd, live=everybody))

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: ColumnState) -> FloatArray:
        """Minus the notional per unit of log price at the frontier that the price touches, entries by their distribution."""
        return gamma_at_frontier_usd(self.agent, self.spot_usd, log_price, (state.lowest, state.highest))

    def borne(self, last_usd: FloatArray, state: ColumnState) -> Borne:
        """Who bore what the accounts lacked until now, at the last price, (paths,)."""
        has = state.accounts
        return borne_at(self.agent, (self.spot_usd, last_usd), (has.fund, has.bad_debt), (has.deleveraged_usd, has.shared))

    def _demand(self, log_price: FloatArray, view: View, state: ColumnState) -> tuple[FloatArray, FloatArray]:
        """Amount to buy if the step cleared there, and its slope; only paths that reach a level are looked at."""
        amount, slope = np.zeros(log_price.shape), np.zeros(log_price.shape)
        own = self.spot_usd * np.exp(log_price)
        touched = view.live & _reached(state, own)
        if touched.any():
            mark = None if state.mark_usd is None else state.mark_usd[touched]
            some, before = state.accounts.column(touched), view.spot_usd[touched]
            amount[touched], slope[touched] = market_order(some, self.agent.rules, own_usd=own[touched], before_usd=before, mark_usd=mark)
        return amount, slope

    def _worked(self, move: Move, state: ColumnState) -> ColumnState:
        """The state after the venue's work of this step: orders that arrived filled, accounts called."""
        touched = traded(move) & _reached(state, move.spot_usd)
        if self.agent.delay_steps:
            touched = traded(move) & (touched | (state.due > 0).any(axis=0))
        if not touched.any():
            return state
        mark = move.spot_usd if state.mark_usd is None else state.mark_usd
        at = Touched(move.step, touched, mark[touched], move.fill_usd[touched])
        return (self._late if self.agent.delay_steps else self._at_once)(state, at)

    def _at_once(self, state: ColumnState, at: Touched) -> ColumnState:
        """Whoever is called is closed in the step."""
        some, rules = state.accounts.column(at.where), self.agent.rules
        closed = closing(some, rules, wanted(some, rules, at.mark_usd), mark_usd=at.mark_usd, fill_usd=at.fill_usd)
        return self._with_column(state, at, *self._closed(some, closed, at))

    def _late(self, state: ColumnState, at: Touched) -> ColumnState:
        """Orders that arrived are filled, the others come nearer; whoever is called now is ordered, or taken by the other side at once."""
        rules, due, ordered = self.agent.rules, state.due[:, at.where], state.ordered[:, at.where]
        arrived = Closing(np.where(due == 1, ordered, 0.0), np.zeros(ordered.shape))
        some, filled = self._closed(state.accounts.column(at.where), arrived, at)
        due, at_mark = np.maximum(due - 1, 0), at._replace(fill_usd=at.mark_usd)
        wants = np.where(due == 0, wanted(some, rules, at.mark_usd), 0.0)
        sent = np.where(due > 0, ordered, 0.0)
        called = closing(some, rules, wants, mark_usd=at.mark_usd, fill_usd=at.mark_usd, sent=sent)
        some, taken = self._closed(some, Closing(np.zeros(wants.shape), called.taken), at_mark, sent=sent + called.sold)
        fresh, all_due, all_ordered = called.sold > 0.0, state.due.copy(), state.ordered.copy()
        all_due[:, at.where] = np.where(fresh, self.agent.delay_steps, due)
        all_ordered[:, at.where] = np.where(fresh, called.sold, ordered)
        return replace(self._with_column(state, at, some, filled + taken), due=all_due, ordered=all_ordered)

    def _closed(
        self, some: Accounts, closed: Closing, at: Touched, *, sent: FloatArray | float = 0.0
    ) -> tuple[Accounts, tuple[Liquidations, ...]]:
        """The touched accounts after a closing, and what is written down of it."""
        rules = self.agent.rules
        after, against = settle(some, rules, closed, mark_usd=at.mark_usd, fill_usd=at.fill_usd, sent=sent)
        if not self.records:
            return after, ()
        when = (at.step, np.flatnonzero(at.where), at.fill_usd)
        return after, written_down(some, (closed, against, after.fund), rules.contract, when)

    def _with_column(self, state: ColumnState, at: Touched, some: Accounts, events: tuple[Liquidations, ...]) -> ColumnState:
        """The state with the touched paths' accounts, and the prices that call the next of them."""
        longs, shorts = state.long_trigger.copy(), state.short_trigger.copy()
        longs[at.where], shorts[at.where] = trigger_prices(some, self.agent.rules.contract)
        accounts, events = state.accounts.with_column(at.where, some), (*state.events, *events)
        return replace(state, accounts=accounts, long_trigger=longs, short_trigger=shorts, events=events)

    def _margined(self, move: Move, state: ColumnState) -> ColumnState:
        """The state with the margin that the next step is held to."""
        announced = announced_margin(self.agent, state.waiting, move.market_gain)
        if announced is None:
            return state
        factor, waiting = announced
        table = [bucket.maintenance(self.agent.rules, self.spot_usd) for bucket in self.agent.buckets]
        share = np.repeat(table, [bucket.accounts for bucket in self.agent.buckets])[:, None] * factor
        return replace(self._with(state, replace(state.accounts, share=share)), waiting=waiting)

    def _with(self, state: ColumnState, accounts: Accounts) -> ColumnState:
        """The state with other accounts on every path."""
        longs, shorts = trigger_prices(accounts, self.agent.rules.contract)
        return replace(state, accounts=accounts, long_trigger=longs, short_trigger=shorts)


def _reached(state: ColumnState, own_usd: FloatArray) -> BoolArray:
    """Paths on which the mark of the venue, its own price where it has none, passed the first price that liquidates."""
    mark = own_usd if state.mark_usd is None else state.mark_usd
    return np.asarray((mark <= state.long_trigger) | (mark >= state.short_trigger))


def _bought(view: View, state: ColumnState, called: FloatArray) -> FloatArray:
    """What the venue buys to close sizes of its accounts (accounts, paths): (paths,), nothing on a path that has stopped."""
    return np.where(view.live, -account_sum(state.accounts.side * called), 0.0)
