"""Write tests/answers/tail.json: value at risk and expected shortfall by quadrature and root finding, without any formula of the package.

Expected shortfall is the mean of value at risk over all levels beyond (an integral of quantiles), distributions are integrals of their
densities, all to 30 digits; SciPy's noncentral chi-square stands beside them.  Run: python tools/make_tail_answers.py
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpmath import exp, findroot, gamma, inf, mp, mpf, npdf, quad, sqrt
from scipy.stats import ncx2

mp.dps = 30
TARGET = Path(__file__).parent.parent / "tests" / "answers" / "tail.json"
LEVELS = ("0.95", "0.99", "0.999")
Density = Callable[[Any], Any]


def pieces(low: Any, high: Any) -> list[Any]:
    """Break points that keep the quadrature honest on both sides of zero."""
    return [low, *(point for point in (-12, -8, -5, -3, -1, 0, 1, 3, 5, 8, 12) if low < point < high), high]


def tail_by_integral(density: Density, level: Any, guess: Any) -> tuple[Any, Any]:
    """Quantile from the integral of the density, and the mean beyond it."""

    def beyond(q: Any) -> Any:
        return quad(density, [q, q + 1, q + 5, q + 20, q + 100, inf])

    q = findroot(lambda x: beyond(x) - (1 - level), guess)
    mean = quad(lambda x: x * density(x), [q, q + 1, q + 5, q + 20, q + 100, q + 1000, inf]) / (1 - level)
    return q, mean


def student(nu: Any) -> Density:
    constant = gamma((nu + 1) / 2) / (sqrt(nu * mp.pi) * gamma(nu / 2))
    return lambda t: constant * (1 + t * t / nu) ** (-(nu + 1) / 2)


def quadratic_tail(delta: Any, bend: Any, deviation: Any, level: Any) -> tuple[Any, Any]:
    """VaR and ES of -delta r - bend r^2/2: the set where the loss exceeds v is found by its sign on each piece between its roots."""

    def loss(z: Any) -> Any:
        return -delta * deviation * z - bend * (deviation * z) ** 2 / 2

    def regions(v: Any) -> list[tuple[Any, Any]]:
        a, b, c = -bend * deviation**2 / 2, -delta * deviation, -v
        square = b * b - 4 * a * c
        curved = [] if a == 0 or square < 0 else sorted([(-b - sqrt(square)) / (2 * a), (-b + sqrt(square)) / (2 * a)])
        cuts = [-c / b] if a == 0 else curved
        bounds = [mpf(-40), *(cut for cut in cuts if -40 < cut < 40), mpf(40)]
        return [(low, high) for low, high in itertools.pairwise(bounds) if loss((low + high) / 2) > v]

    def integral(law: Density, v: Any) -> Any:
        return sum((quad(law, pieces(low, high)) for low, high in regions(v)), mpf(0))

    size = abs(delta) * deviation + abs(bend) * deviation**2
    low, high = -2000 * size, 2000 * size
    for _ in range(110):
        middle = (low + high) / 2
        low, high = (middle, high) if integral(npdf, middle) > 1 - level else (low, middle)
    return high, integral(lambda z: loss(z) * npdf(z), high) / (1 - level)


def main() -> None:
    normal, students, gammas = [], [], []
    for text in LEVELS:
        level = mpf(text)
        q, mean = tail_by_integral(lambda x: exp(-x * x / 2) / sqrt(2 * mp.pi), level, mpf(2))
        normal.append({"level": float(level), "value_at_risk": float(q), "expected_shortfall": float(mean)})
        for nu in ("1.5", "2.5", "3", "5", "12", "80"):
            q, mean = tail_by_integral(student(mpf(nu)), level, mpf(3))
            row = {"level": float(level), "degrees_of_freedom": float(nu), "value_at_risk": float(q), "expected_shortfall": float(mean)}
            students.append(row)
    mp.dps = 20
    books = itertools.product(LEVELS, ("0", "1e8", "-3e7", "2e9"), ("-5e9", "-1e7", "3e9", "0"), ("0.0314", "0.004"))
    for text, delta, bend, deviation in books:
        if float(delta) == float(bend) == 0.0:
            continue
        q, mean = quadratic_tail(mpf(delta), mpf(bend), mpf(deviation), mpf(text))
        row = {"level": float(text), "delta_usd": float(delta), "gamma_usd": float(bend), "move_deviation": float(deviation)}
        gammas.append({**row, "value_at_risk": float(q), "expected_shortfall": float(mean), "scipy": scipy_var(**row)})
    made_by = "tools/make_tail_answers.py (mpmath quadrature, 20 to 30 digits; scipy.stats.ncx2)"
    TARGET.write_text(json.dumps({"made_by": made_by, "normal": normal, "student_t": students, "delta_gamma": gammas}, indent=1) + "\n")
    print(f"{len(normal)} + {len(students)} + {len(gammas)} answers in {TARGET}")


def scipy_var(*, level: float, delta_usd: float, gamma_usd: float, move_deviation: float) -> float | None:
    """Value at risk of a short-gamma book from SciPy's noncentral chi-square."""
    if gamma_usd >= 0 or abs(delta_usd / gamma_usd / move_deviation) > 20:
        return None
    unit, centre = -gamma_usd * move_deviation**2 / 2, delta_usd / gamma_usd / move_deviation
    return float(unit * (ncx2.ppf(level, 1, centre**2) - centre**2)) if delta_usd else None


if __name__ == "__main__":
    main()
