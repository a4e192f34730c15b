"""Switches that follow the measured gain: what they change, what they refuse, and what they do on common seeds, harm included."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.sim.test_ladder import LAMBDA
from tests.sim.test_leveraged import MIX, rules, scenario

from tailwag.errors import InputError
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.hedging.policies import EveryStep
from tailwag.margin.contract import Contract
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.margined import MarginedHedger
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import plan_run
from tailwag.sim.scenario import Scenario

DEALER = Dealer("dealer", EveryStep(), 0, gamma_usd=-0.4 / LAMBDA)
FEW = tuple(replace(bucket, notional_usd=0.2 * bucket.notional_usd) for bucket in MIX)
TRADERS = LeveragedTraders("traders", 0, FEW, rules(Contract.LINEAR), fund_usd=1e7)


def world(steps: int, vol: float) -> Scenario:
    return replace(scenario(np.zeros(steps), TRADERS, DEALER), price=Gbm(vol=vol))


def test_what_they_change_and_what_they_leave() -> None:
    base = world(3, 1.0)
    one = chosen_switch("dynamic-margin:notice_minutes=7")(base)
    assert one.agents[1] is DEALER
    assert one.agents[0].margin is not None
    assert one.agents[0].margin.notice_steps == 7
    two = chosen_switch("controller:every_minutes=2,target=0.3")(base)
    assert two.agents[0] is TRADERS
    assert isinstance(two.agents[1], MarginedHedger)
    assert two.agents[1].rule.every_steps == 2
    bare = replace(base, agents=(DEALER,))
    assert chosen_switch("dynamic-margin")(bare) is bare
    alone = replace(base, agents=(TRADERS,))
    assert chosen_switch("controller")(alone) is alone


def test_a_controller_that_would_not_settle_is_refused_with_the_integral_that_does() -> None:
    bare = replace(world(3, 1.0), agents=(DEALER,))
    with pytest.raises(InputError, match="take integral below 20"):  # 2 x 0.4 / 0.2^2
        chosen_switch("controller:integral=20.5")(bare)
    assert chosen_switch("controller:integral=19.5")(bare) is not bare


@pytest.mark.slow
def test_effects_on_common_seeds_with_their_errors() -> None:
    """The controller takes vol away and leaves a mis-hedge; a margin that rises with the gain liquidates more than the table's."""
    base = world(240, 1.5)
    block = run_block(plan_run(base, seed=9), 0, 300)
    vol = np.square(np.diff(block.log_price, axis=1)).sum(axis=1)
    calm = run_block(plan_run(chosen_switch("controller")(base), seed=9), 0, 300)
    gap = vol - np.square(np.diff(calm.log_price, axis=1)).sum(axis=1)
    assert gap.mean() > 4.0 * gap.std() / math.sqrt(gap.size)
    assert (calm.agents[1].gap_squared_usd > block.agents[1].gap_squared_usd).all()
    called = run_block(plan_run(chosen_switch("dynamic-margin:notice_minutes=1")(base), seed=9), 0, 300)
    more = called.agents[0].turnover_usd - block.agents[0].turnover_usd
    assert more.mean() > 4.0 * more.std() / math.sqrt(more.size)
