"""The closed loop over a week: the fast engine against NumPy and a compiled loop that sum every option; one table of ratios.

    python benchmarks/loop.py [--paths 10000] [--rounds 3]

1,600 options x 5 dealers in hedge bands, transient impact, vol that answers the price. The direct twins do the same work per step on fewer
paths: every option's delta for every dealer, bands, fills. Times are CPU seconds of one thread unless threads are named; nothing is asserted.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numba import njit

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tailwag.hedging.policies import Band, EveryStep
from tailwag.kernels.loop import advance
from tailwag.kernels.netdelta import delta_kernel, delta_plain
from tailwag.sim import fast
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.net_delta import DirectNetDelta
from tailwag.sim.option_book import OptionBook
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Scenario, VolDynamics

SPOT, DEALERS, BLOCK = 60_000.0, 5, 512
BAND_COIN = 5.0


def books(options: int) -> list[OptionBook]:
    """Five dealers, all in the same options from one day to three months, net short gamma; settled on the 30-minute mean."""
    rng = np.random.default_rng(1)
    days = rng.choice([1, 2, 3, 4, 5, 6, 7, 14, 30, 60, 90], options) / 365
    strike = SPOT * np.exp(np.round(0.9 * np.sqrt(days) * rng.normal(size=options), 3))
    iv = 0.55 + 0.2 * np.abs(np.log(strike / SPOT))
    right = rng.choice([-1, 1], options)
    ones = np.ones(options)
    return [
        OptionBook(right, strike, days, rng.normal(-2.0, 8.0, options) * 1600 / options, iv, ones, 0.0 * ones, ones > 0.0)
        for _ in range(DEALERS)
    ]


def scenario(options: int, *, clearing: str = "lagged", every_step: bool = False, days: float = 7.0) -> Scenario:
    policy = EveryStep() if every_step else Band(half_width_coin=BAND_COIN)
    delay = 0 if clearing == "implicit" else 1
    dealers = tuple(Dealer(f"dealer {number}", policy, delay, options=book) for number, book in enumerate(books(options)))
    impact = ImpactModel(permanent_per_usd=4e-12, transient_per_usd=1e-11, transient_half_life_minutes=30.0)
    vol = VolDynamics(spot_vol_beta=-0.8, mean_reversion_per_day=1.0)
    return Scenario(SPOT, TimeGrid.uniform(horizon_days=days, step_minutes=5.0), Gbm(0.6), impact, dealers, clearing, vol=vol)


def best(job: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        job()
        times.append(time.process_time() - begun)
    return min(times)


def prepared(one: Scenario) -> fast.FastPlan:
    return fast.prepare(plan_run(one, seed=1, full_pnl=False))


def fast_step(ready: fast.FastPlan, rounds: int, paths: int = BLOCK) -> float:
    """CPU seconds of one path-step in the compiled loop, shocks included."""

    def job() -> None:
        block = fast._empty(ready, paths, False)
        fast._shocks(ready, block, 0, paths)
        advance(ready.loop, ready.table, ready.reader(), block)

    job()
    return best(job, rounds) / paths / ready.plan.scenario.grid.steps


def direct_step(one: Scenario, evaluate: Callable[..., object], *, paths: int, steps: int) -> float:
    """CPU seconds of one path-step of a plain loop: every option's delta for every dealer, bands, impact; NumPy but for `evaluate`."""
    source = DirectNetDelta([dealer.options for dealer in one.agents], one.grid.years, SPOT)
    rows, rng = source.net_rows, np.random.default_rng(2)
    x, passing, shift, held = np.zeros(paths), np.zeros(paths), np.zeros(paths), np.zeros((DEALERS, paths))
    begun = 0.0
    for step in range(steps + 1):
        if step == 1:
            begun = time.process_time()
        left, live, _ = rows.left(float(one.grid.years[step]))
        columns = np.array((rows.log_strike[live], np.sqrt(left[live]), rows.iv[live], rows.skew[live]))
        delta = evaluate(columns, rows.held(live), x, shift)
        gap = -delta - held
        traded = np.where(np.abs(gap) > BAND_COIN, gap - np.copysign(BAND_COIN, gap), 0.0)
        held += traded
        flow = traded.sum(axis=0) * SPOT * np.exp(x)
        move = 0.6 * np.sqrt(5 / 525600) * rng.standard_normal(paths) - 0.11 * passing + 1.4e-11 * flow
        passing = 0.89 * passing + 1e-11 * flow
        x, shift = x + move, 0.997 * shift - 0.8 * move
    return (time.process_time() - begun) / paths / steps


def numpy_delta(columns: np.ndarray, positions: np.ndarray, x: np.ndarray, shift: np.ndarray) -> np.ndarray:
    return delta_plain(columns, positions, x, shift)[0]


def compiled_delta(columns: np.ndarray, positions: np.ndarray, x: np.ndarray, shift: np.ndarray) -> np.ndarray:
    delta, slope = np.empty((positions.shape[0], x.size)), np.empty((positions.shape[0], x.size))
    delta_kernel(columns, positions, x, shift, delta, slope)
    return delta


def wall(job: Callable[[], object]) -> float:
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


def exponent(small: float, large: float, ratio: float) -> float:
    return float(np.log(large / small) / np.log(ratio))


def first_result() -> float:
    """Wall seconds of a fresh process that imports, simulates 1,000 paths of a day on a constant gamma and stops; second run, so warm."""
    code = (
        "from tailwag.hedging.policies import EveryStep\nfrom tailwag.sim.agents.dealer import Dealer\nfrom tailwag.sim.dynamics import Gbm\n"
        "from tailwag.sim.grid import TimeGrid\nfrom tailwag.sim.impact import ImpactModel\nfrom tailwag.sim.run import simulate\n"
        "from tailwag.sim.scenario import Scenario\n"
        "one = Scenario(6e4, TimeGrid.uniform(horizon_days=1.0, step_minutes=5.0), Gbm(0.6), ImpactModel(permanent_per_usd=1e-11),"
        " (Dealer('a', EveryStep(), 0, gamma_usd=-5e9),), 'implicit')\nsimulate(one, paths=1000, seed=1)\n"
    )
    runs = [wall(lambda: subprocess.run([sys.executable, "-c", code], check=True)) for _ in range(3)]
    return min(runs[1:])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--paths", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    full = scenario(1600)
    ready = prepared(full)
    numpy_step = direct_step(full, numpy_delta, paths=64, steps=6)
    direct_step(full, compiled_delta, paths=8, steps=1)
    compiled_step = direct_step(full, compiled_delta, paths=128, steps=20)
    lagged = fast_step(ready, chosen.rounds)
    rows = [("NumPy, option by option", numpy_step), ("compiled, option by option", compiled_step), ("fast engine, lagged, bands", lagged)]
    rows.append(("fast engine, implicit, bands", fast_step(prepared(scenario(1600, clearing="implicit")), chosen.rounds)))
    rows.append(
        ("fast engine, implicit, every step", fast_step(prepared(scenario(1600, clearing="implicit", every_step=True)), chosen.rounds))
    )
    print(f"{'1,600 options x 5 dealers, 2,016 steps':<42}{'M path-steps/s':>16}{'x NumPy':>10}{'x compiled':>12}")
    for name, seconds in rows:
        print(f"{name:<42}{1e-6 / seconds:>16.3f}{numpy_step / seconds:>10.0f}{compiled_step / seconds:>12.1f}")
    fewer = fast_step(prepared(scenario(400)), chosen.rounds)
    print(f"400 -> 1,600 options: {100 * (lagged / fewer - 1):+.0f} % a path-step")
    short = prepared(scenario(1600, days=3.5))
    half = fast_step(short, chosen.rounds) * short.plan.scenario.grid.steps
    print(f"time exponent in steps: {exponent(half, lagged * full.grid.steps, 2.0):.2f}; ", end="")
    one_block = best(lambda: fast.run_block(ready, 0, BLOCK), chosen.rounds)
    four = best(lambda: [fast.run_block(ready, first, BLOCK) for first in range(0, 4 * BLOCK, BLOCK)], 1)
    print(f"in paths: {exponent(one_block, four, 4.0):.2f}")
    whole(full, chosen.paths)
    print(f"first result in a fresh process, constant gamma, 1,000 paths x 288 steps, warm: {first_result():.2f} s")
    pfhedge()


def whole(full: Scenario, paths: int) -> None:
    """End to end, tables and metrics included, on one thread and two; memory of the whole process at its peak."""
    simulate(full, paths=BLOCK, seed=1, pnl="ends")
    alone = wall(lambda: simulate(full, paths=paths, seed=1, pnl="ends"))
    together = wall(lambda: simulate(full, paths=paths, seed=1, pnl="ends", threads=2))
    print(f"two threads on blocks alone {on_two(full):.2f}x, on sums that need nothing but a core {on_two(None):.2f}x")
    table, half = wall(lambda: prepared(full)), paths // 2
    loops = wall(lambda: simulate(full, paths=half, seed=1, pnl="ends"))
    print(
        f"{paths:,} paths x {full.grid.steps:,} steps end to end: {alone:.2f} s on 1 thread, {together:.2f} s on 2 ({alone / together:.2f}x);",
        end=" ",
    )
    print(
        f"tables {table:.2f} s of it, half the paths {loops:.2f} s; peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
    )


@njit(nogil=True)
def sums(count: int) -> float:
    total = 0.0
    for i in range(count):
        total += np.sqrt(float(i))
    return total


def on_two(full: Scenario | None) -> float:
    """How much faster two threads are than one on eight blocks; without a scenario, on plain sums: what the machine has to give just now."""
    job: Callable[[int], object] = sums if full is None else partial(fast.run_block, prepared(full), paths=BLOCK)
    arguments = [50_000_000] * 8 if full is None else list(range(0, 8 * BLOCK, BLOCK))

    def run(threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(job, arguments))

    run(1)
    return wall(lambda: run(1)) / wall(lambda: run(2))


def pfhedge() -> None:
    """pfhedge's own loop: one option, no feedback; where it is installed."""
    if importlib.util.find_spec("pfhedge") is None:
        print("pfhedge is not installed; its loop over one option without feedback is left out")
        return
    from pfhedge.instruments import BrownianStock, EuropeanOption
    from pfhedge.nn import BlackScholes, Hedger

    option = EuropeanOption(BrownianStock(sigma=0.6, dt=5 / 525600), maturity=1 / 365)
    hedger = Hedger(BlackScholes(option), ["log_moneyness", "time_to_maturity", "volatility"])
    seconds = best(lambda: hedger.price(option, n_paths=2000), 2)
    print(f"pfhedge, one option, no feedback, float32: {2000 * 288 / seconds / 1e6:.2f} M path-steps/s")


if __name__ == "__main__":
    main()
