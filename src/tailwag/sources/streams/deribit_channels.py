"""Which channels are wanted, which the venue has granted, and which it keeps back: a partial success is no success."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

BATCH = 200
"""Channels of one request; the venue takes five hundred."""
SPACING_SECONDS = 0.4
"""Between two requests: the venue refills about three subscriptions a second."""
TRIES = 3
RETRY_SECONDS, FAILED_RETRY_SECONDS, REFUSED_RETRY_SECONDS = 2.0, 5.0, 60.0


class Subscriptions:
    """Channels on one connection after another; decisions only, on a monotonic clock in seconds."""

    def __init__(self) -> None:
        self._wanted: dict[str, float] = {}
        """Each with the time from which it may be asked for."""
        self._granted: set[str] = set()
        self._under_way: set[str] = set()
        self._tries: Counter[str] = Counter()
        self._next_at = float("-inf")

    def want(self, channels: Iterable[str]) -> None:
        """These are to be subscribed as well."""
        for channel in channels:
            self._wanted.setdefault(channel, float("-inf"))

    def surplus(self, channels: Iterable[str]) -> list[str]:
        """Forget every channel but these; what had been asked for before is given back, to be unsubscribed."""
        kept = set(channels)
        gone = [channel for channel in self._wanted if channel not in kept]
        for channel in gone:
            del self._wanted[channel]
            self._tries.pop(channel, None)
        held = [channel for channel in gone if channel in self._granted or channel in self._under_way]
        self._granted.difference_update(gone)
        self._under_way.difference_update(gone)
        return held

    def batch(self, now: float) -> list[str]:
        """The channels to ask for now; empty while there is nothing to ask, or the last request was only just made."""
        if now < self._next_at:
            return []
        due = [
            channel for channel, at in self._wanted.items() if at <= now and channel not in self._granted and channel not in self._under_way
        ][:BATCH]
        if due:
            self._next_at = now + SPACING_SECONDS
            self._under_way.update(due)
        return due

    def answered(self, asked: Sequence[str], granted: object, now: float) -> int:
        """Compare what was asked with what was granted; the number that was not."""
        names = {name for name in granted if isinstance(name, str)} if isinstance(granted, list) else set()
        self._granted.update(channel for channel in asked if channel in names and channel in self._wanted)
        left = [channel for channel in asked if channel not in names]
        self._put_back(asked, left, now + RETRY_SECONDS)
        self._tries.update(channel for channel in left if channel in self._wanted)
        return len(left)

    def unanswered(self, asked: Sequence[str], now: float) -> None:
        """The request failed as a whole: its channels are asked for again."""
        self._put_back(asked, asked, now + FAILED_RETRY_SECONDS)

    def _put_back(self, asked: Sequence[str], left: Sequence[str], again_at: float) -> None:
        self._under_way.difference_update(asked)
        for channel in left:
            if channel in self._wanted:
                self._wanted[channel] = again_at + (REFUSED_RETRY_SECONDS if self._tries[channel] + 1 >= TRIES else 0.0)

    def knows(self, channel: str) -> bool:
        """Whether a message on this channel may be for us."""
        return channel in self._granted or channel in self._under_way

    def refused(self) -> list[str]:
        """Channels that the venue has kept back however often it was asked."""
        return [channel for channel, tries in self._tries.items() if tries >= TRIES and channel not in self._granted]

    def complete(self) -> bool:
        """Whether every channel has been granted or finally refused."""
        refused = set(self.refused())
        return bool(self._wanted) and all(channel in self._granted or channel in refused for channel in self._wanted)

    def clear(self) -> None:
        """A new connection: the wishes stay, nothing is granted."""
        self._granted.clear()
        self._under_way.clear()
        self._tries.clear()
        self._wanted = dict.fromkeys(self._wanted, float("-inf"))
        self._next_at = float("-inf")
