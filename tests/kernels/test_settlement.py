"""The settlement window: theory T6's figures, quadrature in 40 digits, and a simulated average."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tailwag.kernels.black import black_greeks
from tailwag.kernels.netgreeks import NET_GREEKS
from tailwag.kernels.settlement import averaged_greeks

MINUTE = 1 / (365 * 24 * 60)
WINDOW = 30 * MINUTE
POINTS = json.loads((Path(__file__).parents[1] / "answers" / "greeks_settlement.json").read_text())["points"]
ORDER = ("right", "spot_usd", "strike_usd", "years", "vol", "running_average_usd")


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point['right']}-{point['years'] / MINUTE:.0f}min")
def test_against_quadrature_and_differences(point: dict[str, float]) -> None:
    got = averaged_greeks(*(point[name] for name in ORDER), WINDOW)[:, 0]
    for value, name in zip(got, NET_GREEKS, strict=True):
        assert value == pytest.approx(point[name], rel=1e-10, abs=1e-10 * abs(point["price"])), name


def test_the_figures_of_the_theory() -> None:
    gamma = averaged_greeks(1, 1.0, 1.0, 10 * MINUTE, 0.6, 1.0, WINDOW)[2, 0]
    assert gamma == pytest.approx(88.0088, abs=5e-5)
    assert black_greeks(1, 1.0, 1.0, 10 * MINUTE, 0.6)[2, 0] == pytest.approx(152.436, abs=5e-4)
    deltas = averaged_greeks(1, 1.0, 1.0, 10 * MINUTE, 0.6, [0.995, 1.0, 1.005], WINDOW)[1]
    np.testing.assert_allclose(deltas, [0.0, 1 / 6, 1 / 3], atol=1e-6)


def test_gamma_fades_with_the_root_of_the_time_left() -> None:
    minutes = np.array([20.0, 5.0, 1.0, 1 / 60])
    gammas = averaged_greeks(1, 60000.0, 60000.0, minutes * MINUTE, 0.6, 60000.0, WINDOW)[2]
    exact = math.sqrt(3) * np.sqrt(minutes * MINUTE) / (math.sqrt(2 * math.pi) * 60000.0 * 0.6 * WINDOW)
    np.testing.assert_allclose(gammas, exact, rtol=1e-12)
    clamped = black_greeks(1, 60000.0, 60000.0, MINUTE / 60, 0.6)[2, 0]
    assert clamped / gammas[-1] == pytest.approx(1040, rel=0.01)


def test_against_a_simulated_average() -> None:
    """Arithmetic mean of a lognormal path: agrees within the noise and the few thousandths of a deviation that the docstring states."""
    rng = np.random.default_rng(6)
    minutes, vol, spot, strike, average = 12.0, 0.9, 60000.0, 60020.0, 60010.0
    left, steps, paths = minutes * MINUTE, 60, 40_000
    increments = rng.standard_normal((paths, steps)) * vol * math.sqrt(left / steps)
    increments = np.concatenate((increments, -increments))
    log_path = np.cumsum(increments - vol**2 * left / steps / 2, axis=1)
    mean = spot * (0.5 + np.exp(log_path[:, :-1]).sum(axis=1) + 0.5 * np.exp(log_path[:, -1])) / steps
    share = minutes / 30
    settlement = (1 - share) * average + share * mean
    for right in (1, -1):
        price, delta = averaged_greeks(right, spot, strike, left, vol, average, WINDOW)[:2, 0]
        payoff = np.maximum(right * (settlement - strike), 0.0)
        slope = right * (right * (settlement - strike) > 0) * share * mean / spot
        for got, sample in ((price, payoff), (delta, slope)):
            error = sample.std() / math.sqrt(sample.size)
            shift = vol * math.sqrt(left / 3) * abs(got)
            assert abs(got - sample.mean()) < 4 * error + shift


def test_parity_and_the_end_of_the_window() -> None:
    call, put = (averaged_greeks(right, 60100.0, 60050.0, 8 * MINUTE, 0.7, 60020.0, WINDOW)[:, 0] for right in (1, -1))
    share = 8 / 30
    assert call[0] - put[0] == pytest.approx((1 - share) * 60020.0 + share * 60100.0 - 60050.0, rel=1e-10)
    assert call[1] - put[1] == pytest.approx(share, rel=1e-13)
    assert call[6] - put[6] == pytest.approx(-1 / WINDOW, rel=1e-10)
    settled = averaged_greeks([1, -1, 1], 60500.0, 60000.0, 0.0, 0.7, [60010.0, 60010.0, 59990.0], WINDOW)
    np.testing.assert_allclose(settled[0], [10.0, 0.0, 0.0])
    assert not settled[1:].any()


def test_without_vol_the_delta_is_that_of_a_forward_or_nothing() -> None:
    greeks = averaged_greeks([1, -1], 60500.0, 60000.0, 15 * MINUTE, 0.0, 60000.0, WINDOW)
    np.testing.assert_allclose(greeks[0], [250.0, 0.0])
    np.testing.assert_allclose(greeks[1], [0.5, 0.0])


@pytest.mark.parametrize(
    "change",
    [{"years": WINDOW}, {"years": -MINUTE}, {"vol": math.nan}, {"running_average_usd": math.nan}, {"right": 0}, {"spot_usd": -1.0}],
)
def test_outside_the_window_or_the_domain_there_is_no_number(change: dict[str, float]) -> None:
    row = {"right": 1, "spot_usd": 1.0, "strike_usd": 1.0, "years": MINUTE, "vol": 0.5, "running_average_usd": 1.0, **change}
    assert np.all(np.isnan(averaged_greeks(*row.values(), WINDOW)))
