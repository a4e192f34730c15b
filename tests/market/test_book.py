"""Order books: depth is what is known, never what happens to be visible; market orders walk the levels one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.kernels.arrays import frozen
from tailwag.market.book import OrderBook


def book(bids: list[tuple[float, float]], asks: list[tuple[float, float]], **more: Any) -> OrderBook:
    return OrderBook.from_levels(
        venue="binance",
        instrument="BTCUSDT",
        kind="perp",
        as_of_ns=0,
        bids=np.array(bids).reshape(-1, 2),
        asks=np.array(asks).reshape(-1, 2),
        **more,
    )


LADDER = book([(99.0, 2.0), (99.5, 1.0), (98.0, 4.0)], [(100.5, 1.0), (101.0, 2.0), (103.0, 5.0)])


def test_levels_come_best_first_and_mid_is_between() -> None:
    assert LADDER.bid_price_usd.tolist() == [99.5, 99.0, 98.0]
    assert LADDER.ask_coin.tolist() == [1.0, 2.0, 5.0]
    assert LADDER.mid_usd == 100.0


def test_depth_within_a_distance_counts_usd_of_each_side() -> None:
    """Within 1 % of 100: bids down to 99 = 99.5 * 1 + 99 * 2, asks up to 101 = 100.5 * 1 + 101 * 2."""
    assert LADDER.depth_usd(1.0) == (99.5 + 198.0, 100.5 + 202.0)


def test_depth_beyond_the_reach_is_unknown_never_the_visible_sum() -> None:
    """Bids are known to 98 (2 %), asks to 103 (3 %)."""
    assert LADDER.side_reach_pct == pytest.approx((2.0, 3.0))
    assert LADDER.reach_pct == pytest.approx(2.0)
    assert LADDER.depth_usd(2.5).bid is None
    assert LADDER.depth_usd(2.5).ask == pytest.approx(302.5)
    assert LADDER.depth_usd(5.0) == (None, None)


def test_a_complete_book_is_known_to_the_end() -> None:
    whole = book([(99.5, 1.0)], [(100.5, 1.0)], complete=True)
    assert whole.depth_usd(50.0) == (99.5, 100.5)


def test_a_market_buy_pays_level_after_level() -> None:
    """302.5 USD of asks lie up to 101; 100 USD more come from 103: average = 402.5 / (1 + 2 + 100/103)."""
    walk = LADDER.walk(402.5)
    assert walk is not None
    assert walk.last_price_usd == 103.0
    assert walk.move_pct == pytest.approx(3.0)
    assert walk.average_price_usd == pytest.approx(402.5 / (3.0 + 100.0 / 103.0), rel=1e-14)
    assert 0.0 < walk.cost_pct < walk.move_pct


def test_a_sale_moves_the_price_down() -> None:
    walk = LADDER.walk(-150.0)
    assert walk is not None
    assert walk.move_pct == pytest.approx(-1.0)
    assert walk.cost_pct < 0.0


@pytest.mark.parametrize("flow_usd", [818.0, -690.0, 1e12, math.nan, math.inf])
def test_an_order_larger_than_the_book_has_no_price(flow_usd: float) -> None:
    """Asks hold 817.5 USD, bids 689.5 USD."""
    assert LADDER.walk(flow_usd) is None


def test_eating_the_whole_visible_side_is_still_a_price() -> None:
    visible_bid, visible_ask = LADDER.visible_usd
    assert (visible_bid, visible_ask) == (689.5, 817.5)
    assert LADDER.walk(visible_ask).last_price_usd == 103.0  # type: ignore[union-attr]


def test_the_walk_agrees_with_a_loop_over_levels() -> None:
    """An independent slow walk, on 50 random books."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        asks = np.column_stack((100.0 + np.cumsum(rng.uniform(0.01, 1.0, 30)), rng.uniform(0.1, 3.0, 30)))
        random_book = book([(99.9, 1.0)], [tuple(row) for row in asks])
        wanted = float(rng.uniform(1.0, (asks[:, 0] * asks[:, 1]).sum()))
        left, coin, last = wanted, 0.0, 0.0
        for price, amount in asks:
            take = min(left, price * amount)
            left, coin, last = left - take, coin + take / price, price
            if left <= 1e-9:
                break
        walk = random_book.walk(wanted)
        assert walk is not None
        assert walk.last_price_usd == last
        assert walk.average_price_usd == pytest.approx(wanted / coin, rel=1e-12)


@pytest.mark.parametrize("best_ask", [99.5, 99.0])
def test_a_crossed_or_locked_book_is_refused(best_ask: float) -> None:
    with pytest.raises(InputError, match="crossed book"):
        book([(99.5, 1.0)], [(best_ask, 1.0)])


@pytest.mark.parametrize("level", [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (101.0, -1.0), (101.0, math.inf), (101.0, math.nan)])
def test_impossible_levels_are_refused(level: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="not above 0"):
        book([(99.5, 1.0)], [level])


def test_the_same_price_twice_and_wrong_order_are_refused() -> None:
    with pytest.raises(InputError, match="best price first"):
        book([(99.5, 1.0)], [(100.5, 1.0), (100.5, 2.0)])
    with pytest.raises(InputError, match="best price first"):
        OrderBook("v", "i", "spot", 0, frozen([98.0, 99.0]), frozen([1.0, 1.0]), frozen([]), frozen([]))


def test_levels_of_amount_zero_are_gone() -> None:
    assert book([(99.5, 0.0), (99.0, 1.0)], [(100.5, 1.0)]).bid_price_usd.tolist() == [99.0]


def test_a_one_sided_book_answers_nothing() -> None:
    one_sided = book([(99.5, 1.0)], [])
    assert math.isnan(one_sided.mid_usd)
    assert one_sided.depth_usd(1.0) == (None, None)
    assert one_sided.reach_pct == 0.0
    assert one_sided.walk(-10.0) is None
