"""Accounts: who holds which coin and cash, and what each part of an agent's profit came from.

Every fill has a counterparty: liquidity providers sell what agents buy, the venue takes fees and gas, holders of the options receive what
they pay out.  So coin and cash sum to what they were at the start, in every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray, is_zero, zero_row
from tailwag.kernels.booking import (
    BOUGHT,
    CASH,
    DELTA,
    EXECUTION,
    FEES,
    FIGURES,
    FUNDING,
    GAMMA_THETA,
    GAS,
    NO_OPTION,
    PARTS,
    PEAK,
    POSITION,
    RESIDUAL,
    RESTS,
    SPREAD,
    TO_LIQUIDITY,
    TO_VENUE,
    TURNOVER,
    VANNA,
    VEGA,
    Rates,
    add_squared_gap,
    book_paths,
    row,
)
from tailwag.kernels.loop_rows import DUST_SHARE, DUST_USD
from tailwag.sim.agents.protocol import Move, OptionStep
from tailwag.sim.scenario import Costs
from tailwag.sim.state import PNL_PARTS

BPS = 1e-4
PART = {name: row for row, name in enumerate(PNL_PARTS)}


@dataclass(frozen=True, slots=True)
class Holding:
    """One agent's account over a block of paths.  Shapes: (paths,); ``causes_usd``: profit by cause, in the order of PNL_PARTS."""

    position_coin: FloatArray
    cash_usd: FloatArray
    bought_usd: FloatArray
    causes_usd: tuple[FloatArray, ...]
    turnover_usd: FloatArray
    trades: IntArray
    gap_squared_years: FloatArray
    peak_position_usd: FloatArray

    @classmethod
    def opened(cls, position_coin: FloatArray, spot_usd: float, *, cost_usd: float = 0.0) -> Holding:
        """The account at the start: the coin it begins with, and no cash but what it paid in spreads for options it starts with."""
        zero = np.zeros(position_coin.size)
        spent = zero - cost_usd
        causes = tuple(spent if name == "spread_usd" else zero for name in PNL_PARTS)
        trades = np.zeros(position_coin.size, dtype=np.int64)
        return cls(position_coin, spent, zero, causes, zero, trades, zero, np.abs(position_coin) * spot_usd)

    @property
    def pnl_usd(self) -> FloatArray:
        """Profit by cause, (parts, paths)."""
        return np.stack(self.causes_usd)

    def earning(self, cause: str, earned_usd: FloatArray, cash_usd: FloatArray | None = None) -> Holding:
        """The account after profit of one cause beside the step's trades; ``cash_usd`` came with it (None: as much)."""
        causes = tuple(was + earned_usd if name == cause else was for name, was in zip(PNL_PARTS, self.causes_usd))
        return replace(self, causes_usd=causes, cash_usd=self.cash_usd + (earned_usd if cash_usd is None else cash_usd))


@dataclass(frozen=True, slots=True)
class Fill:
    """What one agent bought in one step: USD at the price before trading (what impact counts), and coin.  (paths,), + bought."""

    usd: FloatArray
    coin: FloatArray


@dataclass(frozen=True, slots=True)
class Terms:
    """What an agent pays: the market's costs, whether it earns the half-spread as a maker, and its instrument's funding."""

    costs: Costs
    makes: bool
    funding_per_year: float


@dataclass(frozen=True, slots=True)
class Booked:
    """One agent's step in the books: its account after, and cash that went to the venue and to liquidity providers, (paths,)."""

    holding: Holding
    to_venue_usd: FloatArray
    to_liquidity_usd: FloatArray


def book_step(
    holding: Holding, fill: Fill, option: OptionStep | None, move: Move, terms: Terms, *, open_share: FloatArray | float = 1.0
) -> Booked:
    """One step in one account: the position carried, the fill marked at the new price, costs, funding and options.

    ``open_share``: the part of the fill that met the market, not another agent; only it pays fees and spread.
    carry = position (S_t - S_{t-1}); execution = coin bought (S_t - fill price), the half-lambda term of a linear market.
    What the options' greeks do not explain is the residual.  Compiled: :mod:`tailwag.kernels.booking`.
    """
    paths, costs = move.live.size, terms.costs
    rates = Rates(
        float(costs.half_spread_bps * BPS),
        -1.0 if terms.makes else 1.0,
        float(costs.fee_bps * BPS),
        float(costs.gas_usd),
        float(terms.funding_per_year * move.step_years),
        DUST_USD,
        DUST_SHARE,
    )
    earned = NO_OPTION if option is None else _earned(option, paths)
    moving = _moving(rates, earned)
    pays = rates.fee_share != 0.0 or rates.gas_usd != 0.0
    figures, written = np.empty((FIGURES if pays else FIGURES - 1, paths)), np.empty((len(moving), paths))
    trades, rows = np.empty(paths, dtype=np.int64), [RESTS] * PARTS
    for place, cause in enumerate(moving):
        rows[cause] = written[place]
    before = (holding.position_coin, holding.cash_usd, holding.bought_usd, holding.turnover_usd, holding.peak_position_usd)
    book_paths(
        tuple(row(figure, paths) for figure in before),
        holding.causes_usd,
        holding.trades,
        (row(fill.usd, paths), row(fill.coin, paths), row(open_share, paths)),
        (row(move.spot_before_usd, paths), row(move.spot_usd, paths), row(move.fill_usd, paths)),
        move.live,
        earned,
        rates,
        (figures, tuple(rows), trades),
    )
    position, cash, bought, turnover, peak = figures[POSITION], figures[CASH], figures[BOUGHT], figures[TURNOVER], figures[PEAK]
    causes = tuple(now if now.size else was for now, was in zip(rows, holding.causes_usd))
    after = Holding(position, cash, bought, causes, turnover, trades, holding.gap_squared_years, peak)
    return Booked(after, figures[TO_VENUE] if pays else zero_row(paths), figures[TO_LIQUIDITY])


def _earned(option: OptionStep, paths: int) -> tuple[FloatArray, ...]:
    """The options' parts as compiled code reads them; those that are known to be zero rest, and so does a total that is nothing but delta."""
    parts = (option.gamma_theta_usd, option.vanna_usd, option.vega_usd)
    greeks = tuple(RESTS if is_zero(part) else row(part, paths) for part in parts)
    managed = RESTS if isinstance(option.fees_usd, float) and option.fees_usd == 0.0 else row(option.fees_usd, paths)
    delta = row(option.delta_usd, paths)
    explained = option.total_usd is option.delta_usd and not any(part.size for part in (*greeks, managed))
    total, paid = (
        RESTS if explained else row(option.total_usd, paths),
        RESTS if is_zero(option.paid_usd) else row(option.paid_usd, paths),
    )
    return (delta, *greeks, total, paid, managed)


def _moving(rates: Rates, option: tuple[FloatArray, ...]) -> list[int]:
    """Causes of profit that can move in a step."""
    _, gamma_theta, vanna, vega, total, _, managed = option
    moves = (
        (GAMMA_THETA, gamma_theta.size > 0),
        (VANNA, vanna.size > 0),
        (VEGA, vega.size > 0),
        (SPREAD, rates.half_spread_share != 0.0),
        (FEES, rates.fee_share != 0.0 or managed.size > 0),
        (GAS, rates.gas_usd != 0.0),
        (FUNDING, rates.funding != 0.0),
        (RESIDUAL, total.size > 0),
    )
    return [DELTA, EXECUTION, *(cause for cause, does in moves if does)]


def with_gap(holding: Holding, gap_usd: FloatArray, move: Move) -> Holding:
    """The account with the squared mis-hedge of a step added, where its path trades: gap^2 dt."""
    paths = move.live.size
    after = np.empty(paths)
    add_squared_gap(row(holding.gap_squared_years, paths), row(gap_usd, paths), float(move.step_years), move.live, after)
    return Holding(
        holding.position_coin,
        holding.cash_usd,
        holding.bought_usd,
        holding.causes_usd,
        holding.turnover_usd,
        holding.trades,
        after,
        holding.peak_position_usd,
    )


def open_shares(coins: Sequence[FloatArray], *, crossing: bool) -> list[FloatArray]:
    """Part of every agent's fill that meets the market, (paths,) each: all of it, or with crossing what its side has too much of, pro rata.

    >>> [share.tolist() for share in open_shares([np.array([3.0]), np.array([1.0]), np.array([-1.0])], crossing=True)]
    [[0.75], [0.75], [0.0]]
    """
    if not crossing:
        return [np.ones(coins[0].shape)] * len(coins) if coins else []
    bought, sold = (_total([np.maximum(side * coin, 0.0) for coin in coins]) for side in (1.0, -1.0))
    met = np.minimum(bought, sold)
    sides = [np.where(coin > 0.0, bought, sold) for coin in coins]
    return [1.0 - met / np.where(side > 0.0, side, 1.0) for side in sides]


def _total(parts: Sequence[FloatArray]) -> FloatArray:
    total = np.zeros(parts[0].shape) if parts else np.zeros(1)
    for part in parts:
        total = total + part
    return total
