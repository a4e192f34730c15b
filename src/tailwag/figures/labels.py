"""Dates and waiting times as labels; text that is no date passes through, cut short and with its markup made harmless."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any


def moment(text: Any) -> datetime | None:
    """The UTC time that ISO text stands for, or None where it stands for none.

    >>> moment("2026-03-27T08:00:00Z").hour, moment("soon")
    (8, None)
    """
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None


def inert(text: Any, *, most: int = 40) -> str:
    """Text that a figure may print: printable, of bounded length, its markup escaped (figures read a small HTML).

    >>> inert("<b>x</b>"), inert(None)
    ('&lt;b&gt;x&lt;/b&gt;', 'n/a')
    """
    shown = "".join(letter for letter in str("n/a" if text is None else text) if letter.isprintable())
    return html.escape(shown if len(shown) <= most else f"{shown[: most - 1]}…")


def short_date(text: Any, *, year: bool = False) -> str:
    """A day such as 27 Mar, or 27 Mar 26.

    >>> short_date("2026-03-27T08:00:00Z"), short_date("2026-03-27T08:00:00Z", year=True)
    ('27 Mar', '27 Mar 26')
    """
    when = moment(text)
    if when is None:
        return inert(text, most=24)
    return f"{when.day} {when:%b %y}" if year else f"{when.day} {when:%b}"


def short_dates(texts: Sequence[Any]) -> list[str]:
    """Days of several times, with the year wherever they span more than one, and the hour wherever a day comes twice.

    >>> short_dates(["2026-03-27T08:00:00Z", "2027-03-26T08:00:00Z"])
    ['27 Mar 26', '26 Mar 27']
    >>> short_dates(["2024-01-19T14:30:00Z", "2024-01-19T21:00:00Z"])
    ['19 Jan 14:30', '19 Jan 21:00']
    """
    moments = [moment(text) for text in texts]
    years = {found.year for found in moments if found}
    days = [short_date(text, year=len(years) > 1) for text in texts]
    return [f"{day} {found:%H:%M}" if found and days.count(day) > 1 else day for day, found in zip(days, moments, strict=True)]


def waiting(hours: float) -> str:
    """How long until then.

    >>> waiting(0.5), waiting(22.5), waiting(262.5), waiting(52_000)
    ('30 min', '22.5 h', '10.9 d', '5.9 y')
    """
    if hours < 1:
        return f"{hours * 60:.0f} min"
    if hours < 48:
        return f"{hours:.3g} h"
    return f"{hours / 24:.3g} d" if hours < 24 * 730 else f"{hours / 8760:.1f} y"
