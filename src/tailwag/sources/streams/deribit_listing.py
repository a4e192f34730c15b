"""What Deribit lists in one currency, and when to ask again: at the 08:00 UTC roll, when an instrument changes its state, and hourly."""

from __future__ import annotations

import math
from typing import Any

from tailwag.sources.listing import FUTURE, OPTION, kind_of
from tailwag.sources.venue_deribit import OWN_COIN

MOST_INSTRUMENTS = 20_000
ROLL_SECONDS = 8 * 3_600
AFTER_ROLL_SECONDS = (1.0, 15.0, 60.0, 300.0)
"""The venue lists the new expiries within minutes of the roll, not all at once."""
EVERY_SECONDS, AGAIN_SECONDS, AFTER_NEWS_SECONDS = 3_600.0, 5.0, 2.0


class Listing:
    """Listed options and futures by name, from as many lists as the currency needs; on a monotonic clock in seconds."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.own = currency in OWN_COIN
        coin = currency if self.own else "USDC"
        self.lists: tuple[tuple[str, str], ...] = ((coin, OPTION), (coin, FUTURE), *((("USDC", OPTION),) if self.own else ()))
        """Currency and kind of each list; the first must never be empty."""
        self._found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        self._due: dict[tuple[str, str], float] = {}
        self._again_after_roll: list[float] = []
        self._roll: int | None = None

    @property
    def perp(self) -> str:
        """The perp whose book is followed."""
        return f"{self.currency}-PERPETUAL" if self.own else f"{self.currency}_USDC-PERPETUAL"

    @property
    def index(self) -> str:
        """The index that the currency's options settle against."""
        return f"{self.currency.lower()}_usd" if self.own else f"{self.currency.lower()}_usdc"

    def opened(self, now: float) -> None:
        """A new connection: every list is asked for anew."""
        self._due = dict.fromkeys(self.lists, now)

    def due(self, now: float, venue_ms: float) -> list[tuple[str, str]]:
        """The lists to ask for now; each once until it is answered or given up."""
        self._note_roll(now, venue_ms)
        if self._again_after_roll and self._again_after_roll[0] <= now:
            self._again_after_roll.pop(0)
            self.all_due(now)
        ready = [which for which, at in self._due.items() if at <= now]
        for which in ready:
            self._due[which] = math.inf
        return ready

    def _note_roll(self, now: float, venue_ms: float) -> None:
        roll = int((venue_ms / 1000.0 - ROLL_SECONDS) // 86_400)
        if self._roll is not None and roll == self._roll + 1:
            self._again_after_roll = [now + seconds for seconds in AFTER_ROLL_SECONDS]
        self._roll = roll

    def all_due(self, at: float) -> None:
        """Ask for every list at ``at``, or earlier where that was planned already."""
        self._due = {which: min(before, at) for which, before in self._due.items()}

    def news(self, now: float) -> None:
        """An instrument has changed its state."""
        self.all_due(now + AFTER_NEWS_SECONDS)

    def failed(self, which: tuple[str, str], now: float) -> None:
        """No answer, or none that can be used."""
        self._due[which] = now + AGAIN_SECONDS

    def take(self, which: tuple[str, str], rows: Any, now: float) -> bool:
        """Whether an answer is a list that may be believed; an empty one of the coin's own options is not."""
        kind = which[1]
        if not isinstance(rows, list) or len(rows) > MOST_INSTRUMENTS:
            self.failed(which, now)
            return False
        found = {
            row["instrument_name"]: {**row, "kind": kind}
            for row in rows
            if isinstance(row, dict) and kind_of(row.get("instrument_name"), self.currency) == kind and row.get("is_active") is not False
        }
        if not found and which == self.lists[0]:
            self.failed(which, now)
            return False
        self._found[which] = found
        self._due[which] = min(self._due.get(which, math.inf), now + EVERY_SECONDS)
        return True

    def complete(self) -> bool:
        """Whether every list has been had once."""
        return len(self._found) == len(self.lists)

    def records(self) -> dict[str, dict[str, Any]]:
        """Every listed instrument with what the venue says of it; ``kind`` is 'option' or 'future'."""
        return {name: record for which in self.lists for name, record in self._found.get(which, {}).items()}
