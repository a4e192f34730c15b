"""The demo market in motion: the same moment is the same market, spot wanders as much as it says, books stay consistent."""

from __future__ import annotations

import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.sources.demo import DEFAULT_AS_OF_NS
from tailwag.sources.demo_moving import DAILY_MOVE, log_move, moving_demo
from tailwag.sources.snapshot_file import encoded_snapshot
from tailwag.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE


def test_a_moment_is_always_the_same_market_and_is_labelled() -> None:
    first, second = moving_demo(DEFAULT_AS_OF_NS), moving_demo(DEFAULT_AS_OF_NS)
    assert encoded_snapshot(first) == encoded_snapshot(second)
    assert first.source.synthetic
    assert first.as_of_ns == first.chain.as_of_ns == first.books[0].as_of_ns == DEFAULT_AS_OF_NS


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_spot_wanders_as_much_as_stated_over_a_day_and_visibly_over_a_minute(seed: int) -> None:
    hours = np.array([log_move(DEFAULT_AS_OF_NS + hour * NS_PER_HOUR, seed=seed) for hour in range(24 * 90)])
    assert np.std(hours[24:] - hours[:-24]) == pytest.approx(DAILY_MOVE, rel=0.15)
    minutes = np.array([log_move(DEFAULT_AS_OF_NS + minute * NS_PER_MINUTE, seed=seed) for minute in range(1_000)])
    # within a factor two of a random walk's square root of time
    assert 0.5 < np.std(np.diff(minutes)) / (DAILY_MOVE / np.sqrt(24 * 60)) < 2.0


def test_within_a_day_the_same_options_are_held_at_other_prices() -> None:
    early, late = moving_demo(DEFAULT_AS_OF_NS), moving_demo(DEFAULT_AS_OF_NS + 5 * NS_PER_HOUR)
    assert early.chain.instrument.tolist() == late.chain.instrument.tolist()
    np.testing.assert_array_equal(early.chain.open_interest_contracts, late.chain.open_interest_contracts)
    assert early.spot_usd != late.spot_usd
    np.testing.assert_allclose(late.chain.index_usd, late.spot_usd)
    for market in (early, late):
        assert market.chain.usable.all()
        book = market.books[0]
        assert book.bid_price_usd[0] < book.ask_price_usd[0]
        assert abs(book.bid_price_usd[0] / market.spot_usd - 1.0) < 0.001


def test_every_morning_the_next_expiry_leaves() -> None:
    morning = DEFAULT_AS_OF_NS // NS_PER_DAY * NS_PER_DAY + 8 * NS_PER_HOUR
    before, after = moving_demo(morning - 1_000), moving_demo(morning)
    assert before.chain.expiry_ns.min() == morning
    assert before.chain.priced.all()
    assert after.chain.expiry_ns.min() == morning + NS_PER_DAY


def test_no_moment_of_a_month_has_a_row_that_is_masked() -> None:
    for number in range(60):
        market = moving_demo(DEFAULT_AS_OF_NS + number * 41 * 17 * NS_PER_MINUTE, seed=number % 5, currency="BTC" if number % 3 else "ETH")
        assert market.chain.priced.all()
        assert market.degraded == ()


def test_a_currency_without_a_demo_is_refused() -> None:
    with pytest.raises(InputError, match="expected a demo currency"):
        moving_demo(DEFAULT_AS_OF_NS, currency="DOGE")


@pytest.mark.parametrize("currency", ["BTC", "ETH"])
def test_no_option_leaves_before_its_expiry(currency: str) -> None:
    before = None
    for day in range(120):
        market = moving_demo(DEFAULT_AS_OF_NS + day * NS_PER_DAY, currency=currency)
        listed = dict(zip(market.chain.instrument.tolist(), market.chain.expiry_ns.tolist()))
        gone = (
            set() if before is None else {name for name, expiry_ns in before.items() if name not in listed and expiry_ns > market.as_of_ns}
        )
        assert not gone, f"day {day}: {sorted(gone)[:3]}"
        before = listed


def test_two_days_hold_no_trade_in_common_and_one_day_the_same() -> None:
    def ids(at_ns: int) -> set[str]:
        trades = moving_demo(at_ns).trades
        assert trades is not None
        assert len(set(trades.trade_id.tolist())) == len(trades)
        return set(trades.trade_id.tolist())

    today = ids(DEFAULT_AS_OF_NS)
    assert today
    assert ids(DEFAULT_AS_OF_NS + NS_PER_MINUTE) == today
    assert not ids(DEFAULT_AS_OF_NS + NS_PER_DAY) & today
