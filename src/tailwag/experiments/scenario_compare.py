"""Switched against base on the same seeds: each outcome's difference with its paired standard error, and what the difference amounts to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tailwag.experiments.scenario_arms import Arm
from tailwag.experiments.scenario_outcomes import EVENTS, MEASURES, Columns, Measure
from tailwag.experiments.scenario_switches import Chosen
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.estimates import Estimate
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Scenario

CLEAR = 3.0
"""Standard errors from which a difference is called one."""
LEAST = {"share": 1e-9, "log": 1e-9, "vol": 1e-9, "gain": 1e-9, "usd": 0.01}
"""Differences below these are the solver's tolerance, and no answer."""
ONE_PATH = "one path has no standard error"
Document = dict[str, Any]


def mean_of(values: FloatArray) -> Estimate:
    """Mean over paths and its standard error, s / sqrt(n) with the unbiased variance.

    >>> print(mean_of(np.array([1.0, 3.0])))
    2.0 +- 1.0
    """
    count, total = values.size, math.fsum(values)
    mean = total / count
    if count < 2:
        return Estimate(mean, None, ONE_PATH)
    return Estimate(mean, math.sqrt(math.fsum((values - mean) ** 2) / (count - 1) / count))


def measures_of(columns: Columns) -> tuple[Measure, ...]:
    """The outcomes that an arm has: those of every path, then each agent's profit."""
    own = tuple(measure for measure in MEASURES if measure.name in columns)
    return own + tuple(Measure(name, f"profit of {name[4:]}", "usd", "good") for name in columns if name.startswith("pnl:"))


def outcome_rows(columns: Columns) -> list[Document]:
    """Mean and standard error of every outcome of one arm."""
    return [{**_named(measure), **mean_of(columns[measure.name]).to_document()} for measure in measures_of(columns)]


def compared(base: Arm, other: Arm, chosen: Chosen) -> Document:
    """One switch against the base: for each outcome both means, the paired difference, its standard error, z, and the verdict.

    difference = mean(switched - base) over paths, standard error s(switched - base) / sqrt(n): shocks are the same, so most noise cancels.
    """
    rows = [_difference(measure, base.columns, other.columns) for measure in measures_of(base.columns) if measure.name in other.columns]
    return {
        "switch": chosen.label,
        "kind": chosen.switch.kind,
        "sentence": chosen.switch.sentence,
        "asks": chosen.switch.asks,
        "options_not_written": _not_written(base.scenario, other.scenario),
        "parameters": dict(chosen.parameters),
        "changes_nothing": all(row["paths_that_differ"] == 0 for row in rows),
        "outcomes": rows,
    }


def _books(scenario: Scenario) -> list[OptionBook]:
    held = (getattr(agent, "options", None) for agent in scenario.agents)
    return [book for book in held if isinstance(book, OptionBook)]


def _not_written(base: Scenario, other: Scenario) -> float | None:
    """The share of the base's option contracts that the other scenario's agents do not hold, 0 where they hold more; None where there are none."""
    held = [math.fsum(book.gross_coin for book in _books(scenario)) for scenario in (base, other)]
    return max(1.0 - held[1] / held[0], 0.0) if held[0] > 0.0 else None


def _difference(measure: Measure, base: Columns, other: Columns) -> Document:
    change = other[measure.name] - base[measure.name]
    found = mean_of(change)
    error = found.standard_error if np.ptp(change) > 0.0 else None  # what is the same on every path has no z
    z = found.value / error if error and found.value is not None else None
    return {
        **_named(measure),
        "base": mean_of(base[measure.name]).to_document(),
        "switched": mean_of(other[measure.name]).to_document(),
        "difference": found.to_document(),
        "z": z,
        "paths_that_differ": int((change != 0.0).sum()),
        "verdict": verdict(measure, found.value or 0.0, z, differs=bool((change != 0.0).any())),
    }


def verdict(measure: Measure, change: float, z: float | None, *, differs: bool) -> str:
    """What a difference is: "nothing", "unclear" (within three standard errors), "better" or "worse"; of one path it is "lower" or "higher".

    >>> verdict(MEASURES[0], -0.01, -8.0, differs=True)
    'better'
    """
    if not differs or abs(change) < LEAST[measure.unit]:
        return "nothing"
    if z is None:
        return "higher" if change > 0.0 else "lower"
    if abs(z) < CLEAR:
        return "unclear"
    return "better" if (change > 0.0) == (measure.more_is == "good") else "worse"


def _named(measure: Measure) -> Document:
    return {"outcome": measure.name, "words": measure.words, "unit": measure.unit, "more_is": measure.more_is}


def first_events(columns: Columns) -> list[Document]:
    """Each kind of event: on how many paths it happens, after how many hours for the first time, and on how many nothing came before it."""
    hours = np.stack([columns[f"event:{kind}"] for kind in EVENTS])
    earliest = np.where(np.isfinite(hours.min(axis=0)), hours.argmin(axis=0), -1)
    return list(_event_rows(hours, earliest))


def _event_rows(hours: FloatArray, earliest: Any) -> Iterator[Document]:
    for place, kind in enumerate(EVENTS):
        happened = hours[place][np.isfinite(hours[place])]
        quartiles = [float(value) for value in np.quantile(happened, [0.25, 0.5, 0.75])] if happened.size else None
        yield {
            "event": kind,
            "paths": int(happened.size),
            "share": happened.size / hours.shape[1],
            "hours_quartiles": quartiles,
            "first_on": int((earliest == place).sum()),
            "first_share": float((earliest == place).mean()),
        }


def links(columns: Columns) -> list[Document]:
    """Who moved the price towards its largest distance from fundamental, mean over paths, largest first; the parts sum to that distance."""
    names = [name for name in columns if name.startswith("moved:")]
    total = math.fsum(np.abs(columns["peak_excess"])) / columns["peak_excess"].size
    rows = []
    for name in names:
        found = mean_of(columns[name])
        if abs(found.value or 0.0) < LEAST["log"]:
            found = Estimate(0.0, 0.0 if found.standard_error is not None else None, found.reason)
        rows.append({"agent": name[6:], "moved_log": found.to_document(), "share": (found.value or 0.0) / total if total > 0.0 else None})
    return sorted(rows, key=lambda row: -abs(row["moved_log"]["value"]))
