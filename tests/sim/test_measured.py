"""A measured market becomes a scenario: the same book, the same liquidity, the vol with the feedback taken out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import tailwag as tw
from tailwag.errors import InputError
from tailwag.hedging.policies import Band
from tailwag.sim.measured import measured_book, observed_vol
from tailwag.sim.net_delta import DirectNetDelta
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Scenario, starting_gain


@pytest.fixture(scope="module")
def profile():  # type: ignore[no-untyped-def]
    snapshot = tw.demo(seed=1)
    surface = tw.fit_surface(snapshot)
    held = tw.infer_positions(snapshot, rule=tw.LongCallsShortPuts())
    return tw.exposure_profile(held, surface, dynamics="sticky-strike")


def hedged_gamma_usd(profile) -> float:  # type: ignore[no-untyped-def]
    """S d(net Black delta)/d(ln S) by SciPy: F S Gamma, with two thirds of the settlement window off the time left."""
    book = profile.book
    held = book.usable & (np.nan_to_num(book.position_coin) != 0.0)
    left = book.years - np.where(book.settles_on_average, 20 / (1440 * 365), 0.0)
    spread = book.iv * np.sqrt(left)
    d1 = np.log(book.forward_usd / book.chain.strike_usd) / spread + 0.5 * spread
    return float((book.position_coin * norm.pdf(d1) / spread)[held].sum() * book.spot_usd)


def test_book_has_the_gamma_that_was_measured(profile) -> None:  # type: ignore[no-untyped-def]
    book = measured_book(profile)
    slope = DirectNetDelta(book, np.zeros(1), profile.book.spot_usd).at(0, np.zeros(1), np.zeros(1))[1][0]
    assert slope * profile.book.spot_usd == pytest.approx(hedged_gamma_usd(profile), rel=1e-9)
    assert slope * profile.book.spot_usd / 100.0 == pytest.approx(profile.totals.gex_usd_per_pct, rel=0.05)


def test_simulated_gain_is_the_measured_gain(profile) -> None:  # type: ignore[no-untyped-def]
    """The same to the basis (a forward moves by F/S times spot) and to the settlement average, which only a simulation can see coming."""
    depth = 10.0 * abs(profile.totals.gex_usd_per_pct)
    law = tw.LinearImpact(depth, source="test")
    scenario = Scenario.from_measurement(profile, law, hours=24.0, clearing="implicit", delay_steps=0, vol="observed")
    assert starting_gain(scenario) == pytest.approx(-0.01 / depth * hedged_gamma_usd(profile), rel=1e-9)
    assert starting_gain(scenario) == pytest.approx(tw.loop_gain(profile, law, move_pct=1.0).value, rel=0.05)
    assert scenario.price.annual_vol == observed_vol(profile.book, 24.0)


def test_calibrated_scenario_shows_the_observed_vol(profile) -> None:  # type: ignore[no-untyped-def]
    depth = 5.0 * abs(profile.totals.gex_usd_per_pct)
    scenario = Scenario.from_measurement(
        profile, tw.LinearImpact(depth, source="test"), hours=12.0, clearing="implicit", delay_steps=0, policy=Band(half_width_usd=2e6)
    )
    run = simulate(scenario, paths=2048, seed=5)
    horizon = run.metrics.horizons[-1]
    vol = horizon.vol.hedged
    assert abs(vol.value - observed_vol(profile.book, 12.0)) < 4.0 * vol.standard_error


def test_what_cannot_be_is_refused(profile) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="calibrated"):
        Scenario.from_measurement(
            profile, tw.LinearImpact(1e9, source="test"), hours=1.0, clearing="implicit", delay_steps=0, vol="implied"
        )
    short = tw.exposure_profile(
        tw.infer_positions(tw.demo(seed=1), rule=tw.parse_rule("short-all")), tw.fit_surface(tw.demo(seed=1)), dynamics="sticky-strike"
    )
    thin = tw.LinearImpact(0.5 * abs(short.totals.gex_usd_per_pct), source="test")
    with pytest.raises(InputError, match="gain below 1"):
        Scenario.from_measurement(short, thin, hours=1.0, clearing="implicit", delay_steps=0, vol=0.5)
