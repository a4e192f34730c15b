"""One step of every exogenous price: compiled against plain, exact in distribution, and no state written that was given."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tailwag.kernels import jumps, paths, paths_plain
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.random import stream_key, uniforms

SEED, STREAM, FIRST, STEP = 11, 4, 777, 5
DRAWS = (SEED, STREAM, FIRST, STEP)
KEY = stream_key(SEED, STREAM)
PLACE = (KEY, FIRST, STEP)
MODELS = {  # kappa, theta, xi, rho
    "Broadie-Kaya": (6.21, 0.019, 0.61, -0.7),
    "Andersen I": (0.5, 0.04, 1.0, -0.9),
    "crypto": (3.0, 0.45, 1.2, -0.25),
    "rising": (12.0, 0.36, 3.0, 0.6),
    "calm": (2.0, 0.3, 1e-4, -0.5),
}


def spread_variances(theta: float, count: int = 4000) -> FloatArray:
    """From zero to several times the long-run level."""
    return np.concatenate([np.zeros(20), theta * np.geomspace(1e-6, 20.0, count)])


@pytest.mark.parametrize("step_years", [1e-6, 5 / 525_600, 1 / 365, 1 / 16, 1.0])
@pytest.mark.parametrize("martingale", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_heston_step_is_andersens_scheme(name: str, martingale: bool, step_years: float) -> None:
    kappa, theta, xi, rho = MODELS[name]
    variance = spread_variances(theta)
    given = variance.copy()
    numbers = paths.heston_coefficients(kappa, theta, xi, rho, step_years=step_years, drift_per_year=0.3)
    moves, new = paths.heston_step(variance, *PLACE, numbers, martingale)
    plain_moves, plain_new = paths_plain.plain_heston_step(
        variance, DRAWS, model=MODELS[name], step_years=step_years, drift=0.3 * step_years, martingale=martingale
    )
    assert np.array_equal(variance, given)
    assert np.isfinite(moves).all()
    assert (new >= 0.0).all()
    # the plain version subtracts numbers of the size rho/xi * v, so it is the less exact one where xi is small
    lost = 1e-15 * (abs(rho) / xi * (variance + new + theta) + np.abs(moves) + 1e-3)
    assert np.abs(new - plain_new).max() < 2e-13 * new.max()
    assert (np.abs(moves - plain_moves) < 1e-13 * np.abs(moves) + 40 * lost).all()


@pytest.mark.parametrize("flaw", ["rho", "xi", "martingale"])
def test_the_parity_of_heston_has_power(flaw: str) -> None:
    kappa, theta, xi, rho = MODELS["crypto"]
    numbers = paths.heston_coefficients(kappa, theta, xi, rho, step_years=1 / 365)
    variance = spread_variances(theta)
    moves, _ = paths.heston_step(variance, *PLACE, numbers, True)
    wrong = {"rho": (kappa, theta, xi, -rho), "xi": (kappa, theta, 1.01 * xi, rho), "martingale": MODELS["crypto"]}[flaw]
    plain, _ = paths_plain.plain_heston_step(variance, DRAWS, model=wrong, step_years=1 / 365, drift=0.0, martingale=flaw != "martingale")
    assert np.abs(moves - plain).max() > 1e-5


@pytest.mark.parametrize("v", [0.0, 0.002, 0.04, 0.5])
@pytest.mark.parametrize("name", ["Broadie-Kaya", "Andersen I", "crypto", "rising"])
def test_variance_has_the_exact_conditional_mean_and_variance_and_the_price_is_a_martingale(name: str, v: float) -> None:
    kappa, theta, xi, rho = MODELS[name]
    dt, n = 1 / 32, 150_000
    numbers = paths.heston_coefficients(kappa, theta, xi, rho, step_years=dt)
    moves, new = paths.heston_step(np.full(n, v), *PLACE, numbers, True)
    kept = math.exp(-kappa * dt)
    mean = theta + (v - theta) * kept
    spread = v * xi**2 * kept * (1 - kept) / kappa + theta * xi**2 * (1 - kept) ** 2 / (2 * kappa)
    assert abs(new.mean() - mean) < 4 * (spread / n) ** 0.5
    fourth = ((new - mean) ** 4).mean()
    assert abs(((new - mean) ** 2).mean() - spread) < 4 * ((fourth - spread**2) / n) ** 0.5
    ratio = np.exp(moves)
    assert abs(ratio.mean() - 1.0) < 4 * ratio.std() / n**0.5


def test_where_the_correction_is_infinite_the_plain_one_stands() -> None:
    numbers = paths.heston_coefficients(0.5, 0.5, 3.0, 0.95, step_years=2.0)
    moves, new = paths.heston_step(spread_variances(0.5), *PLACE, numbers, True)
    plain, _ = paths_plain.plain_heston_step(
        spread_variances(0.5), DRAWS, model=(0.5, 0.5, 3.0, 0.95), step_years=2.0, drift=0.0, martingale=True
    )
    assert np.isfinite(moves).all()
    assert np.isfinite(new).all()
    assert np.allclose(moves, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mean", [0.0, 1e-9, 0.003, 0.7, 9.0, 31.9, 32.1, 250.0])
def test_poisson_counts_equal_the_table(mean: float) -> None:
    counts = jumps.poisson_counts(*PLACE, mean, 20_000)
    assert np.array_equal(counts, paths_plain.plain_poisson_counts(DRAWS, mean, 20_000))


@pytest.mark.parametrize("mean", [0.05, 0.7, 9.0, 31.0, 100.0])
def test_poisson_counts_follow_the_law(mean: float) -> None:
    counts = jumps.poisson_counts(*PLACE, mean, 300_000)
    values = np.arange(int(stats.poisson.ppf(1e-4, mean)), int(stats.poisson.ppf(1 - 1e-4, mean)) + 1)
    expected = stats.poisson.pmf(values, mean) * counts.size
    seen = np.array([(counts == value).sum() for value in values])
    rest = counts.size - expected.sum()
    chi2 = ((seen - expected) ** 2 / expected).sum() + (counts.size - seen.sum() - rest) ** 2 / rest
    assert stats.chi2.sf(chi2, values.size) > 1e-4


def test_a_uniform_at_the_very_end_ends_the_count() -> None:
    assert 10 < jumps.poisson_count(1.0 - 2.0**-53, 0.7, math.exp(-0.7)) < 40
    assert jumps.poisson_count(2.0**-53, 0.7, math.exp(-0.7)) == 0


def test_jump_sizes_equal_the_plain_ones() -> None:
    counts = jumps.poisson_counts(*PLACE, 0.8, 20_000)
    moves = np.zeros(counts.size)
    jumps.add_normal_jumps(moves, counts, *PLACE, -0.02, 0.06)
    assert np.abs(moves - paths_plain.plain_normal_jumps(counts, DRAWS, -0.02, 0.06)).max() < 1e-15
    assert (moves[counts == 0] == 0.0).all()
    moves = np.zeros(counts.size)
    jumps.add_kou_jumps(moves, counts, *PLACE, 0.4, 30.0, 20.0)
    assert np.abs(moves - paths_plain.plain_kou_jumps(counts, DRAWS, 0.4, 30.0, 20.0)).max() < 1e-15


def test_gaussian_and_student_steps_equal_the_plain_ones() -> None:
    moves = paths.gaussian_step(*PLACE, 0.1, 2.0, 5001)
    assert np.abs(moves - paths_plain.plain_gaussian_step(DRAWS, 0.1, 2.0, 5001)).max() < 3e-15
    for degrees in (2.1, 3.0, 8.5, 1e5, 1e12):
        moves = paths.student_step(*PLACE, 0.1, 2.0, degrees, 5001)
        plain = paths_plain.plain_student_step(DRAWS, 0.1, 2.0, degrees, 5001)
        assert (np.abs(moves - plain) < 1e-13 * (1.0 + np.abs(plain))).all()


@pytest.mark.parametrize("degrees", [2.5, 4.0, 12.5])
def test_student_steps_follow_the_law(degrees: float) -> None:
    moves = paths.student_step(*PLACE, 0.0, 1.0, degrees, 50_000)
    assert stats.kstest(moves, stats.t(degrees).cdf).pvalue > 1e-4
    assert stats.kstest(moves, stats.t(degrees * 1.5).cdf).pvalue < 1e-4 or degrees > 10.0


@pytest.mark.parametrize(
    "numbers",
    [
        {"step_years": 0.5, "base": 0.5, "kick": 1.2, "decay": 2.0},
        {"step_years": 1e-5, "base": 3.0, "kick": 320.0, "decay": 400.0},
        {"step_years": 2.0, "base": 0.01, "kick": 0.0, "decay": 5.0},
        {"step_years": 30.0, "base": 1e-6, "kick": 0.9, "decay": 1.0},
    ],
)
def test_hawkes_step_equals_the_plain_one(numbers: dict[str, float]) -> None:
    excess = np.concatenate([np.zeros(20), np.geomspace(1e-6, 1e4 if numbers["step_years"] < 1e-3 else 20.0, 150)])
    counts, new = jumps.hawkes_step(excess, *PLACE, *numbers.values())
    plain_counts, plain_new = paths_plain.plain_hawkes_step(excess, DRAWS, **numbers)
    assert np.array_equal(counts, plain_counts)
    assert np.allclose(new, plain_new, rtol=1e-9, atol=1e-12)
    assert counts.sum() > 0 or numbers["base"] < 0.1


def test_waiting_times_solve_their_equation() -> None:
    for target in (1e-12, 1e-3, 1.0, 40.0):
        for base in (1e-6, 1.0, 1e4):
            for excess in (0.0, 1e-3, 10.0, 1e5):
                for decay in (1e-3, 1.0, 1e5):
                    s = jumps.hawkes_wait(target, base, excess, decay)
                    assert base * s - excess * math.expm1(-decay * s) / decay == pytest.approx(target, rel=1e-12)


def test_a_hawkes_process_may_be_cut_anywhere() -> None:
    """One long step and fifty short ones have the same law: the number of jumps and the excess rate agree in mean and variance."""
    n, (base, kick, decay) = 30_000, (3.0, 4.0, 10.0)
    whole, end = jumps.hawkes_step(np.full(n, 2.0), *PLACE, 1.0, base, kick, decay)
    excess, total = np.full(n, 2.0), np.zeros(n)
    for step in range(50):
        counts, excess = jumps.hawkes_step(excess, KEY, FIRST, 100 + step, 0.04 if step % 2 else 0.0, base, kick, decay)
        total += counts
    assert excess.size == n
    # paths without a jump end at one number, up to its last digits: rounding keeps them together
    for a, b in ((whole.astype(float), total), (end.round(9), excess.round(9))):
        assert stats.ks_2samp(a, b).pvalue > 1e-4
        assert abs(a.mean() - b.mean()) < 4 * ((a.var() + b.var()) / n) ** 0.5


def test_bootstrap_step_equals_the_plain_one_and_leaves_its_input() -> None:
    returns = np.random.default_rng(3).standard_normal(37)
    candle = np.where(np.arange(3000) % 3 == 0, -1.0, np.arange(3000) % 37).astype(np.float64)
    given = candle.copy()
    for restart in (1.0, 0.3, 1e-3):
        moves, place = paths.bootstrap_step(candle, *PLACE, 4, restart, returns)
        plain, plain_place = paths_plain.plain_bootstrap_step(candle, DRAWS, candles=4, restart=restart, log_returns=returns)
        assert np.array_equal(place, plain_place)
        assert np.allclose(moves, plain, rtol=0, atol=1e-15)
        assert np.array_equal(candle, given)


KERNELS: dict[str, Any] = {
    "gaussian": lambda first, n: paths.gaussian_step(KEY, first, STEP, 0.1, 2.0, n),
    "student": lambda first, n: paths.student_step(KEY, first, STEP, 0.1, 2.0, 3.5, n),
    "poisson": lambda first, n: jumps.poisson_counts(KEY, first, STEP, 40.0, n),
    "heston": lambda first, n: paths.heston_step(
        np.linspace(0, 0.1, 400)[first : first + n], KEY, first, STEP, paths.heston_coefficients(0.5, 0.04, 1.0, -0.9, step_years=0.1), True
    )[0],
    "hawkes": lambda first, n: jumps.hawkes_step(np.linspace(0, 9, 400)[first : first + n], KEY, first, STEP, 0.3, 1.0, 3.0, 4.0)[1],
    "bootstrap": lambda first, n: paths.bootstrap_step(
        np.arange(400.0)[first : first + n] % 9 - 1, KEY, first, STEP, 3, 0.2, uniforms(1, 1, 0, 9, 1, 1)[0]
    )[0],
}


@pytest.mark.parametrize("name", KERNELS)
def test_no_split_into_blocks_changes_a_bit(name: str) -> None:
    whole = KERNELS[name](0, 400)
    for cuts in ((0, 400), (0, 1, 2, 400), (0, 133, 399, 400), (0, 7, 64, 250, 400)):
        parts = [KERNELS[name](a, b - a) for a, b in pairwise(cuts)]
        assert np.array_equal(np.concatenate(parts), whole)
