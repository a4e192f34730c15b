"""Forced trades: time order, half-open spans, and a sentence with both sides."""

from __future__ import annotations

import numpy as np
import pytest

from tailwag.market.liquidations import Liquidations


def some(times: list[int], signs: list[int], usd: list[float]) -> Liquidations:
    return Liquidations.from_columns(
        instrument=[f"P{time}" for time in times], venue=["deribit"] * len(times), time_ns=times, order_sign=signs, amount_usd=usd
    )


def test_joined_tables_are_in_time_order_and_equal_times_stay_as_given() -> None:
    joined = Liquidations.joined([some([5, 9], [1, -1], [1e6, 2e6]), some([5, 1], [-1, 1], [3e6, 4e6])])
    assert joined.time_ns.tolist() == [1, 5, 5, 9]
    assert joined.amount_usd.tolist() == [4e6, 1e6, 3e6, 2e6]
    assert len(Liquidations.joined([])) == 0


def test_a_span_holds_its_start_and_not_its_end() -> None:
    assert some([1, 2, 3], [1, 1, 1], [1.0, 1.0, 1.0]).between(1, 3).time_ns.tolist() == [1, 2]


def test_it_says_what_was_bought_and_sold_and_leaves_out_what_is_not_known() -> None:
    assert "6.0 M USD bought, 2.0 M USD sold" in str(some([1, 2, 3, 4], [1, -1, 1, 1], [1e6, 2e6, 5e6, np.nan]))
    assert str(Liquidations.from_columns()) == "no liquidations"


def test_an_unknown_column_is_refused_and_a_frame_has_null_for_what_is_missing() -> None:
    with pytest.raises(TypeError, match="no column price"):
        Liquidations.from_columns(instrument=["A"], price=[1.0])
    frame = some([1, 2], [1, -1], [1.0, np.nan]).to_frame()
    assert frame["amount_usd"].to_list() == [1.0, None]
    assert frame["price_usd"].null_count() == frame.height == 2
