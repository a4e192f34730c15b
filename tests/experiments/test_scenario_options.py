"""[options] and quoting dealers of scenario files: read, refused, run, told of, and limited by a switch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.experiments.scenario_texts import BASE, changed, saved

from tailwag.errors import InputError, UnitError
from tailwag.experiments.run_options import option_tables
from tailwag.experiments.scenario_files import load_scenario
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.experiments.simulate import simulate_file
from tailwag.sim.option_market import OptionTerms

DESK = """
[[agent]]
kind = "quoting-dealer"
name = "quotes"
policy = "every-step"
delay_steps = 1
half_spread_volpt = 2
size_coin = 40
vega_skew_volpt = 0.5
"""
VAULT = """
[[agent]]
kind = "vault"
name = "calls"
sells = "covered-calls"
assets_coin = 100
first_epoch_hours = 0
epoch_hours = 4
auction_after_hours = 1
strike_delta = 0.2
reserve_share = 0.3
delay_steps = 1
"""
MARKET = '\n[options]\niv = 0.7\nskew = -0.2\nsettlement = "spot"\n'


def loaded(folder: Path, text: str) -> Any:
    return load_scenario(saved(folder, text))


def test_the_table_is_the_terms(tmp_path: Path) -> None:
    assert loaded(tmp_path, BASE).scenario.options is None
    assert loaded(tmp_path, BASE + MARKET).scenario.options == OptionTerms(0.7, -0.2, averaged=False)
    bare = loaded(tmp_path, BASE + "\n[options]\n")
    assert bare.scenario.options == OptionTerms(0.6)
    assert any("[options]: iv is not stated" in note for note in bare.notes)


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        (BASE + "\n[options]\niv = 70\n", UnitError, "write 0.7"),
        (BASE + "\n[options]\nsettlment = 'spot'\n", InputError, "settlement"),
        (BASE + "\n[options]\nskew = 90\n", UnitError, "skew"),
        (BASE + DESK, InputError, r"no option market.*\[options\]"),
        (BASE + MARKET + DESK.replace("half_spread_volpt = 2\n", ""), InputError, "half_spread_volpt"),
        (BASE + MARKET + DESK.replace('"every-step"', '"charm-only"'), InputError, "wants a book that stays"),
        (BASE + MARKET + DESK + "strike_limit_coin = 0\n", InputError, "strike_limit_coin"),
        (BASE + MARKET + DESK + "book = 'x.json'\n", InputError, "unknown key 'book'"),
        (changed(('kind = "dealer"', "kind = 'quoting'")), InputError, "quoting-dealer"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        loaded(tmp_path, text)


def test_a_run_tells_who_traded_options(tmp_path: Path) -> None:
    file = loaded(tmp_path, BASE + MARKET + DESK + VAULT)
    document = simulate_file(file).document
    desk, vault = document["option_trades"]
    assert [desk["agent"], vault["agent"]] == ["quotes", "calls"]
    assert desk["traded_coin"]["value"] == pytest.approx(80.0)  # two epochs
    assert vault["unfilled_coin"]["value"] > 0.0
    for figure in ("premium_usd", "edge_usd", "settled_usd", "value_usd", "options_usd"):
        assert desk[figure]["value"] == pytest.approx(-vault[figure]["value"], rel=1e-9, abs=1e-6)
    assert desk["edge_usd"]["value"] > 0.0
    assert desk["crossed_share"]["value"] == 0.0
    assert vault["crossed_share"] is None
    assert any(line.startswith("quotes: traded 80 coin of options a path") for line in document["headline"])
    assert [agent["kind"] for agent in document["assumptions"]["agents"]][:2] == ["dealer", "quoting-dealer"]
    page = option_tables(document)
    assert "Options traded by quotes" in page
    assert "crossed inside" in page
    assert simulate_file(loaded(tmp_path, BASE)).document["option_trades"] == []


def test_a_limit_on_positions_is_a_switch(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, BASE + MARKET + DESK + "expiry_limit_coin = 50\n").scenario
    rule = chosen_switch("position-limit:strike_sizes=0.5")(scenario).agents[1].rule
    assert (rule.strike_limit_coin, rule.expiry_limit_coin) == (20.0, 50.0)
    without = loaded(tmp_path, BASE).scenario
    assert chosen_switch("position-limit")(without) is without
