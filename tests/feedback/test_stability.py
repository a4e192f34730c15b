"""Stability: impulse responses, unit-circle crossings and Lyapunov equations from independent code, and the printed tables."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tailwag.errors import RuleError
from tailwag.feedback import stability

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "gain.json").read_text())
Row = dict[str, float]


@pytest.mark.parametrize("row", ANSWERS["lagged"])
def test_late_hedging_from_its_impulse_response(row: Row) -> None:
    g, delay = row["gain"], int(row["delay"])
    assert stability.horizon_variance_ratio(g, int(row["horizon"]), delay) == pytest.approx(row["ratio"], rel=1e-10)
    assert stability.one_step_variance_ratio(g, delay) == pytest.approx(row["one_step"], rel=1e-10)
    assert stability.long_run_variance_ratio(g) == pytest.approx(row["long_run"], rel=1e-10)
    assert stability.autocorrelation(g, delay, delay) == pytest.approx(row["autocorrelation_at_delay"], rel=1e-10)


@pytest.mark.parametrize(
    ("gain", "table"),
    [
        (0.155, (1.02462, 1.18343, 1.31155, 1.35603, 1.39606)),
        (0.5, (1.33333, 2.0, 2.96667, 3.46719, 3.94667)),
        (-0.5, (1.33333, 0.66667, 0.56667, 0.50365, 0.45037)),
    ],
)
def test_printed_horizon_table(gain: float, table: tuple[float, ...]) -> None:
    assert [stability.horizon_variance_ratio(gain, h) for h in (1, 2, 5, 10, 100)] == pytest.approx(table, abs=6e-6)


def test_same_step_hedging_has_one_ratio_at_every_horizon() -> None:
    assert [stability.horizon_variance_ratio(-2.0, h, 0) for h in (1, 7)] == [pytest.approx(1 / 9)] * 2
    assert stability.autocorrelation(-2.0, 3, 0) == 0.0


def test_horizon_ratio_runs_from_one_step_to_the_long_run() -> None:
    for gain in (0.3, -0.3, 0.8):
        assert stability.horizon_variance_ratio(gain, 1, 2) == stability.one_step_variance_ratio(gain, 2)
        assert stability.horizon_variance_ratio(gain, 200_000, 2) == pytest.approx(stability.long_run_variance_ratio(gain), rel=3e-4)


@pytest.mark.parametrize("delay", [1, 3, 10])
@pytest.mark.parametrize(("gain", "stable"), [(0.999, True), (1.0, False), (-0.999, True), (-1.0, False)])
def test_late_hedging_settles_inside_the_unit_interval(gain: float, stable: bool, delay: int) -> None:
    """Against the recursion itself: z^d = g."""
    assert stability.is_stable_lagged(gain, delay) is stable
    assert (np.abs(np.roots([1.0, *[0.0] * (delay - 1), -gain])).max() < 1.0) is np.bool_(stable)


def test_standard_error_of_an_estimated_gain() -> None:
    assert stability.gain_standard_error(0.5, 100_000) == pytest.approx(math.sqrt(0.75 / 1e5), rel=1e-14)


@pytest.mark.parametrize("row", ANSWERS["partial"])
def test_partial_execution_from_its_impulse_response(row: Row) -> None:
    assert stability.partial_variance_ratio(row["gain"], row["speed"]) == pytest.approx(row["one_step"], rel=1e-10)
    assert stability.long_run_variance_ratio(row["gain"]) == pytest.approx(row["long_run"], rel=1e-10)


@pytest.mark.parametrize("row", ANSWERS["partial_bounds"])
def test_partial_execution_bounds(row: Row) -> None:
    low, high = stability.partial_gain_bounds(row["speed"])
    assert (low, high) == (pytest.approx(row["low"], rel=1e-12), 1.0)
    with pytest.raises(RuleError, match="settles"):
        stability.partial_variance_ratio(low - 1e-9, row["speed"])


@pytest.mark.parametrize("gain", [0.5, -2.0, 0.0, -7.0])
def test_deadbeat_speed_leaves_no_gap(gain: float) -> None:
    """mis-hedge kept = 1 - a (1 - g)."""
    assert 1.0 - stability.deadbeat_speed(gain) * (1.0 - gain) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("row", ANSWERS["hayes"])
def test_hayes_bound_from_the_characteristic_root(row: Row) -> None:
    assert stability.hayes_delay_bound(row["gain"]) == pytest.approx(row["bound"], rel=1e-10)


def test_printed_hayes_bounds_and_the_easy_cases() -> None:
    assert [stability.hayes_delay_bound(g) for g in (-1.5, -2.0, -3.0)] == pytest.approx([2.05765, 1.20920, 0.67551], abs=6e-6)
    assert stability.hayes_delay_bound(-1.0) == stability.hayes_delay_bound(0.5) == math.inf
    assert stability.hayes_delay_bound(1.2) == 0.0


@pytest.mark.parametrize("row", ANSWERS["transient"])
def test_decaying_impact_from_its_impulse_response(row: Row) -> None:
    p, t, rho = row["permanent"], row["transient"], row["retention"]
    assert stability.transient_variance_ratio(p, t, rho) == pytest.approx(row["one_step"], rel=1e-10)
    assert stability.long_run_variance_ratio(p) == pytest.approx(row["long_run"], rel=1e-10)


@pytest.mark.parametrize("row", ANSWERS["transient_bounds"])
def test_decaying_impact_bound(row: Row) -> None:
    p, rho = row["permanent"], row["retention"]
    bound = stability.transient_gain_bound(p, rho)
    assert bound == pytest.approx(row["bound"], rel=1e-12)
    assert stability.is_stable_transient(p, bound * (1 - 1e-12), rho)
    assert not stability.is_stable_transient(p, bound * (1 + 1e-12), rho)


@pytest.mark.parametrize(
    ("p", "t", "rho", "stable"), [(0, 0.96, 0.9, False), (0.1, 0.70, 0.5, False), (0.1, 0.65, 0.5, True), (1.0, -5.0, 0.5, False)]
)
def test_printed_transient_thresholds(p: float, t: float, rho: float, stable: bool) -> None:
    assert stability.is_stable_transient(p, t, rho) is stable


@pytest.mark.parametrize("row", ANSWERS["lagged_transient_bounds"])
def test_late_hedging_into_decaying_impact(row: Row) -> None:
    low, high = stability.critical_transient_gains(row["retention"], int(row["delay"]))
    assert (low, high) == (pytest.approx(row["low"], rel=1e-9), pytest.approx(row["high"], rel=1e-9))


def test_printed_critical_gains() -> None:
    printed = {1: (-0.9000, 1.0000), 2: (-0.9050, 0.9000), 3: (-0.9000, 0.9018), 5: (-0.9000, 0.9006), 10: (-0.9001, 0.9000)}
    for delay, bounds in printed.items():
        assert stability.critical_transient_gains(0.8, delay) == pytest.approx(bounds, abs=6e-5)


def test_jury_agrees_with_the_roots() -> None:
    rng = np.random.default_rng(2)
    for p, t, rho in zip(rng.uniform(-1.5, 1.5, 500), rng.uniform(-1.5, 1.5, 500), rng.uniform(0, 0.99, 500), strict=True):
        root = stability.lagged_transient_root(p, t, rho, 1)
        if abs(root - 1.0) > 1e-9:
            assert stability.is_stable_lagged_transient(p, t, rho) == (root < 1.0)


def test_small_gain_settles_at_every_delay() -> None:
    rng = np.random.default_rng(4)
    checked = 0
    for _ in range(600):
        p, t, rho, delay = rng.uniform(-1.2, 1.2), rng.uniform(-1.2, 1.2), rng.uniform(0, 0.99), int(rng.integers(1, 40))
        if stability.small_gain(p, t, rho) < 1.0:
            checked += 1
            assert stability.lagged_transient_root(p, t, rho, delay) < 1.0
    assert checked > 100


def test_small_gain_is_not_generous() -> None:
    """Above it some delay runs away."""
    for p, t, rho in ((0.2, 0.7, 0.6), (-0.3, -0.7, 0.8), (0.0, 0.93, 0.8)):
        assert stability.small_gain(p, t, rho) > 1.0
        assert any(stability.lagged_transient_root(p, t, rho, delay) >= 1.0 for delay in range(1, 40))


@pytest.mark.parametrize("row", ANSWERS["small_gains"])
def test_small_gain_is_the_peak_over_frequencies(row: Row) -> None:
    p, t, rho = row["permanent"], row["transient"], row["retention"]
    assert stability.small_gain(p, t, rho) == pytest.approx(row["peak"], rel=1e-12)
    assert stability.loop_spectrum(p, t, rho, np.linspace(0, np.pi, 301)).max() == pytest.approx(row["peak"], rel=1e-12)


@pytest.mark.parametrize("row", ANSWERS["power_laws"])
def test_power_law_peak(row: Row) -> None:
    assert stability.power_law_small_gain(row["exponent"]) == pytest.approx(row["peak"], rel=1e-13)


def test_printed_power_law_bound() -> None:
    assert stability.power_law_small_gain(0.5) == pytest.approx(1.2098, abs=5e-5)
    assert 1 / stability.power_law_small_gain(0.5) == pytest.approx(0.8266, abs=5e-5)


def test_band_closed_forms() -> None:
    """T13-E and T11: |Gamma$| sigma = 0.5 a step, H = 10."""
    assert stability.band_crossover_steps(10, dollar_gamma_usd=-0.5, step_vol=1.0) == 400
    assert stability.band_turnover_usd(10, dollar_gamma_usd=-0.5, step_vol=1.0, gain=0.5) == pytest.approx(0.025)
    assert stability.band_turnover_usd(10, dollar_gamma_usd=0.5, step_vol=1.0, gain=-0.5) == pytest.approx(0.025 / 3)
    assert stability.band_threshold_move(2e6, dollar_gamma_usd=-1e9) == 0.002


def test_closing_momentum() -> None:
    """r_close = e + g (r_day + r_close): solve for the slope."""
    assert stability.closing_momentum_slope(0.155) == pytest.approx(0.18343, abs=5e-6)
    assert stability.closing_momentum_slope(0.155, delay_steps=1) == 0.155


@pytest.mark.parametrize(
    "ask",
    [
        lambda: stability.one_step_variance_ratio(1.0, 0),
        lambda: stability.one_step_variance_ratio(-1.0, 1),
        lambda: stability.long_run_variance_ratio(1.0),
        lambda: stability.deadbeat_speed(1.0),
        lambda: stability.transient_variance_ratio(0.0, 0.96, 0.9),
        lambda: stability.transient_gain_bound(1.0, 0.5),
        lambda: stability.band_turnover_usd(1.0, dollar_gamma_usd=-1.0, step_vol=1.0, gain=1.0),
        lambda: stability.closing_momentum_slope(-1.5, delay_steps=1),
        lambda: stability.horizon_variance_ratio(math.nan, 3),
    ],
)
def test_a_loop_that_grows_has_no_variance(ask: object) -> None:
    with pytest.raises(RuleError, match="settles"):
        ask()  # type: ignore[operator]


def test_arguments_out_of_range_are_named() -> None:
    with pytest.raises(RuleError, match="speed"):
        stability.partial_gain_bounds(1.5)
    with pytest.raises(RuleError, match="retention"):
        stability.small_gain(0.1, 0.1, 1.0)
    with pytest.raises(RuleError, match="exponent"):
        stability.power_law_small_gain(1.0)
