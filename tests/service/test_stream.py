"""The stream on a real port: everything to those who read, the newest to those who are slow, and no place for those who do not read."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.service.live_service import Live, live_service, market
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tailwag.service.limits import Limits
from tailwag.service.staleness import SourceState
from tailwag.service.stream import ALERTS_WAITING, Outbox


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with live_service(tmp_path, limits=Limits(send_seconds=0.3), first=1) as running:
        yield running


def address(live: Live, query: str = "") -> str:
    return f"ws://127.0.0.1:{live.port}/api/v1/stream{query}"


def heard(client: ClientConnection, *, seconds: float = 10.0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.recv(timeout=seconds))
    return found


def until(true: Callable[[], bool], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_the_first_frame_comes_at_once_then_every_publication(live: Live) -> None:
    with connect(address(live)) as client:
        first = heard(client)
        assert (first["type"], first["seq"], first["source_state"]) == ("measure", 1, "ok")
        for second in range(1, 6):
            live.feed(market(float(second)))
        frames = [heard(client) for _ in range(5)]
    assert [frame["seq"] for frame in frames] == [2, 3, 4, 5, 6]
    assert all(frame["type"] == "measure" and frame["skipped"] == 0 for frame in frames)
    document = live.board.sources()["one"][0].document
    assert frames[-1]["summary"]["gain"]["value"] == document["gain"]["value"]


def test_alerts_and_states_come_too(live: Live) -> None:
    with connect(address(live)) as client:
        heard(client)
        live.board.alert("one", {"at": "2026-09-15T14:30:00Z", "key": "flip", "severity": "warning", "sentence": "the flip is near"})
        alert = heard(client)
        assert (alert["type"], alert["key"], alert["severity"], alert["sentence"], alert["seq"]) == (
            "alert",
            "flip",
            "warning",
            "the flip is near",
            1,
        )
        source = live.monitor._sources["one"]
        source.freshness.max_age_seconds = 0.0
        live.monitor.watch()
        state = heard(client)
        assert (state["type"], state["source_state"], state["seq"]) == ("heartbeat", "stale", 1)
        assert state["age_s"] > 0.0


def test_before_the_first_measurement_the_first_frame_is_a_stale_heartbeat(tmp_path: Path) -> None:
    with live_service(tmp_path) as empty, connect(address(empty)) as client:
        frame = heard(client)
        assert (frame["type"], frame["seq"], frame["as_of"], frame["source_state"], frame["source"]) == (
            "heartbeat",
            0,
            None,
            "stale",
            "one",
        )


def test_a_source_may_be_chosen_and_an_unknown_one_is_refused(live: Live) -> None:
    with connect(address(live, "?source=one")) as client:
        assert heard(client)["source"] == "one"
    with pytest.raises(InvalidStatus), connect(address(live, "?source=two")):
        pass


def test_pages_of_other_origins_and_other_hosts_are_refused(live: Live) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": f"http://127.0.0.1:{live.port + 1}"}):
        with pytest.raises(InvalidStatus) as refused, connect(address(live), additional_headers=headers):
            pass
        assert refused.value.response.status_code == 403
        assert "error" in json.loads(refused.value.response.body or b"{}")
    with connect(address(live), additional_headers={"Origin": f"http://127.0.0.1:{live.port}"}) as client:
        assert heard(client)["seq"] == 1


def test_a_client_that_talks_too_much_or_too_large_is_let_go(live: Live) -> None:
    def talk(client: ClientConnection) -> None:
        for _ in range(200):
            client.send("hello")
            time.sleep(0.002)
        listen(client)

    def talk_large(client: ClientConnection) -> None:
        client.send("x" * 2_000_000)
        listen(client)

    def listen(client: ClientConnection) -> None:
        while True:
            client.recv(timeout=5.0)

    with connect(address(live)) as chatty, pytest.raises(ConnectionClosed):
        talk(chatty)
    with connect(address(live)) as large, pytest.raises(ConnectionClosed):
        talk_large(large)
    with connect(address(live)) as other:
        assert heard(other)["seq"] == 1


def test_stalled_clients_are_let_go_and_healthy_ones_miss_nothing(live: Live) -> None:
    """Twenty read, ten do not: frames of 32 kB fill what the stalled ones are granted within a second."""
    stalled = [silent_client(live) for _ in range(10)]
    until(lambda: len(live.app.state.hub) == 10)
    sent = 150
    readers = Readers(live, 20, last=1 + sent)
    readers.start()
    until(lambda: len(live.app.state.hub) == 30)
    padding = "x" * 32_000
    for number in range(sent):
        until(lambda number=number: readers.behind(1 + number) < 4)  # type: ignore[misc]
        live.board._tell("measure", "one", json.dumps({"type": "measure", "seq": 2 + number, "padding": padding}).encode())
    until(lambda: live.service.metrics.evicted._value.get() == 10.0)
    assert readers.finish() == [list(range(1, 2 + sent))] * 20
    until(lambda: len(live.app.state.hub) == 0)
    assert live.service.metrics.evicted._value.get() == 10.0
    for wire in stalled:
        wire.close()


def silent_client(live: Live) -> socket.socket:
    """A client that shakes hands and then never reads."""
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.connect(("127.0.0.1", live.port))
    wire.sendall(
        f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{live.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    return wire


class Readers(threading.Thread):
    """Clients that read everything until the last number, on an event loop of their own; what each has seen."""

    def __init__(self, live: Live, count: int, *, last: int) -> None:
        super().__init__(daemon=True)
        self._address, self._last, self._seen = address(live), last, [list[int]() for _ in range(count)]

    def run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        await asyncio.gather(*(self._one(seen) for seen in self._seen))

    async def _one(self, seen: list[int]) -> None:
        async with connect_async(self._address, compression=None) as client:
            while not seen or seen[-1] != self._last:
                seen.append(json.loads(await asyncio.wait_for(client.recv(), 15.0))["seq"])

    def behind(self, newest: int) -> int:
        """How many frames the slowest has still to read."""
        return newest - min(seen[-1] if seen else 0 for seen in self._seen)

    def finish(self) -> list[list[int]]:
        self.join(20.0)
        assert not self.is_alive()
        return self._seen


def test_an_outbox_keeps_the_newest_of_each_and_alerts_in_order() -> None:
    async def check() -> None:
        box = Outbox(4)
        spared = sum(box.put("measure", "one", f"{number}".encode()) for number in range(50))
        spared += box.put("heartbeat", "one", b"beat")
        assert len(box) <= 5
        for number in range(ALERTS_WAITING + 7):
            box.put("alert", "one", f"alert {number}".encode())
        assert len(box) <= ALERTS_WAITING + 5
        taken = []
        while (text := box.take()) is not None:
            taken.append(text)
        assert taken[0] == b"alert 7"
        assert taken[ALERTS_WAITING - 1] == f"alert {ALERTS_WAITING + 6}".encode()
        assert taken[-2:] == [b"49", b"beat"]
        assert spared + len(taken) - ALERTS_WAITING == 51
        assert not box.arrived.is_set()

    asyncio.run(check())


def test_too_many_clients_are_turned_away_and_come_in_when_others_leave(tmp_path: Path) -> None:
    with live_service(tmp_path, limits=Limits(streams=2), first=1) as live, connect(address(live)):
        with connect(address(live)):
            until(lambda: len(live.app.state.hub) == 2)
            with pytest.raises(InvalidStatus), connect(address(live)):
                pass
        until(lambda: len(live.app.state.hub) == 1)
        with connect(address(live)) as third:
            assert heard(third)["seq"] == 1


def test_the_clients_are_counted_and_forgotten(live: Live) -> None:
    with connect(address(live)) as client:
        heard(client)
        assert live.service.metrics.clients._value.get() == 1.0
    until(lambda: live.service.metrics.clients._value.get() == 0.0)
    assert live.board.sources()["one"][1].state is SourceState.OK
