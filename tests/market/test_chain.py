"""Chain: columns are frozen, never filtered, and shares are measured on what counts once."""

from __future__ import annotations

import numpy as np
import pytest

from tailwag.market.chain import Chain
from tailwag.market.codes import NO_VENUE_VOL, QUARANTINE, RowCode


def _chain(**columns: object) -> Chain:
    kept = {"open_interest_contracts": [10.0, 30.0, 60.0], "coin_per_contract": [1.0, 1.0, 1.0], "right": [1, -1, 1], **columns}
    return Chain.from_columns(currency="BTC", as_of_ns=1, instrument=["a", "b", "c"], **kept)


def test_columns_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        _chain().iv[0] = 1.0


def test_an_absent_column_is_missing_on_every_row() -> None:
    assert np.isnan(_chain().iv).all()
    assert _chain().settlement.tolist() == ["inverse"] * 3


@pytest.mark.parametrize(("column", "values"), [("iv", [0.5]), ("colour", [1.0, 2.0, 3.0])], ids=["wrong length", "unknown name"])
def test_a_column_that_does_not_fit_is_refused(column: str, values: list[float]) -> None:
    with pytest.raises(TypeError, match=column):
        _chain(**{column: values})


def test_open_interest_counts_contract_size() -> None:
    assert _chain(coin_per_contract=[1.0, 0.1, 0.01]).open_interest_coin == pytest.approx([10.0, 3.0, 0.6])


def test_shares_count_each_contract_once_and_ignore_what_is_no_amount() -> None:
    chain = _chain(open_interest_contracts=[10.0, np.nan, -5.0], codes=[0, int(RowCode.OI_MISSING), int(RowCode.OI_NEGATIVE)])
    assert chain.counted_open_interest_coin().tolist() == [10.0, 0.0, 0.0]
    twice = _chain(codes=[0, 0, int(RowCode.DUPLICATE)])
    assert twice.counted_open_interest_coin().sum() == 40.0
    assert [(share.code, share.instruments) for share in twice.shares(within=QUARANTINE)] == [("duplicate", 1)]


def test_shares_are_of_counted_open_interest_largest_first() -> None:
    shares = _chain(codes=[int(RowCode.EXPIRED), int(RowCode.IV_MISSING), 0]).shares(within=QUARANTINE | NO_VENUE_VOL)
    assert [(share.code, share.open_interest_share) for share in shares] == [("iv_missing", 0.3), ("expired", 0.1)]


def test_usable_and_priced() -> None:
    chain = _chain(codes=[int(RowCode.EXPIRED), int(RowCode.IV_MISSING), int(RowCode.CROSSED)])
    assert chain.usable.tolist() == [False, True, True]
    assert chain.priced.tolist() == [False, False, True]


def test_inverse_prices_become_usd_by_the_rows_own_forward() -> None:
    chain = _chain(settlement=["inverse", "linear", "inverse"], underlying_usd=[70_000.0, 70_000.0, 80_000.0])
    assert chain.quoted_in_usd(np.array([0.1, 7_000.0, 0.1])).tolist() == [7_000.0, 7_000.0, 8_000.0]


def test_selecting_and_replacing_keep_the_rest() -> None:
    chain = _chain(iv=[0.5, 0.6, 0.7])
    assert chain.select(np.array([2, 0])).iv.tolist() == [0.7, 0.5]
    assert chain.with_columns(iv=[1.0, 1.0, 1.0]).open_interest_contracts.tolist() == [10.0, 30.0, 60.0]
    assert len(chain.select(np.array([], dtype=np.int64))) == 0


def test_a_frame_has_every_row_and_utc_times() -> None:
    frame = _chain(expiry_ns=[1_774_598_400_000_000_000] * 3).to_frame()
    assert frame.height == 3
    assert str(frame["expiry"][0]) == "2026-03-27 08:00:00+00:00"
