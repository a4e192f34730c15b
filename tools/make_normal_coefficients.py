"""Fit the polynomials of `tailwag.kernels.normal` and write `src/tailwag/kernels/normal_coefficients.py`.

Own derivation: Chebyshev interpolation in 50 digits, turned into powers and rounded once.

* tail: Mills' ratio R(a) = Q(a)/phi(a) for a >= -1 as P(t)/(a + POLE), with t = (a - ZERO)/(a + SCALE) running over [-1, 1).
  (a + POLE) R(a) is smooth and of order one on the whole half line, so that P and its divided differences keep full precision.
* near: the same ratio for 0 <= a <= NEAR_END only, where sums of many options need it (beyond, the density is below 1e-16): fewer terms.
* exponential: (e^r - 1 - r)/r^2 on |r| <= ln(2)/2 (a little beyond, for the rounding of the reduction).
* logarithm: (atanh(s)/s - 1)/s^2 as a polynomial in s^2, for |s| <= 1/5 (numbers whose ratio is 2/3 to 3/2).
* seed: where implied vol starts. In the normal model with forward-to-strike distance 1 and a standard deviations of it, b = out-of-the-money
  price, straddle = 2 b + 1, nu = 1/straddle, eta = nu/atanh(nu): 1/(a sqrt(pi/2) straddle sqrt(eta)) is a smooth function of sqrt(eta).

Run: python tools/make_normal_coefficients.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import mpmath as mp

TARGET = Path(__file__).resolve().parents[1] / "src" / "tailwag" / "kernels" / "normal_coefficients.py"
DIGITS = 50
LOWEST = -1  # where the fit of Mills' ratio begins
SHIFT = 1  # (a - LOWEST + SHIFT) R(a) is what is fitted: nearly flat out to infinity
MIDDLE = 6  # a - LOWEST = MIDDLE sits at t = 0
NEAR_SHIFT, NEAR_MIDDLE, NEAR_END, NEAR_DEGREE = 3, 6, mp.mpf("8.5"), 17
TAIL_DEGREE, EXP_DEGREE, LOG_DEGREE, SEED_DEGREE = 25, 9, 6, 6
FARTHEST = 40  # standard deviations that the seed covers


def mills(a: mp.mpf) -> mp.mpf:
    """Q(a)/phi(a), by its asymptotic series where erfc would need thousands of digits."""
    if a > 2000:
        return 1 / a * (1 - 1 / a**2 + 3 / a**4 - 15 / a**6 + 105 / a**8 - 945 / a**10)
    return mp.sqrt(mp.pi / 2) * mp.erfc(a / mp.sqrt(2)) * mp.exp(a * a / 2)


def tail(t: mp.mpf) -> mp.mpf:
    distance = MIDDLE * (1 + t) / (1 - t)
    return (distance + SHIFT) * mills(distance + LOWEST)


def near(t: mp.mpf) -> mp.mpf:
    a = NEAR_MIDDLE * (1 + t) / (1 - t)
    return (a + NEAR_SHIFT) * mills(a)


def exponential(r: mp.mpf) -> mp.mpf:
    return (mp.expm1(r) - r) / r**2 if abs(r) > mp.mpf(10) ** -12 else mp.mpf(1) / 2 + r / 6


def logarithm(z: mp.mpf) -> mp.mpf:
    if z < mp.mpf(10) ** -12:
        return mp.mpf(1) / 3 + z / 5
    s = mp.sqrt(z)
    return (mp.atanh(s) / s - 1) / z


def seed_point(a: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    """(sqrt(eta), what is fitted) for an option a standard deviations out of the money in the normal model."""
    price = mp.npdf(a) / a - mp.erfc(a / mp.sqrt(2)) / 2
    straddle = 2 * price + 1
    root = mp.sqrt(2 / straddle / mp.log((1 + price) / price))
    return root, 1 / (a * mp.sqrt(mp.pi / 2) * straddle * root)


def seed(root_eta: mp.mpf) -> mp.mpf:
    low, high = mp.mpf("1e-6"), mp.mpf(FARTHEST)
    while high / low > 1 + mp.mpf(10) ** -20:
        middle = mp.sqrt(low * high)
        low, high = (middle, high) if seed_point(middle)[0] > root_eta else (low, middle)
    return seed_point(low)[1]


def powers(function: Callable[[mp.mpf], mp.mpf], low: mp.mpf, high: mp.mpf, degree: int) -> list[float]:
    """Coefficients of 1, y, y^2 ... of the Chebyshev interpolant of `function` on [low, high]."""
    count = degree + 1
    nodes = [mp.cos(mp.pi * (2 * j + 1) / (2 * count)) for j in range(count)]
    values = [function((high + low) / 2 + (high - low) / 2 * t) for t in nodes]
    weights = [sum(v * mp.cos(mp.pi * k * (2 * j + 1) / (2 * count)) for j, v in enumerate(values)) * 2 / count for k in range(count)]
    weights[0] /= 2
    in_t = _chebyshev_to_powers(weights)
    return [float(c) for c in _substitute(in_t, -(high + low) / (high - low), 2 / (high - low))]


def _chebyshev_to_powers(weights: list[mp.mpf]) -> list[mp.mpf]:
    basis = [[mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]]
    for _ in range(2, len(weights)):
        shifted = [mp.mpf(0)] + [2 * c for c in basis[-1]]
        for index, value in enumerate(basis[-2]):
            shifted[index] -= value
        basis.append(shifted)
    total = [mp.mpf(0)] * len(weights)
    for weight, row in zip(weights, basis):
        for index, value in enumerate(row):
            total[index] += weight * value
    return total


def _substitute(coefficients: list[mp.mpf], offset: mp.mpf, slope: mp.mpf) -> list[mp.mpf]:
    """Powers of y for a polynomial in t = offset + slope y (Horner on coefficient lists)."""
    total: list[mp.mpf] = [mp.mpf(0)]
    for coefficient in reversed(coefficients):
        grown = [offset * c for c in total] + [mp.mpf(0)]
        for index, value in enumerate(total):
            grown[index + 1] += slope * value
        grown[0] += coefficient
        total = grown
    return total[: len(coefficients)]


def listing(name: str, coefficients: list[float], note: str) -> str:
    lines = "".join(f"    {value!r},\n" for value in coefficients)
    return f'{name} = (\n{lines})\n"""{note}"""\n'


def module_text() -> str:
    mp.mp.dps = DIGITS
    half_ln2 = mp.log(2) / 2 * mp.mpf("1.0001")
    widest = mp.mpf(1) / 25 * mp.mpf("1.0001")
    near_last = (NEAR_END - NEAR_MIDDLE) / (NEAR_END + NEAR_MIDDLE)
    ln2_high = mp.mpf(int(mp.log(2) * 2**32)) / 2**32
    return "\n".join(
        [
            '"""Polynomial coefficients of `normal`; written by tools/make_normal_coefficients.py, never by hand."""\n',
            f"TAIL_POLE = {float(SHIFT - LOWEST)!r}",
            f"TAIL_ZERO = {float(MIDDLE + LOWEST)!r}",
            f"TAIL_SCALE = {float(MIDDLE - LOWEST)!r}",
            f"TAIL_SPAN = {float(2 * MIDDLE)!r}",
            f"NEAR_POLE = {float(NEAR_SHIFT)!r}",
            f"NEAR_MIDDLE = {float(NEAR_MIDDLE)!r}",
            f"NEAR_END = {float(NEAR_END)!r}",
            f"LN2_HIGH = {float(ln2_high)!r}",
            f"LN2_LOW = {float(mp.log(2) - ln2_high)!r}",
            f"LOG2_E = {float(1 / mp.log(2))!r}",
            f"INVERSE_SQRT_2PI = {float(1 / mp.sqrt(2 * mp.pi))!r}",
            f"LN_SQRT_2PI = {float(mp.log(2 * mp.pi) / 2)!r}",
            listing(
                "TAIL",
                powers(tail, mp.mpf(-1), mp.mpf(1), TAIL_DEGREE),
                "(a + TAIL_POLE) R(a) in powers of t = (a - TAIL_ZERO)/(a + TAIL_SCALE).",
            ),
            listing(
                "NEAR",
                powers(near, mp.mpf(-1), near_last, NEAR_DEGREE),
                "(a + NEAR_POLE) R(a) in powers of t = (a - NEAR_MIDDLE)/(a + NEAR_MIDDLE).",
            ),
            listing("EXPONENTIAL", powers(exponential, -half_ln2, half_ln2, EXP_DEGREE), "(e^r - 1 - r)/r^2 in powers of r."),
            listing("LOGARITHM", powers(logarithm, mp.mpf(0), widest, LOG_DEGREE), "(atanh(s)/s - 1)/s^2 in powers of s^2."),
            listing(
                "SEED",
                powers(seed, seed_point(mp.mpf(FARTHEST))[0], mp.mpf(1), SEED_DEGREE),
                "First guess of a normal vol, in powers of sqrt(eta).",
            ),
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(module_text())
    print(f"wrote {TARGET}", file=sys.stderr)
