"""How many paths are stepped together: as many as memory and sharing allow, and no number of a run depends on it."""

from __future__ import annotations

import pytest
from tests.sim.anchors import SPOT

from tailwag.sim import blocks
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.blocks import paths_per_block, paths_together
from tailwag.sim.dynamics import Gbm
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Scenario


def market(steps: int, ladders: int = 1) -> Scenario:
    grid = TimeGrid.uniform(horizon_days=steps / 288, step_minutes=5.0)
    agents = tuple(LiquidationLadder(f"ladder {place}", 0, density_usd=1e9 + place) for place in range(ladders))
    return Scenario(SPOT, grid, Gbm(0.8), ImpactModel(permanent_per_usd=1e-11), agents, "implicit")


def test_paths_stepped_together_leave_two_blocks_to_share_and_stay_within_memory() -> None:
    together = [paths_together(market(288), paths) for paths in (500, 4000, 4096, 8192, 16_384, 100_000)]
    assert together == [1024, 1024, 2048, 4096, 8192, 8192]
    assert paths_together(market(2016, 7), 100_000) == paths_per_block(2016) == 512
    for steps, ladders in ((288, 7), (1000, 3), (2016, 1)):
        size = paths_together(market(steps, ladders), 1_000_000)
        assert 8 * size * (steps + 1) * (4 + 2 * ladders) <= 192 * 2**20
        more = paths_together(market(steps, ladders), 1_000_000, keep_agents=False)
        assert size <= more
        assert 8 * more * (steps + 1) * 4 <= 192 * 2**20
    assert paths_together(market(288, 7), 100_000) == 4096
    assert paths_together(market(288, 7), 100_000, keep_agents=False) == 8192


def test_no_metric_depends_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = simulate(market(6), paths=4096, seed=5)
    monkeypatch.setattr(blocks, "MOST_TOGETHER", 1024)
    parts = simulate(market(6), paths=4096, seed=5, threads=2)
    assert whole.outcomes == parts.outcomes
    assert repr(whole.metrics) == repr(parts.metrics)
