"""What one contract of a future or perp is: from the venues' dated rule tables, never typed in where it is used."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields

import numpy as np

from tailwag.errors import InputError, InstrumentNameError
from tailwag.market.instrument import Future, parse_future
from tailwag.market.snapshot import Futures
from tailwag.sources.rules import load_rules


def deribit_contract_usd(currency: str, at_ns: int) -> float:
    """USD per contract of Deribit's coin-settled futures of one currency; NaN where no dated figure is known.

    >>> from tailwag.market.clock import parse_time_ns
    >>> deribit_contract_usd("BTC", parse_time_ns("2026-03-27T00:00:00Z"))
    10.0
    """
    return _figure("deribit_inverse_futures", currency, at_ns)


def linear_perp_coin(venue: str, at_ns: int) -> float:
    """Coin per contract of a venue's linear perps; NaN where no dated figure is known."""
    return _figure("linear_perp_contracts", venue, at_ns)


def with_named_futures(futures: Futures, names: Iterable[str], *, currency: str, at_ns: int) -> Futures:
    """``futures`` and, without a price, each of Deribit's coin-settled ones of ``currency`` that ``names`` has and the snapshot does not list.

    A saved option chain holds no futures, and a desk's book names them all the same.
    """
    found = [_deribit_inverse(name, currency) for name in dict.fromkeys(names) if name not in set(futures.instrument)]
    added = [future for future in found if future is not None]
    size = len(added)
    if not size:
        return futures
    extra = Futures.from_columns(
        instrument=[future.name for future in added],
        venue=["deribit"] * size,
        kind=[future.kind for future in added],
        settlement=["inverse"] * size,
        expiry_ns=[future.expiry_ns for future in added],
        usd_per_contract=np.full(size, deribit_contract_usd(currency, at_ns)),
    )
    return joined_futures([futures, extra])


def joined_futures(tables: list[Futures]) -> Futures:
    """Several tables under one another."""
    names = [field.name for field in fields(Futures)]
    return Futures.from_columns(**{name: np.concatenate([getattr(table, name) for table in tables]) for name in names})


def _deribit_inverse(name: str, currency: str) -> Future | None:
    try:
        future = parse_future(name)
    except InstrumentNameError:
        return None
    spelled = future.kind == "future" or name == f"{currency}-PERPETUAL"
    # a dated name of letters and a month (BTC-27MAR26) is Deribit's; venues that write 260327 count other contracts
    letters = any(character.isalpha() for character in name.rpartition("-")[2])
    return future if spelled and letters and future.currency == currency and future.settlement == "inverse" else None


def _figure(table: str, subject: str, at_ns: int) -> float:
    try:
        return load_rules(table).in_force(subject, at_ns).value
    except InputError:
        return math.nan
