"""Reading the net-delta table for 128 paths at once, as the compiled loop steps them: the answers of `read_path`, in half the time.

Where each path stands in a grid, and with what weights it takes the nodes around it, is worked out for all paths side by side; then the nodes
are brought to this step; then they are added up. One path after another, each of these would wait for the one before.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.netdelta_lanes import (
    ALONG_U,
    ALONG_X,
    FAR,
    FIXED_SHIFT,
    GRID_SIZE,
    GRIDS,
    GROUP_SIZE,
    GROUPS,
    HOW,
    INSIDE_COUNT,
    LANES,
    LOWEST_LEVEL,
    NEAR,
    NODES,
    NOTHING,
    ORDERS,
    RAISED_BY,
    STAMP,
    SUMMED,
    TABULATED,
    U_FIRST,
    U_INVERSE,
    X_FIRST,
    X_INVERSE,
    Reader,
    Table,
    add_near_rows,
    fresh,
    hermite,
    hermite_slope,
    new_reader,
    read_rest,
)
from tailwag.kernels.netdelta_table import ALL_ORDERS, X_ORDERS
from tailwag.kernels.normal import inlined, logarithm
from tailwag.kernels.vectors import add_cell_1, add_cell_8, add_pair_1, add_pair_8, add_value_1, add_value_8, address_of

__all__ = ["PACK", "PACK_AVERAGE", "PACK_SHIFT", "PACK_WANTED", "PACK_X", "PackReader", "new_pack_reader", "read_pack"]

PACK = 128
"""Paths that are read together."""
PACK_ROWS = 25
PACK_X, PACK_SHIFT, PACK_AVERAGE, PACK_WANTED, LEVEL, MISSING, NODE, ALONG, SLOPES, ACROSS = (
    row * PACK for row in (0, 1, 2, 3, 4, 5, 6, 7, 13, 19)
)
"""Rows of `PackReader.rows`: what is asked (log price, vol shift, settlement average, 1 where a path wants an answer), and what is worked out."""

packed = njit(error_model="numpy", fastmath=False, cache=True, nogil=True)


class PackReader(NamedTuple):
    """A reader with room for 128 questions and answers.

    `rows` (rows * 128,); `found` (128 * 2 * lanes,): each path's deltas, then its slopes by ln S. A search keeps its last deltas (`before`)
    and each lane's share in the excess (`weights`, zero for a lane without a book).
    """

    reader: Reader
    rows: FloatArray
    found: FloatArray
    before: FloatArray
    weights: FloatArray


def new_pack_reader(table: Table) -> PackReader:
    """Scratch for one thread."""
    return PackReader(
        new_reader(table), np.zeros(PACK_ROWS * PACK), np.zeros(PACK * 2 * table.lanes), np.zeros(table.lanes), np.zeros(table.lanes)
    )


@packed
def read_pack(table: Table, pack: PackReader, sloped: bool) -> None:
    """Answer every path that wants it: the numbers of `read_path`; `sloped` False saves time and leaves the slopes unfinished."""
    state, q = pack.reader.state, pack.rows
    raised_by = pack.reader.numbers[RAISED_BY]
    pack.found[:] = 0.0
    for j in range(PACK):
        raised = q[PACK_SHIFT + j] + raised_by
        level = logarithm(raised if raised > 0.0 else 1.0)
        q[LEVEL + j] = level if raised > 0.0 else LOWEST_LEVEL
        q[MISSING + j] = 4.0 if state[INSIDE_COUNT] > 0 else 0.0
    for group in range(FAR, NEAR + 1):
        _read_group(pack, group, sloped)
    width = 2 * table.lanes
    for j in range(PACK):
        missing = int(q[MISSING + j])
        if missing > 0 and q[PACK_WANTED + j] > 0.0:
            out = pack.found[j * width : (j + 1) * width]
            read_rest(table, pack.reader, missing, q[PACK_X + j], q[PACK_SHIFT + j], q[PACK_AVERAGE + j], out)


@packed
def _read_group(pack: PackReader, group: int, sloped: bool) -> None:
    """Add what a group's grid says, or its sum where there is none at this step; the rest is marked as missing."""
    state, numbers, q = pack.reader.state, pack.reader.numbers, pack.rows
    how, lanes = state[GROUPS + group * GROUP_SIZE + HOW], state[LANES]
    if how == NOTHING:
        return
    if how == SUMMED and group == NEAR:
        for j in range(PACK):
            if q[PACK_WANTED + j] > 0.0:
                out = address_of(pack.found) + 16 * lanes * j
                add_near_rows(address_of(state), address_of(numbers), q[PACK_X + j], q[PACK_SHIFT + j], out)
        return
    if how == TABULATED:
        _place(state[GROUPS + group * GROUP_SIZE :], numbers[GRIDS + group * GRID_SIZE :], q, sloped, state[ORDERS] == X_ORDERS)
        _freshen(pack.reader, q, group)
        _add(pack, group, sloped)
    for j in range(PACK):
        q[MISSING + j] += 1.0 + group if how == SUMMED or q[NODE + j] < 0.0 else 0.0


@packed
def _place(state: IntArray, grid: FloatArray, q: FloatArray, sloped: bool, still: bool) -> None:
    """Each path's node (below zero outside the grid) and its weights; a path that wants no answer has a place like any other."""
    x_first, x_inverse, x_last = grid[X_FIRST], grid[X_INVERSE], float(state[ALONG_X] - 1)
    u_first, u_inverse, u_last = grid[U_FIRST], grid[U_INVERSE], float(state[ALONG_U] - 1)
    for j in range(PACK):
        place = (q[PACK_X + j] - x_first) * x_inverse
        good = 0.0 <= place < x_last
        place = place if good else 0.0
        cell = float(int(place))
        q[NODE + j] = cell if good else -1.0
        q[ALONG + j] = place - cell
    if sloped:
        for j in range(PACK):
            (
                q[SLOPES + j],
                q[SLOPES + PACK + j],
                q[SLOPES + 2 * PACK + j],
                q[SLOPES + 3 * PACK + j],
                q[SLOPES + 4 * PACK + j],
                q[SLOPES + 5 * PACK + j],
            ) = hermite_slope(q[ALONG + j], x_inverse)
    _weigh(q, ALONG)
    if still:
        for j in range(PACK):
            q[NODE + j] = q[NODE + j] if q[PACK_SHIFT + j] == grid[FIXED_SHIFT] else -1.0
        return
    for j in range(PACK):
        height = (q[LEVEL + j] - u_first) * u_inverse
        good = 0.0 <= height < u_last and q[NODE + j] >= 0.0
        height = height if good else 0.0
        row = float(int(height))
        q[NODE + j] = row * (x_last + 1.0) + q[NODE + j] if good else -1.0
        q[ACROSS + j] = height - row
    _weigh(q, ACROSS)


@inlined
def _weigh(q: FloatArray, row: int) -> None:
    """A fraction of a cell, in the first row, becomes its six weights."""
    for j in range(PACK):
        q[row + j], q[row + PACK + j], q[row + 2 * PACK + j], q[row + 3 * PACK + j], q[row + 4 * PACK + j], q[row + 5 * PACK + j] = hermite(
            q[row + j]
        )


@packed
def _freshen(reader: Reader, q: FloatArray, group: int) -> None:
    """Bring the nodes that will be read to this step."""
    state, numbers = reader.state, reader.numbers
    group_at, grid_at = address_of(state) + 8 * (GROUPS + group * GROUP_SIZE), address_of(numbers) + 8 * (GRIDS + group * GRID_SIZE)
    stamp, lanes, orders = state[STAMP], state[LANES], state[ORDERS]
    x_nodes = state[GROUPS + group * GROUP_SIZE + ALONG_X]
    for j in range(PACK):
        if q[NODE + j] >= 0.0 and q[PACK_WANTED + j] > 0.0:
            node = int(q[NODE + j])
            fresh(group_at, grid_at, stamp, lanes, orders, node)
            if orders == ALL_ORDERS:
                fresh(group_at, grid_at, stamp, lanes, orders, node + x_nodes)


@inlined
def _six(q: FloatArray, row: int, j: int) -> tuple[float, float, float, float, float, float]:
    return (
        q[row + j],
        q[row + PACK + j],
        q[row + 2 * PACK + j],
        q[row + 3 * PACK + j],
        q[row + 4 * PACK + j],
        q[row + 5 * PACK + j],
    )


@packed
def _add(pack: PackReader, group: int, sloped: bool) -> None:
    """The sums over the nodes around each path."""
    state, q, found_at = pack.reader.state, pack.rows, address_of(pack.found)
    lanes, orders, nodes_at = state[LANES], state[ORDERS], state[GROUPS + group * GROUP_SIZE + NODES]
    size, above = 8 * lanes * orders, 8 * lanes * orders * state[GROUPS + group * GROUP_SIZE + ALONG_X]
    for j in range(PACK):
        if not (q[NODE + j] >= 0.0 and q[PACK_WANTED + j] > 0.0):
            continue
        low, out, along = nodes_at + int(q[NODE + j]) * size, found_at + 16 * lanes * j, _six(q, ALONG, j)
        if orders == X_ORDERS:
            slopes = _six(q, SLOPES, j)
            if lanes == 8:
                add_pair_8(low, along, slopes, out)
            else:
                add_pair_1(low, along, slopes, out)
        elif sloped:
            if lanes == 8:
                add_cell_8(low, low + above, along, _six(q, SLOPES, j), _six(q, ACROSS, j), out)
            else:
                add_cell_1(low, low + above, along, _six(q, SLOPES, j), _six(q, ACROSS, j), out)
        elif lanes == 8:
            add_value_8(low, low + above, along, _six(q, ACROSS, j), out)
        else:
            add_value_1(low, low + above, along, _six(q, ACROSS, j), out)
