"""A REST exchange that answers badly on purpose, behind the real venue client: what ccxt would return or raise, and nothing of ccxt's network."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import ccxt
import requests
from tests.gates.venues.exchange_world import Exchange, Truth, summary_row
from tests.gates.venues.soak_bench import Bench, VirtualWorld

FAULTS = {
    # item of the fault list: what the exchange does
    "limit 429, Retry-After": 47,
    "limit 429, Retry-After 1e9": 47,
    "limit 429, Retry-After negative": 47,
    "server 503": 47,
    "timeout": 45,
    "maintenance": 52,
    "web page with status 200": 49,
    "error and result both": 49,
    "connection closed at once": 46,
    "10028 too many requests": 48,
    "slow-loris": 44,
    "another shape": 44,
    "half of the rows": 51,
    "an expiry is missing": 51,
    "no rows": 51,
    "rows twice": 42,
    "rows twice that contradict": 42,
    "an older reply again": 43,
    "the same reply again": 42,
    "garbled rows": 44,
    "volatility in two units": 8,
    "volatility negative": 5,
    "volatility missing": 6,
    "open interest missing": 13,
    "open interest negative": 13,
    "spot ten times": 22,
    "index zero": 22,
    "crossed book": 9,
    "garbled book": 44,
    "book missing": 47,
    "venue clock +1 h": 30,
    "venue clock -1 h": 30,
    "our clock +1 d": 31,
    "our clock -1 h": 31,
    "expired rows stay": 1,
    "frozen rows": 0,
}
UNDETECTABLE_TURNS = 3
"""A venue that repeats old rows under new times cannot be told from a quiet market before it has done so more than once."""


@dataclass
class RestVenue:
    """Stands where ccxt's client stands."""

    exchange: Exchange
    clock: VirtualWorld
    chance: random.Random
    bench: Bench | None = None
    fault: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    last_response_headers: Any = None
    session: Any = field(default_factory=lambda: SimpleNamespace(max_redirects=30))
    earlier: list[dict[str, Any]] = field(default_factory=list)
    frozen: Truth | None = None
    expired: list[tuple[Any, ...]] = field(default_factory=list)

    # what the client calls

    def publicGetGetBookSummaryByCurrency(self, parameters: dict[str, Any]) -> Any:
        kind = "USDC" if parameters["currency"] == "USDC" else parameters["kind"]
        if kind == "option":
            return self._reply("options", self._options)
        return self._reply(kind, lambda: self._wrapped([self.exchange.perp_summary(stamp_ms=self._stamp())] if kind == "future" else []))

    def publicGetGetIndexPrice(self, parameters: dict[str, Any]) -> Any:
        return self._reply("index", self._index)

    def publicGetGetOrderBook(self, parameters: dict[str, Any]) -> Any:
        return self._reply("book", self._book)

    def publicGetGetLastTradesByCurrency(self, parameters: dict[str, Any]) -> Any:
        return self._reply("trades", lambda: self._wrapped({"trades": [self._trade()], "has_more": False}))

    def _trade(self) -> dict[str, Any]:
        option = next(iter(self.exchange.options.values()))
        return {
            "trade_seq": self.asked["trades"],
            "trade_id": str(self.asked["trades"]),
            "timestamp": self._stamp(),
            "instrument_name": option.name,
            "direction": "buy",
            "amount": 1.0,
            "price": 0.01,
            "mark_price": 0.01,
            "iv": 50.0,
            "index_price": self.exchange.index_usd,
        }

    def publicGetGetTime(self, parameters: dict[str, Any]) -> Any:
        return self._reply("time", lambda: self._wrapped(self._stamp()))

    # replies and troubles

    def _reply(self, what: str, make: Any) -> Any:
        self.asked[what] += 1
        self.clock.pass_seconds(self.chance.uniform(20.0, 600.0) if self.fault == "slow-loris" and what in ("options", "index") else 0.05)
        self._trouble(what)
        return make()

    def _trouble(self, what: str) -> None:
        fault = self.fault
        if fault.startswith("limit 429"):
            wait = {"limit 429, Retry-After": "4", "limit 429, Retry-After 1e9": "1000000000", "limit 429, Retry-After negative": "-5"}[
                fault
            ]
            self.last_response_headers = {"Retry-After": wait}
            raise _with_status(ccxt.RateLimitExceeded("deribit 429 Too Many Requests"), 429)
        if fault == "server 503":
            raise _with_status(ccxt.ExchangeNotAvailable("deribit 503 Service Unavailable"), 503)
        if fault == "timeout":
            self.clock.pass_seconds(10.0)
            raise ccxt.RequestTimeout("deribit GET timed out")
        if fault == "maintenance":
            raise ccxt.OnMaintenance('deribit {"error":{"code":11051,"message":"system_maintenance"}}')
        if fault == "10028 too many requests":
            raise ccxt.DDoSProtection('deribit {"error":{"code":10028,"message":"too_many_requests"}}')
        if fault == "connection closed at once" and self.chance.random() < 0.7:
            raise ccxt.NetworkError("deribit connection reset by peer")
        if fault == "book missing" and what == "book":
            raise _with_status(ccxt.ExchangeNotAvailable("deribit 500"), 500)

    def _stamp(self) -> int:
        skew = {"venue clock +1 h": 3_600, "venue clock -1 h": -3_600}.get(self.fault, 0)
        return self.exchange.now_ns // 1_000_000 + 1_000 * skew

    def _wrapped(self, result: Any) -> Any:
        if self.fault == "web page with status 200":
            return "<!DOCTYPE html><html><title>Just a moment...</title></html>"
        if self.fault == "another shape":
            return {"result": {"data": "soon"}}
        reply = {"jsonrpc": "2.0", "result": result, "usIn": self._stamp() * 1_000, "usOut": self._stamp() * 1_000, "testnet": False}
        if self.fault == "error and result both":
            reply["error"] = {"code": 10041, "message": "settlement_in_progress"}
        return reply

    def _options(self) -> Any:
        truth = self.exchange.truth()
        assert self.bench is not None
        self.bench.truth(truth)
        if self.fault == "the same reply again" and self.earlier:
            return self.earlier[-1]
        if self.fault == "an older reply again" and len(self.earlier) > 1:
            return self.earlier[0]
        if self.fault == "frozen rows":
            self.frozen = self.frozen or truth
            rows = [summary_row(row, self.frozen, stamp_ms=self._stamp()) for row in self.frozen.rows]
        else:
            self.frozen = None
            rows = self.exchange.summary_rows(truth, stamp_ms=self._stamp())
        spoilt = self._spoilt(rows, truth)
        nearest_ns = min(row[1] for row in truth.rows)
        self.expired = [row for row in truth.rows if row[1] == nearest_ns]
        reply = self._wrapped(spoilt)
        if not self.fault:
            self.earlier = [*self.earlier[-3:], reply]
        return reply

    def _spoilt(self, rows: list[dict[str, Any]], truth: Truth) -> list[Any]:
        fault, chance = self.fault, self.chance
        some = chance.sample(rows, max(len(rows) // 20, 2))
        heavy = max(rows, key=lambda row: row["open_interest"])
        some.append(heavy)
        if fault == "half of the rows":
            return [row for row in rows if chance.random() < 0.5]
        if fault == "an expiry is missing":
            lost = chance.choice(sorted({row["underlying_index"] for row in rows}))
            return [row for row in rows if row["underlying_index"] != lost]
        if fault == "no rows":
            return []
        if fault == "rows twice":
            return [*rows, *some]
        if fault == "rows twice that contradict":
            return [*rows, *({**row, "open_interest": row["open_interest"] + 7.0} for row in some)]
        if fault == "garbled rows":
            return [row for row in rows if row not in some] + [
                {**row, "mark_price": "x", "open_interest": [], "mark_iv": {}} for row in some
            ]
        if fault == "expired rows stay":
            return [
                *rows,
                *(summary_row((*row[:6], truth.index_usd), truth, stamp_ms=self._stamp()) for row in self.expired if row[1] <= truth.at_ns),
            ]
        changes: dict[str, Any] = {
            "volatility in two units": lambda row: {"mark_iv": row["mark_iv"] / 100.0},
            "volatility negative": lambda row: {"mark_iv": -row["mark_iv"]},
            "volatility missing": lambda _row: {"mark_iv": None},
            "open interest missing": lambda _row: {"open_interest": None},
            "open interest negative": lambda row: {"open_interest": -row["open_interest"] - 1.0},
        }
        if fault in changes:
            for row in some:
                row.update(changes[fault](row))
        if fault == "spot ten times":
            for row in rows:
                row.update(underlying_price=10.0 * row["underlying_price"], estimated_delivery_price=10.0 * row["estimated_delivery_price"])
        if fault == "index zero":
            for row in rows:
                row.update(estimated_delivery_price=0)
        return rows

    def _index(self) -> Any:
        factor = {"spot ten times": 10.0, "index zero": 0.0}.get(self.fault, 1.0)
        assert self.bench is not None
        if factor == 1.0:
            self.bench.sent(index=self.exchange.index_usd)
        return self._wrapped(
            {"index_price": self.exchange.index_usd * factor, "estimated_delivery_price": self.exchange.index_usd * factor}
        )

    def _book(self) -> Any:
        book = self.exchange.order_book(stamp_ms=self._stamp())
        assert self.bench is not None
        self.bench.sent(touch=list(self.exchange.touch()))
        if self.fault == "crossed book":
            book["bids"][0][0] = book["asks"][3][0]
        if self.fault == "garbled book":
            book["asks"][2] = [None, "much"]
        return self._wrapped(book)


def _with_status(error: Exception, status: int) -> Exception:
    """As the library raises: its own error, the HTTP answer behind it."""
    response = requests.Response()
    response.status_code = status
    error.__cause__ = requests.HTTPError(response=response)
    return error


@dataclass
class Weather:
    """Which fault is on at which turn: every one of the list once before any comes twice, some clean turns between."""

    chance: random.Random
    clean_turns: tuple[int, int] = (2, 4)
    fault_turns: tuple[int, int] = (1, 3)
    names: tuple[str, ...] = tuple(FAULTS)
    now: str = ""
    left: int = 3
    clean_since: int = 0
    turns_in: int = 0
    coming: list[str] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)

    @property
    def unseen(self) -> set[str]:
        """Faults that have not been on yet, or are on for the first time."""
        return set(self.names) - set(self.injected) | ({self.now} if self.now and self.injected[self.now] <= 1 else set())

    def next_turn(self) -> str:
        if self.left == 0:
            if self.now:
                self.now, self.left = "", self.chance.randint(*self.clean_turns)
            else:
                if not self.coming:
                    self.coming = self.chance.sample(self.names, len(self.names))
                self.now, self.left = self.coming.pop(), self.chance.randint(*self.fault_turns)
                if self.now == "frozen rows":
                    self.left = 6
            self.turns_in = 0
        self.left -= 1
        self.turns_in += 1
        self.clean_since = 0 if self.now else self.clean_since + 1
        if self.now:
            self.injected[self.now] += 1
        return self.now


@dataclass
class Fetched:
    """The real venue client over the simulated venue, one fetch a turn."""

    venue: RestVenue

    def __iter__(self) -> Fetched:
        return self

    def __next__(self) -> Any:
        from tailwag.sources.venues import fetch

        clock = self.venue.clock
        return fetch("deribit", "BTC", exchange=self.venue, clock=clock.wall_ns, sleep=clock.pass_seconds, trades=True)
