"""Chain greeks, implied vol and profile against what users would pick today: one table of ratios.

    python benchmarks/chain.py [--rounds 15]

All contestants run in this process, one after the other in every round; figures are medians of CPU time over the rounds, ratios medians of
the rounds' ratios (other programs on the machine disturb both sides of a round alike). Peers get the input shapes that suit them best.
Needs the extra `bench` (lbriv, pyvolr); a peer that is not installed leaves its line out. PASS and FAIL compare with the project's targets.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # before NumPy is read; a second thread that waits counts as CPU time, which would flatter us

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

OPTIONS, SPOTS, SHIFTS = 1488, 400, 20


@dataclass(frozen=True)
class Line:
    """One row of the table: ours against one peer."""

    job: str
    peer: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    target: float
    repeats: int  # calls per round of each side
    options: int  # to divide by: 1 where the whole job is what counts
    error: Callable[[], tuple[str, str]]  # ours, theirs


def chain() -> dict[str, np.ndarray]:
    """A Deribit-like chain: 12 expiries of strikes within 3 deviations, a call and a put each at one smile vol."""
    days = np.array([0.3, 1.3, 2.3, 3.3, 8.3, 15.3, 29.3, 57.3, 92.3, 183.3, 274.3, 365.3])
    per_side = OPTIONS // days.size // 2
    deviations = np.linspace(-3, 3, per_side)
    years = np.repeat(days / 365, per_side)
    atm = 0.45 + 0.05 * np.sqrt(years)
    z = np.tile(deviations, days.size)
    vol = atm * (1 - 0.04 * z + 0.03 * z * z)
    strike = 60000 * np.exp(z * atm * np.sqrt(years))
    both = {"strike": strike, "years": years, "vol": vol, "forward": np.full(years.size, 60000.0)}
    doubled = {name: np.concatenate((values, values)) for name, values in both.items()}
    doubled["right"] = np.repeat([1.0, -1.0], years.size)
    doubled["position"] = np.random.default_rng(3).normal(0, 100, 2 * years.size)
    return doubled


def numpy_greeks(c: dict[str, np.ndarray], *, price: bool = True) -> tuple[np.ndarray, ...]:
    """Price and seven greeks as one writes them by hand: every common part computed once."""
    from scipy.special import ndtr

    root = np.sqrt(c["years"])
    w = c["vol"] * root
    d1 = np.log(c["forward"] / c["strike"]) / w + 0.5 * w
    d2 = d1 - w
    n1 = np.exp(-0.5 * d1 * d1) * 0.3989422804014327
    cdf = ndtr(c["right"] * d1)
    paid = (c["right"] * (c["forward"] * cdf - c["strike"] * ndtr(c["right"] * d2)),) if price else ()
    gamma = n1 / (c["forward"] * w)
    vega = c["forward"] * n1 * root
    theta = -0.5 * vega * c["vol"] / c["years"]
    vanna = -n1 * d2 / c["vol"]
    charm = 0.5 * n1 * d2 / c["years"]
    return *paid, c["right"] * cdf, gamma, vega, theta, vanna, charm, vega * d1 * d2 / c["vol"]


def numpy_twelve(c: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """All twelve figures that black_greeks returns, by hand."""
    price, delta, gamma, vega, theta, vanna, charm, vomma = numpy_greeks(c)
    w = c["vol"] * np.sqrt(c["years"])
    d1 = np.log(c["forward"] / c["strike"]) / w + 0.5 * w
    both = d1 * (d1 - w)
    rho, speed = -c["years"] * price, -gamma / c["forward"] * (1.0 + d1 / w)
    return (
        price,
        delta,
        gamma,
        vega,
        theta,
        rho,
        vanna,
        charm,
        vomma,
        speed,
        gamma * (both - 1.0) / c["vol"],
        gamma * (1.0 - both) / (2.0 * c["years"]),
    )


def numpy_grid(c: dict[str, np.ndarray], ratios: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """The profile as one writes it first: the chain's greeks (the function above) on a spots x options array, then summed with the positions."""
    out = np.empty((shifts.size, ratios.size, 7))
    for v, shift in enumerate(shifts):
        moved = {**c, "forward": c["forward"] * ratios[:, None], "vol": c["vol"] + shift}
        for column, greek in enumerate(numpy_greeks(moved, price=False)):
            out[v, :, column] = (greek * c["position"]).sum(axis=1)
    return out


def numpy_profile(c: dict[str, np.ndarray], ratios: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """The same tuned: no price, every weight folded into a vector, sums by BLAS (on one thread, as ours), arrays used again."""
    from scipy.special import ndtr

    out = np.empty((shifts.size, ratios.size, 7))
    root, held = np.sqrt(c["years"]), c["position"]
    forward = c["forward"] * ratios[:, None]
    log_moneyness = np.log(forward / c["strike"])
    puts = held[c["right"] < 0].sum()
    for v, shift in enumerate(shifts):
        vol = c["vol"] + shift
        w = vol * root
        d1 = log_moneyness / w + 0.5 * w
        d2 = d1 - w
        n1 = np.exp(-0.5 * d1 * d1) * 0.3989422804014327
        vega = forward * n1
        out[v, :, 0] = ndtr(d1) @ held - puts
        out[v, :, 1] = (n1 / forward) @ (held / w)
        out[v, :, 2] = vega @ (held * root)
        out[v, :, 3] = vega @ (-0.5 * held * vol / root)
        n1 *= d2
        out[v, :, 4] = n1 @ (-held / vol)
        out[v, :, 5] = n1 @ (0.5 * held / c["years"])
        vega *= d1 * d2
        out[v, :, 6] = vega @ (held * root / vol)
    return out


def lines() -> list[Line]:
    from tailwag.kernels.black import black_greeks, black_price, common_greeks
    from tailwag.kernels.implied import implied_vol
    from tailwag.kernels.netgreeks import net_greeks

    c = chain()
    columns = (c["right"], c["forward"], c["strike"], c["years"], c["vol"])
    made = [
        Line(
            f"price + {greeks} greeks",
            f"NumPy/SciPy by hand, {greeks}",
            lambda ours=ours: ours(*columns),
            lambda by_hand=by_hand: by_hand(c),
            5,
            20,
            OPTIONS,
            lambda: greeks_error(c),
        )
        # like for like: either side computes the same figures
        for greeks, ours, by_hand in ((7, common_greeks, numpy_greeks), (11, black_greeks, numpy_twelve))
    ]
    if find_spec("pyvolr"):
        from pyvolr import black76

        flag, still = c["right"].astype(np.int8), np.zeros(c["right"].size)
        market = (flag, c["forward"], c["strike"], c["years"], still, c["vol"])

        def pyvolr_greeks() -> tuple[Any, Any]:
            return black76.price(*market), black76.greeks(*market)

        made.append(
            Line(
                "price + 11 greeks", "pyvolr (price + 5)", lambda: black_greeks(*columns), pyvolr_greeks, 10, 20, OPTIONS, lambda: ("", "")
            )
        )
    if find_spec("lbriv"):
        import lbriv

        out = {side: (c["right"] == side) & (side * (c["strike"] - c["forward"]) >= 0) for side in (1, -1)}
        strikes = {side: np.tile(c["strike"][rows], 2) for side, rows in out.items()}
        order = np.concatenate([np.flatnonzero(rows) for rows in (out[1], out[1], out[-1], out[-1])])
        prices = black_price(*(values[order] for values in columns))
        split = {1: prices[: strikes[1].size], -1: prices[strikes[1].size :]}
        quoted = (prices, c["right"][order], c["forward"][order], c["strike"][order], c["years"][order])

        def lbriv_vols() -> np.ndarray:
            return np.concatenate([lbriv.vectorized_implied_vol_strikes(split[side], 60000.0, strikes[side], side) for side in (1, -1)])

        def vol_errors() -> tuple[str, str]:
            vol = c["vol"][order]
            ours, status = implied_vol(*quoted)
            theirs = lbriv_vols() / np.sqrt(quoted[4])
            return (
                f"{np.max(np.abs(ours / vol - 1)):.0e}, {np.sum(status != 0)} failed",
                f"{np.nanmax(np.abs(theirs / vol - 1)):.0e}, {np.sum(np.isnan(theirs))} failed",
            )

        made.append(Line("implied vol", "lbriv", lambda: implied_vol(*quoted), lbriv_vols, 4, 20, prices.size, vol_errors))
    ratios, shifts = np.linspace(0.6, 1.5, SPOTS), np.linspace(-0.15, 0.25, SHIFTS)

    def alone(c: dict[str, np.ndarray]) -> Callable[[], np.ndarray]:
        held = (c["right"], c["strike"], c["forward"], c["years"], c["vol"], c["position"])
        return lambda: net_greeks(*held, ratios, shifts, priced=False)

    def profile_error(c: dict[str, np.ndarray]) -> tuple[str, str]:
        ours, theirs = alone(c)()[..., 1:], numpy_profile(c, ratios, shifts)
        scale = np.max(np.abs(theirs), axis=(0, 1))
        return f"{np.max(np.abs(ours - theirs) / scale):.0e} apart", ""

    unpaired = {**c, "vol": c["vol"] * np.where(c["right"] > 0, 1.0, 1.001)}  # a call's vol is not its put's: nothing can be shared
    peers = (("NumPy/SciPy by hand", numpy_grid), ("the same, tuned", numpy_profile))
    for job, book in ((f"profile {OPTIONS}x{SPOTS}x{SHIFTS}", c), ("profile, no pairs", unpaired)):
        for peer, by_hand in peers:
            made.append(
                Line(
                    job,
                    peer,
                    alone(book),
                    lambda book=book, by_hand=by_hand: by_hand(book, ratios, shifts),
                    25,
                    1,
                    1,
                    lambda book=book: profile_error(book),
                )
            )  # type: ignore[misc]
    return made


def greeks_error(c: dict[str, np.ndarray]) -> tuple[str, str]:
    """Largest relative error of price, delta, gamma, vega against 50 digits, on every 37th option."""
    from tools.make_greeks_answers import reference

    from tailwag.kernels.black import black_greeks

    rows = np.arange(0, OPTIONS, 37)
    names = {"right": "right", "forward_usd": "forward", "strike_usd": "strike", "years": "years", "vol": "vol"}
    picked = [{to: (int if to == "right" else float)(c[name][row]) for to, name in names.items()} for row in rows]
    exact = [reference(point, ("delta", "gamma", "vega"), coin=False) for point in picked]
    wanted = np.array([[answer[name] for answer in exact] for name in ("price", "delta", "gamma", "vega")])
    ours = black_greeks(c["right"], c["forward"], c["strike"], c["years"], c["vol"])[:4, rows]
    theirs = np.array(numpy_greeks(c)[:4])[:, rows]
    worst = [f"{np.max(np.abs(got / wanted - 1)):.0e}" for got in (ours, theirs)]
    return worst[0], worst[1]


def seconds(work: Callable[[], Any], repeats: int) -> float:
    start = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - start) / repeats


def measure(line: Line, rounds: int) -> tuple[float, float, float]:
    """Median seconds of ours and theirs, and the median of the rounds' ratios."""
    line.ours(), line.theirs()
    alike = max(
        1, round(line.target)
    )  # as much work on either side of a round: a shared machine disturbs long runs and short ones differently
    pairs = [(seconds(line.ours, line.repeats * alike), seconds(line.theirs, line.repeats)) for _ in range(rounds)]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    return ours, theirs, statistics.median(b / a for a, b in pairs)


def shown(figure: float, options: int) -> str:
    return f"{figure * 1e3:.1f} ms" if options == 1 else f"{figure / options * 1e9:.1f} ns/option"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(f"{'job':<22}{'peer':<22}{'ours':>17}{'theirs':>17}{'ratio':>8}{'target':>9}  {'':<6}{'error ours':<18}{'error theirs'}")
    for line in lines():
        few = max(3, rounds // 3) if line.options == 1 else rounds
        ours, theirs, ratio = measure(line, few)
        verdict = "PASS" if ratio >= line.target else "FAIL"
        errors = line.error()
        timing = f"{shown(ours, line.options):>17}{shown(theirs, line.options):>17}{ratio:>7.1f}x{f'>={line.target:g}x':>9}"
        print(f"{line.job:<22}{line.peer:<22}{timing}  {verdict:<6}{errors[0]:<18}{errors[1]}")


if __name__ == "__main__":
    main()
