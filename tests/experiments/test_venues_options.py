"""The option market beside several venues: home's vaults and pools have their accounts, and who trades options elsewhere is told where it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.experiments.scenario_texts import BASE, saved
from tests.experiments.test_scenario_options import DESK, MARKET, VAULT
from tests.sim.test_vault_market import crowded

from tailwag.errors import InputError
from tailwag.experiments.run_amm import options_pools
from tailwag.experiments.run_vaults import vault_sentences, vaults
from tailwag.experiments.scenario_files import load_scenario
from tailwag.experiments.scenario_venues import OPTION_KINDS
from tailwag.sim.agents.arbitrageur import Arbitrageur
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Costs, Scenario
from tailwag.sim.vault_record import record_vaults
from tailwag.sim.venues import Venue, Venues
from tailwag.sim.venues_home import home_scenario

PLACES = '\n[[venue]]\nname = "perp"\ninstrument = "perp"\n\n[[venue]]\nname = "spot"\nimpact = {permanent_per_usd = 2e-11}\n'

POOL = """
[[agent]]
kind = "options-amm"
name = "pool"
mode = "static"
deposit_usd = 2e7
option_fee_share = 0.02
spot_fee_share = 0.001
delay_steps = 1
"""


def beside(home: Scenario, *arbitrageurs: Arbitrageur) -> Scenario:
    """Home with an empty venue beside it."""
    other = replace(home, agents=(), options=None)
    return home_scenario(Venues((Venue("home", home), Venue("other", other)), arbitrageurs))


def test_a_venue_that_nobody_reaches_changes_no_bit_of_a_vaults_account() -> None:
    home = crowded()
    alone, window = record_vaults(home, seed=8, paths=8)
    told, beside_window = record_vaults(beside(home), seed=8, paths=8)
    assert [record.agent for record in told] == [record.agent for record in alone]
    for one, other in zip(alone, told):
        for figure in ("sold_coin", "premium_usd", "payoff_usd", "open_usd", "profit_usd", "assets"):
            assert (getattr(one, figure) == getattr(other, figure)).all(), figure
    assert window is not None
    assert beside_window is not None
    assert (window.gain_after == beside_window.gain_after).all()


@pytest.mark.slow
def test_with_arbitrage_the_account_is_that_of_the_run_itself() -> None:
    home = crowded(costs=Costs())
    scenario = beside(home, Arbitrageur("arb", "home", "other", capital_usd=1e9, latency_steps=1))
    run = simulate(scenario, paths=4, seed=2)
    told = vaults(run)
    assert [entry["agent"] for entry in told] == ["calls", "puts", "many"]
    records, _ = record_vaults(scenario, seed=2, paths=4)
    profits = {agent.name: agent.pnl_usd.value for agent in run.metrics.agents}
    for entry, record in zip(told, records):
        made = entry["holding_usd"]["value"] + entry["against_holding_usd"]["value"]
        assert made == pytest.approx(profits[entry["agent"]], rel=1e-9)
        assert np.abs(record.residual_usd).max() < 1e-6
    alone = vaults(simulate(home, paths=4, seed=2))
    assert told[1]["coin_usd"] != alone[1]["coin_usd"], "arbitrage moves home's price, and the vault is settled on it"
    assert len(vault_sentences(told)) == 4


def test_a_file_with_venues_and_an_option_market_is_read_and_told_of(tmp_path: Path) -> None:
    file = load_scenario(saved(tmp_path, BASE + PLACES + MARKET + DESK + VAULT + POOL))
    assert file.scenario.options is not None
    run = simulate(file.scenario, paths=4, seed=1)
    assert vaults(run)[0]["agent"] == "calls"
    pool = options_pools(run)[0]
    assert pool["agent"] == "pool"
    assert pool["share_value"]["value"] > 0.5
    assert abs(pool["residual_usd"]["value"]) < 1e-6


@pytest.mark.parametrize("kind", OPTION_KINDS)
def test_who_trades_options_elsewhere_is_told_that_the_market_is_at_home(tmp_path: Path, kind: str) -> None:
    placed = f'\n[[agent]]\nkind = "{kind}"\nname = "far"\ntrades_on = "spot"\n'
    with pytest.raises(InputError, match=rf"a {kind} trades on the option market, which is at home \(perp\).*leave trades_on out"):
        load_scenario(saved(tmp_path, BASE + PLACES + MARKET + placed))


def test_an_option_agent_that_names_home_is_at_home(tmp_path: Path) -> None:
    named = VAULT.replace('name = "calls"', 'name = "calls"\ntrades_on = "perp"')
    file = load_scenario(saved(tmp_path, BASE + PLACES + MARKET + DESK + named))
    assert [agent.name for agent in file.scenario.agents] == ["desk", "quotes", "calls"]
