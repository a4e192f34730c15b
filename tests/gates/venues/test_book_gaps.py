"""Order books under lost, repeated and reordered changes: each is seen on the next message, and no wrong top of book is ever given out."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

from tests.gates.sizes import gate_seed, gate_size
from tests.sources.deribit_exchange import PERP, Exchange, Virtual

from tailwag.sources.streams.deribit_books import StreamedBook, Taken
from tailwag.sources.streams.deribit_session import DeribitSession
from tailwag.sources.streams.wire import Send

BOOK = f"book.{PERP}.100ms"


@dataclass
class SlowBook:
    """The venue's own book at each change, by plain dictionaries: what any client must see, or see nothing."""

    tops: dict[int, tuple[float, float, float, float]] = field(default_factory=dict)

    def note(self, exchange: Exchange) -> None:
        bid, ask = max(exchange.bids), min(exchange.asks)
        self.tops[exchange.change_id] = (bid, exchange.bids[bid], ask, exchange.asks[ask])


def tampered(rng: random.Random, pending: list[Any], kind: str) -> list[Any]:
    """The changes of a stretch as they arrive: one lost, one twice, or two in the wrong order; all others as sent."""
    place = rng.randrange(0, len(pending) - 2)
    if kind == "drop":
        return pending[:place] + pending[place + 1 :]
    if kind == "duplicate":
        return [*pending[: place + 1], *pending[place:]]
    swapped = list(pending)
    swapped[place], swapped[place + 1] = swapped[place + 1], swapped[place]
    return swapped


def test_every_lost_repeated_or_reordered_change_is_seen_on_the_next_message() -> None:
    injections, rng = gate_size(small=400, full=2_000), random.Random(gate_seed())
    exchange, truth, book = Exchange(seed=gate_seed()), SlowBook(), StreamedBook(PERP)
    seen = published = 0
    truth.note(exchange)
    for number in range(injections):
        kind = ("drop", "duplicate", "reorder")[number % 3]
        assert book.take(exchange.book_snapshot()) is Taken.APPLIED
        sent = []
        for _ in range(rng.randrange(4, 9)):
            exchange.now_ms += 100
            sent.append(exchange.book_change())
            truth.note(exchange)
        arriving = tampered(rng, sent, kind)
        wrong_at = next((place for place, message in enumerate(arriving) if message is not sent[place]), None)
        assert wrong_at is not None
        for place, message in enumerate(arriving):
            taken = book.take(message)
            if place < wrong_at:
                assert taken is Taken.APPLIED
            elif place == wrong_at:
                assert taken is Taken.GAP, (kind, place)
                seen += 1
            else:
                assert taken is Taken.IGNORED
            assert book.valid == (place < wrong_at)
            if book.valid:
                bid, ask = max(book.bids), min(book.asks)
                assert (bid, book.bids[bid], ask, book.asks[ask]) == truth.tops[book.change_id]
                published += 1
            else:
                assert not book.bids
                assert not book.asks
        # what came before the book was lost is no way back into it
        if rng.random() < 0.3:
            old = {**exchange.book_snapshot(), "change_id": book.change_id - 1, "bids": [["new", 1.0, 1.0]]}
            assert book.take(old) is Taken.IGNORED
            assert not book.valid
    assert seen == injections
    assert published > injections


def test_a_session_publishes_no_wrong_top_of_book_and_asks_for_a_fresh_one_at_once() -> None:
    """The same faults through the whole session, messages as text: the book in each snapshot is the venue's own, or there is none."""
    injections, rng = gate_size(small=60, full=300), random.Random(gate_seed() + 1)
    exchange, truth = Exchange(seed=gate_seed(), strikes=(70_000,), expiries=("27MAR26",)), SlowBook()
    arrived: list[str] = []

    def tamper(message: dict[str, Any]) -> list[dict[str, Any]]:
        data = message["params"]["data"]
        if message["params"]["channel"] != BOOK or data["type"] != "change" or rng.random() > 0.2:
            return [message]
        kind = rng.choice(("drop", "duplicate", "garble"))
        arrived.append(kind)
        if kind == "garble":
            return [{**message, "params": {"channel": BOOK, "data": {**data, "bids": [["new", "x", 1.0]]}}}]
        return [] if kind == "drop" else [message, message]

    world = Virtual(exchange, DeribitSession("BTC"))
    assert world.run(20.0, until=lambda: world.session.live(world.now))
    exchange.tamper = tamper
    books = missing = 0
    while len(arrived) < injections:
        world.step()
        truth.note(exchange)
        snapshot = world.snapshot()
        assert snapshot is not None
        if not snapshot.books:
            assert any("fetched anew" in doubt for doubt in snapshot.degraded)
            missing += 1
            continue
        book, held = snapshot.books[0], world.session._book
        bid, bid_usd, ask, ask_usd = truth.tops[held.change_id]
        assert (book.bid_price_usd[0], book.ask_price_usd[0]) == (bid, ask)
        assert (book.bid_coin[0], book.ask_coin[0]) == (bid_usd / bid, ask_usd / ask)
        books += 1
    counts = world.session.counters()
    faults = counts["book_gap"] + counts["book_malformed"]
    assert counts["book_resnapshots"] >= faults > 0.7 * injections
    assert books > injections
    assert world.closes == []


def test_a_gap_is_answered_by_leaving_and_subscribing_again() -> None:
    session = DeribitSession("BTC")
    exchange = Exchange(strikes=(70_000,), expiries=("27MAR26",))
    world = Virtual(exchange, session)
    assert world.run(20.0, until=lambda: session.live(world.now))
    exchange.book_change()  # nobody is told
    note = {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": BOOK, "data": exchange.book_change()}}
    actions = session.received(json.dumps(note), world.now, world.wall_ns)
    asked = [json.loads(action.text) for action in actions if isinstance(action, Send)]
    assert [request["method"] for request in asked] == ["public/unsubscribe", "public/subscribe"]
    assert all(request["params"] == {"channels": [BOOK]} for request in asked)


def test_nothing_of_the_old_book_outlives_a_snapshot() -> None:
    """A snapshot that comes unasked for, while the book is good: its levels are the book, and no others."""
    rng, exchange, book = random.Random(gate_seed()), Exchange(seed=gate_seed()), StreamedBook(PERP)
    assert book.take(exchange.book_snapshot()) is Taken.APPLIED
    for _ in range(200):
        for _ in range(rng.randrange(1, 12)):  # none of these is heard
            exchange.book_change()
        assert book.take(exchange.book_snapshot()) is Taken.APPLIED
        assert book.valid
        assert (book.bids, book.asks) == (exchange.bids, exchange.asks)
