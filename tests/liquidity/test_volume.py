"""Liquidity from a snapshot: what is counted, what is named, and what is refused instead of guessed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tailwag.errors import RuleError
from tailwag.liquidity import (
    BookImpact,
    SquareRootImpact,
    atm_daily_vol,
    daily_volume,
    hedged_open_interest_usd,
    impacts_from_snapshot,
    liquidity_ratios,
)
from tailwag.market.book import OrderBook
from tailwag.market.chain import Chain
from tailwag.market.codes import RowCode
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.units import NS_PER_DAY

NOW = 1_763_551_236 * 1_000_000_000


def chain(**columns: Any) -> Chain:
    given: dict[str, Any] = {
        "instrument": ["A", "B", "C", "D", "E"],
        "venue": ["deribit"] * 5,
        "right": [1, 1, -1, 1, 1],
        "strike_usd": [90000.0, 100000.0, 100000.0, 100000.0, 100000.0],
        "expiry_ns": [NOW + days * NS_PER_DAY for days in (7, 7, 7, 1, 90)],
        "underlying_usd": [99000.0] * 5,
        "iv": [0.9, 0.50, 0.54, 1.2, 0.40],
    }
    return Chain.from_columns(currency="BTC", as_of_ns=NOW, **{**given, **columns})


def futures(**columns: Any) -> Futures:
    given: dict[str, Any] = {
        "instrument": ["P", "F", "S", "G"],
        "venue": ["deribit", "deribit", "binance", "okx"],
        "kind": ["perp", "future", "spot", "perp"],
        "volume_24h_usd": [6e9, 1e9, 3e9, math.nan],
    }
    return Futures.from_columns(**{**given, **columns})


def book() -> OrderBook:
    bids, asks = np.array([[98000.0, 10.0]]), np.array([[102000.0, 10.0]])
    return OrderBook("x", "BTC", "perp", NOW, bids[:, 0], bids[:, 1], asks[:, 0], asks[:, 1])


def snapshot(**parts: Any) -> Snapshot:
    given: dict[str, Any] = {"chain": chain(), "futures": futures()}
    return Snapshot(currency="BTC", as_of_ns=NOW, spot_usd=99000.0, source=Source("test", "chain.json"), **{**given, **parts})


def test_volume_sums_spot_perps_and_futures_and_names_them() -> None:
    volume = daily_volume(snapshot())
    assert volume.volume_usd == 10e9
    assert "1 perp $6bn" in volume.basis
    assert "1 future $1bn" in volume.basis
    assert "1 spot $3bn" in volume.basis
    assert "binance, deribit" in volume.basis
    assert "okx" not in volume.basis


@pytest.mark.parametrize("volumes", [[math.nan] * 4, [0.0] * 4])
def test_no_volume_is_refused_with_what_to_do(volumes: list[float]) -> None:
    without = snapshot(futures=futures(volume_24h_usd=volumes))
    with pytest.raises(RuleError, match=r"chain\.json.*no 24 h volume.*state a depth"):
        SquareRootImpact.from_snapshot(without)


def test_daily_vol_is_the_weeks_at_the_money_iv_over_root_365() -> None:
    vol, source = atm_daily_vol(snapshot())
    assert vol == pytest.approx(0.52 / math.sqrt(365), rel=1e-14)
    assert "ATM IV 52.0 %" in source
    assert "(7.0 days)" in source


def test_masked_and_missing_vols_are_not_at_the_money() -> None:
    codes = np.zeros(5, dtype=np.int64)
    codes[1] = int(RowCode.OI_NEGATIVE)
    vol, _ = atm_daily_vol(snapshot(chain=chain(codes=codes)))
    assert vol == pytest.approx(0.54 / math.sqrt(365), rel=1e-14)
    with pytest.raises(RuleError, match="daily_vol"):
        atm_daily_vol(snapshot(chain=chain(iv=[math.nan] * 5)))


def test_law_from_snapshot_says_where_it_comes_from() -> None:
    law = SquareRootImpact.from_snapshot(snapshot(), y=0.7)
    assert law.price_move_pct(1e8) == pytest.approx(100 * 0.7 * 0.52 / math.sqrt(365) * 0.1, rel=1e-13)
    assert all(part in law.source for part in ("ADV $10bn", "Y=0.7", "ATM IV", "24 h volume of"))
    stated = SquareRootImpact.from_snapshot(snapshot(), daily_vol=0.02)
    assert stated.daily_vol == 0.02
    assert "stated by the user" in stated.source


def test_every_law_is_listed_with_its_reason_where_it_is_silent() -> None:
    laws = {law.name: law for law in impacts_from_snapshot(snapshot(futures=futures(volume_24h_usd=[math.nan] * 4)))}
    assert list(laws) == ["book", "square-root", "long-run"]
    assert all(law.price_move_pct(1e6) is None for law in laws.values())
    assert "no order book" in laws["book"].reason(1e6)
    assert "no 24 h volume" in laws["square-root"].reason(1e6)
    assert "permanent_share" in laws["long-run"].reason(1e6)


def test_every_law_that_can_speak_does() -> None:
    laws = impacts_from_snapshot(snapshot(books=(book(),)), depth_usd_per_pct=2e8, permanent_share=0.5)
    assert [law.name for law in laws] == ["book", "square-root", "long-run", "given"]
    assert all(law.price_move_pct(5e5) is not None for law in laws)
    assert BookImpact.from_snapshot(snapshot(books=(book(),))).reach_pct[0] == pytest.approx(2.0)
    stated = impacts_from_snapshot(snapshot(futures=futures(volume_24h_usd=[math.nan] * 4)), permanent_per_usd=3e-11)
    assert stated[2].price_move_pct(1e8) == pytest.approx(0.3, rel=1e-14)
    silent = impacts_from_snapshot(snapshot(futures=futures(volume_24h_usd=[math.nan] * 4)), permanent_share=0.5)
    assert "needs the square-root law" in silent[2].reason(1e6)


def test_hedged_open_interest_is_unsigned_and_skips_unknown_rows() -> None:
    assert hedged_open_interest_usd([0.5, -0.25, math.nan], [10.0, 40.0, 5.0], spot_usd=1e5, hedge_share=0.5) == 750_000.0


def test_ratios_per_window() -> None:
    ratios = liquidity_ratios(2e9, book=BookImpact.from_books([book()]), daily_volume_usd=12e9, within_pct=2.0, windows_hours=(1.0, 24.0))
    assert [part.window for part in ratios] == ["minutes", "1 h", "day"]
    assert [part.ratio for part in ratios] == [pytest.approx(2e9 / 1e6), pytest.approx(4.0), pytest.approx(1 / 6)]
    assert [part.liquidity_usd for part in ratios] == [pytest.approx(1e6), 5e8, 12e9]


def test_ratios_without_liquidity_are_unknown_with_reasons() -> None:
    ratios = liquidity_ratios(2e9, book=None, daily_volume_usd=None, within_pct=1.0)
    assert all(part.ratio is None and part.reason for part in ratios)
    short = liquidity_ratios(2e9, book=BookImpact.from_books([book()]), daily_volume_usd=None, within_pct=3.0)[0]
    assert short.ratio is None
    assert "reaches 2.00 %" in str(short.reason)
    with pytest.raises(RuleError, match="hedged open interest"):
        liquidity_ratios(math.nan, book=None, daily_volume_usd=None, within_pct=1.0)
