"""What a sweep says first: where hedging adds most vol and where it takes some, where the market runs away, and what could not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tailwag.sim.metrics_sentences import with_error

RUNAWAY_SHARE = 0.05
"""Where more than this share of paths runs away, vol of those that finished is no fair sample of the market, and is not compared."""
MANY = 0.5
"""A point at which more than this share of paths runs away counts as running away."""
Points = Sequence[Mapping[str, Any]]


def headline(axes: Sequence[str], points: Points) -> list[str]:
    """Sentences, the answer first."""
    return [sentence for sentence in (_amplification(points), _runaway(axes, points), _refused(points)) if sentence]


def place_of(point: Mapping[str, Any]) -> str:
    """A point in words: every axis with its value."""
    return ", ".join(f"{name} = {shown_setting(value)}" for name, value in point["settings"].items())


def shown_setting(value: Any) -> str:
    """One setting in words."""
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _amplification(points: Points) -> str:
    known = [point for point in points if point["figures"]["amplification"]["value"] is not None]
    fair = [point for point in known if point["runaway_paths"] <= RUNAWAY_SHARE * point["paths"]]
    if not fair:
        return (
            "No amplification is known that is not of the few paths that did not run away."
            if known
            else "No amplification is known: no path reached the horizon."
        )
    low, high = (choose(fair, key=lambda point: point["figures"]["amplification"]["value"]) for choose in (min, max))
    counted = "1 point" if len(points) == 1 else f"all of {len(points):,} points"
    if len(fair) < len(points):
        counted = f"{len(fair):,} of {len(points):,} points"
    if low["figures"]["amplification"]["value"] == high["figures"]["amplification"]["value"]:
        return f"Hedging multiplies vol by {_times(high)} at {counted}."
    return f"Hedging multiplies vol by {_times(low)} ({place_of(low)}) to {_times(high)} ({place_of(high)}) at {counted}."


def _times(point: Mapping[str, Any]) -> str:
    figure = point["figures"]["amplification"]
    return with_error(figure["value"], figure["standard_error"])


def _runaway(axes: Sequence[str], points: Points) -> str:
    ran = [point for point in points if point["paths"]]
    some = [point for point in ran if point["runaway_paths"]]
    many = [point for point in ran if point["runaway_paths"] > MANY * point["paths"]]
    if not some:
        return "No path runs away at any point." if ran else ""
    if not many:
        return f"Some paths run away at {len(some)} of {len(ran)} points, more than half of them at none."
    return f"More than half of the paths run away at {len(many)} of {len(ran)} points{_boundary(axes, many, ran)}, some at {len(some)}."


def _boundary(axes: Sequence[str], many: Points, ran: Points) -> str:
    """The axis that alone tells runaway points from the others, with the values on both sides; nothing where none does."""
    calm = [point for point in ran if point not in many]
    for name in axes:
        wild, quiet = ([point["settings"][name] for point in part] for part in (many, calm))
        if not quiet or any(isinstance(value, bool | str) for value in (*wild, *quiet)):
            continue
        if min(wild) > max(quiet):
            return f" ({name} = {shown_setting(min(wild))} and above, not at {shown_setting(max(quiet))} and below)"
        if max(wild) < min(quiet):
            return f" ({name} = {shown_setting(max(wild))} and below, not at {shown_setting(min(quiet))} and above)"
    return ""


def _refused(points: Points) -> str:
    refused = [point for point in points if point["refused"] is not None]
    if not refused:
        return ""
    first = refused[0]
    return f"{len(refused)} of {len(points)} points are refused, the first at {place_of(first)}: {first['refused']}"
