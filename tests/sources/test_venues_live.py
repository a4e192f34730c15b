"""The real exchange client against a loopback server: what is asked, what is retried, and what each failure says."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from email.utils import formatdate
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tests.sources.payloads import binance, bybit, deribit, okx
from tests.sources.payloads.market import AS_OF_NS, INDEX_USD
from tests.sources.venue_server import Answer, VenueServer, as_json, html, pointed_at, running

from tailwag.errors import EmptyChainError, InputError, MissingPackageError, VenueError
from tailwag.market.snapshot import Snapshot
from tailwag.sources.venues import VENUES, fetch

MADE_UP: dict[str, ModuleType] = {"deribit": deribit, "okx": okx, "bybit": bybit, "binance": binance}
NEEDED = {"deribit": "kind=option", "okx": "opt-summary", "bybit": "category=option", "binance": "eapi/v1/mark"}
EVERY = pytest.mark.parametrize("venue", MADE_UP)


@pytest.fixture(scope="module")
def server() -> Iterator[VenueServer]:
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def clients(server: VenueServer) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own import
        ccxt = pytest.importorskip("ccxt")
    return {name: pointed_at(getattr(ccxt, name)({"timeout": 2_000}), server.url) for name in MADE_UP}


class Desk:
    """One server, the clients that face it, and what was said and slept through."""

    def __init__(self, server: VenueServer, clients: dict[str, Any]) -> None:
        self.server, self.clients = server, clients
        self.said: list[str] = []
        self.slept: list[float] = []

    def open(self, venue: str) -> None:
        self.server.serve(MADE_UP[venue].routes())

    def fetch(self, venue: str, currency: str = "BTC", **arguments: Any) -> Snapshot:
        return fetch(venue, currency, exchange=self.clients[venue], progress=self.said.append, sleep=self.slept.append, **arguments)

    def refused(self, venue: str) -> str:
        with pytest.raises(VenueError) as caught:
            self.fetch(venue)
        sentence = str(caught.value)
        assert sentence.startswith(VENUES[venue].title)
        assert "\n" not in sentence
        assert len(sentence) < 400
        return sentence


@pytest.fixture
def desk(server: VenueServer, clients: dict[str, Any]) -> Desk:
    return Desk(server, clients)


@EVERY
class TestEveryVenue:
    def test_a_whole_snapshot_through_the_real_client(self, desk: Desk, venue: str) -> None:
        desk.open(venue)
        snapshot = desk.fetch(venue)
        assert snapshot.degraded == ()
        assert snapshot.venues == (venue,)
        assert snapshot.as_of_ns == AS_OF_NS
        assert snapshot.spot_usd == INDEX_USD
        assert len(snapshot.chain) == (43 if venue == "deribit" else 42)
        assert snapshot.chain.open_interest_coin[:42].sum() == pytest.approx(6_125.0)
        assert 0.4 < np.nanmedian(snapshot.chain.iv) < 0.7
        assert len(snapshot.books) == 1
        assert (snapshot.source.kind, snapshot.source.name) == (f"{venue}-live", f"{venue}:BTC")
        assert re.fullmatch("[0-9a-f]{64}", snapshot.source.sha256)

    def test_each_request_is_told_and_each_is_made_once(self, desk: Desk, venue: str) -> None:
        desk.open(venue)
        desk.fetch(venue)
        assert len(desk.said) == len(desk.server.asked) == len(set(desk.server.asked))
        assert all(line.startswith(f"{VENUES[venue].title}: ") for line in desk.said)
        assert desk.slept == []

    def test_the_same_replies_give_the_same_digest_and_other_ones_another(self, desk: Desk, venue: str) -> None:
        desk.open(venue)
        first = desk.fetch(venue).source.sha256
        desk.open(venue)
        assert desk.fetch(venue).source.sha256 == first
        desk.server.routes = {route: changed(reply) for route, reply in desk.server.routes.items()}
        assert desk.fetch(venue).source.sha256 != first

    def test_too_many_requests_then_ok(self, desk: Desk, venue: str) -> None:
        desk.open(venue)
        desk.server.spoil(NEEDED[venue], as_json({}, 429, Retry_After="3"))
        assert len(desk.fetch(venue).chain) >= 42
        assert desk.slept == [3.0]
        assert any("too many requests" in line for line in desk.said)

    def test_server_errors_are_tried_again_then_told(self, desk: Desk, venue: str) -> None:
        desk.open(venue)
        desk.server.spoil(NEEDED[venue], as_json({}, 500), as_json({}, 502))
        assert len(desk.fetch(venue).chain) >= 42
        assert desk.slept == [0.5, 1.0]
        desk.server.spoil(NEEDED[venue], as_json({}, 500), forever=True)
        assert "HTTP 500 also when asked again" in desk.refused(venue)

    def test_a_web_page_is_not_data(self, desk: Desk, venue: str) -> None:
        desk.open(venue)
        desk.server.spoil(NEEDED[venue], html(), forever=True)
        assert "web page" in desk.refused(venue)

    def test_a_blocked_page_is_told_with_its_status_and_not_asked_for_again(self, desk: Desk, venue: str) -> None:
        desk.open(venue)
        desk.server.spoil(NEEDED[venue], html(403), forever=True)
        assert "HTTP 403" in desk.refused(venue)
        assert desk.slept == []
        assert sum(NEEDED[venue] in target for target in desk.server.asked) == 1

    def test_the_venue_s_own_error_reply(self, desk: Desk, venue: str) -> None:
        desk.open(venue)
        errors = {
            "deribit": {"jsonrpc": "2.0", "error": {"code": -32602, "message": "Invalid params"}, "result": []},
            "okx": {"code": "51000", "msg": "Parameter instFamily error", "data": []},
            "bybit": {"retCode": 10001, "retMsg": "params error", "result": {}, "time": 1},
            "binance": {"code": -1121, "msg": "Invalid symbol."},
        }
        desk.server.spoil(NEEDED[venue], as_json(errors[venue]), forever=True)
        assert "error reply" in desk.refused(venue)

    def test_a_redirect_to_another_host_is_refused_and_never_followed(self, desk: Desk, venue: str) -> None:
        desk.open(venue)
        with running() as elsewhere:
            elsewhere.serve(MADE_UP[venue].routes())
            desk.server.spoil(NEEDED[venue], Answer(307, headers={"Location": f"{elsewhere.url}/stolen"}), forever=True)
            assert "redirect" in desk.refused(venue)
            assert elsewhere.asked == []
        assert desk.clients[venue].session.max_redirects == 30

    def test_a_missing_order_book_is_a_sentence_not_silence(self, desk: Desk, venue: str) -> None:
        desk.open(venue)
        book = {"deribit": "get_order_book", "okx": "books-full", "bybit": "orderbook", "binance": "fapi/v1/depth"}[venue]
        desk.server.spoil(book, as_json({}, 503), forever=True)
        snapshot = desk.fetch(venue)
        assert snapshot.books == ()
        (sentence,) = snapshot.degraded
        assert sentence.startswith("without order book")
        assert "HTTP 503" in sentence

    def test_data_of_another_shape_is_refused(self, desk: Desk, venue: str) -> None:
        desk.open(venue)
        desk.server.spoil(NEEDED[venue], as_json({"code": "0", "retCode": 0, "result": 7, "data": 7, "usOut": 1}), forever=True)
        assert "expected" in desk.refused(venue)

    def test_clock_skew_only_when_a_clock_is_given(self, desk: Desk, venue: str) -> None:
        desk.open(venue)
        assert desk.fetch(venue, clock=lambda: AS_OF_NS + 1_500_000_000).degraded == ()
        (late,) = desk.fetch(venue, clock=lambda: AS_OF_NS + 75_000_000_000).degraded
        assert "75.0 s ahead of" in late
        (early,) = desk.fetch(venue, clock=lambda: AS_OF_NS - 600_000_000_000).degraded
        assert "600.0 s behind" in early
        assert desk.fetch(venue).as_of_ns == AS_OF_NS


def changed(reply: Any) -> Any:
    """The same reply with one harmless field more."""
    return {**reply, "extra": 1} if isinstance(reply, dict) else reply


class TestWaiting:
    @pytest.mark.parametrize(("header", "wait"), [("0", 0.0), ("-5", 0.0), ("1.5", 1.5), ("soon", 0.5), ("", 0.5)])
    def test_retry_after_in_seconds(self, desk: Desk, header: str, wait: float) -> None:
        desk.open("bybit")
        desk.server.spoil("category=option", as_json({}, 429, Retry_After=header))
        desk.fetch("bybit")
        assert desk.slept == [wait]

    def test_retry_after_as_a_date_is_measured_on_the_server_s_clock(self, desk: Desk) -> None:
        desk.open("bybit")
        later = "Tue, 15 Sep 2099 14:30:07 GMT"
        desk.server.spoil("category=option", as_json({}, 429, Retry_After=later))
        assert "wish to wait" in desk.refused("bybit")
        assert desk.slept == []

    def test_a_date_a_few_seconds_ahead_of_the_server_s_clock_is_waited_for(self, desk: Desk) -> None:
        desk.open("bybit")
        desk.server.spoil("category=option", as_json({}, 503, Retry_After=formatdate(time.time() + 7, usegmt=True)))
        desk.fetch("bybit")
        (slept,) = desk.slept
        assert 5.0 <= slept <= 8.0

    def test_patience_ends_at_twenty_seconds(self, desk: Desk) -> None:
        desk.open("bybit")
        desk.server.spoil("category=option", as_json({}, 429, Retry_After="1000000000"), forever=True)
        assert "1,000,000,000 s" in desk.refused("bybit")
        assert desk.slept == []

    def test_limits_to_the_end(self, desk: Desk) -> None:
        desk.open("binance")
        desk.server.spoil("eapi/v1/mark", as_json({"code": -1003, "msg": "Too many requests"}, 418), forever=True)
        assert "too many requests" in desk.refused("binance")
        assert desk.slept == [0.5, 1.0]

    def test_no_answer_in_time(self, desk: Desk) -> None:
        desk.open("deribit")
        client = desk.clients["deribit"]
        client.timeout, before = 60, client.timeout
        try:
            desk.server.spoil("kind=option", *[Answer(delay_seconds=0.2)] * 3)
            assert "no answer in time" in desk.refused("deribit")
        finally:
            client.timeout = before

    def test_a_connection_that_is_not_secure(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        from requests.exceptions import SSLError

        def refuse(*_arguments: Any, **_named: Any) -> None:
            raise SSLError("certificate verify failed")

        monkeypatch.setattr(desk.clients["deribit"].session, "request", refuse)
        assert "SSLError" in desk.refused("deribit")
        assert desk.slept == []

    def test_nobody_listens(self, desk: Desk) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            free = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client, good = desk.clients["deribit"], desk.clients["deribit"].urls["api"]
        client.urls["api"] = {"rest": free}
        try:
            assert "no connection" in desk.refused("deribit")
        finally:
            client.urls["api"] = good


class TestOtherCurrencies:
    def test_a_currency_without_coin_options_is_asked_for_in_usdc(self, desk: Desk) -> None:
        desk.server.serve(
            {**deribit.routes(), "/api/v2/public/get_index_price?index_name=sol_usdc": deribit.envelope({"index_price": 209.5})}
        )
        snapshot = desk.fetch("deribit", "SOL")
        assert snapshot.chain.instrument.tolist() == ["SOL_USDC-25SEP26-200-C"]
        assert snapshot.chain.settlement.tolist() == ["linear"]
        assert not any("currency=SOL" in target for target in desk.server.asked)

    def test_nothing_listed_names_venue_and_currency(self, desk: Desk) -> None:
        desk.server.serve({**okx.routes(), **{route.replace("BTC", "XRP"): okx.envelope([]) for route in okx.routes()}})
        with pytest.raises((EmptyChainError, VenueError)):
            desk.fetch("okx", "XRP")

    def test_trades_are_asked_for_only_when_wanted(self, desk: Desk) -> None:
        desk.open("deribit")
        assert desk.fetch("deribit").trades is None
        assert not any("trades" in target for target in desk.server.asked)
        trades = desk.fetch("deribit", trades=True).trades
        assert trades is not None
        assert len(trades) == 3

    def test_an_endless_list_of_pages_ends(self, desk: Desk) -> None:
        looping = bybit.instruments(0)
        routes = {**bybit.routes(), "/v5/market/instruments-info?category=option&baseCoin=BTC&cursor=second%2Cpage": looping}
        desk.server.serve(routes)
        assert len(desk.fetch("bybit").chain) == 42
        assert sum("instruments-info" in target for target in desk.server.asked) == 10

    def test_binance_open_interest_of_one_expiry_may_fail(self, desk: Desk) -> None:
        desk.open("binance")
        desk.server.spoil("expiration=261225", as_json({}, 500), forever=True)
        snapshot = desk.fetch("binance")
        assert snapshot.degraded[0].startswith("without open interest of 261225")
        assert len(snapshot.chain) == 42


class TestArguments:
    def test_unknown_venue_and_currency(self) -> None:
        with pytest.raises(InputError, match="deribit, okx, bybit, binance"):
            fetch("kraken")
        with pytest.raises(InputError, match="capitals"):
            fetch("deribit", "btc")

    def test_without_ccxt_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "ccxt", None)
        with pytest.raises(MissingPackageError, match=r"pip install tailwag\[live\]"):
            fetch("deribit")

    def test_reading_the_package_does_not_import_ccxt(self) -> None:
        code = "import sys, tailwag.sources.venues; print('ccxt' in sys.modules, 'polars' in sys.modules)"
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert answer.stdout.split() == ["False", "False"]
