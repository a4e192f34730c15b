"""One Deribit order book put together from a snapshot and its changes; a change that does not follow the last one ends it at once."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeGuard

from tailwag.sources.deribit_records import as_number

MOST_LEVELS = 50_000
"""Levels of one side; a book beyond it is not believed."""
LARGEST = 1e15
_ACTIONS = ("new", "change", "delete")
_Level = tuple[float, float]


class Taken(StrEnum):
    """What became of one message; all but the first two leave the book invalid until a new snapshot."""

    APPLIED = "applied"
    IGNORED = "ignored"
    """A change while a snapshot is awaited, or a snapshot older than what is held."""
    GAP = "gap"
    """A change that does not follow the one before: lost, repeated or out of order."""
    CROSSED = "crossed"
    MALFORMED = "malformed"


class StreamedBook:
    """Levels by price in the venue's own units (inverse perps: USD), valid only while every change has followed the one before.

    >>> book = StreamedBook("BTC-PERPETUAL")
    >>> book.take({"type": "snapshot", "instrument_name": "BTC-PERPETUAL", "timestamp": 1, "change_id": 7,
    ...            "bids": [["new", 99.0, 10.0]], "asks": [["new", 101.0, 20.0]]})
    <Taken.APPLIED: 'applied'>
    >>> book.take({"type": "change", "instrument_name": "BTC-PERPETUAL", "timestamp": 2, "prev_change_id": 8, "change_id": 9,
    ...            "bids": [], "asks": []}), book.valid
    (<Taken.GAP: 'gap'>, False)
    """

    def __init__(self, instrument: str) -> None:
        self.instrument = instrument
        self.valid = False
        self.change_id = 0
        """The last change known of, also while invalid: an older snapshot is of no use."""
        self.timestamp_ms = 0
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}

    def take(self, data: Any) -> Taken:
        """Apply one message of the book's channel, whole or not at all."""
        if not isinstance(data, dict) or data.get("instrument_name") != self.instrument:
            return self._ended(Taken.MALFORMED)
        change_id, timestamp = data.get("change_id"), data.get("timestamp")
        bids, asks = _levels(data.get("bids")), _levels(data.get("asks"))
        if not _whole(change_id) or not _whole(timestamp) or bids is None or asks is None:
            return self._ended(Taken.MALFORMED)
        # messages recorded before the venue named their type: a snapshot follows nothing
        kind = data.get("type") or ("change" if data.get("prev_change_id") is not None else "snapshot")
        if kind == "snapshot":
            return self._snapshot(change_id, timestamp, bids, asks)
        if kind == "change":
            return self._change(data.get("prev_change_id"), change_id, timestamp, bids, asks)
        return self._ended(Taken.MALFORMED)

    def _snapshot(self, change_id: int, timestamp: int, bids: list[_Level], asks: list[_Level]) -> Taken:
        if change_id < self.change_id:
            return Taken.IGNORED
        self.bids.clear()  # nothing of the old book may outlive a snapshot
        self.asks.clear()
        self.valid = True
        return self._write(change_id, timestamp, bids, asks)

    def _change(self, previous: Any, change_id: int, timestamp: int, bids: list[_Level], asks: list[_Level]) -> Taken:
        if not self.valid:
            return Taken.IGNORED
        if not _whole(previous) or previous != self.change_id or change_id <= previous:
            self.change_id = max(self.change_id, change_id)
            return self._ended(Taken.GAP)
        return self._write(change_id, timestamp, bids, asks)

    def _write(self, change_id: int, timestamp: int, bids: list[_Level], asks: list[_Level]) -> Taken:
        self.change_id, self.timestamp_ms = change_id, timestamp
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, amount in levels:
                if amount > 0.0:
                    side[price] = amount
                else:
                    side.pop(price, None)
        if max(len(self.bids), len(self.asks)) > MOST_LEVELS:
            return self._ended(Taken.MALFORMED)
        if self.bids and self.asks and max(self.bids) >= min(self.asks):
            return self._ended(Taken.CROSSED)
        return Taken.APPLIED

    def _ended(self, why: Taken) -> Taken:
        self.invalidate()
        return why

    def invalidate(self) -> None:
        """Nothing held is good any more; the next snapshot that is not older starts anew."""
        self.valid = False
        self.bids.clear()
        self.asks.clear()

    def forget(self) -> None:
        """A new connection: any snapshot will do."""
        self.invalidate()
        self.change_id = self.timestamp_ms = 0

    def payload(self) -> dict[str, Any]:
        """The book as ``get_order_book`` would reply, best levels first."""
        return {
            "instrument_name": self.instrument,
            "timestamp": self.timestamp_ms,
            "change_id": self.change_id,
            "bids": [[price, self.bids[price]] for price in sorted(self.bids, reverse=True)],
            "asks": [[price, self.asks[price]] for price in sorted(self.asks)],
        }


def _whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 62


def _levels(rows: Any) -> list[_Level] | None:
    """Price and new amount of each row, 0 where the level is gone; None where any row is malformed."""
    if not isinstance(rows, list):
        return None
    found = []
    for row in rows:
        if not isinstance(row, list) or len(row) != 3 or row[0] not in _ACTIONS:
            return None
        price, amount = as_number(row[1]), as_number(row[2])
        gone = row[0] == "delete"
        if not 0.0 < price <= LARGEST or not (gone or 0.0 < amount <= LARGEST):
            return None
        found.append((price, 0.0 if gone else amount))
    return found
