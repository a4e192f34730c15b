"""Leveraged traders at work: what their venue orders in a step, and what is left of every account after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, zero_row
from tailwag.kernels.demands import LEVERAGED
from tailwag.kernels.thresholds import passed
from tailwag.margin.contract import Contract
from tailwag.margin.rulebook import Rulebook
from tailwag.sim.agents.empty_answers import WantsNoHedge
from tailwag.sim.agents.protocol import Account, Demand, Draws, Move, Orders, View
from tailwag.sim.leverage_buckets import opened
from tailwag.sim.leveraged_accounts import (
    Accounts,
    Closing,
    account_sum,
    closing,
    funded,
    settle,
    taken_slope,
    trigger_prices,
    wanted,
    wanted_slope,
)
from tailwag.sim.leveraged_rows import (
    RowState,
    after_funding,
    alike,
    amounts,
    changes,
    columns_of,
    levels_log,
    paid_each,
    reach,
    rows_of,
    slots_of,
)
from tailwag.sim.liquidation_events import Against, Liquidations
from tailwag.sim.walked import Walked

if TYPE_CHECKING:
    from tailwag.sim.agents.leveraged import LeveragedTraders

TO_ENTER = 2
"""Kind of draws that places entry prices, where they are drawn."""
SCAN_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class LeveragedState:
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


@dataclass(frozen=True, slots=True)
class LeveragedTrader(WantsNoHedge):
    """Leveraged traders at work; ``records``: keep every liquidation in the state.

    ``compiled``: walk rows of accounts in compiled code where nothing is recorded or late; else columns, the plain twin.
    """

    agent: LeveragedTraders
    spot_usd: float
    funding_per_year: float
    records: bool = False
    compiled: bool = True

    def init(self, paths: int, draw: Draws) -> Any:
        """Everybody's position at the start."""
        agent, linear = self.agent, self.agent.rules.contract is Contract.LINEAR
        fund = agent.fund_usd if linear else agent.fund_usd / self.spot_usd
        walked = self.compiled and not self.records and not agent.delay_steps
        quantiles = self._quantiles(1 if walked and agent.entries == "even" else paths, draw)
        accounts = opened(agent.buckets, agent.rules, spot_usd=self.spot_usd, fund=fund, quantiles=quantiles)
        if walked:
            rows = rows_of(accounts, agent.rules, paths)
            return replace(rows, levels=levels_log(rows, self.spot_usd))
        longs, shorts = trigger_prices(accounts, agent.rules.contract)
        nothing = np.zeros(paths)
        due = np.zeros((accounts.side.size, paths), dtype=np.int64)
        return LeveragedState(accounts, due, np.zeros(due.shape), longs, shorts, nothing, nothing)

    def start_coin(self, state: Any) -> FloatArray:
        """Longs less shorts at the start: coins, or for inverse contracts USD over the entry price."""
        if isinstance(state, RowState) and alike(state):
            return np.repeat(self._started(columns_of(state, np.zeros(1, dtype=np.int64))), state.row.size)
        return self._started(state.accounts)

    def _started(self, accounts: Accounts) -> FloatArray:
        held = accounts.side * accounts.size
        return account_sum(held if self._linear else -held * accounts.entry)

    def act(self, view: View, account: Account, state: LeveragedState | RowState, draw: Draws) -> Orders:
        """The venue's orders: positions whose margin is gone, sold or bought in at the market."""
        if isinstance(state, RowState):
            return self._walked(view, state)
        nothing = zero_row(view.log_price.size)
        if self.agent.delay_steps:
            called = np.where(state.due == self.agent.delay_steps, state.ordered, 0.0)
            amount = np.where(view.live, -account_sum(state.accounts.side * called), 0.0)
            return Orders(usd=nothing, coin=amount) if self._linear else Orders(usd=amount, coin=nothing)

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            amount, slope = self._demand(log_price, view, state)
            return (nothing, amount, nothing, slope) if self._linear else (amount, nothing, slope, nothing)

        return Orders(usd=nothing, coin=nothing, demand=demand, scale_log=self._scale(view))

    def liquidation_usd(self, log_price: FloatArray, view: View, state: Any) -> FloatArray:
        """What the venue would buy (+) or sell (-) if price went to a log price, (paths,): positions that nobody has called yet."""
        spot = self.spot_usd * np.exp(log_price)
        if isinstance(state, RowState):
            demand = self._walked(view, state).demand
            assert demand is not None  # rows always answer in their step
            usd, coin, _, _ = demand(log_price, view.vol_shift)
            return np.asarray(usd + coin * spot)
        if self.agent.delay_steps:
            called = wanted(state.accounts, self.agent.rules, spot if state.mark_usd is None else state.mark_usd)
            amount = np.where(view.live, -account_sum(state.accounts.side * np.where(state.due == 0, called, 0.0)), 0.0)
        else:
            amount, _ = self._demand(log_price, view, state)
        return np.asarray(amount * spot if self._linear else amount)

    def options(self, move: Move, state: Any) -> tuple[None, Any]:
        """No options; settles what was liquidated in the step, calls the next accounts, and charges funding."""
        low, high = np.minimum(state.lowest, move.log_price), np.maximum(state.highest, move.log_price)
        if not move.live.all():
            low, high = np.where(move.live, low, state.lowest), np.where(move.live, high, state.highest)
        if isinstance(state, RowState):
            return None, self._settled_rows(move, state, (low, high))
        return None, self._margined(move, replace(self._settled_columns(move, state), lowest=low, highest=high))

    def _announced(self, move: Move, state: Any) -> tuple[FloatArray, FloatArray] | None:
        """The margin's factor that the next step is held to, announced its notice ago, and what is announced; None where it never changes."""
        rule, gain = self.agent.margin, move.market_gain
        if rule is None or gain is None:
            return None
        return rule.announced(rule.silent(gain.size) if state.waiting is None else state.waiting, gain)

    def _margined(self, move: Move, state: LeveragedState) -> LeveragedState:
        """The margin that the next step is held to."""
        announced = self._announced(move, state)
        if announced is None:
            return state
        factor, waiting = announced
        table = [bucket.maintenance(self.agent.rules, self.spot_usd) for bucket in self.agent.buckets]
        share = np.repeat(table, [bucket.accounts for bucket in self.agent.buckets])[:, None] * factor
        return replace(self._with(state, replace(state.accounts, share=share)), waiting=waiting)

    def _settled_rows(self, move: Move, state: RowState, been: tuple[FloatArray, FloatArray]) -> RowState:
        """The rows after a step, all that it changes at once, with the levels that the next step reads when it begins and again when it ends."""
        low, high = levels_log(state, self.spot_usd)
        mark_log = move.log_price if state.mark_usd is None else np.log(state.mark_usd / self.spot_usd)
        reached = np.empty(low.size, dtype=np.int64)
        touched = reached[: passed(mark_log, low, high, _traded(move), reached)]
        new: dict[str, Any] = changes(state, self.agent.rules, move, touched) if touched.size else {}
        if self.funding_per_year != 0.0:
            rate = self.funding_per_year * move.step_years
            each = paid_each(state.heap.venue, rate if move.live.all() else np.where(move.live, rate, 0.0), move.spot_usd)
            new["outside"] = state.outside + new.get("net", state.net) * each
            new["drift"] = new.get("drift", state.drift) + each
        announced = self._announced(move, state)
        if announced is not None:
            new["factor"], new["waiting"] = announced
        edge, drift, factor = (new.get(name, getattr(state, name)) for name in ("edge", "drift", "factor"))
        levels = reach(state.heap.venue, edge, drift, factor, self.spot_usd)
        return replace(state, **new, lowest=been[0], highest=been[1], levels=levels)

    def _walked(self, view: View, state: RowState) -> Orders:
        """The demand of compiled code: nothing at all where no level lies between."""
        low, high = levels_log(state, self.spot_usd)
        if not view.live.all():
            low, high = np.where(view.live, low, -np.inf), np.where(view.live, high, np.inf)
        mark_log = None if state.mark_usd is None else np.log(state.mark_usd / self.spot_usd)
        nothing, linear = zero_row(low.size), self._linear

        def some(chosen: IntArray | slice) -> Demand:
            lowest, highest, marked = low[chosen], high[chosen], None if mark_log is None else mark_log[chosen]

            def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
                at, nobody = log_price if marked is None else marked, nothing[: log_price.size]
                reached = np.flatnonzero((at <= lowest) | (at >= highest))
                if not reached.size:
                    return nobody, nobody, nobody, nobody
                amount, slope = np.zeros(log_price.size), np.zeros(log_price.size)
                place = reached if isinstance(chosen, slice) else chosen[reached]
                prices = (self.spot_usd * np.exp(log_price[reached]), view.spot_usd[place])
                amount[reached], slope[reached] = amounts(state, self.agent.rules, place, prices)
                return (nobody, amount, nobody, slope) if linear else (amount, nobody, slope, nobody)

            return demand

        walked = Walked(LEVERAGED, (low, high, view.spot_usd, 0 if mark_log is None else mark_log, *slots_of(state)), (self.spot_usd,))
        return Orders(usd=nothing, coin=nothing, demand=some(slice(None)), scale_log=self._scale(view), some=some, walked=walked)

    def _settled_columns(self, move: Move, state: LeveragedState) -> LeveragedState:
        now, mark = state, move.spot_usd if state.mark_usd is None else state.mark_usd
        touched = _traded(move) & ((mark <= now.long_trigger) | (mark >= now.short_trigger))
        if self.agent.delay_steps:
            touched = _traded(move) & (touched | (now.due > 0).any(axis=0))
        if touched.any():
            now = self._liquidated(now, move, touched)
        if self.funding_per_year != 0.0:  # on what is still open: the demand of this step was sized before it
            rate = self.funding_per_year * move.step_years
            now = self._with(now, funded(now.accounts, self.agent.rules, rate=rate, spot_usd=move.spot_usd, live=move.live))
        return now

    def with_mark(self, mark_usd: FloatArray, state: Any) -> Any:
        """The state of a venue that liquidates on this mark in the coming step, whatever its own price does; (paths,)."""
        return replace(state, mark_usd=mark_usd)

    def with_funding(self, rate: FloatArray, spot_usd: FloatArray, state: Any) -> Any:
        """The state after longs paid ``rate`` of their value to shorts, (paths,); what does not net out comes from the rest of the market."""
        if isinstance(state, RowState):
            return after_funding(state, rate, spot_usd)
        everybody = np.ones(spot_usd.shape, dtype=bool)
        return self._with(state, funded(state.accounts, self.agent.rules, rate=rate, spot_usd=spot_usd, live=everybody))

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: Any) -> FloatArray:
        """Minus the notional per unit of log price at the frontier that the price touches, entries by their distribution."""
        at_edge = (log_price <= state.lowest) | (log_price >= state.highest)
        return np.where(at_edge, -self.agent.density_usd(log_price, self.spot_usd), 0.0)

    @property
    def _linear(self) -> bool:
        return self.agent.rules.contract is Contract.LINEAR

    def _quantiles(self, paths: int, draw: Draws) -> list[FloatArray]:
        made, first = [], 0
        for bucket in self.agent.buckets:
            if self.agent.entries == "even":
                middle = (np.arange(bucket.accounts) + 0.5) / bucket.accounts
                made.append(np.repeat(middle[:, None], paths, axis=1))
            else:
                made.append(np.stack([draw(TO_ENTER, first + place) for place in range(bucket.accounts)]))
            first += bucket.accounts
        return made

    def _demand(self, log_price: FloatArray, view: View, state: LeveragedState) -> tuple[FloatArray, FloatArray]:
        """Amount to buy if the step cleared there, and its slope; only paths that reach a level are looked at."""
        amount, slope = np.zeros(log_price.shape), np.zeros(log_price.shape)
        own = self.spot_usd * np.exp(log_price)
        mark = own if state.mark_usd is None else state.mark_usd
        touched = view.live & ((mark <= state.long_trigger) | (mark >= state.short_trigger))
        if not touched.any():
            return amount, slope
        some, rules, price = state.accounts.column(touched), self.agent.rules, mark[touched]
        fill = 0.5 * (view.spot_usd[touched] + own[touched])
        closed = closing(some, rules, wanted(some, rules, price), mark_usd=price, fill_usd=fill)
        amount[touched] = -account_sum(some.side * closed.sold)
        follows = wanted_slope(some, rules, price) if state.mark_usd is None else 0.0  # a mark from elsewhere stays where it is
        slope[touched] = follows + taken_slope(some, rules, closed, mark_usd=own[touched], fill_usd=fill)
        return amount, slope

    def _liquidated(self, state: LeveragedState, move: Move, touched: BoolArray) -> LeveragedState:
        """The touched paths after the venue's work of this step."""
        some, rules, fill = state.accounts.column(touched), self.agent.rules, move.fill_usd[touched]
        mark = (move.spot_usd if state.mark_usd is None else state.mark_usd)[touched]
        due, ordered, events = state.due[:, touched], state.ordered[:, touched], list(state.events)
        if self.agent.delay_steps:
            arrived = Closing(np.where(due == 1, ordered, 0.0), np.zeros(ordered.shape))
            some = self._settled(some, arrived, move, touched, events, mark, fill)
            due = np.maximum(due - 1, 0)
            wants = np.where(due == 0, wanted(some, rules, mark), 0.0)
            called = closing(some, rules, wants, mark_usd=mark, fill_usd=mark)
            some = self._settled(some, Closing(np.zeros(wants.shape), called.taken), move, touched, events, mark, mark)
            fresh = called.sold > 0.0
            due, ordered = np.where(fresh, self.agent.delay_steps, due), np.where(fresh, called.sold, ordered)
        else:
            closed = closing(some, rules, wanted(some, rules, mark), mark_usd=mark, fill_usd=fill)
            some = self._settled(some, closed, move, touched, events, mark, fill)
        longs, shorts = state.long_trigger.copy(), state.short_trigger.copy()
        longs[touched], shorts[touched] = trigger_prices(some, rules.contract)
        now = replace(
            state, accounts=state.accounts.with_column(touched, some), long_trigger=longs, short_trigger=shorts, events=tuple(events)
        )
        if not self.agent.delay_steps:
            return now
        all_due, all_ordered = state.due.copy(), state.ordered.copy()
        all_due[:, touched], all_ordered[:, touched] = due, ordered
        return replace(now, due=all_due, ordered=all_ordered)

    def _with(self, state: LeveragedState, accounts: Accounts) -> LeveragedState:
        longs, shorts = trigger_prices(accounts, self.agent.rules.contract)
        return replace(state, accounts=accounts, long_trigger=longs, short_trigger=shorts)

    def _settled(
        self,
        some: Accounts,
        closed: Closing,
        move: Move,
        touched: BoolArray,
        events: list[Liquidations],
        mark: FloatArray,
        fill: FloatArray,
    ) -> Accounts:
        after, against = settle(some, self.agent.rules, closed, mark_usd=mark, fill_usd=fill)
        if self.records:
            beyond = np.where((some.fund > 0.0) | (after.fund > 0.0), int(Against.FUND), int(Against.EMPTY_FUND))
            events.extend(_events(some, (closed, against, beyond), self.agent.rules, (move.step, np.flatnonzero(touched), fill)))
        return after

    def _scale(self, view: View) -> FloatArray | None:
        """Rounds close a position over a move as wide as its maintenance margin: a cascade is not scanned in longer strides."""
        if not self.agent.rules.rounds:
            return None
        least = min(bucket.maintenance(self.agent.rules, self.spot_usd) for bucket in self.agent.buckets)
        return np.where(view.live, SCAN_SHARE * least, np.inf)


def _traded(move: Move) -> BoolArray:
    """Paths on which the venue's orders of the step were filled: in the step that stops a path nobody trades, so nobody is liquidated."""
    return move.live if move.traded is None else move.traded


def _events(
    accounts: Accounts, what: tuple[Closing, FloatArray, IntArray], rules: Rulebook, when: tuple[int, IntArray, FloatArray]
) -> list[Liquidations]:
    """What one settlement closed, as rows: sold at the fill, deleveraged at the bankruptcy price on both sides.

    ``what``: closed, deleveraged of the other side, and who bears what a sale beyond the bankruptcy price lacks, (paths,).
    """
    (closed, against, beyond), (step, paths, fill) = what, when
    contract = rules.contract
    whole = closed.sold + closed.taken
    left = accounts.wallet + accounts.side * whole * (contract.unit_value(fill) - accounts.entry)
    ruined = (whole >= accounts.size) & (left < 0.0)
    open_size = np.where(accounts.size > 0.0, accounts.size, 1.0)
    bankrupt = contract.price_usd(accounts.entry - accounts.side * accounts.wallet / open_size)
    amount = account_sum(closed.taken)
    met = account_sum(closed.taken * np.where(closed.taken > 0.0, bankrupt, 0.0)) / np.where(amount > 0.0, amount, 1.0)
    rows = (
        (closed.sold, np.broadcast_to(fill, closed.sold.shape), np.where(ruined, beyond, int(Against.MARKET))),
        (closed.taken, bankrupt, np.full(closed.taken.shape, int(Against.OTHER_SIDE))),
        (against, np.broadcast_to(met, against.shape), np.full(against.shape, int(Against.BANKRUPT))),
    )
    made = []
    for size, price, party in rows:
        account, path = np.nonzero(size > 0.0)
        if not account.size:
            continue
        at = price[account, path]
        usd = size[account, path] * (at if contract is Contract.LINEAR else 1.0)
        made.append(
            Liquidations(np.full(account.size, step), paths[path], account, accounts.side[account, 0], usd, at, party[account, path])
        )
    return made
