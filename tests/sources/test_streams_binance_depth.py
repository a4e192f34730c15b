"""Binance's depth book against a book that is simply kept: started by the eight steps, given up at the first hole, never wrong."""

from __future__ import annotations

import pytest
from tests.sources.binance_exchange import ModelBook

from tailwag.errors import InputError
from tailwag.market.book import OrderBook
from tailwag.sources.streams.binance_depth import MOST_BUFFERED, DepthBook

KINDS = pytest.mark.parametrize("kind", ["spot", "perp"])
Sides = tuple[list[tuple[float, float]], list[tuple[float, float]]]


def pair(kind: str, seed: int = 1) -> tuple[ModelBook, DepthBook]:
    return ModelBook(seed, futures=kind != "spot"), DepthBook("BTCUSDT", "spot" if kind == "spot" else "perp")


def started(kind: str, seed: int = 1, late: int = 3) -> tuple[ModelBook, DepthBook, tuple[float, float]]:
    """A book in step, whose snapshot arrived ``late`` events after it was taken; and the price window of that snapshot."""
    model, book = pair(kind, seed)
    for _ in range(4):
        assert book.event(model.event()) == ""
    snapshot = model.snapshot()
    for _ in range(late):
        assert book.event(model.event()) == ""
    assert not book.live
    assert book.wants_snapshot
    assert book.snapshot(snapshot) == ""
    assert book.live is (late > 0 or kind != "spot")
    return model, book, (float(snapshot["bids"][-1][0]), float(snapshot["asks"][-1][0]))


def sides(book: OrderBook | None) -> Sides:
    assert book is not None
    return list(zip(book.bid_price_usd.tolist(), book.bid_coin.tolist())), list(zip(book.ask_price_usd.tolist(), book.ask_coin.tolist()))


@KINDS
@pytest.mark.parametrize("late", [0, 1, 5])
def test_in_step_after_every_event(kind: str, late: int) -> None:
    for seed in range(6):
        model, book, window = started(kind, seed, late)
        for _ in range(60):
            assert book.event(model.event()) == ""
            assert sides(book.order_book()) == model.within(*window)
            assert book.as_of_ns == model.clock_ms * 1_000_000


@KINDS
def test_a_hole_is_known_at_the_next_message_and_nothing_is_shown_until_a_new_snapshot(kind: str) -> None:
    model, book, _ = started(kind)
    model.event()
    assert book.event(model.event())
    assert (book.live, book.order_book(), book.breaks) == (False, None, 1)
    book.event(model.event())
    snapshot = model.snapshot()
    book.event(model.event())
    assert book.snapshot(snapshot) == ""
    assert sides(book.order_book()) == model.within(float(snapshot["bids"][-1][0]), float(snapshot["asks"][-1][0]))


@KINDS
def test_a_repeat_and_a_change_of_order_are_known_at_once(kind: str) -> None:
    for fault in ("repeat", "swap"):
        model, book, _ = started(kind)
        first, second = model.event(), model.event()
        if fault == "repeat":
            assert book.event(first) == ""
            assert "came again or out of order" in book.event(first)
        else:
            assert book.event(second)
        assert (book.live, book.order_book(), book.breaks) == (False, None, 1)


@KINDS
def test_a_snapshot_older_than_the_stream_is_refused_and_asked_for_again(kind: str) -> None:
    model, book = pair(kind)
    early = model.snapshot()
    model.event()
    book.event(model.event())
    assert "the stream begins" in book.snapshot(early)
    assert (book.live, book.wants_snapshot) == (False, True)


@KINDS
def test_a_snapshot_newer_than_the_stream_waits_for_the_event_that_reaches_it(kind: str) -> None:
    model, book = pair(kind)
    book.event(model.event())
    late = model.event()
    following = model.event()
    snapshot = model.snapshot()
    assert (book.snapshot(snapshot), book.live, book.wants_snapshot) == ("", False, False)
    book.event(late)
    book.event(following)
    assert book.live is (kind != "spot")
    book.event(model.event())
    assert sides(book.order_book()) == model.within(float(snapshot["bids"][-1][0]), float(snapshot["asks"][-1][0]))


@KINDS
def test_of_two_snapshots_the_newer_wins_and_one_that_nobody_waits_for_is_ignored(kind: str) -> None:
    model, book = pair(kind)
    book.event(model.event())
    old = model.snapshot()
    model.event()  # never seen by the book: only the newer snapshot covers it
    new = model.snapshot(100)
    book.snapshot(new)
    book.snapshot(old)
    book.event(model.event())
    window = float(new["bids"][-1][0]), float(new["asks"][-1][0])
    assert sides(book.order_book()) == model.within(*window)
    assert book.snapshot(old) == ""
    book.event(model.event())
    assert sides(book.order_book()) == model.within(*window)


def test_a_hole_among_the_waiting_events_does_not_get_through() -> None:
    model, book = pair("perp")
    book.event(model.event())
    snapshot = model.snapshot()
    book.event(model.event())
    model.event()
    book.event(model.event())
    assert "an update that follows" in book.snapshot(snapshot)
    assert (book.live, book.order_book()) == (False, None)
    again = model.snapshot()
    assert book.snapshot(again) == ""
    assert sides(book.order_book()) == model.within(float(again["bids"][-1][0]), float(again["asks"][-1][0]))


@KINDS
def test_a_new_window_is_taken_while_the_book_goes_on(kind: str) -> None:
    model, book, window = started(kind)
    book.renew()
    assert book.live
    assert not book.wants_snapshot, "nothing has come yet that a snapshot could reach into"
    book.event(model.event())
    assert book.wants_snapshot
    wider = model.snapshot(190)
    for _ in range(3):
        book.event(model.event())
        assert sides(book.order_book()) == model.within(*window), "the old window until the new one is in step"
    assert book.snapshot(wider) == ""
    assert sides(book.order_book()) == model.within(float(wider["bids"][-1][0]), float(wider["asks"][-1][0]))
    assert not book.wants_snapshot


def test_the_window_that_is_left_shrinks_as_the_price_moves() -> None:
    book = DepthBook("BTCUSDT", "spot")
    book.event({"E": 1, "U": 1, "u": 2, "b": [], "a": []})
    levels = [[f"{99 - step}", "1"] for step in range(10)], [[f"{101 + step}", "1"] for step in range(10)]
    book.snapshot({"lastUpdateId": 1, "bids": levels[0], "asks": levels[1]})
    assert book.window_left == 1.0
    book.event({"E": 2, "U": 3, "u": 3, "b": [["104", "1"]], "a": [[f"{101 + step}", "0"] for step in range(5)]})
    assert book.window_left == pytest.approx((110 - 105) / 10)
    book.event({"E": 3, "U": 4, "u": 4, "b": [], "a": [[f"{106 + step}", "0"] for step in range(5)]})
    assert book.window_left == 0.0
    with pytest.raises(InputError, match="left the window 90 to 110"):
        book.order_book()


def test_a_crossed_book_is_an_error_and_no_book() -> None:
    book = DepthBook("BTCUSDT", "spot")
    book.event({"E": 1, "U": 1, "u": 2, "b": [["101.5", "1"]], "a": []})
    book.snapshot({"lastUpdateId": 1, "bids": [["99", "1"]], "asks": [["101", "1"]]})
    with pytest.raises(InputError, match="crossed"):
        book.order_book()


@pytest.mark.parametrize(
    "change",
    [
        {"U": 5, "u": 4},
        {"U": "5"},
        {"u": True},
        {"E": None},
        {"b": [["nan", "1"]]},
        {"b": [["-1", "1"]]},
        {"a": [["1", "-1"]]},
        {"a": [["1e400", "1"]]},
        {"a": [["1"]]},
        {"b": "none"},
        {"pu": None},
    ],
)
def test_what_is_no_depth_event_ends_the_book(change: dict[str, object]) -> None:
    model, book, _ = started("perp")
    with pytest.raises(ValueError, match="no depth event"):
        book.event({**model.event(), **change})
    assert (book.live, book.order_book()) == (False, None)


@pytest.mark.parametrize("change", [{"bids": []}, {"asks": [["x", "1"]]}, {"lastUpdateId": 1.5}, {"bids": None}])
def test_what_is_no_snapshot_is_refused(change: dict[str, object]) -> None:
    model, book = pair("spot")
    book.event(model.event())
    with pytest.raises(ValueError, match="no depth snapshot"):
        book.snapshot({**model.snapshot(), **change})
    assert book.wants_snapshot


def test_waiting_is_bounded_and_what_was_lost_by_it_is_not_believed() -> None:
    model, book = pair("spot")
    book.event(model.event())
    early = model.snapshot()
    for _ in range(MOST_BUFFERED + 10):
        book.event(model.event())
    assert book.buffered == MOST_BUFFERED
    assert "the stream begins" in book.snapshot(early)


def test_contracts_of_usd_become_coin_at_their_own_level() -> None:
    book = DepthBook("BTCUSD_PERP", "perp", 100.0)
    book.event({"E": 1, "U": 1, "u": 2, "pu": 0, "b": [], "a": []})
    book.snapshot({"lastUpdateId": 2, "bids": [["50000.0", "500"]], "asks": [["62500.0", "1250"]]})
    assert sides(book.order_book()) == ([(50_000.0, 1.0)], [(62_500.0, 2.0)])
