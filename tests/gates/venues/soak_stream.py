"""A streaming exchange in virtual time: one line of text each way to the real session, and what goes wrong on it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from tests.gates.venues.exchange_world import PERP, Exchange, Truth, summary_row
from tests.gates.venues.soak_bench import Bench, VirtualWorld

from tailwag.market.snapshot import Snapshot
from tailwag.sources.streams.backoff import Backoff
from tailwag.sources.streams.deribit_session import DeribitSession, DeribitTiming
from tailwag.sources.streams.wire import Action, Close, Send

FAULTS = {
    "book change lost": 42,
    "book change twice": 42,
    "book changes out of order": 42,
    "older book snapshot": 43,
    "book crossed": 9,
    "book level garbled": 44,
    "half a frame": 44,
    "binary frame": 44,
    "not UTF-8": 44,
    "socket open, no data": 45,
    "closed at once, 10 a second": 46,
    "10028 and closed": 48,
    "error and result both": 49,
    "answers with a wrong id": 49,
    "part of the channels": 51,
    "platform locked": 52,
    "maintenance": 52,
    "everything late": 53,
    "everything twice": 42,
    "tickers out of order": 42,
    "an expiry is silent": 45,
    "one option is silent": 45,
    "the index is silent": 45,
    "tickers lost": 42,
    "tickers garbled": 44,
    "volatility negative": 5,
    "spot ten times": 22,
    "our clock +1 h": 30,
    "our clock -1 h": 30,
    "venue clock +1 h": 30,
}
SLOW = DeribitTiming(expected=700.0, quiet=670.0, heartbeat=60.0, dead=2_160.0, settle=40.0, mute=3_600.0)
"""One round of tickers in twelve minutes in place of one in five seconds: a thinned day."""
WHEN_ASKED = ("closed at once, 10 a second", "10028 and closed", "error and result both", "answers with a wrong id", "part of the channels")
"""Faults of connecting and asking: the line is cut as they begin, or nothing would be asked."""
BACKLOG = 4_000
"""Messages that a slow consumer may have before it; the oldest go, as with a socket that is left."""


@dataclass
class StreamVenue:
    """The exchange's end of the line and the runner's part between: connections, back-off, and messages that suffer on the way."""

    exchange: Exchange
    clock: VirtualWorld
    session: DeribitSession
    backoff: Backoff
    chance: random.Random
    bench: Bench | None = None
    fault: str = ""
    connected: bool = False
    granted: set[str] = field(default_factory=set)
    held_back: list[Any] = field(default_factory=list)
    ladder: tuple[dict[float, float], dict[float, float]] = field(default_factory=lambda: ({}, {}))
    connects: list[float] = field(default_factory=list)
    messages: int = 0
    deepest: int = 0
    met: Counter[str] = field(default_factory=Counter)

    # time

    def step(self, seconds: float) -> None:
        """Let time pass for the connection: connect, tick."""
        self.clock.pass_seconds(seconds)
        now = self.clock.seconds
        if not self.connected and self.backoff.due(now) <= now:
            self.backoff.connecting(now)
            self.connects.append(now)
            self._connect(now)
        if self.connected:
            self._act(self.session.tick(now, self.clock.wall_ns()))

    def cut(self) -> None:
        """The line breaks."""
        if self.connected:
            self._lose()

    def _connect(self, now: float) -> None:
        self.met["connects"] += 1
        self.connected = True
        self._act(self.session.opened(now))
        if self.fault == "closed at once, 10 a second" and self.connected:
            self._lose()

    def _lose(self, wait_seconds: float = 0.0) -> None:
        self.connected = False
        self.granted.clear()
        self.held_back.clear()
        self.session.closed(self.clock.seconds)
        self.backoff.lost(self.clock.seconds, wait_seconds=wait_seconds)

    def _act(self, actions: list[Action]) -> None:
        waiting = list(actions)
        while waiting and self.connected:
            action = waiting.pop(0)
            if isinstance(action, Close):
                self.met[f"closed {action.code}"] += 1
                self._lose(action.wait_seconds)
            elif isinstance(action, Send):
                for reply in self._asked(json.loads(action.text)):
                    waiting += self._hand(reply)

    def _hand(self, message: Any) -> list[Action]:
        if not self.connected:
            return []
        self.messages += 1
        text = message if isinstance(message, str | bytes) else orjson.dumps(message).decode()
        return self.session.received(text, self.clock.seconds, self.clock.wall_ns())

    # questions

    def _asked(self, call: dict[str, Any]) -> list[Any]:
        if self.fault == "socket open, no data":
            return []
        stamp = {"usIn": self._stamp() * 1_000, "usOut": self._stamp() * 1_000, "jsonrpc": "2.0"}
        if self.fault == "10028 and closed" and self.chance.random() < 0.5:
            return [{**stamp, "id": call["id"], "error": {"code": 10028, "message": "too_many_requests"}}]
        if self.fault == "maintenance":
            return [{**stamp, "id": call["id"], "error": {"code": 11051, "message": "system_maintenance"}}]
        result, more = self._answer(call["method"], call["params"])
        reply = {**stamp, "id": call["id"], "result": result}
        if self.fault == "error and result both" and self.chance.random() < 0.5:
            reply["error"] = {"code": 10041, "message": "settlement_in_progress"}
        if self.fault == "answers with a wrong id" and self.chance.random() < 0.5:
            reply["id"] = call["id"] + 1_000_000
        return [reply, *more]

    def _answer(self, method: str, parameters: dict[str, Any]) -> tuple[Any, list[Any]]:
        if method == "public/get_instruments":
            return self._instruments(parameters["currency"], parameters["kind"]), []
        if method == "public/subscribe":
            kept = [name for name in parameters["channels"] if not (self.fault == "part of the channels" and self.chance.random() < 0.2)]
            self.granted.update(kept)
            books = [self._notice(f"book.{PERP}.100ms", self._book_snapshot())] if f"book.{PERP}.100ms" in kept else []
            return kept, books
        if method == "public/unsubscribe":
            self.granted.difference_update(parameters["channels"])
            return parameters["channels"], []
        return {"trades": [], "has_more": False} if "trades" in method else "ok", []

    def _instruments(self, currency: str, kind: str) -> list[dict[str, Any]]:
        if (currency, kind) == ("BTC", "option"):
            return [
                {
                    "instrument_name": option.name,
                    "kind": "option",
                    "strike": option.strike_usd,
                    "option_type": "call" if option.right > 0 else "put",
                    "expiration_timestamp": option.expiry_ns // 1_000_000,
                    "contract_size": 1.0,
                    "instrument_type": "reversed",
                    "is_active": True,
                }
                for option in self.exchange.options.values()
            ]
        if (currency, kind) == ("BTC", "future"):
            return [{"instrument_name": PERP, "kind": "future", "contract_size": 10.0, "instrument_type": "reversed", "is_active": True}]
        return []

    # what is pushed

    def _stamp(self) -> int:
        return self.exchange.now_ns // 1_000_000 + (3_600_000 if self.fault == "venue clock +1 h" else 0)

    def _notice(self, channel: str, data: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}

    def _book_snapshot(self) -> dict[str, Any]:
        bids, asks = self.ladder
        return {
            "type": "snapshot",
            "instrument_name": PERP,
            "timestamp": self._stamp(),
            "change_id": self.exchange.change_id,
            "bids": [["new", price, amount] for price, amount in bids.items()],
            "asks": [["new", price, amount] for price, amount in asks.items()],
        }

    def _book_changes(self) -> list[dict[str, Any]]:
        """The way from the ladder held to the one of now, a side at a time so that it never crosses, and a change that changes nothing."""
        new_bids, new_asks = (dict(map(tuple, side)) for side in self.exchange.ladder())
        old_bids, old_asks = self.ladder
        up = max(new_bids) >= max(old_bids, default=0.0)
        changes = []
        for side in (*(("asks", "bids") if up else ("bids", "asks")), "none"):
            old, new = {"bids": (old_bids, new_bids), "asks": (old_asks, new_asks), "none": ({}, {})}[side]
            rows = [["delete", price, 0.0] for price in old if price not in new]
            rows += [["change" if price in old else "new", price, amount] for price, amount in new.items() if old.get(price) != amount]
            before, self.exchange.change_id = self.exchange.change_id, self.exchange.change_id + self.chance.randint(1, 9)
            changes.append(
                {
                    "type": "change",
                    "instrument_name": PERP,
                    "timestamp": self._stamp(),
                    "prev_change_id": before,
                    "change_id": self.exchange.change_id,
                    "bids": rows if side == "bids" else [],
                    "asks": rows if side == "asks" else [],
                }
            )
        self.ladder = (new_bids, new_asks)
        return changes

    def round(self, truth: Truth) -> None:
        """Everything that the exchange says of one moment, on the channels that were granted, as the line delivers it."""
        stamp = self._stamp()
        notices = [
            self._notice(
                "deribit_price_index.btc_usd", {"index_name": "btc_usd", "price": self._price(truth.index_usd), "timestamp": stamp}
            )
        ]
        notices += [self._notice(f"book.{PERP}.100ms", change) for change in self._book_changes()]
        notices.append(self._notice(f"ticker.{PERP}.100ms", perp_ticker(self.exchange, stamp)))
        notices += [self._notice(f"ticker.{row[0]}.100ms", self._ticker(row, truth, stamp)) for row in truth.rows]
        if self.fault in ("platform locked", "maintenance"):
            notices.insert(0, self._notice("platform_state", {"price_index": "all", "locked": True}))
        else:
            notices.insert(0, self._notice("platform_state", {"price_index": "all", "locked": False}))
        for message in self._suffered([notice for notice in notices if notice["params"]["channel"] in self.granted]):
            self._act(self._hand(message))

    def _price(self, price: float) -> float:
        return price * 10.0 if self.fault == "spot ten times" else price

    def _ticker(self, row: tuple[Any, ...], truth: Truth, stamp: int) -> dict[str, Any]:
        summary = summary_row(row, truth, stamp_ms=stamp)
        return {
            "instrument_name": row[0],
            "timestamp": stamp,
            "state": "open",
            "stats": {"volume": 1.0},
            "open_interest": summary["open_interest"],
            "mark_iv": summary["mark_iv"],
            "mark_price": summary["mark_price"],
            "best_bid_price": summary["bid_price"] or 0.0,
            "best_ask_price": summary["ask_price"],
            "underlying_price": self._price(summary["underlying_price"]),
            "underlying_index": summary["underlying_index"],
            "index_price": self._price(truth.index_usd),
            "estimated_delivery_price": self._price(truth.index_usd),
            "interest_rate": 0.0,
            "greeks": {"delta": 0.5},
        }

    # what happens on the way

    def _suffered(self, notices: list[dict[str, Any]]) -> Iterator[Any]:
        fault, chance = self.fault, self.chance
        if fault == "socket open, no data":
            return
        if fault == "everything late":
            self.held_back = [*self.held_back, *notices][-BACKLOG:]
            self.deepest = max(self.deepest, len(self.held_back))
            return
        late, self.held_back = self.held_back, []
        places = {
            kind: [rank for rank, one in enumerate(notices) if one["params"]["channel"].startswith(kind)] for kind in ("book.", "ticker.")
        }
        books, tickers = places["book."], places["ticker."]
        if fault.startswith(("book", "older book")) and books:
            notices = self._book_trouble(notices, books)
        elif fault == "tickers out of order":
            chance.shuffle(notices[books[-1] + 1 if books else 0 :])
            notices += [{**one, "params": {**one["params"], "data": _older(one["params"]["data"])}} for one in notices[-50:]]
        elif fault == "everything twice":
            notices = [one for notice in notices for one in (notice, notice)]
        elif fault in ("tickers lost", "an expiry is silent", "one option is silent", "the index is silent"):
            notices = [one for one in notices if not self._is_lost(one["params"]["channel"])]
        elif fault in ("tickers garbled", "volatility negative"):
            for rank in chance.sample(tickers, min(len(tickers) // 20 + 1, len(tickers))):
                notices[rank] = self._garbled(notices[rank])
        yield from late
        for rank, notice in enumerate(notices):
            yield notice
            if rank == len(notices) // 2 and fault in ("half a frame", "binary frame", "not UTF-8"):
                yield {"half a frame": json.dumps(notice)[:60], "binary frame": b"\x00\x01", "not UTF-8": b'{"a": "\xff"}'}[fault]

    def _book_trouble(self, notices: list[dict[str, Any]], books: list[int]) -> list[dict[str, Any]]:
        if self.fault == "book change lost":  # the one whose loss leaves a book that is wrong and not crossed
            return [*notices[: books[1]], *notices[books[1] + 1 :]]
        first = books[0]
        notice, rest = notices[first], notices[first + 1 :]
        data = notice["params"]["data"]
        changed: dict[str, list[dict[str, Any]]] = {
            "book change twice": [notice, notice],
            "older book snapshot": [
                notice,
                self._notice(notice["params"]["channel"], {**self._book_snapshot(), "change_id": 5, "bids": [["new", 1.0, 1.0]]}),
            ],
            "book level garbled": [self._notice(notice["params"]["channel"], {**data, "bids": [["new", None, "much"]]})],
            "book crossed": [self._notice(notice["params"]["channel"], {**data, "bids": [["new", 1e6, 10.0]]})],
            "book changes out of order": [rest[0], notice],
        }
        return [*notices[:first], *changed[self.fault], *(rest[1:] if self.fault == "book changes out of order" else rest)]

    def _is_lost(self, channel: str) -> bool:
        options = sorted({one.expiry_ns for one in self.exchange.options.values()})
        if self.fault == "the index is silent":
            return channel.startswith("deribit_price_index")
        if not channel.startswith("ticker.BTC-") or channel == f"ticker.{PERP}.100ms":
            return False
        option = self.exchange.options.get(channel.split(".")[1])
        if option is None:
            return False
        if self.fault == "an expiry is silent":
            return option.expiry_ns == options[2]
        heavy = max(self.exchange.options.values(), key=lambda one: (one.open_interest_coin, one.name))
        return option.name == heavy.name if self.fault == "one option is silent" else self.chance.random() < 0.1

    def _garbled(self, notice: dict[str, Any]) -> dict[str, Any]:
        data = dict(notice["params"]["data"])
        if self.fault == "volatility negative":
            data["mark_iv"] = -abs(data.get("mark_iv") or 50.0)
        else:
            data.update(
                self.chance.choice(
                    [{"mark_price": "x"}, {"open_interest": None}, {"timestamp": "now"}, {"mark_iv": 1e300}, {"instrument_name": "X"}]
                )
            )
        return self._notice(notice["params"]["channel"], data)


def _older(data: Any) -> Any:
    """An earlier word of the same instrument."""
    return {**data, "timestamp": data["timestamp"] - 1_000, "open_interest": 1.0, "mark_iv": 20.0} if "open_interest" in data else data


def perp_ticker(exchange: Exchange, stamp: int) -> dict[str, Any]:
    bid, ask = exchange.touch()
    return {
        "instrument_name": PERP,
        "timestamp": stamp,
        "state": "open",
        "stats": {"volume": 1_000.0, "volume_usd": 7e7, "volume_notional": 7e7},
        "open_interest": 1.1e9,
        "mark_price": exchange.index_usd,
        "index_price": exchange.index_usd,
        "best_bid_price": bid,
        "best_ask_price": ask,
        "funding_8h": 0.0001,
        "current_funding": 0.0,
    }


@dataclass
class Streamed:
    """The feed of the session: what it holds at each turn, None while it is not live."""

    venue: StreamVenue

    def __iter__(self) -> Streamed:
        return self

    def __next__(self) -> Snapshot | None:
        return self.venue.session.snapshot(self.venue.clock.seconds, self.venue.clock.wall_ns())
