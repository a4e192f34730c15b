"""Listing: what a column of instrument names says, checked against what the source says beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tailwag.errors import InstrumentNameError
from tailwag.kernels.arrays import FloatArray, IntArray, TextArray
from tailwag.market.clock import valid_time
from tailwag.market.codes import RowCode
from tailwag.market.instrument import CALL, CURRENCIES, PUT, Option, is_combo, parse_future, parse_option
from tailwag.units import NS_PER_DAY

OPTION, FUTURE, COMBO, OTHER, FOREIGN = "option", "future", "combo", "other", "foreign"
"""What a name is: an option or future of the wanted currency, a combo, no instrument at all, or something of another known currency."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The option columns that names stand for, and the codes of names that contradict the source or mean nothing.

    Shapes: (n,).  An invalid name has right 0, strike NaN, expiry 0.
    """

    right: IntArray
    strike_usd: FloatArray
    expiry_ns: IntArray
    settlement: TextArray
    codes: IntArray


def kind_of(name: object, currency: str) -> str:
    """What a name is, seen from one currency; an unknown currency's option is OPTION (kept, and masked later).

    >>> [kind_of(name, "BTC") for name in ("BTC-27MAR26-60000-C", "ETH-27MAR26-2000-P", "BTC-PERP", "BTC-FS-30SEP22_PERP", "=cmd|'/c'")]
    ['option', 'foreign', 'future', 'combo', 'other']
    """
    if not isinstance(name, str):
        return OTHER
    base = currency_of_option(name)
    if base is not None:
        return OPTION if base == currency or base not in CURRENCIES else FOREIGN
    if is_combo(name):
        return COMBO
    try:
        return FUTURE if parse_future(name).currency == currency else FOREIGN
    except InstrumentNameError:
        return OTHER


def currency_of_option(name: str) -> str | None:
    """The underlying of an option's name, None where it is no option's name."""
    option = _option(name)
    return None if option is None else option.currency


def listed(names: Sequence[object], currency: str) -> Listing:
    """The columns of each name; a name that means nothing is coded, never guessed at.

    >>> listed(["BTC-27MAR26-60000-C", "<script>"], "BTC").codes.tolist() == [0, int(RowCode.NAME_INVALID)]
    True
    """
    options = [_option(name) if isinstance(name, str) else None for name in names]
    codes = [
        int(RowCode.NAME_INVALID) if option is None else 0 if option.currency == currency else int(RowCode.UNKNOWN_CURRENCY)
        for option in options
    ]
    return Listing(
        right=np.array([0 if option is None else CALL if option.right == "call" else PUT for option in options], dtype=np.int64),
        strike_usd=np.array([np.nan if option is None else option.strike_usd for option in options], dtype=np.float64),
        expiry_ns=np.array([0 if option is None else option.expiry_ns for option in options], dtype=np.int64),
        settlement=np.array(["inverse" if option is None else option.settlement for option in options], dtype=object),
        codes=np.array(codes, dtype=np.int64),
    )


@lru_cache(maxsize=16_384)
def _option(name: str) -> Option | None:
    try:
        return parse_option(name)
    except InstrumentNameError:
        return None


def contradicted(listing: Listing, *, strike_usd: FloatArray, expiry_ns: IntArray, right: IntArray, stated: IntArray) -> IntArray:
    """Codes where what the source states beside a name is not what the name says, (n,); ``stated`` has bits 1 strike, 2 expiry, 4 right.

    A stated value that is no value at all (strike 0, expiry in another unit) is coded like one that contradicts: which is true is unknown.
    """
    named = (listing.codes & int(RowCode.NAME_INVALID)) == 0
    with np.errstate(invalid="ignore"):
        strike_off = ~(np.abs(strike_usd - listing.strike_usd) <= 1e-9 * listing.strike_usd)
    expiry_off = ~valid_time(expiry_ns) | (np.abs(expiry_ns - listing.expiry_ns) >= NS_PER_DAY)
    codes: IntArray = np.where(named & (stated & 1 != 0) & strike_off, int(RowCode.STRIKE_INVALID), 0)
    codes |= np.where(named & (stated & 2 != 0) & expiry_off, int(RowCode.TIME_INVALID), 0)
    codes |= np.where(named & (stated & 4 != 0) & (right != listing.right), int(RowCode.RIGHT_INVALID), 0)
    return codes
