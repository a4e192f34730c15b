"""The daily index of a store: which snapshots count, what they measure, and the days worked out before, kept beside the store.

A projection: the folder of kept days can be thrown away, the same store gives the same bytes again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tailwag.errors import TailwagError
from tailwag.risk.gain_index import DEFINITION, IndexDefinition, Observation, index_day, mark_of
from tailwag.service.build import code_hash
from tailwag.units import NS_PER_DAY, NS_PER_MINUTE

if TYPE_CHECKING:
    from tailwag.experiments.measure import Measurement
    from tailwag.experiments.options import MeasureOptions
    from tailwag.market.snapshot import Snapshot
    from tailwag.sources.store.history import History
    from tailwag.sources.store.segments import Entry

FOLDER = "index"
MOST_READ_A_MARK = 32
"""A mark whose last snapshot is of another currency, another source, or too much masked, is searched back this far."""


@dataclass(frozen=True, slots=True)
class IndexOf:
    """What to give an index of: a currency, and one source of it (None: every snapshot of the currency counts)."""

    currency: str
    source: str | None = None

    def holds(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot belongs to it."""
        name = "demo" if snapshot.source.kind == "demo" else snapshot.source.name
        return snapshot.currency == self.currency and self.source in (None, name, snapshot.source.name)


def index_options(definition: IndexDefinition = DEFINITION) -> MeasureOptions:
    """The assumptions that the index measures under."""
    from tailwag.experiments.options import MeasureOptions
    from tailwag.positioning import parse_rule

    return MeasureOptions(
        dynamics=definition.dynamics,
        rules=tuple(parse_rule(rule) for rule in definition.rules),
        vol=definition.vol,
        gamma=definition.gamma,
        day_count=definition.day_count,
        forward=definition.forward,
        spot_levels=3,  # the profile over spot enters no value of the index
        liquidity=definition.law,
        impact_y=definition.impact_y,
        move_pct=definition.move_pct,
        hedge_share=definition.hedge_share,
    )


def observation(measurement: Measurement, definition: IndexDefinition = DEFINITION) -> Observation:
    """What one measurement under :func:`index_options` contributes."""
    from tailwag.liquidity import SquareRootImpact, hedged_open_interest_usd

    snapshot, gain, book = measurement.snapshot, measurement.gain, measurement.profiles[0].book
    law = next((law for law in measurement.laws if isinstance(law, SquareRootImpact)), None)
    source = snapshot.source
    return Observation(
        at_ns=snapshot.as_of_ns,
        gex_usd_per_pct=tuple(rule.gex_usd_per_pct for rule in gain.by_rule),
        loop_gain=tuple(rule.value for rule in gain.by_rule),
        gain_reason=next((rule.reason for rule in gain.by_rule if rule.value is None and rule.reason), None),
        hedged_open_interest_usd=hedged_open_interest_usd(
            book.greeks[1], book.open_interest_coin, spot_usd=book.spot_usd, hedge_share=definition.hedge_share
        ),
        daily_volume_usd=None if law is None else law.daily_volume_usd,
        masked_share=book.masked_open_interest_share,
        spot_usd=book.spot_usd,
        source="demo" if source.kind == "demo" else source.name,
        synthetic=source.synthetic,
    )


def day_of(at_ns: int) -> int:
    """00:00 UTC of a time's day, in nanoseconds."""
    return at_ns // NS_PER_DAY * NS_PER_DAY


def is_over(day_ns: int, newest_ns: int, definition: IndexDefinition = DEFINITION) -> bool:
    """Whether the last window of a day has ended, by the store's own newest market time."""
    return newest_ns >= day_ns + definition.after_minutes[1] * NS_PER_MINUTE


class IndexDays:
    """Days of the index out of one store; what was worked out is kept in ``keep`` (None: nowhere)."""

    def __init__(self, of: IndexOf, *, keep: Path | None = None, definition: IndexDefinition = DEFINITION) -> None:
        self._of, self._keep, self._definition = of, keep, definition
        self._options = index_options(definition)

    def days(self, history: History, from_ns: int, to_ns: int, *, worked_out: int | None = None) -> tuple[list[dict[str, Any]], int | None]:
        """Documents of the days from the one of ``from_ns`` to the one of ``to_ns`` that hold any window record and are over.

        At most ``worked_out`` of them are measured now; then the day to go on with, if any.
        """
        found: list[dict[str, Any]] = []
        left = worked_out
        newest_ns = max((entry.record.as_of_ns for entry in history.entries), default=0)
        by_day = self._candidates(history, from_ns, to_ns)
        for day_ns in sorted(by_day):
            if not is_over(day_ns, newest_ns, self._definition):
                continue
            name = self._name(day_ns, by_day[day_ns])
            document = self._kept(name)
            if document is None:
                if left == 0:
                    return found, day_ns
                left = None if left is None else left - 1
                document = self._worked_out(history, day_ns, by_day[day_ns])
                self._put(name, document)
            if document:
                found.append(document)
        return found, None

    def _candidates(self, history: History, from_ns: int, to_ns: int) -> dict[int, dict[tuple[int, int], list[Entry]]]:
        """By day and by (window, mark): the records in it, the last one first."""
        found: dict[int, dict[tuple[int, int], list[Entry]]] = {}
        windows = (self._definition.before_minutes, self._definition.after_minutes)
        for entry in history.entries:
            at_ns = entry.record.as_of_ns
            if not day_of(from_ns) <= at_ns < day_of(to_ns) + NS_PER_DAY:
                continue
            for rank, window in enumerate(windows):
                mark = mark_of(at_ns, window, self._definition)
                if mark is not None:
                    found.setdefault(day_of(at_ns), {}).setdefault((rank, mark), []).append(entry)
        for marks in found.values():
            for entries in marks.values():
                entries.sort(key=lambda entry: (entry.record.as_of_ns, entry.record.seq), reverse=True)
        return found

    def _worked_out(self, history: History, day_ns: int, marks: dict[tuple[int, int], list[Entry]]) -> dict[str, Any]:
        """A day's document; empty where no snapshot of it belongs to what the index is of."""
        seen = [one for place in sorted(marks) for one in self._last_fit(history, marks[place])]
        if not seen:
            return {}
        observations = [one for one in seen if one is not None]
        return index_day(day_ns, self._of.currency, observations, self._definition).document()

    def _last_fit(self, history: History, entries: list[Entry]) -> Iterator[Observation | None]:
        """The last snapshot of a mark that counts, and those after it that do not; None for one that cannot be measured at all."""
        for snapshot in self._snapshots(history, entries[:MOST_READ_A_MARK]):
            one = self._observed(snapshot)
            yield one
            if one is not None and one.masked_share <= self._definition.most_masked_share:
                return

    def _snapshots(self, history: History, entries: list[Entry]) -> Iterator[Snapshot]:
        for entry in entries:
            try:
                snapshot = history.snapshot(entry)
            except TailwagError:
                continue  # damaged: verify names it
            if self._of.holds(snapshot):
                yield snapshot

    def _observed(self, snapshot: Snapshot) -> Observation | None:
        from tailwag.experiments.measure import measure

        try:
            return observation(measure(snapshot, self._options), self._definition)
        except TailwagError:
            return None  # no usable row: nothing was observed

    # what was worked out before

    def _name(self, day_ns: int, marks: dict[tuple[int, int], list[Entry]]) -> str:
        """Of a day's file: the day, and what else its bytes depend on."""
        seal = sha256(orjson.dumps([self._of.currency, self._of.source, self._definition.document(), code_hash()]))
        for place in sorted(marks):
            for entry in marks[place]:
                seal.update(entry.record.payload_sha256)
        whose = sha256(str(self._of.source).encode()).hexdigest()[:8]
        return f"{self._of.currency}-{whose}-{day_ns // NS_PER_DAY}-{seal.hexdigest()[:32]}.json"

    def _kept(self, name: str) -> dict[str, Any] | None:
        if self._keep is None:
            return None
        try:
            seal, _, body = (self._keep / name).read_bytes().partition(b"\n")
            found = orjson.loads(body) if seal == sha256(body).hexdigest().encode() else None
        except (OSError, orjson.JSONDecodeError):
            return None
        return found if isinstance(found, dict) else None

    def _put(self, name: str, document: dict[str, Any]) -> None:
        if self._keep is None:
            return
        body = orjson.dumps(document)
        try:
            self._keep.mkdir(parents=True, exist_ok=True)
            for old in self._keep.glob(f"{name.rpartition('-')[0]}-*.json"):
                old.unlink(missing_ok=True)
            beside = self._keep / f"{name}.{os.getpid()}.part"
            beside.write_bytes(sha256(body).hexdigest().encode() + b"\n" + body)
            beside.replace(self._keep / name)
        except OSError:
            return  # a full or read-only disk costs time, not the answer
