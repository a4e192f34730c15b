"""Compactions and makers of tables killed with SIGKILL at random instants: no record is lost, doubled or moved, and no table is wrong."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
from tests.gates.sizes import gate_seed, gate_size
from tests.gates.store.segment_reader import read_store
from tests.gates.store.store_damage import delivered

from tailwag.sources.demo import DEFAULT_AS_OF_NS, demo
from tailwag.sources.snapshot_file import encoded_snapshot
from tailwag.sources.store import History, Recorder, compact_store, verify_store
from tailwag.sources.store.periods import stale_periods, updated_tables

CHILD = Path(__file__).with_name("tending_child.py")
KILLS = gate_size(small=5, full=40)
LONGEST_RESTART_SECONDS = 4.0


def killed(folder: Path, work: str, seconds: float) -> None:
    child = subprocess.Popen([sys.executable, str(CHILD), str(folder), work], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    time.sleep(seconds)
    child.kill()
    child.stdout.close()
    child.wait()


def kill_compactions(folder: Path, kills: range) -> int:
    """The greatest number of replaced files that a kill left behind."""
    told: dict[int, str] = {}
    left_behind = 0
    for number in kills:
        draw = random.Random(f"{gate_seed()}-{number}")
        for _ in range(3):
            with Recorder(folder, segment_bytes=3_000) as recorder:
                for _ in range(6):
                    payload = draw.randbytes(draw.choice((0, 40, 900)))
                    done = recorder.append_payload(payload, as_of_ns=1, received_ns=1)
                    assert done.seq not in told
                    told[done.seq] = done.sha256
        killed(folder, "compact", draw.uniform(0.0, 0.08))
        left_behind = max(left_behind, verify_store(folder).replaced_files)
        check(folder, told)
    compact_store(folder)
    check(folder, told)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert verify_store(folder).replaced_files == 0
    return left_behind


def check(folder: Path, told: dict[int, str]) -> None:
    """By the product and by a reader that shares nothing with it; files under final names are whole."""
    assert verify_store(folder).damaged == ()
    started = time.monotonic()
    Recorder(folder).close()
    assert time.monotonic() - started < LONGEST_RESTART_SECONDS
    assert {seq: sha256(payload).hexdigest() for seq, payload in delivered(folder).items()} == told
    assert {seq: sha256(payload).hexdigest() for seq, payload in read_store(folder).items()} == told


def test_killed_compactions_lose_and_double_nothing(tmp_path: Path) -> None:
    kill_compactions(tmp_path / "store", range(KILLS * 3 // 5))


def test_killed_makers_of_tables_leave_none_that_is_wrong(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    folder = tmp_path / "store"
    payload = encoded_snapshot(demo(as_of_ns=DEFAULT_AS_OF_NS))
    with Recorder(folder) as recorder:
        for number in range(4):
            recorder.append_payload(payload, as_of_ns=DEFAULT_AS_OF_NS + number * 86_400_000_000_000, received_ns=1)
    for number in range(KILLS * 2 // 5):
        killed(folder, "tables", random.Random(f"{gate_seed()}-tables-{number}").uniform(0.0, 0.5))
        assert stale_periods(folder, History.open(folder)) == []
        made = updated_tables(History.open(folder))
        assert [one.files["snapshots"]["rows"] for one in made] == [1] * 4
        assert verify_store(folder).damaged == ()


def test_the_independent_reader_stops_at_what_was_never_acknowledged_and_at_nothing_else(tmp_path: Path) -> None:
    told: dict[int, bytes] = {}
    for _ in range(2):
        with Recorder(tmp_path) as recorder:
            for number in range(3):
                payload = bytes([number]) * 100 * number
                told[recorder.append_payload(payload, as_of_ns=1, received_ns=1).seq] = payload
    for path in sorted(tmp_path.glob("segment-*.tws")):
        path.write_bytes(path.read_bytes() + b"TWR\x01 half a record")
    assert read_store(tmp_path) == told
    first = min(tmp_path.glob("segment-*.tws"))
    data = first.read_bytes()
    first.write_bytes(data[:-150] + bytes([data[-150] ^ 1]) + data[-149:])
    with pytest.raises(AssertionError):
        read_store(tmp_path)
