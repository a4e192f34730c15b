"""A history says of every snapshot what `tailwag measure` says, knows nothing of what came later, and gives the same bytes however it is built."""

from __future__ import annotations

import io
import math
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.experiments.study.history_chains import HOUR_NS, START_NS, crawl, crawls, saved

import tailwag as tw
from tailwag.errors import EmptyChainError, FileFormatError, InputError, RuleError, TailwagError
from tailwag.experiments.measure import MeasureOptions, measure
from tailwag.experiments.study import history_task
from tailwag.experiments.study.history import History, build_history
from tailwag.experiments.study.history_maps import Dask, Processes, here
from tailwag.experiments.study.history_options import HistoryOptions
from tailwag.experiments.study.history_sources import listed
from tailwag.experiments.study.history_store import PARTS
from tailwag.experiments.study.history_task import run_chunk
from tailwag.experiments.study.panel_measure import flow_column
from tailwag.positioning import parse_rule

OPTIONS = HistoryOptions(rules=("long-calls-short-puts",), depth_usd_per_pct=2e6)


def tables(history: History) -> tuple[pl.DataFrame, pl.DataFrame]:
    return pl.read_parquet(io.BytesIO(history.snapshots)), pl.read_parquet(io.BytesIO(history.panel))


def everything(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if not path.name.startswith(".")}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of two files with three crawls each, and its history."""
    folder = tmp_path_factory.mktemp("made")
    rows = crawls(6)
    half = len(rows) // 2
    saved(folder / "chains", "one.parquet", rows[:half])
    saved(folder / "chains", "two.parquet", rows[half:])
    options = HistoryOptions(
        rules=("long-calls-short-puts", "short-all", "customers-sell-otm"),
        dynamics=("sticky-strike", "sticky-moneyness"),
        depth_usd_per_pct=2e6,
        daily_volume_usd=1e9,
    )
    return folder, options, build_history([str(folder / "chains")], folder / "panel", options)


# What the rows say


@pytest.mark.parametrize("rule", ["long-calls-short-puts", "short-all", "customers-sell-otm"])
@pytest.mark.parametrize("dynamics", ["sticky-strike", "sticky-moneyness"])
def test_a_row_is_what_measure_says_of_that_snapshot(made, rule, dynamics):
    folder, _, history = made
    snapshots, panel = tables(history)
    head = snapshots.row(4, named=True)
    snapshot = tw.load(folder / "chains" / "two.parquet", at_ns=head["crawl_start_ns"])
    for law in ("given", "square-root"):
        options = MeasureOptions(dynamics=dynamics, rules=(parse_rule(rule),), liquidity=law, depth_usd_per_pct=2e6, daily_volume_usd=1e9)
        document = measure(snapshot, options).document()
        row = panel.row(
            by_predicate=(pl.col("snapshot") == head["snapshot"])
            & (pl.col("rule") == rule)
            & (pl.col("law") == law)
            & (pl.col("dynamics") == dynamics),
            named=True,
        )
        exposure, gain, flips = document["exposure"], document["gain"], [flip["spot_usd"] for flip in document["levels"]["flips"]]
        for name in ("gex_usd_per_pct", "vanna_usd_per_volpt", "charm_usd_per_day"):
            assert row[name] == exposure[name], name
        assert (row["gain"], row["gain_low"], row["gain_high"]) == (gain["value"], gain["low"], gain["high"])
        assert row["sign"] == {"damping": "damping", "amplifying": "amplifying", "runaway": "amplifying"}[gain["regime"]]
        near = min(flips, key=lambda flip: abs(flip - head["spot_usd"]), default=None)
        assert row["flip_usd"] == near
        assert row["flip_distance_log"] == (None if near is None else math.log(near / head["spot_usd"]))
        flows = {flow["spot_move_pct"]: flow["buy_usd"] for flow in document["flows"] if flow["vol_move_volpt"] == flow["hours"] == 0.0}
        for move in (-5.0, -3.0, -1.0, 1.0, 3.0, 5.0):
            assert row[flow_column(move)] == pytest.approx(flows[move], rel=1e-9), move
        assert row["expiring_gamma_usd_per_pct"] == exposure["by_expiry"][0]["gex_usd_per_pct"]
        day = next(ratio for ratio in gain["hedged_open_interest_to_liquidity"] if ratio["window"] == "day")
        assert row["hedged_oi_ratio"] == day["ratio"]
    assert head["gross_gamma_usd_per_pct"] == document["exposure"]["gross_gex_usd_per_pct"]
    assert head["next_expiry_gross_gamma_usd_per_pct"] == document["exposure"]["by_expiry"][0]["gross_gex_usd_per_pct"]
    assert head["open_interest_coin"] == document["chain"]["open_interest_coin"]
    assert (head["options"], head["spot_usd"], head["masked_share"]) == (42, document["spot_usd"], 0.0)
    assert head["hedged_open_interest_usd"] == gain["hedged_open_interest_usd"]


def test_what_expires_next_flows_as_if_nothing_else_were_held(made, tmp_path):
    _, _, history = made
    _, panel = tables(history)
    rows = crawls(6)[42:84]
    first = min(row["expiry_datetime"] for row in rows)
    alone = [{**row, "open_interest": row["open_interest"] if row["expiry_datetime"] == first else 0.0} for row in rows]
    options = HistoryOptions(
        rules=("long-calls-short-puts", "short-all"), dynamics=("sticky-strike", "sticky-moneyness"), depth_usd_per_pct=2e6
    )
    made_alone = build_history([str(saved(tmp_path / "alone", "one.parquet", alone))], tmp_path / "panel", options)
    told = tables(made_alone)[1]
    assert told.height == 4
    for row in told.iter_rows(named=True):
        same = (pl.col("snapshot") == row["snapshot"]) & (pl.col("law") == "given")
        whole = panel.row(by_predicate=same & (pl.col("rule") == row["rule"]) & (pl.col("dynamics") == row["dynamics"]), named=True)
        for side in ("down", "up"):
            assert whole[f"expiring_flow_{side}_1pct_usd"] == pytest.approx(row[f"flow_{side}_1pct_usd"], rel=1e-9)
            assert whole[f"expiring_flow_{side}_1pct_usd"] != pytest.approx(whole[f"flow_{side}_1pct_usd"], rel=0.1)


def test_the_columns_of_a_snapshot_are_what_its_rows_say(made):
    snapshots, panel = tables(made[2])
    assert snapshots.height == 6
    assert panel.height == 6 * 3 * 2 * 2
    rows = crawls(6)[42:84]
    head = snapshots.row(1, named=True)
    index = [row["index_price"] for row in rows]
    assert head["spot_spread"] == pytest.approx(max(index) / min(index) - 1.0, rel=1e-12)
    assert head["crawl_start_ns"] // 1000 == rows[0]["timestamp"] // 1000
    assert head["crawl_end_ns"] is None
    assert head["known_ns"] == head["crawl_start_ns"] + 600 * 10**9
    assert head["gap_before_s"] == pytest.approx(6 * 3600.0, abs=1e-5)
    assert snapshots["gap_before_s"][0] is None
    assert head["snapshot"] == f"one.parquet:{rows[0]['snapshot']}:BTC"
    first = min(row["expiry_datetime"] for row in rows)
    held: dict[float, float] = {}
    for row in rows:
        if row["expiry_datetime"] == first:
            held[row["strike"]] = held.get(row["strike"], 0.0) + row["open_interest"]
    most = sorted(held.items(), key=lambda pair: -pair[1])
    assert head["next_expiry_ns"] == first
    assert head["next_expiry_open_interest_coin"] == pytest.approx(sum(held.values()), rel=1e-12)
    assert (head["largest_strike_usd"], head["largest_strike_open_interest_coin"]) == (most[0][0], pytest.approx(most[0][1]))
    assert head["second_strike_open_interest_coin"] == pytest.approx(most[1][1])
    near = {strike: coin for strike, coin in held.items() if abs(strike / head["spot_usd"] - 1.0) <= 0.03}
    assert 0 < len(near) < len(held)
    assert head["near_strike_usd"] == max(near, key=lambda strike: near[strike])
    assert head["near_strike_open_interest_coin"] == pytest.approx(max(near.values()))
    parts = [f"gross_gamma_{right}_{side}_usd_per_pct" for right in ("calls", "puts") for side in ("below", "above")]
    assert sum(head[name] for name in parts) == pytest.approx(head["gross_gamma_usd_per_pct"], rel=1e-12)
    assert all(head[name] > 0.0 for name in parts)


def test_implied_vol_of_a_tenor_holds_forward_variance_between_the_expiries_that_bracket_it(made):
    head = tables(made[2])[0].row(0, named=True)
    rows = crawls(6)[:42]
    years = {row["expiry_datetime"]: (row["expiry_datetime"] - rows[0]["timestamp"]) / (365.0 * 86_400e9) for row in rows}
    # the made smile is linear in the logarithm of the strike, so its vol at the forward is known to the error of reading between strikes
    near, week, far = (0.5 + 0.02 * day / 40.0 for day in (1, 6, 40))
    (t1, t2, t3), days = sorted(years.values()), 365.0
    for name, lower, upper, tenor in (
        ("atm_iv_1d", (t1, near), (t2, week), 1),
        ("atm_iv_7d", (t2, week), (t3, far), 7),
        ("atm_iv_30d", (t2, week), (t3, far), 30),
    ):
        t = tenor / days
        w = lower[1] ** 2 * lower[0] + (upper[1] ** 2 * upper[0] - lower[1] ** 2 * lower[0]) * (t - lower[0]) / (upper[0] - lower[0])
        assert head[name] == pytest.approx(math.sqrt(w / t), abs=2e-4), name


def test_a_tenor_that_no_expiry_brackets_has_no_vol(tmp_path):
    saved(tmp_path / "in", "a.parquet", crawl(START_NS, days=(3, 6)))
    head = tables(build_history([str(tmp_path / "in")], tmp_path / "out", OPTIONS))[0].row(0, named=True)
    assert head["atm_iv_1d"] is None
    assert head["atm_iv_7d"] is None
    assert head["atm_iv_30d"] is None


def test_a_crawl_whose_rows_have_times_is_known_when_it_ended(tmp_path):
    rows = crawl(START_NS)
    for rank, row in enumerate(rows):
        row["timestamp"] += rank * 10**9
    saved(tmp_path / "in", "a.parquet", rows)
    head = tables(build_history([str(tmp_path / "in")], tmp_path / "out", OPTIONS))[0].row(0, named=True)
    assert head["crawl_end_ns"] == head["known_ns"] == START_NS + 41 * 10**9
    assert head["crawl_start_ns"] == START_NS


def test_without_liquidity_there_is_no_gain_and_the_reason_is_told(tmp_path):
    saved(tmp_path / "in", "a.parquet", crawl(START_NS))
    history = build_history([str(tmp_path / "in")], tmp_path / "out", HistoryOptions(rules=("short-all",)))
    row = tables(history)[1].row(0, named=True)
    assert (row["law"], row["gain"], row["sign"]) == ("none", None, "amplifying")
    assert "no liquidity is known" in row["gain_reason"]
    assert "No gain" in history.document["headline"][-1]


def test_a_mixture_carries_its_band_and_what_nobody_can_tell(tmp_path):
    saved(tmp_path / "in", "a.parquet", crawl(START_NS))
    options = HistoryOptions(rules=("mixture:short-all@0.5+long-all@0.5",), depth_usd_per_pct=2e6, draws=50)
    row = tables(build_history([str(tmp_path / "in")], tmp_path / "out", options))[1].row(0, named=True)
    assert row["gain_low"] < 0.0 < row["gain_high"]
    assert row["sign"] == "undetermined"


def test_assumptions_measured_together_are_as_if_each_were_alone(tmp_path, monkeypatch):
    from tailwag.experiments.study.panel_measure import measured
    from tailwag.positioning import Positions, ShortAll

    class KnowsCallsOnly:
        name = "calls-only"

        def infer(self, chain: Any, *, forward_usd: Any = None) -> Positions:
            held = ShortAll().infer(chain, forward_usd=forward_usd)
            return replace(held, position_coin=np.where(chain.is_call, held.position_coin, np.nan), rule=self.name)

    saved(tmp_path, "a.parquet", crawl(START_NS))
    snapshot = tw.load(tmp_path / "a.parquet")
    options = HistoryOptions(dynamics=("sticky-moneyness", "ssr:1.5"), depth_usd_per_pct=2e6)
    rules = (KnowsCallsOnly(), ShortAll(), parse_rule("customers-sell-otm"))
    monkeypatch.setattr(HistoryOptions, "parsed_rules", lambda self: rules)
    together = measured(snapshot, options).panel
    alone = []
    for rule in rules:
        monkeypatch.setattr(HistoryOptions, "parsed_rules", lambda self, rule=rule: (rule,))
        alone += [row for name in options.dynamics for row in measured(snapshot, replace(options, dynamics=(name,))).panel]
    assert list(together) == alone
    assert len({row["gex_usd_per_pct"] for row in alone}) == 3
    assert len({row["flow_up_5pct_usd"] for row in alone}) == 6


# Refusals


def test_what_cannot_be_measured_is_a_row_with_its_reason(tmp_path):
    unit = [{**row, "implied_volatility": 100.0 * row["implied_volatility"]} for row in crawl(START_NS)]
    masked = [{**row, "open_interest": None} for row in crawl(START_NS + HOUR_NS)]
    timeless = [{**row, "timestamp": None, "snapshot": "unknown"} for row in crawl(START_NS + 2 * HOUR_NS)]
    saved(tmp_path / "in", "a.parquet", [*unit, *masked, *timeless, *crawl(START_NS + 3 * HOUR_NS), *crawl(START_NS + 5 * HOUR_NS)])
    saved(tmp_path / "in", "b.csv", crawl(START_NS + 5 * HOUR_NS))
    (tmp_path / "in" / "c.json").write_text('{"result": [{"instrument_name": "BTC-27MAR26-60000-C", "open_interest": 1.0}]}')
    history = build_history([str(tmp_path / "in")], tmp_path / "out", OPTIONS)
    snapshots, panel = tables(history)
    found = dict(zip(snapshots["snapshot"], snapshots["reason"], strict=True))
    assert sorted(filter(None, found.values())) == ["no_time", "nothing_known", "repeated", "unreadable", "wrong_unit"]
    assert panel["snapshot"].to_list() == [name for name, reason in found.items() if reason is None]
    assert panel.height == 2
    assert snapshots.filter(pl.col("status") == "refused").select("detail").null_count().item() == 0
    # a refused snapshot is no neighbour: the gap is to the last one that was measured
    assert snapshots.filter(pl.col("status") == "ok")["gap_before_s"].to_list() == [None, 7200.0]
    assert snapshots.filter(pl.col("status") == "refused")["gap_before_s"].null_count() == 5
    assert history.document["currencies"][0]["refused"] == {
        "no_time": 1,
        "nothing_known": 1,
        "repeated": 1,
        "unreadable": 1,
        "wrong_unit": 1,
    }


def test_of_one_name_and_two_contents_neither_is_chosen(tmp_path):
    saved(tmp_path / "x", "a.parquet", crawl(START_NS))
    saved(tmp_path / "y", "a.parquet", crawl(START_NS, seed=2))
    with pytest.raises(InputError, match=r"two snapshots are called a\.parquet:.* and differ"):
        build_history([str(tmp_path / "x"), str(tmp_path / "y")], tmp_path / "out", OPTIONS)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"rules": ("flow:trades.csv",)}, "what came after each snapshot"),
        ({"rules": ("mixture:short-all@0.5+positions:mine.csv@0.5",)}, "what came after each snapshot"),
        ({"rules": ("shorts",)}, "unknown"),
        ({"laws": ("given",)}, "--depth-usd-per-pct"),
        ({"laws": ("cube-root",)}, "unknown"),
        ({"dynamics": ("sticky-delta",)}, "unknown"),
        ({"vol": "mine"}, "unknown"),
        ({"hedge_share": 0.0}, "hedge share"),
        ({"publication_delay_minutes": -1.0}, "--publication-delay"),
        ({"publication_delay_minutes": math.nan}, "--publication-delay"),
        ({"daily_volume_usd": -1.0}, "daily_volume_usd"),
    ],
)
def test_assumptions_that_no_history_can_have_are_refused(said, match):
    with pytest.raises((RuleError, InputError), match=match):
        HistoryOptions(**said)


def test_sources_without_snapshots_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing\n")
    with pytest.raises(FileFormatError, match="no file of snapshots"):
        listed([str(tmp_path)])
    with pytest.raises(FileFormatError, match="no such file"):
        listed([str(tmp_path / "gone")])
    saved(tmp_path, "a.parquet", crawl(START_NS))
    with pytest.raises(EmptyChainError, match="no snapshot of ETH"):
        build_history([str(tmp_path)], tmp_path / "out", OPTIONS, currencies=("ETH",))
    # what stopped before anything was measured stands in nobody's way
    build_history([str(tmp_path)], tmp_path / "out", HistoryOptions(rules=("short-all",)))


# The command


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--workers", "0"], "--workers expects 1 to"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "leave one out"),
        (["--from", "2026-03-02T00:00:00Z", "--to", "2026-03-01T00:00:00Z"], "--from lies after --to"),
        (["--from", "yesterday"], "yesterday"),
        (["--currency", "btc"], "capital letters"),
        (["--rule", "flow:trades.csv"], "what came after"),
        (["--json", "gone/x.json"], "its folder is not there"),
    ],
)
def test_words_that_cannot_be_used_are_refused_in_one_sentence(tmp_path, capsys, words, match):
    from tailwag.cli import main

    saved(tmp_path / "in", "a.parquet", crawl(START_NS))
    with pytest.raises(SystemExit) as ended:
        main(["history", "build", str(tmp_path / "in"), "--store", str(tmp_path / "out"), *words])
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert match in said
    assert not (tmp_path / "out" / "panel.parquet").exists()


@pytest.mark.slow
def test_the_command_writes_what_it_tells(tmp_path, capsys):
    from tailwag.cli import main

    saved(tmp_path / "in", "a.parquet", crawls(3))
    words = ["history", "build", str(tmp_path / "in"), "--store", str(tmp_path / "out"), "--workers", "1", "--rule", "short-all"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--depth-usd-per-pct", "2e6", "--json", str(tmp_path / "h.json")])
    assert ended.value.code in (0, None)
    said = capsys.readouterr().out
    assert "3 snapshots measured under 1 combination of assumptions: 3 rows." in said
    assert everything(tmp_path / "out")["panel.parquet"] in said
    assert (tmp_path / "h.json").read_bytes() == (tmp_path / "out" / "history.json").read_bytes()


# The same bytes


def test_any_order_of_sources_rows_and_chunks_gives_the_same_bytes(made, tmp_path):
    folder, options, _ = made
    files = [str(folder / "chains" / name) for name in ("two.parquet", "one.parquet")]

    def backwards(chunks: Any) -> Any:
        return reversed([run_chunk(chunk) for chunk in chunks])

    build_history([*files, files[0]], tmp_path / "again", options, run=backwards)
    assert everything(tmp_path / "again") == everything(folder / "panel")


def test_a_finished_history_is_extended_and_then_is_what_it_had_been_in_one_go(made, tmp_path):
    folder, options, _ = made
    calls = []

    def counting(chunks: Any) -> Any:
        for chunk in chunks:
            calls.extend(moment.label for moment in chunk.moments)
            yield run_chunk(chunk)

    build_history([str(folder / "chains" / "two.parquet")], tmp_path / "grown", options, run=counting)
    assert len(calls) == 3
    build_history([str(folder / "chains" / "one.parquet")], tmp_path / "grown", options, run=counting)
    assert len(calls) == 6
    assert everything(tmp_path / "grown") == everything(folder / "panel")
    build_history([str(folder / "chains")], tmp_path / "grown", options, run=counting)
    assert len(calls) == 6
    assert everything(tmp_path / "grown") == everything(folder / "panel")


def test_a_build_that_stops_goes_on_from_what_it_had(made, tmp_path):
    folder, options, _ = made
    done = []

    def failing(chunks: Any) -> Any:
        for chunk in chunks:
            for moment in chunk.moments:
                yield run_chunk(replace(chunk, moments=(moment,)))
                done.append(moment.key)
                if len(done) == 4:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_history([str(folder / "chains")], tmp_path / "out", options, run=failing)
    journal = tmp_path / "out" / PARTS / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-7])  # the last line is torn
    left = []

    def counting(chunks: Any) -> Any:
        for chunk in chunks:
            left.extend(chunk.moments)
            yield run_chunk(chunk)

    build_history([str(folder / "chains")], tmp_path / "out", options, run=counting)
    assert len(left) == 3
    assert everything(tmp_path / "out") == everything(folder / "panel")


def test_a_file_that_grew_is_measured_where_it_grew_and_one_that_was_rewritten_is_refused(tmp_path):
    rows = crawls(3)
    calls = []

    def counting(chunks: Any) -> Any:
        for chunk in chunks:
            calls.extend(moment.label for moment in chunk.moments)
            yield run_chunk(chunk)

    path = saved(tmp_path, "a.parquet", rows[: 42 * 2])
    build_history([str(path)], tmp_path / "grown", OPTIONS, run=counting)
    saved(tmp_path, "a.parquet", rows)
    grown = build_history([str(path)], tmp_path / "grown", OPTIONS, run=counting)
    assert len(calls) == 3
    whole = build_history([str(path)], tmp_path / "whole", OPTIONS)
    assert (grown.snapshots, grown.panel) == (whole.snapshots, whole.panel)
    saved(tmp_path, "a.parquet", [{**rows[0], "open_interest": 1.0}, *rows[1:]])
    with pytest.raises(InputError, match="a source was rewritten"):
        build_history([str(path)], tmp_path / "grown", OPTIONS)
    # what was refused has left no trace
    saved(tmp_path, "a.parquet", rows)
    assert build_history([str(path)], tmp_path / "grown", OPTIONS).panel == whole.panel


def test_a_folder_of_something_else_is_left_alone(made, tmp_path):
    folder = made[0]
    sources = [str(folder / "chains")]
    with pytest.raises(InputError, match="another history"):
        build_history(sources, folder / "panel", OPTIONS)
    (tmp_path / "panel.parquet").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        build_history(sources, tmp_path, OPTIONS)
    assert (tmp_path / "panel.parquet").read_text() == "mine"


def test_a_table_that_was_changed_is_noticed(made, tmp_path):
    folder, options, _ = made
    sources = [str(folder / "chains" / "one.parquet")]
    build_history(sources, tmp_path / "out", options)
    path = tmp_path / "out" / "panel.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(InputError, match=r"is not what history\.json names"):
        build_history(sources, tmp_path / "out", options)


def test_a_worker_with_other_code_is_refused(made, monkeypatch):
    folder, options, _ = made
    moments = tuple(listed([str(folder / "chains" / "one.parquet")])[0].moments(("BTC",)))
    chunk = history_task.Chunk(moments, options, (0, 2**62), (("tailwag", "0"),))
    with pytest.raises(TailwagError, match="install the same packages"):
        run_chunk(chunk)


# No later row, no later file


def test_cutting_off_the_future_leaves_the_past_as_it_was(made, tmp_path):
    _, options, history = made
    snapshots, panel = tables(history)
    rows = crawls(6)
    for kept in (1, 4):
        saved(tmp_path / f"cut-{kept}", "one.parquet", rows[: 42 * min(kept, 3)])
        if kept > 3:
            saved(tmp_path / f"cut-{kept}", "two.parquet", rows[42 * 3 : 42 * kept])
        early = tables(build_history([str(tmp_path / f"cut-{kept}")], tmp_path / f"out-{kept}", options))
        assert early[0].equals(snapshots.head(kept))
        assert early[1].equals(panel.head(12 * kept))


def test_changing_the_future_leaves_the_past_as_it_was(made, tmp_path):
    _, options, history = made
    rows = crawls(6)
    other = [{**row, "open_interest": 3.0, "index_price": 1.1 * row["index_price"]} for row in rows[42 * 2 :]]
    saved(tmp_path / "in", "one.parquet", [*rows[: 42 * 2], *other[:42]])
    saved(tmp_path / "in", "two.parquet", other[42:])
    changed = tables(build_history([str(tmp_path / "in")], tmp_path / "out", options))
    for before, after, each in zip(tables(history), changed, (1, 12), strict=True):
        assert after.head(2 * each).equals(before.head(2 * each))
        assert not after.slice(2 * each, each).equals(before.slice(2 * each, each))


def test_the_span_chooses_snapshots_and_changes_none(made, tmp_path):
    folder, options, history = made
    snapshots, panel = tables(history)
    span = (snapshots["crawl_start_ns"][2], snapshots["crawl_start_ns"][3])
    found = tables(build_history([str(folder / "chains")], tmp_path / "out", options, span_ns=span))
    assert found[0]["snapshot"].to_list() == snapshots["snapshot"][2:4].to_list()
    assert found[1].equals(panel.slice(24, 24))


# Other sources


def test_csv_and_parquet_say_the_same(tmp_path):
    rows = crawls(2)
    saved(tmp_path / "one", "a.parquet", rows)
    saved(tmp_path / "two", "a.csv", rows)
    one, two = (tables(build_history([str(tmp_path / name)], tmp_path / f"out-{name}", OPTIONS)) for name in ("one", "two"))
    assert one[1].drop("snapshot").equals(two[1].drop("snapshot"))
    left = ("snapshot", "source", "content_sha256", "key")
    assert one[0].drop(left).equals(two[0].drop(left))


def test_a_store_says_when_each_snapshot_was_received(tmp_path):
    from tailwag.sources.demo import demo
    from tailwag.sources.store.recorder import Recorder

    at_ns = 1_789_482_600_000_000_000
    with Recorder(tmp_path / "market") as recorder:
        for rank in range(2):
            recorder.append(demo(seed=3, as_of_ns=at_ns + rank * HOUR_NS), received_ns=at_ns + rank * HOUR_NS + 7 * 10**9)
    options = HistoryOptions(rules=("short-all",), laws=("square-root", "book"))
    snapshots, panel = tables(build_history([str(tmp_path / "market")], tmp_path / "out", options))
    assert snapshots["snapshot"].to_list() == ["market:1:BTC", "market:2:BTC"]
    assert (snapshots["known_ns"] - snapshots["crawl_start_ns"]).to_list() == [7 * 10**9] * 2
    assert panel["law"].to_list() == ["square-root", "book"] * 2
    assert panel.filter(pl.col("law") == "square-root")["gain"].null_count() == 0
    assert panel.filter(pl.col("gain").is_null())["gain_reason"].null_count() == 0
    assert panel["hedged_oi_ratio"].null_count() == 0


# Workers and clusters


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_gives_the_same_bytes(made, tmp_path, workers):
    folder, options, _ = made
    told = []
    build_history(
        [str(folder / "chains")], tmp_path / "out", options, run=Processes(workers), progress=lambda done, of: told.append((done, of))
    )
    assert everything(tmp_path / "out") == everything(folder / "panel")
    assert told[-1] == (6, 6)


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes(made, tmp_path):
    distributed = pytest.importorskip("distributed")
    folder, options, _ = made
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        build_history([str(folder / "chains")], tmp_path / "out", options, run=Dask(cluster.scheduler_address))
    assert everything(tmp_path / "out") == everything(folder / "panel")


KILLED = """
import sys
from tailwag.experiments.study.history import build_history
from tailwag.experiments.study.history_maps import Processes
from tailwag.experiments.study.history_options import HistoryOptions

if __name__ == "__main__":
    options = HistoryOptions(rules=("long-calls-short-puts",), depth_usd_per_pct=2e6)
    build_history([sys.argv[1]], sys.argv[2], options, run=Processes(2), progress=lambda done, of: print(done, flush=True))
"""


@pytest.mark.slow
def test_a_build_that_is_killed_again_and_again_ends_with_the_same_bytes(tmp_path):
    rows = crawls(36)
    for rank in range(6):
        saved(tmp_path / "in", f"{rank}.parquet", rows[42 * 6 * rank : 42 * 6 * (rank + 1)])
    (tmp_path / "build.py").write_text(textwrap.dedent(KILLED))
    words = [sys.executable, str(tmp_path / "build.py"), str(tmp_path / "in"), str(tmp_path / "out")]
    journal = tmp_path / "out" / PARTS / "journal.jsonl"
    reached = [0]
    for _ in range(3):
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            # in the middle of what follows the first results beyond those of the run before
            next(line for line in process.stdout if int(line) > reached[-1])
            process.send_signal(signal.SIGKILL)
        reached.append(len(journal.read_bytes().splitlines()) - 1)
    assert 0 < reached[1] < reached[2] < reached[3] <= 36
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    build_history([str(tmp_path / "in")], tmp_path / "whole", OPTIONS, run=here)
    assert everything(tmp_path / "out") == everything(tmp_path / "whole")
