"""Compaction: many closed segments become one smaller file; the old ones go only when the new one is on the device and has been read back.

Stopped at any moment, the store is whole: the new file has no name until it is complete, from its renaming on it stands for the old ones,
and what is left of those is removed by the next compaction.  A segment with any damage, and the one last written, stay as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tailwag.errors import StoreError
from tailwag.sources.store.compacted import (
    BLOCK_BYTES,
    BLOCK_RECORDS,
    CompactedHead,
    block_bytes,
    compacted_head_bytes,
    end_bytes,
    payload_in,
    scan_compacted,
    unpacked,
)
from tailwag.sources.store.disk import Disk
from tailwag.sources.store.lock import refuse_if_fenced
from tailwag.sources.store.parts import read_head, read_payload, scan_part
from tailwag.sources.store.records import Record
from tailwag.sources.store.segments import Block, Head, Part, Scan, replaced_parts, segment_parts

RUN_BYTES = 256 << 20
"""Segments are joined up to this size, before compression."""
SMALL_BYTES = 16 << 20
"""A compacted file below this size is joined with what comes after it: no record is compressed more than a few times."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did: files and bytes of the segments before and after, and how many records were read back."""

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    records: int
    left: tuple[str, ...] = ()
    """Closed segments that stay as they are because something is wrong with them; verify says what."""

    def document(self) -> dict[str, object]:
        """As JSON of schema ``tailwag.compact/1``."""
        return {
            "schema": "tailwag.compact/1",
            "files_before": self.files_before,
            "files_after": self.files_after,
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "records_compacted": self.records,
            "left_damaged": list(self.left),
        }


def compact_store(folder: str | os.PathLike[str], *, disk: Disk | None = None) -> Compaction:
    """Compact a store that nobody records to.

    Raises InputError if the folder is no store, StoreBusyError where another process records, StoreError where the disk refuses.
    """
    from tailwag.sources.store.recorder import Recorder
    from tailwag.sources.store.verify import refuse_no_store

    refuse_no_store(Path(folder))
    with Recorder(folder, disk=disk) as recorder:
        return recorder.compact()


def compacted(folder: Path, disk: Disk, *, epoch: int, run_bytes: int = RUN_BYTES, small_bytes: int = SMALL_BYTES) -> Compaction:
    """Compact what is closed; the caller holds the store's lock and gives its epoch."""
    files_before, bytes_before = _room(folder)
    _remove_replaced(folder, disk, epoch)
    records, left = 0, list[str]()
    runs = _runs(folder, run_bytes=run_bytes, small_bytes=small_bytes)
    while runs:
        run = runs.pop(0)
        scans = _whole_scans(folder, run)
        if len(scans) < len(run):
            left.append(run[len(scans)].name)
            runs.insert(0, run[len(scans) + 1 :])
        if scans and (len(scans) > 1 or not run[0].compacted):
            records += _joined(folder, disk, epoch, scans)
    files_after, bytes_after = _room(folder)
    return Compaction(files_before, files_after, bytes_before, bytes_after, records, tuple(left))


def _room(folder: Path) -> tuple[int, int]:
    parts = [*segment_parts(folder), *replaced_parts(folder)]
    return len(parts), sum((folder / part.name).stat().st_size for part in parts)


def _runs(folder: Path, *, run_bytes: int, small_bytes: int) -> list[tuple[Part, ...]]:
    """Neighbouring closed files that are worth joining, damaged or not; a run ends where the next file would make it too large."""
    runs: list[list[Part]] = [[]]
    size = 0
    for part in segment_parts(folder)[:-1]:
        here = (folder / part.name).stat().st_size
        touches = bool(runs[-1]) and runs[-1][-1].last_number + 1 == part.number
        if part.compacted and here >= small_bytes:
            runs.append([])
            continue
        if not touches or size + here > run_bytes:
            runs.append([])
            size = 0
        runs[-1].append(part)
        size += here
    return [tuple(run) for run in runs if run]


def _whole_scans(folder: Path, run: tuple[Part, ...]) -> list[Scan]:
    """Scans of the files from the start of a run up to the first that is not whole in itself and joined to the one before."""
    parts = segment_parts(folder)
    after = dict(pairwise(parts))
    found: list[Scan] = []
    last: tuple[int, str] | None = None
    for part in run:
        follower = read_head(folder, after[part])
        scan = scan_part(folder, part)
        if scan.head is None or follower is None or not _is_whole(scan, part, follower):
            break
        if last is not None and last != (scan.head.first_seq - 1, scan.head.previous_hash):
            break
        found.append(scan)
        last = _chain_end(scan, scan.head)
    return found


def _is_whole(scan: Scan, part: Part, follower: Head) -> bool:
    """Nothing missing, added or foreign between the head and what the next head says."""
    head = scan.head
    assert head is not None
    if scan.tail_offset != scan.size or _chain_end(scan, head) != (follower.first_seq - 1, follower.previous_hash):
        return False
    if not part.compacted and scan.size != follower.previous_bytes:
        return False
    place, seq, previous = scan.start_offset, head.first_seq - 1, head.previous_hash
    for entry in scan.entries:
        if (entry.offset, entry.record.seq, entry.record.previous.hex()) != (place, seq + 1, previous):
            return False
        place, seq, previous = entry.end, entry.record.seq, entry.record.hash.hex()
    return True


def _chain_end(scan: Scan, head: Head) -> tuple[int, str]:
    last = scan.entries[-1].record if scan.entries else None
    return (head.first_seq - 1, head.previous_hash) if last is None else (last.seq, last.hash.hex())


def _joined(folder: Path, disk: Disk, epoch: int, scans: list[Scan]) -> int:
    """Write one file, sync it, read it back, give it its name, and only then remove what it stands for."""
    first = scans[0].head
    assert first is not None
    part = Part(first.number, scans[-1].last_number or scans[-1].number, compacted=True)
    records = [entry.record for scan in scans for entry in scan.entries]
    beside = folder / f".{part.name}.part"
    try:
        with _compaction_trouble(folder):
            _write(disk, beside, folder, _head(first, part, records), scans)
            _read_back(folder, part, beside.name, records)
            refuse_if_fenced(folder, epoch)
            disk.replace(beside, folder / part.name)
            disk.sync_folder(folder)
            _remove(folder, disk, epoch, [Part(scan.number, scan.last_number or scan.number, bool(scan.last_number)) for scan in scans])
    except StoreError:
        beside.unlink(missing_ok=True)
        raise
    return len(records)


@contextmanager
def _compaction_trouble(folder: Path) -> Iterator[None]:
    """Say in one sentence what the disk refused."""
    try:
        yield
    except OSError as trouble:
        reason = trouble.strerror or str(trouble)
        raise StoreError(
            f"{folder}: could not compact ({reason}); every record stays where it was: free some space or check the disk"
        ) from trouble


def _head(first: Head, part: Part, records: list[Record]) -> CompactedHead:
    last_seq, last_hash = (records[-1].seq, records[-1].hash.hex()) if records else (first.first_seq - 1, first.previous_hash)
    return CompactedHead(
        number=part.number,
        last_number=part.last_number,
        epoch=first.epoch,
        first_seq=first.first_seq,
        last_seq=last_seq,
        previous_hash=first.previous_hash,
        last_hash=last_hash,
        previous_bytes=first.previous_bytes,
    )


def _write(disk: Disk, beside: Path, folder: Path, head: CompactedHead, scans: list[Scan]) -> None:
    descriptor = disk.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        data = compacted_head_bytes(head)
        disk.write_at(descriptor, data, 0)
        offset, blocks = len(data), 0
        for records in _blocks(folder, scans):
            data = block_bytes(records)
            disk.write_at(descriptor, data, offset)
            offset, blocks = offset + len(data), blocks + 1
        disk.write_at(descriptor, end_bytes(offset, blocks), offset)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)


def _blocks(folder: Path, scans: list[Scan]) -> Iterator[list[tuple[Record, bytes]]]:
    block: list[tuple[Record, bytes]] = []
    size = 0
    for record, payload in _payloads(folder, scans):
        if block and (len(block) >= BLOCK_RECORDS or size + len(payload) > BLOCK_BYTES):
            yield block
            block, size = [], 0
        block.append((record, payload))
        size += len(payload)
    if block:
        yield block


def _payloads(folder: Path, scans: list[Scan]) -> Iterator[tuple[Record, bytes]]:
    unpacked_last: tuple[Block | None, bytes] = (None, b"")
    for entry in (entry for scan in scans for entry in scan.entries):
        if entry.block is None:
            payload = read_payload(folder, entry)
        else:
            if unpacked_last[0] != entry.block:
                unpacked_last = (entry.block, _unpacked(folder, entry.block))
            payload = payload_in(unpacked_last[1], entry)
        if payload is None:
            raise StoreError(f"{folder}: record {entry.record.seq} could be read a moment ago and cannot be now; check the disk")
        yield entry.record, payload


def _unpacked(folder: Path, block: Block) -> bytes:
    with open(folder / block.part.name, "rb") as stream:
        return unpacked(stream.fileno(), block)


def _read_back(folder: Path, part: Part, name: str, records: list[Record]) -> None:
    scan = scan_compacted(folder, part, name=name)
    if scan.head is None or scan.tail_offset != scan.size or [entry.record for entry in scan.entries] != records:
        raise StoreError(f"{folder}: what was written to {part.name} does not read back the same; the old segments stay: check the disk")


def _remove_replaced(folder: Path, disk: Disk, epoch: int) -> None:
    """What a compaction that was cut short has left behind, once the file that stands for it is found whole."""
    kept = {part: scan_compacted(folder, part) for part in segment_parts(folder) if part.compacted} if replaced_parts(folder) else {}
    whole = [part for part, scan in kept.items() if scan.head is not None and scan.tail_offset == scan.size]
    gone = [
        old for old in replaced_parts(folder) if any(part.number <= old.number and old.last_number <= part.last_number for part in whole)
    ]
    with _compaction_trouble(folder):
        _remove(folder, disk, epoch, gone)


def _remove(folder: Path, disk: Disk, epoch: int, parts: list[Part]) -> None:
    if not parts:
        return
    refuse_if_fenced(folder, epoch)
    for part in parts:
        disk.remove(folder / part.name)
    disk.sync_folder(folder)
