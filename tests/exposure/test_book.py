"""The priced book: definitions, masks, and the instants around an expiry (faults 1 to 7, 13, 14, 23, 24)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.exposure.stand_in import chain_of, demo_chain, held, surface_of

from tailwag.errors import EmptyChainError, RuleError
from tailwag.exposure import by_expiry, by_right, by_strike, by_venue, exposure_totals, median_index_usd, priced_book
from tailwag.exposure.totals import MEASURES
from tailwag.market.codes import RowCode
from tailwag.positioning import LongCallsShortPuts, ShortAll

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "exposure.json").read_text())
MINUTE = 1.0 / 1440.0


def book_of(chain: Any, position: Any, **options: Any) -> Any:
    surface = options.pop("surface", None) or surface_of(chain)
    return priced_book(held(chain, position), surface, **options)


def answer_book() -> tuple[Any, Any, Any]:
    right, strike, years, iv, forward, position, interest = np.array(ANSWERS["book"]).T
    chain = chain_of(right.astype(int), strike, years * 365.0, iv, interest)
    return chain, position, surface_of(chain, forward_usd=forward, **ANSWERS["smile"])


def test_totals_match_forty_digits() -> None:
    chain, position, surface = answer_book()
    expected = next(row for row in ANSWERS["profile"] if row["spot_usd"] == 60_000 and row["ratio"] == 1)
    totals = exposure_totals(book_of(chain, position, surface=surface))
    for name in ("gex_usd_per_pct", "gross_gex_usd_per_pct", "vanna_usd_per_volpt", "charm_usd_per_day", "delta_usd", "vega_usd_per_volpt"):
        assert getattr(totals, name) == pytest.approx(expected[name], rel=1e-11), name


def test_the_numeraire_changes_delta_only() -> None:
    chain, position, surface = answer_book()
    book = book_of(chain, position, surface=surface)
    usd, coin = exposure_totals(book), exposure_totals(book, numeraire="coin")
    expected = next(row for row in ANSWERS["profile"] if row["spot_usd"] == 60_000 and row["ratio"] == 1)
    assert coin.delta_usd == pytest.approx(expected["delta_usd_coin"], rel=1e-11)
    for name in ("gex_usd_per_pct", "gross_gex_usd_per_pct", "vanna_usd_per_volpt", "charm_usd_per_day", "vega_usd_per_volpt"):
        assert getattr(usd, name) == getattr(coin, name)
    with pytest.raises(RuleError, match="numeraire"):
        exposure_totals(book, numeraire="eur")  # type: ignore[arg-type]


@pytest.mark.parametrize("table", [by_expiry, by_strike, by_venue, by_right])
def test_every_breakdown_adds_up_to_the_totals(table: Any) -> None:
    chain = demo_chain(venue=np.resize(np.array(["deribit", "okx", "bybit"], dtype=object), 120))
    book = priced_book(LongCallsShortPuts().infer(chain), surface_of(chain))
    parts, totals = table(book), exposure_totals(book)
    for name in MEASURES:
        if hasattr(totals, name):
            assert math.fsum(getattr(parts, name)) == pytest.approx(getattr(totals, name), rel=1e-12), name
    assert parts.call_gex_usd_per_pct + parts.put_gex_usd_per_pct == pytest.approx(parts.gex_usd_per_pct, rel=1e-12)
    assert math.fsum(parts.open_interest_coin) == pytest.approx(math.fsum(chain.open_interest_coin))
    assert len(parts.to_frame()) == len(parts)
    assert "largest" in str(parts)


def test_permuted_rows_give_the_same_bits() -> None:
    chain = demo_chain()
    position = np.where(chain.right > 0, 1.0, -1.0) * chain.open_interest_coin
    position[7] = 1e9
    order = np.random.default_rng(5).permutation(len(chain))
    one, other = exposure_totals(book_of(chain, position)), exposure_totals(book_of(chain.select(order), position[order]))
    for name in ("gex_usd_per_pct", "vanna_usd_per_volpt", "charm_usd_per_day", "delta_usd", "vega_usd_per_volpt"):
        assert getattr(one, name) == getattr(other, name)


def test_gross_is_unsigned_whatever_the_rule() -> None:
    chain = demo_chain()
    books = [priced_book(rule.infer(chain), surface_of(chain)) for rule in (LongCallsShortPuts(), ShortAll())]
    gross = [exposure_totals(book).gross_gex_usd_per_pct for book in books]
    assert gross[0] == gross[1] == -exposure_totals(books[1]).gex_usd_per_pct


@pytest.mark.parametrize(
    ("iv", "code"), [(0.0, RowCode.IV_NONPOSITIVE), (-0.5, RowCode.IV_NONPOSITIVE), (float("nan"), RowCode.IV_MISSING)]
)
def test_a_row_without_volatility_is_masked_and_its_share_reported(iv: float, code: RowCode) -> None:
    chain = chain_of([1, 1, -1], [60_000.0, 65_000.0, 55_000.0], 30.0, [0.6, iv, 0.6], [100.0, 300.0, 100.0])
    book = book_of(chain, -100.0)
    without = exposure_totals(book_of(chain.select([0, 2]), -100.0))
    assert math.isnan(book.position_coin[1])
    assert book.codes[1] & code
    assert exposure_totals(book).gex_usd_per_pct == without.gex_usd_per_pct < 0.0
    assert [(share.code, share.open_interest_share) for share in book.masked] == [(code.code, 0.6)]
    assert book.masked_open_interest_share == 0.6
    assert book.to_frame()["position_coin"].null_count() == 1


def test_the_fitted_smile_stands_in_and_is_named() -> None:
    chain = chain_of([1, 1], [60_000.0, 65_000.0], 30.0, [0.6, 0.0], 100.0)
    book = book_of(chain, -100.0, surface=surface_of(chain, stand_in_iv=0.55))
    assert list(book.iv_source) == ["venue", "surface"]
    assert book.usable.all()
    assert book.masked == ()


def test_missing_open_interest_is_not_zero_open_interest() -> None:
    codes = [0, 0, int(RowCode.OI_MISSING)]
    chain = chain_of(1, [60_000.0, 65_000.0, 70_000.0], 30.0, 0.6, [0.0, 10.0, np.nan], codes=codes)
    book = priced_book(ShortAll().infer(chain), surface_of(chain))
    assert book.counted.tolist() == [True, True, False]
    assert book.position_coin[0] == 0.0
    assert math.isnan(book.position_coin[2])
    parts = by_strike(book)
    assert parts.gex_usd_per_pct[0] == 0.0
    assert list(parts.key) == [60_000.0, 65_000.0]


def test_a_group_with_every_row_masked_is_unknown_and_not_zero() -> None:
    chain = chain_of(1, [60_000.0, 60_000.0], [10.0, 30.0], [0.6, 0.0], 10.0)
    parts = by_expiry(book_of(chain, -10.0))
    assert math.isnan(parts.gex_usd_per_pct[1])
    assert parts.to_frame()["gex_usd_per_pct"][1] is None


def test_no_open_interest_at_all_says_empty() -> None:
    chain = chain_of([1, -1], 60_000.0, 30.0, 0.6, 0.0)
    totals = exposure_totals(priced_book(ShortAll().infer(chain), surface_of(chain)))
    assert totals.empty
    assert (totals.gex_usd_per_pct, totals.gross_gex_usd_per_pct) == (0.0, 0.0)
    assert "no open interest" in str(totals)


def test_at_the_instant_of_expiry_delta_is_intrinsic_and_gamma_is_nothing() -> None:
    chain = chain_of([1, 1, 1, -1, -1], [50_000.0, 60_000.0, 70_000.0, 70_000.0, 60_000.0], 0.0, 0.6, 10.0)
    book = book_of(chain, 1.0)
    assert book.greeks[1].tolist() == [1.0, 0.5, 0.0, -1.0, -0.5]
    assert (book.greeks[2:] == 0.0).all()
    assert ((book.codes & int(RowCode.AT_EXPIRY)) != 0).all()
    assert exposure_totals(book).gex_usd_per_pct == 0.0
    assert exposure_totals(book).delta_usd == 0.0


def test_an_expired_row_is_masked_and_its_time_never_clamped() -> None:
    chain = chain_of(1, [60_000.0, 60_000.0], [-0.01, 10.0], 0.6, 10.0)
    book = book_of(chain, -10.0)
    assert book.codes[0] & RowCode.EXPIRED
    assert book.years[0] < 0.0
    assert math.isnan(book.position_coin[0])


def test_one_second_before_expiry_gamma_is_exact() -> None:
    # settled on the last price (no average): phi(d1) / (F vol sqrt T) with T = 1 s; the value at 1 h is the other figure of fault 3
    for seconds, expected in ((1.0, 0.0448), (3600.0, 7.5e-4)):
        chain = chain_of(
            1, [100_000.0], seconds / 86_400.0, 0.5, 10.0, spot_usd=100_000.0, venue=np.array(["cboe"], dtype=object), settlement=["linear"]
        )
        years = seconds / 31_536_000.0
        d1 = 0.25 * math.sqrt(years)
        gamma = math.exp(-d1 * d1 / 2.0) / math.sqrt(2.0 * math.pi) / (100_000.0 * 0.5 * math.sqrt(years))
        assert book_of(chain, 1.0).greeks[2][0] == pytest.approx(gamma, rel=1e-12)
        assert gamma == pytest.approx(expected, rel=5e-3)


def test_inside_the_settlement_average_gamma_fades() -> None:
    # theory T6: 10 minutes left of a 30-minute window, average at the strike: delta 1/3 * N(0), gamma sqrt(3) phi(0) sqrt(tau) / (S vol W)
    window, left = 30.0 / 525_600.0, 10.0 / 525_600.0
    chain = chain_of(1, [60_000.0], 10.0 * MINUTE, 0.6, 10.0, estimated_delivery_usd=[60_000.0])
    book = book_of(chain, -10.0)
    assert book.greeks[1][0] == pytest.approx(1.0 / 6.0)
    assert book.greeks[2][0] * 60_000.0 == pytest.approx(math.sqrt(3.0 * left / (2.0 * math.pi)) / (0.6 * window), rel=1e-12)
    assert book.greeks[2][0] * 60_000.0 == pytest.approx(88.0088, rel=1e-5)


def test_the_settlement_average_needs_the_running_average() -> None:
    chain = chain_of(1, [60_000.0, 60_000.0], [10.0 * MINUTE, 31.0 * MINUTE], 0.6, 10.0)
    book = book_of(chain, -10.0)
    assert book.codes[0] & RowCode.SETTLING
    assert book.counted.tolist() == [False, True]
    assert book.masked[0].code == "settling"


def test_a_share_option_has_no_settlement_average() -> None:
    chain = chain_of(1, [60_000.0], 10.0 * MINUTE, 0.6, 10.0, venue=np.array(["cboe"], dtype=object), settlement=["linear"])
    book = book_of(chain, -10.0)
    assert book.counted.all()
    assert book.greeks[2][0] * 60_000.0 == pytest.approx(152.436, rel=1e-5)


def test_pin_risk_is_flagged_where_one_dying_strike_holds_most_gamma() -> None:
    near = chain_of([1, -1, 1], [60_000.0, 60_000.0, 65_000.0], [0.03, 0.03, 30.0], 0.6, 100.0)
    flagged = (book_of(near, -1.0).codes & int(RowCode.PIN_RISK)) != 0
    assert flagged.tolist() == [True, True, False]
    far = chain_of([1, 1], [60_000.0, 65_000.0], [1.0, 30.0], 0.6, 100.0)
    assert not ((book_of(far, -1.0).codes & int(RowCode.PIN_RISK)) != 0).any()


def test_gamma_from_the_file_counts_today_and_says_so() -> None:
    chain = chain_of(1, [60_000.0, 61_000.0, 62_000.0], 30.0, [0.6, 0.0, 0.6], 10.0, gamma_published=[1e-4, 2e-4, np.nan])
    book = book_of(chain, -10.0, gamma="file")
    totals = exposure_totals(book)
    assert totals.gex_usd_per_pct == pytest.approx(-10.0 * 3e-4 * 60_000.0**2 / 100.0)
    assert totals.gamma_source == "file"
    assert book.counted.tolist() == [True, True, False]
    assert book.usable.tolist() == [True, False, True]


def test_gamma_from_a_file_that_has_none_is_refused() -> None:
    chain = chain_of(1, [60_000.0], 30.0, 0.6, 10.0)
    with pytest.raises(RuleError, match="gamma column"):
        book_of(chain, -10.0, gamma="file")
    with pytest.raises(RuleError, match="'model' or 'file'"):
        book_of(chain, -10.0, gamma="guess")


def test_spot_is_the_median_index_and_needs_one() -> None:
    chain = chain_of(1, [1.0, 2.0, 3.0], 30.0, 0.6, 10.0).with_columns(index_usd=[59_000.0, 60_000.0, 90_000.0])
    assert median_index_usd(chain) == 60_000.0
    with pytest.raises(EmptyChainError, match="index"):
        median_index_usd(chain.with_columns(index_usd=[np.nan, 0.0, -1.0]))


def test_published_sp500_convention_counts_business_days() -> None:
    chain = chain_of(1, [60_000.0], 0.05, 0.6, 10.0, venue=np.array(["cboe"], dtype=object), settlement=["linear"])
    assert book_of(chain, -1.0, day_count="busdays-262").years[0] == pytest.approx(1.0 / 262.0)


def test_the_book_prints_itself() -> None:
    chain = demo_chain()
    assert "120 of 120 options" in str(book_of(chain, -1.0))
    assert "short gamma" in str(exposure_totals(book_of(chain, -1.0)))
    assert exposure_totals(book_of(chain, -1.0)).to_frame().shape[0] == 1
