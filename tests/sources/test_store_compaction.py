"""Compaction: fewer, smaller files, and every record with its number, bytes and place in the chain; stopped anywhere, nothing is lost."""

from __future__ import annotations

import errno
import random
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.gates.store.segment_reader import read_store
from tests.gates.store.store_disks import ForgetfulDisk, Stopped, WatchedDisk, refusing, stopping_at

from tailwag.errors import InputError, StoreBusyError, StoreError
from tailwag.sources.store import Compaction, History, Recorder, Verification, compact_store, segments, verify_store
from tailwag.sources.store.segments import Part, segment_parts

SEGMENT_BYTES = 3_000
PATTERN = random.Random(3).randbytes(900)


def payload_of(number: int) -> bytes:
    """Neighbours share most of their bytes."""
    return PATTERN + str(number).encode() * (number % 5) if number % 7 else b""


def record(folder: Path, numbers: range) -> None:
    with Recorder(folder, segment_bytes=SEGMENT_BYTES) as recorder:
        for number in numbers:
            assert recorder.append_payload(payload_of(number), as_of_ns=number, received_ns=number + 1).seq == number


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Forty records of seven recorders, in many files."""
    for start in range(1, 41, 6):
        record(tmp_path / "store", range(start, min(start + 6, 41)))
    return tmp_path / "store"


def truth(last: int = 40) -> dict[int, str]:
    return {number: sha256(payload_of(number)).hexdigest() for number in range(1, last + 1)}


def digests(folder: Path) -> dict[int, str]:
    history = History.open(folder)
    return {entry.record.seq: sha256(history.payload(entry)).hexdigest() for entry in history.entries}


def test_every_record_is_what_it_was_and_files_are_few_and_small(store: Path) -> None:
    before = [entry.record for entry in History.open(store).entries]
    done = compact_store(store)
    assert done.files_before > 12
    assert done.files_after == 2
    assert done.bytes_after < done.bytes_before / 3
    assert [entry.record for entry in History.open(store).entries] == before
    assert (digests(store), verify_store(store).damaged) == (truth(), ())
    assert sorted(path.suffix for path in store.iterdir() if path.name.startswith("segment")) == [".tws", ".tws"]
    assert read_store(store) == {number: payload_of(number) for number in range(1, 41)}, "by a reader made from the page alone"
    record(store, range(41, 50))
    assert (digests(store), verify_store(store).damaged) == (truth(49), ())


def test_small_compacted_files_are_joined_with_what_came_after_and_twice_changes_nothing(store: Path) -> None:
    compact_store(store)
    names = {path.name for path in store.glob("segment*")}
    again = compact_store(store)
    assert (again.records, {path.name for path in store.glob("segment*")}) == (0, names)
    record(store, range(41, 60))
    assert compact_store(store).files_after == 2
    assert digests(store) == truth(59)


def test_a_compaction_stopped_before_any_of_its_calls_loses_nothing(tmp_path: Path) -> None:
    for call in range(200):
        folder = tmp_path / str(call)
        for start in range(1, 19, 6):
            record(folder, range(start, start + 6))
        disk, ended = WatchedDisk(stopping_at(call)), True
        try:
            compact_store(folder, disk=disk)
        except Stopped:
            ended = False
        disk.abandon()
        check(folder, 18)
        if ended:
            break
    assert call > 20


def check(folder: Path, last: int) -> None:
    """Before and after the next recorder, and after the next compaction."""
    assert (verify_store(folder).damaged, digests(folder)) == ((), truth(last))
    record(folder, range(last + 1, last + 3))
    assert (verify_store(folder).damaged, digests(folder)) == ((), truth(last + 2))
    compact_store(folder)
    found = verify_store(folder)
    assert (found.damaged, found.replaced_files, digests(folder)) == ((), 0, truth(last + 2))
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("seed", range(25))
def test_a_power_cut_during_compaction_loses_nothing(tmp_path: Path, seed: int) -> None:
    folder, draw = tmp_path / "store", random.Random(seed)
    for start in range(1, 19, 6):
        record(folder, range(start, start + 6))
    disk = ForgetfulDisk(stopping_at(seed))
    try:
        compact_store(folder, disk=disk)
    except Stopped:
        disk.power_cut(draw)
    else:
        disk.abandon()
    check(folder, 18)


@pytest.mark.parametrize(("call", "start"), [("write", "segment"), ("sync", "segment"), ("replace", "segment"), ("open", "segment")])
def test_a_full_disk_leaves_the_segments_as_they_were(store: Path, call: str, start: str) -> None:
    names = {path.name for path in store.iterdir()}
    with pytest.raises(StoreError, match=r"could not compact .*every record stays where it was"):
        compact_store(store, disk=WatchedDisk(refusing(call, start=start, code=errno.ENOSPC)))
    assert {path.name for path in store.iterdir()} == names
    assert digests(store) == truth()
    compact_store(store)
    assert digests(store) == truth()


def test_what_does_not_read_back_the_same_replaces_nothing(store: Path) -> None:
    class Lying(WatchedDisk):
        def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
            torn = bytearray(data)
            if self.names[descriptor].name.endswith(".tws.part") and len(data) > 1_000:
                torn[-5] ^= 1
            super().write_at(descriptor, bytes(torn), offset)

    names = {path.name for path in store.iterdir()}
    with pytest.raises(StoreError, match="does not read back the same"):
        compact_store(store, disk=Lying())
    assert {path.name for path in store.iterdir()} == names


def test_old_files_go_only_after_the_new_one_has_its_name_on_the_device(store: Path) -> None:
    disk = WatchedDisk()
    compact_store(store, disk=disk)
    calls = disk.calls
    named = next(place for place, (call, name) in enumerate(calls) if call == "replace" and name.count("-") == 2)
    assert calls[named - 1] == ("sync", f".{calls[named][1]}.part")
    assert calls[named + 1] == ("sync_folder", "store")
    removed = [place for place, (call, _) in enumerate(calls) if call == "remove"]
    assert min(removed) > named + 1


def test_a_reader_that_opened_before_goes_on_reading(store: Path) -> None:
    history = History.open(store)
    compact_store(store)
    assert {entry.record.seq: sha256(history.payload(entry)).hexdigest() for entry in history.entries} == truth()
    assert len(history.refreshed()) == 40


def test_a_record_that_is_joined_once_more_between_the_looking_up_and_the_reading_is_found(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = History.open(store)
    compact_store(store)
    record(store, range(41, 60))
    joined: list[Compaction] = []

    def then_joined(folder: Path, **options: Any) -> Verification:
        found = verify_store(folder, **options)
        if not joined:
            joined.append(compact_store(folder))
        return found

    monkeypatch.setattr("tailwag.sources.store.history.verify_store", then_joined)
    assert sha256(before.payload(before.entries[4])).hexdigest() == truth()[5]
    assert joined[0].records > 40, "what the reader had looked up was joined again"


def test_a_listing_that_misses_a_file_renamed_meanwhile_is_made_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compact_store(store)
    listed: list[tuple[Part, ...]] = []

    def through_a_renaming(folder: Path) -> tuple[Part, ...]:
        listed.append(segment_parts(folder) if listed else tuple(part for part in segment_parts(folder) if not part.compacted))
        return listed[-1]

    monkeypatch.setattr("tailwag.sources.store.verify.segment_parts", through_a_renaming)
    found = verify_store(store)
    assert (len(found.entries), found.damaged) == (40, ())
    assert len(listed[0]) < len(listed[-1])


def test_files_that_never_stand_still_are_told_and_not_called_damaged(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every, calls = segment_parts(store), iter(range(10_000))
    monkeypatch.setattr("tailwag.sources.store.verify.segment_parts", lambda _folder: every[next(calls) % 2 :])
    with pytest.raises(StoreError, match="joined or removed at each of 20 readings"):
        verify_store(store)


def test_a_reader_of_many_records_looks_once_where_they_have_gone(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, looked = History.open(store), list[Path]()

    def counted(folder: Path, **options: Any) -> Verification:
        looked.append(folder)
        return verify_store(folder, **options)

    monkeypatch.setattr("tailwag.sources.store.history.verify_store", counted)
    compact_store(store)
    assert {entry.record.seq: sha256(before.payload(entry)).hexdigest() for entry in before.entries} == truth()
    assert len(looked) == 1
    record(store, range(41, 60))
    compact_store(store)
    assert {entry.record.seq: sha256(before.payload(entry)).hexdigest() for entry in before.entries} == truth()
    assert len(looked) == 2, "joined again"


def test_a_segment_that_is_begun_during_a_listing_is_not_called_left_behind(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, calls = segments._listed, iter(range(10_000))
    monkeypatch.setattr(segments, "_listed", lambda folder: listed(folder)[: None if next(calls) else -1])
    assert segments.replaced_parts(store) == ()


def test_refused_beside_a_recorder_and_where_there_is_no_store(store: Path, tmp_path: Path) -> None:
    with Recorder(store), pytest.raises(StoreBusyError, match="another process records to this store"):
        compact_store(store)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "x.txt").write_text("x")
    with pytest.raises(InputError, match="holds none"):
        compact_store(tmp_path / "notes")


def test_a_damaged_segment_stays_as_it_is_and_the_others_are_compacted(store: Path) -> None:
    path = sorted(store.glob("segment*"))[5]
    data = bytearray(path.read_bytes())
    data[-40] ^= 8
    path.write_bytes(bytes(data))
    damaged = verify_store(store).damaged
    assert len(damaged) == 1
    done = compact_store(store)
    assert done.left == (path.name,)
    assert path.read_bytes() == bytes(data)
    assert verify_store(store).damaged == damaged
    assert len(digests_of_whole(store)) == 39
    assert done.files_after <= 6


def digests_of_whole(folder: Path) -> dict[int, str]:
    history, found = History.open(folder), {}
    for entry in history.entries:
        try:
            found[entry.record.seq] = sha256(history.payload(entry)).hexdigest()
        except StoreError:
            continue
    assert {seq: truth()[seq] for seq in found} == found
    return found


def test_a_flip_costs_the_records_of_its_block_at_most_and_names_them(store: Path) -> None:
    compact_store(store)
    path = max(store.glob("segment*"), key=lambda path: path.name.count("-"))
    data, draw = path.read_bytes(), random.Random(5)
    for _ in range(60):
        place = draw.randrange(len(data))
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :])
        found = verify_store(store)
        lost = {seq for one in found.damaged for seq in range(one.from_seq, one.to_seq + 1)}
        assert found.damaged
        assert len(lost) <= 16
        assert set(digests_of_whole(store)) == set(truth()) - lost


def test_the_recorder_compacts_while_it_records(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Recorder(folder, segment_bytes=SEGMENT_BYTES) as recorder:
        for number in range(1, 41):
            recorder.append_payload(payload_of(number), as_of_ns=number, received_ns=number + 1)
            if number % 11 == 0:
                recorder.compact()
                assert (verify_store(folder).damaged, digests(folder)) == ((), truth(number))
    assert digests(folder) == truth()
    check(folder, 40)


def test_an_index_is_refreshed_by_what_is_new(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History.open(store)
    with Recorder(store, segment_bytes=SEGMENT_BYTES) as recorder:
        for number in range(41, 52):
            recorder.append_payload(payload_of(number), as_of_ns=number, received_ns=number + 1)
            if number % 3 == 0:
                history = history.refreshed()
                assert [entry.record for entry in history.entries] == [entry.record for entry in History.open(store).entries]
                assert history.damaged == ()
        recorder.compact()
        assert history.refreshed().entries == History.open(store).entries
        history = history.refreshed()
    read: list[int] = []
    monkeypatch.setattr("tailwag.sources.store.segments.parsed_header", lambda data: read.append(1))
    assert len(history.refreshed()) == 51
    assert read == [], "nothing new, nothing read"


def test_a_refreshed_index_names_what_was_lost_meanwhile(store: Path) -> None:
    history = History.open(store)
    record(store, range(41, 60))
    newest = max(store.glob("segment*"))
    newest.unlink()
    assert {one.code for one in history.refreshed().damaged} == {one.code for one in History.open(store).damaged} != set()
