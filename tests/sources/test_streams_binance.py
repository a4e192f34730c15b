"""Binance's sockets: what a session makes of each message, when it believes itself, how REST is spared; and the whole feed against a venue on this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.sources.binance_exchange import Bad, BinanceExchange, ModelBook

from tailwag.errors import InputError
from tailwag.market.snapshot import Snapshot
from tailwag.sources.feeds import Surroundings, open_feed
from tailwag.sources.files import load
from tailwag.sources.merge import merge
from tailwag.sources.snapshot_file import save
from tailwag.sources.streams.binance_feed import BinanceFeed, addresses_from
from tailwag.sources.streams.binance_markets import BinanceAddresses, RestPath, connections
from tailwag.sources.streams.binance_rest import Answer, Mailbox, Reply, RestDesk, Wanted, fetch_json_bytes, serve_one
from tailwag.sources.streams.binance_session import LOST_SECONDS, SILENT_SECONDS, BinanceSession
from tailwag.sources.streams.wire import Close

SPOT, USDM_DEPTH, USDM_MARKET, COINM = range(4)
WALL_MS = 1_763_551_236_000


def session(number: int) -> BinanceSession:
    made = BinanceSession(connections("BTC", WALL_MS * 1_000_000, addresses=BinanceAddresses())[number])
    made.opened(0.0)
    return made


def tell(subject: BinanceSession, event: dict[str, Any], now: float = 0.0, wall_ms: int | None = None) -> list[Any]:
    return subject.received(json.dumps({"stream": "x", "data": event}), now, (wall_ms or event.get("E", WALL_MS)) * 1_000_000)


def mark(symbol: str = "BTCUSDT", **more: Any) -> dict[str, Any]:
    return {
        "e": "markPriceUpdate",
        "E": WALL_MS,
        "s": symbol,
        "p": "91000.5",
        "i": "91010.25",
        "P": "91011.0",
        "r": "0.00012",
        "T": WALL_MS,
        **more,
    }


def forced(symbol: str = "BTCUSDT", side: str = "SELL", **more: Any) -> dict[str, Any]:
    order = {
        "s": symbol,
        "S": side,
        "o": "LIMIT",
        "f": "IOC",
        "q": "2",
        "p": "90000",
        "ap": "90500",
        "X": "FILLED",
        "l": "1",
        "z": "2",
        "T": WALL_MS - 5,
        **more,
    }
    return {"e": "forceOrder", "E": WALL_MS, "o": order}


def live_depth(number: int = USDM_DEPTH) -> tuple[BinanceSession, ModelBook]:
    subject = session(number)
    model = ModelBook(3, futures=number > 0, symbol=subject.connection.symbol)
    tell(subject, model.event())
    subject.tick(0.0, WALL_MS * 1_000_000)
    wanted = next(each for each in subject.mailbox.out if "depth" in each.path.path)
    subject.mailbox.out.clear()
    subject.mailbox.back.append(Answer(wanted.number, wanted.what, json.dumps(model.snapshot()).encode()))
    tell(subject, model.event())
    subject.tick(0.0, WALL_MS * 1_000_000)
    assert subject.book is not None
    assert subject.book.live
    return subject, model


class TestMarks:
    def test_usd_margined_open_interest_is_coin(self) -> None:
        subject = session(USDM_MARKET)
        tell(subject, mark())
        subject.tick(0.0, 0)
        (wanted,) = subject.mailbox.out
        assert (wanted.path.base + wanted.path.path, wanted.path.weight) == (
            "https://fapi.binance.com/fapi/v1/openInterest?symbol=BTCUSDT",
            1,
        )
        subject.mailbox.back.append(Answer(wanted.number, "", b'{"symbol":"BTCUSDT","openInterest":"80000.5","time":1}'))
        subject.tick(0.1, 0)
        snapshot = subject.snapshot(0.1, 0)
        assert snapshot is not None
        row = {
            name: getattr(snapshot.futures, name)[0]
            for name in ("instrument", "kind", "settlement", "mark_usd", "open_interest_usd", "funding_8h", "coin_per_contract")
        }
        assert row == {
            "instrument": "BTCUSDT",
            "kind": "perp",
            "settlement": "linear",
            "mark_usd": 91000.5,
            "open_interest_usd": 80000.5 * 91000.5,
            "funding_8h": 0.00012,
            "coin_per_contract": 1.0,
        }
        assert (snapshot.spot_usd, snapshot.books, len(snapshot.chain)) == (91010.25, (), 0)

    def test_coin_margined_open_interest_is_contracts_of_100_usd(self) -> None:
        subject = session(COINM)
        tell(subject, mark("BTCUSD_PERP"))
        subject.tick(0.0, 0)
        wanted = next(each for each in subject.mailbox.out if "openInterest" in each.path.path)
        subject.mailbox.back.append(Answer(wanted.number, "", b'{"symbol":"BTCUSD_PERP","pair":"BTCUSD","openInterest":"2500000"}'))
        subject.tick(0.1, 0)
        snapshot = subject.snapshot(0.1, 0)
        assert snapshot is not None
        assert snapshot.futures.open_interest_usd.tolist() == [250e6]
        assert (snapshot.futures.settlement[0], snapshot.futures.usd_per_contract[0]) == ("inverse", 100.0)

    def test_old_open_interest_is_unknown_and_not_zero(self) -> None:
        subject = session(USDM_MARKET)
        tell(subject, mark(), now=0.0)
        snapshot = subject.snapshot(0.0, 0)
        assert snapshot is not None
        assert np.isnan(snapshot.futures.open_interest_usd[0])
        assert "open interest is unknown" in subject.doubts(0.0)[0]

    @pytest.mark.parametrize("change", [{"p": "nan"}, {"p": "0"}, {"i": "-1"}, {"s": "ETHUSDT"}, {"E": "soon"}, {"r": "inf"}])
    def test_what_cannot_be_read_ends_the_connection(self, change: dict[str, Any]) -> None:
        (action,) = tell(session(USDM_MARKET), mark(**change), wall_ms=WALL_MS)
        assert isinstance(action, Close)
        assert action.code == 1007


class TestLiquidations:
    def test_a_sold_long_is_minus_one_in_coin_and_usd(self) -> None:
        subject = session(USDM_MARKET)
        tell(subject, mark())
        tell(subject, forced())
        tell(subject, forced(side="BUY", ap="0", z="0", T=WALL_MS - 9))
        snapshot = subject.snapshot(0.0, 0)
        assert snapshot is not None
        table = snapshot.liquidations
        assert table is not None
        assert table.order_sign.tolist() == [1, -1]
        assert table.price_usd.tolist() == [90_000.0, 90_500.0]
        assert table.amount_coin.tolist() == [2.0, 2.0]
        assert table.amount_usd.tolist() == [180_000.0, 181_000.0]
        assert table.time_ns.tolist() == [(WALL_MS - 9) * 1_000_000, (WALL_MS - 5) * 1_000_000]

    def test_contracts_are_100_usd_each(self) -> None:
        subject = session(COINM)
        tell(subject, mark("BTCUSD_PERP"))
        tell(subject, forced("BTCUSD_PERP", z="905"))
        snapshot = subject.snapshot(0.0, 0)
        assert snapshot is not None
        assert snapshot.liquidations is not None
        assert (snapshot.liquidations.amount_usd.tolist(), snapshot.liquidations.amount_coin.tolist()) == ([90_500.0], [1.0])

    def test_each_is_given_once_and_a_new_connection_loses_none(self) -> None:
        subject = session(USDM_MARKET)
        tell(subject, forced())
        subject.closed(1.0)
        subject.opened(2.0)
        tell(subject, mark(), now=2.0)

        def shown() -> int:
            found = subject.snapshot(2.0, 0)
            assert found is not None
            assert found.liquidations is not None
            return len(found.liquidations)

        assert [shown(), shown()] == [1, 1], "until it is kept"
        tell(subject, forced())
        subject.kept()
        assert shown() == 1, "what came after the snapshot that was kept"
        subject.kept()
        assert shown() == 0


class TestDepth:
    def test_a_gap_hides_the_book_at_once_and_asks_again(self) -> None:
        subject, model = live_depth()
        model.event()
        tell(subject, model.event(), now=1.0)
        assert subject.snapshot(1.0, 0) is None
        assert "unknown until a fresh snapshot" in subject.doubts(1.0)[0]
        subject.tick(1.0, 0)
        assert [wanted.path.path for wanted in subject.mailbox.out] == ["/fapi/v1/depth?symbol=BTCUSDT&limit=1000"]
        assert subject.counters()["gaps"] == 1

    def test_silence_hides_the_book_and_then_ends_the_connection(self) -> None:
        subject, _ = live_depth()
        assert subject.snapshot(SILENT_SECONDS, 0) is not None
        assert subject.snapshot(SILENT_SECONDS + 0.1, 0) is None
        assert subject.doubts(SILENT_SECONDS + 0.1) == ("Binance USD-M depth: no depth for more than 4 s",)
        assert subject.tick(LOST_SECONDS, 0) == []
        (action,) = subject.tick(LOST_SECONDS + 0.1, 0)
        assert isinstance(action, Close)

    def test_one_silent_stream_among_busy_ones_is_seen(self) -> None:
        subject, model = live_depth(COINM)
        for step in range(60):
            tell(subject, model.event(), now=0.1 * step)
        assert subject.doubts(5.9) == ("Binance COIN-M: no marks for more than 4 s",)
        snapshot = subject.snapshot(5.9, 0)
        assert snapshot is not None
        assert (len(snapshot.books), len(snapshot.futures)) == (1, 0)

    def test_an_answer_to_an_earlier_connection_is_not_believed(self) -> None:
        subject = session(USDM_DEPTH)
        model = ModelBook(3, futures=True)
        tell(subject, model.event())
        subject.tick(0.0, 0)
        late = Answer(subject.mailbox.out[0].number, "", json.dumps(model.snapshot()).encode())
        subject.closed(1.0)
        subject.opened(2.0)
        tell(subject, model.event(), now=2.0)
        subject.tick(2.0, 0)
        assert len(subject.mailbox.out) == 1
        subject.mailbox.back.append(late)
        subject.tick(2.0, 0)
        assert subject.book is not None
        assert not subject.book.live
        assert subject.counters()["late_answers"] == 1

    @pytest.mark.parametrize("body", [b"[]", b'{"lastUpdateId":"x"}', b"{", b'{"symbol":"ETHUSDT","lastUpdateId":1,"bids":[],"asks":[]}'])
    def test_a_snapshot_that_cannot_be_read_is_asked_for_again_later_each_time(self, body: bytes) -> None:
        subject = session(USDM_DEPTH)
        model, asked_at = ModelBook(3, futures=True), []
        for step in range(200):
            now = 0.1 * step
            tell(subject, model.event(), now=now)
            subject.tick(now, 0)
            while subject.mailbox.out:
                asked_at.append(now)
                subject.mailbox.back.append(Answer(subject.mailbox.out.popleft().number, "snapshot", body))
        pauses = np.diff(asked_at)
        assert pauses.size >= 3
        assert np.all(np.diff(pauses) > 0.5)
        assert "expected the snapshot" in " ".join(subject.doubts(19.9))

    def test_a_book_that_contradicts_itself_is_given_up(self) -> None:
        subject, model = live_depth(SPOT)
        event = model.event()
        tell(subject, {**event, "b": [["999999.0", "1"]]}, now=1.0)
        assert subject.snapshot(1.0, 0) is None
        assert subject.counters()["contradictions"] == 1
        assert "crossed" in subject.doubts(1.0)[0]

    def test_clocks_apart_are_said(self) -> None:
        subject, model = live_depth()
        event = model.event()
        tell(subject, event, now=0.1, wall_ms=event["E"] + 90_000)
        assert "clock and this machine's are 90 s apart" in subject.doubts(0.1)[0]

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            (b"\x00", 1003),
            ("{", 1007),
            ("[]", 1007),
            ('{"data": 1}', 1007),
            ('{"error": {"code": 2}}', 1007),
            ('{"stream":"x","data":{"e":"serverShutdown","E":1}}', 1001),
        ],
    )
    def test_bad_frames_end_the_connection(self, message: str | bytes, code: int) -> None:
        subject, _ = live_depth()
        (action,) = subject.received(message, 0.0, 0)
        assert isinstance(action, Close)
        assert action.code == code


class TestRest:
    DEPTH = RestPath("https://api.binance.com", "/api/v3/depth?symbol=BTCUSDT&limit=5000", 250, 1_200)

    @pytest.mark.parametrize(
        ("status", "header", "wait"),
        [
            (429, "7", 7.0),
            (418, "600", 600.0),
            (429, "1000000000", 3600.0),
            (429, "-5", 1.0),
            (429, "soon", 30.0),
            (418, "", 120.0),
            (503, "9", 9.0),
            (500, "9", 2.0),
            (0, "", 2.0),
            (302, "", 2.0),
        ],
    )
    def test_the_wish_to_wait_is_honoured_and_capped(self, status: int, header: str, wait: float) -> None:
        desk = RestDesk()
        desk.asked(self.DEPTH, 0.0)
        desk.answered(self.DEPTH, Reply(status, {"retry-after": header} if header else {}), 10.0)
        assert not desk.may_ask(self.DEPTH, 10.0 + wait - 0.01)
        assert desk.may_ask(self.DEPTH, max(10.0 + wait, 61.0))
        assert desk.may_ask(RestPath("https://fapi.binance.com", "/x", 1), 10.0), "each host has its own patience"

    def test_no_minute_costs_more_than_its_weight(self) -> None:
        desk, asked = RestDesk(), []
        for second in range(300):
            if desk.may_ask(self.DEPTH, float(second)):
                desk.asked(self.DEPTH, float(second))
                asked.append(second)
        for start in range(240):
            assert 250 * sum(start <= second < start + 60 for second in asked) <= 1_200

    def test_a_web_page_is_no_answer(self) -> None:
        box = Mailbox()
        box.out.append(Wanted(1, "depth", self.DEPTH))
        assert serve_one([box], RestDesk(), lambda _url: Reply(200, {}, b"<html>"), lambda: 0.0)
        assert box.back[0].body is None
        assert not serve_one([box], RestDesk(), lambda _url: Reply(200), lambda: 0.0)

    def test_redirects_are_refused_and_statuses_come_through(self) -> None:
        with BinanceExchange() as venue:
            path = "/fapi/v1/depth"
            venue.spoil(path, Bad(307, {"Location": "http://127.0.0.1:1/"}), Bad(429, {"Retry-After": "3"}), Bad(200, {}, b"x" * (9 << 20)))
            replies = [fetch_json_bytes(f"{venue.rest_url}/usdm{path}?symbol=BTCUSDT") for _ in range(4)]
        assert [reply.status for reply in replies] == [307, 429, 0, 200]
        assert replies[1].headers["retry-after"] == "3"
        assert fetch_json_bytes("http://127.0.0.1:1/").status == 0


class TestFeed:
    @pytest.fixture
    def venue(self) -> Iterator[BinanceExchange]:
        with BinanceExchange() as started:
            yield started

    def feed(self, venue: BinanceExchange) -> BinanceFeed:
        return BinanceFeed("BTC", clock=time.time_ns, sleep=time.sleep, addresses=BinanceAddresses.under(venue.ws_url, venue.rest_url))

    @staticmethod
    def until(feed: BinanceFeed, wanted: Any, seconds: float = 20.0) -> Snapshot:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            snapshot = next(feed)
            if snapshot is not None and wanted(snapshot):
                return snapshot
            time.sleep(0.02)
        raise AssertionError(feed.why())

    def right(self, venue: BinanceExchange, snapshot: Snapshot) -> int:
        """Each book shown against the venue's own of the same time."""
        names = {("BTCUSDT", "spot"): "spot", ("BTCUSDT", "perp"): "usdm_depth", ("BTCUSD_PERP", "perp"): "coinm"}
        for book in snapshot.books:
            with venue.lock:
                model = venue.markets[names[book.instrument, book.kind]].book
                bids, asks = model.within(float(book.bid_price_usd[-1]), float(book.ask_price_usd[-1]), book.as_of_ns // 1_000_000)
            scale = 100.0 if book.instrument == "BTCUSD_PERP" else 0.0
            for (prices, coins), levels in (((book.bid_price_usd, book.bid_coin), bids), ((book.ask_price_usd, book.ask_coin), asks)):
                assert prices.tolist() == [price for price, _ in levels]
                assert coins.tolist() == pytest.approx([lots * scale / price if scale else lots for price, lots in levels], rel=1e-12)
        return len(snapshot.books)

    def test_from_nothing_to_three_books_and_two_perps(self, venue: BinanceExchange, tmp_path: Path) -> None:
        feed = self.feed(venue)
        snapshot = next(feed)
        feed.close()
        assert snapshot is not None
        assert snapshot.degraded == ()
        assert self.right(venue, snapshot) == 3
        assert snapshot.futures.instrument.tolist() == ["BTCUSDT", "BTCUSD_PERP"]
        assert np.isfinite(snapshot.futures.open_interest_usd).all()
        save(snapshot, tmp_path / "kept.parquet")
        assert load(tmp_path / "kept.parquet").books[0].bid_coin.tolist() == snapshot.books[0].bid_coin.tolist()
        assert merge([snapshot]).books == snapshot.books

    @pytest.mark.slow
    def test_faults_of_a_minute_in_seconds(self, venue: BinanceExchange) -> None:
        """Lost, repeated, swapped and broken messages, closed sockets, refused snapshots: every book shown is the venue's own."""
        feed = self.feed(venue)
        assert next(feed) is not None
        venue.spoil("/fapi/v1/depth", Bad(429, {"Retry-After": "1"}))
        for fault in ("drop", "repeat", "swap", "garble"):
            for name in ("spot", "usdm_depth", "coinm"):
                venue.markets[name].faults.append(fault)
            self.until(feed, lambda snapshot: self.right(venue, snapshot) < 3)
            self.until(feed, lambda snapshot: self.right(venue, snapshot) == 3)
        venue.disconnect("spot")
        self.until(feed, lambda snapshot: self.right(venue, snapshot) == 2)
        self.until(feed, lambda snapshot: self.right(venue, snapshot) == 3)
        counters = feed.counters()
        feed.close()
        assert counters["Binance USD-M depth"]["gaps"] >= 3
        assert counters["Binance USD-M depth"]["rest_failures"] >= 1
        assert venue.markets["spot"].connected >= 3

    def test_a_liquidation_arrives_once(self, venue: BinanceExchange) -> None:
        feed = self.feed(venue)
        next(feed)
        event = {**forced(), "E": time.time_ns() // 1_000_000}
        venue.tell("usdm_market", json.dumps({"stream": "btcusdt@forceOrder", "data": event}))
        found = self.until(feed, lambda snapshot: len(snapshot.liquidations))
        assert found.liquidations is not None
        assert found.liquidations.amount_usd.tolist() == [181_000.0]
        feed.kept()
        again = next(feed)
        feed.close()
        assert again is not None
        assert again.liquidations is not None
        assert len(again.liquidations) == 0


class TestWords:
    def test_a_currency_that_is_none(self) -> None:
        with pytest.raises(InputError, match="expected a currency"):
            open_feed("binance-ws:btc", Surroundings(time.time_ns, time.sleep, lambda _text: None))

    @pytest.mark.parametrize(
        "environment",
        [
            {"TAILWAG_BINANCE_WS": "ws://127.0.0.1:1"},
            {"TAILWAG_BINANCE_WS": "ws://10.0.0.1:1", "TAILWAG_BINANCE_REST": "http://127.0.0.1:1"},
            {"TAILWAG_BINANCE_WS": "ws://127.0.0.1:1", "TAILWAG_BINANCE_REST": "http://example.com"},
        ],
    )
    def test_half_an_address_or_one_that_is_not_encrypted_is_refused(self, environment: dict[str, str]) -> None:
        with pytest.raises(InputError, match=r"expected"):
            addresses_from(environment)
