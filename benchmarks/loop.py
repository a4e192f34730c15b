"""The closed loop over a week: the fast engine against NumPy and a compiled loop that sum every option; one table of ratios.

    python benchmarks/loop.py [--paths 10000] [--rounds 5]

1,600 options x 5 dealers in hedge bands, transient impact, vol that answers the price. The direct twins do the same work per step on fewer
paths: every option's delta for every dealer, bands, fills. Figures are medians of rounds in which all contestants take turns, ratios medians of the
rounds' ratios. Times are CPU seconds of one thread unless threads are named; nothing is asserted.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
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
from tailwag.sim.metrics import fold
from tailwag.sim.net_delta import DirectNetDelta
from tailwag.sim.option_book import OptionBook
from tailwag.sim.run import default_metric_plan
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


def timed(job: Callable[[], object]) -> float:
    begun = time.process_time()
    job()
    return time.process_time() - begun


def interleaved(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Every contestant once a round, in an order of its own each time, after one run that does not count."""
    for job in contestants.values():
        job()
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    order, shuffled = list(contestants), np.random.default_rng(0)
    for _ in range(rounds):
        shuffled.shuffle(order)
        for name in order:
            figures[name].append(contestants[name]())
    return figures


def ratio(figures: dict[str, list[float]], above: str, below: str) -> float:
    """Median over rounds of one contestant's time by another's of the same round."""
    return statistics.median(one / other for one, other in zip(figures[above], figures[below]))


def prepared(one: Scenario) -> fast.FastPlan:
    return fast.prepare(plan_run(one, seed=1, full_pnl=False))


def fast_step(ready: fast.FastPlan, paths: int = BLOCK) -> float:
    """CPU seconds of one path-step in the compiled loop, shocks included."""

    def job() -> None:
        block = fast._empty(ready, paths, False)
        fast._shocks(ready, block, 0, paths)
        advance(ready.loop, ready.table, ready.reader(), block)

    return timed(job) / paths / ready.plan.scenario.grid.steps


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


def growth(sizes: list[int], seconds: list[float]) -> float:
    """Exponent of time in size: the slope of log time by log size."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def wall(job: Callable[[], object]) -> float:
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


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


ENGINES = (
    "NumPy, option by option",
    "compiled, option by option",
    "fast, lagged, bands",
    "fast, implicit, bands",
    "fast, implicit, every step",
    "fast, lagged, 400 options",
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--paths", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    full, few = scenario(1600), scenario(400)
    ready, implicit = prepared(full), prepared(scenario(1600, clearing="implicit"))
    every, fewer = prepared(scenario(1600, clearing="implicit", every_step=True)), prepared(few)
    jobs: tuple[Callable[[], float], ...] = (
        lambda: direct_step(full, numpy_delta, paths=64, steps=4),
        lambda: direct_step(full, compiled_delta, paths=128, steps=20),
        lambda: fast_step(ready),
        lambda: fast_step(implicit),
        lambda: fast_step(every),
        lambda: fast_step(fewer),
    )
    figures = interleaved(dict(zip(ENGINES, jobs)), chosen.rounds)
    print(f"{'1,600 options x 5 dealers, 2,016 steps':<42}{'M path-steps/s':>16}{'x NumPy':>10}{'x compiled':>12}")
    for name in ENGINES[:5]:
        speed = 1e-6 / statistics.median(figures[name])
        print(f"{name:<42}{speed:>16.3f}{ratio(figures, ENGINES[0], name):>10.0f}{ratio(figures, ENGINES[1], name):>12.1f}")
    print(f"400 -> 1,600 options: {100 * (ratio(figures, ENGINES[2], ENGINES[5]) - 1):+.0f} % a path-step")
    print_growth(ready, chosen.rounds)
    whole(full, chosen.paths, chosen.rounds)
    print(f"first result in a fresh process, constant gamma, 1,000 paths x 288 steps, warm: {first_result():.2f} s")
    pfhedge()


def print_growth(ready: fast.FastPlan, rounds: int) -> None:
    """Time by paths (whole blocks, accounts and metrics included) and by steps of five minutes, tables apart."""
    plan, steps, paths = default_metric_plan(ready.plan.scenario), [288, 576, 1152, 2016, 4032], [2048, 4096, 8192, 16384, 32768]
    runs = {size: prepared(scenario(1600, days=size / 288)) for size in steps}
    by_steps = interleaved({str(size): partial(fast_step, one) for size, one in runs.items()}, rounds)
    print(
        f"time exponent in steps {growth(steps, [statistics.median(by_steps[str(size)]) * size for size in steps]):.2f} (288 to 4,032); ",
        end="",
    )

    def blocks(size: int) -> float:
        return timed(lambda: [fold(fast.run_block(ready, first, BLOCK), plan) for first in range(0, size, BLOCK)])

    by_paths = interleaved({str(size): partial(blocks, size) for size in paths}, 1)
    print(f"in paths {growth(paths, [by_paths[str(size)][0] for size in paths]):.2f} (2,048 to 32,768)")


RUN = """
import sys, time
begun = time.perf_counter()
sys.path.insert(0, {root!r})
from benchmarks.loop import scenario
from tailwag.sim.run import simulate
one = scenario(1600)
imported = time.perf_counter() - begun
simulate(one, paths={paths}, seed=1, pnl="ends", threads={threads})
seconds = time.perf_counter() - begun
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]  # what getrusage says is inherited from whoever started us
print(imported, seconds, time.process_time(), int(peak[0].split()[1]) / 1024)
"""


def whole(full: Scenario, paths: int, rounds: int) -> None:
    """End to end in a fresh process with warm caches, imports, tables and metrics included, on one thread and two."""
    root = str(Path(__file__).resolve().parents[1])

    def run(threads: int) -> tuple[float, ...]:
        code = RUN.format(root=root, paths=paths, threads=threads)
        return tuple(map(float, subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()))

    runs = [(run(1), run(2)) for _ in range(rounds)]
    for threads, place in ((1, 0), (2, 1)):
        imported, seconds, processor, memory = (statistics.median(column) for column in zip(*(pair[place] for pair in runs)))
        print(
            f"{paths:,} paths x {full.grid.steps:,} steps end to end, {threads} thread(s): {seconds:.2f} s, of which imports {imported:.2f} s; "
            f"{processor:.2f} CPU s, peak memory {memory:.0f} MiB"
        )
    print(f"two threads {statistics.median(one[1] / two[1] for one, two in runs):.2f}x end to end; ", end="")
    print(f"on blocks alone {on_two(full):.2f}x, on sums that need nothing but a core {on_two(None):.2f}x")
    print(f"tables {statistics.median(timed(lambda: prepared(full)) for _ in range(rounds)):.2f} CPU s")


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
    seconds = min(timed(lambda: hedger.price(option, n_paths=2000)) for _ in range(2))
    print(f"pfhedge, one option, no feedback, float32: {2000 * 288 / seconds / 1e6:.2f} M path-steps/s")


if __name__ == "__main__":
    main()
