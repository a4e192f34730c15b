"""SVI and SSVI: published slices, identities, conditions tested the right way round, and the compiled fit against its plain twin."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailwag.kernels import svi, svi_fit

ANSWERS = json.loads((Path(__file__).parents[1] / "answers" / "svi.json").read_text())
VOGT = ANSWERS["vogt"]
slices = st.tuples(st.floats(0.001, 0.3), st.floats(0.01, 0.6), st.floats(-0.9, 0.9), st.floats(-0.4, 0.4), st.floats(0.05, 0.8)).map(
    lambda p: np.array([p[0], p[1], p[2], p[3], p[4]])
)


class TestVogtSlice:
    """Axel Vogt's slice: every condition looks fine and butterflies are free money at +90 % moneyness."""

    def test_g_is_that_of_numerical_differentiation(self) -> None:
        k, expected = np.array(VOGT["g"]).T
        assert svi.raw_durrleman(k, VOGT["raw"]) == pytest.approx(expected, rel=1e-12, abs=1e-14)

    def test_smallest_g_and_its_place(self) -> None:
        g, k = svi.butterfly_minimum(VOGT["raw"])
        assert g == pytest.approx(VOGT["min_g"], abs=1e-9)
        assert k == pytest.approx(VOGT["min_g_at"], abs=2e-4)

    def test_negative_exactly_between_its_roots(self) -> None:
        low, high = VOGT["negative_from"], VOGT["negative_to"]
        assert (svi.raw_durrleman([low - 1e-6, low + 1e-6, high - 1e-6, high + 1e-6], VOGT["raw"]) < 0.0).tolist() == [
            False,
            True,
            True,
            False,
        ]

    def test_jump_wings_form(self) -> None:
        assert svi.raw_to_jw(VOGT["raw"], 1.0) == pytest.approx(VOGT["jump_wings"], rel=1e-12)

    def test_repair_removes_the_butterflies(self) -> None:
        repaired = svi.butterfly_repair(VOGT["raw"], 1.0)
        assert repaired == pytest.approx(VOGT["repaired_raw"], rel=1e-10)
        assert svi.butterfly_minimum(repaired)[0] == pytest.approx(VOGT["repaired_min_g"], abs=1e-7)

    def test_published_optimised_call_wing(self) -> None:
        v, psi, p, _, lowest = svi.raw_to_jw(VOGT["raw"], 1.0)
        assert svi.butterfly_minimum(svi.jw_to_raw((v, psi, p, 0.8564763, lowest), 1.0))[0] == pytest.approx(
            VOGT["optimised_min_g"], abs=1e-7
        )


class TestForms:
    @given(raw=slices, k=st.floats(-2, 2))
    @settings(max_examples=60, deadline=None)
    def test_derivatives_are_those_of_the_variance(self, raw: np.ndarray, k: float) -> None:
        step = 1e-4
        below, here, above = svi.total_variance([k - step, k, k + step], raw)
        w, first, second = svi.variance_derivatives(k, raw)
        assert w == here
        assert first == pytest.approx((above - below) / (2 * step), abs=1e-5)
        assert second == pytest.approx((above - 2 * here + below) / step**2, rel=1e-3, abs=1e-4)

    @given(raw=slices, years=st.floats(0.002, 2))
    @settings(max_examples=60, deadline=None)
    def test_jump_wings_round_trip(self, raw: np.ndarray, years: float) -> None:
        jump_wings = svi.raw_to_jw(raw, years)
        if jump_wings[0] - jump_wings[4] < 1e-3 * jump_wings[0]:
            return  # the minimum lies at the money: the form does not fix sigma
        k = np.linspace(-1, 1, 11)
        assert svi.total_variance(k, svi.jw_to_raw(jump_wings, years)) == pytest.approx(svi.total_variance(k, raw), rel=1e-7)

    def test_jump_wings_refuse_what_no_slice_has(self) -> None:
        with pytest.raises(ValueError, match="beta"):
            svi.jw_to_raw((0.04, 3.0, 0.5, 0.5, 0.03), 1.0)
        with pytest.raises(ValueError, match="v_min"):
            svi.jw_to_raw((0.04, 0.0, 0.5, 0.5, 0.04), 1.0)

    @given(raw=slices)
    @settings(max_examples=60, deadline=None)
    def test_natural_round_trip(self, raw: np.ndarray) -> None:
        assert svi.natural_to_raw(svi.raw_to_natural(raw)) == pytest.approx(raw, rel=1e-9, abs=1e-12)

    @given(raw=slices)
    @settings(max_examples=40, deadline=None)
    def test_natural_form_is_the_same_smile(self, raw: np.ndarray) -> None:
        delta, mu, rho, omega, zeta = svi.raw_to_natural(raw)
        k = np.linspace(-1, 1, 9)
        z = zeta * (k - mu)
        natural = delta + omega / 2 * (1 + zeta * rho * (k - mu) + np.sqrt((z + rho) ** 2 + 1 - rho**2))
        assert natural == pytest.approx(svi.total_variance(k, raw), rel=1e-9)

    @given(raw=slices, years=st.floats(0.01, 1))
    @settings(max_examples=60, deadline=None)
    def test_repair_keeps_level_and_skew_and_is_free_of_butterflies(self, raw: np.ndarray, years: float) -> None:
        repaired = svi.butterfly_repair(raw, years)
        if repaired is None:
            return
        before, after = svi.raw_to_jw(raw, years), svi.raw_to_jw(repaired, years)
        assert after[:2] == pytest.approx(before[:2], rel=1e-6, abs=1e-9)
        w, b, rho = svi.total_variance(0.0, repaired), repaired[1], repaired[2]
        phi = 2 * b / float(w)
        if bool(svi.ssvi_free_of_butterflies(w, rho, phi)):
            assert svi.butterfly_minimum(repaired)[0] >= -1e-9


class TestSsvi:
    def test_power_law_and_variances(self) -> None:
        rho = ANSWERS["ssvi"]["rho"]
        for row in ANSWERS["ssvi"]["rows"]:
            phi = float(svi.ssvi_phi(row["theta"], 1.0, 0.5))
            assert phi == pytest.approx(row["phi"], rel=1e-13)
            assert svi.ssvi_total_variance([-0.5, 0.0, 0.3], row["theta"], rho, phi) == pytest.approx(row["variance"], rel=1e-13)
            assert svi.total_variance([-0.5, 0.0, 0.3], svi.ssvi_to_raw(row["theta"], rho, phi)) == pytest.approx(
                row["variance"], rel=1e-12
            )

    @given(theta=st.floats(1e-4, 4), rho=st.floats(-0.95, 0.95), phi=st.floats(0.05, 60))
    @settings(max_examples=150, deadline=None)
    def test_both_conditions_together_exclude_butterflies(self, theta: float, rho: float, phi: float) -> None:
        if bool(svi.ssvi_free_of_butterflies(theta, rho, phi)):
            assert svi.butterfly_minimum(svi.ssvi_to_raw(theta, rho, phi), low=-6, high=6)[0] >= -1e-9

    def test_the_second_condition_alone_does_not(self) -> None:
        case = ANSWERS["steep_ssvi"]
        theta, rho, phi = case["theta"], case["rho"], case["phi"]
        assert theta * phi**2 * (1 + abs(rho)) <= 4.0
        assert not bool(svi.ssvi_free_of_butterflies(theta, rho, phi))
        raw = svi.ssvi_to_raw(theta, rho, phi)
        assert svi.butterfly_minimum(raw, low=-6, high=6)[0] == pytest.approx(case["min_g"], abs=1e-8)
        assert float(svi.raw_durrleman(-1000.0, raw)) == pytest.approx(case["wing_g"], abs=1e-9)

    def test_the_conditions_are_not_necessary(self) -> None:
        case = ANSWERS["edge_ssvi"]
        between = 0.5 * (case["phi"] + case["sufficient_phi"])
        assert not bool(svi.ssvi_free_of_butterflies(case["theta"], case["rho"], between))
        assert svi.butterfly_minimum(svi.ssvi_to_raw(case["theta"], case["rho"], between))[0] > 0.0
        assert svi.butterfly_minimum(svi.ssvi_to_raw(case["theta"], case["rho"], case["phi"]))[0] == pytest.approx(0.0, abs=1e-6)
        assert svi.butterfly_minimum(svi.ssvi_to_raw(case["theta"], case["rho"], 1.01 * case["phi"]))[0] < 0.0


class TestDensityAndMoments:
    def test_density_has_mass_one_and_mean_the_forward(self) -> None:
        raw = ANSWERS["sound"]["raw"]
        k = np.linspace(-12, 8, 40_001)
        w = svi.total_variance(k, raw)
        d2 = -k / np.sqrt(w) - 0.5 * np.sqrt(w)
        density = svi.raw_durrleman(k, raw) / np.sqrt(2 * np.pi * w) * np.exp(-0.5 * d2 * d2)
        assert np.trapezoid(density, k) == pytest.approx(1.0, abs=1e-9)
        assert np.trapezoid(np.exp(k) * density, k) == pytest.approx(1.0, abs=1e-9)
        assert svi.butterfly_minimum(raw)[0] == pytest.approx(ANSWERS["sound"]["min_g"], abs=1e-8)

    def test_lee_both_ways(self) -> None:
        lee = ANSWERS["lee"]
        assert svi.lee_wing_slope(lee["moments"]) == pytest.approx(lee["slopes"], rel=1e-10)
        assert svi.lee_moments(lee["slopes"]) == pytest.approx(lee["moments"], rel=1e-10)
        assert svi.lee_moments([0.06, 0.14]) == pytest.approx([7.840833, 3.088929], abs=1e-6)

    def test_admissible_is_lee_and_positive_variance(self) -> None:
        assert svi.is_admissible(VOGT["raw"])
        assert not svi.is_admissible((0.04, 1.5, 0.5, 0.0, 0.1))  # a wing of slope 2.25
        assert not svi.is_admissible((-0.2, 0.1, 0.0, 0.0, 0.3))  # negative variance
        assert not svi.is_admissible((0.04, -0.1, 0.0, 0.0, 0.3))


def cost_of(raw: np.ndarray, quotes: np.ndarray, penalty: float = svi_fit.BAND_PENALTY) -> float:
    """The fit's cost written down a second time, in plain NumPy."""
    k, w, half, weight = quotes
    error = svi.total_variance(k, raw) - w
    outside = np.maximum(np.abs(error) - half, 0.0)
    return float(np.sum(weight**2 * (error**2 + penalty * outside**2)))


def plain_fit(quotes: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, float]:
    """The plain twin: the same cost by damped Newton steps with numerical derivatives, in the raw parameters."""
    p = start.copy()
    scale = np.array([0.05, 0.1, 0.3, 0.2, 0.2])

    def residual(x: np.ndarray) -> np.ndarray:
        k, w, half, weight = quotes
        error = svi.total_variance(k, x) - w
        outside = np.maximum(np.abs(error) - half, 0.0)
        return np.concatenate([weight * error, math.sqrt(svi_fit.BAND_PENALTY) * weight * outside * np.sign(error)])

    damping, cost = 1e-3, cost_of(p, quotes)
    for _ in range(300):
        base = residual(p)
        jacobian = np.stack([(residual(p + 1e-7 * scale * unit) - base) / 1e-7 for unit in np.eye(5)], axis=1)
        normal = jacobian.T @ jacobian
        step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), jacobian.T @ base)
        trial = p + scale * step
        sound = trial[1] > 0 and abs(trial[2]) < 1 and trial[4] > 1e-4
        after = cost_of(trial, quotes) if sound else math.inf
        if after < cost:
            p, cost, damping = trial, after, damping * 0.3
        else:
            damping *= 4
        if damping > 1e12:
            break
    return p, cost


def noisy_quotes(raw: np.ndarray, years: float, *, seed: int, noise_vol: float, half_vol: float, count: int = 31) -> np.ndarray:
    rng = np.random.default_rng(seed)
    deviation = math.sqrt(float(svi.total_variance(0.0, raw)))
    k = np.linspace(-3, 3, count) * deviation
    vol = np.sqrt(svi.total_variance(k, raw) / years) + rng.normal(0, noise_vol, count)
    per_vol = 2 * vol * years
    return np.stack([k, vol**2 * years, half_vol * per_vol, 1 / (half_vol * per_vol)])


def truth(years: float) -> np.ndarray:
    total = 0.55**2 * years
    return svi.ssvi_to_raw(total, -0.35, 0.9 / math.sqrt(total) / (1 + math.sqrt(total)))


def together(*parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate(parts, axis=1), np.cumsum([0, *(part.shape[1] for part in parts)])


class TestFit:
    @pytest.mark.parametrize("years", [1 / 8760, 1 / 365, 7 / 365, 30 / 365, 1.0])
    def test_recovers_a_clean_slice_exactly(self, years: float) -> None:
        raw, cost, _ = svi_fit.fit_slices(*together(noisy_quotes(truth(years), years, seed=1, noise_vol=0.0, half_vol=0.005)))
        assert raw[0] == pytest.approx(truth(years), rel=1e-6)
        assert cost[0] < 1e-12

    @pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
    def test_no_plain_descent_finds_a_cheaper_slice(self, seed: int) -> None:
        years = 30 / 365
        quotes = noisy_quotes(truth(years), years, seed=seed, noise_vol=0.004, half_vol=0.003)
        raw, cost, _ = svi_fit.fit_slices(*together(quotes))
        assert cost[0] == pytest.approx(cost_of(raw[0], quotes), rel=1e-9)
        found, cheapest = plain_fit(quotes, truth(years))
        assert cost[0] == pytest.approx(cheapest, rel=1e-5)
        k = quotes[0]
        assert np.sqrt(svi.total_variance(k, raw[0]) / years) == pytest.approx(np.sqrt(svi.total_variance(k, found) / years), abs=2e-4)

    def test_recovers_the_smile_under_noise_and_spreads(self) -> None:
        years = 60 / 365
        quotes = noisy_quotes(truth(years), years, seed=3, noise_vol=0.003, half_vol=0.006, count=61)
        raw = svi_fit.fit_slices(*together(quotes))[0][0]
        k = np.linspace(-2, 2, 41) * math.sqrt(0.55**2 * years)
        error = np.sqrt(svi.total_variance(k, raw) / years) - np.sqrt(svi.total_variance(k, truth(years)) / years)
        assert np.max(np.abs(error)) < 0.003
        assert math.sqrt(np.mean(error**2)) < 0.0015

    def test_leaving_the_band_costs_more_than_leaving_the_mid(self) -> None:
        """One wide and one tight quote disagree with the rest by the same amount: the fit goes further towards the tight one."""
        years = 30 / 365
        clean = noisy_quotes(truth(years), years, seed=0, noise_vol=0.0, half_vol=0.002)
        moved = clean.copy()
        moved[1, 15] += 2 * clean[2, 15] * 5
        without = svi_fit.fit_slices(*together(moved), band_penalty=0.0)[0][0]
        with_band = svi_fit.fit_slices(*together(moved), band_penalty=50.0)[0][0]
        gap = [abs(float(svi.total_variance(moved[0, 15], raw)) - moved[1, 15]) for raw in (without, with_band)]
        assert gap[1] < 0.98 * gap[0]

    def test_slices_do_not_disturb_each_other(self) -> None:
        one = noisy_quotes(truth(0.02), 0.02, seed=1, noise_vol=0.004, half_vol=0.004)
        two = noisy_quotes(truth(0.5), 0.5, seed=2, noise_vol=0.004, half_vol=0.004, count=17)
        both = svi_fit.fit_slices(*together(one, two))[0]
        assert both[0].tolist() == svi_fit.fit_slices(*together(one))[0][0].tolist()
        assert both[1].tolist() == svi_fit.fit_slices(*together(two))[0][0].tolist()

    @pytest.mark.parametrize("shape", ["frown", "w", "line", "two steps", "spike", "tiny", "huge", "steep"])
    def test_whatever_the_quotes_the_slice_is_admissible(self, shape: str) -> None:
        """The peer that fits without bounds answers b = 2636 on such smiles."""
        years = 30 / 365
        x = np.linspace(-1, 1, 21)
        vol = {
            "frown": 0.8 - 0.4 * x**2,
            "w": 0.6 + 0.2 * np.cos(6 * x),
            "line": 0.6 - 0.5 * x,
            "two steps": np.where(x < 0, 0.9, 0.4),
            "spike": np.where(np.abs(x) < 0.05, 2.0, 0.5),
            "tiny": np.full(21, 1e-3),
            "huge": 9.0 + 3 * x**2,
            "steep": 0.5 + 8.0 * np.abs(x),
        }[shape]
        per_vol = 2 * vol * years
        quotes = np.stack([0.4 * x, vol**2 * years, 0.01 * per_vol, 1 / (0.01 * per_vol)])
        raw, cost, _ = svi_fit.fit_slices(*together(quotes))
        assert np.isfinite(raw).all()
        assert np.isfinite(cost).all()
        assert svi.is_admissible(raw[0], tolerance=1e-9), raw[0]
        assert raw[0, 4] >= svi_fit.MIN_BEND * math.sqrt(np.interp(0.0, quotes[0], quotes[1])) * (1 - 1e-9)

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
    def test_few_quotes_do_no_harm(self, count: int) -> None:
        quotes = noisy_quotes(truth(0.1), 0.1, seed=5, noise_vol=0.01, half_vol=0.01, count=31)[:, 5 : 5 + 5 * count : 5]
        raw = svi_fit.fit_slices(*together(quotes))[0][0]
        assert svi.is_admissible(raw, tolerance=1e-9)

    def test_an_empty_slice_stays_empty(self) -> None:
        quotes = noisy_quotes(truth(0.1), 0.1, seed=5, noise_vol=0.0, half_vol=0.01)
        raw, cost, iterations = svi_fit.fit_slices(quotes, np.array([0, 0, quotes.shape[1]]))
        assert raw[0].tolist() == [0.0] * 5
        assert (cost[0], iterations[0]) == (0.0, 0)

    def test_the_guard_removes_butterflies_and_costs_little(self) -> None:
        k = np.linspace(-1.2, 1.4, 40)
        w = svi.total_variance(k, VOGT["raw"])
        per_vol = 2 * np.sqrt(w)
        quotes = np.stack([k, w, 0.004 * per_vol, 1 / (0.004 * per_vol)])
        free = svi_fit.fit_slices(*together(quotes))[0][0]
        assert svi.butterfly_minimum(free)[0] == pytest.approx(VOGT["min_g"], abs=1e-5)
        guarded = svi_fit.fit_slices(*together(quotes), starts=free[None, :], guard=1e4)[0][0]
        assert svi.butterfly_minimum(guarded)[0] >= 0.0
        assert cost_of(guarded, quotes) < 0.5 * cost_of(np.array(VOGT["repaired_raw"]), quotes)

    @given(raw=slices, scale=st.floats(1e-4, 2.0))
    @settings(max_examples=60, deadline=None)
    def test_the_guard_sees_the_same_g_as_the_formula(self, raw: np.ndarray, scale: float) -> None:
        """In scaled coordinates w''/2 and k w'/2w keep their form, only the quarter of w'^2 carries the scale."""
        box = np.array([[-np.inf] * 5, [np.inf] * 5])
        p = np.empty(5)
        svi_fit._from_raw(raw, scale, box, p)
        back = np.empty(5)
        svi_fit._to_raw(p, scale, back)
        assert back == pytest.approx(raw, rel=1e-6, abs=1e-9)
        k = np.linspace(-1.5, 1.5, 31)
        settings_row = np.array([0.0, scale, 3.0, 0.0, 0.0, 0.0])
        short = np.empty(31)
        total = svi_fit._shortfalls(p, settings_row, k / math.sqrt(scale), short)
        g = svi.raw_durrleman(k, raw)
        positive = svi.total_variance(k, raw) > 1e-6 * scale
        expected = 3.0 * np.maximum(svi_fit.DURRLEMAN_FLOOR - g, 0.0)
        assert short[positive] == pytest.approx(expected[positive], rel=1e-6, abs=1e-8)
        assert total == pytest.approx(float(np.sum(short**2)), rel=1e-12)
