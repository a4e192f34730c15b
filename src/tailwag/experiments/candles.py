"""Candles of real prices from a CSV: times in any usual form, newest first or last, gaps found and never bridged."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from tailwag.errors import FileFormatError, InputError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.market.clock import format_time
from tailwag.sources.opening import RawFile
from tailwag.units import NS_PER_SECOND, NS_PER_YEAR

TIMES = ("timestamp", "time", "unix", "datetime", "date", "open_time")
MOST_ROWS = 5_000_000
LEAST_CANDLES = 10
_UNITS = ((1e11, NS_PER_SECOND), (1e14, 1_000_000), (1e17, 1_000), (math.inf, 1))
"""A count below the first number is in seconds, then milliseconds, microseconds, nanoseconds: candles of 1973 to 5138."""


Row = tuple[int, tuple[float, float, float]]
VOLUME, TAKER_BUYS = ("volume",), ("taker_base_vol", "taker_buy_base_asset_volume", "taker_buy_volume")


@dataclass(frozen=True, slots=True)
class Candles:
    """Closes of candles of one length, oldest first.  Shapes: all (candles,).

    ``volume_coin``, ``taker_buys_coin``: what traded, and what of it takers bought; NaN where the file says none, or was not asked.
    """

    name: str
    time_ns: IntArray
    close_usd: FloatArray
    candle_ns: int
    volume_coin: FloatArray
    taker_buys_coin: FloatArray

    @property
    def traded(self) -> BoolArray:
        """Whether a candle has a volume above 0; True where nothing is said."""
        return np.asarray(self.volume_coin != 0.0)

    @property
    def volume_usd(self) -> FloatArray:
        """Volume at the close; NaN where the file says none."""
        return self.volume_coin * self.close_usd

    @property
    def taker_flow_usd(self) -> FloatArray:
        """What takers bought less what they sold, at the close; NaN where the file does not say it, or says more than was traded."""
        flow = (2.0 * self.taker_buys_coin - self.volume_coin) * self.close_usd
        return np.where(self.taker_buys_coin <= self.volume_coin, flow, np.nan)

    @property
    def candle_years(self) -> float:
        """Length of a candle in years."""
        return self.candle_ns / NS_PER_YEAR

    def since(self, start_ns: int | None) -> Candles:
        """The candles from a time on, all of them where it is None."""
        if start_ns is None:
            return self
        kept = self.time_ns >= start_ns
        if int(kept.sum()) < 2:
            raise InputError(
                f"{self.name}: expected candles from {format_time(start_ns)} on, the last is of {format_time(int(self.time_ns[-1]))}"
            )
        cut = {name: getattr(self, name)[kept] for name in ("time_ns", "close_usd", "volume_coin", "taker_buys_coin")}
        return replace(self, **cut)


def candle_returns(candles: Candles) -> tuple[FloatArray, int]:
    """Log returns between neighbours one candle apart, and how many pairs lie further apart (gaps, left out)."""
    whole = np.diff(candles.time_ns) == candles.candle_ns
    returns = np.diff(np.log(candles.close_usd))
    return returns[whole], int((~whole).sum())


def read_candles(raw: RawFile, *, volumes: bool = False) -> Candles:
    """A CSV with a header, a time column (timestamp, time, unix, datetime, date or open_time) and a close.

    Times are counts since 1970 (seconds to nanoseconds, told apart by size) or ISO text; text without an offset is taken as UTC, only the
    spacing matters.  Rows may come newest first.  ``volumes`` reads volume and taker buys too, where columns of the usual names are there.
    FileFormatError as ``name:line``.
    """
    rows = _rows(raw, volumes)
    if len(rows) < LEAST_CANDLES:
        raise FileFormatError(f"{raw.name}: expected {LEAST_CANDLES} candles at least, got {len(rows)}; fetch a longer history")
    order = sorted(rows)
    time_ns, columns = _without_repeats(raw.name, order)
    if time_ns.size < LEAST_CANDLES:
        raise FileFormatError(f"{raw.name}: expected {LEAST_CANDLES} candles at different times, got {time_ns.size}; take a clean copy")
    candle_ns = int(np.median(np.diff(time_ns)))
    return Candles(raw.name, time_ns, columns[:, 0], candle_ns, columns[:, 1], columns[:, 2])


def _rows(raw: RawFile, volumes: bool) -> list[Row]:
    try:
        text = raw.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{raw.name}: expected UTF-8 text, byte {error.start} is not; save the CSV as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        time, close = _columns(raw.name, header)
        volume, buys = (_place(header, names) if volumes else None for names in (VOLUME, TAKER_BUYS))
        rows: list[Row] = []
        for row in reader:
            if not row:
                continue
            if len(rows) >= MOST_ROWS:
                raise FileFormatError(f"{raw.name}: more than {MOST_ROWS:,} candles; cut the history or take longer candles")
            if len(row) != len(header):
                raise FileFormatError(f"{raw.name}:{reader.line_num}: expected {len(header)} cells, got {len(row)}; take a clean copy")
            at_ns, price = _time_ns(row[time], raw.name, reader.line_num), _close(row[close], raw.name, reader.line_num)
            sold, bought = (_amount(row, place, raw.name, reader.line_num) for place in (volume, buys))
            rows.append((at_ns, (price, sold, bought)))
    except csv.Error as error:
        raise FileFormatError(f"{raw.name}:{reader.line_num}: {error}; take a clean copy") from None
    return rows


def _columns(name: str, header: list[str]) -> tuple[int, int]:
    time = next((header.index(column) for column in TIMES if column in header), None)
    if time is None or "close" not in header:
        shown = ", ".join(header)[:100]
        raise FileFormatError(f"{name}:1: expected a header with close and one of {', '.join(TIMES)}, got {shown!a}; add the header line")
    return time, header.index("close")


def _time_ns(text: str, name: str, line: int) -> int:
    cleaned = text.strip()
    try:
        count = float(cleaned)
    except ValueError:
        return _iso_ns(cleaned, name, line)
    if not (math.isfinite(count) and count > 0.0):
        raise FileFormatError(f"{name}:{line}: expected a time, got {text[:40]!a}; take a clean copy")
    unit = next(unit for bound, unit in _UNITS if count < bound)
    return int(cleaned) * unit if cleaned.isdigit() else round(count * unit)


def _iso_ns(text: str, name: str, line: int) -> int:
    try:
        moment = datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        raise FileFormatError(
            f"{name}:{line}: expected a time such as 2026-03-27T08:00:00Z or a count since 1970, got {text[:40]!a}"
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return int(moment.replace(microsecond=0).timestamp()) * NS_PER_SECOND + moment.microsecond * 1_000


def _close(text: str, name: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0.0):
        raise FileFormatError(f"{name}:{line}: expected a close above 0, got {text[:40]!a}; take a clean copy or cut that candle")
    return value


def _place(header: list[str], names: tuple[str, ...]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _amount(row: list[str], place: int | None, name: str, line: int) -> float:
    """A volume of 0 or more; NaN where there is no such column, or the cell is empty."""
    if place is None or not row[place].strip():
        return math.nan
    try:
        value = float(row[place])
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0.0):
        raise FileFormatError(
            f"{name}:{line}: expected a volume of 0 or more, got {row[place][:40]!a}; take a clean copy or cut the volume column"
        )
    return value


def _without_repeats(name: str, rows: list[Row]) -> tuple[IntArray, FloatArray]:
    """Times that rise strictly, and (candles, 3) columns: a candle that stands twice alike counts once, two closes at one time are refused."""
    time_ns, columns = np.array([row[0] for row in rows], dtype=np.int64), np.array([row[1] for row in rows])
    repeated = np.concatenate([[False], np.diff(time_ns) == 0])
    changed = np.concatenate([[False], np.diff(columns[:, 0]) != 0.0])
    if bool((repeated & changed).any()):
        place = int(np.flatnonzero(repeated & changed)[0])
        raise FileFormatError(f"{name}: two candles of {format_time(int(time_ns[place]))} have different closes; take a clean copy")
    return time_ns[~repeated], columns[~repeated]
