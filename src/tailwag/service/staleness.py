"""Is the data live?  One clock for each source and each of its options; a silent one is told within seconds, a doubtful one is not believed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tailwag.service.frozen import Stillness
from tailwag.units import NS_PER_SECOND

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot

GRACE_SECONDS = 3.0
"""Beyond the expected interval; with the tick of the watch it stays under the five seconds that are promised."""
FIRST_SECONDS, FIRST_INTERVALS = 60.0, 3.0
"""How long a source may take to be live for the first time, whichever is larger, before its silence is an alert: a service that has just
started is not yet measuring."""
LARGEST_JUMP = 2.0
"""Spot more than this many times the last one, or less than one part in it, wants to be seen again before it is believed."""
CONFIRMATIONS = 3
FORGET_SECONDS = 86_400.0
"""An option unseen for a day is no longer counted as silent: it was delisted."""


class SourceState(StrEnum):
    """What a reader may do with the numbers: use them, use them with the stated doubt, or not use them."""

    OK = "ok"
    DEGRADED = "degraded"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Health:
    """One source at one time.  ``age_seconds`` is since its last believed snapshot arrived, None before the first."""

    state: SourceState
    age_seconds: float | None
    max_age_seconds: float
    reasons: tuple[str, ...] = ()
    silent_instruments: int = 0
    silent_open_interest_share: float = 0.0
    starting: bool = False
    """Stale only because it has just started: never live so far, and its first time is not up.  No numbers to use, and no alert."""


@dataclass(slots=True)
class _Option:
    """When an option was last usable, and when it was last listed at all."""

    seen_at: float
    listed_at: float
    open_interest_coin: float
    expiry_ns: int


@dataclass(slots=True)
class _SetBack:
    """Snapshots older than the newest, one after the other at the pace of time: how many, and the first one's time and arrival."""

    first_ns: int
    first_at: float
    last_ns: int
    times: int = 1


class Freshness:
    """What one source has shown, on a monotonic clock in seconds; decisions only, no thread and no clock of its own.

    >>> watch = Freshness(interval_seconds=1.0, started_at=0.0)
    >>> watch.health(3.9).state, watch.health(4.1).state
    (<SourceState.STALE: 'stale'>, <SourceState.STALE: 'stale'>)
    """

    def __init__(self, *, interval_seconds: float, started_at: float, grace_seconds: float = GRACE_SECONDS) -> None:
        self.max_age_seconds = interval_seconds + grace_seconds
        self._first_until = started_at + max(FIRST_SECONDS, FIRST_INTERVALS * interval_seconds)
        self._was_live = False
        self._believed_at: float | None = None
        self._as_of_ns = 0
        self._spot_usd = math.nan
        self._pending: tuple[float, int] | None = None
        self._set_back: _SetBack | None = None
        self._stillness = Stillness()
        self._doubt = ""
        self._refused = ""
        self._trouble = ""
        self._degraded: tuple[str, ...] = ()
        self._options: dict[tuple[str, str], _Option] = {}

    def doubt(self, snapshot: Snapshot, *, arrived_at: float) -> str:
        """Why a snapshot is not believed, empty where it is; called once for each that arrives, before :meth:`believe`."""
        self._doubt = self._unusable(snapshot) or self._jump(snapshot.spot_usd)
        return self._doubt or self._old(snapshot, arrived_at)

    def _unusable(self, snapshot: Snapshot) -> str:
        if not len(snapshot.chain) or not bool(snapshot.chain.usable.any()):
            return f"the last reply held no usable option{f': {snapshot.degraded[0]}' if snapshot.degraded else ''}"
        if not (math.isfinite(snapshot.spot_usd) and snapshot.spot_usd > 0.0):
            return "the last reply held no spot price"
        return ""

    def _jump(self, spot_usd: float) -> str:
        if math.isnan(self._spot_usd) or _near(spot_usd, self._spot_usd):
            self._pending = None
            return ""
        times = 1 + (self._pending[1] if self._pending is not None and _near(spot_usd, self._pending[0]) else 0)
        self._pending = (spot_usd, times)
        if times >= CONFIRMATIONS:
            return ""
        return f"spot jumped from {self._spot_usd:,.10g} to {spot_usd:,.10g} USD and is not confirmed"

    def _old(self, snapshot: Snapshot, arrived_at: float) -> str:
        """An old reply that came late is passed over; a clock that was set back shows in replies that go on at the pace of time."""
        as_of_ns = snapshot.as_of_ns
        if as_of_ns > self._as_of_ns:
            self._set_back = None
            return ""
        before = self._set_back
        if before is None or not self._goes_on(before, as_of_ns, arrived_at):
            self._set_back = _SetBack(as_of_ns, arrived_at, as_of_ns)
        else:
            before.times, before.last_ns = before.times + 1, as_of_ns
            if before.times >= CONFIRMATIONS:
                return ""
        return "nothing newer than the last snapshot"

    def _goes_on(self, before: _SetBack, as_of_ns: int, arrived_at: float) -> bool:
        passed_seconds = (as_of_ns - before.first_ns) / NS_PER_SECOND
        return as_of_ns > before.last_ns and abs(passed_seconds - (arrived_at - before.first_at)) <= self.max_age_seconds

    def believe(self, snapshot: Snapshot, *, arrived_at: float, degraded: tuple[str, ...] = ()) -> None:
        """Take a snapshot that was measured as the source's newest; only this clears staleness."""
        self._believed_at, self._as_of_ns, self._spot_usd = arrived_at, snapshot.as_of_ns, snapshot.spot_usd
        self._pending, self._set_back, self._doubt, self._refused, self._trouble = None, None, "", "", ""
        self._degraded = (*degraded, *self._stillness.doubts(snapshot, arrived_at=arrived_at))
        chain = snapshot.chain
        rows = zip(
            chain.venue.tolist(),
            chain.instrument.tolist(),
            chain.usable.tolist(),
            chain.counted_open_interest_coin().tolist(),
            chain.expiry_ns.tolist(),
            strict=True,
        )
        for venue, name, usable, held, expiry_ns in rows:
            if usable:
                self._options[venue, name] = _Option(arrived_at, arrived_at, held, expiry_ns)
            elif (venue, name) in self._options:
                self._options[venue, name].listed_at = arrived_at

    def refuse(self, sentence: str) -> None:
        """Take the newest snapshot, measured, as one that says nothing: stale at once, until another is believed."""
        self._refused = sentence

    def trouble(self, sentence: str) -> None:
        """Remember why the last turn failed; shown with the staleness that follows if it goes on."""
        self._trouble = sentence

    def health(self, at: float) -> Health:
        """The source as it stands at ``at``."""
        if self._believed_at is None:
            nothing_yet = f"{self._prefix(at)}no snapshot has been measured yet"
            return self._stale(at, None, self._trouble or self._doubt or self._refused or nothing_yet)
        age = max(at - self._believed_at, 0.0)
        if self._doubt or self._refused:
            return self._stale(at, age, self._doubt or self._refused)
        if age > self.max_age_seconds:
            silent_for = f"{self._prefix(at)}silent for {age:,.1f} s, at most {self.max_age_seconds:,.1f} s are expected"
            return self._stale(at, age, self._trouble or silent_for)
        self._was_live = True
        silent, share = self._silent(at)
        reasons = self._degraded
        if silent and share > 0.0:
            reasons = (*reasons, f"{silent} options with {share:.2%} of open interest have gone silent")
        state = SourceState.DEGRADED if reasons else SourceState.OK
        return Health(state, age, self.max_age_seconds, reasons, silent, share)

    def _stale(self, at: float, age: float | None, reason: str) -> Health:
        return Health(SourceState.STALE, age, self.max_age_seconds, (reason,), len(self._options), 1.0, self._starting(at))

    def _starting(self, at: float) -> bool:
        return not self._was_live and at < self._first_until

    def _prefix(self, at: float) -> str:
        return "starting: " if self._starting(at) else ""

    def _silent(self, at: float) -> tuple[int, float]:
        """Options not yet expired that were usable before and are no more: how many, and their share of open interest.

        One that is missing from the newest snapshot is silent at once, because its open interest is in no sum; one that is there and
        masked is, when it has been so for longer than a snapshot may take.
        """
        now_ns = self._as_of_ns + int(max(at - (self._believed_at or at), 0.0) * NS_PER_SECOND)
        gone = [key for key, option in self._options.items() if option.expiry_ns <= now_ns or at - option.seen_at > FORGET_SECONDS]
        for key in gone:
            del self._options[key]
        newest_at = self._believed_at or 0.0
        silent = [
            option.open_interest_coin
            for option in self._options.values()
            if option.listed_at < newest_at or at - option.seen_at > self.max_age_seconds
        ]
        total = math.fsum(option.open_interest_coin for option in self._options.values())
        return len(silent), math.fsum(silent) / total if total > 0.0 else 0.0


def _near(one: float, other: float) -> bool:
    return other / LARGEST_JUMP <= one <= other * LARGEST_JUMP
