"""Of which span every option trade has come: the channels while they are live, and the venue's own history for what was missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tailwag.market.clock import NS_PER_MILLISECOND, format_time
from tailwag.market.trades import Covered
from tailwag.sources.trade_cursor import FIRST_MS, LONGEST_MS, VENUE, Lane
from tailwag.sources.venue_replies import Plan

LAG_MS = 3_000
"""A trade is told a moment after its own time: what lies so far back has come."""
PAGE_SPACING_SECONDS, RETRY_SECONDS = 0.25, 5.0
Row = dict[str, Any]


@dataclass(slots=True)
class _Followed:
    """The trades of one of the venue's own currencies: its channel, and the questions about what the channel did not bring."""

    lane: Lane | None = None
    granted_ms: float | None = None
    """Since when the channel speaks on this connection, by the venue's clock."""
    whole: bool = False
    """Everything before the channel spoke has been had: what it says continues that."""
    plan: Plan | None = None
    rows: list[Row] = field(default_factory=list)
    asking: dict[str, Any] | None = None
    waiting: bool = False
    end_ms: int = 0
    not_before: float = float("-inf")


class TradeCoverage:
    """How far the option trades of one currency have come without a hole, over any number of connections; decisions only.

    ``now`` is monotonic seconds, ``venue_ms`` the venue's clock.  What is claimed touches what was claimed before, unless a hole is stated.
    """

    def __init__(self, coins: Sequence[str], *, bundle_ms: int = 100) -> None:
        self._followed = {coin: _Followed() for coin in dict.fromkeys(coins)}
        self._lag_ms = LAG_MS + bundle_ms
        self._resume_ms: int | None = None
        self._stated_ms = self._offered_ms = self._cut_ms = 0
        self._hole: tuple[int, int] | None = None

    def resume(self, from_ns: int | None) -> None:
        """Where an earlier recorder stopped; None where there was none."""
        self._resume_ms = None if from_ns is None else from_ns // NS_PER_MILLISECOND

    # the connection

    def closed(self) -> None:
        """The channels are gone: what they would have said is asked for on the next connection."""
        for one in self._followed.values():
            one.granted_ms, one.whole, one.plan, one.asking, one.waiting = None, False, None, None, False
            one.not_before = float("-inf")
            if one.lane is not None:
                one.lane.seen = {}

    def granted(self, coin: str, venue_ms: float) -> None:
        """The venue has granted the channel of one currency."""
        if self._followed[coin].granted_ms is None:
            self._followed[coin].granted_ms = venue_ms

    def heard(self, venue_ms: float) -> None:
        """Messages have come up to this time of the venue's, in order: so have the trades of a little before."""
        for one in self._followed.values():
            if one.whole and one.lane is not None:
                one.lane.reached_ms = max(one.lane.reached_ms, int(venue_ms) - self._lag_ms)

    # what was missed

    def due(self, now: float, venue_ms: float) -> list[tuple[str, dict[str, Any]]]:
        """The questions to ask now: currency and parameters of ``public/get_last_trades_by_currency_and_time``."""
        found = []
        for coin, one in self._followed.items():
            if one.waiting or now < one.not_before:
                continue
            if one.plan is None:
                self._begin(coin, one, venue_ms)
            if one.asking is not None:
                found.append((coin, one.asking))
                one.asking, one.waiting = None, True
        return found

    def _begin(self, coin: str, one: _Followed, venue_ms: float) -> None:
        if one.whole or one.granted_ms is None or venue_ms < one.granted_ms + self._lag_ms:
            return
        one.end_ms = int(venue_ms)
        one.lane = self._lane(coin, one)
        one.rows = []
        one.plan = one.lane.requests(one.end_ms, one.rows, "trades that were missed")
        one.asking = dict(next(one.plan).parameters)

    def _lane(self, coin: str, one: _Followed) -> Lane:
        """Where the currency's trades go on: the first time where a recorder stopped or a day ago, a long pause is left open and told."""
        start_ms = one.lane.reached_ms if one.lane is not None else (self._resume_ms or self._stated_ms or one.end_ms - FIRST_MS)
        start_ms = min(start_ms, one.end_ms)
        if one.end_ms - start_ms > LONGEST_MS:
            self._cut(start_ms, one.end_ms - FIRST_MS)
            start_ms = one.end_ms - FIRST_MS
        if not self._stated_ms:
            self._stated_ms = start_ms
        if one.lane is None:
            return Lane(coin, "option", reached_ms=start_ms)
        one.lane.reached_ms = start_ms
        return one.lane

    def answered(self, coin: str, result: Any, now: float) -> list[Row]:
        """The trades in an answer, None being no answer; the next page is asked for after a moment, a failed one later."""
        one = self._followed[coin]
        if one.plan is None or not one.waiting:
            return []
        one.waiting = False
        try:
            one.asking = dict(one.plan.send(None if result is None else {"result": result}).parameters)
            one.not_before = now + PAGE_SPACING_SECONDS
        except StopIteration:
            self._ended(one, now)
        found = list(one.rows)
        one.rows.clear()
        return found

    def _ended(self, one: _Followed, now: float) -> None:
        one.plan = None
        if one.lane is not None and one.lane.reached_ms >= one.end_ms:
            # what is as young as this may still be on its way on the channel
            one.whole, one.lane.reached_ms = True, one.end_ms - self._lag_ms
        else:
            one.not_before = now + RETRY_SECONDS

    # what is claimed

    def lost(self, until_ms: float) -> None:
        """Trades of up to this time could not be kept or read: no span reaches over them."""
        if int(until_ms) + 1 > self._cut_ms:
            self._cut(max(self._stated_ms, self._cut_ms), int(until_ms) + 1)

    def _cut(self, from_ms: int, to_ms: int) -> None:
        self._hole = (min(from_ms, to_ms) if self._hole is None else min(self._hole[0], from_ms), to_ms)
        self._cut_ms = max(self._cut_ms, to_ms)

    def span(self) -> tuple[Covered, ...]:
        """What may be claimed of the trades given now, going on where the last claim that was kept ends."""
        reached = min((0 if one.lane is None else one.lane.reached_ms for one in self._followed.values()), default=0)
        start = max(self._stated_ms, self._cut_ms)
        self._offered_ms = max(reached, 0)
        if reached <= start:
            return ()
        return (Covered(VENUE, start * NS_PER_MILLISECOND, reached * NS_PER_MILLISECOND),)

    def doubts(self, venue_ms: float) -> tuple[str, ...]:
        """The hole that is left open, and how far back the trades are that are still being asked for."""
        said = []
        if self._hole is not None:
            since, until = (format_time(at_ms * NS_PER_MILLISECOND) for at_ms in self._hole)
            said.append(f"option trades between {since} and {until} are not all recorded; tailwag trades backfill closes the gap")
        late = [one.lane.reached_ms for one in self._followed.values() if one.lane is not None and not one.whole]
        if late and venue_ms - min(late) > 60_000:
            said.append(
                f"option trades are complete up to {format_time(min(late) * NS_PER_MILLISECOND)} only; the others are being asked for"
            )
        return tuple(said)

    def kept(self) -> None:
        """What was given last is on disk: the next claim goes on from there."""
        self._stated_ms = max(self._stated_ms, self._offered_ms)
        if self._hole is not None and self._stated_ms >= self._hole[1]:
            self._hole = None
