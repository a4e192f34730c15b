"""Futures and perps in a desk's book: what one contract is, and its delta in coin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from tailwag.errors import InputError
from tailwag.exposure.book import Book
from tailwag.exposure.holdings import Holding

if TYPE_CHECKING:
    from tailwag.market.snapshot import Futures

USD_PER_CONTRACT = {
    ("deribit", "BTC"): 10.0,
    ("deribit", "ETH"): 1.0,
    ("okx", "BTC"): 100.0,
    ("okx", "*"): 10.0,
    ("binance", "BTC"): 100.0,
    ("binance", "*"): 10.0,
    ("bybit", "*"): 1.0,
    ("demo", "BTC"): 10.0,
    ("demo", "*"): 1.0,
}
"""Size of one inverse contract in USD, by venue and currency ('*': all others).  Source: the venues' contract specifications, 2025;
the demo market lists Deribit's contracts."""
_DERIBIT_NAME = re.compile(r"\A([A-Z]{2,10})-(?:PERPETUAL|[0-9]{1,2}[A-Z]{3}[0-9]{2})\Z", re.ASCII)


def future_delta_coin(item: Holding, market: Book, futures: Futures | None) -> float:
    """Delta in coin of a position in a future or perp: its USD size over its price (inverse), or its coin.

    ``amount_coin`` and ``amount_usd`` need no contract size; ``contracts`` need a venue's known one.  An inverse future of fixed USD size
    has no gamma in USD.

    Raises InputError that names the instrument.
    """
    venue, settlement, price = _terms(item, market, futures)
    if item.amount_coin is not None:
        return item.amount_coin
    if item.amount_usd is not None:
        return item.amount_usd / price
    size = USD_PER_CONTRACT.get((venue, market.chain.currency), USD_PER_CONTRACT.get((venue, "*")))
    if settlement != "inverse" or size is None:
        raise InputError(
            f"own book: the contract size of {item.instrument} on {venue or 'an unnamed venue'} is not known here; give amount_usd or amount_coin"
        )
    return (item.contracts or 0.0) * size / price


def _terms(item: Holding, market: Book, futures: Futures | None) -> tuple[str, str, float]:
    """Venue, settlement and price in USD of a future by its name."""
    rows = np.zeros(0, dtype=np.int64) if futures is None else np.flatnonzero(futures.instrument == item.instrument)
    if futures is not None and item.venue:
        rows = rows[[str(futures.venue[row]).lower() == item.venue for row in rows]]
    if futures is not None and rows.size == 1:
        mark = float(futures.mark_usd[rows[0]])
        price = mark if np.isfinite(mark) and mark > 0.0 else market.spot_usd
        return str(futures.venue[rows[0]]).lower(), str(futures.settlement[rows[0]]), price
    if rows.size > 1:
        raise InputError(f"own book: {item.instrument} is listed on {rows.size} venues; add a venue column")
    spelled = _DERIBIT_NAME.match(item.instrument)
    if spelled and spelled[1] == market.chain.currency:
        return "deribit", "inverse", market.spot_usd
    raise InputError(
        f"own book: {item.instrument} is neither an option nor a future of this {market.chain.currency} market; "
        "check the name (BTC-27MAR26-60000-C, BTC-PERPETUAL), or leave it out"
    )
