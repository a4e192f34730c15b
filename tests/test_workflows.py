"""What a trader does from end to end: merge a fund's chain, add books saved beside a chain, save and measure again, count in coin."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.command import measured, refused

import tailwag as tw
from tailwag.errors import InputError
from tailwag.market.book import OrderBook
from tailwag.market.clock import parse_time_ns
from tailwag.sources.order_books import with_books

COINS_PER_SHARE = 0.0005
TABLE = "Expiration Date,Calls,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest,Strike,Puts,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest"


@pytest.fixture(scope="module")
def demo() -> Any:
    return tw.demo(seed=7)


def fund_csv(spot_usd: float) -> str:
    """A made-up IBIT download of the demo's hour (10:30 in New York is 14:30 UTC): one expiry, three strikes in USD a share."""
    share = spot_usd * COINS_PER_SHARE
    lines = [
        f"Fri Oct 16 2026,IBIT261016C{round(strike * 1000):08d},1,0,1,1.1,5,0.50,0.5,0.04,300,{strike:.3f},"
        f"IBIT261016P{round(strike * 1000):08d},1,0,1,1.1,5,0.52,-0.5,0.04,100"
        for strike in (round(share * moneyness) for moneyness in (0.9, 1.0, 1.1))
    ]
    head = [
        f"ISHARES BITCOIN TRUST,Last: {share:.4f},Change:  0.1",
        '"Date: September 15, 2026 at 10:30 AM EDT",Bid: 1,Ask: 2,Size: 1*1,Volume: 0',
    ]
    return "\n".join([*head, TABLE, *lines]) + "\n"


class TestFund:
    @pytest.fixture
    def files(self, tmp_path: Path, demo: Any) -> tuple[Path, Path]:
        tw.save(demo, tmp_path / "demo.parquet")
        (tmp_path / "ibit.csv").write_text(fund_csv(demo.spot_usd))
        return tmp_path / "demo.parquet", tmp_path / "ibit.csv"

    def test_a_fund_is_merged_in_coin_by_its_dated_figure(self, files: tuple[Path, Path], demo: Any) -> None:
        document = measured(*files, "--coins-per-share", f"{COINS_PER_SHARE}@2026-09-14", "--rule", "short-all", "--spot-levels", "41")
        shares = 3 * (300 + 100) * 100
        assert document["chain"]["open_interest_coin_by_venue"]["cboe"] == pytest.approx(shares * COINS_PER_SHARE)
        assert document["chain"]["instruments"] == len(demo.chain) + 6
        assert document["spot_usd"] == demo.spot_usd
        rows = [n for n, venue in enumerate(document["book"]["venue"]) if venue == "cboe"]
        strikes = {document["book"]["strike_usd"][n] for n in rows}
        assert min(strikes) == pytest.approx(0.9 * demo.spot_usd, rel=0.02)
        notes = " ".join(document["notes"])
        assert "American exercise is not priced" in notes
        assert "New York hours" in notes

    def test_without_the_figure_nothing_is_guessed(self, files: tuple[Path, Path]) -> None:
        assert "IBIT" in refused("measure", *files)


class TestBooksBesideAChain:
    def book(self, instrument: str, at_ns: int) -> OrderBook:
        return OrderBook.from_levels(
            venue="x", instrument=instrument, kind="perp", as_of_ns=at_ns, bids=np.array([[99.0, 1.0]]), asks=np.array([[101.0, 1.0]])
        )

    def test_a_book_of_the_hour_raises_no_doubt(self, demo: Any) -> None:
        both = with_books(demo, [self.book("BTC-PERPETUAL", demo.as_of_ns - 1800 * 10**9)])
        assert both.degraded == demo.degraded
        assert len(both.books) == len(demo.books) + 1

    def test_an_old_book_is_said_to_be_old(self, demo: Any) -> None:
        both = with_books(demo, [self.book("BTCUSDT", parse_time_ns("2024-08-09T00:00:00Z"))])
        assert "BTCUSDT is of 2024-08-09T00:00:00Z, 768 days away from the chain" in both.degraded[-1]

    @pytest.mark.parametrize("name", ["ETHUSDT", "ETH-PERPETUAL", "ETH-USDT-SWAP", "ETHUSD_PERP", "ETH-27MAR26"])
    def test_another_markets_book_is_refused(self, demo: Any, name: str) -> None:
        with pytest.raises(InputError, match="of ETH"):
            with_books(demo, [self.book(name, demo.as_of_ns)])


def test_a_saved_snapshot_measures_to_the_same_document(tmp_path: Path, demo: Any) -> None:
    options = tw.MeasureOptions(dynamics="ssr:1.2", spot_levels=41)
    tw.save(demo, tmp_path / "kept.parquet")
    again = tw.load(tmp_path / "kept.parquet")
    assert tw.measure(again, options).document() == tw.measure(demo, options).document()


def test_the_numeraire_changes_delta_and_nothing_else(demo: Any) -> None:
    options = tw.MeasureOptions(dynamics="sticky-strike", rules=(tw.LongAll(),), spot_levels=41)
    usd = tw.measure(demo, options)
    coin = tw.measure(demo, dataclasses.replace(options, numeraire="coin"))
    book = usd.profiles[0].book
    premium_usd = float(np.nansum(book.position_coin * book.greeks[0] / book.forward_usd)) * book.spot_usd
    assert usd.profiles[0].totals.delta_usd - coin.profiles[0].totals.delta_usd == pytest.approx(premium_usd, rel=1e-9)
    one, other = usd.document(), coin.document()
    for block in ("profile", "levels", "flows", "gain", "bands", "forward", "calendar", "surface", "book"):
        assert one[block] == other[block], block
    assert {name for name in one["exposure"] if one["exposure"][name] != other["exposure"][name]} >= {"delta_usd"}
    assert one["exposure"]["gex_usd_per_pct"] == other["exposure"]["gex_usd_per_pct"]


def test_dynamics_move_the_profile_and_not_today(demo: Any) -> None:
    held, surface = tw.infer_positions(demo, rule=tw.LongCallsShortPuts()), tw.fit_surface(demo)
    profiles = {
        name: tw.exposure_profile(held, surface, dynamics=name, spot_levels=41) for name in ("sticky-strike", "sticky-moneyness", "ssr:1")
    }
    strike, moneyness, one = profiles.values()
    assert strike.gex_usd_per_pct.tolist() == one.gex_usd_per_pct.tolist()  # SSR 1 is sticky strike
    assert strike.totals.gex_usd_per_pct == moneyness.totals.gex_usd_per_pct
    assert abs(strike.gex_usd_per_pct[10] - moneyness.gex_usd_per_pct[10]) > 1e-3 * abs(strike.gex_usd_per_pct[10])


def test_draws_give_bands_in_the_document(demo: Any) -> None:
    rule = tw.Mixture(((tw.ShortAll(), 0.5), (tw.LongAll(), 0.5)), draws=200, seed=3)
    document = tw.measure(demo, tw.MeasureOptions(dynamics="sticky-strike", rules=(rule,), spot_levels=41)).document()
    bands = document["bands"]
    assert bands["draws"] == 200
    assert bands["gex_usd_per_pct"]["p05"] < bands["gex_usd_per_pct"]["p50"] < bands["gex_usd_per_pct"]["p95"]
    assert 0.2 < bands["short_gamma_share"] < 0.8
    assert document["gain"]["low"] < 0.0 < document["gain"]["high"]
    assert document["gain"]["regime"] == "undetermined"
