"""Impact in the loop: the conservation law path by path, the edges of stability, the square root, reacting depth, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray
from tailwag.liquidity import LinearImpact, SquareRootImpact, UnknownImpact
from tailwag.sim.impact import MINUTES_PER_YEAR, ImpactModel, ImpactState, ReactiveDepth, SquareRootLaw

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "impact.json").read_text())
Row = dict[str, Any]
MINUTE = 1.0 / MINUTES_PER_YEAR
BOOK_USD = 1e9


def half_life(kept: float) -> float:
    return -math.log(2.0) / math.log(kept)


def linear_model(lasting: float, passing: float, kept: float) -> ImpactModel:
    """A model under which a book of 1e9 dollars of gamma has these gains, up to the sign that the book has."""
    return ImpactModel(
        permanent_per_usd=abs(lasting) / BOOK_USD,
        transient_per_usd=abs(passing) / BOOK_USD,
        transient_half_life_minutes=half_life(kept) if passing else None,
    )


def same_step_loop(
    model: ImpactModel, dollar_gamma: float, shocks: FloatArray, *, spot: float = 1.0
) -> tuple[FloatArray, FloatArray, ImpactState]:
    """Hedgers with a constant dollar gamma who trade in the very step, cleared by hand: returns, summed shocks, last state."""
    state = model.init(shocks.shape[1])
    nothing = np.zeros(shocks.shape[1])
    returns, residual = np.empty_like(shocks), np.empty_like(shocks)
    for step, shock in enumerate(shocks):
        pull, state = model.pull(state, MINUTE)
        _, per_usd, per_coin = model.move(state, nothing, nothing)
        slope = per_usd + per_coin / spot
        answer = (shock + pull) / (1.0 + slope * dollar_gamma)
        flow = -dollar_gamma * answer
        residual[step] = shock + pull + model.move(state, flow, flow / spot)[0] - answer
        state = model.absorb(state, flow, flow / spot, answer, MINUTE)
        returns[step] = answer
    assert np.abs(residual).max() <= 1e-10 * np.abs(returns).max()
    return returns, shocks.sum(axis=0), state


def late_loop(model: ImpactModel, dollar_gamma: float, shocks: FloatArray, delay: int) -> FloatArray:
    """The same hedgers, whose orders arrive ``delay`` steps later."""
    state = model.init(shocks.shape[1])
    returns = np.zeros_like(shocks)
    for step, shock in enumerate(shocks):
        pull, state = model.pull(state, MINUTE)
        flow = -dollar_gamma * returns[step - delay] if step >= delay else np.zeros(shocks.shape[1])
        moved, _, _ = model.move(state, flow, flow)
        returns[step] = shock + pull + moved
        state = model.absorb(state, flow, flow, returns[step], MINUTE)
    return returns


def unit_shock(steps: int) -> FloatArray:
    return np.eye(steps, 1)


@pytest.mark.parametrize("row", ANSWERS["passing"])
@pytest.mark.parametrize("in_coin", [False, True])
def test_T13C_what_stays_and_what_passes_add_up_on_every_path(row: Row, in_coin: bool) -> None:
    """(1 - g_P) x = F + D to rounding, whatever the path."""
    spot = 60_000.0
    model = linear_model(row["lasting"], row["passing"], row["kept"])
    if in_coin:
        model = ImpactModel(
            permanent_per_coin=model.permanent_per_usd * spot,
            transient_per_coin=model.transient_per_usd * spot,
            transient_half_life_minutes=model.transient_half_life_minutes,
        )
    shocks = np.random.default_rng(1).standard_normal((300, 40)) * 1e-4
    returns, fundamental, state = same_step_loop(model, -math.copysign(BOOK_USD, row["lasting"] + row["passing"]), shocks, spot=spot)
    price = returns.sum(axis=0)
    residual = (1.0 - row["lasting"]) * price - fundamental - state.transient.sum(axis=0)
    assert np.abs(residual).max() < 1e-10 * np.abs(price).max() + 1e-15


def test_T13C_breaks_when_the_passing_part_is_counted_as_lasting() -> None:
    model = linear_model(0.2, 0.5, 0.5)
    shocks = np.random.default_rng(1).standard_normal((300, 40)) * 1e-4
    returns, fundamental, state = same_step_loop(model, -BOOK_USD, shocks)
    wrong = (1.0 - 0.7) * returns.sum(axis=0) - fundamental - state.transient.sum(axis=0)
    assert np.abs(wrong).max() > 1e-4
    reversed_hedge, fundamental, state = same_step_loop(model, +BOOK_USD, shocks)
    assert np.abs((1.0 - 0.2) * reversed_hedge.sum(axis=0) - fundamental - state.transient.sum(axis=0)).max() > 1e-4


def one_step_variance(row: Row, seed: int, *, dollar_gamma_sign: float = 1.0) -> tuple[float, float]:
    """Variance of the return after one quiet start, across independent paths, with its standard error."""
    model = linear_model(row["lasting"], row["passing"], row["kept"])
    side = -math.copysign(BOOK_USD, row["lasting"] + row["passing"]) * dollar_gamma_sign
    shocks = np.random.default_rng(seed).standard_normal((60, 30_000)) * 1e-4
    last = same_step_loop(model, side, shocks)[0][-1] / 1e-4
    estimate = float(np.mean(last**2))
    return estimate, float(np.std(last**2) / math.sqrt(last.size))


@pytest.mark.parametrize("row", [row for row in ANSWERS["passing"] if row["variance"] < 100.0])
def test_T13C_one_step_variance(row: Row) -> None:
    estimate, error = one_step_variance(row, seed=3)
    assert abs(estimate - row["variance"]) / error < 4.0
    assert error / row["variance"] <= 0.01


def test_T13C_one_step_variance_sees_a_flipped_hedge() -> None:
    row = ANSWERS["passing"][0]
    estimate, error = one_step_variance(row, seed=3, dollar_gamma_sign=-1.0)
    assert abs(estimate - row["variance"]) / error > 40.0


@pytest.mark.parametrize("row", [row for row in ANSWERS["passing"] if row["passing"] > 0.0])
@pytest.mark.parametrize(("share", "stable"), [(0.985, True), (1.015, False)])
def test_T13C_short_gamma_runs_away_just_outside_the_edge(row: Row, share: float, stable: bool) -> None:
    model = linear_model(row["lasting"], share * row["edge"], row["kept"])
    echo = np.abs(same_step_loop(model, -BOOK_USD, unit_shock(400))[0][:, 0])
    assert (echo[-50:].max() < echo[50:100].max()) == stable


@pytest.mark.parametrize("row", ANSWERS["late"])
def test_T13D_echo_grows_like_the_greatest_root(row: Row) -> None:
    """Delayed hedging under lasting and passing impact: the echo of one shock dies or grows at the rate of the largest root."""
    model = linear_model(row["lasting"], row["passing"], row["kept"])
    echo = np.abs(late_loop(model, -math.copysign(BOOK_USD, row["lasting"]), unit_shock(800), int(row["delay"]))[:, 0])
    early, window = 300, 240
    if row["root"] < 0.9:
        early, window = 60, 60
    first, second = echo[early : early + window].max(), echo[early + window : early + 2 * window].max()
    assert (second / first) ** (1.0 / window) == pytest.approx(row["root"], abs=0.02)
    assert (second < first) == (row["root"] < 1.0)


@pytest.mark.parametrize("row", ANSWERS["late_edges"])
@pytest.mark.parametrize("side", ["short_gamma", "long_gamma"])
def test_T13D_critical_gain_of_passing_impact_by_delay(row: Row, side: str) -> None:
    for share, stable in ((0.99, True), (1.01, False)):
        model = linear_model(0.0, share * row[side], row["kept"])
        echo = np.abs(late_loop(model, -math.copysign(BOOK_USD, row[side]), unit_shock(1_000), int(row["delay"]))[:, 0])
        assert (echo[-150:].max() < echo[150:300].max()) == stable


def test_T13D_small_gain_is_stable_at_every_delay() -> None:
    """|g_P + 2 g_T / (1 + rho)| < 1: stable at any delay, and the bound is what the model reports."""
    generator = np.random.default_rng(8)
    for _ in range(8):
        kept, split, sign, delay = (
            generator.uniform(0.2, 0.95),
            generator.uniform(0, 1),
            generator.choice([-1.0, 1.0]),
            int(generator.integers(1, 20)),
        )
        lasting, passing = 0.97 * split, 0.97 * (1.0 - split) * (1.0 + kept) / 2.0
        model = linear_model(lasting, passing, kept)
        assert model.any_delay_per_usd(1.0, step_years=MINUTE) * BOOK_USD == pytest.approx(0.97, rel=1e-12)
        echo = np.abs(late_loop(model, -sign * BOOK_USD, unit_shock(30 * delay + 400), delay)[:, 0])
        assert echo[-200:].max() < echo[1:].max()
        assert echo[-200:].max() < 1.0


def power_model(row: Row) -> ImpactModel:
    return ImpactModel(
        transient_per_usd=abs(row["gain"]) / BOOK_USD,
        kernel="power",
        power_exponent=row["exponent"],
        power_unit_minutes=row["unit"],
        power_horizon_minutes=3_000.0,
    )


@pytest.mark.parametrize("row", ANSWERS["power_responses"])
def test_T13D_power_kernel_follows_its_whole_history(row: Row) -> None:
    """A sum of exponentials against exact convolution: the echo to 0.4 %, and the same verdict on stability."""
    echo = late_loop(power_model(row), -math.copysign(BOOK_USD, row["gain"]), unit_shock(1_500), int(row["delay"]))[:, 0]
    shown = 60 if row["late"] < row["early"] else 20  # an echo that grows makes the kernel's 0.1 % grow with it
    miss = np.abs(echo[:shown] - np.array(row["start"][:shown])).max()
    assert miss < 4e-3 * np.abs(row["start"][:shown]).max()
    assert (np.abs(echo[1300:]).max() < np.abs(echo[200:400]).max()) == (row["late"] < row["early"])


def test_T13D_power_kernel_bound_for_every_delay() -> None:
    model = power_model({"gain": 1.0, "exponent": 0.5, "unit": 1.0})
    assert 1.0 / (model.any_delay_per_usd(1.0, step_years=MINUTE) * BOOK_USD) == pytest.approx(0.8266, abs=3e-4)


def test_power_kernel_states_its_error_and_keeps_it() -> None:
    model = power_model({"gain": 1.0, "exponent": 0.4, "unit": 3.0})
    assert model.power_fit is not None
    assert model.power_fit.greatest_relative_error <= 1e-3
    state = model.absorb(model.init(1), np.array([BOOK_USD]), np.zeros(1), np.zeros(1), MINUTE)
    for minutes in (1.0, 7.0, 500.0, 2_999.0):
        left = model.pull(state, minutes * MINUTE)[1].transient.sum()
        assert left == pytest.approx((1.0 + minutes / 3.0) ** -0.4, rel=1e-3)


@pytest.mark.parametrize(("gain_per_usd", "dollar_gamma"), [(3.14054e-11, -5.756555e9), (2e-11, 9e9), (1e-11, -4e10)])
def test_T1_same_step_hedging_scales_every_move(gain_per_usd: float, dollar_gamma: float) -> None:
    """sigma_eff = sigma / (1 - g), path by path: every return is the shock over 1 - g."""
    shocks = np.random.default_rng(2).standard_normal((50, 20_000)) * 1e-3
    returns, _, _ = same_step_loop(ImpactModel(permanent_per_usd=gain_per_usd), dollar_gamma, shocks)
    gain = -gain_per_usd * dollar_gamma
    assert np.allclose(returns, shocks / (1.0 - gain), rtol=1e-10, atol=0.0)
    ratio, error = returns.std() / 1e-3, 1.0 / (1.0 - gain) / math.sqrt(2 * shocks.size)
    assert abs(ratio - 1.0 / (1.0 - gain)) < 4.0 * error
    assert abs(ratio - 1.0 / (1.0 + gain)) > 40.0 * error


def test_gain_of_the_square_root_law_depends_on_the_move_it_is_read_at() -> None:
    """The same book and law: a secant at $100m, the flow that a 1 % move forces, the flow that moves 1 %."""
    model, gamma = ImpactModel(square_root=SquareRootLaw(10e9, 0.6 / math.sqrt(365), crossover_usd=1e6)), 5.756555e9

    def moved(flow: float) -> float:
        return float(model.move(model.init(1), np.array([flow]), np.zeros(1))[0][0])

    assert moved(100e6) / 100e6 * gamma == pytest.approx(0.18079, abs=1e-5)
    assert moved(0.01 * gamma) / 0.01 == pytest.approx(0.2383, abs=1e-4)
    one_pct = 10e9 * (0.01 / 0.6) ** 2 * 365
    assert moved(one_pct) == pytest.approx(0.01, rel=1e-12)
    assert 0.01 / one_pct * gamma == pytest.approx(0.0568, abs=1e-4)
    assert 1e4 * moved(100e6) == pytest.approx(31.405, abs=1e-3)
    assert 1e4 * moved(-1e9) == pytest.approx(-99.313, abs=1e-3)


@pytest.mark.parametrize(("shock", "amplified"), [(1e-4, 10.908), (1e-3, 2.5), (1e-2, 1.3484), (3e-2, 1.1889)])
def test_square_root_loop_has_a_floor_of_its_own(shock: float, amplified: float) -> None:
    """r = e + c sqrt(r), c^2 = 9e-4: the pure root excites itself; the crossover below which it is linear gives calm back."""
    volume, vol, gamma = 10e9, 0.0314, 9e-4 * 10e9 / 0.0314**2
    pure = ImpactModel(square_root=SquareRootLaw(volume, vol, crossover_usd=1.0))

    def settle(model: ImpactModel, start: float) -> float:
        answer = start
        for _ in range(2_000):
            answer = shock + float(model.move(model.init(1), np.array([gamma * answer]), np.zeros(1))[0][0])
        return answer

    assert settle(pure, 0.1) / shock == pytest.approx(amplified, rel=2e-4)
    calm_crossover = 4.0 * 9e-4 * gamma
    calm = ImpactModel(square_root=SquareRootLaw(volume, vol, crossover_usd=calm_crossover))
    assert calm.small_signal_per_usd(1.0) * gamma == pytest.approx(0.5, rel=1e-12)
    if shock <= 1e-3:
        assert settle(calm, 0.0) / shock == pytest.approx(2.0, rel=1e-9)


def test_square_root_slopes_are_derivatives_and_meet_at_the_crossover() -> None:
    law = SquareRootLaw(8e9, 0.04, crossover_usd=2e6, y=0.8)
    flow = np.array([-5e8, -2.5e6, -1.9e6, -1.0, 0.0, 3.0, 1.5e6, 2.1e6, 7e7])
    step = np.maximum(1e-6 * np.abs(flow), 1e-3)
    slope = (law.log_move(flow + step) - law.log_move(flow - step)) / (2.0 * step)
    assert np.allclose(law.slope_per_usd(flow), slope, rtol=1e-6, atol=0.0)
    below, above = law.log_move(np.array([2e6 * (1 - 1e-12), 2e6 * (1 + 1e-12)]))
    assert below == pytest.approx(above, rel=1e-11)
    assert np.array_equal(law.log_move(-flow), -law.log_move(flow))


def charm_pinning(power: float, *, paths: int, marks: tuple[float, ...], strength: float = 1.0) -> list[float]:
    """Share of paths within one standard deviation of the strike when only the hedgers' charm flow pushes: z = ln(S/K) / (vol sqrt(tau)).

    Long holders trade dQ/dt = -z e^(-z^2/2) / tau; a step's flow Q moves price by vol |dQ/dt|^power dt, which is the per-step law with its
    constant scaled to the step: vol dt^(1 - power) |Q|^power.  Log time, tau = e^-s; the free diffusion of z is exact.
    """
    generator = np.random.default_rng(12)
    step, vol, now, found, z = 0.02, 0.6, 0.0, [], np.zeros(paths)
    for mark in marks:
        while now < mark - 1e-9:
            tau = math.exp(-now - 0.5 * step)
            width, hedged = vol * math.sqrt(tau), strength * np.exp(-0.5 * z * z) * step
            if power == 0.5:
                model = ImpactModel(square_root=SquareRootLaw(1.0, vol * math.sqrt(tau * step), crossover_usd=1e-12))
                z = z + model.move(model.init(paths), -z * hedged, z)[0] / width
            else:
                model = ImpactModel(permanent_per_usd=vol)
                z = z / (1.0 + model.move(model.init(paths), z, z)[1] * hedged / width)
            z = z * math.exp(0.5 * step) + math.sqrt(math.expm1(step)) * generator.standard_normal(paths)
            now += step
        found.append(float(np.mean(np.abs(z) < 1.0)))
    return found


@pytest.mark.parametrize(("power", "marks", "paths"), [(0.5, (2.0, 4.0, 6.0), 40_000), (1.0, (2.0, 4.0), 20_000)])
def test_T7_the_square_root_is_the_edge_of_pinning(power: float, marks: tuple[float, ...], paths: int) -> None:
    """Under the square root the share near the strike fades as a power of time left; under linear impact it stays at 1 - e^-2."""
    row = next(row for row in ANSWERS["pinning"] if row["power"] == power)
    for found, mark in zip(charm_pinning(power, paths=paths, marks=marks), marks):
        expected = row["inside"][str(mark)]
        error = math.sqrt(expected * (1.0 - expected) / paths)
        assert abs(found - expected) / error < 4.0
        assert error / expected <= 0.01


@pytest.mark.parametrize("strength", [1.3, -1.0])
def test_T7_sees_a_wrong_flow(strength: float) -> None:
    expected = next(row for row in ANSWERS["pinning"] if row["power"] == 0.5)["inside"]["2.0"]
    found = charm_pinning(0.5, paths=20_000, marks=(2.0,), strength=strength)[0]
    assert abs(found - expected) / math.sqrt(expected * (1.0 - expected) / 20_000) > 8.0


def test_T7_the_square_root_fades_where_linear_impact_holds() -> None:
    by_power = {row["power"]: row["inside"] for row in ANSWERS["pinning"]}
    assert by_power[1.0]["10.0"] == pytest.approx(1.0 - math.exp(-2.0), abs=5e-4)
    ratio = [by_power[0.5][late] / by_power[0.5][early] for early, late in (("4.0", "6.0"), ("6.0", "8.0"), ("8.0", "10.0"))]
    assert np.ptp(ratio) < 0.005
    assert max(ratio) < 0.76


def test_depth_stays_between_floor_and_full_and_refills_with_its_half_life() -> None:
    depth = ReactiveDepth(vol_sensitivity=30.0, flow_sensitivity_per_usd=2e-8, half_life_minutes=20.0, floor=0.25)
    model = ImpactModel(permanent_per_usd=1e-11, depth_reacts=depth)
    generator, state = np.random.default_rng(4), model.init(64)
    for _ in range(200):
        flow = generator.standard_normal(64) * 2e7
        state = model.absorb(state, flow, flow, generator.standard_normal(64) * 2e-3, 5 * MINUTE)
        assert state.depth_log.max() <= 0.0
        assert state.depth_log.min() >= math.log(0.25) - 1e-15
    assert np.exp(state.depth_log).min() < 0.3
    calm = replace(state, signed_flow_usd=np.zeros(64))
    rested = model.absorb(calm, np.zeros(64), np.zeros(64), np.zeros(64), 20 * MINUTE)
    assert np.allclose(rested.depth_log, 0.5 * calm.depth_log, rtol=1e-12, atol=0.0)


def test_depth_answers_one_sided_flow_alike_on_every_grid_and_ignores_two_sided_flow() -> None:
    model = ImpactModel(permanent_per_usd=1e-11, depth_reacts=ReactiveDepth(0.0, 1e-8, 30.0, 0.01))

    def thinned(step_minutes: float, usd_per_minute: float, alternate: bool = False) -> float:
        state = model.init(1)
        for step in range(int(600 / step_minutes)):
            flow = np.array([usd_per_minute * step_minutes * ((-1.0) ** step if alternate else 1.0)])
            state = model.absorb(state, flow, flow, np.zeros(1), step_minutes * MINUTE)
        return float(state.depth_log[0])

    assert thinned(0.25, 1e6) == pytest.approx(-1e-8 * 1e6 * 30.0 / math.log(2.0), rel=0.01)
    assert thinned(1.0, 1e6) == pytest.approx(thinned(0.25, 1e6), rel=0.03)
    assert thinned(1.0, -1e6) == thinned(1.0, 1e6)
    assert abs(thinned(1.0, 1e6, alternate=True)) < 0.02 * abs(thinned(1.0, 1e6))


def test_depth_before_the_step_sets_the_price_of_the_step() -> None:
    depth = ReactiveDepth(vol_sensitivity=50.0, flow_sensitivity_per_usd=0.0, half_life_minutes=60.0, floor=0.1)
    model = ImpactModel(permanent_per_usd=1e-11, transient_per_usd=2e-11, transient_half_life_minutes=10.0, depth_reacts=depth)
    thin = replace(model.init(1), depth_log=np.array([math.log(0.5)]))
    flow = np.array([1e8])
    moved, per_usd, _ = model.move(thin, flow, flow)
    assert moved[0] == pytest.approx(2.0 * 3e-11 * 1e8, rel=1e-12)
    assert per_usd[0] == pytest.approx(6e-11, rel=1e-12)
    after = model.absorb(thin, flow, flow, np.array([0.02]), MINUTE)
    assert after.transient.sum() == pytest.approx(2.0 * 2e-11 * 1e8, rel=1e-12)
    assert after.depth_log[0] == pytest.approx(0.5 ** (1 / 60) * math.log(0.5) - 50 * 0.02, rel=1e-12)


ALL_PARTS = ImpactModel(
    permanent_per_usd=1e-11,
    transient_per_usd=2e-11,
    kernel="power",
    power_exponent=0.5,
    power_unit_minutes=1.0,
    power_horizon_minutes=1_000.0,
    square_root=SquareRootLaw(10e9, 0.03, crossover_usd=1e6),
    depth_reacts=ReactiveDepth(5.0, 1e-10, 60.0, 0.2),
    limit_usd_per_step=1e9,
)


def test_transitions_write_nothing_they_were_given() -> None:
    generator = np.random.default_rng(6)
    state, flow, returns = ALL_PARTS.init(8), generator.standard_normal(8) * 1e8, generator.standard_normal(8) * 1e-3
    state = ALL_PARTS.absorb(state, flow, flow, returns, MINUTE)
    for array in (*(getattr(state, f.name) for f in fields(state)), flow, returns):
        array.setflags(write=False)
    _, pulled = ALL_PARTS.pull(state, MINUTE)
    ALL_PARTS.move(pulled, flow, flow)
    ALL_PARTS.absorb(pulled, flow, flow, returns, MINUTE)


def test_paths_do_not_know_one_another() -> None:
    generator = np.random.default_rng(7)
    flow, returns = generator.standard_normal(9) * 1e8, generator.standard_normal(9) * 1e-3

    def play(rows: slice) -> tuple[FloatArray, ImpactState]:
        state = ALL_PARTS.init(flow[rows].size)
        for _ in range(3):
            _, state = ALL_PARTS.pull(state, MINUTE)
            state = ALL_PARTS.absorb(state, flow[rows], flow[rows], returns[rows], MINUTE)
        return ALL_PARTS.move(state, flow[rows], flow[rows])[0], state

    whole, part = play(slice(None)), play(slice(3, 6))
    assert np.array_equal(whole[0][3:6], part[0])
    assert np.array_equal(whole[1].transient[:, 3:6], part[1].transient)


def test_slopes_are_derivatives_of_the_move() -> None:
    generator = np.random.default_rng(9)
    flow = generator.standard_normal(20) * 1e8
    state = ALL_PARTS.absorb(ALL_PARTS.init(20), flow, flow, flow * 1e-11, MINUTE)
    _, per_usd, per_coin = ALL_PARTS.move(state, flow, flow)
    bumped = (ALL_PARTS.move(state, flow + 10.0, flow)[0] - ALL_PARTS.move(state, flow - 10.0, flow)[0]) / 20.0
    assert np.allclose(per_usd, bumped, rtol=1e-6, atol=0.0)
    assert not per_coin.any()


def test_adding_impacts_adds_their_moves_and_memories() -> None:
    lasting = ImpactModel(permanent_per_usd=1e-11, limit_usd_per_step=5e8)
    quick = ImpactModel(transient_per_usd=2e-11, transient_half_life_minutes=5.0)
    slow = ImpactModel(transient_per_usd=1e-11, transient_half_life_minutes=600.0, limit_usd_per_step=3e8)
    both, flow = lasting + quick + slow, np.array([1e8])
    assert both.small_signal_per_usd(1.0) == pytest.approx(4e-11, rel=1e-12)
    assert both.lasting_per_usd(1.0) == pytest.approx(1e-11, rel=1e-12)
    assert both.limit_usd_per_step == 3e8
    state = both.absorb(both.init(1), flow, flow, np.zeros(1), MINUTE)
    left = both.pull(state, 60 * MINUTE)[1].transient.sum()
    assert left == pytest.approx(1e8 * (2e-11 * 0.5**12 + 1e-11 * 0.5**0.1), rel=1e-12)
    assert (quick + lasting).small_signal_per_usd(1.0) == (lasting + quick).small_signal_per_usd(1.0)
    assert np.array_equal(
        (slow + quick + lasting).move(both.init(1), flow, flow)[0], (lasting + slow + quick).move(both.init(1), flow, flow)[0]
    )


def test_per_coin_impact_at_a_spot() -> None:
    model = ImpactModel(permanent_per_coin=6e-7, transient_per_coin=3e-7, transient_half_life_minutes=10.0)
    assert model.small_signal_per_usd(60_000.0) == pytest.approx(1.5e-11, rel=1e-12)
    moved, per_usd, per_coin = model.move(model.init(2), np.zeros(2), np.array([100.0, -50.0]))
    assert np.allclose(moved, [9e-5, -4.5e-5], rtol=1e-12, atol=0.0)
    assert not per_usd.any()
    assert np.allclose(per_coin, 9e-7, rtol=1e-12, atol=0.0)


def test_depth_is_exhausted_beyond_the_limit_only() -> None:
    flow = np.array([-2e9, -1e9, 0.0, 1e9, 1.1e9])
    assert ALL_PARTS.exhausted(flow).tolist() == [True, False, False, False, True]
    assert not ImpactModel(permanent_per_usd=1e-11).exhausted(flow).any()


def test_measured_laws_become_models() -> None:
    linear = ImpactModel.from_law(LinearImpact(200e6, source="desk"))
    assert linear.small_signal_per_usd(1.0) == pytest.approx(5e-11, rel=1e-12)
    root = ImpactModel.from_law(SquareRootImpact(10e9, 0.03, crossover_usd=1e6) + LinearImpact(1e9, source="lasting"))
    assert root.square_root is not None
    assert root.permanent_per_usd == pytest.approx(1e-11, rel=1e-12)
    assert not root.is_linear
    assert root.warnings
    assert not linear.warnings
    with pytest.raises(RuleError, match="crossover"):
        ImpactModel.from_law(SquareRootImpact(10e9, 0.03))
    with pytest.raises(RuleError, match="linear or square-root"):
        ImpactModel.from_law(UnknownImpact("book", "none"))


ROOT = SquareRootLaw(10e9, 0.03, crossover_usd=1e6)


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"permanent_per_usd": -1e-11}, "never lowers"),
        ({"permanent_per_usd": math.nan}, "0 or more"),
        ({"permanent_per_usd": 1e-11, "permanent_per_coin": 1e-7}, "got both"),
        ({"transient_per_usd": 1e-11, "transient_per_coin": 1e-7, "transient_half_life_minutes": 5.0}, "got both"),
        ({"transient_per_usd": 1e-11}, "transient_half_life_minutes"),
        ({"transient_per_usd": 1e-11, "transient_half_life_minutes": -3.0}, "transient_half_life_minutes"),
        ({"transient_per_usd": 1e-11, "kernel": "power"}, "power_exponent"),
        ({"transient_per_usd": 1e-11, "kernel": "power", "power_exponent": 0.5, "power_unit_minutes": 1.0}, "power_horizon_minutes"),
        ({"transient_per_usd": 1e-11, "kernel": "linear"}, "exponential or power"),
        ({"limit_usd_per_step": 0.0}, "limit_usd_per_step"),
        ({"square_root": ROOT, "transient_half_life_minutes": 30.0}, "round trip earns"),
        ({"square_root": ROOT, "kernel": "power", "power_exponent": 0.3}, "round trip earns"),
    ],
)
def test_meaningless_models_are_refused_in_one_sentence(keywords: dict[str, object], sentence: str) -> None:
    with pytest.raises(RuleError, match=sentence) as caught:
        ImpactModel(**keywords)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SquareRootLaw(10e9, 0.03, crossover_usd=None), "steep at zero flow"),  # type: ignore[arg-type]
        (lambda: SquareRootLaw(10e9, 3.0, crossover_usd=1e6), "daily_vol as a decimal"),
        (lambda: ReactiveDepth(1.0, 0.0, 10.0, 0.0), "floor"),
        (lambda: ReactiveDepth(-1.0, 0.0, 10.0, 0.5), "vol_sensitivity"),
        (lambda: ReactiveDepth(1.0, 0.0, 0.0, 0.5), "half_life"),
        (lambda: ImpactModel(square_root=ROOT) + ImpactModel(square_root=ROOT), "at most one"),
        (lambda: ImpactModel(permanent_per_usd=1e-11) + ImpactModel(permanent_per_coin=1e-7), "got both"),
    ],
)
def test_meaningless_parts_are_refused(make: object, sentence: str) -> None:
    with pytest.raises(Exception, match=sentence):
        make()  # type: ignore[operator]
