"""The files of a store as one row, whether a segment lies as it was recorded or compacted with its neighbours."""

from __future__ import annotations

from pathlib import Path

from tailwag.sources.store.compacted import parsed_compacted_head, payload_in, scan_compacted, unpacked
from tailwag.sources.store.segments import HEAD_LIMIT_BYTES, Entry, Head, Part, Scan, parsed_head, payload_of, scan_segment, segment_name


def read_head(folder: Path, part: Part) -> Head | None:
    """What the first line of a file says of its first segment, or None where it is not as it was written."""
    try:
        with open(folder / part.name, "rb") as stream:
            start = stream.read(HEAD_LIMIT_BYTES)
    except OSError:
        return None
    if not part.compacted:
        return parsed_head(start, part.number)
    head = parsed_compacted_head(start, part)
    return None if head is None else Head(head.number, head.epoch, head.first_seq, head.previous_hash, head.previous_bytes)


def scan_part(folder: Path, part: Part, *, sealed_bytes: int | None = None, payloads: bool = True, start: int = 0) -> Scan:
    """Every whole record of a file, as :func:`~tailwag.sources.store.segments.scan_segment` finds those of a segment."""
    if part.compacted:
        return scan_compacted(folder, part, payloads=payloads)
    return scan_segment(folder, part.number, sealed_bytes=sealed_bytes, payloads=payloads, start=start)


def entry_file(entry: Entry) -> str:
    """The name of the file that a record lies in."""
    return segment_name(entry.segment) if entry.block is None else entry.block.part.name


def read_payload(folder: Path, entry: Entry) -> bytes | None:
    """A record's payload, or None where it is not what its header says.

    Raises OSError where the file cannot be opened: it may have been compacted meanwhile.
    """
    with open(folder / entry_file(entry), "rb") as stream:
        if entry.block is None:
            return payload_of(stream.fileno(), entry)
        return payload_in(unpacked(stream.fileno(), entry.block), entry)
