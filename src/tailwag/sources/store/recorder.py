"""The recorder: appends, syncs, moves the mark, syncs again, and only then says that a snapshot is safe."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tailwag.errors import InputError, StoreBusyError
from tailwag.sources.store.disk import Disk, SystemDisk, disk_trouble, write_whole
from tailwag.sources.store.lock import refuse_if_fenced, take_lock
from tailwag.sources.store.mark import MarkFile
from tailwag.sources.store.records import PAYLOAD_LIMIT_BYTES, SNAPSHOT, TRADES, Record, header_bytes, sealed_record
from tailwag.sources.store.recovery import recovered
from tailwag.sources.store.segments import Head, head_bytes, segment_name

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot
    from tailwag.sources.store.compaction import Compaction
    from tailwag.sources.store.trade_records import TradeBatch

SEGMENT_BYTES = 64 << 20
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A snapshot that is on the device, whatever happens next; ``sha256`` is of its snapshot file's bytes."""

    seq: int
    as_of_ns: int
    sha256: str


@dataclass(slots=True)
class _Segment:
    """The segment being written: ``end`` is where the next record goes; ``clean`` is False while bytes may stand behind it."""

    number: int
    descriptor: int
    end: int
    clean: bool = True


class Recorder:
    """The one writer of a store; use it in a ``with`` block.

    Opening takes the lock, raises the epoch, and recovers: an unfinished record at the end is cut off and kept in ``quarantine/``,
    damage is left where it lies for ``verify`` to name, and recording goes on in a new segment under the next number.  ``say`` is told
    what recovery did.

    Raises StoreBusyError where another process records, StoreError where the disk refuses.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, segment_bytes: int = SEGMENT_BYTES, disk: Disk | None = None, say: Say | None = None
    ) -> None:
        self.folder = Path(folder)
        self._disk: Disk = disk or SystemDisk()
        self._segment_bytes = segment_bytes
        self._segment: _Segment | None = None
        with disk_trouble(self.folder, "open the store", "it is as it was"):
            self._make_folder(self.folder.resolve())
            self._lock = take_lock(self.folder, self._disk)
            try:
                self._start = recovered(self.folder, self._disk, say or _silent)
                self._mark = MarkFile(self.folder, self._disk, self._start.mark)
            except BaseException:
                self._disk.close(self._lock)
                raise
        self._last_seq, self._last_hash = self._start.last_seq, self._start.last_hash
        self._last_number, self._last_end = self._start.last_number, self._start.last_end

    def _make_folder(self, folder: Path) -> None:
        """A folder lasts when its name does: that of every folder made here, and the store's own in any case."""
        missing = [place for place in folder.parents if not place.exists()]
        self._disk.make_folder(folder)
        for place in (folder, *missing):
            self._disk.sync_folder(place.parent)

    @property
    def last_seq(self) -> int:
        """Number of the last record; 0 in an empty store."""
        return self._last_seq

    @property
    def epoch(self) -> int:
        """How often the store has been opened for writing."""
        return self._start.epoch

    @property
    def segment_number(self) -> int:
        """Number of the newest segment file; those before it are closed."""
        return self._last_number

    def append(self, snapshot: Snapshot, *, received_ns: int) -> Acknowledgement:
        """Make a snapshot durable; it is when this returns, and only then.

        Raises StoreError where it is not: the store is as it was, and a later call may succeed.
        """
        from tailwag.sources.snapshot_file import encoded_snapshot

        return self.append_payload(encoded_snapshot(snapshot), as_of_ns=snapshot.as_of_ns, received_ns=received_ns)

    def append_trades(self, batch: TradeBatch, *, received_ns: int) -> Acknowledgement:
        """Make a batch of trades durable, as :meth:`append` does; its market time is that of its last trade, or the end of what it covers.

        Raises StoreError where it is not, InputError where the batch says nothing at all.
        """
        from tailwag.sources.store.trade_records import batch_time_ns, encoded_batch

        return self.append_payload(encoded_batch(batch), as_of_ns=batch_time_ns(batch), received_ns=received_ns, kind=TRADES)

    def append_payload(self, payload: bytes, *, as_of_ns: int, received_ns: int, kind: int = SNAPSHOT) -> Acknowledgement:
        """Make the bytes of a snapshot file (or of another ``kind`` of record) durable, as :meth:`append` does."""
        if len(payload) > PAYLOAD_LIMIT_BYTES:
            raise InputError(f"a record of {len(payload)} bytes, at most {PAYLOAD_LIMIT_BYTES} are recorded; split it by currency")
        seq, previous = self._last_seq + 1, self._last_hash
        record = sealed_record(payload, seq=seq, as_of_ns=as_of_ns, received_ns=received_ns, previous=previous, kind=kind)
        with disk_trouble(self.folder, f"record snapshot {record.seq}", "nothing was acknowledged"):
            # before: a fenced writer must not touch what the new one may count on; after: what the new one did not see is not acknowledged
            refuse_if_fenced(self.folder, self.epoch)
            segment = self._write(record, payload)
            refuse_if_fenced(self.folder, self.epoch)
            self._mark.move(
                seq=record.seq,
                epoch=self.epoch,
                segment=segment.number,
                end_bytes=segment.end + record.whole_bytes,
                record_hash=record.hash,
            )
        segment.end, segment.clean = segment.end + record.whole_bytes, True
        self._last_seq, self._last_hash = record.seq, record.hash
        self._last_number, self._last_end = segment.number, segment.end
        return Acknowledgement(record.seq, as_of_ns, record.payload_sha256.hex())

    def _write(self, record: Record, payload: bytes) -> _Segment:
        """Put a record on the device; the segment it lies in."""
        segment = self._open_segment()
        if not segment.clean:
            self._disk.cut(segment.descriptor, segment.end)
        segment.clean = False
        self._disk.write_at(segment.descriptor, header_bytes(record) + payload, segment.end)
        try:
            self._disk.sync(segment.descriptor)
        except OSError:
            # after a failed sync nobody knows which bytes are on the device, and a second sync would not tell: leave this file behind
            self._leave_segment(cut_at=segment.end)
            raise
        return segment

    def _open_segment(self) -> _Segment:
        if self._segment is not None and self._segment.end >= self._segment_bytes:
            self._leave_segment()
        if self._segment is None:
            self._segment = self._new_segment()
        return self._segment

    def _new_segment(self) -> _Segment:
        """A segment appears under its name whole, head and all, before a record goes into it."""
        head = Head(self._last_number + 1, self.epoch, self._last_seq + 1, self._last_hash.hex(), self._last_end)
        path = self.folder / segment_name(head.number)
        if path.exists():
            raise StoreBusyError(f"{path} exists already, made by another recorder; this one stops")
        try:
            write_whole(self._disk, path, head_bytes(head))
            return _Segment(head.number, self._disk.open(path, os.O_RDWR), len(head_bytes(head)))
        finally:
            if path.exists():
                # counted even where it could not be synced or opened: the next one then stands behind it
                self._last_number, self._last_end = head.number, len(head_bytes(head))

    def _leave_segment(self, cut_at: int | None = None) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        try:
            if cut_at is not None:
                self._disk.cut(segment.descriptor, cut_at)
        except OSError:
            # the next head says where this segment ends, so what stands behind that counts for nothing
            pass
        finally:
            self._disk.close(segment.descriptor)

    def compact(self) -> Compaction:
        """Join and compress the segments that are closed; what is being written is not touched.

        Raises StoreError where the disk refuses: the segments are then as they were.
        """
        from tailwag.sources.store.compaction import compacted

        return compacted(self.folder, self._disk, epoch=self.epoch)

    def close(self) -> None:
        """Give the store back; everything acknowledged is already safe."""
        self._leave_segment()
        self._mark.close()
        self._disk.close(self._lock)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _silent(_text: str) -> None:
    """Nobody asked to be told."""
