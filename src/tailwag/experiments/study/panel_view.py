"""A built history as a study sees it: the rows of one currency under one set of assumptions, and what was left out of them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import FileFormatError, InputError
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.panel_measure import EXPIRING_FLOWS
from tailwag.experiments.study.panel_snapshot import CONTRASTS
from tailwag.kernels.arrays import FloatArray, IntArray

if TYPE_CHECKING:
    import polars as pl

HISTORY, SNAPSHOTS, PANEL = "history.json", "snapshots.parquet", "panel.parquet"
SCHEMA = "tailwag.history/1"
AT_STRIKES = "sticky-strike"
HEDGED = ("hedged_usd_per_pct", "hedged_expiring_usd_per_pct")


PARTS = dict(zip(CONTRASTS, ("calls below spot", "calls above spot", "puts below spot", "puts above spot"), strict=True))
"""What a study calls each column of ``CONTRASTS``."""
NEEDED = {
    SNAPSHOTS: ("near_strike_usd", "atm_iv_1d", "atm_iv_7d", "next_expiry_ns", *CONTRASTS),
    PANEL: ("flow_up_1pct_usd", *EXPIRING_FLOWS),
}
"""Columns that earlier versions did not write."""


@dataclass(frozen=True, slots=True)
class PanelView:
    """The rows that a study may use, why others may not, and the digests of the tables that they are from."""

    known: Known
    rule: str
    dynamics: str
    depth_usd_per_pct: float
    left_out: dict[str, int]
    digests: dict[str, str]


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Who is short, how the smile moves, and how many USD move the price 1 %."""

    rule: str
    dynamics: str
    depth_usd_per_pct: float


def panel_view(folder: str | os.PathLike[str], assumptions: Assumptions, *, currency: str, most_masked_share: float) -> PanelView:
    """Rows of the folder of ``tailwag history build``, by the time they were known.

    Gains are made here from the panel's dollars, so that one history serves any depth: gain = -GEX / depth where the smile stays at its strikes; where it
    moves, what hedgers buy when spot moves 1 % up less that when it moves 1 % down, over twice the depth.  Short gamma is above 0.  InputError where
    the folder is no history, a table is not the one that it names, or it was not built under that rule and dynamics.
    """
    import polars as pl

    tables, digests = _tables(Path(folder))
    snapshots = tables[SNAPSHOTS].filter(pl.col("currency") == currency)
    if not snapshots.height:
        raise InputError(f"{folder}: expected snapshots of {currency}, got {', '.join(sorted(set(tables[SNAPSHOTS]['currency'])))}")
    panel = tables[PANEL].filter(
        (pl.col("currency") == currency) & (pl.col("rule") == assumptions.rule) & (pl.col("dynamics") == assumptions.dynamics)
    )
    if not panel.height:
        built = sorted(set(zip(tables[PANEL]["rule"], tables[PANEL]["dynamics"])))
        raise InputError(
            f"{folder}: expected rows under {assumptions.rule} and {assumptions.dynamics}, got {', '.join(' and '.join(one) for one in built)}; "
            "build the history under them too"
        )
    one_law = panel.unique("snapshot", keep="first", maintain_order=True).with_columns(_hedged_per_pct(assumptions.dynamics))
    rows = snapshots.join(one_law.select("snapshot", *HEDGED), on="snapshot", how="left").sort("known_ns")
    usable, left_out = _usable(rows, most_masked_share)
    return PanelView(
        _known(usable, assumptions.depth_usd_per_pct),
        assumptions.rule,
        assumptions.dynamics,
        assumptions.depth_usd_per_pct,
        left_out,
        digests,
    )


def _hedged_per_pct(dynamics: str) -> list[pl.Expr]:
    """What hedgers buy per 1 % that spot rises, of the whole book and of its next expiry."""
    import polars as pl

    if dynamics == AT_STRIKES:
        return [-pl.col(name).alias(told) for name, told in zip(("gex_usd_per_pct", "expiring_gamma_usd_per_pct"), HEDGED)]
    moved = (("flow_down_1pct_usd", "flow_up_1pct_usd"), EXPIRING_FLOWS)
    return [((pl.col(up) - pl.col(down)) / 2.0).alias(told) for (down, up), told in zip(moved, HEDGED)]


def _tables(folder: Path) -> tuple[dict[str, pl.DataFrame], dict[str, str]]:
    import polars as pl

    try:
        document: dict[str, Any] = json.loads((folder / HISTORY).read_bytes())
        raw = {name: (folder / name).read_bytes() for name in (SNAPSHOTS, PANEL)}
    except (OSError, ValueError):
        raise InputError(
            f"{folder}: expected a folder of tailwag history build with {HISTORY}, {SNAPSHOTS} and {PANEL}; build it first"
        ) from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise FileFormatError(
            f"{folder}/{HISTORY}: expected schema {SCHEMA}, got {str(document.get('schema') if isinstance(document, dict) else document)[:40]!a}; build it with this version"
        )
    told = document.get("tables")
    if not isinstance(told, dict) or not all(isinstance(told.get(name), dict) for name in raw):
        raise FileFormatError(
            f"{folder}/{HISTORY}: expected the digests of {SNAPSHOTS} and {PANEL} under tables, got none; build the history anew"
        )
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in raw.items()}
    for name, digest in digests.items():
        if told[name].get("sha256") != digest:
            raise FileFormatError(f"{folder}/{name} is not what {HISTORY} names (another SHA-256); build the history anew")
    tables = {name: pl.read_parquet(data) for name, data in raw.items()}
    for name, columns in NEEDED.items():
        if lacking := [column for column in columns if column not in tables[name].columns]:
            raise FileFormatError(
                f"{folder}/{name}: expected the columns {', '.join(lacking)}, got none of that name; build the history anew"
            )
    return tables, digests


def _usable(rows: pl.DataFrame, most_masked_share: float) -> tuple[pl.DataFrame, dict[str, int]]:
    import polars as pl

    refused = rows.filter(pl.col("status") != "ok")
    measured = rows.filter(pl.col("status") == "ok")
    masked = measured.filter(pl.col("masked_share") > most_masked_share)
    kept = measured.filter(~(pl.col("masked_share") > most_masked_share))
    return kept, {"refused": refused.height, f"more than {100 * most_masked_share:g} % of open interest masked": masked.height}


def _known(rows: pl.DataFrame, depth_usd_per_pct: float) -> Known:
    return Known(
        known_ns=_whole(rows, "known_ns"),
        gain=_number(rows, HEDGED[0]) / depth_usd_per_pct,
        gross_gain=_number(rows, "gross_gamma_usd_per_pct") / depth_usd_per_pct,
        expiring_gain=_number(rows, HEDGED[1]) / depth_usd_per_pct,
        expiring_gross_gain=_number(rows, "next_expiry_gross_gamma_usd_per_pct") / depth_usd_per_pct,
        next_expiry_ns=_whole(rows, "next_expiry_ns"),
        spot_usd=_number(rows, "spot_usd"),
        atm_iv_1d=_number(rows, "atm_iv_1d"),
        atm_iv_7d=_number(rows, "atm_iv_7d"),
        near_strike_usd=_number(rows, "near_strike_usd"),
        parts={PARTS[name]: _number(rows, name) / depth_usd_per_pct for name in CONTRASTS},
    )


def _number(rows: pl.DataFrame, name: str) -> FloatArray:
    import polars as pl

    values: FloatArray = rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)
    return values


def _whole(rows: pl.DataFrame, name: str) -> IntArray:
    values: IntArray = rows[name].fill_null(-1).to_numpy().astype(np.int64)
    return values
