"""The options of the synthetic market: expiries as Deribit lists them, strike ladders, SSVI smiles, quotes, open interest, volumes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.market.chain import Chain
from tailwag.market.instrument import CALL, CRYPTO_EXPIRY_HOUR, MONTHS, PUT
from tailwag.units import NS_PER_SECOND, NS_PER_YEAR

EXPIRY_COUNT = 12
HIGHEST_LOG_MONEYNESS = math.log(4.0)
DAYS_PER_YEAR = 365.0
DAILY_STAGE, WEEKLY_STAGE, MONTHLY_STAGE, QUARTERLY_STAGE = 2, 5, 7, 9
"""An expiry is listed 2^stage days ahead at the most."""
NARROWEST_LADDER = 0.02
"""Log width of one standard deviation below which ladders shrink no further: strikes were listed days before the last hour."""
TICK_COIN, WIDE_TICK_COIN, WIDE_TICK_ABOVE_COIN = 0.0001, 0.0005, 0.005
"""Deribit's option ticks: 0.0001 coin up to 0.005, 0.0005 above."""


@dataclass(frozen=True, slots=True)
class DemoScale:
    """How large the synthetic market of one currency is; every figure is invented, its order of magnitude is that of 2025 and 2026."""

    spot_usd: float
    strike_step_usd: float
    open_interest_coin: float
    option_volume_coin: float
    perp_volume_usd: float
    perp_depth_usd_per_pct: float
    book_tick_usd: float


SCALES = {
    "BTC": DemoScale(96_400.0, 500.0, 400_000.0, 34_000.0, 25e9, 38e6, 0.5),
    "ETH": DemoScale(3_420.0, 25.0, 2_300_000.0, 240_000.0, 17e9, 24e6, 0.05),
}


@dataclass(frozen=True, slots=True)
class Row:
    """The columns of the option rows before they are quoted.  Shapes: (n,); ``expiry_index`` points into the expiries."""

    right: IntArray
    strike_usd: FloatArray
    expiry_index: IntArray
    expiry_ns: IntArray
    years: FloatArray
    forward_usd: FloatArray
    iv: FloatArray


def listed_expiries(as_of_ns: int) -> tuple[datetime, ...]:
    """Twelve expiries: four quarterlies, three monthlies, the next Fridays, the next days, each at 08:00 UTC after ``as_of_ns``."""
    now = datetime.fromtimestamp(as_of_ns // NS_PER_SECOND, UTC)
    first = now.replace(hour=CRYPTO_EXPIRY_HOUR, minute=0, second=0, microsecond=0)
    first += timedelta(days=1) if first <= now else timedelta()
    days = [first + timedelta(days=i) for i in range(450)]
    fridays = [day for day in days if day.weekday() == 4]
    monthlies = [day for day in fridays if (day + timedelta(days=7)).month != day.month]
    chosen = set([day for day in monthlies if day.month % 3 == 0][:4]) | set(monthlies[:3])
    for wanted, candidates in ((9, fridays), (EXPIRY_COUNT, days)):
        chosen |= set([day for day in candidates if day not in chosen][: wanted - len(chosen)])
    return tuple(sorted(chosen))


def atm_vol(years: FloatArray) -> FloatArray:
    """At-the-money vol: a little event premium in the front, a dip at two weeks, rising to 55 % far out."""
    return 0.555 - 0.095 * np.exp(-years / 0.45) + 0.055 * np.exp(-years / 0.006)


def smile_vol(log_moneyness: FloatArray, years: FloatArray, skew: FloatArray) -> FloatArray:
    """Implied vol under SSVI with phi = eta / (theta^0.45 (1 + theta)^0.55), (n,).

    w(k) = theta/2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2)).  Source: Gatheral and Jacquier 2014; eta (1 + |rho|) < 2 keeps it
    free of butterfly arbitrage.
    """
    theta = atm_vol(years) ** 2 * years
    phi = 1.15 / (theta**0.45 * (1.0 + theta) ** 0.55)
    moved = phi * log_moneyness
    variance = 0.5 * theta * (1.0 + skew * moved + np.sqrt((moved + skew) ** 2 + 1.0 - skew**2))
    return np.sqrt(variance / years)


def skew_rho(years: FloatArray) -> FloatArray:
    """Puts dear in the front, calls slightly dear a year out: the usual slope of bitcoin's skew term structure."""
    return -0.30 * np.exp(-years / 0.25) - 0.05 + 0.10 * (1.0 - np.exp(-years))


Ladder = Callable[[int, float, float], FloatArray]
"""Strikes of one expiry: from its time (UTC ns), its forward, and the years to it."""


def listed_rows(
    rng: np.random.Generator, *, scale: DemoScale, spot_usd: float, expiry_ns: IntArray, as_of_ns: int, ladder: Ladder | None = None
) -> Row:
    """Every strike of every expiry, calls and puts, with forward and mark vol (rounded to 0.01 %, as the venue prints it)."""
    years = (expiry_ns - as_of_ns) / NS_PER_YEAR
    carry = 0.042 + 0.022 * (1.0 - np.exp(-years / 0.4)) + 0.002 * rng.standard_normal(years.size)
    forward_usd = np.round(spot_usd * np.exp(carry * years), 4)
    strikes_of = ladder or passing_ladder(scale)
    ladders = [strikes_of(int(at_ns), forward, t) for at_ns, forward, t in zip(expiry_ns, forward_usd, years)]
    expiry_index = np.repeat(np.arange(years.size), [2 * ladder.size for ladder in ladders])
    strike_usd = np.concatenate([np.repeat(ladder, 2) for ladder in ladders])
    right = np.tile([CALL, PUT], strike_usd.size // 2)
    log_moneyness = np.log(strike_usd / forward_usd[expiry_index])
    row_years = years[expiry_index]
    iv = smile_vol(log_moneyness, row_years, skew_rho(row_years))
    return Row(right, strike_usd, expiry_index, expiry_ns[expiry_index], row_years, forward_usd[expiry_index], np.round(iv, 4))


def passing_ladder(scale: DemoScale) -> Ladder:
    """As many strikes as the time that is left calls for: what a single moment needs."""

    def strikes(_expiry_ns: int, forward_usd: float, years: float) -> FloatArray:
        return _strikes(forward_usd, float(atm_vol(np.array(years))) * math.sqrt(years), scale.strike_step_usd)

    return strikes


def standing_ladder(scale: DemoScale, spot_usd: float) -> Ladder:
    """Strikes as a venue lists them: finer ones are added as an expiry comes near, and none that was listed leaves before it.

    Listed around spot's long-run level when 1, 2, 4, ... days are left, back to the day on which such an expiry is first listed.
    """

    def strikes(expiry_ns: int, _forward_usd: float, years: float) -> FloatArray:
        first = math.ceil(math.log2(max(years * DAYS_PER_YEAR, 1.0)) - 1e-9)
        stages: FloatArray = np.exp2(np.arange(first, max(first, _longest_stage(expiry_ns)) + 1, dtype=np.float64)) / DAYS_PER_YEAR
        vols = atm_vol(stages) * np.sqrt(stages)
        return np.unique(np.concatenate([_strikes(spot_usd, float(vol), scale.strike_step_usd) for vol in vols]))

    return strikes


def _longest_stage(expiry_ns: int) -> int:
    day = datetime.fromtimestamp(expiry_ns // NS_PER_SECOND, UTC)
    if day.weekday() != 4:
        return DAILY_STAGE
    if not _is_last_friday(day):
        return WEEKLY_STAGE
    return QUARTERLY_STAGE if day.month % 3 == 0 else MONTHLY_STAGE


def _is_last_friday(day: datetime) -> bool:
    return day.weekday() == 4 and (day + timedelta(days=7)).month != day.month


def _strikes(forward_usd: float, total_vol: float, unit_usd: float) -> FloatArray:
    total_vol = max(total_vol, NARROWEST_LADDER)
    near = _nice_step(0.13 * total_vol * forward_usd, unit_usd)
    found = set()
    for step, low, high in ((near, -0.9, 0.9), (2 * near, -1.9, 2.1), (5 * near, -3.9, 4.6)):
        first = max(math.ceil(forward_usd * math.exp(low * total_vol) / step), 1)
        last = math.floor(forward_usd * math.exp(min(high * total_vol, HIGHEST_LOG_MONEYNESS)) / step)
        found |= {step * i for i in range(first, last + 1)}
    return np.array(sorted(found), dtype=np.float64)


def _nice_step(step_usd: float, unit_usd: float) -> float:
    return unit_usd * min((1, 2, 4, 10, 20, 40), key=lambda multiple: abs(math.log(multiple * unit_usd / step_usd)))


def normal_cdf(x: FloatArray) -> FloatArray:
    """Phi(x) through the complementary error function, exact in both tails."""
    return 0.5 * np.array([math.erfc(-value / math.sqrt(2.0)) for value in x.tolist()])


def black_coin(
    right: IntArray, forward_usd: FloatArray, strike_usd: FloatArray, years: FloatArray, iv: FloatArray
) -> tuple[FloatArray, ...]:
    """Black price in coin, its delta, and vega in coin per 1.00 of vol, each (n,); price = V/F."""
    total = iv * np.sqrt(years)
    upper = np.log(forward_usd / strike_usd) / total + 0.5 * total
    density = np.exp(-0.5 * upper**2) / math.sqrt(2.0 * math.pi)
    call_share, strike_share = normal_cdf(right * upper), normal_cdf(right * (upper - total))
    price_coin = right * (call_share - strike_share * strike_usd / forward_usd)
    return np.maximum(price_coin, 0.0), right * call_share, density * np.sqrt(years), density / (forward_usd * total)


def quoted_columns(rng: np.random.Generator, rows: Row) -> dict[str, FloatArray]:
    """Mark, bid and ask in coin on the venue's ticks, and the venue's own greeks; a bid under one tick is no bid."""
    mark_coin, delta, vega_coin, gamma = black_coin(rows.right, rows.forward_usd, rows.strike_usd, rows.years, rows.iv)
    distance = np.abs(np.log(rows.strike_usd / rows.forward_usd)) / (rows.iv * np.sqrt(rows.years))
    half_vol = (0.004 + 0.0017 * distance**2 + 0.0008 / np.sqrt(rows.years)) * rng.uniform(0.6, 1.6, distance.size)
    half_coin = np.maximum(half_vol * vega_coin, 0.25 * TICK_COIN) + 0.004 * np.where(
        rows.right * np.log(rows.forward_usd / rows.strike_usd) > 0, mark_coin, 0.0
    )
    middle = mark_coin + 0.25 * half_coin * rng.standard_normal(distance.size)
    bid, ask = _on_tick(middle - half_coin, np.floor), _on_tick(middle + half_coin, np.ceil)
    pulled, unasked = rng.random(distance.size) < 0.03, rng.random(distance.size) < 0.014
    return {
        "mark_quoted": np.round(mark_coin, 8),
        "bid_quoted": np.where((bid < TICK_COIN) | pulled, np.nan, bid),
        "ask_quoted": np.where(unasked, np.nan, np.maximum(ask, TICK_COIN)),
        "delta_published": np.round(delta, 5),
        "gamma_published": np.round(gamma, 5),
        "vega_published": np.round(vega_coin * rows.forward_usd / 100.0, 5),
    }


def _on_tick(price_coin: FloatArray, rounding: np.ufunc) -> FloatArray:
    tick = np.where(price_coin > WIDE_TICK_ABOVE_COIN, WIDE_TICK_COIN, TICK_COIN)
    rounded: FloatArray = np.round(rounding(price_coin / tick) * tick, 4)
    return rounded


def held_columns(rng: np.random.Generator, rows: Row, scale: DemoScale, heavy: FloatArray) -> dict[str, FloatArray]:
    """Open interest and 24 h volume in coin: round strikes, quarterlies (``heavy``, per row) and out-of-the-money options hold most."""
    distance = rows.right * np.log(rows.strike_usd / rows.forward_usd) / (rows.iv * np.sqrt(rows.years))
    shape = np.exp(-0.5 * ((distance - 0.7) / 1.1) ** 2) * np.where(distance < -0.3, 0.35, 1.0) + 0.04
    weight = shape * _roundness(rows.strike_usd, scale.strike_step_usd) * np.where(rows.right > 0, 1.0, 1.05)
    listed = np.bincount(rows.expiry_index, weights=weight)
    held = weight / listed[rows.expiry_index] * heavy * rng.lognormal(0.0, 0.6, weight.size)
    empty = rng.random(weight.size) < np.clip(0.36 - 0.30 * shape - 0.02 * heavy, 0.0, 1.0)
    held[empty] = 0.0
    traded = (
        shape * np.exp(-rows.years / 0.15) * np.sqrt(held + 1e-9) * rng.lognormal(0.0, 1.0, weight.size) * (rng.random(weight.size) < 0.72)
    )
    return {
        "open_interest_contracts": np.round(held * (scale.open_interest_coin / held.sum()), 1),
        "volume_contracts": np.round(traded * (scale.option_volume_coin / traded.sum()), 1),
    }


def _roundness(strike_usd: FloatArray, unit_usd: float) -> FloatArray:
    def multiple(of: int) -> BoolArray:
        return np.isclose(np.mod(strike_usd, of * unit_usd), 0.0)

    return np.select([multiple(40), multiple(20), multiple(10), multiple(4)], [4.4, 3.6, 2.0, 1.1], 0.6)


def demo_chain(
    rng: np.random.Generator, *, currency: str, scale: DemoScale, spot_usd: float, as_of_ns: int, ladder: Ladder | None = None
) -> Chain:
    """The synthetic chain: about 800 options in the venue's own units and names, not yet validated."""
    expiries = listed_expiries(as_of_ns)
    expiry_ns = np.array([int(day.timestamp()) * NS_PER_SECOND for day in expiries], dtype=np.int64)
    rows = listed_rows(rng, scale=scale, spot_usd=spot_usd, expiry_ns=expiry_ns, as_of_ns=as_of_ns, ladder=ladder)
    heavy = np.array([_weight_of(day, years) for day, years in zip(expiries, (expiry_ns - as_of_ns) / NS_PER_YEAR)])
    dates = [f"{day.day}{MONTHS[day.month - 1]}{day:%y}" for day in expiries]
    own_future = [day.weekday() == 4 for day in expiries]
    size = rows.right.size
    return Chain.from_columns(
        currency=currency,
        as_of_ns=as_of_ns,
        instrument=[
            f"{currency}-{dates[e]}-{k:.0f}-{'C' if r > 0 else 'P'}" for e, k, r in zip(rows.expiry_index, rows.strike_usd, rows.right)
        ],
        venue=np.full(size, "demo", dtype=object),
        right=rows.right,
        strike_usd=rows.strike_usd,
        expiry_ns=rows.expiry_ns,
        coin_per_contract=np.ones(size),
        iv=rows.iv,
        underlying_usd=rows.forward_usd,
        underlying_name=[f"{'' if own_future[e] else 'SYN.'}{currency}-{dates[e]}" for e in rows.expiry_index],
        index_usd=np.full(size, spot_usd),
        estimated_delivery_usd=np.full(size, spot_usd),
        **quoted_columns(rng, rows),
        **held_columns(rng, rows, scale, heavy[rows.expiry_index]),
    )


def _weight_of(day: datetime, years: float) -> float:
    last_friday = _is_last_friday(day)
    if last_friday and day.month % 3 == 0:
        return 6.0 * math.exp(-1.3 * years)
    return 2.2 * math.exp(-years) if last_friday else 0.9 if day.weekday() == 4 else 0.3
