"""``tailwag serve`` as a process: it starts alone, goes on where a kill -9 left it, refuses an open door, and stops when asked."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.service.live_service import live_service, market, token_file

from tailwag.cli import main
from tailwag.sources.store.history import History
from tailwag.sources.store.recorder import Recorder

SECONDS = 60.0


@contextmanager
def serving(*words: str, environment: dict[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A serve process on a free port, and a client to it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tailwag", "serve", "--port", "0", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"serves (http://\S+)/ ", line)
        assert found, line
        with httpx.Client(base_url=found[1], verify=False, timeout=20.0) as client:
            yield process, client
    finally:
        process.kill()
        process.wait(10.0)
        if process.stdout is not None:
            process.stdout.close()


def first_measured(client: httpx.Client, *, above: int = 0) -> dict:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        answer = client.get("/api/v1/measure/latest")
        if answer.status_code == 200 and answer.json()["seq"] > above:
            return answer.json()
        time.sleep(0.05)
    raise AssertionError("nothing was measured")


def refused(capsys: pytest.CaptureFixture[str], *words: str, status: int = 2) -> str:
    """The one sentence of a start that is refused."""
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--port", "0", *words])
    shown = capsys.readouterr()
    assert ended.value.code == status
    assert shown.out == ""
    lines = [line for line in shown.err.splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    assert all(json.loads(line) for line in shown.err.splitlines() if line.startswith("{"))
    return lines[0]


def test_started_again_it_goes_on_counting(tmp_path: Path) -> None:
    with live_service(tmp_path, first=3) as live:
        before = [point["value"] for point in history_of(live.address)]
    with live_service(tmp_path) as live:
        live.feed(market(7.0))
        assert live.board.sources()["one"][0].seq == 4
        points = history_of(live.address)
        assert [point["value"] for point in points[:3]] == before
        assert [point["seq"] for point in points] == [1, 2, 3, 4]


def history_of(address: str) -> list[dict]:
    return httpx.get(f"{address}/api/v1/history", params={"field": "gain.value"}, verify=False).json()["points"]


@pytest.mark.slow
def test_killed_and_started_again_it_goes_on_counting_and_keeps_every_number(tmp_path: Path) -> None:
    store = tmp_path / "market"
    with serving("--store", str(store), "--every", "0.2") as (process, client):
        before = first_measured(client, above=2)
        seen = client.get("/api/v1/history", params={"field": "gain.value"}).json()["points"]
        process.send_signal(signal.SIGKILL)
        process.wait(10.0)
    kept = History.open(store)
    assert not kept.damaged
    assert kept.entries[-1].record.seq >= before["seq"]
    with serving("--store", str(store), "--every", "0.2") as (process, client):
        after = first_measured(client)
        assert after["seq"] > kept.entries[-1].record.seq
        again = client.get("/api/v1/history", params={"field": "gain.value", "to": seen[-1]["as_of"]}).json()["points"]
        assert again[: len(seen)] == seen
        process.send_signal(signal.SIGTERM)
        assert process.wait(20.0) == 0
    assert not History.open(store).damaged
    assert [entry.record.seq for entry in History.open(store).entries] == list(range(1, len(History.open(store)) + 1))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--host", "0.0.0.0"), "tokens are needed"),
        (("--every", "0"), "--every expects"),
        (("--source", "nonsense"), "expected demo, replay:FOLDER"),
        (("--source", "replay:/nowhere"), "replay: expects a folder"),
        (("--dynamics", "nonsense"), "nonsense"),
        (("--source", "demo", "--currency", "DOGE"), "expected a demo currency (BTC, ETH), got 'DOGE'"),
        (("--source", "deribit:NOCOIN"), "expected a currency such as BTC or ETH, got 'NOCOIN'"),
    ],
)
def test_what_cannot_be_served_is_refused(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAILWAG_TOKEN_FILE", raising=False)
    assert sentence in refused(capsys, *words)


def test_a_public_token_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILWAG_TOKEN_FILE", str(token_file(tmp_path, "viewer:abcdefghijklmnopqrst", mode=0o644)))
    sentence = refused(capsys, "--host", "0.0.0.0", "--behind-tls", "--public-host", "desk.example.com")
    assert "mode 0644" in sentence
    assert "abcdefghijklmnopqrst" not in sentence


def test_a_store_that_another_process_records_into_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Recorder(tmp_path / "busy"):
        assert "busy" in refused(capsys, "--store", str(tmp_path / "busy"), status=1)


def test_a_port_that_is_taken_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        assert "cannot listen on" in refused(capsys, "--port", str(taken.getsockname()[1]))
