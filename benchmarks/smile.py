"""The SVI fit of a whole chain against SciPy's least_squares on the very same cost: one table of ratios.

    python benchmarks/smile.py [--rounds 9]

12 expiries x 34 quotes around a known smile with noise. SciPy gets the same residuals and bounds and a start near the answer, once with
finite differences and once with analytic derivatives; ours searches its own start. Both must end at the same residual.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

EXPIRIES, QUOTES, TARGET = 12, 34, 25.0


def market(seed: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(quotes (4, n), offsets, years) of an SSVI market with 0.3 vol points of noise and half-spreads from 0.3 to 2 points."""
    rng = np.random.default_rng(seed)
    parts, years = [], np.geomspace(1 / 365, 1.0, EXPIRIES)
    for t in years:
        total = 0.55**2 * t
        phi, rho = 0.9 / np.sqrt(total * (1 + total)), -0.3
        z = np.linspace(-2.5, 2.5, QUOTES)
        k = z * np.sqrt(total)
        w = 0.5 * total * (1 + rho * phi * k + np.sqrt((phi * k + rho) ** 2 + 1 - rho**2))
        vol = np.sqrt(w / t) + rng.normal(0, 0.003, QUOTES)
        half = (0.003 + 0.017 * (np.abs(z) / 2.5) ** 2) * 2 * vol * t
        parts.append(np.stack([k, vol**2 * t, half, 1 / half]))
    return np.concatenate(parts, axis=1), np.arange(EXPIRIES + 1) * QUOTES, years


def scipy_fit(quotes: np.ndarray, offsets: np.ndarray, *, penalty: float, analytic: bool) -> np.ndarray:
    from scipy.optimize import least_squares

    fitted = []
    for first, last in pairwise(offsets.tolist()):
        k, w, half, weight = quotes[:, first:last]

        def residual(
            p: np.ndarray, k: np.ndarray = k, w: np.ndarray = w, half: np.ndarray = half, weight: np.ndarray = weight
        ) -> np.ndarray:
            a, b, rho, m, sigma = p
            error = a + b * (rho * (k - m) + np.sqrt((k - m) ** 2 + sigma**2)) - w
            outside = np.maximum(np.abs(error) - half, 0.0)
            return np.concatenate([weight * error, np.sqrt(penalty) * weight * outside * np.sign(error)])

        def jacobian(
            p: np.ndarray, k: np.ndarray = k, w: np.ndarray = w, half: np.ndarray = half, weight: np.ndarray = weight
        ) -> np.ndarray:
            a, b, rho, m, sigma = p
            d = k - m
            root = np.sqrt(d * d + sigma * sigma)
            error = a + b * (rho * d + root) - w
            rows = np.stack([np.ones_like(k), rho * d + root, b * d, -b * (rho + d / root), b * sigma / root], axis=1)
            out = np.sqrt(penalty) * weight * (np.abs(error) > half)
            return np.concatenate([weight[:, None] * rows, out[:, None] * rows])

        level, spread = float(np.interp(0.0, k, w)), float(np.sqrt(np.interp(0.0, k, w)))
        start = np.array([0.5 * level, 0.5 * spread, -0.1, 0.0, spread])
        bounds = ([-np.inf, 0.0, -0.999, k[0] - 1.0, 0.2 * spread], [np.inf, 2.0, 0.999, k[-1] + 1.0, 20.0])
        scale = [level, spread, 1.0, spread, spread]
        fitted.append(least_squares(residual, start, jac=jacobian if analytic else "2-point", bounds=bounds, x_scale=scale).x)
    return np.array(fitted)


def rmse_volpt(raw: np.ndarray, quotes: np.ndarray, offsets: np.ndarray, years: np.ndarray) -> float:
    """Root mean square distance from the mids over all quotes, in vol points."""
    p, t = np.repeat(raw, np.diff(offsets), axis=0).T, np.repeat(years, np.diff(offsets))
    k, w = quotes[:2]
    fitted = p[0] + p[1] * (p[2] * (k - p[3]) + np.sqrt((k - p[3]) ** 2 + p[4] ** 2))
    return 100 * float(np.sqrt(np.mean((np.sqrt(fitted / t) - np.sqrt(w / t)) ** 2)))


def seconds(work: Callable[[], Any], repeats: int) -> float:
    start = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - start) / repeats


def main() -> None:
    from tailwag.kernels.svi_fit import BAND_PENALTY, fit_slices

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    quotes, offsets, years = market()
    ours = fit_slices(quotes, offsets)[0]
    print(f"SVI, {EXPIRIES} expiries x {QUOTES} quotes, band penalty {BAND_PENALTY:g}; rmse in vol points")
    print(f"{'peer':<34}{'ours':>10}{'theirs':>10}{'ratio':>9}{'target':>9}  {'':<6}{'rmse ours':>10}{'theirs':>9}")
    for name, analytic in (("SciPy least_squares", False), ("the same, analytic Jacobian", True)):

        def theirs(analytic: bool = analytic) -> np.ndarray:
            return scipy_fit(quotes, offsets, penalty=BAND_PENALTY, analytic=analytic)

        found = theirs()
        pairs = [(seconds(lambda: fit_slices(quotes, offsets), 50), seconds(theirs, 1)) for _ in range(rounds)]
        one, two = (1e3 * statistics.median(side) for side in zip(*pairs))
        ratio = statistics.median(b / a for a, b in pairs)
        errors = [rmse_volpt(raw, quotes, offsets, years) for raw in (ours, found)]
        verdict = "PASS" if ratio >= TARGET and errors[0] <= errors[1] * 1.001 else "FAIL"
        print(f"{name:<34}{one:>7.2f} ms{two:>7.1f} ms{ratio:>8.0f}x{f'>={TARGET:g}x':>9}  {verdict:<6}{errors[0]:>10.4f}{errors[1]:>9.4f}")


if __name__ == "__main__":
    main()
