"""One record of a segment: a fixed header that seals itself, its payload and the record before it, then the payload.

A record's hash covers its header, the header holds the payload's SHA-256 and the hash of the record before: whoever holds the last hash
holds them all, and no bit of any record can change, vanish or come from elsewhere unseen.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha256

MAGIC = b"TWR\x01"
GENESIS = bytes(32)
"""What the first record names as the hash before it."""
SNAPSHOT = 1
"""Kind of a record whose payload is a tailwag snapshot file."""
TRADES = 2
"""Kind of a record whose payload is a batch of option trades."""
PAYLOAD_LIMIT_BYTES = 256 << 20
_FIELDS = struct.Struct("<4sIQqqQ32s32s")
HEADER_BYTES = _FIELDS.size + 32


@dataclass(frozen=True, slots=True)
class Record:
    """A record's header: its number, what it holds, and its place in the chain; times in UTC nanoseconds."""

    seq: int
    kind: int
    as_of_ns: int
    received_ns: int
    """When the recorder had it, by the recorder's clock."""
    payload_bytes: int
    payload_sha256: bytes
    previous: bytes
    """Hash of the record before."""
    hash: bytes

    @property
    def whole_bytes(self) -> int:
        """Header and payload."""
        return HEADER_BYTES + self.payload_bytes


def sealed_record(payload: bytes, *, seq: int, as_of_ns: int, received_ns: int, previous: bytes, kind: int = SNAPSHOT) -> Record:
    """The header of a new record, its hashes computed.

    >>> record = sealed_record(b"abc", seq=1, as_of_ns=5, received_ns=6, previous=GENESIS)
    >>> parsed_header(header_bytes(record)) == record
    True
    """
    digest = sha256(payload).digest()
    fields = _FIELDS.pack(MAGIC, kind, seq, as_of_ns, received_ns, len(payload), digest, previous)
    return Record(seq, kind, as_of_ns, received_ns, len(payload), digest, previous, sha256(fields).digest())


def header_bytes(record: Record) -> bytes:
    """The header as it lies on disk."""
    fields = _FIELDS.pack(
        MAGIC, record.kind, record.seq, record.as_of_ns, record.received_ns, record.payload_bytes, record.payload_sha256, record.previous
    )
    return fields + record.hash


def parsed_header(data: bytes) -> Record | None:
    """The header in these bytes, or None where a single bit of it is not as it was written."""
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        return None
    fields, seal = data[: _FIELDS.size], data[_FIELDS.size : HEADER_BYTES]
    if sha256(fields).digest() != seal:
        return None
    _, kind, seq, as_of_ns, received_ns, size, digest, previous = _FIELDS.unpack(fields)
    return Record(seq, kind, as_of_ns, received_ns, size, digest, previous, seal) if size <= PAYLOAD_LIMIT_BYTES else None
