"""Metrics of synthetic paths whose answers are closed forms: autoregressive returns, Student-t and uniform moves, days with a hedged close."""

from __future__ import annotations

import itertools
import json
import math
import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tailwag.errors import InputError, TailwagError
from tailwag.hedging.policies import EveryStep
from tailwag.kernels.exact_digits import UNIT_BITS, digit_sums, digit_sums_plain
from tailwag.kernels.path_sums import binned_sums, binned_sums_plain, daily_vols, daily_vols_plain, path_sums, path_sums_plain
from tailwag.sim import histogram
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.dynamics import Gbm
from tailwag.sim.estimates import Estimate, Share
from tailwag.sim.exact_sum import as_integer, exact_sums
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.metric_nouns import Metrics
from tailwag.sim.metrics import BlockSums, MetricPlan, PinWatch, fold, merge, metrics
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import PNL_PARTS, AgentPaths, BlockPaths, Outcome

VOL, DAYS, STEPS = 0.6, 1.0, 240
SPOT = 60_000.0


def grid(*, days: float = DAYS, steps: int = STEPS, exponent: float = 1.0) -> np.ndarray:
    return days / 365 * (1.0 - (1.0 - np.arange(steps + 1) / steps) ** exponent)


def agent(name: str, paths: int, random: np.random.Generator, **change: Any) -> AgentPaths:
    known = {
        "name": name,
        "turnover_usd": random.uniform(0.0, 1e9, paths),
        "trades": random.integers(0, 200, paths),
        "pnl_usd": random.standard_normal((len(PNL_PARTS), paths)) * 1e5,
        "gap_squared_usd": random.uniform(0.0, 1e14, paths),
        "peak_position_usd": random.uniform(0.0, 1e9, paths),
        "position_coin": None,
        "flow_usd": None,
    }
    given = AgentPaths(**known, **{field.name: np.zeros(paths) for field in fields(AgentPaths) if field.name not in known})
    return replace(given, **change)


def block(price: np.ndarray, fundamental: np.ndarray, time_years: np.ndarray, **change: Any) -> BlockPaths:
    paths, levels = price.shape
    known = {
        "first_path": 0,
        "time_years": time_years,
        "log_price": price,
        "fundamental_log": fundamental,
        "net_flow_usd": np.zeros((paths, levels - 1)),
        "vol_shift": None,
        "outcome": np.zeros(paths, dtype=np.int64),
        "stopped_step": np.full(paths, levels - 1),
        "agents": (),
    }
    accounts = {field.name: np.zeros(paths) for field in fields(BlockPaths) if field.name not in known}  # metrics read none of them
    given = BlockPaths(**known, **accounts)
    return replace(given, **change)


def levels(moves: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros((len(moves), 1)), np.cumsum(moves, axis=1)], axis=1)


def loop(gain: float, delay: int, shocks: np.ndarray) -> np.ndarray:
    """r_t = e_t + g r_(t - d), begun in its stationary state by a long run-in."""
    moves = np.zeros_like(shocks)
    for step in range(shocks.shape[1]):
        moves[:, step] = shocks[:, step] + (gain * moves[:, step - delay] if step >= delay else 0.0)
    return moves


def looped_block(gain: float, delay: int = 1, *, paths: int = 2_000, seed: int = 3, steps: int = STEPS, run_in: int = 120) -> BlockPaths:
    time_years = grid(steps=steps)
    random = np.random.default_rng(seed)
    shocks = random.standard_normal((paths, run_in + steps)) * VOL * math.sqrt(time_years[-1] / steps)
    moves = loop(gain, delay, shocks)[:, run_in:]
    return block(levels(moves), levels(shocks[:, run_in:]), time_years)


def banded_block(gain: float, band: float, *, paths: int, steps: int) -> BlockPaths:
    """Hedgers trade back to the edge of a band of ``band`` one-step deviations, in the same step as the shock."""
    shocks = np.random.default_rng(5).standard_normal((paths, steps))
    moves, gap = np.empty_like(shocks), np.zeros(paths)
    for step in range(steps):
        open_gap = gap + shocks[:, step]
        inside = np.clip(open_gap, -band, band)
        moves[:, step] = shocks[:, step] + gain * (open_gap - inside) / (1.0 - gain)
        gap = inside
    return block(levels(1e-4 * moves), levels(1e-4 * shocks), grid(days=100, steps=steps))


def banded_ratio(gain: float, band: float, horizon: int) -> float:
    """Var_h over h: the gap is Brownian motion reflected at the band (0.5826 wider for discrete steps), V = Var(its change over h)."""
    wide, odd = band + 0.5826, np.arange(1, 400, 2)
    kept = 32.0 * wide**2 / (math.pi * odd) ** 4 * np.exp(-((math.pi * odd) ** 2) * horizon / (8.0 * wide**2))
    change = 2.0 * (wide**2 / 3.0 - float(kept.sum()))
    return (horizon - (2.0 * gain - gain**2) * change) / ((1.0 - gain) ** 2 * horizon)


def measured(one: BlockPaths, **change: Any) -> Metrics:
    plan = replace(MetricPlan.for_grid(one.time_years, spot_usd=SPOT), **change)
    return metrics(merge([fold(part, plan) for part in parts(one, [1024] * 100)]), plan)


def parts(one: BlockPaths, sizes: Any) -> list[BlockPaths]:
    found, first = [], 0
    for size in sizes:
        last = min(first + size, one.paths)
        if last > first:
            found.append(cut(one, slice(first, last)))
        first = last
    return found


def cut(one: BlockPaths, rows: Any) -> BlockPaths:
    per_path = ("log_price", "fundamental_log", "net_flow_usd", "outcome", "stopped_step")
    agents = tuple(
        replace(
            who,
            pnl_usd=who.pnl_usd[:, rows],
            **{name: getattr(who, name)[rows] for name in ("turnover_usd", "trades", "gap_squared_usd", "peak_position_usd")},
        )
        for who in one.agents
    )
    return replace(one, agents=agents, **{name: getattr(one, name)[rows] for name in per_path})


def z_score(estimate: Estimate, theory: float, *, power: float = 0.01) -> float:
    """Distance in standard errors; an estimate too blunt to tell one per cent is no test."""
    assert estimate.value is not None
    assert estimate.standard_error is not None
    if power < math.inf:
        assert estimate.standard_error <= power * abs(theory), f"SE {estimate.standard_error} of {theory} has no power"
    return (estimate.value - theory) / estimate.standard_error


def variance_per_step(gain: float, delay: int, horizon: int) -> float:
    """Var(sum of h returns)/h over Var(shock), from the autocovariance of an AR(1) in strides of ``delay``."""
    own = 1.0 / (1.0 - gain**2)
    terms = [(horizon - k * delay) * gain**k for k in range(1, horizon // delay + 1) if k * delay < horizon]
    return own * (horizon + 2.0 * sum(terms)) / horizon


class TestHorizons:
    @pytest.mark.parametrize(("gain", "delay"), [(0.155, 1), (0.5, 1), (-0.5, 1), (0.5, 3), (-0.3, 2), (0.72, 1)])
    def test_t13_a_horizon_table(self, gain: float, delay: int) -> None:
        found = measured(looped_block(gain, delay), horizons_steps=(1, 2, 5, 10, 40, 120))
        one_step = variance_per_step(gain, delay, 1)
        for horizon in found.horizons:
            theory = variance_per_step(gain, delay, horizon.steps)
            assert abs(z_score(horizon.vol.hedged, VOL * math.sqrt(theory), power=0.03)) < 4
            assert abs(z_score(horizon.vol.fundamental, VOL, power=0.03)) < 4
            assert abs(z_score(horizon.amplification, math.sqrt(theory))) < 4
            if horizon.steps > 1:
                assert abs(z_score(horizon.variance_ratio.hedged, theory / one_step, power=0.06)) < 4
                assert abs(z_score(horizon.variance_ratio.fundamental, 1.0, power=0.06)) < 4

    def test_the_printed_table_is_the_formula(self) -> None:
        table = {
            0.155: (1.02462, 1.18343, 1.31155, 1.35603, 1.39606),
            0.5: (1.33333, 2.0, 2.96667, 3.46719, 3.94667),
            -0.5: (1.33333, 0.66667, 0.56667, 0.50365, 0.45037),
        }
        for gain, row in table.items():
            assert [variance_per_step(gain, 1, h) for h in (1, 2, 5, 10, 100)] == pytest.approx(row, abs=6e-6)

    def test_a_wrong_gain_is_seen(self) -> None:
        found = measured(looped_block(0.5))
        for wrong in (0.48, -0.5):
            scores = [abs(z_score(h.amplification, math.sqrt(variance_per_step(wrong, 1, h.steps)))) for h in found.horizons]
            assert max(scores) > 10

    def test_pairing_the_shocks_is_what_gives_the_power(self) -> None:
        one = looped_block(0.155)
        strangers = replace(one, fundamental_log=looped_block(0.155, seed=4).fundamental_log)
        longest = [measured(each).horizons[-1].amplification.standard_error for each in (one, strangers)]
        assert longest[0] is not None
        assert longest[1] is not None
        assert longest[0] < 0.15 * longest[1]

    def test_t1_same_step_loop_amplifies_every_horizon(self) -> None:
        one = looped_block(0.0)
        for gain in (0.180787, -0.5):
            found = measured(replace(one, log_price=one.fundamental_log / (1 - gain)))
            assert all(h.amplification.value == pytest.approx(1 / (1 - gain), rel=1e-12) for h in found.horizons)
            assert abs(z_score(found.realised_vol.hedged, VOL / (1 - gain))) < 4
            assert abs(z_score(found.realised_vol.hedged, VOL / (1 + gain))) > 10
            assert found.amplification.standard_error == pytest.approx(0.0, abs=1e-9)

    @pytest.mark.parametrize(("gain", "band"), [(0.5, 8.0), (-0.5, 8.0), (0.3, 5.0)])
    def test_t13_e_a_band_moves_feedback_to_long_horizons(self, gain: float, band: float) -> None:
        """Hedging to the edge of a band: next to nothing at one step, 1/(1 - g)^2 in the end, the closed form of a reflected gap between."""
        found = measured(banded_block(gain, band, paths=300, steps=6_000), horizons_steps=(1, 10, 50, 200, 1000))
        for horizon in found.horizons[1:]:
            theory = math.sqrt(banded_ratio(gain, band, horizon.steps))
            error = horizon.amplification.standard_error or math.inf
            assert error < 0.03 * theory
            assert abs((horizon.amplification.value or 0.0) - theory) < 4 * error + 0.01 * theory  # the closed form is for small steps
            wrong = [banded_ratio(gain, 1.7 * band, horizon.steps), banded_ratio(-gain, band, horizon.steps)]
            assert horizon.steps not in (50, 200) or all(
                abs((horizon.amplification.value or 0.0) - w**0.5) > 0.02 * w**0.5 + 4 * error for w in wrong
            )
        distances = [abs((horizon.amplification.value or 0.0) - 1.0) for horizon in found.horizons]
        assert distances == sorted(distances)

    @pytest.mark.slow
    @pytest.mark.parametrize(("gain", "row"), [(0.5, (1.098, 1.255, 1.804, 3.280)), (-0.5, (0.979, 0.953, 0.864, 0.612))])
    def test_t13_e_printed_row(self, gain: float, row: tuple[float, ...]) -> None:
        """The printed band of 10 is in units of the price that the hedge moves: 10/|g| of the price that it follows."""
        one = banded_block(gain, 10.0 / abs(gain), paths=400, steps=20_000)
        found = measured(one, horizons_steps=(1, 10, 100, 1000), checkpoint_steps=(0,)).horizons
        ratios = np.array([horizon.amplification.value or 0.0 for horizon in found]) ** 2
        assert np.all(np.abs(ratios / row - 1.0) < (0.01, 0.02, 0.04, 0.08))  # the row is itself a simulation, 10 % at the longest

    def test_autocorrelation(self) -> None:
        found = measured(looped_block(0.5, 3), lags_steps=(1, 3, 6))
        theory = {1: 0.0, 3: 0.5, 6: 0.25}
        for lag in found.autocorrelations:
            assert abs(z_score(lag.autocorrelation.hedged, theory[lag.steps], power=math.inf)) < 4
            assert abs(z_score(lag.autocorrelation.fundamental, 0.0, power=math.inf)) < 4
            assert (lag.autocorrelation.hedged.standard_error or 1.0) < 0.003

    def test_standard_errors_are_honest(self) -> None:
        """Estimates of 60 independent runs scatter by their own standard error."""
        runs = [measured(looped_block(0.4, paths=250, seed=seed, steps=40, run_in=20)) for seed in range(60)]
        for pick in (
            lambda m: m.amplification,
            lambda m: m.realised_vol.hedged,
            lambda m: m.horizons[3].variance_ratio.hedged,
            lambda m: m.horizons[0].kurtosis.hedged,
            lambda m: m.vol_of_vol.hedged,
            lambda m: m.autocorrelations[0].autocorrelation.hedged,
            lambda m: m.drawdown.mean.hedged,
            lambda m: m.exposure_long[0].value_at_risk.hedged,
            lambda m: m.exposure_long[0].expected_shortfall.hedged,
        ):
            values, errors = np.array([[pick(run).value, pick(run).standard_error] for run in runs]).T
            assert 0.7 < values.std(ddof=1) / np.sqrt((errors**2).mean()) < 1.35


class TestShapes:
    @pytest.mark.parametrize(
        ("draw", "one_step"),
        [
            (lambda r, shape: r.standard_normal(shape), 3.0),
            (lambda r, shape: r.uniform(-1, 1, shape), 1.8),
            (lambda r, shape: r.standard_t(12, shape), 3.0 + 6.0 / 8.0),
            (lambda r, shape: r.laplace(size=shape), 6.0),
        ],
        ids=["normal", "uniform", "t12", "laplace"],
    )
    def test_kurtosis_by_horizon(self, draw: Callable[..., np.ndarray], one_step: float) -> None:
        moves = draw(np.random.default_rng(11), (3_000, STEPS)) * 1e-3
        found = measured(block(levels(moves), levels(moves), grid()), horizons_steps=(1, 4, 16))
        for horizon in found.horizons:
            theory = 3.0 + (one_step - 3.0) / horizon.steps
            assert abs(z_score(horizon.kurtosis.hedged, theory, power=0.02)) < 4
        if one_step != 3.0:
            assert abs(z_score(found.horizons[0].kurtosis.hedged, 3.0, power=0.02)) > 20

    def test_vol_of_vol(self) -> None:
        """Paths of different vols, the same on every day: their spread, and on constant vol the sampling noise sigma/sqrt(2n)."""
        random = np.random.default_rng(12)
        steps, paths = 480, 4_000
        vols = np.exp(0.3 * random.standard_normal(paths))[:, None] * VOL
        shocks = random.standard_normal((paths, steps)) * math.sqrt(2 / 365 / steps)
        found = measured(block(levels(vols * shocks), levels(VOL * shocks), grid(days=2.0, steps=steps)))
        mean, second = VOL * math.exp(0.045), VOL**2 * math.exp(0.18)
        for name, per_day in (("vol_of_vol", steps), ("daily_vol_of_vol", steps // 2)):
            pair = getattr(found, name)
            shrink = 1 - 1 / (4 * per_day)  # the mean of a root of a chi-square, to first order
            theory = math.sqrt(second - (mean * shrink) ** 2)
            assert abs(z_score(pair.hedged, theory, power=0.05)) < 4
            assert abs(z_score(pair.fundamental, VOL / math.sqrt(2 * per_day), power=0.02)) < 4

    def test_realised_vol_on_a_graded_grid(self) -> None:
        time_years = grid(days=7, exponent=4.0)
        shocks = np.random.default_rng(13).standard_normal((2_000, STEPS)) * VOL * np.sqrt(np.diff(time_years))
        found = measured(block(levels(1.25 * shocks), levels(shocks), time_years))
        assert abs(z_score(found.realised_vol.fundamental, VOL)) < 4
        assert found.amplification.value == pytest.approx(1.25, rel=1e-12)
        assert found.horizons == ()
        assert "not uniform" in found.horizons_reason
        assert found.momentum_slope.hedged.value is None
        assert found.momentum_slope.hedged.reason
        assert found.daily_vol_of_vol.hedged.value is None

    def test_drawdown_of_known_paths(self) -> None:
        price = np.log(np.array([[100, 120, 60, 90], [100, 90, 80, 70], [100, 101, 102, 103]]) / 100)
        found = measured(block(price, 0 * price, grid(steps=3)))
        assert found.drawdown.mean.hedged.value == pytest.approx((0.5 + 0.3 + 0.0) / 3, rel=1e-14)
        assert found.drawdown.mean.fundamental.value == 0.0


class TestTails:
    @pytest.mark.parametrize("nu", [3.0, 5.0])
    def test_t25_student_t(self, nu: float) -> None:
        """A final move such that profit and loss is Student-t: VaR and ES at every level, P&L and exposure alike."""
        paths = 200_000
        random = np.random.default_rng(25)
        draws = random.standard_t(nu, paths)
        price = np.stack([np.zeros(paths), np.log1p(0.01 * np.clip(draws, -90, None))], axis=1)
        who = agent("t", paths, random, pnl_usd=np.zeros((len(PNL_PARTS), paths)))
        who.pnl_usd[0] = 1e6 * draws
        time_years = grid(steps=1)
        plan = MetricPlan.for_grid(time_years, spot_usd=SPOT)
        found = metrics(merge([fold(part, plan) for part in parts(block(price, price, time_years, agents=(who,)), [65_536] * 9)]), plan)
        for place, level in enumerate((0.95, 0.99, 0.999)):
            q = stats.t.ppf(level, nu)
            shortfall = stats.t.pdf(q, nu) * (nu + q * q) / ((1 - level) * (nu - 1))
            tail, long = found.agents[0].tails[place], found.exposure_long[place]
            power = 0.011 if level < 0.999 else 0.05
            for estimate, theory in (
                (tail.value_at_risk_usd, 1e6 * q),
                (long.value_at_risk.hedged, 0.01 * q),
                (found.exposure_short[place].value_at_risk.hedged, 0.01 * q),
            ):
                assert abs(z_score(estimate, theory, power=power)) < 4
                assert abs(z_score(estimate, 0.93 * theory, power=math.inf)) > (4 if level < 0.999 else 1)
            for estimate, theory in ((tail.expected_shortfall_usd, 1e6 * shortfall), (long.expected_shortfall.hedged, 0.01 * shortfall)):
                assert abs(z_score(estimate, theory, power=0.2)) < 4

    def test_a_thin_tail_is_unknown_with_what_to_do(self) -> None:
        tail = measured(looped_block(0.1, paths=500)).exposure_long
        assert tail[0].value_at_risk.hedged.known
        assert tail[2].value_at_risk.hedged.value is None
        assert tail[2].expected_shortfall.hedged.reason == "10 paths in the tail needed, 0.5 there; run 10,000 paths or more"

    def test_fan_quantiles(self) -> None:
        found = measured(looped_block(0.3, paths=6_000), checkpoint_steps=(0, 60, STEPS))
        assert found.fan.hours == pytest.approx((0.0, 6.0, 24.0))
        assert all(line[0] == SPOT for line in found.fan.hedged_usd)
        width = VOL * math.sqrt(1 / 365)
        for level, line in zip(found.fan.quantiles, found.fan.fundamental_usd):
            score = (math.log(line[-1] / SPOT) / width - stats.norm.ppf(level)) / (
                math.sqrt(level * (1 - level) / 6_000) / stats.norm.pdf(stats.norm.ppf(level))
            )
            assert abs(score) < 4
        spread = [math.log(fan[-1][-1] / fan[0][-1]) for fan in (found.fan.hedged_usd, found.fan.fundamental_usd)]
        assert spread[0] / spread[1] == pytest.approx(1 / 0.7, rel=0.02)

    def test_final_price_shares(self) -> None:
        one = looped_block(0.3, paths=5_000)
        found = measured(one).final_price
        prices = SPOT * np.exp(one.log_price[:, -1])
        truth = np.histogram(prices, found.edges_usd)[0] / 5_000
        assert np.abs(np.array(found.hedged_share) - truth).max() < 0.002
        assert 0.995 < sum(found.hedged_share) <= 1.0 + 1e-12
        assert sum(found.fundamental_share) <= 1.0 + 1e-12

    @pytest.mark.parametrize("bins", [histogram.LOG_BINS, histogram.FINAL_BINS, histogram.SHARE_BINS, histogram.MONEY_BINS])
    def test_bins_hold_what_they_say(self, bins: histogram.Bins) -> None:
        edges = bins.edges()
        assert len(edges) == bins.count + 1
        assert np.all(np.diff(edges) > 0)
        inside = edges[np.abs(edges) < 2.0**bins.highest]
        values = np.concatenate([inside * (1 + 1e-9), inside * (1 - 1e-9), [0.0, -0.0]])
        place = bins.places(values)
        assert np.all(edges[place] <= values)
        assert np.all(values <= edges[place + 1])
        assert bins.places(np.array([1e300, -1e300])).tolist() == [bins.count - 1, 0]

    @pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6, 1e11])
    def test_histogram_quantiles_are_sample_quantiles(self, scale: float) -> None:
        values = scale * np.random.default_rng(2).standard_normal(50_000)
        found = histogram.Histogram.of(histogram.MONEY_BINS, values[None]).distribution(0)
        for level in (0.001, 0.05, 0.3, 0.9):
            truth = np.quantile(values, level)
            assert found.quantile(level) == pytest.approx(truth, abs=max(2e-3 * abs(truth), 0.008))
            beyond = np.sort(values)[: round(50_000 * level)]
            assert found.mean_below(level) == pytest.approx(beyond.mean(), abs=max(5e-4 * abs(beyond.mean()), 0.008))

    def test_an_atom_is_found_exactly(self) -> None:
        found = histogram.Histogram.of(histogram.MONEY_BINS, np.full((2, 50), 1234.5678)).distribution(1)
        assert found.quantile(0.3) == 1234.5678
        assert found.mean_below(0.3) == 1234.5678


class TestPins:
    def test_shares_and_paired_excess(self) -> None:
        random = np.random.default_rng(4)
        paths = 40_000
        near, shared = 0.002, random.uniform(-1, 1, paths) * 0.02
        pulled = np.where(np.abs(shared) < 0.005, 0.1 * shared, shared)
        target = math.log(61_000 / SPOT)
        one = block(np.stack([0 * shared, target + pulled], 1), np.stack([0 * shared, target + shared], 1), grid(steps=1))
        pins = (PinWatch(61_000.0, 1e4 * near), PinWatch(70_000.0, 10.0), PinWatch(SPOT, 1.0, step=0))
        found = measured(one, pins=pins).pins
        assert abs(found[0].hedged.value - 0.25) / found[0].hedged.standard_error < 4
        assert abs(found[0].fundamental.value - 0.1) / found[0].fundamental.standard_error < 4
        assert abs(z_score(found[0].excess, 0.15, power=0.02)) < 4
        separate = math.hypot(found[0].hedged.standard_error, found[0].fundamental.standard_error)
        assert (found[0].excess.standard_error or 1.0) < 0.8 * separate
        assert (found[1].hedged.count, found[1].fundamental.count) == (0, 0)
        assert found[2].hedged.value == found[2].fundamental.value == 1.0
        assert found[2].hours == 0.0

    def test_a_stopped_path_is_not_pinned(self) -> None:
        flat = np.zeros((10, 5))
        outcome = np.array([int(Outcome.RUNAWAY)] * 4 + [0] * 6)
        stopped = np.array([2] * 4 + [4] * 6)
        one = block(flat, flat, grid(steps=4), outcome=outcome, stopped_step=stopped)
        found = measured(one, pins=(PinWatch(SPOT, 5.0), PinWatch(SPOT, 5.0, step=1))).pins
        assert [pin.hedged.count for pin in found] == [6, 10]

    @pytest.mark.parametrize(
        ("beta", "x0"), [(0.2, 0.0), pytest.param(0.1, 0.0, marks=pytest.mark.slow), pytest.param(0.4, 0.5, marks=pytest.mark.slow)]
    )
    def test_t4_pinned_share_of_the_exact_process(self, beta: float, x0: float) -> None:
        """Charm-only pinning in log-time: the share within 2 % of sigma sqrt(T) is 1 - exp(-2 beta exp(-z0^2/2)) and a small background."""
        paths, steps = 4_000, 300
        time_years = grid(days=7, steps=steps, exponent=4.0)
        horizon = time_years[-1]
        left, random = horizon - time_years, np.random.default_rng(8)
        price = np.full((paths, steps + 1), x0 * VOL * math.sqrt(horizon))
        for step in range(steps):
            dt = left[step] - left[step + 1]
            tau = max(left[step + 1], 1e-3 * dt)
            now = price[:, step] + VOL * math.sqrt(dt) * random.standard_normal(paths)
            weight = beta * math.sqrt(horizon) * tau**-1.5 * dt
            drawn = now.copy()
            for _ in range(40):
                drawn = 0.5 * drawn + 0.5 * now / (1.0 + weight * np.exp(-(drawn**2) / (2 * VOL**2 * tau)))
            price[:, step + 1] = drawn
        watch = PinWatch.from_vol(SPOT, vol=VOL, years=horizon)
        pin = measured(block(price, price, time_years), pins=(watch,)).pins[0]
        theory = 1.0 - math.exp(-2.0 * beta * math.exp(-0.5 * x0**2))
        background = 0.02 * math.sqrt(2 / math.pi)
        assert abs(pin.hedged.value - theory) < 4 * pin.hedged.standard_error + background
        assert abs(pin.hedged.value - (1.0 - math.exp(-4.0 * beta * math.exp(-0.5 * x0**2)))) > 4 * pin.hedged.standard_error + background


class TestMomentum:
    @pytest.mark.parametrize("gain", [0.155, 0.4, -0.6])
    def test_t13_h_close_hedging(self, gain: float) -> None:
        days, day, window = 5, 48, 2
        time_years = grid(days=days, steps=days * day)
        shocks = np.random.default_rng(14).standard_normal((4_000, days * day)) * 1e-3
        moves = shocks.copy()
        for one in range(days):
            begin, shut, close = one * day, (one + 1) * day - window, (one + 1) * day
            rest, last = shocks[:, begin:shut].sum(axis=1), shocks[:, shut:close].sum(axis=1)
            moves[:, close - 1] += gain * (rest + last) / (1 - gain)
        found = measured(block(levels(moves), levels(shocks), time_years), close_window_hours=1.0).momentum_slope
        assert abs(z_score(found.hedged, gain / (1 - gain), power=0.03)) < 4
        assert abs(z_score(found.hedged, gain, power=math.inf)) > 4, "the lagged slope g must be told from g/(1 - g)"
        assert abs(z_score(found.fundamental, 0.0, power=math.inf)) < 4

    def test_the_day_ends_at_the_stated_hour(self) -> None:
        plan = replace(MetricPlan.for_grid(grid(days=2, steps=96), spot_usd=SPOT), start_hour=20.0, close_hour=8.0, close_window_hours=1.0)
        closes = plan.close_steps()
        assert closes is not None
        assert closes.tolist() == [[24, 70, 72]]
        assert replace(plan, close_window_hours=0.3).close_steps() is None
        assert replace(plan, start_hour=20.1).close_steps() is None


class TestAgentsAndFlows:
    def test_flow_by_hour(self) -> None:
        time_years = grid(days=1.5, steps=144)
        one = looped_block(0.0, paths=64)
        flow = np.zeros((64, 144))
        hour = (22 + np.arange(144) // 4) % 24
        flow[:, hour == 23] = np.where(np.arange(64)[:, None] % 2, 3e6, -1e6)
        flat = np.zeros((64, 145))
        plan = MetricPlan.for_grid(time_years, spot_usd=SPOT, start_hour=22.0)
        found = {each.hour_utc: each for each in metrics(fold(block(flat, flat, time_years, net_flow_usd=flow), plan), plan).flow_by_hour}
        assert one.paths == 64
        assert len(found) == 24
        assert found[23].signed_usd.value == pytest.approx(4e6)  # four steps an hour of +3 m or -1 m
        assert found[23].absolute_usd.value == pytest.approx(8e6)
        assert found[23].signed_usd.standard_error == pytest.approx(np.std([12e6, -4e6] * 32, ddof=1) / 8)
        assert all(each.absolute_usd.value == 0.0 for hour, each in found.items() if hour != 23)

    def test_accounts(self) -> None:
        random = np.random.default_rng(6)
        one = looped_block(0.0, paths=3_000, steps=24)
        who = agent("dealer", 3_000, random)
        found = measured(replace(one, agents=(who,))).agents[0]
        total = who.pnl_usd.sum(axis=0)
        assert found.pnl_usd.value == pytest.approx(total.mean(), rel=1e-12)
        assert found.pnl_usd.standard_error == pytest.approx(total.std(ddof=1) / math.sqrt(3_000), rel=1e-9)
        assert found.pnl_deviation_usd.value == pytest.approx(total.std(), rel=1e-9)
        assert found.pnl_deviation_usd.standard_error == pytest.approx(total.std() / math.sqrt(6_000), rel=0.05)
        for part, row in zip(PNL_PARTS, who.pnl_usd):
            assert found.pnl_parts_usd[part].value == pytest.approx(row.mean(), rel=1e-12)
        parts_sum = sum(estimate.value or 0.0 for estimate in found.pnl_parts_usd.values())
        assert parts_sum == pytest.approx(found.pnl_usd.value, rel=1e-12)
        assert found.turnover_usd_per_day.value == pytest.approx(who.turnover_usd.mean())
        assert found.peak_position_usd.value == pytest.approx(who.peak_position_usd.mean())
        assert found.mishedge_rms_usd.value == pytest.approx(math.sqrt(who.gap_squared_usd.mean()))
        cost = -who.pnl_usd[5:9].sum(axis=0)
        assert found.cost_usd.value == pytest.approx(cost.mean(), rel=1e-9)
        middle = next(each for each in found.cost_quantiles_usd if each.level == 0.5)
        assert abs((middle.quantile.value or 0.0) - np.median(cost)) < 0.01 * cost.std()


class TestSums:
    def test_any_partition_and_order_gives_the_same_bits(self) -> None:
        random = np.random.default_rng(9)
        one = looped_block(0.4, paths=160, steps=96)
        stopped = random.uniform(size=160) < 0.1
        one = replace(
            one,
            net_flow_usd=random.standard_normal((160, 96)) * 10.0 ** random.uniform(-3, 11, (160, 1)),
            outcome=np.where(stopped, random.integers(1, 4, 160), 0),
            stopped_step=np.where(stopped, 50, 96),
            agents=(agent("a", 160, random), agent("b", 160, random)),
        )
        plan = MetricPlan.for_grid(one.time_years, spot_usd=SPOT, pins=(PinWatch(SPOT, 50.0),))
        whole = fold(one, plan)
        answer = json.dumps(metrics(whole, plan).to_document())
        for sizes in ([1] * 160, [1024], [7] * 100, [60, 1, 99], random.integers(1, 40, 100).tolist()):
            folded = [fold(part, plan) for part in parts(one, sizes)]
            random.shuffle(folded)  # type: ignore[arg-type]
            halves = [merge(folded[: len(folded) // 2 + 1]), *folded[len(folded) // 2 + 1 :]]
            total = merge([pickle.loads(pickle.dumps(each)) for each in halves])
            assert same(total, whole)
            assert json.dumps(metrics(total, plan).to_document()) == answer
        shuffled = fold(cut(one, random.permutation(160)), plan)
        assert same(shuffled, whole)
        by_time = replace(one, log_price=np.asfortranarray(one.log_price), net_flow_usd=np.asfortranarray(one.net_flow_usd))
        assert same(fold(by_time, plan), whole)

    def test_a_changed_path_changes_the_sums(self) -> None:
        one = looped_block(0.4, paths=50, steps=24)
        plan = MetricPlan.for_grid(one.time_years, spot_usd=SPOT)
        other = one.log_price.copy()
        other[17, 11] = np.nextafter(other[17, 11], 1.0)
        assert not same(fold(replace(one, log_price=other), plan), fold(one, plan))

    def test_memory_does_not_grow_with_paths(self) -> None:
        sizes = []
        for paths in (10, 1_000):
            one = looped_block(0.4, paths=paths, steps=24)
            one = replace(one, agents=(agent("a", paths, np.random.default_rng(1)),))
            sizes.append(len(pickle.dumps(fold(one, MetricPlan.for_grid(one.time_years, spot_usd=SPOT)))))
        assert sizes[1] <= sizes[0] + 100

    def test_exact_sums_are_exact(self) -> None:
        random = np.random.default_rng(1)
        values = random.standard_normal((40, 301)) * 10.0 ** random.uniform(-25, 25, (40, 301))
        values[:, 0] = 0.0
        for row, digits in zip(values, exact_sums(values)):
            assert Fraction(as_integer(digits), 2**UNIT_BITS) == sum(map(Fraction, row.tolist()))
        wide = np.concatenate([values.ravel(), 2.0 ** np.arange(-340, 170), 2.0 ** np.arange(-340, 170) * -1.9, [0.0, -0.0, 5e-324]])
        assert np.array_equal(digit_sums(wide[None]), digit_sums_plain(wide[None]))
        assert np.array_equal(
            np.concatenate([digit_sums(wide[k : k + 1, None]) for k in range(wide.size)]).sum(axis=0), digit_sums(wide[None])[0]
        )
        tiny = exact_sums(np.array([[5e-324, 1e-90, -1e-90, 1.0]]))
        assert as_integer(tiny[0]) / 2**UNIT_BITS == 1.0

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e60])
    def test_exact_sums_refuse_what_is_no_number(self, bad: float) -> None:
        with pytest.raises(TailwagError, match="finite numbers"):
            exact_sums(np.array([[1.0, bad]]))

    def test_kernels_and_their_plain_twins(self) -> None:
        random = np.random.default_rng(10)
        price = np.ascontiguousarray(levels(random.standard_normal((33, 250)) * 1e-3).T)
        horizons, lags = np.array([1, 2, 7, 50, 250]), np.array([1, 4, 249])
        np.testing.assert_allclose(path_sums(price, horizons, lags), path_sums_plain(price, horizons, lags), rtol=1e-11, atol=1e-18)
        np.testing.assert_allclose(daily_vols(price, 60), daily_vols_plain(price, 60), rtol=1e-13)
        flow, place = random.standard_normal((250, 33)) * 1e6, random.integers(0, 24, 250)
        np.testing.assert_allclose(binned_sums(flow, place, 24), binned_sums_plain(flow, place, 24), rtol=1e-11, atol=1e-6)


def same(one: BlockSums, other: BlockSums) -> bool:
    histograms = all(
        np.array_equal(getattr(getattr(one, name), part), getattr(getattr(other, name), part))
        for name, part in itertools.product(("fan", "final", "drawdown", "money"), ("counts", "lowest", "highest"))
    )
    return histograms and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("outcomes", "pinned", "sums"))


class TestOutcomes:
    def test_stopped_paths_leave_the_vols_and_are_counted(self) -> None:
        one = looped_block(0.3, paths=400)
        wild = one.log_price.copy()
        wild[:40] *= 50.0
        outcome = np.array([int(Outcome.RUNAWAY)] * 25 + [int(Outcome.DEPTH_EXHAUSTED)] * 10 + [int(Outcome.HALTED)] * 5 + [0] * 360)
        found = measured(replace(one, log_price=wild, outcome=outcome))
        calm = measured(cut(one, slice(40, 400)))
        assert found.realised_vol == calm.realised_vol
        assert found.amplification == calm.amplification
        assert found.horizons == calm.horizons
        assert [getattr(found, name).count for name in ("finished", "runaway", "depth_exhausted", "halted")] == [360, 25, 10, 5]
        assert "25 ran away (6.2 %" in str(found)
        assert found.drawdown.mean.hedged.value > 2 * calm.drawdown.mean.hedged.value  # type: ignore[operator]

    def test_nobody_finishes(self) -> None:
        one = looped_block(0.3, paths=20)
        found = measured(replace(one, outcome=np.full(20, int(Outcome.RUNAWAY))))
        assert found.amplification.value is None
        assert found.amplification.reason == "no path reached the horizon"
        assert "unknown: no path reached the horizon" in str(found)
        json.dumps(found.to_document(), allow_nan=False)

    @pytest.mark.parametrize(("count", "total"), [(0, 50), (3, 50), (25, 50), (50, 50), (12, 100_000)])
    def test_wilson(self, count: int, total: int) -> None:
        share = Share(count, total)
        truth = stats.binomtest(count, total).proportion_ci(method="wilson")
        assert (share.low, share.high) == pytest.approx((truth.low, truth.high), abs=1e-12)

    def test_one_path_has_values_without_errors(self) -> None:
        found = measured(looped_block(0.3, paths=1))
        assert found.amplification.value is not None
        assert found.amplification.standard_error is None
        json.dumps(found.to_document(), allow_nan=False)
        assert str(found)

    def test_a_market_that_does_not_move(self) -> None:
        flat = np.zeros((30, 25))
        found = measured(block(flat, flat, grid(steps=24), agents=(agent("a", 30, np.random.default_rng(1)),)))
        assert found.amplification.value is None
        assert "nothing moves" in found.amplification.reason
        json.dumps(found.to_document(), allow_nan=False)
        assert str(found)


class TestDocument:
    def test_strict_json_with_errors_beside_values(self) -> None:
        one = looped_block(0.4, paths=300, steps=96)
        one = replace(one, agents=(agent("dealer", 300, np.random.default_rng(1)),))
        document = measured(one, pins=(PinWatch(SPOT, 20.0),)).to_document()
        again = json.loads(json.dumps(document, allow_nan=False))
        assert again["amplification"].keys() >= {"value", "standard_error"}
        assert again["agents"][0]["pnl_parts_usd"].keys() == set(PNL_PARTS)
        assert again["pins"][0]["excess"]["standard_error"] >= 0.0

        def nulls_have_reasons(node: Any) -> None:
            if isinstance(node, dict):
                if "value" in node and node["value"] is None:
                    assert node["reason"]
                for each in node.values():
                    nulls_have_reasons(each)
            elif isinstance(node, list):
                for each in node:
                    nulls_have_reasons(each)

        nulls_have_reasons(again)

    def test_the_sentences(self) -> None:
        one = replace(looped_block(0.5, paths=3_000), agents=(agent("dealer", 3_000, np.random.default_rng(1)),))
        said = str(measured(one, pins=(PinWatch(SPOT, 20.0),))).splitlines()
        assert 5 <= len(said) <= 9
        assert said[0] == "All 3,000 paths reached the horizon of 24 h."
        assert said[1].startswith("Hedging adds 15.")
        assert "nan" not in " ".join(said).lower()
        damped = str(measured(looped_block(-0.5)))
        assert "Hedging adds 15." in damped  # late damping adds vol at one step ...
        assert "over 24 h 0.66" in damped  # ... and takes it off the day


class TestRefusals:
    def test_a_number_that_is_none_is_our_own_error(self) -> None:
        one = looped_block(0.3, paths=20)
        for name in ("log_price", "fundamental_log", "net_flow_usd"):
            broken = getattr(one, name).copy()
            broken[7, 3] = math.nan
            plan = MetricPlan.for_grid(one.time_years, spot_usd=SPOT)
            with pytest.raises(TailwagError, match=r"path 107: .* is not a number"):
                fold(replace(one, first_path=100, **{name: broken}), plan)

    def test_another_grid_or_other_agents(self) -> None:
        one = looped_block(0.3, paths=20)
        plan = MetricPlan.for_grid(one.time_years, spot_usd=SPOT)
        with pytest.raises(TailwagError, match="one time grid"):
            fold(one, MetricPlan.for_grid(one.time_years[:-1], spot_usd=SPOT))
        named = [fold(replace(one, agents=(agent(name, 20, np.random.default_rng(1)),)), plan) for name in "ab"]
        with pytest.raises(TailwagError, match="agents"):
            merge(named)
        with pytest.raises(TailwagError, match="none came"):
            merge([])

    @pytest.mark.parametrize(
        "change",
        [
            {"time_years": np.array([0.0])},
            {"time_years": np.array([0.0, 0.2, 0.1])},
            {"spot_usd": -1.0},
            {"spot_usd": math.nan},
            {"horizons_steps": (0,)},
            {"horizons_steps": (STEPS + 1,)},
            {"checkpoint_steps": tuple(range(61))},
            {"tail_levels": (99.0,)},
            {"fan_quantiles": (0.0,)},
        ],
    )
    def test_a_plan_that_cannot_be(self, change: dict[str, Any]) -> None:
        with pytest.raises(InputError):
            replace(MetricPlan.for_grid(grid(), spot_usd=SPOT), **change)

    def test_a_pin_that_cannot_be(self) -> None:
        for bad in ((0.0, 10.0), (60_000.0, 0.0), (math.inf, 10.0), (60_000.0, math.nan)):
            with pytest.raises(InputError):
                PinWatch(*bad)


def test_nobody_hedging_is_known_on_all_paths_and_survivors_are_called_conditional() -> None:
    """Whose hedged twin ran away on large moves: what is left is calm, and its vol is not what nobody hedging shows."""
    moves = np.random.default_rng(4).standard_normal((400, STEPS)) * VOL * math.sqrt(grid()[-1] / STEPS)
    moves *= np.where(np.arange(400) < 300, 1.3, 0.5)[:, None]
    outcome = np.where(np.arange(400) < 300, int(Outcome.RUNAWAY), 0)
    found = measured(block(levels(moves), levels(moves), grid(), outcome=outcome))
    own = (moves**2).sum(axis=1) / grid()[-1]
    assert found.amplification_conditional
    assert found.realised_vol.fundamental.value == pytest.approx(math.sqrt(own[300:].mean()), rel=1e-12)
    everybody = found.fundamental_vol_all_paths
    assert everybody.value == pytest.approx(math.sqrt(own.mean()), rel=1e-12)
    assert everybody.standard_error == pytest.approx(own.std(ddof=1) / math.sqrt(400) / (2 * math.sqrt(own.mean())), rel=5e-3)
    whole = measured(block(levels(moves), levels(moves), grid()))
    assert not whole.amplification_conditional
    assert whole.fundamental_vol_all_paths == whole.realised_vol.fundamental


def test_a_runaway_of_any_size_is_an_outcome() -> None:
    """A huge late hedger drives the price to the bound and his account beyond what fourth powers of dollars can hold."""
    dealer = Dealer("huge", EveryStep(), 2, gamma_usd=-1.2e11, iv=0.6)
    scenario = Scenario(
        spot_usd=60_000.0,
        grid=TimeGrid.uniform(horizon_days=2.0, step_minutes=5.0),
        price=Gbm(vol=0.6),
        impact=ImpactModel(permanent_per_usd=1e-11),
        agents=(dealer,),
        clearing="lagged",
        stop_log_move=5.0,
    )
    run = simulate(scenario, paths=50, seed=1)
    assert run.outcomes["runaway"] == 50
    assert np.isfinite(run.metrics.agents[0].pnl_usd.value)
    assert np.isfinite(run.metrics.agents[0].pnl_usd.standard_error)
