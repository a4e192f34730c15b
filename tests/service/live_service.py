"""A service on a real loopback port whose sources, clock and patience a test decides."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from tailwag.errors import StoreError
from tailwag.experiments.options import MeasureOptions
from tailwag.market.snapshot import Snapshot
from tailwag.service.api import Service, create_app
from tailwag.service.archive import Archive
from tailwag.service.auth import TokenFile
from tailwag.service.limits import Limits
from tailwag.service.log import make_log
from tailwag.service.metrics import Metrics
from tailwag.service.monitor import Monitor, SourcePlan, World
from tailwag.service.publish import Board
from tailwag.service.run import server_config
from tailwag.service.series import Series, assumptions_digest
from tailwag.service.settings import ServeSettings
from tailwag.sources.demo_moving import moving_demo
from tailwag.sources.feeds import Feed
from tailwag.sources.store.recorder import Recorder

NOON_NS = 1_789_482_600_000_000_000
OPTIONS = MeasureOptions(dynamics="sticky-strike", spot_levels=21)
SECOND_NS = 1_000_000_000


def market(second: float = 0.0, *, spot_ratio: float = 1.0, without: tuple[str, ...] = (), seed: int = 7) -> Snapshot:
    """Two expiries of the demo market some seconds after noon: whole enough to measure, small enough to measure often."""
    snapshot = moving_demo(NOON_NS + round(second * SECOND_NS), seed=seed)
    chain = snapshot.chain
    rows = np.isin(chain.expiry_ns, np.unique(chain.expiry_ns)[4:6]) & ~np.isin(chain.instrument, list(without))
    small = chain.select(np.flatnonzero(rows))
    if spot_ratio != 1.0:
        small = small.with_columns(index_usd=small.index_usd * spot_ratio, underlying_usd=small.underlying_usd * spot_ratio)
    return snapshot.with_parts(chain=small, books=snapshot.books[:1], trades=None, spot_usd=snapshot.spot_usd * spot_ratio)


@dataclass
class VirtualTime:
    """Seconds that pass only when a test says so."""

    seconds: float = 0.0
    offset_ns: int = 0

    def world(self) -> World:
        return World(lambda: NOON_NS + self.offset_ns + round(self.seconds * SECOND_NS), lambda: self.seconds, lambda _seconds: False)


@dataclass
class Script:
    """A source that gives what a test puts in: snapshots, None, or errors to raise."""

    name: str = "one"
    items: list[Any] = field(default_factory=list)
    opened: int = 0
    every_seconds: float = 1.0

    def plan(self, *, ends: bool = False) -> SourcePlan:
        return SourcePlan(self.name, self._open, every_seconds=self.every_seconds, expected_seconds=self.every_seconds, ends=ends)

    def _open(self) -> Feed:
        self.opened += 1
        return Feed(self.name, self._snapshots(), None)

    def _snapshots(self) -> Iterator[Snapshot | None]:
        while self.items:
            item = self.items.pop(0)
            if isinstance(item, Exception):
                raise item
            yield item


@dataclass
class Memory:
    """A keeper that keeps in memory; ``refusing`` makes it a full disk."""

    kept: list[Snapshot] = field(default_factory=list)
    refusing: bool = False

    def append(self, snapshot: Snapshot, *, received_ns: int) -> Any:
        if self.refusing:
            raise StoreError("cannot record: no space left on device; free some")
        self.kept.append(snapshot)
        return _Kept(len(self.kept))


@dataclass(frozen=True)
class _Kept:
    seq: int


@dataclass
class Bench:
    """A monitor in virtual time with everything it said."""

    monitor: Monitor
    board: Board
    time: VirtualTime
    keeper: Any
    log: io.StringIO
    metrics: Metrics
    frames: list[tuple[str, str, dict[str, Any]]]

    def pass_seconds(self, seconds: float, *, step: float = 0.5) -> None:
        """Let time pass with the watch looking every half second, as its thread does."""
        end = self.time.seconds + seconds
        while self.time.seconds < end - 1e-9:
            self.time.seconds = min(self.time.seconds + step, end)
            self.monitor.watch()

    def feed(self, script: Script, item: Any) -> None:
        """One turn of a source with one item, then everything that waits is measured."""
        script.items.append(item)
        self.monitor.turn(script.name)
        while self.monitor.measure_one():
            pass

    def state(self, name: str = "one") -> str:
        return str(self.board.sources()[name][1].state)


def bench(*scripts: Script, keeper: Any = None, observers: Any = (), rows: Any = None, options: MeasureOptions = OPTIONS) -> Bench:
    """A monitor over scripted sources that moves only when a test moves it."""
    import orjson

    virtual, log, metrics = VirtualTime(), io.StringIO(), Metrics()
    world = virtual.world()
    board = Board(clock=world.clock)
    frames: list[tuple[str, str, dict[str, Any]]] = []
    board.listen(lambda kind, source, text: frames.append((kind, source, orjson.loads(text))))
    keeper = keeper if keeper is not None else Memory()
    monitor = Monitor(
        [script.plan() for script in scripts],
        keeper=keeper,
        options=options,
        board=board,
        world=world,
        log=make_log(stream=log),
        metrics=metrics,
        rows=rows,
        observers=observers,
    )
    return Bench(monitor, board, virtual, keeper, log, metrics, frames)


@dataclass
class Live:
    """A running service."""

    service: Service
    script: Script
    address: str
    port: int
    log: io.StringIO
    monitor: Monitor
    board: Board
    app: Any

    def feed(self, snapshot: Any) -> None:
        """Record, measure and publish a snapshot."""
        self.script.items.append(snapshot)
        self.monitor.turn(self.script.name)
        while self.monitor.measure_one():
            pass


@contextmanager
def live_service(
    folder: Path,
    *,
    settings: ServeSettings | None = None,
    tokens: TokenFile | None = None,
    limits: Limits | None = None,
    first: int = 0,
    more: Callable[[Service], None] = lambda _service: None,
) -> Iterator[Live]:
    """A service with a real store and a real port; ``first`` snapshots are published before it answers."""
    script, log = Script(), io.StringIO()
    world = World(time.time_ns, time.monotonic, lambda _seconds: False)
    board, metrics, logger = (
        Board(clock=world.clock),
        Metrics(),
        make_log(stream=log, secrets=lambda: () if tokens is None else tokens.secrets),
    )
    with Recorder(folder) as recorder, closing(Series(folder / "series" / assumptions_digest(OPTIONS))) as series:
        monitor = Monitor(
            [script.plan()], keeper=recorder, options=OPTIONS, board=board, world=world, log=logger, metrics=metrics, rows=series
        )
        service = Service(
            settings=settings or ServeSettings(),
            monitor=monitor,
            board=board,
            archive=Archive(folder, OPTIONS, names=monitor.names, series=series),
            metrics=metrics,
            log=logger,
            series=series,
            tokens=tokens,
            limits=limits or Limits(),
        )
        more(service)
        app = create_app(service)
        with _listening(app, service) as port:
            live = Live(service, script, f"http://127.0.0.1:{port}", port, log, monitor, board, app)
            for second in range(first):
                live.feed(market(float(second)))
            yield live


@contextmanager
def _listening(app: Any, service: Service) -> Iterator[int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = server_config(app, settings=service.settings, limits=service.limits)
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20.0
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.005)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10.0)
        listener.close()
        assert not thread.is_alive()


def token_file(folder: Path, *lines: str, mode: int = 0o600) -> Path:
    """A token file of a mode."""
    path = folder / "tokens"
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(mode)
    return path


@dataclass
class Serving:
    """A ``tailwag serve`` process."""

    process: subprocess.Popen[str]
    address: str
    errors: Path
    """What it writes to stderr."""

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def stop(self, *, seconds: float = 30.0) -> int:
        """Ask it to stop as a service manager does; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextmanager
def serving(folder: Path, *words: str, environment: dict[str, str] | None = None) -> Iterator[Serving]:
    """``tailwag serve`` as a process on a free loopback port; its stderr goes to a file in ``folder``."""
    errors = folder / "serve.stderr"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "tailwag", "serve", "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, **(environment or {})},
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"serves (http://\S+)/ ", line)
        assert found, line + errors.read_text()
        yield Serving(process, found[1], errors)
    finally:
        process.kill()
        process.wait(10.0)
        if process.stdout is not None:
            process.stdout.close()
