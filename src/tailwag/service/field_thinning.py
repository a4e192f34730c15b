"""Fewer points of a long series, none of its spikes: what a chart of a few hundred pixels needs of a year."""

from __future__ import annotations

from collections.abc import Sequence

from tailwag.service.series import Point

POINTS_OF_A_BUCKET = 5


def bucket_width_ns(points: Sequence[Point], most: int) -> int:
    """The width at which points in order of time give at most ``most`` after :func:`thinned`."""
    buckets = max(most // POINTS_OF_A_BUCKET, 1)
    span_ns = points[-1].as_of_ns - points[0].as_of_ns + 1
    return -(-span_ns // buckets)


def thinned(points: Sequence[Point], width_ns: int, *, start_ns: int = 0) -> list[Point]:
    """Of each bucket of ``width_ns``, counted from ``start_ns``, the first, lowest, highest and last point, and the first without a value.

    They are points that were measured, in order of time, each once: a line through them touches the same pixels as one through all, and
    breaks where values are missing.  Texts and truth values have no lowest: their first and last stay.

    >>> thinned([Point(at, at, value) for at, value in enumerate([1.0, 9.0, 2.0, -5.0, 3.0])], 10)[1:-1]
    [Point(as_of_ns=1, seq=1, value=9.0), Point(as_of_ns=3, seq=3, value=-5.0)]
    """
    kept: list[Point] = []
    start = 0
    for place in range(1, len(points) + 1):
        if place == len(points) or (points[place].as_of_ns - start_ns) // width_ns != (points[start].as_of_ns - start_ns) // width_ns:
            kept.extend(_telling(points[start:place]))
            start = place
    return kept


def _telling(bucket: Sequence[Point]) -> list[Point]:
    numbers = [point for point in bucket if isinstance(point.value, (int, float)) and not isinstance(point.value, bool)]
    wanted = [bucket[0], bucket[-1], *[point for point in bucket if point.value is None][:1]]
    if numbers:
        wanted += [min(numbers, key=_value), max(numbers, key=_value)]
    return sorted({point.as_of_ns: point for point in wanted}.values(), key=lambda point: point.as_of_ns)


def _value(point: Point) -> float:
    assert isinstance(point.value, (int, float))
    return point.value
