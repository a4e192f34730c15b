"""Several assets in one loop: gain matrices, contagion of vol and correlation, thresholds, accounts for every asset."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov
from tests.sim.anchors import agrees

from tailwag.errors import InputError, UnitError
from tailwag.hedging.policies import EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.assets import (
    AssetBlock,
    AssetDealer,
    AssetScenario,
    covariance_per_year,
    proxy_beta,
    proxy_hedge,
    run_asset_block,
    simulate_assets,
)
from tailwag.sim.assets_loop import init_assets, plan_assets, step_assets
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.scenario import Costs, Scenario
from tailwag.sim.state import PNL_PARTS

GAMMA = np.array([[-5.0, -0.6], [-0.6, -3.0]]) * 1e9
IMPACT = np.array([[3.0, 0.8], [0.9, 6.0]]) * 1e-11
SIGMA = np.array([[1.0, 0.8], [0.8, 1.6]]) * 0.36
PRINTED = [pytest.param(GAMMA, IMPACT, SIGMA, id="printed")]
MATRICES = [
    *PRINTED,
    pytest.param(np.diag([4.0, -6.0]) * 1e9, np.array([[5.0, 2.0], [2.0, 4.0]]) * 1e-11, np.array([[0.5, -0.2], [-0.2, 0.3]]), id="mixed"),
    pytest.param(
        np.array([[-4.0, 1.0, 0.5], [1.0, -2.0, 0.0], [0.5, 0.0, 3.0]]) * 1e9,
        np.array([[4.0, 1.0, 0.3], [1.0, 8.0, 2.0], [0.3, 2.0, 9.0]]) * 1e-11,
        covariance_per_year([0.6, 0.8, 1.1], 0.5),
        id="three",
    ),
]
HEAVY = [*MATRICES[:2], pytest.param(*MATRICES[2].values, id="three", marks=pytest.mark.slow)]


def scenario(
    gamma: np.ndarray, impact: np.ndarray, sigma: np.ndarray, *, clearing: str, delay: int, steps: int = 100, **changes: Any
) -> AssetScenario:
    size = len(gamma)
    dealer = AssetDealer("desk", gamma, delay, changes.pop("ratio", None), changes.pop("implied", None))
    return AssetScenario(
        assets=tuple(f"asset {place}" for place in range(size)),
        spot_usd=np.array([60_000.0, 3_000.0, 150.0, 2.0])[:size],
        grid=TimeGrid.uniform(horizon_days=steps / 288, step_minutes=5.0),
        covariance=sigma,
        impact_per_usd=impact,
        dealers=changes.pop("dealers", (dealer,)),
        clearing=clearing,
        stop_log_move=changes.pop("stop_log_move", 4.0),
        **changes,
    )


def block_of(given: AssetScenario, paths: int = 32, seed: int = 3) -> AssetBlock:
    return run_asset_block(plan_assets(given, seed=seed), 0, paths)


def with_gain(gain: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A dealer's gamma, hedge ratio and an impact with a wanted gain matrix: G = -impact (ratio gamma)."""
    unit = 1e-10
    return -np.eye(len(gain)) / unit, gain.copy(), np.eye(len(gain)) * unit


# T13-F


def test_t13_f_gain_of_the_printed_example() -> None:
    given = scenario(GAMMA, IMPACT, SIGMA, clearing="implicit", delay=0)
    assert given.gain == pytest.approx(np.array([[0.1548, 0.042], [0.081, 0.1854]]), rel=1e-12)
    assert sorted(np.linalg.eigvals(given.gain).real) == pytest.approx([0.1098, 0.2304], abs=5e-5)
    assert given.spectral_radius == pytest.approx(given.largest_real_part, rel=1e-12)
    assert given.spectral_radius == pytest.approx(0.23040, abs=5e-5)


@pytest.mark.parametrize(("gamma", "impact", "sigma"), MATRICES)
def test_t13_f_same_step_invariant_holds_on_every_path(gamma: np.ndarray, impact: np.ndarray, sigma: np.ndarray) -> None:
    given = scenario(gamma, impact, sigma, clearing="implicit", delay=0)
    block, gain = block_of(given), -impact @ gamma
    x, exogenous = (np.moveaxis(log, 1, 0) for log in (block.log_price, block.fundamental_log))
    assert np.abs(x - np.tensordot(gain, x, 1) - exogenous).max() < 1e-10
    assert np.abs(x - np.tensordot(gain.T, x, 1) - exogenous).max() > 1e-6
    assert np.abs(x + np.tensordot(gain, x, 1) - exogenous).max() > 1e-3


@pytest.mark.parametrize("delay", [1, 2, 5])
@pytest.mark.parametrize(("gamma", "impact", "sigma"), MATRICES)
def test_t13_f_lagged_invariant_holds_on_every_path(gamma: np.ndarray, impact: np.ndarray, sigma: np.ndarray, delay: int) -> None:
    """x_T - G x_(T-d) = F_T, whatever the delay."""
    given = scenario(gamma, impact, sigma, clearing="lagged", delay=delay)
    block, gain = block_of(given), -impact @ gamma
    x, exogenous = (np.moveaxis(log, 1, 0) for log in (block.log_price, block.fundamental_log))
    late = np.tensordot(gain, x, 1)
    assert np.abs(x[:, delay:] - late[:, :-delay] - exogenous[:, delay:]).max() < 1e-10
    assert np.abs(x[:, delay:] - late[:, 1 : x.shape[1] - delay + 1] - exogenous[:, delay:]).max() > 1e-4


@pytest.mark.parametrize(("gamma", "impact", "sigma"), HEAVY)
def test_t13_f_same_step_covariance(gamma: np.ndarray, impact: np.ndarray, sigma: np.ndarray) -> None:
    """(I - G)^-1 Sigma (I - G)^-T in every step and over the run: estimates with power, and a transposed gain must fail."""
    run = simulate_assets(scenario(gamma, impact, sigma, clearing="implicit", delay=0), paths=1_000, seed=11)
    spread = np.linalg.inv(np.eye(len(gamma)) + impact @ gamma)
    theory = spread @ sigma @ spread.T
    for found in (run.step, run.long_run):
        for place in zip(*np.triu_indices(len(gamma))):
            assert agrees(found.per_year[place], theory[place], max(found.per_year_error[place], 1e-12))
    raw = simulate_raw(run.scenario, paths=1_000)
    error = raw.std(axis=2) / math.sqrt(raw.shape[2])
    assert (np.abs(raw.mean(axis=2) - theory) < 4.0 * error).all()
    wrong = spread.T @ sigma @ spread
    if np.abs(spread - spread.T).max() > 1e-3:
        assert (np.abs(raw.mean(axis=2) - wrong) > 4.0 * error).any()


def simulate_raw(given: AssetScenario, *, paths: int) -> np.ndarray:
    """Products of one-step moves by path, without control variates: (a, a, paths) per year."""
    x = block_of(given, paths, seed=12).log_price
    moves = np.diff(x, axis=0)
    return np.einsum("tip,tjp->ijp", moves, moves) / given.grid.horizon_years


def test_t13_f_printed_covariance_and_correlation() -> None:
    run = simulate_assets(scenario(GAMMA, IMPACT, SIGMA, clearing="implicit", delay=0), paths=1_000, seed=5)
    assert run.step.per_year / 0.36 == pytest.approx(np.array([[1.53643, 1.44090], [1.44090, 2.68255]]), rel=1e-5)
    assert run.step.correlation[0, 1] == pytest.approx(0.7097, abs=5e-5)
    assert run.unhedged.correlation[0, 1] == pytest.approx(0.6325, abs=4.0 * run.unhedged.correlation_error[0, 1])
    assert 0.0 < run.unhedged.correlation_error[0, 1] < 0.004
    assert "correlation of asset 0 and asset 1: 0.63" in str(run)
    assert run.outcomes == {"finished": 1_000, "runaway": 0}


@pytest.mark.parametrize(("gamma", "impact", "sigma"), HEAVY)
def test_t13_f_lagged_covariance_is_the_discrete_lyapunov_solution(gamma: np.ndarray, impact: np.ndarray, sigma: np.ndarray) -> None:
    """V = G V G' + Sigma a step late; the first steps, which start from rest, are summed as they are."""
    steps, gain = 250, -impact @ gamma
    run = simulate_assets(scenario(gamma, impact, sigma, clearing="lagged", delay=1, steps=steps), paths=1_500, seed=6)
    stationary = solve_discrete_lyapunov(gain, sigma)
    started, now = np.zeros(sigma.shape), np.zeros(sigma.shape)
    for _ in range(steps):
        now = gain @ now @ gain.T + sigma
        started += now / steps
    assert started == pytest.approx(stationary, rel=2e-3)
    reach, ends = np.eye(len(gain)), np.zeros(sigma.shape)
    for _ in range(steps):
        ends += reach @ sigma @ reach.T / steps
        reach = np.eye(len(gain)) + gain @ reach
    for found, theory in ((run.step, started), (run.long_run, ends)):
        for place in zip(*np.triu_indices(len(gamma))):
            assert agrees(found.per_year[place], theory[place], found.per_year_error[place])
    same_step = np.linalg.inv(np.eye(len(gain)) - gain)
    assert np.abs(run.step.per_year - same_step @ sigma @ same_step.T).max() > 10.0 * run.step.per_year_error.max()
    assert ends == pytest.approx(same_step @ sigma @ same_step.T, rel=0.02)


def test_t13_f_printed_lagged_covariance() -> None:
    stationary = solve_discrete_lyapunov(-IMPACT @ GAMMA, SIGMA / 0.36)
    assert stationary == pytest.approx(np.array([[1.03898, 0.85359], [0.85359, 1.69056]]), abs=5e-6)


def test_t13_f_a_vector_autoregression_recovers_the_gain() -> None:
    given = scenario(GAMMA, IMPACT, SIGMA, clearing="lagged", delay=1, steps=250)
    moves = np.diff(block_of(given, 1_600).log_price, axis=0)
    before, after = (np.moveaxis(part, 1, 0).reshape(2, -1) for part in (moves[:-1], moves[1:]))
    recovered = after @ before.T @ np.linalg.inv(before @ before.T)
    assert recovered == pytest.approx(given.gain, abs=0.008)
    error = np.sqrt(np.outer(np.diagonal(SIGMA), np.diagonal(np.linalg.inv(solve_discrete_lyapunov(given.gain, SIGMA)))) / before.shape[1])
    assert (np.abs(recovered - given.gain) < 4.0 * error).all()
    assert (error < 0.003).all()
    assert (np.abs(recovered - given.gain.T) > 4.0 * error).any()


# where the loop settles and where it does not


def turned(radius: float, angle: float) -> np.ndarray:
    """A gain whose eigenvalues are radius exp(+-i angle)."""
    cosine, sine = radius * math.cos(angle), radius * math.sin(angle)
    return np.array([[cosine, -2.0 * sine], [0.5 * sine, cosine]])


@pytest.mark.parametrize("angle", [0.0, 1.0, math.pi / 2, 2.5, math.pi])
@pytest.mark.parametrize("delay", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_late_hedges_settle_up_to_a_spectral_radius_of_one(angle: float, delay: int) -> None:
    for radius, settles in ((0.97, True), (1.03, False)):
        gamma, ratio, impact = with_gain(turned(radius, angle))
        given = scenario(
            gamma, impact, 1e-6 * np.eye(2), clearing="lagged", delay=delay, ratio=ratio, steps=500 * delay, stop_log_move=0.05
        )
        assert given.spectral_radius == pytest.approx(radius)
        block = block_of(given, 4)
        assert (block.outcome == 0).all() == settles
        assert np.isfinite(block.log_price).all()
        if not settles:
            assert (block.outcome == 1).all()
            assert np.abs(block.log_price).max() == 0.05
            assert (block.stopped_step < given.grid.steps).all()


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.2])
def test_same_step_hedges_settle_up_to_a_real_part_of_one(angle: float) -> None:
    """Just inside there is a price, and slow bidding finds it; just outside slow bidding runs off, and the scenario is refused."""
    shock, pace, rounds = np.array([1e-4, -2e-4]), 1e-3, 2_000_000
    for edge, settles in ((0.98, True), (1.02, False)):
        gain = turned(edge / math.cos(angle), angle)
        gamma, ratio, impact = with_gain(gain)
        one_bid = np.block([[np.eye(2) + pace * (gain - np.eye(2)), pace * shock[:, None]], [np.zeros((1, 2)), np.ones((1, 1))]])
        bid = np.linalg.matrix_power(one_bid, rounds)[:2, 2]
        if not settles:
            assert np.abs(bid).max() > 1.0
            with pytest.raises(InputError, match=r"real parts below 1 under implicit clearing, got 1\.02"):
                scenario(gamma, impact, 1e-4 * np.eye(2), clearing="implicit", delay=0, ratio=ratio)
            continue
        assert bid == pytest.approx(np.linalg.solve(np.eye(2) - gain, shock), rel=1e-6)
        given = scenario(gamma, impact, 1e-6 * np.eye(2), clearing="implicit", delay=0, ratio=ratio)
        assert given.largest_real_part == pytest.approx(edge)
        assert (block_of(given, 8).outcome == 0).all()


def test_strong_damping_settles_in_the_same_step_and_hunts_a_step_late() -> None:
    gamma, ratio, impact = with_gain(np.array([[-1.5, 0.2], [0.1, -1.2]]))
    for clearing, delay, outcome in (("implicit", 0, 0), ("lagged", 1, 1)):
        given = scenario(gamma, impact, 0.36 * np.eye(2), clearing=clearing, delay=delay, ratio=ratio, steps=200, stop_log_move=0.7)
        assert (block_of(given, 8).outcome == outcome).all()


def test_runs_say_how_many_ran_away_and_measure_the_others() -> None:
    gamma, ratio, impact = with_gain(turned(1.04, 1.0))
    given = scenario(gamma, impact, 0.36 * np.eye(2), clearing="lagged", delay=1, ratio=ratio, steps=85, stop_log_move=0.25)
    run = simulate_assets(given, paths=200, seed=2)
    assert 0 < run.outcomes["runaway"] < 200
    assert "paths ran away; the figures are of the others" in str(run)
    assert np.isfinite(run.step.per_year).all()
    with pytest.raises(InputError, match="one path at least to finish"):
        simulate_assets(replace(given, grid=TimeGrid.uniform(horizon_days=2.0, step_minutes=5.0)), paths=20, seed=2)


# an ETH book hedged with BTC


def test_a_proxy_hedge_trades_the_other_asset() -> None:
    """Bought BTC = -beta Gamma$_ETH x_ETH on every path, and no ETH; beta from the covariance."""
    sigma = covariance_per_year([0.6, 0.9], 0.7)
    beta = proxy_beta(sigma, of=1, held_in=0)
    assert beta == pytest.approx(0.7 * 0.9 / 0.6)
    given = scenario(
        np.diag([0.0, -3e9]), IMPACT, sigma, clearing="implicit", delay=0, ratio=proxy_hedge(2, of=1, held_in=0, beta=beta), steps=20
    )
    plan = plan_assets(given, seed=1)
    state = init_assets(plan, 0, 8)
    for _ in range(20):
        state = step_assets(plan, state)
    bought = state.dealers[0].bought_usd
    assert bought[0] == pytest.approx(beta * 3e9 * state.log_price[1], rel=1e-9)
    assert not bought[1].any()
    assert given.gain == pytest.approx(np.array([[0.0, 3e-11], [0.0, 0.9e-11]]) * beta * 3e9, rel=1e-12)


def test_hedging_one_with_the_other_joins_what_is_independent() -> None:
    """Independent assets: a BTC hedge of an ETH book moves BTC with ETH by k = g / (1 - 0) and makes a correlation k s / sqrt(1 + k^2 s^2)."""
    sigma, impact = np.diag([0.36, 0.64]), np.diag([3e-11, 6e-11])
    given = scenario(np.diag([0.0, -3e9]), impact, sigma, clearing="implicit", delay=0, ratio=proxy_hedge(2, of=1, held_in=0, beta=1.1))
    run = simulate_assets(given, paths=1_000, seed=4)
    tied = 3e-11 * 1.1 * 3e9 * 0.8 / 0.6
    assert run.step.correlation[0, 1] == pytest.approx(tied / math.sqrt(1.0 + tied**2), rel=1e-4)
    assert abs(run.unhedged.correlation[0, 1]) < 4.0 * run.unhedged.correlation_error[0, 1]
    direct = simulate_assets(scenario(np.diag([0.0, -3e9]), impact, sigma, clearing="implicit", delay=0), paths=1_000, seed=4)
    assert abs(direct.step.correlation[0, 1]) < 1e-4


# accounts


def random_scenario(seed: int) -> AssetScenario:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 5))
    clearing = ("implicit", "lagged")[seed % 2]
    impact = 2e-11 * np.diag(rng.uniform(0.5, 2.0, size)) + 4e-12 * rng.standard_normal((size, size)) * (1 - np.eye(size))
    dealers = []
    for number in range(int(rng.integers(1, 4))):
        book = 1e9 * rng.standard_normal((size, size))
        dealers.append(
            AssetDealer(
                f"dealer {number}",
                0.5 * (book + book.T),
                int(rng.integers(0 if clearing == "implicit" else 1, 4)),
                np.eye(size) + 0.3 * rng.standard_normal((size, size)),
                0.36 * np.eye(size),
            )
        )
    root = rng.standard_normal((size, size))
    return scenario(
        np.eye(size),
        impact,
        0.2 * root @ root.T,
        clearing=clearing,
        delay=1,
        steps=40,
        dealers=tuple(dealers),
        costs=Costs(fee_bps=2.0, half_spread_bps=1.0, gas_usd=3.0),
        stop_log_move=0.3,
    )


@pytest.mark.parametrize("seed", range(12))
def test_coin_and_cash_are_conserved_for_every_asset(seed: int) -> None:
    given = random_scenario(seed)
    block = block_of(given, 16)
    turnover = sum(dealer.turnover_usd.sum(axis=0) for dealer in block.dealers).max() + 1.0
    assert (np.abs(block.coin_gap) * given.spot_usd[:, None]).max() <= 1e-9 * turnover
    assert np.abs(block.cash_gap_usd).max() <= 1e-9 * turnover
    run = simulate_assets(given, paths=16, seed=3)
    assert run.largest_coin_gap.shape == (len(given.assets),)
    assert (run.largest_coin_gap * given.spot_usd).max() <= 1e-9 * turnover


@pytest.mark.parametrize("clearing", ["implicit", "lagged"])
def test_one_asset_is_the_engine_of_one_asset(clearing: str) -> None:
    """Prices and every part of the profit, path by path."""
    delay = 0 if clearing == "implicit" else 2
    costs = Costs(fee_bps=2.0, half_spread_bps=1.0, gas_usd=3.0)
    given = scenario(
        np.array([[-5e9]]), np.array([[4e-11]]), np.array([[0.49]]), clearing=clearing, delay=delay, implied=[[0.36]], costs=costs, steps=60
    )
    twin = Scenario(
        spot_usd=60_000.0,
        grid=given.grid,
        price=Gbm(vol=0.7),
        impact=ImpactModel(permanent_per_usd=4e-11),
        agents=(Dealer("desk", EveryStep(), delay, gamma_usd=-5e9, iv=0.6),),
        clearing=clearing,
        costs=costs,
        stop_log_move=4.0,
    )
    block, other = block_of(given, 16, seed=8), run_block(plan_run(twin, seed=8), 0, 16)
    assert np.abs(block.log_price[:, 0].T - other.log_price).max() < 1e-13
    mine, theirs = block.dealers[0], other.agents[0]
    assert mine.turnover_usd[0] == pytest.approx(theirs.turnover_usd, rel=1e-9)
    assert mine.final_position_coin[0] == pytest.approx(theirs.final_position_coin, rel=1e-9, abs=1e-9)
    assert mine.final_cash_usd == pytest.approx(theirs.final_cash_usd, rel=1e-9, abs=1e-3)
    assert mine.pnl_usd == pytest.approx(theirs.pnl_usd, rel=1e-8, abs=1e-2)


def test_hedgers_of_many_assets_pay_for_less_than_the_realised_covariance() -> None:
    """Gamma on realised moves and the half-impact of execution together: E = tr(gamma Sigma (I - G)^-T) / 2 a year, not (I - G)^-1 twice."""
    gain = -IMPACT @ GAMMA
    run = simulate_assets(scenario(GAMMA, IMPACT, SIGMA, clearing="implicit", delay=0, steps=288), paths=500, seed=9)
    spread = np.linalg.inv(np.eye(2) - gain)
    years = run.scenario.grid.horizon_years
    theory = 0.5 * float(np.trace(GAMMA @ SIGMA @ spread.T)) * years
    profit = run.pnl_usd["desk"]
    assert profit.value is not None
    assert profit.standard_error is not None
    assert agrees(profit.value, theory, profit.standard_error)
    without = run.pnl_parts_usd["desk"]["gamma_theta_usd"]
    assert without == pytest.approx(0.5 * float(np.trace(GAMMA @ spread @ SIGMA @ spread.T)) * years, rel=0.02)
    assert abs(without - theory) > 10.0 * profit.standard_error
    assert sum(run.pnl_parts_usd["desk"][part] for part in PNL_PARTS) == pytest.approx(profit.value, rel=1e-9)


# bits


def digest(block: AssetBlock) -> bytes:
    parts = (block.log_price, block.outcome, block.liquidity_coin, block.liquidity_usd, block.venue_usd)
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


@pytest.mark.parametrize("seed", range(6))
def test_splits_order_and_names_change_no_bit(seed: int) -> None:
    given = random_scenario(seed)
    plan = plan_assets(given, seed=5)
    whole = run_asset_block(plan, 0, 17)
    parts = [run_asset_block(plan, first, count) for first, count in ((0, 3), (3, 1), (4, 13))]
    assert (np.concatenate([part.log_price for part in parts], axis=2) == whole.log_price).all()
    renamed = tuple(replace(dealer, name=f"zz {9 - place}") for place, dealer in enumerate(given.dealers))
    other = run_asset_block(plan_assets(replace(given, dealers=tuple(reversed(renamed))), seed=5), 0, 17)
    assert digest(other) == digest(whole)
    for place, dealer in enumerate(whole.dealers):
        twin = other.dealers[len(renamed) - 1 - place]
        assert twin.name == renamed[place].name
        assert (twin.pnl_usd == dealer.pnl_usd).all()


def test_threads_change_no_bit() -> None:
    given = scenario(GAMMA, IMPACT, SIGMA, clearing="lagged", delay=1, steps=60)
    told = [str(simulate_assets(given, paths=1_100, seed=3, threads=threads).to_document()) for threads in (1, 2)]
    assert told[0] == told[1]


def test_transitions_write_into_nothing() -> None:
    plan = plan_assets(random_scenario(3), seed=5)
    state = init_assets(plan, 0, 4)
    for _ in range(5):
        lock(state)
        first, second = step_assets(plan, state), step_assets(plan, state)
        assert (first.log_price == second.log_price).all()
        state = first


def lock(noun: Any) -> None:
    if isinstance(noun, np.ndarray):
        noun.setflags(write=False)
    elif isinstance(noun, tuple):
        for part in noun:
            lock(part)
    elif is_dataclass(noun):
        for entry in fields(noun):
            lock(getattr(noun, entry.name))


def test_an_asset_may_follow_another_exactly() -> None:
    given = scenario(GAMMA * 0.0, IMPACT, covariance_per_year([0.6, 0.9], 1.0), clearing="lagged", delay=1, steps=10)
    x = block_of(given, 4).log_price
    assert x[:, 1] == pytest.approx(1.5 * x[:, 0], rel=1e-9)
    told = simulate_assets(given, paths=50, seed=1)
    assert told.step.correlation[0, 1] == pytest.approx(1.0)


def test_paths_can_be_kept() -> None:
    run = simulate_assets(scenario(GAMMA, IMPACT, SIGMA, clearing="lagged", delay=1, steps=10), paths=50, seed=1, keep_paths=True)
    assert run.blocks[0].log_price.shape == (11, 2, 50)
    assert not simulate_assets(run.scenario, paths=50, seed=1).blocks


# refusals


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"covariance": [[36.0, 0.0], [0.0, 3600.0]]}, UnitError, "0.36"),
        ({"covariance": [[0.36, 0.5], [0.5, 0.36]]}, InputError, "no negative eigenvalue"),
        ({"covariance": [[0.36, 0.1], [0.2, 0.36]]}, InputError, "symmetric covariance"),
        ({"covariance": [[0.36]]}, InputError, "shape"),
        ({"impact_per_usd": [[-1e-11, 0.0], [0.0, 1e-11]]}, InputError, "never lowers"),
        ({"impact_per_usd": [[1.0, 0.0], [0.0, 1.0]]}, UnitError, "log move per USD"),
        ({"impact_per_usd": [[1e-11, np.nan], [0.0, 1e-11]]}, InputError, "finite"),
        ({"spot_usd": [1.0, 0.0]}, InputError, "price above 0"),
        ({"assets": ("BTC", "BTC")}, InputError, "different names"),
        ({"clearing": "damped"}, InputError, "clearing one of"),
        ({"stop_log_move": 9.0}, InputError, "stop_log_move"),
        ({"clearing": "lagged", "dealers": (AssetDealer("a", GAMMA, 0),)}, InputError, "delay_steps from 1"),
        ({"dealers": (AssetDealer("a", GAMMA, 0), AssetDealer("a", GAMMA, 0))}, InputError, "different names"),
        ({"dealers": (AssetDealer("a", np.eye(3), 0),)}, InputError, "gamma_usd of shape"),
    ],
)
def test_what_cannot_go_together_is_refused(change: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        replace(scenario(GAMMA, IMPACT, SIGMA, clearing="implicit", delay=0), **change)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AssetDealer("a", np.array([[1.0, 2.0], [3.0, 4.0]]), 0), "symmetric gamma_usd"),
        (lambda: AssetDealer("a", np.ones(3), 0), "square matrix"),
        (lambda: AssetDealer("a", GAMMA, -1), "delay_steps"),
        (lambda: AssetDealer("a", GAMMA, 0, hedge_ratio=np.eye(3)), "hedge_ratio"),
        (lambda: covariance_per_year([60.0], 0.0), "as 0.60"),
        (lambda: covariance_per_year([0.6, 0.6], 1.5), "between -1 and 1"),
        (lambda: covariance_per_year([-0.6], 0.0), "vol of 0 or more"),
        (lambda: simulate_assets(random_scenario(0), paths=1, seed=1), "paths"),
        (lambda: simulate_assets(random_scenario(0), paths=9, seed=-1), "seed"),
        (lambda: simulate_assets(random_scenario(0), paths=90_000_000, seed=1), "GiB"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, words: str) -> None:
    with pytest.raises((InputError, UnitError), match=words):
        make()


def test_uneven_cross_impact_is_said() -> None:
    """Buy q of one, q of the other, sell both: the printed impact differs by 1e-12 per USD across, which earns 1e-12 q^2."""
    assert not scenario(GAMMA, 0.5 * (IMPACT + IMPACT.T), SIGMA, clearing="lagged", delay=1).notes
    assert "earns 1.00 USD" in scenario(GAMMA, IMPACT, SIGMA, clearing="lagged", delay=1).notes[0]
