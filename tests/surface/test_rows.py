"""What a surface says about each row: whose vol, how it moves with spot, and never a number that is not there."""

from __future__ import annotations

import numpy as np
import pytest
from tests.surface.market import expiry_columns, snapshot

from tailwag.errors import RuleError
from tailwag.market.codes import RowCode
from tailwag.surface import fit_surface


@pytest.fixture(scope="module")
def surface():
    return fit_surface(snapshot(expiry_columns(7), expiry_columns(60)))


class TestRowVols:
    def test_the_venues_mark_where_there_is_one(self) -> None:
        made = snapshot(expiry_columns(30))
        iv, codes = made.chain.iv.copy(), np.zeros(50, dtype=np.int64)
        iv[[4, 5, 6]] = [np.nan, -0.5, 0.0]
        codes[[4, 5, 6]] = [int(RowCode.IV_MISSING), int(RowCode.IV_NONPOSITIVE), int(RowCode.IV_NONPOSITIVE)]
        found = fit_surface(made.with_parts(chain=made.chain.with_columns(iv=iv, codes=codes)))
        vols = found.row_vols("venue")
        assert vols.iv_source.tolist() == ["venue"] * 4 + ["surface", "", ""] + ["venue"] * 43
        assert vols.iv[7:].tolist() == made.chain.iv[7:].tolist()
        assert vols.iv[4] == pytest.approx(made.chain.iv[4], abs=1e-3)
        assert vols.codes.tolist() == [0] * 5 + [int(RowCode.IV_NONPOSITIVE)] * 2 + [0] * 43  # stated and wrong: masked, not replaced
        assert (found.row_vols("surface").codes == 0).all()

    def test_the_smile_first_when_asked(self, surface) -> None:
        vols = surface.row_vols("surface")
        assert set(vols.iv_source) == {"surface"}
        assert vols.iv == pytest.approx(surface.chain.iv, abs=1e-3)
        assert vols.iv.tolist() != surface.chain.iv.tolist()

    def test_neither_leaves_the_code(self) -> None:
        blank = dict.fromkeys(("bid_quoted", "ask_quoted", "mark_quoted", "iv"), np.nan)
        for codes in (0, int(RowCode.IV_MISSING)):
            for vol in ("venue", "surface"):
                vols = fit_surface(snapshot(expiry_columns(30), **blank, codes=codes)).row_vols(vol)
                assert np.isnan(vols.iv).all()
                assert set(vols.iv_source) == {""}
                assert (vols.codes == int(RowCode.IV_MISSING)).all()

    def test_other_codes_stay(self) -> None:
        found = fit_surface(snapshot(expiry_columns(30), codes=int(RowCode.OI_MISSING | RowCode.IV_EXTREME)))
        assert (found.row_vols("venue").codes == int(RowCode.OI_MISSING | RowCode.IV_EXTREME)).all()

    def test_a_forward_found_by_parity_clears_forward_missing(self) -> None:
        found = fit_surface(snapshot(expiry_columns(30), underlying_usd=np.nan, codes=int(RowCode.FORWARD_MISSING)))
        assert (found.row_vols("venue").codes == 0).all()

    def test_another_word_is_refused(self, surface) -> None:
        with pytest.raises(RuleError, match="'venue' or 'surface'"):
            surface.row_vols("mid")


class TestMoves:
    moves = np.array([-0.2, -0.03, 0.0, 0.01, 0.15])

    def test_sticky_strike_changes_nothing(self, surface) -> None:
        moved = surface.moved_vols(surface.chain.iv, self.moves, "sticky-strike")
        assert moved.shape == (5, 100)
        assert (moved == surface.chain.iv).all()

    def test_sticky_moneyness_carries_the_smile_along(self, surface) -> None:
        """With the surface's own vols: the vol at K after the move is the smile at ln(K / F') exactly."""
        own = surface.fitted_vols()
        moved = surface.moved_vols(own, self.moves, "sticky-moneyness")
        for g, move in enumerate(self.moves):
            for index, smile in enumerate(surface.smiles):
                rows = surface.smile_of_row == index
                k = np.log(surface.chain.strike_usd[rows] / (surface.forward_usd[rows] * np.exp(move)))
                assert moved[g, rows] == pytest.approx(smile.vol(k), rel=1e-12)

    def test_a_rows_own_distance_from_the_smile_is_kept(self, surface) -> None:
        shifted = surface.fitted_vols() + 0.02
        moved = surface.moved_vols(shifted, self.moves, "ssr:0.5")
        assert moved == pytest.approx(surface.moved_vols(surface.fitted_vols(), self.moves, "ssr:0.5") + 0.02, abs=1e-12)

    @pytest.mark.parametrize("dynamics", ["sticky-strike", "sticky-moneyness", "ssr:1.5", "ssr:2"])
    def test_beta_is_the_derivative_of_the_moved_vol(self, surface, dynamics: str) -> None:
        step = 1e-5
        moved = surface.moved_vols(surface.chain.iv, np.array([-step, step]), dynamics)
        assert surface.spot_vol_beta(dynamics) == pytest.approx((moved[1] - moved[0]) / (2 * step), abs=1e-6)

    def test_signs_of_beta(self, surface) -> None:
        """Downward skew: carried along, a fixed strike gains vol as spot rises; under local-vol-like dynamics it loses."""
        put_wing = surface.log_moneyness < -0.05
        assert (surface.spot_vol_beta("sticky-moneyness")[put_wing] > 0).all()
        assert (surface.spot_vol_beta("ssr:2")[put_wing] < 0).all()
        assert (surface.spot_vol_beta("sticky-strike") == 0).all()
        assert surface.spot_vol_beta("ssr:2") == pytest.approx(-surface.spot_vol_beta("sticky-moneyness"))

    def test_a_row_far_from_its_smile_stays_plausible(self, surface) -> None:
        """A capped wing mark of 60 % where the extrapolated smile says 300 %: the plain difference would go below zero."""
        iv = np.full(100, 0.6)
        wide = np.linspace(-1.5, 1.5, 31)
        moved = surface.moved_vols(iv, wide, "sticky-moneyness")
        assert (moved >= 0.5 * np.minimum(0.6, moved.max())).any()
        assert (moved > 0.1).all()
        assert np.isfinite(moved).all()
        for index, smile in enumerate(surface.smiles):
            rows = surface.smile_of_row == index
            there = smile.vol(surface.log_moneyness[rows][None, :] - wide[:, None])
            assert (moved[:, rows] >= 0.5 * np.minimum(0.6, there) - 1e-12).all()
            assert (moved[:, rows] <= 2.0 * np.maximum(0.6, there) + 1e-12).all()

    def test_rows_without_a_smile_keep_their_vol(self) -> None:
        made = snapshot(expiry_columns(7), expiry_columns(60))
        blank = np.arange(100) >= 50
        columns = {name: np.where(blank, np.nan, getattr(made.chain, name)) for name in ("bid_quoted", "ask_quoted", "mark_quoted", "iv")}
        found = fit_surface(made.with_parts(chain=made.chain.with_columns(**columns)))
        assert (found.smile_of_row[50:] == -1).all()
        moved = found.moved_vols(np.full(100, 0.7), self.moves, "sticky-moneyness")
        assert (moved[:, 50:] == 0.7).all()
        assert (found.spot_vol_beta("sticky-moneyness")[50:] == 0).all()
        assert np.isnan(found.moved_vols(found.row_vols("venue").iv, self.moves, "sticky-moneyness")[:, 50:]).all()

    def test_venues_have_smiles_of_their_own(self) -> None:
        found = fit_surface(snapshot(expiry_columns(30), expiry_columns(30, venue="okx", vol_of=lambda k, years: np.full_like(k, 0.9))))
        assert [smile.venue for smile in found.smiles] == ["deribit", "okx"]
        assert found.smile_of_row.tolist() == [0] * 50 + [1] * 50
        assert found.fitted_vols()[50:] == pytest.approx(np.full(50, 0.9), abs=1e-6)
