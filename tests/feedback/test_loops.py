"""Spot and vol, several assets, and feedback volatility, against 40-digit and SciPy answers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import RuleError
from tailwag.feedback import (
    RunawayZone,
    break_even_variance_ratio,
    distance_pct,
    frey_volatility,
    matrix_gain,
    realised_variance_ratio,
    runaway_zones,
    shadow_gain,
    sircar_papanicolaou_volatility,
    spot_vol_loop,
    square_root_loop,
)

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "gain.json").read_text())
Row = dict[str, Any]


class TestFeedbackVolatility:
    @pytest.mark.parametrize("row", ANSWERS["feedback_volatility"])
    def test_slope_of_the_clearing_price(self, row: Row) -> None:
        assert frey_volatility(row["vol"], row["gain"]) == pytest.approx(row["frey"], rel=1e-10)
        found = sircar_papanicolaou_volatility(
            row["vol"], program_share=row["rho"], holding=row["holding"], holding_slope=row["holding_slope"]
        )
        assert found == pytest.approx(row["sircar_papanicolaou"], rel=1e-10)

    @pytest.mark.parametrize(("rho", "frey", "linear"), [(0.05, 0.249757, 0.251427), (-0.05, 0.166775, 0.167480)])
    def test_printed_targets(self, rho: float, frey: float, linear: float) -> None:
        assert frey_volatility(0.2, rho * 3.984439) == pytest.approx(frey, abs=6e-7)
        assert sircar_papanicolaou_volatility(0.2, program_share=rho, holding=0.519939, holding_slope=3.984439) == pytest.approx(
            linear, abs=6e-7
        )

    def test_crypto_book_short_and_long(self) -> None:
        row = ANSWERS["crypto_example"][0]
        assert frey_volatility(0.6, row["gain_secant_100m"]) == pytest.approx(row["vol_secant_100m"], rel=1e-12)
        assert frey_volatility(0.6, row["gain_secant_100m"]) == pytest.approx(0.732410, abs=5e-7)
        assert frey_volatility(0.6, -row["gain_secant_100m"]) == pytest.approx(0.508136, abs=5e-7)

    @pytest.mark.parametrize("row", ANSWERS["variance_ratios"])
    def test_realised_and_break_even_variance_part(self, row: Row) -> None:
        assert realised_variance_ratio(row["gain"]) == pytest.approx(row["realised"], rel=1e-12)
        assert break_even_variance_ratio(row["gain"]) == pytest.approx(row["break_even"], rel=1e-12)

    @pytest.mark.parametrize("gain", [1.0, 1.7, math.nan])
    def test_no_volatility_at_a_gain_of_one(self, gain: float) -> None:
        for ask in (lambda: frey_volatility(0.6, gain), lambda: realised_variance_ratio(gain), lambda: break_even_variance_ratio(gain)):
            with pytest.raises(RuleError, match="runs away"):
                ask()

    def test_programme_traders_too_large_to_clear(self) -> None:
        with pytest.raises(RuleError, match="too large"):
            sircar_papanicolaou_volatility(0.2, program_share=0.3, holding=0.5, holding_slope=4.0)


class TestSquareRootLoop:
    @pytest.mark.parametrize("row", ANSWERS["square_root_loops"])
    def test_root_of_the_loop(self, row: Row) -> None:
        found = square_root_loop(row["shock"], dollar_gamma_usd=-1e9, daily_volume_usd=1e9, daily_vol=row["strength"])
        assert found.move == pytest.approx(row["move"], rel=1e-12)
        assert found.amplification == pytest.approx(row["amplification"], rel=1e-12)
        assert found.local_gain == pytest.approx(row["local_gain"], rel=1e-10)

    def test_printed_amplifications(self) -> None:
        found = [
            square_root_loop(e, dollar_gamma_usd=-4e9, daily_volume_usd=1e9, daily_vol=0.01, y=1.5).amplification
            for e in (1e-4, 1e-3, 1e-2, 3e-2)
        ]
        assert found == pytest.approx([10.908, 2.5000, 1.3484, 1.1889], abs=6e-4)

    def test_a_move_sustains_itself_without_a_shock(self) -> None:
        found = square_root_loop(0.0, dollar_gamma_usd=-1e9, daily_volume_usd=1e9, daily_vol=0.03)
        assert found.move == pytest.approx(found.floor) == pytest.approx(9e-4)
        assert found.amplification is None
        assert found.local_gain == pytest.approx(0.5)

    def test_long_gamma_is_refused(self) -> None:
        with pytest.raises(RuleError, match="short gamma"):
            square_root_loop(1e-3, dollar_gamma_usd=1e9, daily_volume_usd=1e9, daily_vol=0.03)


def loop_of(row: Row) -> Any:
    return spot_vol_loop(
        gamma_usd=row["gamma_usd"],
        vanna_usd=row["vanna_usd"],
        volga_usd=row["volga_usd"],
        spot_vol_beta=row["beta"],
        impact_per_usd=row["impact_per_usd"],
        vega_hedge_share=row["vega_hedge_share"],
        vol_impact_per_vega_usd=row["vol_impact_per_vega_usd"],
    )


class TestSpotVol:
    @pytest.mark.parametrize("row", ANSWERS["spot_vol_loops"])
    def test_whole_system(self, row: Row) -> None:
        found = loop_of(row)
        np.testing.assert_allclose(found.loop, row["loop"], rtol=1e-11, atol=1e-15)
        assert found.spectral_radius == pytest.approx(row["spectral_radius"], rel=1e-10)
        assert found.determinant == pytest.approx(row["determinant"], rel=1e-11)
        assert found.amplification == pytest.approx(row["amplification"], rel=1e-11)
        assert 1 / (1 - found.effective_gain) == pytest.approx(row["amplification"], rel=1e-11)

    @pytest.mark.parametrize(
        ("strike", "beta", "share", "gain", "radius", "determinant", "amplification"),
        [
            (54000, -0.8, 0, 0.07576, None, None, 1.08197),
            (54000, -0.8, 1, None, 0.08640, 0.911275, 1.08290),
            (54000, 0.4, 0, 0.06352, None, None, None),
            (66000, -0.8, 0, 0.06597, None, None, None),
            (66000, 0.4, 0, 0.08300, None, None, None),
            (66000, 0.4, 1, None, 0.09882, None, 1.09216),
        ],
    )
    def test_printed_targets(
        self, strike: int, beta: float, share: int, gain: Any, radius: Any, determinant: Any, amplification: Any
    ) -> None:
        (row,) = [
            r
            for r in ANSWERS["spot_vol_loops"]
            if (r["strike_usd"], r["contracts"], r["beta"], r["vega_hedge_share"]) == (strike, -20000, beta, share)
        ]
        found = loop_of(row)
        for value, target, digits in (
            (found.effective_gain, gain, 6e-6),
            (found.spectral_radius, radius, 6e-6),
            (found.determinant, determinant, 6e-7),
            (found.amplification, amplification, 6e-6),
        ):
            assert target is None or value == pytest.approx(target, abs=digits)

    def test_without_vega_hedging_it_is_the_shadow_gain(self) -> None:
        found = spot_vol_loop(gamma_usd=-2e9, vanna_usd=3e8, spot_vol_beta=-0.8, impact_per_usd=3e-11)
        assert found.effective_gain == pytest.approx(
            shadow_gain(gamma_usd=-2e9, vanna_usd=3e8, spot_vol_beta=-0.8, impact_per_usd=3e-11), rel=1e-14
        )
        assert found.effective_gain == pytest.approx(3e-11 * (2e9 + 0.8 * 3e8), rel=1e-14)

    def test_sign_of_the_vanna_leg_flips_with_beta(self) -> None:
        down, up = (shadow_gain(gamma_usd=-2e9, vanna_usd=3e8, spot_vol_beta=b, impact_per_usd=3e-11) for b in (-0.8, 0.8))
        assert down > 0.06 > up

    def test_a_fold_has_no_amplification(self) -> None:
        found = spot_vol_loop(gamma_usd=-4e10, vanna_usd=0.0, spot_vol_beta=0.0, impact_per_usd=3e-11)
        assert found.folds
        assert found.amplification is None
        assert found.reason
        vega = spot_vol_loop(
            gamma_usd=0.0,
            vanna_usd=0.0,
            volga_usd=-1e10,
            vega_hedge_share=1.0,
            vol_impact_per_vega_usd=2e-10,
            spot_vol_beta=0.0,
            impact_per_usd=0.0,
        )
        assert vega.folds
        assert vega.effective_gain is None
        json.dumps(vega.document(), allow_nan=False)


class TestMatrix:
    @pytest.mark.parametrize("row", ANSWERS["matrices"])
    def test_against_scipy(self, row: Row) -> None:
        found = matrix_gain(row["impact"], row["gamma"])
        assert found.spectral_radius == pytest.approx(row["spectral_radius"], rel=1e-10)
        assert found.largest_real_part == pytest.approx(row["largest_real_part"], rel=1e-10)
        assert found.amplification_norm == pytest.approx(row["amplification_norm"], rel=1e-10)
        np.testing.assert_allclose(found.long_run_covariance(row["shocks"]), row["long_run"], rtol=1e-10)
        np.testing.assert_allclose(found.lagged_covariance(row["shocks"]), row["lagged"], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.one_round_covariance(row["shocks"]), row["one_round"], rtol=1e-10)

    def test_printed_two_assets(self) -> None:
        """T13-F: contagion through hedging lifts the correlation from .6325 to .7097."""
        found = matrix_gain([[3e-11, 0.8e-11], [0.9e-11, 6e-11]], [[-5e9, -0.6e9], [-0.6e9, -3e9]])
        assert found.gain.tolist() == [[pytest.approx(0.1548), pytest.approx(0.042)], [pytest.approx(0.081), pytest.approx(0.1854)]]
        assert [value.real for value in found.eigenvalues] == pytest.approx([0.2304, 0.1098], abs=6e-5)
        long_run = found.long_run_covariance([[1, 0.8], [0.8, 1.6]])
        assert long_run.ravel() == pytest.approx([1.53643, 1.44090, 1.44090, 2.68255], abs=6e-6)
        assert long_run[0, 1] / math.sqrt(long_run[0, 0] * long_run[1, 1]) == pytest.approx(0.7097, abs=6e-5)
        lagged = found.lagged_covariance([[1, 0.8], [0.8, 1.6]])
        assert lagged.ravel() == pytest.approx([1.03898, 0.85359, 0.85359, 1.69056], abs=6e-6)

    def test_non_normal_loops_hide_behind_a_small_radius(self) -> None:
        found = matrix_gain(np.eye(2), [[-0.5, -8.0], [0.0, -0.5]])
        assert found.spectral_radius == pytest.approx(0.5)
        assert found.amplification_norm == pytest.approx(32.1, abs=0.05)

    def test_one_asset_is_the_scalar_gain(self) -> None:
        found = matrix_gain([[3e-11]], [[-5e9]])
        assert found.spectral_radius == pytest.approx(0.15)
        assert found.long_run_covariance([[1.0]])[0, 0] == pytest.approx(1 / 0.85**2)
        assert found.lagged_covariance([[1.0]])[0, 0] == pytest.approx(1 / (1 - 0.15**2))

    def test_strong_long_gamma_settles_in_the_same_step_only(self) -> None:
        found = matrix_gain([[3e-11]], [[5e10]])
        assert found.stable_same_step
        assert not found.stable_lagged
        assert found.lagged_covariance([[1.0]]) is None
        assert found.long_run_covariance([[1.0]])[0, 0] == pytest.approx(1 / 2.5**2)

    def test_runaway_has_no_norm(self) -> None:
        found = matrix_gain([[3e-11]], [[-5e10]])
        assert found.amplification_norm is None
        assert found.long_run_covariance([[1.0]]) is None
        assert "without bound" in str(found)
        json.dumps(found.document(), allow_nan=False)

    def test_symmetric_books_have_real_eigenvalues_and_rotations_none(self) -> None:
        rng = np.random.default_rng(8)
        for _ in range(20):
            root = rng.normal(size=(4, 4))
            symmetric = rng.normal(size=(4, 4))
            found = matrix_gain(root @ root.T + 0.1 * np.eye(4), symmetric + symmetric.T)
            assert found.largest_real_eigenvalue == pytest.approx(found.largest_real_part)
            assert max(abs(value.imag) for value in found.eigenvalues) < 1e-9 * found.spectral_radius
        assert matrix_gain(np.eye(2), [[0.0, -0.3], [0.3, 0.0]]).largest_real_eigenvalue is None

    @pytest.mark.parametrize(("impact", "gamma"), [([[1.0, 2.0]], [[1.0]]), ([[math.nan]], [[1.0]]), (np.zeros((0, 0)), np.zeros((0, 0)))])
    def test_bad_matrices_are_refused(self, impact: Any, gamma: Any) -> None:
        with pytest.raises(RuleError):
            matrix_gain(impact, gamma)


class TestZones:
    def test_gaps_end_a_zone_and_exact_ones_count(self) -> None:
        spot = np.arange(1.0, 8.0)
        gain = np.array([0.0, 1.0, 0.0, 2.0, np.nan, 2.0, 2.0])
        zones = runaway_zones(spot, gain)
        assert [(zone.low_usd, zone.high_usd) for zone in zones] == [(2.0, 2.0), (3.5, 4.0), (6.0, 7.0)]
        assert [zone.high_open for zone in zones] == [False, False, True]

    def test_nothing_anywhere(self) -> None:
        assert runaway_zones(np.array([1.0, 2.0]), np.array([0.5, 0.9])) == ()
        assert distance_pct(1.0, ()) is None

    def test_inside_is_zero_and_the_nearest_wins(self) -> None:
        zones = [RunawayZone(80.0, 90.0, False, False), RunawayZone(105.0, 120.0, False, True)]
        assert distance_pct(85.0, zones) == 0.0
        assert distance_pct(100.0, zones) == 5.0
        assert distance_pct(96.0, zones) == pytest.approx(-6.25)
        assert "and beyond" in str(zones[1])
