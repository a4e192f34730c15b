"""What a run says of margined books: entries that add up with the record, sentences, tables, and nothing where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.cli.command import tailwag
from tests.experiments.scenario_texts import BASE, saved

from tailwag.errors import InputError
from tailwag.experiments.run_report_view import run_answer
from tailwag.experiments.run_takeovers import takeover_sentences, takeover_tables
from tailwag.experiments.scenario_files import load_scenario
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.margined_events import OPTIONS, PERP
from tailwag.sim.margined_record import record_takeovers

SELLERS = """
[[agent]]
kind = "margined-book"
name = "sellers"
options = [{right = "call", strike_usd = 62000, days = 2, contracts = -600, iv = 0.6}]
venue = "deribit-btc"
rules_at = 2026-02-05T00:00:00Z
margin = "isolated"
collateral_usd = 6e6
hedge_collateral_share = 0.05
accounts = 20
delay_steps = 0
backstop_hedge_share = 0
fund_usd = 1e5
"""
HEAD = """
[run]
horizon_days = 1
step_minutes = 60
paths = 12
seed = 3
clearing = "implicit"

[price]
model = "gbm"
spot_usd = 60000
vol = 1.1

[impact]
permanent_per_usd = 1e-10
"""


def test_the_entry_says_what_the_record_says(tmp_path: Path) -> None:
    path = saved(tmp_path, HEAD + SELLERS)
    out = tmp_path / "out"
    done = tailwag("simulate", str(path), "--out", str(out))
    assert done.code == 0, done.err
    document = json.loads((out / "run.json").read_text())
    (entry,) = document["takeovers"]
    (record,) = record_takeovers(load_scenario(path).scenario, seed=3, paths=12)
    assert (entry["agent"], entry["margin"], entry["paths"]) == ("sellers", "isolated", 12)
    assert 0 < entry["paths_called"] == np.unique(record.takeovers.path).size
    for word, leg in (("forced_hedge_usd", PERP), ("options_taken_usd", OPTIONS)):
        assert entry[word]["value"] == pytest.approx(float(record.forced_usd(leg).mean()), rel=1e-12)
    assert entry["taken_share"]["value"] == pytest.approx(float(record.taken_share.mean()), rel=1e-12)
    (sentence,) = takeover_sentences([entry])
    assert sentence in document["headline"]
    assert f"called on {entry['paths_called']} of 12 paths" in sentence
    worst = entry["worst_path"]
    assert worst["events"]
    assert {event["counterparty"] for event in worst["events"]} <= {"market", "backstop"}
    assert all(event["leg"] == "perp" or event["coin"] > 0.0 for event in worst["events"])
    page = takeover_tables(document)
    assert "sellers on isolated margin" in page
    assert "equity fell below the maintenance margin" in page
    assert any(question == "Who is liquidated?" and sentence.replace("+-", "±") in said for question, said in run_answer(document).answers)
    assert document["assumptions"]["agents"][0]["kind"] == "margined-book"


def test_nobody_on_margin_nothing_to_say(tmp_path: Path) -> None:
    assert record_takeovers(load_scenario(saved(tmp_path, BASE)).scenario, seed=1, paths=2) == ()
    quiet = {"agent": "a", "margin": "cross", "paths": 4, "paths_called": 0}
    assert takeover_sentences([quiet]) == ["a (cross margin): its venue took nothing on 4 paths."]
    assert takeover_tables({}) == ""


def test_the_reader_takes_the_rules_of_the_day_and_refuses_what_is_not_known(tmp_path: Path) -> None:
    (agent,) = load_scenario(saved(tmp_path, HEAD + SELLERS)).scenario.agents
    assert isinstance(agent, MarginedBook)
    assert (agent.terms.option.maintenance_share, agent.terms.perp_fee_share, agent.terms.accounts) == (0.075, 0.0075, 20)
    for old, new, said in (
        ('"deribit-btc"', '"deribit-eth"', "expected venue as one of deribit-btc"),
        ('"isolated"', '"both"', "one of cross, isolated"),
        ('"isolated"', '"cross"', "where one purse stands behind both"),
        ("2026-02-05", "2020-02-05", "add the earlier figure"),
        ("rules_at = 2026-02-05T00:00:00Z\n", "", "state rules_at"),
        ("fund_usd = 1e5\n", "", "fund_usd"),
        ("fund_usd = 1e5\n", "fund_usd = 1e16\n", "fund_usd from 0 to 9e"),
        ("collateral_usd = 6e6", "collateral_usd = 1e16", "collateral_usd above 0 and at most 9e"),
        ("backstop_hedge_share = 0\n", "", "backstop_hedge_share"),
        ("hedge_collateral_share = 0.05\n", "", "hedge_collateral_share"),
    ):
        with pytest.raises(InputError, match=said):
            load_scenario(saved(tmp_path, (HEAD + SELLERS).replace(old, new)))
