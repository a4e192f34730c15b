"""Feeds: a SOURCE word of the recorder as a stream of snapshots, live, invented, or played again from files in the order of their times."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tailwag.errors import EmptyChainError, FileFormatError, InputError, VenueError
from tailwag.market.instrument import CURRENCIES
from tailwag.market.snapshot import Snapshot
from tailwag.sources.opening import bare_name, checked_path_text, links_in, list_folder, read_file
from tailwag.units import NS_PER_SECOND

VENUES = ("deribit", "okx", "bybit", "binance")
STREAMS = ("deribit-ws", "binance-ws")
"""Words of venues that push: a snapshot is what their stream holds at the turn."""
LIVE_SECONDS, STREAM_SECONDS, DEMO_SECONDS = 60.0, 5.0, 1.0
"""Pause between two snapshots unless one is given."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a feed may know of the world: the time (UTC ns), how to wait, whom to tell, and the currency to take from files."""

    clock: Callable[[], int]
    sleep: Callable[[float], None]
    say: Say
    currency: str = "BTC"
    recorded_until: Callable[[str, str], int | None] | None = None
    """(venue, currency) -> the time (UTC ns) up to which an earlier recorder has every trade; None where there was none."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A named stream of snapshots; ``every_seconds`` is the pause it asks for between two, None where it has its own pace."""

    name: str
    snapshots: Iterator[Snapshot | None]
    """None: nothing new this time."""
    every_seconds: float | None
    why: Callable[[], tuple[str, ...]] | None = None
    """Asked after a None: why a stream has nothing that may be published, most important reason first."""
    kept: Callable[[], None] | None = None
    """To be told when the last snapshot is on disk: until then its trades and liquidations are given again with each."""
    counters: Callable[[], Mapping[str, Mapping[str, int]]] | None = None
    """How often each kind of event was met on each connection since the start, where the feed counts."""


class Moment(NamedTuple):
    """One snapshot of a replay: its time and the file that holds it."""

    as_of_ns: int
    path: str


def open_feed(word: str, around: Surroundings, *, speed: float | None = None, again: bool = False) -> Feed:
    """The feed that a SOURCE word names: ``demo``, ``replay:FOLDER``, ``VENUE:CURRENCY``, ``deribit-ws:CURRENCY``, ``binance-ws:CURRENCY``,
    ``WORD+WORD`` (several as one), a file or a folder.

    ``speed`` paces a replay: 1 is as it happened, 60 is an hour a minute, None is as fast as it can be read.  With ``again`` a file or
    folder is read anew each time and given when it changed; else it is given once.

    Raises InputError, FileFormatError for a word or a file that cannot be used.
    """
    kind, colon, rest = word.partition(":")
    if speed is not None and not (kind == "replay" and 0.0 < speed < 1e9):
        raise InputError(f"--speed paces a replay and is a factor above 0, got {speed:g} for {word[:80]!a}; leave it out")
    if "+" in word and not os.path.exists(word):
        return _merged(word, around)
    if word == "demo":
        _refuse_demo(around.currency)
        return Feed(word, _demo(around), DEMO_SECONDS)
    if colon and kind == "replay":
        return Feed(word, _replay(rest, around, speed), None)
    if colon and kind in VENUES:
        if not rest:
            raise InputError(f"{word} names no currency; write it after the colon, such as {kind}:BTC")
        if rest not in CURRENCIES:
            raise InputError(f"expected a currency such as BTC or ETH, got {rest[:20]!a} in {word[:40]!a}; write it in capitals")
        return _live(word, kind, rest, around)
    if colon and kind == "deribit-ws":
        return _deribit_stream(word, rest, around)
    if colon and kind == "binance-ws":
        return _binance_stream(word, rest, around)
    checked_path_text(word)
    if not os.path.exists(word):
        raise InputError(
            f"expected demo, replay:FOLDER, VENUE:CURRENCY ({', '.join((*VENUES, *STREAMS))}), several such as deribit:BTC+binance-ws:BTC, "
            f"a file or a folder, got {word[:80]!a}"
        )
    return Feed(
        bare_name(word), _changing(word, around) if again else iter((_loaded(word, around, None),)), LIVE_SECONDS if again else None
    )


def is_stream(word: str) -> bool:
    """Whether a word names something that must be listened to: a venue that pushes, or several sources as one."""
    return word.partition(":")[0] in STREAMS or ("+" in word and not os.path.exists(word))


def one_snapshot(word: str, around: Surroundings) -> Snapshot:
    """The first snapshot of a stream, which is ended then.

    Raises InputError for a word that cannot be used, VenueError where nothing has come.
    """
    feed = open_feed(word, around, again=True)
    try:
        snapshot = next(feed.snapshots)
    finally:
        getattr(feed.snapshots, "close", lambda: None)()
    if snapshot is None:
        raise VenueError(
            f"{word}: nothing has come that can be used ({'; '.join(feed.why() if feed.why else ()) or 'no reason known'}); try again"
        )
    return snapshot


def _refuse_demo(currency: str) -> None:
    from tailwag.sources.demo_chain import SCALES

    if currency not in SCALES:
        raise InputError(f"expected a demo currency ({', '.join(SCALES)}), got {currency[:20]!a}; choose one of these")


def _demo(around: Surroundings) -> Iterator[Snapshot]:
    from tailwag.sources.demo_moving import moving_demo

    while True:
        # to the microsecond, so that the time in words is the time in numbers
        yield moving_demo(around.clock() // 1_000 * 1_000, currency=around.currency)


def _live(word: str, venue: str, currency: str, around: Surroundings) -> Feed:
    """A fetch that fails does not end the feed: the next turn asks again."""
    from tailwag.sources.trade_cursor import TradeCursor
    from tailwag.sources.venues import fetch

    class Live:
        since: TradeCursor | None = None

        def __iter__(self) -> Live:
            return self

        def __next__(self) -> Snapshot:
            if self.since is None and venue == "deribit":
                from_ns = None if around.recorded_until is None else around.recorded_until(venue, currency)
                self.since = TradeCursor(currency, from_ns=from_ns)
            return fetch(venue, currency, clock=around.clock, sleep=around.sleep, since=self.since)

        def kept(self) -> None:
            if self.since is not None:
                self.since.kept()

    live = Live()
    return Feed(word, live, LIVE_SECONDS, kept=live.kept)


def _deribit_stream(word: str, currency: str, around: Surroundings) -> Feed:
    from tailwag.sources.streams.deribit_feed import DeribitFeed

    def until() -> int | None:
        return None if around.recorded_until is None else around.recorded_until("deribit", currency)

    stream = DeribitFeed(currency, clock=around.clock, sleep=around.sleep, say=around.say).resuming(until)
    return Feed(word, stream, STREAM_SECONDS, stream.why, stream.kept, lambda: {word: stream.counters()})


def _binance_stream(word: str, currency: str, around: Surroundings) -> Feed:
    from tailwag.sources.streams.binance_feed import BinanceFeed

    stream = BinanceFeed(currency, clock=around.clock, sleep=around.sleep, say=around.say)
    return Feed(word, stream, STREAM_SECONDS, stream.why, stream.kept, stream.counters)


def _merged(word: str, around: Surroundings) -> Feed:
    from tailwag.sources.merged_feed import TURN_SECONDS, MergedFeed, checked_parts

    feeds = {part: open_feed(part, around, again=True) for part in checked_parts(word)}
    merged = MergedFeed(feeds, lambda part: open_feed(part, around, again=True), clock=around.clock, sleep=around.sleep, say=around.say)
    return Feed(word, merged, TURN_SECONDS, merged.why, merged.kept, merged.counters)


def _loaded(path: str, around: Surroundings, at_ns: int | None) -> Snapshot:
    from tailwag.sources.files import load

    return load(path, currency=around.currency, at_ns=at_ns)


def _changing(path: str, around: Surroundings) -> Iterator[Snapshot | None]:
    before = None
    while True:
        snapshot = _loaded(path, around, None)
        now = (snapshot.as_of_ns, snapshot.source.sha256)
        yield None if now == before else snapshot
        before = now


# playing files again


def _replay(folder: str, around: Surroundings, speed: float | None) -> Iterator[Snapshot]:
    if not folder or not os.path.isdir(folder):
        raise InputError(f"replay: expects a folder, got {bare_name(folder)!a}; write replay:FOLDER")
    from tailwag.sources.store.segments import segment_numbers

    played = _from_store(folder) if segment_numbers(Path(folder)) else _from_files(folder, around)
    return played if speed is None else _paced(played, around, speed)


def _from_store(folder: str) -> Iterator[Snapshot]:
    from tailwag.sources.store.history import History

    return History.open(folder).snapshots()


def _from_files(folder: str, around: Surroundings) -> Iterator[Snapshot]:
    moments = replay_moments(folder, around)
    if not moments:
        raise InputError(
            f"replay: found no snapshot with {around.currency} options in {bare_name(folder)}{links_in(folder)}; "
            "give another folder or --currency"
        )
    return (_loaded(moment.path, around, moment.as_of_ns) for moment in moments)


def replay_moments(folder: str, around: Surroundings) -> list[Moment]:
    """Every snapshot of a folder's files, in the order of their times.

    Files that are each a market of their own are taken one by one; where some are only pieces (an order book beside its chain), the
    folder is read as a whole for each moment.  Files of no known kind, or without the currency, are left out and named.

    Raises FileFormatError for a damaged file.
    """
    paths = [os.path.join(folder, name) for name in list_folder(folder)]
    kinds = {path: _kind(path) for path in paths}
    found: list[Moment] = []
    for path in paths:
        if kinds[path] in ("csv", "parquet", "unknown", "trades"):
            around.say(f"{bare_name(path)} left out, it holds no chain")
            continue
        try:
            found.extend(_moments_of(path, around))
        except FileFormatError:
            if kinds[path] != "deribit-rest":
                raise
            return sorted(_moments_of(folder, around))
    return sorted(found)


def _kind(path: str) -> str:
    from tailwag.sources.files import kind_of_file

    return kind_of_file(read_file(path))


def _moments_of(path: str, around: Surroundings) -> list[Moment]:
    """The snapshots in one file or folder, from the last back to the first."""
    found: list[Moment] = []
    at_ns: int | None = None
    while True:
        try:
            as_of_ns = _loaded(path, around, at_ns).as_of_ns
        except EmptyChainError as nothing:
            if not found:
                around.say(f"{bare_name(path)} left out: {nothing}")
            return found
        if at_ns is not None and as_of_ns > at_ns:
            return found
        found.append(Moment(as_of_ns, path))
        at_ns = as_of_ns - 1


def _paced(snapshots: Iterator[Snapshot], around: Surroundings, speed: float) -> Iterator[Snapshot]:
    """Each snapshot when its time has come: lateness of one is caught up by the next."""
    started_ns = first_ns = None
    for snapshot in snapshots:
        if started_ns is None or first_ns is None:
            started_ns, first_ns = around.clock(), snapshot.as_of_ns
        due_ns = started_ns + (snapshot.as_of_ns - first_ns) / speed
        wait_seconds = (due_ns - around.clock()) / NS_PER_SECOND
        if wait_seconds > 0.0:
            around.sleep(wait_seconds)
        yield snapshot
