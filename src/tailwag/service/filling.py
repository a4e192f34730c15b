"""Filling the series: what was recorded and never measured is measured when nothing else waits, the newest first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tailwag.errors import TailwagError
from tailwag.service.build import code_hash
from tailwag.service.publish import Publication

if TYPE_CHECKING:
    from tailwag.experiments.options import MeasureOptions
    from tailwag.market.snapshot import Snapshot
    from tailwag.service.monitor import Log, World
    from tailwag.service.series import Series
    from tailwag.sources.store.history import History
    from tailwag.sources.store.segments import Entry

REST_FACTOR = 3.0
"""Rest this many times as long as the last one took: the live data come first."""


def source_label(snapshot: Snapshot, names: tuple[str, ...]) -> str:
    """The name of the source that a recorded snapshot came from; where one source only is watched, its."""
    if len(names) == 1:
        return names[0]
    return "demo" if snapshot.source.kind == "demo" else snapshot.source.name


class Filler:
    """Measures the records that a series lacks; ``fill_one`` does one, :meth:`start` all of them in a thread."""

    def __init__(
        self, history: History, series: Series, options: MeasureOptions, *, names: tuple[str, ...], world: World, log: Log
    ) -> None:
        self._history, self._series, self._options, self._names, self._world, self._log = history, series, options, names, world, log
        self._missing = self._missing_entries()

    def _missing_entries(self) -> Iterator[Entry]:
        known = self._series.seqs()
        return iter([entry for entry in reversed(self._history.entries) if entry.record.seq not in known])

    def fill_one(self) -> bool:
        """Measure one record; False where none is left."""
        from tailwag.experiments.measure import measure

        entry = next(self._missing, None)
        if entry is None:
            return False
        seq = entry.record.seq
        try:
            snapshot = self._history.snapshot(entry)
            document = measure(snapshot, self._options).document()
        except TailwagError as trouble:
            self._log.warning("past snapshot not measured", seq=seq, reason=str(trouble))
            return True
        label = source_label(snapshot, self._names)
        self._series.append(
            Publication(label, snapshot.currency, seq, snapshot.as_of_ns, entry.record.received_ns, document, None, 0, code_hash())
        )
        return True

    def start(self) -> None:
        """Fill in a thread, mostly at rest."""
        threading.Thread(target=self._fill, name="tailwag filling", daemon=True).start()

    def _fill(self) -> None:
        while True:
            began = self._world.monotonic()
            try:
                if not self.fill_one():
                    return
            except Exception as error:  # the series can wait, the service cannot
                self._log.warning("filling stopped", reason=type(error).__name__)
                return
            if self._world.wait(max(REST_FACTOR * (self._world.monotonic() - began), 0.05)):
                return
