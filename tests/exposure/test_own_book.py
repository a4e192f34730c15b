"""The desk's book: read strictly, priced on the market's surface, and one more trade's effect."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.exposure.stand_in import AT_NS, STICKY_MONEYNESS, LineSmile, chain_of, profile_of, surface_of

from tailwag.errors import InputError
from tailwag.exposure import GexLimits, hedge_flows, own_book, parse_trade, read_holdings, read_own_book, scenario_grid, trade_effect
from tailwag.market.clock import parse_time_ns
from tailwag.market.codes import RowCode
from tailwag.market.snapshot import Futures

NAMES = ["BTC-28NOV25-55000-P", "BTC-28NOV25-60000-C", "BTC-26DEC25-60000-C", "BTC-26DEC25-70000-C"]
NOVEMBER, DECEMBER = (parse_time_ns(f"2025-{day}T08:00:00Z") for day in ("11-28", "12-26"))


def market(**options: Any) -> Any:
    expiries = np.array([NOVEMBER, NOVEMBER, DECEMBER, DECEMBER])
    chain = chain_of(
        [-1, 1, 1, 1],
        [55_000.0, 60_000.0, 60_000.0, 70_000.0],
        (expiries - AT_NS) / 86_400e9,
        [0.7, 0.6, 0.6, 0.65],
        [100.0, 200.0, 50.0, 400.0],
        instrument=NAMES,
        **options.pop("columns", {}),
    )
    smile = LineSmile("deribit", DECEMBER, 60_000.0, 0.6, -0.1)
    surface = surface_of(chain, skew=-0.1, smiles=(smile,))
    return profile_of(chain, [-100.0, 200.0, 50.0, 400.0], surface=surface, **options)


def test_listed_options_carry_the_markets_own_greeks() -> None:
    profile = market()
    own = read_own_book("instrument,contracts\nBTC-28NOV25-60000-C,-12.5\nBTC-26DEC25-70000-C,30\nBTC-28NOV25-60000-C,2.5\n", profile)
    greeks, spot = profile.book.greeks, 60_000.0
    for name, row, scale in (
        ("gex_usd_per_pct", 2, spot**2 / 100),
        ("vega_usd_per_volpt", 3, 0.01),
        ("vanna_usd_per_volpt", 5, spot / 100),
    ):
        assert getattr(own.greeks, name) == pytest.approx((-10.0 * greeks[row][1] + 30.0 * greeks[row][3]) * scale, rel=1e-12)
    assert own.greeks.delta_coin == pytest.approx(-10.0 * greeks[1][1] + 30.0 * greeks[1][3], rel=1e-12)
    assert own.greeks.charm_coin_per_day * 365.0 == pytest.approx(-10.0 * greeks[6][1] + 30.0 * greeks[6][3], rel=1e-12)
    value = -10.0 * greeks[0][1] + 30.0 * greeks[0][3]
    assert own.greeks.value_usd == pytest.approx(value, rel=1e-12)
    assert own.greeks.net_delta_coin == pytest.approx(own.greeks.delta_coin - value / spot, rel=1e-12)
    assert own.greeks.gamma_coin_per_usd * spot**2 / 100 == pytest.approx(own.greeks.gex_usd_per_pct)
    assert own.labels == ("chain", "chain")


def test_holding_what_the_market_holds_gives_the_markets_flows() -> None:
    profile = market(dynamics=STICKY_MONEYNESS)
    rows = [{"instrument": name, "contracts": str(held)} for name, held in zip(NAMES, (-100.0, 200.0, 50.0, 400.0), strict=True)]
    own = read_own_book(rows, profile)
    assert own.flows.buy_usd == pytest.approx(own.market_flows.buy_usd, rel=1e-11, abs=1e-3)
    assert own.market_flows.buy_usd.tolist() == hedge_flows(profile, **scenario_grid()).buy_usd.tolist()
    assert own.flows.vanna_usd == pytest.approx(own.market_flows.vanna_usd, rel=1e-11, abs=1e-3)
    assert own.to_frame().shape[0] == 81


def test_an_unlisted_option_is_priced_off_its_expirys_smile_and_labelled() -> None:
    profile = market(dynamics=STICKY_MONEYNESS)
    own = read_own_book([{"instrument": "BTC-26DEC25-65000-C", "contracts": 10}], profile)
    assert own.labels == ("surface:deribit",)
    assert own.book is not None
    assert own.book.iv[0] == pytest.approx(0.6 - 0.1 * math.log(65 / 60), rel=1e-12)
    assert own.book.iv_source[0] == "surface"
    moved = own.book.surface.moved_vols(own.book.iv, np.array([0.0, 0.05]), STICKY_MONEYNESS)
    assert moved[:, 0] == pytest.approx([own.book.iv[0], own.book.iv[0] + 0.1 * 0.05], rel=1e-12)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("BTC-27MAR26-65000-C", "no smile"),
        ("BTC-18NOV25-65000-C", "expired"),
        ("ETH-26DEC25-4000-C", "option on ETH"),
        ("BTC_USDC-26DEC25-65000-C", "contract size"),
        ("FOO-BAR", "neither an option nor a future"),
    ],
)
def test_what_cannot_be_priced_is_refused_by_name(name: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        read_own_book([{"instrument": name, "contracts": "1"}], market())
    assert name in str(caught.value)


def test_own_holdings_do_not_depend_on_the_markets_open_interest() -> None:
    columns = {"codes": [0, int(RowCode.OI_MISSING), 0, 0]}
    own = read_own_book([{"instrument": NAMES[1], "contracts": "5"}], market(columns=columns))
    assert own.unpriced == ()
    assert own.greeks.gex_usd_per_pct > 0.0


def test_an_own_option_without_a_price_is_named_and_not_zero() -> None:
    own = read_own_book([{"instrument": NAMES[1], "contracts": "5"}], market(columns={"codes": [0, int(RowCode.STRIKE_INVALID), 0, 0]}))
    assert own.unpriced == ((NAMES[1], "strike_invalid"),)
    assert "could not be priced" in str(own)


def test_futures_count_in_delta_only() -> None:
    futures = Futures.from_columns(
        instrument=["BTC-PERPETUAL", "BTCUSDT"],
        venue=["deribit", "binance"],
        kind=["perp", "perp"],
        settlement=["inverse", "linear"],
        mark_usd=[60_100.0, 60_050.0],
        usd_per_contract=[10.0, np.nan],
        coin_per_contract=[np.nan, 0.01],
    )
    counted = read_own_book([{"instrument": "BTCUSDT", "contracts": "250"}], market(), futures=futures)
    assert counted.greeks.delta_coin == pytest.approx(2.5)
    own = read_own_book("instrument,contracts,amount_coin\nBTC-PERPETUAL,-6010,\nBTCUSDT,,2.5\n", market(), futures=futures)
    assert own.greeks.delta_coin == pytest.approx(-60_100.0 / 60_100.0 + 2.5)
    assert (own.greeks.gex_usd_per_pct, own.greeks.vega_usd_per_volpt) == (0.0, 0.0)
    assert (own.flows.buy_usd == 0.0).all()
    assert len(own.futures) == 2
    unlisted = read_own_book([{"instrument": "BTC-PERPETUAL", "amount_usd": "60000"}], market())
    assert unlisted.greeks.delta_coin == pytest.approx(1.0)


def test_a_future_of_unknown_size_is_refused() -> None:
    futures = Futures.from_columns(instrument=["BTCUSDT"], venue=["binance"], kind=["perp"], settlement=["linear"], mark_usd=[60_000.0])
    with pytest.raises(InputError, match="amount_usd or amount_coin"):
        read_own_book([{"instrument": "BTCUSDT", "contracts": "1"}], market(), futures=futures)


def test_limits_name_the_strike_that_breaks_them() -> None:
    held = read_holdings([{"instrument": NAMES[1], "contracts": "-90"}, {"instrument": NAMES[3], "contracts": "10"}])
    free = own_book(held, market())
    assert free.breaches == ()
    shares = [use.share for use in free.limit_uses if use.by == "strike"]
    assert math.fsum(shares) == pytest.approx(1.0)
    tight = own_book(held, market(), limits=GexLimits(max_strike_share=0.5, max_expiry_usd_per_pct=1.0))
    assert [use.key for use in tight.breaches if use.by == "strike"] == ["60,000 USD"]
    assert len([use for use in tight.breaches if use.by == "expiry"]) == 2
    assert "over the limit" in str(tight)


def test_a_trade_moves_the_desk_one_way_and_the_dealers_the_other() -> None:
    profile = market()
    effect = trade_effect("-500 BTC-26DEC25-70000-C", profile, held=read_holdings([{"instrument": NAMES[3], "contracts": "100"}]))
    gex = profile.book.greeks[2][3] * 60_000.0**2 / 100.0
    assert effect.own_before is not None
    assert effect.own_after.greeks.gex_usd_per_pct == pytest.approx(-400.0 * gex, rel=1e-12)
    assert effect.own_before.greeks.gex_usd_per_pct == pytest.approx(100.0 * gex, rel=1e-12)
    change = effect.market_gex_after_usd_per_pct - effect.market_gex_before_usd_per_pct
    assert change == pytest.approx(500.0 * gex, rel=1e-10)
    assert effect.market_after.totals.gross_gex_usd_per_pct == pytest.approx(profile.totals.gross_gex_usd_per_pct)
    assert effect.market_after.spot_usd == pytest.approx(profile.spot_usd)
    at = 66_000.0
    alone = market(columns={}).gex_at(at)[0]
    assert effect.market_after.gex_at(at)[0] > alone
    assert "dealers take the other side" in str(effect)


def test_a_trade_equals_the_market_measured_with_it() -> None:
    profile = market(dynamics=STICKY_MONEYNESS)
    after = trade_effect("-500 BTC-26DEC25-70000-C", profile).market_after
    chain = profile.book.chain
    again = profile_of(chain, [-100.0, 200.0, 50.0, 900.0], dynamics=STICKY_MONEYNESS, surface=profile.book.surface)
    assert after.gex_usd_per_pct == pytest.approx(again.gex_usd_per_pct, rel=1e-10)
    assert [flip.spot_usd for flip in after.levels.flips] == pytest.approx([flip.spot_usd for flip in again.levels.flips], rel=1e-9)


def test_a_trade_in_a_future_leaves_the_market_as_it_is() -> None:
    profile = market()
    with pytest.raises(InputError, match="contract size of BTC-PERPETUAL"):
        trade_effect("-100 BTC-PERPETUAL", profile)
    listed = Futures.from_columns(instrument=["BTC-PERPETUAL"], venue=["deribit"], usd_per_contract=[10.0])
    effect = trade_effect("-100 BTC-PERPETUAL", profile, futures=listed)
    assert effect.market_gex_after_usd_per_pct == effect.market_gex_before_usd_per_pct
    assert effect.own_after.greeks.delta_coin == pytest.approx(-1000.0 / 60_000.0)
    assert effect.own_before is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BTC-26DEC25-70000-C",
        "-500",
        "five BTC-26DEC25-70000-C",
        "1e3 BTC-26DEC25-70000-C",
        "-5 <script>",
        "1 =cmd|' /C calc'",
        "nan BTC-26DEC25-70000-C",
        "٣ BTC-26DEC25-70000-C",
    ],
)
def test_a_trade_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_trade(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", r"own book:1"),
        ("instrument\nX\n", r"own book:1"),
        ("name,contracts\nX,1\n", r"own book:1"),
        ("instrument,contracts,contracts\nX,1,2\n", "twice"),
        ("instrument,contracts\n", "no line"),
        ("instrument,contracts\nBTC-26DEC25-70000-C,\n", r"own book:2.*exactly one"),
        ("instrument,contracts\nBTC-26DEC25-70000-C,1_000\n", r"own book:2.*signed number"),
        ("instrument,contracts\nBTC-26DEC25-70000-C,inf\n", r"own book:2.*signed number"),
        ("instrument,contracts,amount_usd\nBTC-PERPETUAL,1,2\n", "exactly one"),
        ("instrument,contracts\nBTC-PERPETUAL,1,000\n", r"own book:2: expected 2 cells"),
        ("instrument,contracts\n\n=cmd|calc,1\n", r"own book:3"),
        ('instrument,contracts\n"BTC-26DEC25,1\n', r"own book:2.*quotes and commas"),
    ],
)
def test_a_damaged_book_is_refused_by_line(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_holdings(text)


def test_a_book_may_carry_remarks() -> None:
    assert len(read_holdings("# week 12\ninstrument,contracts\n# calls\nBTC-26DEC25-70000-C,1\n")) == 1


def test_a_book_survives_byte_order_mark_windows_lines_and_extra_columns() -> None:
    held = read_holdings("\ufeffInstrument, Contracts ,note\r\nBTC-26DEC25-70000-C,-1.5,hello\r\n,,\r\n")
    assert [(item.instrument, item.contracts) for item in held] == [("BTC-26DEC25-70000-C", -1.5)]
    assert str(held[0]) == "-1.5 contracts of BTC-26DEC25-70000-C"


def test_a_name_on_two_venues_wants_its_venue() -> None:
    profile = market(columns={"venue": np.array(["deribit", "deribit", "deribit", "bybit"], dtype=object)})
    chain = profile.book.chain.with_columns(instrument=[*NAMES[:3], NAMES[2]])
    twice = profile_of(chain, 1.0, surface=surface_of(chain))
    with pytest.raises(InputError, match="add a venue column"):
        read_own_book([{"instrument": NAMES[2], "contracts": "1"}], twice)
    own = read_own_book([{"instrument": NAMES[2], "contracts": "1", "venue": "Bybit"}], twice)
    assert own.book is not None
    assert own.book.chain.strike_usd.tolist() == [70_000.0]
