"""The kind leveraged-traders of a scenario file: read with the venue's rules of the day, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.experiments.scenario_texts import saved

from tailwag.errors import InputError
from tailwag.experiments.scenario_files import load_scenario
from tailwag.sim.agents.leveraged import LeveragedTraders

WORLD = """
[run]
horizon_days = 0.25
step_minutes = 15
start = 2026-02-05T00:00:00Z
paths = 4
seed = 7
clearing = "implicit"

[price]
model = "gbm"
spot_usd = 70000
vol = 0.9

[impact]
permanent_per_usd = 2.5e-11

[[agent]]
kind = "leveraged-traders"
name = "perp"
venue = "deribit-btc"
delay_steps = 0
open_interest_usd = 2e9
longs = [{leverage = 10, share = 0.25}, {leverage = 30, share = 0.1}]
shorts = [{leverage = 5, share = 0.2}]
account_usd = 100000
accounts = 10
fund_usd = 1e7
"""


def test_a_venue_and_its_mix_become_accounts(tmp_path: Path) -> None:
    file = load_scenario(saved(tmp_path, WORLD))
    agent = file.scenario.agents[0]
    assert isinstance(agent, LeveragedTraders)
    assert agent.rules.rounds
    assert [(bucket.side, bucket.leverage, bucket.notional_usd) for bucket in agent.buckets] == [
        ("long", 10.0, 5e8),
        ("long", 30.0, 2e8),
        ("short", 5.0, 4e8),
    ]
    assert any("no funding is charged" in note for note in file.notes)
    # 1 % and 0.005 % a coin of 100,000 USD at 70,000: 1.0071 %
    assert agent.buckets[0].maintenance(agent.rules, 70_000.0) == pytest.approx(0.01 + 0.00005 / 0.7, rel=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('venue = "deribit-btc"', 'venue = "ftx"', "expected venue as one of deribit-btc"),
        ('venue = "deribit-btc"', 'venue = "deribit-btc"\nrules_at = 2019-01-01T00:00:00Z', "is known from 2022-01-11"),
        ("start = 2026-02-05T00:00:00Z\n", "", "state rules_at"),
        ("share = 0.25", "share = 0.95", "sum to 1 at most"),
        ("leverage = 30", "leverage = 10", "named twice"),
        ("leverage = 30", "leverage = 300", "liquidated at once"),
        ("share = 0.1}", "share = 0.1, size = 3}", "unknown key 'size'"),
        ("fund_usd = 1e7", "", "fund_usd is missing"),
        ("fund_usd = 1e7", "fund_usd = 1e16", "fund_usd from 0 to 9e"),
        ("open_interest_usd = 2e9", "open_interest_usd = 1e16", "open_interest_usd above 0 and at most 9e"),
        ("account_usd = 100000", "account_usd = 3e9", "account_usd above 0 and at most 2e"),
        ("shorts = [{leverage = 5, share = 0.2}]", "", "shorts is missing"),
        ("open_interest_usd = 2e9", "open_interest_usd = 0", "above 0"),
        ("open_interest_usd = 2e9", "open_interest_usd = 2e12", "gain below 1"),
        ('clearing = "implicit"', 'clearing = "damped"', "damped clearing"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    text = WORLD.replace(old, new)
    if "damped" in text:
        text = text.replace("delay_steps = 0", "delay_steps = 1")
    assert text != WORLD
    with pytest.raises(InputError, match=sentence):
        load_scenario(saved(tmp_path, text))


BOTH_SIDES = "longs = [{leverage = 10, share = 0.25}, {leverage = 30, share = 0.1}]\nshorts = [{leverage = 5, share = 0.2}]"


@pytest.mark.parametrize("mix", ["longs = []\nshorts = []", "longs = [{leverage = 3, share = 0}]\nshorts = []"])
def test_a_market_without_leverage_is_refused_by_its_cause(tmp_path: Path, mix: str) -> None:
    assert BOTH_SIDES in WORLD
    with pytest.raises(InputError, match="leverage on one side at least"):
        load_scenario(saved(tmp_path, WORLD.replace(BOTH_SIDES, mix)))


def test_leverage_that_the_venue_does_not_open_is_said(tmp_path: Path) -> None:
    # Deribit's initial margin of 100,000 USD at 70,000: 2 % and 0.005 % for each of 1.4286 coins, 49.82 x
    (note,) = (
        one for one in load_scenario(saved(tmp_path, WORLD.replace("leverage = 30", "leverage = 60"))).notes if "initial margin" in one
    )
    assert "60 x" in note
    assert f"{1 / (0.02 + 5e-5 / 0.7):.4g} x at most" in note
    at_most = load_scenario(saved(tmp_path, WORLD.replace("leverage = 30", "leverage = 49.8")))
    assert not any("initial margin" in one for one in at_most.notes)


def own(tmp_path: Path, text: str) -> tuple[LeveragedTraders, tuple[str, ...]]:
    """The agent of a file with rules of its own in place of Deribit's, and what is said of it."""
    file = load_scenario(saved(tmp_path, WORLD.replace("delay_steps = 0", f"own_rules = {{{text}}}\ndelay_steps = 0")))
    agent = file.scenario.agents[0]
    assert isinstance(agent, LeveragedTraders)
    return agent, file.notes


def test_rules_of_ones_own_replace_what_they_name_and_nothing_else(tmp_path: Path) -> None:
    plain = load_scenario(saved(tmp_path, WORLD)).scenario.agents[0]
    assert isinstance(plain, LeveragedTraders)
    agent, notes = own(tmp_path, 'liquidates = "whole", unpaid = "deleveraging", liquidation_fee_share = 0.004, contract = "linear"')
    rules = agent.rules
    assert (rules.rounds, rules.deleverages, rules.liquidation_fee_share, rules.contract.value) == (False, True, 0.004, "linear")
    assert (rules.maintenance, rules.funding, agent.initial) == (plain.rules.maintenance, plain.rules.funding, plain.initial)
    assert any(
        "liquidates, unpaid, liquidation_fee_share, contract are figures of your own in place of deribit-btc's" in note for note in notes
    )
    fee, _ = own(tmp_path, "liquidation_fee_share = 0.004")
    assert (fee.rules.rounds, fee.rules.deleverages, fee.rules.contract) == (
        plain.rules.rounds,
        plain.rules.deleverages,
        plain.rules.contract,
    )


def test_tiers_and_shares_of_ones_own(tmp_path: Path) -> None:
    tiers = "tiers = [{up_to_usd = 4e4, maintenance_share = 0.003, most_leverage = 90}, {up_to_usd = 9e9, maintenance_share = 0.021, most_leverage = 31}]"
    agent, _ = own(tmp_path, tiers)
    # marginal rates: 40,000 at 0.3 %, the other 60,000 of an account at 2.1 %
    assert agent.buckets[0].maintenance(agent.rules, 70_000.0) == pytest.approx((4e4 * 0.003 + 6e4 * 0.021) / 1e5, rel=1e-12)
    assert agent.initial is not None
    assert float(agent.initial.margin_usd(1e5, price_usd=70_000.0)) == pytest.approx(1e5 / 31, rel=1e-12)
    agent, _ = own(tmp_path, "maintenance_base_share = 0.013, maintenance_share_per_coin = 0.0007, initial_base_share = 0.03")
    assert agent.buckets[0].maintenance(agent.rules, 70_000.0) == pytest.approx(0.013 + 0.0007 / 0.7, rel=1e-12)
    assert float(agent.initial.margin_usd(1e5, price_usd=70_000.0)) == pytest.approx(3e3, rel=1e-12)


def test_the_least_collateral_of_a_rank_does_not_change_its_unit(tmp_path: Path) -> None:
    agent, _ = own(tmp_path, 'contract = "inverse"')
    text = WORLD.replace("deribit-btc", "binance-btcusdt").replace("delay_steps = 0", 'own_rules = {contract = "inverse"}\ndelay_steps = 0')
    other = load_scenario(saved(tmp_path, text)).scenario.agents[0]
    assert isinstance(other, LeveragedTraders)
    assert (agent.rules.collateral_floor, other.rules.collateral_floor) == (0.0, 0.0)  # 1 USDT is not 1 BTC
    usd = load_scenario(saved(tmp_path, WORLD.replace("deribit-btc", "binance-btcusdt"))).scenario.agents[0]
    assert isinstance(usd, LeveragedTraders)
    assert usd.rules.collateral_floor == 1.0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected one of contract, tiers"),
        ('liquidate = "rounds"', "did you mean liquidates"),
        ('liquidates = "partly"', "one of whole, rounds"),
        ("liquidation_fee_share = 0.75", "from 0 to 0.5"),
        ("tiers = []", "a tier at least"),
        ("tiers = [{up_to_usd = 1e6, maintenance_share = 0}]", "maintenance_share above 0"),
        ("tiers = [{up_to_usd = 1e9, maintenance_share = 0.01}, {up_to_usd = 1e6, maintenance_share = 0.02}]", "rising upper edges"),
        ("tiers = [{up_to_usd = 1e6, maintenance_share = 0.01}, {up_to_usd = 1e9, maintenance_share = 0.005}]", "do not fall"),
        (
            "tiers = [{up_to_usd = 1e6, maintenance_share = 0.01, most_leverage = 50}, {up_to_usd = 1e9, maintenance_share = 0.02}]",
            "every tier or in none",
        ),
        ("maintenance_base_share = 0.01, tiers = [{up_to_usd = 1e6, maintenance_share = 0.01}]", "all but one out"),
        ("maintenance_share_per_coin = 0.001", "maintenance_base_share is missing"),
        ("maintenance_base_share = 0.025", "initial margin of at least the maintenance margin, got 2.01 % and 2.5 %"),
    ],
)
def test_rules_of_ones_own_that_cannot_be_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        own(tmp_path, text)
