"""The result table of a sweep: one row for each point and seed, in grid order, as typed columns and as Parquet bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tailwag.errors import TailwagError
from tailwag.experiments.sweep_axes import Axis, kind_of
from tailwag.experiments.sweep_grid import Grid, setting_text
from tailwag.experiments.sweep_task import Result

if TYPE_CHECKING:
    import pyarrow

COUNTS = ("paths", "finished_paths", "runaway_paths", "depth_exhausted_paths", "halted_paths")
MEASURES = ("amplification", "realised_vol", "fundamental_vol", "runaway_probability", "vol_of_vol", "mean_drawdown")
AGENT_MEASURES = ("pnl_usd", "pnl_deviation_usd", "cost_usd", "turnover_usd_per_day", "mishedge_rms_usd")
SE = "_se"
"""Ending of the column with a figure's standard error."""
SCHEMA_KEY, SCHEMA = b"tailwag", b"tailwag.sweep/1"


@dataclass(frozen=True, slots=True)
class Row:
    """One run of a sweep: its point, seed, the key of its task, and what came out."""

    point: int
    seed: int
    key: str
    result: Result

    def number(self, name: str) -> float | int | None:
        """A figure by its column's name; an agent's is AGENT.NAME; None where it is unknown."""
        if name in self.result["numbers"]:
            found: float | int | None = self.result["numbers"][name]
            return found
        agent, _, measure = name.rpartition(".")
        theirs: dict[str, float | int | None] = self.result["agents"].get(agent, {})
        return theirs.get(measure)


def measures(rows: Sequence[Row]) -> tuple[str, ...]:
    """The figures that rows hold, those of the market first, then each agent's as AGENT.NAME."""
    agents = dict.fromkeys(agent for row in rows for agent in row.result["agents"])
    return (*MEASURES, *(f"{agent}.{name}" for agent in sorted(agents) for name in AGENT_MEASURES))


def columns(grid: Grid, rows: Sequence[Row]) -> dict[str, tuple[str, list[Any]]]:
    """Every column by name: its type ("number", "whole", "text", "truth") and its values, None where unknown."""
    found: dict[str, tuple[str, list[Any]]] = {"point": ("whole", [row.point for row in rows])}
    for place, axis in enumerate(grid.axes):
        kind = _type(axis)
        values = [grid.points[row.point].settings[place] for row in rows]
        found[axis.name] = (kind, [setting_text(value) if kind == "text" else value for value in values])
    found["seed"] = ("whole", [row.seed for row in rows])
    found |= {name: ("whole", [row.number(name) for row in rows]) for name in COUNTS}
    found["starting_gain"] = ("number", [row.number("starting_gain") for row in rows])
    for name in measures(rows):
        found |= {f"{name}{end}": ("number", [row.number(f"{name}{end}") for row in rows]) for end in ("", SE)}
    found["refused"] = ("text", [row.result["refused"] for row in rows])
    found["task"] = ("text", [row.key for row in rows])
    return found


def _type(axis: Axis) -> str:
    if all(kind_of(value) == "true or false" for value in axis.values):
        return "truth"
    if not axis.is_number:
        return "text"
    return "whole" if all(isinstance(value, int) for value in axis.values) else "number"


def parquet_bytes(table: Mapping[str, tuple[str, list[Any]]]) -> bytes:
    """The table as one Parquet file with a checksum on every page; equal tables, equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"number": pa.float64(), "whole": pa.int64(), "text": pa.string(), "truth": pa.bool_()}
    schema = pa.schema([pa.field(name, types[kind]) for name, (kind, _) in table.items()], metadata={SCHEMA_KEY: SCHEMA})
    made = pa.table([pa.array(values, types[kind]) for kind, values in table.values()], schema=schema)
    _refuse_not_finite(made)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, write_page_checksum=True, use_dictionary=False, compression="zstd", store_schema=False) as writer:
        writer.write_table(made, row_group_size=max(made.num_rows, 1))
    return bytes(sink.getvalue().to_pybytes())


def _refuse_not_finite(table: pyarrow.Table) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in table.column_names:
        column = table[name]
        if pa.types.is_floating(column.type) and not pc.all(pc.is_finite(column), min_count=0).as_py():
            raise TailwagError(f"the sweep's table holds a number that is not finite in {name}; please report this with the sweep file")
