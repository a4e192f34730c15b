"""Net delta option by option, and one node of its table, against 40 digits and against plain NumPy."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from tailwag.kernels.netdelta import LEAST_YEARS, SKEW_REACH_LOG, VOL_FLOOR, averaged_delta_kernel, delta_kernel, delta_plain
from tailwag.kernels.netdelta_table import ALL_ORDERS, X_ORDERS, build_nodes

SECOND = 1.0 / (365 * 86400)


def rows_of(seed: int, count: int = 37) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    years = rng.choice([SECOND, 1 / 8760, 1 / 365, 30 / 365, 1.0], count)
    rows = np.array([rng.normal(0, 0.1, count), np.sqrt(years), rng.uniform(0.2, 1.5, count), rng.normal(0, 0.3, count)])
    return rows, rng.normal(0, 10, (3, count + 1))


def direct(rows: np.ndarray, positions: np.ndarray, x: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    delta, slope = np.empty((positions.shape[0], x.size)), np.empty((positions.shape[0], x.size))
    delta_kernel(rows, positions, x, shift, delta, slope)
    return delta, slope


def exact_delta(row: np.ndarray, x: mpmath.mpf, shift: mpmath.mpf) -> mpmath.mpf:
    """N(d1) in 40 digits, with the floor and the reach of the skew."""
    strike, root, vol, skew = (mpmath.mpf(float(value)) for value in row)
    reach = mpmath.mpf(SKEW_REACH_LOG)
    sigma = max(vol + skew * min(max(x, -reach), reach) + shift, mpmath.mpf(VOL_FLOOR))
    w = sigma * root
    return mpmath.ncdf((x - strike) / w + w / 2)


def test_compiled_and_plain_sums_agree() -> None:
    rows, positions = rows_of(1)
    rng = np.random.default_rng(2)
    x, shift = rng.normal(0, 0.2, 200), rng.uniform(-0.6, 0.8, 200)
    for ours, plain in zip(direct(rows, positions, x, shift), delta_plain(rows, positions, x, shift), strict=True):
        scale = np.max(np.abs(plain), axis=1, keepdims=True)
        assert np.max(np.abs(ours - plain) / scale) < 1e-13


@pytest.mark.parametrize(("x", "shift"), [(0.02, 0.0), (-0.3, 0.35), (0.61, -0.1), (-0.7, 0.1), (0.05, -0.55)])
def test_delta_and_slope_to_40_digits(x: float, shift: float) -> None:
    rows, positions = rows_of(3, 9)
    rows[0, :4] = x + np.array([0.0, 1e-4, -0.02, 0.3])  # at the strike, beside it, and away from it
    with mpmath.workdps(40):
        position = [mpmath.mpf(float(value)) for value in positions[0]]

        def net(at: mpmath.mpf) -> mpmath.mpf:
            return sum((p * exact_delta(row, at, mpmath.mpf(shift)) for p, row in zip(position[:-1], rows.T, strict=True)), position[-1])

        delta, slope = float(net(mpmath.mpf(x))), float(mpmath.diff(net, mpmath.mpf(x), h=mpmath.mpf(10) ** -15))
    ours = direct(rows, positions, np.array([x]), np.array([shift]))
    assert ours[0][0, 0] == pytest.approx(delta, abs=1e-13 * np.abs(positions[0]).sum())
    assert ours[1][0, 0] == pytest.approx(slope, rel=1e-9, abs=1e-9)


def test_slope_without_the_skew_term_fails() -> None:
    rows, positions = rows_of(4)
    flat = rows.copy()
    flat[2] += flat[3] * 0.1  # the same vols at x = 0.1, but not following spot
    flat[3] = 0.0
    x, shift = np.array([0.1]), np.array([0.0])
    ours, mutated = direct(rows, positions, x, shift), direct(flat, positions, x, shift)
    assert ours[0] == pytest.approx(mutated[0], rel=1e-12)
    assert np.max(np.abs(ours[1] / mutated[1] - 1.0)) > 1e-3


@pytest.mark.parametrize("skew", [0.0, -0.4])
@pytest.mark.parametrize("moneyness", [-0.05, 0.0, 0.02])
def test_node_holds_the_taylor_coefficients(skew: float, moneyness: float) -> None:
    row = np.array([0.03, 0.12, 0.55, skew])
    h, g, u, offset = 0.01, 0.3, np.log(0.4), 0.35
    x = 0.03 + moneyness
    node = np.empty((1, ALL_ORDERS))
    grid = np.array([x, h, u, g, offset, 0.0])
    build_nodes(row[:, None].copy(), np.array([[2.0, -1.0]]), grid, 1, 1, ALL_ORDERS, node)
    with mpmath.workdps(40):

        def scaled(a: mpmath.mpf, b: mpmath.mpf) -> mpmath.mpf:
            shift = mpmath.exp(mpmath.mpf(float(u)) + g * b) - mpmath.mpf(offset)
            return 2 * exact_delta(row, mpmath.mpf(x) + h * a, shift) - 1

        def coefficient(i: int, j: int) -> float:
            if i == j == 0:
                return float(scaled(mpmath.mpf(0), mpmath.mpf(0)))
            derivative = mpmath.diff(scaled, (0, 0), (i, j), h=mpmath.mpf(10) ** -8)
            return float(derivative / (mpmath.factorial(i) * mpmath.factorial(j)))

        wanted = [coefficient(i, j) for j in range(X_ORDERS) for i in range(X_ORDERS)]
    assert node[0] == pytest.approx(wanted, rel=1e-8, abs=1e-10)


def test_settlement_window_follows_its_formula_and_slope() -> None:
    rng = np.random.default_rng(5)
    window, left = 30 / 525600, 10 / 525600
    rows = np.array([100 * np.exp(rng.normal(0, 0.003, 5)), rng.uniform(0.4, 0.9, 5), rng.normal(0, 0.3, 5)])
    positions = rng.normal(0, 5, (2, 6))
    x, shift, average = rng.normal(0, 0.002, 40), rng.normal(0, 0.02, 40), 100 * np.exp(rng.normal(0, 0.002, 40))

    def ours(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        delta, slope = np.zeros((2, 40)), np.zeros((2, 40))
        paths = np.array([100 * np.exp(x), x, shift, average])
        averaged_delta_kernel(rows, positions, (left, left / window), paths, delta, slope)
        return delta, slope

    from scipy.special import ndtr

    share, spot = left / window, 100 * np.exp(x)
    vol = rows[1][:, None] + rows[2][:, None] * x + shift
    d = ((1 - share) * average + share * spot - rows[0][:, None]) / (spot * vol * np.sqrt(left / 3) * share)
    wanted = share * (positions[:, :-1] @ ndtr(d) + positions[:, -1:])
    delta, slope = ours(x)
    assert np.max(np.abs(delta - wanted)) < 1e-12 * np.abs(positions).sum()
    step = 1e-6
    by_difference = (ours(x + step)[0] - ours(x - step)[0]) / (2 * step)
    assert np.max(np.abs(slope - by_difference)) < 1e-6 * np.max(np.abs(slope))


def test_one_second_is_the_least_time_left() -> None:
    assert pytest.approx(SECOND) == LEAST_YEARS
