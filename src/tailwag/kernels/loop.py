"""The closed loop, compiled: all built-in dealers of a block of paths, from the first step to the last, in one call.

One step: exogenous move, orders that arrive, decisions, clearing, accounts, orders that will arrive; the plain twin is `tailwag.sim.engine`.
"""

from __future__ import annotations

from typing import Any

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.loop_books import absorb, account, add_gap, damp, finish, halt, order, settle_prices, submit
from tailwag.kernels.loop_clear import ask, clear, look, search
from tailwag.kernels.loop_orders import arrive, decide, demand, move_before_trading
from tailwag.kernels.loop_rows import (
    BETA,
    DAMPED,
    DELAY,
    FILLED,
    FUNDAMENTAL,
    HALT,
    HELD,
    LOG,
    PRE,
    SHIFT,
    SHOCK,
    SLOPED,
    USD,
    WIDTH,
    Block,
    Loop,
    stepping,
)
from tailwag.kernels.netdelta_lanes import begin_step, needs_average

__all__ = ["Block", "Loop", "advance"]


@stepping
def advance(loop: Loop, table: Any, pack_reader: Any, block: Block) -> None:
    """Run a block from start to end; `pack_reader` is this thread's scratch for `table`.

    Both are None in a market without options, whose kernel then holds nothing that reads a table and is compiled in a third of the time.
    """
    for step in range(loop.years.size):
        if pack_reader is not None and step > 0:
            begin_step(table, pack_reader.reader, step)
        for pack in range(block.path.shape[0]):
            if step > 0:
                _advance_pack(loop, table, pack_reader, block, pack, step)
            _note(block, pack, step)


@stepping
def _advance_pack(loop: Loop, table: Any, pack_reader: Any, block: Block, pack: int, step: int) -> None:
    p, own, flight, terms, numbers = block.path[pack], block.own[pack], block.flight[pack], loop.terms, loop.numbers
    may_trade, weights, seats = loop.may_trade, loop.weights, loop.terms.shape[0]
    years, damped = loop.years[step] - loop.years[step - 1], numbers[DAMPED] > 0.0
    _shocks(block.fundamental, p, pack, step)
    move_before_trading(numbers, loop.kept[step], loop.fading[step], p)
    arrive(terms, p, own, flight, step)
    same_step = _same_step(terms, may_trade, step)
    if same_step > 0:
        if pack_reader is not None:
            ask(numbers[BETA], p, pack_reader, PRE, same_step > 0)
            look(terms, table, pack_reader, own, same_step > 0)
        for seat in range(seats):
            if terms[seat, DELAY] == 0.0 and may_trade[seat, step] > 0:
                decide(terms[seat], p, own[seat])
                demand(terms[seat], p, own[seat])
        clear(numbers, p)
        if pack_reader is not None:
            search(numbers, terms, table, pack_reader, p, own, loop.smooth[:, step])
        for seat in range(seats):
            if terms[seat, DELAY] == 0.0:
                order(terms[seat], p, own[seat])
    finish(numbers, terms, p, own, step)
    absorb(loop.passing, p)
    for seat in range(seats):
        account(terms[seat], p, own[seat], years)
    settle_prices(p, loop.averaged[step])
    if pack_reader is not None:
        ask(numbers[BETA], p, pack_reader, LOG, needs_average(pack_reader.reader))
        look(terms, table, pack_reader, own, numbers[SLOPED] > 0.0)
    for seat in range(seats):
        add_gap(terms[seat], p, own[seat], years)
    halt(numbers[HALT], p, step)
    if damped:
        damp(numbers, terms, p, own, step)
    for seat in range(seats):
        if terms[seat, DELAY] > 0.0 and may_trade[seat, step] > 0:
            submit(terms[seat], p, own[seat], flight[seat], weights[seat], step, damped)


@stepping
def _same_step(terms: FloatArray, may_trade: IntArray, step: int) -> int:
    """How many agents may trade in the step in which they decide."""
    count = 0
    for seat in range(terms.shape[0]):
        count += 1 if terms[seat, DELAY] == 0.0 and may_trade[seat, step] > 0 else 0
    return count


@stepping
def _shocks(increments: FloatArray, p: FloatArray, pack: int, step: int) -> None:
    """This step's exogenous increments of one pack; places without a path stand still."""
    first = pack * WIDTH
    count = min(WIDTH, increments.shape[1] - first)
    for j in range(count):
        p[SHOCK + j] = increments[step, first + j]


@stepping
def _note(block: Block, pack: int, step: int) -> None:
    """Write down where a pack stands."""
    first, p = pack * WIDTH, block.path[pack]
    log_price, fundamental, flow = block.log_price[step], block.fundamental[step], block.flow[max(step - 1, 0)]
    count = min(WIDTH, log_price.size - first)
    for j in range(count):
        log_price[first + j] = p[LOG + j]
        fundamental[first + j] = p[FUNDAMENTAL + j]
    if step > 0:
        for j in range(count):
            flow[first + j] = p[USD + j]
    if block.shift.shape[0] > 0:
        shift = block.shift[step]
        for j in range(count):
            shift[first + j] = p[SHIFT + j]
    for seat in range(block.positions.shape[0]):
        o, positions, flows = block.own[pack, seat], block.positions[seat, step], block.flows[seat, max(step - 1, 0)]
        for j in range(count):
            positions[first + j] = o[HELD + j]
        if step > 0:
            for j in range(count):
                flows[first + j] = o[FILLED + j]
