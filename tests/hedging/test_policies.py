"""Policies: the contract that all keep, each one's table of play, the loops of theory, and how they are spelt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from tests.contracts.policy import PolicyContract, view_of
from tests.hedging.loops import option_price, play, replicate
from tests.hedging.outside_plain import plain_outside, plain_speed

from tailwag.errors import InputError
from tailwag.hedging.policies import (
    AtTimes,
    Band,
    CharmOnly,
    Decision,
    EveryStep,
    HedgeView,
    Leland,
    NoHedge,
    Predictive,
    WhalleyWilmott,
    Zakamouline,
    policy_from_mapping,
    policy_from_text,
    policy_to_mapping,
    policy_to_text,
)
from tailwag.kernels.hedge_band import at_speed, outside

MINUTES_PER_YEAR = 525_600.0


def trades(policy: Any, gap: Any, **view: Any) -> list[float]:
    """What the policy trades at a price that does not react."""
    decision = policy.decide(view_of(gap, **view))
    gap = np.atleast_1d(np.asarray(gap, dtype=np.float64))
    return np.where(decision.active, decision.speed * (gap - decision.offset), 0.0).tolist()


def z_score(estimate: float, theory: float, error: float, theory_error: float = 0.0) -> float:
    """Distance in standard errors; refuses a test without power. A target that was itself simulated brings its own error."""
    assert error <= 0.01 * abs(theory), f"standard error {error:g} is no match for {theory:g}"
    return (estimate - theory) / math.hypot(error, theory_error)


class TestEveryStep(PolicyContract):
    policy = EveryStep()

    def test_closes_every_gap(self) -> None:
        assert trades(EveryStep(), [3.0, 0.0, -2.0]) == [3.0, 0.0, -2.0]

    def test_answers_others_also_where_its_own_gap_is_shut(self) -> None:
        assert EveryStep().decide(view_of([0.0])).active.all()


class TestAtTimes(PolicyContract):
    policy = AtTimes(60.0)

    @pytest.mark.parametrize("step_minutes", [1.0, 5.0, 7.0, 60.0, 90.0, 0.3])
    @pytest.mark.parametrize("every", [60.0, 45.0, 480.0])
    def test_trades_once_for_every_multiple_however_the_clock_rounds(self, step_minutes: float, every: float) -> None:
        steps = math.ceil(4_000 / step_minutes)
        ends = [np.float64(step_minutes) / MINUTES_PER_YEAR * k for k in range(1, steps + 1)]
        clock = {"step_years": step_minutes / MINUTES_PER_YEAR}
        traded = [trades(AtTimes(every), 1.0, time_years=end, **clock)[0] > 0 for end in ends]
        expected = [
            math.floor(k * step_minutes / every + 1e-9) > math.floor((k - 1) * step_minutes / every + 1e-9) for k in range(1, steps + 1)
        ]
        assert traded == expected

    def test_a_clock_that_adds_steps_up_meets_the_same_times(self) -> None:
        step, clock, count = 5.0 / MINUTES_PER_YEAR, 0.0, 0
        for _ in range(12 * 24 * 30):
            clock += step
            count += trades(AtTimes(60.0), 1.0, time_years=clock, step_years=step)[0] > 0
        assert count == 24 * 30


class TestAtTimesWithJitter(PolicyContract):
    policy = AtTimes(60.0, jitter_minutes=30.0)

    @staticmethod
    def played(policy: AtTimes, *, kept: bool, paths: int = 400, hours: int = 48) -> Any:
        """Whether each path trades in each five-minute step, (steps, paths); `kept`: one draw a period."""
        rng = np.random.default_rng(8)
        step = 5.0 / MINUTES_PER_YEAR
        draws = rng.uniform(size=(12 * hours + 1, paths))
        rows = []
        for k in range(1, 12 * hours):
            number = policy.period(k * step) if kept else k
            view = view_of(np.ones(paths), time_years=k * step, step_years=step, uniform=draws[number])
            rows.append(policy.decide(view).active)
        return np.array(rows)

    @pytest.mark.parametrize("jitter", [7.0, 30.0, 60.0])
    def test_exactly_one_trade_a_period_where_the_draw_is_kept(self, jitter: float) -> None:
        active = self.played(AtTimes(60.0, jitter), kept=True)
        periods = np.arange(1, len(active) + 1) // 12
        for period in range(48):
            assert (active[periods == period].sum(axis=0) == 1).all()

    def test_times_spread_evenly_over_the_window(self) -> None:
        active = self.played(AtTimes(60.0, 30.0), kept=True, paths=2_000)
        minutes = np.nonzero(active)[0] % 12 * 5 + 5
        assert set(minutes.tolist()) == {5, 10, 15, 20, 25, 30}
        counts = np.bincount(minutes // 5)[1:]
        expected = counts.sum() / 6
        assert np.abs(counts - expected).max() < 4 * math.sqrt(expected)

    def test_one_trade_a_period_on_average_where_every_step_draws_anew(self) -> None:
        active = self.played(AtTimes(60.0, 30.0), kept=False, paths=2_000)
        each = active.sum(axis=0)
        assert abs(z_score(float(each.mean()), 48.0, float(each.std() / math.sqrt(each.size)))) < 4


class TestBandToEdge(PolicyContract):
    policy = Band(half_width_usd=2e6)

    def test_trades_only_beyond_the_edge_and_only_to_it(self) -> None:
        # at the edge itself nothing happens: strictly beyond it trades
        gaps = [0.0, 1.9e6, 2e6, math.nextafter(2e6, 3e6), 3.4e6, -2e6, -5e6]
        assert trades(self.policy, gaps) == [0.0, 0.0, 0.0, math.nextafter(2e6, 3e6) - 2e6, 1.4e6, 0.0, -3e6]

    def test_width_in_the_other_unit_follows_from_the_price(self) -> None:
        assert trades(Band(half_width_usd=1.2e5), [1.0, 3.0], unit="coin", spot_usd=60_000.0) == [0.0, 1.0]
        assert trades(Band(half_width_coin=2.0), [1.2e5, 1.5e5], unit="usd", spot_usd=60_000.0) == [0.0, 3e4]


class TestBandToCentre(PolicyContract):
    policy = Band(half_width_coin=5.0, target="centre")

    def test_closes_the_gap_once_beyond_the_edge(self) -> None:
        assert trades(self.policy, [5.0, 5.5, -7.0], unit="coin") == [0.0, 5.5, -7.0]


class TestWhalleyWilmott(PolicyContract):
    policy = WhalleyWilmott(1e-6, 5.0)

    def test_anchor_t11_width(self) -> None:
        gamma = 0.02 * 5000.0**2
        policy = WhalleyWilmott(1.0, 5.0)
        assert trades(policy, [0.114471, 0.2], unit="coin", spot_usd=5000.0, dollar_gamma_usd=gamma)[0] == 0.0
        assert trades(policy, 0.2, unit="coin", spot_usd=5000.0, dollar_gamma_usd=-gamma)[0] == pytest.approx(0.2 - 0.114471424, abs=1e-9)

    def test_no_gamma_no_band(self) -> None:
        assert trades(self.policy, [1.0], dollar_gamma_usd=0.0) == [1.0]


class TestZakamouline(PolicyContract):
    policy = Zakamouline(1e-6, 5.0)

    def test_anchor_t11_width_and_vol(self) -> None:
        policy, gamma = Zakamouline(1e-4, 5.0), 3.8511202e-5 * 60_000.0**2
        view = view_of([1.0, 1.0], unit="coin", dollar_gamma_usd=[-gamma, gamma])
        assert policy.decide(view).offset.tolist() == pytest.approx([0.0028164 + 0.0660535] * 2, abs=2e-7)
        assert (view.vol + policy.vol_shift(view)).tolist() == pytest.approx([0.606698, 0.593226], abs=5e-7)

    def test_refuses_a_book_without_expiry(self) -> None:
        for ask in (self.policy.decide, self.policy.vol_shift):
            with pytest.raises(InputError, match=r"zakamouline needs a book with an expiry.*whalley-wilmott"):
                ask(view_of([1.0], years_left=math.inf))

    def test_an_empty_book_is_closed_out_and_the_last_instant_waits(self) -> None:
        assert trades(self.policy, [2.0], years_left=math.inf, dollar_gamma_usd=0.0) == [2.0]
        assert trades(self.policy, [2.0], years_left=0.0) == [0.0]
        assert np.isfinite(self.policy.decide(view_of([2.0], years_left=0.0)).offset).all()


class TestLeland(PolicyContract):
    policy = Leland(5.0, 60.0)

    def test_vol_moves_up_short_and_down_long_by_its_own_interval(self) -> None:
        view = view_of([0.0] * 3, vol=0.2, dollar_gamma_usd=[-1.0, 1.0, 0.0])
        shifts = Leland(50.0, MINUTES_PER_YEAR / 52).vol_shift(view)
        assert (0.2 + shifts).tolist() == pytest.approx([0.226952, 0.168798, 0.2], abs=5e-7)

    def test_long_book_that_costs_eat_up_hedges_at_no_vol(self) -> None:
        assert Leland(50.0, 1.0).vol_shift(view_of([0.0], vol=0.2, dollar_gamma_usd=1.0)).tolist() == [-0.2]

    def test_trades_on_its_own_clock(self) -> None:
        assert trades(self.policy, [1.0]) == [1.0]
        assert trades(self.policy, [1.0], time_years=65 / MINUTES_PER_YEAR) == [0.0]


class TestPredictive(PolicyContract):
    policy = Predictive()

    def test_trades_more_where_the_market_follows_and_less_where_it_leans_against(self) -> None:
        assert trades(self.policy, [1.0, 1.0, 1.0], market_gain=[0.5, 0.0, -1.0]) == [2.0, 1.0, 0.5]

    def test_nothing_to_trade_from_gain_one_on(self) -> None:
        assert trades(self.policy, [1.0, 1.0], market_gain=[1.0, 3.0]) == [0.0, 0.0]


class TestCharmOnly(PolicyContract):
    policy = CharmOnly()


class TestNoHedge(PolicyContract):
    policy = NoHedge()

    def test_never_trades(self) -> None:
        assert trades(self.policy, [1e12, -1e12]) == [0.0, 0.0]


class HalfTheGap:
    """A mutation: hedges half, which no anchor may accept."""

    def decide(self, view: HedgeView) -> Decision:
        return Decision(np.ones(view.gap.shape, dtype=np.bool_), 0.5 * view.gap, np.ones(view.gap.shape))

    def vol_shift(self, view: HedgeView) -> Any:
        return np.zeros(view.gap.shape)


ATM_MONTH = {"spot": 100.0, "years": 1 / 12, "vol": 0.2, "realised": 0.2}
HEDGING_ERRORS = {21: (0.4269, 0.0006), 84: (0.2183, 0.0003), 336: (0.1103, 0.0002)}


def spread_of(profit: Any) -> tuple[float, float]:
    """Standard deviation and its standard error, fat tails allowed for."""
    centred = profit - profit.mean()
    std = float(profit.std())
    return std, std * math.sqrt(((centred**4).mean() / std**4 - 1.0) / 4.0 / profit.size)


class TestDiscreteHedgingT8:
    """What hedging at N times leaves open."""

    def measured(self, policy: Any, times: int, paths: int) -> tuple[float, float, float]:
        run = replicate(policy, position=-1.0, steps=times, paths=paths, seed=times, **ATM_MONTH)
        assert abs(run.profit.mean()) < 4 * run.profit.std() / math.sqrt(paths)
        return (*spread_of(run.profit), float(run.profit.mean()))

    def test_anchor_t8_spread_and_slope(self) -> None:
        found = {times: self.measured(EveryStep(), times, paths) for times, paths in ((21, 60_000), (84, 40_000), (336, 20_000))}
        for times, (std, error, _) in found.items():
            anchor, anchor_error = HEDGING_ERRORS[times]
            assert abs(z_score(std, anchor, error, anchor_error)) < 4
        slope, *_ = np.polyfit(np.log(list(found)), np.log([std for std, *_ in found.values()]), 1)
        assert abs(slope + 0.488) < 4 * math.hypot(0.005, 0.004)

    def test_a_grid_on_a_finer_clock_leaves_the_same_open(self) -> None:
        run = replicate(AtTimes(MINUTES_PER_YEAR / 12 / 21), position=1.0, steps=84, paths=40_000, seed=5, **ATM_MONTH)
        std, error = spread_of(run.profit)
        assert abs(z_score(std, 0.4269, error, 0.0006)) < 4

    def test_mutation_half_a_hedge_fails(self) -> None:
        std, error = spread_of(replicate(HalfTheGap(), position=-1.0, steps=84, paths=20_000, seed=1, **ATM_MONTH).profit)
        assert abs(std - 0.2183) > 20 * error


class TestGammaScalpingT9:
    """Profit is the gamma-weighted gap of realised and implied variance; the short side has the opposite sign always."""

    def test_anchor_t9_mean_and_path_by_path(self) -> None:
        run = replicate(EveryStep(), position=1.0, spot=60_000.0, years=30 / 365, vol=0.6, realised=0.8, steps=720, paths=8_192, seed=9)
        theory = option_price(60_000.0, 60_000.0, 0.8, 30 / 365) - option_price(60_000.0, 60_000.0, 0.6, 30 / 365)
        assert theory == pytest.approx(1365.54, abs=0.005)
        assert abs(z_score(float(run.profit.mean()), theory, float(run.profit.std() / math.sqrt(8_192)))) < 4
        assert np.corrcoef(run.profit, run.gamma_theta)[0, 1] > 0.9985
        assert float(np.sqrt(np.mean((run.profit - run.gamma_theta) ** 2))) == pytest.approx(25.4, rel=0.1)

    @pytest.mark.parametrize(("position", "vol", "realised"), [(-1.0, 0.6, 0.8), (1.0, 0.9, 0.5), (-1.0, 0.9, 0.5)])
    def test_other_vols_and_the_short_side(self, position: float, vol: float, realised: float) -> None:
        run = replicate(
            EveryStep(), position=position, spot=3_000.0, years=14 / 365, vol=vol, realised=realised, steps=168, paths=12_000, seed=2
        )
        theory = position * (option_price(3_000.0, 3_000.0, realised, 14 / 365) - option_price(3_000.0, 3_000.0, vol, 14 / 365))
        assert abs(z_score(float(run.profit.mean()), float(theory), float(run.profit.std() / math.sqrt(12_000)))) < 4
        assert np.sign(run.profit.mean()) == position * np.sign(realised - vol)


LELAND_MEANS = {12: (0.0246, 0.0044, 1.9875), 52: (0.0092, 0.0023, 1.0073), 250: (-0.0024, 0.0011, 0.4979)}
PLAIN_MEANS = {12: (-0.5225, 0.0045), 52: (-1.1292, 0.0025), 250: (-2.5032, 0.0024)}  # simulated with 200,000 paths
YEAR = {"position": -1.0, "spot": 100.0, "years": 1.0, "vol": 0.2, "realised": 0.2, "cost": 0.005}


class TestLelandHedgeT10:
    """Leland's vol pays for the trading; the book's own vol does not."""

    @pytest.mark.parametrize(("times", "paths"), [(12, 100_000), (52, 30_000), (250, 12_000)])
    def test_anchor_t10_leland_breaks_even(self, times: int, paths: int) -> None:
        profit = replicate(Leland(50.0, MINUTES_PER_YEAR / times), steps=times, paths=paths, seed=times, **YEAR).profit
        mean, mean_error, std = LELAND_MEANS[times]
        assert abs(float(profit.mean()) - mean) < 4 * math.hypot(float(profit.std()) / math.sqrt(paths), mean_error)
        measured, error = spread_of(profit)
        assert abs(z_score(measured, std, error)) < 4

    @pytest.mark.parametrize(("times", "paths"), [(12, 200_000), (52, 20_000), (250, 3_000)])
    def test_anchor_t10_the_book_vol_loses_the_costs(self, times: int, paths: int) -> None:
        profit = replicate(AtTimes(MINUTES_PER_YEAR / times), steps=times, paths=paths, seed=times + 1, **YEAR).profit
        error = float(profit.std()) / math.sqrt(paths)
        anchor, anchor_error = PLAIN_MEANS[times]
        assert abs(z_score(float(profit.mean()), anchor, error, anchor_error)) < 4

    def test_finer_clock_trades_only_on_the_grid(self) -> None:
        coarse = replicate(Leland(50.0, MINUTES_PER_YEAR / 52), steps=52, paths=20_000, seed=3, **YEAR)
        fine = replicate(Leland(50.0, MINUTES_PER_YEAR / 52), steps=104, paths=20_000, seed=4, **YEAR)
        errors = [float(run.traded_coin.std()) / math.sqrt(20_000) for run in (coarse, fine)]
        assert abs(float(fine.traded_coin.mean() - coarse.traded_coin.mean())) < 4 * math.hypot(*errors)

    def test_mutation_a_one_way_cost_taken_for_a_round_trip_fails(self) -> None:
        profit = replicate(Leland(25.0, MINUTES_PER_YEAR / 52), steps=52, paths=20_000, seed=52, **YEAR).profit
        assert profit.mean() < -20 * profit.std() / math.sqrt(20_000)


class TestPartialSpeedT13B:
    """Trading a fraction of the gap, one step late: slower loops amplify less and stay stable longer."""

    @pytest.mark.parametrize(("gain", "speed"), [(0.5, 0.25), (-2.5, 0.5), (0.3, 0.8), (-0.9, 1.0), (-1.5, 0.6)])
    def test_anchor_t13_b_one_step_variance(self, gain: float, speed: float) -> None:
        run = play(EveryStep(), gain=gain, steps=1_200, paths=600, seed=3, delay=1, speed=speed)
        returns = np.diff(run.log_price, axis=1)[:, 200:]
        each = (returns**2).mean(axis=1)
        theory = 1.0 + (speed * gain) ** 2 / (1.0 - (1.0 - speed * (1.0 - gain)) ** 2)
        assert abs(z_score(float(each.mean()), theory, float(each.std() / math.sqrt(each.size)))) < 4

    @pytest.mark.parametrize(("speed", "stable"), [(0.5, -2.97), (1.0, -0.97), (0.25, -6.95)])
    def test_anchor_t13_b_stability_bound(self, speed: float, stable: float) -> None:
        bound = 1.0 - 2.0 / speed
        for gain, dies in ((stable, True), (bound - (stable - bound), False)):
            gap = np.abs(play(EveryStep(), gain=gain, steps=800, paths=8, seed=4, delay=1, speed=speed).gap)
            assert bool(gap[:, -100:].max() < 1e3) is dies

    @pytest.mark.parametrize("gain", [0.5, -3.0, 0.9])
    def test_predictive_speed_is_deadbeat(self, gain: float) -> None:
        """One step late at speed 1/(1 - g), only the newest shock is ever open."""
        run = play(Predictive(), gain=gain, steps=200, paths=50, seed=6, delay=1)
        assert run.gap[:, 1:] == pytest.approx(np.diff(run.fundamental, axis=1), abs=1e-9)


class TestBandInTheLoopT13E:
    """A band moves the feedback to longer horizons; it does not remove it."""

    @pytest.mark.parametrize("gain", [0.5, -0.5, -2.0])
    @pytest.mark.parametrize("policy", [Band(half_width_usd=6.0), Band(half_width_usd=6.0, target="centre")])
    def test_price_less_fundamental_is_the_gap_path_by_path(self, gain: float, policy: Band) -> None:
        run = play(policy, gain=gain, steps=400, paths=60, seed=1)
        assert (1.0 - gain) * run.log_price == pytest.approx(run.fundamental - gain * run.gap, abs=1e-10)

    @pytest.mark.parametrize("gain", [0.5, -0.5])
    def test_anchor_t13_e_short_horizons_calm_long_horizons_amplified(self, gain: float) -> None:
        run = play(Band(half_width_usd=4.0), gain=gain, steps=12_000, paths=240, seed=2)
        moves, shocks = run.log_price[:, -1], run.fundamental[:, -1]
        paired = (moves @ moves) / (shocks @ shocks)
        error = float(np.std(moves**2 - paired * shocks**2) / math.sqrt(moves.size) / np.mean(shocks**2))
        assert abs(z_score(float(paired), (1.0 - gain) ** -2, error)) < 4
        one_step = np.diff(run.log_price, axis=1)
        assert abs((one_step**2).mean() - 1.0) < 0.4 * abs((1.0 - gain) ** -2 - 1.0)


GOOD = {
    "every-step": EveryStep(),
    "grid:60min": AtTimes(60.0),
    "grid:1440min,90min": AtTimes(1440.0, 90.0),
    "band:2e6usd": Band(half_width_usd=2e6),
    "band:2e6usd:edge": Band(half_width_usd=2e6),
    " band:5coin:centre ": Band(half_width_coin=5.0, target="centre"),
    "whalley-wilmott:1e-6,5bps": WhalleyWilmott(1e-6, 5.0),
    "zakamouline:1E-6,5bps": Zakamouline(1e-6, 5.0),
    "leland:5bps,60min": Leland(5.0, 60.0),
    "predictive": Predictive(),
    "charm-only": CharmOnly(),
    "none": NoHedge(),
}
BAD_TEXT = {
    "": "expected a policy such as every-step",
    "bnad:2e6usd": "did you mean band",
    "band": "half-width with its unit",
    "band:2e6": "half-width with its unit",
    "band:2e6eur": "half-width with its unit",
    "band:nanusd": "expected a number in usd",
    "band:infusd": "expected a number in usd",
    "band:-5coin": "0 or more",
    "band:5coin:middle": "target = edge or centre",
    "grid:60": "number in min",
    "grid": "every_minutes missing",
    "grid:60min,90min": "at most every_minutes",
    "grid:60min,1min,1min": "at most 2 numbers",
    "grid:0min": "above 0",
    "whalley-wilmott:1e-6": "cost_bps missing",
    "leland:5%,60min": "number in bps",
    "leland:20000bps,60min": "up to 10000",
    "none:1": "at most 0 numbers",
    "band:1_000usd": "expected a number in usd",
    "grid:٣min": "expected a number in min",
}
BAD_TABLES: list[tuple[Any, str]] = [
    ({}, "policy kind as one of every-step"),
    ({"kind": "bannd", "half_width_usd": 1.0}, "did you mean band"),
    ({"kind": 3}, "policy kind as one of"),
    ({"kind": ["band"]}, "policy kind as one of"),
    ({"kind": "band"}, "exactly one of half_width_usd and half_width_coin .*neither"),
    ({"kind": "band", "half_width_usd": 1.0, "half_width_coin": 1.0}, "both"),
    ({"kind": "band", "half_with_usd": 1.0}, "did you mean half_width_usd"),
    ({"kind": "band", "half_width_usd": "2e6"}, "half_width_usd as a finite number"),
    ({"kind": "band", "half_width_usd": True}, "half_width_usd as a finite number"),
    ({"kind": "band", "half_width_usd": -1.0}, "0 or more, got -1.0"),
    ({"kind": "band", "half_width_usd": math.nan}, "finite"),
    ({"kind": "band", "half_width_usd": 10**400}, "finite"),
    ({"kind": "band", "half_width_usd": 1.0, "target": ["edge"]}, "target = edge or centre"),
    ({"kind": "grid"}, "every_minutes missing"),
    ({"kind": "grid", "every_minutes": -5}, "above 0, got -5"),
    ({"kind": "leland", "every_minutes": 5}, "cost_bps missing"),
    ({"kind": "none", "speed": 1}, "unknown key 'speed'; it takes no other key"),
    ("band", "expected policy as a table"),
    ([], "expected policy as a table"),
]


class TestSpelling:
    @pytest.mark.parametrize(("text", "policy"), GOOD.items())
    def test_command_lines(self, text: str, policy: Any) -> None:
        assert policy_from_text(text) == policy

    @pytest.mark.parametrize(("text", "words"), BAD_TEXT.items())
    def test_bad_words_are_told_what_is_allowed(self, text: str, words: str) -> None:
        with pytest.raises(InputError, match=words) as caught:
            policy_from_text(text)
        assert "grid:60min" in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(("table", "words"), BAD_TABLES)
    def test_bad_tables_are_refused_in_one_sentence(self, table: Any, words: str) -> None:
        with pytest.raises(InputError, match=words) as caught:
            policy_from_mapping(table)
        assert "\n" not in str(caught.value)

    def test_whole_numbers_in_files_are_numbers(self) -> None:
        assert policy_from_mapping({"kind": "grid", "every_minutes": 60}) == AtTimes(60.0)

    @given(width=st.floats(0.0, 1e15), coin=st.booleans(), target=st.sampled_from(["edge", "centre"]))
    def test_any_band_survives_both_spellings(self, width: float, coin: bool, target: Any) -> None:
        band = Band(**{"half_width_coin" if coin else "half_width_usd": width}, target=target)
        assert policy_from_text(policy_to_text(band)) == band
        assert policy_from_mapping(policy_to_mapping(band)) == band

    @given(text=st.text(max_size=40))
    def test_any_text_is_a_policy_or_a_refusal(self, text: str) -> None:
        for words in (text, f"band:{text}", f"grid:{text}", f"leland:{text}"):
            try:
                policy = policy_from_text(words)
            except InputError:
                continue
            assert policy_from_text(policy_to_text(policy)) == policy

    def test_a_policy_of_ones_own_has_no_spelling(self) -> None:
        with pytest.raises(InputError, match="built-in policy"):
            policy_to_mapping(norm)

    def test_phrases(self) -> None:
        assert str(Band(half_width_usd=2e6)) == "band of +-2.0 M USD, to the edge"
        assert str(Band(half_width_coin=0.125)) == "band of +-0.125 coin, to the edge"
        assert str(AtTimes(1440.0)) == "every 1 day"


@pytest.mark.parametrize("to_edge", [False, True])
def test_the_band_in_one_pass_is_its_plain_twin_to_the_bit(to_edge: bool) -> None:
    """Both signs, gaps on the edge and at 0, widths of 0 and without end."""
    rng = np.random.default_rng(4)
    for paths in (1, 5, 3000):
        gap = rng.choice([0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 1e-300, 1e300], paths)
        width = rng.choice([0.0, 1.0, 2.5, 2.0, np.inf, 1e-9], paths)
        active, offset = np.empty(paths, dtype=np.bool_), np.empty(paths)
        outside(gap, width, to_edge, active, offset)
        plain_active, plain_offset = plain_outside(gap, width, to_edge=to_edge)
        assert (active == plain_active).all()
        assert offset.tobytes() == plain_offset.tobytes()


@pytest.mark.parametrize("factor", [1.0, 0.7, 0.0])
def test_speeds_in_one_pass_are_their_plain_twin_to_the_bit(factor: float) -> None:
    """Stopped paths, nobody active, everybody, and speeds that are infinite where nobody trades."""
    rng = np.random.default_rng(5)
    live, some = rng.random(400) < 0.8, rng.random(400) < 0.5
    for active in (some, np.zeros(400, dtype=np.bool_), np.ones(400, dtype=np.bool_)):
        speed = np.where(active, rng.uniform(-3.0, 3.0, 400), np.inf if factor else 1.0)
        trades, traded = np.empty(400, dtype=np.bool_), np.empty(400)
        at_speed(active, live, speed, factor, trades, traded)
        plain_trades, plain_traded = plain_speed(active, live, speed, factor)
        assert (trades == plain_trades).all()
        assert traded.tobytes() == plain_traded.tobytes()
