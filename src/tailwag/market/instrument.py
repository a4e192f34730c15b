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
    [
        "BTC",
        "ETH",
        "SOL",
        "XRP",
        "MATIC",
        "POL",
        "PAXG",
        "BNB",
        "DOGE",
        "AVAX",
        "TRX",
        "LTC",
        "BCH",
        "ADA",
        "DOT",
        "HYPE",
        "SPX",
        "SPY",
        "IBIT",
    ]
)
"""Underlyings whose options we know how to count; anything else is masked ``unknown_currency``."""

CALL, PUT = 1, -1
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
CRYPTO_EXPIRY_HOUR = 8
"""Every crypto venue here expires its options at 08:00 UTC, all year."""

LARGEST_STRIKE_USD = 1e12
"""No venue lists a strike beyond it; a larger number is damage."""
LONGEST_NAME = 64

# Deribit and Bybit: BTC-27MAR26-60000-C, BTC_USDC-27MAR26-60000-C, MATIC_USDC-9MAR24-1d02-C, BTC-27MAR26-60000-C-USDT
_DAY_MONTH_NAME = re.compile(
    r"\A([A-Z0-9]{1,10})(?:_(USDC|USDT|USDE))?-([0-9]{1,2})([A-Z]{3})([0-9]{2})-([0-9]{1,12}(?:[d_.][0-9]{1,9})?)-([CP])(?:-(USDT|USDC))?\Z",
    re.ASCII,
)
# OKX: BTC-USD-260327-60000-C; Binance: BTC-260327-60000-C
_YYMMDD_NAME = re.compile(
    r"\A([A-Z0-9]{1,10})(?:-(USD|USDT|USDC|USD_UM))?-([0-9]{2})([0-9]{2})([0-9]{2})-([0-9]{1,12}(?:[d_.][0-9]{1,9})?)-([CP])\Z", re.ASCII
)


# Deribit futures: BTC-27MAR26, BTC_USDC-27MAR26; a synthetic forward is SYN.BTC-27MAR26
_DAY_MONTH_FUTURE = re.compile(r"\A([A-Z0-9]{1,10})(?:_(USDC|USDT|USDE))?-([0-9]{1,2})([A-Z]{3})([0-9]{2})\Z", re.ASCII)
# OKX and Binance: BTC-USD-260327, BTCUSD_260327
_YYMMDD_FUTURE = re.compile(r"\A([A-Z0-9]{1,10}?)(?:-(USD|USDT|USDC)-|(USD|USDT|USDC)_)([0-9]{2})([0-9]{2})([0-9]{2})\Z", re.ASCII)
# BTC-PERPETUAL, BTC-PERP, BTC_USDC-PERPETUAL; OKX BTC-USD-SWAP; Binance BTCUSD_PERP
_PERP = re.compile(
    r"\A([A-Z0-9]{1,10}?)(?:_(USDC|USDT|USDE)-(?:PERPETUAL|PERP)|-(?:PERPETUAL|PERP)|-(USD|USDT|USDC)-SWAP|(USD|USDT|USDC)_PERP)\Z",
    re.ASCII,
)
# Deribit combos: BTC-CS-30SEP22-20000_22000, BTC-FS-30SEP22_PERP, BTC-STRD-30SEP22-20000
_COMBO = re.compile(r"\A[A-Z0-9]{1,10}(?:_(?:USDC|USDT|USDE))?-[A-Z][A-Z0-9]{1,7}-[0-9]{1,2}[A-Z]{3}[0-9]{2}[-_A-Z0-9.]{0,60}\Z", re.ASCII)


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


@dataclass(frozen=True, slots=True)
class Future:
    """One listed dated future or perp; ``expiry_ns`` is 0 for a perp."""

    name: str
    currency: str
    kind: Literal["future", "perp"]
    expiry_ns: int
    settlement: Settlement


def parse_future(name: str) -> Future:
    """The dated future or perp that a venue's name stands for; every spelling of a perp is one kind.

    >>> parse_future("BTC-PERPETUAL").kind, parse_future("BTC-PERP").kind, parse_future("BTC_USDC-PERPETUAL").settlement
    ('perp', 'perp', 'linear')
    >>> parse_future("BTC-27MAR26") == parse_future("BTC-27MAR26"), parse_future("BTC-USD-SWAP").settlement
    (True, 'inverse')

    Raises InstrumentNameError for anything else, combos with a perp leg among it.
    """
    found = _PERP.match(name)
    if found:
        base, deribit_quote, okx_quote, binance_quote = found.groups()
        quote = deribit_quote or okx_quote or binance_quote or "USD"
        return Future(name, base, "perp", 0, "inverse" if quote == "USD" else "linear")
    found = _DAY_MONTH_FUTURE.match(name)
    if found and found[4] in MONTHS:
        base, quote, day, month, year = found.groups()
        return Future(name, base, "future", _expiry(name, int(year), MONTHS.index(month) + 1, int(day)), "linear" if quote else "inverse")
    found = _YYMMDD_FUTURE.match(name)
    if found:
        base, okx_quote, binance_quote, year, month, day = found.groups()
        inverse = (okx_quote or binance_quote) == "USD"
        return Future(name, base, "future", _expiry(name, int(year), int(month), int(day)), "inverse" if inverse else "linear")
    raise InstrumentNameError(
        f"expected a future such as BTC-27MAR26 or BTC-PERPETUAL, got {name[:LONGEST_NAME]!a}; check the instrument column"
    )


def is_combo(name: str) -> bool:
    """True for the name of a combination of listed legs, whose open interest is that of its legs.

    >>> is_combo("BTC-CS-30SEP22-20000_22000"), is_combo("BTC-FS-30SEP22_PERP"), is_combo("BTC-27MAR26-60000-C")
    (True, True, False)
    """
    return _COMBO.match(name) is not None


def collateral(name: str) -> str:
    """The stable coin that tells two linear contracts of one venue apart ('' for the venue's usual one).

    >>> collateral("BTC-27MAR26-60000-C-USDT"), collateral("BTC-27MAR26-60000-C")
    ('USDT', '')
    """
    return next((coin for coin in ("USD_UM", "USDT", "USDE") if coin in name), "")


def _right(letter: str) -> Right:
    return "call" if letter == "C" else "put"


def _strike(name: str, text: str) -> float:
    value = float(text.replace("d", ".").replace("_", "."))
    if not 0.0 < value <= LARGEST_STRIKE_USD:
        raise InstrumentNameError(f"{name[:60]!a}: the strike must be above 0, got {text}; leave this row out")
    return value


def _expiry(name: str, year: int, month: int, day: int) -> int:
    try:
        midnight = datetime(2000 + year, month, day, tzinfo=UTC)
    except ValueError:
        raise InstrumentNameError(f"{name[:60]!a}: {day}-{month}-{2000 + year} is no calendar day; check the instrument column") from None
    return int(midnight.timestamp()) * NS_PER_SECOND + CRYPTO_EXPIRY_HOUR * NS_PER_HOUR
