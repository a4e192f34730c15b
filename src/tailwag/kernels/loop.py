"""The closed loop, compiled: all built-in dealers of a block of paths, from the first step to the last, in one call.

One step: exogenous move, orders that arrive, decisions, clearing, accounts, orders that will arrive; the plain twin is `tailwag.sim.engine`.
"""

from __future__ import annotations

from tailwag.kernels.loop_books import account, add_gap, finish, halt, order, settle_prices, submit
from tailwag.kernels.loop_clear import clear, look
from tailwag.kernels.loop_orders import arrive, decide, demand, move_before_trading, wanted_policy
from tailwag.kernels.loop_rows import (
    DELAY,
    FILLED,
    FUNDAMENTAL,
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
from tailwag.kernels.netdelta_lanes import Reader, Table, begin_step, needs_average

__all__ = ["Block", "Loop", "advance"]


@stepping
def advance(loop: Loop, table: Table, reader: Reader, block: Block) -> None:
    """Run a block from start to end; `reader` is this thread's scratch for `table`."""
    steps, packs = loop.years.size - 1, block.path.shape[0]
    books = 0
    for seat in range(loop.terms.shape[0]):
        books += 1 if loop.terms[seat, LANE] >= 0.0 else 0
    for pack in range(packs):
        _note(block, pack, 0)
    for step in range(1, steps + 1):
        if books > 0:
            begin_step(table, reader, step)
        for pack in range(packs):
            _advance_pack(loop, table, reader, block, pack, step, books)
            _note(block, pack, step)


@stepping
def _advance_pack(loop: Loop, table: Table, reader: Reader, block: Block, pack: int, step: int, books: int) -> None:
    p, seats = block.path[pack], loop.terms.shape[0]
    _shocks(block, pack, step)
    move_before_trading(loop, p, step)
    arrive(loop, block, pack, step)
    same_step = False
    for seat in range(seats):
        same_step = same_step or (loop.terms[seat, DELAY] == 0.0 and wanted_policy(loop, seat, step))
    if same_step:
        if books > 0:
            look(loop, table, reader, block, pack, PRE, True, True)
        for seat in range(seats):
            if loop.terms[seat, DELAY] == 0.0 and wanted_policy(loop, seat, step):
                decide(loop.terms[seat], p, block.own[seat, pack], PRE, SPOT_PRE)
                demand(loop.terms[seat], p, block.own[seat, pack])
        clear(loop, table, reader, block, pack, step)
        for seat in range(seats):
            if loop.terms[seat, DELAY] == 0.0:
                order(loop.terms[seat], p, block.own[seat, pack])
    finish(loop, block, pack, step)
    for seat in range(seats):
        account(loop, block, pack, seat, step)
    settle_prices(loop, p, step)
    if books > 0:
        look(loop, table, reader, block, pack, LOG, needs_average(reader), loop.numbers[SLOPED] > 0.0)
    for seat in range(seats):
        add_gap(loop, block, pack, seat, step)
    halt(loop, p, step)
    submit(loop, block, pack, step)


@stepping
def _shocks(block: Block, pack: int, step: int) -> None:
    """This step's exogenous increments of one pack; places without a path stand still."""
    first = pack * WIDTH
    count = min(WIDTH, block.log_price.shape[1] - first)
    p = block.path[pack]
    for j in range(count):
        p[SHOCK + j] = block.fundamental[step, first + j]


@stepping
def _note(block: Block, pack: int, step: int) -> None:
    """Write down where a pack stands."""
    first, p = pack * WIDTH, block.path[pack]
    count = min(WIDTH, block.log_price.shape[1] - first)
    for j in range(count):
        block.log_price[step, first + j] = p[LOG + j]
        block.fundamental[step, first + j] = p[FUNDAMENTAL + j]
        if step > 0:
            block.flow[step - 1, first + j] = p[USD + j]
    if block.shift.shape[0] > 0:
        for j in range(count):
            block.shift[step, first + j] = p[SHIFT + j]
    for seat in range(block.positions.shape[0]):
        o = block.own[seat, pack]
        for j in range(count):
            block.positions[seat, step, first + j] = o[HELD + j]
            if step > 0:
                block.flows[seat, step - 1, first + j] = o[FILLED + j]
