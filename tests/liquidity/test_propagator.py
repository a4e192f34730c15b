"""Propagators against convolution, polylogarithms on the unit circle, and the printed table of diffusion."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import RuleError
from tailwag.liquidity import propagator
from tailwag.liquidity.propagator import fit_power_kernel, power_kernel

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "impact.json").read_text())
AGES = 2**17
Row = dict[str, Any]


def long_memory(exponent: float, ages: int = AGES) -> np.ndarray:
    """Correlation of trade signs, 1 and then lag^-gamma / 2."""
    lags = np.arange(float(ages))
    return np.where(lags == 0.0, 1.0, 0.5 * np.maximum(lags, 1.0) ** -exponent)


@pytest.mark.parametrize(
    ("exponent", "horizon"),
    [(0.01, 10.0), (0.05, 1e5), (0.25, 2016.0), (0.5, 1.0), (0.5, 1e5), (0.8, 300.0), (1.0, 1440.0), (1.5, 1e4), (3.0, 50.0)],
)
def test_fitted_kernel_follows_the_power_and_stays_positive(exponent: float, horizon: float) -> None:
    fitted = fit_power_kernel(exponent, horizon)
    ages = np.concatenate([[0.0], np.geomspace(1e-4, horizon, 20_011)])
    assert np.abs(fitted(ages) * (1.0 + ages) ** exponent - 1.0).max() <= 1.0001e-3
    assert (fitted.weights > 0.0).all()
    assert (fitted.rates_per_unit > 0.0).all()
    assert fitted.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert fitted.weights.size <= 32


def test_fitted_kernel_gets_as_good_as_it_is_asked() -> None:
    assert fit_power_kernel(0.5, 1_000.0, greatest_relative_error=1e-5).greatest_relative_error <= 1e-5
    with pytest.raises(RuleError, match="larger error"):
        fit_power_kernel(0.5, 1_000.0, greatest_relative_error=1e-15)


@pytest.mark.parametrize(("exponent", "horizon"), [(0.0, 10.0), (-0.5, 10.0), (3.5, 10.0), (math.nan, 10.0), (0.5, 0.0), (0.5, 1e9)])
def test_kernels_that_cannot_be_fitted_are_refused(exponent: float, horizon: float) -> None:
    with pytest.raises(RuleError, match="expected"):
        fit_power_kernel(exponent, horizon)


@pytest.mark.parametrize("row", ANSWERS["diffusion"])
def test_T12_variance_per_trade_equals_the_integral_over_its_spectrum(row: Row) -> None:
    kernel, signs = power_kernel(np.arange(float(AGES)), row["exponent"]), long_memory(row["sign_exponent"])
    found = propagator.price_variance_per_trade(kernel, signs, np.array([row["lag"]]))[0]
    assert found == pytest.approx(row["variance"], rel=2e-4)


@pytest.mark.parametrize(
    ("exponent", "printed"),
    [(0.25, [0.7654, 1.3828, 1.7394, 1.8492]), (0.0, [1.0006, 3.78, 12.97, 41.4]), (0.5, [0.7272, 0.7729, 0.4290, 0.1721])],
)
def test_T12_printed_table_of_diffusion_within_its_sampling_error(exponent: float, printed: list[float]) -> None:
    """The printed values are simulated; 2 % covers their error, and no other decay comes near."""
    lags = np.array([1, 10, 100, 1000])
    kernel = power_kernel(np.arange(float(AGES)), exponent)
    assert propagator.price_variance_per_trade(kernel, long_memory(0.5), lags) == pytest.approx(printed, rel=0.02)
    bent = power_kernel(np.arange(float(AGES)), exponent + 0.1)
    assert propagator.price_variance_per_trade(bent, long_memory(0.5), lags) != pytest.approx(printed, rel=0.05)


@pytest.mark.parametrize("memory", [0.3, 0.5, 0.8])
def test_T12_prices_diffuse_at_the_matching_decay_only(memory: float) -> None:
    """Growth of Var(x_l) / l from l = 300 to 3,000: level at beta = (1 - gamma) / 2, trending below it, reverting above it."""
    lags = np.array([300, 3_000])

    def growth(exponent: float) -> float:
        short, long = propagator.price_variance_per_trade(power_kernel(np.arange(float(AGES)), exponent), long_memory(memory), lags)
        return math.log10(long / short)

    matched = propagator.diffusive_exponent(memory)
    assert abs(growth(matched)) < 0.08
    assert growth(matched - 0.1) > 0.12
    assert growth(matched + 0.15) < -0.15


def test_response_by_explicit_sums_and_by_simulation() -> None:
    ages = 300
    kernel, signs = power_kernel(np.arange(float(ages)), 0.3), long_memory(0.6, ages)
    for lag in (1, 2, 7, 40):
        moved = [kernel[k] - (kernel[k - lag] if k >= lag else 0.0) for k in range(ages)]
        expected = sum(moved[k] * signs[abs(k - lag + 1)] for k in range(ages))
        assert propagator.response(kernel, signs, np.array([lag]))[0] == pytest.approx(expected, rel=1e-12)
        square = sum(moved[j] * moved[k] * signs[abs(j - k)] for j in range(ages) for k in range(ages))
        assert propagator.price_variance_per_trade(kernel, signs, np.array([lag]))[0] == pytest.approx(square / lag, rel=1e-12)


def test_independent_signs_show_the_kernel_itself() -> None:
    kernel = propagator.exponential_kernel(np.arange(200.0), 7.0)
    alone = np.eye(200)[0]
    assert propagator.response(kernel, alone, np.array([1, 5, 60])) == pytest.approx(kernel[[0, 4, 59]], rel=1e-9)


@pytest.mark.parametrize("row", ANSWERS["power_greatest"])
def test_T13D_greatest_response_of_a_power_kernel(row: Row) -> None:
    greatest = propagator.greatest_response_power(row["exponent"], row["unit"])
    assert greatest == pytest.approx(row["value"], rel=1e-12)
    fitted = fit_power_kernel(row["exponent"], 3_000.0 / row["unit"])
    assert propagator.greatest_response(fitted.rates_per_unit / row["unit"], fitted.weights) == pytest.approx(greatest, rel=1.5e-3)


@pytest.mark.parametrize("kernel", ["power", "exponential"])
def test_no_rhythm_moves_price_more_than_alternating_flow(kernel: str) -> None:
    ages = np.arange(4_000.0)
    left = power_kernel(ages, 0.5) if kernel == "power" else propagator.exponential_kernel(ages, 3.0)
    found = propagator.frequency_response(left, np.linspace(0.01, math.pi, 300))
    assert int(found.argmax()) == 299
    greatest = (
        propagator.greatest_response_power(0.5)
        if kernel == "power"
        else propagator.greatest_response(np.array([math.log(2) / 3]), np.ones(1))
    )
    assert found.max() == pytest.approx(greatest, rel=0.01)


def test_loop_gain_bound_of_mixed_signs_by_scanning_the_circle() -> None:
    """sup |g_P + g_T K(w)| over the circle is what the closed form says, for books whose two gains have any signs."""
    fitted = fit_power_kernel(0.4, 500.0)
    kept = np.exp(-fitted.rates_per_unit)
    turn = np.exp(-1j * np.linspace(0.0, math.pi, 2_001))[:, None]
    response = ((1.0 - turn) / (1.0 - kept * turn)) @ fitted.weights
    greatest = propagator.greatest_response(fitted.rates_per_unit, fitted.weights)
    for lasting, passing in ((0.3, 0.5), (-0.2, 0.9), (0.7, -1.4), (-0.5, -0.1), (0.9, -0.2)):
        assert propagator.greatest_loop_gain(lasting, passing, greatest) == pytest.approx(
            np.abs(lasting + passing * response).max(), rel=1e-9
        )


@pytest.mark.parametrize(
    "call",
    [
        lambda: propagator.exponential_kernel(np.zeros(1), 0.0),
        lambda: propagator.diffusive_exponent(1.2),
        lambda: propagator.greatest_response_power(-1.0),
        lambda: propagator.response(np.ones(5), np.ones(4), np.array([1])),
        lambda: propagator.response(np.ones(5), np.ones(5), np.array([9])),
    ],
)
def test_wrong_arguments_are_refused(call: Any) -> None:
    with pytest.raises(RuleError, match="expected"):
        call()
