"""Snapshots per second of `tailwag history build` on one core: a made chain file of 1,608 options a snapshot, read, measured, written.

    python benchmarks/history.py [--snapshots 24] [--repeats 5] [--file CHAIN.parquet]

CPU time of one process on one thread, warm; the median over repeats.  ``whole build`` is everything: the file read and decoded once, each
snapshot validated, measured under one rule, law and smile dynamics (greeks at spot, gamma over 401 spots, flips, ten hedge flows, gain), the
journal and the tables.  ``full measure`` is :func:`tailwag.measure` of the same snapshots, which adds the fitted surface, every greek over the
401 spots, and all levels; a panel needs none of these under sticky-strike.  Ratios are of medians in this one run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

DAY_NS, HOUR_NS = 86_400 * 10**9, 3_600 * 10**9
START_NS = 1_772_352_000_000_000_000
EXPIRY_DAYS = (1, 2, 3, 4, 7, 14, 21, 28, 56, 91, 182, 273)
STRIKES = 67
TARGET_PER_SECOND, TARGET_OPTIONS = 20.0, 1_600
RULES = ("long-calls-short-puts", "short-all", "customers-sell-otm")
DYNAMICS = ("sticky-strike", "sticky-moneyness")


def made(folder: Path, snapshots: int) -> Path:
    """A chain Parquet of so many crawls, six hours apart, on a wandering spot."""
    import numpy as np
    import polars as pl
    from scipy.special import ndtr

    draw = np.random.default_rng(6)
    spots = 70_000.0 * np.exp(np.cumsum(0.01 * draw.standard_normal(snapshots)))
    frames = []
    for rank, spot in enumerate(spots.tolist()):
        at_ns = START_NS + 6 * rank * HOUR_NS + HOUR_NS
        days = np.repeat(EXPIRY_DAYS, 2 * STRIKES)
        expiry_ns = (at_ns - 8 * HOUR_NS) // DAY_NS * DAY_NS + 8 * HOUR_NS + days * DAY_NS
        years = (expiry_ns - at_ns) / (365.0 * DAY_NS)
        step = np.tile(np.repeat(np.arange(STRIKES) - STRIKES // 2, 2), len(EXPIRY_DAYS))
        strike = np.round(spot * np.exp(0.03 * step * np.maximum(np.sqrt(years), 0.1) * 2.0) / 100.0) * 100.0
        right = np.tile([1, -1], days.size // 2)
        forward = spot * (1.0 + 0.04 * years)
        k = np.log(strike / forward)
        iv = 0.45 + 0.03 * np.sqrt(years) - 0.05 * k + 0.3 * k * k / (0.3 + np.sqrt(years))
        d1 = (-k + 0.5 * iv**2 * years) / (iv * np.sqrt(years))
        mark = right * (ndtr(right * d1) - strike / forward * ndtr(right * (d1 - iv * np.sqrt(years))))
        dates = [time.strftime("%d%b%y", time.gmtime(value / 1e9)).upper().lstrip("0") for value in expiry_ns.tolist()]
        names = [f"BTC-{date}-{price:.0f}-{'C' if side > 0 else 'P'}" for date, price, side in zip(dates, strike, right, strict=True)]
        columns = {
            "timestamp": np.full(days.size, at_ns),
            "instrument_name": names,
            "underlying": forward,
            "underlying_name": [f"BTC-{date}" for date in dates],
            "option_type": ["call" if side > 0 else "put" for side in right],
            "strike": strike,
            "expiry_datetime": expiry_ns,
            "bid_price": 0.98 * mark,
            "ask_price": 1.02 * mark,
            "mark_price": mark,
            "implied_volatility": iv,
            "open_interest": np.round(draw.gamma(0.5, 400.0, days.size) * np.exp(-(k**2) / 0.1), 1),
            "index_price": spot * (1.0 + 2e-4 * draw.random(days.size)),
            "snapshot": [time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_ns / 1e9))] * days.size,
        }
        frames.append(pl.DataFrame(columns).unique("instrument_name", keep="first", maintain_order=True))
    times = [pl.from_epoch(key, time_unit="ns").dt.replace_time_zone("UTC").alias(key) for key in ("timestamp", "expiry_datetime")]
    path = folder / "chain.parquet"
    pl.concat(frames).with_columns(times).write_parquet(path)
    return path


def cpu_seconds(work: Callable[[], Any], repeats: int) -> float:
    """Median CPU time of some work, after one turn to warm up."""
    work()
    found = []
    for _ in range(repeats):
        before = time.process_time()
        work()
        found.append(time.process_time() - before)
    return statistics.median(found)


def table(path: Path, repeats: int) -> None:
    """Time each part of a build over every BTC snapshot of a chain file, and print them."""
    from tailwag.experiments.measure import MeasureOptions, measure
    from tailwag.experiments.study.history import build_history
    from tailwag.experiments.study.history_options import HistoryOptions
    from tailwag.experiments.study.panel_measure import measured
    from tailwag.positioning import parse_rule
    from tailwag.sources.crawls import parquet_crawls
    from tailwag.sources.files import load
    from tailwag.sources.opening import read_file

    one = HistoryOptions(rules=RULES[:1], depth_usd_per_pct=5e8)
    six = HistoryOptions(rules=RULES, dynamics=DYNAMICS, depth_usd_per_pct=5e8)
    plain = MeasureOptions(dynamics="sticky-strike", rules=(parse_rule(RULES[0]),), liquidity="given", depth_usd_per_pct=5e8)
    crawls = list(parquet_crawls(read_file(path), ("BTC",)))
    snapshots = [crawl.snapshot() for crawl in crawls]
    options = statistics.mean(len(snapshot.chain) for snapshot in snapshots)

    def build() -> None:
        with tempfile.TemporaryDirectory(prefix="tailwag-history-") as folder:
            build_history([str(path)], folder, one)

    parts: dict[str, tuple[Callable[[], Any], int]] = {
        "whole build": (build, len(snapshots)),
        "  file decoded, cut": (lambda: list(parquet_crawls(read_file(path), ("BTC",))), len(snapshots)),
        "  snapshots validated": (lambda: [crawl.snapshot() for crawl in crawls], len(snapshots)),
        "  measured, 1 x 1 x 1": (lambda: [measured(snapshot, one) for snapshot in snapshots], len(snapshots)),
        "measured, 3 rules x 2 dynamics": (lambda: [measured(snapshot, six) for snapshot in snapshots], len(snapshots)),
        "full measure": (lambda: [measure(snapshot, plain) for snapshot in snapshots], len(snapshots)),
        "load of one snapshot": (lambda: load(path, currency="BTC"), 1),
    }
    print(f"{len(snapshots)} snapshots of {options:,.0f} options on average     CPU ms   per s    ratio to the build")
    found = {name: 1e3 * cpu_seconds(work, repeats) / count for name, (work, count) in parts.items()}
    for name, each in found.items():
        print(f"  {name:<44}{each:9.2f}{1e3 / max(each, 1e-9):8.1f}{each / found['whole build']:10.2f}")
    for name in ("whole build", "full measure"):
        rate = 1e3 / found[name]
        scaled = rate * options / TARGET_OPTIONS
        verdict = "PASS" if scaled >= TARGET_PER_SECOND else "FAIL"
        print(
            f"  {verdict}: {name}, {scaled:.0f} snapshots of {TARGET_OPTIONS} options a second on one core; the target is {TARGET_PER_SECOND:.0f}"
        )


def main() -> None:
    """Parse the words and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshots", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--file", type=Path, help="a chain Parquet of yours, besides")
    asked = parser.parse_args()
    if asked.snapshots < 1 or asked.repeats < 1:
        parser.error("--snapshots and --repeats expect 1 or more")
    with tempfile.TemporaryDirectory(prefix="tailwag-history-") as folder:
        table(made(Path(folder), asked.snapshots), asked.repeats)
    if asked.file:
        table(asked.file, asked.repeats)


if __name__ == "__main__":
    main()
