"""A venue on this machine that speaks Binance's depth, mark price and liquidation streams and its REST paths, well or badly on purpose.

Its books are dicts of whole ticks; nothing here is the product's.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

Level = tuple[float, float]


class ModelBook:
    """A book that is simply kept, in whole ticks and lots, and what the venue says about it."""

    def __init__(self, seed: int, *, futures: bool, symbol: str = "BTCUSDT", mid_tick: int = 10_000, tick_usd: float = 10.0) -> None:
        self.random = random.Random(seed)
        self.futures, self.symbol, self.tick_usd = futures, symbol, tick_usd
        self.bids = {mid_tick - step: 1 + step for step in range(1, 200)}
        self.asks = {mid_tick + step: 1 + step for step in range(1, 200)}
        self.mid_tick = mid_tick
        self.last_id, self.clock_ms = 1_000, 1_763_551_236_000
        self.past: dict[int, tuple[dict[int, int], dict[int, int]]] = {}
        """The book after the event of each time, newest 400."""

    def event(self, clock_ms: int | None = None) -> dict[str, Any]:
        previous, self.clock_ms = self.last_id, max(self.clock_ms + 10, clock_ms or 0)
        first = previous + (self.random.randint(1, 40) if self.futures else 1)
        self.last_id = first + self.random.randint(0, 6)
        changes: dict[str, list[list[str]]] = {"b": [], "a": []}
        for key, side, sign in (("b", self.bids, -1), ("a", self.asks, 1)):
            for distance in self.random.sample(range(1, 260), 5):
                tick, lots = self.mid_tick + sign * distance, self.random.randint(0, 3)
                side.pop(tick, None)
                if lots:
                    side[tick] = lots
                changes[key].append([self._price(tick), str(lots)])
        self.past[self.clock_ms] = (dict(self.bids), dict(self.asks))
        while len(self.past) > 400:
            del self.past[next(iter(self.past))]
        message = {"e": "depthUpdate", "E": self.clock_ms, "s": self.symbol, "U": first, "u": self.last_id, **changes}
        return {**message, "T": self.clock_ms - 4, "pu": previous} if self.futures else message

    def snapshot(self, levels: int = 150) -> dict[str, Any]:
        bids = [[self._price(tick), str(self.bids[tick])] for tick in sorted(self.bids, reverse=True)[:levels]]
        asks = [[self._price(tick), str(self.asks[tick])] for tick in sorted(self.asks)[:levels]]
        times = {"E": self.clock_ms, "T": self.clock_ms - 4} if self.futures else {}
        return {"lastUpdateId": self.last_id, **times, "bids": bids, "asks": asks}

    def within(self, low: float, high: float, clock_ms: int | None = None) -> tuple[list[Level], list[Level]]:
        """The levels from price ``low`` to ``high``, best first, as they were after the event of ``clock_ms``."""
        bids, asks = (self.bids, self.asks) if clock_ms is None else self.past[clock_ms]
        price = {tick: float(self._price(tick)) for tick in (*bids, *asks)}
        return (
            [(price[tick], float(bids[tick])) for tick in sorted(bids, reverse=True) if price[tick] >= low],
            [(price[tick], float(asks[tick])) for tick in sorted(asks) if price[tick] <= high],
        )

    def _price(self, tick: int) -> str:
        return f"{tick * self.tick_usd:.2f}"


@dataclass
class Market:
    """One market: its book, its socket clients, and what is to go wrong next."""

    name: str
    book: ModelBook
    clients: list[ServerConnection] = field(default_factory=list)
    faults: deque[str] = field(default_factory=deque)
    """For the next events: ok, drop, repeat, swap, garble, silence."""
    held: dict[str, Any] | None = None
    silent: bool = False
    connected: int = 0


@dataclass
class Bad:
    """One bad REST answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


class BinanceExchange:
    """Both servers and the thread that moves the market, as a context manager."""

    def __init__(
        self, *, seed: int = 1, every_seconds: float = 0.02, mid_tick: int = 10_000, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        at = {"mid_tick": mid_tick}
        self.markets = {
            "spot": Market("spot", ModelBook(seed, futures=False, **at)),
            "usdm_depth": Market("usdm_depth", ModelBook(seed + 1, futures=True, **at)),
            "usdm_market": Market("usdm_market", ModelBook(seed + 2, futures=True, **at)),
            "coinm": Market("coinm", ModelBook(seed + 3, futures=True, symbol="BTCUSD_PERP", **at)),
        }
        self.middle_usd, self.clock_ns = mid_tick * 10.0, clock_ns
        self.asked: list[str] = []
        self.bad: dict[str, deque[Bad]] = {}
        self.lock = threading.Lock()
        self.every_seconds = every_seconds
        self._stopping = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._ws: Server = serve(self._client, "127.0.0.1", 0, compression=None)
        self._threads = [
            threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True),
            threading.Thread(target=self._ws.serve_forever, daemon=True),
            threading.Thread(target=self._move, daemon=True),
        ]

    def __enter__(self) -> BinanceExchange:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._ws.shutdown()
        self._http.shutdown()
        self._http.server_close()
        for thread in self._threads:
            thread.join(5)

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self._ws.socket.getsockname()[1]}"

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def spoil(self, path: str, *answers: Bad) -> None:
        self.bad.setdefault(path, deque()).extend(answers)

    def disconnect(self, name: str) -> None:
        for client in list(self.markets[name].clients):
            client.close(1001, "24 hours")

    def tell(self, name: str, message: str | bytes) -> None:
        for client in list(self.markets[name].clients):
            client.send(message)

    def mark(self, symbol: str, **more: str) -> dict[str, Any]:
        now = self.clock_ns() // 1_000_000
        mark, settle, index = (f"{self.middle_usd + more_usd:.1f}" for more_usd in (1.5, 2.0, 0.5))
        plain = {"e": "markPriceUpdate", "E": now, "s": symbol, "p": mark, "P": settle, "i": index, "r": "0.00010000"}
        return {**plain, "T": now + 3_600_000, **more}

    # inside

    def _move(self) -> None:
        marked_at = 0.0
        while not self._stopping.wait(self.every_seconds):
            now = time.monotonic()
            with self.lock:
                for market in self.markets.values():
                    if market.name != "usdm_market":
                        self._publish(market, market.book.event(self.clock_ns() // 1_000_000))
                if now - marked_at > 0.2:
                    marked_at = now
                    self._push(self.markets["usdm_market"], "btcusdt@markPrice@1s", self.mark("BTCUSDT"))
                    self._push(self.markets["coinm"], "btcusd_perp@markPrice@1s", self.mark("BTCUSD_PERP"))

    def _publish(self, market: Market, event: dict[str, Any]) -> None:
        fault = market.faults.popleft() if market.faults else "ok"
        stream = f"{market.book.symbol.lower()}@depth@100ms"
        if fault == "swap":
            market.held = event
            return
        if fault == "garble":
            self._send(market, '{"stream":"' + stream)
        elif fault != "drop":
            self._push(market, stream, event)
        if fault == "repeat":
            self._push(market, stream, event)
        if market.held is not None:
            held, market.held = market.held, None
            self._push(market, stream, held)

    def _push(self, market: Market, stream: str, event: dict[str, Any]) -> None:
        if not market.silent:
            self._send(market, json.dumps({"stream": stream, "data": event}))

    def _send(self, market: Market, text: str) -> None:
        for client in list(market.clients):
            with suppress(ConnectionClosed):
                client.send(text)

    def _client(self, connection: ServerConnection) -> None:
        name = urlsplit(connection.request.path).path.strip("/").split("/")[0] if connection.request else ""
        market = self.markets[name]
        market.clients.append(connection)
        market.connected += 1
        try:
            for _ in connection:
                pass
        except ConnectionClosed:
            pass
        finally:
            market.clients.remove(connection)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        exchange = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                exchange.asked.append(self.path)
                bad = next((bad for end, bad in exchange.bad.items() if parts.path.endswith(end)), None)
                answer = bad.popleft() if bad else exchange._answer(parts.path, parse_qs(parts.query))
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _answer(self, path: str, query: dict[str, list[str]]) -> Bad:
        symbol = query["symbol"][0]
        if path.endswith("/openInterest"):
            reply: dict[str, Any] = {"symbol": symbol, "openInterest": "80000.5", "time": self.clock_ns() // 1_000_000}
        else:
            name = {"api": "spot", "fapi": "usdm_depth", "dapi": "coinm"}[path.split("/")[2]]
            with self.lock:
                reply = self.markets[name].book.snapshot()
        return Bad(200, {"Content-Type": "application/json"}, json.dumps(reply).encode())
