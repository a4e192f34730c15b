"""Reading a store: what was known when; safe beside the recorder that writes it."""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tailwag.errors import EmptyChainError, StoreError
from tailwag.market.clock import format_time
from tailwag.sources.store.parts import entry_file, read_payload
from tailwag.sources.store.records import SNAPSHOT, TRADES
from tailwag.sources.store.segments import Entry
from tailwag.sources.store.verify import Damage, Verification, verify_store

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot
    from tailwag.market.trades import Trades
    from tailwag.sources.store.trade_records import TradeBatch

_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class History:
    """The records of a store as of its opening, in the order of their numbers, and what is missing among them."""

    folder: Path
    entries: tuple[Entry, ...]
    damaged: tuple[Damage, ...]
    batches: tuple[Entry, ...] = ()
    """The records that hold trades only; ``entries`` are the snapshots."""
    found: Verification | None = field(default=None, repr=False, compare=False)
    """What the index was made from; :meth:`refreshed` goes on from there."""
    _by_time: list[Entry] = field(default_factory=list, init=False, repr=False, compare=False)
    _moved: list[tuple[Entry, ...]] = field(default_factory=list, init=False, repr=False, compare=False)
    """Where the records lay when one was last not found where it had been: a walk over many looks once for all of them."""

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> History:
        """Index a store by its record headers; payloads are checked when they are read.

        Raises InputError if the folder is no store.
        """
        return cls._of(Path(folder), verify_store(Path(folder), payloads=False))

    @classmethod
    def _of(cls, folder: Path, found: Verification) -> History:
        snapshots, batches = (tuple(entry for entry in found.entries if entry.record.kind == kind) for kind in (SNAPSHOT, TRADES))
        return cls(folder, snapshots, found.damaged, batches, found)

    def refreshed(self) -> History:
        """The index as of now: only what was recorded since is read, and everything again where the store was compacted meanwhile."""
        return self._of(self.folder, verify_store(self.folder, payloads=False, since=self.found))

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
        if not self._by_time:
            # at once, in case two threads ask first
            self._by_time[:] = sorted(self.entries, key=lambda entry: (entry.record.as_of_ns, entry.record.seq))
        ordered = self._by_time
        place = len(ordered) if at_ns is None else bisect.bisect_right(ordered, at_ns, key=lambda entry: entry.record.as_of_ns)
        if not place:
            wanted = "" if at_ns is None else f" at or before {format_time(at_ns)}"
            raise EmptyChainError(f"{self.folder}: no snapshot{wanted} in this store; record one or give a later time")
        return ordered[place - 1]

    def payload(self, entry: Entry) -> bytes:
        """The bytes of a recorded snapshot file, checked against their SHA-256.

        Raises StoreError where they differ.
        """
        try:
            found = self._read(entry)
        except OSError as trouble:
            raise StoreError(f"{self.folder}: {entry_file(entry)} cannot be read ({trouble.strerror}); check the disk") from None
        if found is None:
            raise StoreError(f"{self.folder}: snapshot {entry.record.seq} is damaged; run tailwag verify {self.folder} to see what else is")
        return found

    def _read(self, entry: Entry) -> bytes | None:
        """A payload; where its segment has been compacted since the index was made, out of the file that stands for it now."""
        now = entry
        for _ in range(_ATTEMPTS):
            try:
                return read_payload(self.folder, now)
            except FileNotFoundError:
                # it may have been joined once more between the looking up and the reading
                found = self._moved_to(entry, gone=entry_file(now))
                if found is None:
                    raise
                now = found
        return read_payload(self.folder, now)

    def _moved_to(self, entry: Entry, *, gone: str) -> Entry | None:
        """The same record in another file than the one that is gone; None where the store has it no longer."""
        for again in (False, True):
            if again:
                self._moved[:] = [verify_store(self.folder, payloads=False).entries]
            found = _numbered(next(iter(self._moved), ()), entry.record.seq)
            if found is not None and found.record == entry.record and (again or entry_file(found) != gone):
                return found
        return None

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

    def batch(self, entry: Entry) -> TradeBatch:
        """A recorded batch of trades, bit for bit.

        Raises StoreError where its bytes are damaged.
        """
        from tailwag.sources.store.trade_records import decoded_batch

        return decoded_batch(self.payload(entry), name=f"trades {entry.record.seq} of {self.folder.name}")

    def trades(self, from_ns: int | None = None, to_ns: int | None = None) -> Trades:
        """Every recorded option trade with a time in [from, to], each once, in time order: those inside snapshots and those in batches.

        One trade is one (venue, trade id); of two prints the one recorded first counts.  Records that are damaged give nothing.
        """
        from tailwag.sources.store.trade_records import recorded_trades

        return recorded_trades(self, from_ns, to_ns)


def _numbered(entries: tuple[Entry, ...], seq: int) -> Entry | None:
    place = bisect.bisect_left(entries, seq, key=lambda entry: entry.record.seq)
    return entries[place] if place < len(entries) and entries[place].record.seq == seq else None
