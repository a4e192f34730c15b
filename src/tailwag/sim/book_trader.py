"""Hedgers of a list of options: the whole book's net delta, and the flow of time decay alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from tailwag.hedging.policies import AtTimes, Band, EveryStep, HedgeView, NoHedge, WhalleyWilmott
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, zero_row
from tailwag.kernels.booking import row
from tailwag.kernels.demands import BOOK
from tailwag.sim.agents.protocol import Account, Demand, Draws, Market, Move, OptionStep, Orders, View, no_orders
from tailwag.sim.hedge_terms import HedgeTerms, decide, hedge_view
from tailwag.sim.net_delta import DirectNetDelta, NetDelta, Settings, TabulatedNetDelta
from tailwag.sim.option_book import (
    LEAST_YEARS,
    SETTLED_YEARS,
    WINDOW_YEARS,
    OptionBook,
    book_greeks,
    settlement_value,
    time_left,
)
from tailwag.sim.option_values import values_of
from tailwag.sim.walked import Walked

SCAN_SHARE = 0.25
"""The clearing scan moves no further than this share of the nearest expiry's standard deviation at a time."""
SAME_YEARS = 1e-12
"""Grid times and expiries nearer than this (thirty microseconds) are the same time."""
SAME_LOG = 1e-14
"""Log prices (and vol shifts) nearer than this are the same: the search stops where two prices differ by rounding alone."""
FIXING_YEARS = 2.0 * SETTLED_YEARS
"""An option is alive at the grid time that fixes it, and gone at the next."""


TABLE_ROWS = 64
"""Books of more options than this are read from a table where the market asks for one."""


@dataclass(frozen=True, slots=True)
class Read:
    """The net delta and its slope at a cleared price, kept for who asks for them there again."""

    step: int
    log_price: FloatArray
    vol_shift: FloatArray
    found: tuple[FloatArray, FloatArray]

    def answers(self, step: int, log_price: FloatArray, vol_shift: FloatArray) -> bool:
        """Whether this very point is asked for."""
        same = log_price is self.log_price or bool((log_price == self.log_price).all())
        return step == self.step and same and (vol_shift is self.vol_shift or bool((vol_shift == self.vol_shift).all()))


@dataclass(frozen=True, slots=True)
class BookState:
    """What a book remembers: coin held on for options that have left (``after_expiry = "hold"``), its value, and its settlement average.

    Shapes: (paths,).  ``leaving_coin`` is held on for those that fixed at ``leaving_step``, where they are still hedged as options: it counts
    from the next step on.  ``last_step`` is the last one in which a path traded: where it stopped it is valued.  ``value_usd`` is from the last valuation, ``delta_since_usd`` what delta explains since then.  ``average_usd`` is the
    mean price over the ``average_count`` grid times since the settlement window opened (0: the last price).
    """

    held_coin: FloatArray
    value_usd: FloatArray
    delta_since_usd: FloatArray
    average_usd: FloatArray
    average_count: int
    leaving_coin: FloatArray | float = 0.0
    leaving_step: int = 0
    last_step: IntArray | int = 0
    read: Read | None = None

    def held_at(self, step: int) -> FloatArray:
        """Coin held on for options that have left before a step."""
        return self.held_coin + self.leaving_coin if step > self.leaving_step else self.held_coin


@dataclass(frozen=True, slots=True, init=False)
class BookTrader:
    """Hedges an option book to minus its net delta.

    An option fixes at the first grid time at or after its expiry, and is still hedged in that step; then it is gone.
    """

    book: OptionBook
    terms: HedgeTerms
    market: Market
    net_delta: NetDelta
    fixing_step: IntArray
    mean_iv: float
    _years: FloatArray = field(repr=False)

    def __init__(self, book: OptionBook, terms: HedgeTerms, market: Market) -> None:
        years = market.grid.years
        fixing = np.searchsorted(years, book.expiry_years - SAME_YEARS, side="left")
        on_grid = np.where(fixing <= market.grid.steps, np.append(years, np.inf)[fixing] + FIXING_YEARS, book.expiry_years)
        moved = replace(book, expiry_years=np.where(np.isfinite(on_grid), on_grid, book.expiry_years))
        weight = np.abs(book.contracts_coin)
        for name, value in (
            ("book", moved),
            ("terms", terms),
            ("market", market),
            ("net_delta", _net_delta(moved, market)),
            ("fixing_step", fixing),
            ("mean_iv", float((weight * book.iv).sum() / max(weight.sum(), 1e-300))),
            ("_years", years),
        ):
            object.__setattr__(self, name, value)

    def init(self, paths: int, draw: Draws | None = None) -> BookState:
        """The book at its starting value, nothing averaged yet."""
        nothing = np.zeros(paths)
        value = np.repeat(book_greeks(self.book, 0.0, self.market.spot_usd, np.zeros(1), np.zeros(1))[0], paths)
        return BookState(nothing, value, nothing, np.full(paths, self.market.spot_usd), 0)

    def start_coin(self, state: BookState) -> FloatArray:
        """Hedged at the start: minus the share of the net delta."""
        one = state.average_usd[:1]
        delta = self.net_delta.at(0, np.zeros(one.size), np.zeros(one.size), running_average_usd=one)[0]
        return state.held_at(0) - self.terms.hedge_share * np.repeat(delta, state.held_coin.size)

    def act(self, view: View, account: Account, state: BookState, draw: Draws) -> Orders:
        """Close the gap in coin between minus the net delta and what is held or on its way."""
        if isinstance(self.terms.policy, NoHedge):
            return no_orders(view.log_price.size)
        shift = self._policy_shift(view, draw, state)
        owned = account.position_coin + account.flight_coin
        read = self._read(view.step, view.log_price, view.vol_shift + shift, state)
        target, slope = self._hedge(view.step, read, state)
        decision = decide(
            self.terms,
            view,
            draw,
            gap=target - owned,
            unit="coin",
            dollar_gamma_usd=-slope * view.spot_usd,
            vol=self._vol(view),
            years_left=self._years_left(view),
        )
        nothing = zero_row(owned.size)
        if self.terms.delay_steps:
            return Orders(usd=nothing, coin=decision.speed * (target - owned - decision.offset))

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            if log_price is view.log_price and (vol_shift == view.vol_shift).all():  # what was read to decide
                there, steepness = target, slope
            else:
                there, steepness = self._target(view.step, log_price, vol_shift + shift, state)
            return nothing, decision.speed * (there - owned - decision.offset), nothing, decision.speed * steepness

        def some(paths: IntArray) -> Demand:
            held, raised, average = state.held_at(view.step)[paths], shift[paths], state.average_usd[paths]
            ready, wants = owned[paths], decision.of(paths)

            def chosen(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
                delta, bend = self.net_delta.at(view.step, log_price, vol_shift + raised, running_average_usd=average)
                there, steepness = held - self.terms.hedge_share * delta, -self.terms.hedge_share * bend
                return nothing[:1], wants.speed * (there - ready - wants.offset), nothing[:1], wants.speed * steepness

            return chosen

        scale = np.where(decision.active, self.scale_log(view), np.inf)
        known = (view.log_price, view.vol_shift, *read)
        walked = self._walked(view.step, (state.held_at(view.step), owned, decision.offset, decision.speed, shift, *known))
        return Orders(usd=nothing, coin=nothing, demand=demand, scale_log=scale, some=some, walked=walked)

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: BookState) -> FloatArray:
        """S^2 Gamma that is hedged: minus the slope of the target, at the price."""
        if isinstance(self.terms.policy, NoHedge):
            return np.zeros(log_price.shape)
        return -self._target(step, log_price, vol_shift, state)[1] * self.market.spot_usd * np.exp(log_price)

    def hedged_vega_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: BookState) -> FloatArray:
        """The share of the book's vega that is neutralised."""
        greeks = book_greeks(
            self.book, float(self._years[step]), self.market.spot_usd, log_price, vol_shift, running_average_usd=state.average_usd
        )
        return np.asarray(self.terms.vega_hedge_share * greeks[3])

    def options(self, move: Move, state: BookState) -> tuple[OptionStep, BookState]:
        """Change of the book's value in a step, with options that fix paid out.

        Valued and split by greeks at every step where the market asks for it; else only at fixings and at the end, and then all that delta
        does not explain stands under gamma and theta.
        """
        average, count = self._averaged(move, state)
        average = np.where(move.live, average, state.average_usd)
        leaving = self.fixing_step == move.step
        held = state.held_at(move.step)
        going = self._leaving_delta(move, leaving, average) if leaving.any() and self.terms.after_expiry == "hold" else 0.0
        traded = np.where(move.live, move.step, state.last_step)
        if not (self.market.full_pnl or leaving.any() or move.step == self.market.grid.steps):
            delta = self._carried(move, state)
            none = zero_row(delta.size)
            return OptionStep(delta, none, none, none, delta, none), BookState(
                held,
                state.value_usd,
                state.delta_since_usd + delta,
                average,
                count,
                going,
                move.step,
                traded,
                self._read_there(move, average),
            )
        paid = np.where(move.live, self._paid(move, leaving, average), 0.0)
        valued = move.live | (move.step == self.market.grid.steps)
        value = np.where(move.live, self._value(move, leaving, average), self._value_where_stopped(move, state))
        total = np.where(valued, value + paid - state.value_usd - state.delta_since_usd, 0.0)
        since = np.where(valued, 0.0, state.delta_since_usd)
        return self._split(move, total, paid, state), BookState(held, value, since, average, count, going, move.step, traded)

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: BookState
    ) -> FloatArray:
        """USD still to be bought, orders in flight not counted as bought."""
        return np.asarray((self._target(step, log_price, vol_shift, state)[0] - account.position_coin) * spot_usd)

    def _target(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: BookState) -> tuple[FloatArray, FloatArray]:
        return self._hedge(step, self._read(step, log_price, vol_shift, state), state)

    def _hedge(self, step: int, read: tuple[FloatArray, FloatArray], state: BookState) -> tuple[FloatArray, FloatArray]:
        """Coin that hedges a net delta, and its slope."""
        return state.held_at(step) - self.terms.hedge_share * read[0], -self.terms.hedge_share * read[1]

    def _read(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: BookState) -> tuple[FloatArray, FloatArray]:
        if state.read is not None and state.read.answers(step, log_price, vol_shift):
            return state.read.found
        return self.net_delta.at(step, log_price, vol_shift, running_average_usd=state.average_usd)

    def _read_there(self, move: Move, average: FloatArray) -> Read:
        """At the cleared price: as the search read it there, else anew."""
        told = None if move.orders is None or move.orders.walked is None else move.orders.walked.told
        if told is None:
            found = self.net_delta.at(move.step, move.log_price, move.vol_shift, running_average_usd=average)
            return Read(move.step, move.log_price, move.vol_shift, found)
        price, shift, delta, slope = told
        there = (np.abs(price - move.log_price) <= SAME_LOG) & (np.abs(shift - move.vol_shift) <= SAME_LOG)
        if not there.all():
            others, delta, slope = np.flatnonzero(~there), delta.copy(), slope.copy()  # the orders stay as the search left them
            at = (move.log_price[others], move.vol_shift[others])
            delta[others], slope[others] = self.net_delta.at(move.step, *at, running_average_usd=average[others])
        return Read(move.step, move.log_price, move.vol_shift, (delta, slope))

    def _walked(self, step: int, rows: tuple[FloatArray, ...]) -> Walked | None:
        """The demand as compiled code reads it: of a book in a table."""
        source = self.net_delta
        reader = source.walked(step) if isinstance(source, TabulatedNetDelta) else None
        if reader is None or not isinstance(source, TabulatedNetDelta):
            return None
        paths = rows[1].size
        told = np.full((4, paths), np.nan) if self._reads_at_market() else None
        slots = (*(row(one, paths) for one in rows), 0 if told is None else told, *reader)
        return Walked(BOOK, slots, (self.terms.hedge_share,), begin=partial(source.begun, step), told=told)

    def _reads_at_market(self) -> bool:
        """Whether the policy reads the book at the market's vol."""
        return isinstance(self.terms.policy, EveryStep | Band | AtTimes | WhalleyWilmott)

    def _policy_shift(self, view: View, draw: Draws, state: BookState) -> FloatArray:
        """What a cost-aware policy adds to the vol at which the target is read."""
        if self._reads_at_market():
            return np.zeros(view.log_price.shape)
        gamma = self.dollar_gamma_usd(view.step, view.log_price, view.vol_shift, state)
        blank = np.zeros(view.log_price.shape)
        seen: HedgeView = hedge_view(
            self.terms, view, draw, gap=blank, unit="coin", dollar_gamma_usd=gamma, vol=self._vol(view), years_left=self._years_left(view)
        )
        return self.terms.policy.vol_shift(seen)

    def _vol(self, view: View) -> FloatArray:
        return np.maximum(self.mean_iv + view.vol_shift, 1e-4)

    def _years_left(self, view: View) -> float:
        left = self.book.expiry_years - view.time_years
        alive = left > 0.0
        return float(max(left[alive].min(), LEAST_YEARS)) if alive.any() else LEAST_YEARS

    def scale_log(self, view: View) -> float:
        """Over what distance of log price the book's delta is smooth."""
        left = self.book.expiry_years - view.time_years
        alive = left > 0.0
        if not alive.any():
            return float("inf")
        return float(SCAN_SHARE * (self.book.iv[alive] * np.sqrt(np.maximum(left[alive], LEAST_YEARS))).min())

    def _averaged(self, move: Move, state: BookState) -> tuple[FloatArray, int]:
        """Mean price of the grid times inside the settlement window that is open now; the last price where none is."""
        now = self._years[move.step]
        left = self.book.expiry_years[self.book.averaged] - now
        if not ((left >= 0.0) & (left < WINDOW_YEARS)).any():
            return move.spot_usd, 0
        count = state.average_count
        return (state.average_usd * count + move.spot_usd) / (count + 1), count + 1

    def _paid(self, move: Move, leaving: BoolArray, average: FloatArray) -> FloatArray:
        """Cash of the options that fix now: against the price of this step, or the mean of the settlement window."""
        if not leaving.any():
            return np.zeros(move.spot_usd.shape)
        at_once = settlement_value(self.book, leaving & ~self.book.averaged, move.spot_usd)
        return np.asarray(at_once + settlement_value(self.book, leaving & self.book.averaged, average))

    def _value(self, move: Move, leaving: BoolArray, average: FloatArray) -> FloatArray:
        """Value of the options that stay."""
        stay = self.fixing_step > move.step
        if not stay.any():
            return np.zeros(move.spot_usd.shape)
        book, now = self.book if stay.all() else self.book.where(stay), float(self._years[move.step])
        if not self.market.full_pnl and not time_left(book, now)[2].any():
            return values_of(book, now, self.market.spot_usd, move.log_price, move.vol_shift)
        greeks = book_greeks(book, now, self.market.spot_usd, move.log_price, move.vol_shift, running_average_usd=average)
        return np.asarray(greeks[0])

    def _value_where_stopped(self, move: Move, state: BookState) -> FloatArray:
        """Last valuation of paths that have stopped; at the end, if steps were skipped, the value of what had not fixed when they did."""
        value, stopped = state.value_usd.copy(), np.broadcast_to(state.last_step, move.live.shape)
        if self.market.full_pnl or move.step < self.market.grid.steps:
            return value
        for step in np.unique(stopped[~move.live]).tolist():
            here = ~move.live & (stopped == step)
            value[here] = book_greeks(
                self.book.where(self.fixing_step > step),
                float(self._years[step]),
                self.market.spot_usd,
                move.log_price[here],
                move.vol_shift[here],
                running_average_usd=state.average_usd[here],
            )[0]
        return value

    def _leaving_delta(self, move: Move, leaving: BoolArray, average: FloatArray) -> FloatArray:
        book = self.book.where(leaving)
        years = np.array([self._years[move.step]])
        delta = DirectNetDelta(book, years, self.market.spot_usd).at(0, move.log_price, move.vol_shift, running_average_usd=average)[0]
        return np.asarray(-self.terms.hedge_share * delta)

    def _carried(self, move: Move, state: BookState) -> FloatArray:
        delta = self._read(move.step - 1, move.log_before, move.shift_before, state)[0]
        return np.where(move.live, delta * (move.spot_usd - move.spot_before_usd), 0.0)

    def _split(self, move: Move, total: FloatArray, paid: FloatArray, state: BookState) -> OptionStep:
        if not self.market.full_pnl:
            delta = self._carried(move, state)
            return OptionStep(delta, total - delta, zero_row(delta.size), zero_row(delta.size), total, paid)
        fixed = self.fixing_step == move.step - 1  # paid out: what its hedge earns from here on is carry, and no option's
        _, delta, gamma, vega, theta, vanna, _, vomma = book_greeks(
            self.book.where(~fixed) if fixed.any() else self.book,
            self._years[move.step - 1],
            self.market.spot_usd,
            move.log_before,
            move.shift_before,
            running_average_usd=state.average_usd,
        )
        spot_move, vol_move = move.spot_usd - move.spot_before_usd, move.vol_shift - move.shift_before
        parts = (
            delta * spot_move,
            0.5 * gamma * spot_move**2 + theta * move.step_years,
            vanna * spot_move * vol_move,
            vega * vol_move + 0.5 * vomma * vol_move**2,
        )
        delta_usd, gamma_theta, vanna_usd, vega_usd = (np.where(move.live, part, 0.0) for part in parts)
        return OptionStep(delta_usd, gamma_theta, vanna_usd, vega_usd, total, paid)


def _net_delta(book: OptionBook, market: Market) -> NetDelta:
    """The book summed option by option, or where the market asks for it and the book is large, read from a table."""
    years, spot = market.grid.years, market.spot_usd
    if not market.tabulate or book.rows <= TABLE_ROWS:
        return DirectNetDelta(book, years, spot)
    low, high = Settings().vol_shifts
    return TabulatedNetDelta(book, years, spot, settings=Settings(vol_shifts=(max(low, -market.vol_reach), min(high, market.vol_reach))))


@dataclass(frozen=True, slots=True, init=False)
class CharmTrader:
    """Trades the flow of time decay alone: -n (delta(x, t) - delta(x, t - dt)) at the clearing price, delta = N(ln(S/K) / (sigma sqrt(tau))).

    The hedger of Avellaneda and Lipkin (2003), whose pinning probability has a closed form; price moves are not answered.
    """

    book: OptionBook
    terms: HedgeTerms
    market: Market
    inner: BookTrader

    def __init__(self, book: OptionBook, terms: HedgeTerms, market: Market) -> None:
        for name, value in (("book", book), ("terms", terms), ("market", market), ("inner", BookTrader(book, terms, market))):
            object.__setattr__(self, name, value)

    def init(self, paths: int, draw: Draws | None = None) -> BookState:
        """As any book."""
        return self.inner.init(paths, draw)

    def start_coin(self, state: BookState) -> FloatArray:
        """Hedged at the start."""
        return -self.terms.hedge_share * self._delta(0, np.zeros(state.held_coin.shape))[0]

    def act(self, view: View, account: Account, state: BookState, draw: Draws) -> Orders:
        """What time alone makes the hedge lack at the clearing price."""
        share = np.where(view.live, self.terms.hedge_share * self.terms.speed, 0.0)
        nothing = zero_row(share.size)

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            now, slope = self._delta(view.step, log_price)
            before, slope_before = self._delta(view.step - 1, log_price)
            return nothing, -share * (now - before), nothing, -share * (slope - slope_before)

        return Orders(usd=nothing, coin=nothing, demand=demand, scale_log=np.where(share > 0.0, self.inner.scale_log(view), np.inf))

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: BookState) -> FloatArray:
        """None: price moves are not answered."""
        return np.zeros(log_price.shape)

    def hedged_vega_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: BookState) -> FloatArray:
        """As any book."""
        return self.inner.hedged_vega_usd(step, log_price, vol_shift, state)

    def options(self, move: Move, state: BookState) -> tuple[OptionStep, BookState]:
        """As any book."""
        return self.inner.options(move, state)

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: BookState
    ) -> FloatArray:
        """Distance from the full hedge, which this trader does not seek."""
        return self.inner.gap_usd(step, log_price, spot_usd, vol_shift, account, state)

    def _delta(self, step: int, log_price: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Black's delta with the half-variance taken off the forward, so that d1 = ln(S/K) / (sigma sqrt(tau))."""
        book, now = self.inner.book, float(self.market.grid.years[step])
        left = np.maximum(book.expiry_years - now, LEAST_YEARS)
        driftless = replace(book, forward_ratio=book.forward_ratio * np.exp(-0.5 * book.iv**2 * left))
        return DirectNetDelta(driftless, np.array([now]), self.market.spot_usd).at(0, log_price, np.zeros(log_price.shape))
