"""What option books earned along finished trajectories: paid out at fixings, valued where a path ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.kernels.loop_rows import Block, Loop
from tailwag.sim.agents.protocol import Move
from tailwag.sim.book_trader import BookState, BookTrader
from tailwag.sim.option_book import book_greeks, settlement_value

__all__ = ["OptionProfit", "ends_profit", "steps_profit"]


@dataclass(frozen=True, slots=True)
class OptionProfit:
    """Profit of one agent's options by cause, and cash they paid, (paths,) in USD."""

    delta_usd: FloatArray
    gamma_theta_usd: FloatArray
    vanna_usd: FloatArray
    vega_usd: FloatArray
    residual_usd: FloatArray
    paid_usd: FloatArray


def ends_profit(trader: BookTrader, loop: Loop, block: Block, stopped: IntArray, carried_usd: FloatArray, value_usd: float) -> OptionProfit:
    """Delta as it was carried; all else, the value where the path ended and what was paid less the value at the start, under gamma and theta."""
    paid, value, nothing = np.zeros(stopped.size), np.zeros(stopped.size), np.zeros(stopped.size)
    for step in np.unique(trader.fixing_step[trader.fixing_step <= trader.market.grid.steps]).tolist():
        leaving = trader.fixing_step == step
        paid += np.where(stopped >= step, _paid(trader, loop, block, int(step), leaving), 0.0)
    for step in np.unique(stopped).tolist():
        here = stopped == step
        value[here] = _value(trader, loop, block, int(step), here)
    return OptionProfit(carried_usd, value + paid - value_usd - carried_usd, nothing, nothing, nothing, paid)


def _average(trader: BookTrader, loop: Loop, block: Block, step: int) -> FloatArray:
    """Mean price since the settlement window that is open at a step began; the last price where none is."""
    count = max(int(loop.averaged[step]), 0)
    return np.asarray(trader.market.spot_usd * np.exp(block.log_price[step - count : step + 1]).mean(axis=0))


def _paid(trader: BookTrader, loop: Loop, block: Block, step: int, leaving: BoolArray) -> FloatArray:
    averaged = trader.book.averaged
    spot = trader.market.spot_usd * np.exp(block.log_price[step])
    at_once = settlement_value(trader.book, leaving & ~averaged, spot)
    if not (leaving & averaged).any():
        return at_once
    return np.asarray(at_once + settlement_value(trader.book, leaving & averaged, _average(trader, loop, block, step)))


def _value(trader: BookTrader, loop: Loop, block: Block, step: int, here: BoolArray) -> FloatArray:
    """Value of the options that have not fixed, on the paths that ended at a step."""
    stay = trader.fixing_step > step
    if not stay.any():
        return np.zeros(int(here.sum()))
    book = trader.book if stay.all() else trader.book.where(stay)
    log_price = block.log_price[step, here]
    shift = block.shift[step, here] if block.shift.shape[0] else np.zeros(log_price.size)
    average = _average(trader, loop, block, step)[here]
    years = float(trader.market.grid.years[step])
    return np.asarray(book_greeks(book, years, trader.market.spot_usd, log_price, shift, running_average_usd=average)[0])


def steps_profit(trader: BookTrader, block: Block, stopped: IntArray, value_usd: float) -> OptionProfit:
    """The profit split by greeks at every step, as the plain engine does it."""
    years, spot_start = trader.market.grid.years, trader.market.spot_usd
    still = np.zeros(stopped.size)
    memory = BookState(still, np.full(stopped.size, value_usd), still, np.full(stopped.size, spot_start), 0)
    sums = np.zeros((6, stopped.size))
    for step in range(1, years.size):
        before, after = block.log_price[step - 1], block.log_price[step]
        shift_before, shift = (block.shift[step - 1], block.shift[step]) if block.shift.shape[0] else (still, still)
        spot_before, spot = spot_start * np.exp(before), spot_start * np.exp(after)
        length = float(years[step] - years[step - 1])
        move = Move(step, length, spot_before, spot, spot, before, after, shift_before, shift, stopped >= step)
        part, memory = trader.options(move, memory)
        explained = part.delta_usd + part.gamma_theta_usd + part.vanna_usd + part.vega_usd
        sums += np.array((part.delta_usd, part.gamma_theta_usd, part.vanna_usd, part.vega_usd, part.total_usd - explained, part.paid_usd))
    return OptionProfit(*sums)
