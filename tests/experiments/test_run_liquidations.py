"""What a run says of its liquidations: sums that agree with one another, the worst path, and words for both reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.experiments.scenario_texts import saved
from tests.experiments.test_scenario_leveraged import WORLD

from tailwag.experiments.run_liquidations import MOST_ROWS, liquidation_tables
from tailwag.experiments.run_report import run_report_html
from tailwag.experiments.scenario_files import load_scenario
from tailwag.experiments.simulate import simulate_file

JUMPS = WORLD.replace('model = "gbm"', 'model = "merton"').replace(
    "vol = 0.9", "vol = 0.9\njumps_per_year = 2000\njump_mean = -0.02\njump_std = 0.03"
)


@pytest.mark.parametrize("venue", ["binance-btcusdt", "deribit-btc"])
def test_sums_agree_and_the_worst_path_is_told(tmp_path: Path, venue: str) -> None:
    text = JUMPS.replace("deribit-btc", venue).replace("paths = 4", "paths = 40").replace("fund_usd = 1e7", "fund_usd = 1e4")
    simulated = simulate_file(load_scenario(saved(tmp_path, text)))
    document = simulated.document
    (found,) = document["liquidations"]
    total = found["liquidated_usd"]["value"]
    assert total > 0.0
    assert sum(row["value"] for row in found["by_side"].values()) == pytest.approx(total, rel=1e-12)
    assert sum(row["value"] for row in found["by_counterparty"].values()) == pytest.approx(total, rel=1e-12)
    # what was liquidated at the market is what the agent traded, path by path on average
    traded = document["metrics"]["agents"][0]["turnover_usd_per_day"]["value"] * 0.25
    sold = sum(found["by_counterparty"][party]["value"] for party in ("market", "fund", "empty fund"))
    assert sold == pytest.approx(traded, rel=1e-6)
    # what both sides, the fund and the bad debt gained is what the agent gained in the ledger: no costs are stated
    gained = found["gained"]
    inside = gained["longs_usd"]["value"] + gained["shorts_usd"]["value"] + gained["fund_usd"]["value"] - gained["bad_debt_usd"]["value"]
    if venue == "binance-btcusdt":
        assert inside == pytest.approx(document["pnl"][0]["total_usd"]["value"], rel=1e-9, abs=1e-3)
    worst = found["worst_path"]
    assert 0 < len(worst["events"]) <= MOST_ROWS
    assert {row["counterparty"] for row in worst["events"]} <= {"market", "fund", "empty fund", "deleveraged side", "bankrupt side"}
    assert all(row["reason"] and row["price_usd"] > 0.0 and row["usd"] > 0.0 for row in worst["events"])
    assert [row["hours"] for row in worst["events"]] == sorted(row["hours"] for row in worst["events"])
    assert any("liquidated on average" in sentence for sentence in document["headline"])
    json.dumps(document, allow_nan=False)
    page = run_report_html(document)
    assert "Who is liquidated?" in page
    assert "closed against the fund" in liquidation_tables(document)


def test_a_calm_market_liquidates_nobody_and_says_so(tmp_path: Path) -> None:
    calm = WORLD.replace("vol = 0.9", "vol = 0.01").replace("leverage = 30", "leverage = 2").replace("leverage = 10", "leverage = 3")
    document = simulate_file(load_scenario(saved(tmp_path, calm))).document
    assert document["liquidations"][0]["worst_path"] is None
    assert any("nobody was liquidated on 4 paths" in sentence for sentence in document["headline"])
    assert "path with most" not in liquidation_tables(document)
