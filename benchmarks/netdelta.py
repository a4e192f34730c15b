"""The net delta of a whole book for a block of paths: the table against the compiled sum and the plain one, in ratios.

    python benchmarks/netdelta.py [--rounds 7]

1,600 options (800 strikes and expiries, a call and a put each) of five books over seven days of five-minute steps, 1,024 paths that spread as
they would. All contestants run in this process, one after the other in every round; figures are medians of CPU time, ratios medians of the
rounds' ratios. The table answers delta and slope of all books; so does the compiled sum; NumPy answers the delta alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

DAYS = (1, 2, 3, 4, 5, 6, 7, 14, 21, 49, 77, 112, 168, 259, 350, 441)
SPOT, PATHS, BOOKS = 60000.0, 1024, 5
TIMES = np.arange(2017) * 300 / (365 * 86400)


def books(per_expiry: int) -> list:
    """Books like those of a large venue: strikes within 4.5 standard deviations, positions crowded at the money."""
    from tailwag.sim.option_book import OptionBook

    rng = np.random.default_rng(0)
    years = np.repeat(np.array(DAYS) / 365, per_expiry)
    log_strike = np.tile(np.linspace(-1, 1, per_expiry), len(DAYS)) * np.clip(2.25 * np.sqrt(years), 0.06, 1.0)
    iv = np.clip(0.5 + 0.02 * np.sqrt(years) + 0.6 * log_strike**2 - 0.08 * log_strike, 0.3, 1.6)
    count = 2 * years.size
    columns = {"strike_usd": SPOT * np.exp(log_strike), "expiry_years": years, "iv": iv, "forward_ratio": np.exp(0.03 * years)}
    doubled = {name: np.tile(values, 2) for name, values in columns.items()}
    doubled |= {"right": np.repeat([1, -1], years.size), "skew": np.zeros(count), "averaged": np.zeros(count, dtype=bool)}
    near = np.exp(-0.5 * (np.tile(log_strike, 2) / 0.15) ** 2)
    return [OptionBook(**doubled, contracts_coin=rng.normal(-20, 150, count) * near + rng.normal(0, 20, count)) for _ in range(BOOKS)]


def paths(step: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(step)
    return rng.normal(0, 0.002 + 0.5 * np.sqrt(TIMES[step]), PATHS), rng.normal(0, 0.05, PATHS)


def by_hand(direct: object, step: int, x: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """What one writes first: a paths x options array of N(d1), and a product with the positions."""
    from scipy.special import ndtr

    rows = direct.net_rows
    left, live, _ = rows.left(TIMES[step])
    w = (rows.iv[live] + shift[:, None]) * np.sqrt(left[live])
    d1 = (x[:, None] - rows.log_strike[live]) / w + 0.5 * w
    return rows.positions[:, live] @ ndtr(d1).T - rows.puts[:, live].sum(axis=1, keepdims=True)


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    from tailwag.kernels.netdelta_lanes import read_paths
    from tailwag.sim.net_delta import DirectNetDelta, Settings, TabulatedNetDelta

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    large, small = books(50), books(12)
    TabulatedNetDelta(small, TIMES, SPOT)
    built = [seconds(lambda: TabulatedNetDelta(large, TIMES, SPOT)) for _ in range(3)]
    tables = {
        "1,600 options": TabulatedNetDelta(large, TIMES, SPOT),
        "384 options": TabulatedNetDelta(small, TIMES, SPOT),
        "1,600, vol still": TabulatedNetDelta(large, TIMES, SPOT, settings=Settings(vol_shifts=(0.0, 0.0))),
    }
    direct = DirectNetDelta(large, TIMES, SPOT)
    table = tables["1,600 options"]
    gross = np.array([book.gross_coin for book in large])[:, None]
    error = 0.0
    for step in range(0, 2017, 21):
        state = paths(step)
        error = max(error, float(np.max(np.abs(table.lanes(step, *state)[0] - direct.lanes(step, *state)[0]) / gross)))
    print(
        f"table: built in {statistics.median(built):.2f} CPU s, {table.bytes / 1e6:.0f} MB, {table.evaluations / 1e6:.0f} M option deltas,"
    )
    print(f"       largest error {error:.1e} of gross (target 1e-6)\n")
    blocks = {step: paths(step) for step in range(2016)}
    none, out = np.empty(0), np.empty((PATHS, 16))

    def read(name: str, sloped: bool = True) -> float:
        chosen, reader = tables[name], tables[name].reader()
        still = name.endswith("still")
        read_paths(chosen.table, reader, 3, *blocks[0], none, out, sloped)

        def work() -> None:
            for step, (x, shift) in blocks.items():
                read_paths(chosen.table, reader, step, x, 0.0 * shift if still else shift, none, out, sloped)

        return seconds(work) / len(blocks) / PATHS

    few = list(blocks)[::336]

    def summed() -> float:
        return seconds(lambda: [direct.lanes(step, *blocks[step]) for step in few]) / len(few) / PATHS

    def plain() -> float:
        return seconds(lambda: [by_hand(direct, step, *blocks[step]) for step in few]) / len(few) / PATHS

    contestants: dict[str, Callable[[], float]] = {
        "table, delta and slope": lambda: read("1,600 options"),
        "table, delta": lambda: read("1,600 options", False),
        "table, 384 options": lambda: read("384 options"),
        "table, vol still": lambda: read("1,600, vol still"),
        "compiled sum": summed,
        "NumPy/SciPy, delta": plain,
    }
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    order, shuffled = list(contestants), np.random.default_rng(0)
    for name in order:
        contestants[name]()
    for _ in range(rounds):
        shuffled.shuffle(order)  # whoever runs after the largest arrays finds the caches cold: not always the same
        for name in order:
            figures[name].append(contestants[name]())
    print(f"{'one thread, five books':<26}{'ns/path-step':>14}{'M/s':>9}{'ratio to the table':>20}")
    for name, times in figures.items():
        median = statistics.median(times)
        ratio = statistics.median(a / b for a, b in zip(times, figures["table, delta and slope"]))
        print(f"{name:<26}{median * 1e9:>14.1f}{1e-6 / median:>9.2f}{ratio:>19.2f}x")


if __name__ == "__main__":
    main()
