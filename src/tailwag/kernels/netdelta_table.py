"""Nodes of the net-delta table: a book's delta with its derivatives by log price and vol shift, summed over the options once.

A node holds Taylor coefficients of D(x + h a, u + g b) in a and b up to second order each, for every lane (book): D, h D_x, h^2 D_xx/2 and
the same differentiated by u, where the vol shift is s = exp(u) - offset. Between nodes quintic Hermite polynomials in both directions
reproduce the function with an error of the sixth order. Layout of one node, contiguous: [order in u][order in x][lane].
"""

from __future__ import annotations

import math

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.netdelta import VOL_FLOOR, held, summed
from tailwag.kernels.normal import INVERSE_SQRT_2PI, exponential, inlined, near_mills_alone

__all__ = ["ALL_ORDERS", "X_ORDERS", "build_nodes", "node_terms"]

X_ORDERS = 3
"""Value, first and second derivative by log price."""
ALL_ORDERS = 9
"""The same times three in u."""
BLOCK = 512
STRIKE, ROOT, VOL, SKEW = (row * BLOCK for row in range(9, 13))
ROWS = 13


@inlined
def copy_rows(q: FloatArray, rows: FloatArray, start: int, count: int) -> None:
    """Bring a block's log strikes, roots of time left, vols and skews into the flat buffer, where loops over it vectorise."""
    for i in range(count):
        q[STRIKE + i], q[ROOT + i], q[VOL + i], q[SKEW + i] = rows[0, start + i], rows[1, start + i], rows[2, start + i], rows[3, start + i]


@summed
def node_terms(q: FloatArray, count: int, x: float, shift: float, h: float, p: float, g: float) -> None:
    """Fill the first nine rows of q with the coefficients of each option's N(d1), from its last four (see `copy_rows`); p = exp(u).

    With a = (x - k)/w, xi = h/w of a unit step in x and eta = ds/vol: d1 moves by (a + xi)/(1 + e) + w/2 (1 + e) - d1, e = skew root xi +
    eta; its coefficients and those of its powers go into the expansion N(d1 + D) = N + phi (D - d1 D^2/2 + (d1^2 - 1) D^3/6 - ...).
    """
    inside = held(x)
    for i in range(count):
        root, skew = q[ROOT + i], q[SKEW + i]
        raw = q[VOL + i] + skew * inside + shift
        sigma = raw if raw > VOL_FLOOR else VOL_FLOOR
        w = sigma * root
        inverse = 1.0 / w
        a = (x - q[STRIKE + i]) * inverse
        d1, d2 = a + 0.5 * w, a - 0.5 * w
        phi = exponential(-0.5 * d1 * d1) * INVERSE_SQRT_2PI
        tail = phi * near_mills_alone(abs(d1))
        k = skew * root
        d10, d01, d20, d11, d02 = 1.0 - d2 * k, -d2, (a * k - 1.0) * k, 2.0 * a * k - 1.0, a
        d21, d12, d22 = (2.0 - 3.0 * a * k) * k, 1.0 - 3.0 * a * k, (6.0 * a * k - 3.0) * k
        second, third, fourth = -0.5 * d1, (d1 * d1 - 1.0) * (1.0 / 6.0), (3.0 - d1 * d1) * d1 * (1.0 / 24.0)
        both = d10 * d01
        f20 = d20 + second * d10 * d10
        f11 = d11 + second * 2.0 * both
        f02 = d02 + second * d01 * d01
        f21 = d21 + second * 2.0 * (d10 * d11 + d01 * d20) + third * 3.0 * d10 * both
        f12 = d12 + second * 2.0 * (d10 * d02 + d01 * d11) + third * 3.0 * d01 * both
        square = 2.0 * (d10 * d12 + d01 * d21 + d20 * d02) + d11 * d11
        cube = 3.0 * (d10 * d10 * d02 + d01 * d01 * d20) + 6.0 * both * d11
        f22 = d22 + second * square + third * cube + fourth * 6.0 * both * both
        step, turn = h * inverse, g * p / sigma
        step_phi, half = step * phi, 0.5 * g * turn
        bend = turn * turn
        q[i] = 1.0 - tail if d1 > 0.0 else tail
        q[BLOCK + i] = step_phi * d10
        q[2 * BLOCK + i] = step * step_phi * f20
        q[3 * BLOCK + i] = phi * turn * d01
        q[4 * BLOCK + i] = step_phi * turn * f11
        q[5 * BLOCK + i] = step * step_phi * turn * f21
        q[6 * BLOCK + i] = phi * (bend * f02 + half * d01)
        q[7 * BLOCK + i] = step_phi * (bend * f12 + half * f11)
        q[8 * BLOCK + i] = step * step_phi * (bend * f22 + half * f21)


@summed
def add_products(q: FloatArray, start: int, count: int, positions: FloatArray, orders: int, node: FloatArray) -> None:
    """Add sum over rows of coefficient * position to the node, for `orders` (3 or 9) coefficients and all lanes."""
    lanes = positions.shape[0]
    for lane in range(lanes):
        position = positions[lane, start : start + count]
        for order in range(0, orders, 3):
            first = second = third = 0.0
            base = order * BLOCK
            # slices, so that no index can be negative: the check for that would keep the loop from being vectorised
            value, slope, bend = (
                q[base : base + count],
                q[base + BLOCK : base + BLOCK + count],
                q[base + 2 * BLOCK : base + 2 * BLOCK + count],
            )
            for i in range(count):
                first += value[i] * position[i]
                second += slope[i] * position[i]
                third += bend[i] * position[i]
            node[order * lanes + lane] += first
            node[(order + 1) * lanes + lane] += second
            node[(order + 2) * lanes + lane] += third


@summed
def build_nodes(
    rows: FloatArray, positions: FloatArray, grid: FloatArray, x_nodes: int, u_nodes: int, orders: int, nodes: FloatArray
) -> None:
    """Fill the nodes (u_nodes * x_nodes, orders * lanes) of one time: u outer, x inner.

    `rows` (4, m), `positions` (lanes, m + 1) as for the direct sums; `grid`: first x, step in x, first u, step in u, offset, and the vol shift where it
    stands still (a step in u of 0, and `orders` 3).
    """
    lanes, count = positions.shape[0], rows.shape[1]
    q = np.zeros(ROWS * BLOCK)
    for v in range(u_nodes):
        moves = grid[3] > 0.0
        p = math.exp(grid[2] + v * grid[3]) if moves else 0.0
        shift = p - grid[4] if moves else grid[5]
        for j in range(x_nodes):
            node = nodes[v * x_nodes + j]
            x = grid[0] + j * grid[1]
            node[:] = 0.0
            for lane in range(lanes):
                node[lane] = positions[lane, count]
            for start in range(0, count, BLOCK):
                size = min(BLOCK, count - start)
                if count > BLOCK or (v == 0 and j == 0):
                    copy_rows(q, rows, start, size)
                node_terms(q, size, x, shift, grid[1], p, grid[3])
                add_products(q, start, size, positions, orders, node)
