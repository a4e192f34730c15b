"""Listed options that neutralise a dealer at the start: what they take out of the loop, what they cost, and how gamma comes back."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from tests.sim.anchors import agrees

from tailwag.errors import InputError, UnitError
from tailwag.hedging.policies import EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import init, market_gain, plan_run, step
from tailwag.sim.fast import supports
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.ledger import PART
from tailwag.sim.option_book import OptionBook
from tailwag.sim.option_hedge import NEUTRALITIES, ListedOptions, neutral_dealer, neutralised
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Scenario, starting_gain

SPOT = 60_000.0
IMPACT_PER_COIN = 1.5e-10 * SPOT


def book(rows: list[tuple[int, float, float, float, float]]) -> OptionBook:
    """Rows of right, strike, days, contracts, vol."""
    right, strike, days, held, vol = (np.array(column) for column in zip(*rows))
    ones = np.ones(len(rows))
    return OptionBook(right, strike, days / 365.0, held, vol, ones, 0.0 * ones, ones < 0.0)


SHORT = book([(1, 60_000.0, 14.0, -9_000.0, 0.6), (-1, 56_000.0, 30.0, -6_000.0, 0.65), (1, 66_000.0, 7.0, 1_500.0, 0.62)])
LISTED = ListedOptions.from_book(
    book([(1, 62_000.0, 14.0, 1.0, 0.6), (-1, 58_000.0, 30.0, 1.0, 0.63), (1, 64_000.0, 60.0, 1.0, 0.58)]),
    half_spread_volpt=[0.4, 0.5, 0.6],
)


def greeks(options: OptionBook, spot: float, years: float = 0.0) -> tuple[float, float]:
    """Dollar gamma and vega per 1.00 of vol by the textbook, in SciPy."""
    left = options.expiry_years - years
    spread = options.iv * np.sqrt(left)
    density = norm.pdf(np.log(spot / options.strike_usd) / spread + 0.5 * spread)
    gamma = options.contracts_coin * density / (spot * spread)
    return float(gamma.sum() * spot**2), float((options.contracts_coin * spot * density * np.sqrt(left)).sum())


def market(dealer: Dealer, *, hours: float = 2.0, minutes: float = 5.0, **changes) -> Scenario:  # type: ignore[no-untyped-def]
    return Scenario(
        spot_usd=SPOT,
        grid=TimeGrid.uniform(horizon_days=hours / 24.0, step_minutes=minutes),
        price=changes.pop("price", Gbm(vol=0.6)),
        impact=ImpactModel(permanent_per_coin=IMPACT_PER_COIN),
        agents=(dealer,),
        clearing="implicit",
        **changes,
    )


def dealer_of(options: OptionBook) -> Dealer:
    return Dealer("desk", EveryStep(), 0, options=options)


@pytest.mark.parametrize("rule", sorted(NEUTRALITIES))
def test_a_rule_makes_zero_what_it_names_and_only_that(rule: str) -> None:
    neutral = neutralised(SHORT, LISTED, spot_usd=SPOT, rule=rule)
    gamma, vega = greeks(neutral.options, SPOT)
    before = greeks(SHORT, SPOT)
    assert (neutral.gamma_usd, neutral.vega_usd) == pytest.approx(before, rel=1e-9)
    for found, start, wanted in zip((gamma, vega), before, NEUTRALITIES[rule]):
        assert (abs(found) < 1e-9 * abs(start)) == wanted
    assert (neutral.hedge.residual_gamma_usd, neutral.hedge.residual_vega_usd) == pytest.approx((gamma, vega), abs=1e-6 * abs(before[0]))
    assert str(neutral).startswith(f"{rule} at the start, once: buy")


def test_the_cost_is_the_half_spread_in_vol_points_times_vega() -> None:
    """And no other single option would be cheaper."""
    neutral = neutralised(SHORT, LISTED, spot_usd=SPOT, rule="gamma-neutral")
    costs = []
    for place in range(3):
        only = LISTED.options.where(np.arange(3) == place)
        gamma, vega = greeks(only, SPOT)
        costs.append(abs(greeks(SHORT, SPOT)[0] / gamma) * vega * 0.01 * float(LISTED.half_spread_volpt[place]))
    assert neutral.cost_usd == pytest.approx(min(costs), rel=1e-9)
    assert sorted(costs)[1] > 1.2 * min(costs)
    dear = ListedOptions(LISTED.names, LISTED.options, 2.0 * LISTED.half_spread_volpt)
    assert neutralised(SHORT, dear, spot_usd=SPOT, rule="gamma-neutral").cost_usd == pytest.approx(2.0 * neutral.cost_usd, rel=1e-12)


def test_gamma_neutral_takes_the_gain_out_of_the_loop() -> None:
    """Before: vol grows by 1 / (1 - g).  After: the gain at the start is nothing, and the first hour's vol is that of the shocks."""
    dealer = dealer_of(SHORT)
    hedged, neutral = neutral_dealer(dealer, LISTED, spot_usd=SPOT, rule="gamma-neutral")
    gain = -IMPACT_PER_COIN / SPOT * greeks(SHORT, SPOT)[0]
    assert starting_gain(market(dealer)) == pytest.approx(gain, rel=1e-6)
    assert gain > 0.1
    assert abs(starting_gain(market(hedged))) < 1e-9
    assert hedged.options is not None
    assert hedged.options.rows == SHORT.rows + int((neutral.hedge.amount_coin != 0.0).sum())
    for who, theory in ((dealer, 1.0 / (1.0 - gain)), (hedged, 1.0)):
        amplification, error = first_step_amplification(market(who, hours=0.25, minutes=1.0, price=Gbm(vol=0.6)))
        assert agrees(amplification, theory, error), (amplification, theory, error)
        assert (abs(amplification - 1.0) > 0.1) == (who is dealer)


def first_step_amplification(scenario: Scenario) -> tuple[float, float]:
    """Standard deviation of the hedged over that of the exogenous move of the first step, on the same shocks."""
    block = run_block(plan_run(scenario, seed=3, full_pnl=False), 0, 400)
    ratio = block.log_price[:, 1] / block.fundamental_log[:, 1]
    weight = block.fundamental_log[:, 1] ** 2
    mean = float((ratio * weight).sum() / weight.sum())
    return mean, float((weight * (ratio - mean)).std() / weight.mean() / math.sqrt(weight.size))


def test_time_and_moves_bring_gamma_back() -> None:
    """A static hedge: after a day, and after 4 % up or down, the gain in the loop is that of the merged book there, by SciPy."""
    hedged, neutral = neutral_dealer(dealer_of(SHORT), LISTED, spot_usd=SPOT, rule="gamma-neutral")
    unhedged, back = abs(greeks(SHORT, SPOT)[0]), []
    for move in (0.0, 0.04, -0.04):
        moves = np.zeros(24)
        moves[0] = move
        plan = plan_run(market(hedged, hours=24.0, minutes=60.0, price=Replay(moves)), seed=1)
        state = init(plan, 0, 2)
        assert np.abs(market_gain(plan, state, 0, state.log_price, state.vol_shift)).max() < 1e-9
        for _ in range(24):
            state = step(plan, state)
        gain = market_gain(plan, state, 24, state.log_price, state.vol_shift)
        here = SPOT * math.exp(float(state.log_price[0]))
        gamma, _ = greeks(neutral.options, here, 1 / 365)
        assert gain == pytest.approx(-IMPACT_PER_COIN / here * gamma, rel=1e-6)
        back.append(abs(gamma) / unhedged)
    assert min(back) > 1e-3
    assert 0.05 < max(back) < 1.0


def test_vega_neutral_takes_out_what_a_vol_shift_earns() -> None:
    """A common vol shift changes the value of the book, and to first order not that of the merged one."""
    neutral = neutralised(SHORT, LISTED, spot_usd=SPOT, rule="vega-neutral")
    point = 1e-4
    for options, answers in ((SHORT, True), (neutral.options, False)):
        up, down = (value(options, point), value(options, -point))
        slope = (up - down) / (2.0 * point)
        assert (abs(slope) > 1e-4 * abs(neutral.vega_usd)) == answers


def value(options: OptionBook, shift: float) -> float:
    vol, left = options.iv + shift, options.expiry_years
    spread = vol * np.sqrt(left)
    d1 = np.log(SPOT / options.strike_usd) / spread + 0.5 * spread
    each = options.right * (SPOT * norm.cdf(options.right * d1) - options.strike_usd * norm.cdf(options.right * (d1 - spread)))
    return float((options.contracts_coin * each).sum())


@pytest.mark.parametrize("engine", ["plain", "fast"])
def test_the_cost_stands_in_the_profit_from_the_start_and_is_somebodys_gain(engine: str) -> None:
    hedged, neutral = neutral_dealer(dealer_of(SHORT), LISTED, spot_usd=SPOT, rule="gamma-vega-neutral")
    free = replace(hedged, opening_cost_usd=0.0)
    assert supports(market(hedged)) is None
    runs = [simulate(market(dealer, hours=1.0), paths=32, seed=2, engine=engine) for dealer in (hedged, free)]
    parts = [run.metrics.agents[0].pnl_parts_usd for run in runs]
    assert neutral.cost_usd > 1e4
    assert parts[0]["spread_usd"].value == pytest.approx(-neutral.cost_usd, rel=1e-12)
    assert parts[1]["spread_usd"].value == 0.0
    totals = [run.metrics.agents[0].pnl_usd.value for run in runs]
    assert totals[1] - totals[0] == pytest.approx(neutral.cost_usd, rel=1e-9)
    costs = [run.metrics.agents[0].cost_usd.value for run in runs]
    assert costs[0] - costs[1] == pytest.approx(neutral.cost_usd, rel=1e-9)


def test_books_close_at_time_zero_and_at_the_end() -> None:
    hedged, neutral = neutral_dealer(dealer_of(SHORT), LISTED, spot_usd=SPOT, rule="gamma-neutral")
    plan = plan_run(market(hedged, hours=1.0), seed=2)
    start = init(plan, 0, 4)
    assert start.liquidity_usd == pytest.approx(neutral.cost_usd)
    assert start.seats[0].holding.cash_usd == pytest.approx(-neutral.cost_usd)
    assert start.seats[0].holding.pnl_usd[PART["spread_usd"]] == pytest.approx(-neutral.cost_usd)
    block = run_block(plan, 0, 4)
    cash = block.agents[0].final_cash_usd + block.liquidity_cash_usd + block.venue_cash_usd + block.holders_cash_usd
    assert np.abs(cash).max() <= 1e-9 * block.agents[0].turnover_usd.max()
    moved = run_block(plan_run(market(replace(hedged, opening_cost_usd=0.0), hours=1.0), seed=2), 0, 4)
    assert (moved.log_price == block.log_price).all()


def test_an_opening_cost_of_zero_leaves_a_dealer_what_it_was() -> None:
    dealer = dealer_of(SHORT)
    assert replace(dealer, opening_cost_usd=0.0).content() == dealer.content()
    assert replace(dealer, opening_cost_usd=1.0).content() != dealer.content()


def test_a_neutral_book_trades_nothing() -> None:
    flat = SHORT.merged(replace(SHORT, contracts_coin=-SHORT.contracts_coin))
    neutral = neutralised(flat, LISTED, spot_usd=SPOT, rule="gamma-vega-neutral")
    assert neutral.cost_usd == 0.0
    assert neutral.options is flat


def test_listed_options_of_a_measured_book() -> None:
    """Each distinct option once, settled ones left out, one coin each."""
    measured = book(
        [(1, 62_000.0, 14.0, -30.0, 0.6), (1, 62_000.0, 14.0, 5.0, 0.6), (-1, 58_000.0, -1.0, 7.0, 0.6), (-1, 58_000.0, 30.0, 7.0, 0.6)]
    )
    listed = ListedOptions.from_book(measured, half_spread_volpt=0.5, names=["a", "b", "c", "d"])
    assert listed.names == ("a", "d")
    assert listed.options.contracts_coin.tolist() == [1.0, 1.0]
    assert ListedOptions.from_book(measured, half_spread_volpt=0.5).names == ("call 62000 14 d", "put 58000 30 d")


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(InputError, match="rule of gamma-neutral, vega-neutral"):
        neutralised(SHORT, LISTED, spot_usd=SPOT, rule="delta-neutral")
    with pytest.raises(InputError, match="constant gamma"):
        neutral_dealer(Dealer("desk", EveryStep(), 0, gamma_usd=-1e9), LISTED, spot_usd=SPOT, rule="gamma-neutral")
    with pytest.raises(UnitError, match="vol points"):
        ListedOptions.from_book(SHORT, half_spread_volpt=-1.0)
    with pytest.raises(InputError, match="a name and a half-spread"):
        ListedOptions(("one",), LISTED.options, LISTED.half_spread_volpt)
    one = ListedOptions.from_book(LISTED.options.where(np.array([True, False, False])), half_spread_volpt=1.0)
    with pytest.raises(InputError, match="no two of them"):
        neutralised(SHORT, one, spot_usd=SPOT, rule="gamma-vega-neutral")
    with pytest.raises(UnitError, match="opening_cost_usd"):
        replace(dealer_of(SHORT), opening_cost_usd=-1.0)
