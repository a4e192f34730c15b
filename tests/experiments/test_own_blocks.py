"""The desk's blocks of the document, on a chain that was saved without futures."""

from __future__ import annotations

import pytest

from tailwag.experiments.measure import MeasureOptions, measure
from tailwag.market.snapshot import Futures
from tailwag.sources import demo


def test_a_desk_may_hold_the_perp_where_only_options_were_saved() -> None:
    options_only = demo(seed=7).with_parts(futures=Futures.from_columns(), books=(), trades=None)
    measured = measure(
        options_only,
        MeasureOptions(dynamics="sticky-strike", own_book="instrument,contracts\nBTC-PERPETUAL,-1000\n", trades=("500 BTC-PERPETUAL",)),
    ).document()
    coins = 10.0 / measured["spot_usd"]
    assert measured["my_book"]["greeks"]["delta_coin"] == pytest.approx(-1000.0 * coins)
    assert measured["trade"][0]["own_after"]["greeks"]["delta_coin"] == pytest.approx(-500.0 * coins)
