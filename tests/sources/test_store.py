"""The store: one writer, many readers, numbers that go on, damage named exactly, nothing cut without being kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from tailwag.errors import EmptyChainError, InputError, StoreBusyError, StoreError
from tailwag.market.snapshot import Snapshot
from tailwag.sources.demo import DEFAULT_AS_OF_NS, demo
from tailwag.sources.files import load
from tailwag.sources.snapshot_file import encoded_snapshot
from tailwag.sources.store import History, Recorder, export_snapshots, export_table, verify_store
from tailwag.sources.store.segments import segment_name, segment_numbers
from tailwag.units import NS_PER_HOUR

SEGMENT_BYTES = 2_000


def record(folder: Path, payloads: list[bytes], **settings: object) -> list[int]:
    with Recorder(folder, segment_bytes=SEGMENT_BYTES, **settings) as recorder:  # type: ignore[arg-type]
        return [recorder.append_payload(payload, as_of_ns=number, received_ns=0).seq for number, payload in enumerate(payloads)]


def breaks(folder: Path) -> list[tuple[int, int, str]]:
    return [(one.from_seq, one.to_seq, one.code) for one in verify_store(folder).damaged]


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Nine records of 700 bytes: three to a segment."""
    record(tmp_path / "store", [bytes([number]) * 700 for number in range(1, 10)])
    return tmp_path / "store"


@pytest.fixture(scope="module")
def hours() -> list[Snapshot]:
    return [demo(seed=seed, as_of_ns=DEFAULT_AS_OF_NS + seed * NS_PER_HOUR) for seed in range(4)]


@pytest.fixture
def market(tmp_path: Path, hours: list[Snapshot]) -> Path:
    with Recorder(tmp_path / "market") as recorder:
        for snapshot in hours:
            recorder.append(snapshot, received_ns=snapshot.as_of_ns + 1)
    return tmp_path / "market"


def test_numbers_go_on_over_restarts_and_segments(store: Path) -> None:
    assert record(store, [b"more"] * 3) == [10, 11, 12]
    assert len(segment_numbers(store)) == 4
    assert verify_store(store).document() == {
        "schema": "tailwag.verify/1",
        "records": 12,
        "first_seq": 1,
        "last_seq": 12,
        "damaged": [],
        "unacknowledged_bytes": 0,
        "quarantined_files": 0,
        "segment_files": 4,
        "compacted_files": 0,
        "replaced_files": 0,
    }


def test_an_empty_store_is_whole(tmp_path: Path) -> None:
    record(tmp_path / "store", [])
    found = verify_store(tmp_path / "store").document()
    assert (found["records"], found["first_seq"], found["last_seq"], found["damaged"]) == (0, 1, 0, [])


def test_a_snapshot_comes_back_bit_for_bit(market: Path, hours: list[Snapshot]) -> None:
    history = History.open(market)
    assert [encoded_snapshot(snapshot) for snapshot in history.snapshots()] == [encoded_snapshot(snapshot) for snapshot in hours]
    assert "4 snapshots, 1 to 4" in str(history)


def test_history_answers_what_was_known_when(market: Path) -> None:
    history = History.open(market)
    assert history.at().record.seq == 4
    assert history.at(DEFAULT_AS_OF_NS + NS_PER_HOUR).record.seq == 2
    assert history.at(DEFAULT_AS_OF_NS + 2 * NS_PER_HOUR - 1).record.seq == 2
    assert [entry.record.seq for entry in history.between(DEFAULT_AS_OF_NS + NS_PER_HOUR, DEFAULT_AS_OF_NS + 2 * NS_PER_HOUR)] == [2, 3]
    with pytest.raises(EmptyChainError, match="no snapshot at or before 2026-09-15"):
        history.at(DEFAULT_AS_OF_NS - 1)


def test_a_second_writer_is_refused_in_one_sentence_and_readers_are_not(store: Path) -> None:
    with Recorder(store):
        assert len(History.open(store)) == 9
        with pytest.raises(StoreBusyError, match="another process records to this store; stop it"):
            Recorder(store)
    with Recorder(store):
        pass


def test_a_writer_that_lost_its_lock_cannot_acknowledge(store: Path) -> None:
    old = Recorder(store)
    old.append_payload(b"old", as_of_ns=1, received_ns=1)
    (store / "lock").unlink()
    with Recorder(store) as new:
        with pytest.raises(StoreBusyError, match="taken this store over"):
            old.append_payload(b"too late", as_of_ns=1, received_ns=1)
        assert new.append_payload(b"new", as_of_ns=1, received_ns=1).seq == 11
    with pytest.raises(StoreBusyError, match="taken this store over"):
        old.append_payload(b"too late", as_of_ns=1, received_ns=1)
    old.close()
    assert breaks(store) == []
    assert History.open(store).payload(History.open(store).entries[-1]) == b"new"


def test_an_unfinished_record_is_cut_and_kept(store: Path) -> None:
    path = store / segment_name(segment_numbers(store)[-1])
    before = path.read_bytes()
    path.write_bytes(before + b"half a rec")
    assert breaks(store) == []
    assert verify_store(store).unacknowledged_bytes == 10
    said: list[str] = []
    assert record(store, [b"next"], say=said.append) == [10]
    assert path.read_bytes() == before
    assert [kept.read_bytes() for kept in (store / "quarantine").iterdir()] == [b"half a rec"]
    assert ["10 bytes of an unfinished, never acknowledged record" in text for text in said] == [True]
    assert (breaks(store), verify_store(store).quarantined_files) == ([], 1)


@pytest.mark.parametrize(
    ("number", "change", "expected"),
    [
        (1, lambda data: data[:500] + b"?" + data[501:], [(1, 1, "record_damaged")]),
        (2, lambda data: data[:-400], [(6, 6, "record_damaged")]),
        (3, lambda data: data[:-400], [(9, 9, "record_damaged")]),
        (3, lambda data: data[: -700 - 136], [(9, 9, "record_missing")]),
        (2, lambda data: b"", [(4, 3, "head_damaged"), (4, 6, "head_damaged")]),
        (2, lambda data: b"?" + data[1:], [(4, 3, "head_damaged")]),
        (1, lambda data: data + b"more", [(4, 3, "bytes_added")]),
        (2, lambda data: data[:500] + data[505:], [(4, 4, "record_damaged")]),
    ],
)
def test_damage_is_named_with_the_numbers_it_costs(
    store: Path, number: int, change: Callable[[bytes], bytes], expected: list[tuple[int, int, str]]
) -> None:
    rewrite(store / segment_name(number), change)
    assert breaks(store) == expected
    assert record(store, [b"next"]) == [10]
    assert breaks(store) == expected
    kept = {entry.record.seq for entry in History.open(store).entries}
    lost = {seq for first, last, _ in expected for seq in range(first, last + 1)}
    assert kept | lost == set(range(1, 11))


@pytest.mark.parametrize(("number", "lost"), [(1, (1, 3)), (2, (4, 6)), (3, (7, 9))])
def test_a_missing_segment_is_named_with_its_numbers(store: Path, number: int, lost: tuple[int, int]) -> None:
    (store / segment_name(number)).unlink()
    assert breaks(store) == [(*lost, "segment_missing")]
    said: list[str] = []
    assert record(store, [b"next"], say=said.append) == [10]
    assert breaks(store) == [(*lost, "segment_missing")]
    assert number == 1 or any("tailwag verify" in text for text in said)


@pytest.mark.parametrize(
    ("name", "code"), [("mark", "mark_missing"), ("epoch", "epoch_missing"), ("mark", "mark_damaged"), ("epoch", "epoch_damaged")]
)
def test_the_small_files_are_missed_and_made_again(store: Path, name: str, code: str) -> None:
    if code.endswith("missing"):
        (store / name).unlink()
    else:
        rewrite(store / name, lambda data: data.replace(b"epoch", b"epoxy"))
    assert breaks(store) == [(10, 9, code)]
    assert record(store, [b"next"]) == [10]
    assert breaks(store) == []
    assert (store / "quarantine").exists() == code.endswith("damaged")


def test_records_of_another_store_are_not_taken_for_ones_own(store: Path, tmp_path: Path) -> None:
    record(tmp_path / "other", [bytes([number]) * 700 for number in range(101, 110)])
    (store / segment_name(2)).write_bytes((tmp_path / "other" / segment_name(2)).read_bytes())
    codes = {code for _, _, code in breaks(store)}
    assert codes == {"chain_broken"}


def test_reading_a_damaged_record_is_refused(market: Path) -> None:
    history = History.open(market)
    entry = history.entries[1]
    rewrite(market / segment_name(1), lambda data: data[: entry.end - 9] + b"?" + data[entry.end - 8 :])
    with pytest.raises(StoreError, match="snapshot 2 is damaged; run tailwag verify"):
        history.snapshot(entry)
    assert breaks(market) == [(2, 2, "record_damaged")]


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    assert verify_store(tmp_path).last_seq == 0, "a recorder killed at its very start leaves an empty folder"
    (tmp_path / "chain.json").write_text("{}")
    with pytest.raises(InputError, match="holds none"):
        verify_store(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        verify_store(tmp_path / "nowhere")


def test_a_link_in_place_of_a_file_of_the_store_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    (tmp_path / "victim").write_bytes(b"precious")
    os.symlink(tmp_path / "victim", folder / "lock")
    with pytest.raises(StoreError, match="could not open the store"):
        Recorder(folder)
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_exported_files_are_what_was_acknowledged(market: Path, tmp_path: Path, hours: list[Snapshot]) -> None:
    history = History.open(market)
    paths = export_snapshots(history, history.entries[1:3], tmp_path / "out")
    assert [path.name for path in paths] == ["00000002-20260915T153000Z.parquet", "00000003-20260915T163000Z.parquet"]
    assert [path.read_bytes() for path in paths] == [encoded_snapshot(snapshot) for snapshot in hours[1:3]]
    assert load(paths[0]).as_of_ns == hours[1].as_of_ns


def test_the_table_holds_every_row_and_its_pages_carry_checksums(market: Path, tmp_path: Path, hours: list[Snapshot]) -> None:
    history, out = History.open(market), tmp_path / "table.parquet"
    assert export_table(history, history.entries, out) == sum(len(snapshot.chain) for snapshot in hours)
    table = pl.read_parquet(out)
    assert table["seq"].unique().to_list() == [1, 2, 3, 4]
    second = table.filter(pl.col("seq") == 2)
    assert second["as_of"].dt.epoch("ns").unique().to_list() == [hours[1].as_of_ns]
    np.testing.assert_array_equal(second["iv"].to_numpy(), hours[1].chain.iv)
    assert second["instrument"].to_list() == hours[1].chain.instrument.tolist()
    assert out.read_bytes() == _again(history, tmp_path / "again.parquet"), "made again from the segments, the same bytes"
    data = bytearray(out.read_bytes())
    wrong = 0
    for place in range(1_000, len(data) - 40_000, len(data) // 40):
        torn = bytes(data[:place]) + bytes([data[place] ^ 4]) + bytes(data[place + 1 :])
        out.write_bytes(torn)
        try:
            wrong += not pq.read_table(out, page_checksum_verification=True).equals(pq.read_table(tmp_path / "again.parquet"))
        except OSError:
            continue
    assert wrong == 0


def _again(history: History, out: Path) -> bytes:
    export_table(history, history.entries, out)
    return out.read_bytes()


def test_a_table_of_nothing_is_refused_and_leaves_no_file(market: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no snapshot in this range"):
        export_table(History.open(market), (), tmp_path / "table.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["market"]


def test_segments_smaller_than_their_own_head_hold_one_record_each(tmp_path: Path) -> None:
    with Recorder(tmp_path, segment_bytes=1) as recorder:
        for number in range(3):
            assert recorder.append_payload(bytes([number]), as_of_ns=number, received_ns=1).seq == number + 1
    history = History.open(tmp_path)
    assert [history.payload(entry) for entry in history.entries] == [b"\x00", b"\x01", b"\x02"]
    assert verify_store(tmp_path).damaged == ()
