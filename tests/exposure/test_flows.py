"""Hedge flow: the sign law (gate G1), full repricing against forty digits, and a split that leaves nothing over."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.exposure.stand_in import (
    STICKY_MONEYNESS,
    STICKY_STRIKE,
    black_delta,
    chain_of,
    demo_chain,
    held,
    profile_of,
    surface_of,
)

from tailwag.errors import InputError, ProfileRangeError
from tailwag.exposure import book_flows, exposure_totals, hedge_flows, priced_book, scenario_grid

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "exposure.json").read_text())
MINUTE = 1.0 / 1440.0


def test_flows_match_full_repricing_at_forty_digits() -> None:
    right, strike, years, iv, forward, position, interest = np.array(ANSWERS["book"]).T
    chain = chain_of(right.astype(int), strike, years * 365.0, iv, interest)
    surface = surface_of(chain, forward_usd=forward, **ANSWERS["smile"])
    profile = profile_of(chain, position, dynamics=STICKY_MONEYNESS, surface=surface)
    rows = ANSWERS["flows_sticky_moneyness"]
    found = hedge_flows(profile, **{name: [row[name] for row in rows] for name in ("move_pct", "vol_move_volpt", "hours")})
    assert found.buy_coin == pytest.approx([row["buy_coin"] for row in rows], rel=1e-10)
    assert found.buy_usd == pytest.approx(found.buy_coin * 60_000.0)


def independent_flow(chain: Any, position: Any, move_pct: float) -> float:
    years = (chain.expiry_ns - chain.as_of_ns) / 3.1536e16
    before, after = (
        black_delta(chain.right, 60_000.0 * ratio, chain.strike_usd, years, chain.iv) for ratio in (1.0, 1.0 + move_pct / 100.0)
    )
    return -float(np.sum(np.asarray(position) * (after - before)))


def random_books(count: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        rows = int(rng.integers(1, 5))
        chain = chain_of(
            rng.choice([-1, 1], rows), rng.uniform(50_000, 72_000, rows), rng.uniform(1.0, 200.0, rows), rng.uniform(0.3, 1.2, rows), 1.0
        )
        yield chain, rng.choice([-1.0, 1.0]) * rng.uniform(0.1, 900.0, rows)


def check_sign_law(count: int, seed: int) -> None:
    for chain, position in random_books(count, seed):
        book = priced_book(held(chain, position), surface_of(chain))
        flows = book_flows(book, dynamics=STICKY_STRIKE, move_pct=[1.0, -1.0])
        expected = [independent_flow(chain, position, move) for move in (1.0, -1.0)]
        side = math.copysign(1.0, position[0])
        assert flows.buy_coin == pytest.approx(expected, rel=1e-8, abs=1e-9)
        assert (np.sign(flows.buy_coin) == [-side, side]).all()  # short gamma buys rises and sells falls, long gamma the reverse
        assert math.copysign(1.0, exposure_totals(book).vega_usd_per_volpt) == side


def test_short_gamma_buys_rises_and_sells_falls() -> None:
    check_sign_law(500, seed=11)


@pytest.mark.slow
def test_short_gamma_buys_rises_in_ten_thousand_books() -> None:
    check_sign_law(10_000, seed=12)


def test_ten_thousand_single_options_obey_the_sign_law_against_finite_differences() -> None:
    rng = np.random.default_rng(13)
    size = 10_000
    days = rng.uniform(0.5, 400.0, size)
    sd = 0.6 * np.sqrt(days / 365.0)
    strikes = 60_000.0 * np.exp(rng.uniform(-3.0, 3.0, size) * sd)
    chain = chain_of(rng.choice([-1, 1], size), strikes, days, rng.uniform(0.4, 1.0, size), 1.0)
    position = rng.choice([-1.0, 1.0], size) * rng.uniform(0.1, 10.0, size)
    book = priced_book(held(chain, position), surface_of(chain))
    years = (chain.expiry_ns - chain.as_of_ns) / 3.1536e16
    up, down = (black_delta(chain.right, 60_000.0 * bump, chain.strike_usd, years, chain.iv) for bump in (1.0001, 0.9999))
    slope = position * (up - down)
    assert np.sign(slope).tolist() == np.sign(book.position_coin * book.greeks[2]).tolist()
    assert (np.sign(book.position_coin * book.greeks[2]) == np.sign(position)).all()
    assert (np.sign(book.position_coin * book.greeks[3]) == np.sign(position)).all()
    assert book.position_coin * book.greeks[2] == pytest.approx(slope / 12.0, rel=1e-4)


def test_the_split_adds_up_and_its_terms_are_the_totals() -> None:
    chain = demo_chain()
    profile = profile_of(chain, -chain.open_interest_coin, dynamics=STICKY_MONEYNESS, surface=surface_of(chain, skew=-0.15, curvature=0.1))
    flows = hedge_flows(profile, **scenario_grid())
    assert len(flows) == 81
    assert flows.gamma_usd + flows.vanna_usd + flows.charm_usd + flows.residual_usd == pytest.approx(flows.buy_usd, rel=1e-14, abs=1e-4)
    assert flows.gamma_usd == pytest.approx(-profile.totals.gex_usd_per_pct * flows.spot_move_pct, rel=1e-12, abs=1e-6)
    assert flows.charm_usd == pytest.approx(-profile.totals.charm_usd_per_day * flows.hours / 24.0, rel=1e-12, abs=1e-6)
    vol_only = (flows.spot_move_pct == 0.0) & (flows.hours == 0.0)
    assert flows.vanna_usd[vol_only] == pytest.approx(
        -profile.totals.vanna_usd_per_volpt * flows.vol_move_volpt[vol_only], rel=1e-10, abs=1e-6
    )


def test_the_vanna_term_holds_what_the_dynamics_do_to_vols() -> None:
    chain = demo_chain()
    surface = surface_of(chain, skew=-0.2)
    moving, standing = (
        profile_of(chain, -chain.open_interest_coin, dynamics=d, surface=surface) for d in (STICKY_MONEYNESS, STICKY_STRIKE)
    )
    with_smile, without = (hedge_flows(profile, move_pct=[0.1, -0.1]) for profile in (moving, standing))
    assert (without.vanna_usd == 0.0).all()
    # a line smile carried along: vol of every strike falls by skew * dx
    dvol_volpt = 20.0 * np.log1p([0.001, -0.001])
    assert with_smile.vanna_usd == pytest.approx(-moving.totals.vanna_usd_per_volpt * dvol_volpt, rel=1e-9)
    assert with_smile.buy_usd - without.buy_usd == pytest.approx(with_smile.vanna_usd, rel=0.05)


def test_what_is_left_over_is_of_second_order() -> None:
    chain = chain_of([1, -1, 1], [58_000.0, 55_000.0, 66_000.0], [20.0, 40.0, 90.0], [0.6, 0.7, 0.5], 100.0)
    profile = profile_of(chain, [-50.0, 80.0, 30.0], dynamics=STICKY_MONEYNESS, surface=surface_of(chain, skew=-0.1))
    sizes = np.array([0.2, 0.1, 0.05])
    left = np.abs(hedge_flows(profile, move_pct=sizes, vol_move_volpt=sizes, hours=sizes).residual_usd)
    assert np.log2(left[:-1] / left[1:]) == pytest.approx([2.0, 2.0], abs=0.05)


def test_nothing_moves_nothing_is_bought() -> None:
    flows = hedge_flows(profile_of(demo_chain(), -1.0), move_pct=0.0)
    for name in ("buy_coin", "buy_usd", "gamma_usd", "vanna_usd", "charm_usd", "residual_usd", "expiry_usd"):
        assert getattr(flows, name).tolist() == [0.0], name


def test_the_hedge_of_what_expires_is_unwound() -> None:
    chain = chain_of([1, 1], [50_000.0, 60_000.0], [0.5, 30.0], 0.6, 100.0)
    profile = profile_of(chain, [-100.0, 0.0])
    flows = hedge_flows(profile, move_pct=[0.0, 5.0], hours=24.0)
    hedge_usd = 100.0 * profile.book.greeks[1][0] * 60_000.0  # dealers are short deep calls, so they hold coin against them and sell it
    assert flows.buy_usd == pytest.approx([-hedge_usd, -hedge_usd])
    assert flows.expiry_usd == pytest.approx([-hedge_usd, -hedge_usd])
    assert hedge_flows(profile, move_pct=0.0, hours=1.0).expiry_usd.tolist() == [0.0]


def test_what_expires_at_the_very_end_of_the_hours_is_gone() -> None:
    profile = profile_of(chain_of(1, [50_000.0], 1.0, 0.6, 100.0), -100.0)
    flows = hedge_flows(profile, move_pct=[0.0, 10.0], hours=24.0)
    assert flows.buy_coin == pytest.approx([-100.0 * profile.book.greeks[1][0]] * 2)
    assert flows.expiry_usd.tolist() == flows.buy_usd.tolist()


def test_volatility_never_falls_below_its_floor() -> None:
    chain = chain_of(1, [60_000.0], 30.0, 0.04, 100.0)
    flows = hedge_flows(profile_of(chain, -100.0), move_pct=[1.0, 1.0], vol_move_volpt=[-5.0, -50.0])
    assert np.isfinite(flows.buy_coin).all()
    assert flows.buy_coin[0] == flows.buy_coin[1] > 0.0


def test_inside_the_window_the_average_fills_up_at_the_moved_spot() -> None:
    # 25 minutes left, average so far 60,000; spot jumps 1 % and 15 minutes pass: 5/20 of the window stands at 60,000, 15/20 at 60,600
    chain = chain_of(1, [60_490.0], 25.0 * MINUTE, 0.6, 10.0, estimated_delivery_usd=[60_000.0])
    book = priced_book(held(chain, -10.0), surface_of(chain))
    found = book_flows(book, dynamics=STICKY_STRIKE, move_pct=1.0, hours=0.25)
    window, left = 30.0, 10.0
    average = 0.25 * 60_000.0 + 0.75 * 60_600.0
    sd = 60_600.0 * 0.6 * math.sqrt(left**3 / 3.0 / 525_600.0) / window
    mean = (1.0 - left / window) * average + left / window * 60_600.0
    after = left / window * 0.5 * (1.0 + math.erf((mean - 60_490.0) / sd / math.sqrt(2.0)))
    assert found.buy_coin[0] == pytest.approx(10.0 * (after - book.greeks[1][0]), rel=1e-9)


def test_an_option_that_enters_the_window_starts_its_average_at_the_moved_spot() -> None:
    chain = chain_of(1, [60_000.0], 40.0 * MINUTE, 0.6, 10.0)
    book = priced_book(held(chain, -10.0), surface_of(chain))
    found = book_flows(book, dynamics=STICKY_STRIKE, move_pct=0.0, hours=0.5)
    assert found.buy_coin[0] == pytest.approx(10.0 * (1.0 / 6.0 - book.greeks[1][0]), rel=1e-9)  # at the strike: (10/30) N(0)


def test_settled_options_do_not_answer_spot_any_more() -> None:
    chain = chain_of(1, [50_000.0, 60_000.0], [0.0, 30.0], 0.6, 100.0)
    book = priced_book(held(chain, [-100.0, 0.0]), surface_of(chain))
    assert book_flows(book, dynamics=STICKY_STRIKE, move_pct=[-30.0, 10.0]).buy_coin.tolist() == [0.0, 0.0]
    assert book_flows(book, dynamics=STICKY_STRIKE, move_pct=0.0, hours=1.0).buy_coin.tolist() == [-100.0]


@pytest.mark.parametrize("move", [-100.0, float("nan"), float("inf")])
def test_a_move_without_a_price_is_refused(move: float) -> None:
    with pytest.raises(ProfileRangeError, match="spot moves"):
        hedge_flows(profile_of(demo_chain(), 1.0), move_pct=move)


def test_time_runs_forward_only() -> None:
    profile = profile_of(demo_chain(), 1.0)
    with pytest.raises(InputError, match="hours"):
        hedge_flows(profile, move_pct=0.0, hours=-1.0)
    with pytest.raises(InputError, match="vol moves"):
        hedge_flows(profile, move_pct=0.0, vol_move_volpt=float("nan"))


def test_flows_print_themselves() -> None:
    profile = profile_of(demo_chain(), -100.0)
    one = hedge_flows(profile, move_pct=1.0)
    assert "hedgers buy" in str(one)
    assert str(hedge_flows(profile, **scenario_grid())).startswith("81 scenarios")
    assert one.to_frame().shape == (1, 10)
