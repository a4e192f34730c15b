"""``tailwag greeks`` and ``tailwag iv`` against 40-digit differentiation, at parameters that are printed nowhere, and at the edges."""

from __future__ import annotations

import math
import random

import mpmath as mp
import pytest
from tests.cli.command import refused, tailwag

mp.mp.dps = 40
ORDERS = {  # derivative in (forward, vol, years), and its sign in calendar time
    "price_usd": ((0, 0, 0), 1),
    "delta": ((1, 0, 0), 1),
    "gamma": ((2, 0, 0), 1),
    "vega": ((0, 1, 0), 1),
    "theta": ((0, 0, 1), -1),
    "vanna": ((1, 1, 0), 1),
    "charm": ((1, 0, 1), -1),
    "vomma": ((0, 2, 0), 1),
    "speed": ((3, 0, 0), 1),
    "zomma": ((2, 1, 0), 1),
    "colour": ((2, 0, 1), -1),
}


def price(right: int, forward: mp.mpf, strike: mp.mpf, vol: mp.mpf, years: mp.mpf, rate: mp.mpf) -> mp.mpf:
    """Black's price by the normal distribution alone."""
    root = vol * mp.sqrt(years)
    d1 = mp.log(forward / strike) / root + root / 2
    return mp.exp(-rate * years) * right * (forward * mp.ncdf(right * d1) - strike * mp.ncdf(right * (d1 - root)))


def words(forward: float, strike: float, years: float, right: str, rate: float) -> list[str]:
    return ["--forward-usd", repr(forward), "--strike-usd", repr(strike), "--years", repr(years), "--right", right, "--rate", repr(rate)]


def draws(seed: int) -> tuple[float, float, float, float, str, float]:
    rng = random.Random(seed)
    forward, years, vol = rng.uniform(20, 150_000), rng.uniform(0.002, 2.0), rng.uniform(0.1, 1.6)
    strike = forward * math.exp(rng.uniform(-1.5, 1.5) * vol * math.sqrt(years))
    return forward, strike, vol, years, rng.choice(["call", "put"]), rng.choice([0.0, 0.07, -0.03])


@pytest.mark.parametrize("seed", range(6))
def test_every_greek_in_usd_and_in_coin(seed):
    forward, strike, vol, years, right, rate = draws(seed)
    document = tailwag("greeks", *words(forward, strike, years, right, rate), "--iv", repr(vol), "--json", "-").document
    side = 1 if right == "call" else -1
    point = tuple(map(mp.mpf, (forward, vol, years)))
    exact_strike, exact_rate = mp.mpf(strike), mp.mpf(rate)

    def usd(f: mp.mpf, v: mp.mpf, t: mp.mpf) -> mp.mpf:
        return price(side, f, exact_strike, v, t, exact_rate)

    def coin(f: mp.mpf, v: mp.mpf, t: mp.mpf) -> mp.mpf:
        return usd(f, v, t) / f

    for name, (orders, sign) in ORDERS.items():
        wanted = sign * (usd(*point) if not any(orders) else mp.diff(usd, point, orders))
        assert document[name] == pytest.approx(float(wanted), rel=1e-9, abs=1e-300), name
        in_coin = sign * (coin(*point) if not any(orders) else mp.diff(coin, point, orders))
        shown = document["coin"]["price_coin" if name == "price_usd" else name]
        assert shown == pytest.approx(float(in_coin), rel=1e-8), name
    assert document["rho"] == pytest.approx(-years * document["price_usd"], rel=1e-12)
    assert document["coin"]["rho"] == pytest.approx(-years * document["coin"]["price_coin"], rel=1e-12)
    assert document["coin"]["net_delta"] == pytest.approx(document["delta"] - document["coin"]["price_coin"], rel=1e-9)


@pytest.mark.parametrize("seed", range(6, 12))
def test_a_price_gives_its_vol_back_in_either_unit(seed):
    forward, strike, vol, years, right, rate = draws(seed)
    usd = price(1 if right == "call" else -1, *map(mp.mpf, (forward, strike, vol, years, rate)))
    for unit, value in (("--price-usd", float(usd)), ("--price-coin", float(usd / mp.mpf(forward)))):
        found = tailwag("iv", *words(forward, strike, years, right, rate), unit, repr(value), "--json", "-").document
        assert found == {"iv": pytest.approx(vol, rel=1e-10), "status": "ok"}


@pytest.mark.parametrize(
    ("right", "asked", "status"),
    [
        ("call", "-1", "below_intrinsic"),
        ("put", "4999.9", "below_intrinsic"),
        ("call", "60001", "above_cap"),
        ("put", "65001", "above_cap"),
        ("call", "0", "unresolvable"),
        ("put", "5000", "unresolvable"),
    ],
)
def test_no_vol_is_an_answer(right, asked, status):
    found = tailwag("iv", *words(60_000.0, 65_000.0, 0.1, right, 0.0), "--price-usd", asked, "--json", "-").document
    assert found == {"iv": None, "status": status}


@pytest.mark.parametrize(("forward", "delta"), [(64_999.0, 0.0), (65_000.0, 0.5), (65_001.0, 1.0)])
def test_at_the_instant_of_expiry(forward, delta):
    document = tailwag("greeks", *words(forward, 65_000.0, 0.0, "call", 0.0), "--iv", "0.6", "--json", "-").document
    assert document["delta"] == pytest.approx(delta, abs=1e-15)
    assert (document["gamma"], document["vega"], document["theta"]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("cases", [120, pytest.param(400, marks=pytest.mark.slow)])
def test_extremes_are_numbers_or_refusals_never_crashes(cases):
    rng = random.Random(cases)
    values = ["0", "1e-15", "1e-9", "1e-4", "0.5", "1", "20", "65", "1000", "1e5", "1e15", "1e16", "-1", "nan", "inf", "1e-320", "1e308"]
    codes = []
    for _ in range(cases):
        forward, strike, years, vol, rate = (rng.choice(values) for _ in range(5))
        asked = ["--forward-usd", forward, "--strike-usd", strike, "--years", years, "--right", rng.choice(["call", "put"]), "--rate", rate]
        for command, extra in (("greeks", ["--iv", vol]), ("iv", [rng.choice(["--price-usd", "--price-coin"]), vol])):
            outcome = tailwag(command, *asked, *extra, "--json", "-")
            assert outcome.code in (0, 2), (command, asked, extra, outcome.err)
            if outcome.code == 0:
                assert outcome.document
            codes.append(outcome.code)
    assert codes.count(0) > cases // 20


def test_a_discount_beyond_all_measure_is_refused():
    for rate in ("-1", "1"):
        assert "discount" in refused("greeks", *words(6e4, 6e4, 1000.0, "call", 0.0)[:-2], "--rate", rate, "--iv", "0.5", "--json", "-")
        assert "discount" in refused("iv", *words(6e4, 6e4, 1000.0, "call", 0.0)[:-2], "--rate", rate, "--price-usd", "5", "--json", "-")
