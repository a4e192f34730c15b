"""Deribit's stream over real sockets on this machine: flapping, garbled frames, bombs, redirects, and the two commands that use it."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from tests.sources.deribit_exchange import Exchange, serve_exchange

from tailwag.errors import InputError
from tailwag.sources.feeds import Surroundings, open_feed
from tailwag.sources.store import History
from tailwag.sources.streams.backoff import Backoff
from tailwag.sources.streams.deribit_feed import ADDRESS_VARIABLE, DeribitFeed
from tailwag.sources.streams.runner import StreamRunner, WireLimits, checked_address
from tailwag.sources.streams.wire import Action, Close, Send

PATIENCE_SECONDS = 30.0


def eventually(what: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("did not happen in time")


def quick() -> Backoff:
    return Backoff(random.Random(1), first_seconds=0.05, longest_seconds=0.2, per_minute=1_000)


def small_exchange() -> Exchange:
    return Exchange(strikes=(60_000, 80_000), expiries=("27MAR26",), ticker_every_ms=200)


@contextmanager
def feeding(served: Any) -> Iterator[DeribitFeed]:
    said: list[str] = []
    feed = DeribitFeed(
        "BTC",
        clock=served.clock_ns,
        sleep=time.sleep,
        say=said.append,
        address=f"ws://127.0.0.1:{served.port}/ws/api/v2",
        backoff=quick(),
    )
    try:
        yield feed
    finally:
        feed.close()


class Echo:
    """A session that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[str | bytes] = []
        self.closings = 0

    def opened(self, now: float) -> list[Action]:
        return [Send("hello")]

    def received(self, message: str | bytes, now: float, wall_ns: int) -> list[Action]:
        self.heard.append(message)
        return [Close(1007, "told to")] if message == "close" else []

    def tick(self, now: float, wall_ns: int) -> list[Action]:
        return []

    def closed(self, now: float) -> None:
        self.closings += 1

    def live(self, now: float) -> bool:
        return False

    def snapshot(self, now: float, wall_ns: int) -> None:
        return None

    def doubts(self, now: float) -> tuple[str, ...]:
        return ()

    def counters(self) -> dict[str, int]:
        return {}


@contextmanager
def server(handle: Callable[[Any], None], **options: Any) -> Iterator[str]:
    from websockets.sync.server import serve

    with serve(handle, "127.0.0.1", 0, **options) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{served.socket.getsockname()[1]}/"
        finally:
            served.shutdown()
            thread.join(5.0)


@contextmanager
def running(address: str, **options: Any) -> Iterator[tuple[Echo, StreamRunner]]:
    session = Echo()
    runner = StreamRunner(session, address=address, backoff=quick(), limits=WireLimits(message_bytes=1 << 20, **options))
    runner.start()
    try:
        yield session, runner
    finally:
        runner.stop()


# the feed


def test_a_flapping_exchange_gives_true_snapshots_or_none() -> None:
    exchange = small_exchange()
    with serve_exchange(exchange, step_seconds=0.05) as served, feeding(served) as feed:
        assert next(feed) is not None
        taken = nothing = 0
        for drop in range(2):
            served.refuse = drop == 1  # accepts and closes, again and again
            served.drop()
            gone = time.monotonic()
            while time.monotonic() - gone < 0.4:
                snapshot = next(feed)
                nothing += snapshot is None
                if snapshot is None:
                    assert feed.why()
                    time.sleep(0.02)
                    continue
                taken += 1
                moment = Exchange(now_ms=snapshot.as_of_ns // 1_000_000)
                assert snapshot.chain.index_usd[snapshot.chain.usable] == pytest.approx(moment.index_usd, rel=1e-4)
                assert (served.clock_ns() - snapshot.as_of_ns) / 1e9 < 9.0
                for book in snapshot.books:
                    assert book.bid_price_usd[0] < book.ask_price_usd[0]
                time.sleep(0.02)
            served.refuse = False
            eventually(lambda: next(feed))
        assert taken > 0
        assert nothing > 0
        assert feed.counters()["connects"] >= 3
        snapshot = eventually(lambda: next(feed))
        with served.lock:
            rows = exchange.rows()
        for name, mark, interest in zip(
            snapshot.chain.instrument, snapshot.chain.mark_quoted, snapshot.chain.open_interest_contracts, strict=True
        ):
            assert mark == rows[name]["mark_price"]
            assert interest == rows[name]["open_interest"]


@pytest.mark.parametrize("raw", [b"\xff\x00\x01", pytest.param('{"jsonrpc": "2.0", "meth', marks=pytest.mark.slow)])
def test_garbled_frames_end_the_connection_and_the_next_one_is_good(raw: bytes | str) -> None:
    with serve_exchange(small_exchange(), step_seconds=0.05) as served, feeding(served) as feed:
        served.raw.append(raw)
        eventually(lambda: next(feed))
        counts = feed.counters()
        assert counts["closed_1007"] == 1
        assert counts["messages_binary" if isinstance(raw, bytes) else "messages_malformed"] == 1
        assert counts["opened"] == 2


def test_the_words_of_the_recorder_and_of_the_service_take_the_address_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Surroundings(time.time_ns, time.sleep, lambda _text: None)
    monkeypatch.setenv(ADDRESS_VARIABLE, "ws://www.deribit.com/ws/api/v2")
    with pytest.raises(InputError, match="expected an address such as wss"):
        open_feed("deribit-ws:BTC", around)
    monkeypatch.delenv(ADDRESS_VARIABLE)
    feed = open_feed("deribit-ws:BTC", around)
    assert feed.name == "deribit-ws:BTC"
    assert feed.every_seconds == 5.0
    for word in ("deribit-ws:", "deribit-ws:btc", "deribit-ws:../x"):
        with pytest.raises(InputError, match="expected a currency"):
            open_feed(word, around)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/",
        "ws://10.0.0.1/",
        "ws://localhost.evil.com/",
        "wss://user:secret@host/",
        "wss://",
        "ws://[::1",
        "wss://host:x/",
        "",
    ],
)
def test_addresses_that_are_not_private_are_refused(address: str) -> None:
    with pytest.raises(InputError, match="expected an address"):
        checked_address(address)


def test_addresses_on_this_machine_and_encrypted_ones_are_taken() -> None:
    for address in ("wss://test.deribit.com/ws/api/v2", "ws://127.0.0.1:1/", "ws://[::1]:80/", "ws://localhost/"):
        assert checked_address(address) == address


# the thread around the socket


@pytest.mark.slow
def test_a_message_too_large_invalid_text_and_a_bomb_end_the_connection() -> None:
    sends: list[Callable[[Any], None]] = [
        lambda connection: connection.send("x" * (2 << 20)),
        lambda connection: connection.send(b"\xff\xfe", text=True),
        lambda connection: connection.send("0" * (64 << 20)),  # 64 kB once packed
    ]
    turns = iter(sends)

    def handle(connection: Any) -> None:
        connection.recv(timeout=5.0)
        next(turns, lambda connection: connection.send("well"))(connection)
        try:
            connection.recv(timeout=5.0)
        except Exception:
            return

    with server(handle, compression="deflate") as address, running(address) as (session, runner):
        eventually(lambda: "well" in session.heard)
        counts = runner.counters()
        assert session.heard == ["well"]
        assert counts["lost_1009"] == 2
        assert counts["lost_1007"] == 1
        assert session.closings >= 3


def test_a_redirect_is_refused_and_said() -> None:
    def process(connection: Any, request: Any) -> Any:
        response = connection.respond(302, "elsewhere\n")
        response.headers["Location"] = "ws://127.0.0.1:9/"
        return response

    with server(lambda _connection: None, process_request=process) as address, running(address) as (session, runner):
        eventually(lambda: runner.counters().get("lost_VenueError", 0) >= 1)
        assert "redirects elsewhere" in runner.doubts()[0]
        assert session.heard == []


@pytest.mark.parametrize(
    "asked",
    [None, *(pytest.param(text, marks=pytest.mark.slow) for text in ("60", "999999999999", "-5", "1e9", "Wed, 21 Oct 2026 07:28:00 GMT"))],
)
def test_a_venue_that_is_too_busy_is_not_asked_again_at_once(asked: str | None) -> None:
    def process(connection: Any, request: Any) -> Any:
        response = connection.respond(429, "later\n")
        if asked is not None:
            response.headers["Retry-After"] = asked
        return response

    with server(lambda _connection: None, process_request=process) as address, running(address) as (_session, runner):
        eventually(lambda: runner.counters().get("lost_InvalidStatus", 0) >= 1)
        time.sleep(0.4)
        assert runner.counters()["connects"] == 1


def test_a_session_that_closes_is_opened_again_and_stopping_is_quick() -> None:
    def handle(connection: Any) -> None:
        assert connection.recv(timeout=5.0) == "hello"
        connection.send("close")
        try:
            connection.recv(timeout=5.0)
        except Exception:
            return

    with server(handle) as address, running(address) as (session, runner):
        eventually(lambda: runner.counters().get("closed_1007", 0) >= 3)
        assert set(session.heard) == {"close"}
        assert "told to" in " ".join(runner.doubts())
        started = time.monotonic()
        runner.stop()
        assert time.monotonic() - started < PATIENCE_SECONDS


def test_an_address_where_nobody_listens_is_tried_within_the_back_off() -> None:
    with server(lambda _connection: None) as address:
        pass
    with running(address) as (_session, runner):
        eventually(lambda: runner.counters().get("connects", 0) >= 3)
        assert "connection lost: ConnectionRefusedError" in runner.doubts()[0]


# waiting


def test_flapping_ten_times_a_second_connects_at_most_twelve_times_a_minute() -> None:
    for seed in range(20):
        waits, now, connects = Backoff(random.Random(seed)), 0.0, []
        while now < 1_800.0:
            now = waits.due(now)
            connects.append(now)
            waits.connecting(now)
            now += 0.1
            waits.lost(now)
        times = np.array(connects)
        assert max(int(((times >= at) & (times < at + 60.0)).sum()) for at in times) <= 12
        assert float(np.diff(times).max()) <= 15.0, "never longer away than promised"


def test_only_a_connection_that_was_good_for_a_while_starts_the_waiting_anew() -> None:
    waits = Backoff(random.Random(1))
    for _ in range(8):
        waits.connecting(0.0)
        waits.lost(0.0)
    assert waits.due(0.0) >= 5.0
    waits.lost(100.0, wait_seconds=30.0)
    assert waits.due(100.0) == 130.0
    waits.settled()
    waits.lost(200.0)
    assert 200.25 <= waits.due(200.0) <= 200.5


# the commands


def environment(served: Any) -> dict[str, str]:
    return {**os.environ, ADDRESS_VARIABLE: f"ws://127.0.0.1:{served.port}/ws/api/v2"}


@pytest.mark.slow
def test_record_keeps_what_the_stream_holds(tmp_path: Path) -> None:
    with serve_exchange(small_exchange()) as served:
        words = ["record", "deribit-ws:BTC", "--store", str(tmp_path / "market"), "--every", "0.3", "--count", "3"]
        done = subprocess.run(
            [sys.executable, "-m", "tailwag", *words], env=environment(served), capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "recorded 3 snapshots" in done.stdout
    kept = list(History.open(tmp_path / "market").snapshots())
    assert [len(snapshot.chain) for snapshot in kept] == [4, 4, 4]
    assert kept[0].source.name == "deribit-ws:BTC"
    assert len(kept[-1].books) == 1


@pytest.mark.slow
def test_serve_measures_the_stream_and_says_stale_when_it_falls_silent(tmp_path: Path) -> None:
    exchange = small_exchange()
    exchange.strikes = (50_000, 60_000, 65_000, 70_000, 75_000, 80_000)
    words = ["serve", "--source", "deribit-ws:BTC", "--store", str(tmp_path / "market"), "--port", "0", "--every", "1"]
    with (
        serve_exchange(exchange) as served,
        subprocess.Popen(
            [sys.executable, "-m", "tailwag", *words], env=environment(served), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if "http://" in line)
            address = next(word for word in line.split() if word.startswith("http://")).rstrip("/.,")

            def state() -> Any:
                with urlopen(f"{address}/api/v1/sources", timeout=5.0) as answer:
                    return json.load(answer)["sources"][0]

            eventually(lambda: state()["source_state"] in ("ok", "degraded"))
            served.exchange.dead = True
            stale = eventually(lambda: state() if state()["source_state"] == "stale" else None)
            assert "Deribit's stream" in json.dumps(stale)
        finally:
            process.terminate()
            process.wait(10.0)


def test_without_a_network_each_failed_connection_is_said_while_the_first_snapshot_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    said: list[str] = []
    # the patience of the first turn is its sleeps: it ends once three failures have been said, or after as many steps as it would take
    feed = DeribitFeed(
        "BTC",
        clock=time.time_ns,
        sleep=lambda seconds: time.sleep(0.0 if len(said) >= 3 else seconds),
        say=said.append,
        address=f"ws://127.0.0.1:{port}/ws/api/v2",
        backoff=quick(),
    )
    try:
        assert next(feed) is None
    finally:
        feed.close()
    failures = [text for text in said if "connecting again in" in text]
    assert len(failures) >= 3
    assert all(text.startswith("deribit-ws:BTC: connection lost: ConnectionRefusedError") for text in failures)
