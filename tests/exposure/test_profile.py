"""The profile: repriced in full, exact at every spot, conserving gamma."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.exposure.stand_in import STICKY_MONEYNESS, STICKY_STRIKE, Dynamics, black_delta, chain_of, demo_chain, profile_of, surface_of

from tailwag.errors import ProfileRangeError
from tailwag.exposure import by_expiry, by_strike, exposure_totals, forward_view, hedge_flows, scenario_grid
from tailwag.market.validate import validated

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "exposure.json").read_text())


def answer_profile(dynamics: Dynamics, **options: Any) -> Any:
    right, strike, years, iv, forward, position, interest = np.array(ANSWERS["book"]).T
    chain = chain_of(right.astype(int), strike, years * 365.0, iv, interest)
    return profile_of(chain, position, dynamics=dynamics, surface=surface_of(chain, forward_usd=forward, **ANSWERS["smile"]), **options)


@pytest.mark.parametrize("dynamics", [STICKY_STRIKE, STICKY_MONEYNESS])
def test_every_measure_away_from_spot_matches_forty_digits(dynamics: Dynamics) -> None:
    profile, coin = answer_profile(dynamics), answer_profile(dynamics, numeraire="coin")
    for row in ANSWERS["profile"]:
        if row["ratio"] != dynamics.ratio:
            continue
        found = profile.exposures_at(row["spot_usd"])
        for name in ("gex_usd_per_pct", "vanna_usd_per_volpt", "charm_usd_per_day", "delta_usd", "vega_usd_per_volpt"):
            assert found[name][0] == pytest.approx(row[name], rel=1e-10), (name, row["spot_usd"])
        assert coin.exposures_at(row["spot_usd"])["delta_usd"][0] == pytest.approx(row["delta_usd_coin"], rel=1e-10)
        assert profile.gex_at(row["spot_usd"])[0] == pytest.approx(row["gex_usd_per_pct"], rel=1e-10)


def test_gex_is_the_slope_of_an_independent_delta() -> None:
    chain = demo_chain()
    position = np.where(chain.right > 0, 1.0, -1.0) * chain.open_interest_coin
    profile = profile_of(chain, position)
    years = (chain.expiry_ns - chain.as_of_ns) / 3.1536e16
    for spot in (52_000.0, 60_000.0, 66_000.0):
        up, down = (
            float(np.sum(position * black_delta(chain.right, spot * bump, chain.strike_usd, years, chain.iv)))
            for bump in (1.0 + 1e-4, 1.0 - 1e-4)
        )
        assert profile.gex_at(spot)[0] == pytest.approx((up - down) / 2e-4 * spot / 100.0, rel=1e-4, abs=1e3)


def test_every_option_carries_one_unit_of_gamma_over_all_spots() -> None:
    # int Gamma dS = 1 per option (theory T13-I)
    chain = chain_of([1, -1], [60_000.0, 70_000.0], 30.0, 0.6, 1.0)
    profile = profile_of(chain, [3.0, -1.0], spot_range=(0.2, 4.0), spot_levels=4001)
    gamma = profile.gex_usd_per_pct * 100.0 / profile.spot_usd**2
    assert np.trapezoid(gamma, profile.spot_usd) == pytest.approx(2.0, rel=1e-6)


def test_the_profile_meets_the_totals_at_spot() -> None:
    chain = demo_chain()
    profile = profile_of(chain, -chain.open_interest_coin, dynamics=STICKY_MONEYNESS, surface=surface_of(chain, skew=-0.1))
    here = int(np.flatnonzero(profile.spot_usd == profile.book.spot_usd)[0])
    totals = exposure_totals(profile.book)
    for name in ("gex_usd_per_pct", "gross_gex_usd_per_pct", "vanna_usd_per_volpt", "charm_usd_per_day", "delta_usd", "vega_usd_per_volpt"):
        assert getattr(profile, name)[here] == pytest.approx(getattr(totals, name), rel=1e-10), name
    assert profile.gex_at(profile.spot_usd) == pytest.approx(profile.gex_usd_per_pct, rel=1e-10)


def test_a_given_grid_is_exactly_that_grid() -> None:
    profile = profile_of(demo_chain(), 1.0, spot_range=(0.8, 1.2), spot_levels=60)
    assert np.array_equal(profile.spot_usd, np.linspace(0.8 * 60_000.0, 1.2 * 60_000.0, 60))


def test_permuted_rows_give_the_same_profile_bits() -> None:
    chain = demo_chain()
    position = np.where(chain.right > 0, 1.0, -1.0) * chain.open_interest_coin
    order = np.random.default_rng(5).permutation(len(chain))
    one, other = profile_of(chain, position), profile_of(chain.select(order), position[order])
    assert np.array_equal(one.gex_usd_per_pct, other.gex_usd_per_pct)
    assert np.array_equal(one.charm_usd_per_day, other.charm_usd_per_day)
    assert np.array_equal(one.gross_gex_usd_per_pct, other.gross_gex_usd_per_pct)
    assert one.levels.flips == other.levels.flips


def test_beyond_the_range_nothing_is_read() -> None:
    profile = profile_of(demo_chain(), 1.0, spot_range=(0.9, 1.1))
    with pytest.raises(ProfileRangeError, match="widen spot_range"):
        profile.gex_at([60_000.0, 70_000.0])
    with pytest.raises(ProfileRangeError):
        profile.exposures_at(float("nan"))


@pytest.mark.parametrize(
    "options", [{"spot_range": (1.1, 0.9)}, {"spot_range": (0.0, 2.0)}, {"spot_range": (0.5, float("inf"))}, {"spot_levels": 1}]
)
def test_a_range_that_is_none_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ProfileRangeError):
        profile_of(demo_chain(), 1.0, **options)


def test_a_big_book_is_priced_in_parts_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = demo_chain()
    whole = profile_of(chain, -1.0, dynamics=STICKY_MONEYNESS, surface=surface_of(chain, skew=-0.1))
    monkeypatch.setattr("tailwag.exposure.reprice.CELLS_AT_ONCE", 1_000)
    parts = profile_of(chain, -1.0, dynamics=STICKY_MONEYNESS, surface=surface_of(chain, skew=-0.1))
    assert parts.gex_usd_per_pct == pytest.approx(whole.gex_usd_per_pct, rel=1e-13)
    assert parts.gross_gex_usd_per_pct == pytest.approx(whole.gross_gex_usd_per_pct, rel=1e-13)


def test_a_book_masked_whole_is_unknown_everywhere_and_not_zero() -> None:
    chain = chain_of(1, [60_000.0], 30.0, 0.0, 10.0)
    profile = profile_of(chain, -1.0)
    assert np.isnan(profile.gex_usd_per_pct).all()
    assert np.isnan(profile.gross_gex_usd_per_pct).all()
    assert np.isnan(profile.gex_at(60_000.0)).all()
    assert profile.levels.flip_status is None
    assert profile.levels.call_wall_usd is None
    assert "flips unknown" in str(profile)
    assert np.isnan(hedge_flows(profile, **scenario_grid()).expiry_usd).all()


def test_a_masked_book_that_nobody_holds_profiles_to_zero() -> None:
    profile = profile_of(chain_of(1, [60_000.0], 30.0, 0.0, 0.0), 0.0)
    assert profile.totals.empty
    assert (profile.gex_usd_per_pct == 0.0).all()
    assert profile.levels.flip_status == "none"


def test_an_expired_row_that_is_masked_hides_nothing() -> None:
    chain = chain_of(1, [60_000.0, 60_000.0], [-1.0, 30.0], 0.6, [10.0, 0.0])
    profile = profile_of(chain, -1.0)
    assert not profile.book.is_unknown
    assert profile.totals.gross_gex_usd_per_pct == 0.0


def test_the_profile_prints_itself() -> None:
    profile = profile_of(demo_chain(), -1.0)
    assert "under sticky-strike" in str(profile)
    assert profile.to_frame().shape == (401, 7)


def test_a_row_that_no_kernel_prices_is_masked_and_the_rest_goes_on() -> None:
    chain = chain_of(1, [60_000.0, 1e200, 1e-200], 30.0, 0.6, 10.0)
    profile = profile_of(chain, -10.0)
    assert profile.book.counted.tolist() == [True, False, False]
    assert [share.code for share in profile.book.masked] == ["strike_invalid"]
    assert profile.totals.gex_usd_per_pct == profile_of(chain.select([0]), -10.0).totals.gex_usd_per_pct


def test_two_hundred_hostile_chains_give_finite_numbers_or_are_unknown_whole() -> None:
    rng = np.random.default_rng(21)
    bad = np.array([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e308, 5e-324, 1e6])
    for _ in range(200):
        rows = int(rng.integers(1, 6))
        spoil = rng.random((3, rows)) < 0.3
        strike, iv, interest = (
            np.where(spoil[i], rng.choice(bad, rows), rng.uniform(*span, rows))
            for i, span in enumerate([(4e4, 9e4), (0.2, 1.0), (0.0, 1e3)])
        )
        days = rng.choice([0.0, 1e-5, 0.01, 0.5, 30.0, 20_000.0], rows)
        chain = chain_of(rng.choice([-1, 1], rows), strike, days, iv, interest)
        chain = validated(chain.with_columns(instrument=[f"BTC-{i}" for i in range(rows)], codes=np.zeros(rows, dtype=np.int64)))
        profile = profile_of(chain, np.where(chain.usable, -np.nan_to_num(chain.open_interest_coin), 0.0))
        flows = hedge_flows(profile, **scenario_grid())
        held = np.isfinite(chain.open_interest_coin) & (chain.open_interest_coin > 0.0) & (days >= 0.0)
        hidden = bool(held.any()) and not bool((held & profile.book.counted).any())
        for name in (
            "gex_usd_per_pct",
            "vanna_usd_per_volpt",
            "charm_usd_per_day",
            "delta_usd",
            "vega_usd_per_volpt",
            "gross_gex_usd_per_pct",
        ):
            found = np.append(getattr(profile, name), getattr(profile.totals, name))
            assert np.isnan(found).all() if hidden else np.isfinite(found).all(), name
        for values in (flows.buy_usd, flows.residual_usd):
            assert np.isnan(values).all() if hidden else np.isfinite(values).all()
        assert len(forward_view(profile)) >= 3


def test_figures_come_from_the_nouns() -> None:
    profile = profile_of(demo_chain(), -1.0)
    assert len(profile.plot().data) > 0
    assert len(by_strike(profile.book).plot(spot_usd=60_000.0).data) > 0
    assert len(by_expiry(profile.book).plot().data) > 0
    assert len(hedge_flows(profile, **scenario_grid()).plot(hours=24.0).data) > 0
    assert len(forward_view(profile).plot().data) > 0
