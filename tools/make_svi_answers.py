"""Answers for the SVI tests, from mpmath at 40 digits: derivatives by numerical differentiation, minima and roots by search.

    python tools/make_svi_answers.py            # writes tests/answers/svi.json

Shares no code with the package. Published values it must meet are asserted here: Gatheral and Jacquier 2014 (Vogt's slice, its JW form,
its repair) and Lee 2004.
"""

from __future__ import annotations

import json
from pathlib import Path

import mpmath as mp

mp.mp.dps = 40
VOGT = tuple(mp.mpf(x) for x in ("-0.0410", "0.1331", "0.3060", "0.3586", "0.4153"))  # a, b, rho, m, sigma
SOUND = tuple(mp.mpf(x) for x in ("0.04", "0.1", "-0.4", "0", "0.3"))


def variance(k, raw):
    a, b, rho, m, sigma = raw
    return a + b * (rho * (k - m) + mp.sqrt((k - m) ** 2 + sigma**2))


def durrleman(k, w):
    """g from a total variance function, its derivatives taken numerically."""
    level, first, second = w(k), mp.diff(w, k), mp.diff(w, k, 2)
    return (1 - k * first / (2 * level)) ** 2 - first**2 / 4 * (1 / level + mp.mpf(1) / 4) + second / 2


def slice_g(raw):
    return lambda k: durrleman(k, lambda x: variance(x, raw))


def smallest(function, low, high, points=400):
    """(minimum, place) by grid and golden section."""
    grid = [low + (high - low) * mp.mpf(i) / points for i in range(points + 1)]
    values = [function(x) for x in grid]
    i = min(range(len(grid)), key=values.__getitem__)
    left, right = grid[max(i - 1, 0)], grid[min(i + 1, points)]
    ratio = (mp.sqrt(5) - 1) / 2
    for _ in range(60):
        one, two = right - ratio * (right - left), left + ratio * (right - left)
        if function(one) < function(two):
            right = two
        else:
            left = one
    place = (left + right) / 2
    return function(place), place


def jump_wings(raw):
    """JW at one year from its definition: values and numerical slopes of the slice, wing slopes from far out."""
    w0 = variance(mp.mpf(0), raw)
    root = mp.sqrt(w0)
    skew = mp.diff(lambda k: mp.sqrt(variance(k, raw)), 0)  # psi = d sqrt(w) / dk at the money
    far = mp.mpf(10) ** 12
    put, call = variance(-far, raw) / far / root, variance(far, raw) / far / root
    lowest = mp.findroot(lambda k: mp.diff(lambda x: variance(x, raw), k), raw[3])
    return w0, skew, put, call, variance(lowest, raw)


def raw_from_jump_wings(v, psi, p, c, lowest):
    """By solving the five defining equations for (b, rho, m, sigma), not by the closed form."""
    root = mp.sqrt(v)
    b, rho = root * (p + c) / 2, (c - p) / (p + c)

    def equations(m, sigma):
        radius = mp.sqrt(m * m + sigma * sigma)
        level = lowest - b * sigma * mp.sqrt(1 - rho**2)
        return level + b * (-rho * m + radius) - v, b / (2 * root) * (rho - m / radius) - psi

    m, sigma = mp.findroot(equations, (mp.mpf("0.05"), mp.mpf("0.15")))
    return lowest - b * sigma * mp.sqrt(1 - rho**2), b, rho, m, sigma


def phi(theta):
    """The power law at eta = 1, gamma = 1/2."""
    return 1 / mp.sqrt(theta * (1 + theta))


def ssvi(theta, rho, bend):
    return lambda k: theta / 2 * (1 + rho * bend * k + mp.sqrt((bend * k + rho) ** 2 + 1 - rho**2))


def moments(raw):
    """(integral of the density, of e^k times it): both 1 for an arbitrage-free slice."""
    g = slice_g(raw)

    def density(k):
        w = variance(k, raw)
        d2 = -k / mp.sqrt(w) - mp.sqrt(w) / 2
        return g(k) / mp.sqrt(2 * mp.pi * w) * mp.exp(-d2 * d2 / 2)

    pieces = [-8, -4, -2, -1, -0.5, 0, 0.5, 1, 2, 4, 8]
    with mp.workdps(20):
        return mp.quad(density, pieces), mp.quad(lambda k: mp.exp(k) * density(k), pieces)


def lee_slope(p):
    """The slope whose Lee moment is p, by solving the inverse."""
    return mp.findroot(lambda beta: 1 / (2 * beta) + beta / 8 - mp.mpf(1) / 2 - p, (mp.mpf("0.01"), mp.mpf("1.5")), solver="anderson")


def smile_deltas():
    """Smile delta of a call by differentiating the Black price with the volatility moving as the dynamics say."""
    strike, vol, years, skew = mp.mpf(65000), mp.mpf("0.65"), mp.mpf(30) / 365, mp.mpf("-0.15")

    def price(forward, ratio):
        moved = vol - (1 - ratio) * skew * mp.log(forward / 60000)
        total = moved * mp.sqrt(years)
        d1 = mp.log(forward / strike) / total + total / 2
        return forward * mp.ncdf(d1) - strike * mp.ncdf(d1 - total)

    ratios = {"sticky-strike": 1, "sticky-moneyness": 0, "ssr:2": 2}
    return {name: mp.diff(lambda f, ratio=ratio: price(f, ratio), 60000) for name, ratio in ratios.items()}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else float(value)


def answers():
    vogt_g = slice_g(VOGT)
    low, place = smallest(vogt_g, mp.mpf("-1.5"), mp.mpf("1.5"))
    v, psi, p, _, lowest = wings = jump_wings(VOGT)
    new_c = p + 2 * psi
    repaired = raw_from_jump_wings(v, psi, p, new_c, v * 4 * p * new_c / (p + new_c) ** 2)
    optimised = raw_from_jump_wings(v, psi, p, mp.mpf("0.8564763"), lowest)
    rho = mp.mpf("-0.5")
    table = []
    for theta in (mp.mpf("0.01"), mp.mpf("0.05"), mp.mpf("0.25"), mp.mpf(1)):
        surface = ssvi(theta, rho, phi(theta))
        table.append({"theta": theta, "phi": phi(theta), "variance": [surface(mp.mpf(k) / 10) for k in (-5, 0, 3)]})
    steep = ssvi(mp.mpf(3), mp.mpf("-0.7"), mp.mpf("0.885"))
    wing_g = durrleman(mp.mpf(-1000), steep)
    edge = lambda bend: smallest(lambda k: durrleman(k, ssvi(mp.mpf("0.04"), mp.mpf("-0.7"), bend)), mp.mpf("-1"), mp.mpf("1"), 120)[0]  # noqa: E731
    with mp.workdps(20):
        last_free = mp.findroot(edge, (mp.mpf("13.4"), mp.mpf("13.6")), solver="anderson", tol=1e-14, maxsteps=40)
    return {
        "vogt": {
            "raw": VOGT,
            "min_g": low,
            "min_g_at": place,
            "negative_from": mp.findroot(vogt_g, mp.mpf("0.64")),
            "negative_to": mp.findroot(vogt_g, mp.mpf("1.26")),
            "variance_at_0": variance(mp.mpf(0), VOGT),
            "jump_wings": wings,
            "repaired_raw": repaired,
            "repaired_min_g": smallest(slice_g(repaired), mp.mpf(-3), mp.mpf(3))[0],
            "optimised_min_g": smallest(slice_g(optimised), mp.mpf(-3), mp.mpf(3))[0],
            "g": [[k / mp.mpf(10), vogt_g(k / mp.mpf(10))] for k in range(-20, 21, 2)],
        },
        "ssvi": {"rho": rho, "rows": table},
        "steep_ssvi": {
            "theta": 3,
            "rho": -0.7,
            "phi": 0.885,
            "min_g": smallest(lambda k: durrleman(k, steep), mp.mpf(-6), mp.mpf(6))[0],
            "wing_g": wing_g,
        },
        "edge_ssvi": {"theta": 0.04, "rho": -0.7, "phi": last_free, "sufficient_phi": mp.sqrt(4 / (mp.mpf("0.04") * mp.mpf("1.7")))},
        "sound": {"raw": SOUND, "min_g": smallest(slice_g(SOUND), mp.mpf(-3), mp.mpf(3))[0], "moments": moments(SOUND)},
        "lee": {"moments": [1, 2, 5], "slopes": [lee_slope(mp.mpf(n)) for n in (1, 2, 5)]},
        "smile_delta": smile_deltas(),
    }


def check(found):
    vogt = found["vogt"]
    assert abs(vogt["min_g"] + mp.mpf("0.03286357")) < 1e-8
    assert abs(vogt["min_g_at"] - mp.mpf("0.879263")) < 1e-6
    published = (0.01742625, -0.1752111, 0.6997381, 1.316798, 0.0116249)
    assert all(abs(x - y) < 1e-6 for x, y in zip(vogt["jump_wings"], published))
    assert abs(found["lee"]["slopes"][0] - mp.mpf("0.34314575")) < 1e-8
    assert abs(found["edge_ssvi"]["phi"] - mp.mpf("13.527455")) < 1e-5


if __name__ == "__main__":
    found = answers()
    check(found)
    target = Path(__file__).resolve().parents[1] / "tests" / "answers" / "svi.json"
    target.write_text(json.dumps(plain(found), indent=1) + "\n", encoding="utf-8")
    print(target)
