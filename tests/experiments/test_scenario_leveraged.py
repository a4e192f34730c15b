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
