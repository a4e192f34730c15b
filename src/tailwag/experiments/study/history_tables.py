"""The two tables of a history: one row for each snapshot, refused ones too, and one for each snapshot, rule, law and smile dynamics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tailwag.errors import TailwagError
from tailwag.experiments.study.history_task import Result
from tailwag.experiments.study.panel_measure import EXPIRING_FLOWS, FLOW_MOVES_PCT, flow_column
from tailwag.experiments.study.panel_snapshot import CONTRASTS, TENORS_DAYS, Row
from tailwag.units import NS_PER_SECOND

REPEATED = "repeated"
SNAPSHOT_COLUMNS: dict[str, str] = {
    "snapshot": "text",
    "currency": "text",
    "source": "text",
    "source_kind": "text",
    "status": "text",
    "reason": "text",
    "detail": "text",
    "crawl_start_ns": "whole",
    "crawl_end_ns": "whole",
    "known_ns": "whole",
    "gap_before_s": "number",
    "options": "whole",
    "open_interest_coin": "number",
    "masked_share": "number",
    "masks": "text",
    "spot_usd": "number",
    "spot_spread": "number",
    **{f"atm_iv_{days}d": "number" for days in TENORS_DAYS},
    "gross_gamma_usd_per_pct": "number",
    **dict.fromkeys(CONTRASTS, "number"),
    "hedged_open_interest_usd": "number",
    "next_expiry_ns": "whole",
    "next_expiry_open_interest_coin": "number",
    "next_expiry_gross_gamma_usd_per_pct": "number",
    "largest_strike_usd": "number",
    "largest_strike_open_interest_coin": "number",
    "second_strike_open_interest_coin": "number",
    "near_strike_usd": "number",
    "near_strike_open_interest_coin": "number",
    "content_sha256": "text",
    "key": "text",
}
PANEL_COLUMNS: dict[str, str] = {
    "snapshot": "text",
    "currency": "text",
    "known_ns": "whole",
    "rule": "text",
    "law": "text",
    "dynamics": "text",
    "gex_usd_per_pct": "number",
    "vanna_usd_per_volpt": "number",
    "charm_usd_per_day": "number",
    "expiring_gamma_usd_per_pct": "number",
    "gain": "number",
    "gain_low": "number",
    "gain_high": "number",
    "gain_reason": "text",
    "sign": "text",
    "flip_usd": "number",
    "flip_distance_log": "number",
    **{flow_column(move): "number" for move in FLOW_MOVES_PCT},
    **dict.fromkeys(EXPIRING_FLOWS, "number"),
    "hedged_oi_ratio": "number",
}
HEAD = ("snapshot", "currency", "source", "source_kind", "crawl_start_ns", "crawl_end_ns", "known_ns", "content_sha256")
"""What a repeated snapshot keeps: its name and its times."""


def tables(results: Iterable[Result]) -> tuple[list[Row], list[Row]]:
    """Rows of both tables in order of time; what a row says of others (``gap_before_s``, ``repeated``) is of earlier ones only."""
    ordered = sorted(results, key=_order)
    snapshots, panel = [], []
    taken: set[tuple[str, int]] = set()
    before: dict[str, int] = {}
    for result in ordered:
        row = {**result["snapshot"], "key": result["key"], "gap_before_s": None}
        place = (row["currency"], row["crawl_start_ns"])
        if row["status"] == "ok" and place in taken:
            row, result = _repeated(row), {**result, "panel": []}
        elif row["status"] == "ok":
            taken.add(place)
            previous = before.get(row["currency"])
            row["gap_before_s"] = None if previous is None else (row["crawl_start_ns"] - previous) / NS_PER_SECOND
            before[row["currency"]] = row["crawl_start_ns"]
        named = {name: row[name] for name in ("snapshot", "currency", "known_ns")}
        snapshots.append(row)
        panel += [{**one, **named} for one in result["panel"]]
    return snapshots, panel


def _order(result: Result) -> tuple[int, str, str, str]:
    row = result["snapshot"]
    return row["crawl_start_ns"] or 0, row["currency"], row["snapshot"], result["key"]


def _repeated(row: Row) -> Row:
    kept = {name: row[name] for name in HEAD}
    detail = "another source holds the same currency's snapshot of the same time; the first by name counts"
    return {**kept, "key": row["key"], "gap_before_s": None, "status": "refused", "reason": REPEATED, "detail": detail}


def table_bytes(rows: Sequence[Row], columns: dict[str, str], schema: str) -> bytes:
    """Rows as one Parquet file with a checksum on every page; equal rows, equal bytes; null where unknown."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"number": pa.float64(), "whole": pa.int64(), "text": pa.string()}
    fields = pa.schema([pa.field(name, types[kind]) for name, kind in columns.items()], metadata={b"tailwag": schema.encode()})
    made = pa.table([pa.array([row.get(name) for row in rows], types[kind]) for name, kind in columns.items()], schema=fields)
    _refuse_not_finite(made)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, fields, write_page_checksum=True, use_dictionary=False, compression="zstd", store_schema=False) as writer:
        writer.write_table(made, row_group_size=max(made.num_rows, 1))
    return bytes(sink.getvalue().to_pybytes())


def _refuse_not_finite(table: Any) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in table.column_names:
        if pa.types.is_floating(table[name].type) and not pc.all(pc.is_finite(table[name]), min_count=0).as_py():
            raise TailwagError(f"the history holds a number that is not finite in {name}; please report this with the source")


def refusals(snapshots: Iterable[Row]) -> dict[str, int]:
    """How many snapshots were refused for each reason."""
    found: dict[str, int] = {}
    for reason in sorted(_reasons(snapshots)):
        found[reason] = found.get(reason, 0) + 1
    return found


def _reasons(snapshots: Iterable[Row]) -> Iterator[str]:
    return (row["reason"] for row in snapshots if row["status"] == "refused")
