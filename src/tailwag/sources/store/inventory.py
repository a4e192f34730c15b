"""The flow of a store: accumulated record by record, kept over restarts in a sealed file that can be thrown away and made again."""

from __future__ import annotations

import os
import secrets
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tailwag.errors import RuleError, TailwagError
from tailwag.sources.store.flow_past import PastFlow, walked
from tailwag.sources.store.flow_state import RECENT_NS, FlowState
from tailwag.sources.store.history import History
from tailwag.sources.store.lines import opened_line, sealed_line
from tailwag.sources.store.trade_records import Light, interest_columns

if TYPE_CHECKING:
    from tailwag.market.recorded_flow import RecordedFlow
    from tailwag.market.snapshot import Snapshot
    from tailwag.sources.store.segments import Entry

FOLDER = "inventory"
SCHEMA = "tailwag.inventory/1"
CHECKPOINT_RECORDS = 256
"""A state is put down after so many records: a restart reads at most these again."""
MOST_PAST = 32
Say = Callable[[str], None]


def _silent(_text: str) -> None:
    """Nobody asked to be told."""


class StoreFlow:
    """Signed volume per option over a store's trades, by currency; one object serves any number of threads.

    Reads what was recorded since it was last asked.  Whoever records calls :meth:`recorded` after each acknowledgement, and then nothing
    is read twice.  The past (more than a quarter of an hour before the newest record) is accumulated anew, up to the time asked for, from
    the nearest of the states that are kept on the way.
    """

    def __init__(self, folder: str | os.PathLike[str], *, say: Say = _silent) -> None:
        self.folder = Path(folder)
        self._say = say
        self._lock = threading.Lock()
        """Of the states: held for moments only, because a recorder waits for it."""
        self._building, self._walking = threading.Lock(), threading.Lock()
        self._states: dict[str, FlowState] = {}
        self._kept_seq: dict[str, int] = {}
        self._newest_seq: int | None = None
        self._indexes: dict[str, History] = {}
        self._past: OrderedDict[tuple[str, int, int], RecordedFlow] = OrderedDict()
        self._past_states = PastFlow(self.folder / FOLDER / "past")
        self._reading: set[str] = set()

    @property
    def label(self) -> str:
        """The folder's bare name."""
        return self.folder.resolve().name

    def flow(self, currency: str, as_of_ns: int) -> RecordedFlow:
        """What takers had bought of each option up to ``as_of_ns``: by every batch, and every snapshot of that time or an earlier one.

        Raises StoreError or InputError where the store cannot be read.
        """
        state = self._current(currency, as_of_ns)
        with self._lock:
            if as_of_ns >= state.clock_ns - RECENT_NS:
                return state.flow(as_of_ns)
        with self._walking:
            return self._past_flow(currency, as_of_ns)

    def recent_flow(self, currency: str, as_of_ns: int) -> RecordedFlow:
        """As :meth:`flow`, but never slow: what would have to be read from the store first is refused, and read meanwhile.

        Raises RuleError.
        """
        with self._lock:
            state = self._states.get(currency)
            if state is not None and not self._is_behind(state, as_of_ns):
                if as_of_ns >= state.clock_ns - RECENT_NS:
                    return state.flow(as_of_ns)
                raise RuleError(f"flow:{self.label}: the time asked for is past; name the rule to have its flow accumulated")
            start = currency not in self._reading
            self._reading.add(currency)
        if start:
            threading.Thread(target=self._read_meanwhile, args=(currency,), name="tailwag inventory", daemon=True).start()
        raise RuleError(f"flow:{self.label}: the trades recorded so far are being read")

    def _read_meanwhile(self, currency: str) -> None:
        try:
            self._current(currency, 0)
        except TailwagError as trouble:
            self._say(f"{self.folder}: the inventory of {currency} could not be read: {trouble}")
            return  # stays among those being read: a store that cannot be read is not tried at every snapshot
        self._reading.discard(currency)

    def recorded(self, snapshot: Snapshot, *, seq: int, sha256: str) -> None:
        """Take in a snapshot that has just been acknowledged under a number."""
        light = light_snapshot(snapshot) if self._states else None
        with self._lock:
            self._newest_seq = seq
            for state in self._states.values():
                if light is not None and state.seq == seq - 1:
                    state.add(light)
                    state.at_record(seq, sha256)
            self._keep_due()

    def close(self) -> None:
        """Put down what is not yet on disk."""
        with self._lock:
            for state in self._states.values():
                self._put_down(state)

    # the present

    def _is_behind(self, state: FlowState, as_of_ns: int) -> bool:
        return as_of_ns > state.clock_ns if self._newest_seq is None else state.seq < self._newest_seq

    def _current(self, currency: str, as_of_ns: int) -> FlowState:
        """The state of a currency, with every record that is there; a state that is behind is led on beside the others."""
        with self._building:
            with self._lock:
                state = self._states.get(currency)
                if state is not None and not self._is_behind(state, as_of_ns):
                    return state
                self._states.pop(currency, None)
            state = state or self._taken_up(currency)
            while True:
                self._catch_up(state)
                with self._lock:
                    if self._newest_seq is None or state.seq >= self._newest_seq:
                        self._states[currency] = state
                        self._keep_due()
                        return state

    def _catch_up(self, state: FlowState) -> None:
        history = self._indexed("present")
        newer = [entry for entry in _every(history) if entry.record.seq > state.seq]
        if not state.seq:
            # from nothing, in the order of the market's own times: a batch recorded late still explains what it can
            newer = sorted(newer, key=lambda entry: (entry.record.as_of_ns, entry.record.seq))
        walked(state, history, newer)
        if newer:
            last = max(newer, key=lambda entry: entry.record.seq).record
            state.at_record(last.seq, last.payload_sha256.hex())

    def _indexed(self, use: str) -> History:
        known = self._indexes.get(use)
        self._indexes[use] = History.open(self.folder) if known is None else known.refreshed()
        return self._indexes[use]

    # the past

    def _past_flow(self, currency: str, as_of_ns: int) -> RecordedFlow:
        history = self._indexed("past")
        key = (currency, as_of_ns, len(history.batches))  # what is filled in later may have been traded then
        if key not in self._past:
            self._past[key] = self._past_states.state(history, currency, as_of_ns).flow(as_of_ns)
            while len(self._past) > MOST_PAST:
                self._past.popitem(last=False)
        return self._past[key]

    # the file

    def _path(self, currency: str) -> Path:
        return self.folder / FOLDER / f"{currency}.state"

    def _taken_up(self, currency: str) -> FlowState:
        """The state on disk, or an empty one where there is none that fits the store."""
        try:
            data = self._path(currency).read_bytes()
        except OSError:
            return FlowState(currency)
        state = _opened(data, currency)
        if state is None:
            self._say(f"{self.folder}: the inventory of {currency} was damaged; accumulating it again from the records")
            return FlowState(currency)
        if not self._fits(state):
            self._say(f"{self.folder}: the inventory of {currency} is of another copy of the store; accumulating it again from the records")
            return FlowState(currency)
        self._kept_seq[currency] = state.seq
        return state

    def _fits(self, state: FlowState) -> bool:
        history = self._indexed("present")
        return any(entry.record.seq == state.seq and entry.record.payload_sha256.hex() == state.sha256 for entry in _every(history))

    def _keep_due(self) -> None:
        for state in self._states.values():
            if state.seq - self._kept_seq.get(state.currency, 0) >= CHECKPOINT_RECORDS:
                self._put_down(state)

    def _put_down(self, state: FlowState) -> None:
        """Whole or not at all, under its name; a store that cannot be written to keeps none."""
        if not state.seq or state.seq == self._kept_seq.get(state.currency):
            return
        target = self._path(state.currency)
        beside = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
        try:
            target.parent.mkdir(exist_ok=True)
            beside.write_bytes(zlib.compress(sealed_line({"schema": SCHEMA, **state.document()}), 1))
            os.replace(beside, target)
            self._kept_seq[state.currency] = state.seq
        except OSError:
            beside.unlink(missing_ok=True)


def _every(history: History) -> list[Entry]:
    return sorted((*history.entries, *history.batches), key=lambda entry: entry.record.seq)


def _opened(data: bytes, currency: str) -> FlowState | None:
    try:
        fields = opened_line(zlib.decompress(data))
        if fields is None or fields.pop("schema", None) != SCHEMA or fields.get("currency") != currency:
            return None
        return FlowState.from_document(fields)
    except (zlib.error, ValueError, KeyError, TypeError, IndexError):
        return None


def light_snapshot(snapshot: Snapshot) -> Light:
    """What an inventory needs of a snapshot."""
    chain = snapshot.chain
    names = ("instrument", "venue", "open_interest_contracts", "coin_per_contract", "expiry_ns", "codes")
    interest = interest_columns({name: getattr(chain, name) for name in names})
    return Light(snapshot.currency, snapshot.as_of_ns, snapshot.trades, **interest, source=snapshot.source.name)
