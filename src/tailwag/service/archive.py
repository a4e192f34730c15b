"""The past: any recorded snapshot, measured again under today's assumptions; safe beside the recorder that goes on writing."""

from __future__ import annotations

import bisect
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.errors import EmptyChainError, InputError, StoreError
from tailwag.market.clock import format_time

if TYPE_CHECKING:
    from tailwag.experiments.measure import Measurement
    from tailwag.experiments.options import MeasureOptions
    from tailwag.market.snapshot import Snapshot
    from tailwag.service.index_days import IndexOf
    from tailwag.service.series import Series
    from tailwag.sources.store.history import History
    from tailwag.sources.store.segments import Entry

DOCUMENTS_KEPT = 32
DAYS_WORKED_OUT = 2
"""Days of the index that one answer measures: each takes two dozen snapshots."""


@dataclass(frozen=True, slots=True)
class Past:
    """One recorded snapshot and what it measures."""

    seq: int
    as_of_ns: int
    measurement: Measurement
    document: dict[str, Any]


class Archive:
    """Reads of one store; ``newest_seq`` tells when the index of an earlier read is out of date."""

    def __init__(self, folder: Path, options: MeasureOptions, *, names: tuple[str, ...] = (), series: Series | None = None) -> None:
        self.folder, self._options, self._names, self._series = folder, options, names, series
        self._lock = threading.Lock()
        self._history: History | None = None
        self._kept: OrderedDict[int, Past] = OrderedDict()

    def at(self, at_ns: int | None, *, source: str, newest_seq: int) -> Past:
        """The last recorded snapshot of a source at or before ``at_ns``, measured.

        Raises EmptyChainError where there is none, StoreError where it is damaged.
        """
        return self.past(self.entry(at_ns, source=source, newest_seq=newest_seq))

    def entry(self, at_ns: int | None, *, source: str, newest_seq: int) -> Entry:
        """The record of it.

        Raises EmptyChainError where there is none.
        """
        history = self.index(newest_seq)
        if len(self._names) <= 1:
            return history.at(at_ns)
        seq = None if self._series is None else self._series.seq_at(source, (1 << 62) if at_ns is None else at_ns)
        found = None if seq is None else self.numbered(seq, newest_seq=newest_seq)
        if found is None:
            when = "" if at_ns is None else f" at or before {format_time(at_ns)}"
            raise EmptyChainError(f"{source}: no measured snapshot{when} in this store; give a later time")
        return found

    def numbered(self, seq: int, *, newest_seq: int) -> Entry | None:
        """The record of a number, None where it is lost."""
        entries = self.index(max(newest_seq, seq)).entries
        place = bisect.bisect_left(entries, seq, key=lambda entry: entry.record.seq)
        return entries[place] if place < len(entries) and entries[place].record.seq == seq else None

    def snapshot(self, entry: Entry) -> Snapshot:
        """A recorded snapshot.

        Raises StoreError where it is damaged.
        """
        assert self._history is not None
        return self._history.snapshot(entry)

    def past(self, entry: Entry) -> Past:
        """What one record measures, from memory where it was asked for lately."""
        from tailwag.experiments.measure import measure

        seq = entry.record.seq
        with self._lock:
            if seq in self._kept:
                self._kept.move_to_end(seq)
                return self._kept[seq]
        assert self._history is not None
        snapshot = self._history.snapshot(entry)
        measurement = measure(snapshot, self._options)
        past = Past(seq, snapshot.as_of_ns, measurement, measurement.document())
        with self._lock:
            self._kept[seq] = past
            while len(self._kept) > DOCUMENTS_KEPT:
                self._kept.popitem(last=False)
        return past

    def index(self, newest_seq: int) -> History:
        """The records of the store, up to ``newest_seq`` at least.

        Raises StoreError where the store is not there, or cannot be read.
        """
        from tailwag.sources.store.history import History

        with self._lock:
            known = self._history
            try:
                if known is None:
                    self._history = known = History.open(self.folder)
                elif not known.entries or known.entries[-1].record.seq < newest_seq:
                    self._history = known = known.refreshed()
            except (InputError, OSError) as trouble:
                # nothing that was asked for is wrong: the folder is gone, or no longer a store
                raise StoreError(f"{self.folder} cannot be read now ({trouble}); look after its folder, and ask again") from None
            return known

    def daily_index(self, of: IndexOf, from_ns: int, to_ns: int, *, newest_seq: int) -> tuple[list[dict[str, Any]], int | None]:
        """Days of the index, oldest first; a few that nobody has asked for yet are worked out at a time, then the day to go on with."""
        from tailwag.service.index_days import FOLDER, IndexDays

        return IndexDays(of, keep=self.folder / FOLDER).days(self.index(newest_seq), from_ns, to_ns, worked_out=DAYS_WORKED_OUT)
