"""``WORD+WORD``: several sources as one, live: each in its own thread, joined each turn from the newest of each; nothing old joins unseen.

A chain from one venue and the depth of another make one measurement:  ``deribit:BTC+binance-ws:BTC``.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tailwag.errors import InputError, TailwagError
from tailwag.market.liquidations import Liquidations
from tailwag.market.trades import Trades
from tailwag.sources.merge import merge
from tailwag.units import NS_PER_SECOND

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot
    from tailwag.sources.feeds import Feed

GRACE_SECONDS = 3.0
"""Beyond a part's own interval; with the turn that finds it late it stays under the five seconds that are promised."""
TURN_SECONDS = 1.0
"""Between two looks at the parts; a snapshot is made where one of them gave something new, or is no longer fresh."""
FIRST_WAIT_SECONDS, STEP_SECONDS = 30.0, 0.1
LONGEST_PAUSE_SECONDS = 60.0
MOST_PARTS = 8
MOST_WAITING = 50_000
"""Trades of one part that wait to be kept; the oldest make room, and what they covered is claimed no more."""


def checked_parts(word: str) -> tuple[str, ...]:
    """The parts of ``WORD+WORD``.

    >>> checked_parts("deribit:BTC+binance-ws:BTC")
    ('deribit:BTC', 'binance-ws:BTC')

    Raises InputError for parts that cannot be one live market: the synthetic demo beside others, a replay, a word twice, none with options.
    """
    parts = tuple(word.split("+"))
    if not all(parts) or len(parts) > MOST_PARTS:
        raise InputError(f"expected WORD+WORD such as deribit:BTC+binance-ws:BTC, at most {MOST_PARTS}, got {word[:80]!a}")
    if "demo" in parts:
        raise InputError(f"the demo is synthetic and is never mixed with a market, got {word[:80]!a}; serve it as a source of its own")
    if any(part.startswith("replay:") for part in parts):
        raise InputError(f"a replay has times of its own and joins no live source, got {word[:80]!a}; give it as a source of its own")
    if len(set(parts)) < len(parts):
        raise InputError(f"expected each source once, got {word[:80]!a}; leave the second one out")
    if all(part.startswith("binance-ws:") for part in parts):
        raise InputError(f"binance-ws has no options, got {word[:80]!a}; join it to a chain: deribit:BTC+binance-ws:BTC")
    return parts


@dataclass(slots=True)
class _Part:
    """One source's newest snapshot and when it arrived; what was traded is given again until it is kept."""

    limit_seconds: float
    snapshot: Snapshot | None = None
    arrived_at: float = -math.inf
    trouble: str = ""
    trades: list[Trades] = field(default_factory=list)
    forced: list[Liquidations] = field(default_factory=list)
    offered: tuple[int, int] = (0, 0)
    """How many of the tables the last snapshot held."""
    lost: int = 0
    counters: Callable[[], Mapping[str, Mapping[str, int]]] | None = None

    def wait(self, snapshot: Snapshot) -> None:
        """What was traded waits to be kept; the oldest makes room."""
        self.trades += [] if snapshot.trades is None else [snapshot.trades]
        self.forced += [] if snapshot.liquidations is None else [snapshot.liquidations]
        while len(self.trades) > 1 and sum(map(len, self.trades)) > MOST_WAITING:
            self.lost += len(self.trades.pop(0))
            self.offered = (max(self.offered[0] - 1, 0), self.offered[1])
        while len(self.forced) > 1 and sum(map(len, self.forced)) > MOST_WAITING:
            self.forced.pop(0)
            self.offered = (self.offered[0], max(self.offered[1] - 1, 0))

    def kept(self) -> None:
        """The tables that the last snapshot held are on disk."""
        if self.offered != (0, 0):
            del self.trades[: self.offered[0]], self.forced[: self.offered[1]]
            self.offered, self.lost = (0, 0), 0


class MergedParts:
    """The newest of each part and how old it is, on a monotonic clock in seconds; decisions only, no thread and no clock of its own."""

    def __init__(self, limits_seconds: Mapping[str, float]) -> None:
        self._parts = {word: _Part(limit) for word, limit in limits_seconds.items()}
        self._joined_before: frozenset[str] = frozenset()
        self._news = False

    def arrived(self, word: str, snapshot: Snapshot, now: float) -> bool:
        """A part gave a snapshot: whether it was taken; one that is not newer than its last renews nothing."""
        part = self._parts[word]
        if part.snapshot is not None and snapshot.as_of_ns <= part.snapshot.as_of_ns:
            return False
        part.snapshot, part.arrived_at, part.trouble, self._news = snapshot, now, "", True
        part.wait(snapshot)
        return True

    def kept(self) -> None:
        """The last snapshot is on disk: its trades and liquidations are not given again."""
        for part in self._parts.values():
            part.kept()

    def counted_by(self, word: str, counters: Callable[[], Mapping[str, Mapping[str, int]]] | None) -> None:
        """Who counts what a part meets from now on."""
        self._parts[word].counters = counters

    def counters(self) -> dict[str, Mapping[str, int]]:
        """How often each kind of event was met, by connection."""
        asked = [part.counters for part in self._parts.values() if part.counters is not None]
        return {name: counts for ask in asked for name, counts in ask().items()}

    def failed(self, word: str, sentence: str) -> None:
        """A part's turn failed; what it gave before is used until it is too old."""
        self._parts[word].trouble = sentence

    def complete(self) -> bool:
        """Whether every part has given something or said why not."""
        return all(part.snapshot is not None or part.trouble for part in self._parts.values())

    def why(self, now: float) -> tuple[str, ...]:
        """One sentence for each part that is left out."""
        return tuple(self._left_out(word, part) for word, part in self._parts.items() if not _is_fresh(part, now))

    def merged(self, now: float) -> Snapshot | None:
        """One snapshot of the parts that are fresh; None where none is, or where nothing has changed since the last one.

        A part beyond its limit is left out and named, with its share of open interest where it holds options.  Where no part with options
        is fresh the snapshot has none, which no reader takes for a market.

        Raises InputError where synthetic and real data would be mixed, and whatever :func:`tailwag.merge` finds among chains.
        """
        fresh = {word: part for word, part in self._parts.items() if _is_fresh(part, now)}
        if not fresh or not (self._news or self._joined_before != fresh.keys()):
            return None
        self._news, self._joined_before = False, frozenset(fresh)
        given = {word: _with_waiting(part) for word, part in fresh.items()}
        if len({snapshot.source.synthetic for snapshot in given.values()}) > 1:
            raise InputError(f"synthetic and real data are never mixed ({' + '.join(given)}); serve them as sources of their own")
        joined, held, refused = _joined(given)
        ages = (f"{word} came {max(now - part.arrived_at, 0.0):.1f} s before this snapshot was joined" for word, part in fresh.items())
        doubts = (*self.why(now), *refused, *self._lagging(fresh), *self._made_room())
        for word, part in self._parts.items():
            part.offered = (len(part.trades), len(part.forced)) if word in held else (0, 0)
        return joined.with_parts(degraded=(*doubts, *joined.degraded), notes=(*joined.notes, *ages))

    def _made_room(self) -> tuple[str, ...]:
        return tuple(
            f"{part.lost:,} option trades of {word} came while no snapshot was kept and are not in this one"
            for word, part in self._parts.items()
            if part.lost
        )

    def _left_out(self, word: str, part: _Part) -> str:
        reason = f": {part.trouble}" if part.trouble else ""
        if part.snapshot is None:
            return f"{word} has given nothing yet{reason}"
        total = math.fsum(_interest(each.snapshot) for each in self._parts.values() if each.snapshot is not None)
        own = _interest(part.snapshot)
        held = f"it held {own / total:.1%} of open interest" if own > 0.0 else "books, perps and liquidations of it are missing"
        return f"{word} is silent for more than {part.limit_seconds:g} s and left out, {held}{reason}"

    def _lagging(self, fresh: Mapping[str, _Part]) -> tuple[str, ...]:
        """Parts that arrive in time with data that are not of this time."""
        times = {word: part.snapshot.as_of_ns for word, part in fresh.items() if part.snapshot is not None}
        newest = max(times.values())
        late = [word for word, as_of_ns in times.items() if newest - as_of_ns > 2.0 * self._parts[word].limit_seconds * NS_PER_SECOND]
        return tuple(f"{word} arrives with times far behind the others': it may be old" for word in late)


def _is_fresh(part: _Part, now: float) -> bool:
    return part.snapshot is not None and now - part.arrived_at <= part.limit_seconds


def _interest(snapshot: Snapshot | None) -> float:
    return 0.0 if snapshot is None else math.fsum(snapshot.chain.counted_open_interest_coin().tolist())


def _with_waiting(part: _Part) -> Snapshot:
    """The part's snapshot with the trades and liquidations that no kept one holds."""
    assert part.snapshot is not None
    trades = Trades.joined(part.trades) if part.trades else None
    return part.snapshot.with_parts(trades=trades, liquidations=Liquidations.joined(part.forced) if part.forced else None)


def _joined(given: Mapping[str, Snapshot]) -> tuple[Snapshot, frozenset[str], tuple[str, ...]]:
    """All of them; where one without options does not fit the others, the others without it; and which it holds."""
    parts = list(given.values())
    if len(parts) == 1:
        return parts[0], frozenset(given), ()
    try:
        return merge(parts), frozenset(given), ()
    except TailwagError as trouble:
        chains = {word: part for word, part in given.items() if len(part.chain)}
        if not chains or len(chains) == len(given):
            raise
        without = ", ".join(word for word in given if word not in chains)
        return merge(list(chains.values())), frozenset(chains), (f"{without} left out: {trouble}",)


class MergedFeed:
    """An iterator of the joined market at each turn; None while no part is fresh, never an end.

    The threads start with the first turn and end with :meth:`close`, or when nobody holds the feed any more.
    """

    def __init__(
        self,
        feeds: Mapping[str, Feed],
        reopen: Callable[[str], Feed],
        *,
        clock: Callable[[], int],
        sleep: Callable[[float], None],
        say: Callable[[str], None] = lambda _text: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = {word: (feed.every_seconds or TURN_SECONDS) + GRACE_SECONDS for word, feed in feeds.items()}
        self._parts, self._lock = MergedParts(limits), threading.Lock()
        self._feeds, self._reopen = dict(feeds), reopen
        self._sleep, self._say, self._monotonic = sleep, say, monotonic
        self._stopping = threading.Event()
        self._started = False

    def __iter__(self) -> Iterator[Snapshot | None]:
        return self

    def __next__(self) -> Snapshot | None:
        if not self._started:
            self._first()
        with self._lock:
            return self._parts.merged(self._monotonic())

    def _first(self) -> None:
        self._started = True
        for word, feed in self._feeds.items():
            asked = (self._parts, self._lock, self._stopping, self._monotonic)
            threading.Thread(target=_follow, args=(word, feed, self._reopen, *asked), name=f"tailwag part {word}", daemon=True).start()
        self._feeds.clear()
        for _ in range(int(FIRST_WAIT_SECONDS / STEP_SECONDS)):
            with self._lock:
                if self._parts.complete():
                    return
            self._sleep(STEP_SECONDS)

    def why(self) -> tuple[str, ...]:
        """Why parts are left out."""
        with self._lock:
            return self._parts.why(self._monotonic())

    def kept(self) -> None:
        """The last snapshot is on disk: its trades and liquidations are not given again."""
        with self._lock:
            self._parts.kept()

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """What each part's connections have met since the start."""
        with self._lock:
            return self._parts.counters()

    def close(self) -> None:
        """Let every part end after its turn."""
        self._stopping.set()

    def __del__(self) -> None:
        if hasattr(self, "_stopping"):
            self._stopping.set()


def _follow(
    word: str,
    feed: Feed,
    reopen: Callable[[str], Feed],
    parts: MergedParts,
    lock: threading.Lock,
    stopping: threading.Event,
    monotonic: Callable[[], float],
) -> None:
    """One part's turns until the end; holds no reference to the merged feed, so that forgetting that one ends this."""
    failures = 0
    current: Feed | None = feed
    every = feed.every_seconds or TURN_SECONDS
    while not stopping.is_set():
        started = monotonic()
        try:
            current = reopen(word) if current is None else current
            snapshot = next(current.snapshots)
            failures = 0
            with lock:
                parts.counted_by(word, current.counters)
                # what is held here waits until it is on disk: the part need not give it again
                taken = snapshot is not None and parts.arrived(word, snapshot, monotonic())
                if snapshot is None and current.why is not None:
                    parts.failed(word, "; ".join(current.why()))
            if taken and current.kept is not None:
                current.kept()
        except StopIteration:
            current, failures = None, failures + 1
        except Exception as error:  # whatever one part does, the others go on
            failures += 1
            with lock:
                parts.failed(word, str(error) if isinstance(error, TailwagError) else f"internal error ({type(error).__name__})")
        pause = every if not failures else min(every * 2.0 ** min(failures - 1, 10), max(every, LONGEST_PAUSE_SECONDS))
        stopping.wait(max(pause - (monotonic() - started), 0.05))
    close = getattr(None if current is None else current.snapshots, "close", None)
    if close is not None:
        close()
