"""Compacted segments: a run of closed segments in one file, each record's header as it was, neighbouring payloads compressed together.

Neighbouring snapshots share most of their bytes (names, strikes, open interest that did not move), so compressing sixteen of them together
takes a third of the room.  Nothing is rewritten: every header is the one that was acknowledged, every payload comes back bit for bit and
is held against the SHA-256 in its header.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tailwag.sources.store.lines import opened_line, sealed_line
from tailwag.sources.store.records import HEADER_BYTES, PAYLOAD_LIMIT_BYTES, Record, header_bytes, parsed_header
from tailwag.sources.store.segments import HEAD_LIMIT_BYTES, SECTOR_BYTES, Block, Entry, Head, Part, Scan, bytes_at

SCHEMA = "tailwag.compacted/1"
END_SCHEMA = "tailwag.compacted-end/1"
MAGIC = b"TWB\x01"
BLOCK_RECORDS = 16
BLOCK_BYTES = 8 << 20
"""A block is closed at this many records or bytes of payload, whichever comes first."""
LEVEL = 3
"""Of zstd: higher ones take ten times as long for 2 % less."""
_FIELDS = struct.Struct("<4sIQQ32s")
BLOCK_HEADER_BYTES = _FIELDS.size + 32
_CHUNK = 1 << 20
_RECORDS_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class CompactedHead:
    """The first line of a compacted segment: the head of its first segment, and where the chain stood behind its last."""

    number: int
    last_number: int
    epoch: int
    first_seq: int
    last_seq: int
    previous_hash: str
    last_hash: str
    previous_bytes: int


def compacted_head_bytes(head: CompactedHead) -> bytes:
    """A head as it lies on disk."""
    return sealed_line({"schema": SCHEMA, **asdict(head)})


def parsed_compacted_head(data: bytes, part: Part) -> CompactedHead | None:
    """The head that these bytes begin with, or None where it is not as it was written, or another file's."""
    line, newline, _ = data.partition(b"\n")
    fields = opened_line(line + newline)
    if fields is None or fields.pop("schema", None) != SCHEMA or set(fields) != set(CompactedHead.__slots__):
        return None
    head = CompactedHead(**fields)
    return head if (head.number, head.last_number) == (part.number, part.last_number) else None


def end_bytes(offset: int, blocks: int) -> bytes:
    """The last line: where it stands and how many blocks are before it; a file without it was cut."""
    return sealed_line({"schema": END_SCHEMA, "offset": offset, "blocks": blocks})


def block_bytes(records: list[tuple[Record, bytes]]) -> bytes:
    """One block as it lies on disk: its own header, the records' headers, and their payloads compressed together."""
    import pyarrow as pa

    raw = b"".join(payload for _, payload in records)
    packed = pa.Codec("zstd", LEVEL).compress(raw, asbytes=True)
    fields = _FIELDS.pack(MAGIC, len(records), len(packed), len(raw), sha256(packed).digest())
    return b"".join([fields, sha256(fields).digest(), *(header_bytes(record) for record, _ in records), packed])


def unpacked(descriptor: int, block: Block) -> bytes:
    """The payloads of a block, one behind the other; empty where they cannot be unpacked."""
    import pyarrow as pa

    packed = bytes_at(descriptor, block.packed_bytes, block.packed_offset)
    try:
        return bytes(pa.Codec("zstd").decompress(packed, block.raw_bytes, asbytes=True))
    except (OSError, ValueError, MemoryError, pa.ArrowException):
        return b""


def payload_in(raw: bytes, entry: Entry) -> bytes | None:
    """A record's payload out of its unpacked block, or None where it is not what its header says."""
    payload = raw[entry.start : entry.start + entry.record.payload_bytes]
    return payload if sha256(payload).digest() == entry.record.payload_sha256 else None


def scan_compacted(folder: Path, part: Part, *, payloads: bool = True, name: str = "") -> Scan:
    """Every whole record of a compacted segment, as :func:`~tailwag.sources.store.segments.scan_segment` finds those of a segment.

    ``name`` is that of a file which has not got its own yet.
    """
    try:
        stream = open(folder / (name or part.name), "rb")  # noqa: SIM115 - closed below; only the opening may fail quietly
    except OSError:
        return Scan(part.number, None, (), 0, 0, 0, part.last_number)
    with stream:
        return _CompactedScan(stream.fileno(), part, payloads).scan()


@dataclass(frozen=True, slots=True)
class _BlockFound:
    block: Block
    headers: tuple[Record | None, ...]
    digest: bytes
    end: int


class _CompactedScan:
    """One pass over a compacted file; places of records are counted as if nothing were compressed, so that damage shows as a gap."""

    def __init__(self, descriptor: int, part: Part, payloads: bool) -> None:
        self._descriptor, self._part, self._payloads = descriptor, part, payloads
        self._size = os.fstat(descriptor).st_size
        self._place = 0
        self._whole = True

    def scan(self) -> Scan:
        start = bytes_at(self._descriptor, HEAD_LIMIT_BYTES, 0)
        head = parsed_compacted_head(start, self._part)
        offset = len(compacted_head_bytes(head)) if head else 0
        entries = tuple(self._entries(offset))
        plain = None if head is None else Head(head.number, head.epoch, head.first_seq, head.previous_hash, head.previous_bytes)
        ended = self._whole and (head is None or (entries[-1].record.seq if entries else 0) == head.last_seq)
        tail = entries[-1].end if entries else 0
        return Scan(self._part.number, plain, entries, 0, tail, tail + (not ended), self._part.last_number)

    def _entries(self, offset: int) -> Iterator[Entry]:
        blocks = 0
        while offset < self._size:
            found = self._block_at(offset)
            if found is None:
                if self._ends_at(offset, blocks):
                    return
                self._place, self._whole = self._place + 1, False
                offset = self._next_block(offset + 1)
                continue
            yield from self._of_block(found)
            offset, blocks = found.end, blocks + 1
        self._whole = False

    def _ends_at(self, offset: int, blocks: int) -> bool:
        rest = self._size - offset
        return rest <= HEAD_LIMIT_BYTES and bytes_at(self._descriptor, rest, offset) == end_bytes(offset, blocks)

    def _block_at(self, offset: int) -> _BlockFound | None:
        data = bytes_at(self._descriptor, BLOCK_HEADER_BYTES, offset)
        if len(data) < BLOCK_HEADER_BYTES or not data.startswith(MAGIC) or sha256(data[: _FIELDS.size]).digest() != data[_FIELDS.size :]:
            return None
        _, count, packed_bytes, raw_bytes, digest = _FIELDS.unpack(data[: _FIELDS.size])
        behind = offset + BLOCK_HEADER_BYTES + count * HEADER_BYTES
        if count > _RECORDS_LIMIT or raw_bytes > PAYLOAD_LIMIT_BYTES + BLOCK_BYTES or behind + packed_bytes > self._size:
            return None
        headers = bytes_at(self._descriptor, count * HEADER_BYTES, offset + BLOCK_HEADER_BYTES)
        records = tuple(parsed_header(headers[place : place + HEADER_BYTES]) for place in range(0, count * HEADER_BYTES, HEADER_BYTES))
        return _BlockFound(Block(self._part, behind, packed_bytes, raw_bytes), records, digest, behind + packed_bytes)

    def _of_block(self, found: _BlockFound) -> Iterator[Entry]:
        raw, sound = b"", True
        if self._payloads:
            raw = unpacked(self._descriptor, found.block)
            sound = sha256(bytes_at(self._descriptor, found.block.packed_bytes, found.block.packed_offset)).digest() == found.digest
        starts = _starts(found.headers, found.block.raw_bytes)
        for record, start in zip(found.headers, starts, strict=True):
            entry = None if record is None or start is None else Entry(record, self._part.number, self._place, found.block, start)
            if entry is None or (self._payloads and payload_in(raw, entry) is None):
                self._place, sound = self._place + 1, True
                continue
            yield entry
            self._place = entry.end
        # every payload came out right and yet the packed bytes are not those that were written
        self._place += not sound

    def _next_block(self, offset: int) -> int:
        while offset < self._size:
            chunk = bytes_at(self._descriptor, min(_CHUNK, self._size - offset), offset)
            place = chunk.find(MAGIC)
            while place >= 0:
                if self._block_at(offset + place) is not None:
                    return offset + place
                place = chunk.find(MAGIC, place + 1)
            offset += max(len(chunk) - len(MAGIC) + 1, SECTOR_BYTES if not chunk else 1)
        return self._size


def _starts(headers: tuple[Record | None, ...], raw_bytes: int) -> list[int | None]:
    """Where each payload begins in the unpacked block: counted from the front up to a damaged header, and from the back behind it."""
    starts: list[Any] = [None] * len(headers)
    front = 0
    for rank, record in enumerate(headers):
        starts[rank] = front
        if record is None:
            break
        front += record.payload_bytes
    back = raw_bytes
    for rank in range(len(headers) - 1, -1, -1):
        record = headers[rank]
        if record is None:
            break
        back -= record.payload_bytes
        starts[rank] = back
    return starts
