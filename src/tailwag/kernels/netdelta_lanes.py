"""Reading the net-delta table: prepare a time once, then delta and slope of every book at any log price and vol shift.

For a compiled loop over paths and steps (nothing here returns to Python):

    begin_step(table, reader, step)                       # once per step, and idle when already there
    read_path(table, reader, x, shift, average_usd, out)   # any number of times; writes out (2 * lanes,): deltas, then slopes by ln S

`Table` is shared and never written; a `Reader` belongs to one thread. A step's nodes are interpolated in time when a path first comes near
them, so that only what is visited costs anything. Outside the tabulated range a path is summed option by option: slower, never clamped.
`average_usd` matters only inside a settlement window (`needs_average`). The innermost loops may call `read_table(state, numbers, x, shift, out)`
instead: arrays of the reader alone, 0 if all was tabulated, else a number to hand to `read_rest`. Books stand in 1 or 8 lanes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.netdelta import LEAST_YEARS, VOL_FLOOR, add_averaged, add_rows, held, row_values, summed
from tailwag.kernels.netdelta_table import X_ORDERS
from tailwag.kernels.normal import inlined, logarithm
from tailwag.kernels.vectors import add_cell_1, add_cell_8, add_pair_1, add_pair_8, address_of, floats_at, integers_at

__all__ = [
    "TIME_POINTS",
    "Reader",
    "Table",
    "begin_step",
    "needs_average",
    "new_reader",
    "read_path",
    "read_paths",
    "read_rest",
    "read_table",
]

TIME_POINTS = 6
"""Tables in time that one step's nodes are interpolated from."""
FAR, NEAR = 0, 1
REACH_SD = 7.5  # rows further from the strike than this many standard deviations have a delta of 0 or 1 to 1e-13

# columns of `Table.grid_numbers`
X_FIRST, X_INVERSE, OFFSET, U_FIRST, U_INVERSE, FIXED_SHIFT = range(6)
# columns of `Table.grid_counts`
START, X_NODES, U_NODES = range(3)
# rows of `Table.rows`
LOG_STRIKE, AGES_TO, VOL, SKEW, EXPIRY, STRIKE, AVERAGED = range(7)
# entries of `Reader.state`: the stamp, the step, its window, and rows in use
STAMP, STEP, WINDOW, NEAR_ROWS, INSIDE_ROWS, PLAIN_FAR, LANES, ORDERS = range(8)
# then, for each group: how it is read, and where its nodes, their stamps and the step's six times are
HOW, NODES, STAMPS, ALONG_X, ALONG_U, DATA, STRIDE = range(7)
GROUPS, GROUP_SIZE = 8, 8
NOTHING, TABULATED, SUMMED = range(3)
# entries of `Reader.numbers`; then, for each group, the grid's numbers and the weights of the six times
ROOT_MOST, VOL_MOST, SKEW_MOST, LEFT, SHARE = range(5)
GRIDS, GRID_SIZE, WEIGHTS = 8, 16, 8


class Table(NamedTuple):
    """All that is tabulated, flat: what `begin_step` and `read_path` need, and nothing else.

    `data`: nodes of all grids, each grid [time][u][x][order in u][order in x][lane] from its start; `steps` (n, 2, 2): the grid and the first of six
    times for the far and the near options (grid -1: none, sum them); `weights` (n, 2, 6): of those six times; `edges` (windows, 3): where a window's far
    rows begin, its near rows begin, and both end in `rows` (7, r) and `positions`, `puts` (lanes, r); `orders` 9, or 3 where vol shifts stand still.
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
    puts: FloatArray
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
    far_rows: FloatArray
    far_positions: FloatArray
    near_rows: FloatArray
    near_positions: FloatArray
    below: FloatArray
    inside_rows: FloatArray
    inside_positions: FloatArray
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
    rows = int(max((table.edges[:, 2] - table.edges[:, 0]).max(initial=0), 1))
    lanes = table.lanes
    state = np.zeros(GROUPS + 2 * GROUP_SIZE, dtype=np.int64)
    state[STEP], state[LANES], state[ORDERS] = -1, lanes, table.orders
    return Reader(
        far_nodes=np.empty(nodes[FAR] * width),
        near_nodes=np.empty(nodes[NEAR] * width),
        far_stamps=np.zeros(nodes[FAR], dtype=np.int64),
        near_stamps=np.zeros(nodes[NEAR], dtype=np.int64),
        far_rows=np.empty(4 * rows),
        far_positions=np.empty(lanes * (rows + 1)),
        near_rows=np.empty(4 * rows),
        near_positions=np.empty(rows * lanes),
        below=np.empty((rows + 1) * lanes),
        inside_rows=np.empty(3 * rows),
        inside_positions=np.empty(lanes * (rows + 1)),
        scratch=np.empty(2 * rows),
        state=state,
        numbers=np.zeros(GRIDS + 2 * GRID_SIZE),
    )


@summed
def begin_step(table: Table, reader: Reader, step: int) -> None:
    """Bring the reader to a step: forget the last one's nodes and age the options."""
    state = reader.state
    if state[STEP] == step:
        return
    window = table.windows[step]
    state[STAMP] += 1
    state[STEP] = step
    state[WINDOW] = window
    state[PLAIN_FAR] = 0  # far rows are brought up to date only where a path needs them
    _age_near(table, reader, table.times[step], table.edges[window, 1], table.edges[window, 2])
    far = table.edges[window, 1] - table.edges[window, 0]
    _aim(table, reader, FAR, step, far, address_of(reader.far_nodes), address_of(reader.far_stamps))
    _aim(table, reader, NEAR, step, state[NEAR_ROWS], address_of(reader.near_nodes), address_of(reader.near_stamps))


@summed
def _aim(table: Table, reader: Reader, group: int, step: int, rows: int, nodes: int, stamps: int) -> None:
    """Write down how a group is read at this step."""
    state, numbers = reader.state, reader.numbers
    grid, base, first = table.steps[step, group, 0], GROUPS + group * GROUP_SIZE, GRIDS + group * GRID_SIZE
    state[base + HOW] = NOTHING if rows == 0 else (SUMMED if grid < 0 else TABULATED)
    if grid < 0:
        return
    stride = table.grid_counts[grid, X_NODES] * table.grid_counts[grid, U_NODES] * table.orders * table.lanes
    state[base + NODES], state[base + STAMPS], state[base + STRIDE] = nodes, stamps, stride
    state[base + ALONG_X], state[base + ALONG_U] = table.grid_counts[grid, X_NODES], table.grid_counts[grid, U_NODES]
    state[base + DATA] = address_of(table.data) + 8 * (table.grid_counts[grid, START] + table.steps[step, group, 1] * stride)
    for i in range(table.grid_numbers.shape[1]):
        numbers[first + i] = table.grid_numbers[grid, i]
    for i in range(TIME_POINTS):
        numbers[first + WEIGHTS + i] = table.weights[step, group, i]


@summed
def _is_inside(table: Table, row: int, time: float) -> bool:
    return bool(table.rows[AVERAGED, row] > 0.0 and table.rows[EXPIRY, row] - time < table.window_years)


@summed
def _age_near(table: Table, reader: Reader, time: float, first: int, last: int) -> None:
    """The near rows in the order of their strikes, those inside their settlement window apart, and what lies below each strike."""
    lanes, numbers = table.lanes, reader.numbers
    numbers[ROOT_MOST] = numbers[VOL_MOST] = numbers[SKEW_MOST] = 0.0
    insiders = 0
    for r in range(first, last):
        insiders += 1 if _is_inside(table, r, time) else 0
    count = last - first - insiders
    reader.state[NEAR_ROWS], reader.state[INSIDE_ROWS] = count, insiders
    inside_rows, inside = reader.inside_rows[: 3 * insiders].reshape((3, insiders)), 0
    inside_positions = reader.inside_positions[: lanes * (insiders + 1)].reshape((lanes, insiders + 1))
    rows, near = reader.near_rows[: 4 * count].reshape((4, count)), 0
    positions = reader.near_positions[: count * lanes].reshape((count, lanes))
    below = reader.below[: (count + 1) * lanes].reshape((count + 1, lanes))
    below[0] = 0.0
    inside_positions[:, insiders] = 0.0
    for r in range(first, last):
        if _is_inside(table, r, time):
            numbers[LEFT] = max(table.rows[EXPIRY, r] - time, LEAST_YEARS)
            inside_rows[0, inside], inside_rows[1, inside], inside_rows[2, inside] = (
                table.rows[STRIKE, r],
                table.rows[VOL, r],
                table.rows[SKEW, r],
            )
            for lane in range(lanes):
                inside_positions[lane, inside] = table.positions[lane, r]
                inside_positions[lane, insiders] -= table.puts[lane, r]
            inside += 1
        else:
            rows[0, near], rows[2, near], rows[3, near] = table.rows[LOG_STRIKE, r], table.rows[VOL, r], table.rows[SKEW, r]
            rows[1, near] = math.sqrt(max(table.rows[AGES_TO, r] - time, LEAST_YEARS))
            numbers[ROOT_MOST] = max(numbers[ROOT_MOST], rows[1, near])
            numbers[VOL_MOST] = max(numbers[VOL_MOST], rows[2, near])
            numbers[SKEW_MOST] = max(numbers[SKEW_MOST], abs(rows[3, near]))
            for lane in range(lanes):
                positions[near, lane] = table.positions[lane, r]
                below[near + 1, lane] = below[near, lane] + table.positions[lane, r]
            near += 1
    for lane in range(lanes):
        puts = 0.0
        for r in range(first, last):
            puts += 0.0 if _is_inside(table, r, time) else table.puts[lane, r]
        for i in range(count + 1):
            below[i, lane] -= puts
    numbers[SHARE] = numbers[LEFT] / table.window_years


@summed
def needs_average(reader: Reader) -> bool:
    """Whether this step has rows inside their settlement window, so that paths must bring their running average."""
    return bool(reader.state[INSIDE_ROWS] > 0)


@summed
def _age_far(table: Table, reader: Reader) -> None:
    first, last = table.edges[reader.state[WINDOW], 0], table.edges[reader.state[WINDOW], 1]
    count, time = last - first, table.times[reader.state[STEP]]
    rows, positions = reader.far_rows[: 4 * count].reshape((4, count)), reader.far_positions
    for i in range(count):
        rows[0, i] = table.rows[LOG_STRIKE, first + i]
        rows[1, i] = math.sqrt(max(table.rows[AGES_TO, first + i] - time, LEAST_YEARS))
        rows[2, i] = table.rows[VOL, first + i]
        rows[3, i] = table.rows[SKEW, first + i]
    for lane in range(table.lanes):
        puts = 0.0
        for i in range(count):
            positions[lane * (count + 1) + i] = table.positions[lane, first + i]
            puts += table.puts[lane, first + i]
        positions[lane * (count + 1) + count] = -puts
    reader.state[PLAIN_FAR] = 1


@summed
def _add_far_rows(table: Table, reader: Reader, x: float, shift: float, delta: FloatArray, slope: FloatArray) -> None:
    """The far options one by one: for the few paths outside the table."""
    count = table.edges[reader.state[WINDOW], 1] - table.edges[reader.state[WINDOW], 0]
    if count == 0:
        return
    if reader.state[PLAIN_FAR] == 0:
        _age_far(table, reader)
    rows = reader.far_rows[: 4 * count].reshape((4, count))
    positions = reader.far_positions[: table.lanes * (count + 1)].reshape((table.lanes, count + 1))
    add_rows(rows, positions, x, shift, reader.scratch, delta, slope)


@summed
def _add_near_rows(table: Table, reader: Reader, x: float, shift: float, delta: FloatArray, slope: FloatArray) -> None:
    """The near options: one by one where the strike is within reach, and by their sum where the delta is 1."""
    lanes, count = table.lanes, reader.state[NEAR_ROWS]
    if count == 0:
        return
    numbers = reader.numbers
    vol = max(numbers[VOL_MOST] + numbers[SKEW_MOST] * abs(held(x)) + shift, VOL_FLOOR)
    w = vol * numbers[ROOT_MOST]
    reach = (REACH_SD + 0.5 * w) * w
    rows = reader.near_rows[: 4 * count].reshape((4, count))
    low, high = np.searchsorted(rows[0], x - reach), np.searchsorted(rows[0], x + reach)
    size = high - low
    below = reader.below[low * lanes : (low + 1) * lanes]
    for lane in range(lanes):
        delta[lane] += below[lane]
    cdf, density = reader.scratch[:size], reader.scratch[size : 2 * size]
    row_values(rows[0, low:high], rows[1, low:high], rows[2, low:high], rows[3, low:high], (x, shift), cdf, density)
    for i in range(size):
        coins = reader.near_positions[(low + i) * lanes : (low + i + 1) * lanes]
        for lane in range(lanes):
            delta[lane] += coins[lane] * cdf[i]
            slope[lane] += coins[lane] * density[i]


@summed
def _add_inside_rows(
    table: Table, reader: Reader, x: float, shift: float, average_usd: float, delta: FloatArray, slope: FloatArray
) -> None:
    """The options whose settlement average is running."""
    count = reader.state[INSIDE_ROWS]
    rows = reader.inside_rows[: 3 * count].reshape((3, count))
    positions = reader.inside_positions[: table.lanes * (count + 1)].reshape((table.lanes, count + 1))
    window = (reader.numbers[LEFT], reader.numbers[SHARE])
    add_averaged(rows, positions, window, (table.spot_usd * math.exp(x), x, shift, average_usd), delta, slope)


@summed
def _mix(state: IntArray, numbers: FloatArray, base: int, first: int, node: int) -> None:
    """One node of this step from six times."""
    width, stride = state[LANES] * state[ORDERS], state[base + STRIDE]
    data = floats_at(state[base + DATA] + 8 * node * width, 5 * stride + width)
    one, two, three = data[:width], data[stride : stride + width], data[2 * stride : 2 * stride + width]
    four, five, six = data[3 * stride : 3 * stride + width], data[4 * stride : 4 * stride + width], data[5 * stride : 5 * stride + width]
    out = floats_at(state[base + NODES] + 8 * node * width, width)
    weights = numbers[first + WEIGHTS : first + WEIGHTS + TIME_POINTS]
    a, b, c, d, e, f = weights[0], weights[1], weights[2], weights[3], weights[4], weights[5]
    for i in range(width):
        out[i] = a * one[i] + b * two[i] + c * three[i] + d * four[i] + e * five[i] + f * six[i]


@inlined
def _fresh(state: IntArray, numbers: FloatArray, base: int, first: int, node: int) -> None:
    """Make sure that a node and its neighbour along x belong to this step."""
    stamps, stamp = integers_at(state[base + STAMPS] + 8 * node, 2), state[STAMP]
    for i in range(2):
        if stamps[i] != stamp:
            _mix(state, numbers, base, first, node + i)
            stamps[i] = stamp


@inlined
def _hermite(u: float) -> tuple[float, float, float, float, float, float]:
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
def _hermite_slope(u: float, inverse: float) -> tuple[float, float, float, float, float, float]:
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
def _add_table(state: IntArray, numbers: FloatArray, group: int, x: float, shift: float, out: int) -> bool:
    """Add what is tabulated at the address `out`; False where this path lies outside."""
    base, first = GROUPS + group * GROUP_SIZE, GRIDS + group * GRID_SIZE
    if state[base + HOW] != TABULATED:
        return bool(state[base + HOW] == NOTHING)
    x_nodes, bytes_of_node = state[base + ALONG_X], 8 * state[LANES] * state[ORDERS]
    place = (x - numbers[first + X_FIRST]) * numbers[first + X_INVERSE]
    if not 0.0 <= place < x_nodes - 1:
        return False
    cell = np.int64(place)
    along, slopes = _hermite(place - cell), _hermite_slope(place - cell, numbers[first + X_INVERSE])
    if state[ORDERS] == X_ORDERS:
        if shift != numbers[first + FIXED_SHIFT]:
            return False
        _fresh(state, numbers, base, first, cell)
        nodes = state[base + NODES] + cell * bytes_of_node
        if state[LANES] == 8:
            add_pair_8(nodes, along, slopes, out)
        else:
            add_pair_1(nodes, along, slopes, out)
        return True
    raised = shift + numbers[first + OFFSET]
    if not raised > 0.0:
        return False
    height = (logarithm(raised) - numbers[first + U_FIRST]) * numbers[first + U_INVERSE]
    if not 0.0 <= height < state[base + ALONG_U] - 1:
        return False
    row = np.int64(height)
    across, node = _hermite(height - row), row * x_nodes + cell
    _fresh(state, numbers, base, first, node)
    _fresh(state, numbers, base, first, node + x_nodes)
    low = state[base + NODES] + node * bytes_of_node
    if state[LANES] == 8:
        add_cell_8(low, low + x_nodes * bytes_of_node, along, slopes, across, out)
    else:
        add_cell_1(low, low + x_nodes * bytes_of_node, along, slopes, across, out)
    return True


@inlined
def read_table(state: IntArray, numbers: FloatArray, x: float, shift: float, out: FloatArray) -> int:
    """Write what is tabulated of one path to `out` (2 * lanes,); the answer tells `read_rest` what is missing, 0 if nothing is."""
    lanes, place = state[LANES], address_of(out)
    for i in range(2 * lanes):
        out[i] = 0.0
    missing = 0 if _add_table(state, numbers, FAR, x, shift, place) else 1
    missing += 0 if _add_table(state, numbers, NEAR, x, shift, place) else 2
    return missing + (4 if state[INSIDE_ROWS] > 0 else 0)


@summed
def read_rest(table: Table, reader: Reader, missing: int, x: float, shift: float, average_usd: float, out: FloatArray) -> None:
    """Add what `read_table` left out, option by option."""
    delta, slope = out[: table.lanes], out[table.lanes : 2 * table.lanes]
    if missing & 1:
        _add_far_rows(table, reader, x, shift, delta, slope)
    if missing & 2:
        _add_near_rows(table, reader, x, shift, delta, slope)
    if missing & 4:
        _add_inside_rows(table, reader, x, shift, average_usd, delta, slope)


@summed
def read_path(table: Table, reader: Reader, x: float, shift: float, average_usd: float, out: FloatArray) -> None:
    """Net delta of every book for one path, then its slopes by ln S, written to `out` (2 * lanes,)."""
    missing = read_table(reader.state, reader.numbers, x, shift, out)
    if missing:
        read_rest(table, reader, missing, x, shift, average_usd, out)


@summed
def read_paths(
    table: Table, reader: Reader, step: int, log_price: FloatArray, vol_shift: FloatArray, average_usd: FloatArray, out: FloatArray
) -> None:
    """Fill `out` (paths, 2 * lanes) for a block at one step; `average_usd` (paths,) or (0,)."""
    begin_step(table, reader, step)
    state, numbers = reader.state, reader.numbers
    for path in range(log_price.size):
        missing = read_table(state, numbers, log_price[path], vol_shift[path], out[path])
        if missing:
            average = average_usd[path] if average_usd.size else 0.0
            read_rest(table, reader, missing, log_price[path], vol_shift[path], average, out[path])
