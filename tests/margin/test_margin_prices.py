"""Liquidation, bankruptcy, margin, index, mark and funding against worked examples, bisection on definitions, and identities."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailwag.errors import InputError
from tailwag.margin.contract import LONG, SHORT, Contract, bankruptcy_price_usd, liquidation_price_usd
from tailwag.margin.funding import ClampFunding, DeadBandFunding, HourlyFunding, funding_per_year, impact_premium_share
from tailwag.margin.maintenance import NotionalTiers, SizeSlope, maintenance_share, tiered_liquidation_price_usd
from tailwag.margin.prices import MarkPrice, index_price_usd
from tailwag.margin.rulebook import funding_rule, maintenance_rule, rulebook
from tailwag.market.clock import parse_time_ns
from tailwag.sources.rules import load_rules

ANSWERS = json.loads((Path(__file__).resolve().parents[1] / "answers" / "margin.json").read_text(encoding="utf-8"))
AT = parse_time_ns("2026-02-05T00:00:00Z")
BTCUSDT = maintenance_rule(load_rules("margin_binance_btcusdt"), AT)
FOUR = NotionalTiers((50_000.0, 600_000.0, 3_000_000.0, 12_000_000.0), (0.004, 0.005, 0.0065, 0.01))


@pytest.mark.parametrize("case", ANSWERS["prices"], ids=lambda case: f"{case['kind']}{case['side']}x{case['leverage']}")
def test_prices_are_where_equity_meets_margin(case: dict[str, float]) -> None:
    contract, side = Contract(case["kind"]), float(case["side"])
    bankruptcy = bankruptcy_price_usd(contract, side, entry_usd=case["entry_usd"], leverage=case["leverage"])
    liquidation = liquidation_price_usd(
        contract, side, entry_usd=case["entry_usd"], leverage=case["leverage"], maintenance_share=case["maintenance_share"]
    )
    assert float(bankruptcy) == pytest.approx(case["bankruptcy_usd"], rel=1e-12)
    assert float(liquidation) == pytest.approx(case["liquidation_usd"], rel=1e-12)
    assert side * (float(liquidation) - float(bankruptcy)) > 0.0  # liquidated before bankrupt


@pytest.mark.parametrize(
    ("contract", "side", "printed"),
    [
        (Contract.LINEAR, LONG, 54271.3568),
        (Contract.LINEAR, SHORT, 65671.6418),
        (Contract.INVERSE, LONG, 54818.1818),
        (Contract.INVERSE, SHORT, 66333.3333),
    ],
)
def test_t17_printed_prices(contract: Contract, side: float, printed: float) -> None:
    found = liquidation_price_usd(contract, side, entry_usd=60_000.0, leverage=10.0, maintenance_share=0.005)
    assert float(found) == pytest.approx(printed, abs=5e-5)


@pytest.mark.parametrize("case", ANSWERS["tiered"], ids=lambda case: f"{case['side']}x{case['size_coin']}+{case['other_margin_usd']}")
def test_tiered_liquidation_price_stands_in_its_own_tier(case: dict[str, float]) -> None:
    given_ = {name: case[name] for name in ("size_coin", "entry_usd", "wallet_usd", "other_margin_usd")}
    found = tiered_liquidation_price_usd(FOUR, float(case["side"]), **given_)
    assert found is not None
    assert found == pytest.approx(case["liquidation_usd"], rel=1e-12)


@pytest.mark.parametrize("case", ANSWERS["tier_margin"])
def test_tiers_are_marginal_rates(case: dict[str, float]) -> None:
    """Rate of the tier less its constant is the same as every slice at its own rate."""
    assert float(FOUR.margin_usd(1.0, price_usd=case["notional_usd"])) == pytest.approx(case["margin_usd"], rel=1e-12)


def test_binance_constants_as_published() -> None:
    """Maintenance amounts of BTCUSDT: published beside the tiers, and of 2020: tier 5 from 250,000 at 1 % after 0.5 %: 1,300."""
    assert isinstance(BTCUSDT, NotionalTiers)
    published = [0, 50, 950, 11_450, 131_450, 481_450, 2_981_450, 14_481_450]
    assert BTCUSDT.cumulative_usd[:8] == pytest.approx(published, rel=1e-12)
    assert NotionalTiers((50_000.0, 250_000.0, 1e6), (0.004, 0.005, 0.01)).cumulative_usd[2] == pytest.approx(1_300.0)


@given(st.integers(0, 10), st.floats(1e-12, 1e-6))
def test_margin_is_continuous_at_every_edge(place: int, hair: float) -> None:
    assert isinstance(BTCUSDT, NotionalTiers)
    edge = BTCUSDT.up_to_usd[place]
    below, above = (float(BTCUSDT.margin_usd(1.0, price_usd=edge * (1.0 + side * hair))) for side in (-1.0, 1.0))
    assert above - below == pytest.approx(0.0, abs=edge * 2.1 * hair)
    assert above >= below


def test_deribit_examples() -> None:
    """support.deribit.com, Linear Perpetual: maintenance margin of 25 and 350 BTC at 100,000, of 25 and 6,000 SOL at 200."""
    btc = maintenance_rule(load_rules("margin_deribit_btc_usdc"), parse_time_ns("2026-02-05T00:00:00Z"))
    sol = maintenance_rule(load_rules("margin_deribit_sol_usdc"), parse_time_ns("2026-02-05T00:00:00Z"))
    assert float(btc.margin_usd(25.0, price_usd=100_000.0)) == pytest.approx(28_125.0, rel=1e-12)
    assert float(btc.margin_usd(-350.0, price_usd=100_000.0)) == pytest.approx(350 * 0.0275 * 100_000, rel=1e-12)
    assert float(sol.margin_usd(25.0, price_usd=200.0)) == pytest.approx(100.625, rel=1e-12)
    assert float(sol.margin_usd(6_000.0, price_usd=200.0)) == pytest.approx(6_000 * 0.05 * 200, rel=1e-12)
    assert float(maintenance_share(btc, 2_500_000.0, price_usd=100_000.0)) == pytest.approx(0.01125, rel=1e-12)


def test_index_moves_venues_to_within_their_band() -> None:
    """Deribit's example: 100, 101 and 120 with weights 25, 50, 25 %: capped to 100.495, 101, 101.505."""
    assert index_price_usd([100.0, 101.0, 120.0], cap_share=0.005, weights=[0.25, 0.5, 0.25]) == pytest.approx(101.0, rel=1e-12)
    assert index_price_usd([100.0, 101.0, 120.0], cap_share=0.005) == pytest.approx((100.495 + 101.0 + 101.505) / 3, rel=1e-12)
    assert index_price_usd([100.0, 101.0, 120.0], cap_share=0.5) == pytest.approx(107.0, rel=1e-12)
    for prices, cap, weights in (
        ([], 0.005, None),
        ([100.0, -1.0], 0.005, None),
        ([1.0], 1.5, None),
        ([1.0, 2.0], 0.1, [1.0]),
        ([1.0], 0.1, [0.0]),
    ):
        with pytest.raises(InputError):
            index_price_usd(prices, cap_share=cap, weights=weights)


@given(st.lists(st.floats(10.0, 1e5), min_size=3, max_size=9), st.floats(1.0, 1e9))
def test_one_venue_moves_the_index_no_further_than_its_band(prices: list[float], wild: float) -> None:
    """Whatever one venue says, the index stays within the band around the median of all."""
    told = [*prices, wild]
    middle = float(np.median(told))
    assert 0.995 * middle * (1 - 1e-12) <= index_price_usd(told, cap_share=0.005) <= 1.005 * middle * (1 + 1e-12)


def test_mark_follows_the_premium_with_its_time_constant() -> None:
    """One step of 60 s is the same as sixty of 1 s, and after 30 s 1 - 1/e of a premium is in the mark."""
    slow, fast = MarkPrice(30.0).after(60.0, perp_usd=60_300.0, index_usd=60_000.0), MarkPrice(30.0)
    for _ in range(60):
        fast = fast.after(1.0, perp_usd=60_300.0, index_usd=60_000.0)
    assert fast.premium_usd == pytest.approx(slow.premium_usd, rel=1e-12)
    half = MarkPrice(30.0).after(30.0, perp_usd=60_300.0, index_usd=60_000.0)
    assert half.mark_usd(60_000.0) == pytest.approx(60_000.0 + 300.0 * (1.0 - math.exp(-1.0)), rel=1e-12)
    with pytest.raises(InputError):
        MarkPrice(0.0).after(1.0, perp_usd=1.0, index_usd=1.0)


def test_funding_of_three_venues() -> None:
    """Piece by piece as the venues write it: dead band of 0.025 %, clamp of 0.05 % around 0.01 %, an eighth of the premium an hour."""
    table = {name: funding_rule(load_rules(f"margin_{name}"), AT) for name in ("deribit_btc", "binance_btcusdt", "derive_btc")}
    deribit, binance, derive = table.values()
    for premium, rate in (
        (0.0, 0.0),
        (0.0002, 0.0),
        (-0.00025, 0.0),
        (0.0004, 0.00015),
        (-0.0010, -0.00075),
        (0.02, 0.005),
        (-0.02, -0.005),
    ):
        assert float(deribit.rate(premium)) == pytest.approx(rate, abs=1e-15)
    for premium, rate in (
        (0.0, 0.0001),
        (0.0006, 0.0001),
        (-0.0004, 0.0001),
        (0.0016, 0.0011),
        (-0.0010, -0.0005),
        (0.01, 0.004),
        (-0.01, -0.004),
    ):
        assert float(binance.rate(premium)) == pytest.approx(rate, abs=1e-15)
    for premium, rate in ((0.0, 0.0000125), (0.0008, 0.0001125), (-0.0001, 0.0), (0.05, 4.0 / 8760), (-0.05, -4.0 / 8760)):
        assert float(derive.rate(premium)) == pytest.approx(rate, abs=1e-15)
    assert (deribit.hours, binance.hours, derive.hours) == (8.0, 8.0, 1.0)
    assert funding_per_year(binance, 0.0) == pytest.approx(0.1095)
    assert isinstance(deribit, DeadBandFunding)
    assert isinstance(binance, ClampFunding)
    assert isinstance(derive, HourlyFunding)


def test_premium_by_impact_prices() -> None:
    assert impact_premium_share(impact_bid_usd=60_060.0, impact_ask_usd=60_080.0, index_usd=60_000.0) == pytest.approx(0.001)
    assert impact_premium_share(impact_bid_usd=59_900.0, impact_ask_usd=59_940.0, index_usd=60_000.0) == pytest.approx(-0.001)
    with pytest.raises(InputError):
        impact_premium_share(impact_bid_usd=2.0, impact_ask_usd=1.0, index_usd=1.0)


def test_rulebooks_are_those_of_their_day() -> None:
    deribit, binance = (rulebook(load_rules(f"margin_{name}"), AT) for name in ("deribit_btc", "binance_btcusdt"))
    assert (deribit.contract, deribit.rounds, deribit.deleverages) == (Contract.INVERSE, True, False)
    assert (binance.contract, binance.rounds, binance.deleverages) == (Contract.LINEAR, False, True)
    assert isinstance(deribit.maintenance, SizeSlope)
    with pytest.raises(InputError, match="earlier figure"):
        rulebook(load_rules("margin_deribit_btc"), parse_time_ns("2020-01-01T00:00:00Z"))
    with pytest.raises(InputError, match="liquidation_fee_share"):
        rulebook(load_rules("margin_derive_btc"), AT)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="leverage above 0"):
        bankruptcy_price_usd(Contract.LINEAR, LONG, entry_usd=1.0, leverage=0.0)
    with pytest.raises(InputError, match="maintenance_share"):
        liquidation_price_usd(Contract.LINEAR, LONG, entry_usd=1.0, leverage=2.0, maintenance_share=1.0)
    with pytest.raises(InputError, match="rising"):
        NotionalTiers((2.0, 1.0), (0.1, 0.2))
    with pytest.raises(InputError, match="do not fall"):
        NotionalTiers((1.0, 2.0), (0.2, 0.1))
    with pytest.raises(InputError, match="base_share"):
        SizeSlope(0.0, 0.1)
    with pytest.raises(InputError, match="size_coin"):
        tiered_liquidation_price_usd(FOUR, LONG, size_coin=0.0, entry_usd=1.0, wallet_usd=1.0)
    assert tiered_liquidation_price_usd(FOUR, LONG, size_coin=1.0, entry_usd=100.0, wallet_usd=101.0) is None  # cannot lose it all
    assert math.isinf(float(bankruptcy_price_usd(Contract.INVERSE, SHORT, entry_usd=100.0, leverage=1.0)))
    for leverage in (0.4, 1.0):  # margin of the whole value and more: no price takes it, and none is below 0
        assert float(bankruptcy_price_usd(Contract.LINEAR, LONG, entry_usd=100.0, leverage=leverage)) == 0.0
        found = liquidation_price_usd(Contract.LINEAR, LONG, entry_usd=100.0, leverage=leverage, maintenance_share=0.01)
        assert float(found) == 0.0
