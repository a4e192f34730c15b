"""Recovery: what a recorder does before its first record, so that it always starts and never starts short in silence."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tailwag.sources.store.disk import Disk, write_whole
from tailwag.sources.store.lock import EPOCH_NAME, read_epoch, write_epoch
from tailwag.sources.store.mark import NAME as MARK_NAME
from tailwag.sources.store.mark import NOTHING, Mark, MarkFound, read_mark, write_mark
from tailwag.sources.store.parts import read_head, scan_part
from tailwag.sources.store.segments import Entry, Part, Scan, segment_name, segment_parts

QUARANTINE = "quarantine"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Start:
    """Where recording goes on: the epoch, the chain's end, and the mark on disk."""

    epoch: int
    last_seq: int
    last_hash: bytes
    last_number: int
    last_end: int
    mark: Mark


def recovered(folder: Path, disk: Disk, say: Say) -> Start:
    """Raise the epoch, set the end of the store right, and say what had to be done; the caller holds the lock."""
    for unfinished in folder.glob(".*.part"):
        # a small file or a segment's head whose making was cut short: it never had its name, so nothing was in it
        unfinished.unlink()
    found = read_mark(folder)
    parts = segment_parts(folder)
    epoch = _raised_epoch(folder, disk, found, parts, say)
    last = scan_part(folder, parts[-1]) if parts else None
    entry = _last_entry(folder, parts, last)
    _say_what_is_short(folder, parts, say)
    end = 0 if last is None else last.size
    if last is not None and last.size > last.tail_offset and _unacknowledged(last, found.mark):
        end = _cut(folder, disk, last, say)
    mark = _mark_on_disk(folder, disk, found, entry, epoch, say)
    last_number = max([mark.segment, *(part.last_number for part in parts)])
    if entry is not None and entry.record.seq >= mark.seq:
        return Start(epoch, entry.record.seq, entry.record.hash, last_number, end, mark)
    if mark.seq:
        say(f"{folder}: snapshots up to {mark.seq} were acknowledged and cannot all be read; recording goes on, see tailwag verify")
    return Start(epoch, mark.seq, bytes.fromhex(mark.hash), last_number, end, mark)


def _raised_epoch(folder: Path, disk: Disk, found: MarkFound, parts: tuple[Part, ...], say: Say) -> int:
    """The next epoch, written before the segments are read: what an older writer appends after that is not acknowledged."""
    stored, code = read_epoch(folder)
    heads = [head.epoch for head in (read_head(folder, part) for part in parts[-2:]) if head]
    newest = max([stored, found.mark.epoch if found.mark else 0, *heads])
    if found.code == "mark_missing" and not newest and not parts:
        # the mark comes first: from now on a store without one has lost it
        write_mark(folder, disk, NOTHING)
    if code == "epoch_damaged":
        say(f"{folder}: the epoch file was damaged; kept in {keep_aside(folder, disk, EPOCH_NAME)} and written anew")
    write_epoch(folder, disk, newest + 1)
    return newest + 1


def _last_entry(folder: Path, parts: tuple[Part, ...], last: Scan | None) -> Entry | None:
    """The last whole record, from the end back to the first segment that holds one."""
    if last is None or last.entries:
        return last.entries[-1] if last else None
    for part in reversed(parts[:-1]):
        entries = scan_part(folder, part).entries
        if entries:
            return entries[-1]
    return None


def _say_what_is_short(folder: Path, parts: tuple[Part, ...], say: Say) -> None:
    """Closed segments against the length that the next head states: cheap, and a cut-off file is never passed over in silence."""
    for part, after in pairwise(parts):
        head = read_head(folder, after)
        short = head is None or (not part.compacted and (folder / part.name).stat().st_size < head.previous_bytes)
        if after.number != part.last_number + 1 or short:
            say(f"{folder}: {part.name} or what follows it is damaged or missing; recording goes on, see tailwag verify")


def _unacknowledged(last: Scan, mark: Mark | None) -> bool:
    """Whether nothing behind the last whole record was ever acknowledged; without a mark nobody knows, so nothing is cut."""
    if mark is None or last.head is None or last.last_number:
        # a compacted file appeared whole: what is wrong with it is damage
        return False
    return mark.segment < last.number or (mark.segment == last.number and mark.end_bytes <= last.tail_offset)


def _cut(folder: Path, disk: Disk, last: Scan, say: Say) -> int:
    """Keep the unfinished bytes aside, synced, before they leave the segment; the new length."""
    path = folder / segment_name(last.number)
    with open(path, "rb") as stream:
        stream.seek(last.tail_offset)
        rest = stream.read()
    kept = _free_name(folder, disk, f"{path.stem}-from-{last.tail_offset}")
    write_whole(disk, kept, rest)
    descriptor = disk.open(path, os.O_RDWR)
    try:
        disk.cut(descriptor, last.tail_offset)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    say(f"{folder}: {len(rest)} bytes of an unfinished, never acknowledged record are now in {QUARANTINE}/{kept.name}")
    return last.tail_offset


def _mark_on_disk(folder: Path, disk: Disk, found: MarkFound, entry: Entry | None, epoch: int, say: Say) -> Mark:
    """The mark as it now stands in the file: left where it is right, set anew (and the old one kept) where it is not."""
    before = found.mark or NOTHING
    if found.code is None and (entry is None or entry.record.seq <= before.seq):
        return before
    if found.code == "mark_damaged":
        say(f"{folder}: the mark was damaged; kept in {keep_aside(folder, disk, MARK_NAME)} and set to the last record that is there")
    if found.code == "mark_missing" and entry is not None:
        say(f"{folder}: the mark was missing; set to the last record that is there")
    if entry is None or entry.record.seq <= before.seq:
        return write_mark(folder, disk, before)
    now = Mark(before.turn, entry.record.seq, epoch, entry.segment, entry.end, entry.record.hash.hex())
    return write_mark(folder, disk, now)


def keep_aside(folder: Path, disk: Disk, name: str) -> str:
    """Copy a file into the quarantine; its name there."""
    kept = _free_name(folder, disk, name)
    write_whole(disk, kept, (folder / name).read_bytes())
    return f"{QUARANTINE}/{kept.name}"


def _free_name(folder: Path, disk: Disk, stem: str) -> Path:
    aside = folder / QUARANTINE
    if not aside.is_dir():
        disk.make_folder(aside)
        disk.sync_folder(folder)
    taken = {path.name for path in aside.iterdir()}
    return next(aside / name for count in range(1, len(taken) + 2) if (name := f"{stem}-{count}.bin") not in taken)
