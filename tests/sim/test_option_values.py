"""A book's value without its greeks: the first row of the greeks, and as many options as there are strikes."""

from __future__ import annotations

import numpy as np
import pytest

from tailwag.sim.option_book import OptionBook, book_greeks
from tailwag.sim.option_values import values_of


@pytest.mark.parametrize("time_years", [0.0, 0.02, 0.5])
def test_values_are_those_of_the_greeks(time_years: float) -> None:
    """Calls and puts, long and short, twice the same row, skews, forwards off spot, options that have expired, wings and floored vols."""
    rng, rows = np.random.default_rng(8), 60
    strike, expiry = rng.choice([30e3, 55e3, 60e3, 66e3, 140e3], rows), rng.choice([0.01, 0.03, 0.2], rows)
    book = OptionBook(
        right=rng.choice([-1, 1], rows),
        strike_usd=strike,
        expiry_years=expiry,
        contracts_coin=rng.normal(0.0, 30.0, rows),
        iv=rng.choice([0.4, 0.7], rows),
        forward_ratio=1.0 + 0.1 * expiry,
        skew=rng.choice([-0.3, 0.0], rows),
        averaged=np.zeros(rows, dtype=np.bool_),
    )
    log_price, vol_shift = rng.normal(0.0, 0.15, 40), rng.uniform(-0.5, 0.5, 40)
    found = values_of(book, time_years, 60e3, log_price, vol_shift)
    gross = np.abs(book.contracts_coin).sum() * 60e3
    assert found == pytest.approx(book_greeks(book, time_years, 60e3, log_price, vol_shift)[0], abs=1e-13 * gross)
    assert (np.abs(found) > 1e3).any() == (time_years < 0.2)
    assert values_of(book, time_years, 60e3, log_price[3:4], vol_shift[3:4])[0] == found[3]
