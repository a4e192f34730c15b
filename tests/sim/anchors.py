"""The protocol of a simulated anchor: an estimate with its standard error must agree with theory, and be sharp enough to disagree."""

from __future__ import annotations

import numpy as np

from tailwag.hedging.policies import EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.blocks import paths_per_block, run_block
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import BlockPaths

LAMBDA = 3.14054e-11
VOL = 0.6
SPOT = 60_000.0


def agrees(estimate: float, theory: float, standard_error: float) -> bool:
    """|z| < 4, and the error is at most 1 % of the theory, so that the test can fail."""
    assert standard_error <= 0.01 * abs(theory), f"no power: standard error {standard_error:.3g} against {theory:.6g}"
    return abs(estimate - theory) < 4.0 * standard_error


def of_blocks(values: list[float]) -> tuple[float, float]:
    """Mean over independent batches and its standard error."""
    batch = np.asarray(values)
    return float(batch.mean()), float(batch.std(ddof=1) / np.sqrt(batch.size))


def gamma_scenario(gain: float, *, clearing: str, delay_steps: int, steps: int = 200, **changes) -> Scenario:  # type: ignore[no-untyped-def]
    """One dealer of a constant dollar gamma whose loop gain is ``gain``; steps of five minutes."""
    impact = changes.pop("impact", ImpactModel(permanent_per_usd=LAMBDA))
    stop, vol = changes.pop("stop_log_move", 4.0), changes.pop("vol", VOL)
    dealer = Dealer(
        "dealer", changes.pop("policy", EveryStep()), delay_steps, gamma_usd=-gain / LAMBDA, iv=changes.pop("iv", VOL), **changes
    )
    return Scenario(
        spot_usd=SPOT,
        grid=TimeGrid.uniform(horizon_days=steps * 5 / 1440, step_minutes=5.0),
        price=Gbm(vol=vol),
        impact=impact,
        agents=(dealer,),
        clearing=clearing,
        stop_log_move=stop,
    )


def blocks(scenario: Scenario, paths: int, *, seed: int = 11) -> list[BlockPaths]:
    """The run in blocks, in order."""
    plan = plan_run(scenario, seed=seed)
    size = min(paths_per_block(scenario.grid.steps), paths)
    return [run_block(plan, first, size) for first in range(0, paths, size)]


def returns(block: BlockPaths) -> np.ndarray:
    return np.diff(block.log_price, axis=1)


def shocks(block: BlockPaths) -> np.ndarray:
    return np.diff(block.fundamental_log, axis=1)
