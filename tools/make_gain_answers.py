"""Write tests/answers/gain.json: loop-gain answers from code that shares nothing with the package.

Impulse responses stand in for variance formulas, root finding for stability bounds, 40-digit differentiation for greeks, SciPy for the
Lyapunov equation.  Run: python tools/make_gain_answers.py
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import altzeta, diff, exp, findroot, inverse, ln, log, matrix, mp, mpf, ncdf, pi, polylog, sqrt
from scipy.linalg import eigvals, inv, norm, solve_discrete_lyapunov

mp.dps = 40
TARGET = Path(__file__).parent.parent / "tests" / "answers" / "gain.json"


def call_price(spot: Any, strike: Any, vol: Any, years: Any) -> Any:
    width = vol * sqrt(years)
    d1 = log(spot / strike) / width + width / 2
    return spot * ncdf(d1) - strike * ncdf(d1 - width)


def greeks(spot: Any, strike: Any, vol: Any, years: Any) -> dict[str, Any]:
    return {
        "delta": diff(lambda s: call_price(s, strike, vol, years), spot),
        "gamma": diff(lambda s: call_price(s, strike, vol, years), spot, 2),
        "vanna": diff(lambda s, v: call_price(s, strike, v, years), (spot, vol), (1, 1)),
        "volga": diff(lambda v: call_price(spot, strike, v, years), vol, 2),
    }


def feedback_volatility() -> list[dict[str, float]]:
    """sigma_eff from the slope of the clearing price in the fundamental, found numerically."""
    rows = []
    for strike, vol, days, rho in itertools.product((90, 100, 115), ("0.2", "0.6"), ("91.25", "30"), ("0.05", "-0.05", "0.02")):
        spot, vol, years, share = mpf(100), mpf(vol), mpf(days) / 365, mpf(rho)
        struck = mpf(strike)
        found = greeks(spot, struck, vol, years)

        def holding(price: Any, strike: Any = struck, vol: Any = vol, years: Any = years) -> Any:
            width = vol * sqrt(years)
            return ncdf(log(price / strike) / width + width / 2)

        def frey_price(fundamental: Any, share: Any = share, holding: Any = holding) -> Any:
            return findroot(lambda x: x - share * holding(exp(x)) - fundamental, ln(mpf(100)))

        def linear_price(fundamental: Any, share: Any = share, holding: Any = holding) -> Any:
            return findroot(lambda x: x + ln(1 - share * holding(exp(x))) - fundamental, ln(mpf(100)))

        base = ln(spot)
        slope = diff(frey_price, base - share * holding(spot), h=mpf("1e-12"))
        slope_linear = diff(linear_price, base + ln(1 - share * holding(spot)), h=mpf("1e-12"))
        if spot * found["gamma"] * share >= 1:
            continue
        rows.append(
            {
                "vol": float(vol),
                "rho": float(share),
                "holding": float(found["delta"]),
                "holding_slope": float(spot * found["gamma"]),
                "gain": float(share * spot * found["gamma"]),
                "frey": float(vol * slope),
                "sircar_papanicolaou": float(vol * slope_linear),
            }
        )
    return rows


def crypto_example() -> list[dict[str, float]]:
    """T1's book under the square-root law: three meanings of 'the gain', which must not be mixed."""
    rows = []
    for contracts, spot, vol, days, adv, y in (
        (-20000, 60000, "0.6", 7, "10e9", 1),
        (-5000, 91630, "0.45", 30, "25e9", "0.7"),
        (8000, 3000, "0.8", 2, "4e9", "1.3"),
    ):
        spot, vol, volume, y = mpf(spot), mpf(vol), mpf(adv), mpf(y)
        dollar_gamma = contracts * spot**2 * greeks(spot, spot, vol, mpf(days) / 365)["gamma"]
        day_vol = vol / sqrt(mpf(365))
        gex, sign = dollar_gamma / 100, (1 if contracts < 0 else -1)

        def impact(flow: Any, y: Any = y, day_vol: Any = day_vol, volume: Any = volume) -> Any:
            return y * day_vol * sqrt(flow / volume)

        per_usd = impact(mpf(100e6)) / mpf(100e6)
        one_pct_flow = findroot(lambda q: impact(q) - mpf("0.01"), volume / 10)
        rows.append(
            {
                "gex_usd_per_pct": float(gex),
                "daily_volume_usd": float(volume),
                "daily_vol": float(day_vol),
                "y": float(y),
                "impact_100m_bps": float(1e4 * impact(mpf(100e6))),
                "impact_1bn_bps": float(1e4 * impact(mpf(1e9))),
                "gain_secant_100m": float(-per_usd * dollar_gamma),
                "gain_forced_flow": float(sign * impact(abs(gex)) / mpf("0.01")),
                "gain_forced_flow_3pct": float(sign * impact(3 * abs(gex)) / mpf("0.03")),
                "gain_flow_that_moves_1pct": float(-gex / one_pct_flow),
                "vol_secant_100m": float(vol / (1 + per_usd * dollar_gamma)),
            }
        )
    return rows


def variance_ratios() -> list[dict[str, float]]:
    """Gamma P&L by hand: claim plus hedge of unit gamma over one step, price moving dF / (1 - g), fills half-way through the hedge's move."""
    rows = []
    for gain in ("0.3", "-0.5", "0.155", "0.9", "-3"):
        g, shock = mpf(gain), mpf("0.01")
        move = findroot(lambda m, g=g, shock=shock: m - g * m - shock, shock)
        own_move = g * move
        loss = move**2 / 2 - (move * own_move) / 2
        rows.append({"gain": float(g), "realised": float((move / shock) ** 2), "break_even": float(2 * loss / shock**2)})
    return rows


def square_root_loops() -> list[dict[str, float]]:
    rows = []
    for strength2, shock in itertools.product(("9e-4", "1e-4", "4e-3"), ("1e-4", "1e-3", "1e-2", "3e-2")):
        c, eps = sqrt(mpf(strength2)), mpf(shock)
        move = findroot(lambda r, c=c, eps=eps: r - eps - c * sqrt(r), (eps + c * c) * 2)
        local = diff(lambda r, c=c: c * sqrt(r), move)
        rows.append(
            {"strength": float(c), "shock": float(eps), "move": float(move), "amplification": float(move / eps), "local_gain": float(local)}
        )
    return rows


def lagged() -> list[dict[str, float]]:
    """Impulse response of r_t = e_t + g r_(t-d), summed over a horizon."""
    rows = []
    for g, delay, horizon in itertools.product(("0.155", "0.5", "-0.5", "0.9", "-0.8"), (1, 3), (1, 2, 5, 10, 100)):
        gain, length = mpf(g), 2400
        response = [gain ** (k // delay) if k % delay == 0 else mpf(0) for k in range(length)]
        window = [sum(response[max(0, k - horizon + 1) : k + 1]) for k in range(length + horizon - 1)]
        rows.append(
            {
                "gain": float(gain),
                "delay": delay,
                "horizon": horizon,
                "ratio": float(sum(w * w for w in window) / horizon),
                "one_step": float(sum(r * r for r in response)),
                "long_run": float(sum(response) ** 2),
                "autocorrelation_at_delay": float(
                    sum(a * b for a, b in zip(response[delay:], response, strict=False)) / sum(r * r for r in response)
                ),
            }
        )
    return rows


def partial() -> list[dict[str, float]]:
    """Impulse response of a market whose hedgers close a fraction of the gap one step late."""
    rows = []
    for g, a in (("0.5", "0.25"), ("-2.5", "0.5"), ("-0.9", "1"), ("0.9", "0.3"), ("-6", "0.2"), ("0.2", "1")):
        gain, speed = mpf(g), mpf(a)
        level, held, moves = mpf(0), mpf(0), []
        for step in range(6000):
            trade = speed * (gain * level - held)
            move = (1 if step == 0 else 0) + trade
            level, held = level + move, held + trade
            moves.append(move)
        rows.append({"gain": float(gain), "speed": float(speed), "one_step": float(sum(m * m for m in moves)), "long_run": float(level**2)})
    return rows


def partial_bounds() -> list[dict[str, float]]:
    """Speeds and the most negative gain that still settles, by the root of the recursion's eigenvalue at -1."""
    rows = []
    for a in ("0.1", "0.25", "0.5", "0.9", "1"):
        speed = mpf(a)
        low = findroot(lambda g, speed=speed: (1 - speed * (1 - g)) + 1, mpf(-1))
        rows.append({"speed": float(speed), "low": float(low)})
    return rows


def hayes() -> list[dict[str, float]]:
    """Delay at which s + 1 = g exp(-s tau) first has a root on the imaginary axis."""
    rows = []
    for g in ("-1.05", "-1.5", "-2", "-3", "-10"):
        gain = mpf(g)
        omega = sqrt(gain**2 - 1)
        tau = findroot(
            lambda t, gain=gain, omega=omega: (gain * exp(-1j * omega * t)).imag - omega,
            (pi - mpf("1.0")) / omega if gain < -2 else mpf(2) / omega,
        )
        assert abs((gain * exp(-1j * omega * tau)).real - 1) < mpf("1e-20"), (g, tau)
        assert 0 < tau * omega < pi, (g, tau)
        rows.append({"gain": float(gain), "bound": float(tau)})
    return rows


def transient() -> list[dict[str, float]]:
    rows = []
    for p, t, rho in (
        ("0.1", "0.4", "0.9"),
        ("0.2", "0.5", "0.5"),
        ("-0.3", "-0.6", "0.8"),
        ("0", "0.9", "0.9"),
        ("0.1", "0.65", "0.5"),
        ("0.3", "-2", "0.7"),
    ):
        permanent, passing, kept = mpf(p), mpf(t), mpf(rho)
        room, displaced, moves = 1 - permanent - passing, mpf(0), []
        for step in range(4000):
            move = ((1 if step == 0 else 0) - (1 - kept) * displaced) / room
            displaced = kept * displaced + passing * move
            moves.append(move)
        rows.append(
            {
                "permanent": float(permanent),
                "transient": float(passing),
                "retention": float(kept),
                "one_step": float(sum(m * m for m in moves)),
                "long_run": float(sum(moves) ** 2),
            }
        )
    return rows


def transient_bounds() -> list[dict[str, float]]:
    """Transient gain at which the displacement's memory reaches -1."""
    rows = []
    for p, rho in (("0", "0.9"), ("0.1", "0.5"), ("-0.5", "0.8"), ("0.4", "0.2")):
        permanent, kept = mpf(p), mpf(rho)
        bound = findroot(lambda g, p=permanent, k=kept: (k * (1 - p - g) - g * (1 - k)) + (1 - p - g), (1 - permanent) / 2)
        rows.append({"permanent": float(permanent), "retention": float(kept), "bound": float(bound)})
    return rows


def lagged_transient_bounds() -> list[dict[str, float]]:
    """Transient gains at which a root crosses the unit circle: g = z^d (z - rho) / (z - 1) real on the circle, nearest to 0 each side."""
    rows = []
    for rho, delay in itertools.product(("0.8", "0.3"), (1, 2, 3, 5, 10)):
        kept = float(rho)

        def on_circle(angle: Any, kept: float = kept, delay: int = delay) -> Any:
            z = np.exp(1j * angle)
            return z**delay * (z - kept) / (z - 1)

        angles = np.linspace(1e-4, np.pi, 200_001)
        values = on_circle(angles)
        turns = np.flatnonzero(np.sign(values.imag[:-1]) * np.sign(values.imag[1:]) < 0)
        found = [float(on_circle(np.pi).real)]
        for turn in turns:
            angle = findroot(
                lambda w, kept=kept, delay=delay: (exp(1j * w * delay) * (exp(1j * w) - kept) / (exp(1j * w) - 1)).imag,
                (angles[turn], angles[turn + 1]),
                solver="anderson",
            )
            found.append(float((exp(1j * angle * delay) * (exp(1j * angle) - kept) / (exp(1j * angle) - 1)).real))
        if delay == 1:
            found.append(1.0)  # the product of the roots reaches 1: |rho g_P + g_T| < 1
        rows.append({"retention": kept, "delay": delay, "low": max(g for g in found if g < 0), "high": min(g for g in found if g > 0)})
    return rows


def small_gains() -> list[dict[str, float]]:
    """Largest |L0| on a fine grid of frequencies."""
    turned = np.exp(-1j * np.linspace(0.0, np.pi, 4001))
    rows = []
    for p, t, rho in itertools.product((-0.6, 0.0, 0.3), (-0.5, 0.2, 0.7), (0.0, 0.4, 0.9)):
        peak = np.abs(p + t * (1 - turned) / (1 - rho * turned)).max()
        rows.append({"permanent": p, "transient": t, "retention": rho, "peak": float(peak)})
    return rows


def power_laws() -> list[dict[str, float]]:
    rows = []
    for exponent in ("0.1", "0.25", "0.5", "0.75", "0.9"):
        beta = mpf(exponent)
        spectrum = [
            abs((1 - 1 / z) * polylog(beta, 1 / z) * z) for z in (exp(1j * w) for w in (pi / 8, pi / 4, pi / 2, 3 * pi / 4, mpf("3.1")))
        ]
        peak = 2 * altzeta(beta)
        assert max(spectrum) < peak, exponent
        rows.append({"exponent": float(beta), "peak": float(peak)})
    return rows


def matrices() -> list[dict[str, Any]]:
    rows = []
    cases = [
        ([[3e-11, 0.8e-11], [0.9e-11, 6e-11]], [[-5e9, -0.6e9], [-0.6e9, -3e9]], [[1, 0.8], [0.8, 1.6]]),
        (
            [[3e-11, 0.0, 1e-11], [0.2e-11, 5e-11, 0.0], [0.5e-11, 0.1e-11, 8e-11]],
            [[4e9, -1e9, 0.0], [-2e9, -6e9, 0.5e9], [0.0, 0.5e9, -3e9]],
            [[1, 0.5, 0.2], [0.5, 2, 0.1], [0.2, 0.1, 0.7]],
        ),
        ([[1.0, 0.0], [0.0, 1.0]], [[-0.2, -0.1], [-0.05, -0.3]], [[1, 0], [0, 1]]),
        ([[1.0, 0.0], [0.0, 1.0]], [[-0.5, -8.0], [0.0, -0.5]], [[1, 0], [0, 1]]),
        ([[1.0, 0.0], [0.0, 1.0]], [[-0.25, 0.06], [0.8, -0.05]], [[1, 0], [0, 0.3]]),
    ]
    for impact, gamma, shocks in cases:
        gain = -np.array(impact) @ np.array(gamma)
        values = eigvals(gain)
        spread = inv(np.eye(len(gain)) - gain)
        once = np.eye(len(gain)) + gain
        rows.append(
            {
                "impact": impact,
                "gamma": gamma,
                "shocks": shocks,
                "spectral_radius": float(np.abs(values).max()),
                "largest_real_part": float(values.real.max()),
                "amplification_norm": float(norm(spread, 2)),
                "inverse": spread.tolist(),
                "long_run": (spread @ np.array(shocks) @ spread.T).tolist(),
                "lagged": solve_discrete_lyapunov(gain, np.array(shocks, dtype=float)).tolist(),
                "one_round": (once @ np.array(shocks) @ once.T).tolist(),
            }
        )
    return rows


def spot_vol_loops() -> list[dict[str, Any]]:
    """T13-G by the inverse of the whole system (I - B + Lambda H), greeks by differentiation."""
    rows = []
    for strike, contracts, beta, share in itertools.product((54000, 66000), (-20000, 20000), ("-0.8", "0.4"), (0, 1)):
        spot, vol, years, per_usd, vol_per_usd = mpf(60000), mpf("0.6"), mpf(30) / 365, mpf("3.1e-11"), mpf("2e-10")
        found = greeks(spot, mpf(strike), vol, years)
        gamma, vanna, volga = contracts * spot**2 * found["gamma"], contracts * spot * found["vanna"], contracts * found["volga"]
        hedges = matrix([[gamma, vanna], [share * vanna, share * volga]])
        links = matrix([[0, 0], [mpf(beta), 0]])
        impacts = matrix([[per_usd, 0], [0, vol_per_usd]])
        identity = matrix([[1, 0], [0, 1]])
        response = inverse(identity - links + impacts * hedges)
        loop = -hedges * inverse(identity - links) * impacts
        numeric = np.array(loop.tolist(), dtype=float)
        rows.append(
            {
                "strike_usd": strike,
                "contracts": contracts,
                "beta": float(beta),
                "vega_hedge_share": share,
                "gamma_usd": float(gamma),
                "vanna_usd": float(vanna),
                "volga_usd": float(volga),
                "impact_per_usd": float(per_usd),
                "vol_impact_per_vega_usd": float(vol_per_usd),
                "loop": numeric.tolist(),
                "spectral_radius": float(np.abs(eigvals(numeric)).max()),
                "determinant": float((1 - loop[0, 0]) * (1 - loop[1, 1]) - loop[0, 1] * loop[1, 0]),
                "amplification": float(response[0, 0]),
            }
        )
    return rows


def main() -> None:
    answers = {
        "made_by": "tools/make_gain_answers.py (mpmath 40 digits, scipy.linalg)",
        "feedback_volatility": feedback_volatility(),
        "crypto_example": crypto_example(),
        "variance_ratios": variance_ratios(),
        "square_root_loops": square_root_loops(),
        "lagged": lagged(),
        "partial": partial(),
        "partial_bounds": partial_bounds(),
        "hayes": hayes(),
        "transient": transient(),
        "transient_bounds": transient_bounds(),
        "lagged_transient_bounds": lagged_transient_bounds(),
        "small_gains": small_gains(),
        "power_laws": power_laws(),
        "matrices": matrices(),
        "spot_vol_loops": spot_vol_loops(),
    }
    TARGET.write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
