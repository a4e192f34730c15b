"""fit_surface: recovers a known smile through noise and spreads, says what it stands on, and survives what is no smile."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.surface.market import AT_NS, expiry_columns, snapshot, true_raw, true_vol

from tailwag.kernels import svi
from tailwag.market.codes import RowCode
from tailwag.surface import Smile, Surface, fit_surface

VOGT = json.loads((Path(__file__).parents[1] / "answers" / "svi.json").read_text())["vogt"]


def only_smile(surface: Surface) -> Smile:
    assert len(surface.smiles) == 1
    return surface.smiles[0]


def vogt_vol(k: np.ndarray, years: float) -> np.ndarray:
    return np.sqrt(svi.total_variance(k, VOGT["raw"]) / years)


class TestRecovery:
    @pytest.mark.parametrize("days", [0.05, 1, 30, 400])
    @pytest.mark.parametrize("settlement", ["inverse", "linear"])
    def test_a_clean_smile_comes_back(self, days: float, settlement: str) -> None:
        smile = only_smile(fit_surface(snapshot(expiry_columns(days, settlement=settlement))))
        k = np.linspace(-2, 2, 31) * 0.5 * math.sqrt(days / 365)
        assert smile.model == "svi"
        # the mid of two implied vols half a point either side is the true one to second order
        assert smile.vol(k) == pytest.approx(true_vol(k, days / 365), abs=3e-4)
        assert smile.rmse_volpt < 0.03
        assert smile.inside_share == 1.0
        assert list(smile.parameters) == ["a", "b", "rho", "m", "sigma"]

    def test_through_noise_and_spreads(self) -> None:
        smile = only_smile(fit_surface(snapshot(expiry_columns(45, noise_vol=0.004, half_spread_vol=0.008, strikes=51, seed=4))))
        k = np.linspace(-2, 2, 41) * 0.5 * math.sqrt(45 / 365)
        assert smile.vol(k) == pytest.approx(true_vol(k, 45 / 365), abs=0.005)
        assert 0.2 < smile.rmse_volpt < 0.6
        assert smile.inside_share is not None
        assert smile.inside_share > 0.85

    def test_tight_quotes_lead(self) -> None:
        """Every other strike is quoted ten times wider and two points too dear: the fit stays with the tight ones."""
        tight = expiry_columns(30, strikes=41, half_spread_vol=0.002)
        loose = expiry_columns(30, strikes=41, half_spread_vol=0.02, vol_of=lambda k, years: true_vol(k, years) + 0.02)
        from_loose = np.arange(82) // 2 % 2 == 1
        made = snapshot(tight)
        mixed = {name: np.where(from_loose, loose[name], tight[name]) for name in ("bid_quoted", "ask_quoted", "mark_quoted", "iv")}
        smile = only_smile(fit_surface(made.with_parts(chain=made.chain.with_columns(**mixed))))
        k = np.linspace(-0.2, 0.2, 21)
        assert smile.vol(k) == pytest.approx(true_vol(k, 30 / 365), abs=1e-3)

    def test_skew_is_the_slope_of_vol(self) -> None:
        smile = only_smile(fit_surface(snapshot(expiry_columns(45))))
        k = np.array([-0.2, 0.0, 0.1])
        assert smile.skew(k) == pytest.approx((smile.vol(k + 1e-6) - smile.vol(k - 1e-6)) / 2e-6, abs=1e-6)
        assert float(smile.skew(0.0)) < 0.0

    def test_a_crawl_is_read_at_each_rows_own_underlying(self) -> None:
        """Every row is quoted at another price of the underlying, 2 % either way: one vol for all would be wrong by many points."""
        made = snapshot(expiry_columns(30))
        chain = made.chain
        moved = chain.underlying_usd * np.tile([0.98, 1.0, 1.01, 0.99, 1.02], 10)
        from tailwag.kernels.black import black_price

        years = 30 / 365
        vol = true_vol(np.log(chain.strike_usd / moved), years)
        mark = black_price(chain.right, moved, chain.strike_usd, years, vol) / moved
        crawl = made.with_parts(chain=chain.with_columns(underlying_usd=moved, bid_quoted=mark * 0.995, ask_quoted=mark * 1.005, iv=vol))
        smile = only_smile(fit_surface(crawl))
        k = np.linspace(-0.25, 0.25, 11)
        assert smile.vol(k) == pytest.approx(true_vol(k, years), abs=2e-3)

    def test_dollar_options_are_undiscounted(self) -> None:
        made = snapshot(expiry_columns(365, settlement="linear", rate=0.05, reach=1.0, strikes=41), underlying_usd=np.nan)
        assert float(only_smile(fit_surface(made)).vol(0.0)) == pytest.approx(0.5, abs=2e-3)


class TestWhatItStandsOn:
    def test_one_point_per_strike_the_out_of_the_money_one(self) -> None:
        points = only_smile(fit_surface(snapshot(expiry_columns(30)))).points
        assert len(points) == 25
        away = np.abs(points.log_moneyness) > 1e-9
        assert ((points.right > 0) == (points.log_moneyness > 0))[away].all()
        assert (np.diff(points.strike_usd) > 0).all()
        assert points.two_sided.all()

    @pytest.mark.parametrize("fault", ["no bid", "crossed", "negative", "coded"])
    def test_a_faulty_quote_gives_way_to_the_mark_and_says_so(self, fault: str) -> None:
        made = snapshot(expiry_columns(30))
        bid, codes = made.chain.bid_quoted.copy(), np.zeros(50, dtype=np.int64)
        both = [30, 31]  # the call and the put of one strike
        bid[both] = {"no bid": np.nan, "crossed": made.chain.ask_quoted[both] * 1.1, "negative": -1.0, "coded": bid[both]}[fault]
        codes[both] = int(RowCode.CROSSED) if fault == "coded" else 0
        smile = only_smile(fit_surface(made.with_parts(chain=made.chain.with_columns(bid_quoted=bid, codes=codes))))
        assert smile.points.source.tolist() == ["quote"] * 15 + ["mark"] + ["quote"] * 9
        assert smile.points.target_iv[15] == made.chain.iv[30]
        assert "1 of 25 strikes have no usable two-sided quote" in smile.notes[-1]

    def test_never_the_middle_of_zero_and_ask(self) -> None:
        """A zero bid is no bid: the fit must not be pulled to half the ask."""
        made = snapshot(expiry_columns(30), bid_quoted=0.0)
        smile = only_smile(fit_surface(made))
        assert float(smile.vol(0.0)) == pytest.approx(0.5, abs=1e-3)
        assert smile.inside_share is None

    def test_an_in_the_money_quote_serves_where_the_other_is_missing(self) -> None:
        made = snapshot(expiry_columns(30))
        ask = made.chain.ask_quoted.copy()
        ask[28] = np.nan  # the out-of-the-money call; the put of that strike stays
        points = only_smile(fit_surface(made.with_parts(chain=made.chain.with_columns(ask_quoted=ask)))).points
        assert (points.right[14], points.source[14]) == (-1, "quote")

    def test_a_senselessly_wide_quote_gives_way_to_a_mark_inside_it(self) -> None:
        made = snapshot(expiry_columns(30))
        ask = made.chain.ask_quoted.copy()
        ask[[10, 11]] *= 8.0
        smile = only_smile(fit_surface(made.with_parts(chain=made.chain.with_columns(ask_quoted=ask))))
        assert smile.points.source[5] == "mark"
        assert np.isfinite(smile.points.ask_iv[5])

    def test_masked_rows_do_not_count(self) -> None:
        made = snapshot(expiry_columns(30))
        codes = np.where(made.chain.strike_usd > 95_000, int(RowCode.DUPLICATE_CONFLICT), 0)
        points = only_smile(fit_surface(made.with_parts(chain=made.chain.with_columns(codes=codes)))).points
        assert points.strike_usd.max() <= 95_000

    def test_marks_lead_where_spot_stands_in_for_the_forward(self) -> None:
        surface = fit_surface(
            snapshot(expiry_columns(200, settlement="linear", basis_per_year=0.1), style="american", underlying_usd=np.nan)
        )
        assert surface.forwards.source.tolist() == ["index"]
        assert set(only_smile(surface).points.source) == {"mark"}


class TestFallbacks:
    @pytest.mark.parametrize("strikes", [1, 2, 3, 4])
    def test_fewer_than_five_quotes_are_flat(self, strikes: int) -> None:
        smile = only_smile(fit_surface(snapshot(expiry_columns(30, strikes=strikes, reach=0.5))))
        assert smile.model == "flat"
        assert float(smile.vol(0.3)) == float(smile.vol(-0.3)) == pytest.approx(float(np.mean(smile.points.target_iv)), abs=0.05)
        assert f"{strikes} usable quotes, 5 needed" in smile.notes[0]
        assert smile.skew([0.1]).tolist() == [0.0]

    def test_no_usable_quote_no_smile(self) -> None:
        surface = fit_surface(snapshot(expiry_columns(30), bid_quoted=np.nan, ask_quoted=np.nan, mark_quoted=np.nan, iv=np.nan))
        assert surface.smiles == ()
        assert (surface.smile_of_row == -1).all()
        assert str(surface).startswith("no smile")
        assert surface.document()["smiles"] == []

    def test_a_smile_that_is_not_svi_shaped_is_interpolated(self) -> None:
        def waves(k: np.ndarray, years: float) -> np.ndarray:
            return 0.6 + 0.12 * np.cos(45 * k)

        smile = only_smile(fit_surface(snapshot(expiry_columns(30, vol_of=waves, strikes=41, half_spread_vol=0.002))))
        assert smile.model == "interpolated"
        assert "not SVI-shaped" in smile.notes[0]
        assert smile.vol(smile.points.log_moneyness) == pytest.approx(smile.points.target_iv, abs=1e-9)
        assert smile.butterfly_min_g < 0.0  # such waves are arbitrage, and it says so
        assert any("butterfly" in note for note in smile.notes)

    @pytest.mark.parametrize("seconds", [1, 60, 3600])
    def test_seconds_before_expiry(self, seconds: int) -> None:
        surface = fit_surface(snapshot(expiry_columns(seconds / 86400, strikes=9)))
        smile = only_smile(surface)
        assert np.isfinite(smile.vol(np.linspace(-0.5, 0.5, 11))).all()
        assert float(smile.vol(0.0)) == pytest.approx(0.5, abs=0.02)

    def test_an_expired_or_expiring_row_has_no_smile(self) -> None:
        made = snapshot(expiry_columns(30))
        for shift in (0, -1, -(10**15)):
            chain = made.chain.with_columns(expiry_ns=np.full(50, AT_NS + shift))
            surface = fit_surface(made.with_parts(chain=chain))
            assert surface.smiles == ()
            assert surface.row_vols("surface").iv_source.tolist() == ["venue"] * 50

    @given(
        bid=st.lists(st.one_of(st.floats(-1, 2), st.just(math.nan), st.just(math.inf)), min_size=50, max_size=50),
        iv=st.lists(st.one_of(st.floats(-1, 60), st.just(math.nan)), min_size=50, max_size=50),
        underlying=st.sampled_from([math.nan, 0.0, -5.0, 1e-300, 90_000.0, 1e300, math.inf]),
    )
    @settings(max_examples=40, deadline=None)
    def test_garbage_in_numbers_or_nothing_out(self, bid: list[float], iv: list[float], underlying: float) -> None:
        made = snapshot(expiry_columns(30), bid_quoted=bid, iv=iv, underlying_usd=underlying)
        surface = fit_surface(made)
        for smile in surface.smiles:
            k = np.linspace(-3, 3, 61)
            assert np.isfinite(smile.vol(k)).all()
            assert (smile.vol(k) > 0).all()
            assert math.isfinite(smile.rmse_volpt)
        json.dumps(surface.document(), allow_nan=False)


class TestArbitrage:
    def test_a_sound_market_is_called_sound(self) -> None:
        surface = fit_surface(snapshot(*(expiry_columns(days) for days in (2, 7, 30, 90, 200))))
        assert all(smile.butterfly_min_g > 0.0 for smile in surface.smiles)
        assert surface.calendar_violations == ()
        assert surface.ssvi is not None
        assert surface.ssvi.free_of_butterflies.all()

    def test_butterflies_are_reported(self) -> None:
        smile = only_smile(
            fit_surface(snapshot(expiry_columns(365, vol_of=vogt_vol, reach=9.0, strikes=41, half_spread_vol=0.001)), repair=False)
        )
        assert smile.butterfly_min_g == pytest.approx(VOGT["min_g"], abs=5e-3)
        assert "butterfly arbitrage at" in smile.notes[0]
        assert "not repaired" in smile.notes[0]
        assert "BUTTERFLY ARBITRAGE" in str(smile)

    def test_butterflies_are_repaired_at_little_cost(self) -> None:
        made = snapshot(expiry_columns(365, vol_of=vogt_vol, reach=9.0, strikes=41, half_spread_vol=0.001))
        smile = only_smile(fit_surface(made))
        assert smile.model == "svi-repaired"
        assert smile.butterfly_min_g >= 0.0
        assert "repaired; residual" in smile.notes[0]
        jw_only = np.sqrt(svi.total_variance(smile.points.log_moneyness, VOGT["repaired_raw"])) - smile.points.target_iv
        fitted = smile.points.fit_iv - smile.points.target_iv
        assert float(np.mean(fitted**2)) < 0.5 * float(np.mean(jw_only**2))

    def test_a_crossed_calendar_is_reported_where_and_how_deep(self) -> None:
        surface = fit_surface(
            snapshot(
                expiry_columns(30, vol_of=lambda k, years: true_vol(k, years, vol=0.8)),
                expiry_columns(40, vol_of=lambda k, years: true_vol(k, years, vol=0.5)),
            )
        )
        (violation,) = surface.calendar_violations
        assert (violation.near_expiry_ns, violation.far_expiry_ns) == tuple(smile.expiry_ns for smile in surface.smiles)
        assert violation.depth_volpt >= 100 * (0.8 * math.sqrt(30 / 40) - 0.5) - 0.1
        assert violation.low <= 0.0 <= violation.high
        assert "too cheap" in str(violation)

    def test_calendars_are_not_compared_between_venues(self) -> None:
        near = expiry_columns(30, venue="okx", vol_of=lambda k, years: true_vol(k, years, vol=0.8))
        assert fit_surface(snapshot(near, expiry_columns(40))).calendar_violations == ()


class TestSsvi:
    def test_recovers_the_surface_it_was_made_of(self) -> None:
        surface = fit_surface(snapshot(*(expiry_columns(days) for days in (3, 10, 30, 90, 250))))
        fit = surface.ssvi
        assert fit is not None
        assert (fit.rho, fit.eta, fit.gamma) == pytest.approx((-0.3, 0.8, 0.5), abs=0.01)
        assert fit.rmse_volpt.max() < 0.1
        assert fit.theta == pytest.approx([0.25 * days / 365 for days in (3, 10, 30, 90, 250)], rel=2e-3)
        k = np.linspace(-0.3, 0.3, 7)
        assert fit.total_variance(k, 0.25 * 30 / 365) == pytest.approx(svi.total_variance(k, true_raw(30 / 365)), rel=1e-2)

    @pytest.mark.parametrize("strikes", [1, 2, 7])
    def test_flat_smiles_leave_skew_undetermined_and_break_nothing(self, strikes: int) -> None:
        flat = [expiry_columns(days, vol_of=lambda k, years: np.full_like(k, 0.5), strikes=strikes, reach=1.0) for days in (5, 50)]
        fit = fit_surface(snapshot(*flat)).ssvi
        assert fit is not None
        assert np.isfinite([fit.rho, fit.eta, fit.gamma, *fit.rmse_volpt]).all()
        if strikes > 2:
            assert fit.rmse_volpt.max() < 0.5

    def test_one_expiry_is_no_surface(self) -> None:
        assert fit_surface(snapshot(expiry_columns(30))).ssvi is None


class TestSentencesAndTables:
    def test_a_smile_prints_itself(self) -> None:
        text = str(only_smile(fit_surface(snapshot(expiry_columns(30)))))
        assert text.startswith("deribit 2025-12-19: at the money 50.0%, skew -0.")
        assert "no butterfly arbitrage" in text

    def test_the_document_is_strict_json_with_the_promised_keys(self) -> None:
        surface = fit_surface(snapshot(expiry_columns(30), expiry_columns(60), bid_quoted=[np.nan] * 20 + [0.001] * 80))
        document = surface.document()
        json.dumps(document, allow_nan=False)
        assert set(document) >= {"forwards", "smiles", "calendar_violations"}
        smile = document["smiles"][0]
        assert set(smile) >= {
            "venue",
            "expiry",
            "years",
            "forward_usd",
            "model",
            "parameters",
            "rmse_volpt",
            "butterfly_min_g",
            "notes",
            "points",
            "curve",
        }
        assert set(smile["points"][0]) >= {"strike_usd", "log_moneyness", "right", "bid_iv", "ask_iv", "mark_iv", "fit_iv"}
        assert smile["points"][0]["bid_iv"] is None
        assert smile["points"][0]["right"] == "put"
        assert set(smile["curve"][0]) == {"log_moneyness", "strike_usd", "iv"}

    def test_frames(self) -> None:
        surface = fit_surface(snapshot(expiry_columns(30), expiry_columns(60)))
        frame = surface.to_frame()
        assert frame.height == 2
        assert frame["forward_source"].to_list() == ["future", "future"]
        assert frame["atm_iv"].to_list() == pytest.approx([0.5, 0.5], abs=1e-3)
        assert surface.smiles[0].to_frame().height == 25
        assert surface.smiles[0].to_frame()["bid_iv"].null_count() == 0
