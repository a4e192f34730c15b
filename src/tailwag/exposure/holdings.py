"""A desk's holdings as it writes them down: instrument and signed contracts, from CSV text, rows or one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tailwag.errors import InputError
from tailwag.sources.small_csv import rows_of_csv

MOST_ROWS = 100_000
COLUMNS = ("contracts", "amount_usd", "amount_coin")
_NUMBER = re.compile(r"\A[+-]?[0-9]{1,15}(?:\.[0-9]{1,12})?\Z", re.ASCII)
_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_./-]{0,59}\Z", re.ASCII)
_TRADE = re.compile(r"\A\s*([+-]?[0-9.]{1,24})\s+(\S{1,60})\s*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Holding:
    """One line of a desk's book.  Sign: + long.  Futures and perps may state USD or coin instead of contracts."""

    instrument: str
    contracts: float | None = None
    amount_usd: float | None = None
    amount_coin: float | None = None
    venue: str = ""

    def __str__(self) -> str:
        amount, unit = next(
            (
                (value, unit)
                for value, unit in ((self.contracts, "contracts of"), (self.amount_usd, "USD of"), (self.amount_coin, "coin of"))
                if value is not None
            ),
            (0.0, "contracts of"),
        )
        return f"{amount:+g} {unit} {self.instrument}"


def read_holdings(source: str | Iterable[Mapping[str, object]]) -> tuple[Holding, ...]:
    """Holdings from CSV text (header line first) or from parsed rows.

    Columns: ``instrument``, and ``contracts`` (signed, long +); futures and perps may give ``amount_usd`` or ``amount_coin`` instead; a
    ``venue`` column settles names that several venues list.  Other columns are ignored, lines without any cell are skipped.

    >>> read_holdings("instrument,contracts\\nBTC-27MAR26-60000-C,-12.5\\n")[0]
    Holding(instrument='BTC-27MAR26-60000-C', contracts=-12.5, amount_usd=None, amount_coin=None, venue='')

    Raises InputError that names the line.
    """
    rows = _csv_rows(source) if isinstance(source, str) else enumerate(source, start=1)
    found: list[Holding] = []
    for line, row in rows:
        if len(found) >= MOST_ROWS:
            raise InputError(f"own book: more than {MOST_ROWS} lines; split the file")
        cells = {str(key).strip().lower(): str(value).strip() for key, value in row.items() if key is not None and value is not None}
        if any(cells.values()):
            found.append(_holding(cells, f"own book:{line}"))
    if not found:
        raise InputError("own book: no line holds an instrument; expected columns instrument,contracts and at least one line below them")
    return tuple(found)


def parse_trade(text: str) -> Holding:
    """A trade as a trader types it: signed contracts, then the instrument.

    >>> parse_trade("-500 BTC-27JUN26-70000-C").contracts
    -500.0

    Raises InputError for anything else.
    """
    match = _TRADE.match(text)
    if match is None:
        raise InputError(f"expected a trade such as '-500 BTC-27JUN26-70000-C' (signed contracts, then the instrument), got {text[:80]!a}")
    return _holding({"instrument": match[2], "contracts": match[1]}, "trade")


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for number, (line, row) in enumerate(rows_of_csv(text, name="own book", required=("instrument",))):
        if number == 0 and not set(COLUMNS) & set(row):
            raise InputError(f"own book:1: expected columns instrument,contracts, got {','.join(row)[:80]!a}; add the header line")
        yield line, row


def _holding(cells: Mapping[str, str], where: str) -> Holding:
    name = cells.get("instrument", "")
    if not _NAME.match(name):
        raise InputError(f"{where}: expected an instrument name such as BTC-27MAR26-60000-C, got {name[:60]!a}")
    stated = [column for column in COLUMNS if cells.get(column)]
    if len(stated) != 1:
        raise InputError(f"{where}: {name} needs exactly one of {', '.join(COLUMNS)}, got {len(stated)}")
    digits = cells[stated[0]]
    if not _NUMBER.match(digits):
        raise InputError(f"{where}: {name} needs a signed number of {stated[0]} such as -12.5, got {digits[:40]!a}")
    amounts = {column: float(digits) if column == stated[0] else None for column in COLUMNS}
    return Holding(name, venue=cells.get("venue", "").lower(), **amounts)
