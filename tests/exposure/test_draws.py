"""Bands: each draw is the book it draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.exposure.stand_in import STICKY_MONEYNESS, STICKY_STRIKE, chain_of, demo_chain, held, surface_of

from tailwag.exposure import exposure_bands, exposure_profile
from tailwag.positioning import LongAll, LongCallsShortPuts, Mixture, ShortAll


def test_each_draw_is_a_book_of_its_own() -> None:
    chain = demo_chain(seed=4)
    surface = surface_of(chain, skew=-0.1)
    positions = Mixture(((LongCallsShortPuts(), 0.7), (ShortAll(), 0.3)), draws=12, seed=1).infer(chain)
    bands = exposure_bands(exposure_profile(positions, surface, dynamics=STICKY_MONEYNESS))
    assert bands is not None
    assert positions.draws is not None
    for draw in range(12):
        alone = exposure_profile(replace(positions, position_coin=positions.draws[draw], draws=None), surface, dynamics=STICKY_MONEYNESS)
        assert bands.gex_usd_per_pct[draw] == pytest.approx(alone.totals.gex_usd_per_pct, rel=1e-10, abs=1e-6)
        flip = alone.levels.nearest_flip
        if flip is None:
            assert np.isnan(bands.nearest_flip_usd[draw])
        else:
            assert bands.nearest_flip_usd[draw] == pytest.approx(flip.spot_usd, rel=1e-7)
    low, middle, high = bands.gex_quantiles_usd_per_pct
    assert low < middle < high
    assert bands.short_gamma_share == np.mean(bands.gex_usd_per_pct < 0.0)


def test_masked_rows_stay_out_of_every_draw() -> None:
    chain = chain_of([1, -1], [60_000.0, 61_000.0], 30.0, [0.6, 0.0], 100.0)
    positions = Mixture(((LongAll(), 0.5), (ShortAll(), 0.5)), draws=40, seed=1).infer(chain)
    profile = exposure_profile(positions, surface_of(chain), dynamics=STICKY_STRIKE)
    bands = exposure_bands(profile)
    assert bands is not None
    gross = profile.totals.gross_gex_usd_per_pct
    assert sorted(set(bands.gex_usd_per_pct / gross)) == pytest.approx([-1.0, 1.0])
    assert bands.no_flip_share == 1.0
    assert bands.flip_quantiles_usd is None
    assert bands.to_frame()["nearest_flip_usd"].null_count() == 40
    assert "short gamma in" in str(bands)


def test_a_rule_without_doubt_has_no_bands() -> None:
    chain = demo_chain()
    assert exposure_bands(exposure_profile(held(chain, 1.0), surface_of(chain), dynamics=STICKY_STRIKE)) is None
