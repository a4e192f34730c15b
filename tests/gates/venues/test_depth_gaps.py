"""Depth events lost, repeated and out of order (items 42 and 43 of the fault list): each is known at the next message, and no wrong top is ever shown.

The oracle is a venue that keeps its books in dicts of whole ticks.
"""

from __future__ import annotations

import json
import random

import pytest
from tests.gates.sizes import gate_seed, gate_size
from tests.sources.binance_exchange import ModelBook

from tailwag.sources.streams.binance_markets import BinanceAddresses, connections
from tailwag.sources.streams.binance_rest import Answer
from tailwag.sources.streams.binance_session import BinanceSession
from tailwag.sources.streams.wire import Close

FAULTS = ("drop", "repeat", "swap", "drop_many", "garble", "reconnect")
STEP_SECONDS = 0.1


class Stream:
    """One session and its venue on a clock that is only told; counts what was shown and how it compares."""

    def __init__(self, seed: int, number: int) -> None:
        self.random = random.Random(seed)
        self.connection = connections("BTC", 1_763_551_236_000_000_000, addresses=BinanceAddresses())[number]
        self.model = ModelBook(seed, futures=number > 0, symbol=self.connection.symbol)
        self.session = BinanceSession(self.connection)
        self.now, self.shown, self.wrong, self.undetected = 0.0, 0, 0, 0
        self.session.opened(self.now)
        self.replies: list[tuple[int, Answer]] = []
        """Snapshots on their way: how many events from now they arrive."""

    def step(self, *messages: str) -> None:
        """Hand messages in, let time pass, answer requests a few events late, and compare what is shown."""
        self.now += STEP_SECONDS
        wall_ns = self.model.clock_ms * 1_000_000
        closing = [action for text in messages for action in self.session.received(text, self.now, wall_ns)]
        closing += self.session.tick(self.now, wall_ns)
        while self.session.mailbox.out:
            wanted = self.session.mailbox.out.popleft()
            if "depth" in wanted.path.path:
                answer = Answer(wanted.number, wanted.what, json.dumps(self.model.snapshot()).encode())
                self.replies.append((self.random.randint(0, 4), answer))
        self.replies = [(left - 1, answer) for left, answer in self.replies if left or self.session.mailbox.back.append(answer)]
        if any(isinstance(action, Close) for action in closing):
            self.reconnect()
        self.compare()

    def reconnect(self) -> None:
        self.session.closed(self.now)
        self.session.opened(self.now)

    def compare(self) -> None:
        snapshot = self.session.snapshot(self.now, self.model.clock_ms * 1_000_000)
        if snapshot is None or not snapshot.books:
            return
        (book,) = snapshot.books
        self.shown += 1
        scale = self.connection.usd_per_contract
        low, high = book.bid_price_usd[-1], book.ask_price_usd[-1]
        bids, asks = self.model.within(float(low), float(high), book.as_of_ns // 1_000_000)
        expected = [[(price, lots * scale / price if scale else lots) for price, lots in side] for side in (bids, asks)]
        got = [
            list(zip(book.bid_price_usd.tolist(), book.bid_coin.tolist())),
            list(zip(book.ask_price_usd.tolist(), book.ask_coin.tolist())),
        ]
        same = all(
            len(one) == len(other) and all(a[0] == b[0] and abs(a[1] - b[1]) <= 1e-12 * b[1] for a, b in zip(one, other))
            for one, other in zip(got, expected)
        )
        self.wrong += not same

    def text(self) -> str:
        stream = f"{self.connection.symbol.lower()}@depth@100ms"
        return json.dumps({"stream": stream, "data": self.model.event()})

    def calm(self, events: int) -> None:
        for _ in range(events):
            self.step(self.text())

    def until_live(self) -> None:
        for _ in range(400):
            if self.session.book is not None and self.session.book.live:
                return
            self.step(self.text())
        raise AssertionError("the book never came back")

    def inject(self, fault: str) -> None:
        """One fault while the book is live, and the one message after which it must be known."""
        assert self.session.book is not None
        first = self.text()
        if fault == "garble":
            self.step(first[: len(first) // 2])
        elif fault == "reconnect":
            self.reconnect()
        elif fault == "repeat":
            self.step(first)
            self.step(first)
        elif fault == "swap":
            self.step(self.text())
        else:
            for _ in range(self.random.randint(1, 30) if fault == "drop_many" else 0):
                self.text()
            self.step(self.text())
        self.undetected += self.session.book.live
        if fault == "swap":
            self.step(first)  # the one that was overtaken


@pytest.mark.parametrize("number", [0, 1, 3], ids=["spot", "usdm", "coinm"])
def test_every_injected_fault_is_known_at_the_next_message_and_no_wrong_book_is_shown(number: int) -> None:
    cases = gate_size(small=60, full=1_000)
    stream = Stream(gate_seed(), number)
    for case in range(cases):
        stream.until_live()
        stream.calm(stream.random.randint(1, 6))
        stream.until_live()
        stream.inject(FAULTS[case % len(FAULTS)])
    stream.until_live()
    stream.compare()
    assert stream.undetected == 0
    assert stream.wrong == 0
    assert stream.shown > cases
    counters = stream.session.counters()
    print(f"{cases} faults, {stream.shown} books compared, {counters['gaps']} gaps, {counters['snapshots']} snapshots")
