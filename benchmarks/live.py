"""From a snapshot to its published measurement: one table of milliseconds, and of ratios against another checkout.

    python benchmarks/live.py [--snapshots 50] [--against FOLDER]

A demo market of about 800 options and one of two venues with about 1,600, each snapshot a minute later than the one before, so that nothing
is measured twice.  One core, warm.  ``record`` is the durable append (with its sync), ``publish`` the packed frame handed to one listener,
``row`` the line of the series, which is written after publishing.  The sum that the target names is measure + document + publish; `record`
stands beside it.  With ``--against`` a second process runs the checkout in FOLDER on the same snapshots, the two in turn, and ratios are
medians over the pairs: other programs disturb both sides alike.  ``--file`` adds real snapshots of a chain file that `tailwag measure` reads.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

PARTS = ("record", "measure", "document", "publish", "row")
PUBLISHED = ("measure", "document", "publish")
TARGET_MS, TARGET_OPTIONS = 150.0, 1_600
WARM_UP = 5
MINUTE_NS = 60_000_000_000
START_NS = 1_789_482_600_000_000_000


def market(venues: int, minute: int) -> Any:
    """A snapshot of one or two demo venues."""
    from dataclasses import fields, replace

    from tailwag.market.chain import Chain
    from tailwag.sources.demo import demo
    from tailwag.sources.merge import merge

    at_ns = START_NS + minute * MINUTE_NS
    first = demo(seed=28, as_of_ns=at_ns)
    if venues == 1:
        return first
    second = demo(seed=29, as_of_ns=at_ns)
    chain = second.chain
    columns = {
        field.name: getattr(chain, field.name) for field in fields(Chain) if field.init and field.name not in ("currency", "as_of_ns")
    }
    columns["venue"] = ["second"] * len(chain)
    renamed = second.with_parts(chain=Chain.from_columns(currency=chain.currency, as_of_ns=chain.as_of_ns, **columns))
    return merge([first, replace(renamed, books=())])


def of_file(path: str, rank: int) -> Any:
    """A snapshot of a chain file, its time moved a little so that no two are equal."""
    from dataclasses import replace

    import tailwag

    snapshot = tailwag.load(path)
    return replace(snapshot, notes=(*snapshot.notes, str(rank)))


def timings(word: str, folder: Path) -> Iterator[tuple[int, list[float]]]:
    """Milliseconds of each part for one snapshot after the other, with the number of options."""
    from tailwag.experiments.measure import measure
    from tailwag.experiments.options import MeasureOptions
    from tailwag.service.publish import Board, Publication
    from tailwag.service.series import Series
    from tailwag.service.staleness import Health, SourceState
    from tailwag.sources.store.recorder import Recorder

    options, board, heard = MeasureOptions(dynamics="sticky-strike"), Board(), []
    board.listen(lambda kind, source, text: heard.append(len(text)))
    series = Series(folder / "series")
    health = Health(SourceState.OK, 0.0, 4.0)
    rank = 0
    with Recorder(folder / "store") as recorder:
        while True:
            snapshot = market(int(word), rank) if word.isdigit() else of_file(word, rank)
            laps = [time.perf_counter()]
            recorder.append(snapshot, received_ns=snapshot.as_of_ns)
            laps.append(time.perf_counter())
            measurement = measure(snapshot, options)
            laps.append(time.perf_counter())
            document = measurement.document()
            laps.append(time.perf_counter())
            publication = Publication("demo", snapshot.currency, rank + 1, snapshot.as_of_ns, 0, document, measurement, 0, "0" * 16)
            board.publish(publication, health)
            laps.append(time.perf_counter())
            series.append(publication)
            laps.append(time.perf_counter())
            rank += 1
            yield len(snapshot.chain), [1e3 * (later - earlier) for earlier, later in itertools.pairwise(laps)]


def worker(word: str) -> None:
    """Answer every line of stdin with the timings of one more snapshot."""
    with tempfile.TemporaryDirectory(prefix="tailwag-live-") as folder:
        found = timings(word, Path(folder))
        for _ in sys.stdin:
            options, laps = next(found)
            print(options, *laps, flush=True)


class Side:
    """One checkout at work in a process of its own."""

    def __init__(self, root: Path, word: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(root / "src")}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", word], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.laps: list[list[float]] = []
        self.options = 0

    def step(self, *, kept: bool) -> None:
        """Let it measure one more snapshot."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        if not words:
            raise SystemExit("the measuring process ended; see its message above")
        self.options = int(words[0])
        if kept:
            self.laps.append([float(one) for one in words[1:]])

    def end(self) -> None:
        """Let it go."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def column(self, *parts: str) -> list[float]:
        """The sum of some parts, snapshot by snapshot."""
        return [sum(laps[PARTS.index(part)] for part in parts) for laps in self.laps]


def contest(word: str, sides: dict[str, Path], snapshots: int) -> dict[str, Side]:
    """Run every side over the same snapshots, in turn."""
    found = {name: Side(root, word) for name, root in sides.items()}
    for rank in range(WARM_UP + snapshots):
        for side in found.values() if rank % 2 else reversed(found.values()):
            side.step(kept=rank >= WARM_UP)
    for side in found.values():
        side.end()
    return found


def show(found: dict[str, Side]) -> None:
    """Print the table of one market."""
    ours = next(iter(found.values()))
    print(f"\n{ours.options} options, {len(ours.laps)} snapshots            p50 ms   p95 ms" + ("   ratio" if len(found) > 1 else ""))
    rows = [(part, (part,)) for part in PARTS]
    rows += [("snapshot to published", PUBLISHED), ("recorded and published", ("record", *PUBLISHED))]
    for title, parts in rows:
        for name, side in found.items():
            values = side.column(*parts)
            ratio = "" if side is ours else f"{statistics.median(b / a for a, b in zip(ours.column(*parts), values, strict=True)):8.2f}"
            print(f"  {title:<24}{name:<8}{statistics.median(values):10.1f}{statistics.quantiles(values, n=20)[-1]:9.1f}{ratio}")
    if ours.options >= 0.97 * TARGET_OPTIONS:
        p50 = statistics.median(ours.column(*PUBLISHED))
        print(f"  {'PASS' if p50 <= TARGET_MS else 'FAIL'}: {p50:.0f} ms, the target for {TARGET_OPTIONS} options is {TARGET_MS:.0f} ms")


def main() -> None:
    """Parse the words and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshots", type=int, default=50)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--file", action="append", default=[], help="a chain file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        worker(asked.worker)
        return
    sides = {"here": Path(__file__).resolve().parents[1]}
    if asked.against:
        sides["there"] = asked.against.resolve()
    for word in ["1", "2", *asked.file]:
        show(contest(word, sides, asked.snapshots))


if __name__ == "__main__":
    main()
