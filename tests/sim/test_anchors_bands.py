"""Hedge bands in the loop: feedback moves to longer horizons but does not go away, and the same band trades more."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.sim.anchors import LAMBDA, VOL, agrees, blocks, gamma_scenario, of_blocks

from tailwag.hedging.policies import Band
from tailwag.sim import fast
from tailwag.sim.engine import plan_run
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import BlockPaths

STEP_YEARS = 5 / (1440 * 365)
STEP_LOG = VOL * math.sqrt(STEP_YEARS)


def banded(gain: float, width_in_steps: float, *, steps: int, target: str = "edge") -> tuple[Scenario, float]:
    """A dealer whose band is ``width_in_steps`` one-step standard deviations of its mis-hedge wide; and the half width in USD."""
    half_width = width_in_steps * abs(gain) / LAMBDA * STEP_LOG
    policy = Band(half_width_usd=half_width, target=target)  # type: ignore[arg-type]
    return gamma_scenario(gain, clearing="implicit", delay_steps=0, steps=steps, policy=policy), half_width


def fast_blocks(scenario: Scenario, paths: int, *, seed: int = 7) -> list[BlockPaths]:
    assert fast.supports(scenario) is None
    prepared = fast.prepare(plan_run(scenario, seed=seed), threads=1)
    return [fast.run_block(prepared, first, 64) for first in range(0, paths, 64)]


@pytest.mark.parametrize("gain", [0.5, -0.5, 0.8, -2.0])
def test_t13e_gap_bounds_the_distance_from_the_full_loop(gain: float) -> None:
    """(1 - g) x = F - lambda gap on every path, and the gap never leaves the band."""
    scenario, half_width = banded(gain, 10.0, steps=400)
    for block in blocks(scenario, 64):
        gap = ((1.0 - gain) * block.log_price - block.fundamental_log) / -LAMBDA
        assert np.abs(gap).max() <= half_width * (1.0 + 1e-9)
        assert np.abs(gap).max() > 0.9 * half_width  # the band is used
        bought = np.cumsum(block.net_flow_usd, axis=1)
        assert np.abs(gap[:, 1:] - (gain / LAMBDA * block.log_price[:, 1:] - bought)).max() < 1e-6 * half_width


def widened(width: float) -> float:
    """A reflecting band that is watched once a step acts like one that is 0.5826 steps wider."""
    return width + 0.5826


@pytest.mark.parametrize(("gain", "width"), [(0.5, 20.0), (-0.5, 20.0), (0.3, 12.0), (-1.0, 15.0)])
def test_t11_closed_loop_turns_over_more(gain: float, width: float) -> None:
    """turnover = a^2 / (2 H (1 - g)), a the volatility of the mis-hedge: more by 1/(1 - g) than with nobody moving the price."""
    steps = 3000
    scenario, half_width = banded(gain, width, steps=steps)
    spread = abs(gain) / LAMBDA * VOL
    theory = spread**2 / (2.0 * half_width * widened(width) / width * (1.0 - gain))
    years = scenario.grid.horizon_years
    warm = steps // 10
    turned = []
    for block in fast_blocks(scenario, 4096):
        flows = np.abs(block.net_flow_usd[:, warm:]).sum(axis=1)
        turned.append(float(flows.mean() / (years * (steps - warm) / steps)))
    estimate, error = of_blocks(turned)
    assert agrees(estimate, theory, max(error, 0.0025 * theory))  # the widening is good to a quarter of a per cent
    assert abs(estimate / (theory * (1.0 - gain)) - 1.0) > 0.2


@pytest.mark.parametrize("gain", [0.5, -0.5])
def test_t13e_variance_moves_to_long_horizons(gain: float) -> None:
    """Short horizons see the fundamental variance, long ones 1/(1 - g)^2, whatever the width; between them it rises or falls."""
    horizons = (1, 10, 100, 1000)
    scenario, _ = banded(gain, 20.0, steps=6000)
    ratios: dict[int, list[float]] = {horizon: [] for horizon in horizons}
    for block in fast_blocks(scenario, 1024):
        for horizon in horizons:
            hedged = np.diff(block.log_price[:, 1000::horizon], axis=1)
            plain = np.diff(block.fundamental_log[:, 1000::horizon], axis=1)
            ratios[horizon].append(float((hedged**2).sum() / (plain**2).sum()))
    found = {horizon: of_blocks(values) for horizon, values in ratios.items()}
    order = [found[horizon][0] for horizon in horizons]
    assert order == sorted(order, reverse=gain < 0.0)
    assert abs(order[0] - 1.0) < 0.1
    for horizon in (10, 100, 1000):
        theory = closed_form(gain, 20.0, horizon)
        assert abs(found[horizon][0] - theory) < 4.0 * found[horizon][1] + 0.01 * theory
    assert abs(order[-1] * (1.0 - gain) ** 2 - 1.0) < 0.35


def closed_form(gain: float, width: float, horizon: int) -> float:
    """VR_h = (h - (2 g - g^2) V_h) / ((1 - g)^2 h), V_h = 2 (H^2/3 - acov(h)) of Brownian motion reflected at +-H, in one-step variances."""
    wide = widened(width)
    odd = np.arange(1, 400, 2)
    rates = (odd * math.pi / (2.0 * wide)) ** 2 / 2.0
    covariance = (32.0 * wide**2 / math.pi**4 * np.exp(-rates * horizon) / odd**4).sum()
    variance = 2.0 * (wide**2 / 3.0 - covariance)
    return float((horizon - (2.0 * gain - gain**2) * variance) / ((1.0 - gain) ** 2 * horizon))


@pytest.mark.slow
@pytest.mark.parametrize("gain", [0.5, -0.5])
@pytest.mark.parametrize("width", [5.0, 40.0])
def test_t13e_long_run_variance_does_not_depend_on_the_band(gain: float, width: float) -> None:
    horizon = 20_000
    scenario, _ = banded(gain, width, steps=60_000)
    hedged, plain = 0.0, 0.0
    for block in fast_blocks(scenario, 512):
        hedged += float((np.diff(block.log_price[:, ::horizon], axis=1) ** 2).sum())
        plain += float((np.diff(block.fundamental_log[:, ::horizon], axis=1) ** 2).sum())
    assert hedged / plain * (1.0 - gain) ** 2 == pytest.approx(1.0, abs=0.06)
