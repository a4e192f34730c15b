"""The desk of the soak: the real recorder and monitor in virtual time, everything published told to an oracle in another process."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from tests.gates.venues.exchange_world import START_NS, Truth

from tailwag.experiments.options import MeasureOptions
from tailwag.market.snapshot import Snapshot
from tailwag.positioning import parse_rule
from tailwag.service.metrics import Metrics
from tailwag.service.monitor import Monitor, SourcePlan, World
from tailwag.service.publish import Board
from tailwag.sources.store.recorder import Recorder

OPTIONS = MeasureOptions(
    dynamics="sticky-strike",
    spot_levels=11,
    rules=(parse_rule("long-calls-short-puts"),),
    depth_usd_per_pct=1e8,
    daily_volume_usd=1e10,
    daily_vol=0.02,
)
SECOND_NS = 1_000_000_000


@dataclass
class VirtualWorld:
    """True seconds since the start, and a local wall clock that may be wrong."""

    seconds: float = 0.0
    wall_offset_seconds: float = 0.0
    on_pass: Callable[[float], None] = lambda _seconds: None

    @property
    def true_ns(self) -> int:
        return START_NS + round(self.seconds * SECOND_NS)

    def wall_ns(self) -> int:
        return self.true_ns + round(self.wall_offset_seconds * SECOND_NS)

    def pass_seconds(self, seconds: float) -> None:
        self.seconds += seconds
        self.on_pass(seconds)

    def world(self) -> World:
        return World(self.wall_ns, lambda: self.seconds, lambda _seconds: False)


class OracleProcess:
    """The oracle at the other end of a pipe."""

    def __init__(self) -> None:
        place = Path(__file__).with_name("oracle.py")
        self._process = subprocess.Popen([sys.executable, "-I", str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def tell(self, **line: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(line) + b"\n")

    def verdict(self) -> dict[str, Any]:
        self.tell(k="end")
        out, _ = self._process.communicate(timeout=120)
        assert self._process.returncode == 0
        return json.loads(out)

    def close(self) -> None:
        """End it, whether or not its verdict was asked for."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()  # type: ignore[union-attr]
        self._process.wait()


@dataclass
class QuietLog:
    """Counts what would have been logged; keeps the last sentences for whoever reads a failure."""

    counts: Counter[str] = field(default_factory=Counter)
    last: dict[str, str] = field(default_factory=dict)

    def info(self, event: str, **facts: Any) -> None:
        self.counts[event] += 1

    def warning(self, event: str, **facts: Any) -> None:
        self.counts[event] += 1
        self.last[event] = str(facts)


@dataclass
class Keeper:
    """The real recorder, with the perp's touch of each record remembered for the oracle."""

    recorder: Recorder
    touches: dict[int, list[list[float]]] = field(default_factory=dict)

    def append(self, snapshot: Snapshot, *, received_ns: int) -> Any:
        done = self.recorder.append(snapshot, received_ns=received_ns)
        self.touches = {
            done.seq: [[float(book.bid_price_usd[0]), float(book.ask_price_usd[0])] for book in snapshot.books if len(book.bid_price_usd)]
        }
        return done


@dataclass
class Bench:
    """Everything of one soak."""

    clock: VirtualWorld
    monitor: Monitor
    board: Board
    keeper: Keeper
    log: QuietLog
    metrics: Metrics
    oracle: OracleProcess
    fault: str = ""
    excused: bool = False
    weighed: bool = True
    deepest_queue: int = 0
    told: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def truth(self, truth: Truth) -> None:
        self.oracle.tell(k="truth", at=truth.at_ns, rows=truth.rows)
        self.sent(index=truth.index_usd, touch=[truth.bid_usd, truth.ask_usd])

    def sent(self, **what: Any) -> None:
        self.oracle.tell(k="sent", at=self.clock.true_ns, **what)

    def hear(self, kind: str, source: str, text: bytes) -> None:
        frame = orjson.loads(text)
        self.told[f"{self.fault or 'none'}|{kind} {frame['source_state']}"] += 1
        if frame["seq"] == 0:
            return
        said = None
        if kind == "measure":
            publication, _ = self.board.sources()[source]
            assert publication is not None
            document = publication.document
            said = {
                "spot_usd": document["spot_usd"],
                **{key: document["exposure"][key] for key in ("gex_usd_per_pct", "gross_gex_usd_per_pct")},
                "by_expiry": [
                    {key: one[key] for key in ("expiry", "gex_usd_per_pct", "gross_gex_usd_per_pct", "open_interest_coin")}
                    for one in document["exposure"]["by_expiry"]
                ],
                "touches": self.keeper.touches.get(frame["seq"], []),
            }
        kept = {key: frame[key] for key in ("type", "source_state", "as_of", "age_s", "max_age_s", "seq", "reasons")}
        self.oracle.tell(k="frame", at=self.clock.true_ns, frame=kept, said=said, fault=self.fault, excused=self.excused)

    def measure_all(self) -> None:
        self.deepest_queue = max(self.deepest_queue, len(self.monitor._waiting))
        while self.monitor.measure_one():
            pass

    def watched(self, seconds: float, *, step: float) -> None:
        """Let time pass with the watch looking every ``step`` seconds."""
        end = self.clock.seconds + seconds
        while self.clock.seconds < end - 1e-9:
            self.clock.pass_seconds(min(step, end - self.clock.seconds))
            self.monitor.watch()

    def state(self, source: str) -> str:
        return str(self.board.sources()[source][1].state)

    def weigh(self) -> None:
        """Every two hours: how much memory and how many descriptors the process holds."""
        if not self.weighed or self.clock.seconds < 7_200.0 * len(self.memory):
            return
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.memory.append((self.clock.seconds, pages * os.sysconf("SC_PAGE_SIZE") / 1e6))
        self.descriptors.append(len(os.listdir("/proc/self/fd")))

    def megabytes_per_day(self, *, after_seconds: float) -> float:
        """Least-squares slope of the resident memory after the warm-up."""
        points = [(at / 86_400.0, size) for at, size in self.memory if at >= after_seconds]
        mean_at, mean_size = (sum(one[axis] for one in points) / len(points) for axis in (0, 1))
        spread = sum((at - mean_at) ** 2 for at, _ in points)
        return sum((at - mean_at) * (size - mean_size) for at, size in points) / spread


@contextmanager
def soak_bench(folder: Path, plans: Callable[[VirtualWorld], list[SourcePlan]]) -> Iterator[Bench]:
    """A desk around an open store, moved by its test alone."""
    clock = VirtualWorld()
    world = clock.world()
    board, log, metrics, oracle = Board(clock=world.clock), QuietLog(), Metrics(), OracleProcess()
    # what was there before is not weighed: collecting goes through what the soak makes alone, which is a tenth of it
    gc.freeze()
    try:
        with Recorder(folder, segment_bytes=16 << 20) as recorder:
            keeper = Keeper(recorder)
            monitor = Monitor(plans(clock), keeper=keeper, options=OPTIONS, board=board, world=world, log=log, metrics=metrics)
            bench = Bench(clock, monitor, board, keeper, log, metrics, oracle)
            board.listen(bench.hear)
            yield bench
    finally:
        gc.unfreeze()
        oracle.close()
