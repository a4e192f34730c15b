"""Lambda from trades: term-by-term sums, the limit of a biased slope, and instruments that take the bias away."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import EmptyChainError, RuleError
from tailwag.liquidity.estimate import (
    SignedFlow,
    hedge_free_lambda,
    instrumented_lambda,
    kyle_lambda,
    ols_lambda,
    propagator_estimate,
    simultaneity_plim,
)

SAMPLE = json.loads((Path(__file__).parent.parent / "answers" / "impact.json").read_text())["estimation"]


def closed_loop(
    size: int, *, slope: float, hedge: float, news_sd: float, other_sd: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """r = e + lambda q, q = h r + u, solved together: returns, flow, and the flow that nobody hedged."""
    generator = np.random.default_rng(seed)
    news, other = news_sd * generator.standard_normal(size), other_sd * generator.standard_normal(size)
    returns = (news + slope * other) / (1.0 - slope * hedge)
    return returns, hedge * returns + other, other


def test_slopes_and_errors_term_by_term() -> None:
    returns, flow, outside = (np.array(SAMPLE[name]) for name in ("log_return", "flow", "instrument"))
    plain, clean = ols_lambda(returns, flow), instrumented_lambda(returns, flow, outside)
    assert plain.per_usd == pytest.approx(SAMPLE["ols"], rel=1e-12)
    assert plain.standard_error == pytest.approx(SAMPLE["ols_error"], rel=1e-12)
    assert clean.per_usd == pytest.approx(SAMPLE["iv"], rel=1e-12)
    assert clean.standard_error == pytest.approx(SAMPLE["iv_error"], rel=1e-12)
    assert clean.first_stage_f == pytest.approx(SAMPLE["first_stage_f"], rel=1e-12)


@pytest.mark.parametrize(
    ("slope", "hedge", "news_sd", "other_sd"),
    [(1.0, 0.3, 1.0, 0.5), (1.0, -0.8, 1.0, 0.7), (3e-11, 4e9, 0.002, 3e7), (2e-11, 0.0, 0.001, 5e7)],
)
def test_T12_hedging_bends_the_plain_slope_and_an_instrument_straightens_it(
    slope: float, hedge: float, news_sd: float, other_sd: float
) -> None:
    size = 200_000
    returns, flow, other = closed_loop(size, slope=slope, hedge=hedge, news_sd=news_sd, other_sd=other_sd, seed=4)
    limit = simultaneity_plim(slope, hedge_usd_per_log_move=hedge, exogenous_sd=news_sd, other_flow_sd_usd=other_sd)
    plain, clean = ols_lambda(returns, flow), instrumented_lambda(returns, flow, other)
    assert abs(plain.per_usd - limit) < 4.0 * plain.standard_error
    assert abs(clean.per_usd - slope) < 4.0 * clean.standard_error
    assert plain.standard_error <= 0.01 * abs(limit)
    assert clean.standard_error <= 0.02 * slope
    if hedge:
        assert abs(plain.per_usd - slope) > 20.0 * plain.standard_error
        assert (limit > slope) == (hedge > 0.0)
    taken_out = hedge_free_lambda(returns, flow, hedge_usd_per_log_move=hedge)
    assert abs(taken_out.per_usd - slope) < 4.0 * taken_out.standard_error


def test_T12_printed_bias() -> None:
    assert simultaneity_plim(1.0, hedge_usd_per_log_move=0.3, exogenous_sd=1.0, other_flow_sd_usd=0.5) == pytest.approx(1.6176, abs=5e-5)
    assert simultaneity_plim(1.0, hedge_usd_per_log_move=0.3, exogenous_sd=1.0, other_flow_sd_usd=0.6) != pytest.approx(1.6176, abs=5e-3)
    with pytest.raises(RuleError, match="flow"):
        simultaneity_plim(1.0, hedge_usd_per_log_move=0.0, exogenous_sd=1.0, other_flow_sd_usd=0.0)


def test_wrong_hedge_leaves_the_bias_of_its_error() -> None:
    returns, flow, _ = closed_loop(400_000, slope=1.0, hedge=0.3, news_sd=1.0, other_sd=0.5, seed=8)
    half = hedge_free_lambda(returns, flow, hedge_usd_per_log_move=0.15).per_usd
    assert 1.05 < half < 1.6


def test_standard_error_covers_uneven_noise() -> None:
    """Robust errors against the spread of estimates over many samples whose noise grows with flow."""
    generator = np.random.default_rng(2)
    found = []
    for _ in range(600):
        flow = generator.standard_normal(300)
        found.append(ols_lambda(flow + generator.standard_normal(300) * (0.2 + flow**2), flow))
    spread = np.std([one.per_usd for one in found])
    assert np.mean([one.standard_error for one in found]) == pytest.approx(spread, rel=0.12)


def test_weak_instruments_and_missing_ones_warn() -> None:
    generator = np.random.default_rng(9)
    returns, flow, other = closed_loop(300, slope=1.0, hedge=0.3, news_sd=1.0, other_sd=0.5, seed=1)
    assert "no instrument" in str(ols_lambda(returns, flow))
    weak = instrumented_lambda(returns, flow, generator.standard_normal(300) + 0.02 * flow)
    assert weak.first_stage_f is not None
    assert weak.first_stage_f < 10.0
    assert "weak instrument" in str(weak)
    strong = instrumented_lambda(returns, flow, other)
    assert strong.bias_warning == ""
    assert "depth" not in str(strong)
    assert "no depth" in str(ols_lambda(-flow, flow))


def test_T12_kyle_equilibrium_by_simulation() -> None:
    """The market maker's best guess of value from total flow has Kyle's slope."""
    generator = np.random.default_rng(5)
    for value_sd, noise_sd in ((1.0, 10.0), (0.03, 4e6)):
        value, noise = value_sd * generator.standard_normal(200_000), noise_sd * generator.standard_normal(200_000)
        total = noise_sd / value_sd * value + noise
        found = ols_lambda(value, total)
        assert abs(found.per_usd - kyle_lambda(value_sd, noise_sd)) < 4.0 * found.standard_error
        assert found.standard_error < 0.01 * found.per_usd
    assert kyle_lambda(1.0, 10.0) == 0.05


def test_propagator_comes_back_from_flow_with_memory() -> None:
    generator = np.random.default_rng(3)
    size, ages = 60_000, 40
    flow = np.empty(size)
    flow[0], noise = 0.0, generator.standard_normal(size) * 1e7
    for step in range(1, size):
        flow[step] = 0.6 * flow[step - 1] + noise[step]
    kernel = 1e-11 + 3e-11 * 0.5 ** (np.arange(2_000) / 8.0)
    change = np.diff(kernel, prepend=0.0)
    returns = np.convolve(flow, change)[:size] + 2e-4 * generator.standard_normal(size)
    found = propagator_estimate(returns, flow, ages=ages)
    z = (found.per_usd - kernel[:ages]) / found.standard_error
    assert np.abs(z).max() < 4.0
    assert (found.standard_error < 0.05 * kernel[:ages]).all()
    assert abs(found.per_usd[-1] - kernel[0]) > 20.0 * found.standard_error[-1]
    assert "left after 39 steps" in str(found)
    assert "no instrument" in str(found)


def test_prints_become_returns_and_flow_by_hand() -> None:
    minute = 60_000_000_000
    prints = SignedFlow.from_prints(
        np.array([0, 20, 70, 100, 200]) * minute // 60,
        np.array([100.0, 101.0, 102.0, 103.0, 99.0]),
        np.array([5.0, -1.0, 2.0, 3.0, -4.0]),
        step_minutes=1.0,
    )
    assert prints.flow_usd.tolist() == [5.0, 0.0, -4.0]
    assert prints.log_return == pytest.approx([math.log(103 / 101), 0.0, math.log(99 / 103)], rel=1e-12)


FLOW = np.arange(30.0)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: ols_lambda(FLOW[:5], FLOW[:5]), EmptyChainError),
        (lambda: ols_lambda(FLOW, np.ones(30)), RuleError),
        (lambda: ols_lambda(FLOW, FLOW[:-1]), RuleError),
        (lambda: ols_lambda(np.full(30, np.nan), FLOW), RuleError),
        (lambda: instrumented_lambda(FLOW, FLOW, np.zeros(30)), RuleError),
        (lambda: propagator_estimate(FLOW, FLOW, ages=9), EmptyChainError),
        (lambda: propagator_estimate(np.arange(90.0), np.tile([1.0, -1.0], 45), ages=3), RuleError),
        (lambda: propagator_estimate(FLOW, np.zeros(30), ages=1), RuleError),
        (lambda: kyle_lambda(0.0, 1.0), RuleError),
        (lambda: SignedFlow.from_prints(np.array([2, 1]), np.ones(2), np.ones(2), step_minutes=1.0), RuleError),
        (lambda: SignedFlow.from_prints(np.array([1, 2]), np.array([1.0, -1.0]), np.ones(2), step_minutes=1.0), RuleError),
        (lambda: SignedFlow.from_prints(np.array([1, 2]), np.ones(2), np.ones(2), step_minutes=0.0), RuleError),
    ],
)
def test_samples_that_hold_no_answer_are_refused(call: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="expected"):
        call()
