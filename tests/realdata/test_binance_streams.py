"""Recorded Binance sockets through the live session: in step with the venue's own best quotes, and never shown without a snapshot."""

from __future__ import annotations

import gzip
import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailwag.market.snapshot import Snapshot
from tailwag.sources.streams.binance_markets import BinanceAddresses, connections
from tailwag.sources.streams.binance_rest import Answer
from tailwag.sources.streams.binance_session import BinanceSession

pytestmark = pytest.mark.realdata
SPOT, USDM, MARKS, COINM = range(4)
STARTED_NS = 1_723_161_256_000_000_000
FEW = 6_000


def lines(path: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    with gzip.open(path, "rt") as stream:
        for line in stream:
            local_ns, _, text = line.partition(" ")
            yield int(local_ns), text, json.loads(text)


def played(path: Path, number: int, most: int = FEW) -> Iterator[tuple[BinanceSession, dict[str, Any] | None, Snapshot | None]]:
    """The session after each depth event, and the last best quote that is not newer; the recorded snapshot answers its request."""
    session = BinanceSession(connections("BTC", STARTED_NS, addresses=BinanceAddresses())[number])
    session.opened(0.0)
    first_ns, snapshots, quotes = 0, [], deque[dict[str, Any]]()
    for count, (local_ns, text, message) in enumerate(lines(path)):
        first_ns = first_ns or local_ns
        now = (local_ns - first_ns) / 1e9
        if "lastUpdateId" in message:
            snapshots.append(text.encode())
        elif "@depth" in message["stream"]:
            assert session.received(text, now, local_ns) == []
        session.tick(now, local_ns)
        while session.mailbox.out and ("depth" not in session.mailbox.out[0].path.path or snapshots):
            wanted = session.mailbox.out.popleft()
            if "depth" in wanted.path.path:
                session.mailbox.back.append(Answer(wanted.number, wanted.what, snapshots[-1]))
        if "bookTicker" in message.get("stream", ""):
            quotes.append(message["data"])
        elif "@depth" in message.get("stream", ""):
            while len(quotes) > 1 and quotes[1]["u"] <= message["data"]["u"]:
                quotes.popleft()
            known = quotes and quotes[0]["u"] <= message["data"]["u"]
            yield session, quotes[0] if known else None, session.snapshot(now, local_ns)
        if count >= most:
            return


@pytest.mark.parametrize(("name", "number"), [("usdm_btcusdt_20240808.gz", USDM), ("cm_btcusd_perp_20240808.gz", COINM)])
def test_the_live_book_agrees_with_the_venue_s_best_quotes(data: Path, name: str, number: int) -> None:
    """Quotes carry update ids too: after each event the top is the last quote that is not newer, but for one that came late."""
    compared, same, session = 0, 0, None
    for each, quote, snapshot in played(data / "ws-books" / name, number):
        if snapshot is None or not snapshot.books or quote is None:
            continue
        (book,), session = snapshot.books, each
        compared += 1
        same += (book.bid_price_usd[0], book.ask_price_usd[0]) == (float(quote["b"]), float(quote["a"]))
    assert session is not None
    assert (session.counters().get("gaps", 0), session.counters()["snapshots"]) == (0, 1)
    assert compared > 200
    assert same / compared > 0.99, (same, compared)


def test_a_stream_without_a_snapshot_is_never_shown(data: Path) -> None:
    seen = 0
    for session, _, snapshot in played(data / "ws-books" / "spot_btcusdt_20240809.gz", SPOT):
        seen += 1
        assert snapshot is None
        assert session.book is not None
        assert not session.book.live
    assert seen > 200


def test_recorded_marks_and_forced_orders_of_several_years(data: Path) -> None:
    messages = json.loads((data / "captures/tardis/binance_futures.json").read_text())
    session = BinanceSession(connections("BTC", STARTED_NS, addresses=BinanceAddresses())[MARKS])
    session.opened(0.0)
    told = 0
    for message in messages:
        if message.get("stream", "").startswith("btcusdt@") and any(word in message["stream"] for word in ("markPrice", "forceOrder")):
            assert session.received(json.dumps(message), 0.0, message["data"]["E"] * 1_000_000) == []
            told += 1
    snapshot = session.snapshot(0.0, 0)
    assert told >= 3
    assert snapshot is not None
    assert snapshot.liquidations is not None
    table = snapshot.liquidations
    assert 1 in table.order_sign.tolist(), "a recorded BUY closed a short"
    assert (abs(table.amount_usd / table.amount_coin - table.price_usd) < 1e-6).all()


def test_documented_shapes(data: Path) -> None:
    folder = data / "captures/nautilus/crates/adapters/binance/test_data/futures/market_data_json"
    session = BinanceSession(connections("BTC", STARTED_NS, addresses=BinanceAddresses())[MARKS])
    for name in ("mark_price_stream", "liquidation_stream"):
        event = json.loads((folder / f"{name}.json").read_text())
        assert session.received(json.dumps({"stream": "x", "data": event}), 0.0, event["E"] * 1_000_000) == []
    assert session.counters()["liquidations"] == 1
