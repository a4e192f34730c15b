"""Trades without a hole by polling: a venue is asked for everything since the last answer, page by page, and what is whole is stated."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tailwag.errors import InputError
from tailwag.market.clock import NS_PER_MILLISECOND, format_time
from tailwag.market.liquidations import Liquidations
from tailwag.market.snapshot import Snapshot
from tailwag.market.trades import Covered, Trades
from tailwag.sources.listing import FUTURE, OPTION, kind_of
from tailwag.sources.venue_replies import Plan, Request

PAGE_TRADES = 1_000
"""No page of the venue holds more."""
MOST_PAGES = 40
"""Of one kind of trade in one turn; the next turn goes on from there, later but without a hole."""
FIRST_MS = 24 * 3_600_000
"""How far back the first turn asks."""
LONGEST_MS = 7 * FIRST_MS
"""After a longer pause recording begins anew, and the hole is stated; tailwag trades backfill closes it."""
OVERLAP_MS = 2_000
"""Asked for again each time: a print may appear a moment after its own time."""
METHOD = "publicGetGetLastTradesByCurrencyAndTime"
VENUE = "deribit"
Row = dict[str, Any]


@dataclass(slots=True)
class Lane:
    """One kind of trade under one of the venue's own currencies: everything before ``reached_ms`` has been had."""

    asked_currency: str
    kind: str
    reached_ms: int
    seen: dict[str, int] = field(default_factory=dict)
    """Ids of the trades that the next answer may repeat, and their times."""

    def requests(self, end_ms: int, rows: list[Row], what: str) -> Plan:
        """Every page from where this lane is up to ``end_ms``; new rows are added to ``rows``."""
        at_ms = self.reached_ms - OVERLAP_MS
        for page in range(MOST_PAGES):
            asked = {"currency": self.asked_currency, "kind": self.kind, "count": PAGE_TRADES, "sorting": "asc"}
            asked |= {"start_timestamp": at_ms, "end_timestamp": end_ms - 1}
            found = _page((yield Request(f"trades.{self.asked_currency}.{self.kind}.{page}", METHOD, what, asked)))
            if found is None:
                return
            rows += [row for row in found[0] if row["trade_id"] not in self.seen]
            self.seen |= {row["trade_id"]: row["timestamp"] for row in found[0]}
            if not found[1] or not found[0]:
                self._reach(end_ms)
                return
            last_ms = max(row["timestamp"] for row in found[0])
            # the page may end within a millisecond: the next one begins with it again, unless it fills a page by itself
            at_ms = last_ms if last_ms > at_ms else at_ms + 1
            self._reach(max(self.reached_ms, at_ms))

    def _reach(self, to_ms: int) -> None:
        self.reached_ms = to_ms
        self.seen = {name: at_ms for name, at_ms in self.seen.items() if at_ms >= to_ms - OVERLAP_MS}


class TradeCursor:
    """How far the trades of one currency on Deribit have been taken, over the turns of a recorder.

    ``from_ns`` is where an earlier recorder stopped, None where there was none.  A turn is :meth:`requests`, then :meth:`attached`, then
    :meth:`kept` once the snapshot is on disk; a turn that was not kept is asked for again as a whole.
    """

    def __init__(self, currency: str, *, from_ns: int | None = None) -> None:
        from tailwag.sources.venue_deribit import OWN_COIN

        self._currency = currency
        self._options = [(currency, "option"), ("USDC", "option")] if currency in OWN_COIN else [("USDC", "option")]
        self._futures = [(currency, "future")] if currency in OWN_COIN else [("USDC", "future")]
        self._resume_ms = None if from_ns is None else from_ns // NS_PER_MILLISECOND
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._stated_ms = 0
        self._rows: dict[str, list[Row]] = {"option": [], "future": []}
        self._doubts: tuple[str, ...] = ()
        self._end_ms: int | None = None
        """Of the turn under way, which is not on disk yet; None where none is."""
        self._reached_ms = 0

    def requests(self, end_ms: int) -> Plan:
        """The requests for everything since the last turn and before ``end_ms``, the venue's own time."""
        unsaid = () if self._end_ms is None else self._doubts
        if self._end_ms is not None:
            # the last turn's trades are on no disk: ask for them again
            self._lanes = {ask: Lane(*ask, reached_ms=self._stated_ms) for ask in self._lanes}
        self._rows, self._end_ms = {"option": [], "future": []}, end_ms
        self._doubts = self._begin(end_ms) or unsaid
        for (asked, kind), lane in self._lanes.items():
            what = f"{asked} option trades" if kind == "option" else f"{asked} futures trades (for liquidations)"
            yield from lane.requests(end_ms, self._rows[kind], what)

    def _begin(self, end_ms: int) -> tuple[str, ...]:
        start_ms = (self._resume_ms or end_ms - FIRST_MS) if not self._lanes else self._stated_ms
        if self._lanes and end_ms - start_ms <= LONGEST_MS:
            return ()
        hole: tuple[str, ...] = ()
        if end_ms - start_ms > LONGEST_MS:
            since, until = (format_time(at_ms * NS_PER_MILLISECOND) for at_ms in (start_ms, end_ms - FIRST_MS))
            hole = (f"option trades between {since} and {until} are not recorded; tailwag trades backfill closes the gap",)
            start_ms = end_ms - FIRST_MS
        start_ms = min(start_ms, end_ms)
        self._lanes = {ask: Lane(*ask, reached_ms=start_ms) for ask in (*self._options, *self._futures)}
        self._stated_ms = start_ms
        return hole

    def attached(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the trades and liquidations of this turn, and what they cover."""
        if self._end_ms is None:
            return snapshot.with_parts(degraded=("without option trades: the venue did not say what time it is", *snapshot.degraded))
        options = [row for row in self._rows["option"] if kind_of(row["instrument_name"], self._currency) == OPTION]
        trades, doubts = _option_trades(options)
        reached_ms = min((self._lanes[ask].reached_ms for ask in self._options if ask in self._lanes), default=0)
        if reached_ms > self._stated_ms and trades is not None:
            spans = (Covered(VENUE, self._stated_ms * NS_PER_MILLISECOND, reached_ms * NS_PER_MILLISECOND),)
            trades = trades.covering(spans)
        self._reached_ms = reached_ms
        if trades is not None and self._end_ms - reached_ms > 0:
            doubts = (*doubts, f"option trades are taken up to {format_time(reached_ms * NS_PER_MILLISECOND)} only; the next turn goes on")
        return snapshot.with_parts(trades=trades, liquidations=self._liquidations(), degraded=(*self._doubts, *doubts, *snapshot.degraded))

    def kept(self) -> None:
        """The snapshot of this turn is on disk: the next turn goes on from where it ends."""
        if self._end_ms is not None:
            self._stated_ms, self._end_ms = max(self._stated_ms, self._reached_ms), None

    def _liquidations(self) -> Liquidations:
        from tailwag.sources.streams.deribit_prints import liquidations_of

        forced = [
            row for row in self._rows["future"] if row.get("liquidation") and kind_of(row["instrument_name"], self._currency) == FUTURE
        ]
        return liquidations_of(sorted(forced, key=lambda row: row["timestamp"]))


def _option_trades(rows: list[Row]) -> tuple[Trades | None, tuple[str, ...]]:
    from tailwag.sources.venue_trades import deribit_trades

    if not rows:
        return Trades.from_columns(trade_id=[], instrument=[]), ()
    try:
        return deribit_trades({"result": {"trades": rows}}), ()
    except InputError as trouble:
        return None, (f"the option trades were left out: {trouble}",)


def _page(reply: Any) -> tuple[list[Row], bool] | None:
    """The trades of a reply and whether there are more; None for a reply that is none."""
    result = reply.get("result") if isinstance(reply, dict) else None
    rows = result.get("trades") if isinstance(result, dict) else None
    if not isinstance(rows, list) or not all(_is_trade(row) for row in rows):
        return None
    return rows, bool(result.get("has_more")) if isinstance(result, dict) else False


def _is_trade(row: Any) -> bool:
    known = isinstance(row, dict) and isinstance(row.get("trade_id"), str) and isinstance(row.get("instrument_name"), str)
    return known and isinstance(row.get("timestamp"), int) and not isinstance(row["timestamp"], bool)


RECORDS_LOOKED_THROUGH = 200


def recorded_until(folder: str | os.PathLike[str]) -> Callable[[str, str], int | None]:
    """Asks a store up to which time it has every trade of a venue and currency; None where its last records do not say."""

    def until(venue: str, currency: str) -> int | None:
        from tailwag.sources.files import is_store
        from tailwag.sources.store.history import History
        from tailwag.sources.store.trade_records import light_records

        if not is_store(folder):
            return None
        history = History.open(folder)
        newest = sorted((*history.entries, *history.batches), key=lambda entry: entry.record.seq, reverse=True)
        for _, light in light_records(history, newest[:RECORDS_LOOKED_THROUGH]):
            if light is not None and light.currency == currency and light.trades is not None:
                ends = [span.to_ns for span in light.trades.covered if span.venue == venue]
                if ends and light.is_snapshot:
                    return max(ends)
        return None

    return until
