"""Black-76 against 50-digit derivatives, QuantLib, published numbers, identities and its plain twin."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailwag.errors import InputError
from tailwag.kernels.black import (
    COIN_GREEKS,
    COMMON_GREEKS,
    GREEKS,
    black_greeks,
    black_greeks_plain,
    black_price,
    coin_greeks,
    coin_greeks_plain,
    common_greeks,
)
from tailwag.kernels.black_blocks import greeks_kernel

ANSWERS = json.loads((Path(__file__).parents[1] / "answers" / "greeks.json").read_text())
SECOND = 1 / (365 * 24 * 3600)
PUBLISHED = {
    "price": 2559.74182777,
    "delta": 0.368301172826,
    "gamma": 3.37181871788e-5,
    "vega": 6484.97736973,
    "theta": -25642.6813495,
    "vanna": 0.303170247278,
    "vomma": 1754.08784508,
    "charm": -1.19878568611,
    "speed": 4.5237296664e-10,
    "zomma": -4.27538768071e-5,
    "colour": 1.69055954541e-4,
}
PUBLISHED_COIN = {"price_coin": 0.0426623637961, "net_delta": 0.325638809029, "delta": 5.42731348382e-6, "gamma": 3.81059336852e-10}

# One part in 1e10, or 1e-14 of the natural scale: near a greek's zero crossing that is the sum of its terms' sizes at that very point; out
# beyond 37 standard deviations ("dead wings", where doubles underflow) it is the greek's size one deviation from the money.
RELATIVE, OF_SCALE, DEAD = 1e-10, 1e-14, 37.0


def inputs(points: list[dict[str, Any]]) -> list[np.ndarray]:
    return [np.array([point[name] for point in points], dtype=float) for name in ("right", "forward_usd", "strike_usd", "years", "vol")]


def scales(points: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Natural size of every greek: sum of the sizes of its terms."""
    _, forward, strike, years, vol = inputs(points)
    w = vol * np.sqrt(years)
    a = np.abs(np.log(forward / strike)) / w
    far = a + w / 2
    seen = np.where(far > DEAD, 1.0, far)
    d1 = np.log(forward / strike) / w + w / 2
    n1 = np.exp(-0.5 * np.where(far > DEAD, 1.0, d1) ** 2) / math.sqrt(2 * math.pi)
    gamma, vega = n1 / (forward * w), forward * n1 * np.sqrt(years)
    zomma, ageing, vanna = gamma * (seen**2 + 1) / vol, vol / (2 * years), n1 * seen / vol
    price = np.where(far > DEAD, np.minimum(forward, strike), 0.0)
    return {
        "price": price,
        "delta": np.where(far > DEAD, 1.0, 0.0),
        "gamma": gamma,
        "vega": vega,
        "theta": ageing * vega,
        "rho": years * price,
        "vanna": vanna,
        "charm": ageing * vanna,
        "vomma": vega * seen**2 / vol,
        "speed": gamma / forward * (seen / w + 1),
        "zomma": zomma,
        "colour": ageing * zomma,
    }


def coin_scales(points: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The same in coin: each derivative of price/forward is a sum of USD terms over powers of the forward."""
    usd = scales(points)
    _, forward, strike, _, _ = inputs(points)
    share = np.minimum(1.0, strike / forward) + strike / forward
    second, third = usd["gamma"] / forward + share / forward**2, usd["speed"] / forward + usd["gamma"] / forward**2 + share / forward**3
    ageing = usd["theta"] / np.where(usd["vega"] > 0, usd["vega"], 1.0)
    vanna = usd["vanna"] / forward + usd["vega"] / forward**2
    zomma = usd["zomma"] / forward + vanna / forward
    return {
        "price_coin": usd["price"] / forward,
        "net_delta": usd["delta"] * share,
        "delta": usd["delta"] * share / forward,
        "gamma": second,
        "vega": usd["vega"] / forward,
        "theta": usd["theta"] / forward,
        "rho": usd["rho"] / forward,
        "vanna": vanna,
        "charm": ageing * vanna,
        "vomma": usd["vomma"] / forward,
        "speed": third,
        "zomma": zomma,
        "colour": ageing * zomma,
    }


def assert_within(got: np.ndarray, wanted: np.ndarray, scale: np.ndarray, name: str) -> None:
    excess = np.abs(got - wanted) - np.maximum(RELATIVE * np.abs(wanted), OF_SCALE * scale)
    worst = int(np.argmax(excess))
    assert excess[worst] <= 0.0, f"{name}: row {worst} got {got[worst]!r}, wanted {wanted[worst]!r}, scale {scale[worst]!r}"


def test_all_usd_greeks_against_fifty_digits() -> None:
    points = ANSWERS["points"]
    got, scale = black_greeks(*inputs(points)), scales(points)
    for row, name in enumerate(GREEKS):
        assert_within(got[row], np.array([point[name] for point in points]), scale[name], name)


def test_all_coin_greeks_against_fifty_digits() -> None:
    points = ANSWERS["points"]
    got, scale = coin_greeks(*inputs(points)), coin_scales(points)
    for row, name in enumerate(COIN_GREEKS):
        assert_within(got[row], np.array([point["coin"][name] for point in points]), scale[name], name)


def test_out_of_the_money_prices_and_tail_deltas_hold_thirteen_digits() -> None:
    """Far stronger than the gate: what the form without cancellation is for."""
    points = [
        p for p in ANSWERS["points"] if p["right"] * (p["forward_usd"] - p["strike_usd"]) <= 0 and p["price"] > 1e-290 * p["forward_usd"]
    ]
    got = black_greeks(*inputs(points))
    assert len(points) > 150
    for row, name in ((0, "price"), (1, "delta"), (2, "gamma"), (3, "vega")):
        wanted = np.array([point[name] for point in points])
        assert np.max(np.abs(got[row] / wanted - 1)) < 2e-12, name


def test_the_common_greeks_are_the_same_figures_bit_for_bit() -> None:
    """For every length of a block's rest, in the dead wings, at years = 0 and outside the domain, with and without a rate."""
    rows = [GREEKS.index(name) for name in COMMON_GREEKS]
    answers = inputs(ANSWERS["points"])
    for count in (1, 7, 31, 32, 33, 255, 256, 257, 640):
        chain = [np.resize(values, count) for values in answers]
        chain[3][count // 2] = 0.0
        chain[4][count // 3] = -1.0
        for rate in (0.0, 0.03):
            np.testing.assert_array_equal(common_greeks(*chain, rate), black_greeks(*chain, rate)[rows])
    assert common_greeks([], [], [], [], []).shape == (8, 0)


def test_common_greeks_against_fifty_digits() -> None:
    points = ANSWERS["points"]
    got, scale = common_greeks(*inputs(points)), scales(points)
    for row, name in enumerate(COMMON_GREEKS):
        assert_within(got[row], np.array([point[name] for point in points]), scale[name], name)


@pytest.mark.slow
def test_the_five_thousand_point_gate() -> None:
    from tools.make_greeks_answers import GATE, points, reference

    drawn = list(points(5000, seed=2026))
    wanted = [reference(point, GATE, coin=False) for point in drawn]
    got, scale = black_greeks(*inputs(drawn)), scales(drawn)
    for name in ("price", *GATE):
        assert_within(got[GREEKS.index(name)], np.array([answer[name] for answer in wanted]), scale[name], name)


def test_published_usd_greeks() -> None:
    got = dict(zip(GREEKS, black_greeks(1, 60000, 65000, 30 / 365, 0.65)[:, 0], strict=True))
    for name, value in PUBLISHED.items():
        assert got[name] == pytest.approx(value, rel=1e-10), name
    assert got["rho"] == pytest.approx(-30 / 365 * got["price"], rel=1e-14)


def test_published_coin_greeks() -> None:
    got = dict(zip(COIN_GREEKS, coin_greeks(1, 60000, 65000, 30 / 365, 0.65)[:, 0], strict=True))
    for name, value in PUBLISHED_COIN.items():
        assert got[name] == pytest.approx(value, rel=1e-10), name
    put = coin_greeks(-1, 60000, 65000, 30 / 365, 0.65)[1, 0]
    assert put == pytest.approx(-0.757694524304, rel=1e-10)


def test_quantlib_agrees() -> None:
    points = ANSWERS["quantlib"]
    got = black_greeks(*inputs(points))
    for name in ("price", "delta", "gamma", "vega"):
        wanted = np.array([point[name] for point in points])
        np.testing.assert_allclose(got[GREEKS.index(name)], wanted, rtol=1e-11, atol=1e-11 * np.max(np.abs(wanted)), err_msg=name)


def ordinary_chain(count: int = 1500) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    years, vol = rng.uniform(1 / 365, 2.0, count), rng.uniform(0.2, 1.5, count)
    strike = 60000 * np.exp(rng.uniform(-3, 3, count) * vol * np.sqrt(years))
    return [rng.choice([-1.0, 1.0], count), np.full(count, 60000.0), strike, years, vol]


def test_parity_of_compiled_and_plain() -> None:
    chain = ordinary_chain()
    for fast, plain in ((black_greeks(*chain), black_greeks_plain(*chain)), (coin_greeks(*chain), coin_greeks_plain(*chain))):
        size = np.max(np.abs(plain), axis=1, keepdims=True)
        np.testing.assert_allclose(fast / size, plain / size, rtol=1e-11, atol=2e-14)


def test_a_row_does_not_depend_on_its_neighbours_or_its_block() -> None:
    chain = ordinary_chain(777)
    whole = black_greeks(*chain)
    for row in (0, 127, 128, 255, 256, 511, 512, 767, 768, 776):
        np.testing.assert_array_equal(whole[:, row], black_greeks(*(values[row] for values in chain))[:, 0])


option = {
    "forward": st.floats(0.01, 1e6),
    "deviations": st.floats(-6, 6),
    "years": st.floats(SECOND, 5.0),
    "vol": st.floats(0.01, 10.0),
}


@given(**option)
@settings(max_examples=200, deadline=None)
def test_put_call_parity(forward: float, deviations: float, years: float, vol: float) -> None:
    log_moneyness = max(-13.0, min(13.0, deviations * vol * math.sqrt(years)))
    strike = forward * math.exp(log_moneyness)
    call, put = black_greeks([1, -1], forward, strike, years, vol).T
    largest = max(forward, strike)
    assert call[0] - put[0] == pytest.approx(forward - strike, abs=4e-16 * largest)
    assert call[1] - put[1] == pytest.approx(1.0, abs=4e-16)
    for name in ("gamma", "vega", "theta", "vanna", "charm", "vomma", "speed", "zomma", "colour"):
        assert call[GREEKS.index(name)] == put[GREEKS.index(name)], name
    coin_call, coin_put = coin_greeks([1, -1], forward, strike, years, vol).T
    assert coin_call[1] - coin_put[1] == pytest.approx(strike / forward, rel=1e-14)


@given(**option)
@settings(max_examples=200, deadline=None)
def test_reflection_and_scale(forward: float, deviations: float, years: float, vol: float) -> None:
    """A call on F struck at K is a put on K struck at F; doubling both prices doubles the price and halves gamma."""
    log_moneyness = max(-13.0, min(13.0, deviations * vol * math.sqrt(years)))
    strike = forward * math.exp(log_moneyness)
    call = black_greeks(1, forward, strike, years, vol)[:, 0]
    assert call[0] == pytest.approx(black_price(-1, strike, forward, years, vol)[0], rel=1e-12, abs=1e-290)
    double = black_greeks(1, 2 * forward, 2 * strike, years, vol)[:, 0]
    for name, power in (("price", 1), ("delta", 0), ("gamma", -1), ("vega", 1), ("speed", -2), ("vanna", 0)):
        assert double[GREEKS.index(name)] == pytest.approx(call[GREEKS.index(name)] * 2.0**power, rel=1e-12, abs=1e-280), name


LADDER = (
    *(("delta", "price", "forward", 1), ("gamma", "delta", "forward", 1), ("speed", "gamma", "forward", 1), ("vega", "price", "vol", 1)),
    *(("vanna", "delta", "vol", 1), ("vomma", "vega", "vol", 1), ("zomma", "gamma", "vol", 1), ("theta", "price", "years", -1)),
    *(("charm", "delta", "years", -1), ("colour", "gamma", "years", -1)),
)


@pytest.mark.parametrize(("greek", "of", "by", "sign"), LADDER)
@pytest.mark.parametrize("right", [1, -1])
@pytest.mark.parametrize(("strike", "years", "vol"), [(52000.0, 0.1, 0.7), (60000.0, 0.02, 0.5), (66000.0, 0.5, 1.1)])
def test_each_greek_is_the_slope_of_another(
    greek: str, of: str, by: str, sign: int, right: int, strike: float, years: float, vol: float
) -> None:
    at = {"forward": 60000.0, "years": years, "vol": vol}
    step = 1e-4 * at[by]

    def value(shift: float, rate: float) -> float:
        moved = {**at, by: at[by] + shift}
        return float(black_greeks(right, moved["forward"], strike, moved["years"], moved["vol"], rate)[GREEKS.index(of), 0])

    for rate in (0.0, 0.04):
        slope = (8 * (value(step, rate) - value(-step, rate)) - (value(2 * step, rate) - value(-2 * step, rate))) / (12 * step)
        got = black_greeks(right, at["forward"], strike, years, vol, rate)[GREEKS.index(greek), 0]
        assert got == pytest.approx(sign * slope, rel=1e-6, abs=1e-9 * abs(value(0.0, rate)) / step), rate


def test_coin_greeks_are_derivatives_of_price_over_forward() -> None:
    def coin(forward: float) -> np.ndarray:
        return coin_greeks([1, -1], forward, 65000.0, 30 / 365, 0.65, 0.03)

    step = 6.0
    slope = (8 * (coin(60000 + step) - coin(60000 - step)) - (coin(60000 + 2 * step) - coin(60000 - 2 * step))) / (12 * step)
    index = COIN_GREEKS.index
    for greek, of in (
        ("delta", "price_coin"),
        ("gamma", "delta"),
        ("speed", "gamma"),
        ("vanna", "vega"),
        ("zomma", "vanna"),
        ("charm", "theta"),
    ):
        np.testing.assert_allclose(coin(60000.0)[index(greek)], slope[index(of)], rtol=1e-7, err_msg=greek)


def test_rehedging_flow_does_not_depend_on_the_numeraire() -> None:
    """T21: N = -F * net delta USD of inverse perps, and dN/dlnF = -F^2 gamma."""
    step = 1e-5

    def hedge_usd(log_move: float) -> float:
        forward = 60000 * math.exp(log_move)
        return float(-forward * coin_greeks(1, forward, 65000, 30 / 365, 0.65)[1, 0])

    slope = (hedge_usd(step) - hedge_usd(-step)) / (2 * step)
    assert slope == pytest.approx(-(60000**2) * black_greeks(1, 60000, 65000, 30 / 365, 0.65)[2, 0], rel=1e-8)


def test_long_options_are_long_gamma_and_vega_and_short_theta() -> None:
    greeks = black_greeks(*ordinary_chain())
    for name, sign in (("gamma", 1), ("vega", 1), ("theta", -1)):
        assert np.all(sign * greeks[GREEKS.index(name)] > 0), name


@pytest.mark.parametrize(
    ("right", "strike", "price", "delta"),
    [(1, 90, 10, 1), (1, 100, 0, 0.5), (1, 110, 0, 0), (-1, 90, 0, 0), (-1, 100, 0, -0.5), (-1, 110, 10, -1)],
)
@pytest.mark.parametrize(("years", "vol"), [(0.0, 0.6), (0.5, 0.0)])
def test_limits_at_expiry_and_at_no_vol(right: int, strike: float, price: float, delta: float, years: float, vol: float) -> None:
    greeks = black_greeks(right, 100.0, strike, years, vol)[:, 0]
    assert greeks[0] == price
    assert greeks[1] == pytest.approx(delta, abs=1e-15)
    assert greeks[GREEKS.index("rho")] == -years * price
    others = [row for row, name in enumerate(GREEKS) if name not in ("price", "delta", "rho")]
    assert np.all(greeks[others] == 0.0)
    assert np.all(np.isfinite(coin_greeks(right, 100.0, strike, years, vol)))


def test_one_second_before_expiry_gamma_is_exact_and_not_clamped() -> None:
    """phi(0)/(S vol sqrt(T)), the two figures of the list of faults: 0.0448 against 7.5e-4 an hour before."""
    for seconds, figure in ((1, 0.0448), (3600, 7.5e-4)):
        years = seconds * SECOND
        exact = math.exp(-0.125 * 0.25 * years) / math.sqrt(2 * math.pi) / (1e5 * 0.5 * math.sqrt(years))
        assert black_greeks(1, 1e5, 1e5, years, 0.5)[2, 0] == pytest.approx(exact, rel=1e-13)
        assert exact == pytest.approx(figure, rel=0.01)


def test_wings_end_in_zero_without_nan() -> None:
    strikes = 60000 * np.exp(np.linspace(-13, 13, 401))
    for years, vol in itertools.product((SECOND, 1 / 365, 5.0), (0.01, 0.6, 10.0)):
        for right in (1, -1):
            assert np.all(np.isfinite(black_greeks(right, 60000.0, strikes, years, vol)))
            assert np.all(np.isfinite(coin_greeks(right, 60000.0, strikes, years, vol)))
    assert np.all(black_greeks(1, 60000.0, 1e12, 1 / 365, 0.5)[:, 0] == 0.0)


BAD = {
    "negative vol": (1, 100.0, 100.0, 0.1, -0.5),
    "vol nan": (1, 100.0, 100.0, 0.1, math.nan),
    "forward nan": (1, math.nan, 100.0, 0.1, 0.5),
    "forward zero": (1, 0.0, 100.0, 0.1, 0.5),
    "strike infinite": (1, 100.0, math.inf, 0.1, 0.5),
    "strike 1e308": (1, 100.0, 1e308, 0.1, 0.5),
    "expired": (1, 100.0, 100.0, -0.1, 0.5),
    "no right": (0, 100.0, 100.0, 0.1, 0.5),
}


@pytest.mark.parametrize("row", BAD.values(), ids=BAD.keys())
def test_a_row_outside_the_domain_is_nan_and_spoils_no_other(row: tuple[float, ...]) -> None:
    good = (1, 60000.0, 65000.0, 30 / 365, 0.65)
    columns = [np.array([a, b, a]) for a, b in zip(good, row, strict=True)]
    for function in (black_greeks, coin_greeks, common_greeks):
        greeks = function(*columns)
        assert np.all(np.isnan(greeks[:, 1]))
        np.testing.assert_array_equal(greeks[:, [0, 2]], np.repeat(function(*good), 2, axis=1))


def test_inputs_may_be_numbers_lists_or_any_array_but_must_fit() -> None:
    wanted = black_greeks([1.0, 1.0], [100.0, 100.0], [90.0, 110.0], [0.5, 0.5], [0.2, 0.2])
    np.testing.assert_array_equal(black_greeks(1, 100, [90, 110], 0.5, 0.2), wanted)
    strided = np.array([90.0, 0.0, 110.0], dtype=np.float32)[::2]
    np.testing.assert_array_equal(black_greeks(np.int64(1), np.float32(100), strided, [0.5], 0.2), wanted)
    assert black_greeks([], [], [], [], []).shape == (12, 0)
    assert black_greeks(1, 100.0, [], 0.5, 0.2).shape == (12, 0)
    with pytest.raises(InputError, match="one length"):
        black_greeks([1, 1, 1], [100.0, 100.0], 90.0, 0.5, 0.2)
    with pytest.raises(InputError, match="one-dimensional"):
        black_greeks(np.ones((2, 2)), 100.0, 90.0, 0.5, 0.2)


def test_a_rate_discounts_at_a_fixed_forward() -> None:
    plain, discounted = black_greeks(1, 60000, 65000, 0.5, 0.65)[:, 0], black_greeks(1, 60000, 65000, 0.5, 0.65, 0.05)[:, 0]
    factor = math.exp(-0.025)
    for name in ("price", "delta", "gamma", "vega", "rho", "vanna", "vomma", "speed", "zomma"):
        assert discounted[GREEKS.index(name)] == pytest.approx(factor * plain[GREEKS.index(name)], rel=1e-14), name
    step = 1e-6
    up, down = (black_price(1, 60000, 65000, 0.5, 0.65)[0] * math.exp(-(0.05 + s) * 0.5) for s in (step, -step))
    assert discounted[GREEKS.index("rho")] == pytest.approx((up - down) / (2 * step), rel=1e-8)


def test_read_only_columns_are_priced_alike_and_compiled_once() -> None:
    """A chain's own columns are read-only, a user's are not: each of the 32 mixtures would be compiled for two seconds."""
    columns = [np.array(values) for values in ([1.0, -1.0], [60e3, 61e3], [65e3, 50e3], [0.1, 0.5], [0.6, 0.7])]
    greeks: Any = common_greeks
    writable = greeks(*columns)
    for mixture in itertools.product((True, False), repeat=5):
        given = [column.copy() for column in columns]
        for column, writes in zip(given, mixture):
            column.setflags(write=writes)
        assert np.array_equal(greeks(*given), writable)
        assert [column.flags.writeable for column in given] == list(mixture)
    assert np.array_equal(greeks(1.0, *(column[:1] for column in columns[1:])), writable[:, :1])
    assert len(greeks_kernel.signatures) <= 2


def test_columns_of_other_kinds_are_made_plain() -> None:
    strided, zero_dimensional = np.array([1.0, 9.0, -1.0, 9.0])[::2], np.array(60e3)
    expected = black_greeks([1.0, -1.0], 60e3, [65e3, 50e3], 0.1, 0.6)
    assert np.array_equal(black_greeks(strided, zero_dimensional, np.array([65_000, 50_000]), 0.1, 0.6), expected)
    assert black_greeks(zero_dimensional / 60e3, 60e3, 65e3, 0.1, 0.6).shape == (len(GREEKS), 1)
