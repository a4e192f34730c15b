"""What option books earned along finished trajectories: paid out at fixings, valued where a path ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.kernels.loop_rows import SHIFT, SPOT_START, WIDTH, Block, Loop
from tailwag.kernels.loop_value import pay, value_books
from tailwag.sim.agents.protocol import Move
from tailwag.sim.book_trader import FIXING_YEARS, BookState, BookTrader
from tailwag.sim.option_book import OptionBook, book_greeks, time_left

__all__ = ["MergedBooks", "OptionProfit", "ends_profit", "final_values", "steps_profit"]


KEYS = ("expiry_years", "strike_usd", "forward_ratio", "iv", "skew", "averaged")


@dataclass(frozen=True, slots=True)
class OptionProfit:
    """Profit of one agent's options by cause, and cash they paid, (paths,) in USD."""

    delta_usd: FloatArray
    gamma_theta_usd: FloatArray
    vanna_usd: FloatArray
    vega_usd: FloatArray
    residual_usd: FloatArray
    paid_usd: FloatArray


def ends_profit(
    trader: BookTrader, loop: Loop, block: Block, stopped: IntArray, carried_usd: FloatArray, change_usd: FloatArray
) -> OptionProfit:
    """Delta as it was carried; all else, the change of value from start to end and what was paid, under gamma and theta."""
    paid, nothing = np.zeros(stopped.size), np.zeros(stopped.size)
    for step in np.unique(trader.fixing_step[trader.fixing_step <= trader.market.grid.steps]).tolist():
        leaving = trader.fixing_step == step
        paid += np.where(stopped >= step, _paid(trader, loop, block, int(step), leaving), 0.0)
    return OptionProfit(carried_usd, change_usd + paid - carried_usd, nothing, nothing, nothing, paid)


@dataclass(frozen=True, slots=True)
class MergedBooks:
    """The options of all books, each once: ``options`` as calls, ``positions`` (books, m) and the part of them that are ``puts``."""

    options: OptionBook
    positions: FloatArray
    puts: FloatArray

    @classmethod
    def of(cls, books: Sequence[OptionBook]) -> MergedBooks:
        """In an order that depends on content alone."""
        keys = np.concatenate([[getattr(book, name) for name in KEYS] for book in books], axis=1, dtype=np.float64)
        owner = np.repeat(np.arange(len(books)), [book.rows for book in books])
        contracts = np.concatenate([book.contracts_coin for book in books])
        bought = np.concatenate([book.right for book in books]) < 0
        order = np.lexsort((contracts, bought, owner, *keys[::-1]))
        keys, owner, contracts, bought = keys[:, order], owner[order], contracts[order], bought[order]
        heads = np.ones(order.size, dtype=np.bool_)
        heads[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
        row = np.cumsum(heads) - 1
        positions, puts = np.zeros((len(books), row[-1] + 1)), np.zeros((len(books), row[-1] + 1))
        np.add.at(positions, (owner, row), contracts)
        np.add.at(puts, (owner[bought], row[bought]), contracts[bought])
        once = dict(zip(KEYS, keys[:, heads]))
        once["averaged"] = once["averaged"] > 0.0
        calls = np.ones(positions.shape[1], dtype=np.int64)
        return cls(OptionBook(right=calls, contracts_coin=positions[0], **once), positions, puts)


def final_values(traders: Sequence[BookTrader], merged: MergedBooks, loop: Loop, block: Block, stopped: IntArray) -> FloatArray:
    """Value of every book where each path ended, (books, paths): of the options that had not fixed."""
    values, spot_usd, options = np.zeros((len(traders), stopped.size)), float(loop.numbers[SPOT_START]), merged.options
    for step in np.unique(stopped).tolist():
        here = stopped == step
        left, alive, inside = time_left(options, float(loop.years[step]))
        alive &= options.expiry_years - loop.years[step] > 1.5 * FIXING_YEARS  # the others have just been paid out
        if (inside & alive).any():
            for number, trader in enumerate(traders):
                values[number, here] = _value(trader, loop, block, int(step), here)
            continue
        log_price = block.log_price[step, here]
        shift = last_shifts(block, stopped.size)[here]
        strike, ratio = options.strike_usd[alive], options.forward_ratio[alive]
        columns = np.array((strike, np.log(strike / (ratio * spot_usd)), np.sqrt(left[alive]), options.iv[alive], options.skew[alive]))
        out = np.empty((len(traders), log_price.size))
        value_books(columns, merged.positions[:, alive], merged.puts[:, alive], log_price, shift, out)
        values[:, here] = out
    return values


def last_shifts(block: Block, paths: int) -> FloatArray:
    """The vol shift of every path where it ended: a path that stopped keeps it."""
    return np.asarray(block.path[:, SHIFT : SHIFT + WIDTH].reshape(-1)[:paths])


def _average(trader: BookTrader, loop: Loop, block: Block, step: int) -> FloatArray:
    """Mean price since the settlement window that is open at a step began; the last price where none is."""
    count = max(int(loop.averaged[step]), 0)
    return np.asarray(trader.market.spot_usd * np.exp(block.log_price[step - count : step + 1]).mean(axis=0))


def _paid(trader: BookTrader, loop: Loop, block: Block, step: int, leaving: BoolArray) -> FloatArray:
    averaged = trader.book.averaged
    spot = trader.market.spot_usd * np.exp(block.log_price[step])
    paid, book = np.zeros(spot.size), trader.book
    mean = _average(trader, loop, block, step) if (leaving & averaged).any() else spot
    for chosen, price in ((leaving & ~averaged, spot), (leaving & averaged, mean)):
        pay(book.right[chosen], book.strike_usd[chosen], book.contracts_coin[chosen], price, paid)
    return paid


def _value(trader: BookTrader, loop: Loop, block: Block, step: int, here: BoolArray) -> FloatArray:
    """Value of the options that have not fixed, on the paths that ended at a step."""
    stay = trader.fixing_step > step
    if not stay.any():
        return np.zeros(int(here.sum()))
    book = trader.book if stay.all() else trader.book.where(stay)
    log_price = block.log_price[step, here]
    shift = last_shifts(block, here.size)[here]
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
