"""Asked to stop while many ask: what is under way is finished, the exit is clean, every acknowledged record stands."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from tests.gates.sizes import gate_size
from tests.service.live_service import serving
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


@pytest.mark.slow
@pytest.mark.parametrize("_round", range(gate_size(small=1, full=2)))
def test_a_stop_under_load_loses_nothing(_round: int, tmp_path: Path) -> None:
    store, over, odd, newest = tmp_path / "store", threading.Event(), [], [0]

    def ask(path: str) -> None:
        with httpx.Client(base_url=service.address, verify=False, timeout=20.0) as client:
            while not over.is_set():
                try:
                    status = client.get(path).status_code
                except httpx.TransportError:
                    return  # it is gone
                if status >= 500 and status != 503:
                    odd.append((path, status))

    def listen() -> None:
        try:
            with connect(f"ws://127.0.0.1:{service.port}/api/v1/stream") as stream:
                for text in stream:
                    newest[0] = max(newest[0], json.loads(text)["seq"])
        except (ConnectionClosed, OSError):
            return

    with serving(tmp_path, "--store", str(store), "--every", "0.1") as service:
        threads = [threading.Thread(target=ask, args=(path,)) for path in PATHS for _ in range(4)] + [threading.Thread(target=listen)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60.0
        while newest[0] < 10:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert service.stop(seconds=60.0) == 0, "stopped in order, and not killed"
        over.set()
        for thread in threads:
            thread.join(20.0)
        assert not any(thread.is_alive() for thread in threads)
    assert odd == []
    assert "Traceback" not in service.errors.read_text()
    verified = subprocess.run(
        [sys.executable, "-m", "tailwag", "verify", str(store), "--json", str(tmp_path / "verified.json")], check=False, capture_output=True
    )
    found = json.loads((tmp_path / "verified.json").read_text())
    assert (verified.returncode, found["damaged"]) == (0, [])
    assert found["last_seq"] >= newest[0], "what was published is in the store"


PATHS = ("/api/v1/measure/latest", "/api/v1/whatif?hedge_share=0.5", "/api/v1/history?field=gain.value", "/metrics")
