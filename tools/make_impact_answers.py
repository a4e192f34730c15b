"""Write tests/answers/impact.json: impact, propagator, arbitrage, estimation and execution from code that shares nothing with the package.

Lyapunov equations and polynomial roots stand in for loops, direct convolution for fitted kernels, polylogarithms on the unit circle for
sums over trades, double integrals for antiderivatives, linear algebra and a quadratic programme for schedules, a finite-volume equation
for pinning.  Run: python tools/make_impact_answers.py   (about two minutes of one core)
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import altzeta, expj, hurwitz, matrix, mp, mpf, pi, polylog, quad
from mpmath import lu_solve as exact_solve
from scipy.integrate import dblquad
from scipy.linalg import solve_banded, solve_discrete_lyapunov, solve_toeplitz
from scipy.optimize import brentq, minimize

mp.dps = 30
TARGET = Path(__file__).parent.parent / "tests" / "answers" / "impact.json"
Row = dict[str, Any]


def passing_loops() -> list[Row]:
    """One-step variance of same-step hedging with lasting and passing impact, from the Lyapunov equation of the passing part."""
    rows = []
    for lasting, passing, kept in [
        (0.1, 0.4, 0.9),
        (0.2, 0.5, 0.5),
        (-0.3, -0.6, 0.8),
        (0.0, 0.9, 0.9),
        (0.05, 0.3, 0.6),
        (-0.8, -1.7, 0.35),
    ]:
        # r = e + gP r + gT r - (1 - kept) D;  D' = kept D + gT r
        share = 1.0 / (1.0 - lasting - passing)
        pull = -(1.0 - kept) * share
        move = np.array([[kept + passing * pull]])
        push = np.array([[passing * share]])
        spread = solve_discrete_lyapunov(move, push @ push.T)[0, 0]
        edge = brentq(lambda g, a=lasting, k=kept: abs(k - g * (1.0 - k) / (1.0 - a - g)) - 1.0, 1e-6, 1.0 - lasting - 1e-9)
        rows.append({"lasting": lasting, "passing": passing, "kept": kept, "variance": share**2 + pull**2 * spread, "edge": edge})
    return rows


def greatest_root(lasting: float, passing: float, kept: float, delay: int) -> float:
    """Companion matrix of the lagged loop written as a vector autoregression, not as a polynomial."""
    # state: (D, r_t, r_{t-1}, ..., r_{t-delay+1});  q_{t+1} = r_{t+1-delay}
    size = delay + 1
    move = np.zeros((size, size))
    move[0, 0], move[0, delay] = kept, passing
    move[1, 0], move[1, delay] = -(1.0 - kept), lasting + passing
    for place in range(2, size):
        move[place, place - 1] = 1.0
    return float(np.abs(np.linalg.eigvals(move)).max())


def late_loops() -> dict[str, list[Row]]:
    generator = np.random.default_rng(20)
    rows = []
    for _ in range(14):
        lasting, passing, kept, delay = *generator.uniform(-1.1, 1.1, 2), generator.uniform(0.1, 0.95), int(generator.integers(1, 7))
        if np.sign(lasting) != np.sign(passing):
            passing = -passing
        rows.append({"lasting": lasting, "passing": passing, "kept": kept, "delay": delay})
    for row in rows:
        row["root"] = greatest_root(**row)
    edges = []
    for kept, delay in itertools.product((0.8, 0.5), (1, 2, 3, 5)):
        up = brentq(lambda g, k=kept, d=delay: greatest_root(0.0, g, k, d) - 1.0, 0.3, 1.6)
        down = brentq(lambda g, k=kept, d=delay: greatest_root(0.0, -g, k, d) - 1.0, 0.3, 1.6)
        edges.append({"kept": kept, "delay": delay, "short_gamma": up, "long_gamma": -down})
    return {"late": rows, "late_edges": edges}


def power_response(exponent: float, unit: float, gain: float, delay: int, steps: int) -> list[float]:
    """Returns after one unit shock under the exact power kernel, by convolution over the whole history."""
    left = (1.0 + np.arange(steps) / unit) ** -exponent
    change = np.diff(left, prepend=0.0)
    returns = np.zeros(steps)
    returns[0] = 1.0
    for step in range(1, steps):
        hedged = returns[: max(step - delay + 1, 0)]
        returns[step] = gain * float(hedged[::-1] @ change[: hedged.size])
    return [float(value) for value in returns]


def power_kernels() -> dict[str, list[Row]]:
    responses = []
    for exponent, unit, gain, delay in [
        (0.5, 1.0, 0.8, 3),
        (0.5, 1.0, 0.9, 3),
        (0.5, 1.0, 1.1, 1),
        (0.5, 1.0, -0.8, 1),
        (0.5, 1.0, -0.9, 1),
        (0.3, 2.5, 0.5, 2),
        (0.9, 1.0, -0.6, 4),
    ]:
        values = power_response(exponent, unit, gain, delay, 1500)
        responses.append(
            {
                "exponent": exponent,
                "unit": unit,
                "gain": gain,
                "delay": delay,
                "start": values[:60],
                "early": float(np.abs(values[200:400]).max()),
                "late": float(np.abs(values[1300:]).max()),
            }
        )
    greatest = [{"exponent": float(b), "unit": 1.0, "value": float(2 * altzeta(mpf(b)))} for b in ("0.5", "0.25", "0.8", "1.5")]
    for b, unit in (("0.5", "2.5"), ("0.7", "12")):
        exponent, scale = mpf(b), mpf(unit)
        # sum (-1)^k (1 + k/u)^-b = u^b 2^-b (zeta(b, u/2) - zeta(b, (u+1)/2))
        value = 2 * scale**exponent * mpf(2) ** -exponent * (hurwitz(exponent, scale / 2) - hurwitz(exponent, (scale + 1) / 2))
        greatest.append({"exponent": float(exponent), "unit": float(scale), "value": float(value)})
    return {"power_responses": responses, "power_greatest": greatest}


def diffusion() -> list[Row]:
    """Var(x_l) / l of signs with correlation k^-gamma / 2 through (1 + k)^-beta, from the spectrum: no sum over trades at all."""
    rows = []
    for (gamma, beta), lag in itertools.product((("0.5", "0.25"), ("0.5", "0"), ("0.7", "0.15"), ("0.5", "0.5")), (1, 10, 25)):
        g, b = mpf(gamma), mpf(beta)

        def density(angle: Any, g: Any = g, b: Any = b, lag: int = lag) -> Any:
            turn = expj(angle)
            kernel = abs(1 / (1 - turn)) ** 2 if b == 0 else abs(polylog(b, turn)) ** 2
            signs = 1 + polylog(g, turn).real
            return kernel * signs * abs(1 - expj(angle * lag)) ** 2

        mp.dps = 15
        cuts = [2 * pi * k / lag for k in range(lag // 2 + 1)]
        cuts = cuts if cuts[-1] >= pi else [*cuts, pi]
        value = quad(density, cuts) / pi / lag
        mp.dps = 30
        rows.append({"sign_exponent": float(g), "exponent": float(b), "lag": lag, "variance": float(value.real)})
    return rows


def impact_share(kind: str, parameter: float, age: float) -> float:
    return {
        "power": lambda: age**-parameter,
        "exponential": lambda: float(np.exp(-parameter * age)),
        "bent": lambda: (1.0 + age) ** -parameter,
    }[kind]()


def trip_cost(kind: str, parameter: float, exponent: float, rates: list[float], durations: list[float]) -> float:
    """Cost of a strategy as an honest double integral over paying time and pushing time, phase by phase."""
    ends = np.cumsum(durations)
    starts = ends - np.array(durations)
    total = 0.0
    for i, j in itertools.product(range(len(rates)), repeat=2):
        if j > i:
            continue
        pushed = np.sign(rates[j]) * abs(rates[j]) ** exponent
        if kind == "power":
            area = power_area(1.0 - parameter, starts[i], ends[i], starts[j], ends[j])
        else:
            area, _ = dblquad(
                lambda s, t: impact_share(kind, parameter, t - s),
                starts[i],
                ends[i],
                starts[j],
                lambda t, j=j: min(t, ends[j]),
                epsabs=1e-12,
            )
        total += rates[i] * pushed * area
    return total


def power_area(one: float, start: float, end: float, pushed_from: float, pushed_to: float) -> float:
    """Inner integral by hand, so that the singular diagonal does no harm."""
    return float(quad(lambda t: (max(t - pushed_from, 0) ** one - max(t - pushed_to, 0) ** one) / one, [start, end]))


def arbitrage() -> dict[str, list[Row]]:
    generator = np.random.default_rng(5)
    costs = []
    for kind, parameter, exponent in [
        ("power", 0.5, 0.5),
        ("power", 0.3, 1.0),
        ("exponential", 2.2, 1.0),
        ("exponential", 0.4, 0.6),
        ("bent", 0.5, 1.0),
        ("bent", 1.0, 0.7),
        ("bent", 2.0, 1.0),
        ("bent", 2.6, 0.8),
    ]:
        durations = generator.uniform(0.1, 1.5, 5)
        rates = generator.standard_normal(5)
        rates[-1] = -(rates[:-1] @ durations[:-1]) / durations[-1]
        strategy = {"rates": rates.tolist(), "durations": durations.tolist()}
        costs.append(
            {
                "kind": kind,
                "parameter": parameter,
                "exponent": exponent,
                **strategy,
                "cost": trip_cost(kind, parameter, exponent, **strategy),
            }
        )
    two_phase = []
    for exponent, decay in ((0.5, 0.5), (0.5, 0.3), (0.5, 0.45), (0.3, 0.5), (1.0, 0.3), (0.4, 0.2), (0.7, 0.6)):
        found = min((two_phase_power(exponent, decay, rate), rate) for rate in np.geomspace(1e-4, 1e4, 4001))
        two_phase.append({"exponent": exponent, "decay": decay, "least": found[0], "rate": float(found[1])})
    searched = [least_by_quasi_newton(exponent, decay) for exponent, decay in ((0.5, 0.5), (0.6, 0.45), (0.7, 0.5), (0.9, 0.5))]
    return {"trip_costs": costs, "two_phase": two_phase, "searched": searched}


def two_phase_power(exponent: float, decay: float, rate: float) -> float:
    """Printed closed form of the round trip with v1 = T1 = 1."""
    power, other = 2.0 - decay, 1.0 / rate
    own = 1.0 + rate ** (1.0 + exponent) * other**power
    return (own - rate * ((1.0 + other) ** power - 1.0 - other**power)) / ((1.0 - decay) * power)


def least_by_quasi_newton(exponent: float, decay: float) -> Row:
    """Least cost over 16 even phases relative to stand-alone cost, by L-BFGS from many random starts."""
    phases, power = 16, 2.0 - decay
    whole = np.arange(phases + 1.0) ** power / ((1.0 - decay) * power)
    felt = np.concatenate([[whole[1]], whole[2:] - 2.0 * whole[1:-1] + whole[:-2]])
    cross = np.array([[felt[i - j] if i >= j else 0.0 for j in range(phases)] for i in range(phases)])

    def share(rates: np.ndarray) -> float:
        flat = rates - rates.mean()
        pushed = np.sign(flat) * np.abs(flat) ** exponent
        return float(flat @ cross @ pushed / (felt[0] * np.abs(flat) ** (1.0 + exponent)).sum())

    generator = np.random.default_rng(3)
    starts = [np.cumsum(generator.standard_normal(phases)) if k % 2 else generator.standard_normal(phases) for k in range(30)]
    starts += [np.where(np.arange(phases) < cut, 1.0, -float(cut) / (phases - cut)) for cut in range(1, phases)]
    least = min(minimize(share, start, method="L-BFGS-B", options={"maxiter": 500}).fun for start in starts)
    return {"exponent": exponent, "decay": decay, "least": float(least)}


def estimation() -> Row:
    """Slopes and White errors of a small sample, summed term by term."""
    generator = np.random.default_rng(11)
    outside, news = generator.standard_normal(45), generator.standard_normal(45)
    returns = (news + 0.4 * outside) / 0.88
    flow = 0.3 * returns + outside
    n = len(flow)
    r, q, z = ([mpf(float(v)) for v in column] for column in (returns, flow, outside))
    r, q, z = ([v - sum(c) / n for v in c] for c in (r, q, z))
    slope = sum(a * b for a, b in zip(q, r)) / sum(a * a for a in q)
    error = (sum((a * (b - slope * a)) ** 2 for a, b in zip(q, r)) * n / (n - 2)) ** mpf("0.5") / sum(a * a for a in q)
    clean = sum(a * b for a, b in zip(z, r)) / sum(a * b for a, b in zip(z, q))
    clean_error = (sum((a * (b - clean * c)) ** 2 for a, b, c in zip(z, r, q)) * n / (n - 2)) ** mpf("0.5") / abs(
        sum(a * b for a, b in zip(z, q))
    )
    first = sum(a * b for a, b in zip(z, q)) / sum(a * a for a in z)
    first_error = (sum((a * (b - first * a)) ** 2 for a, b in zip(z, q)) * n / (n - 2)) ** mpf("0.5") / sum(a * a for a in z)
    return {
        "log_return": returns.tolist(), "flow": flow.tolist(), "instrument": outside.tolist(),
        "ols": float(slope), "ols_error": float(error), "iv": float(clean), "iv_error": float(clean_error), "first_stage_f": float((first / first_error) ** 2),
    }  # fmt: skip


def almgren_chriss() -> list[Row]:
    """Best slices from the first-order conditions, solved exactly: no hyperbolic sine."""
    rows = []
    for quantity, horizon, slices, vol, permanent, temporary, aversion in [
        (1e6, 5.0, 5, 0.95, 2.5e-7, 2.5e-6, 1e-6), (1e6, 5.0, 5, 0.95, 2.5e-7, 2.5e-6, 0.0), (250.0, 0.25, 12, 900.0, 0.4, 0.9, 3e-6), (4e3, 1.0, 40, 1500.0, 0.02, 0.1, 1e-7), (1.0, 2.0, 3, 0.5, 0.0, 1.0, 4.0),
    ]:  # fmt: skip
        x, t, s, g, e, a = (mpf(str(v)) for v in (quantity, horizon, vol, permanent, temporary, aversion))
        step = t / slices
        net = e - g * step / 2
        system, right = matrix(slices + 1, slices + 1), matrix(slices + 1, 1)
        for j in range(slices):
            system[j, j] += 2 * net / step
            for held in range(j, slices):  # x_held = X - sum of trades up to it
                right[j] += 2 * a * s**2 * step * x
                for k in range(held + 1):
                    system[j, k] += 2 * a * s**2 * step
            system[j, slices] = 1
            system[slices, j] = 1
        right[slices] = x
        traded = exact_solve(system, right)[:slices]
        held = [x - sum(traded[: k + 1]) for k in range(slices)]
        cost = g * x**2 / 2 + net / step * sum(v * v for v in traded)
        spread = s * (step * sum(v * v for v in held)) ** mpf("0.5")
        order = {
            "quantity": quantity,
            "horizon": horizon,
            "slices": slices,
            "vol": vol,
            "permanent": permanent,
            "temporary": temporary,
            "risk_aversion": aversion,
        }
        rows.append({"order": order, "weights": [float(v / x) for v in traded], "cost_without_spread": float(cost), "sd": float(spread)})
    return rows


def obizhaeva_wang() -> list[Row]:
    """Cheapest slices against the kernel matrix: Toeplitz solve, and a bounded quadratic programme that may not sell."""
    rows = []
    for slices, decays in ((1001, 2.2), (11, 2.2), (7, 0.3), (25, 30.0), (2, 1.0)):
        kernel = np.exp(-decays * np.arange(slices) / (slices - 1))
        solved = solve_toeplitz(kernel, np.ones(slices))
        weights = solved / solved.sum()
        square = np.exp(-decays * np.abs(np.subtract.outer(np.arange(slices), np.arange(slices))) / (slices - 1))
        row = {
            "slices": slices,
            "decays": decays,
            "first": weights[0],
            "middle": weights[slices // 2],
            "last": weights[-1],
            "cost": 0.5 * weights @ square @ weights,
        }
        if slices <= 25:
            bounded = minimize(
                lambda n, square=square: 0.5 * n @ square @ n, np.full(slices, 1.0 / slices), jac=lambda n, square=square: square @ n,
                bounds=[(0.0, 1.0)] * slices, constraints={"type": "eq", "fun": lambda n: n.sum() - 1.0}, method="SLSQP", options={"ftol": 1e-15, "maxiter": 500},
            )  # fmt: skip
            row["cost_by_programme"] = float(bounded.fun)
        rows.append({name: float(value) if name != "slices" else value for name, value in row.items()})
    return rows


def pinning_by_power() -> list[Row]:
    """P(|z| < 1) of the charm-only loop with impact |dQ/dt|^p, z = ln(S/K) / (vol sqrt(tau)), in log time, by finite volumes.

    dz = z/2 ds - e^((p - 1/2) s) sign(z) |z|^p e^(-p z^2 / 2) ds + dW, from z = 0; half line by symmetry.
    """
    stretch = np.linspace(0.0, 1.0, 3001)
    edge = 60.0 * np.sinh(6.0 * stretch) / np.sinh(6.0)
    edge = np.insert(edge, np.searchsorted(edge, 1.0), 1.0)
    width, middle = np.diff(edge), 0.5 * (edge[1:] + edge[:-1])
    start = np.where(np.arange(width.size) == 0, 1.0, 0.0)
    inside = int(np.searchsorted(edge, 1.0))
    rows = []
    for p in (0.25, 0.5, 0.75, 1.0, None):
        mass, now, found = start.copy(), 0.0, {}
        step = 1e-4
        for mark in (2.0, 4.0, 6.0, 8.0, 10.0):
            while now < mark - 1e-12:
                used = min(step, mark - now)
                mass = one_implicit_step(mass, edge, width, middle, now + 0.5 * used, used, p)
                now += used
                step = min(step * 1.05, 0.004)
            found[str(mark)] = float(mass[:inside].sum())
        rows.append({"power": p, "inside": found})
    return rows


def one_implicit_step(
    mass: np.ndarray, edge: np.ndarray, width: np.ndarray, middle: np.ndarray, when: float, step: float, p: float | None
) -> np.ndarray:
    """Backward Euler with exponentially fitted (Scharfetter and Gummel) fluxes; mass that leaves at the far edge is lost on purpose."""
    inner = edge[1:-1]
    drift = 0.5 * inner
    if p is not None:
        drift = drift - np.exp((p - 0.5) * when) * inner**p * np.exp(-0.5 * p * inner**2)
    gap = np.diff(middle)
    peclet = 2.0 * drift * gap
    bernoulli = lambda v: np.where(np.abs(v) < 1e-8, 1.0 - 0.5 * v, v / np.expm1(np.where(np.abs(v) < 1e-8, 1.0, v)))  # noqa: E731
    out, back = 0.5 * bernoulli(-peclet) / gap, 0.5 * bernoulli(peclet) / gap
    size = mass.size
    bands = np.zeros((3, size))
    bands[1] = 1.0
    bands[1, :-1] += step * out / width[:-1]
    bands[1, 1:] += step * back / width[1:]
    bands[1, -1] += step * 0.5 * edge[-1] / width[-1]
    bands[0, 1:] = -step * back / width[1:]
    bands[2, :-1] = -step * out / width[:-1]
    return np.asarray(solve_banded((1, 1), bands, mass))


def main() -> None:
    answers = {
        "passing": passing_loops(), **late_loops(), **power_kernels(), "diffusion": diffusion(), **arbitrage(), "estimation": estimation(),
        "almgren_chriss": almgren_chriss(), "obizhaeva_wang": obizhaeva_wang(), "pinning": pinning_by_power(),
    }  # fmt: skip
    TARGET.write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
