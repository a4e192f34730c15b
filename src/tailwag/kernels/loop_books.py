"""Passes of the compiled loop once the market has cleared: stops, fills, accounts, vol, and the orders of those who are late."""

from __future__ import annotations

import math

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.loop_orders import add_flying, decide
from tailwag.kernels.loop_rows import (
    AMOUNT,
    AVERAGE,
    BASE,
    BETA,
    BOUGHT,
    BY_COIN,
    CARRIED,
    CARRY,
    CASH,
    COIN,
    DELAY,
    DELTA,
    DEPTH_EXHAUSTED,
    DUST_SHARE,
    DUST_USD,
    EXECUTION,
    FILLED,
    FINISHED,
    FOUND,
    FUNDING,
    FUNDING_RATE,
    GAMMA,
    GAMMA_USD,
    GAP_SQUARED,
    HALTED,
    HELD,
    IV,
    LIMIT,
    LIVE,
    LOG,
    MIDDLE,
    NEVER,
    OFFSET,
    OPTION,
    OUTCOME,
    OWED,
    PATH_ROWS,
    PEAK,
    PER_COIN,
    PER_USD,
    POLICY,
    PRE,
    PREVIOUS,
    RUNAWAY,
    SHARE,
    SHIFT,
    SLICES,
    SLOPE,
    SLOTS,
    SPEED,
    SPOT,
    SPOT_BEFORE,
    SPOT_PRE,
    SPOT_START,
    STOP,
    STOPPED,
    TRADES,
    TRADING,
    TURNOVER,
    USD,
    WIDTH,
    stepping,
)
from tailwag.kernels.normal import exponential

__all__ = ["absorb", "account", "add_gap", "damp", "finish", "halt", "order", "settle_prices", "submit"]


@stepping
def order(terms: FloatArray, p: FloatArray, o: FloatArray) -> None:
    """A same-step agent's purchase at the clearing price, on top of what arrived."""
    share, hedged = terms[SHARE], terms[SHARE] * terms[GAMMA_USD]
    by_coin = terms[BY_COIN] > 0.0
    for j in range(WIDTH):
        target = -share * o[DELTA + j] if by_coin else -hedged * p[LOG + j]
        o[AMOUNT + j] += o[SPEED + j] * (target - o[OWED + j] - o[OFFSET + j])


@stepping
def finish(numbers: FloatArray, terms: FloatArray, p: FloatArray, own: FloatArray, step: int) -> None:
    """The cleared price from everybody's fills, and which paths stop here: their fills of this step are void."""
    for j in range(WIDTH):
        p[USD + j] = p[COIN + j] = 0.0
    for seat in range(terms.shape[0]):
        o, row = own[seat], COIN if terms[seat, BY_COIN] > 0.0 else USD
        for j in range(WIDTH):
            p[row + j] += o[AMOUNT + j]
    per_usd, per_coin, stop, limit = numbers[PER_USD], numbers[PER_COIN], numbers[STOP], numbers[LIMIT]
    spot_start, beta = numbers[SPOT_START], numbers[BETA]
    for j in range(WIDTH):
        usd, coin, spot = p[USD + j], p[COIN + j], p[SPOT_PRE + j]
        live, found = p[LIVE + j] > 0.0, p[FOUND + j] > 0.0
        total = usd + coin * spot
        moved = per_usd * total + per_coin * (coin + usd / spot)
        x = (p[PRE + j] + moved if live else p[PRE + j]) if found else p[LOG + j]
        outcome = DEPTH_EXHAUSTED if abs(total) > limit else FINISHED
        lost = not (found and abs(x) <= stop)
        outcome = (RUNAWAY if lost else outcome) if live else FINISHED
        x = math.copysign(stop, x) if outcome == RUNAWAY else x
        x = p[PRE + j] if outcome == DEPTH_EXHAUSTED else x
        stands = live and outcome == FINISHED
        p[TRADING + j] = 1.0 if stands else 0.0
        p[OUTCOME + j] = outcome if live and not stands else p[OUTCOME + j]
        p[STOPPED + j] = float(step) if live and not stands else p[STOPPED + j]
        p[LOG + j] = x
        p[SHIFT + j] = p[BASE + j] + beta * (x - p[PREVIOUS + j]) if live else p[SHIFT + j]
        p[SPOT + j] = spot_start * exponential(x)
        p[MIDDLE + j] = 0.5 * (spot + p[SPOT + j])
        p[USD + j] = total if stands else 0.0


@stepping
def absorb(passing: FloatArray, p: FloatArray) -> None:
    """Passing impact takes the flow."""
    for term in range(passing.shape[1]):
        first, per_usd, per_coin = (PATH_ROWS + term) * WIDTH, passing[0, term], passing[1, term]
        pressure = p[first : first + WIDTH]
        for j in range(WIDTH):
            pressure[j] += per_usd * p[USD + j] + per_coin * (p[USD + j] / p[SPOT_PRE + j])


@stepping
def settle_prices(p: FloatArray, count: int) -> None:
    """The running mean of the settlement window that already holds `count` prices; the last price where none is open (-1)."""
    for j in range(WIDTH):
        p[AVERAGE + j] = (p[AVERAGE + j] * count + p[SPOT + j]) / (count + 1) if count >= 0 else p[SPOT + j]


@stepping
def account(terms: FloatArray, p: FloatArray, o: FloatArray, years: float) -> None:
    """One agent's step of so many years in the books: fills, the position carried, what its options' delta earned."""
    by_coin, gamma = terms[BY_COIN] > 0.0, terms[GAMMA_USD]
    decay, rate = terms[IV] * terms[IV] * years, terms[FUNDING_RATE] * years
    for j in range(WIDTH):
        amount = o[AMOUNT + j] if p[TRADING + j] > 0.0 else 0.0
        middle, spot = p[MIDDLE + j], p[SPOT + j]
        coin = amount if by_coin else amount / middle
        usd = amount * p[SPOT_PRE + j] if by_coin else amount
        o[FILLED + j] = usd
        o[FUNDING + j] += rate * o[HELD + j] * p[SPOT_BEFORE + j] if p[LIVE + j] > 0.0 else 0.0
        o[CARRY + j] += o[HELD + j] * (spot - p[SPOT_BEFORE + j])
        o[EXECUTION + j] += coin * (spot - middle)
        o[HELD + j] += coin
        o[BOUGHT + j] += usd
        o[CASH + j] -= coin * middle
        o[TURNOVER + j] += abs(coin * middle)
        size = abs(o[HELD + j]) * spot
        o[PEAK + j] = size if size > o[PEAK + j] else o[PEAK + j]
        o[TRADES + j] += 1.0 if abs(coin * middle) > DUST_USD + DUST_SHARE * o[PEAK + j] else 0.0
    if by_coin:
        for j in range(WIDTH):
            o[OPTION + j] += o[CARRIED + j] * (p[SPOT + j] - p[SPOT_BEFORE + j])
    else:
        for j in range(WIDTH):
            moved = p[LOG + j] - p[PREVIOUS + j]
            o[CARRY + j] += o[CARRIED + j] * (p[SPOT + j] - p[SPOT_BEFORE + j])
            o[OPTION + j] += 0.5 * gamma * (moved * moved - decay) if p[LIVE + j] > 0.0 else 0.0
            o[CARRIED + j] += gamma * moved / p[MIDDLE + j]


@stepping
def add_gap(terms: FloatArray, p: FloatArray, o: FloatArray, years: float) -> None:
    """Hedge still to be bought, squared and summed over time; the delta that the options carry into the next step."""
    share, hedged = terms[SHARE], terms[SHARE] * terms[GAMMA_USD]
    if terms[BY_COIN] > 0.0:
        for j in range(WIDTH):
            gap = (-share * o[DELTA + j] - o[HELD + j]) * p[SPOT + j]
            o[GAP_SQUARED + j] += gap * gap * years if p[LIVE + j] > 0.0 else 0.0
            o[CARRIED + j] = o[DELTA + j]
    else:
        for j in range(WIDTH):
            gap = -hedged * p[LOG + j] - o[BOUGHT + j]
            o[GAP_SQUARED + j] += gap * gap * years if p[LIVE + j] > 0.0 else 0.0


@stepping
def halt(limit: float, p: FloatArray, step: int) -> None:
    """Paths that stopped no longer live; a circuit breaker stops those that moved too far, whose trades stand."""
    for j in range(WIDTH):
        halted = p[TRADING + j] > 0.0 and abs(p[LOG + j]) > limit
        p[OUTCOME + j] = HALTED if halted else p[OUTCOME + j]
        p[STOPPED + j] = float(step) if halted else p[STOPPED + j]
        p[LIVE + j] = 0.0 if halted or p[TRADING + j] == 0.0 else 1.0


@stepping
def submit(terms: FloatArray, p: FloatArray, o: FloatArray, ring: FloatArray, weights: FloatArray, step: int, damped: bool) -> None:
    """A late agent sees the cleared price and sends the orders that will arrive, in slices of `weights`."""
    slots, delay = int(terms[SLOTS]), int(terms[DELAY])
    add_flying(o, ring, slots, step)
    decide(terms, p, o)
    share, hedged, by_coin = terms[SHARE], terms[SHARE] * terms[GAMMA_USD], terms[BY_COIN] > 0.0
    for j in range(WIDTH):
        target = -share * o[DELTA + j] if by_coin else -hedged * p[LOG + j]
        o[AMOUNT + j] = o[SPEED + j] * (target - o[OWED + j] - o[OFFSET + j])
    if damped:
        for j in range(WIDTH):
            o[AMOUNT + j] *= p[GAMMA + j]
    for part in range(int(terms[SLICES])):
        due, weight = ring[(step + delay + part) % slots], weights[part]
        for j in range(WIDTH):
            due[j] += weight * o[AMOUNT + j]


@stepping
def damp(numbers: FloatArray, terms: FloatArray, p: FloatArray, own: FloatArray, step: int) -> None:
    """Everybody's speed 1/(1 - g) into GAMMA; where the gain has reached 1 there is no price."""
    for j in range(WIDTH):
        p[GAMMA + j] = 0.0
    for seat in range(terms.shape[0]):
        o = own[seat]
        if terms[seat, POLICY] == NEVER:
            continue
        share, hedged, by_coin = terms[seat, SHARE], terms[seat, SHARE] * terms[seat, GAMMA_USD], terms[seat, BY_COIN] > 0.0
        for j in range(WIDTH):
            p[GAMMA + j] += share * o[SLOPE + j] * p[SPOT + j] if by_coin else hedged
    per_usd, per_coin = numbers[PER_USD], numbers[PER_COIN]
    for j in range(WIDTH):
        gain = -(per_usd + per_coin / p[SPOT + j]) * p[GAMMA + j]
        folded = p[LIVE + j] > 0.0 and gain >= 1.0
        p[GAMMA + j] = 1.0 if folded else 1.0 / (1.0 - gain)
        p[OUTCOME + j] = RUNAWAY if folded else p[OUTCOME + j]
        p[STOPPED + j] = float(step) if folded else p[STOPPED + j]
        p[LIVE + j] = 0.0 if folded else p[LIVE + j]
