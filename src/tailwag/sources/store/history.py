"""Reading a store: what was known when; safe beside the recorder that writes it."""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tailwag.errors import EmptyChainError, StoreError
from tailwag.market.clock import format_time
from tailwag.sources.store.records import SNAPSHOT
from tailwag.sources.store.segments import Entry, payload_of, segment_name
from tailwag.sources.store.verify import Damage, verify_store

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class History:
    """The records of a store as of its opening, in the order of their numbers, and what is missing among them."""

    folder: Path
    entries: tuple[Entry, ...]
    damaged: tuple[Damage, ...]

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> History:
        """Index a store by its record headers; payloads are checked when they are read.

        Raises InputError if the folder is no store.
        """
        found = verify_store(Path(folder), payloads=False)
        return cls(Path(folder), tuple(entry for entry in found.entries if entry.record.kind == SNAPSHOT), found.damaged)

    def __len__(self) -> int:
        return len(self.entries)

    def __str__(self) -> str:
        if not self.entries:
            return f"{self.folder}: no snapshot yet"
        first, last = self.entries[0].record, self.entries[-1].record
        lost = f", {len(self.damaged)} breaks (see tailwag verify)" if self.damaged else ""
        return f"{len(self)} snapshots, {first.seq} to {last.seq}, {format_time(first.as_of_ns)} to {format_time(last.as_of_ns)}{lost}"

    def between(self, from_ns: int | None = None, to_ns: int | None = None) -> tuple[Entry, ...]:
        """Records whose market time lies in [from, to], in the order of their numbers."""
        low, high = -(1 << 63) if from_ns is None else from_ns, (1 << 63) if to_ns is None else to_ns
        return tuple(entry for entry in self.entries if low <= entry.record.as_of_ns <= high)

    def at(self, at_ns: int | None = None) -> Entry:
        """The record with the latest market time at or before ``at_ns`` (or of all); of equal times the one recorded last.

        Raises EmptyChainError where there is none.
        """
        ordered = sorted(self.entries, key=lambda entry: (entry.record.as_of_ns, entry.record.seq))
        place = len(ordered) if at_ns is None else bisect.bisect_right([entry.record.as_of_ns for entry in ordered], at_ns)
        if not place:
            wanted = "" if at_ns is None else f" at or before {format_time(at_ns)}"
            raise EmptyChainError(f"{self.folder}: no snapshot{wanted} in this store; record one or give a later time")
        return ordered[place - 1]

    def payload(self, entry: Entry) -> bytes:
        """The bytes of a recorded snapshot file, checked against their SHA-256.

        Raises StoreError where they differ.
        """
        try:
            with open(self.folder / segment_name(entry.segment), "rb") as stream:
                found = payload_of(stream.fileno(), entry)
        except OSError as trouble:
            raise StoreError(f"{self.folder}: {segment_name(entry.segment)} cannot be read ({trouble.strerror}); check the disk") from None
        if found is None:
            raise StoreError(f"{self.folder}: snapshot {entry.record.seq} is damaged; run tailwag verify {self.folder} to see what else is")
        return found

    def snapshot(self, entry: Entry) -> Snapshot:
        """A recorded snapshot, bit for bit.

        Raises StoreError where its bytes are damaged.
        """
        from tailwag.sources.opening import RawFile
        from tailwag.sources.snapshot_file import read_snapshot

        name = f"snapshot {entry.record.seq} of {self.folder.name}"
        return read_snapshot(RawFile(name, self.payload(entry), entry.record.payload_sha256.hex()))

    def snapshots(self, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[Snapshot]:
        """The snapshots whose market time lies in [from, to], one at a time."""
        return (self.snapshot(entry) for entry in self.between(from_ns, to_ns))
