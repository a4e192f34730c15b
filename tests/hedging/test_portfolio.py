"""Option hedges: the cheapest corner against a linear-programme solver, and what it leaves."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from tailwag.errors import InputError
from tailwag.hedging.portfolio import Candidates, cheapest_hedge


def market(seed: int, count: int = 12) -> Candidates:
    """Options of two expiries whose greeks have the sizes of a real chain, per coin of option."""
    rng = np.random.default_rng(seed)
    years = rng.choice([7 / 365, 30 / 365, 90 / 365], count)
    moneyness = 0.5 * rng.standard_normal(count)
    density = np.exp(-0.5 * moneyness**2) / math.sqrt(2 * math.pi)
    gamma = 60_000.0 * density / (0.6 * np.sqrt(years))
    return Candidates.from_columns(
        [f"option {i}" for i in range(count)],
        gamma_usd=gamma,
        vega_usd=60_000.0 * density * np.sqrt(years),
        delta_coin=rng.uniform(-1, 1, count),
        price_usd=rng.uniform(100, 4_000, count),
        half_spread_usd=rng.uniform(5, 60, count),
    )


def solver_cost(options: Candidates, gamma: float, vega: float, within: tuple[float, float]) -> float | None:
    """The same programme for HiGHS: buys and sells as two columns, ranges as pairs of inequalities; None where infeasible."""
    rows, bounds = [], []
    for greek, book, slack in ((options.gamma_usd, gamma, within[0]), (options.vega_usd, vega, within[1])):
        if math.isfinite(slack):
            scale = np.abs(greek).max()
            both = np.concatenate([greek, -greek]) / scale
            rows += [both, -both]
            bounds += [(slack - book) / scale, (slack + book) / scale]
    spread = np.concatenate([options.half_spread_usd] * 2)
    found = linprog(spread, A_ub=np.array(rows) if rows else None, b_ub=bounds or None, method="highs")
    return float(found.fun) if found.success else None


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize(
    "within",
    [(0.0, 0.0), (0.0, math.inf), (math.inf, 0.0), (2e6, 1e4), (0.0, 3e5), (5e7, 0.0)],
    ids=["both", "gamma", "vega", "loose", "mixed", "wide"],
)
def test_no_solver_finds_a_cheaper_hedge(seed: int, within: tuple[float, float]) -> None:
    options, rng = market(seed), np.random.default_rng(1000 + seed)
    gamma, vega = 3e7 * rng.standard_normal(), 4e5 * rng.standard_normal()
    hedge = cheapest_hedge(options, gamma_usd=gamma, vega_usd=vega, delta_coin=3.0, gamma_within_usd=within[0], vega_within_usd=within[1])
    assert hedge.cost_usd == pytest.approx(solver_cost(options, gamma, vega, within), rel=1e-6, abs=1e-6)
    assert np.count_nonzero(hedge.amount_coin) <= 2
    assert abs(gamma + options.gamma_usd @ hedge.amount_coin) <= within[0] + 1e-8 * abs(gamma)
    assert abs(vega + options.vega_usd @ hedge.amount_coin) <= within[1] + 1e-8 * abs(vega)
    assert hedge.residual_delta_coin == pytest.approx(3.0 + options.delta_coin @ hedge.amount_coin)
    assert hedge.premium_usd == pytest.approx(options.price_usd @ hedge.amount_coin)
    assert hedge.cost_usd == pytest.approx(options.half_spread_usd @ np.abs(hedge.amount_coin))


NEUTRAL: dict[str, Any] = {"gamma_within_usd": 0.0, "vega_within_usd": 0.0}


def test_short_gamma_buys_options_and_says_so() -> None:
    options = market(3)
    hedge = cheapest_hedge(options, gamma_usd=-2e7, vega_usd=0.0, delta_coin=0.0, gamma_within_usd=0.0, vega_within_usd=math.inf)
    assert hedge.amount_coin.max() > 0
    assert hedge.amount_coin.min() == 0
    assert hedge.residual_gamma_usd == 0.0
    assert str(hedge).startswith("buy ")
    assert "in half-spreads; leaves dollar gamma $0" in str(hedge)


def test_one_greek_takes_the_option_with_the_cheapest_unit() -> None:
    options = market(5)
    hedge = cheapest_hedge(options, gamma_usd=-2e7, vega_usd=0.0, delta_coin=0.0, gamma_within_usd=0.0, vega_within_usd=math.inf)
    assert np.flatnonzero(hedge.amount_coin).tolist() == [int(np.argmin(options.half_spread_usd / options.gamma_usd))]


def test_a_book_inside_its_tolerances_trades_nothing() -> None:
    hedge = cheapest_hedge(market(1), gamma_usd=1e5, vega_usd=-1e3, delta_coin=0.5, gamma_within_usd=1e5, vega_within_usd=2e3)
    assert not hedge.amount_coin.any()
    assert hedge.cost_usd == 0.0
    assert str(hedge).startswith("trade no option: costs $0")


def test_twice_the_book_twice_the_hedge_and_the_other_side_its_mirror() -> None:
    options = market(7)
    once, twice, mirror = (
        cheapest_hedge(options, gamma_usd=k * 1e7, vega_usd=k * -2e5, delta_coin=0.0, **NEUTRAL) for k in (1.0, 2.0, -1.0)
    )
    assert twice.amount_coin == pytest.approx(2 * once.amount_coin)
    assert mirror.amount_coin == pytest.approx(-once.amount_coin)


def test_order_of_the_list_does_not_matter() -> None:
    options, order = market(9), np.random.default_rng(0).permutation(12)
    shuffled = Candidates.from_columns(
        [options.names[i] for i in order],
        gamma_usd=options.gamma_usd[order],
        vega_usd=options.vega_usd[order],
        delta_coin=options.delta_coin[order],
        price_usd=options.price_usd[order],
        half_spread_usd=options.half_spread_usd[order],
    )
    straight = cheapest_hedge(options, gamma_usd=-4e7, vega_usd=1e5, delta_coin=0.0, **NEUTRAL)
    mixed = cheapest_hedge(shuffled, gamma_usd=-4e7, vega_usd=1e5, delta_coin=0.0, **NEUTRAL)
    assert mixed.amount_coin == pytest.approx(straight.amount_coin[order], rel=1e-12)


def test_options_without_spread_are_free() -> None:
    free = replace(market(2), half_spread_usd=np.zeros(12))
    assert cheapest_hedge(free, gamma_usd=-4e7, vega_usd=1e5, delta_coin=0.0, **NEUTRAL).cost_usd == 0.0


def test_parallel_options_cannot_do_both() -> None:
    columns: dict[str, Any] = {"delta_coin": [0.5, 0.5], "price_usd": [1.0, 2.0], "half_spread_usd": [1.0, 1.0]}
    parallel = Candidates.from_columns(["a", "b"], gamma_usd=[1e5, 3e5], vega_usd=[0.1 * 1e5, 0.1 * 3e5], **columns)
    with pytest.raises(InputError, match=r"no two of them.*another expiry"):
        cheapest_hedge(parallel, gamma_usd=-1e6, vega_usd=3e6, delta_coin=0.0, **NEUTRAL)
    with pytest.raises(InputError, match="none of the 0 options"):
        cheapest_hedge(
            Candidates.from_columns([], gamma_usd=[], vega_usd=[], delta_coin=[], price_usd=[], half_spread_usd=[]),
            gamma_usd=-1e6,
            vega_usd=3e6,
            delta_coin=0.0,
            **NEUTRAL,
        )


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("half_spread_usd", [-1.0, 1.0], "first: .*0 or more"),
        ("gamma_usd", [1.0, math.nan], "second: .*finite gamma_usd"),
        ("vega_usd", [1.0], "2 numbers"),
    ],
)
def test_quotes_that_cannot_be_used_are_named(column: str, value: Any, words: str) -> None:
    columns: dict[str, Any] = {key: [1.0, 1.0] for key in ("gamma_usd", "vega_usd", "delta_coin", "price_usd", "half_spread_usd")}
    with pytest.raises(InputError, match=words):
        Candidates.from_columns(["first", "second"], **{**columns, column: value})


@pytest.mark.parametrize(
    "bad", [{"gamma_usd": math.nan}, {"vega_usd": math.inf}, {"gamma_within_usd": -1.0}, {"vega_within_usd": math.nan}]
)
def test_books_that_cannot_be_used_are_refused(bad: dict[str, float]) -> None:
    terms = {"gamma_usd": 1.0, "vega_usd": 1.0, "delta_coin": 0.0, "gamma_within_usd": 0.0, "vega_within_usd": 0.0, **bad}
    with pytest.raises(InputError, match="finite greeks and tolerances"):
        cheapest_hedge(market(0), **terms)
