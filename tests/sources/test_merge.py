"""Merging: venues stand side by side in their own contract sizes, IBIT only by a dated figure, nothing twice and nothing guessed."""

from __future__ import annotations

from math import erf, exp, log, pi, sqrt
from typing import Any

import numpy as np
import pytest

from tailwag.errors import InputError, TimeError, UnitError
from tailwag.market.book import OrderBook
from tailwag.market.chain import Chain
from tailwag.market.clock import parse_time_ns
from tailwag.market.codes import RowCode
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.market.trades import Trades
from tailwag.sources.merge import merge
from tailwag.units import NS_PER_HOUR, NS_PER_MINUTE

AT = parse_time_ns("2025-11-19T20:15:00Z")
EXPIRY = parse_time_ns("2025-11-28T08:00:00Z")
FIGURE = (0.00057, "2025-11-18", "the fund's own page")


def snapshot(venue: str, *, currency: str = "BTC", at_ns: int = AT, index_usd: float = 91_000.0, **more: Any) -> Snapshot:
    columns = {
        "instrument": [f"{venue}-C", f"{venue}-P"] if venue == "cboe" else ["BTC-28NOV25-90000-C", "BTC-28NOV25-90000-P"],
        "venue": [venue] * 2,
        "right": [1, -1],
        "strike_usd": [90_000.0] * 2,
        "expiry_ns": [EXPIRY] * 2,
        "settlement": ["linear" if venue == "cboe" else "inverse"] * 2,
        "coin_per_contract": [1.0] * 2,
        "open_interest_contracts": [100.0, 50.0],
        "iv": [0.5, 0.55],
        "index_usd": [index_usd] * 2,
    }
    parts = {key: more.pop(key) for key in ("books", "trades", "degraded", "notes", "futures") if key in more}
    chain = Chain.from_columns(currency=currency, as_of_ns=at_ns, **{**columns, **more})
    base = Snapshot(currency, at_ns, index_usd, chain, Futures.from_columns(), Source("test", f"{venue}.json", "ab" * 32))
    return base.with_parts(**parts)


def ibit(**more: Any) -> Snapshot:
    fund = {
        "index_usd": 52.0,
        "strike_usd": [51.3] * 2,
        "coin_per_contract": [100.0] * 2,
        "style": ["american"] * 2,
        "bid_quoted": [2.28, 1.14],
        "gamma_published": [0.06, 0.06],
        "vega_published": [0.03, 0.03],
        "delta_published": [0.55, -0.45],
    }
    return snapshot("cboe", currency="IBIT", **{**fund, **more})


def test_the_same_contract_on_two_venues_is_two_rows_and_no_duplicate() -> None:
    merged = merge([snapshot("deribit"), snapshot("bybit", coin_per_contract=[0.1] * 2)])
    assert len(merged.chain) == 4
    assert not (merged.chain.has(RowCode.DUPLICATE) | merged.chain.has(RowCode.DUPLICATE_CONFLICT) | merged.chain.has(RowCode.ALIAS)).any()
    assert merged.venues == ("bybit", "deribit")


def test_open_interest_in_coin_adds_up_over_contract_sizes() -> None:
    parts = [snapshot("deribit"), snapshot("okx", coin_per_contract=[0.01] * 2)]
    assert merge(parts).chain.open_interest_coin.sum() == pytest.approx(150.0 + 1.5)


def test_linear_stays_linear_and_inverse_stays_inverse() -> None:
    merged = merge([snapshot("deribit"), snapshot("bybit", settlement=["linear"] * 2)])
    assert merged.chain.settlement.tolist() == ["inverse", "inverse", "linear", "linear"]


def test_time_is_the_latest_and_older_parts_are_said() -> None:
    merged = merge([snapshot("deribit", at_ns=AT - 6 * NS_PER_MINUTE), snapshot("okx")])
    assert merged.as_of_ns == merged.chain.as_of_ns == AT
    assert "deribit is 6.0 minutes older than the latest part" in merged.notes


def test_parts_too_far_apart_are_refused() -> None:
    old = snapshot("deribit", at_ns=AT - 2 * NS_PER_HOUR)
    with pytest.raises(TimeError, match=r"deribit is of .*, 2\.0 hours before the latest part, at most 1 are merged"):
        merge([old, snapshot("okx")])
    assert len(merge([old, snapshot("okx")], max_age_hours=2.5).chain) == 4


def test_what_expired_since_an_older_part_is_masked_in_the_whole() -> None:
    just_before = snapshot("deribit", at_ns=EXPIRY - NS_PER_MINUTE)
    later = snapshot("okx", at_ns=EXPIRY + NS_PER_MINUTE, expiry_ns=[EXPIRY + 24 * NS_PER_HOUR] * 2)
    assert merge([just_before, later]).chain.has(RowCode.EXPIRED).tolist() == [True, True, False, False]


def test_spot_is_the_median_index_over_rows() -> None:
    parts = [snapshot("deribit", index_usd=91_000.0), snapshot("okx", index_usd=91_010.0), snapshot("bybit", index_usd=91_100.0)]
    assert merge(parts).spot_usd == 91_010.0


def test_futures_books_trades_and_doubts_come_along() -> None:
    book = OrderBook.from_levels(
        venue="deribit",
        instrument="BTC-PERPETUAL",
        kind="perp",
        as_of_ns=AT,
        bids=np.array([[91_000.0, 1.0]]),
        asks=np.array([[91_001.0, 1.0]]),
    )
    trades = Trades.from_columns(trade_id=["1", "2"], instrument=["A", "A"], time_ns=[2, 1], venue=["deribit"] * 2)
    one = snapshot(
        "deribit", books=(book,), trades=trades, degraded=("d1",), notes=("n1",), futures=Futures.from_columns(instrument=["BTC-PERPETUAL"])
    )
    other = snapshot("okx", degraded=("d1", "d2"), trades=trades.select([0]))
    merged = merge([one, other])
    assert merged.books == (book,)
    assert len(merged.futures) == 1
    assert merged.degraded == ("deribit: d1", "okx: d1", "okx: d2")
    assert "n1" in merged.notes
    assert merged.trades is not None
    assert (merged.trades.trade_id.tolist(), merged.trades.repeats_removed) == (["2", "1"], 1)


def test_one_snapshot_is_itself() -> None:
    alone = snapshot("deribit")
    merged = merge([alone])
    assert merged.source == alone.source
    assert merged.chain.iv.tolist() == alone.chain.iv.tolist()


def test_synthetic_parts_make_a_synthetic_whole() -> None:
    made = snapshot("demo").with_parts(source=Source("demo", "demo", synthetic=True))
    assert merge([snapshot("deribit"), made]).source.synthetic


def test_two_moments_of_one_venue_are_a_timeline_not_a_market() -> None:
    with pytest.raises(InputError, match="two moments"):
        merge([snapshot("deribit"), snapshot("deribit", at_ns=AT - NS_PER_MINUTE)])


def test_pieces_of_one_venue_and_moment_are_counted_once() -> None:
    merged = merge([snapshot("deribit"), snapshot("deribit")])
    assert merged.chain.has(RowCode.DUPLICATE).tolist() == [False, False, True, True]
    assert merged.chain.counted_open_interest_coin().sum() == 150.0


@pytest.mark.parametrize("other", ["ETH", "SPX"])
def test_two_currencies_are_refused(other: str) -> None:
    with pytest.raises(InputError, match="one currency"):
        merge([snapshot("deribit"), snapshot("okx", currency=other)])


def test_nothing_to_merge() -> None:
    with pytest.raises(InputError, match="at least one"):
        merge([])


class TestIbit:
    def test_without_a_dated_figure_it_is_refused_never_guessed(self) -> None:
        with pytest.raises(InputError, match="only with a dated figure"):
            merge([snapshot("deribit"), ibit()])

    def test_strikes_and_prices_become_usd_per_coin(self) -> None:
        """51.3 USD a share at 0.00057 coin a share are 90,000 USD a coin; 100 shares are 0.057 coin."""
        merged = merge([snapshot("deribit"), ibit()], coins_per_share=FIGURE)
        rows = merged.chain.select(merged.chain.venue == "cboe")
        assert merged.currency == "BTC"
        assert rows.strike_usd == pytest.approx([90_000.0] * 2)
        assert rows.bid_quoted == pytest.approx([4_000.0, 2_000.0])
        assert rows.index_usd == pytest.approx([52.0 / 0.00057] * 2)
        assert rows.open_interest_coin == pytest.approx([5.7, 2.85])
        assert rows.style.tolist() == ["american"] * 2
        assert rows.has(RowCode.AMERICAN).all()

    def test_greeks_agree_with_black_scholes_before_and_after(self) -> None:
        """Dollar gamma of the open interest must not depend on the unit: gamma * coin * S^2 is the same in shares and in coin."""

        def gamma_vega_delta(spot: float, strike: float) -> tuple[float, float, float]:
            years, vol = (EXPIRY - AT) / (365 * 24 * NS_PER_HOUR), 0.5
            d1 = log(spot / strike) / (vol * sqrt(years)) + vol * sqrt(years) / 2
            density = exp(-d1 * d1 / 2) / sqrt(2 * pi)
            return density / (spot * vol * sqrt(years)), spot * density * sqrt(years), 0.5 * (1 + erf(d1 / sqrt(2)))

        gamma, vega, delta = gamma_vega_delta(52.0, 51.3)
        fund = ibit(gamma_published=[gamma] * 2, vega_published=[vega] * 2, delta_published=[delta] * 2)
        rows = merge([fund], coins_per_share=FIGURE).chain
        wanted = gamma_vega_delta(52.0 / FIGURE[0], 51.3 / FIGURE[0])
        assert (rows.gamma_published[0], rows.vega_published[0], rows.delta_published[0]) == pytest.approx(wanted, rel=1e-12)
        per_share = gamma * 100.0 * 100.0 * 52.0**2
        assert float(rows.gamma_published[0] * rows.open_interest_coin[0] * (52.0 / FIGURE[0]) ** 2) == pytest.approx(per_share, rel=1e-12)

    def test_spot_stays_that_of_the_coins_own_venues(self) -> None:
        many = ibit()
        assert merge([snapshot("deribit"), many], coins_per_share=FIGURE).spot_usd == 91_000.0

    def test_limits_are_said(self) -> None:
        notes = " ".join(merge([snapshot("deribit"), ibit()], coins_per_share=FIGURE).notes)
        for word in ("American", "New York hours", "0.00057", "2025-11-18", "the fund's own page"):
            assert word in notes

    def test_the_fund_may_be_a_weekend_old_but_not_a_week(self) -> None:
        assert (
            merge([snapshot("deribit"), ibit(at_ns=AT - 60 * NS_PER_HOUR)], coins_per_share=FIGURE)
            .notes[0]
            .startswith("cboe is 3600.0 minutes older")
        )
        with pytest.raises(TimeError, match="cboe"):
            merge([snapshot("deribit"), ibit(at_ns=AT - 100 * NS_PER_HOUR)], coins_per_share=FIGURE)

    def test_an_impossible_figure_is_refused(self) -> None:
        for value in (0.0, -0.1, 1.0, float("nan"), 570.0):
            with pytest.raises(UnitError, match="between 0 and 1"):
                merge([snapshot("deribit"), ibit()], coins_per_share=(value, FIGURE[1], FIGURE[2]))
        with pytest.raises(UnitError, match="a unit or a coins-per-share figure is wrong"):
            merge([snapshot("deribit"), ibit()], coins_per_share=(0.0057, FIGURE[1], FIGURE[2]))

    def test_a_figure_somewhat_off_is_a_doubt(self) -> None:
        assert any(
            "% away from the others" in doubt
            for doubt in merge([snapshot("deribit"), ibit()], coins_per_share=(0.0006, FIGURE[1], FIGURE[2])).degraded
        )

    def test_the_figure_needs_a_day_and_a_source(self) -> None:
        with pytest.raises(TimeError, match="YYYY-MM-DD"):
            merge([snapshot("deribit"), ibit()], coins_per_share=(0.00057, "recently", "x"))
        with pytest.raises(InputError, match="source"):
            merge([snapshot("deribit"), ibit()], coins_per_share=(0.00057, "2025-11-18", ""))

    def test_an_old_figure_is_a_doubt(self) -> None:
        merged = merge([snapshot("deribit"), ibit()], coins_per_share=(0.00057, "2024-01-11", "launch"))
        assert any("678 days away" in doubt for doubt in merged.degraded)

    def test_a_figure_without_a_fund_is_a_mistake(self) -> None:
        with pytest.raises(InputError, match="no source is a fund"):
            merge([snapshot("deribit")], coins_per_share=FIGURE)
