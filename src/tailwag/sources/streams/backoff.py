"""When to connect again: later after each failure, never in step with others, never more than a dozen times a minute."""

from __future__ import annotations

from collections import deque
from random import Random

WINDOW_SECONDS = 60.0


class Backoff:
    """Waiting between connections, on a monotonic clock in seconds; decisions only.

    After failure n the wait is drawn evenly from the upper half of ``min(longest, first * 2**n)``.  A connection that merely opened
    resets nothing: :meth:`settled` is for one that has delivered for a while.

    >>> from random import Random
    >>> waits = Backoff(Random(1), first_seconds=0.5, longest_seconds=10.0)
    >>> waits.due(0.0)
    0.0
    >>> waits.connecting(0.0); waits.lost(0.1)
    >>> 0.35 <= waits.due(0.1) <= 0.6
    True
    """

    def __init__(self, random: Random, *, first_seconds: float = 0.5, longest_seconds: float = 10.0, per_minute: int = 12) -> None:
        self._random, self._first, self._longest, self._per_minute = random, first_seconds, longest_seconds, per_minute
        self._connects: deque[float] = deque(maxlen=per_minute)
        self._failures = 0
        self._not_before = float("-inf")

    def due(self, now: float) -> float:
        """When the next connection may be made, ``now`` where at once."""
        full = len(self._connects) == self._per_minute
        window = self._connects[0] + WINDOW_SECONDS if full else now
        return max(now, self._not_before, window)

    def connecting(self, now: float) -> None:
        """A connection is tried now."""
        self._connects.append(now)

    def lost(self, now: float, *, wait_seconds: float = 0.0) -> None:
        """It failed or ended; ``wait_seconds`` is what the venue or the session asks for at least."""
        span = min(self._longest, self._first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        self._not_before = now + max(span * self._random.uniform(0.5, 1.0), wait_seconds)

    def settled(self) -> None:
        """The connection has been good for a while: the next failure is a first one again."""
        self._failures = 0
