"""Bands: widths against numerical optima, statistics against the stationary law of the mis-hedge and against played policies."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.hedging.loops import play

from tailwag.errors import InputError
from tailwag.hedging.bands import OVERSHOOT, band_statistics, monitored_half_width, whalley_wilmott_half_width_coin, zakamouline_band
from tailwag.hedging.policies import Band

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "hedging.json").read_text())
STATIONARY = {(row["half_width_steps"], row["target"]): row for row in ANSWERS["stationary_bands"]}


class TestWhalleyWilmott:
    @pytest.mark.parametrize("row", ANSWERS["best_bands"])
    def test_is_the_width_that_costs_least(self, row: dict[str, float]) -> None:
        """Cost times turnover plus risk times squared mis-hedge, minimised numerically."""
        share = {"cost_share": row["cost_share"], "risk_aversion_per_usd": row["risk_aversion_per_usd"]}
        found = whalley_wilmott_half_width_coin(row["gamma"], row["spot_usd"], **share)
        assert float(found) == pytest.approx(row["edge_coin"], rel=1e-8)
        # trading to the centre wants another band, four times the cube, and costs 2^(1/3) as much
        assert row["centre_coin"] == pytest.approx(4 ** (1 / 3) * float(found), rel=1e-8)
        assert row["centre_over_edge"] == pytest.approx(2 ** (1 / 3), rel=1e-10)

    def test_anchor_t11_printed_widths(self) -> None:
        assert whalley_wilmott_half_width_coin(0.02, 5000.0, cost_share=5e-4, risk_aversion_per_usd=1.0) == pytest.approx(
            0.114471424, abs=5e-10
        )
        bitcoin = whalley_wilmott_half_width_coin(3.8511202e-5, 60_000.0, cost_share=5e-4, risk_aversion_per_usd=1e-4)
        assert bitcoin == pytest.approx(0.0873901, abs=5e-8)

    def test_mutation_another_factor_is_not_the_optimum(self) -> None:
        row = ANSWERS["best_bands"][0]
        found = whalley_wilmott_half_width_coin(row["gamma"], row["spot_usd"], cost_share=2 * row["cost_share"], risk_aversion_per_usd=1.0)
        assert float(found) != pytest.approx(row["edge_coin"], rel=0.1)


class TestZakamouline:
    @pytest.mark.parametrize("row", ANSWERS["zakamouline"])
    @pytest.mark.parametrize("side", [-1, 1])
    def test_against_independent_digits(self, row: dict[str, float], side: int) -> None:
        found = zakamouline_band(
            side * row["gamma"],
            row["spot_usd"],
            row["vol"],
            row["years"],
            cost_share=row["cost_share"],
            risk_aversion_per_usd=row["risk_aversion_per_usd"],
        )
        assert float(found.idle_half_width_coin) == pytest.approx(row["h0"], rel=1e-12)
        assert float(found.gamma_half_width_coin) == pytest.approx(row["h1"], rel=1e-12)
        assert float(found.half_width_coin) == pytest.approx(row["h0"] + row["h1"], rel=1e-12)
        assert float(found.vol_correction) == pytest.approx(row["k"], rel=1e-12)
        assert float(found.modified_vol(row["vol"], -1)) == pytest.approx(row["vol_short"], rel=1e-12)
        assert float(found.modified_vol(row["vol"], +1)) == pytest.approx(row["vol_long"], rel=1e-12)
        assert float(found.modified_vol(row["vol"], 0)) == row["vol"]

    def test_anchor_t11_printed_digits(self) -> None:
        found = zakamouline_band(0.02, 5000.0, 0.2, 0.25, cost_share=5e-4, risk_aversion_per_usd=1.0)
        printed = (found.idle_half_width_coin, found.gamma_half_width_coin, found.vol_correction, found.modified_vol(0.2, [-1, 1]))
        assert [float(np.round(x, 7)) for x in printed[:2]] == [1e-5, 0.0209437]
        assert float(printed[2]) == pytest.approx(-0.139455, abs=5e-7)
        assert printed[3].tolist() == pytest.approx([0.213490, 0.185531], abs=5e-7)

    def test_costs_beyond_the_variance_leave_no_vol(self) -> None:
        found = zakamouline_band(0.02, 5000.0, 0.2, 0.25, cost_share=0.05, risk_aversion_per_usd=100.0)
        assert float(found.vol_correction) < -1.0
        assert float(found.modified_vol(0.2, +1)) == 0.0

    @pytest.mark.parametrize("years", [0.0, -1.0, math.inf, math.nan])
    def test_refuses_a_time_it_cannot_use(self, years: float) -> None:
        with pytest.raises(InputError, match="years to expiry"):
            zakamouline_band(0.02, 5000.0, 0.2, years, cost_share=5e-4, risk_aversion_per_usd=1.0)


class TestBandStatistics:
    def test_overshoot_constant(self) -> None:
        assert pytest.approx(ANSWERS["overshoot"], rel=1e-15) == OVERSHOOT

    @pytest.mark.parametrize("target", ["edge", "centre"])
    @pytest.mark.parametrize("half_width", [6.0, 12.0, 20.0, 40.0])
    def test_monitored_band_matches_the_stationary_law(self, half_width: float, target: Any) -> None:
        """Corrected: an error of third order in step/width; uncorrected: of first order."""
        exact = STATIONARY[half_width, target]
        found = band_statistics(half_width, diffusion=1.0, target=target, step_years=1.0)
        plain = band_statistics(half_width, diffusion=1.0, target=target)
        assert found.turnover_per_year == pytest.approx(exact["turnover"], rel=2e-6)
        assert found.trades_per_year == pytest.approx(exact["trades"], rel=2e-6)
        assert found.mean_square_gap == pytest.approx(exact["mean_square"], rel=0.8 / half_width**3)
        for name, answer in (("turnover_per_year", "turnover"), ("mean_square_gap", "mean_square")):
            assert abs(getattr(plain, name) / exact[answer] - 1.0) > 0.5 / half_width

    def test_turnover_to_the_edge_is_exact_but_for_exponentially_little(self) -> None:
        found = band_statistics(12.0, diffusion=1.0, target="edge", step_years=1.0)
        assert found.turnover_per_year == pytest.approx(STATIONARY[12.0, "edge"]["turnover"], rel=1e-9)

    def test_units_scale(self) -> None:
        plain = band_statistics(12.0, diffusion=1.0, target="edge", step_years=1.0)
        scaled = band_statistics(12.0e6, diffusion=1e6 * math.sqrt(365.0), target="edge", step_years=1 / 365)
        assert scaled.turnover_per_year == pytest.approx(365e6 * plain.turnover_per_year, rel=1e-12)
        assert scaled.mean_square_gap == pytest.approx(1e12 * plain.mean_square_gap, rel=1e-12)
        assert scaled.trades_per_year == pytest.approx(365 * plain.trades_per_year, rel=1e-12)

    def test_continuous_limits(self) -> None:
        edge, centre = (band_statistics(2.0, diffusion=3.0, target=target) for target in ("edge", "centre"))
        assert (edge.turnover_per_year, edge.mean_square_gap, edge.trades_per_year) == (9 / 4, 4 / 3, math.inf)
        assert (centre.turnover_per_year, centre.mean_square_gap, centre.trades_per_year) == (9 / 2, 4 / 6, 9 / 4)
        assert monitored_half_width(1.0, diffusion=1.0, step_years=1e-4) == pytest.approx(1.005826, abs=1e-6)

    @pytest.mark.parametrize(("half_width", "diffusion", "gain"), [(0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 1.0), (math.nan, 1.0, 0.0)])
    def test_refuses_what_has_no_answer(self, half_width: float, diffusion: float, gain: float) -> None:
        with pytest.raises(InputError, match="half_width > 0"):
            band_statistics(half_width, diffusion=diffusion, target="edge", gain=gain)


def started(half_width: float, target: str, paths: int) -> Any:
    """Gaps drawn from (nearly) the stationary law: flat for the edge, a tent for the centre."""
    rng = np.random.default_rng(0)
    first, second = rng.uniform(-0.5, 0.5, size=(2, paths)) * half_width
    return 2.0 * first if target == "edge" else first + second


def played(
    half_width: float, target: Any, *, gain: float = 0.0, dollar_gamma: float = -1.0, paths: int = 1_200, steps: int = 3_000
) -> dict[str, tuple[float, float]]:
    """Turnover, squared mis-hedge and trades a step of the policy as played: means over paths and their standard errors."""
    policy = Band(half_width_usd=half_width, target=target)
    run = play(
        policy, gain=gain, dollar_gamma=dollar_gamma, steps=steps, paths=paths, seed=11, start_gap=started(half_width, target, paths)
    )
    per_path = {"turnover": run.turnover / steps, "mean_square": (run.gap[:, 1:] ** 2).mean(axis=1)}
    return {name: (float(x.mean()), float(x.std() / math.sqrt(paths))) for name, x in per_path.items()}


class TestPlayedBandsT11:
    @pytest.mark.parametrize("target", ["edge", "centre"])
    def test_anchor_t11_open_loop(self, target: Any) -> None:
        exact, found = STATIONARY[6.0, target], played(6.0, target)
        for name in ("turnover", "mean_square"):
            estimate, error = found[name]
            assert error <= 0.01 * exact[name]
            assert abs(estimate - exact[name]) < 4 * error

    @pytest.mark.parametrize(("gain", "printed"), [(0.5, 0.02429), (-0.5, 0.00810)])
    def test_anchor_t11_closed_loop_turnover(self, gain: float, printed: float) -> None:
        """Turnover a^2/(2H(1 - g)) of a dealer who moves the market, H/a = 20."""
        theory = band_statistics(10.0, diffusion=0.5, target="edge", gain=gain, step_years=1.0)
        assert theory.turnover_per_year == pytest.approx(printed, abs=5e-6)
        estimate, error = played(10.0, "edge", gain=gain, dollar_gamma=-gain, paths=2_400)["turnover"]
        assert error <= 0.01 * theory.turnover_per_year
        assert abs(estimate - theory.turnover_per_year) < 4 * error

    def test_closed_loop_to_the_centre(self) -> None:
        theory = STATIONARY[6.0, "centre"]["turnover"] / (1.0 - 0.4)
        estimate, error = played(6.0, "centre", gain=0.4)["turnover"]
        assert error <= 0.01 * theory
        assert abs(estimate - theory) < 4 * error

    def test_mutations_fail(self) -> None:
        """Without the overshoot, with the gain's sign flipped, or for the other target, the same estimate is far off."""
        estimate, error = played(6.0, "edge", gain=0.3)["turnover"]
        right = band_statistics(6.0, diffusion=1.0, target="edge", gain=0.3, step_years=1.0)
        assert abs(estimate - right.turnover_per_year) < 4 * error
        for wrong in (
            band_statistics(6.0, diffusion=1.0, target="edge", gain=0.3),
            band_statistics(6.0, diffusion=1.0, target="edge", gain=-0.3, step_years=1.0),
            band_statistics(6.0, diffusion=1.0, target="centre", gain=0.3, step_years=1.0),
        ):
            assert abs(estimate - wrong.turnover_per_year) > 8 * error
