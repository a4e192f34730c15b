"""Observed vol is not fed in twice, and a loop that is inverted and replayed gives the observed prices back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.hedging.policies import Band, EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.blocks import run_block
from tailwag.sim.calibrate import calibrated, fundamental_returns
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Scenario

LAMBDA = 3.0e-11


def scenario(gain: float, *, clearing: str = "implicit", transient: float = 0.0, vol: float = 0.6) -> Scenario:
    impact = ImpactModel(permanent_per_usd=LAMBDA)
    if transient:
        impact = ImpactModel(permanent_per_usd=LAMBDA, transient_per_usd=transient, transient_half_life_minutes=45.0)
    return Scenario(
        spot_usd=60_000.0,
        grid=TimeGrid.uniform(horizon_days=1.0, step_minutes=30.0),
        price=Gbm(vol=vol),
        impact=impact,
        agents=(Dealer("dealer", EveryStep(), 0 if clearing == "implicit" else 1, gamma_usd=-gain / LAMBDA, iv=vol),),
        clearing=clearing,
    )


@pytest.mark.parametrize("gain", [0.3, 0.7, -0.5, -2.0])
def test_calibration_takes_the_feedback_out(gain: float) -> None:
    """sigma_closed = sigma / (1 - g), so that the fundamental vol is (1 - g) times the observed one."""
    found = calibrated(scenario(gain), seed=1, paths=256)
    assert found.fundamental_vol == pytest.approx(0.6 * (1.0 - gain), rel=1e-9)
    assert found.closed_vol == pytest.approx(0.6, rel=1e-6)


def test_feeding_in_the_observed_vol_counts_the_feedback_twice() -> None:
    found = calibrated(scenario(0.3), seed=1, paths=256)
    assert found.double_counted_vol == pytest.approx(0.6 / 0.7, rel=1e-9)
    assert "already contains hedging" in str(found)


@pytest.mark.parametrize("horizon", [1, 4])
def test_late_hedging_calibrates_by_horizon(horizon: int) -> None:
    """One step late, a window of h steps has Var_h / h = Var_1 (1 + 2 sum (1 - j/h) g^j), Var_1 = 1 / (1 - g^2)."""
    gain = 0.5
    ratio = (1.0 + 2.0 * sum((1.0 - j / horizon) * gain**j for j in range(1, horizon))) / (1.0 - gain**2)
    found = calibrated(scenario(gain, clearing="lagged"), seed=2, horizon_steps=horizon, paths=4096)
    assert found.factor == pytest.approx(ratio**-0.5, rel=0.02)


def test_runaway_has_no_fundamental_vol() -> None:
    with pytest.raises(InputError, match="paths stop early"):
        calibrated(scenario(3.0, clearing="lagged"), seed=1, paths=16)


def test_calibration_survives_a_first_guess_that_runs_away() -> None:
    """Fed in unchanged, the observed vol breaks the bound; half of it and less does not."""
    base = replace(scenario(0.8, vol=1.5), stop_log_move=0.9)
    found = calibrated(base, seed=1, paths=256)
    assert found.double_counted_vol is None
    assert "would have run away" in str(found)
    assert found.fundamental_vol == pytest.approx(0.2 * 1.5, rel=1e-9)


@pytest.mark.parametrize("gain", [0.4, -1.5])
@pytest.mark.parametrize(("clearing", "transient"), [("implicit", 0.0), ("implicit", 1e-11), ("lagged", 0.0)])
def test_inverted_loop_replays_to_the_observed_path(gain: float, clearing: str, transient: float) -> None:
    if clearing == "lagged" and gain < -1.0:
        gain = -0.6
    base = scenario(gain, clearing=clearing, transient=transient)
    block = run_block(plan_run(base, seed=4), 0, 1)
    observed = np.diff(block.log_price[0])
    fundamental = fundamental_returns(base, observed, seed=4)
    assert np.abs(np.cumsum(fundamental) - block.fundamental_log[0, 1:]).max() < 1e-12
    again = run_block(plan_run(replace(base, price=Replay(log_returns=fundamental)), seed=4), 0, 1)
    assert np.abs(np.diff(again.log_price[0]) - observed).max() < 1e-12


def test_calibrating_a_replay_inverts_it() -> None:
    base = scenario(0.4)
    observed = np.random.default_rng(5).normal(0.0, 0.004, base.grid.steps)
    found = calibrated(replace(base, price=Replay(observed, years=base.grid.horizon_years)), seed=3)
    again = run_block(plan_run(found.scenario, seed=3), 0, 1)
    assert np.abs(np.diff(again.log_price[0]) - observed).max() < 1e-12
    assert found.factor == pytest.approx(0.6, rel=1e-9)
    assert found.double_counted_vol == pytest.approx(found.observed_vol / 0.6, rel=1e-9)


def test_passing_impact_obeys_the_pathwise_invariant() -> None:
    """(1 - g_P) x = F + D, with D from the observed returns alone."""
    base = scenario(0.4, transient=1e-11)
    gain_passing = 0.4 * 1e-11 / LAMBDA
    observed = np.random.default_rng(3).normal(0.0, 0.004, base.grid.steps)
    kept = 0.5 ** (30.0 / 45.0)
    passing, left = [], 0.0
    for move in observed:
        left = kept * left + gain_passing * move
        passing.append(left)
    expected = (1.0 - 0.4) * np.cumsum(observed) - np.array(passing)
    assert np.abs(np.cumsum(fundamental_returns(base, observed, seed=0)) - expected).max() < 1e-12


def test_inversion_of_a_real_book() -> None:
    book = OptionBook.single("call", strike_usd=60_500.0, expiry_years=3 / 365, contracts_coin=-5_000.0, iv=0.6)
    base = replace(scenario(0.0), agents=(Dealer("dealer", EveryStep(), 0, options=book),))
    block = run_block(plan_run(base, seed=8), 0, 1)
    fundamental = fundamental_returns(base, np.diff(block.log_price[0]), seed=8)
    assert np.abs(np.cumsum(fundamental) - block.fundamental_log[0, 1:]).max() < 1e-11


def test_wrong_length_and_impossible_jump_are_refused() -> None:
    with pytest.raises(InputError, match="one per step"):
        fundamental_returns(scenario(0.3), np.zeros(3), seed=0)
    stuck = replace(scenario(0.3), agents=(Dealer("dealer", Band(half_width_usd=4e7, target="centre"), 0, gamma_usd=-2e10),))
    jumpy = np.full(stuck.grid.steps, 0.0021)
    with pytest.raises(InputError, match="no exogenous move"):
        fundamental_returns(stuck, jumpy, seed=0)


def test_a_calibration_names_the_returns_whose_vol_it_matched() -> None:
    """Hedging may trend or revert, so that the vol of minutes is another than that of the day which was matched."""
    scenario = Scenario(
        60_000.0,
        TimeGrid.uniform(horizon_days=1.0, step_minutes=120.0),
        Gbm(vol=0.6),
        ImpactModel(permanent_per_usd=2e-11),
        (Dealer("short", EveryStep(), 0, gamma_usd=-1e10),),
        "implicit",
    )
    assert "for returns over 24 h" in str(calibrated(scenario, seed=1, paths=64))
    assert "for returns over 2 h" in str(calibrated(scenario, seed=1, paths=64, horizon_steps=1))
