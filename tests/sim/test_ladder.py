"""Liquidation cascades: Borel-Tanner for random levels, the smallest fixed point for continuous ones, folds, and the combined gain."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2, norm
from tests.sim.anchors import SPOT

from tailwag.errors import InputError
from tailwag.hedging.policies import EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.ladder import Cluster, LadderState, LadderTrader, LiquidationLadder
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Replay
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import Outcome

LAMBDA = 3.1e-11


def shock(
    move: float, ladder: LiquidationLadder, *others: Dealer, stop: float = 2.0, clearing: str = "implicit", steps: int = 1
) -> Scenario:
    """One exogenous move, then silence."""
    moves = np.zeros(steps)
    moves[0] = move
    return Scenario(
        spot_usd=SPOT,
        grid=TimeGrid.uniform(horizon_days=steps / 1440, step_minutes=1.0),
        price=Replay(log_returns=moves),
        impact=ImpactModel(permanent_per_usd=LAMBDA),
        agents=(ladder, *others),
        clearing=clearing,
        stop_log_move=stop,
    )


def sizes(hits: float, branching: float, *, paths: int = 24_000, seed: int = 3, reach: float = 0.25) -> np.ndarray:
    """Liquidated positions per path: each moves the price by delta, levels come at rate branching/delta, and ``hits`` of them lie in the shock."""
    delta = 1e-3
    rate = branching / delta
    ladder = LiquidationLadder("ladder", 0, levels_per_log=rate, level_usd=delta / LAMBDA, reach_log=reach)
    plan = plan_run(shock(-hits / rate, ladder, stop=1.9), seed=seed)
    parts = [run_block(plan, first, 1000) for first in range(0, paths, 1000)]
    return np.concatenate(
        [np.round(part.agents[0].turnover_usd / part.agents[0].turnover_usd.clip(1e-300) * _count(part, delta)) for part in parts]
    )


def _count(block, delta: float) -> np.ndarray:  # type: ignore[no-untyped-def]
    return np.abs(block.log_price[:, -1] - block.fundamental_log[:, -1]) / delta


def borel_tanner(n: np.ndarray, hits: float, branching: float) -> np.ndarray:
    logs = math.log(hits) + (n - 1) * np.log(hits + branching * n) - (hits + branching * n) - np.array([math.lgamma(k + 1) for k in n])
    return np.exp(logs)


@pytest.mark.parametrize(("hits", "branching"), [(2.0, 0.3), (2.0, 0.7), (1.5, 0.5)])
def test_t16_cascade_sizes_are_borel_tanner(hits: float, branching: float) -> None:
    found = sizes(hits, branching)
    mean, error = found.mean(), found.std() / math.sqrt(found.size)
    theory = hits / (1.0 - branching)
    assert abs(mean - theory) < 4.0 * error
    assert error < 0.01 * theory
    assert abs(mean - hits / (1.0 - branching / 2.0)) > 4.0 * error
    assert found.var() == pytest.approx(hits / (1.0 - branching) ** 3, rel=0.08)
    bins = np.arange(0, 12)
    expected = np.append(borel_tanner(bins.astype(float), hits, branching), 0.0)
    expected[-1] = 1.0 - expected.sum()
    observed = np.append([(found == k).sum() for k in bins], (found > 11).sum())
    statistic = ((observed - found.size * expected) ** 2 / (found.size * expected)).sum()
    assert statistic < chi2.ppf(1.0 - 1e-4, bins.size)
    wrong = np.append(borel_tanner(bins.astype(float), hits, branching * 0.9), 0.0)
    wrong[-1] = 1.0 - wrong.sum()
    assert ((observed - found.size * wrong) ** 2 / (found.size * wrong)).sum() > chi2.ppf(1.0 - 1e-4, bins.size)


@pytest.mark.parametrize("paths", [4_000, pytest.param(30_000, marks=pytest.mark.slow)])
def test_t16_supercritical_ladder_takes_the_whole_system(paths: int) -> None:
    """b = 1.1: a cascade never ends with probability 1 - exp(a (eta - 1)), eta = exp(b (eta - 1)).

    A gain above 1 has no clearing price at the start, so the ladder fires one step late, generation by generation, until it runs away.
    """
    hits, branching, delta = 2.0, 1.1, 1e-3
    eta = brentq(lambda value: value - math.exp(branching * (value - 1.0)), 0.0, 0.999)
    theory = 1.0 - math.exp(hits * (eta - 1.0))
    assert theory == pytest.approx(0.29691, abs=5e-6)
    rate = branching / delta
    ladder = LiquidationLadder("ladder", 1, levels_per_log=rate, level_usd=delta / LAMBDA, reach_log=0.25)
    with pytest.raises(InputError, match="gain below 1"):
        shock(-hits / rate, replace(ladder, delay_steps=0))
    plan = plan_run(shock(-hits / rate, ladder, stop=0.15, clearing="lagged", steps=120), seed=6)
    ran = np.concatenate([run_block(plan, first, 500).outcome for first in range(0, paths, 500)]) == Outcome.RUNAWAY
    error = math.sqrt(theory * (1.0 - theory) / ran.size)
    assert abs(ran.mean() - theory) < 4.0 * error
    assert paths < 30_000 or error < 0.01 * theory


@pytest.mark.parametrize("density", [4e9, 8e9, 2e10])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_t16_even_density_amplifies_by_one_over_one_minus_gain(density: float, side: float) -> None:
    ladder = LiquidationLadder("ladder", 0, density_usd=density)
    block = run_block(plan_run(shock(side * 0.03, ladder), seed=0), 0, 2)
    gain = LAMBDA * density
    assert block.log_price[0, -1] == pytest.approx(side * 0.03 / (1.0 - gain), rel=1e-12)


def test_t16_printed_example() -> None:
    """$8bn per unit: 3 % becomes 3.98936 %, $319.15m liquidated."""
    block = run_block(plan_run(shock(-0.03, LiquidationLadder("ladder", 0, density_usd=8e9)), seed=0), 0, 1)
    assert -block.log_price[0, -1] == pytest.approx(0.0398936, abs=5e-8)
    assert -block.net_flow_usd[0, 0] == pytest.approx(319.15e6, rel=2e-5)


@pytest.mark.parametrize(
    ("notional", "move", "rest"),
    [
        (0.6e9, 0.03, 0.030473),
        (0.6e9, 0.035, 0.036710),
        (0.6e9, 0.04, 0.047373),
        (0.6e9, 0.045, 0.061128),
        (1.0e9, 0.03, 0.030863),
        (1.0e9, 0.035, 0.039688),
        (1.0e9, 0.04, 0.070352),
        (1.0e9, 0.045, 0.075849),
    ],
)
def test_t16_cluster_rests_at_the_smallest_fixed_point(notional: float, move: float, rest: float) -> None:
    """The first price below the shock where no further level is reached; past the fold it falls through the whole cluster."""
    ladder = LiquidationLadder("ladder", 0, clusters=(Cluster(distance_log=-0.05, width_log=0.01, notional_usd=notional),))
    block = run_block(plan_run(shock(-move, ladder), seed=0), 0, 1)
    found = -block.log_price[0, -1]
    assert found == pytest.approx(rest, abs=2e-6)
    liquidated = notional * (norm.cdf((found - 0.05) / 0.01) - norm.cdf(-5.0))
    assert found == pytest.approx(move + LAMBDA * liquidated, rel=1e-12)


@pytest.mark.parametrize(("notional", "fold"), [(1.0e9, 0.0355068), (1.5e9, 0.0326923)])
def test_t16_fold(notional: float, fold: float) -> None:
    """A hair before the fold the price rests in front of the cluster, a hair after it behind."""
    ladder = LiquidationLadder("ladder", 0, clusters=(Cluster(distance_log=-0.05, width_log=0.01, notional_usd=notional),))
    before, after = (-run_block(plan_run(shock(-(fold + hair), ladder), seed=0), 0, 1).log_price[0, -1] for hair in (-2e-6, 2e-6))
    assert before < 0.05 < after


def test_gains_of_dealers_and_ladder_add() -> None:
    """g_total = g_dealers + lambda l."""
    dealer = Dealer("dealer", EveryStep(), 0, gamma_usd=-0.3 / LAMBDA)
    block = run_block(plan_run(shock(-0.01, LiquidationLadder("ladder", 0, density_usd=0.25 / LAMBDA), dealer), seed=0), 0, 1)
    assert -block.log_price[0, -1] == pytest.approx(0.01 / (1.0 - 0.55), rel=1e-12)


def test_levels_fire_once_and_late_ones_arrive_late() -> None:
    moves = np.array([-0.02, 0.02, -0.02, 0.0, 0.0])
    base = shock(-0.02, LiquidationLadder("ladder", 1, density_usd=1e9), clearing="lagged", steps=5)
    block = run_block(plan_run(replace(base, price=Replay(log_returns=moves)), seed=0), 0, 1)
    flows = block.net_flow_usd[0]
    assert flows[0] == 0.0
    assert flows[1] == pytest.approx(-0.02e9)
    assert flows[2] >= 0.0  # no long is sold twice


def test_ladder_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="density_usd"):
        LiquidationLadder("ladder", 0, density_usd=-1.0)
    with pytest.raises(InputError, match="distance_log"):
        Cluster(distance_log=0.0, width_log=0.01, notional_usd=1.0)
    with pytest.raises(InputError, match="gain below 1"):
        shock(-0.01, LiquidationLadder("ladder", 0, density_usd=1.2 / LAMBDA))


def test_the_compiled_ladder_sells_what_the_plain_one_sells() -> None:
    """Two clusters below, one above: a ladder with a random level out of reach goes the plain way, one without the compiled one."""
    clusters = (Cluster(-0.03, 0.012, 2e8), Cluster(-0.08, 0.004, 5e7), Cluster(0.05, 0.02, 3e8))
    trader = LadderTrader(LiquidationLadder("ladder", 0, density_usd=7e8, clusters=clusters), SPOT)
    rng = np.random.default_rng(4)
    low, high, x = -rng.uniform(0.0, 0.06, 500), rng.uniform(0.0, 0.06, 500), rng.uniform(-0.12, 0.12, 500)
    live, answers = rng.uniform(size=500) < 0.9, []
    for levels in (np.zeros((0, 500)), np.full((1, 500), np.inf)):
        demand = trader._fired(LadderState(low, high, low, high, levels, levels), live)
        answers.append(demand(x, np.zeros(500)))
    for fast, plain in zip(*answers):
        assert fast == pytest.approx(plain, rel=1e-14, abs=1e-6)
    assert 0.4 < (answers[0][0] != 0.0).mean() < 0.9
