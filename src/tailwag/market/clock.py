"""Time: UTC integer nanoseconds, years to expiry, and the only parsers of time text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from tailwag.errors import RuleError, TimeError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_SECOND, NS_PER_YEAR

NS_PER_MILLISECOND = 1_000_000
EARLIEST_NS = int(datetime(2009, 1, 1, tzinfo=UTC).timestamp()) * NS_PER_SECOND
LATEST_NS = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * NS_PER_SECOND
DAY_COUNTS = ("act-365", "busdays-262")
NEW_YORK_NS = 5 * NS_PER_HOUR
"""Winter offset of New York: business days are counted on its calendar, where an evening download still belongs to its own day."""


def parse_time_ns(text: str) -> int:
    """UTC nanoseconds of an ISO 8601 time that carries its offset.

    >>> parse_time_ns("2026-03-27T08:00:00Z")
    1774598400000000000

    Raises TimeError if the text is naive, outside 2009 to 2100, or no time.
    """
    cleaned = text.strip() if text.isascii() and text.isprintable() and len(text) <= 40 else "?"
    leap = ":59:60" in cleaned
    if leap:
        cleaned = cleaned.replace(":59:60", ":59:59")
    try:
        moment = datetime.fromisoformat(cleaned)
    except ValueError:
        raise TimeError(f"expected a time such as 2026-03-27T08:00:00Z, got {text[:60]!a}; write it in ISO 8601 with an offset") from None
    if moment.tzinfo is None:
        raise TimeError(f"{text[:60]!a} has no offset, so it names no moment; add Z or +00:00")
    try:
        whole = moment.astimezone(UTC)
    except OverflowError:
        raise TimeError(f"{text[:60]!a} lies outside 2009 to 2100; is it in another unit or calendar?") from None
    value = int(whole.replace(microsecond=0).timestamp()) * NS_PER_SECOND + whole.microsecond * 1_000 + (NS_PER_SECOND if leap else 0)
    if not EARLIEST_NS <= value < LATEST_NS:
        raise TimeError(f"{text[:60]!a} lies outside 2009 to 2100; is it in another unit or calendar?")
    return value


def valid_time(time_ns: IntArray) -> BoolArray:
    """True where a time lies in 2009 to 2100; 0 is no time, neither now nor 1970.

    >>> valid_time(np.array([0, 1774598400000000000])).tolist()
    [False, True]
    """
    times = np.asarray(time_ns, dtype=np.int64)
    return (times >= EARLIEST_NS) & (times < LATEST_NS)


def epoch_ns(values: Any, *, unit_ns: int = NS_PER_MILLISECOND) -> IntArray:
    """Counts since 1970 (milliseconds unless told) as nanoseconds; 0 where missing or outside 2009 to 2100.

    A count in another unit (seconds, microseconds) falls outside those years, so it is found out and never guessed at.

    >>> epoch_ns([1774598400000, 1774598400, 1774598400000000, 0, float("nan")]).tolist()
    [1774598400000000000, 0, 0, 0, 0]
    """
    counts = np.asarray(values)
    if counts.dtype.kind not in "iu":
        counts = counts.astype(np.float64)
    low, high = EARLIEST_NS // unit_ns, LATEST_NS // unit_ns
    inside = (counts >= low) & (counts < high)
    return np.where(inside, counts, 0).astype(np.int64) * np.int64(unit_ns)


def format_time(time_ns: int) -> str:
    """ISO 8601 in UTC with microseconds where they are not zero.

    >>> format_time(1763551236870123000), format_time(1774598400000000000)
    ('2025-11-19T11:20:36.870123Z', '2026-03-27T08:00:00Z')
    """
    seconds, rest = divmod(int(time_ns), NS_PER_SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest // 1000:06d}Z" if rest else f"{text}Z"


def years_to_expiry(expiry_ns: IntArray, at_ns: int, *, day_count: str = "act-365") -> FloatArray:
    """Years from ``at_ns`` to each expiry, shape (n,); negative when past.

    ``act-365``: nanoseconds over 365 days, linear to the nanosecond. ``busdays-262``: weekdays from the date of ``at_ns`` to the date of
    expiry over 262, no weekday left counting 1/262 (the convention of several published S&P 500 gamma tools).

    >>> float(years_to_expiry(np.array([NS_PER_YEAR]), 0)[0])
    1.0

    Raises RuleError for an unknown day count.
    """
    if day_count == "act-365":
        return (np.asarray(expiry_ns, dtype=np.int64) - np.int64(at_ns)) / NS_PER_YEAR
    if day_count == "busdays-262":
        days = (np.asarray(expiry_ns, dtype=np.int64) - NEW_YORK_NS) // NS_PER_DAY
        today = np.datetime64(int((at_ns - NEW_YORK_NS) // NS_PER_DAY), "D")
        counted = np.busday_count(today, days.astype("datetime64[D]"))
        return np.where(counted == 0, 1, counted) / 262.0
    raise RuleError(f"day count {day_count!r} is unknown; use one of {', '.join(DAY_COUNTS)}")
