"""The clearing price of every path of a pack, one path after another: the compiled twin of `tailwag.sim.clearing`.

Same root: the first met from the price before trading in the direction of the net flow there. The scan takes the same strides; inside the
bracket the slope is exact where vol stands still and a secant elsewhere, so that fewer net deltas are read.
"""

from __future__ import annotations

import math

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.loop_rows import (
    AMOUNT,
    AVERAGE,
    BASE,
    BETA,
    BY_COIN,
    COIN,
    DELTA,
    FOUND,
    GAMMA_USD,
    LANE,
    LIVE,
    LOG,
    LOOKED,
    OFFSET,
    OWED,
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
CLOSE_LOG, CLOSE_LOG_WITH_VOL = 1e-10, 1e-13
"""A last step this short is taken along the slope, without reading the deltas again; what bends is below 1e-15 then."""
MOST_NEWTON = 1e3
SAME_PRICE = 1e-13
"""Net deltas read this close by are those of the price itself."""


@stepping
def look(loop: Loop, table: Table, reader: Reader, block: Block, pack: int, row: int, anew: bool) -> None:
    """Read the net deltas of all agents at the log price of a row, where they are not known there already."""
    p, beta = block.path[pack], loop.numbers[BETA]
    out = np.empty(2 * table.lanes)
    for j in range(WIDTH):
        x = p[row + j]
        if p[LIVE + j] == 0.0 or (abs(p[LOOKED + j] - x) <= SAME_PRICE and not anew):
            continue
        shift = p[BASE + j] + beta * (x - p[PREVIOUS + j])
        missing = read_table(reader.state, reader.numbers, x, shift, out)
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
    """Put every path's clearing price into LOG, or FOUND = 0 and the bound; deltas are those of the clearing price afterwards."""
    p, numbers = block.path[pack], loop.numbers
    per_usd, per_coin, bound = numbers[PER_USD], numbers[PER_COIN], numbers[STOP]
    out = np.empty(2 * table.lanes)
    for j in range(WIDTH):
        spot, pre = p[SPOT_PRE + j], p[PRE + j]
        usd, coin, steep_usd, steep_coin = p[USD + j], p[COIN + j], p[STEEP_USD + j], p[STEEP_COIN + j]
        value = per_usd * (usd + coin * spot) + per_coin * (coin + usd / spot)
        fall = per_usd * (steep_usd + steep_coin * spot) + per_coin * (steep_coin + steep_usd / spot) - 1.0
        p[LOG + j] = p[PRE + j] if p[LIVE + j] > 0.0 else p[LOG + j]
        if value == 0.0 or p[LIVE + j] == 0.0:
            continue
        scale = _smooth(loop, block, pack, step, j)
        if scale == math.inf:
            newton = abs(value) / -fall if fall < 0.0 else math.inf
            found = newton < MOST_NEWTON
            p[FOUND + j] = 1.0 if found else 0.0
            p[LOG + j] = pre + math.copysign(newton, value) if found else math.copysign(bound, value)
            continue
        p[LOG + j], p[FOUND + j] = _first_root(loop, table, reader, block, (pack, j), (value, fall, scale), out)


@stepping
def _smooth(loop: Loop, block: Block, pack: int, step: int, j: int) -> float:
    """Over what log distance the deltas of those who trade are smooth; inf where no options are hedged."""
    scale = math.inf
    for seat in range(loop.terms.shape[0]):
        if block.own[seat, pack, SPEED + j] > 0.0:
            scale = min(scale, loop.smooth[seat, step])
    return scale


@stepping
def _excess(loop: Loop, block: Block, pack: int, j: int, x: float, out: FloatArray) -> tuple[float, float]:
    """x_pre + impact(flow(x)) - x and its slope, from the deltas at x."""
    p, numbers, lanes = block.path[pack], loop.numbers, out.size // 2
    usd = coin = steep_usd = steep_coin = 0.0
    for seat in range(loop.terms.shape[0]):
        o, terms = block.own[seat, pack], loop.terms[seat]
        speed, share = o[SPEED + j], terms[SHARE]
        if terms[BY_COIN] > 0.0:
            coin += o[AMOUNT + j]
            if speed > 0.0:
                lane = int(terms[LANE])
                coin += speed * (-share * out[lane] - o[OWED + j] - o[OFFSET + j])
                steep_coin -= speed * share * out[lanes + lane]
        else:
            hedged = share * terms[GAMMA_USD]
            usd += o[AMOUNT + j]
            if speed > 0.0:
                usd += speed * (-hedged * x - o[OWED + j] - o[OFFSET + j])
                steep_usd -= speed * hedged
    spot = p[SPOT_PRE + j]
    value = numbers[PER_USD] * (usd + coin * spot) + numbers[PER_COIN] * (coin + usd / spot)
    fall = numbers[PER_USD] * (steep_usd + steep_coin * spot) + numbers[PER_COIN] * (steep_coin + steep_usd / spot)
    return p[PRE + j] + value - x, fall - 1.0


@stepping
def _first_root(
    loop: Loop,
    table: Table,
    reader: Reader,
    block: Block,
    where: tuple[int, int],
    start: tuple[float, float, float],
    out: FloatArray,
) -> tuple[float, float]:
    """(log price, 1.0) of the first root, (bound, 0.0) where there is none; the path's deltas are left as they are there."""
    pack, j = where
    value, fall, scale = start
    p, beta, bound = block.path[pack], loop.numbers[BETA], loop.numbers[STOP]
    close = CLOSE_LOG if beta == 0.0 else CLOSE_LOG_WITH_VOL
    direction = math.copysign(1.0, value)
    near = last = p[PRE + j]
    last_value = value
    guess = near + direction * stride(value, fall, scale)
    far = guess
    scanning, width, rest = True, math.inf, 0.0
    for _ in range(MOST_SCANS + MOST_REFINEMENTS):
        shift = p[BASE + j] + beta * (guess - p[PREVIOUS + j])
        missing = read_table(reader.state, reader.numbers, guess, shift, out)
        if missing:
            read_rest(table, reader, missing, guess, shift, p[AVERAGE + j], out)
        value, fall = _excess(loop, block, pack, j, guess, out)
        if scanning and value * direction > 0.0:
            if abs(guess) > bound:
                return direction * bound, 0.0
            near, last, last_value = guess, guess, value
            guess = near + direction * stride(value, fall, scale)
            far = guess
            continue
        if scanning:
            scanning, width = False, abs(far - near)
        if value * direction > 0.0:
            near = guess
        else:
            far = guess
        steep = fall
        if beta != 0.0 and abs(guess - last) > 1e-12:
            steep = (value - last_value) / (guess - last)
        last, last_value = guess, value
        newton = guess - value / (steep if steep != 0.0 else -1.0)
        small = abs(value) <= TOLERANCE_LOG * max(1.0, 0.1 + abs(guess))
        short = abs(newton - guess) <= close and fall < 0.0
        narrow = abs(far - near)
        if small or short or narrow <= 4e-16 * max(abs(near), 1e-3):
            rest = newton - guess if short else 0.0
            break
        inside = min(near, far) < newton < max(near, far)
        slow = narrow > 0.5 * width and abs(newton - guess) > 0.5 * narrow
        width = narrow
        guess = newton if inside and not slow else 0.5 * (near + far)
    _keep(loop, block, pack, j, rest, out)
    p[LOOKED + j] = guess + rest
    return guess + rest, 1.0


@stepping
def _keep(loop: Loop, block: Block, pack: int, j: int, rest: float, out: FloatArray) -> None:
    """The deltas at the clearing price, `rest` away from where they were read."""
    lanes = out.size // 2
    for seat in range(loop.terms.shape[0]):
        lane = int(loop.terms[seat, LANE])
        if lane >= 0:
            block.own[seat, pack, DELTA + j] = out[lane] + out[lanes + lane] * rest
            block.own[seat, pack, SLOPE + j] = out[lanes + lane]
