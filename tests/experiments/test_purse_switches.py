"""Two purses in place of one, and a backstop that hedges: what the switches change, what they refuse, and what is measured of a call."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.experiments.scenario_files import Overrides
from tailwag.experiments.scenario_library import library_story, open_story
from tailwag.experiments.scenario_outcomes import Watch, path_columns
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.blocks import run_block
from tailwag.sim.engine import plan_run
from tailwag.sim.margined_events import PERP
from tailwag.sim.margined_record import record_takeovers
from tailwag.sim.scenario import Scenario

WATCH = Watch(None, 0.0, 0.01)


def sellers(collateral: float = 4e7) -> Scenario:
    scenario = open_story(library_story("hedged-sellers"), overrides=Overrides(paths=60), given={}).scenario
    (agent,) = scenario.agents
    assert isinstance(agent, MarginedBook)
    return replace(scenario, agents=(replace(agent, collateral_usd=collateral),))


def test_a_switch_parts_the_purse_or_leaves_everything_as_it_is() -> None:
    world = sellers()
    (apart,) = chosen_switch("isolated-margin:behind_perp=0.15")(world).agents
    assert isinstance(apart, MarginedBook)
    assert (apart.terms.margin, apart.hedge_collateral_share) == ("isolated", 0.15)
    again = chosen_switch("isolated-margin")(replace(world, agents=(apart,)))
    assert again.agents == (apart,), "two purses stay as they are"
    (hedged,) = chosen_switch("backstop-hedges")(world).agents
    assert isinstance(hedged, MarginedBook)
    assert hedged.backstop_hedge_share == 1.0
    quiet = open_story(library_story("quiet-pin"), overrides=Overrides(), given={}).scenario
    assert chosen_switch("isolated-margin")(quiet) is quiet
    assert chosen_switch("backstop-hedges")(quiet) is quiet
    with pytest.raises(InputError, match=r"switch isolated-margin.*of initial margin at the start"):
        chosen_switch("isolated-margin")(sellers(3.2e7))


def test_what_is_measured_of_a_call_is_what_was_written_down() -> None:
    world = chosen_switch("isolated-margin:behind_perp=0.1")(sellers())
    block = run_block(plan_run(world, seed=31), 0, 60, keep_agents=True)
    columns = path_columns(world, block, WATCH)
    (record,) = record_takeovers(world, seed=31, paths=60)
    called = np.bincount(record.takeovers.path, minlength=60) > 0
    assert 0.1 < called.mean() < 0.9
    assert (columns["called"] == called).all()
    assert columns["taken_share"] == pytest.approx(record.taken_share, abs=1e-15)
    assert columns["liquidated_usd"] == pytest.approx(record.forced_usd(PERP), rel=1e-12)
    quiet = replace(world, agents=())
    assert not {"called", "taken_share"} & set(path_columns(quiet, run_block(plan_run(quiet, seed=1), 0, 2, keep_agents=True), WATCH))
