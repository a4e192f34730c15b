"""The latest ticker of each instrument, and how long ago it was heard: a silent one among busy ones is told."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

GRACE_SECONDS = 3.0
"""Beyond the expected interval; with the tick of the watch it stays under the five seconds that are promised."""
AHEAD_MS = 5_000.0
BEHIND_MS = 30_000.0
"""A ticker may state a time so far before and behind the venue's own clock, and no further."""
LARGEST = 1e15
_NUMBERS = (
    "open_interest",
    "mark_iv",
    "bid_iv",
    "ask_iv",
    "best_bid_price",
    "best_ask_price",
    "underlying_price",
    "index_price",
    "funding_8h",
)

Ticker = dict[str, Any]


@dataclass(slots=True)
class _Channel:
    """One instrument's ticker channel: since when it is expected to speak, when it last did, and what it said."""

    expected_from: float
    heard_at: float | None = None
    ticker: Ticker | None = None


class Tickers:
    """Tickers by instrument, on a monotonic clock in seconds; one value each, the latest."""

    def __init__(self, *, expected_seconds: float) -> None:
        self.limit_seconds = expected_seconds + GRACE_SECONDS
        self._channels: dict[str, _Channel] = {}

    def expect(self, instrument: str, now: float) -> None:
        """From now on this instrument is expected to speak."""
        self._channels.setdefault(instrument, _Channel(now))

    def keep(self, instruments: Iterable[str]) -> None:
        """Forget every instrument but these: the others are no longer listed."""
        kept = set(instruments)
        self._channels = {name: channel for name, channel in self._channels.items() if name in kept}

    def quiet(self) -> None:
        """The connection is gone: what was said is kept to be masked, and counts as unheard until it is said again."""
        for channel in self._channels.values():
            channel.heard_at = None
            channel.expected_from = -math.inf

    def take(self, instrument: str, data: Any, *, now: float, venue_ms: float) -> bool:
        """Whether a message is a ticker of this instrument that may be believed; only such a one ends a silence."""
        channel = self._channels.get(instrument)
        if channel is None or not _is_ticker(data, instrument):
            return False
        stated = data["timestamp"]
        held = 0 if channel.ticker is None or channel.heard_at is None else channel.ticker["timestamp"]
        if stated < held or not -BEHIND_MS <= stated - venue_ms <= AHEAD_MS:
            return False
        channel.ticker, channel.heard_at = data, now
        return True

    def __len__(self) -> int:
        return len(self._channels)

    def __contains__(self, instrument: str) -> bool:
        return instrument in self._channels

    def latest(self) -> dict[str, Ticker]:
        """What each instrument last said."""
        return {name: channel.ticker for name, channel in self._channels.items() if channel.ticker is not None}

    def newest_ms(self) -> int:
        """The latest time that a ticker of this connection states; 0 where none has been heard."""
        return max((channel.ticker["timestamp"] for channel in self._channels.values() if channel.ticker and channel.heard_at), default=0)

    def silent(self, now: float) -> set[str]:
        """Instruments that have not been heard for longer than the limit, or not since they were expected to speak."""
        limit = self.limit_seconds
        return {
            name
            for name, channel in self._channels.items()
            if now - (channel.expected_from if channel.heard_at is None else channel.heard_at) > limit
        }

    def heard(self) -> int:
        """How many have spoken on this connection."""
        return sum(channel.heard_at is not None for channel in self._channels.values())


def _is_ticker(data: Any, instrument: str) -> bool:
    if not isinstance(data, dict) or data.get("instrument_name") != instrument:
        return False
    stated = data.get("timestamp")
    return (
        isinstance(stated, int)
        and not isinstance(stated, bool)
        and _number(data.get("mark_price"))
        and _number(data.get("open_interest"))
        and all(data.get(key) is None or _number(data[key]) for key in _NUMBERS)
        and isinstance(data.get("greeks", {}), dict)
        and isinstance(data.get("stats", {}), dict)
    )


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST
