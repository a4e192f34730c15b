"""Sync before acknowledgement: by the order of calls, under strace, with the process stopped at every call, and with the power cut there."""

from __future__ import annotations

import errno
import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gates.sizes import gate_seed, gate_size
from tests.gates.store.store_damage import delivered
from tests.gates.store.store_disks import ForgetfulDisk, Stopped, WatchedDisk, refusing, stopping_at

from tailwag.errors import StoreError
from tailwag.sources.store import Recorder, verify_store

SEGMENT_BYTES = 1_500


def payload_of(number: int) -> bytes:
    return random.Random(number).randbytes((0, 40, 700, 1_600)[number % 4])


def record_until_stopped(folder: Path, disk: WatchedDisk, told: dict[int, bytes], *, records: int) -> bool:
    """Record payloads and note what is acknowledged; whether it came to its end."""
    try:
        recorder = Recorder(folder, segment_bytes=SEGMENT_BYTES, disk=disk)
        for number in range(records):
            payload = payload_of(number)
            done = recorder.append_payload(payload, as_of_ns=1, received_ns=1)
            assert done.seq not in told, "a number that was used before"
            told[done.seq] = payload
        recorder.close()
    except Stopped:
        return False
    return True


def check(folder: Path, told: dict[int, bytes]) -> None:
    """Every acknowledged record is there and nothing is damaged, before and after the next recorder has opened the store."""
    if folder.exists():
        assert verify_store(folder).damaged == ()
    with Recorder(folder, segment_bytes=SEGMENT_BYTES) as recorder:
        done = recorder.append_payload(b"next", as_of_ns=1, received_ns=1)
    assert done.seq not in told
    found = delivered(folder)
    assert {seq: found.get(seq) for seq in told} == told
    assert verify_store(folder).damaged == ()
    told[done.seq] = b"next"


def test_every_acknowledgement_comes_after_the_syncs_that_cover_it(tmp_path: Path) -> None:
    disk = WatchedDisk()
    with Recorder(tmp_path / "store", segment_bytes=SEGMENT_BYTES, disk=disk) as recorder:
        for number in range(12):
            disk.calls.clear()
            recorder.append_payload(payload_of(number), as_of_ns=1, received_ns=1)
            calls = disk.calls
            records = [place for place, (call, name) in enumerate(calls) if call == "write" and name.startswith("segment")]
            segment = calls[records[-1]][1]
            # the record, its sync, the mark, its sync, and nothing after
            assert calls[records[-1] :] == [("write", segment), ("sync", segment), ("write", "mark"), ("sync", "mark")]
            made = [place for place, call in enumerate(calls) if call == ("replace", segment)]
            for place in made:
                assert calls[place - 1] == ("sync", f".{segment}.part")
                assert calls[place + 1][0] == "sync_folder"


def test_the_names_of_new_folders_are_synced_too(tmp_path: Path) -> None:
    disk = WatchedDisk()
    Recorder(tmp_path / "a" / "b" / "store", disk=disk).close()
    assert {("sync_folder", name) for name in (tmp_path.name, "a", "b")} <= set(disk.calls)
    assert ("sync_folder", "b") in disk.calls[:4], "before anything is written"


def test_a_process_stopped_before_any_of_its_calls_loses_nothing(tmp_path: Path) -> None:
    told: dict[int, bytes] = {}
    for call in range(1_000):
        folder, told = tmp_path / str(call), {}
        disk = WatchedDisk(stopping_at(call))
        ended = record_until_stopped(folder, disk, told, records=5)
        disk.abandon()
        check(folder, told)
        if ended:
            break
    assert call > 40
    assert len(told) == 6


def cut_power(place: Path, calls: range, seed: int) -> int:
    """Two recorders after each other on one store, each losing its power at a drawn call; the acknowledgements that were checked."""
    heard = 0
    for number in calls:
        draw = random.Random(f"{seed}-{number}")
        folder, told = place / str(number), {}
        for stop in (number % 70, draw.randrange(60)):
            disk = ForgetfulDisk(stopping_at(stop))
            record_until_stopped(folder, disk, told, records=5)
            disk.power_cut(draw)
            check(folder, told)
        heard += len(told)
        shutil.rmtree(folder)
    return heard


@pytest.mark.parametrize("part", range(2))
def test_a_power_cut_at_any_call_loses_nothing(tmp_path: Path, part: int) -> None:
    cuts = gate_size(small=36, full=240)
    assert cut_power(tmp_path, range(part, 2 * cuts, 4), seed=gate_seed()) > cuts


class _Unsynced(ForgetfulDisk):
    """A recorder that forgets its syncs on some file."""

    start = ""

    def sync(self, descriptor: int) -> None:
        if not self.names[descriptor].name.startswith(self.start):
            super().sync(descriptor)


@pytest.mark.parametrize("start", ["segment", "mark"])
def test_a_recorder_that_does_not_sync_is_found_out(tmp_path: Path, start: str) -> None:
    disk_kind = type("Unsynced", (_Unsynced,), {"start": start})
    caught = 0
    for number in range(24):
        told: dict[int, bytes] = {}
        folder = tmp_path / str(number)
        disk = disk_kind(stopping_at(20 + number))
        record_until_stopped(folder, disk, told, records=5)
        disk.power_cut(random.Random(number))
        try:
            check(folder, told)
        except (AssertionError, StoreError):
            caught += 1
    assert caught > 3


@pytest.mark.parametrize(
    ("call", "start"),
    [
        ("write", "segment"),
        ("sync", "segment"),
        ("write", "mark"),
        ("sync", "mark"),
        ("replace", "segment"),
        ("open", "segment"),
        ("sync_folder", "store"),
    ],
)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("after", [0, 2])
def test_a_disk_that_refuses_is_told_in_words_and_recording_goes_on_when_it_is_free(
    tmp_path: Path, call: str, start: str, code: int, after: int
) -> None:
    folder, disk, told = tmp_path / "store", WatchedDisk(), {}
    with Recorder(folder, segment_bytes=SEGMENT_BYTES, disk=disk) as recorder:
        for number in range(after):
            told[recorder.append_payload(payload_of(number), as_of_ns=1, received_ns=1).seq] = payload_of(number)
        disk.before = refusing(call, start=start, code=code)
        refused: list[str] = []
        for number in range(4, 12):
            try:
                done = recorder.append_payload(payload_of(number), as_of_ns=1, received_ns=1)
            except StoreError as error:
                refused.append(str(error))
                assert {seq: delivered(folder).get(seq) for seq in told} == told
                continue
            assert done.seq not in told
            told[done.seq] = payload_of(number)
    assert len(refused) == 1
    assert "nothing was acknowledged" in refused[0]
    assert ("free some space" in refused[0]) == (code == errno.ENOSPC)
    check(folder, told)


def test_a_full_disk_at_start_is_told_in_words_and_leaves_the_lock_free(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with pytest.raises(StoreError, match="free some space"):
        Recorder(folder, disk=WatchedDisk(refusing("write", start="epoch")))
    check(folder, {})


def test_strace_sees_a_sync_of_record_and_mark_before_each_acknowledgement(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log, acks = tmp_path / "log", tmp_path / "acks"
    command = [sys.executable, "-m", "tailwag", "record", "demo", "--store", str(tmp_path / "store"), "--count", "12", "--every", "0.001"]
    command += ["--segment-mib", "0.4", "--ack-fd", "1"]
    watched = "trace=openat,close,pwrite64,write,fdatasync,fsync"
    with open(acks, "wb") as out:
        done = subprocess.run([strace, "-f", "-o", str(log), "-e", watched, *command], stdout=out, stderr=subprocess.PIPE, check=False)
    if done.returncode and b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    assert unsynced_acknowledgements(log.read_text(errors="replace")) == (12, [])
    lines = [json.loads(line) for line in acks.read_text().split("\n") if line.startswith("{")]
    assert [line["seq"] for line in lines] == list(range(1, 13))


def unsynced_acknowledgements(log: str) -> tuple[int, list[str]]:
    """Acknowledgements in a trace, and those written while some write to a segment or the mark was not synced, or without any such write."""
    opened: dict[str, str] = {}
    dirty: set[str] = set()
    written: set[str] = set()
    acknowledged, bad = 0, []
    call = re.compile(r"^\d+\s+(?P<name>\w+)\((?P<first>\w+)(?P<rest>.*)\)\s+= (?P<answer>-?\d+)")
    for line in log.split("\n"):
        match = call.match(line)
        if match is None:
            continue
        name, first, answer = match["name"], match["first"], match["answer"]
        if name == "openat":
            path = re.search(r'"([^"]*)"', match["rest"])
            opened[answer] = path[1].rsplit("/", 1)[-1] if path else ""
        elif name == "pwrite64":
            written.add(opened[first])
            dirty.add(opened[first])
        elif name in ("fdatasync", "fsync") and answer == "0":
            dirty.discard(opened.get(first, ""))
        elif name == "write" and first == "1" and '\\"seq\\"' in match["rest"]:
            acknowledged += 1
            if dirty or "mark" not in written or not any(file.startswith("segment") for file in written):
                bad.append(line)
            written.clear()
    return acknowledged, bad


def test_the_reader_of_traces_finds_a_missing_sync() -> None:
    lines = [
        '1 openat(AT_FDCWD, "/s/segment-00000001.tws", O_RDWR) = 5',
        '1 openat(AT_FDCWD, "/s/mark", O_RDWR) = 6',
        '1 pwrite64(5, "x"..., 9, 0) = 9',
        "1 fdatasync(5) = 0",
        '1 pwrite64(6, "x"..., 9, 0) = 9',
        "1 fdatasync(6) = 0",
        '1 write(1, "{\\"seq\\": 1}", 11) = 11',
    ]
    assert unsynced_acknowledgements("\n".join(lines)) == (1, [])
    for missing in (3, 5):
        assert len(unsynced_acknowledgements("\n".join(lines[:missing] + lines[missing + 1 :]))[1]) == 1
