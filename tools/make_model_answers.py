"""Write tests/answers/models.json: prices and moments of the price models from code that shares nothing with the package.

Option prices: Lewis' (2001) integral of each model's characteristic function in 30-digit arithmetic, checked against QuantLib's analytic
engines (Heston, Bates), against Merton's series, and against published figures. Moments of variance and of Hawkes counts: their linear
differential equations, solved by matrix exponentials. Random numbers: Philox in Python's own integers, checked against the vectors that
its authors published.  Run: python tools/make_model_answers.py
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import QuantLib as ql
from scipy.integrate import quad
from scipy.linalg import expm
from scipy.stats import t as student

mp.mp.dps = 30
TARGET = Path(__file__).parent.parent / "tests" / "answers" / "models.json"
EDGES = [0, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120]

# name, spot, strike, rate, years, model numbers, published price or None (with its decimals)
HESTON = [
    ("Broadie-Kaya 1", 100, 100, 0.0319, 1.0, (0.010201, 6.21, 0.019, 0.61, -0.7), (6.8061, 4)),
    ("Broadie-Kaya 2", 100, 100, 0.05, 5.0, (0.09, 2.0, 0.09, 1.0, -0.3), (34.9998, 4)),
    ("Andersen I", 100, 100, 0.0, 10.0, (0.04, 0.5, 0.04, 1.0, -0.9), (13.085, 3)),
    ("Andersen II", 100, 100, 0.0, 15.0, (0.04, 0.3, 0.04, 0.9, -0.5), (16.649, 3)),
    ("Andersen III", 100, 100, 0.0, 5.0, (0.09, 1.0, 0.09, 1.0, -0.3), None),
    ("crypto A 60k", 60_000, 60_000, 0.0, 30 / 365, (0.36, 3.0, 0.45, 1.2, -0.25), None),
    ("crypto A 50k", 60_000, 50_000, 0.0, 30 / 365, (0.36, 3.0, 0.45, 1.2, -0.25), None),
    ("crypto A 75k", 60_000, 75_000, 0.0, 30 / 365, (0.36, 3.0, 0.45, 1.2, -0.25), None),
    ("crypto rising", 60_000, 70_000, 0.0, 14 / 365, (0.64, 12.0, 0.36, 3.0, 0.4), None),
    ("crypto calm", 3_000, 2_800, 0.04, 90 / 365, (0.25, 1.5, 0.49, 0.8, -0.6), None),
]
BATES = [
    (
        "Broadie-Kaya SVJ",
        100,
        100,
        0.0319,
        5.0,
        (0.008836, 3.99, 0.014, 0.27, -0.79, 0.11, math.log(0.88) - 0.15**2 / 2, 0.15),
        (20.1642, 4),
    ),
    ("crypto SVJ", 60_000, 63_000, 0.0, 21 / 365, (0.3, 5.0, 0.4, 1.5, -0.3, 15.0, -0.015, 0.05), None),
]
MERTON = [
    ("steady", 100, 100, 0.0, 1.0, (0.2, 1.0, -0.1, 0.15), None),
    ("in the money", 100, 90, 0.05, 0.25, (0.2, 1.0, -0.1, 0.15), None),
    ("crypto", 60_000, 60_000, 0.0, 7 / 365, (0.5, 20.0, -0.02, 0.06), None),
    ("crypto rising", 60_000, 66_000, 0.0, 3 / 365, (0.7, 60.0, 0.03, 0.04), None),
]
KOU = [
    ("Kou 2002", 100, 98, 0.05, 0.5, (0.16, 1.0, 0.4, 10.0, 5.0), (9.14732, 5)),
    ("crypto", 60_000, 60_000, 0.0, 7 / 365, (0.5, 25.0, 0.35, 30.0, 20.0), None),
]


def lewis_call(characteristic: Any, spot: float, strike: float, rate: float, years: float) -> mp.mpf:
    """Call price from E[e^(iu ln(S_T/F))]."""
    forward = mp.mpf(spot) * mp.exp(mp.mpf(rate) * mp.mpf(years))
    k = mp.log(forward / strike)

    def integrand(u: mp.mpf) -> mp.mpf:
        return (mp.exp(1j * u * k) * characteristic(u - mp.mpc(0, "0.5"))).real / (u * u + mp.mpf("0.25"))

    integral = mp.quad(integrand, EDGES, maxdegree=8)
    return mp.exp(-mp.mpf(rate) * mp.mpf(years)) * (forward - mp.sqrt(forward * strike) / mp.pi * integral)


def heston(years: float, v0: float, kappa: float, theta: float, xi: float, rho: float) -> Any:
    def characteristic(u: Any) -> Any:
        iu = 1j * u
        drag = kappa - rho * xi * iu
        d = mp.sqrt(drag**2 + xi**2 * (iu + u * u))
        g, e = (drag - d) / (drag + d), mp.exp(-d * years)
        c = kappa * theta / mp.mpf(xi) ** 2 * ((drag - d) * years - 2 * mp.log((1 - g * e) / (1 - g)))
        return mp.exp(c + (drag - d) / mp.mpf(xi) ** 2 * (1 - e) / (1 - g * e) * v0)

    return characteristic


def diffusion(years: float, vol: float) -> Any:
    return lambda u: mp.exp(-(mp.mpf(vol) ** 2) * years / 2 * (u * u + 1j * u))


def normal_jumps(years: float, rate: float, mean: float, deviation: float) -> Any:
    gain = mp.exp(mp.mpf(mean) + mp.mpf(deviation) ** 2 / 2) - 1
    return lambda u: mp.exp(years * rate * (mp.exp(1j * u * mean - mp.mpf(deviation) ** 2 * u * u / 2) - 1 - 1j * u * gain))


def exponential_jumps(years: float, rate: float, p: float, up: float, down: float) -> Any:
    gain = p * up / mp.mpf(up - 1) + (1 - p) * down / mp.mpf(down + 1) - 1
    return lambda u: mp.exp(years * rate * (p * up / (up - 1j * u) + (1 - p) * down / (down + 1j * u) - 1 - 1j * u * gain))


def quantlib_call(spot: float, strike: float, rate: float, years: float, numbers: tuple[float, ...]) -> float:
    """Heston (five numbers) or Bates (eight) by QuantLib's analytic engines."""
    start = ql.Date(1, 1, 2025)
    ql.Settings.instance().evaluationDate = start
    count = ql.Actual365Fixed()
    rates = ql.YieldTermStructureHandle(ql.FlatForward(start, rate, count))
    nothing = ql.YieldTermStructureHandle(ql.FlatForward(start, 0.0, count))
    quote = ql.QuoteHandle(ql.SimpleQuote(spot))
    payoff = ql.PlainVanillaPayoff(ql.Option.Call, strike)
    option = ql.EuropeanOption(payoff, ql.EuropeanExercise(start + round(365 * years)))
    if len(numbers) == 5:
        engine = ql.AnalyticHestonEngine(ql.HestonModel(ql.HestonProcess(rates, nothing, quote, *numbers)), 192)
    else:
        engine = ql.BatesEngine(ql.BatesModel(ql.BatesProcess(rates, nothing, quote, *numbers)), 192)
    option.setPricingEngine(engine)
    return float(option.NPV())


def merton_series(spot: float, strike: float, rate: float, years: float, numbers: tuple[float, ...]) -> mp.mpf:
    """Merton's sum of Black-Scholes prices over the number of jumps."""
    vol, intensity, mean, deviation = (mp.mpf(x) for x in numbers)
    gain = mp.exp(mean + deviation**2 / 2) - 1
    total = mp.mpf(0)
    for n in range(120):
        sd = mp.sqrt(vol**2 * years + n * deviation**2)
        forward = spot * mp.exp((rate - intensity * gain) * years + n * (mean + deviation**2 / 2))
        d1 = mp.log(forward / strike) / sd + sd / 2
        value = mp.exp(-mp.mpf(rate) * years) * (forward * mp.ncdf(d1) - strike * mp.ncdf(d1 - sd))
        total += mp.exp(-intensity * years) * (intensity * years) ** n / mp.factorial(n) * value
    return total


def exercise_chances(characteristic: Any, spot: float, strike: float, rate: float, years: float) -> mp.mpf:
    """Gil-Pelaez' form, spot P1 - strike P2: a second route for models without an engine."""
    forward = mp.mpf(spot) * mp.exp(mp.mpf(rate) * years)
    k = mp.log(strike / forward)

    def chance(shift: Any) -> mp.mpf:
        f = lambda u: (mp.exp(-1j * u * k) * characteristic(u + shift) / (1j * u)).real  # noqa: E731
        return mp.mpf("0.5") + mp.quad(f, [mp.mpf("1e-25"), *EDGES[1:]], maxdegree=8) / mp.pi

    return mp.exp(-mp.mpf(rate) * years) * (forward * chance(-1j) - strike * chance(0))


def rows(cases: list[tuple[Any, ...]], characteristic: Any, second: Any) -> list[dict[str, Any]]:
    made = []
    for name, spot, strike, rate, years, numbers, published in cases:
        price = lewis_call(characteristic(years, *numbers), spot, strike, rate, years)
        other = second(spot, strike, rate, years, numbers)
        assert abs(price - other) < 2e-8 * spot / 100, (name, price, other)
        if published:
            assert abs(float(price) - published[0]) < 0.6 * 10.0 ** -published[1], (name, price, published)
        print(f"{name:18s} {mp.nstr(price, 14):>18s}   other way {mp.nstr(mp.mpf(other), 14)}")
        made.append(
            {"name": name, "spot": spot, "strike": strike, "rate": rate, "years": years, "numbers": list(numbers), "price": float(price)}
        )
    return made


def variance_moments() -> list[dict[str, Any]]:
    """E v, Var v and the mean of E v over time in Heston's model, from d(E v, E v^2, int E v) = A (...) dt + b dt."""
    made = []
    for _, _, _, _, years, (v0, kappa, theta, xi, rho), _ in [HESTON[0], HESTON[2], HESTON[5], HESTON[8]]:
        a = np.zeros((4, 4))  # (E v, E v^2, int E v, 1)
        a[0, 0], a[0, 3] = -kappa, kappa * theta
        a[1, 1], a[1, 0] = -2 * kappa, 2 * kappa * theta + xi**2
        a[2, 0] = 1.0
        mean, square, integral, _ = expm(a * years) @ np.array([v0, v0**2, 0.0, 1.0])
        numbers = [v0, kappa, theta, xi, rho]
        made.append({"numbers": numbers, "years": years, "mean": mean, "variance": square - mean**2, "mean_over_time": integral / years})
    return made


def hawkes_counts() -> list[dict[str, Any]]:
    """Mean and variance of N_T, started in the stationary state and started at the mean rate.

    Moments of the rate's excess Y and of N: dE[Y] = (-w E[Y] + k mu) dt with w = beta (1 - n), k = n beta, and so on for E[Y^2], E[Y N], E[N^2].
    """
    made = []
    for base, branching, decay in ((0.5, 0.6, 2.0), (10.0, 0.8, 400.0), (3.0, 0.2, 5.0)):
        kick = branching * decay
        a = np.zeros((6, 6))  # (Y, Y^2, N, Y N, N^2, 1)
        a[0, 0], a[0, 5] = -decay + kick, kick * base
        a[1, 1], a[1, 0], a[1, 5] = -2 * decay + 2 * kick, 2 * kick * base + kick**2, kick**2 * base
        a[2, 0], a[2, 5] = 1.0, base
        a[3, 3], a[3, 1], a[3, 0], a[3, 2], a[3, 5] = -decay + kick, 1.0, base + kick, kick * base, kick * base
        a[4, 4], a[4, 3], a[4, 2], a[4, 0], a[4, 5] = 0.0, 2.0, 2 * base, 1.0, base
        mean = base / (1 - branching) - base
        square = (kick**2 * (base + mean) + 2 * kick * base * mean) / (2 * decay - 2 * kick)
        for years in {0.5: (1.0, 10.0, 100.0), 10.0: (1.0,), 3.0: (1.0,)}[base]:
            starts = [("stationary", square)] + ([("mean rate", mean**2)] if years < 100.0 and base < 1 else [])
            for start, second in starts:
                end = expm(a * years) @ np.array([mean, second, 0.0, 0.0, 0.0, 1.0])
                made.append(
                    {
                        "base": base,
                        "branching": branching,
                        "decay": decay,
                        "years": years,
                        "start": start,
                        "mean": end[2],
                        "variance": end[4] - end[2] ** 2,
                    }
                )
    return made


def student_tails() -> list[dict[str, float]]:
    """Kurtosis, P(|x| > 3) and E|x| of a Student-t with variance 1, by integrating the density."""
    made = []
    for degrees in (3.0, 4.5, 9.0, 12.5):

        def moment(power: int, start: float = 0.0, degrees: float = degrees) -> float:
            scale = math.sqrt((degrees - 2) / degrees)
            return float(2 * quad(lambda x: x**power * student.pdf(x / scale, degrees) / scale, start, np.inf, limit=500)[0])

        assert abs(moment(2) - 1.0) < 1e-7
        kurtosis = moment(4) if degrees > 4 else -1.0
        made.append({"degrees": degrees, "kurtosis": kurtosis, "mean_size": moment(1), "beyond_three": moment(0, 3.0)})
    return made


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10 in unlimited integers."""
    mask = 2**32 - 1
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (q >> 32) ^ b ^ k, q & mask, (p >> 32) ^ d ^ m, p & mask
        k, m = (k + 0x9E3779B9) & mask, (m + 0xBB67AE85) & mask
    return a, b, c, d


PUBLISHED = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


def random_words(seed: int, stream: int, path: int, step: int, draw: int, *, uniform: bool) -> tuple[int, int]:
    """The pair of 64-bit words behind one draw, from the documented layout."""
    size = max(1, (seed.bit_length() + 7) // 8)
    hashed = int.from_bytes(hashlib.blake2b(seed.to_bytes(size, "little"), digest_size=8).digest(), "little")
    key = (hashed + (stream + 1) * 0x9E3779B97F4A7C15) % 2**64
    pair = path // 2
    words = philox((pair % 2**32, pair >> 32, step, draw + (2**31 if uniform else 0)), (key % 2**32, key >> 32))
    return (words[0] << 32) + words[1], (words[2] << 32) + words[3]


def random_answers() -> list[dict[str, Any]]:
    for counter, key, words in PUBLISHED:
        assert philox(counter, key) == words
    made = []
    for seed, stream, path, step, draw in (
        (0, 0, 0, 0, 0),
        (7, 0, 1, 1, 0),
        (7, 1, 12_345, 288, 3),
        (2**64 + 5, 2**64 - 1, 2**40 + 7, 2**32 - 1, 1 << 20),
        (10**40, 31, 2**33, 2016, 2**31 - 1),
    ):
        a, b = random_words(seed, stream, path, step, draw, uniform=True)
        unit = ((b if path % 2 else a) >> 12) * 2 + 1  # times 2^-53
        first, second = random_words(seed, stream, path, step, draw, uniform=False)
        radius = mp.sqrt(-2 * mp.log((mp.mpf(first >> 12) + mp.mpf("0.5")) / 2**52))
        angle = 2 * mp.pi * (mp.mpf(second >> 12) + mp.mpf("0.5")) / 2**52
        normal = radius * (mp.sin(angle) if path % 2 else mp.cos(angle))
        made.append(
            {
                "seed": str(seed),
                "stream": str(stream),
                "path": path,
                "step": step,
                "draw": draw,
                "uniform_times_2_53": str(unit),
                "normal": float(normal),
            }
        )
    return made


def main() -> None:
    """Compute, cross-check and write everything."""
    one = lambda *made: lambda u: mp.fprod(f(u) for f in made)  # noqa: E731
    bates = lambda years, *n: one(heston(years, *n[:5]), normal_jumps(years, *n[5:]))  # noqa: E731
    merton = lambda years, *n: one(diffusion(years, n[0]), normal_jumps(years, *n[1:]))  # noqa: E731
    kou = lambda years, *n: one(diffusion(years, n[0]), exponential_jumps(years, *n[1:]))  # noqa: E731
    answers = {
        "made_by": "tools/make_model_answers.py (mpmath 30 digits, QuantLib, scipy)",
        "heston": rows(HESTON, heston, quantlib_call),
        "bates": rows(BATES, bates, lambda s, k, r, t, n: quantlib_call(s, k, r, t, (*n[:5], *n[5:]))),
        "merton": rows(MERTON, merton, merton_series),
        "kou": rows(KOU, kou, lambda s, k, r, t, n: exercise_chances(kou(t, *n), s, k, r, t)),
        "variance_moments": variance_moments(),
        "hawkes": hawkes_counts(),
        "student": student_tails(),
        "published_philox": [[list(counter), list(key), list(words)] for counter, key, words in PUBLISHED],
        "random": random_answers(),
    }
    TARGET.write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
