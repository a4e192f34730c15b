"""Simulated loops of a constant dollar gamma against closed forms: every statement at printed and at other parameters, and a mutation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.sim.anchors import LAMBDA, VOL, agrees, blocks, gamma_scenario, of_blocks, returns, shocks

from tailwag.hedging.policies import AtTimes
from tailwag.sim.dynamics import Gbm
from tailwag.sim.impact import ImpactModel
from tailwag.sim.state import PNL_PARTS, Outcome

STEP_YEARS = 5 / (1440 * 365)
SLOW = pytest.mark.slow
QUIET = 0.003
"""A vol so small that a loop which grows by a few per cent a step shows it before it meets the bound."""


def variance_ratio(gain: float, *, clearing: str, delay_steps: int, paths: int = 4096, steps: int = 200, **changes) -> tuple[float, float]:
    """One-step variance over the fundamental variance of one step, with its error from the spread between paths (shocks paired)."""
    ratios = []
    for block in blocks(gamma_scenario(gain, clearing=clearing, delay_steps=delay_steps, steps=steps, **changes), paths):
        settled = slice(min(30, steps // 4), None)
        hedged, plain = (returns(block)[:, settled] ** 2).mean(axis=1), (shocks(block)[:, settled] ** 2).mean(axis=1)
        ratios.extend((hedged.reshape(-1, 16).mean(axis=1) / plain.reshape(-1, 16).mean(axis=1)).tolist())
    return of_blocks(ratios)


# T1: effective vol


@pytest.mark.parametrize("gain", [0.180787, -2.0, *(pytest.param(gain, marks=SLOW) for gain in (0.4, -0.180787))])
def test_t1_same_step_hedging_scales_vol_by_one_over_one_minus_gain(gain: float) -> None:
    squares, count = 0.0, 0
    for block in blocks(gamma_scenario(gain, clearing="implicit", delay_steps=0), 5120):
        squares, count = squares + float((returns(block) ** 2).sum()), count + returns(block).size
        assert np.abs(returns(block) * (1.0 - gain) - shocks(block)).max() < 1e-12
    vol = math.sqrt(squares / count / STEP_YEARS)
    theory = VOL / (1.0 - gain)
    assert count >= 1_000_000
    assert agrees(vol, theory, theory / math.sqrt(2.0 * count))
    assert not agrees(vol, VOL / (1.0 + gain), VOL / (1.0 + gain) / math.sqrt(2.0 * count))  # the sign of the hedge decides


def test_t1_crypto_example_in_its_own_units() -> None:
    """Dealers short 20,000 BTC of 7-day calls at the money: Gamma$ = -5.756555e9, lambda = 3.14054e-11: vol .6 becomes .732410."""
    scenario = gamma_scenario(5.756555e9 * LAMBDA, clearing="implicit", delay_steps=0)
    assert scenario.agents[0].gamma_usd == pytest.approx(-5.756555e9)
    block = blocks(scenario, 1024)[0]
    amplification = math.sqrt((returns(block) ** 2).sum() / (shocks(block) ** 2).sum())
    assert VOL * amplification == pytest.approx(0.732410, abs=5e-7)


# T2: realised variance is not break-even variance


@pytest.mark.parametrize("gain", [0.3, -0.5, *(pytest.param(gain, marks=SLOW) for gain in (0.15, -1.5))])
def test_t2_hedger_pays_variance_over_one_minus_gain(gain: float) -> None:
    scenario = gamma_scenario(gain, clearing="implicit", delay_steps=0, iv=0.0, steps=100)
    gamma_usd = scenario.agents[0].gamma_usd
    paid, realised = [], []
    for block in blocks(scenario, 16384):
        fair = VOL**2 * STEP_YEARS * returns(block).shape[1]
        paid.append(float(block.agents[0].pnl_usd.sum(axis=0).mean() / (0.5 * gamma_usd * fair)))
        realised.append(float((returns(block) ** 2).sum(axis=1).mean() / fair))
    assert agrees(*_with_theory(of_blocks(paid), 1.0 / (1.0 - gain)))
    assert agrees(*_with_theory(of_blocks(realised), 1.0 / (1.0 - gain) ** 2))
    assert not agrees(*_with_theory(of_blocks(paid), 1.0 / (1.0 - gain) ** 2))  # leaving out the execution term


@pytest.mark.parametrize("gain", [0.3, -0.5])
def test_t2_profit_closes_with_the_execution_term(gain: float) -> None:
    """Per step -1/2 Gamma (dS)^2 (1 - g): gamma and execution are in the ratio 1 to -g, pathwise up to the step's own size."""
    scenario = gamma_scenario(gain, clearing="implicit", delay_steps=0, iv=0.0, steps=100)
    block = blocks(scenario, 1024)[0]
    parts = dict(zip(PNL_PARTS, block.agents[0].pnl_usd))
    assert np.abs(parts["execution_usd"] / parts["gamma_theta_usd"] + gain).max() < 2e-3 * max(abs(gain), 1.0)
    assert np.abs(parts["delta_usd"]).max() < 1e-6 * np.abs(parts["gamma_theta_usd"]).max()


# T13-A: permanent impact, hedges d steps late


@pytest.mark.parametrize("delay_steps", [1, 3])
@pytest.mark.parametrize("gain", [0.5, -0.5, 0.9, 0.155, -0.8])
def test_t13a_invariant_holds_on_every_path(gain: float, delay_steps: int) -> None:
    block = blocks(gamma_scenario(gain, clearing="lagged", delay_steps=delay_steps, stop_log_move=5.0), 512)[0]
    prices, fundamental = block.log_price, block.fundamental_log
    assert np.abs(prices[:, delay_steps:] - gain * prices[:, :-delay_steps] - fundamental[:, delay_steps:]).max() < 1e-10
    assert np.abs(prices[:, 1:] - gain * prices[:, :-1] - fundamental[:, 1:]).max() > 1e-6 or delay_steps == 1


@pytest.mark.parametrize(
    ("gain", "delay_steps"), [(0.5, 1), (-0.4, 2), *(pytest.param(*row, marks=SLOW) for row in ((-0.5, 1), (0.5, 3), (0.155, 1)))]
)
def test_t13a_one_step_variance(gain: float, delay_steps: int) -> None:
    estimate = variance_ratio(gain, clearing="lagged", delay_steps=delay_steps)
    assert agrees(*_with_theory(estimate, 1.0 / (1.0 - gain**2)))
    if abs(gain) > 0.3:
        assert not agrees(*_with_theory(estimate, 1.0 / (1.0 - gain) ** 2))


@pytest.mark.parametrize("gain", [0.5, -0.5, pytest.param(0.155, marks=SLOW)])
def test_t13a_variance_by_horizon(gain: float) -> None:
    ratios: dict[int, list[float]] = {2: [], 5: [], 10: []}
    for block in blocks(gamma_scenario(gain, clearing="lagged", delay_steps=1, steps=230), 16384):
        for horizon, found in ratios.items():
            hedged = (np.diff(block.log_price[:, 30::horizon], axis=1) ** 2).mean(axis=1)
            plain = (np.diff(block.fundamental_log[:, 30::horizon], axis=1) ** 2).mean(axis=1)
            found.extend((hedged.reshape(-1, 32).mean(axis=1) / plain.reshape(-1, 32).mean(axis=1)).tolist())
    for horizon, found in ratios.items():
        theory = (1.0 + 2.0 * sum((1.0 - j / horizon) * gain**j for j in range(1, horizon))) / (1.0 - gain**2)
        assert agrees(*_with_theory(of_blocks(found), theory)), horizon


@pytest.mark.parametrize("delay_steps", [1, 2, 5])
@pytest.mark.parametrize("gain", [0.97, -0.97, 1.03, -1.03])
def test_t13a_stable_for_every_delay_just_inside_one(gain: float, delay_steps: int) -> None:
    """Just inside |g| = 1 variance stays bounded by its closed form; just outside it passes any bound."""
    steps = 400 * delay_steps
    block = blocks(gamma_scenario(gain, clearing="lagged", delay_steps=delay_steps, steps=steps, stop_log_move=5.0, vol=QUIET), 128)[0]
    scale = QUIET * math.sqrt(STEP_YEARS)
    late = returns(block)[:, -50 * delay_steps :].std() / scale
    if abs(gain) < 1.0:
        assert late < 1.2 / math.sqrt(1.0 - gain**2)
        assert not block.outcome.any()
    else:
        assert late > 1e3 or (block.outcome == Outcome.RUNAWAY).all()


# T13-B: partial speed


@pytest.mark.parametrize(
    ("gain", "speed"), [(0.5, 0.25), (-2.5, 0.5), *(pytest.param(*row, marks=SLOW) for row in ((0.7, 0.6), (-0.9, 1.0), (-5.0, 0.25)))]
)
def test_t13b_one_step_variance_with_partial_speed(gain: float, speed: float) -> None:
    theory = 1.0 + (speed * gain) ** 2 / (1.0 - (1.0 - speed * (1.0 - gain)) ** 2)
    assert agrees(*_with_theory(variance_ratio(gain, clearing="lagged", delay_steps=1, speed=speed), theory))


@pytest.mark.parametrize(
    ("gain", "speed", "stable"),
    [(-2.9, 0.5, True), (-3.1, 0.5, False), (-0.98, 1.0, True), (-1.02, 1.0, False), (-3.5, 0.5, False), (1.05, 0.5, False)],
)
def test_t13b_bounds(gain: float, speed: float, stable: bool) -> None:
    """Stable where 1 - 2/a < g < 1."""
    block = blocks(gamma_scenario(gain, clearing="lagged", delay_steps=1, speed=speed, steps=400, stop_log_move=5.0, vol=QUIET), 128)[0]
    late = returns(block)[:, -50:].std() / (QUIET * math.sqrt(STEP_YEARS))
    ran_away = bool((block.outcome == Outcome.RUNAWAY).all())
    assert (late < 30.0 and not block.outcome.any()) == stable
    assert stable or late > 100.0 or ran_away


@pytest.mark.parametrize("gain", [0.4, -3.0, -0.7])
def test_damped_clearing_is_deadbeat(gain: float) -> None:
    """Market-wide speed 1/(1 - g): after one step the gap is closed, so that r_t = e_t + g/(1 - g) e_{t-1}."""
    block = blocks(gamma_scenario(gain, clearing="damped", delay_steps=1), 256)[0]
    moves, exogenous = returns(block), shocks(block)
    assert np.abs(moves[:, 1:] - exogenous[:, 1:] - gain / (1.0 - gain) * exogenous[:, :-1]).max() < 1e-12


# T13-C and D: passing impact


def passing(gain_permanent: float, gain_passing: float, retention: float) -> ImpactModel:
    """Impact whose gains against Gamma$ = -1/LAMBDA are the two given, with the retention over five minutes."""
    return ImpactModel(
        permanent_per_usd=gain_permanent * LAMBDA,
        transient_per_usd=gain_passing * LAMBDA,
        transient_half_life_minutes=5.0 * math.log(2.0) / -math.log(retention),
    )


@pytest.mark.parametrize(
    ("permanent", "transient", "retention"), [(0.1, 0.4, 0.9), pytest.param(0.2, 0.5, 0.5, marks=SLOW), (0.05, 0.3, 0.97)]
)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_t13c_invariant_and_variance(permanent: float, transient: float, retention: float, side: float) -> None:
    """(1 - g_P) x = F + D on every path; Var_1 = (1 + (1 - rho)^2 (g_T/a)^2 / (1 - mu^2)) / a^2."""
    scenario = gamma_scenario(side, clearing="implicit", delay_steps=0, impact=passing(permanent, transient, retention))
    permanent, transient = side * permanent, side * transient
    room = 1.0 - permanent - transient
    memory = retention - transient * (1.0 - retention) / room
    theory = (1.0 + (1.0 - retention) ** 2 * (transient / room) ** 2 / (1.0 - memory**2)) / room**2
    ratios = []
    for block in blocks(scenario, 4096 if room_for_error(permanent, transient) else 24576):
        left = np.zeros(block.paths)
        for number in range(returns(block).shape[1]):
            left = retention * left + transient * returns(block)[:, number]
            assert np.abs((1.0 - permanent) * block.log_price[:, number + 1] - block.fundamental_log[:, number + 1] - left).max() < 1e-10
        hedged, plain = (returns(block)[:, 60:] ** 2).mean(axis=1), (shocks(block)[:, 60:] ** 2).mean(axis=1)
        ratios.extend((hedged.reshape(-1, 32).mean(axis=1) / plain.reshape(-1, 32).mean(axis=1)).tolist())
    assert agrees(*_with_theory(of_blocks(ratios), theory))
    assert not agrees(*_with_theory(of_blocks(ratios), 1.0 / (1.0 - permanent) ** 2))


@pytest.mark.parametrize(
    ("transient", "retention", "delay_steps", "stable"),
    [
        (0.89, 0.8, 2, True),
        (0.92, 0.8, 2, False),
        (0.89, 0.8, 3, True),
        (0.92, 0.8, 3, False),
        (-0.88, 0.8, 1, True),
        (-0.93, 0.8, 1, False),
        (0.98, 0.8, 1, True),
        (1.03, 0.8, 1, False),
    ],
)
def test_t13d_thresholds_of_passing_impact_with_delay(transient: float, retention: float, delay_steps: int, stable: bool) -> None:
    side = math.copysign(1.0, transient)
    scenario = gamma_scenario(
        side,
        clearing="lagged",
        delay_steps=delay_steps,
        steps=1500,
        impact=passing(0.0, abs(transient), retention),
        stop_log_move=5.0,
        vol=QUIET,
    )
    block = blocks(scenario, 64)[0]
    late = returns(block)[:, -60:].std() / (QUIET * math.sqrt(STEP_YEARS))
    assert (late < 20.0 and not block.outcome.any()) == stable


# T13-H: hedging in one window a day


@pytest.mark.parametrize("gain", [pytest.param(0.155, marks=SLOW), 0.3, -0.4])
def test_t13h_hedging_at_the_close_makes_momentum(gain: float) -> None:
    """Dealers hedge the day's move in its last step: the close regressed on the rest of the day has slope g/(1 - g)."""
    steps = 24
    scenario = gamma_scenario(gain, clearing="implicit", delay_steps=0, steps=steps * 5, policy=AtTimes(steps * 5.0))
    slopes = []
    for block in blocks(scenario, 10240, seed=5):
        days = block.log_price[:, ::steps]
        before_close = block.log_price[:, steps - 1 :: steps]
        rest, close = (before_close - days[:, :-1]).ravel(), (days[:, 1:] - before_close).ravel()
        slopes.append(float((rest * close).sum() / (rest**2).sum()))
    estimate, error = of_blocks(slopes)
    theory = gain / (1.0 - gain)
    assert abs(estimate - theory) < 4.0 * error
    assert error < 0.01
    assert abs(estimate - gain) > 4.0 * error


def room_for_error(permanent: float, transient: float) -> bool:
    """Whether one step's variance is not blown up so far that its estimate needs more paths."""
    return 1.0 - permanent - transient > 0.4


def _with_theory(estimate: tuple[float, float], theory: float) -> tuple[float, float, float]:
    value, error = estimate
    return value, theory, error


def test_gbm_is_what_the_anchors_assume() -> None:
    assert Gbm(vol=VOL).annual_vol == VOL
