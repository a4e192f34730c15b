"""What a book of options is worth on many paths, without its greeks: a call and a put of one strike share their normal tails."""

from __future__ import annotations

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.loop_value import value_books
from tailwag.sim.option_book import OptionBook, time_left

KEYS = ("expiry_years", "strike_usd", "forward_ratio", "iv", "skew", "averaged")


def values_of(book: OptionBook, time_years: float, spot_usd: float, log_price: FloatArray, vol_shift: FloatArray) -> FloatArray:
    """Value of the whole book on every path, (paths,), in USD (undiscounted): the first row of `book_greeks`, to 1e-12 of what is held.

    No row may be inside its settlement window.  ``spot_usd`` is the price at the start; rows that have expired are worth nothing.

    >>> book = OptionBook.single(strike_usd=65000, expiry_years=30 / 365, contracts_coin=1.0, iv=0.65)
    >>> values_of(book, 0.0, 60000.0, np.zeros(1), np.zeros(1)).round(8).tolist()
    [2559.74182777]
    """
    left, alive, _ = time_left(book, time_years)
    columns = np.array([left[alive], *(getattr(book, name)[alive] for name in KEYS)], dtype=np.float64)
    once, row = np.unique(columns, axis=1, return_inverse=True)
    held, bought = book.contracts_coin[alive], book.right[alive] < 0
    positions, puts = np.zeros((1, once.shape[1])), np.zeros((1, once.shape[1]))
    np.add.at(positions[0], row.ravel(), held)
    np.add.at(puts[0], row.ravel()[bought], held[bought])
    years, _, strike, ratio, iv, skew, _ = once
    out = np.zeros((1, log_price.size))
    if strike.size:
        rows = np.array((strike, np.log(strike / (ratio * spot_usd)), np.sqrt(years), iv, skew))
        value_books(rows, positions, puts, np.ascontiguousarray(log_price), np.ascontiguousarray(vol_shift), out)
    return np.asarray(out[0])
