"""A simulated Deribit for tests, of its own code: the rules of its public stream, a market that moves, and faults by script.

``Exchange`` is the market and what goes wrong; ``Line`` is one connection to it as pure text in and out on a clock that the test holds;
``serve_exchange`` puts lines behind a real socket on this machine.  It imports nothing of the product.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.sources.deribit_replies import AS_OF_MS, EXPIRIES, INDEX_USD, instrument, summary

Message = dict[str, Any]
PERP = "BTC-PERPETUAL"


def ticker_of(row: Message, at_ms: int, index_usd: float) -> Message:
    """A summary row in the words of the ticker channel."""
    return {
        "instrument_name": row["instrument_name"],
        "timestamp": at_ms,
        "state": "open",
        "stats": {"volume": row["volume"], "volume_usd": row["volume_usd"], "high": None, "low": None, "price_change": None},
        "open_interest": row["open_interest"],
        "mark_iv": row["mark_iv"],
        "bid_iv": 0.0,
        "ask_iv": 0.0,
        "mark_price": row["mark_price"],
        "best_bid_price": row["bid_price"] or 0.0,
        "best_bid_amount": 1.0,
        "best_ask_price": row["ask_price"] or 0.0,
        "best_ask_amount": 1.0,
        "underlying_price": row["underlying_price"],
        "underlying_index": row["underlying_index"],
        "index_price": index_usd,
        "estimated_delivery_price": row["estimated_delivery_price"],
        "interest_rate": 0.0,
        "greeks": {"delta": 0.5, "gamma": 1e-5, "vega": 50.0, "theta": -20.0, "rho": 1.0},
    }


@dataclass
class Exchange:
    """The market, its clock (milliseconds), and its faults; every connection sees the same market."""

    strikes: tuple[int, ...] = (50_000, 60_000, 70_000, 80_000, 100_000)
    expiries: tuple[str, ...] = tuple(EXPIRIES)
    seed: int = 1
    now_ms: int = AS_OF_MS
    ticker_every_ms: int = 1_000
    book_step_usd: float = 0.5
    # faults
    silent: set[str] = field(default_factory=set)
    """Channels, or beginnings of channels, that say nothing."""
    kept_back: set[str] = field(default_factory=set)
    errors: dict[str, int] = field(default_factory=dict)
    """Method: error code."""
    unanswered: set[str] = field(default_factory=set)
    page: int = 1_000
    """Trades of one page of history."""
    locked: bool = False
    dead: bool = False
    """Nothing is sent at all."""
    tamper: Callable[[Message], list[Message]] | None = None
    """Sees each notification and gives what is sent instead."""
    delisted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self.change_id, self.trade_number = 1_000, 0
        self.bids = {INDEX_USD - self.book_step_usd * step: float(self.rng.randrange(1, 500) * 10) for step in range(1, 40)}
        self.asks = {INDEX_USD + self.book_step_usd * step: float(self.rng.randrange(1, 500) * 10) for step in range(1, 40)}
        self.trades: dict[str, list[Message]] = {"option": [], "future": []}
        self.requests: list[Message] = []

    @property
    def index_usd(self) -> float:
        return round(INDEX_USD * (1.0 + 0.001 * math.sin(self.now_ms / 60_000.0)), 2)

    def rows(self) -> dict[str, Message]:
        """Every listed option as a row of get_book_summary_by_currency at this moment."""
        found = [
            summary(expiry, strike, letter, creation_timestamp=self.now_ms, estimated_delivery_price=self.index_usd)
            for expiry in self.expiries
            for strike in self.strikes
            for letter in "CP"
        ]
        return {row["instrument_name"]: row for row in found if row["instrument_name"] not in self.delisted}

    def tickers(self) -> dict[str, Message]:
        """Every instrument's ticker at this moment."""
        found = {name: ticker_of(row, self.now_ms, self.index_usd) for name, row in self.rows().items()}
        return {**found, PERP: self.perp_ticker()}

    def perp_ticker(self) -> Message:
        return {
            "instrument_name": PERP,
            "timestamp": self.now_ms,
            "state": "open",
            "stats": {"volume": 1_000.0, "volume_usd": 7e7, "volume_notional": 7e7},
            "open_interest": 1.1e9,
            "mark_price": self.index_usd,
            "index_price": self.index_usd,
            "best_bid_price": max(self.bids),
            "best_ask_price": min(self.asks),
            "best_bid_amount": self.bids[max(self.bids)],
            "best_ask_amount": self.asks[min(self.asks)],
            "funding_8h": 0.0001,
            "current_funding": 0.0,
        }

    def instruments(self, currency: str, kind: str) -> list[Message]:
        if (currency, kind) == ("BTC", "option"):
            return [instrument(name) for name in self.rows()]
        if (currency, kind) == ("BTC", "future"):
            return [{"instrument_name": PERP, "kind": "future", "contract_size": 10.0, "instrument_type": "reversed", "is_active": True}]
        return []

    def book_snapshot(self) -> Message:
        return {
            "type": "snapshot",
            "instrument_name": PERP,
            "timestamp": self.now_ms,
            "change_id": self.change_id,
            "bids": [["new", price, amount] for price, amount in sorted(self.bids.items(), reverse=True)],
            "asks": [["new", price, amount] for price, amount in sorted(self.asks.items())],
        }

    def book_change(self) -> Message:
        """A few levels change; the book never crosses."""
        rows: dict[str, list[list[Any]]] = {"bids": [], "asks": []}
        for name, side, sign in (("bids", self.bids, -1), ("asks", self.asks, +1)):
            for _ in range(self.rng.randrange(0, 4)):
                price = INDEX_USD + sign * self.book_step_usd * self.rng.randrange(1, 60)
                if price in side and len(side) > 3 and self.rng.random() < 0.4:
                    del side[price]
                    rows[name].append(["delete", price, 0.0])
                else:
                    word = "change" if price in side else "new"
                    side[price] = float(self.rng.randrange(1, 500) * 10)
                    rows[name].append([word, price, side[price]])
        before, self.change_id = self.change_id, self.change_id + self.rng.randrange(1, 9)
        return {
            "type": "change",
            "instrument_name": PERP,
            "timestamp": self.now_ms,
            "prev_change_id": before,
            "change_id": self.change_id,
            **rows,
        }

    def trade(self, kind: str, **changes: Any) -> Message:
        """A new trade, known to every later question and sent to every subscriber at the next step."""
        self.trade_number += 1
        name = PERP if kind == "future" else next(iter(self.rows()))
        row = {
            "trade_id": str(9_000_000 + self.trade_number),
            "trade_seq": self.trade_number,
            "timestamp": self.now_ms,
            "instrument_name": name,
            "direction": self.rng.choice(("buy", "sell")),
            "amount": 100.0 if kind == "future" else 1.5,
            "price": self.index_usd if kind == "future" else 0.0125,
            "index_price": self.index_usd,
            "mark_price": 1.0,
            "tick_direction": 1,
            **({} if kind == "future" else {"iv": 55.0}),
            **changes,
        }
        self.trades[kind].append(row)
        return row


def coin_of(row: Message) -> str:
    """The venue's currency of a trade: what its instrument settles in."""
    return "USDC" if "_USDC" in row["instrument_name"] else "BTC"


class Line:
    """One connection: requests in, replies and notifications out, as text."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.channels: dict[str, None] = {}
        self.heartbeat_ms: int | None = None
        self.tested_ms = self.ticked_ms = exchange.now_ms
        self.change_seen = -1
        self.trades_sent = {kind: len(rows) for kind, rows in exchange.trades.items()}
        self.locked_sent = False
        self.tests_open = 0
        self.closed = False
        self.news: list[Message] = []

    def receive(self, text: str) -> list[str]:
        """What the exchange says to one request."""
        asked = json.loads(text)
        self.exchange.requests.append(asked)
        method = asked["method"]
        if method in self.exchange.unanswered or self.exchange.dead:
            return []
        if method in self.exchange.errors:
            code = self.exchange.errors[method]
            return [json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": code, "message": "fault"}, **self._clock()})]
        result, after = self._result(method, asked["params"])
        reply = {"jsonrpc": "2.0", "id": asked["id"], "result": result, **self._clock()}
        return [json.dumps(reply), *self._said(after)]

    def _clock(self) -> Message:
        us = self.exchange.now_ms * 1000
        return {"usIn": us, "usOut": us, "usDiff": 0, "testnet": False}

    def _result(self, method: str, parameters: Message) -> tuple[Any, list[Message]]:
        exchange = self.exchange
        if method == "public/set_heartbeat":
            assert parameters["interval"] >= 10, "Deribit refuses less"
            self.heartbeat_ms = int(parameters["interval"] * 1000)
            return "ok", []
        if method == "public/test":
            self.tests_open = 0
            return {"version": "1.2.26"}, []
        if method == "public/get_instruments":
            return exchange.instruments(parameters["currency"], parameters["kind"]), []
        if method == "public/get_last_trades_by_currency":
            rows = exchange.trades[parameters["kind"]][-parameters["count"] :]
            return {"trades": rows, "has_more": False}, []
        if method == "public/get_last_trades_by_currency_and_time":
            return self._history(parameters), []
        if method == "public/unsubscribe":
            for channel in parameters["channels"]:
                self.channels.pop(channel, None)
            return parameters["channels"], []
        assert method == "public/subscribe", method
        assert len(parameters["channels"]) <= 500
        granted = [channel for channel in parameters["channels"] if channel not in exchange.kept_back]
        new = [channel for channel in granted if channel not in self.channels]
        self.channels.update(dict.fromkeys(granted))
        return granted, self._first_words(new)

    def _history(self, asked: Message) -> Message:
        """Trades of a currency and kind in a span of time, oldest first, no more than a page."""
        assert asked["sorting"] == "asc"
        assert 1 <= asked["count"] <= 1_000
        span = range(asked["start_timestamp"], asked["end_timestamp"] + 1)
        rows = [row for row in self.exchange.trades[asked["kind"]] if row["timestamp"] in span and coin_of(row) == asked["currency"]]
        rows.sort(key=lambda row: row["timestamp"])
        page = min(asked["count"], self.exchange.page)
        return {"trades": rows[:page], "has_more": len(rows) > page}

    def _first_words(self, channels: list[str]) -> list[Message]:
        tickers = self.exchange.tickers()
        said = []
        for channel in channels:
            parts = channel.split(".")
            if parts[0] == "book":
                self.change_seen = self.exchange.change_id
                said.append(_note(channel, self.exchange.book_snapshot()))
            elif parts[0] == "ticker" and parts[1] in tickers:
                said.append(_note(channel, tickers[parts[1]]))
        return said

    def advance(self, change: Message | None) -> list[str]:
        """What is sent at the exchange's present time; ``change`` is the book's latest change, one for all lines."""
        exchange, said = self.exchange, list(self.news)
        self.news = []
        if exchange.locked != self.locked_sent and "platform_state" in self.channels:
            self.locked_sent = exchange.locked
            said.append(_note("platform_state", {"price_index": "btc_usd", "locked": exchange.locked}))
        if exchange.now_ms - self.ticked_ms >= exchange.ticker_every_ms:
            self.ticked_ms = exchange.now_ms
            said += self._market()
        book = f"book.{PERP}.100ms"
        if change is not None and book in self.channels and change["change_id"] > self.change_seen:
            said.append(_note(book, change))
        for kind, rows in exchange.trades.items():
            new, self.trades_sent[kind] = rows[self.trades_sent[kind] :], len(rows)
            for coin in ("BTC", "USDC"):
                channel, fitting = f"trades.{kind}.{coin}.100ms", [row for row in new if coin_of(row) == coin]
                if fitting and channel in self.channels:
                    said.append(_note(channel, fitting))
        return [*self._beats(), *self._said(said)]

    def _market(self) -> list[Message]:
        tickers = self.exchange.tickers()
        said = [
            _note(channel, tickers[channel.split(".")[1]])
            for channel in self.channels
            if channel.startswith("ticker.") and channel.split(".")[1] in tickers
        ]
        index = "deribit_price_index.btc_usd"
        if index in self.channels:
            data = {"timestamp": self.exchange.now_ms, "price": self.exchange.index_usd, "index_name": "btc_usd"}
            said.append(_note(index, data))
        return said

    def _beats(self) -> list[str]:
        if self.heartbeat_ms is None or self.exchange.now_ms - self.tested_ms < self.heartbeat_ms or self.exchange.dead:
            return []
        self.tested_ms = self.exchange.now_ms
        self.tests_open += 1
        self.closed = self.closed or self.tests_open > 2
        return [json.dumps({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}})]

    def _said(self, messages: list[Message]) -> list[str]:
        exchange = self.exchange
        if exchange.dead:
            return []
        heard = [message for message in messages if not message["params"]["channel"].startswith(tuple(exchange.silent))]
        if exchange.tamper is not None:
            heard = [sent for message in heard for sent in exchange.tamper(message)]
        return [json.dumps(message) for message in heard]


def _note(channel: str, data: Any) -> Message:
    return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}


class Virtual:
    """A session of the product's and the exchange on one clock that the test moves; what the session sends and closes is done at once.

    The session is known by its behaviour only: what it wants is a thing with a ``text`` to send, or with a ``code`` to close with.
    """

    def __init__(self, exchange: Exchange, session: Any, *, local_ahead_seconds: float = 0.0, reconnects: bool = True) -> None:
        self.exchange, self.session, self.now = exchange, session, 1_000.0
        self._ahead_ns, self._reconnects = int(local_ahead_seconds * 1e9), reconnects
        self.line: Line | None = None
        self.closes: list[tuple[float, int, str]] = []
        self.connects: list[float] = []
        self._connect_at = self.now

    @property
    def wall_ns(self) -> int:
        return self.exchange.now_ms * 1_000_000 + self._ahead_ns

    def snapshot(self) -> Any:
        return self.session.snapshot(self.now, self.wall_ns)

    def run(self, seconds: float, *, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass in steps of a tenth; True as soon as ``until`` holds."""
        for _ in range(round(seconds * 10)):
            self.step()
            if until is not None and until():
                return True
        return False

    def step(self) -> None:
        """A tenth of a second."""
        self.now = round(self.now + 0.1, 6)
        self.exchange.now_ms += 100
        change = self.exchange.book_change()
        if self.line is None:
            if self._reconnects and self.now >= self._connect_at:
                self.line = Line(self.exchange)
                self.connects.append(self.now)
                self.carry_out(self.session.opened(self.now))
            return
        self.hand_in(self.line.advance(change))
        if self.line is not None:
            self.carry_out(self.session.tick(self.now, self.wall_ns))
        if self.line is not None and self.line.closed:
            self.lose()

    def hand_in(self, messages: list[Any]) -> None:
        """Messages from the exchange, in order; none is delivered after the connection has ended."""
        for message in messages:
            if self.line is not None:
                self.carry_out(self.session.received(message, self.now, self.wall_ns))

    def carry_out(self, actions: list[Any]) -> None:
        for action in actions:
            if self.line is None:
                return
            if hasattr(action, "text"):
                self.hand_in(self.line.receive(action.text))
            else:
                self.closes.append((self.now, action.code, action.reason))
                self.lose(wait=max(action.wait_seconds, 0.5))

    def lose(self, *, wait: float = 0.5) -> None:
        """The connection is gone."""
        self.line, self._connect_at = None, self.now + wait
        self.session.closed(self.now)


class ServedExchange:
    """The exchange behind a real socket; ``port`` says where.  ``refuse`` closes each new connection at once, ``drop`` ends all of them."""

    def __init__(self, exchange: Exchange, *, step_seconds: float) -> None:
        self.exchange, self._step = exchange, step_seconds
        self._began = time.monotonic()
        self.lock = threading.Lock()
        self.refuse = False
        self.raw: list[bytes | str] = []
        """Sent once to every connection as it is, bytes as a binary message."""
        self.connections = 0
        self.port = 0
        self._dropped = 0
        self._stopped = threading.Event()
        self._changes: list[Message] = []

    def now_ms(self) -> int:
        """The exchange's clock: it began when the exchange did, at the time of the made-up chain."""
        return AS_OF_MS + int((time.monotonic() - self._began) * 1000)

    def clock_ns(self) -> int:
        """A wall clock that agrees with the exchange's."""
        return self.now_ms() * 1_000_000

    def drop(self) -> None:
        """End every open connection."""
        self._dropped += 1

    def turn(self) -> None:
        """The market's clock, driven by real time."""
        while not self._stopped.wait(self._step):
            with self.lock:
                self.exchange.now_ms = self.now_ms()
                self._changes.append(self.exchange.book_change())

    def stop(self) -> None:
        self._stopped.set()

    def handle(self, connection: Any) -> None:
        """One connection until it ends."""
        from websockets.exceptions import ConnectionClosed

        self.connections += 1
        if self.refuse:
            return
        dropped, step, line = self._dropped, len(self._changes), Line(self.exchange)
        raw = list(self.raw)
        self.raw.clear()
        try:
            while self._dropped == dropped and not self._stopped.is_set() and not line.closed:
                for message in raw:
                    connection.send(message)
                raw = []
                step = self._exchange_words(connection, line, step)
        except ConnectionClosed:
            return

    def _exchange_words(self, connection: Any, line: Line, step: int) -> int:
        try:
            text = connection.recv(timeout=self._step / 2)
            with self.lock:
                replies = line.receive(text)
        except TimeoutError:
            replies = []
        for reply in replies:
            connection.send(reply)
        with self.lock:
            new = self._changes[step:]
            said = [message for change in new for message in line.advance(change)]
        for message in said:
            connection.send(message)
        return step + len(new)


@contextmanager
def serve_exchange(exchange: Exchange | None = None, *, step_seconds: float = 0.1) -> Iterator[ServedExchange]:
    """An exchange on a free port of this machine, its clock running as the real one does."""
    from websockets.sync.server import serve

    served = ServedExchange(exchange or Exchange(), step_seconds=step_seconds)
    served.exchange.now_ms = served.now_ms()
    with serve(served.handle, "127.0.0.1", 0, compression=None) as server:
        served.port = server.socket.getsockname()[1]
        threads = [threading.Thread(target=job, daemon=True) for job in (server.serve_forever, served.turn)]
        for thread in threads:
            thread.start()
        try:
            yield served
        finally:
            served.stop()
            server.shutdown()
            for thread in threads:
                thread.join(5.0)
