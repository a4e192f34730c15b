"""Scenario files with several venues: what they become, what they refuse, and what their run says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from tests.experiments.scenario_texts import saved

from tailwag.errors import InputError
from tailwag.experiments.hedge_venues import hedge_places, hedge_table
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.run_report import run_report_html
from tailwag.experiments.scenario_files import ScenarioFile, load_scenario
from tailwag.experiments.scenario_switches import chosen_switch, for_agents
from tailwag.experiments.simulate import simulate_file
from tailwag.margin.funding import DeadBandFunding
from tailwag.margin.initial import margin_share
from tailwag.market.clock import parse_time_ns
from tailwag.sim.venues_home import everybody, venues_of
from tailwag.sources.rules import load_rules

WHOLE = """
[run]
horizon_days = 0.125
step_minutes = 5
start = "2026-02-05T16:00:00Z"
paths = 6
seed = 3
clearing = "lagged"

[price]
model = "gbm"
spot_usd = 68000
vol = 0.8

[impact]
permanent_per_usd = 2e-11

[[venue]]
name = "perp"
instrument = "perp"
rules = "deribit-btc"
mark = "mark"

[[venue]]
name = "spot"
impact = {permanent_per_usd = 3e-11}
costs = {fee_bps = 1}

[[venue]]
name = "chain"
impact = {permanent_per_usd = 6e-11}
chain = {network = "ethereum", block_share = 0.05, trade_usd = 2000, gas_price_gwei = 3, gas_coin_usd = 2000}

[[agent]]
kind = "dealer"
name = "on chain"
trades_on = "chain"
gamma_usd = -2e9
policy = {kind = "every-step"}
delay_steps = 1

[[agent]]
kind = "dealer"
name = "at home"
gamma_usd = -3e9
policy = {kind = "every-step"}
delay_steps = 1

[[agent]]
kind = "arbitrageur"
name = "arb"
between = ["perp", "spot"]
capital_usd = 1e8
"""


def loaded(folder: Path, text: str = WHOLE) -> ScenarioFile:
    return load_scenario(saved(folder, text))


def test_a_file_becomes_its_venues_with_figures_of_their_day(tmp_path: Path) -> None:
    scenario = loaded(tmp_path).scenario
    perp, spot, chain = venues_of(scenario).venues
    assert [agent.name for agent in everybody(scenario)] == ["at home", "arb", "on chain"]
    assert perp.funding == DeadBandFunding(0.00025, 0.005, 8.0)
    assert (perp.mark, perp.mark_seconds, venues_of(scenario).index_cap_share) == ("mark", 30.0, 0.005)
    assert (spot.scenario.costs.fee_bps, spot.counts_in_index, perp.counts_in_index) == (1.0, True, False)
    assert chain.chain is not None
    assert chain.chain.block_seconds == 12.0
    assert chain.chain.capacity_usd_per_block == math.floor(0.05 * 60e6 / 201_101) * 2_000.0
    assert chain.scenario.costs.gas_usd == pytest.approx(201_101 * 3e-9 * 2_000.0)


def test_a_block_held_half_as_much_a_year_before(tmp_path: Path) -> None:
    chain = venues_of(loaded(tmp_path, WHOLE.replace("2026-02-05", "2025-01-05")).scenario).venues[2].chain
    assert chain is not None
    assert chain.capacity_usd_per_block == math.floor(0.05 * 30e6 / 201_101) * 2_000.0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('trades_on = "chain"', 'trades_on = "chian"', "trades_on as one of perp, spot, chain"),
        ('between = ["perp", "spot"]', 'between = ["perp", "perp"]', "two different venues"),
        ('between = ["perp", "spot"]', 'between = ["perp", "sopt"]', r"agent.. 3: expected between as two of perp, spot, chain, got 'sopt' .did you mean spot"),
        ('name = "at home"', 'name = "on chain"', "on all venues together"),
        ('impact = {permanent_per_usd = 3e-11}\n', "", "each venue has its own depth"),
        ('mark = "mark"', 'mark = "mark"\nimpact = {permanent_per_usd = 1e-11}', "of the first venue stands in"),
        ("trade_usd = 2000, ", "", "trade_usd"),
        ('network = "ethereum", ', "block_seconds = 12, ", "read with network only"),
        ('instrument = "perp"', 'instrument = "swap"', "instrument"),
        ('gamma_usd = -2e9\npolicy = {kind = "every-step"}\ndelay_steps = 1', 'gamma_usd = -2e9\npolicy = {kind = "every-step"}\ndelay_steps = 0', "delay_steps"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_sentence(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in WHOLE
    with pytest.raises(InputError, match=said):
        loaded(tmp_path, WHOLE.replace(old, new))


def test_an_arbitrageur_wants_venues(tmp_path: Path) -> None:
    alone = WHOLE[: WHOLE.index("[[venue]]")] + WHOLE[WHOLE.index('[[agent]]\nkind = "arbitrageur"') :]
    with pytest.raises(InputError, match=r"\[\[venue\]\] tables"):
        loaded(tmp_path, alone)


def test_the_document_and_the_page_tell_of_every_venue(tmp_path: Path) -> None:
    file = loaded(tmp_path)
    done = simulate_file(file)
    again = simulate_file(file, threads=2)
    assert strict_json(done.document) == strict_json(again.document)
    told = json.loads(strict_json(done.document))["venues"]
    assert [row["venue"] for row in told["venues"]] == ["perp", "spot", "chain"]
    assert told["combined_impact_per_usd"] == pytest.approx(1e-11)
    assert told["combined_gain"] == pytest.approx(5e9 * 1e-11)
    assert [row["gain_alone"] for row in told["venues"]] == pytest.approx([3e9 * 2e-11, 0.0, 2e9 * 6e-11])
    chain = told["venues"][2]["chain"]
    assert chain["delay_seconds"]["value"] > 100.0
    assert [row["agent"] for row in done.document["pnl"]] == ["at home", "arb", "on chain"]
    assert told["arbitrageurs"][0]["profit_usd"]["value"] == pytest.approx(
        next(row["total_usd"]["value"] for row in done.document["pnl"] if row["agent"] == "arb"), rel=1e-9
    )
    page = run_report_html(done.document)
    assert "Arbitrage, mean of 6 paths" in page
    assert "on chain" in page


def test_switches_reach_every_venue_and_everybody(tmp_path: Path) -> None:
    scenario = loaded(tmp_path).scenario
    flipped = venues_of(chosen_switch("flip-gamma")(scenario))
    assert [agent.gamma_usd for venue in flipped.venues for agent in venue.scenario.agents] == [3e9, 2e9]
    names = [one.parameters["agent"] for one in for_agents(chosen_switch("without"), scenario)]
    assert names == ["at home", "arb", "on chain"]
    left = [[agent.name for agent in everybody(chosen_switch(f"without:agent={name}")(scenario))] for name in names]
    assert left == [["arb", "on chain"], ["at home", "on chain"], ["at home", "arb"]]
    assert not chosen_switch("without-arbitrage")(scenario).elsewhere.arbitrageurs  # type: ignore[union-attr]
    assert {venue.mark for venue in venues_of(chosen_switch("liquidate-on-index")(scenario)).venues} == {"index"}


# Where to hedge


def test_margin_is_the_tables_of_the_day() -> None:
    """Deribit: 2 % and 0.005 % a coin; Binance: one over the most leverage of the tier (25 x up to 70 million); the last share is 1 at most."""
    at_ns = parse_time_ns("2026-02-05T00:00:00Z")
    deribit = margin_share(load_rules("margin_deribit_btc"), 30 * 80_000.0, price_usd=80_000.0, at_ns=at_ns)
    assert (deribit.share, deribit.kind) == (pytest.approx(0.02 + 30 * 5e-5), "initial")
    assert margin_share(load_rules("margin_binance_btcusdt"), 5e7, price_usd=80_000.0, at_ns=at_ns).share == 1.0 / 25.0
    assert margin_share(load_rules("margin_deribit_btc"), 1e12, price_usd=80_000.0, at_ns=at_ns).share == 1.0
    with pytest.raises(InputError, match="above 0"):
        margin_share(load_rules("margin_deribit_btc"), 0.0, price_usd=80_000.0, at_ns=at_ns)


def test_every_venue_is_tried_as_the_place_of_the_hedge(tmp_path: Path) -> None:
    file = loaded(tmp_path)
    found = {one.venue: one for one in hedge_places(file)}
    assert list(found) == ["perp", "spot", "chain"]
    assert [one.gain_alone for one in found.values()] == pytest.approx([5e9 * 2e-11, 5e9 * 3e-11, 5e9 * 6e-11])
    assert [one.gain_together for one in found.values()] == pytest.approx([5e9 * 1e-11] * 3)
    for name, one in found.items():
        assert one.margin_per_gamma == pytest.approx(one.margin_usd / 5e9)
        assert (one.margin.kind == "initial") is (name == "perp")
        assert (one.wait_seconds > 0.0) is (name == "chain")
    assert found["perp"].margin_usd < 0.2 * found["spot"].margin_usd
    assert found["spot"].cost_usd_a_day.value > found["perp"].cost_usd_a_day.value  # type: ignore[operator]
    text = hedge_table(tuple(found.values()))
    assert len(text.splitlines()) == 4
    assert "(full value)" in text


def test_dealers_move_as_a_switch(tmp_path: Path) -> None:
    scenario = loaded(tmp_path).scenario
    chosen = for_agents(chosen_switch("hedge-on"), scenario)
    assert [one.label for one in chosen] == ["hedge-on:venue=perp", "hedge-on:venue=spot", "hedge-on:venue=chain"]
    on = [[len(venue.scenario.agents) for venue in venues_of(one(scenario)).venues] for one in chosen]
    assert on == [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
    with pytest.raises(InputError, match="hedge-on"):
        chosen_switch("hedge-on:venue=moon")(scenario)


# A future that settles inside


DATED = """
[[venue]]
name = "dated"
instrument = "future"
carry_per_year = 0.06
expiry_days = 0.0833
impact = {permanent_per_usd = 4e-11}

[[agent]]
kind = "dealer"
name = "on the future"
trades_on = "dated"
gamma_usd = -1e9
policy = {kind = "every-step"}
delay_steps = 1

[[agent]]
kind = "arbitrageur"
name = "carry"
between = ["spot", "dated"]
capital_usd = 1e8
"""


def test_a_future_that_settles_inside_the_run_is_said_and_told(tmp_path: Path) -> None:
    file = loaded(tmp_path, WHOLE + DATED)
    assert any("venue dated: settles in cash 2 h from the start" in note for note in file.notes)  # 1.9992 h: the nearest step
    document = simulate_file(file).document
    row = document["venues"]["venues"][3]
    settled = row["settlement"]
    assert (settled["hours"], settled["samples"], settled["paths"]) == (pytest.approx(2.0), 6, 6)
    assert row["last_price_usd"]["value"] == pytest.approx(settled["price_usd"]["value"], rel=1e-12)
    assert 0.0 < settled["last_basis_bps"]["value"] < 5.0
    assert any(line.startswith("dated: settled after 2 h at") for line in document["headline"])
    assert [one["settlement"] for one in document["venues"]["venues"][:3]] == [None] * 3
    page = run_report_html(document)
    assert "after 2 h," in page


def test_who_has_an_account_of_his_own_may_not_stand_on_a_future_that_settles(tmp_path: Path) -> None:
    perp = '\n[[agent]]\nkind = "crab"\nname = "perp sellers"\ntrades_on = "dated"\nnotional_usd = 1e8\niv = 0.6\n'
    perp += 'policy = {kind = "time-or-threshold", every_hours = 24, move_share = 0.01}\nrules = "squeeth_eth"\ndelay_steps = 1\n'
    with pytest.raises(InputError, match=r"'dated' settles inside the run.*'perp sellers'"):
        loaded(tmp_path, WHOLE + DATED + perp)


@pytest.mark.parametrize(("rules", "said"), [("deribit-btc", 0), ("binance-btcusdt", 1)])
def test_two_rulebooks_of_one_perp_are_said(tmp_path: Path, rules: str, said: int) -> None:
    traders = f"""
[[agent]]
kind = "leveraged-traders"
name = "longs"
venue = "{rules}"
delay_steps = 1
open_interest_usd = 1e9
longs = [{{leverage = 10, share = 0.2}}]
shorts = []
account_usd = 1e5
fund_usd = 1e6
"""
    notes = [note for note in load_scenario(saved(tmp_path, WHOLE + traders)).notes if "liquidated by the rules of" in note]
    assert len(notes) == said
    assert all("binance-btcusdt" in note and "deribit-btc" in note and "venue perp" in note for note in notes)
