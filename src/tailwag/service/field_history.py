"""One field over time: from the series where it has a column, from the store where it has to be measured again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tailwag.errors import InputError
from tailwag.service.field_thinning import bucket_width_ns, thinned
from tailwag.service.realised import MARK_NS, OLDEST_NS, WINDOWS_NS
from tailwag.service.realised import realised_vols as vols_of_marks
from tailwag.service.series import Point, value_at
from tailwag.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_SECOND, NS_PER_YEAR

if TYPE_CHECKING:
    from tailwag.service.api import Service
    from tailwag.service.publish import Publication
    from tailwag.service.series import Series

PAGE, LARGEST_PAGE = 5_000, 10_000
MEASURED_PAGE = 6
"""Points that are measured again for one answer: fields deep in long lists have no column."""
REALISED = "realised_vol"
REALISED_WINDOW_NS = NS_PER_DAY
LEAST_SPAN_NS = NS_PER_HOUR
MOST_SPOTS = 200_000
_PATH = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.:\-]*\Z")


MOST_THINNED = 250_000
"""Points that one thinned answer is made from."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some points in order of time; ``next_ns`` is where the next page starts, None after the last.

    ``bucket_ns`` and ``measured`` of a thinned page: how wide its buckets are, and how many points it was made from.
    """

    points: list[Point]
    next_ns: int | None
    bucket_ns: int | None = None
    measured: int | None = None


@dataclass(frozen=True, slots=True)
class Thinning:
    """What a chart asks for: buckets of so many seconds, or at most so many points."""

    every_seconds: float | None = None
    most: int | None = None


def thinned_history(
    service: Service, field: str, *, source: str, newest: Publication | None, span_ns: tuple[int, int], thinning: Thinning
) -> Page:
    """All of a span in few points that keep every spike (:func:`~tailwag.service.field_thinning.thinned`).

    Raises InputError for a field that no document has, for both ways at once, and where the buckets are so narrow that the answer would
    not fit one page.
    """
    if thinning.every_seconds is not None and thinning.most is not None:
        raise InputError("every_s and most ask for two widths of one bucket; give one of them")
    page = field_history(service, field, source=source, newest=newest, span_ns=span_ns, limit=MOST_THINNED)
    if len(page.points) <= (thinning.most or 1):
        return Page(page.points, page.next_ns, None, len(page.points))
    if thinning.most is not None:
        width_ns, start_ns = bucket_width_ns(page.points, thinning.most), page.points[0].as_of_ns
    else:
        width_ns, start_ns = max(round((thinning.every_seconds or 1.0) * NS_PER_SECOND), 1), 0
    points = thinned(page.points, width_ns, start_ns=start_ns)
    if len(points) > LARGEST_PAGE:
        raise InputError(f"every_s leaves {len(points)} points, more than the {LARGEST_PAGE} of one answer; give wider buckets, or most")
    return Page(points, page.next_ns, width_ns, len(page.points))


def field_history(service: Service, field: str, *, source: str, newest: Publication | None, span_ns: tuple[int, int], limit: int) -> Page:
    """A page of the values of ``field`` of one source at times in ``span_ns``.

    Raises InputError for a field that no document has.
    """
    series = service.series
    if series is None or not _PATH.match(field):
        raise InputError(f"{field[:80]!a} is no field; give a dotted path such as gain.value")
    from_ns, to_ns = span_ns
    if field == REALISED or field in WINDOWS_NS:
        return _realised_page(service, field, source, span_ns, limit)
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


def _realised_page(service: Service, field: str, source: str, span_ns: tuple[int, int], limit: int) -> Page:
    """Annualised realised vol before each recorded price that was believed, measured or not."""
    assert service.series is not None
    series, (from_ns, to_ns) = service.series, span_ns
    before_ns = REALISED_WINDOW_NS if field == REALISED else WINDOWS_NS[field] + MARK_NS + OLDEST_NS
    known, next_ns = recorded_prices(series, source, from_ns - before_ns, to_ns)
    times, prices = np.array([p.as_of_ns for p in known], dtype=np.int64), np.array([p.value for p in known], dtype=np.float64)
    vols = realised_vols(times, prices) if field == REALISED else vols_of_marks(times, prices, WINDOWS_NS[field])
    points = [Point(p.as_of_ns, p.seq, vol) for p, vol in zip(known, vols, strict=True) if p.as_of_ns >= from_ns]
    return Page(points[:limit], points[limit].as_of_ns if len(points) > limit else next_ns)


def recorded_prices(series: Series, source: str, from_ns: int, to_ns: int) -> tuple[list[Point], int | None]:
    """Index prices of the records of a source in order of time, and where the next ones start.

    Where the journal of prices does not know a record yet (one of an earlier version, say), that of its measurement counts.
    """
    rows, next_ns = series.prices.of(source, from_ns=from_ns, to_ns=to_ns, limit=MOST_SPOTS)
    until_ns = to_ns if next_ns is None else next_ns - 1
    measured, following = series.points("spot_usd", source=source, from_ns=from_ns, to_ns=until_ns, limit=MOST_SPOTS)
    journal = [Point(*row) for row in zip(rows["as_of_ns"].tolist(), rows["seq"].tolist(), rows["spot_usd"].tolist(), strict=True)]
    if following is not None:
        journal, next_ns = [point for point in journal if point.as_of_ns < following], following
    told = {point.seq for point in journal}
    found = sorted([*journal, *(point for point in measured if point.seq not in told)], key=lambda point: (point.as_of_ns, point.seq))
    by_time = {point.as_of_ns: point for point in found if isinstance(point.value, float) and point.value > 0.0}
    return list(by_time.values()), next_ns


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
