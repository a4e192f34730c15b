"""Compacting while serving: what was closed since the last look is joined and compressed in a thread of its own, and read back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tailwag.errors import StoreError

if TYPE_CHECKING:
    from tailwag.service.monitor import Log, World
    from tailwag.sources.store.recorder import Recorder

LOOK_SECONDS = 5.0


class Compacting:
    """Compacts a recorder's store whenever a segment was closed; :meth:`step` is one look, :meth:`start` looks again and again.

    What is being written is never touched, so that recording goes on meanwhile.
    """

    def __init__(self, recorder: Recorder, *, world: World, log: Log) -> None:
        self._recorder, self._world, self._log = recorder, world, log
        self._seen = 0
        self._thread: threading.Thread | None = None

    def step(self) -> bool:
        """Whether anything was compacted; a disk that refuses costs room and nothing else."""
        number = self._recorder.segment_number
        if number == self._seen:
            return False
        self._seen = number
        try:
            done = self._recorder.compact()
        except (StoreError, OSError) as trouble:
            self._log.warning("not compacted", reason=str(trouble))
            return False
        if done.records:
            self._log.info("compacted", records=done.records, bytes_before=done.bytes_before, bytes_after=done.bytes_after)
        return done.records > 0

    def start(self) -> None:
        """Look every few seconds, in a thread."""
        self._thread = threading.Thread(target=self._look, name="tailwag compacting", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait for what is under way: the recorder's lock must be held until it has ended.  The world's wait has ended by then."""
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        while not self._world.wait(LOOK_SECONDS):
            self.step()
