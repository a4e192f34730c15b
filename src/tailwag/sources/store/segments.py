"""Segments: append-only files of records behind a sealed head, and a scan that finds every whole record whatever has happened to the file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from tailwag.sources.store.lines import opened_line, sealed_line
from tailwag.sources.store.records import HEADER_BYTES, MAGIC, Record, parsed_header

SCHEMA = "tailwag.segment/1"
HEAD_LIMIT_BYTES = 4096
_NAME = re.compile(r"segment-(?P<number>\d{8})(?:-(?P<last>\d{8}))?\.tws")
_CHUNK = 1 << 20
SECTOR_BYTES = 4096
"""What the search steps over where the device cannot read."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of a segment: who wrote it, and where the chain stood."""

    number: int
    epoch: int
    """Of the writer: a recorder that lost its lock writes under an older one."""
    first_seq: int
    previous_hash: str
    """Hash of the last record before this segment."""
    previous_bytes: int
    """Where the segment before ends; what stands behind that was never acknowledged."""


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A file of segments: one segment as it was recorded, or a run of them compacted into one file."""

    number: int
    last_number: int
    compacted: bool = False

    @property
    def name(self) -> str:
        """The name of the file."""
        return compacted_name(self.number, self.last_number) if self.compacted else segment_name(self.number)


@dataclass(frozen=True, slots=True)
class Block:
    """Where the payloads of some neighbouring records lie in a compacted segment, compressed together."""

    part: Part
    packed_offset: int
    packed_bytes: int
    raw_bytes: int
    """Of all its payloads, one behind the other."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A whole record and where it lies: at ``offset`` of its segment, or at ``start`` of what its block unpacks to."""

    record: Record
    segment: int
    offset: int
    """In a compacted segment: where it would lie if its segments had been joined without compression."""
    block: Block | None = None
    start: int = 0

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.record.whole_bytes


@dataclass(frozen=True, slots=True)
class Scan:
    """What one segment holds: its whole records, in file order; where two do not touch, damage lies between."""

    number: int
    head: Head | None
    entries: tuple[Entry, ...]
    start_offset: int
    """Where the first record should be."""
    tail_offset: int
    """Where the last whole record ends."""
    size: int
    last_number: int = 0
    """The last segment that a compacted file holds; 0 where it is one segment as it was recorded."""


def segment_name(number: int) -> str:
    """The file name of a segment.

    >>> segment_name(3)
    'segment-00000003.tws'
    """
    return f"segment-{number:08d}.tws"


def compacted_name(first: int, last: int) -> str:
    """The file name of a run of compacted segments.

    >>> compacted_name(3, 7)
    'segment-00000003-00000007.tws'
    """
    return f"segment-{first:08d}-{last:08d}.tws"


def segment_parts(folder: Path) -> tuple[Part, ...]:
    """The files that are the store, in order: a compacted file stands for every segment of its run, whether that is still there or not."""
    return _standing(_listed(folder))


def replaced_parts(folder: Path) -> tuple[Part, ...]:
    """Files that a compacted one stands for, and that a compaction cut short has left behind."""
    listed = _listed(folder)  # once: a segment that is begun between two listings would be among what is left
    kept = set(_standing(listed))
    return tuple(part for part in listed if part not in kept)


def _standing(listed: list[Part]) -> tuple[Part, ...]:
    covered, kept = 0, []
    for part in listed:
        if part.last_number > covered:
            kept.append(part)
            covered = part.last_number
    return tuple(kept)


def _listed(folder: Path) -> list[Part]:
    found = (_NAME.fullmatch(entry.name) for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False))
    parts = [Part(int(match["number"]), int(match["last"] or match["number"]), match["last"] is not None) for match in found if match]
    # of files that begin together the longest run first, and compacted before plain
    return sorted(
        (part for part in parts if part.number <= part.last_number), key=lambda part: (part.number, -part.last_number, not part.compacted)
    )


def segment_numbers(folder: Path) -> list[int]:
    """First numbers of the segments' files in a folder, in order; files still being made have other names."""
    return [part.number for part in segment_parts(folder)]


def head_bytes(head: Head) -> bytes:
    """A head as it lies on disk."""
    return sealed_line({"schema": SCHEMA, **asdict(head)})


def parsed_head(data: bytes, number: int) -> Head | None:
    """The head that these bytes begin with, or None where it is not as it was written."""
    line, newline, _ = data.partition(b"\n")
    fields = opened_line(line + newline)
    if fields is None or fields.pop("schema", None) != SCHEMA or set(fields) != set(Head.__slots__) or fields["number"] != number:
        return None
    return Head(**fields)


def scan_segment(folder: Path, number: int, *, sealed_bytes: int | None = None, payloads: bool = True, start: int = 0) -> Scan:
    """Every whole record of a segment up to ``sealed_bytes`` (or its end); with ``payloads`` each payload is hashed too.

    Damage costs the records it touches and no other: the scan goes on at the next header that proves itself.  With ``start``, an end that
    an earlier scan came to, only the records behind it.
    """
    try:
        stream = open(folder / segment_name(number), "rb")  # noqa: SIM115 - closed below; only the opening may fail quietly
    except OSError:
        return Scan(number, None, (), 0, 0, 0)
    with stream:
        size = os.fstat(stream.fileno()).st_size
        return _Scanner(stream.fileno(), number, size if sealed_bytes is None else min(size, sealed_bytes), payloads).scan(size, start)


class _Scanner:
    """One pass over a segment's bytes."""

    def __init__(self, descriptor: int, number: int, end: int, payloads: bool) -> None:
        self._descriptor, self._number, self._end, self._payloads = descriptor, number, end, payloads
        self._seen: tuple[int, Entry | None] = (-1, None)

    def scan(self, size: int, from_offset: int) -> Scan:
        start = bytes_at(self._descriptor, HEAD_LIMIT_BYTES, 0)
        head = parsed_head(start, self._number)
        offset = max(len(head_bytes(head)) if head else 0, from_offset)
        entries = tuple(self._entries(offset))
        return Scan(self._number, head, entries, offset, entries[-1].end if entries else offset, size)

    def _entries(self, offset: int) -> Iterator[Entry]:
        while offset + HEADER_BYTES <= self._end:
            entry = self._entry_at(offset)
            if entry is not None and self._sound(entry):
                yield entry
                offset = entry.end
                continue
            # a header that proves itself gives the length of a damaged payload; anything else is searched through
            behind = None if entry is None else self._entry_at(entry.end)
            offset = entry.end if entry is not None and behind is not None else self._next_header(offset + 1)

    def _entry_at(self, offset: int) -> Entry | None:
        # a look ahead is where the next record begins: it is read once
        if self._seen[0] != offset:
            self._seen = (offset, self._parsed_at(offset))
        return self._seen[1]

    def _parsed_at(self, offset: int) -> Entry | None:
        record = parsed_header(bytes_at(self._descriptor, HEADER_BYTES, offset)) if offset + HEADER_BYTES <= self._end else None
        return Entry(record, self._number, offset) if record is not None and offset + record.whole_bytes <= self._end else None

    def _sound(self, entry: Entry) -> bool:
        """Whether the payload is what the header says; without hashing it, whether the next record stands where this one ends."""
        if self._payloads:
            return payload_of(self._descriptor, entry) is not None
        return entry.end == self._end or self._entry_at(entry.end) is not None or payload_of(self._descriptor, entry) is not None

    def _next_header(self, offset: int) -> int:
        while offset + HEADER_BYTES <= self._end:
            chunk = bytes_at(self._descriptor, min(_CHUNK, self._end - offset), offset)
            place = chunk.find(MAGIC)
            while place >= 0:
                if self._entry_at(offset + place) is not None:
                    return offset + place
                place = chunk.find(MAGIC, place + 1)
            offset += max(len(chunk) - len(MAGIC) + 1, SECTOR_BYTES if not chunk else 1)
        return self._end


def bytes_at(descriptor: int, size: int, offset: int) -> bytes:
    """Bytes of a file; none where the device cannot read them, which is damage like any other."""
    try:
        return os.pread(descriptor, size, offset)
    except OSError:
        return b""


def payload_of(descriptor: int, entry: Entry) -> bytes | None:
    """A record's payload, or None where it is not what its header says."""
    payload = bytes_at(descriptor, entry.record.payload_bytes, entry.offset + HEADER_BYTES)
    return payload if sha256(payload).digest() == entry.record.payload_sha256 else None
