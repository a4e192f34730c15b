"""Several sources as one live market: what is joined, what is left out and said, and that nothing old joins unseen."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from tests.sources.binance_exchange import BinanceExchange

from tailwag.errors import InputError, VenueError
from tailwag.market.book import OrderBook
from tailwag.market.chain import Chain
from tailwag.market.liquidations import Liquidations
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.service.staleness import Freshness, SourceState
from tailwag.sources.demo import DEFAULT_AS_OF_NS, demo
from tailwag.sources.feeds import Feed, Surroundings, open_feed
from tailwag.sources.merge import merge
from tailwag.sources.merged_feed import MergedFeed, MergedParts, checked_parts
from tailwag.units import NS_PER_SECOND

OPTIONS, MORE, BOOKS = "deribit:BTC", "okx:BTC", "binance-ws:BTC"


def chain(venue: str = "deribit", *, seconds: float = 0.0, seed: int = 7) -> Snapshot:
    """A market of options that passes for real."""
    made = demo(seed=seed, as_of_ns=DEFAULT_AS_OF_NS + round(seconds * NS_PER_SECOND))
    named = made.chain.with_columns(venue=np.full(len(made.chain), venue, dtype=object))
    return made.with_parts(chain=named, source=Source(venue, f"{venue}:BTC"), books=(), trades=None)


def books(*, seconds: float = 0.0, spot_usd: float | None = None, forced_usd: float | None = None) -> Snapshot:
    """Spot and perp depth without options, in line with the chain's price."""
    at_ns = DEFAULT_AS_OF_NS + round(seconds * NS_PER_SECOND)
    spot = spot_usd or chain().spot_usd
    steps = np.arange(1, 200) * 1e-4
    sides = {
        "bids": np.column_stack((spot * (1.0 - steps), np.full(steps.size, 12.0))),
        "asks": np.column_stack((spot * (1.0 + steps), np.full(steps.size, 12.0))),
    }
    return Snapshot(
        currency="BTC",
        as_of_ns=at_ns,
        spot_usd=spot,
        chain=Chain.from_columns(currency="BTC", as_of_ns=at_ns, instrument=[]),
        futures=Futures.from_columns(instrument=["BTCUSDT"], venue=["binance"], kind=["perp"], mark_usd=[spot]),
        source=Source("binance-ws", BOOKS),
        books=tuple(
            OrderBook.from_levels(venue="binance", instrument="BTCUSDT", kind=kind, as_of_ns=at_ns, **sides) for kind in ("spot", "perp")
        ),
        liquidations=None
        if forced_usd is None
        else Liquidations.from_columns(
            instrument=["BTCUSDT"], venue=["binance"], time_ns=[at_ns], order_sign=[-1], amount_usd=[forced_usd]
        ),
    )


def two() -> MergedParts:
    return MergedParts({OPTIONS: 63.0, BOOKS: 8.0})


class TestWords:
    @pytest.mark.parametrize(
        ("word", "sentence"),
        [
            ("demo+binance-ws:BTC", "never mixed"),
            ("demo+replay:x", "never mixed"),
            ("deribit:BTC+replay:x", "times of its own"),
            ("deribit:BTC+deribit:BTC", "each source once"),
            ("deribit:BTC+", r"WORD\+WORD"),
            ("binance-ws:BTC+binance-ws:ETH", "has no options"),
        ],
    )
    def test_what_cannot_be_one_market_is_refused_in_a_sentence(self, word: str, sentence: str) -> None:
        with pytest.raises(InputError, match=sentence):
            open_feed(word, Surroundings(time.time_ns, time.sleep, lambda _text: None))

    def test_parts(self) -> None:
        assert checked_parts("deribit-ws:BTC+okx:BTC+binance-ws:BTC") == ("deribit-ws:BTC", "okx:BTC", "binance-ws:BTC")


class TestJoining:
    def test_it_is_the_offline_merge_of_the_same_parts(self) -> None:
        parts, options, depth = two(), chain(), books(seconds=2)
        parts.arrived(OPTIONS, options, 0.0)
        parts.arrived(BOOKS, depth, 2.0)
        live, offline = parts.merged(2.5), merge([options, depth])
        assert live is not None
        assert live.degraded == offline.degraded == ()
        assert live.notes == (
            *offline.notes,
            f"{OPTIONS} came 2.5 s before this snapshot was joined",
            f"{BOOKS} came 0.5 s before this snapshot was joined",
        )
        assert (live.as_of_ns, live.spot_usd, live.books, len(live.futures)) == (
            offline.as_of_ns,
            offline.spot_usd,
            depth.books,
            len(offline.futures),
        )

    def test_nothing_new_gives_nothing(self) -> None:
        parts = two()
        parts.arrived(OPTIONS, chain(), 0.0)
        assert parts.merged(0.0) is not None
        assert parts.merged(1.0) is None
        parts.arrived(OPTIONS, chain(), 2.0)  # the same snapshot once more
        assert parts.merged(2.0) is None
        parts.arrived(BOOKS, books(seconds=2), 3.0)
        assert parts.merged(3.0) is not None

    def test_a_snapshot_that_comes_again_does_not_make_its_part_younger(self) -> None:
        parts = two()
        parts.arrived(OPTIONS, chain(), 0.0)
        parts.arrived(OPTIONS, chain(), 60.0)
        assert "silent for more than 63 s" in parts.why(64.0)[0]

    def test_forced_trades_are_given_once_and_none_is_lost_between_two_turns(self) -> None:
        parts, seen = two(), []
        parts.arrived(OPTIONS, chain(), 0.0)
        for second in range(1, 7):
            parts.arrived(BOOKS, books(seconds=second, forced_usd=float(second)), float(second))
            if second % 2 == 0:
                snapshot = parts.merged(float(second))
                assert snapshot is not None
                assert snapshot.liquidations is not None
                if second == 2:
                    continue  # the disk refuses this one
                parts.kept()
                seen += snapshot.liquidations.amount_usd.tolist()
        parts.arrived(OPTIONS, chain(seconds=60), 7.0)
        last = parts.merged(7.0)
        assert last is not None
        assert last.liquidations is None
        assert seen == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


class TestOldParts:
    def test_old_books_are_left_out_and_named(self) -> None:
        parts = two()
        parts.arrived(OPTIONS, chain(), 0.0)
        parts.arrived(BOOKS, books(), 0.0)
        parts.merged(1.0)
        assert parts.merged(8.0) is None
        parts.failed(BOOKS, "Binance: not connected")
        left = parts.merged(8.1)
        assert left is not None
        assert (left.books, len(left.chain) > 0) == ((), True)
        assert (
            left.degraded[0]
            == f"{BOOKS} is silent for more than 8 s and left out, books, perps and liquidations of it are missing: Binance: not connected"
        )

    def test_one_chain_of_two_is_left_out_with_its_share_and_counts_as_silent(self) -> None:
        one, other = chain(), chain("okx", seed=8)
        parts = MergedParts({OPTIONS: 63.0, MORE: 63.0})
        watch = Freshness(interval_seconds=60.0, started_at=0.0)
        share = other.chain.counted_open_interest_coin().sum() / sum(each.chain.counted_open_interest_coin().sum() for each in (one, other))
        parts.arrived(OPTIONS, one, 0.0)
        parts.arrived(MORE, other, 0.0)
        both = parts.merged(0.0)
        assert both is not None
        assert watch.doubt(both, arrived_at=0.0) == ""
        watch.believe(both, arrived_at=0.0)
        parts.arrived(OPTIONS, chain(seconds=60), 60.0)
        half = parts.merged(63.5)
        assert half is not None
        assert half.venues == ("deribit",)
        assert f"it held {share:.1%} of open interest" in half.degraded[0]
        assert watch.doubt(half, arrived_at=63.5) == ""
        watch.believe(half, arrived_at=63.5, degraded=half.degraded)
        health = watch.health(64.0)
        assert health.state == SourceState.DEGRADED
        assert health.silent_instruments == len(other.chain)
        assert health.silent_open_interest_share == pytest.approx(share, rel=1e-5)

    def test_without_a_fresh_chain_the_source_is_stale_within_a_second_of_the_limit(self) -> None:
        parts, watch = two(), Freshness(interval_seconds=5.0, started_at=0.0)
        parts.arrived(OPTIONS, chain(), 0.0)
        stale_at = None
        for turn in range(70):
            now = float(turn)
            parts.arrived(BOOKS, books(seconds=turn), now)
            snapshot = parts.merged(now)
            assert snapshot is not None, "the books go on and are recorded"
            if not watch.doubt(snapshot, arrived_at=now):
                watch.believe(snapshot, arrived_at=now)
            if stale_at is None and watch.health(now).state == SourceState.STALE:
                stale_at = now
        assert stale_at == 64.0
        parts.arrived(OPTIONS, chain(seconds=80), 80.0)
        back = parts.merged(80.0)
        assert back is not None
        assert watch.doubt(back, arrived_at=80.0) == ""

    def test_nothing_fresh_is_nothing(self) -> None:
        parts = two()
        parts.arrived(OPTIONS, chain(), 0.0)
        assert parts.merged(0.0) is not None
        assert parts.merged(100.0) is None
        assert len(parts.why(100.0)) == 2

    def test_times_far_behind_are_named(self) -> None:
        parts = two()
        parts.arrived(OPTIONS, chain(), 0.0)
        parts.arrived(BOOKS, books(seconds=600), 0.0)
        snapshot = parts.merged(0.0)
        assert snapshot is not None
        assert any(f"{OPTIONS} arrives with times far behind" in sentence for sentence in snapshot.degraded)


class TestMisfits:
    def test_books_at_an_impossible_price_do_not_take_the_chain_with_them(self) -> None:
        parts = two()
        parts.arrived(OPTIONS, chain(), 0.0)
        parts.arrived(BOOKS, books(spot_usd=3_000.0), 0.0)
        snapshot = parts.merged(0.0)
        assert snapshot is not None
        assert snapshot.books == ()
        assert any(sentence.startswith(f"{BOOKS} left out: ") for sentence in snapshot.degraded)

    def test_synthetic_and_real_are_never_mixed(self) -> None:
        parts = two()
        parts.arrived(OPTIONS, demo(), 0.0)
        parts.arrived(BOOKS, books(), 0.0)
        with pytest.raises(InputError, match="never mixed"):
            parts.merged(0.0)


@dataclass
class Scripted:
    """A source that gives, fails and blocks as told."""

    make: object
    gate: threading.Event = field(default_factory=threading.Event)
    turns: int = 0

    def __iter__(self) -> Iterator[Snapshot | None]:
        return self

    def __next__(self) -> Snapshot | None:
        self.turns += 1
        return self.make(self.turns)  # type: ignore[operator,no-any-return]


def until(condition: object, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


class TestThreads:
    def test_a_part_that_hangs_or_fails_does_not_stop_the_others(self) -> None:
        hang = threading.Event()

        def failing(turn: int) -> Snapshot:
            raise VenueError("okx: too many requests")

        def hanging(turn: int) -> Snapshot:
            if turn > 1:
                hang.wait(30)
            return books(seconds=turn)

        feeds = {
            OPTIONS: Feed(OPTIONS, Scripted(lambda turn: chain(seconds=turn)), 0.05),
            MORE: Feed(MORE, Scripted(failing), 0.05),
            BOOKS: Feed(BOOKS, Scripted(hanging), 0.05),
        }
        merged = MergedFeed(feeds, lambda word: feeds[word], clock=time.time_ns, sleep=time.sleep)
        first = next(merged)
        assert first is not None
        assert len(first.chain) > 0
        assert len(first.books) == 2
        assert any("okx:BTC has given nothing yet: okx: too many requests" in sentence for sentence in first.degraded)
        times: set[int] = set()

        def goes_on() -> bool:
            snapshot = next(merged)
            times.update([] if snapshot is None else [snapshot.as_of_ns])
            return len(times) >= 4

        assert until(goes_on)
        merged.close()
        hang.set()

    def test_a_part_that_ends_is_opened_again(self) -> None:
        opened = []

        def reopen(word: str) -> Feed:
            opened.append(word)
            return Feed(word, iter([chain(seconds=10 * len(opened))]), 0.02)

        merged = MergedFeed({OPTIONS: Feed(OPTIONS, iter([chain()]), 0.02)}, reopen, clock=time.time_ns, sleep=time.sleep)
        assert next(merged) is not None
        assert until(lambda: len(opened) >= 2)
        merged.close()

    def test_forgetting_the_feed_ends_its_threads(self) -> None:
        merged = MergedFeed(
            {OPTIONS: Feed(OPTIONS, Scripted(lambda turn: chain(seconds=turn)), 0.02)},
            lambda word: pytest.fail(word),
            clock=time.time_ns,
            sleep=time.sleep,
        )
        next(merged)
        names = {thread.name for thread in threading.enumerate()}
        assert f"tailwag part {OPTIONS}" in names
        del merged
        assert until(lambda: f"tailwag part {OPTIONS}" not in {thread.name for thread in threading.enumerate()})


def test_depth_of_one_venue_gives_the_chain_of_another_its_gain_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain (from a source in this process) and Binance's sockets on this machine: live, merged, measured; then the same parts offline."""
    from tailwag.experiments.measure import measure
    from tailwag.experiments.options import MeasureOptions

    with BinanceExchange(seed=5) as venue:
        monkeypatch.setenv("TAILWAG_BINANCE_WS", venue.ws_url)
        monkeypatch.setenv("TAILWAG_BINANCE_REST", venue.rest_url)
        around = Surroundings(time.time_ns, time.sleep, lambda _text: None)
        options = chain_now()
        kept: list[Snapshot] = []

        class Kept:
            def __init__(self, feed: Feed) -> None:
                self.feed = feed

            def __iter__(self) -> Iterator[Snapshot | None]:
                return self

            def __next__(self) -> Snapshot | None:
                found = next(self.feed.snapshots)
                kept.extend([] if found is None else [found])
                return found

            def close(self) -> None:
                self.feed.snapshots.close()  # type: ignore[attr-defined]

        depth = open_feed(BOOKS, around)
        feeds = {OPTIONS: Feed(OPTIONS, Scripted(lambda _turn: options), 60.0), BOOKS: Feed(BOOKS, Kept(depth), 60.0, depth.why)}
        merged = MergedFeed(feeds, lambda word: feeds[word], clock=time.time_ns, sleep=time.sleep)
        live = next(merged)
        merged.close()
        depth.snapshots.close()  # type: ignore[attr-defined]
    assert live is not None
    assert [(book.kind, book.venue) for book in live.books] == [("spot", "binance"), ("perp", "binance"), ("perp", "binance")]
    wanted = MeasureOptions(dynamics="sticky-strike", move_pct=0.5)
    one, other = (measure(market, wanted).gain for market in (live, merge([options, kept[0]])))
    assert one.law == "book"
    assert one.value is not None
    assert (one.value, one.gain_up, one.gain_down) == (other.value, other.gain_up, other.gain_down)
    assert measure(options, wanted).gain.law != "book", "it is the depth of the other venue that gives the law"


def chain_now() -> Snapshot:
    """A chain of this moment, around the price of the venue on this machine."""
    made = demo(seed=7, as_of_ns=time.time_ns() // 1_000_000 * 1_000_000)
    scale = 100_000.0 / made.spot_usd
    prices = ("strike_usd", "underlying_usd", "index_usd", "estimated_delivery_usd")
    moved = made.chain.with_columns(
        **{name: getattr(made.chain, name) * scale for name in prices}, venue=np.full(len(made.chain), "deribit", dtype=object)
    )
    return made.with_parts(chain=moved, spot_usd=made.spot_usd * scale, source=Source("deribit", OPTIONS), books=(), trades=None)


class TestAlone:
    """Binance's sockets hold no options: alone they can be recorded, and nothing else."""

    def test_measure_says_what_to_join(self, capsys: pytest.CaptureFixture[str]) -> None:
        from tailwag.cli import main

        with pytest.raises(SystemExit) as ended:
            main(["measure", BOOKS])
        assert ended.value.code == 2
        assert "binance-ws has no options; join it to a chain: deribit:BTC+binance-ws:BTC" in capsys.readouterr().err

    def test_serve_says_what_to_join(self) -> None:
        from tailwag.service.run import _source_plan

        around = Surroundings(time.time_ns, time.sleep, lambda _text: None)
        with pytest.raises(InputError, match="binance-ws has no options"):
            _source_plan(BOOKS, around, None)
        plan = _source_plan(f"{OPTIONS}+{BOOKS}", around, None)
        assert (plan.name, plan.every_seconds, plan.expected_seconds, plan.live) == (f"{OPTIONS}+{BOOKS}", 1.0, 5.0, True)

    def test_a_recorded_snapshot_without_options_comes_back(self, tmp_path: Path) -> None:
        from tailwag.sources.store.history import History
        from tailwag.sources.store.recorder import Recorder

        with Recorder(tmp_path / "store", say=lambda _text: None) as recorder:
            recorder.append(books(forced_usd=5.0), received_ns=DEFAULT_AS_OF_NS)
        (back,) = History.open(tmp_path / "store").snapshots()
        assert (len(back.chain), len(back.books)) == (0, 2)
        assert back.liquidations is not None
        assert back.liquidations.amount_usd.tolist() == [5.0]
