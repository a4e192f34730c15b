"""Order books: the walk against a level-by-level reference, and never a depth that nobody saw."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tailwag.errors import RuleError
from tailwag.liquidity import BookImpact, doubt_at_move, unknown_reason
from tailwag.market.book import OrderBook


def make_book(
    bids: list[tuple[float, float]], asks: list[tuple[float, float]], *, venue: str = "x", kind: str = "perp", complete: bool = False
) -> OrderBook:
    b, a = np.array(bids, dtype=float).reshape(-1, 2), np.array(asks, dtype=float).reshape(-1, 2)
    return OrderBook(venue, "BTC-PERP", kind, 0, b[:, 0], b[:, 1], a[:, 0], a[:, 1], complete)  # type: ignore[arg-type]


SMALL = make_book([(99.9, 10.0), (99.5, 20.0), (98.0, 50.0)], [(100.1, 5.0), (100.5, 30.0), (101.0, 40.0)])


def walk_by_hand(levels: list[tuple[float, float]], size_usd: float, mid: float) -> float | None:
    """Eat one level after the other; distance of the last price touched."""
    left = size_usd
    for price, coin in levels:
        left -= price * coin
        if left <= 0:
            return abs(price / mid - 1) * 100
    return None


@pytest.mark.parametrize("flow", [1.0, 500.0, 500.6, 3515.0, 3516.0, 7555.0, -1.0, -999.0, -2000.0, -2990.0, -7800.0])
def test_walk_matches_eating_level_by_level(flow: float) -> None:
    levels = [(100.1, 5.0), (100.5, 30.0), (101.0, 40.0)] if flow > 0 else [(99.9, 10.0), (99.5, 20.0), (98.0, 50.0)]
    expected = walk_by_hand(levels, abs(flow), 100.0)
    assert BookImpact.from_books([SMALL]).price_move_pct(flow) == pytest.approx(expected, rel=1e-12)


def test_walk_agrees_with_the_books_own() -> None:
    """The same answer as one book's own walk, for random books and flows."""
    rng = np.random.default_rng(11)
    for _ in range(50):
        gaps = rng.uniform(0.01, 0.5, (2, 40)).cumsum(axis=1)
        coin = rng.uniform(0.1, 5.0, (2, 40))
        book = make_book(list(zip(100 - gaps[0], coin[0], strict=True)), list(zip(100 + gaps[1], coin[1], strict=True)))
        impact = BookImpact.from_books([book])
        for flow in rng.uniform(-8000, 8000, 20):
            own, ours = book.walk(float(flow)), impact.price_move_pct(float(flow))
            assert (own is None) == (ours is None)
            if own is not None:
                assert ours == pytest.approx(abs(own.move_pct), rel=1e-9)


def test_beyond_the_reach_is_none_with_a_reason_never_the_visible_sum() -> None:
    impact = BookImpact.from_books([SMALL])
    assert impact.reach_pct == (pytest.approx(2.0), pytest.approx(1.0))
    assert impact.depth_usd(1.0) == (pytest.approx(99.9 * 10 + 99.5 * 20), pytest.approx(7555.5))
    assert impact.depth_usd(1.5) == (pytest.approx(99.9 * 10 + 99.5 * 20), None)
    assert impact.price_move_pct(7555.6) is None
    assert "asks within its reach of 1.00 %" in unknown_reason(impact, 7555.6)
    assert "bids" in unknown_reason(impact, -1e6)


def test_a_book_shorter_than_the_move_says_so() -> None:
    impact = BookImpact.from_books([SMALL])
    assert doubt_at_move(impact, 1.0) is None
    assert "reaches 1.00 %, less than the move of 1.5 %" in str(doubt_at_move(impact, 1.5))
    assert doubt_at_move(BookImpact.from_books([SMALL], extrapolation="linear"), 1.5) is None


def test_complete_book_is_known_to_its_end() -> None:
    impact = BookImpact.from_books([make_book([(99.0, 1.0)], [(101.0, 1.0)], complete=True)])
    assert impact.depth_usd(50.0) == (99.0, 101.0)
    assert doubt_at_move(impact, 50.0) is None
    assert impact.price_move_pct(102.0) is None
    assert "whole book" in unknown_reason(impact, 102.0)


def test_books_add_their_depth_and_end_at_the_shortest_reach() -> None:
    """Two venues 10 % apart in price: distances are from each own mid, dollars add, the short one limits."""
    near = make_book([(99.0, 10.0)], [(101.0, 10.0)])
    far = make_book([(109.0, 4.0), (105.0, 7.0)], [(111.0, 3.0), (120.0, 9.0)], venue="y")
    impact = BookImpact.from_books([near, far])
    assert impact.reach_pct == (pytest.approx(1.0), pytest.approx(1.0))
    bid, ask = impact.depth_usd(1.0)
    assert (bid, ask) == (pytest.approx(990 + 436), pytest.approx(1010 + 333))
    assert impact.depth_usd(4.0) == (None, None)
    assert "x BTC-PERP, y BTC-PERP" in impact.source


def test_linear_extrapolation_is_labelled_and_continuous() -> None:
    impact = BookImpact.from_books([SMALL], extrapolation="linear")
    assert impact.price_move_pct(2 * 7555.5) == pytest.approx(2.0, rel=1e-12)
    assert "EXTRAPOLATED (linear)" in impact.source
    assert impact.is_extrapolated(8000.0)
    assert not impact.is_extrapolated(100.0)
    root = BookImpact.from_books([SMALL], extrapolation="square-root")
    assert root.price_move_pct(4 * 7555.5) == pytest.approx(2.0, rel=1e-12)


def test_depth_of_a_side_belongs_to_that_side() -> None:
    impact = BookImpact.from_books([SMALL])
    assert impact.depth_usd_per_pct(3000.0) == pytest.approx(3000 / 0.5, rel=1e-12)
    assert impact.depth_usd_per_pct(-3000.0) == pytest.approx(3000 / 2.0, rel=1e-12)
    assert impact.depth_usd_per_pct(0.0) is None


@pytest.mark.parametrize("books", [[], [make_book([], [(101.0, 1.0)])], [make_book([(99.0, 1.0)], [(101.0, 1.0)], kind="option")]])
def test_no_usable_book_is_refused(books: list[OrderBook]) -> None:
    with pytest.raises(RuleError, match="order book of a spot, perp or future"):
        BookImpact.from_books(books)


def test_unknown_extrapolation_is_refused() -> None:
    with pytest.raises(RuleError, match="extrapolation"):
        BookImpact.from_books([SMALL], extrapolation="cubic")  # type: ignore[arg-type]


@pytest.mark.realdata
@pytest.mark.skipif(not os.environ.get("TAILWAG_DATA"), reason="TAILWAG_DATA names no folder of real data")
class TestRealBooks:
    """Binance captures of August 2024."""

    def book(self, name: str, at_ns: int | None = None) -> OrderBook:
        sources = pytest.importorskip("tailwag.sources")
        return sources.load_books(Path(os.environ["TAILWAG_DATA"]) / "ws-books" / name, at_ns)[0]

    def test_usdm_book_reaches_a_quarter_per_cent_so_one_per_cent_is_unknown(self) -> None:
        book = self.book("usdm_btcusdt_20240808.gz", 1723161261298000000)
        impact = BookImpact.from_books([book])
        assert min(impact.reach_pct) == pytest.approx(0.25, abs=0.02)
        assert impact.depth_usd(1.0) == (None, None)
        assert "reaches 0.25 %, less than the move of 1 %" in str(doubt_at_move(impact, 1.0))
        assert impact.price_move_pct(1e9) is None
        assert impact.depth_usd(0.1) == pytest.approx(tuple(book.depth_usd(0.1)), rel=1e-9)

    def test_after_the_price_has_fallen_the_known_bids_are_nearly_gone(self) -> None:
        impact = BookImpact.from_books([self.book("usdm_btcusdt_20240808.gz")])
        assert impact.reach_pct[0] < 0.05 < impact.reach_pct[1]
        assert impact.depth_usd(0.1)[0] is None
        assert impact.depth_usd(0.1)[1] is not None

    def test_inverse_book_is_in_dollars(self) -> None:
        impact = BookImpact.from_books([self.book("cm_btcusd_perp_20240808.gz")])
        assert impact.price_move_pct(1e5) < 0.1
        assert impact.price_move_pct(-1e5) < 0.1
