"""Recorders killed with SIGKILL at random instants: nothing acknowledged is lost, no number is given twice, every store opens again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest
from tests.gates.sizes import gate_seed, gate_size
from tests.gates.store.store_damage import delivered

from tailwag.sources.store import Recorder, verify_store

CHILD = Path(__file__).with_name("recording_child.py")
LONGEST_RESTART_SECONDS = 2.0
KILLS_PER_STORE = 3


@dataclass
class Witness:
    """What the outside world was told, kept apart from the store."""

    told: dict[int, str] = field(default_factory=dict)

    def hear(self, lines: bytes) -> None:
        for line in lines.split(b"\n")[:-1]:
            seq, digest = line.decode().split(" ")
            assert int(seq) not in self.told, f"number {seq} was acknowledged twice"
            self.told[int(seq)] = digest


def killed_run(folder: Path, draw: random.Random, *, segment_bytes: int) -> tuple[bytes, int]:
    """Start a recorder and kill it: before its first record, or some moments after; its acknowledgements and exit status."""
    command = [sys.executable, str(CHILD), str(folder), str(draw.random()), str(segment_bytes)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    if draw.random() < 0.35:
        # the first start itself: from the interpreter's beginning to just behind the first record
        _wait_for(folder, seconds=10.0)
        time.sleep(draw.uniform(0.0, 0.004))
        first = b""
    else:
        first = child.stdout.readline()
        time.sleep(draw.uniform(0.0, 0.15))
    child.kill()
    rest = child.stdout.read()
    child.stdout.close()
    return first + rest, child.wait()


def _wait_for(folder: Path, *, seconds: float) -> None:
    before = _newest(folder)
    end = time.monotonic() + seconds
    while _newest(folder) == before and time.monotonic() < end:
        time.sleep(0.0005)


def _newest(folder: Path) -> tuple[int, int]:
    """Changes as soon as a recorder touches the store."""
    try:
        return len(os.listdir(folder)), (folder / "epoch").stat().st_ino
    except OSError:
        return (0, 0) if not folder.exists() else (1, 0)


def kill_often(place: Path, kills: int, seed: int) -> int:
    """Kill recorders over several stores; the number of acknowledgements that were checked."""
    draw, heard = random.Random(seed), 0
    for number in range(0, kills, KILLS_PER_STORE):
        folder, witness = place / f"store-{number}", Witness()
        segment_bytes = draw.choice((4_096, 60_000, 1 << 20))
        for _ in range(min(KILLS_PER_STORE, kills - number)):
            lines, status = killed_run(folder, draw, segment_bytes=segment_bytes)
            assert status == -9, "the recorder ended before it was killed"
            witness.hear(lines)
            check_store(folder, witness)
        heard += len(witness.told)
    return heard


def check_store(folder: Path, witness: Witness) -> None:
    """Before and after the next recorder opens it."""
    if not folder.exists():
        assert not witness.told
        return
    assert verify_store(folder).damaged == ()
    started = time.monotonic()
    with Recorder(folder) as recorder:
        assert time.monotonic() - started < LONGEST_RESTART_SECONDS
        done = recorder.append_payload(b"after the kill", as_of_ns=1, received_ns=1)
    assert done.seq not in witness.told
    witness.told[done.seq] = done.sha256
    found = verify_store(folder)
    assert (found.damaged, found.unacknowledged_bytes) == ((), 0)
    digests = {seq: sha256(payload).hexdigest() for seq, payload in delivered(folder).items()}
    assert {seq: digests.get(seq) for seq in witness.told} == witness.told
    assert sorted(digests) == list(range(1, len(digests) + 1))


@pytest.mark.parametrize("part", range(2))
def test_killed_recorders_lose_nothing(tmp_path: Path, part: int) -> None:
    kills = gate_size(small=6, full=60) // 2
    assert kill_often(tmp_path, kills=kills, seed=gate_seed() + 10 * (part + 1)) > kills / 2


def test_readers_beside_a_running_recorder_see_no_damage(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    child = subprocess.Popen([sys.executable, str(CHILD), str(folder), "1", "60000"], stdout=subprocess.DEVNULL)
    try:
        _wait_for(folder, seconds=10.0)
        seen = []
        end = time.monotonic() + 1.0
        while time.monotonic() < end or len(seen) < 10:
            found = verify_store(folder)
            assert found.damaged == ()
            seen.append(len(found.entries))
        assert seen == sorted(seen)
        assert seen[-1] > seen[0]
    finally:
        child.kill()
        child.wait()
