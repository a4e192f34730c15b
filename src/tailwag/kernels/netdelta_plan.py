"""Where the net-delta table has its nodes, and how it is filled.

The run is cut at every expiry. In each window the options that expire soonest (near) and all others (far) are tabulated apart, because a
near option's delta bends within a narrow range of prices that a common grid would carry everywhere. Steps follow from a tolerance: the
error of quintic Hermite polynomials is 5e-5 (h/w)^6 of an option in log price and 5e-3 g^6 in ln(vol), that of six times 6e-3 t^6 in
ln(time left); only the share of the book that is near one price and near its own bend counts. Times are spaced evenly in the logarithm of
the most urgent option's time left, so that any grid of steps, uniform or graded towards an expiry, is met.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.netdelta import SETTLED_YEARS, SKEW_REACH_LOG, VOL_FLOOR
from tailwag.kernels.netdelta_lanes import (
    AGES_TO,
    AVERAGED,
    EXPIRY,
    FAR,
    FAR_FIRST,
    LAST,
    LOG_STRIKE,
    NEAR,
    PADDING,
    SKEW,
    TIME_POINTS,
    VOL,
    Table,
)
from tailwag.kernels.netdelta_table import ALL_ORDERS, X_ORDERS, build_nodes

__all__ = ["DIRECT_YEARS", "Settings", "tabulate"]

DIRECT_YEARS = 1.0 / (365 * 24)
"""Within an hour of expiry only a few strikes bend at any price: they are summed one by one."""
GAP_YEARS = 8.0 / (365 * 24)
"""Options that expire within this time of a window's end are near, too: far ones bend gently."""
FEW_ROWS = 12
"""So few options are summed faster than a table is read."""
BAND_RATIO = 4.0
"""A grid serves times left within this ratio: the steps in log price fall with the square root of the time left."""
LEAST_VOL_SHARE = 0.5
"""The table reaches down to this share of the lowest vol; below it options are summed one by one."""
PART = 0.5  # of the tolerance for each of the three interpolations: their largest errors lie at different prices
X_ERROR, U_ERROR, TIME_ERROR = 5e-5, 5e-3, 6e-3
MOST_X, MOST_U, MOST_TIME = 0.9, 0.5, 0.6


class Settings(NamedTuple):
    """Tolerance relative to gross contracts, the range of vol shifts, how far log price is followed, threads that build, and the most memory.

    Grids that would not fit are left out, the largest first: their options are summed one by one, which is slower and no less right.
    """

    tolerance: float = 1e-6
    vol_shifts: tuple[float, float] = (-0.6, 0.8)
    reach_log: float = 0.9
    threads: int = 1
    most_bytes: float = 400e6


class Grid(NamedTuple):
    """One grid to fill: its rows, its numbers as in `Table`, the step in x and in u, and the first of its times in ln(time left)."""

    group: int
    rows: slice
    numbers: tuple[float, float, float, float, float, float]
    x_step: float
    u_step: float
    x_nodes: int
    u_nodes: int
    log_left: float
    time_step: float
    times: int
    steps: IntArray
    ages_to: float


def tabulate(
    rows: FloatArray, positions: FloatArray, puts: FloatArray, times: FloatArray, spot_usd: float, window_years: float, settings: Settings
) -> tuple[Table, int]:
    """The table of a run, and how many option deltas it took.

    `rows` (7, m) as in `Table.rows`, `positions` and `puts` (lanes, m), `times` (steps + 1,) in years.
    """
    windows, edges, order = _windows(rows, times, window_years)
    rows, positions, puts = (np.ascontiguousarray(part[:, order]) for part in (rows, positions, puts))
    orders = X_ORDERS if settings.vol_shifts[0] == settings.vol_shifts[1] else ALL_ORDERS
    grids = _fitting(_grids(rows, positions, times, windows, edges, settings), orders * positions.shape[0], settings.most_bytes)
    sizes = np.array([_nodes(grid) * orders * positions.shape[0] for grid in grids], dtype=np.int64)
    starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    data = _aligned(int(starts[-1]))
    steps = np.full((times.size, 2, 2), -1, dtype=np.int64)
    weights = np.zeros((times.size, 2, TIME_POINTS))
    for number, grid in enumerate(grids):
        _place_steps(number, grid, times, steps, weights)
    table = Table(
        data=data,
        grid_numbers=np.array([grid.numbers for grid in grids]).reshape(-1, 6),
        grid_counts=np.array([(start, grid.x_nodes, grid.u_nodes) for start, grid in zip(starts, grids)], dtype=np.int64).reshape(-1, 3),
        steps=steps,
        weights=weights,
        times=np.array(times),
        windows=windows,
        edges=edges,
        rows=rows,
        positions=positions,
        **_sums(rows, positions, puts, edges),
        spot_usd=spot_usd,
        window_years=window_years,
        orders=orders,
        lanes=positions.shape[0],
    )
    tasks = [(table, puts, grid, int(start), number) for grid, start in zip(grids, starts) for number in range(grid.times)]
    if settings.threads > 1:
        with ThreadPoolExecutor(settings.threads) as pool:
            list(pool.map(lambda task: _fill(*task), tasks))
    else:
        for task in tasks:
            _fill(*task)
    return table, sum(_nodes(grid) * (grid.rows.stop - grid.rows.start) for grid in grids)


def _nodes(grid: Grid) -> int:
    return grid.times * grid.x_nodes * grid.u_nodes


def _fitting(grids: list[Grid], width: int, most_bytes: float) -> list[Grid]:
    """The grids that fit into memory together, the smallest first."""
    order = sorted(range(len(grids)), key=lambda number: (_nodes(grids[number]), number))
    fitting = np.cumsum([8 * width * _nodes(grids[number]) for number in order]) <= most_bytes
    kept = {number for number, fits in zip(order, fitting) if fits}
    return [grid for number, grid in enumerate(grids) if number in kept]


def _windows(rows: FloatArray, times: FloatArray, window_years: float) -> tuple[IntArray, IntArray, IntArray]:
    """Each step's window, each window's edges in the ordered rows, and that order: far rows by expiry, near rows by strike, averaging rows."""
    expiry, averaged = rows[EXPIRY], rows[AVERAGED] > 0.0
    # within the rounding of grid times an averaging row may begin a step late or early: both formulas agree there
    cuts = np.unique(np.concatenate((expiry, expiry[averaged] - window_years)))
    cuts = cuts[cuts <= times[-1] + SETTLED_YEARS]
    windows = np.searchsorted(cuts - SETTLED_YEARS, times, side="right").astype(np.int64)
    edges, order = np.zeros((cuts.size + 1, 4), dtype=np.int64), [np.empty(0, dtype=np.int64)]
    begun = 0
    for window in np.unique(windows):
        start, end = times[windows == window][[0, -1]]
        until = expiry[expiry > start + SETTLED_YEARS].min(initial=np.inf) if window < cuts.size else end
        alive = expiry > start + SETTLED_YEARS
        inside = alive & averaged & (expiry - start < window_years + SETTLED_YEARS)
        near = alive & ~inside & (expiry <= max(end, min(until, times[-1])) + GAP_YEARS)
        far = alive & ~inside & ~near
        parts = [np.flatnonzero(far), np.flatnonzero(near), np.flatnonzero(inside)]
        parts[1] = parts[1][np.argsort(rows[LOG_STRIKE, parts[1]], kind="stable")]
        edges[window] = begun + np.cumsum([0] + [part.size for part in parts])
        begun = int(edges[window, LAST])
        order += parts
    return windows, edges, np.concatenate(order)


def _sums(rows: FloatArray, positions: FloatArray, puts: FloatArray, edges: IntArray) -> dict[str, FloatArray]:
    """Positions row by row, their sums below each near strike, and what puts take off."""
    lanes, count = positions.shape
    coins, below = np.zeros((count + PADDING, lanes)), np.zeros((count + len(edges) + PADDING, lanes))
    coins[:count] = positions.T
    far_offsets, inside_offsets, most = np.zeros((len(edges), lanes)), np.zeros((len(edges), lanes)), np.zeros((len(edges), 3))
    for window, (far, near, inside, last) in enumerate(edges.tolist()):
        far_offsets[window] = -puts[:, far:near].sum(axis=1)
        inside_offsets[window] = -puts[:, inside:last].sum(axis=1)
        sums = below[near + window : inside + window + 1]
        np.cumsum(coins[near:inside], axis=0, out=sums[1:])
        sums -= puts[:, near:inside].sum(axis=1)
        if inside > near:
            most[window] = rows[VOL, near:inside].max(), np.abs(rows[SKEW, near:inside]).max(), rows[AGES_TO, near:inside].max()
    return {"coins": coins, "below": below, "far_offsets": far_offsets, "inside_offsets": inside_offsets, "most": most}


def _grids(
    rows: FloatArray, positions: FloatArray, times: FloatArray, windows: IntArray, edges: IntArray, settings: Settings
) -> list[Grid]:
    first, last = edges[windows[0], FAR_FIRST], edges[windows[0], LAST]
    gross = np.maximum(np.abs(positions[:, first:last]).sum(axis=1), 1e-300)
    wanted = []
    for window in np.unique(windows):
        steps = np.flatnonzero(windows == window)
        far, near, inside, _ = edges[window].tolist()
        parts = {FAR: slice(far, near), NEAR: slice(near, inside)}
        for group, part in parts.items():
            if part.stop - part.start <= FEW_ROWS:
                continue
            for chosen in _bands(rows[:, part], times, steps, group):
                left = rows[AGES_TO, part] - times[chosen[0]]
                wanted.append((group, part, chosen, _vols_near_strikes(rows[:, part], np.sqrt(left))))
    # one offset for all, so that a path's u is worked out once
    offset = min((float(vols.min()) for *_, vols in wanted), default=1.0)
    grids = [
        _grid(group, part, (rows[:, part], vols, np.abs(positions[:, part]) / gross[:, None]), offset, times, chosen, settings)
        for group, part, chosen, vols in wanted
    ]
    return [grid for grid in grids if grid is not None]


def _bands(rows: FloatArray, times: FloatArray, steps: IntArray, group: int) -> list[IntArray]:
    """Steps that share a grid: the most urgent row's times left within a ratio of 4."""
    left = rows[AGES_TO].min() - times[steps]
    steps, left = (steps[left > DIRECT_YEARS], left[left > DIRECT_YEARS]) if group == NEAR else (steps, left)
    if steps.size == 0:
        return []
    depth = np.log(left.max() / left) / math.log(BAND_RATIO)
    count = max(1, math.ceil(depth.max() - 1e-9))
    band = np.minimum((depth / max(depth.max(), 1e-300) * count).astype(np.int64), count - 1)
    return [steps[band == number] for number in range(count) if np.any(band == number)]


def _grid(
    group: int,
    part: slice,
    options: tuple[FloatArray, FloatArray, FloatArray],
    offset: float,
    times: FloatArray,
    steps: IntArray,
    settings: Settings,
) -> Grid | None:
    """The steps that the tolerance allows; `options`: rows, their lowest vols near the strike, the share of gross that each lane has in them."""
    rows, vols, shares = options
    strikes, soonest = rows[LOG_STRIKE], float(rows[AGES_TO].min())
    most, least = soonest - times[steps[0]], soonest - times[steps[-1]]
    last_roots = np.sqrt(rows[AGES_TO] - soonest + least)
    fixed = settings.vol_shifts[0] == settings.vol_shifts[1]
    lowest = settings.vol_shifts[0] if fixed else max(settings.vol_shifts[0], -(1.0 - LEAST_VOL_SHARE) * offset)
    widths = np.maximum(vols + lowest, VOL_FLOOR) * last_roots
    plain_widths = np.maximum(vols, VOL_FLOOR) * last_roots
    narrow, urgent = widths <= 2.0 * widths.min(), last_roots <= math.sqrt(2.0) * last_roots.min()
    part_of = PART * settings.tolerance
    x_step = widths.min() * min(MOST_X, (part_of / X_ERROR / _crowding(strikes, plain_widths, shares, narrow)) ** (1 / 6))
    u_step = min(MOST_U, (part_of / U_ERROR / _crowding(strikes, plain_widths, shares, narrow | True)) ** (1 / 6))
    time_step = min(MOST_TIME, (part_of / TIME_ERROR / _crowding(strikes, plain_widths, shares, urgent)) ** (1 / 6))
    low, high = _reach(group, rows, vols, math.sqrt(most), times[steps[-1]], shares, settings)
    if not high > low:
        return None
    x_nodes = math.ceil((high - low) / x_step) + 1
    u_low, u_high = (0.0, 0.0) if fixed else (math.log(lowest + offset), math.log(settings.vol_shifts[1] + offset))
    u_nodes = 1 if fixed else max(2, math.ceil((u_high - u_low) / u_step) + 1)
    x_step, u_step = (high - low) / (x_nodes - 1), 0.0 if fixed else (u_high - u_low) / (u_nodes - 1)
    spans = max(1, math.ceil(math.log(most / least) / time_step))
    time_step = max(math.log(most / least) / spans, 1e-6)
    numbers = (low, 1.0 / x_step, offset, u_low, 0.0 if fixed else 1.0 / u_step, settings.vol_shifts[0])
    first = math.log(least) - 2.0 * time_step
    return Grid(group, part, numbers, x_step, u_step, x_nodes, u_nodes, first, time_step, spans + 5, steps, soonest)


def _vols_near_strikes(rows: FloatArray, roots: FloatArray) -> FloatArray:
    """Each row's lowest vol at prices where its delta still bends: within five standard deviations of the strike."""
    spread = 5.0 * rows[VOL] * roots
    ends = [np.clip(rows[LOG_STRIKE] + side * spread, -SKEW_REACH_LOG, SKEW_REACH_LOG) for side in (-1.0, 1.0)]
    lowest: FloatArray = np.maximum(rows[VOL] + np.minimum(rows[SKEW] * ends[0], rows[SKEW] * ends[1]), 2.0 * VOL_FLOOR)
    return lowest


def _crowding(strikes: FloatArray, widths: FloatArray, shares: FloatArray, counted: FloatArray) -> float:
    """The largest share of any lane's gross that bends at one price; rows that are not counted err 64 times less."""
    chosen = np.flatnonzero(counted)
    prices = strikes[chosen[:: max(1, chosen.size // 64)]]
    close = np.abs(prices[:, None] - strikes[None, chosen]) <= 1.5 * widths[None, chosen]
    crowd = float((close @ shares[:, chosen].T).max())
    return min(1.0, crowd + float(shares.sum(axis=1).max()) / 64.0)


def _reach(
    group: int, rows: FloatArray, vols: FloatArray, root: float, time: float, shares: FloatArray, settings: Settings
) -> tuple[float, float]:
    """Log prices worth a table: around the strikes for near options, and as far as the price may have come for the others."""
    far = min(settings.reach_log, SKEW_REACH_LOG if np.any(rows[SKEW] != 0.0) else settings.reach_log)
    if group == NEAR:
        room = 5.0 * float(vols.max()) * root
        return max(-far, float(rows[LOG_STRIKE].min()) - room), min(far, float(rows[LOG_STRIKE].max()) + room)
    typical = float((rows[VOL] * shares).sum() / max(shares.sum(), 1e-300))
    come = 0.15 + 8.0 * typical * math.sqrt(max(time, 0.0))
    return -min(far, come), min(far, come)


def _place_steps(number: int, grid: Grid, times: FloatArray, steps: IntArray, weights: FloatArray) -> None:
    """Each step's six times in its grid and their Lagrange weights."""
    place = (np.log(grid.ages_to - times[grid.steps]) - grid.log_left) / grid.time_step
    first = np.clip(np.floor(place).astype(np.int64) - 2, 0, grid.times - TIME_POINTS)
    at = place - first
    for point in range(TIME_POINTS):
        weight = np.ones(at.size)
        for other in range(TIME_POINTS):
            if other != point:
                weight *= (at - other) / (point - other)
        weights[grid.steps, grid.group, point] = weight
    steps[grid.steps, grid.group, 0], steps[grid.steps, grid.group, 1] = number, first


def _fill(table: Table, puts: FloatArray, grid: Grid, start: int, number: int) -> None:
    """The nodes of one grid at one of its times."""
    rows, positions = table.rows[:, grid.rows], table.positions[:, grid.rows]
    left = rows[AGES_TO] - grid.ages_to + math.exp(grid.log_left + number * grid.time_step)
    columns = np.array((rows[LOG_STRIKE], np.sqrt(left), rows[VOL], rows[SKEW]))
    held = np.hstack((positions, -puts[:, grid.rows].sum(axis=1, keepdims=True)))
    width, count = table.orders * table.lanes, grid.x_nodes * grid.u_nodes
    begun = start + number * count * width
    nodes = table.data[begun : begun + count * width].reshape(count, width)
    low, _, offset, u_low, _, shift = grid.numbers
    along = np.array((low, grid.x_step, u_low, grid.u_step, offset, shift))
    build_nodes(columns, held, along, grid.x_nodes, grid.u_nodes, table.orders, nodes)


def _aligned(count: int) -> FloatArray:
    """Zeros that begin on a cache line."""
    raw = np.zeros(count + 8)
    skipped = (-raw.ctypes.data) % 64 // 8
    return raw[skipped : skipped + count]
