"""Accumulating signed volume record by record: a state that can be put down and taken up, and gives the same bits in any order of arrival.

Amounts are whole billionths of a coin, so that sums do not depend on the order in which trades come, on restarts, or on how a store was
cut into records.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import InstrumentNameError
from tailwag.kernels.arrays import frozen
from tailwag.market.instrument import parse_option
from tailwag.market.recorded_flow import FlowCoverage, RecordedFlow
from tailwag.units import NS_PER_MINUTE

if TYPE_CHECKING:
    from tailwag.market.trades import Covered, Trades
    from tailwag.sources.store.trade_records import Light

NANO = 1_000_000_000
RECENT_NS = 15 * NS_PER_MINUTE
"""A state can still say what it knew this long ago: a snapshot is measured a little after newer ones have been recorded."""
NEVER_NS = (1 << 63) - 1
MOST_SPANS, MOST_UNEXPLAINED = 4_096, 64
Key = tuple[str, str]
Kind = tuple[bool, str]


@dataclass(slots=True)
class _Unexplained:
    """An interval (from, to] in which open interest changed by ``missing`` more than was traded."""

    from_ns: int
    to_ns: int
    missing: int


@dataclass(slots=True)
class _Traded:
    """One option: its signed volume by kind of trade, and how its open interest has moved."""

    expiry_ns: int
    flow: dict[Kind, list[int]] = field(default_factory=dict)
    """Kind -> [signed volume, number of trades]."""
    ids: set[str] = field(default_factory=set)
    listed: bool = False
    zero_ns: int | None = None
    """When last nobody held any."""
    interest: int | None = None
    interest_ns: int = 0
    open: list[tuple[int, int]] = field(default_factory=list)
    """(time, volume) of trades later than the last open interest."""
    change: int = 0
    unexplained: list[_Unexplained] = field(default_factory=list)
    forgotten: int = 0
    """What the unexplained intervals that are no longer kept one by one sum to."""

    def missing(self) -> int:
        return self.forgotten + sum(one.missing for one in self.unexplained)

    def late(self, time_ns: int, volume: int) -> None:
        """A trade from before the last open interest explains a change that nothing explained."""
        for one in self.unexplained:
            if one.from_ns < time_ns <= one.to_ns:
                one.missing = max(one.missing - volume, 0)
        self.unexplained = [one for one in self.unexplained if one.missing]

    def observe(self, interest: int, at_ns: int, *, from_ns: int, before: int) -> None:
        """Open interest went from ``before`` to ``interest`` in (from, at]."""
        volume = sum(amount for time_ns, amount in self.open if time_ns <= at_ns)
        self.open = [pair for pair in self.open if pair[0] > at_ns]
        self.change += abs(interest - before)
        if abs(interest - before) > volume:
            self.unexplained.append(_Unexplained(from_ns, at_ns, abs(interest - before) - volume))
            if len(self.unexplained) > MOST_UNEXPLAINED:
                self.forgotten += self.unexplained.pop(0).missing


class FlowState:
    """Everything recorded of one currency up to a record; :meth:`add` takes the next record, :meth:`flow` says where it stands."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.seq, self.sha256 = 0, ""
        self.clock_ns = 0
        self._options: dict[Key, _Traded] = {}
        self._spans: dict[str, list[list[int]]] = {}
        self._listed_ns: dict[str, int] = {}
        self._recent: list[tuple[int, Key, Kind, int]] = []
        self._counts = {"trades": 0, "repeats": 0, "damaged": 0}
        self._gone = {"change": 0, "missing": 0}

    def at_record(self, seq: int, sha256: str) -> None:
        """Every record up to this one has been seen."""
        self.seq, self.sha256 = seq, sha256

    def damaged(self) -> None:
        """A record that cannot be read may have held anything."""
        self._counts["damaged"] += 1

    def add(self, record: Light) -> None:
        """Take in one record of this currency; one of another says nothing here."""
        if record.currency != self.currency:
            return
        if record.trades is not None:
            for span in record.trades.covered:
                self._cover(span)
            self._trade(record.trades)
        if record.is_snapshot:
            self._observe(record)
            self.clock_ns = max(self.clock_ns, record.as_of_ns)
        elif record.trades is not None and len(record.trades):
            self.clock_ns = max(self.clock_ns, int(record.trades.time_ns.max()))
        self._forget()

    # trades

    def _trade(self, trades: Trades) -> None:
        rows = zip(
            trades.venue.tolist(),
            trades.instrument.tolist(),
            trades.trade_id.tolist(),
            trades.time_ns.tolist(),
            trades.taker_sign.tolist(),
            trades.amount_coin.tolist(),
            trades.is_block.tolist(),
            trades.liquidated.tolist(),
            strict=True,
        )
        for venue, name, trade_id, time_ns, sign, amount, is_block, liquidated in rows:
            option = self._option((venue, name))
            if trade_id in option.ids:
                self._counts["repeats"] += 1
            elif option.expiry_ns + RECENT_NS > self.clock_ns:
                option.ids.add(trade_id)
                self._count(
                    option, (venue, name), time_ns, sign, round(amount * NANO) if math.isfinite(amount) else 0, (is_block, liquidated)
                )

    def _count(self, option: _Traded, key: Key, time_ns: int, sign: int, volume: int, kind: Kind) -> None:
        self._counts["trades"] += 1
        sums = option.flow.setdefault(kind, [0, 0])
        sums[0] += sign * volume
        sums[1] += 1
        if time_ns > self.clock_ns - RECENT_NS:
            self._recent.append((time_ns, key, kind, sign * volume))
        if option.interest is not None and time_ns <= option.interest_ns:
            option.late(time_ns, volume)
        elif option.listed or key[0] in self._listed_ns:
            option.open.append((time_ns, volume))

    def _option(self, key: Key) -> _Traded:
        found = self._options.get(key)
        if found is None:
            found = self._options[key] = _Traded(_expiry_ns(key[1]))
        return found

    def _cover(self, span: Covered) -> None:
        """Spans of a venue that touch become one."""
        spans = sorted([*self._spans.get(span.venue, []), [int(span.from_ns), int(span.to_ns)]])
        joined = [spans[0]]
        for one in spans[1:]:
            if one[0] <= joined[-1][1]:
                joined[-1] = [joined[-1][0], max(joined[-1][1], one[1])]
            else:
                joined.append(one)
        self._spans[span.venue] = joined[-MOST_SPANS:]

    # open interest

    def _observe(self, record: Light) -> None:
        rows = zip(record.venue, record.instrument, record.expiry_ns, record.open_interest_coin, strict=True)
        newer = {venue for venue in set(record.venue) if record.as_of_ns > self._listed_ns.get(venue, 0)}
        for venue, name, expiry_ns, coin in rows:
            if venue in newer and expiry_ns + RECENT_NS > record.as_of_ns:
                self._interest((venue, name), expiry_ns, coin, record.as_of_ns)
        for venue in newer:
            self._listed_ns[venue] = record.as_of_ns

    def _interest(self, key: Key, expiry_ns: int, coin: float, at_ns: int) -> None:
        option = self._option(key)
        option.expiry_ns = expiry_ns or option.expiry_ns
        is_new, option.listed = not option.listed, True
        if not math.isfinite(coin):
            return
        now, listed_ns = round(coin * NANO), self._listed_ns.get(key[0])
        if option.interest is not None:
            option.observe(now, at_ns, from_ns=option.interest_ns, before=option.interest)
        elif is_new and listed_ns is not None:
            # the venue did not list it a snapshot ago: nobody held any
            option.zero_ns = listed_ns
            option.observe(now, at_ns, from_ns=listed_ns, before=0)
        else:
            option.open = [pair for pair in option.open if pair[0] > at_ns]
        option.interest, option.interest_ns = now, at_ns
        if now == 0:
            option.zero_ns = at_ns

    def _forget(self) -> None:
        """An inventory dies with its expiry, and what is no longer recent cannot be undone."""
        self._recent = [one for one in self._recent if one[0] > self.clock_ns - RECENT_NS]
        for key in [key for key, option in self._options.items() if option.expiry_ns + RECENT_NS <= self.clock_ns]:
            option = self._options.pop(key)
            self._gone["change"] += option.change
            self._gone["missing"] += option.missing()

    # where it stands

    def flow(self, as_of_ns: int) -> RecordedFlow:
        """What takers had bought up to a time no more than :data:`RECENT_NS` before the last record."""
        sums = {
            (*key, *kind): list(counted)
            for key, option in self._options.items()
            if option.expiry_ns > as_of_ns
            for kind, counted in option.flow.items()
        }
        for time_ns, key, kind, volume in self._recent:
            row = sums.get((*key, *kind))
            if time_ns > as_of_ns and row is not None:
                row[0] -= volume
                row[1] -= 1
        rows = [(name, counted) for name, counted in sums.items() if counted[1]]
        return RecordedFlow(
            currency=self.currency,
            as_of_ns=as_of_ns,
            venue=frozen([name[0] for name, _ in rows], object),
            instrument=frozen([name[1] for name, _ in rows], object),
            is_block=frozen([name[2] for name, _ in rows], np.bool_),
            liquidated=frozen([name[3] for name, _ in rows], object),
            taker_coin=frozen([counted[0] / NANO for _, counted in rows]),
            trades=frozen([counted[1] for _, counted in rows], np.int64),
            whole_life=self._whole_life(as_of_ns),
            coverage=self._coverage(as_of_ns),
        )

    def _whole_life(self, as_of_ns: int) -> frozenset[Key]:
        """Options that nobody held at the start of, or within, the span that reaches to this time."""
        since = {venue: start for venue, spans in self._spans.items() for start, end in spans if start <= as_of_ns <= end}
        return frozenset(
            key for key, option in self._options.items() if option.zero_ns is not None and since.get(key[0], NEVER_NS) <= option.zero_ns
        )

    def _coverage(self, as_of_ns: int) -> FlowCoverage:
        return FlowCoverage(
            spans=tuple(
                (venue, start, min(end, as_of_ns)) for venue in sorted(self._spans) for start, end in self._spans[venue] if start < as_of_ns
            ),
            trades=self._counts["trades"],
            repeats=self._counts["repeats"],
            damaged_records=self._counts["damaged"],
            open_interest_change_coin=(self._gone["change"] + sum(option.change for option in self._options.values())) / NANO,
            unexplained_change_coin=(self._gone["missing"] + sum(option.missing() for option in self._options.values())) / NANO,
        )

    # putting it down and taking it up

    def document(self) -> dict[str, Any]:
        """The whole state as plain values."""
        return {
            "currency": self.currency,
            "seq": self.seq,
            "sha256": self.sha256,
            "clock_ns": self.clock_ns,
            "spans": self._spans,
            "listed_ns": self._listed_ns,
            "recent": [[time_ns, *key, *kind, volume] for time_ns, key, kind, volume in self._recent],
            "counts": self._counts,
            "gone": self._gone,
            "options": [[*key, *_packed(option)] for key, option in self._options.items()],
        }

    @classmethod
    def from_document(cls, plain: dict[str, Any]) -> FlowState:
        """The state that :meth:`document` gave."""
        state = cls(plain["currency"])
        state.seq, state.sha256, state.clock_ns = plain["seq"], plain["sha256"], plain["clock_ns"]
        state._spans, state._listed_ns = plain["spans"], plain["listed_ns"]
        state._counts, state._gone = plain["counts"], plain["gone"]
        state._recent = [(row[0], (row[1], row[2]), (row[3], row[4]), row[5]) for row in plain["recent"]]
        state._options = {(row[0], row[1]): _unpacked(row[2:]) for row in plain["options"]}
        return state


def _packed(option: _Traded) -> Iterable[Any]:
    return (
        option.expiry_ns,
        [[*kind, *sums] for kind, sums in option.flow.items()],
        sorted(option.ids),
        option.listed,
        option.zero_ns,
        option.interest,
        option.interest_ns,
        option.open,
        option.change,
        [[one.from_ns, one.to_ns, one.missing] for one in option.unexplained],
        option.forgotten,
    )


def _unpacked(row: list[Any]) -> _Traded:
    expiry_ns, flow, ids, listed, zero_ns, interest, interest_ns, pairs, change, unexplained, forgotten = row
    return _Traded(
        expiry_ns=expiry_ns,
        flow={(is_block, side): [volume, count] for is_block, side, volume, count in flow},
        ids=set(ids),
        listed=listed,
        zero_ns=zero_ns,
        interest=interest,
        interest_ns=interest_ns,
        open=[(time_ns, volume) for time_ns, volume in pairs],
        change=change,
        unexplained=[_Unexplained(*one) for one in unexplained],
        forgotten=forgotten,
    )


def _expiry_ns(name: str) -> int:
    """When an option expires by its name; a name that says nothing expires when a chain says so."""
    try:
        return parse_option(name).expiry_ns
    except InstrumentNameError:
        return NEVER_NS - RECENT_NS - 1
