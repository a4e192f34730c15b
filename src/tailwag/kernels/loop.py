"""The closed loop, compiled: all built-in dealers of a block of paths, from the first step to the last, in one call.

One step: exogenous move, orders that arrive, decisions, clearing, accounts, orders that will arrive; the plain twin is `tailwag.sim.engine`.
"""

from __future__ import annotations

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.loop_books import absorb, account, add_gap, damp, finish, halt, order, settle_prices, submit
from tailwag.kernels.loop_clear import clear, look
from tailwag.kernels.loop_orders import arrive, decide, demand, move_before_trading
from tailwag.kernels.loop_rows import (
    DAMPED,
    DELAY,
    FILLED,
    FUNDAMENTAL,
    HALT,
    HELD,
    LANE,
    LOG,
    PRE,
    SHIFT,
    SHOCK,
    SLOPED,
    SPOT_PRE,
    USD,
    WIDTH,
    Block,
    Loop,
    stepping,
)
from tailwag.kernels.netdelta_lanes import Table, begin_step, needs_average
from tailwag.kernels.netdelta_pack import PackReader

__all__ = ["Block", "Loop", "advance"]


@stepping
def advance(loop: Loop, table: Table, pack_reader: PackReader, block: Block) -> None:
    """Run a block from start to end; `pack_reader` is this thread's scratch for `table`."""
    steps, packs = loop.years.size - 1, block.path.shape[0]
    books = 0
    for seat in range(loop.terms.shape[0]):
        books += 1 if loop.terms[seat, LANE] >= 0.0 else 0
    for pack in range(packs):
        _note(block, pack, 0)
    for step in range(1, steps + 1):
        if books > 0:
            begin_step(table, pack_reader.reader, step)
        for pack in range(packs):
            _advance_pack(loop, table, pack_reader, block, pack, step, books)
            _note(block, pack, step)


@stepping
def _advance_pack(loop: Loop, table: Table, pack_reader: PackReader, block: Block, pack: int, step: int, books: int) -> None:
    p, own, flight, terms, numbers = block.path[pack], block.own[pack], block.flight[pack], loop.terms, loop.numbers
    may_trade, weights = loop.may_trade, loop.weights
    seats, years = terms.shape[0], loop.years[step] - loop.years[step - 1]
    _shocks(block.fundamental, p, pack, step)
    move_before_trading(numbers, loop.kept[step], loop.fading[step], p)
    arrive(terms, p, own, flight, step)
    same_step = 0
    for seat in range(seats):
        same_step += 1 if terms[seat, DELAY] == 0.0 and may_trade[seat, step] > 0 else 0
    if same_step > 0:
        if books > 0:
            look(numbers, terms, table, pack_reader, p, own, PRE, True, True)
        for seat in range(seats):
            if terms[seat, DELAY] == 0.0 and may_trade[seat, step] > 0:
                decide(terms[seat], p, own[seat], PRE, SPOT_PRE)
                demand(terms[seat], p, own[seat])
        clear(numbers, terms, table, pack_reader.reader, p, own, loop.smooth[:, step])
        for seat in range(seats):
            if terms[seat, DELAY] == 0.0:
                order(terms[seat], p, own[seat])
    finish(numbers, terms, p, own, step)
    absorb(loop.passing, p)
    for seat in range(seats):
        account(terms[seat], p, own[seat], years)
    settle_prices(p, loop.averaged[step])
    if books > 0:
        look(numbers, terms, table, pack_reader, p, own, LOG, needs_average(pack_reader.reader), numbers[SLOPED] > 0.0)
    for seat in range(seats):
        add_gap(terms[seat], p, own[seat], years)
    halt(numbers[HALT], p, step)
    damped = numbers[DAMPED] > 0.0
    if damped:
        damp(numbers, terms, p, own, step)
    for seat in range(seats):
        if terms[seat, DELAY] > 0.0 and may_trade[seat, step] > 0:
            submit(terms[seat], p, own[seat], flight[seat], weights[seat], step, damped)


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
