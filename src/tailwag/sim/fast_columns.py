"""A run's dealers, impact and clock as columns of numbers for the compiled loop."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tailwag.hedging.cost_aware import BPS, WhalleyWilmott
from tailwag.hedging.policies import AtTimes, Band, HedgeView, NoHedge, Policy
from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.loop_rows import (
    ALWAYS,
    BAND,
    BAND_UNIT,
    BY_COIN,
    BY_GAMMA,
    DELAY,
    FUNDING_RATE,
    GAMMA_USD,
    IN_BAND,
    IV,
    LANE,
    NEVER,
    OVER_SPOT,
    PACE,
    POLICY,
    SAME,
    SHARE,
    SLICES,
    SLOTS,
    TIMES_SPOT,
    TO_EDGE,
    Loop,
)
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.book_trader import SCAN_SHARE, BookTrader
from tailwag.sim.engine import DAYS_PER_YEAR, RunPlan, Seat
from tailwag.sim.impact import MINUTES_PER_YEAR, ImpactModel
from tailwag.sim.option_book import LEAST_YEARS, WINDOW_YEARS, OptionBook

__all__ = ["book_seats", "loop_of"]

COLUMNS = 14
NO_LIMIT = 1e300


def loop_of(plan: RunPlan) -> Loop:
    """Everything that the compiled loop reads and never writes."""
    scenario = plan.scenario
    years = np.array(scenario.grid.years)
    impact, vol = scenario.impact, scenario.vol
    lanes = {seat: lane for lane, seat in enumerate(book_seats(plan))}
    slices = max((seat.weights.size for seat in plan.seats), default=1)
    terms, weights = np.zeros((len(plan.seats), COLUMNS)), np.zeros((len(plan.seats), slices))
    for number, seat in enumerate(plan.seats):
        terms[number] = _terms(seat, lanes.get(number, -1))
        weights[number, : seat.weights.size] = seat.weights
    numbers = (
        scenario.spot_usd,
        scenario.stop_log_move,
        NO_LIMIT if scenario.halt_log_move is None else scenario.halt_log_move,
        NO_LIMIT if impact.limit_usd_per_step is None else impact.limit_usd_per_step,
        impact.permanent_per_usd + float(impact.passing_per_usd.sum()),
        impact.permanent_per_coin + float(impact.passing_per_coin.sum()),
        vol.spot_vol_beta,
        scenario.price.annual_vol if vol.couple_price_vol else 1.0,
        float(vol.couple_price_vol),
        float(scenario.clearing == "damped"),
        float(scenario.clearing == "damped" or any(isinstance(_dealer(seat).policy, WhalleyWilmott) for seat in plan.seats)),
    )
    return Loop(
        numbers=np.array(numbers, dtype=np.float64),
        terms=terms,
        years=years,
        passing=np.array([impact.passing_per_usd, impact.passing_per_coin]),
        kept=_kept(impact, years),
        fading=np.exp(-vol.mean_reversion_per_day * DAYS_PER_YEAR * np.diff(years, prepend=0.0)),
        may_trade=np.array([_times(_dealer(seat).policy, years) for seat in plan.seats], dtype=np.int64).reshape(-1, years.size),
        smooth=np.array([_smooth(seat, years) for seat in plan.seats]).reshape(-1, years.size),
        averaged=_averaged([_book(plan.seats[seat]) for seat in lanes], years),
        weights=weights,
    )


def book_seats(plan: RunPlan) -> list[int]:
    """Seats that hold options, in their order: their books are the lanes of the net delta."""
    return [number for number, seat in enumerate(plan.seats) if isinstance(seat.trader, BookTrader)]


def _dealer(seat: Seat) -> Dealer:
    assert isinstance(seat.agent, Dealer)
    return seat.agent


def _book(seat: Seat) -> OptionBook:
    assert isinstance(seat.trader, BookTrader)
    return seat.trader.book


def _terms(seat: Seat, lane: int) -> FloatArray:
    dealer = _dealer(seat)
    policy, band, unit, edge = _policy(dealer.policy, by_coin=lane >= 0)
    terms = np.zeros(COLUMNS)
    terms[BY_COIN], terms[GAMMA_USD], terms[SHARE] = lane >= 0, dealer.gamma_usd or 0.0, dealer.hedge_share
    terms[PACE], terms[DELAY], terms[IV] = dealer.speed, dealer.delay_steps, dealer.iv
    terms[POLICY], terms[BAND], terms[BAND_UNIT], terms[TO_EDGE] = policy, band, unit, edge
    terms[FUNDING_RATE], terms[LANE] = seat.terms.funding_per_year, lane
    terms[SLICES], terms[SLOTS] = seat.weights.size, max(dealer.delay_steps - 1 + seat.weights.size, 1)
    return terms


def _policy(policy: Policy, *, by_coin: bool) -> tuple[float, float, float, float]:
    """(kind, width or factor, how it becomes the agent's own unit, 1 to the edge)."""
    if isinstance(policy, Band):
        edge = float(policy.target == "edge")
        if policy.half_width_coin is not None:
            return IN_BAND, policy.half_width_coin, SAME if by_coin else TIMES_SPOT, edge
        return IN_BAND, policy.half_width_usd or 0.0, OVER_SPOT if by_coin else SAME, edge
    if isinstance(policy, WhalleyWilmott):
        factor = 1.5 * BPS * policy.cost_bps / policy.risk_aversion_per_usd
        return BY_GAMMA, factor, SAME if by_coin else TIMES_SPOT, 1.0
    return NEVER if isinstance(policy, NoHedge) else ALWAYS, 0.0, SAME, 0.0


def _times(policy: Policy, years: FloatArray) -> IntArray:
    """1 at the grid times at which a policy may trade: its own times, none for who never trades, all for the others."""
    if isinstance(policy, NoHedge):
        return np.zeros(years.size, dtype=np.int64)
    if not isinstance(policy, AtTimes):
        return np.ones(years.size, dtype=np.int64)
    one = np.zeros(1)
    return np.array(
        [
            step > 0 and bool(policy.decide(_moment(step, float(years[step]), float(years[step] - years[step - 1]), one)).active[0])
            for step in range(years.size)
        ],
        dtype=np.int64,
    )


def _moment(step: int, time_years: float, step_years: float, one: FloatArray) -> HedgeView:
    return HedgeView(
        step=step,
        time_years=time_years,
        step_years=step_years,
        spot_usd=one,
        gap=one,
        unit="usd",
        dollar_gamma_usd=one,
        vol=one,
        years_left=math.inf,
        market_gain=one,
        uniform=np.full(1, 0.5),
    )


def _smooth(seat: Seat, years: FloatArray) -> FloatArray:
    """Over what log distance an agent's demand is smooth at each grid time; inf for a constant gamma."""
    if not isinstance(seat.trader, BookTrader):
        return np.full(years.size, math.inf)
    book = seat.trader.book
    expiries, where = np.unique(book.expiry_years, return_inverse=True)
    lowest = np.full(expiries.size, math.inf)
    np.minimum.at(lowest, where, book.iv)
    smooth = np.full(years.size, math.inf)
    for expiry, iv in zip(expiries, lowest):
        left = expiry - years
        smooth = np.where(left > 0.0, np.minimum(smooth, iv * np.sqrt(np.maximum(left, LEAST_YEARS))), smooth)
    return SCAN_SHARE * smooth


def _kept(impact: ImpactModel, years: FloatArray) -> FloatArray:
    steps = np.diff(years, prepend=0.0)
    return np.exp(-np.multiply.outer(steps, impact.rates_per_minute) * MINUTES_PER_YEAR)


def _averaged(books: Sequence[OptionBook], years: FloatArray) -> IntArray:
    """Grid times that the open settlement window already holds, at each step; -1 where no window is open."""
    expiries = np.unique(np.concatenate([book.expiry_years[book.averaged] for book in books])) if books else np.zeros(0)
    open_now = np.zeros(years.size, dtype=np.bool_)
    for expiry in expiries:
        left = expiry - years
        open_now |= (left >= 0.0) & (left < WINDOW_YEARS)
    counts, count = np.full(years.size, -1, dtype=np.int64), 0
    for step in range(1, years.size):
        counts[step] = count if open_now[step] else -1
        count = count + 1 if open_now[step] else 0
    return counts
