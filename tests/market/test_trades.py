"""Trades: columns keep their meaning through selecting and joining."""

from __future__ import annotations

import pytest

from tailwag.market.trades import Trades


def trades(*times_ns: int, repeats_removed: int = 0) -> Trades:
    count = len(times_ns)
    return Trades.from_columns(
        trade_id=[f"t{time}" for time in times_ns],
        instrument=["BTC-27MAR26-60000-C"] * count,
        time_ns=list(times_ns),
        taker_sign=[1, -1] * (count // 2) + [1] * (count % 2),
        amount_coin=[0.5] * count,
        repeats_removed=repeats_removed,
    )


def test_absent_columns_are_missing_not_zero() -> None:
    table = trades(1, 2)
    assert table.iv.tolist() != [0.0, 0.0]
    assert (table.iv != table.iv).all()
    assert table.liquidated.tolist() == ["", ""]
    assert not table.is_block.any()


def test_an_unknown_column_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="no column amount_usd"):
        Trades.from_columns(trade_id=["1"], instrument=["A"], amount_usd=[1.0])


def test_between_takes_the_start_and_leaves_the_end() -> None:
    assert trades(1, 2, 3, 4).between(2, 4).time_ns.tolist() == [2, 3]


def test_joined_tables_are_in_time_order_and_keep_their_counts() -> None:
    joined = Trades.joined([trades(3, 5, repeats_removed=2), trades(1, 4, repeats_removed=1)])
    assert joined.time_ns.tolist() == [1, 3, 4, 5]
    assert joined.trade_id.tolist() == ["t1", "t3", "t4", "t5"]
    assert joined.repeats_removed == 3


def test_a_selection_keeps_the_count_and_the_order_asked_for() -> None:
    chosen = trades(1, 2, 3, repeats_removed=7).select([2, 0])
    assert chosen.time_ns.tolist() == [3, 1]
    assert chosen.repeats_removed == 7


def test_it_reads_as_a_sentence() -> None:
    assert str(trades()) == "no trades"
    assert "2 trades from 1970-01-01T00:00:00Z" in str(trades(0, 0))


def test_the_frame_has_a_row_per_trade_and_utc_times() -> None:
    frame = trades(1, 2).to_frame()
    assert frame.height == 2
    assert str(frame.schema["time"]) == "Datetime(time_unit='ns', time_zone='UTC')"
