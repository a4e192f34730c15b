"""The loop gain as a matrix, measured: bump one asset after another and see what every price and every dealer's flow in each asset answers.

Prices answer bumps F with X = (I - G)^-1 F, so G = I - F X^-1, rows and columns by asset.  A dealer's own response is H = Q X^-1: USD it buys
of each asset (row) per unit of log price of another (column), and its part of G is impact @ H.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.assets_loop import AssetPlan, AssetState, init_assets, plan_assets, step_assets
from tailwag.sim.assets_scenario import AssetScenario

__all__ = ["DealerResponse", "MeasuredMatrix", "measure_gain_matrix"]

SETTLED = 1e-8
"""All has arrived once what is on its way would move prices by less than this share of the bump."""
MOST_SIZE_LOG = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class DealerResponse:
    """One dealer's measured flow response (assets, assets): USD bought of each asset (row) per unit of log price of another (column)."""

    name: str
    response_usd: FloatArray
    gain: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredMatrix:
    """The measured gain matrix, every dealer's part of it, and the matrix between dealers that share the markets.

    ``gain`` (assets, assets): the log move of each asset (row) that answers a unit log move of another (column); the dealers' parts sum to
    it.  ``between`` (dealers x assets, dealers x assets): USD that a dealer buys of an asset (row) because another dealer bought a USD of an
    asset (column), one round: H_i[k, :] @ impact[:, m].  Both have the same largest eigenvalues: it does not matter where the loop is cut.
    ``error`` (assets, assets): standard errors over paths; zero but for rounding where books have constant gammas.
    """

    assets: tuple[str, ...]
    gain: FloatArray
    error: FloatArray
    dealers: tuple[DealerResponse, ...]
    between: FloatArray
    steps: int

    @property
    def spectral_radius(self) -> float:
        """Largest size of an eigenvalue of the gain: below 1, hedges one step late settle."""
        return float(np.abs(np.linalg.eigvals(self.gain)).max())

    @property
    def spectral_radius_between(self) -> float:
        """The same of the matrix between dealers."""
        return float(np.abs(np.linalg.eigvals(self.between)).max(initial=0.0))


def measure_gain_matrix(scenario: AssetScenario, *, paths: int, seed: int, size_log: float = 1e-3) -> MeasuredMatrix:
    """Bump each asset by +-``size_log`` before the first step, on the same seeds, and run to the scenario's end.

    The scenario must be long enough for late hedges to settle.  InputError where it is not, where a path runs away, or for counts and sizes
    that make no sense.
    """
    if paths < 2 or seed < 0 or not 0.0 < size_log <= MOST_SIZE_LOG:
        raise InputError(
            f"expected 2 paths or more, a seed of 0 or more and a bump up to {MOST_SIZE_LOG:g}, got {paths}, {seed}, {size_log:g}"
        )
    plan, size = plan_assets(scenario, seed=seed), len(scenario.assets)
    pairs = [[_bumped(plan, asset, side * size_log, paths=paths) for side in (+1.0, -1.0)] for asset in range(size)]
    moves = np.stack([up.log_price - down.log_price for up, down in pairs], axis=1)  # (row, column, paths)
    flows = [
        np.stack([up.dealers[seat].bought_usd - down.dealers[seat].bought_usd for up, down in pairs], axis=1)
        for seat in range(len(plan.dealers))
    ]
    _refuse_unsettled(plan, pairs, size_log)
    answers = moves.mean(axis=2)
    gain = np.eye(size) - 2.0 * size_log * np.linalg.inv(answers)
    each = np.eye(size)[None] - 2.0 * size_log * np.linalg.inv(np.moveaxis(moves, 2, 0))
    dealers = []
    for place in range(len(plan.dealers)):
        seat = plan.positions.index(place)
        response = flows[seat].mean(axis=2) @ np.linalg.inv(answers)
        dealers.append(DealerResponse(plan.dealers[seat].name, response, scenario.impact_per_usd @ response))
    error = each.std(axis=0, ddof=1) / np.sqrt(paths)
    return MeasuredMatrix(scenario.assets, gain, error, tuple(dealers), _between(scenario, dealers), scenario.grid.steps)


def _bumped(plan: AssetPlan, asset: int, move_log: float, *, paths: int) -> AssetState:
    """The end of a run whose one asset has moved before its first step, nobody having answered yet."""
    state = init_assets(plan, 0, paths)
    start = state.log_price.copy()
    start[asset] += move_log
    state = replace(state, log_price=start, fundamental_log=start)
    for _ in range(plan.scenario.grid.steps):
        state = step_assets(plan, state)
    return state


def _refuse_unsettled(plan: AssetPlan, pairs: list[list[AssetState]], size_log: float) -> None:
    states = [state for pair in pairs for state in pair]
    ran = sum(int((~state.live).sum()) for state in states)
    if ran:
        raise InputError(f"expected bumped paths that finish, got {ran:,} runaways; take a smaller bump, a shorter run or deeper markets")
    for up, down in pairs:
        for one, other in zip(up.dealers, down.dealers):
            left = plan.scenario.impact_per_usd @ (one.flight_usd - other.flight_usd).sum(axis=0)
            if float(np.abs(left).max(initial=0.0)) > SETTLED * size_log:
                raise InputError(
                    "expected a run in which late hedges settle after the bump, got orders still on their way; take more steps"
                )


def _between(scenario: AssetScenario, dealers: list[DealerResponse]) -> FloatArray:
    if not dealers:
        return np.zeros((0, 0))
    stacked = np.concatenate([dealer.response_usd for dealer in dealers])
    return np.asarray(np.tile(stacked @ scenario.impact_per_usd, (1, len(dealers))))
