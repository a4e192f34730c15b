"""Messages that Deribit once sent, played through the stream and held against plain dictionaries."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tailwag.sources.streams.deribit_books import StreamedBook, Taken
from tailwag.sources.streams.deribit_rpc import TOO_MANY_REQUESTS
from tailwag.sources.streams.deribit_session import DeribitSession, DeribitTiming
from tailwag.sources.streams.wire import Close, Send

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def captures() -> Path:
    if not os.environ.get("TAILWAG_DATA"):
        pytest.skip("TAILWAG_DATA is not set: no recorded sockets here")
    return Path(os.environ["TAILWAG_DATA"]) / "captures"


def recorded(captures: Path) -> list[tuple[float, dict[str, Any]]]:
    """What the socket of July 2021 received, with the local time of each message in seconds."""
    found = []
    for line in (captures / "cryptofeed" / "DERIBIT.ws.1.0").read_text().splitlines():
        stamp, _, text = line.partition(": ")
        if text and "wss://" not in stamp:
            found.append((float(stamp), json.loads(text)))
    return found


def notes(captures: Path, beginning: str) -> list[tuple[float, str, Any]]:
    return [
        (at, message["params"]["channel"], message["params"]["data"])
        for at, message in recorded(captures)
        if message.get("method") == "subscription" and message["params"]["channel"].startswith(beginning)
    ]


def test_recorded_books_are_those_of_plain_dictionaries(captures: Path) -> None:
    books: dict[str, StreamedBook] = {}
    truth: dict[str, dict[str, dict[float, float]]] = {}
    changes = 0
    for _, channel, data in notes(captures, "book."):
        name = channel.split(".")[1]
        first = name not in truth
        assert first == ("prev_change_id" not in data)
        sides = truth.setdefault(name, {"bids": {}, "asks": {}})
        for side, levels in sides.items():
            for word, price, amount in data[side]:
                levels.pop(price, None)
                if word != "delete":
                    levels[price] = amount
        book = books.setdefault(name, StreamedBook(name))
        assert book.take(data) is Taken.APPLIED
        assert {"bids": book.bids, "asks": book.asks} == sides
        changes += not first
    assert len(books) == 10
    assert changes >= 30


def test_a_recorded_change_left_out_is_seen_on_the_next_one(captures: Path) -> None:
    name = "BTC-24SEP21-8000-P"
    data = [data for _, _, data in notes(captures, f"book.{name}.")]
    for left_out in range(1, len(data) - 1):
        book = StreamedBook(name)
        taken = [book.take(message) for place, message in enumerate(data) if place != left_out]
        assert taken[left_out] is Taken.GAP
        assert set(taken[:left_out]) == {Taken.APPLIED}
        assert set(taken[left_out + 1 :]) <= {Taken.IGNORED}


def answers(captures: Path) -> list[dict[str, Any]]:
    """The list of instruments that was fetched before the socket was opened."""
    text = (captures / "cryptofeed" / "DERIBIT.0").read_text().splitlines()
    line = next(line for line in text if "get_instruments?currency=BTC" in line)
    rows: list[dict[str, Any]] = json.loads(line[line.index("{") :])["result"]
    return rows


def test_recorded_tickers_come_out_as_they_went_in(captures: Path) -> None:
    messages = recorded(captures)
    heard = {channel.split(".")[1] for _, channel, _ in notes(captures, "ticker.BTC-")}
    listing = [row for row in answers(captures) if row["instrument_name"] in heard]
    assert len(listing) == len(heard) == 7
    session = DeribitSession("BTC", timing=DeribitTiming(interval="raw"))
    start = messages[0][0]
    wanted: list[Any] = list(session.opened(start))

    def replied(request: dict[str, Any], at: float) -> list[Any]:
        parameters = request["params"]
        lists = listing if (parameters.get("currency"), parameters.get("kind")) == ("BTC", "option") else []
        result = {"public/get_instruments": lists, "public/subscribe": parameters.get("channels")}.get(request["method"], {"trades": []})
        reply = {"jsonrpc": "2.0", "id": request["id"], "result": result, "usOut": int(at * 1e6)}
        return session.received(json.dumps(reply), at, int(at * 1e9))

    for _ in range(20):
        for action in wanted:
            assert isinstance(action, Send)
            assert replied(json.loads(action.text), start) == []
        wanted = session.tick(start, int(start * 1e9))
        start += 0.05
    truth: dict[str, dict[str, Any]] = {}
    for at, message in messages[1:]:
        if message.get("method") == "subscription":
            now = max(at, start)
            assert session.received(json.dumps(message), now, int(now * 1e9)) == []
            channel, data = message["params"]["channel"], message["params"]["data"]
            if channel.startswith("ticker.BTC-"):
                truth[channel.split(".")[1]] = data
    session.tick(now, int(now * 1e9))
    snapshot = session.snapshot(now, int(now * 1e9))
    assert snapshot is not None, session.doubts(now)
    assert session.counters().get("tickers_refused", 0) == 0
    assert snapshot.as_of_ns == max(ticker["timestamp"] for ticker in truth.values()) * 1_000_000
    assert set(snapshot.chain.instrument.tolist()) == set(truth)
    chain = snapshot.chain
    for row, name in enumerate(chain.instrument.tolist()):
        said = truth[name]
        assert chain.usable[row]
        assert chain.mark_quoted[row] == said["mark_price"]
        assert chain.iv[row] == pytest.approx(said["mark_iv"] / 100.0, rel=1e-15)
        assert chain.open_interest_contracts[row] == said["open_interest"]
        assert chain.underlying_usd[row] == said["underlying_price"]
        assert chain.delta_published[row] == said["greeks"]["delta"]
        assert chain.bid_quoted[row] == said["best_bid_price"] or (said["best_bid_price"] == 0.0 and not chain.bid_quoted[row] > 0.0)
        assert chain.strike_usd[row] == float(name.split("-")[2])


def test_shapes_of_the_present_protocol_are_understood(captures: Path) -> None:
    folder = captures / "nautilus" / "crates" / "adapters" / "deribit" / "test_data"
    shapes = {path.stem: json.loads(path.read_text()) for path in folder.glob("ws_*.json")}
    book = StreamedBook("BTC-PERPETUAL")
    assert book.take(shapes["ws_book_snapshot"]["params"]["data"]) is Taken.APPLIED
    assert book.take(shapes["ws_book_delta"]["params"]["data"]) is Taken.APPLIED
    assert (max(book.bids), min(book.asks)) == (42_500.0, 42_501.5)
    session = DeribitSession("BTC")
    session.opened(0.0)
    (answer,) = session.received(json.dumps(shapes["ws_test_request"]), 1.0, 10**18)
    assert isinstance(answer, Send)
    assert json.loads(answer.text)["method"] == "public/test"
    error = {**shapes["ws_error"], "id": json.loads(answer.text)["id"]}
    assert error["error"]["code"] == TOO_MANY_REQUESTS
    (close,) = session.received(json.dumps(error), 2.0, 10**18)
    assert isinstance(close, Close)
    assert close.wait_seconds > 0.0
