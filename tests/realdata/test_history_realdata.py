"""The panel over real recorded chains: whole, point in time, and what measure says; nothing of what price did afterwards is looked at."""

from __future__ import annotations

import io
import math
from pathlib import Path

import polars as pl
import pytest

import tailwag as tw
from tailwag.experiments.measure import MeasureOptions, measure
from tailwag.experiments.study.history import History, build_history
from tailwag.experiments.study.history_maps import Processes, here
from tailwag.experiments.study.history_options import HistoryOptions
from tailwag.experiments.sweep_maps import all_cores
from tailwag.market.clock import parse_time_ns
from tailwag.positioning import parse_rule

pytestmark = pytest.mark.realdata
OPTIONS = HistoryOptions(rules=("long-calls-short-puts", "short-all"), depth_usd_per_pct=5e8)
BOTH = ("BTC", "ETH")


def tables(history: History) -> tuple[pl.DataFrame, pl.DataFrame]:
    return pl.read_parquet(io.BytesIO(history.snapshots)), pl.read_parquet(io.BytesIO(history.panel))


def cut(source: Path, target: Path, rows: int) -> None:
    """The first rows of a chain file, as they are."""
    import pyarrow.parquet as pq

    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pq.read_table(source).slice(0, rows), target)


def test_files_cut_off_leave_every_earlier_row_as_it_was(data, tmp_path):
    source = data / "deribit-chains" / "deribit_chain_2025-12.parquet"
    whole = tables(build_history([str(source)], tmp_path / "whole", OPTIONS, currencies=BOTH))
    assert whole[0]["status"].to_list() == ["ok"] * 8
    assert whole[1].height == 16
    sizes = pl.read_parquet(source, columns=["snapshot"]).group_by("snapshot", maintain_order=True).len()["len"].to_list()
    cut(source, tmp_path / "cut" / source.name, sum(sizes[:2]))
    early = tables(build_history([str(tmp_path / "cut")], tmp_path / "early", OPTIONS, currencies=BOTH))
    assert early[0].equals(whole[0].head(4))
    assert early[1].equals(whole[1].head(8))


def test_the_saved_csv_of_a_crawl_says_what_the_monthly_file_says(data, tmp_path):
    at = "20260205T155132Z"
    raw = data / "deribit-chains" / "raw" / f"deribit_options_snapshot_{at}.csv"
    month = data / "deribit-chains" / "deribit_chain_2026-02.parquet"
    near = parse_time_ns("2026-02-05T15:51:32Z")
    span = (near, near + 10**9)
    one = tables(build_history([str(raw)], tmp_path / "one", OPTIONS))
    both = tables(build_history([str(raw), str(month)], tmp_path / "both", OPTIONS, span_ns=span))
    assert both[0]["reason"].to_list() == [None, "repeated"]
    assert both[1].equals(tables(build_history([str(month)], tmp_path / "month", OPTIONS, span_ns=span))[1])
    assert both[1].drop("snapshot").equals(one[1].drop("snapshot"))


def test_a_row_of_the_crash_is_what_measure_says(data, tmp_path):
    month = data / "deribit-chains" / "deribit_chain_2026-02.parquet"
    span = (parse_time_ns("2026-02-05T15:00:00Z"), parse_time_ns("2026-02-05T16:00:00Z"))
    snapshots, panel = tables(build_history([str(month)], tmp_path / "out", OPTIONS, span_ns=span))
    snapshot = tw.load(month, at_ns=span[1])
    for rule in OPTIONS.rules:
        options = MeasureOptions(dynamics="sticky-strike", rules=(parse_rule(rule),), liquidity="given", depth_usd_per_pct=5e8)
        document = measure(snapshot, options).document()
        row = panel.row(by_predicate=pl.col("rule") == rule, named=True)
        assert row["gex_usd_per_pct"] == document["exposure"]["gex_usd_per_pct"]
        assert row["gain"] == document["gain"]["value"]
    assert snapshots["masked_share"].item() == document["chain"]["masked_open_interest_share"]
    assert snapshots["spot_usd"].item() == document["spot_usd"]


@pytest.mark.slow
def test_the_whole_folder_is_measured_and_knows_nothing_of_what_came_later(data, tmp_path):
    folder = data / "deribit-chains"
    run = Processes(all_cores())
    history = build_history([str(folder)], tmp_path / "whole", OPTIONS, currencies=BOTH, run=run)
    snapshots, panel = tables(history)
    assert {row["currency"]: (row["measured"], row["refused"]) for row in history.document["currencies"]} == {
        "BTC": (604, {}),
        "ETH": (604, {}),
    }
    assert panel.height == 2 * 1208
    assert snapshots["known_ns"].to_list() == [start + 600 * 10**9 for start in snapshots["crawl_start_ns"].to_list()]
    for name in ("atm_iv_1d", "atm_iv_7d", "atm_iv_30d", "spot_usd", "gross_gamma_usd_per_pct", "open_interest_coin"):
        assert snapshots[name].null_count() == 0, name
        assert snapshots[name].min() > 0.0, name
    assert snapshots["gap_before_s"].max() < 13.5 * 3600.0
    assert panel["gain"].null_count() == 0
    assert all(math.isfinite(value) for value in panel["gain"].to_list())
    # February cut in its middle, and everything after it away
    months = sorted(path for path in folder.iterdir() if path.name < "deribit_chain_2026-02" and path.suffix == ".parquet")
    february = folder / "deribit_chain_2026-02.parquet"
    cut(february, tmp_path / "cut" / february.name, 90_000)
    early = tables(build_history([*map(str, months), str(tmp_path / "cut")], tmp_path / "early", OPTIONS, currencies=BOTH, run=run))
    ends = pl.read_parquet(tmp_path / "cut" / february.name, columns=["snapshot"])["snapshot"].cast(pl.String).to_list()[-1]
    kept = [name for name in early[0]["snapshot"].to_list() if ends not in name]  # the last crawl may be cut in two
    assert len(kept) > 300
    assert early[0].head(len(kept)).equals(snapshots.head(len(kept)))
    assert early[1].head(2 * len(kept)).equals(panel.head(2 * len(kept)))


@pytest.mark.slow
def test_any_way_of_running_gives_the_same_bytes(data, tmp_path):
    source = str(data / "deribit-chains" / "deribit_chain_2025-12.parquet")
    found = [
        build_history([source], tmp_path / str(rank), OPTIONS, currencies=BOTH, run=run)
        for rank, run in enumerate((here, Processes(1), Processes(2)))
    ]
    assert len({(one.snapshots, one.panel) for one in found}) == 1
