"""Listed instruments and their names: parse what a venue prints, print what a trader types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from tailwag.errors import InstrumentNameError
from tailwag.units import NS_PER_HOUR, NS_PER_SECOND

Right = Literal["call", "put"]
Settlement = Literal["inverse", "linear"]

CURRENCIES = frozenset(
    ["BTC", "ETH", "SOL", "XRP", "MATIC", "POL", "PAXG", "BNB", "DOGE", "AVAX", "TRX", "LTC", "BCH", "ADA", "DOT", "HYPE", "SPX", "SPY", "IBIT"]
)
"""Underlyings whose options we know how to count; anything else is masked ``unknown_currency``."""

CALL, PUT = 1, -1
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
CRYPTO_EXPIRY_HOUR = 8
"""Every crypto venue here expires its options at 08:00 UTC, all year."""

# Deribit and Bybit: BTC-27MAR26-60000-C, BTC_USDC-27MAR26-60000-C, MATIC_USDC-9MAR24-1d02-C, BTC-27MAR26-60000-C-USDT
_DAY_MONTH_NAME = re.compile(r"\A([A-Z0-9]{1,10})(?:_(USDC|USDT|USDE))?-([0-9]{1,2})([A-Z]{3})([0-9]{2})-([0-9]{1,12}(?:[d_.][0-9]{1,9})?)-([CP])(?:-(USDT|USDC))?\Z", re.ASCII)
# OKX: BTC-USD-260327-60000-C; Binance: BTC-260327-60000-C
_YYMMDD_NAME = re.compile(r"\A([A-Z0-9]{1,10})(?:-(USD|USDT|USDC|USD_UM))?-([0-9]{2})([0-9]{2})([0-9]{2})-([0-9]{1,12}(?:[d_.][0-9]{1,9})?)-([CP])\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Option:
    """One listed European option (American where ``style`` says so)."""

    name: str
    currency: str
    expiry_ns: int
    strike_usd: float
    right: Right
    settlement: Settlement
    style: Literal["european", "american"] = "european"

    @property
    def canonical(self) -> tuple[str, int, float, int, str]:
        """What makes two names the same contract: (currency, expiry, strike, right, settlement)."""
        return (self.currency, self.expiry_ns, self.strike_usd, CALL if self.right == "call" else PUT, self.settlement)


def parse_option(name: str) -> Option:
    """The option that a venue's name stands for (Deribit, Bybit, OKX or Binance spelling).

    >>> parse_option("BTC-27MAR26-60000-C").strike_usd
    60000.0
    >>> parse_option("MATIC_USDC-9MAR24-1d02-C").strike_usd, parse_option("MATIC_USDC-9MAR24-1d02-C").settlement
    (1.02, 'linear')
    >>> parse_option("BTC-USD-260327-60000-P").right
    'put'

    Raises InstrumentNameError for anything else; the message never repeats control characters.
    """
    found = _DAY_MONTH_NAME.match(name)
    if found:
        base, quote, day, month, year, strike, right, tail = found.groups()
        if month in MONTHS:
            expiry_ns = _expiry(name, int(year), MONTHS.index(month) + 1, int(day))
            return Option(name, base, expiry_ns, _strike(name, strike), _right(right), "linear" if quote or tail else "inverse")
    found = _YYMMDD_NAME.match(name)
    if found:
        base, quote, year, month, day, strike, right = found.groups()
        expiry_ns = _expiry(name, int(year), int(month), int(day))
        return Option(name, base, expiry_ns, _strike(name, strike), _right(right), "inverse" if quote == "USD" else "linear")
    raise InstrumentNameError(f"expected an option name such as BTC-27MAR26-60000-C, got {name[:60]!a}; check the instrument column")


def _right(letter: str) -> Right:
    return "call" if letter == "C" else "put"


def _strike(name: str, text: str) -> float:
    value = float(text.replace("d", ".").replace("_", "."))
    if not value > 0.0:
        raise InstrumentNameError(f"{name[:60]!a}: the strike must be above 0, got {text}; leave this row out")
    return value


def _expiry(name: str, year: int, month: int, day: int) -> int:
    try:
        midnight = datetime(2000 + year, month, day, tzinfo=UTC)
    except ValueError:
        raise InstrumentNameError(f"{name[:60]!a}: {day}-{month}-{2000 + year} is no calendar day; check the instrument column") from None
    return int(midnight.timestamp()) * NS_PER_SECOND + CRYPTO_EXPIRY_HOUR * NS_PER_HOUR
