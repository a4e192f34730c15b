"""What ``tailwag record``, ``verify`` and ``export`` do once their words are parsed."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.cli.stop_request import StopRequest
from tailwag.errors import InputError, StoreBusyError, StoreError, TailwagError, VenueError

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot
    from tailwag.sources.faulty_feed import FaultyFeed
    from tailwag.sources.feeds import Feed
    from tailwag.sources.store.doubles import Doubles
    from tailwag.sources.store.recorder import Acknowledgement, Recorder
    from tailwag.sources.store.verify import Verification

SMALLEST_SEGMENT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class RecordRequest:
    """The words of one ``tailwag record`` call, as typed."""

    source: list[str]
    store: str
    every: float | None
    count: int | None
    speed: float | None
    clock: str
    faults: str | None
    currency: str
    ack_fd: int | None
    segment_mib: float
    compact: bool = False


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The words of one ``tailwag export`` call, as typed."""

    store: str
    out: str
    form: str
    start: str | None
    end: str | None


def run_record(request: RecordRequest) -> None:
    """Record until the sources end, ``--count`` is reached, or a signal asks to stop."""
    _check(request)
    from tailwag.sources.feeds import Surroundings, open_feed
    from tailwag.sources.store.recorder import Recorder
    from tailwag.sources.trade_cursor import recorded_until

    with _until_signalled() as stopped:
        around = Surroundings(time.time_ns, _sleeper(stopped), _complain, request.currency, recorded_until(request.store))
        again = request.every is not None
        feeds = [open_feed(word, around, speed=request.speed, again=again) for word in request.source]
        replayed = _replayed(request, feeds)
        with Recorder(request.store, segment_bytes=_segment_bytes(request.segment_mib), say=_complain) as recorder:
            first = recorder.last_seq + 1
            recording = _Recording(request, recorder, stopped, replayed.clock)
            recording.watch_for_doubles()
            recording.run(replayed.feeds)
            _tell_faults(replayed)
            if request.ack_fd != 1:
                _summarise(request.store, first, recorder.last_seq)


def _check(request: RecordRequest) -> None:
    from tailwag.cli.measuring import _check_currency
    from tailwag.sources.opening import checked_path_text

    _check_currency(request.currency)
    store = Path(checked_path_text(request.store))
    if store.exists() and not store.is_dir():
        raise InputError(f"--store expects a folder, {request.store} is a file; give another")
    for name, value in (("--every", request.every), ("--speed", request.speed)):
        if value is not None and not (math.isfinite(value) and 0.0 < value <= 1e9):
            raise InputError(f"{name} expects a number above 0, got {value:g}")
    _check_replay(request)
    if request.ack_fd is not None:
        _check_descriptor(request.ack_fd)


@dataclass(frozen=True, slots=True)
class _Replayed:
    """The feeds of a call, the clock that their records are received by, and the rehearsal among them if there is one."""

    feeds: list[Feed]
    clock: Callable[[], int]
    rehearsal: FaultyFeed | None = None


def _replayed(request: RecordRequest, feeds: list[Feed]) -> _Replayed:
    """A replay on its own clock and with its faults; other feeds as they are."""
    if request.clock == "wall" and request.faults is None:
        return _Replayed(feeds, time.time_ns)
    from tailwag.sources.fault_script import read_fault_script
    from tailwag.sources.faulty_feed import FaultyFeed, MarketClock

    script = None if request.faults is None else read_fault_script(request.faults)
    clock = MarketClock()
    faulty = FaultyFeed(feeds[0].snapshots, script, clock=clock)
    return _Replayed([replace(feeds[0], snapshots=faulty)], clock if request.clock == "market" else time.time_ns, faulty)


def _check_replay(request: RecordRequest) -> None:
    if request.clock not in ("wall", "market"):
        raise InputError(f"--clock expects wall or market, got {request.clock[:20]!a}")
    if request.clock == "wall" and request.faults is None:
        return
    asked = "--clock market" if request.clock == "market" else "--faults"
    if len(request.source) != 1 or not request.source[0].startswith("replay:"):
        raise InputError(f"{asked} needs one source that has times of its own, such as replay:FOLDER; a store holds all of a day's sources")
    if request.every is not None:
        raise InputError(f"{asked} goes by the data's own times, --every by yours; leave --every out, or pace the replay with --speed")


def _tell_faults(replayed: _Replayed) -> None:
    if replayed.rehearsal is not None and replayed.rehearsal.counts:
        _complain("faults: " + ", ".join(f"{count} {kind}" for kind, count in sorted(replayed.rehearsal.counts.items())))


def _check_descriptor(number: int) -> None:
    try:
        os.write(number, b"")
    except OSError as error:
        raise InputError(
            f"--ack-fd {number} is no descriptor open for writing ({error.strerror}); open it in the shell, such as {number}>acks"
        ) from None


def _segment_bytes(mebibytes: float) -> int:
    if not (math.isfinite(mebibytes) and SMALLEST_SEGMENT_BYTES <= mebibytes * (1 << 20) <= 1 << 40):
        raise InputError(f"--segment-mib expects a size from 0.004 to 1048576, got {mebibytes:g}; leave it out for 64")
    return int(mebibytes * (1 << 20))


@contextmanager
def _until_signalled() -> Iterator[StopRequest]:
    """A request that SIGINT and SIGTERM make: the record under way is finished first."""
    stopped = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {number: signal.signal(number, lambda _number, _frame: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _sleeper(stopped: StopRequest) -> Any:
    def sleep(seconds: float) -> None:
        stopped.wait(seconds)

    return sleep


def _complain(text: str) -> None:
    sys.stderr.write(f"tailwag: {text}\n")
    sys.stderr.flush()


class _Recording:
    """Turns: one snapshot of every feed, then a pause until the next turn is due."""

    def __init__(self, request: RecordRequest, recorder: Recorder, stopped: StopRequest, clock: Callable[[], int]) -> None:
        self._request, self._recorder, self._stopped, self._clock = request, recorder, stopped, clock
        self._goes_on = request.every is not None or request.faults is not None
        self._left = math.inf if request.count is None else request.count
        self._troubles: dict[str, str] = {}
        self._compacted = 0
        self._doubles: Doubles | None = None

    def watch_for_doubles(self) -> None:
        """What is played again may be in the store already: index what is there before the first record."""
        played = [word for word in self._request.source if word.startswith("replay:") or os.path.exists(word)]
        if played and self._recorder.last_seq:
            from tailwag.sources.store.doubles import Doubles

            self._doubles = Doubles.of_store(Path(self._request.store))

    def _warn_of_double(self, snapshot: Snapshot) -> None:
        seq = None if self._doubles is None else self._doubles.seq_of(snapshot)
        if seq is not None:
            from tailwag.market.clock import format_time

            self._doubles = None  # one sentence is enough
            _complain(
                f"{snapshot.source.name} at {format_time(snapshot.as_of_ns)} is already record {seq} of {self._request.store}: "
                "what is played again is recorded again and counts twice; stop, or give another --store"
            )

    def run(self, feeds: list[Feed]) -> None:
        """Until every feed has ended, the count is reached, or a signal came."""
        due = time.monotonic()
        while feeds and self._left and not self._stopped.is_set():
            feeds = [feed for feed in feeds if self._left and not self._stopped.is_set() and self._turn(feed)]
            self._compact()
            pause = self._pause_seconds(feeds)
            due = max(due + pause, time.monotonic()) if pause else time.monotonic()
            if feeds and self._left:
                self._stopped.wait(max(due - time.monotonic(), 0.0))

    def _compact(self) -> None:
        """What was closed since the last time; a disk that refuses costs nothing but room."""
        number = self._recorder.segment_number
        if not self._request.compact or number == self._compacted:
            return
        self._compacted = number
        try:
            self._recorder.compact()
        except StoreBusyError:
            raise
        except StoreError as trouble:
            _complain(str(trouble))

    def _pause_seconds(self, feeds: list[Feed]) -> float:
        if self._request.every is not None:
            return self._request.every
        return max((feed.every_seconds for feed in feeds if feed.every_seconds is not None), default=0.0)

    def _turn(self, feed: Feed) -> bool:
        """Whether the feed goes on.  With ``--every`` this is a daemon: what a venue or the disk refuses now is tried again next turn.

        So is a rehearsal: its failures are meant.
        """
        try:
            snapshot = next(feed.snapshots)
            if snapshot is not None and not self._stopped.is_set():
                self._warn_of_double(snapshot)
                done = self._recorder.append(snapshot, received_ns=self._clock())
                if feed.kept is not None:
                    feed.kept()
                self._acknowledge(done)
                self._left -= 1
        except StopIteration:
            return False
        except (VenueError, StoreError) as trouble:
            if not self._goes_on or isinstance(trouble, (StoreBusyError, _ListenerGoneError)):
                raise
            self._say_once(feed.name, str(trouble))
            return True
        self._say_once(feed.name, "")
        return True

    def _say_once(self, name: str, trouble: str) -> None:
        if self._troubles.get(name, "") != trouble:
            _complain(f"{name}: {trouble}; trying again next turn" if trouble else f"{name}: recording again")
            self._troubles[name] = trouble

    def _acknowledge(self, done: Acknowledgement) -> None:
        if self._request.ack_fd is None:
            return
        from tailwag.market.clock import format_time

        line = f'{{"seq": {done.seq}, "as_of": "{format_time(done.as_of_ns)}", "sha256": "{done.sha256}"}}\n'
        _write_all(self._request.ack_fd, line.encode())


class _ListenerGoneError(StoreError):
    """Whoever read the acknowledgements has gone."""


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            import select

            select.select([], [descriptor], [])
        except OSError as error:
            raise _ListenerGoneError(
                f"nobody reads the acknowledgements on descriptor {descriptor} any more ({error.strerror}); what was recorded is safe"
            ) from None


def _summarise(store: str, first: int, last: int) -> None:
    if last < first:
        sys.stdout.write(f"recorded nothing new in {store}\n")
    else:
        sys.stdout.write(f"recorded {last - first + 1} snapshots in {store}: {first} to {last}\n")


def run_verify(store: str, json_file: str | None) -> None:
    """Read a whole store, say what is lost, and exit 1 if anything is damaged."""
    from tailwag.sources.opening import checked_path_text
    from tailwag.sources.store.verify import verify_store

    folder = Path(checked_path_text(store))
    found = verify_store(folder)
    stale, series = _derived(folder)
    if json_file:
        _write_json(json_file, {**found.document(), "stale_tables": stale, "damaged_series": series})
    if json_file != "-":
        sys.stdout.write(_sentences(store, found))
        sys.stdout.write(f"  tables of {len(stale)} periods are stale; the next tailwag query makes them anew\n" if stale else "")
        sys.stdout.write("".join(f"  series/{name} is damaged; tailwag serve sets it aside and measures again\n" for name in series))
    if found.damaged:
        raise SystemExit(1)


def _derived(folder: Path) -> tuple[list[str], list[str]]:
    """What is wrong with the files that were made from the records: none of it is a loss, all of it can be made again."""
    from tailwag.sources.store.series_files import damaged_series

    stale: list[str] = []
    if (folder / "tables").is_dir():
        from tailwag.sources.store.history import History
        from tailwag.sources.store.periods import stale_periods

        stale = stale_periods(folder, History.open(folder))
    return stale, damaged_series(folder)


def _write_json(path: str, document: dict[str, object]) -> None:
    from tailwag.experiments.report_json import strict_json

    text = strict_json(document) + b"\n"
    if path == "-":
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    try:
        Path(path).write_bytes(text)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; name a file in a folder that exists and may be written") from None


def _sentences(store: str, found: Verification) -> str:
    from tailwag.sources.store.verify import CODES

    lines = [f"{store}: {len(found.entries)} snapshots whole, numbers up to {found.last_seq}, {len(found.damaged)} breaks"]
    for one in found.damaged:
        lost = f"{one.from_seq} to {one.to_seq} lost" if one.to_seq >= one.from_seq else "nothing lost"
        lines.append(f"  {lost}: {one.code} ({CODES[one.code]})")
    if found.unacknowledged_bytes:
        lines.append(f"  {found.unacknowledged_bytes} bytes of a record that was never finished; the next recorder sets them aside")
    if found.quarantined_files:
        lines.append(f"  {found.quarantined_files} files in quarantine from earlier recoveries")
    return "\n".join(lines) + "\n"


def run_export(request: ExportRequest) -> None:
    """Write the records of a range as a table or as files; exit 1, after writing what there is, where some of the range is lost."""
    from tailwag.market.clock import parse_time_ns
    from tailwag.sources.opening import checked_path_text
    from tailwag.sources.store.history import History

    if request.form not in ("table", "snapshots", "trades"):
        raise InputError(f"--as expects table, snapshots or trades, got {request.form[:20]!a}")
    history = History.open(checked_path_text(request.store))
    span = [None if text is None else parse_time_ns(text) for text in (request.start, request.end)]
    readable, lost = _readable(history, history.batches if request.form == "trades" else history.between(*span))
    out = Path(request.out)
    if request.form == "trades":
        from tailwag.sources.store.trade_records import export_trades

        sys.stdout.write(f"wrote {out}: {export_trades(history, out, span[0], span[1]):,} trades\n")
    elif request.form == "table":
        from tailwag.sources.store.projection import export_table

        rows = export_table(history, readable, out)
        sys.stdout.write(f"wrote {out}: {rows:,} rows of {len(readable)} snapshots\n")
    else:
        from tailwag.sources.store.projection import export_snapshots

        sys.stdout.write(f"wrote {len(export_snapshots(history, readable, out))} snapshots to {out}\n")
    if lost or history.damaged:
        named = f" (among them {', '.join(map(str, lost[:10]))})" if lost else ""
        raise StoreError(
            f"{request.store}: the store is damaged and what is lost{named} is not in the export; see tailwag verify {request.store}"
        )


def _readable(history: Any, entries: Any) -> tuple[list[Any], list[int]]:
    """The records whose payload proves itself, and the numbers of those whose does not."""
    good, lost = [], []
    for entry in entries:
        try:
            history.payload(entry)
            good.append(entry)
        except TailwagError:
            lost.append(entry.record.seq)
    return good, lost
