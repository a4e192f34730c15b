"""G10: a thousand stream clients at 2 Hz of real frames, a tenth of them deaf, some coming and going: those who read miss nothing."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from tests.gates.sizes import gate_size
from tests.service.live_service import Serving, serving

P99_SECONDS = 1.0
SHEDDING_SECONDS = 30.0
RSS_MEBIBYTES = 100.0
READER = """
import asyncio, json, sys, time
from datetime import datetime
from websockets.asyncio.client import connect

async def one(address, seconds, seen, late):
    async with connect(address, compression=None, max_queue=64, open_timeout=60) as stream:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            frame = json.loads(await asyncio.wait_for(stream.recv(), 30.0))
            if frame["type"] == "measure":
                seen.append((frame["seq"], frame["skipped"]))
                if len(seen) > 1:  # the first frame tells of a measurement from before
                    late.append(time.time() - datetime.fromisoformat(frame["published_at"]).timestamp())

async def main(address, count, seconds):
    seen, late = [[] for _ in range(count)], []
    gate = asyncio.Semaphore(50)
    async def patient(mine):
        async with gate:
            await asyncio.sleep(0.01)
        await one(address, seconds, mine, late)
    done = await asyncio.gather(*(patient(mine) for mine in seen), return_exceptions=True)
    lost = [repr(error)[:200] for error in done if error is not None]
    # snapshots that were recorded and not measured have a number too, and the frame says how many
    gaps = sum(later[0] - earlier[0] > 1 + later[1] for mine in seen for earlier, later in zip(mine, mine[1:]))
    late.sort()
    print(json.dumps({"lost": lost[:3], "lost_count": len(lost), "gaps": gaps, "frames": len(late), "silent": sum(len(m) < 2 for m in seen),
                      "p99": late[int(0.99 * (len(late) - 1))] if late else None}))

asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
"""


def deaf(service: Serving) -> socket.socket:
    """A client that shakes hands and then reads nothing."""
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.settimeout(20.0)
    wire.connect(("127.0.0.1", service.port))
    wire.sendall(
        f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    return wire


def resident_mebibytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def clients_of(service: Serving) -> int:
    text = httpx.get(f"{service.address}/metrics", verify=False, timeout=20.0).text
    return int(float(next(line for line in text.splitlines() if line.startswith("tailwag_stream_clients ")).split()[1]))


async def come_and_go(address: str, *, until: float, count: int) -> int:
    """Clients that connect, read one frame and leave, again and again."""
    from websockets.asyncio.client import connect

    rounds = 0

    async def one() -> None:
        nonlocal rounds
        while time.monotonic() < until:
            async with connect(address, compression=None, open_timeout=60) as stream:
                await stream.recv()
            rounds += 1
            await asyncio.sleep(1.0)

    await asyncio.gather(*(one() for _ in range(count)))
    return rounds


def test_those_who_read_miss_nothing(tmp_path: Path) -> None:
    clients, crowded = gate_size(small=30, full=1_000), is_crowded()
    seconds = min(4.0 + clients / 40.0, 30.0)
    with serving(tmp_path, "--store", str(tmp_path / "store"), "--every", "0.5") as service:
        warm_up(service)
        before = resident_mebibytes(service.process.pid)
        address = f"ws://127.0.0.1:{service.port}/api/v1/stream"
        wires = [deaf(service) for _ in range(clients // 10)]
        healthy = clients - clients // 10 - clients // 20
        words = [sys.executable, "-c", READER, address, str(healthy), str(seconds)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as readers:
            rounds = asyncio.run(come_and_go(address, until=time.monotonic() + seconds, count=max(clients // 20, 1)))
            out, _ = readers.communicate(timeout=120.0)
        growth = resident_mebibytes(service.process.pid) - before
        found: dict[str, Any] = json.loads(out)
        left = clients_of(service)
        for wire in wires:
            wire.close()
        assert service.stop() == 0
    print(
        f"p99 {'is not judged: others wanted this machine' if crowded else 'is judged'}; {healthy} read, {len(wires)} deaf ({left} still there), {rounds} came and went, RSS +{growth:.0f} MiB, {found}"
    )
    assert (found["lost_count"], found["gaps"], found["silent"]) == (0, 0, 0), found
    assert found["frames"] >= healthy * 2
    assert crowded or found["p99"] <= P99_SECONDS, found
    assert growth <= RSS_MEBIBYTES
    # one that reads nothing costs a bounded outbox until its connection is full or its ping is unanswered, and is then let go
    assert left == 0 or seconds < SHEDDING_SECONDS, f"{left} deaf clients still there after {seconds:g} s"


def is_crowded() -> bool:
    """Whether more processes want this machine than it has cores before the test adds its own: latency is promised for one that has room."""
    return os.getloadavg()[0] > (os.cpu_count() or 1)


def warm_up(service: Serving) -> None:
    deadline = time.monotonic() + 60.0
    while httpx.get(f"{service.address}/readyz", verify=False).status_code != 200:
        assert time.monotonic() < deadline, "nothing was measured"
        time.sleep(0.1)
