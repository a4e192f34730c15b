"""CBOE delayed-quote downloads (SPX, SPY, IBIT): a paired table of calls and puts under three header lines."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from tailwag.errors import EmptyChainError, FileFormatError, InstrumentNameError, MissingPackageError, TimeError
from tailwag.kernels.arrays import FloatArray
from tailwag.market.chain import Chain
from tailwag.market.codes import RowCode
from tailwag.market.instrument import Option
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.market.validate import chain_doubts, validated
from tailwag.sources.opening import RawFile
from tailwag.sources.tables import number
from tailwag.units import NS_PER_SECOND

VENUE = "cboe"
SHARES_PER_CONTRACT = 100.0
_CURRENCY_OF_ROOT = {"SPX": "SPX", "SPXW": "SPX", "SPY": "SPY", "IBIT": "IBIT"}
_AMERICAN = frozenset(["SPY", "IBIT"])
_OPENING_SETTLED = frozenset(["SPX"])
"""Roots that settle on the opening prices of their last day; the weeklies (SPXW) and the funds' options run to the close."""
_HEADER = (
    "Expiration Date",
    "Calls",
    *(_SIDE := ("Last Sale", "Net", "Bid", "Ask", "Volume", "IV", "Delta", "Gamma", "Open Interest")),
    "Strike",
    "Puts",
    *_SIDE,
)
_NAME = re.compile(r"\A([A-Z]{1,6})([0-9]{2})([0-9]{2})([0-9]{2})([CP])([0-9]{8})\Z", re.ASCII)
_DATE = re.compile(r"Date:\s*([A-Z][a-z]+)\s+([0-9]{1,2}),?\s+([0-9]{4})(?:\s+at|,)?\s+([0-9]{1,2}):([0-9]{2})\s*([AP]M)\s+(E[SD]?T)\b")
_MONTHS = {
    name: number
    for number, name in enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1)
}
_EXPIRY_FORMATS = ("%a %b %d %Y", "%m/%d/%Y", "%Y-%m-%d")
_OPEN, _CLOSE = time(9, 30), time(16, 15)
_LARGEST_HEADER_LINES = 8
IV_FLOOR = 0.001
"""What CBOE prints where no volatility gives the price (deep in the money, no time value): a placeholder, not a volatility."""


@dataclass(frozen=True, slots=True)
class _Header:
    """What the lines above the table say."""

    title: str
    last_usd: float
    as_of_ns: int
    table_line: int


def read_cboe(text: str, *, raw: RawFile, currency: str) -> Snapshot:
    """The snapshot in a CBOE delayed-quote CSV: two chain rows (call, put) for each line, all of them kept.

    Contract size 100 (``coin`` is the index unit or the fund's share), linear, SPY and IBIT American; IV is decimal; the index is the
    header's ``Last``; ``delta_published`` and ``gamma_published`` are the file's own columns. A bid or ask of 0 is no quote, an IV of
    0.001 (the file's floor) no volatility.

    Raises FileFormatError naming line and column, TimeError for an unreadable date, EmptyChainError if the file is of another underlying.
    """
    header = _read_header(text, raw.name)
    lines = _read_lines(text, header.table_line, raw.name)
    chain = validated(_chain(lines, header, raw.name, currency))
    return Snapshot(
        currency=currency,
        as_of_ns=header.as_of_ns,
        spot_usd=header.last_usd,
        chain=chain,
        futures=Futures.from_columns(),
        source=Source("cboe-csv", raw.name, raw.sha256),
        degraded=chain_doubts(chain),
        notes=_notes(header, currency),
    )


def parse_occ(name: str) -> Option:
    """The option that a US option symbol stands for: root, yymmdd, C or P, strike in thousandths.

    SPX settles on the opening (09:30 New York), SPXW, SPY and IBIT at the close (16:00 New York).

    >>> from tailwag.market.clock import format_time
    >>> option = parse_occ("SPXW220207C02400000")
    >>> option.strike_usd, option.right, option.currency, format_time(option.expiry_ns)
    (2400.0, 'call', 'SPX', '2022-02-07T21:00:00Z')

    Raises InstrumentNameError for anything else.
    """
    found = _NAME.match(name)
    if found and found[1] in _CURRENCY_OF_ROOT:
        root, year, month, day, right, strike = found.groups()
        currency = _CURRENCY_OF_ROOT[root]
        try:
            last_day = date(2000 + int(year), int(month), int(day))
        except ValueError:
            raise InstrumentNameError(f"{name[:40]!a}: {day}-{month}-20{year} is no calendar day; check the file") from None
        if int(strike) > 0:
            style: Literal["american", "european"] = "american" if currency in _AMERICAN else "european"
            return Option(
                name, currency, _expiry_ns(root, last_day), int(strike) / 1000.0, "call" if right == "C" else "put", "linear", style
            )
    known = ", ".join(sorted(_CURRENCY_OF_ROOT))
    raise InstrumentNameError(f"expected an option symbol such as SPXW220207C02400000 with root {known}, got {name[:40]!a}; check the file")


@lru_cache(maxsize=1024)
def _expiry_ns(root: str, last_day: date) -> int:
    closing = _OPEN if root in _OPENING_SETTLED else time(16, 0)
    return int(datetime.combine(last_day, closing, tzinfo=_new_york()).timestamp()) * NS_PER_SECOND


@lru_cache
def _new_york() -> Any:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo("America/New_York")
    except ZoneInfoNotFoundError:
        raise MissingPackageError("this system has no time zone database, needed for New York time; install the package tzdata") from None


def _read_header(text: str, name: str) -> _Header:
    lines = text.split("\n")
    start = next(
        (row for row, line in enumerate(lines[:_LARGEST_HEADER_LINES]) if line.replace('"', "").startswith("Expiration Date,")), None
    )
    if start is None:
        raise FileFormatError(
            f"{name}: expected a CBOE download with the line 'Expiration Date,Calls,...' among its first {_LARGEST_HEADER_LINES}; download it again"
        )
    above = "\n".join(lines[:start])
    last = re.search(r"Last:\s*\"?([0-9][0-9,]*(?:\.[0-9]+)?)", above)
    if last is None or not float(last[1].replace(",", "")) > 0.0:
        raise FileFormatError(f"{name}: expected 'Last: 4697.24' above the table, found no such price; download it again")
    title = next((line for line in lines[:start] if line.strip()), "").partition(",")[0].strip('" ')
    return _Header(title, float(last[1].replace(",", "")), _as_of_ns(above, name), start)


def _as_of_ns(above: str, name: str) -> int:
    found = _DATE.search(above)
    month = _MONTHS.get(found[1][:3], 0) if found else 0
    if found is None or not month:
        raise TimeError(f"{name}: expected a line such as 'Date: January 7, 2024 at 10:52 AM EST', found none; download it again")
    day, year, hour, minute = (int(found[place]) for place in (2, 3, 4, 5))
    try:
        clock = datetime(year, month, day, hour % 12 + (12 if found[6] == "PM" else 0), minute)  # noqa: DTZ001 (its zone is put on below)
    except ValueError:
        raise TimeError(f"{name}: {found[0][:60]!a} is no date and time; download it again") from None
    zones: dict[str, Any] = {"EST": timezone(timedelta(hours=-5)), "EDT": timezone(timedelta(hours=-4))}
    return int(clock.replace(tzinfo=zones.get(found[7]) or _new_york()).timestamp()) * NS_PER_SECOND


def _read_lines(text: str, table_line: int, name: str) -> list[list[str]]:
    """The table's lines as 22 cells each; trailing commas and blank lines are passed over."""
    rows = []
    reader = csv.reader(text.split("\n")[table_line:], strict=True)
    try:
        for cells in reader:
            line = table_line + reader.line_num
            kept = cells[: len(_HEADER)]
            if not any(cells):
                continue
            if len(kept) < len(_HEADER) or any(cells[len(_HEADER) :]):
                raise FileFormatError(
                    f"{name}:{line}:1: expected {len(_HEADER)} cells, got {len(cells)}; the line is damaged, download the file again"
                )
            rows.append(kept)
    except csv.Error as error:
        raise FileFormatError(f"{name}:{table_line + reader.line_num}:1: {error}; the file is damaged, download it again") from None
    if tuple(cell.strip() for cell in rows[0]) != _HEADER:
        raise FileFormatError(
            f"{name}:{table_line + 1}:1: expected the columns {', '.join(_HEADER[:6])}, ..., got {ascii(', '.join(rows[0]))[:120]}"
        )
    if len(rows) == 1:
        raise EmptyChainError(f"{name}: the table has no lines; download it again")
    return rows[1:]


def _chain(lines: list[list[str]], header: _Header, name: str, currency: str) -> Chain:
    """Calls and puts of a line stand beside each other, as in the file."""
    cells = np.array(lines, dtype=object)
    names = np.column_stack((cells[:, 1], cells[:, 12])).ravel().tolist()
    options = [_parsed(text) for text in names]
    _refuse_other_underlying(options, name, currency)
    size = len(names)

    def column(place: int) -> FloatArray:
        return np.array([_number(cell) for pair in zip(cells[:, place], cells[:, place + 11]) for cell in pair], dtype=np.float64)

    strike_column = np.repeat(np.array([_number(cell) for cell in cells[:, 11]]), 2)
    day_column = [day for cell in cells[:, 0] for day in (_expiry_day(cell),) * 2]
    return Chain.from_columns(
        currency=currency,
        as_of_ns=header.as_of_ns,
        instrument=names,
        venue=[VENUE] * size,
        right=[0 if option is None else 1 if option.right == "call" else -1 for option in options],
        strike_usd=[math.nan if option is None else option.strike_usd for option in options],
        expiry_ns=[0 if option is None else option.expiry_ns for option in options],
        settlement=["linear"] * size,
        style=["european" if option is None else option.style for option in options],
        coin_per_contract=np.full(size, SHARES_PER_CONTRACT),
        open_interest_contracts=column(10),
        bid_quoted=_no_zero(column(4)),
        ask_quoted=_no_zero(column(5)),
        iv=_no_floor(column(7)),
        index_usd=np.full(size, header.last_usd),
        delta_published=column(8),
        gamma_published=column(9),
        volume_contracts=column(6),
        codes=[_codes(*row, currency) for row in zip(options, strike_column.tolist(), day_column)],
    )


@lru_cache(maxsize=65_536)
def _parsed(name: str) -> Option | None:
    try:
        return parse_occ(name)
    except InstrumentNameError:
        return None


def _refuse_other_underlying(options: list[Option | None], name: str, currency: str) -> None:
    found = {option.currency for option in options if option is not None}
    if currency not in found:
        what = f"{', '.join(sorted(found))} options" if found else "no option symbol that is known"
        fund = " (or merge it into BTC with a dated figure of coin per share)" if found == {"IBIT"} else ""
        raise EmptyChainError(f"{name}: holds {what}, not {currency}; choose --currency {next(iter(sorted(found)), 'SPX')}{fund}")


def _codes(option: Option | None, strike: float, day: date | None, currency: str) -> int:
    """A symbol, its line's strike and its line's date must say the same; where they differ, which is true is unknown."""
    if option is None:
        return int(RowCode.NAME_INVALID)
    codes = 0 if option.currency == currency else int(RowCode.UNKNOWN_CURRENCY)
    if not abs(strike - option.strike_usd) < 1e-6:
        codes |= int(RowCode.STRIKE_INVALID)
    named = datetime.fromtimestamp(option.expiry_ns // NS_PER_SECOND, UTC).date()
    return codes | (int(RowCode.TIME_INVALID) if day is None or abs((named - day).days) > 1 else 0)


@lru_cache(maxsize=1024)
def _expiry_day(text: str) -> date | None:
    for pattern in _EXPIRY_FORMATS:
        try:
            return datetime.strptime(text.strip(), pattern).date()  # noqa: DTZ007 (a date, no moment)
        except ValueError:
            continue
    return None


def _number(cell: str) -> float:
    """A cell as a number; thousands separators are the download's own."""
    return number(cell.strip().replace(",", ""))


def _no_zero(prices: FloatArray) -> FloatArray:
    return np.where(prices > 0.0, prices, np.nan)


def _no_floor(iv: FloatArray) -> FloatArray:
    return np.where(iv == IV_FLOOR, np.nan, iv)


def _notes(header: _Header, currency: str) -> tuple[str, ...]:
    local = datetime.fromtimestamp(header.as_of_ns // NS_PER_SECOND, _new_york())
    is_open = local.weekday() < 5 and _OPEN <= local.time() <= _CLOSE
    hours = "options trade 09:30 to 16:15 New York on business days; outside those hours hedgers cannot trade them"
    notes = [f"CBOE quotes are delayed 15 minutes or more; {hours}"]
    if not is_open:
        notes.append(
            f"taken while the market was closed ({local:%a %H:%M} New York): quotes and volatilities are those of the last session"
        )
    if currency in _AMERICAN:
        notes.append(
            f"{currency} options are American: early exercise is not priced, which matters for deep in-the-money puts and around dividends"
        )
    return tuple(notes)
