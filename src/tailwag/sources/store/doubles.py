"""What a store holds already: a source played into it a second time would count twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tailwag.errors import TailwagError
from tailwag.sources.store.history import History

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot
    from tailwag.sources.store.segments import Entry


@dataclass(frozen=True, slots=True)
class Doubles:
    """The snapshots of a store by their market time, as of the opening."""

    history: History
    by_time: dict[int, list[Entry]] = field(repr=False)

    @classmethod
    def of_store(cls, folder: Path) -> Doubles:
        """Index a store by its record headers.

        Raises InputError if the folder is no store.
        """
        history = History.open(folder)
        by_time: dict[int, list[Entry]] = {}
        for entry in history.entries:
            by_time.setdefault(entry.record.as_of_ns, []).append(entry)
        return cls(history, by_time)

    def seq_of(self, snapshot: Snapshot) -> int | None:
        """The number under which the same moment of the same source bytes is recorded; None where it is not."""
        for entry in self.by_time.get(snapshot.as_of_ns, ()):
            try:
                source = self.history.snapshot(entry).source
            except TailwagError:
                continue
            if (source.name, source.sha256) == (snapshot.source.name, snapshot.source.sha256):
                return entry.record.seq
        return None
