"""What one contract of a future is: from dated tables, from the listing where it was saved, unknown before either."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tailwag.market.clock import parse_time_ns
from tailwag.market.snapshot import Futures
from tailwag.sources import demo, load
from tailwag.sources.contract_sizes import deribit_contract_usd, linear_perp_coin, with_named_futures

AT_NS = parse_time_ns("2026-03-27T00:00:00Z")


def test_each_size_has_its_currency_and_its_first_day() -> None:
    assert (deribit_contract_usd("BTC", AT_NS), deribit_contract_usd("ETH", AT_NS)) == (10.0, 1.0)
    assert math.isnan(deribit_contract_usd("DOGE", AT_NS))
    assert math.isnan(deribit_contract_usd("BTC", parse_time_ns("2009-01-03T18:15:05Z")))
    assert (linear_perp_coin("binance", AT_NS), linear_perp_coin("bybit", AT_NS)) == (1.0, 1.0)
    assert math.isnan(linear_perp_coin("okx", AT_NS))


def test_a_book_may_name_futures_that_an_option_chain_does_not_hold() -> None:
    named = [
        "BTC-PERPETUAL",
        "BTC-26JUN26",
        "ETH-PERPETUAL",
        "BTC_USDC-PERPETUAL",
        "BTC-USD-SWAP",
        "BTC-USD-260327",
        "BTC-PERP",
        "nonsense",
    ]
    made = with_named_futures(Futures.from_columns(), [*named, "BTC-PERPETUAL"], currency="BTC", at_ns=AT_NS)
    assert made.instrument.tolist() == ["BTC-PERPETUAL", "BTC-26JUN26"]
    assert made.usd_per_contract.tolist() == [10.0, 10.0]
    assert np.isnan(made.mark_usd).all()
    assert made.expiry_ns.tolist() == [0, parse_time_ns("2026-06-26T08:00:00Z")]


def test_a_future_of_the_snapshot_is_taken_as_it_is() -> None:
    listed = Futures.from_columns(instrument=["BTC-PERPETUAL"], venue=["demo"], mark_usd=[70_000.0], usd_per_contract=[7.0])
    assert with_named_futures(listed, ["BTC-PERPETUAL"], currency="BTC", at_ns=AT_NS) is listed
    both = with_named_futures(listed, ["BTC-26JUN26"], currency="BTC", at_ns=AT_NS)
    assert both.usd_per_contract.tolist() == [7.0, 10.0]


@pytest.mark.parametrize(("stated", "expected"), [(None, 10.0), (25.0, 25.0)])
def test_deribits_own_listing_goes_before_the_table(tmp_path: Path, stated: float | None, expected: float) -> None:
    option = {"instrument_name": "BTC-27MAR26-60000-C", "open_interest": 5.0, "mark_iv": 50.0, "underlying_price": 70_000.0}
    future = {"instrument_name": "BTC-PERPETUAL", "open_interest": 1e6, "mark_price": 70_000.0}
    rows = [{**row, "creation_timestamp": 1_771_000_000_000} for row in (option, future)]
    listing = [{"instrument_name": "BTC-PERPETUAL", "contract_size": stated, "tick_size": 0.5, "min_trade_amount": 10}] if stated else []
    (tmp_path / "chain.json").write_text(json.dumps({"bookSummary": rows, "instruments": listing}))
    assert load(tmp_path / "chain.json").futures.usd_per_contract.tolist() == [expected]


def test_the_demo_lists_sized_contracts() -> None:
    futures = demo(seed=7).futures
    inverse = futures.settlement == "inverse"
    assert set(futures.usd_per_contract[inverse].tolist()) == {10.0}
    assert np.isnan(futures.usd_per_contract[~inverse]).all()
