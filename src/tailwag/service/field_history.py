"""One field over time: from the series where it has a column, from the store where it has to be measured again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tailwag.errors import InputError
from tailwag.service.series import Point, value_at
from tailwag.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_YEAR

if TYPE_CHECKING:
    from tailwag.service.api import Service
    from tailwag.service.publish import Publication

PAGE, LARGEST_PAGE = 5_000, 10_000
MEASURED_PAGE = 6
"""Points that are measured again for one answer: fields deep in long lists have no column."""
REALISED = "realised_vol"
REALISED_WINDOW_NS = NS_PER_DAY
LEAST_SPAN_NS = NS_PER_HOUR
MOST_SPOTS = 200_000
_PATH = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.:\-]*\Z")


@dataclass(frozen=True, slots=True)
class Page:
    """Some points in order of time; ``next_ns`` is where the next page starts, None after the last."""

    points: list[Point]
    next_ns: int | None


def field_history(service: Service, field: str, *, source: str, newest: Publication | None, span_ns: tuple[int, int], limit: int) -> Page:
    """A page of the values of ``field`` of one source at times in ``span_ns``.

    Raises InputError for a field that no document has.
    """
    series = service.series
    if series is None or not _PATH.match(field):
        raise InputError(f"{field[:80]!a} is no field; give a dotted path such as gain.value")
    from_ns, to_ns = span_ns
    if field == REALISED:
        return _realised_page(service, source, span_ns, limit)
    if series.knows(field):
        points, next_ns = series.points(field, source=source, from_ns=from_ns, to_ns=to_ns, limit=limit)
        return Page(points, next_ns)
    if newest is not None:
        value_at(newest.document, field)
    return _measured_page(service, field, source, span_ns, min(limit, MEASURED_PAGE))


def _measured_page(service: Service, field: str, source: str, span_ns: tuple[int, int], limit: int) -> Page:
    assert service.series is not None
    times, next_ns = service.series.points("spot_usd", source=source, from_ns=span_ns[0], to_ns=span_ns[1], limit=limit)
    points = []
    for point in times:
        entry = service.archive.numbered(point.seq, newest_seq=point.seq)
        if entry is None:
            continue
        try:
            value = value_at(service.archive.past(entry).document, field)
        except InputError:
            value = None  # lists are longer at some times than at others
        points.append(Point(point.as_of_ns, point.seq, value))
    return Page(points, next_ns)


def _realised_page(service: Service, source: str, span_ns: tuple[int, int], limit: int) -> Page:
    """Annualised realised vol over the day before each point, from the spots of the series: sqrt(sum r^2 / years they span)."""
    assert service.series is not None
    series, (from_ns, to_ns) = service.series, span_ns
    spots, _ = series.points("spot_usd", source=source, from_ns=from_ns - REALISED_WINDOW_NS, to_ns=to_ns, limit=MOST_SPOTS)
    known = [point for point in spots if isinstance(point.value, float) and point.value > 0.0]
    vols = realised_vols(np.array([p.as_of_ns for p in known], dtype=np.int64), np.array([p.value for p in known], dtype=np.float64))
    points = [Point(p.as_of_ns, p.seq, vol) for p, vol in zip(known, vols, strict=True) if p.as_of_ns >= from_ns]
    return Page(points[:limit], points[limit].as_of_ns if len(points) > limit else None)


def realised_vols(times_ns: np.ndarray, spot_usd: np.ndarray) -> list[float | None]:
    """Realised vol per year at each time over the day before it, None while less than an hour is known.

    >>> hour = 3_600_000_000_000
    >>> realised_vols(np.array([0, hour, 2 * hour]), np.array([100.0, 101.0, 100.0]))[0] is None
    True
    """
    if not len(times_ns):
        return []
    squares = np.concatenate([[0.0], np.cumsum(np.diff(np.log(spot_usd)) ** 2)])
    first = np.searchsorted(times_ns, times_ns - REALISED_WINDOW_NS)
    span_ns = times_ns - times_ns[first]
    enough = span_ns >= LEAST_SPAN_NS
    vol = np.sqrt(np.maximum(squares - squares[first], 0.0) / np.where(enough, span_ns, 1) * NS_PER_YEAR)
    return [float(value) if known else None for value, known in zip(vol, enough)]
