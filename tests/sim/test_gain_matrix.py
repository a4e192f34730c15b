"""The measured gain matrix against the analytic one: BTC and ETH whose hedges cross, protocols that share one pool, late hedgers, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.feedback.assets import matrix_gain
from tailwag.liquidity.pools import WeightedPool, log_move_per_usd
from tailwag.sim.assets import AssetDealer, AssetScenario, TimeGrid, covariance_per_year, proxy_hedge
from tailwag.sim.gain_matrix import measure_gain_matrix

IMPACT = np.array([[3.1e-11, 0.7e-11], [0.9e-11, 5.5e-11]])
OWN = np.diag([-4e9, -1e9])
ETH_BOOK = np.diag([0.0, -2e9])
CROSS = np.array([[-1e9, -0.6e9], [-0.6e9, -1e9]])
BETA = 0.9


def scenario(*, delay_steps: int = 0, steps: int = 12, scale: float = 1.0) -> AssetScenario:
    """Desks that hedge in their own asset, one that hedges ETH with BTC, and one with cross-gamma."""
    dealers = (
        AssetDealer("own", scale * OWN, delay_steps),
        AssetDealer("proxy", scale * ETH_BOOK, delay_steps, hedge_ratio=proxy_hedge(2, of=1, held_in=0, beta=BETA)),
        AssetDealer("cross", scale * CROSS, delay_steps),
    )
    grid = TimeGrid.uniform(horizon_days=steps / 24, step_minutes=60.0)
    clearing = "lagged" if delay_steps else "implicit"
    return AssetScenario(
        ("BTC", "ETH"), [6e4, 3e3], grid, covariance_per_year([0.6, 0.8], 0.8), IMPACT, dealers, clearing, stop_log_move=5.0
    )


def predicted() -> np.ndarray:
    """By hand: -impact @ sum of what is sold of each asset (row) per unit move of another (column)."""
    sold = OWN + np.array([[0.0, BETA * -2e9], [0.0, 0.0]]) + CROSS
    return matrix_gain(IMPACT, sold).gain


@pytest.mark.parametrize(("delay_steps", "steps"), [(0, 3), (1, 40), (2, 80)])
def test_the_measured_matrix_is_the_analytic_one(delay_steps: int, steps: int) -> None:
    found = measure_gain_matrix(scenario(delay_steps=delay_steps, steps=steps), paths=8, seed=3)
    assert np.abs(found.gain - predicted()).max() < 1e-9
    assert np.abs(found.gain.T - predicted()).max() > 0.01, "rows and columns may not be exchanged"
    assert found.error.max() < 1e-12
    assert found.spectral_radius == pytest.approx(np.abs(np.linalg.eigvals(predicted())).max(), rel=1e-9)


def test_dealers_parts_sum_to_the_matrix_and_are_their_own() -> None:
    found = measure_gain_matrix(scenario(), paths=4, seed=1)
    assert np.abs(sum(dealer.gain for dealer in found.dealers) - found.gain).max() < 1e-12
    assert [dealer.name for dealer in found.dealers] == ["own", "proxy", "cross"]
    own, proxy, cross = (dealer.response_usd for dealer in found.dealers)
    assert own == pytest.approx(-OWN, abs=1.0)
    assert proxy == pytest.approx(np.array([[0.0, BETA * 2e9], [0.0, 0.0]]), abs=1.0)  # an ETH move makes it buy BTC
    assert cross == pytest.approx(-CROSS, abs=1.0)


def test_it_does_not_matter_where_the_loop_is_cut() -> None:
    found = measure_gain_matrix(scenario(), paths=4, seed=1)
    assert found.between.shape == (6, 6)
    assert found.spectral_radius_between == pytest.approx(found.spectral_radius, rel=1e-9)


def test_protocols_that_share_one_pool_have_the_sum_of_their_gains() -> None:
    """One pool of 800 million moves by 4 / V per USD; each protocol's rebalancing is the others' move."""
    pool = WeightedPool.worth(800e6, price_usd=60_000.0)
    impact = log_move_per_usd(pool, 60_000.0)
    assert impact == pytest.approx(4.0 / 800e6, rel=1e-12)
    responses = {"vault": 2e7, "lender": 5e7, "perp": 3e7, "options amm": -1e7}
    dealers = tuple(AssetDealer(name, [[-response]], 0) for name, response in responses.items())
    grid = TimeGrid.uniform(horizon_days=1.0, step_minutes=240.0)
    shared = AssetScenario(("ETH",), [6e4], grid, [[0.64]], [[impact]], dealers, "implicit", stop_log_move=5.0)
    found = measure_gain_matrix(shared, paths=4, seed=1)
    assert found.between[1] == pytest.approx(np.full(4, impact * 5e7), rel=1e-9)  # the lender buys so much per USD of anybody
    assert found.spectral_radius_between == pytest.approx(impact * sum(responses.values()), rel=1e-9)
    assert found.gain[0, 0] == pytest.approx(0.45, rel=1e-9)
    assert np.abs(found.between).max() < 0.45, "no protocol sees the whole loop in its own number"


def test_what_does_not_settle_or_runs_away_is_refused() -> None:
    with pytest.raises(InputError, match="still on their way"):
        measure_gain_matrix(scenario(delay_steps=2, steps=6), paths=4, seed=1)
    with pytest.raises(InputError, match="runaways"):
        measure_gain_matrix(scenario(delay_steps=1, steps=60, scale=12.0), paths=4, seed=1)
    for paths, seed, size in ((1, 1, 1e-3), (4, -1, 1e-3), (4, 1, 0.0), (4, 1, 0.5)):
        with pytest.raises(InputError, match="expected"):
            measure_gain_matrix(scenario(), paths=paths, seed=seed, size_log=size)


def test_nobody_has_no_gain() -> None:
    grid = TimeGrid.uniform(horizon_days=1.0, step_minutes=240.0)
    empty = AssetScenario(("ETH",), [3e3], grid, [[0.64]], [[5e-11]], (), "implicit")
    found = measure_gain_matrix(empty, paths=2, seed=1)
    assert found.gain[0, 0] == pytest.approx(0.0, abs=1e-12)
    assert found.spectral_radius_between == 0.0
