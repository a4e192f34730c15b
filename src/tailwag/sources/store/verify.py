"""What a store still proves: the chain is walked from the first record to the mark, and every break is named with the numbers it costs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from tailwag.errors import InputError, StoreError
from tailwag.sources.store.lock import EPOCH_NAME, LOCK_NAME, read_epoch
from tailwag.sources.store.mark import NAME as MARK_NAME
from tailwag.sources.store.mark import Mark, read_mark
from tailwag.sources.store.parts import read_head, scan_part
from tailwag.sources.store.records import GENESIS
from tailwag.sources.store.segments import Entry, Head, Part, Scan, replaced_parts, segment_parts

_ATTEMPTS = 20
CODES = {
    "record_damaged": "bytes of these records differ from what was written",
    "record_missing": "acknowledged, and no longer there",
    "segment_missing": "the segment file that held them is gone",
    "head_damaged": "the first line of a segment differs from what was written",
    "chain_broken": "two neighbours do not belong together: one of them comes from another copy",
    "seq_repeated": "a number that an earlier record has already",
    "mark_mismatch": "the record differs from the one that was acknowledged under this number",
    "mark_missing": "the file that says what was acknowledged is gone",
    "mark_damaged": "the file that says what was acknowledged differs from what was written",
    "mark_stale": "the file that says what was acknowledged is an old copy",
    "epoch_missing": "the file that counts the writers is gone",
    "epoch_damaged": "the file that counts the writers differs from what was written",
    "epoch_stale": "the file that counts the writers is an old copy",
    "bytes_added": "bytes between or behind records that no record accounts for",
}
"""What can be wrong, each in words."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A break: the records it costs (none where ``to_seq`` < ``from_seq``) and a code of :data:`CODES`."""

    from_seq: int
    to_seq: int
    code: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a walk over a store came to before the end of its newest file: from there a later one goes on."""

    parts: tuple[Part, ...]
    heads: tuple[Head | None, ...]
    tail_offset: int
    walk: _Walk


@dataclass(frozen=True, slots=True)
class Verification:
    """What a store holds and what it has lost.  ``entries`` are the records that prove themselves, in order."""

    entries: tuple[Entry, ...]
    last_seq: int
    damaged: tuple[Damage, ...]
    unacknowledged_bytes: int
    """Behind the last record: a write that was never finished, or is just going on."""
    quarantined_files: int
    standing: Standing = field(repr=False, compare=False)
    replaced_files: int = 0
    """Segments that a compacted one stands for, left behind by a compaction that was cut short; the next one removes them."""

    def document(self) -> dict[str, object]:
        """As JSON of schema ``tailwag.verify/1``."""
        return {
            "schema": "tailwag.verify/1",
            "records": len(self.entries),
            "first_seq": self.entries[0].record.seq if self.entries else 1,
            "last_seq": self.last_seq,
            "damaged": [{"from_seq": one.from_seq, "to_seq": one.to_seq, "code": one.code} for one in self.damaged],
            "unacknowledged_bytes": self.unacknowledged_bytes,
            "quarantined_files": self.quarantined_files,
            "segment_files": len(self.standing.parts),
            "compacted_files": sum(part.compacted for part in self.standing.parts),
            "replaced_files": self.replaced_files,
        }


def verify_store(folder: Path, *, payloads: bool = True, since: Verification | None = None) -> Verification:
    """Walk a store from its first record to its mark; safe beside a recorder that is writing, and beside a compaction.

    Without ``payloads`` only headers are read, and each payload is checked when it is.  ``since`` is an earlier answer: then only what
    was recorded after it is read, unless files have been compacted or lost meanwhile.
    Raises InputError if the folder is no store, StoreError where its files never stand still.
    """
    refuse_no_store(folder)
    # A recorder may go on meanwhile: it moves segments before the mark, and epoch before segments.  So what must have been there is asked
    # of the mark as it was before, and what must be there by now of mark and epoch as they are after.
    mark = read_mark(folder).mark
    left = set(replaced_parts(folder))
    standing, walk = _walked(folder, payloads=payloads, since=None if since is None else since.standing)
    # a store that is just being made has its mark before its epoch
    epoch, epoch_code = read_epoch(folder)
    later, mark_code = (found := read_mark(folder)).mark, found.code
    walk.against_mark(mark, later=later)
    _against_writers_files(walk, mark, mark_code, epoch, epoch_code, standing.heads)
    kept = folder / "quarantine"
    return Verification(
        entries=tuple(entry for entry in walk.entries if entry.record.seq not in walk.doubted) if walk.doubted else tuple(walk.entries),
        last_seq=walk.last_seq,
        damaged=tuple(sorted(walk.damaged, key=lambda one: (one.from_seq, one.to_seq, one.code))),
        unacknowledged_bytes=walk.open_bytes,
        quarantined_files=sum(1 for _ in kept.iterdir()) if kept.is_dir() else 0,
        standing=standing,
        replaced_files=len(left.intersection(replaced_parts(folder))),  # what a compaction is just removing was not left behind
    )


def refuse_no_store(folder: Path) -> None:
    """Go on only where a folder is a store, or one whose making was cut short, which may be an empty folder.

    Raises InputError.
    """
    if not folder.is_dir():
        raise InputError(f"expected a store, {folder} is no folder; give the DIR of tailwag record --store DIR")
    # one listing: between two, a recorder may have begun
    names = {path.name for path in folder.iterdir()}
    if names and not names & {LOCK_NAME, MARK_NAME, EPOCH_NAME} and not segment_parts(folder):
        raise InputError(f"expected a store, {folder} holds none; give the DIR of tailwag record --store DIR")


def _walked(folder: Path, *, payloads: bool, since: Standing | None) -> tuple[Standing, _Walk]:
    """The walk over every file, or over what is new; once more where a compaction has taken a file away under it."""
    for _ in range(_ATTEMPTS):
        parts = segment_parts(folder)
        known = 0 if since is None else len(since.parts)
        if since is None or not known or parts[:known] != since.parts or since.parts[-1].compacted:
            standing, walk = _walked_parts(folder, parts, payloads, _Walk(), None)
        else:
            standing, walk = _walked_parts(folder, parts, payloads, since.walk.copy(), since)
        # one listing may miss a file that was renamed while it ran: what is there now has to begin with what was there before
        if segment_parts(folder)[: len(parts)] == parts:
            return standing, walk
    raise StoreError(f"{folder}: files were joined or removed at each of {_ATTEMPTS} readings; ask again when its compaction has ended")


def _walked_parts(folder: Path, parts: tuple[Part, ...], payloads: bool, walk: _Walk, since: Standing | None) -> tuple[Standing, _Walk]:
    first = 0 if since is None else len(since.parts) - 1
    heads: list[Head | None] = [] if since is None else list(since.heads[:-1])
    offset = before = None
    for rank in range(first, len(parts)):
        part, follower = parts[rank], parts[rank + 1] if rank + 1 < len(parts) else None
        sealed = _sealed_by(read_head(folder, follower)) if follower and follower.number == part.last_number + 1 else None
        goes_on = since is not None and rank == first
        start = since.tail_offset if since is not None and goes_on else 0
        scan = scan_part(folder, part, sealed_bytes=sealed, payloads=payloads, start=start)
        heads.append(scan.head)
        walk.take(scan, goes_on=goes_on)
        if follower is None:
            before, offset = walk.copy(), scan.tail_offset
        walk.tail(scan, is_last=follower is None, sealed_bytes=None if part.compacted or follower is None else _sealed_of(folder, follower))
    return Standing(parts, tuple(heads), offset or 0, before or walk.copy()), walk


def _sealed_of(folder: Path, follower: Part) -> int | None:
    return _sealed_by(read_head(folder, follower))


def _sealed_by(head: Head | None) -> int | None:
    return None if head is None else head.previous_bytes


def _against_writers_files(
    walk: _Walk, mark: Mark | None, mark_code: str | None, epoch: int, epoch_code: str | None, heads: tuple[Head | None, ...]
) -> None:
    """The two small files; a store whose making was cut short has neither yet, and nothing in it."""
    newest = max([0 if mark is None else mark.epoch, *(head.epoch for head in heads if head)])
    if mark_code and (mark_code != "mark_missing" or epoch or heads):
        walk.note(mark_code)
    if epoch_code and (epoch_code != "epoch_missing" or newest or heads):
        walk.note(epoch_code)
    elif not epoch_code and epoch < newest:
        walk.note("epoch_stale")


@dataclass(slots=True)
class _Walk:
    """Where the chain stands, and what has been found on the way."""

    entries: list[Entry] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)
    doubted: set[int] = field(default_factory=set)
    last_seq: int = 0
    last_hash: bytes | None = GENESIS
    last_number: int = 0
    open_bytes: int = 0
    trouble: str | None = None

    def note(self, code: str) -> None:
        """A break that costs no record."""
        self.damaged.append(Damage(self.last_seq + 1, self.last_seq, code))

    def copy(self) -> _Walk:
        """The same standing, to go on from without touching this one."""
        return replace(self, entries=list(self.entries), damaged=list(self.damaged), doubted=set(self.doubted))

    def take(self, scan: Scan, *, goes_on: bool = False) -> None:
        """The records of a file, or those behind the ones that an earlier walk took."""
        if not goes_on:
            self._begin(scan)
        end = scan.start_offset
        for entry in scan.entries:
            if entry.offset != end:
                self.trouble = self.trouble or "record_damaged"
            self._take(entry)
            end = entry.end

    def _begin(self, scan: Scan) -> None:
        if scan.number != self.last_number + 1:
            self.trouble = "segment_missing"
        self.last_number = scan.last_number or scan.number
        if scan.head is None:
            self.note("head_damaged")
            self.trouble = "head_damaged"
        else:
            self._join(scan.head)

    def _join(self, head: Head) -> None:
        """A head says where the chain stood: what lies between there and here is lost."""
        if head.first_seq > self.last_seq + 1:
            self._lost(head.first_seq - 1)
            self.last_hash = bytes.fromhex(head.previous_hash)
        elif head.first_seq == self.last_seq + 1 and self.last_hash not in (None, bytes.fromhex(head.previous_hash)):
            self._doubt(self.last_seq, "chain_broken")
            self.last_hash = bytes.fromhex(head.previous_hash)

    def _take(self, entry: Entry) -> None:
        record = entry.record
        if record.seq <= self.last_seq:
            self.damaged.append(Damage(record.seq, record.seq, "seq_repeated"))
            return
        if record.seq > self.last_seq + 1:
            self._lost(record.seq - 1)
        elif self.last_hash is not None and record.previous != self.last_hash:
            self._doubt(self.last_seq, "chain_broken")
            self._doubt(record.seq, "chain_broken")
        elif self.trouble == "record_damaged":
            # damage between two records that belong together: nothing of theirs is lost
            self.note("bytes_added")
        elif self.trouble == "segment_missing":
            self.note("segment_missing")
        self.trouble = None
        self.entries.append(entry)
        self.last_seq, self.last_hash = record.seq, record.hash

    def tail(self, scan: Scan, *, is_last: bool, sealed_bytes: int | None) -> None:
        """What stands behind the last record of a file."""
        rest = scan.size - scan.tail_offset
        if rest <= 0:
            return
        if is_last:
            self.open_bytes = rest
            self.trouble = self.trouble or "record_damaged"
        elif sealed_bytes is None or scan.tail_offset < sealed_bytes:
            self.trouble = self.trouble or "record_damaged"
        elif scan.size > sealed_bytes:
            self.note("bytes_added")

    def _lost(self, to_seq: int) -> None:
        self.damaged.append(Damage(self.last_seq + 1, to_seq, self.trouble or "record_missing"))
        self.last_seq, self.last_hash, self.trouble = to_seq, None, None

    def _doubt(self, seq: int, code: str) -> None:
        if seq > 0 and seq not in self.doubted:
            self.damaged.append(Damage(seq, seq, code))
            self.doubted.add(seq)

    def against_mark(self, mark: Mark | None, *, later: Mark | None) -> None:
        """The end of the chain against what was acknowledged; one record ahead of the mark is a recorder between two syncs."""
        if mark is None or later is None:
            return
        if mark.seq > self.last_seq:
            if mark.segment > self.last_number:
                self.trouble = "segment_missing"
            self._lost(mark.seq)
        elif self.last_seq > later.seq + 1:
            self.note("mark_stale")
        marked = next((entry for entry in reversed(self.entries) if entry.record.seq == mark.seq), None)
        if marked is not None and marked.record.hash.hex() != mark.hash:
            self._doubt(mark.seq, "mark_mismatch")
