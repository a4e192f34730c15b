"""``tailwag record | verify | export`` as a user's shell sees them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import Outcome, refused, tailwag

from tailwag.errors import VenueError
from tailwag.sources.demo import DEFAULT_AS_OF_NS, demo
from tailwag.sources.snapshot_file import save
from tailwag.sources.store import History
from tailwag.sources.store.segments import segment_name
from tailwag.units import NS_PER_HOUR


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three snapshots whose names are not in the order of their times, and a text file."""
    folder = tmp_path_factory.mktemp("captures")
    for hour, name in ((2, "a"), (0, "b"), (1, "c")):
        save(demo(seed=hour, as_of_ns=DEFAULT_AS_OF_NS + hour * NS_PER_HOUR), folder / f"{name}.parquet")
    (folder / "README.md").write_text("captured by hand\n")
    return folder


def recorded(*words: str | Path, store: Path) -> tuple[Outcome, list[dict[str, Any]]]:
    """Run ``tailwag record`` and read its acknowledgements from a pipe of its own."""
    reading, writing = os.pipe()
    try:
        outcome = tailwag("record", *words, "--store", store, "--ack-fd", str(writing))
    finally:
        os.close(writing)
    with open(reading, "rb") as stream:
        return outcome, [json.loads(line) for line in stream.read().splitlines()]


def verified(store: Path) -> tuple[int, dict[str, Any]]:
    outcome = tailwag("verify", store, "--json", "-")
    return outcome.code, json.loads(outcome.out)


def test_the_demo_is_recorded_and_each_snapshot_acknowledged(tmp_path: Path) -> None:
    store = tmp_path / "store"
    outcome, acks = recorded("demo", "--count", "3", "--every", "0.001", store=store)
    assert (outcome.code, outcome.out.decode()) == (0, f"recorded 3 snapshots in {store}: 1 to 3\n")
    assert [list(ack) for ack in acks] == [["seq", "as_of", "sha256"]] * 3
    history = History.open(store)
    assert [sha256(history.payload(entry)).hexdigest() for entry in history.entries] == [ack["sha256"] for ack in acks]
    assert len({ack["as_of"] for ack in acks}) == 3, "the demo market moves with the clock"
    _, more = recorded("demo", "--count", "1", store=store)
    assert [ack["seq"] for ack in more] == [4]
    code, found = verified(store)
    assert (code, found["records"], found["first_seq"], found["last_seq"], found["damaged"]) == (0, 4, 1, 4, [])


def test_a_folder_is_played_again_in_the_order_of_its_times(captures: Path, tmp_path: Path) -> None:
    outcome, acks = recorded(f"replay:{captures}", store=tmp_path / "store")
    assert [ack["as_of"] for ack in acks] == ["2026-09-15T14:30:00Z", "2026-09-15T15:30:00Z", "2026-09-15T16:30:00Z"]
    assert "README.md left out" in outcome.err
    again, copies = recorded(f"replay:{tmp_path / 'store'}", store=tmp_path / "copy")
    assert again.code == 0
    assert copies == acks, "a store plays what it holds, byte for byte"


def test_what_is_played_into_a_store_twice_is_warned_of_once(captures: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first, _ = recorded(f"replay:{captures}", store=store)
    assert "counts twice" not in first.err
    again, acks = recorded(f"replay:{captures}", store=store)
    assert (again.code, len(acks)) == (0, 3)
    assert again.err.count("counts twice") == 1
    assert f"2026-09-15T14:30:00Z is already record 1 of {store}" in again.err
    file, _ = recorded(captures / "c.parquet", store=store)
    assert f"2026-09-15T15:30:00Z is already record 2 of {store}" in file.err
    save(demo(seed=99, as_of_ns=DEFAULT_AS_OF_NS), tmp_path / "other.parquet")
    other, _ = recorded(tmp_path / "other.parquet", store=store)
    assert "counts twice" not in other.err, "the same time of another source"


def test_speed_paces_a_replay_by_its_own_times(captures: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    _, acks = recorded(f"replay:{captures}", "--speed", "36000", store=tmp_path / "store")
    assert len(acks) == 3
    assert time.monotonic() - started > 2 * 3600 / 36000


def test_a_file_is_recorded_once(captures: Path, tmp_path: Path) -> None:
    _, acks = recorded(captures / "a.parquet", store=tmp_path / "store")
    assert [ack["seq"] for ack in acks] == [1]


def test_damage_is_told_with_its_numbers_and_exit_status_1(captures: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    recorded(f"replay:{captures}", store=store)
    path = store / segment_name(1)
    data = path.read_bytes()
    path.write_bytes(data[:220_000] + b"?" + data[220_001:])
    code, found = verified(store)
    assert (code, found["damaged"]) == (1, [{"from_seq": 2, "to_seq": 2, "code": "record_damaged"}])
    said = tailwag("verify", store)
    assert said.code == 1
    assert "2 to 2 lost: record_damaged (bytes of these records differ" in said.out.decode()
    exported = tailwag("export", store, "--out", tmp_path / "table.parquet")
    assert exported.code == 1
    assert "what is lost (among them 2) is not in the export" in exported.err
    assert "of 2 snapshots" in exported.out.decode()
    _, acks = recorded("demo", "--count", "1", store=store)
    assert [ack["seq"] for ack in acks] == [4]


def test_a_range_is_exported_as_files_that_measure_reads(captures: Path, tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    _, acks = recorded(f"replay:{captures}", store=store)
    done = tailwag("export", store, "--out", out, "--as", "snapshots", "--from", "2026-09-15T15:00:00Z", "--to", "2026-09-15T16:00:00Z")
    assert (done.code, done.out.decode()) == (0, f"wrote 1 snapshots to {out}\n")
    (path,) = out.iterdir()
    assert sha256(path.read_bytes()).hexdigest() == acks[1]["sha256"]


def test_a_venue_that_fails_is_asked_again_under_every_and_ends_the_command_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [VenueError("Deribit did not answer"), VenueError("Deribit did not answer"), demo(), demo(seed=2)]

    def fetch(*_: Any, **__: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("tailwag.sources.venues.fetch", fetch)
    outcome, acks = recorded("deribit:BTC", "--count", "1", store=tmp_path / "once")
    assert (outcome.code, acks, outcome.err) == (1, [], "tailwag: Deribit did not answer\n")
    outcome, acks = recorded("deribit:BTC", "--every", "0.001", "--count", "2", store=tmp_path / "daemon")
    assert (outcome.code, [ack["seq"] for ack in acks]) == (0, [1, 2])
    assert outcome.err == "tailwag: deribit:BTC: Deribit did not answer; trying again next turn\ntailwag: deribit:BTC: recording again\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.json"], "expected demo, replay:FOLDER, VENUE:CURRENCY"),
        (["deribit:"], "names no currency"),
        (["replay:nowhere"], "replay: expects a folder"),
        (["demo", "--speed", "2"], "--speed paces a replay"),
        (["demo", "--every", "nan"], "--every expects a number above 0"),
        (["demo", "--every", "-1"], "--every expects a number above 0"),
        (["demo", "--segment-mib", "0"], "--segment-mib expects a size"),
        (["demo", "--ack-fd", "99"], "--ack-fd 99 is no descriptor open for writing"),
        (["demo", "--currency", "btc"], "--currency expects capital letters"),
        (["demo", "--currency", "DOGE"], "expected a demo currency"),
        (["https://example.org/chain.json"], "got the address"),
    ],
)
def test_bad_words_are_refused_before_anything_is_recorded(words: list[str], message: str, tmp_path: Path) -> None:
    assert message in refused("record", *words, "--store", tmp_path / "store")
    assert not list((tmp_path / "store").glob("segment-*"))


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "holds none" in refused("verify", tmp_path)
    assert "no folder" in refused("export", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert "is a file" in refused("record", "demo", "--store", tmp_path / "file")


def start(store: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tailwag", "record", "demo", "--store", str(store), "--every", "0.001", "--ack-fd", "1", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(child: subprocess.Popen[bytes], number: int) -> tuple[int, list[dict[str, Any]], str]:
    """After some acknowledgements, a signal; what was acknowledged in all."""
    assert child.stdout is not None
    heard = b"".join(child.stdout.readline() for _ in range(3))
    child.send_signal(number)
    rest, said = child.communicate(timeout=20)
    lines = (heard + rest).split(b"\n")[:-1]
    return child.returncode, [json.loads(line) for line in lines], said.decode()


def test_a_recorder_stopped_or_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    store = tmp_path / "store"
    told: list[dict[str, Any]] = []
    for number, status in ((signal.SIGTERM, 0), (signal.SIGKILL, -9)):
        child = start(store, "--segment-mib", "0.5")
        code, acks, said = ended(child, number)
        assert (code, said) == (status, "")
        told.extend(acks)
    seqs = [ack["seq"] for ack in told]
    history = History.open(store)
    assert history.damaged == ()
    recorded = list(range(1, len(history) + 1))
    assert seqs == [seq for seq in recorded if seq in set(seqs)]  # in order, none twice
    assert len(recorded) - len(seqs) <= 2  # each stop may come between a record that is durable and its acknowledgement
    held = {entry.record.seq: sha256(history.payload(entry)).hexdigest() for entry in history.entries}
    assert all(held[ack["seq"]] == ack["sha256"] for ack in told)


@pytest.mark.slow
def test_the_command_killed_thirty_times_loses_nothing(tmp_path: Path) -> None:
    store, told = tmp_path / "store", {}
    for turn in range(30):
        child = start(store, "--segment-mib", "0.3")
        if turn % 3:
            _, acks, _ = ended(child, signal.SIGKILL)
        else:
            time.sleep(0.2 + 0.1 * turn)
            child.kill()
            acks = [json.loads(line) for line in child.communicate()[0].split(b"\n")[:-1]]
        assert not set(told) & {ack["seq"] for ack in acks}
        told |= {ack["seq"]: ack["sha256"] for ack in acks}
    history = History.open(store)
    held = {entry.record.seq: sha256(history.payload(entry)).hexdigest() for entry in history.entries}
    assert history.damaged == ()
    assert {seq: held.get(seq) for seq in told} == told
    assert sorted(held) == list(range(1, len(held) + 1))


def test_a_listener_that_leaves_is_told_and_costs_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        outcome = tailwag("record", "demo", "--store", tmp_path / "store", "--every", "0.001", "--ack-fd", str(writing))
    finally:
        os.close(writing)
    assert outcome.code == 1
    assert "nobody reads the acknowledgements" in outcome.err
    assert verified(tmp_path / "store")[1]["records"] == 1
