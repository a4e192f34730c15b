"""Implied vol: to the last digits where a price holds them, a reason where it does not, and never silence."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailwag.kernels import implied
from tailwag.kernels.black import black_greeks, black_price
from tailwag.kernels.black_plain import black_price_plain
from tailwag.kernels.implied import IV_STATUS, OK, UNRESOLVABLE, implied_vol

ANSWERS = json.loads((Path(__file__).parents[1] / "answers" / "implied.json").read_text())
SECOND = 1 / (365 * 24 * 3600)


def answers(part: str) -> tuple[np.ndarray, list[np.ndarray]]:
    rows = ANSWERS[part]
    order = ("price_usd", "right", "forward_usd", "strike_usd", "years")
    return np.array([row["iv"] for row in rows]), [np.array([row[name] for row in rows], dtype=float) for name in order]


def status_of(*row: float) -> str:
    iv, status = implied_vol(*row)
    assert math.isnan(iv[0]) == (status[0] != OK)
    return IV_STATUS[status[0]]


def test_out_of_the_money_to_eight_deviations_against_fifty_digits() -> None:
    wanted, rows = answers("out_of_the_money")
    iv, status = implied_vol(*rows)
    assert np.all(status == OK)
    assert np.max(np.abs(iv / wanted - 1)) < 1e-14


def test_in_the_money_against_fifty_digits() -> None:
    """The vol of that very double is known to fifty digits; what is called resolvable must be right to nine of them."""
    wanted, rows = answers("in_the_money")
    iv, status = implied_vol(*rows)
    assert set(status) <= {OK, UNRESOLVABLE}
    resolved = status == OK
    assert resolved.mean() > 0.5
    assert np.max(np.abs(iv[resolved] / wanted[resolved] - 1)) < 1e-9


def far_points(count: int, seed: int) -> tuple[np.ndarray, ...]:
    """Total vol 1e-5 to 14, out to 37 deviations, one second to five years."""
    rng = np.random.default_rng(seed)
    total = np.exp(rng.uniform(math.log(1e-5), math.log(14.0), count))
    deviations = np.where(rng.random(count) < 0.5, rng.uniform(0, 37, count), rng.uniform(0, 2, count))
    deviations = np.where(total * deviations < 100, deviations, 0.0)
    years = np.exp(rng.uniform(math.log(SECOND), math.log(5.0), count))
    strike = 60000 * np.exp(rng.choice([-1, 1], count) * total * deviations)
    return np.where(strike >= 60000, 1.0, -1.0), strike, years, total / np.sqrt(years)


def test_round_trip_out_of_the_money_over_the_whole_domain() -> None:
    out, strike, years, vol = far_points(20_000, seed=9)
    price = black_price(out, 60000.0, strike, years, vol)
    iv, status = implied_vol(price, out, 60000.0, strike, years)
    total = vol * np.sqrt(years)
    held = (price > 1e-300) & (total < 5)
    assert np.all(status[held] == OK)
    assert np.max(np.abs(iv[held] / vol[held] - 1)) < 1e-12
    assert np.max(np.abs(iv[status == OK] / vol[status == OK] - 1)) < 1e-9  # close to the bound the price itself holds fewer digits
    assert np.all(status[total < 10] != implied.ABOVE_CAP)


def test_round_trip_in_the_money_or_said_to_be_unresolvable() -> None:
    out, strike, years, vol = far_points(20_000, seed=10)
    price = black_price(-out, 60000.0, strike, years, vol)
    iv, status = implied_vol(price, -out, 60000.0, strike, years)
    resolved = status == OK
    assert set(status) <= {OK, UNRESOLVABLE}
    assert 0.3 < resolved.mean() < 0.9
    assert np.max(np.abs(iv[resolved] / vol[resolved] - 1)) < 1e-9
    repriced = black_price(-out[resolved], 60000.0, strike[resolved], years[resolved], iv[resolved])
    assert np.max(np.abs(repriced - price[resolved]) / np.maximum(60000.0, strike[resolved])) < 1e-13


def test_unresolvable_is_said_only_where_nine_digits_are_not_there() -> None:
    """The price's own rounding, over vega: the vol's error is larger than 1e-9 of it just where we say so (within a factor 4)."""
    out, strike, years, vol = far_points(20_000, seed=11)
    price, vega = black_greeks(-out, 60000.0, strike, years, vol)[[0, 3]]
    error = 2.0**-52 * price / np.maximum(vega * vol, 1e-300)
    status = implied_vol(price, -out, 60000.0, strike, years)[1]
    assert np.all(status[error < 0.25e-9] == OK)
    assert np.all(status[error > 4e-9] == UNRESOLVABLE)


def test_prices_of_the_textbook_formula_give_the_same_vol() -> None:
    rng = np.random.default_rng(12)
    years, vol = rng.uniform(0.01, 2, 500), rng.uniform(0.2, 1.5, 500)
    strike = 60000 * np.exp(rng.uniform(-1, 1, 500) * vol * np.sqrt(years))
    right = rng.choice([-1.0, 1.0], 500)
    iv, status = implied_vol(black_price_plain(right, 60000.0, strike, years, vol), right, 60000.0, strike, years)
    assert np.all(status == OK)
    np.testing.assert_allclose(iv, vol, rtol=1e-11)


@given(st.floats(-8.0, 8.0), st.floats(0.05, 3.0), st.floats(1 / 365, 2.0))
@settings(max_examples=200, deadline=None)
def test_a_call_and_the_put_of_its_strike_imply_one_vol(deviations: float, vol: float, years: float) -> None:
    ratio = math.exp(deviations * vol * math.sqrt(years))
    prices = black_price([1, -1], 60000.0, 60000.0 * ratio, years, vol)
    iv, status = implied_vol(prices, [1, -1], 60000.0, 60000.0 * ratio, years)
    for value, how in zip(iv, status, strict=True):
        assert how in (OK, UNRESOLVABLE)
        assert how != OK or value == pytest.approx(vol, rel=1e-9)
    assert OK in status


CALL = (1, 60000.0, 50000.0, 0.1)
PUT = (-1, 60000.0, 70000.0, 0.1)
REASONS = {
    "call below intrinsic": (9999.99, *CALL, "below_intrinsic"),
    "put below intrinsic": (9999.0, *PUT, "below_intrinsic"),
    "negative price": (-0.01, 1, 60000.0, 70000.0, 0.1, "below_intrinsic"),
    "call above the forward": (60000.01, *CALL, "above_cap"),
    "put above the strike": (70000.01, *PUT, "above_cap"),
    "infinite price": (math.inf, *CALL, "above_cap"),
    "at intrinsic": (10000.0, *CALL, "unresolvable"),
    "a rounding below intrinsic": (math.nextafter(10000.0, 0), *CALL, "unresolvable"),
    "a rounding above intrinsic": (math.nextafter(10000.0, 1e9), *CALL, "unresolvable"),
    "at the bound": (60000.0, *CALL, "unresolvable"),
    "a rounding below the bound": (math.nextafter(60000.0, 0), *CALL, "unresolvable"),
    "no price out of the money": (0.0, 1, 60000.0, 70000.0, 0.1, "unresolvable"),
    "at expiry": (10001.0, 1, 60000.0, 50000.0, 0.0, "unresolvable"),
    "expired": (10001.0, 1, 60000.0, 50000.0, -0.1, "unresolvable"),
    "price nan": (math.nan, *CALL, "unresolvable"),
    "forward nan": (1000.0, 1, math.nan, 50000.0, 0.1, "unresolvable"),
    "forward zero": (1000.0, 1, 0.0, 50000.0, 0.1, "unresolvable"),
    "strike negative": (1000.0, 1, 60000.0, -1.0, 0.1, "unresolvable"),
    "no right": (1000.0, 2, 60000.0, 50000.0, 0.1, "unresolvable"),
    "a good one": (11000.0, *CALL, "ok"),
    "a tiny one": (1e-290, 1, 60000.0, 70000.0, 0.1, "ok"),
}


@pytest.mark.parametrize("case", REASONS.values(), ids=REASONS.keys())
def test_every_price_without_a_vol_gets_its_reason(case: tuple[float | str, ...]) -> None:
    *row, reason = case
    assert status_of(*row) == reason


def test_bad_rows_spoil_no_good_ones() -> None:
    rows = [case[:-1] for case in REASONS.values()]
    together = implied_vol(*(np.array(column, dtype=float) for column in zip(*rows, strict=True)))
    alone = [implied_vol(*row) for row in rows]
    np.testing.assert_array_equal(together[0], [iv[0] for iv, _ in alone])
    np.testing.assert_array_equal(together[1], [status[0] for _, status in alone])


def test_bisection_finds_the_same_vols_as_the_fast_steps() -> None:
    """What a price that resisted the fast steps would fall back on; none of the points above does."""
    out, strike, years, vol = far_points(200, seed=13)
    price = black_price(out, 60000.0, strike, years, vol)
    q = np.empty(9 * implied.BLOCK)
    for i in range(out.size):
        implied._prepare(q, i, price[i], out[i], 60000.0, strike[i])
    for _ in range(implied.ROUNDS):
        implied._round(q, out.size)
    held = (price > 1e-300) & (vol * np.sqrt(years) < 5)
    steps = q[implied.STEP : implied.STEP + out.size]
    fast = q[implied.GUESS : implied.GUESS + out.size]
    slow = np.array([implied._bisected(q, i) for i in range(out.size)])
    assert np.all(steps[held] < 1e-5)
    np.testing.assert_allclose(slow[held], fast[held], rtol=1e-13)
