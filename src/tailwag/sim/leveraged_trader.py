"""Leveraged traders at work in compiled code: accounts as rows, of which only those are read whose level lies between two prices.

Whatever is recorded or late is kept in columns instead, by the plain twin of `tailwag.sim.leveraged_columns`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray, zero_row
from tailwag.kernels.demands import LEVERAGED
from tailwag.kernels.thresholds import passed
from tailwag.sim.agents.empty_answers import WantsNoHedge
from tailwag.sim.agents.protocol import Account, Demand, Draws, Move, Orders, View
from tailwag.sim.leveraged_accounts import Accounts
from tailwag.sim.leveraged_rows import Rows, alike, columns_of, levels_log, rows_of, slots_of
from tailwag.sim.leveraged_settling import charged, order_of, settled
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
from tailwag.sim.state import Borne
from tailwag.sim.walked import Walked

if TYPE_CHECKING:
    from tailwag.sim.agents.leveraged import LeveragedTraders

Looks = tuple[FloatArray, FloatArray, FloatArray | None]
"""Log prices below and above which somebody is called, out of reach where a path has stopped; and the mark, None for the venue's own price."""


@dataclass(frozen=True, slots=True)
class RowState:
    """Accounts as rows, the log prices at which the next of them are liquidated, and how far price has been, (paths,).

    ``mark_usd``: the venue liquidates on it in this step (None: on its own price).  ``waiting``: margin factors announced and not yet in force.
    """

    rows: Rows
    levels: tuple[FloatArray, FloatArray]
    lowest: FloatArray
    highest: FloatArray
    mark_usd: FloatArray | None = None
    waiting: FloatArray | None = None

    @property
    def accounts(self) -> Accounts:
        """The accounts as columns, funding booked."""
        return columns_of(self.rows, np.arange(self.lowest.size))


@dataclass(frozen=True, slots=True)
class RowTrader(WantsNoHedge):
    """Leveraged traders whose venue calls them in the step that reaches them."""

    agent: LeveragedTraders
    spot_usd: float
    funding_per_year: float

    def init(self, paths: int, draw: Draws) -> RowState:
        """Everybody's position at the start."""
        accounts = accounts_at_start(self.agent, self.spot_usd, 1 if self.agent.entries == "even" else paths, draw)
        rows, nothing = rows_of(accounts, self.agent.rules, paths), np.zeros(paths)
        return RowState(rows, levels_log(rows, self.spot_usd), nothing, nothing)

    def start_coin(self, state: RowState) -> FloatArray:
        """Longs less shorts at the start: coins, or for inverse contracts USD over the entry price."""
        contract = self.agent.rules.contract
        if alike(state.rows):
            return np.repeat(start_coin(columns_of(state.rows, np.zeros(1, dtype=np.int64)), contract), state.lowest.size)
        return start_coin(state.accounts, contract)

    def act(self, view: View, account: Account, state: RowState, draw: Draws) -> Orders:
        """The venue's orders: positions whose margin is gone, sold or bought in at the market; nothing at all where no level lies between."""
        low, high, mark_log = looks = self._looks(view, state)
        nothing, some = zero_row(low.size), self._demands(view, state, looks)
        walked = Walked(LEVERAGED, (low, high, view.spot_usd, 0 if mark_log is None else mark_log, *slots_of(state.rows)), (self.spot_usd,))
        scale = scan_scale_log(self.agent, self.spot_usd, view.live)
        return Orders(usd=nothing, coin=nothing, demand=some(slice(None)), scale_log=scale, some=some, walked=walked)

    def liquidation_usd(self, log_price: FloatArray, view: View, state: RowState) -> FloatArray:
        """What the venue would buy (+) or sell (-) if price went to a log price, (paths,)."""
        usd, coin, _, _ = self._demands(view, state, self._looks(view, state))(slice(None))(log_price, view.vol_shift)
        return np.asarray(usd + coin * (self.spot_usd * np.exp(log_price)))

    def options(self, move: Move, state: RowState) -> tuple[None, RowState]:
        """No options; settles what was liquidated in the step, charges funding, and finds the levels of the next one."""
        rows, waiting = self._settled(move, state), state.waiting
        if self.funding_per_year != 0.0:
            rate = self.funding_per_year * move.step_years
            rows = charged(rows, rate if move.live.all() else np.where(move.live, rate, 0.0), move.spot_usd)
        announced = announced_margin(self.agent, waiting, move.market_gain)
        if announced is not None:
            factor, waiting = announced
            rows = rows._replace(paths=rows.paths._replace(factor=factor))
        lowest, highest = farthest(move, state.lowest, state.highest)
        return None, RowState(rows, levels_log(rows, self.spot_usd), lowest, highest, state.mark_usd, waiting)

    def with_mark(self, mark_usd: FloatArray, state: RowState) -> RowState:
        """The state of a venue that liquidates on this mark in the coming step, whatever its own price does; (paths,)."""
        return replace(state, mark_usd=mark_usd)

    def with_funding(self, rate: FloatArray, spot_usd: FloatArray, state: RowState) -> RowState:
        """The state after longs paid ``rate`` of their value to shorts, (paths,); what does not net out comes from the rest of the market."""
        rows = charged(state.rows, rate, spot_usd)
        return replace(state, rows=rows, levels=levels_log(rows, self.spot_usd))

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: RowState) -> FloatArray:
        """Minus the notional per unit of log price at the frontier that the price touches, entries by their distribution."""
        return gamma_at_frontier_usd(self.agent, self.spot_usd, log_price, (state.lowest, state.highest))

    def borne(self, last_usd: FloatArray, state: RowState) -> Borne:
        """Who bore what the accounts lacked until now, at the last price, (paths,)."""
        rows = state.rows
        return borne_at(self.agent, (self.spot_usd, last_usd), (rows.paths.fund, rows.bad_debt), rows.borne)

    def _settled(self, move: Move, state: RowState) -> Rows:
        """The rows after the venue's work of this step, on the paths whose mark passed a level."""
        low, high = state.levels
        mark = move.spot_usd if state.mark_usd is None else state.mark_usd
        mark_log = move.log_price if state.mark_usd is None else np.log(mark / self.spot_usd)
        reached = np.empty(low.size, dtype=np.int64)
        touched = reached[: passed(mark_log, low, high, traded(move), reached)]
        if not touched.size:
            return state.rows
        prices = (np.ascontiguousarray(mark), np.ascontiguousarray(move.fill_usd))
        return settled(state.rows, self.agent.rules, prices, touched)

    def _looks(self, view: View, state: RowState) -> Looks:
        """Which prices call somebody on which path, and the price that is held against them."""
        low, high = state.levels
        if not view.live.all():
            low, high = np.where(view.live, low, -np.inf), np.where(view.live, high, np.inf)
        return low, high, None if state.mark_usd is None else np.log(state.mark_usd / self.spot_usd)

    def _demands(self, view: View, state: RowState, looks: Looks) -> Callable[[IntArray | slice], Demand]:
        """The demand of some of the paths as it is asked where compiled code does not."""
        low, high, mark_log = looks

        def some(chosen: IntArray | slice) -> Demand:
            lowest, highest, marked = low[chosen], high[chosen], None if mark_log is None else mark_log[chosen]
            nobody = zero_row(lowest.size)

            def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
                at = log_price if marked is None else marked
                reached = np.flatnonzero((at <= lowest) | (at >= highest))
                if not reached.size:
                    return nobody, nobody, nobody, nobody
                amount, slope = np.zeros(log_price.size), np.zeros(log_price.size)
                place = reached if isinstance(chosen, slice) else chosen[reached]
                amount[reached], slope[reached] = self._order(log_price[reached], view, state, place)
                return in_its_unit(self.agent.rules.contract, amount, slope, nobody)

            return demand

        return some

    def _order(self, log_price: FloatArray, view: View, state: RowState, place: IntArray) -> tuple[FloatArray, FloatArray]:
        """What the venue buys on these paths if the step cleared there, and its slope, (place,)."""
        return order_of(
            state.rows,
            self.agent.rules,
            place,
            own_usd=self.spot_usd * np.exp(log_price),
            before_usd=view.spot_usd[place],
            mark_usd=None if state.mark_usd is None else state.mark_usd[place],
        )
