"""A reader of stores written from docs/reference/store-format.md alone: it imports nothing of the product."""

from __future__ import annotations

import json
import re
import struct
from hashlib import sha256
from pathlib import Path

import pyarrow as pa

HEADER = struct.Struct("<4sIQqqQ32s32s32s")
BLOCK = struct.Struct("<4sIQQ32s32s")


def read_store(folder: Path) -> dict[int, bytes]:
    """Every payload by its number; AssertionError at the first byte that is not as the page says."""
    found: dict[int, bytes] = {}
    previous = bytes(32)
    files = store_files(folder)
    for path, after in zip(files, [*files[1:], None], strict=True):
        data = path.read_bytes()[: ends_at(path, after)]
        line, _, body = data.partition(b"\n")
        head = checked(line)
        assert head["schema"] in ("tailwag.segment/1", "tailwag.compacted/1")
        assert head["previous_hash"] == previous.hex()
        assert head["first_seq"] == max(found, default=0) + 1
        records = compacted_records(body, len(line) + 1) if head["schema"] == "tailwag.compacted/1" else plain_records(body)
        for header, payload in records:
            magic, _kind, seq, _as_of, _received, size, digest, before, seal = HEADER.unpack(header)
            assert magic == b"TWR\x01"
            assert sha256(header[:-32]).digest() == seal
            assert (seq, size, digest, before) == (max(found, default=0) + 1, len(payload), sha256(payload).digest(), previous)
            found[seq], previous = payload, seal
        if "last_seq" in head:
            assert (head["last_seq"], head["last_hash"]) == (max(found, default=0), previous.hex())
    return found


def store_files(folder: Path) -> list[Path]:
    """Files in order; a compacted one stands for those of its run."""
    named = [(re.fullmatch(r"segment-(\d{8})(?:-(\d{8}))?\.tws", path.name), path) for path in folder.iterdir()]
    runs = sorted((int(match[1]), -int(match[2] or match[1]), match[2] is None, path) for match, path in named if match)
    kept, covered = [], 0
    for _first, minus_last, _plain, path in runs:
        if -minus_last > covered:
            kept.append(path)
            covered = -minus_last
    return kept


def ends_at(path: Path, after: Path | None) -> int | None:
    """Where a segment ends by the head of the one that follows it: what stands behind was never acknowledged."""
    if after is None or path.stem.count("-") == 2:
        return None
    with open(after, "rb") as stream:
        place = checked(stream.readline().removesuffix(b"\n"))["previous_bytes"]
    assert isinstance(place, int)
    return place


def checked(line: bytes) -> dict[str, object]:
    """A sealed line of JSON."""
    fields: dict[str, object] = json.loads(line)
    check = fields.pop("check")
    assert sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest() == check
    return fields


def plain_records(body: bytes) -> list[tuple[bytes, bytes]]:
    """Headers and payloads of the whole records."""
    found, place = [], 0
    while place < len(body):
        header = body[place : place + HEADER.size]
        if len(header) < HEADER.size or place + HEADER.size + (size := HEADER.unpack(header)[5]) > len(body):
            break  # the newest segment may end in a part of a record
        found.append((header, body[place + HEADER.size : place + HEADER.size + size]))
        place += HEADER.size + size
    return found


def compacted_records(body: bytes, start: int) -> list[tuple[bytes, bytes]]:
    found, place, blocks = [], 0, 0
    while body[place : place + 4] == b"TWB\x01":
        fields = body[place : place + BLOCK.size]
        _, count, packed_bytes, raw_bytes, digest, seal = BLOCK.unpack(fields)
        assert sha256(fields[:-32]).digest() == seal
        place += BLOCK.size
        headers = [body[place + rank * HEADER.size : place + (rank + 1) * HEADER.size] for rank in range(count)]
        place += count * HEADER.size
        packed = body[place : place + packed_bytes]
        assert sha256(packed).digest() == digest
        raw = pa.Codec("zstd").decompress(packed, raw_bytes, asbytes=True)
        place, blocks = place + packed_bytes, blocks + 1
        offset = 0
        for header in headers:
            size = HEADER.unpack(header)[5]
            found.append((header, raw[offset : offset + size]))
            offset += size
        assert offset == raw_bytes
    end = checked(body[place:].removesuffix(b"\n"))
    assert end == {"schema": "tailwag.compacted-end/1", "offset": start + place, "blocks": blocks}
    return found
