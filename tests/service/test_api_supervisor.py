"""What a service manager hears, and how the process says whether it is there and whether it is ready."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.service.live_service import live_service, market

from tailwag.service.supervisor import ALIVE, READY, give_signs, is_working, tell, watchdog_seconds


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_words_reach_the_manager(manager: socket.socket) -> None:
    assert tell(READY)
    assert manager.recv(64) == b"READY=1"


def test_words_reach_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"tailwag-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        assert tell(ALIVE)
        assert listening.recv(64) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "relative"])
def test_without_a_manager_nothing_happens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not tell(READY)


@pytest.mark.parametrize(
    ("usec", "owner", "seconds"),
    [
        ("30000000", "", 30.0),
        ("500000", "own", 0.5),
        ("500000", "1", None),
        ("", "", None),
        ("0", "", None),
        ("-5", "", None),
        ("٣", "", None),
    ],
)
def test_how_long_the_manager_waits(usec: str, owner: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if owner == "own" else owner)
    assert watchdog_seconds() == seconds


def test_signs_of_life_stop_when_the_work_does(manager: socket.socket) -> None:
    working = [True, True, False, False, True]

    async def check() -> None:
        signs = asyncio.ensure_future(give_signs(0.001, working=lambda: working.pop(0) if working else False))
        while working:
            await asyncio.sleep(0.005)
        signs.cancel()

    asyncio.run(check())
    assert [manager.recv(64) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(64)


def test_work_is_done_only_while_both_threads_live() -> None:
    assert not is_working()
    over = threading.Event()
    threads = [threading.Thread(target=over.wait, name=f"tailwag {name}") for name in ("measure", "watch")]
    threads[0].start()
    assert not is_working()
    threads[1].start()
    assert is_working()
    over.set()
    for thread in threads:
        thread.join()
    assert not is_working()


def test_alive_is_not_ready(tmp_path: Path) -> None:
    with live_service(tmp_path) as live:

        def status(path: str) -> int:
            return httpx.get(f"{live.address}{path}", verify=False).status_code

        assert (status("/healthz"), status("/readyz")) == (200, 503)
        live.feed(market())
        assert (status("/healthz"), status("/readyz")) == (200, 200)
        live.monitor._sources["one"].freshness.max_age_seconds = 0.0
        live.monitor.watch()
        assert (status("/healthz"), status("/readyz")) == (200, 503)
