"""A request to stop that a signal may make in the middle of anything."""

from __future__ import annotations

from queue import Empty, SimpleQueue

__all__ = ["StopRequest"]


class StopRequest:
    """Asked for once, heard by everybody who waits.

    Not a `threading.Event`: its lock cannot be taken twice, so a handler that interrupts `wait` and calls `set` in the same thread waits for itself for ever.
    A `SimpleQueue` may be put to at any moment.

    >>> stop = StopRequest()
    >>> stop.wait(0.0), stop.set(), stop.wait(60.0), stop.is_set()
    (False, None, True, True)
    """

    def __init__(self) -> None:
        self._asked = False
        self._bell: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Ask; a handler of signals may."""
        self._asked = True
        self._bell.put(None)

    def is_set(self) -> bool:
        """Whether anybody has asked."""
        return self._asked

    def wait(self, seconds: float) -> bool:
        """Until somebody asks, at most so long; whether somebody has."""
        if not self._asked:
            try:
                self._bell.get(timeout=max(seconds, 0.0))
            except Empty:
                return self._asked
            self._bell.put(None)  # for others who wait
        return True
