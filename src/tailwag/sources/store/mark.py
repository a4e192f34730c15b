"""The mark: the last acknowledged record, written and synced before the acknowledgement leaves.

Segments alone cannot tell a store that lost its end from one that never had it; the mark can.  It is one file of two slots in
separate blocks, written in turn: a write that is torn by a power cut leaves the slot before it whole.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from tailwag.sources.store.disk import Disk, write_whole
from tailwag.sources.store.lines import opened_line, sealed_line
from tailwag.sources.store.records import GENESIS

NAME = "mark"
SLOT_BYTES = 4096
_KEYS = {"turn", "seq", "epoch", "segment", "end_bytes", "hash"}


@dataclass(frozen=True, slots=True)
class Mark:
    """The last acknowledged record: its number, where it ends, and its hash."""

    turn: int
    """Counts the writes of the mark; slot = turn modulo 2."""
    seq: int
    epoch: int
    segment: int
    end_bytes: int
    hash: str


@dataclass(frozen=True, slots=True)
class MarkFound:
    """What the mark file holds: the newest mark, and a code if the file is not as it was left."""

    mark: Mark | None
    code: str | None


NOTHING = Mark(turn=1, seq=0, epoch=0, segment=0, end_bytes=0, hash=GENESIS.hex())


def slot_bytes(mark: Mark) -> bytes:
    """One slot as it lies on disk."""
    return sealed_line(asdict(mark)).ljust(SLOT_BYTES)


def read_mark(folder: Path, *, attempts: int = 3) -> MarkFound:
    """The newest mark; a slot that looks damaged is read again, it may have been under the writer's pen."""
    found = MarkFound(None, "mark_missing")
    for _ in range(attempts):
        found = _read_once(folder / NAME)
        if found.code is None:
            break
    return found


def _read_once(path: Path) -> MarkFound:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return MarkFound(None, "mark_missing")
    except OSError:
        return MarkFound(None, "mark_damaged")
    slots = [_parsed(data[start : start + SLOT_BYTES], parity) for parity, start in enumerate((0, SLOT_BYTES))]
    good = [slot for slot in slots if slot is not None]
    newest = max(good, key=lambda mark: mark.turn, default=None)
    whole = len(good) == 2 and abs(good[0].turn - good[1].turn) == 1 and len(data) == 2 * SLOT_BYTES
    return MarkFound(newest, None if whole else "mark_damaged")


def _parsed(slot: bytes, parity: int) -> Mark | None:
    fields = opened_line(slot.rstrip(b" "))
    if fields is None or len(slot) != SLOT_BYTES or set(fields) != _KEYS or fields["turn"] % 2 != parity:
        return None
    return Mark(**fields)


class MarkFile:
    """The mark as its writer holds it."""

    def __init__(self, folder: Path, disk: Disk, mark: Mark) -> None:
        self._disk = disk
        self.mark = mark
        self._descriptor = disk.open(folder / NAME, os.O_RDWR)

    def move(self, *, seq: int, epoch: int, segment: int, end_bytes: int, record_hash: bytes) -> None:
        """Write the next mark into the older slot and wait until it is on the device."""
        mark = Mark(self.mark.turn + 1, seq, epoch, segment, end_bytes, record_hash.hex())
        self._disk.write_at(self._descriptor, slot_bytes(mark), (mark.turn % 2) * SLOT_BYTES)
        self._disk.sync(self._descriptor)
        self.mark = mark

    def close(self) -> None:
        """Give the file back."""
        self._disk.close(self._descriptor)


def write_mark(folder: Path, disk: Disk, mark: Mark) -> Mark:
    """A new mark file, both slots saying the same, whole or not at all; returns the newer of its slots."""
    even = mark.turn + mark.turn % 2
    first, second = (Mark(turn, mark.seq, mark.epoch, mark.segment, mark.end_bytes, mark.hash) for turn in (even, even + 1))
    write_whole(disk, folder / NAME, slot_bytes(first) + slot_bytes(second))
    return second
