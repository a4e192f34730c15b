"""Filling the series: what was recorded and never measured is measured when nothing else waits, the newest first."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tailwag.errors import TailwagError
from tailwag.kernels.arrays import IntArray
from tailwag.service.build import code_hash
from tailwag.service.publish import Publication

if TYPE_CHECKING:
    from tailwag.experiments.options import MeasureOptions
    from tailwag.market.snapshot import Snapshot
    from tailwag.service.monitor import Log, World
    from tailwag.service.series import Series
    from tailwag.sources.store.history import History
    from tailwag.sources.store.segments import Entry

LOOK_SECONDS = 5.0
"""So often it looks for what was recorded and passed over meanwhile."""
BUSY_SECONDS, LEAST_REST_SECONDS = 0.25, 0.05
REST_FACTOR = 3.0
"""Rest this many times as long as the last one took: the live data come first."""


def source_label(snapshot: Snapshot, names: tuple[str, ...]) -> str:
    """The name of the source that a recorded snapshot came from, as far as it tells itself; where one source only is watched, its."""
    if len(names) == 1:
        return names[0]
    return "demo" if snapshot.source.kind == "demo" else snapshot.source.name


class Filler:
    """Measures the records that a series lacks, of earlier runs and of this one; prices come first, they need no measurement.

    ``price_one`` and ``fill_one`` do one, ``look`` finds what was passed over since; :meth:`start` repeats them in a thread that begins
    nothing while a live snapshot waits or is measured.
    """

    def __init__(
        self,
        history: History,
        series: Series,
        options: MeasureOptions,
        *,
        names: tuple[str, ...],
        world: World,
        log: Log,
        again: Callable[[], History] | None = None,
        idle: Callable[[], bool] = lambda: True,
    ) -> None:
        self._history, self._series, self._options, self._names, self._world, self._log = history, series, options, names, world, log
        self._again, self._idle = again, idle
        self._missing = self._unmeasured(history.entries)
        self._unpriced = _without(history.entries, series.prices.seqs())
        self._looked_seq = history.entries[-1].record.seq if history.entries else 0

    def _unmeasured(self, entries: tuple[Entry, ...] | list[Entry]) -> list[Entry]:
        """Those that the series lacks and that were believed, in order of their numbers: the last is taken first."""
        from_ns = min((entry.record.as_of_ns for entry in entries), default=0)
        known = np.fromiter(self._series.seqs(from_ns), dtype=np.int64)
        return _without(_without(entries, known), self._series.prices.not_believed(from_ns))

    def look(self) -> int:
        """Take up what was recorded since the last look and has not been measured; how much there is left to do.

        The newest record is left for the next look: its own measurement may be about to begin.
        """
        if self._again is not None:
            self._history = self._again()
            newer = _since(self._history.entries, self._looked_seq)[:-1]
            if newer:
                self._missing += self._unmeasured(newer)
                self._unpriced += _without(newer, self._series.prices.seqs(min(entry.record.as_of_ns for entry in newer)))
                self._looked_seq = newer[-1].record.seq
        return len(self._missing) + len(self._unpriced)

    def price_one(self) -> bool:
        """Read the price of one record that the journal of prices lacks; False where none is left."""
        if not self._unpriced:
            return False
        entry = self._unpriced.pop()
        try:
            snapshot = self._history.snapshot(entry)
        except TailwagError as trouble:
            self._log.warning("past price not read", seq=entry.record.seq, reason=str(trouble))
            return True
        self._series.priced(source_label(snapshot, self._names), snapshot, seq=entry.record.seq)
        return True

    def fill_one(self) -> bool:
        """Measure one record; False where none is left."""
        from tailwag.experiments.measure import measure

        if not self._missing:
            return False
        entry = self._missing.pop()
        seq = entry.record.seq
        try:
            snapshot = self._history.snapshot(entry)
            document = measure(snapshot, self._options).document()
        except TailwagError as trouble:
            self._log.warning("past snapshot not measured", seq=seq, reason=str(trouble))
            return True
        # whoever recorded it knew: a market read from a file may look like that of another source
        known = self._series.prices.source_of(seq, as_of_ns=snapshot.as_of_ns, names=self._names)
        label = known or source_label(snapshot, self._names)
        self._series.append(
            Publication(label, snapshot.currency, seq, snapshot.as_of_ns, entry.record.received_ns, document, None, 0, code_hash())
        )
        return True

    def start(self) -> None:
        """Fill in a thread, mostly at rest."""
        threading.Thread(target=self._fill, name="tailwag filling", daemon=True).start()

    def step(self) -> float | None:
        """Do one thing if nothing else waits; the seconds to rest then, None where all is done and nothing can follow."""
        if not self._idle():
            return BUSY_SECONDS
        began = self._world.monotonic()
        if self.price_one() or self.fill_one():
            return max(REST_FACTOR * (self._world.monotonic() - began), LEAST_REST_SECONDS)
        if self._again is None:
            return None
        return LEAST_REST_SECONDS if self.look() else LOOK_SECONDS

    def _fill(self) -> None:
        while True:
            try:
                rest = self.step()
            except Exception as error:  # the series can wait, the service cannot
                self._log.warning("filling stopped", reason=type(error).__name__)
                return
            if rest is None or self._world.wait(rest):
                return


def _since(entries: tuple[Entry, ...], seq: int) -> tuple[Entry, ...]:
    return entries[bisect.bisect_right(entries, seq, key=lambda entry: entry.record.seq) :]


def _without(entries: tuple[Entry, ...] | list[Entry], seqs: IntArray) -> list[Entry]:
    numbers = np.fromiter((entry.record.seq for entry in entries), dtype=np.int64)
    return [entry for entry, known in zip(entries, np.isin(numbers, seqs).tolist(), strict=True) if not known]
