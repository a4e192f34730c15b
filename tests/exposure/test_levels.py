"""Levels: flips in closed form and at every awkward place (fault 25), walls, max pain, concentration."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.exposure.stand_in import STICKY_MONEYNESS, STICKY_STRIKE, chain_of, demo_chain, profile_of, surface_of

from tailwag.exposure.flips import book_flips, flips_of
from tailwag.exposure.roots import profile_signs, refine_roots, sign_changes

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "exposure.json").read_text())


def two_strikes(long_strike: float, short_strike: float, vol: float, days: float, long: float, short: float, **options: Any) -> Any:
    chain = chain_of([1, -1], [long_strike, short_strike], days, vol, [long, short])
    return profile_of(chain, [long, -short], **options)


@pytest.mark.parametrize("case", ANSWERS["two_strike_flips"], ids=str)
def test_the_flip_of_two_strikes_is_the_closed_form(case: dict[str, float]) -> None:
    levels = two_strikes(case["long_strike"], case["short_strike"], case["vol"], case["days"], case["long"], case["short"]).levels
    assert levels.flip_status == "one"
    assert levels.flips[0].spot_usd == pytest.approx(case["flip_usd"], rel=1e-10)
    assert levels.flips[0].crossing == ("negative-to-positive" if case["long_strike"] > case["short_strike"] else "positive-to-negative")


def test_the_flip_of_two_strikes_at_random_parameters() -> None:
    rng = np.random.default_rng(4)
    for _ in range(60):
        strikes, vol, days = rng.uniform(45_000, 80_000, 2), rng.uniform(0.3, 1.2), rng.uniform(5.0, 200.0)
        long, short = rng.uniform(0.5, 2.0, 2)
        if abs(math.log(strikes[1] / strikes[0])) < 0.1:
            continue
        variance = vol**2 * round(days * 86_400e9) / 3.1536e16
        flip = math.exp(
            0.5 * math.log(strikes[0] * strikes[1]) - variance / 2 + variance * math.log(long / short) / math.log(strikes[1] / strikes[0])
        )
        levels = two_strikes(strikes[0], strikes[1], vol, days, long, short, spot_range=(0.2, 4.0)).levels
        assert levels.flip_status == ("one" if 0.2 < flip / 60_000.0 < 4.0 else "none")
        if levels.flips:
            assert levels.flips[0].spot_usd == pytest.approx(flip, rel=1e-10)


def test_no_flip_is_none_and_never_a_number() -> None:
    levels = two_strikes(70_000.0, 50_000.0, 0.6, 30.0, 1.0, 1.0, spot_range=(1.0, 1.5)).levels  # the flip, 58,292, lies below the range
    assert (levels.flip_status, levels.flips, levels.flip_stability) == ("none", (), None)
    assert "no flip in range" in str(levels)


def test_all_zero_open_interest_has_no_levels() -> None:
    chain = chain_of([1, -1], [60_000.0, 50_000.0], 30.0, 0.6, 0.0)
    levels = profile_of(chain, 0.0).levels
    assert (levels.flip_status, levels.call_wall_usd, levels.put_wall_usd, levels.absolute_gamma_strike_usd) == ("none", None, None, None)
    assert levels.max_pain[0].strike_usd is None
    assert levels.oi_concentration.herfindahl is None
    assert levels.zero_dte_share is None


def test_many_flips_are_all_listed_in_order() -> None:
    chain = chain_of(1, [40_000.0, 52_000.0, 64_000.0, 76_000.0], 10.0, 0.5, 1.0)
    levels = profile_of(chain, [1.0, -1.0, 1.0, -1.0]).levels
    assert levels.flip_status == "many"
    assert [flip.crossing for flip in levels.flips] == ["positive-to-negative", "negative-to-positive", "positive-to-negative"]
    assert levels.nearest_flip is not None
    assert levels.nearest_flip.spot_usd == min((flip.spot_usd for flip in levels.flips), key=lambda spot: abs(spot - 60_000.0))


@pytest.mark.parametrize(("low", "high"), [(58_291.0, 90_000.0), (40_000.0, 58_292.5), (58_291.984874359333, 90_000.0)])
def test_a_flip_in_the_outermost_cell_is_at_the_edge(low: float, high: float) -> None:
    levels = two_strikes(70_000.0, 50_000.0, 0.6, 30.0, 1.0, 1.0, spot_range=(low / 60_000.0, high / 60_000.0), spot_levels=200).levels
    assert levels.flip_status == "edge"
    assert levels.flips[0].at_edge
    assert levels.flips[0].spot_usd == pytest.approx(58_291.98487, rel=1e-6)
    assert low - 1e-6 <= levels.flips[0].spot_usd <= high + 1e-6


def test_a_tangent_is_no_flip_and_an_exact_zero_is_one() -> None:
    spots = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    gross = np.full(5, 10.0)
    tangent = flips_of(spots, np.array([4.0, 1.0, 0.0, 1.0, 4.0]), gross, lambda x: (x - 3.0) ** 2, inner=(2.0, 4.0))
    assert tangent == ()
    crossed = flips_of(spots, np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), gross, lambda x: x - 3.0, inner=(2.0, 4.0))
    assert [(flip.spot_usd, flip.crossing, flip.at_edge) for flip in crossed] == [(3.0, "negative-to-positive", False)]


def test_a_zero_on_the_last_point_is_at_the_edge() -> None:
    spots, gross = np.array([1.0, 2.0, 3.0]), np.full(3, 10.0)
    found = flips_of(spots, np.array([-2.0, -1.0, 0.0]), gross, lambda x: x - 3.0, inner=(2.0, 2.0))
    assert [(flip.spot_usd, flip.crossing, flip.at_edge) for flip in found] == [(3.0, "negative-to-positive", True)]
    found = flips_of(spots, np.array([0.0, -1.0, -2.0]), gross, lambda x: 1.0 - x, inner=(2.0, 2.0))
    assert [(flip.spot_usd, flip.crossing, flip.at_edge) for flip in found] == [(1.0, "positive-to-negative", True)]


def test_where_no_gamma_is_left_there_is_no_sign() -> None:
    assert profile_signs(np.array([1e-40, -5.0, 5.0, -1e-300]), np.array([1e-40, 5.0, 5.0, 1e-300])).tolist() == [0, -1, 1, 0]
    assert [change.left for change in sign_changes(np.array([0, -1, 1, 0]))] == [1]
    chain = chain_of([1, -1], [59_000.0, 61_000.0], 0.5, 0.5, 1.0)  # hours to go: dead long before the ends of the range
    assert profile_of(chain, [1.0, -1.0]).levels.flip_status == "one"


def test_strikes_about_to_expire_are_not_missed_between_grid_points() -> None:
    # two minutes to go, no average: gamma is 0.1 % wide, a cell of this grid is 2.7 %
    venue = np.array(["cboe"] * 3, dtype=object)
    chain = chain_of(1, [60_500.0, 55_000.0, 65_000.0], [2 / 1440.0, 30.0, 30.0], 0.6, 100.0, venue=venue, settlement=["linear"] * 3)
    profile = profile_of(chain, [100.0, -100.0, -100.0], spot_range=(0.7, 1.5), spot_levels=31)
    assert (profile.gex_usd_per_pct < 0.0).all()
    assert profile.levels.flip_status == "many"
    assert [flip.crossing for flip in profile.levels.flips] == ["negative-to-positive", "positive-to-negative"]
    for flip in profile.levels.flips:
        assert flip.spot_usd == pytest.approx(60_500.0, rel=0.01)
        gross = abs(profile.gex_at(flip.spot_usd * 1.0001)[0])
        assert abs(profile.gex_at(flip.spot_usd)[0]) < 1e-6 * gross


def test_refined_roots_reach_the_last_digits_even_where_a_function_is_flat_or_steep() -> None:
    low, high = np.array([0.5, 0.5, 0.5]), np.array([4.0, 4.0, 4.0])
    found = refine_roots(lambda x: np.array([(x[0] - 2.0) ** 5, math.tanh(1e6 * (x[1] - 1.7)), math.exp(x[2]) - 3.0]), low, high)
    assert found == pytest.approx([2.0, 1.7, math.log(3.0)], rel=1e-10)


@pytest.mark.parametrize("curvature", [0.0, 0.4])
def test_flip_stability_is_that_of_a_market_quoted_anew(curvature: float) -> None:
    # the oracle: spot and forwards up 0.1 %, same quotes per strike, a smile read from those quotes, and everything measured again
    smile, bump = {"skew": -0.2, "curvature": curvature}, 1e-3
    columns = ([1, -1, 1], [70_000.0, 50_000.0, 58_000.0], [30.0, 30.0, 60.0], [0.6, 0.65, 0.6], 100.0)
    position = [100.0, -110.0, 15.0]
    chain, moved = chain_of(*columns), chain_of(*columns, spot_usd=60_000.0 * (1 + bump))
    here = profile_of(chain, position, dynamics=STICKY_MONEYNESS, surface=surface_of(chain, **smile)).levels
    anew = profile_of(
        moved, position, dynamics=STICKY_MONEYNESS, surface=surface_of(moved, **smile, quoted_log_move=math.log1p(bump))
    ).levels
    expected = (anew.flips[0].spot_usd - here.flips[0].spot_usd) / (60_000.0 * bump)
    assert here.flip_stability == pytest.approx(expected, rel=1e-5)
    assert abs(expected) > 0.01


def test_under_sticky_strike_the_flip_stands_still() -> None:
    assert two_strikes(70_000.0, 50_000.0, 0.6, 30.0, 1.0, 1.0).levels.flip_stability == 0.0
    chain = chain_of([1, -1], [70_000.0, 50_000.0], 30.0, 0.6, 1.0)
    profile = profile_of(chain, [1.0, -1.0])
    moved = book_flips(profile.book, profile.spot_usd, dynamics=STICKY_STRIKE, quote_move=1e-3)
    assert moved[0].spot_usd == pytest.approx(profile.levels.flips[0].spot_usd, rel=1e-12)


def test_walls_are_the_strikes_with_most_unsigned_gamma_over_all_expiries() -> None:
    # 65,000 has the most call gamma only when both expiries are added; the rule's signs must not matter
    chain = chain_of(
        [1, 1, 1, -1, -1],
        [65_000.0, 65_000.0, 60_000.0, 55_000.0, 60_000.0],
        [30.0, 60.0, 30.0, 30.0, 30.0],
        0.6,
        [60.0, 70.0, 70.0, 80.0, 40.0],
    )
    for position in (1.0, [-1.0, 1.0, 1.0, -1.0, 1.0]):
        levels = profile_of(chain, position).levels
        assert (levels.call_wall_usd, levels.put_wall_usd) == (65_000.0, 55_000.0)
    gamma = profile_of(chain, 1.0).book.gamma
    assert gamma[0] * 60.0 + gamma[1] * 70.0 > gamma[2] * 70.0 > max(gamma[0] * 60.0, gamma[1] * 70.0)
    assert gamma[2] * 70.0 + gamma[4] * 40.0 > gamma[0] * 60.0 + gamma[1] * 70.0
    assert levels.absolute_gamma_strike_usd == 60_000.0


def test_max_pain_pays_least_among_all_listed_strikes() -> None:
    chain = demo_chain(seed=9, rows=200)
    for pain in profile_of(chain, 1.0).levels.max_pain:
        rows = [row for row in range(len(chain)) if chain.expiry_ns[row] == pain.expiry_ns]
        paid = {
            candidate: sum(
                chain.open_interest_coin[row] * max(0.0, float(chain.right[row]) * (candidate - float(chain.strike_usd[row])))
                for row in rows
            )
            for candidate in {float(chain.strike_usd[row]) for row in rows}
        }
        assert pain.strike_usd in paid
        assert paid[pain.strike_usd] == pytest.approx(min(paid.values()), rel=1e-12)
        assert pain.payout_usd == pytest.approx(min(paid.values()), rel=1e-9)


def test_max_pain_needs_open_interest_only() -> None:
    chain = chain_of([1, -1, 1], [50_000.0, 70_000.0, 60_000.0], 30.0, [0.0, 0.0, 0.6], [10.0, 10.0, 1.0])
    assert (
        profile_of(chain, 1.0).levels.max_pain[0].strike_usd == 50_000.0
    )  # holders of 10 puts and 1 call are paid 200k there, 100k + 100k at 60k


def test_concentration_and_the_share_that_dies_today() -> None:
    strikes = [50_000.0, 55_000.0, 60_000.0, 65_000.0, 70_000.0, 75_000.0, 75_000.0]
    chain = chain_of(1, strikes, [0.9, 30, 30, 30, 30, 30, 1.1], 0.6, [10.0, 10.0, 20.0, 20.0, 20.0, 10.0, 10.0])
    levels = profile_of(chain, 1.0).levels
    assert levels.oi_concentration.strikes == 6
    assert levels.oi_concentration.herfindahl == pytest.approx(4 * 0.2**2 + 2 * 0.1**2)
    assert levels.oi_concentration.top5_share == pytest.approx(0.9)
    gross = chain.open_interest_coin * profile_of(chain, 1.0).book.gamma
    assert levels.zero_dte_share == pytest.approx(gross[0] / gross.sum())


def test_levels_as_a_table() -> None:
    levels = two_strikes(70_000.0, 50_000.0, 0.6, 30.0, 1.0, 1.0).levels
    assert levels.to_frame()["level"].to_list() == [
        "flip (negative-to-positive)",
        "call wall",
        "put wall",
        "absolute gamma strike",
        "max pain",
    ]
    assert "one flip at 58,291.98 USD" in str(levels)


def test_a_smooth_root_takes_a_handful_of_evaluations() -> None:
    asked: list[float] = []

    def counted(x: Any) -> Any:
        asked.append(float(x[0]))
        return np.exp(-x) - 0.3 + 0.05 * np.sin(3.0 * x)

    found = refine_roots(counted, np.array([0.5]), np.array([3.0]))
    assert abs(float(np.exp(-found[0]) - 0.3 + 0.05 * np.sin(3.0 * found[0]))) < 1e-13
    assert len(asked) <= 14
