"""The monitor: each source in its own thread, each snapshot recorded, the newest measured, the result published; nothing queues up."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tailwag.errors import TailwagError
from tailwag.service.build import code_hash
from tailwag.service.log import without_secrets
from tailwag.service.publish import Board, Publication, nothing_from
from tailwag.service.staleness import Freshness, Health, SourceState
from tailwag.units import NS_PER_SECOND

if TYPE_CHECKING:
    from tailwag.experiments.options import MeasureOptions
    from tailwag.market.snapshot import Snapshot
    from tailwag.service.metrics import Metrics
    from tailwag.sources.feeds import Feed

WATCH_SECONDS = 0.5
HEARTBEAT_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0
SURFACE = "surface"
"""Where a volatility comes from that no venue stated."""
PATIENCE_SECONDS = 10.0
"""A reply that took longer than this is counted as so much older: parts of it may be."""
Observer = Callable[[Publication, Health], Iterable[Mapping[str, Any]]]
"""Sees each publication and each change of health; what it returns goes out as alerts.  A source that never published, once its first time
is up, comes as a publication with seq 0 and an empty document."""


class Acknowledged(Protocol):
    """What the recorder says of a snapshot that is on disk."""

    @property
    def seq(self) -> int: ...


class Keeper(Protocol):
    """Whoever makes snapshots durable."""

    def append(self, snapshot: Snapshot, *, received_ns: int) -> Acknowledged: ...


class Rows(Protocol):
    """Whoever keeps the series of measured numbers."""

    def append(self, publication: Publication) -> None: ...
    def priced(self, source: str, snapshot: Snapshot, *, seq: int, believed: bool = True) -> None: ...


class Log(Protocol):
    """The structured log."""

    def info(self, event: str, **facts: Any) -> Any: ...
    def warning(self, event: str, **facts: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class World:
    """Time as the monitor sees it: wall clock (UTC ns), monotonic seconds, and a wait that ends early when the monitor stops."""

    clock: Callable[[], int]
    monotonic: Callable[[], float]
    wait: Callable[[float], bool]
    """Waits so many seconds; True when it is time to stop."""


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """One source: its public name, how to open it, and the seconds from one turn to the next (None: the feed's own pace)."""

    name: str
    open: Callable[[], Feed]
    every_seconds: float | None = None
    expected_seconds: float = 1.0
    live: bool = False
    """Whether its snapshots state the time of now, so that one of another time came late or by a wrong clock."""
    ends: bool = False
    """Whether it may run out (a replay, a file read once): then it is not opened again."""


@dataclass(slots=True)
class _Waiting:
    """The one snapshot of a source that waits to be measured, and how many newer ones have replaced others since the last measurement."""

    snapshot: Snapshot
    seq: int
    received_ns: int
    arrived_at: float
    skipped: int


@dataclass(slots=True)
class _Source:
    plan: SourcePlan
    freshness: Freshness
    feed: Feed | None = None
    failures: int = 0
    last_state: SourceState | None = None
    last_reasons: tuple[str, ...] = ()
    was_starting: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Monitor:
    """Sources in, publications out.

    ``turn``, ``measure_one`` and ``watch`` are one step each of what the threads of :meth:`start` repeat, so that tests can drive a
    monitor through a day of virtual time without a thread.
    """

    def __init__(
        self,
        plans: Iterable[SourcePlan],
        *,
        keeper: Keeper,
        options: MeasureOptions,
        board: Board,
        world: World,
        log: Log,
        metrics: Metrics,
        rows: Rows | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.board, self.options = board, options
        self._keeper, self._world, self._log, self._metrics, self._rows = keeper, world, log, metrics, rows
        self._observers = tuple(observers)
        now = world.monotonic()
        self._sources = {plan.name: _Source(plan, Freshness(interval_seconds=plan.expected_seconds, started_at=now)) for plan in plans}
        self._waiting: dict[str, _Waiting] = {}
        self._arrived = threading.Condition()
        self._measuring = False
        self._keeping = threading.Lock()
        self._stopped = threading.Event()
        self._beat_at = now
        self._threads: list[threading.Thread] = []
        for name, source in self._sources.items():
            self._tell_health(name, source.freshness.health(now))

    @property
    def names(self) -> tuple[str, ...]:
        """The sources' names, the first one first."""
        return tuple(self._sources)

    # one source's turn

    def turn(self, name: str) -> float | None:
        """Take one snapshot from a source and record it; the seconds to pause then, None where the source has ended."""
        source, began_at = self._sources[name], self._world.monotonic()
        try:
            if source.feed is None:
                source.feed = source.plan.open()
            snapshot = next(source.feed.snapshots)
        except StopIteration:
            return self._ended(source)
        except Exception as error:  # whatever one source does, the others go on
            return self._failed(source, error)
        if snapshot is not None:
            try:
                self._keep(source, snapshot, began_at)
            except Exception as error:
                return self._failed(source, error, reopen=False)
        elif source.feed.why is not None:
            self._ask_why(source, source.feed.why())
        source.failures = 0
        self._note_stream(source)
        return self._pause(source)

    def _note_stream(self, source: _Source) -> None:
        """What the connections of a stream have met since the last turn."""
        counters = None if source.feed is None else source.feed.counters
        met = self._metrics.streamed(source.plan.name, counters()) if counters is not None else {}
        if met:
            self._log.info("stream trouble", source=source.plan.name, **met)

    def _ask_why(self, source: _Source, reasons: tuple[str, ...]) -> None:
        """A stream that has nothing to give says why: that is what its staleness will be shown with."""
        with source.lock:
            source.freshness.trouble(without_secrets("; ".join(reasons)) or "the stream gives nothing")

    def _keep(self, source: _Source, snapshot: Snapshot, began_at: float) -> None:
        received_ns, arrived_at = self._world.clock(), self._world.monotonic()
        arrived_at -= max(arrived_at - began_at - PATIENCE_SECONDS, 0.0)
        with self._keeping:
            seq = self._keeper.append(snapshot, received_ns=received_ns).seq
        if source.feed is not None and source.feed.kept is not None:
            source.feed.kept()
        self._metrics.recorded(source.plan.name)
        with source.lock:
            doubt = source.freshness.doubt(snapshot, arrived_at=arrived_at)
        self._keep_price(source.plan.name, snapshot, seq, believed=not doubt)
        if doubt:
            self._metrics.doubted(source.plan.name)
            self._log.warning("snapshot not believed", source=source.plan.name, seq=seq, reason=doubt)
            return
        with self._arrived:
            before = self._waiting.get(source.plan.name)
            skipped = 0 if before is None else before.skipped + 1
            self._waiting[source.plan.name] = _Waiting(snapshot, seq, received_ns, arrived_at, skipped)
            self._arrived.notify()

    def _pause(self, source: _Source) -> float:
        if source.plan.every_seconds is not None:
            return source.plan.every_seconds
        every = None if source.feed is None else source.feed.every_seconds
        return 0.0 if every is None else every

    def _ended(self, source: _Source) -> float | None:
        source.feed = None
        if source.plan.ends:
            with source.lock:
                source.freshness.trouble("the source has ended")
            self._log.info("source ended", source=source.plan.name)
            return None
        return self._failed(source, TailwagError("the source ended; it is opened again"))

    def _failed(self, source: _Source, error: Exception, *, reopen: bool = True) -> float:
        known = isinstance(error, TailwagError)
        sentence = str(error) if known else f"internal error ({type(error).__name__})"
        source.failures += 1
        if reopen:
            source.feed = None
        with source.lock:
            source.freshness.trouble(without_secrets(sentence))  # every viewer reads it
        self._metrics.failed(source.plan.name, type(error).__name__)
        self._log.warning("source failed", source=source.plan.name, failures=source.failures, reason=sentence)
        usual = max(source.plan.every_seconds or source.plan.expected_seconds, 0.05)
        return float(min(max(usual, 0.5) * 2.0 ** min(source.failures - 1, 16), max(LONGEST_PAUSE_SECONDS, usual)))

    # measuring

    def measure_one(self) -> bool:
        """Measure and publish the snapshot that has waited longest; False where none waits."""
        with self._arrived:
            if not self._waiting:
                return False
            name = next(iter(self._waiting))
            waiting = self._waiting.pop(name)
            self._measuring = True
        source = self._sources[name]
        try:
            self._measure(source, waiting)
        except Exception as error:
            sentence = str(error) if isinstance(error, TailwagError) else f"internal error ({type(error).__name__})"
            with source.lock:
                source.freshness.trouble(without_secrets(f"the last snapshot could not be measured: {sentence}"))
            self._metrics.failed(name, type(error).__name__)
            self._log.warning("snapshot not measured", source=name, seq=waiting.seq, reason=sentence)
        finally:
            self._measuring = False
        return True

    def idle(self) -> bool:
        """Whether no snapshot waits to be measured and none is being measured."""
        with self._arrived:
            return not self._waiting and not self._measuring

    def _measure(self, source: _Source, waiting: _Waiting) -> None:
        from tailwag.experiments.measure import measure

        name = source.plan.name
        with self._metrics.measuring():
            measurement = measure(waiting.snapshot, self.options)
            document = measurement.document()
        if unknown := document["exposure"].get("reason"):
            self._refuse(source, waiting.seq, f"the last reply held no usable option: {unknown}")
            return
        publication = Publication(
            source=name,
            currency=waiting.snapshot.currency,
            seq=waiting.seq,
            as_of_ns=waiting.snapshot.as_of_ns,
            received_ns=waiting.received_ns,
            document=document,
            measurement=measurement,
            skipped=waiting.skipped,
            code_hash=code_hash(),
        )
        with source.lock:
            source.freshness.believe(
                waiting.snapshot, arrived_at=waiting.arrived_at, degraded=(*_skew(source, publication), *_doubts(publication))
            )
            health = source.freshness.health(self._world.monotonic())
        self._note(source, health)
        self._metrics.published(publication, health)
        self.board.publish(publication, health)
        self._keep_row(publication)
        self._observe(name, publication, health)

    def _refuse(self, source: _Source, seq: int, sentence: str) -> None:
        """A snapshot that is recorded and of which nothing is known: the numbers of the one before stay, and are told to be stale."""
        with source.lock:
            source.freshness.refuse(sentence)
        self._metrics.doubted(source.plan.name)
        self._log.warning("snapshot not believed", source=source.plan.name, seq=seq, reason=sentence)

    def _keep_row(self, publication: Publication) -> None:
        if self._rows is None:
            return
        try:
            self._rows.append(publication)
        except Exception as error:  # the series can be made again from the store
            self._log.warning("series not written", source=publication.source, seq=publication.seq, reason=type(error).__name__)

    def _keep_price(self, name: str, snapshot: Snapshot, seq: int, *, believed: bool) -> None:
        if self._rows is None:
            return
        try:
            self._rows.priced(name, snapshot, seq=seq, believed=believed)
        except Exception as error:  # prices can be read again from the store
            self._log.warning("price not written", source=name, seq=seq, reason=type(error).__name__)

    def _observe(self, name: str, publication: Publication, health: Health) -> None:
        for observer in self._observers:
            try:
                for alert in observer(publication, health):
                    self.board.alert(name, alert)
            except Exception as error:
                self._log.warning("observer failed", source=name, reason=f"{type(error).__name__}: {error}")

    # watching

    def watch(self) -> None:
        """Compare every source with its clock; a change of state goes out at once, and a heartbeat every few seconds."""
        now = self._world.monotonic()
        beat = now - self._beat_at >= HEARTBEAT_SECONDS
        if beat:
            self._beat_at = now
        for name, source in self._sources.items():
            with source.lock:
                health = source.freshness.health(now)
            changed = self._note(source, health)
            if changed or beat or self._new_reason(source, health):
                self._tell_health(name, health)
            newest = self.board.sources()[name][0]
            if changed and not (newest is None and health.starting):
                self._observe(name, newest or nothing_from(name), health)

    def _new_reason(self, source: _Source, health: Health) -> bool:
        """Whether a source that has shown nothing so far has something new to say of why: that is all a viewer has of it."""
        new = health.age_seconds is None and health.reasons != source.last_reasons
        source.last_reasons = health.reasons
        return new

    def _note(self, source: _Source, health: Health) -> bool:
        """Whether the state differs from the one last told; to have had time enough to start is a change too."""
        changed = health.state != source.last_state or health.starting != source.was_starting
        if changed:
            source.last_state, source.was_starting = health.state, health.starting
            self._log.info("source state", source=source.plan.name, state=str(health.state), reasons=list(health.reasons))
        return changed

    def _tell_health(self, name: str, health: Health) -> None:
        self._metrics.health(name, health)
        self.board.beat(name, health)

    # threads

    def start(self) -> None:
        """Run every source, the measuring and the watch, each in a thread, until :meth:`stop`."""
        jobs: list[tuple[str, Callable[[], None]]] = [("measure", self._measure_forever), ("watch", self._watch_forever)]
        jobs += [(f"source {name}", lambda name=name: self._turn_forever(name)) for name in self._sources]  # type: ignore[misc]
        for title, job in jobs:
            thread = threading.Thread(target=job, name=f"tailwag {title}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, *, within_seconds: float = 5.0) -> None:
        """Ask every thread to end and wait for those that can."""
        self._stopped.set()
        with self._arrived:
            self._arrived.notify_all()
        for thread in self._threads:
            thread.join(within_seconds)

    def _turn_forever(self, name: str) -> None:
        due = self._world.monotonic()
        while not self._stopped.is_set():
            pause = self.turn(name)
            if pause is None:
                return
            now = self._world.monotonic()
            due = max(due + pause, now)
            if self._world.wait(due - now):
                return

    def _measure_forever(self) -> None:
        while not self._stopped.is_set():
            if not self.measure_one():
                with self._arrived:
                    if not self._waiting and not self._stopped.is_set():
                        self._arrived.wait(1.0)

    def _watch_forever(self) -> None:
        while not self._stopped.is_set():
            self.watch()
            if self._world.wait(WATCH_SECONDS):
                return


def _skew(source: _Source, publication: Publication) -> tuple[str, ...]:
    """The sentence about a live snapshot whose time is not that of its arrival; the age itself counts from the arrival."""
    seconds = (publication.received_ns - publication.as_of_ns) / NS_PER_SECOND
    told = any(sentence.startswith("the local clock") for sentence in publication.document["degraded"])
    if not source.plan.live or told or abs(seconds) <= source.freshness.max_age_seconds:
        return ()
    side = "behind" if seconds > 0.0 else "ahead of"
    return (f"its time is {abs(seconds):,.1f} s {side} the local clock's: it came late, or one of the clocks is wrong",)


def _doubts(publication: Publication) -> tuple[str, ...]:
    """Why a measurement is degraded: the source's own sentences, and open interest that no sum holds."""
    masked = publication.quarantined
    share = masked["open_interest_share"] or 0.0
    out = (f"{masked['instruments']} options with {share:.2%} of open interest are masked",) if share > 0.0 else ()
    return (*publication.document["degraded"], *out, *_stand_ins(publication))


def _stand_ins(publication: Publication) -> tuple[str, ...]:
    """Positions that are priced at the fitted smile because their own volatility is missing."""
    rows = publication.document["book"]
    held = [abs(position or 0.0) for position in rows["position_coin"]]
    stood_in = [coins for coins, origin in zip(held, rows["iv_source"], strict=True) if origin == SURFACE and coins > 0.0]
    if not stood_in or publication.document["assumptions"]["vol"] == SURFACE:
        return ()
    share = math.fsum(stood_in) / math.fsum(held)
    return (f"{len(stood_in)} options with {share:.2%} of open interest state no volatility; the fitted smile stands in",)
