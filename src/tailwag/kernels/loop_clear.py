"""The clearing price of every path of a pack, one path after another: the compiled twin of `tailwag.sim.clearing`.

Same root: the first met from the price before trading in the direction of the net flow there. The scan takes the same strides; inside the
bracket the slope is exact where vol stands still and a chord elsewhere, so that fewer net deltas are read.
"""

from __future__ import annotations

import math

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.loop_rows import (
    AVERAGE,
    BASE,
    BETA,
    COIN,
    DELTA,
    FOUND,
    GAMMA_USD,
    LANE,
    LIVE,
    LOG,
    LOOKED,
    PER_COIN,
    PER_USD,
    PRE,
    PREVIOUS,
    SHARE,
    SLOPE,
    SPEED,
    SPOT_PRE,
    STEEP_COIN,
    STEEP_USD,
    STOP,
    USD,
    WIDTH,
    Block,
    Loop,
    stepping,
)
from tailwag.kernels.netdelta_lanes import Reader, Table, read_rest, read_table

__all__ = ["clear", "look"]

MOST_SCANS = 20_000
MOST_REFINEMENTS = 200
TOLERANCE_LOG = 2e-16
CLOSE = 1e-13
"""A last step is taken along the slope, without reading the deltas again, where what bends over it is below this."""
CHORD_LOG = 1e-12
"""Two prices this close give no slope by difference."""
MOST_NEWTON = 1e3
SAME_PRICE = 1e-13
"""Net deltas read this close by are those of the price itself."""


@stepping
def look(loop: Loop, table: Table, reader: Reader, block: Block, pack: int, row: int, anew: bool, sloped: bool) -> None:
    """Read the net deltas of all agents at the log price of a row, where they are not known there already; their slopes only if `sloped`."""
    p, beta = block.path[pack], loop.numbers[BETA]
    out = np.empty(2 * table.lanes)
    for j in range(WIDTH):
        x = p[row + j]
        if p[LIVE + j] == 0.0 or (abs(p[LOOKED + j] - x) <= SAME_PRICE and not anew):
            continue
        shift = p[BASE + j] + beta * (x - p[PREVIOUS + j])
        if sloped:
            missing = read_table(reader.state, reader.numbers, x, shift, out, True)
        else:
            missing = read_table(reader.state, reader.numbers, x, shift, out, False)
        if missing:
            read_rest(table, reader, missing, x, shift, p[AVERAGE + j], out)
        p[LOOKED + j] = x
        for seat in range(loop.terms.shape[0]):
            lane = int(loop.terms[seat, LANE])
            if lane >= 0:
                block.own[seat, pack, DELTA + j] = out[lane]
                block.own[seat, pack, SLOPE + j] = out[table.lanes + lane]


@stepping
def stride(value: float, slope: float, scale: float) -> float:
    """Length of the next scan step: Newton's where it leads outward (a hair longer, to cross the root), else twice the excess."""
    newton = abs(value) / -slope if slope < 0.0 else math.inf
    step = newton * (1.0 + 1e-9) if newton < MOST_NEWTON else 2.0 * abs(value)
    return min(step + 1e-16, scale)


@stepping
def clear(loop: Loop, table: Table, reader: Reader, block: Block, pack: int, step: int) -> None:
    """Put every path's clearing price into LOG, or FOUND = 0 and the bound; deltas are those of the clearing price afterwards.

    Excess(x) = x_pre + constant + linear x + sum over lanes of weight * net delta(x) - x.
    """
    p, numbers = block.path[pack], loop.numbers
    bound, beta = numbers[STOP], numbers[BETA]
    out, last, weights = np.empty(2 * table.lanes), np.empty(table.lanes), np.empty(table.lanes)
    for j in range(WIDTH):
        pre, spot = p[PRE + j], p[SPOT_PRE + j]
        per_usd = numbers[PER_USD] + numbers[PER_COIN] / spot
        per_coin = per_usd * spot
        value = per_usd * p[USD + j] + per_coin * p[COIN + j]
        fall = per_usd * p[STEEP_USD + j] + per_coin * p[STEEP_COIN + j] - 1.0
        p[LOG + j] = pre if p[LIVE + j] > 0.0 else p[LOG + j]
        if value == 0.0 or p[LIVE + j] == 0.0:
            continue
        linear, scale = _weigh(loop, block, pack, step, j, per_coin, weights)
        linear *= per_usd
        if scale == math.inf:
            newton = abs(value) / -fall if fall < 0.0 else math.inf
            found = newton < MOST_NEWTON
            p[FOUND + j] = 1.0 if found else 0.0
            p[LOG + j] = pre + math.copysign(newton, value) if found else math.copysign(bound, value)
            continue
        constant = value - linear * pre
        for seat in range(loop.terms.shape[0]):
            lane = int(loop.terms[seat, LANE])
            if lane >= 0:
                last[lane] = block.own[seat, pack, DELTA + j]
                constant -= weights[lane] * last[lane]
        place = (pre, p[BASE + j] - beta * p[PREVIOUS + j], beta, p[AVERAGE + j])
        x, found = first_root(table, reader, place, (constant, linear), weights, (value, fall, scale, bound), out, last)
        p[LOG + j] = p[LOOKED + j] = x
        p[FOUND + j] = 1.0 if found else 0.0
        for seat in range(loop.terms.shape[0]):
            lane = int(loop.terms[seat, LANE])
            if lane >= 0:
                block.own[seat, pack, DELTA + j] = out[lane]
                block.own[seat, pack, SLOPE + j] = out[table.lanes + lane]


@stepping
def _weigh(loop: Loop, block: Block, pack: int, step: int, j: int, per_coin: float, weights: FloatArray) -> tuple[float, float]:
    """USD bought per unit of log price by those who trade a constant gamma, over what distance the others' deltas are smooth, and their weights."""
    linear, scale = 0.0, math.inf
    for seat in range(loop.terms.shape[0]):
        lane, speed, share = int(loop.terms[seat, LANE]), block.own[seat, pack, SPEED + j], loop.terms[seat, SHARE]
        if lane >= 0:
            weights[lane] = -per_coin * speed * share
            scale = min(scale, loop.smooth[seat, step]) if speed > 0.0 else scale
        else:
            linear -= speed * share * loop.terms[seat, GAMMA_USD]
    return linear, scale


@stepping
def first_root(
    table: Table,
    reader: Reader,
    place: tuple[float, float, float, float],
    rest: tuple[float, float],
    weights: FloatArray,
    start: tuple[float, float, float, float],
    out: FloatArray,
    last: FloatArray,
) -> tuple[float, bool]:
    """(clearing log price, found); `out` becomes the deltas there and their slopes.

    `place`: price before trading, vol shift at log price 0, vol per log move, settlement average; `rest`: constant and linear part of the excess;
    `start`: excess and slope before trading, the longest stride, the bound; `last`: deltas before trading, used as scratch.
    """
    pre, shift, beta, average = place
    value, fall, scale, bound = start
    lanes, direction = last.size, math.copysign(1.0, value)
    near = before = pre
    before_value, scanning, width = value, True, math.inf
    guess = far = near + direction * stride(value, fall, scale)
    for _ in range(MOST_SCANS + MOST_REFINEMENTS):
        missing = read_table(reader.state, reader.numbers, guess, shift + beta * guess, out, True)
        if missing:
            read_rest(table, reader, missing, guess, shift + beta * guess, average, out)
        value, fall = pre + rest[0] + rest[1] * guess - guess, rest[1] - 1.0
        for lane in range(lanes):
            value += weights[lane] * out[lane]
            fall += weights[lane] * out[lanes + lane]
        ahead = value * direction > 0.0
        if scanning and ahead:
            if abs(guess) > bound:
                return direction * bound, False
            near, before, before_value = guess, guess, value
            last[:] = out[:lanes]
            guess = far = near + direction * stride(value, fall, scale)
            continue
        width = abs(far - near) if scanning else width
        scanning = False
        near, far = (guess, far) if ahead else (near, guess)
        apart = guess - before
        chord = beta != 0.0 and abs(apart) > CHORD_LOG
        steep = (value - before_value) / apart if chord else fall
        newton = guess - value / (steep if steep != 0.0 else -1.0)
        step, narrow = newton - guess, abs(far - near)
        close = abs(step) * (abs(step) + (abs(apart) if chord else 0.0)) <= CLOSE * scale and steep < 0.0
        if abs(value) <= TOLERANCE_LOG or close or narrow <= 4e-16 * max(abs(near), 1e-3):
            step = step if close else 0.0
            for lane in range(lanes):
                out[lane] += step * ((out[lane] - last[lane]) / apart if chord else out[lanes + lane])
            return guess + step, True
        slow = narrow > 0.5 * width and abs(step) > 0.5 * narrow
        width, before, before_value = narrow, guess, value
        last[:] = out[:lanes]
        guess = newton if min(near, far) < newton < max(near, far) and not slow else 0.5 * (near + far)
    return guess, True
