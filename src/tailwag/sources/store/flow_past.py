"""The flow of a store at past times: sparse sealed states on the way, so that a question walks a few hundred records and not the store."""

from __future__ import annotations

import os
import secrets
import zlib
from bisect import bisect_right
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tailwag.sources.store.flow_state import FlowState
from tailwag.sources.store.lines import opened_line, sealed_line
from tailwag.sources.store.trade_records import light_records

if TYPE_CHECKING:
    from tailwag.sources.store.history import History
    from tailwag.sources.store.segments import Entry

SCHEMA = "tailwag.inventory-past/1"
STEP_RECORDS = 256
"""A state is kept after so many records, or a power of two times as many in a long store."""
MOST_KEPT = 64


@dataclass(slots=True)
class _Order:
    """Every record in the order of market time."""

    entries: list[Entry] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def proof(self, place: int) -> str:
        """What the record before this place must be, and by that all before it: a store only grows."""
        return self.entries[place - 1].record.payload_sha256.hex()


@dataclass(slots=True)
class _Walker:
    """A state that has seen the first ``place`` records, the last of which has this digest."""

    state: FlowState
    place: int = 0
    proof: str = ""
    newest_ns: int = 0


class PastFlow:
    """States of one store at past times; not for several threads at once.

    What a state has seen is checked against the store's records when it is taken up; one that does not fit, is damaged, or cannot be
    written is made again by walking.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._order = _Order()
        self._walkers: dict[str, _Walker] = {}

    def state(self, history: History, currency: str, as_of_ns: int) -> FlowState:
        """A state that has seen every snapshot of that time or an earlier one, and of every batch the trades up to then."""
        order = self._ordered(history)
        end = bisect_right(order.times, as_of_ns)
        walker = self._start(order, currency, end)
        while walker.place < end:
            step = self._step(len(order.entries))
            stop = min(end, (walker.place // step + 1) * step)
            walked(walker.state, history, order.entries[walker.place : stop])
            self._moved(walker, order, stop)
            if stop % step == 0:
                self._put_down(walker, step)
        later = [entry for entry in history.batches if entry.record.as_of_ns > as_of_ns]
        if not later:
            return walker.state
        # a batch that ends later may begin earlier; the walker itself must not have seen it
        state = _copied(walker.state)
        walked(state, history, later, until_ns=as_of_ns)
        return state

    def _ordered(self, history: History) -> _Order:
        if len(self._order.entries) != len(history.entries) + len(history.batches):
            entries = sorted((*history.entries, *history.batches), key=lambda entry: (entry.record.as_of_ns, entry.record.seq))
            self._order = _Order(entries, [entry.record.as_of_ns for entry in entries])
        return self._order

    def _start(self, order: _Order, currency: str, end: int) -> _Walker:
        """The walker of the last question or a state on disk, whichever is nearest before; else from nothing."""
        walker = self._walkers.get(currency)
        held = walker.place if walker is not None and walker.place <= end and _fits(walker, order) else 0
        for place in sorted((place for place in self._places(currency) if held < place <= end), reverse=True):
            found = self._taken_up(currency, place, order)
            if found is not None:
                self._walkers[currency] = found
                return found
        if not held or walker is None:
            walker = self._walkers[currency] = _Walker(FlowState(currency))
        return walker

    @staticmethod
    def _moved(walker: _Walker, order: _Order, stop: int) -> None:
        walker.place, walker.proof, walker.newest_ns = stop, order.proof(stop), order.times[stop - 1]

    @staticmethod
    def _step(records: int) -> int:
        step = STEP_RECORDS
        while records > step * MOST_KEPT:
            step *= 2
        return step

    # the files

    def _places(self, currency: str) -> list[int]:
        names = [path.stem.removeprefix(f"{currency}-") for path in self._folder.glob(f"{currency}-*.state")]
        return [int(name) for name in names if name.isascii() and name.isdigit()]

    def _path(self, currency: str, place: int) -> Path:
        return self._folder / f"{currency}-{place}.state"

    def _taken_up(self, currency: str, place: int, order: _Order) -> _Walker | None:
        try:
            fields: dict[str, Any] = opened_line(zlib.decompress(self._path(currency, place).read_bytes())) or {}
            known = fields.pop("schema", None) == SCHEMA and fields.get("currency") == currency and fields.pop("place") == place
            walker = _Walker(FlowState(currency), place, fields.pop("proof"), fields.pop("newest_ns")) if known else None
            if walker is not None and _fits(walker, order):
                walker.state = FlowState.from_document(fields)
                return walker
        except (OSError, zlib.error, ValueError, KeyError, TypeError, IndexError):
            pass
        with suppress(OSError):
            self._path(currency, place).unlink(missing_ok=True)
        return None

    def _put_down(self, walker: _Walker, step: int) -> None:
        """Whole or not at all; a store that cannot be written to keeps none."""
        target = self._path(walker.state.currency, walker.place)
        beside = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
        fields = {"schema": SCHEMA, "place": walker.place, "proof": walker.proof, "newest_ns": walker.newest_ns}
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(zlib.compress(sealed_line(fields | walker.state.document()), 1))
            os.replace(beside, target)
            for place in self._places(walker.state.currency):
                if place % step:
                    self._path(walker.state.currency, place).unlink(missing_ok=True)
        except OSError:
            beside.unlink(missing_ok=True)


def _fits(walker: _Walker, order: _Order) -> bool:
    """Whether the first records of the store are those that were seen: none before has come since, and the last is the same."""
    if not 0 < walker.place <= len(order.entries):
        return walker.place == 0
    return order.proof(walker.place) == walker.proof and order.times[walker.place - 1] == walker.newest_ns


def _copied(state: FlowState) -> FlowState:
    return FlowState.from_document(orjson.loads(orjson.dumps(state.document())))


def walked(state: FlowState, history: History, entries: Iterable[Entry], *, until_ns: int | None = None) -> None:
    """Add records to a state, of batches that end later than ``until_ns`` only what was traded up to then."""
    for _, light in light_records(history, entries):
        if light is None:
            state.damaged()
        elif until_ns is None or light.trades is None:
            state.add(light)
        else:
            early = light.trades.select(light.trades.time_ns <= until_ns).covering(light.trades.covered)
            state.add(replace(light, trades=early))
