"""The past: any recorded snapshot, measured again under today's assumptions; safe beside the recorder that goes on writing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.errors import EmptyChainError
from tailwag.market.clock import format_time

if TYPE_CHECKING:
    from tailwag.experiments.measure import Measurement
    from tailwag.experiments.options import MeasureOptions
    from tailwag.market.snapshot import Snapshot
    from tailwag.sources.store.history import History
    from tailwag.sources.store.segments import Entry

DOCUMENTS_KEPT = 32


@dataclass(frozen=True, slots=True)
class Past:
    """One recorded snapshot and what it measures."""

    seq: int
    as_of_ns: int
    measurement: Measurement
    document: dict[str, Any]


class Archive:
    """Reads of one store; ``newest_seq`` tells when the index of an earlier read is out of date."""

    def __init__(self, folder: Path, options: MeasureOptions) -> None:
        self._folder, self._options = folder, options
        self._lock = threading.Lock()
        self._history: History | None = None
        self._kept: OrderedDict[int, Past] = OrderedDict()

    def at(self, at_ns: int | None, *, newest_seq: int) -> Past:
        """The last recorded snapshot at or before ``at_ns``, measured.

        Raises EmptyChainError where there is none, StoreError where it is damaged.
        """
        return self.past(self.index(newest_seq).at(at_ns))

    def snapshot_at(self, at_ns: int | None, *, newest_seq: int) -> tuple[int, Snapshot]:
        """The number and the snapshot itself, for whoever measures it under other assumptions."""
        history = self.index(newest_seq)
        entry = history.at(at_ns)
        return entry.record.seq, history.snapshot(entry)

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
        """The records of the store, up to ``newest_seq`` at least."""
        from tailwag.sources.store.history import History

        with self._lock:
            known = self._history
            if known is None or not known.entries or known.entries[-1].record.seq < newest_seq:
                self._history = known = History.open(self._folder)
            return known

    def span(self, newest_seq: int) -> tuple[str, str]:
        """The market times of the first and the last record.

        Raises EmptyChainError where there is none.
        """
        entries = self.index(newest_seq).entries
        if not entries:
            raise EmptyChainError("nothing has been recorded yet; wait for the first snapshot")
        times = [entry.record.as_of_ns for entry in entries]
        return format_time(min(times)), format_time(max(times))
