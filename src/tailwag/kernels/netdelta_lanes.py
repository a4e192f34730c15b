"""Reading the net-delta table: prepare a time once, then delta and slope of every book at any log price and vol shift.

For a compiled loop over paths and steps (nothing here returns to Python):

    begin_step(table, reader, step)                       # once per step, and idle when already there
    read_path(table, reader, x, shift, average_usd, out)   # any number of times; writes out (2 * lanes,): deltas, then slopes by ln S

`Table` is shared and never written; a `Reader` belongs to one thread. A step's nodes are interpolated in time when a path first comes near
them, so that only what is visited costs anything. Outside the tabulated range a path is summed option by option: slower, never clamped.
`average_usd` matters only inside a settlement window (`needs_average`). The innermost loops may call `read_table(state, numbers, x, shift, out, sloped)`
instead: arrays of the reader alone, 0 if all was tabulated, else a number to hand to `read_rest`. Books stand in 1 or 8 lanes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.netdelta import LEAST_YEARS, VOL_FLOOR, add_averaged, held, row_values, summed
from tailwag.kernels.netdelta_table import ALL_ORDERS, X_ORDERS
from tailwag.kernels.normal import inlined, logarithm
from tailwag.kernels.vectors import (
    add_cell_1,
    add_cell_8,
    add_pair_1,
    add_pair_8,
    add_row_1,
    add_row_8,
    add_value_1,
    add_value_8,
    address_of,
    clear_1,
    clear_8,
    float_at,
    floats_at,
    integer_at,
    mix_1,
    mix_8,
    put_integer,
)

__all__ = [
    "TIME_POINTS",
    "Reader",
    "Table",
    "add_near_rows",
    "begin_step",
    "fresh",
    "hermite",
    "hermite_slope",
    "needs_average",
    "new_reader",
    "read_at",
    "read_path",
    "read_paths",
    "read_rest",
    "read_table",
]

TIME_POINTS = 6
"""Tables in time that one step's nodes are interpolated from."""
FAR, NEAR = 0, 1
REACH_SD = 7.5  # rows further from the strike than this many standard deviations have a delta of 0 or 1 to 1e-13
PADDING = 8  # near rows are summed in eights; what is beyond them has a strike out of reach
OUT_OF_REACH_LOG = 1e3
LOWEST_LEVEL = -1e3  # below every grid

# columns of `Table.grid_numbers` and `Table.grid_counts`
X_FIRST, X_INVERSE, OFFSET, U_FIRST, U_INVERSE, FIXED_SHIFT = range(6)
START, X_NODES, U_NODES = range(3)
# rows of `Table.rows`; columns of `Table.edges` and `Table.most`
LOG_STRIKE, AGES_TO, VOL, SKEW, EXPIRY, SPOT_STRIKE, AVERAGED = range(7)
FAR_FIRST, NEAR_FIRST, INSIDE_FIRST, LAST = range(4)
# entries of `Reader.state`
STAMP, STEP, WINDOW, LANES, ORDERS, FAR_AGED, NEAR_AGED, INSIDE_COUNT, NEAR_COUNT, NEAR_ROWS, COINS, BELOW, SCRATCH = range(13)
# then, for each group: how it is read, and where its nodes, their stamps and the step's six times are
HOW, NODES, STAMPS, ALONG_X, ALONG_U, DATA, STRIDE = range(7)
GROUPS, GROUP_SIZE = 16, 8
NOTHING, TABULATED, SUMMED = range(3)
# entries of `Reader.numbers`; then, for each group, the grid's numbers and the weights of the six times
VOL_MOST, SKEW_MOST, ROOT_MOST, RAISED_BY = range(4)
GRIDS, GRID_SIZE, WEIGHTS = 8, 16, 8


class Table(NamedTuple):
    """All that is tabulated, flat: what `begin_step` and `read_path` need, and nothing else.

    `data`: nodes of all grids, each grid [time][u][x][order in u][order in x][lane] from its start; `orders` 9, or 3 where vol shifts stand still;
    `steps` (n, 2, 2): the grid and the first of six times for the far and the near options (grid -1: none, sum them); `weights` (n, 2, 6) of those
    six times. The run is cut into windows wherever an option expires or begins to average; `edges` (windows, 4): where a window's far, near and
    averaging rows begin, and their end, in `rows` (7, r), `positions` (lanes, r) and `coins` (r, lanes). The puts' share: `far_offsets`,
    `inside_offsets` (windows, lanes), and in `below` (r + windows, lanes), the sums of near positions below each strike. `most` (windows, 3): the near
    rows' largest vol, |skew| and time to age to.
    """

    data: FloatArray
    grid_numbers: FloatArray
    grid_counts: IntArray
    steps: IntArray
    weights: FloatArray
    times: FloatArray
    windows: IntArray
    edges: IntArray
    rows: FloatArray
    positions: FloatArray
    coins: FloatArray
    below: FloatArray
    far_offsets: FloatArray
    inside_offsets: FloatArray
    most: FloatArray
    spot_usd: float
    window_years: float
    orders: int
    lanes: int


class Reader(NamedTuple):
    """One thread's scratch: this step's nodes as far as they were needed (`stamps` tell which), and the options as they stand now."""

    far_nodes: FloatArray
    near_nodes: FloatArray
    far_stamps: IntArray
    near_stamps: IntArray
    far_roots: FloatArray
    near_rows: FloatArray
    scratch: FloatArray
    state: IntArray
    numbers: FloatArray


def new_reader(table: Table) -> Reader:
    """Scratch for one thread, large enough for every step of the table."""
    width = table.orders * table.lanes
    nodes = np.ones(2, dtype=np.int64)
    for group in (FAR, NEAR):
        used = np.unique(table.steps[:, group, 0])
        for grid in used[used >= 0]:
            nodes[group] = max(nodes[group], table.grid_counts[grid, X_NODES] * table.grid_counts[grid, U_NODES])
    rows = int((table.edges[:, LAST] - table.edges[:, FAR_FIRST]).max(initial=0)) + PADDING
    state = np.zeros(GROUPS + 2 * GROUP_SIZE, dtype=np.int64)
    state[STEP], state[LANES], state[ORDERS] = -1, table.lanes, table.orders
    return Reader(
        far_nodes=np.empty(nodes[FAR] * width),
        near_nodes=np.empty(nodes[NEAR] * width),
        far_stamps=np.zeros(nodes[FAR], dtype=np.int64),
        near_stamps=np.zeros(nodes[NEAR], dtype=np.int64),
        far_roots=np.empty(rows),
        near_rows=np.empty(4 * rows),
        scratch=np.empty(2 * rows),
        state=state,
        numbers=np.zeros(GRIDS + 2 * GRID_SIZE),
    )


@summed
def begin_step(table: Table, reader: Reader, step: int) -> None:
    """Bring the reader to a step: forget the last one's nodes and age the options that will be summed."""
    state, numbers = reader.state, reader.numbers
    if state[STEP] == step:
        return
    window = table.windows[step]
    edges = table.edges[window]
    near = edges[INSIDE_FIRST] - edges[NEAR_FIRST]
    state[STAMP] += 1
    state[STEP], state[WINDOW], state[INSIDE_COUNT] = step, window, edges[LAST] - edges[INSIDE_FIRST]
    state[FAR_AGED] = state[NEAR_AGED] = 0
    state[NEAR_COUNT] = (near + PADDING - 1) // PADDING * PADDING
    state[NEAR_ROWS], state[SCRATCH] = address_of(reader.near_rows), address_of(reader.scratch)
    state[COINS] = address_of(table.coins) + 8 * edges[NEAR_FIRST] * table.lanes
    state[BELOW] = address_of(table.below) + 8 * (edges[NEAR_FIRST] + window) * table.lanes
    numbers[VOL_MOST], numbers[SKEW_MOST] = table.most[window, VOL_MOST], table.most[window, SKEW_MOST]
    numbers[ROOT_MOST] = math.sqrt(max(table.most[window, ROOT_MOST] - table.times[step], LEAST_YEARS))
    _aim(table, reader, FAR, edges[NEAR_FIRST] - edges[FAR_FIRST], address_of(reader.far_nodes), address_of(reader.far_stamps))
    _aim(table, reader, NEAR, near, address_of(reader.near_nodes), address_of(reader.near_stamps))
    if state[GROUPS + NEAR * GROUP_SIZE + HOW] == SUMMED:
        _age_near(table, reader)


@summed
def _aim(table: Table, reader: Reader, group: int, rows: int, nodes: int, stamps: int) -> None:
    """Write down how a group is read at this step."""
    state, numbers, step = reader.state, reader.numbers, reader.state[STEP]
    grid, base, first = table.steps[step, group, 0], GROUPS + group * GROUP_SIZE, GRIDS + group * GRID_SIZE
    state[base + HOW] = NOTHING if rows == 0 else (SUMMED if grid < 0 else TABULATED)
    if grid < 0:
        return
    stride = table.grid_counts[grid, X_NODES] * table.grid_counts[grid, U_NODES] * table.orders * table.lanes
    state[base + NODES], state[base + STAMPS], state[base + STRIDE] = nodes, stamps, stride
    numbers[RAISED_BY] = table.grid_numbers[grid, OFFSET]  # the same in all grids
    state[base + ALONG_X], state[base + ALONG_U] = table.grid_counts[grid, X_NODES], table.grid_counts[grid, U_NODES]
    state[base + DATA] = address_of(table.data) + 8 * (table.grid_counts[grid, START] + table.steps[step, group, 1] * stride)
    for i in range(table.grid_numbers.shape[1]):
        numbers[first + i] = table.grid_numbers[grid, i]
    for i in range(TIME_POINTS):
        numbers[first + WEIGHTS + i] = table.weights[step, group, i]


@summed
def _age_near(table: Table, reader: Reader) -> None:
    """The near rows side by side, in the order of their strikes."""
    state = reader.state
    first, last = table.edges[state[WINDOW], NEAR_FIRST], table.edges[state[WINDOW], INSIDE_FIRST]
    count, time = state[NEAR_COUNT], table.times[state[STEP]]
    rows = reader.near_rows[: 4 * count].reshape((4, count))
    for i in range(last - first):
        rows[0, i], rows[2, i], rows[3, i] = table.rows[LOG_STRIKE, first + i], table.rows[VOL, first + i], table.rows[SKEW, first + i]
        rows[1, i] = math.sqrt(max(table.rows[AGES_TO, first + i] - time, LEAST_YEARS))
    for i in range(last - first, count):
        rows[0, i], rows[1, i], rows[2, i], rows[3, i] = OUT_OF_REACH_LOG, 1.0, 1.0, 0.0
    state[NEAR_AGED] = 1


@summed
def needs_average(reader: Reader) -> bool:
    """Whether this step has rows inside their settlement window, so that paths must bring their running average."""
    return bool(reader.state[INSIDE_COUNT] > 0)


@summed
def _add_far_rows(table: Table, reader: Reader, x: float, shift: float, out: FloatArray) -> None:
    """The far options one by one: for the few paths outside the table, or for few options."""
    state, lanes = reader.state, table.lanes
    first, last = table.edges[state[WINDOW], FAR_FIRST], table.edges[state[WINDOW], NEAR_FIRST]
    count = last - first
    if state[FAR_AGED] == 0:
        time = table.times[state[STEP]]
        for i in range(count):
            reader.far_roots[i] = math.sqrt(max(table.rows[AGES_TO, first + i] - time, LEAST_YEARS))
        state[FAR_AGED] = 1
    cdf, density, rows = reader.scratch[:count], reader.scratch[count : 2 * count], table.rows
    roots = reader.far_roots[:count]
    row_values(rows[LOG_STRIKE, first:last], roots, rows[VOL, first:last], rows[SKEW, first:last], (x, shift), cdf, density)
    for lane in range(lanes):
        total, gradient, position = table.far_offsets[state[WINDOW], lane], 0.0, table.positions[lane, first:last]
        for i in range(count):
            total += position[i] * cdf[i]
            gradient += position[i] * density[i]
        out[lane] += total
        out[lanes + lane] += gradient


@inlined
def _first_above(strikes: FloatArray, x: float) -> int:
    low, high = 0, strikes.size
    while low < high:
        middle = (low + high) >> 1
        low, high = (middle + 1, high) if strikes[middle] < x else (low, middle)
    return low


@summed
def add_near_rows(state_at: int, numbers_at: int, x: float, shift: float, out: int) -> None:
    """The near options: one by one where the strike is within reach, and by their sum where the delta is 1."""
    lanes, count = integer_at(state_at + 8 * LANES), integer_at(state_at + 8 * NEAR_COUNT)
    vol = max(float_at(numbers_at + 8 * VOL_MOST) + float_at(numbers_at + 8 * SKEW_MOST) * abs(held(x)) + shift, VOL_FLOOR)
    w = vol * float_at(numbers_at + 8 * ROOT_MOST)
    reach = (REACH_SD + 0.5 * w) * w
    rows = integer_at(state_at + 8 * NEAR_ROWS)
    strikes = floats_at(rows, count)
    low, high = _first_above(strikes, x - reach), _first_above(strikes, x + reach)
    size = (high - low + PADDING - 1) // PADDING * PADDING
    low = min(low, count - size)
    bytes_of_row = 8 * count
    scratch = integer_at(state_at + 8 * SCRATCH)
    cdf, density = floats_at(scratch, size), floats_at(scratch + 8 * size, size)
    root, sigma = floats_at(rows + bytes_of_row + 8 * low, size), floats_at(rows + 2 * bytes_of_row + 8 * low, size)
    row_values(floats_at(rows + 8 * low, size), root, sigma, floats_at(rows + 3 * bytes_of_row + 8 * low, size), (x, shift), cdf, density)
    below, coins = integer_at(state_at + 8 * BELOW) + 8 * low * lanes, integer_at(state_at + 8 * COINS) + 8 * low * lanes
    if lanes == 8:
        add_row_8(below, 1.0, 0.0, out)
        for i in range(size):
            add_row_8(coins + 64 * i, cdf[i], density[i], out)
    else:
        add_row_1(below, 1.0, 0.0, out)
        for i in range(size):
            add_row_1(coins + 8 * i, cdf[i], density[i], out)


@summed
def _add_inside_rows(table: Table, reader: Reader, x: float, shift: float, average_usd: float, out: FloatArray) -> None:
    """The options whose settlement average is running."""
    window = reader.state[WINDOW]
    first, last = table.edges[window, INSIDE_FIRST], table.edges[window, LAST]
    left = max(table.rows[EXPIRY, first] - table.times[reader.state[STEP]], LEAST_YEARS)
    add_averaged(
        table.rows[SPOT_STRIKE, first:last],
        table.rows[VOL, first:last],
        table.rows[SKEW, first:last],
        table.positions[:, first:last],
        table.inside_offsets[window],
        (left, left / table.window_years),
        (table.spot_usd * math.exp(x), x, shift, average_usd),
        out[: table.lanes],
        out[table.lanes : 2 * table.lanes],
    )


# From here to `read_at` everything goes by address: an array that is handed on is counted, which would cost more than the sums.


@inlined
def _mix(group_at: int, grid_at: int, lanes: int, orders: int, node: int) -> None:
    """One node of this step from six times."""
    w = grid_at + 8 * WEIGHTS
    weights = (float_at(w), float_at(w + 8), float_at(w + 16), float_at(w + 24), float_at(w + 32), float_at(w + 40))
    skipped, stride = 8 * node * orders * lanes, 8 * integer_at(group_at + 8 * STRIDE)
    nodes, data = integer_at(group_at + 8 * NODES), integer_at(group_at + 8 * DATA)
    if lanes == 8:
        mix_8(data + skipped, stride, weights, orders, nodes + skipped)
    else:
        mix_1(data + skipped, stride, weights, orders, nodes + skipped)


@inlined
def fresh(group_at: int, grid_at: int, stamp: int, lanes: int, orders: int, node: int) -> None:
    """Make sure that a node and its neighbour along x belong to this step."""
    stamps = integer_at(group_at + 8 * STAMPS) + 8 * node
    if integer_at(stamps) != stamp:
        _mix(group_at, grid_at, lanes, orders, node)
        put_integer(stamps, stamp)
    if integer_at(stamps + 8) != stamp:
        _mix(group_at, grid_at, lanes, orders, node + 1)
        put_integer(stamps + 8, stamp)


@inlined
def hermite(u: float) -> tuple[float, float, float, float, float, float]:
    """Weights of value, slope and half the curvature at both ends of a cell, at the fraction u of it."""
    w = 1.0 - u
    u3, w3 = u * u * u, w * w * w
    return (
        w3 * (1.0 + 3.0 * u + 6.0 * u * u),
        w3 * u * (1.0 + 3.0 * u),
        w3 * u * u,
        u3 * (1.0 + 3.0 * w + 6.0 * w * w),
        -u3 * w * (1.0 + 3.0 * w),
        u3 * w * w,
    )


@inlined
def hermite_slope(u: float, inverse: float) -> tuple[float, float, float, float, float, float]:
    """Derivatives of the weights, by what 1/inverse is the cell's length in."""
    w = 1.0 - u
    u2, w2 = u * u, w * w
    return (
        -30.0 * u2 * w2 * inverse,
        w2 * (1.0 + 2.0 * u - 15.0 * u2) * inverse,
        u * w2 * (2.0 - 5.0 * u) * inverse,
        30.0 * u2 * w2 * inverse,
        u2 * (1.0 + 2.0 * w - 15.0 * w2) * inverse,
        -w * u2 * (2.0 - 5.0 * w) * inverse,
    )


@inlined
def _add_table(state_at: int, numbers_at: int, group: int, place_of: tuple[float, float, float], out: int, sloped: bool) -> bool:
    """Add what is tabulated at the address `out`; False where this path (x, vol shift, u) lies outside."""
    x, shift, level = place_of
    group_at, grid_at = state_at + 8 * (GROUPS + group * GROUP_SIZE), numbers_at + 8 * (GRIDS + group * GRID_SIZE)
    if integer_at(group_at + 8 * HOW) != TABULATED:
        return integer_at(group_at + 8 * HOW) == NOTHING
    x_nodes, lanes = integer_at(group_at + 8 * ALONG_X), integer_at(state_at + 8 * LANES)
    inverse = float_at(grid_at + 8 * X_INVERSE)
    place = (x - float_at(grid_at + 8 * X_FIRST)) * inverse
    if not 0.0 <= place < x_nodes - 1:
        return False
    cell, stamp = int(place), integer_at(state_at + 8 * STAMP)
    along, slopes = hermite(place - cell), hermite_slope(place - cell, inverse)
    if integer_at(state_at + 8 * ORDERS) == X_ORDERS:
        if shift != float_at(grid_at + 8 * FIXED_SHIFT):
            return False
        fresh(group_at, grid_at, stamp, lanes, X_ORDERS, cell)
        nodes = integer_at(group_at + 8 * NODES) + cell * 8 * X_ORDERS * lanes
        if lanes == 8:
            add_pair_8(nodes, along, slopes, out)
        else:
            add_pair_1(nodes, along, slopes, out)
        return True
    height = (level - float_at(grid_at + 8 * U_FIRST)) * float_at(grid_at + 8 * U_INVERSE)
    if not 0.0 <= height < integer_at(group_at + 8 * ALONG_U) - 1:
        return False
    row = int(height)
    across, node = hermite(height - row), row * x_nodes + cell
    fresh(group_at, grid_at, stamp, lanes, ALL_ORDERS, node)
    fresh(group_at, grid_at, stamp, lanes, ALL_ORDERS, node + x_nodes)
    low = integer_at(group_at + 8 * NODES) + node * 8 * ALL_ORDERS * lanes
    high = low + x_nodes * 8 * ALL_ORDERS * lanes
    if sloped and lanes == 8:
        add_cell_8(low, high, along, slopes, across, out)
    elif sloped:
        add_cell_1(low, high, along, slopes, across, out)
    elif lanes == 8:
        add_value_8(low, high, along, across, out)
    else:
        add_value_1(low, high, along, across, out)
    return True


@inlined
def read_at(state_at: int, numbers_at: int, x: float, shift: float, out: int, sloped: bool) -> int:
    """`read_table` at addresses (`address_of` the reader's `state` and `numbers`, and of `out`)."""
    if integer_at(state_at + 8 * LANES) == 8:
        clear_8(out)
    else:
        clear_1(out)
    raised = shift + float_at(numbers_at + 8 * RAISED_BY)
    at = (x, shift, logarithm(raised) if raised > 0.0 else LOWEST_LEVEL)
    missing = 0 if _add_table(state_at, numbers_at, FAR, at, out, sloped) else 1
    if not _add_table(state_at, numbers_at, NEAR, at, out, sloped):
        # decided by the step alone, not by what was asked before: the order of additions is part of the answer
        if integer_at(state_at + 8 * (GROUPS + NEAR * GROUP_SIZE + HOW)) == SUMMED:
            add_near_rows(state_at, numbers_at, x, shift, out)
        else:
            missing += 2
    return missing + (4 if integer_at(state_at + 8 * INSIDE_COUNT) > 0 else 0)


@inlined
def read_table(state: IntArray, numbers: FloatArray, x: float, shift: float, out: FloatArray, sloped: bool) -> int:
    """Write what is at hand of one path to `out` (2 * lanes,); the answer tells `read_rest` what is missing, 0 if nothing is.

    `sloped` False (a literal, in a compiled caller) saves time and leaves the slopes unfinished.
    """
    return read_at(address_of(state), address_of(numbers), x, shift, address_of(out), sloped)


@summed
def read_rest(table: Table, reader: Reader, missing: int, x: float, shift: float, average_usd: float, out: FloatArray) -> None:
    """Add what `read_table` left out, option by option."""
    if missing & 1:
        _add_far_rows(table, reader, x, shift, out)
    if missing & 2:
        if reader.state[NEAR_AGED] == 0:
            _age_near(table, reader)
        add_near_rows(address_of(reader.state), address_of(reader.numbers), x, shift, address_of(out))
    if missing & 4:
        _add_inside_rows(table, reader, x, shift, average_usd, out)


@summed
def read_path(table: Table, reader: Reader, x: float, shift: float, average_usd: float, out: FloatArray) -> None:
    """Net delta of every book for one path, then its slopes by ln S, written to `out` (2 * lanes,)."""
    missing = read_table(reader.state, reader.numbers, x, shift, out, True)
    if missing:
        read_rest(table, reader, missing, x, shift, average_usd, out)


@summed
def read_paths(
    table: Table,
    reader: Reader,
    step: int,
    log_price: FloatArray,
    vol_shift: FloatArray,
    average_usd: FloatArray,
    out: FloatArray,
    sloped: bool = True,
) -> None:
    """Fill `out` (paths, 2 * lanes) for a block at one step; `average_usd` (paths,) or (0,); `sloped` False leaves the slopes unfinished."""
    begin_step(table, reader, step)
    if sloped:
        _read_block(table, reader, log_price, vol_shift, average_usd, out, True)
    else:
        _read_block(table, reader, log_price, vol_shift, average_usd, out, False)


@inlined
def _read_block(
    table: Table, reader: Reader, log_price: FloatArray, vol_shift: FloatArray, average_usd: FloatArray, out: FloatArray, sloped: bool
) -> None:
    state_at, numbers_at, out_at = address_of(reader.state), address_of(reader.numbers), address_of(out)
    for path in range(log_price.size):
        missing = read_at(state_at, numbers_at, log_price[path], vol_shift[path], out_at + 16 * table.lanes * path, sloped)
        if missing:
            average = average_usd[path] if average_usd.size else 0.0
            read_rest(table, reader, missing, log_price[path], vol_shift[path], average, out[path])
