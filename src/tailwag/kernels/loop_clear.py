"""The clearing price of every path of a pack, one path after another: the compiled twin of `tailwag.sim.clearing`.

Same root: the first met from the price before trading in the direction of the net flow there. The scan takes the same strides; inside the
bracket the slope is exact where vol stands still and a chord elsewhere, so that fewer net deltas are read.
"""

from __future__ import annotations

import math

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
    inside,
    stepping,
)
from tailwag.kernels.netdelta_lanes import Table, read_at, read_rest
from tailwag.kernels.netdelta_pack import PACK_AVERAGE, PACK_SHIFT, PACK_WANTED, PACK_X, PackReader, read_pack
from tailwag.kernels.vectors import address_of

__all__ = ["ask", "clear", "look", "search"]

MOST_SEEKS = 20_200
"""Scans and refinements of the plain solver together."""
ONWARD, ALONG_SLOPE, ALONG_CHORD, NOWHERE = range(4)
"""What a search does next: read on, take the last short step along the deltas' slopes or along a chord, give up."""
Search = tuple[float, float, float, float, float, float]
"""Bracket (near, far), the price and excess before, the bracket's width before, and 1 while it scans for a change of sign."""
TOLERANCE_LOG = 2e-16
CLOSE = 1e-15
"""A last step is taken along the slope, without reading the deltas again, where what bends over it is below this."""
CHORD_LOG = 1e-12
"""Two prices this close give no slope by difference."""
MOST_NEWTON = 1e3
SAME_PRICE = 1e-13
"""Net deltas read this close by are those of the price itself."""


@stepping
def ask(beta: float, p: FloatArray, pack: PackReader, row: int, anew: bool) -> None:
    """Ask for net deltas at the log price of a row, on paths where they are not known there already."""
    q = pack.rows
    for j in range(WIDTH):
        x = p[row + j]
        known = abs(p[LOOKED + j] - x) <= SAME_PRICE and not anew
        q[PACK_X + j], q[PACK_SHIFT + j], q[PACK_AVERAGE + j] = x, p[BASE + j] + beta * (x - p[PREVIOUS + j]), p[AVERAGE + j]
        q[PACK_WANTED + j] = 0.0 if p[LIVE + j] == 0.0 or known else 1.0
        p[LOOKED + j] = x if q[PACK_WANTED + j] > 0.0 else p[LOOKED + j]


@stepping
def look(terms: FloatArray, table: Table, pack: PackReader, own: FloatArray, sloped: bool) -> None:
    """Read the net deltas of all agents where they were asked for; their slopes only if `sloped`."""
    lanes, q, found, wanted = table.lanes, pack.rows, pack.found, 0.0
    for j in range(WIDTH):
        wanted += q[PACK_WANTED + j]
    if wanted == 0.0:
        return
    read_pack(table, pack, sloped)
    for seat in range(terms.shape[0]):
        lane = int(terms[seat, LANE])
        if lane < 0:
            continue
        o = own[seat]
        for j in range(WIDTH):
            o[DELTA + j] = found[2 * lanes * j + lane] if q[PACK_WANTED + j] > 0.0 else o[DELTA + j]
        if sloped:
            for j in range(WIDTH):
                o[SLOPE + j] = found[2 * lanes * j + lanes + lane] if q[PACK_WANTED + j] > 0.0 else o[SLOPE + j]


@inside
def stride(value: float, slope: float, scale: float) -> float:
    """Length of the next scan step: Newton's where it leads outward (a hair longer, to cross the root), else twice the excess."""
    newton = abs(value) / -slope if slope < 0.0 else math.inf
    step = newton * (1.0 + 1e-9) if newton < MOST_NEWTON else 2.0 * abs(value)
    return min(step + 1e-16, scale)


@inside
def seek(search: Search, market: tuple[float, float, float, float], guess: float, value: float, fall: float) -> tuple[Search, float, int]:
    """One step towards the first root from the excess and its slope at `guess`: (search, next guess or last step, what to do).

    `market`: direction of the net flow, longest stride, bound, and 1 where vol moves with the price, so that only a chord tells the slope.
    """
    near, far, before, before_value, width, scanning = search
    direction, scale, bound, by_chord = market
    apart = guess - before
    chord = by_chord > 0.0 and abs(apart) > CHORD_LOG
    steep = (value - before_value) / apart if chord else fall
    step = -value / (steep if steep != 0.0 else -1.0)
    close = abs(step) * (abs(step) + (abs(apart) if chord else 0.0)) <= CLOSE * scale and steep < 0.0
    narrowest = scanning == 0.0 and abs(far - near) <= 4e-16 * max(abs(near), 1e-3)
    if close or abs(value) <= TOLERANCE_LOG or narrowest:
        return search, step if close else 0.0, ALONG_CHORD if chord else ALONG_SLOPE
    ahead = value * direction > 0.0
    if scanning > 0.0 and ahead:
        onward = guess + direction * stride(value, steep, scale)
        return (guess, onward, guess, value, math.inf, 1.0), onward, NOWHERE if guess * direction > bound else ONWARD
    width = abs(far - near) if scanning > 0.0 else width
    near, far = (guess, far) if ahead else (near, guess)
    narrow = abs(far - near)
    slow = narrow > 0.5 * width and abs(step) > 0.5 * narrow
    newton = guess + step
    onward = newton if min(near, far) < newton < max(near, far) and not slow else 0.5 * (near + far)
    return (near, far, guess, value, narrow, 0.0), onward, ONWARD


@inside
def excess_before(numbers: FloatArray, p: FloatArray, j: int) -> tuple[float, float, float]:
    """Impact per USD at path j's price before trading, where the orders of that price would move it, and the slope of that excess."""
    per_usd = numbers[PER_USD] + numbers[PER_COIN] / p[SPOT_PRE + j]
    per_coin = per_usd * p[SPOT_PRE + j]
    value = per_usd * p[USD + j] + per_coin * p[COIN + j]
    return per_usd, value, per_usd * p[STEEP_USD + j] + per_coin * p[STEEP_COIN + j] - 1.0


@stepping
def clear(numbers: FloatArray, p: FloatArray) -> None:
    """Put every path's clearing price into LOG, or FOUND = 0 and the bound, as if demand were straight: right unless options are hedged."""
    bound = numbers[STOP]
    for j in range(WIDTH):
        p[LOG + j] = p[PRE + j] if p[LIVE + j] > 0.0 else p[LOG + j]
        _, value, fall = excess_before(numbers, p, j)
        if value == 0.0 or p[LIVE + j] == 0.0:
            continue
        newton = abs(value) / -fall if fall < 0.0 else math.inf
        found = newton < MOST_NEWTON
        p[FOUND + j] = 1.0 if found else 0.0
        p[LOG + j] = p[PRE + j] + math.copysign(newton, value) if found else math.copysign(bound, value)


@stepping
def search(
    numbers: FloatArray, terms: FloatArray, table: Table, pack: PackReader, p: FloatArray, own: FloatArray, smooth: FloatArray
) -> None:
    """The same where somebody who trades holds options: searched; deltas are those of the clearing price afterwards.

    Excess(x) = x_pre + constant + linear x + sum over lanes of weight * net delta(x) - x.
    """
    bound, beta, lanes, seats, reader = numbers[STOP], numbers[BETA], table.lanes, terms.shape[0], pack.reader
    out, last, weights = pack.found, pack.before, pack.weights
    state_at, numbers_at, out_at = address_of(reader.state), address_of(reader.numbers), address_of(out)
    for j in range(WIDTH):
        per_usd, value, fall = excess_before(numbers, p, j)
        if value == 0.0 or p[LIVE + j] == 0.0:
            continue
        pre, per_coin = p[PRE + j], per_usd * p[SPOT_PRE + j]
        linear, scale, constant = 0.0, math.inf, value
        for seat in range(seats):
            lane, speed = int(terms[seat, LANE]), own[seat, SPEED + j] * terms[seat, SHARE]
            if lane >= 0:
                weights[lane], last[lane] = -per_coin * speed, own[seat, DELTA + j]
                constant -= weights[lane] * last[lane]
                scale = min(scale, smooth[seat]) if own[seat, SPEED + j] > 0.0 else scale
            else:
                linear -= per_usd * speed * terms[seat, GAMMA_USD]
        if scale == math.inf:
            continue
        constant += pre - linear * pre
        shift = p[BASE + j] - beta * p[PREVIOUS + j]
        direction = math.copysign(1.0, value)
        guess = pre + direction * stride(value, fall, scale)
        steps, market, verdict = (pre, guess, pre, value, math.inf, 1.0), (direction, scale, bound, abs(beta)), ONWARD
        for _ in range(MOST_SEEKS):
            missing = read_at(state_at, numbers_at, guess, shift + beta * guess, out_at, True)
            if missing > 0:
                read_rest(table, reader, missing, guess, shift + beta * guess, p[AVERAGE + j], out)
            value, fall = constant + linear * guess - guess, linear - 1.0
            for lane in range(lanes):
                value += weights[lane] * out[lane]
                fall += weights[lane] * out[lanes + lane]
            apart = guess - steps[2]
            steps, onward, verdict = seek(steps, market, guess, value, fall)
            if verdict != ONWARD:
                break
            guess = onward
            for lane in range(lanes):
                last[lane] = out[lane]
        if verdict == NOWHERE:
            p[LOG + j], p[FOUND + j] = direction * bound, 0.0
            continue
        onward = 0.0 if verdict == ONWARD else onward
        for seat in range(seats):
            lane = int(terms[seat, LANE])
            if lane >= 0:
                slope = (out[lane] - last[lane]) / apart if verdict == ALONG_CHORD else out[lanes + lane]
                own[seat, DELTA + j] = out[lane] + onward * slope
                own[seat, SLOPE + j] = out[lanes + lane]
        p[LOG + j] = p[LOOKED + j] = guess + onward
        p[FOUND + j] = 1.0
