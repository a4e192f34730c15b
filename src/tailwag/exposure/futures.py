"""Futures and perps in a desk's book: their delta in coin, by what the snapshot says of one contract."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tailwag.errors import InputError, InstrumentNameError
from tailwag.exposure.book import Book
from tailwag.exposure.holdings import Holding
from tailwag.market.instrument import parse_future

if TYPE_CHECKING:
    from tailwag.market.snapshot import Futures


@dataclass(frozen=True, slots=True)
class _Terms:
    """What is known of one future; sizes are NaN where they are not."""

    venue: str
    price_usd: float
    usd_per_contract: float
    coin_per_contract: float


def future_delta_coin(item: Holding, market: Book, futures: Futures | None) -> float:
    """Delta in coin of a position in a future or perp: its USD size over its price (inverse), or its coin.

    ``amount_coin`` and ``amount_usd`` need no contract size; ``contracts`` need ``usd_per_contract`` or ``coin_per_contract`` in ``futures``.
    An inverse future of fixed USD size has no gamma in USD.

    Raises InputError that names the instrument.
    """
    terms = _terms(item, market, futures)
    if item.amount_coin is not None:
        return item.amount_coin
    if item.amount_usd is not None:
        return item.amount_usd / terms.price_usd
    coin = terms.usd_per_contract / terms.price_usd if math.isfinite(terms.usd_per_contract) else terms.coin_per_contract
    if not math.isfinite(coin):
        raise InputError(
            f"own book: the contract size of {item.instrument} on {terms.venue or 'an unnamed venue'} is not known here; give amount_usd or amount_coin"
        )
    return (item.contracts or 0.0) * coin


def _terms(item: Holding, market: Book, futures: Futures | None) -> _Terms:
    """Venue, price and contract size of a future by its name; at spot where no mark is known."""
    rows = np.zeros(0, dtype=np.int64) if futures is None else np.flatnonzero(futures.instrument == item.instrument)
    if futures is not None and item.venue:
        rows = rows[[str(futures.venue[row]).lower() == item.venue for row in rows]]
    if rows.size > 1:
        raise InputError(f"own book: {item.instrument} is listed on {rows.size} venues; add a venue column")
    if futures is not None and rows.size == 1:
        row = int(rows[0])
        mark = float(futures.mark_usd[row])
        price = mark if np.isfinite(mark) and mark > 0.0 else market.spot_usd
        return _Terms(str(futures.venue[row]).lower(), price, float(futures.usd_per_contract[row]), float(futures.coin_per_contract[row]))
    if _is_future_of(item.instrument, market.chain.currency):
        return _Terms(item.venue, market.spot_usd, math.nan, math.nan)
    raise InputError(
        f"own book: {item.instrument} is neither an option nor a future of this {market.chain.currency} market; "
        "check the name (BTC-27MAR26-60000-C, BTC-PERPETUAL), or leave it out"
    )


def _is_future_of(name: str, currency: str) -> bool:
    try:
        return parse_future(name).currency == currency
    except InstrumentNameError:
        return False
