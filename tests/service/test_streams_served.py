"""Streams as they are served: joined venues through a monitor, the inventory of the very store over a restart, troubles counted and logged."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from tests.service.live_service import OPTIONS, Bench, Script, VirtualTime, bench, market
from tests.sources.binance_exchange import BinanceExchange
from tests.sources.deribit_exchange import Exchange, ServedExchange, serve_exchange

from tailwag.market.snapshot import Snapshot, Source
from tailwag.service.metrics import Metrics
from tailwag.sources.feeds import Feed
from tailwag.sources.merged_feed import MergedParts

ONE, OTHER, BOOKS = "deribit-ws:BTC", "okx:BTC", "binance-ws:BTC"
STRIKES = (50_000, 60_000, 65_000, 70_000, 75_000, 80_000)


def eventually(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("did not happen in time")


# parts that fall silent


def part(venue: str, second: float, *, seed: int = 7) -> Snapshot:
    made = market(second, seed=seed)
    named = made.chain.with_columns(venue=np.full(len(made.chain), venue, dtype=object))
    return made.with_parts(chain=named, source=Source(venue, venue), books=made.books if venue == "deribit" else ())


class Joining(Script):
    """A source that joins what a test lets arrive."""

    parts: MergedParts
    clock: VirtualTime

    def _snapshots(self) -> Iterator[Snapshot | None]:
        while True:
            yield self.parts.merged(self.clock.seconds)

    def _open(self) -> Feed:
        return Feed(self.name, self._snapshots(), None, lambda: self.parts.why(self.clock.seconds), self.parts.kept)


def joining(*words: str) -> tuple[Joining, Bench]:
    script = Joining(every_seconds=1.0)
    script.parts = MergedParts(dict.fromkeys(words, 8.0))
    here = bench(script)
    script.clock = here.time
    return script, here


def turned(here: Bench) -> dict[str, Any]:
    here.monitor.turn("one")
    while here.monitor.measure_one():
        pass
    here.monitor.watch()
    return json.loads(here.board.first_frame("one"))


def test_a_chain_left_out_while_another_lives_is_degraded_with_its_share_in_every_frame() -> None:
    script, here = joining(ONE, OTHER)
    one, other = part("deribit", 0.0), part("okx", 0.0)
    share = other.chain.counted_open_interest_coin().sum() / sum(each.chain.counted_open_interest_coin().sum() for each in (one, other))
    for second in (0, 4, 8, 9, 11):
        here.time.seconds = float(second)
        script.parts.arrived(ONE, part("deribit", float(second)), float(second))
        if second == 0:
            script.parts.arrived(OTHER, other, 0.0)
        script.parts.failed(OTHER, "okx: too many requests")
        frame = turned(here)
        left_out = second > 8
        assert frame["source_state"] == ("degraded" if left_out else "ok"), (second, frame["reasons"])
    assert any(
        f"{OTHER} is silent for more than 8 s and left out, it held {share:.1%} of open interest: okx: too many" in one
        for one in frame["reasons"]
    )
    assert frame["silent"]["open_interest_share"] == pytest.approx(share, rel=1e-5)
    script.parts.arrived(OTHER, part("okx", 12.0), 12.0)
    here.time.seconds = 12.0
    assert turned(here)["source_state"] == "ok"


def test_where_the_only_chain_is_silent_the_reason_is_the_true_one() -> None:
    script, here = joining(ONE, BOOKS)
    depth = part("deribit", 0.0)
    for second in (0, 5, 8, 9, 10):
        here.time.seconds = float(second)
        if second == 0:
            script.parts.arrived(ONE, part("deribit", 0.0), 0.0)
        script.parts.failed(ONE, "Deribit's stream is not connected")
        empty = depth.chain.select(np.zeros(0, dtype=np.int64))
        books = part("deribit", float(second)).with_parts(chain=empty, source=Source("binance-ws", BOOKS))
        script.parts.arrived(BOOKS, books, float(second))
        frame = turned(here)
    assert frame["source_state"] == "stale"
    assert "held no usable option" in frame["reasons"][0]
    assert f"{ONE} is silent for more than 8 s" in frame["reasons"][0]
    assert "Deribit's stream is not connected" in frame["reasons"][0]


# two venues over real sockets


@contextmanager
def two_venues(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ServedExchange, BinanceExchange]]:
    exchange = Exchange(strikes=STRIKES, expiries=("27MAR26", "26JUN26"), ticker_every_ms=300, book_step_usd=20.0)
    with serve_exchange(exchange) as deribit, BinanceExchange(seed=5, mid_tick=7_000, clock_ns=deribit.clock_ns) as binance:
        monkeypatch.setenv("TAILWAG_DERIBIT_WS", f"ws://127.0.0.1:{deribit.port}/ws/api/v2")
        monkeypatch.setenv("TAILWAG_BINANCE_WS", binance.ws_url)
        monkeypatch.setenv("TAILWAG_BINANCE_REST", binance.rest_url)
        yield deribit, binance


def test_two_venues_served_as_one_have_the_gain_of_their_offline_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tailwag.experiments.measure import measure
    from tailwag.service.monitor import World
    from tailwag.service.run import ServePlan, assembled, source_plans
    from tailwag.service.series import Series
    from tailwag.service.settings import ServeSettings
    from tailwag.sources.merge import merge
    from tailwag.sources.store.recorder import Recorder

    came: dict[str, list[Snapshot]] = {ONE: [], BOOKS: []}
    arrived = MergedParts.arrived

    def noted(self: MergedParts, word: str, snapshot: Snapshot, now: float) -> bool:
        came[word].append(snapshot)
        return arrived(self, word, snapshot, now)

    monkeypatch.setattr(MergedParts, "arrived", noted)
    word, log = f"{ONE}+{BOOKS}", []

    class Log:
        def info(self, event: str, **facts: Any) -> None:
            log.append((event, facts))

        warning = info

    with two_venues(monkeypatch) as (deribit, _), Recorder(tmp_path) as recorder:
        stopping = threading.Event()
        world = World(deribit.clock_ns, time.monotonic, stopping.wait)
        plan = ServePlan(ServeSettings(), tmp_path, (word,), 0.5, "BTC", replace(OPTIONS, move_pct=0.5))
        series = Series(tmp_path / "series")
        service = assembled(plan, source_plans(plan, world), recorder, series, world=world, log=Log())
        service.monitor.start()
        published = eventually(lambda: service.board.sources()[word][0])
        seen = eventually(lambda: [one for one in (service.board.sources()[word][0],) if one.seq > published.seq])[0]
        deribit.drop()
        eventually(lambda: any(event == "stream trouble" for event, _ in log))
        text = service.metrics.text().decode()
        service.monitor.stop()
        stopping.set()
        series.close()
    gain = seen.document["gain"]
    assert gain["law"] == "book"
    pairs = [(one, other) for one in came[ONE] for other in came[BOOKS] if max(one.as_of_ns, other.as_of_ns) == seen.as_of_ns]
    assert pairs
    offline = [measure(merge([one, other]), plan.options).document()["gain"] for one, other in pairs]
    assert gain["value"] is not None
    assert gain["value"] in [one["value"] for one in offline]
    assert {book.venue for one in pairs[0] for book in one.books} == {"deribit", "binance"}
    assert f'tailwag_source_events_total{{connection="{ONE}",kind="connects",source="{word}"}}' in text
    connections = set(re.findall(r'tailwag_source_events_total\{connection="([^"]+)"', text))
    assert len(connections - {ONE}) == 4, "each of Binance's sockets counts by itself"


def test_counts_go_on_when_a_feed_is_opened_again_and_a_venue_cannot_add_kinds() -> None:
    metrics = Metrics()
    assert metrics.streamed("a", {"x": {"connects": 1, "book_gap": 2, "errors_10028": 1, "errors_11051": 1}}) == {
        "book_gap": 2,
        "errors": 2,
    }
    assert metrics.streamed("a", {"x": {"connects": 1, "book_gap": 2, "errors_10028": 1, "errors_11051": 1}}) == {}
    assert metrics.streamed("a", {"x": {"connects": 1, "book_gap": 1}}) == {"book_gap": 1}
    lines = [line for line in metrics.text().decode().splitlines() if line.startswith("tailwag_source_events_total")]
    assert 'tailwag_source_events_total{connection="x",kind="book_gap",source="a"} 3.0' in lines
    assert 'tailwag_source_events_total{connection="x",kind="errors",source="a"} 2.0' in lines
    assert len(lines) == 3


# the inventory of the very store


@contextmanager
def serving(store: Path, port: int) -> Iterator[str]:
    words = ["serve", "--source", ONE, "--store", str(store), "--port", "0", "--every", "0.5", "--rule", f"flow:{store}"]
    environment = {**os.environ, "TAILWAG_DERIBIT_WS": f"ws://127.0.0.1:{port}/ws/api/v2"}
    with subprocess.Popen(
        [sys.executable, "-m", "tailwag", *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if "http://" in line)
            yield next(word for word in line.split() if word.startswith("http://")).rstrip("/.,")
        finally:
            process.terminate()
            process.wait(20.0)


def short(address: str, name: str) -> float:
    """What dealers hold of an option by the newest measurement."""
    with urlopen(f"{address}/api/v1/measure/latest", timeout=5.0) as answer:
        document = json.load(answer)
    rows = document["measurement"]["book"] if "measurement" in document else document["book"]
    return dict(zip(rows["instrument"], rows["position_coin"], strict=True)).get(name, 0.0)


@pytest.mark.slow
def test_serve_with_the_inventory_of_its_own_store_goes_on_over_a_restart(tmp_path: Path) -> None:
    exchange = Exchange(strikes=STRIKES, expiries=("27MAR26",), ticker_every_ms=300)
    name = "BTC-27MAR26-70000-C"
    sold = {"instrument_name": name, "direction": "buy", "price": 0.02}
    with serve_exchange(exchange) as venue:
        with serving(tmp_path / "market", venue.port) as address:
            with venue.lock:
                exchange.trade("option", amount=2.0, **sold)
            eventually(lambda: reached(address, name, -2.0))
        with venue.lock:
            exchange.trade("option", amount=3.0, **sold)  # while nobody recorded
        with serving(tmp_path / "market", venue.port) as address:
            eventually(lambda: reached(address, name, -5.0))
            with venue.lock:
                exchange.trade("option", amount=4.0, **sold)
            eventually(lambda: reached(address, name, -9.0))


def reached(address: str, name: str, coin: float) -> bool:
    try:
        return short(address, name) == coin
    except OSError:
        return False  # nothing measured yet
