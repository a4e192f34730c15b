"""The document of a sweep (schema ``tailwag.sweep/1``): axes, every point with its seeds taken together, and what it says."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

from tailwag.experiments.sweep_grid import Grid, Point, named_files, setting_text
from tailwag.experiments.sweep_sentences import headline
from tailwag.experiments.sweep_table import AGENT_MEASURES, COUNTS, MEASURES, SE, Row, measures
from tailwag.experiments.sweep_task import code_versions
from tailwag.sim.estimates import Estimate, Share

SCHEMA = "tailwag.sweep/1"
TABLE_NAME = "sweep.parquet"
Document = dict[str, Any]


def sweep_document(grid: Grid, rows: Sequence[Row], *, fingerprint: str, table: bytes) -> Document:
    """Plain values of a finished sweep; nothing in them depends on workers, their order, folders or the clock."""
    names = measures(rows)
    by_point: dict[int, list[Row]] = {point.number: [] for point in grid.points}
    for row in rows:
        by_point[row.point].append(row)
    axes = [{"name": name, "values": values} for name, values in axes_of(grid).items()]
    points = [_point(grid, point, by_point[point.number], names) for point in grid.points]
    return {
        "schema": SCHEMA,
        "headline": headline([axis.name for axis in grid.axes], points),
        "fingerprint": fingerprint,
        "axes": axes,
        "seeds": list(grid.seeds),
        "refused": grid.refused,
        "files": dict(named_files(grid)),
        "versions": dict(code_versions()),
        "table": {"file": TABLE_NAME, "rows": len(rows), "sha256": hashlib.sha256(table).hexdigest()},
        "points": points,
    }


def axes_of(grid: Grid) -> dict[str, list[Any]]:
    """The axes by name, their values as JSON has them."""
    return {axis.name: [_plain(value) for value in axis.values] for axis in grid.axes}


def figures_of(grid: Grid) -> tuple[str, ...]:
    """The figures that a grid's sweep will hold."""
    return (*MEASURES, *(f"{agent}.{name}" for agent in sorted(grid.agents) for name in AGENT_MEASURES))


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else setting_text(value)


def _point(grid: Grid, point: Point, rows: Sequence[Row], names: Sequence[str]) -> Document:
    """One point: its settings and its figures over all seeds."""
    ran = [row for row in rows if row.result["refused"] is None]
    refused = next((row.result["refused"] for row in rows if row.result["refused"] is not None), None)
    counts = {name: sum(int(row.number(name) or 0) for row in ran) for name in COUNTS}
    figures: dict[str, Document] = {name: _over_seeds(name, ran, refused).to_document() for name in names}
    if ran:
        figures["runaway_probability"] = Share(counts["runaway_paths"], counts["paths"]).to_document()
    return {
        "point": point.number,
        "settings": {axis.name: _plain(value) for axis, value in zip(grid.axes, point.settings, strict=True)},
        "seeds": len(ran),
        **counts,
        "starting_gain": ran[0].number("starting_gain") if ran else None,
        "figures": figures,
        "refused": refused,
    }


def _over_seeds(name: str, rows: Sequence[Row], refused: str | None) -> Estimate:
    """Mean over the seeds at which the figure is known; SE = sqrt(sum of SE^2)/n, as runs of different seeds are independent."""
    values = [value for row in rows if (value := row.number(name)) is not None]
    if not values:
        return Estimate.unknown("the scenario is refused" if refused else _why_unknown(rows))
    errors = [row.number(f"{name}{SE}") for row in rows if row.number(name) is not None]
    known = [error for error in errors if error is not None]
    joint = math.sqrt(math.fsum(error * error for error in known)) / len(known) if len(known) == len(errors) else None
    reason = "" if len(values) == len(rows) else f"known at {len(values)} of {len(rows)} seeds"
    return Estimate(math.fsum(values) / len(values), joint, reason or ("" if joint is not None else "one path has no standard error"))


def _why_unknown(rows: Sequence[Row]) -> str:
    finished = any(row.number("finished_paths") for row in rows)
    return "not known at this point" if finished else "no path reached the horizon"
