"""A run that goes on from what is done of it: the same Run as one that never stopped, by the same engine."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.sim.anchors import SPOT

from tailwag.errors import TailwagError
from tailwag.hedging.policies import EveryStep
from tailwag.sim import blocks
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.block_sums import BlockSums, merge
from tailwag.sim.dynamics import Gbm
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.resumed import simulate_rest
from tailwag.sim.run import default_metric_plan, simulate
from tailwag.sim.scenario import Scenario


class Killed(Exception):
    pass


@dataclass
class Done:
    """What is done of a run; ``most`` blocks may come, then the run is killed."""

    most: int = 99
    done: dict[int, int] = field(default_factory=dict)
    sums: BlockSums | None = None

    def add(self, first_path: int, sums: BlockSums) -> None:
        if len(self.done) >= self.most:
            raise Killed
        self.done[first_path] = sums.paths
        self.sums = sums if self.sums is None else merge([self.sums, sums])


def market(rows: int) -> Scenario:
    ones, grid = np.ones(rows), TimeGrid.uniform(horizon_days=10 / 288, step_minutes=5.0)
    strikes = SPOT * np.exp(np.linspace(-0.2, 0.2, rows))
    book = OptionBook(
        np.where(np.arange(rows) % 2, 1, -1), strikes, 9.0 / 365 * ones, -3.0 * ones, 0.6 * ones, ones, 0.1 * ones, ones < 0.0
    )
    agents = (Dealer("dealer", EveryStep(), 0, options=book), LiquidationLadder("ladder", 0, levels_per_log=400.0, level_usd=2e6))
    return Scenario(SPOT, grid, Gbm(0.8), ImpactModel(permanent_per_usd=1e-11), agents, "implicit")


@pytest.mark.parametrize(("rows", "engine"), [(80, "tabulated"), (8, "plain")])
def test_it_is_the_run_that_never_stopped(rows: int, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = market(rows)
    whole, plan = simulate(scenario, paths=96, seed=3), default_metric_plan(scenario)
    monkeypatch.setattr(blocks, "LEAST_BLOCK", 32)
    monkeypatch.setattr(blocks, "MOST_BLOCK", 32)
    monkeypatch.setattr(blocks, "MOST_TOGETHER", 32)
    part = Done(most=1)
    with pytest.raises(Killed):
        simulate_rest(scenario, paths=96, seed=3, part=part, plan=plan)
    part.most = 99
    resumed = simulate_rest(scenario, paths=96, seed=3, part=part, plan=plan)
    assert part.done == {0: 32, 32: 32, 64: 32}
    assert whole.engine == resumed.engine == engine
    assert repr(whole.metrics) == repr(resumed.metrics)
    assert whole.outcomes == resumed.outcomes


def test_a_part_in_other_blocks_is_refused_before_anything_runs() -> None:
    scenario, part = market(8), Done(most=0, done={0: 17})
    with pytest.raises(TailwagError, match="expected the finished part of this run in blocks of 40 paths, got others"):
        simulate_rest(scenario, paths=40, seed=3, part=part, plan=default_metric_plan(scenario))
