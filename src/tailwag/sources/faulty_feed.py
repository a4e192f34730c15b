"""A replay on the data's own clock, and a replay in which things go wrong as a fault script says."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tailwag.errors import FileFormatError, UnitError, VenueError
from tailwag.market.chain import Chain
from tailwag.market.snapshot import Snapshot
from tailwag.market.validate import chain_doubts, validated
from tailwag.sources.fault_script import Fault, FaultScript
from tailwag.sources.spot import spot_of
from tailwag.units import NS_PER_SECOND

LARGEST_SKEW_SECONDS = 2.0
_TIMEOUT_SECONDS = 10.0
_NO_FAULTS = FaultScript(0, ())


class MarketClock:
    """UTC nanoseconds that stand at the data's own time and go on only with the data; ``skew_ns`` sets it off, as a wrong clock would be.

    >>> clock = MarketClock()
    >>> clock.advance_to(1_700_000_000_000_000_000)
    >>> clock()
    1700000000000000000
    """

    __slots__ = ("now_ns", "skew_ns")

    def __init__(self) -> None:
        self.now_ns, self.skew_ns = 0, 0

    def __call__(self) -> int:
        return self.now_ns + self.skew_ns

    def advance_to(self, time_ns: int) -> None:
        """Later, never earlier."""
        self.now_ns = max(self.now_ns, time_ns)


class FaultyFeed:
    """The snapshots of a replay as a desk would have met them: some lost, late, twice, wrong, or an error instead.

    An iterator of snapshots and of None where a turn brings nothing; raises VenueError where a turn fails, and goes on after it.  Delays and
    waits pass on ``clock``, which follows the data.  ``counts`` says how often each kind struck.
    """

    def __init__(
        self, snapshots: Iterator[Snapshot | None], script: FaultScript | None = None, *, clock: MarketClock | None = None
    ) -> None:
        self._snapshots, self._script, self._clock = snapshots, script or _NO_FAULTS, clock or MarketClock()
        self._ahead: Snapshot | None = None
        self._first_ns = 0
        self._late: list[tuple[int, int, Snapshot]] = []
        self._overtaken: list[Snapshot] = []
        self._frozen: dict[int, Snapshot] = {}
        self._closed_until_ns = 0
        self._order = 0
        self.counts: Counter[str] = Counter()

    def __iter__(self) -> FaultyFeed:
        return self

    def __next__(self) -> Snapshot | None:
        ahead = self._peek()
        if self._late and (ahead is None or self._late[0][0] <= ahead.as_of_ns):
            due_ns, _, snapshot = heapq.heappop(self._late)
            self._clock.advance_to(due_ns)
            return snapshot
        if ahead is None:
            if not self._overtaken:
                raise StopIteration
            return self._overtaken.pop(0)
        self._ahead = None
        self._clock.advance_to(ahead.as_of_ns)
        return self._turn(ahead)

    def _peek(self) -> Snapshot | None:
        """The next snapshot of the data, None where there is none left; a turn without one is passed over."""
        while self._ahead is None:
            try:
                self._ahead = next(self._snapshots)
            except StopIteration:
                return None
            if self._ahead is not None:
                self._first_ns = self._first_ns or self._ahead.as_of_ns
        return self._ahead

    def _turn(self, snapshot: Snapshot) -> Snapshot | None:
        self._clock.skew_ns = 0
        if snapshot.as_of_ns < self._closed_until_ns:
            self.counts["waited"] += 1
            return None
        now_ns, overtaken, self._overtaken = snapshot.as_of_ns, self._overtaken, []
        found: Snapshot | None = snapshot
        for place, fault in enumerate(self._script.faults):
            if found is None or not self._strikes(place, fault, snapshot):
                continue
            self.counts[fault.kind] += 1
            found = self._struck(place, fault, found)
        for other in overtaken:
            self._later(other, now_ns)
        return None if found is None else self._marked(found)

    def _strikes(self, place: int, fault: Fault, snapshot: Snapshot) -> bool:
        if not fault.covers(snapshot.as_of_ns, first_ns=self._first_ns, source=snapshot.source.name):
            self._frozen.pop(place, None)
            return False
        return fault.chance >= 1.0 or self._script.chance_for(place, snapshot.as_of_ns).random() < fault.chance

    def _struck(self, place: int, fault: Fault, snapshot: Snapshot) -> Snapshot | None:
        """What is left of a snapshot after one fault: itself, another, or None; VenueError where the turn fails."""
        if fault.kind == "fail":
            raise self._failure(fault, snapshot)
        if fault.kind in _CHANGES:
            return _changed(fault, snapshot, self._script.chance_for(place, snapshot.as_of_ns).randrange(1 << 62))
        if fault.kind == "freeze":
            return _restamped(self._frozen.setdefault(place, snapshot), snapshot)
        if fault.kind == "skew-clock":
            return self._skewed(fault, snapshot)
        return self._postponed(fault, snapshot)

    def _postponed(self, fault: Fault, snapshot: Snapshot) -> Snapshot | None:
        """drop, delay, duplicate, reorder: when a snapshot is handed out, not what is in it."""
        marked = self._marked(snapshot)
        if fault.kind == "delay":
            self._later(marked, snapshot.as_of_ns + round(fault.numbers["seconds"] * NS_PER_SECOND))
        elif fault.kind == "reorder":
            self._overtaken.append(marked)
        elif fault.kind == "duplicate":
            for _ in range(round(fault.numbers["times"])):
                self._later(marked, snapshot.as_of_ns)
            return snapshot
        return None

    def _later(self, snapshot: Snapshot, due_ns: int) -> None:
        self._order += 1
        heapq.heappush(self._late, (due_ns, self._order, snapshot))

    def _skewed(self, fault: Fault, snapshot: Snapshot) -> Snapshot:
        seconds = fault.numbers["seconds"]
        self._clock.skew_ns = round(seconds * NS_PER_SECOND)
        if abs(seconds) <= LARGEST_SKEW_SECONDS:
            return snapshot
        side = "ahead of" if seconds > 0.0 else "behind"
        doubt = f"the local clock is {abs(seconds):,.1f} s {side} {snapshot.source.name[:40]}'s; times here are the venue's"
        return snapshot.with_parts(degraded=(doubt, *snapshot.degraded))

    def _failure(self, fault: Fault, snapshot: Snapshot) -> VenueError:
        """What the venue client says of such an answer; a wait that is asked for is kept."""
        wait_seconds, asked = fault.numbers["retry_after_seconds"], f"{snapshot.source.name[:40]}: asked for the chain"
        self._closed_until_ns = snapshot.as_of_ns + round(wait_seconds * NS_PER_SECOND)
        if fault.words["answer"] == "timeout":
            self._clock.advance_to(snapshot.as_of_ns + round(_TIMEOUT_SECONDS * NS_PER_SECOND))
        wish = f" and the wish to wait {wait_seconds:,.0f} s" if wait_seconds else ""
        return VenueError(f"{asked}, got {_ANSWERS[fault.words['answer']]}{wish}; by the fault script {self._script.name}")

    def _marked(self, snapshot: Snapshot) -> Snapshot:
        """A rehearsal says so wherever it is shown: nobody may take it for the market."""
        if not self._script.faults or snapshot.source.name.endswith(_MARK):
            return snapshot
        note = f"a rehearsal: replayed with the faults of {self._script.name}"
        source = replace(snapshot.source, name=snapshot.source.name + _MARK, synthetic=True)
        return snapshot.with_parts(source=source, notes=(*snapshot.notes, note))


_MARK = " with faults"
_ANSWERS = {
    "429": "too many requests (HTTP 429)",
    "503": "HTTP 503",
    "html": "a web page",
    "timeout": "no answer in time",
    "maintenance": "under maintenance",
}
_CHANGES = ("lose-rows", "lose-expiries", "garble")


def _restamped(old: Snapshot, now: Snapshot) -> Snapshot:
    """An old snapshot under a new time: what a venue sends whose engine stands while its clock goes on."""
    if old is now:
        return now
    chain = validated(replace(old.chain, as_of_ns=now.as_of_ns))
    return old.with_parts(as_of_ns=now.as_of_ns, chain=chain, books=tuple(replace(book, as_of_ns=now.as_of_ns) for book in old.books))


def _changed(fault: Fault, snapshot: Snapshot, seed: int) -> Snapshot:
    chain = snapshot.chain
    random = np.random.Generator(np.random.Philox(seed))
    if fault.kind == "lose-expiries":
        listed = np.unique(chain.expiry_ns[chain.expiry_ns > chain.as_of_ns])
        return _read_again(snapshot, chain.select(np.flatnonzero(~np.isin(chain.expiry_ns, listed[: round(fault.numbers["expiries"])]))))
    hit = random.random(len(chain)) < fault.numbers["share"]
    if fault.kind == "lose-rows":
        return _read_again(snapshot, chain.select(np.flatnonzero(~hit)))
    return _read_again(snapshot, _GARBLES[fault.words["what"]](chain, hit))


def _read_again(snapshot: Snapshot, chain: Chain) -> Snapshot:
    """The snapshot that a venue's reader makes of such rows.

    Raises VenueError where it refuses them.
    """
    try:
        checked = validated(chain)
        same_index = len(chain) != len(snapshot.chain) or np.array_equal(chain.index_usd, snapshot.chain.index_usd, equal_nan=True)
        spot_usd, doubts = (snapshot.spot_usd, ()) if same_index else spot_of(checked, name=snapshot.source.name)
    except (UnitError, FileFormatError) as trouble:
        raise VenueError(f"{snapshot.source.name[:40]} answered with something other than it documents: {trouble}") from trouble
    doubts = tuple(dict.fromkeys((*snapshot.degraded, *doubts, *chain_doubts(checked))))
    return snapshot.with_parts(chain=checked, spot_usd=spot_usd, degraded=doubts)


def _column(name: str, change: Callable[[Any], Any]) -> Callable[[Chain, Any], Chain]:
    def garble(chain: Chain, hit: Any) -> Chain:
        values = getattr(chain, name)
        return chain.with_columns(**{name: np.where(hit, change(values), values)})

    return garble


def _crossed(chain: Chain, hit: Any) -> Chain:
    both = hit & (chain.bid_quoted > 0.0) & (chain.ask_quoted > chain.bid_quoted)
    bid, ask = chain.bid_quoted, chain.ask_quoted
    return chain.with_columns(bid_quoted=np.where(both, ask, bid), ask_quoted=np.where(both, bid, ask))


def _spot_times(factor: float) -> Callable[[Chain, Any], Chain]:
    def garble(chain: Chain, _hit: Any) -> Chain:
        return chain.with_columns(index_usd=chain.index_usd * factor, underlying_usd=chain.underlying_usd * factor)

    return garble


def _spot_zero(chain: Chain, _hit: Any) -> Chain:
    return chain.with_columns(index_usd=np.zeros(len(chain)))


_GARBLES: dict[str, Callable[[Chain, Any], Chain]] = {
    "iv-percent": _column("iv", lambda iv: 100.0 * iv),
    "iv-negative": _column("iv", lambda iv: -iv),
    "iv-missing": _column("iv", lambda iv: np.full_like(iv, np.nan)),
    "quotes-crossed": _crossed,
    "open-interest-missing": _column("open_interest_contracts", lambda held: np.full_like(held, np.nan)),
    "open-interest-negative": _column("open_interest_contracts", lambda held: -held),
    "spot-times-ten": _spot_times(10.0),
    "spot-zero": _spot_zero,
}
