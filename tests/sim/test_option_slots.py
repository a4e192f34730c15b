"""Contracts, marks and slots against closed forms of scipy, finite differences and sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from tailwag.errors import InputError, UnitError
from tailwag.sim.agents.protocol import Move
from tailwag.sim.grid import TimeGrid
from tailwag.sim.option_market import Contract, OptionFill, OptionModel, OptionOrder, OptionTerms, Quote, matched
from tailwag.sim.option_slots import OptionHolding, OptionSlots

SPOT = 43_210.0
GRID = TimeGrid.uniform(horizon_days=2.0, step_minutes=5.0)
YEAR_MINUTES = 525_600.0
WINDOW = 30.0 / YEAR_MINUTES
RNG = np.random.default_rng(91)
MOVES, SHIFTS = 0.08 * RNG.standard_normal(7), 0.05 * RNG.standard_normal(7)


def model(*, averaged: bool = False, skew: float = -0.35) -> OptionModel:
    return OptionModel(OptionTerms(0.57, skew, averaged), GRID, SPOT)


def contract(right: int, expiry_step: int = 400) -> Contract:
    return Contract(right, expiry_step, SPOT * np.linspace(0.85, 1.2, MOVES.size))


def black(right: int, spot: np.ndarray, strike: np.ndarray, years: float, vol: np.ndarray) -> np.ndarray:
    """The formula of the books."""
    w = vol * np.sqrt(years)
    d1 = np.log(spot / strike) / w + 0.5 * w
    return np.asarray(right * (spot * norm.cdf(right * d1) - strike * norm.cdf(right * (d1 - w))))


def vol_of(spot: np.ndarray, strike: np.ndarray, shift: np.ndarray, skew: float = -0.35) -> np.ndarray:
    return np.asarray(np.maximum(0.57 + skew * np.clip(np.log(strike / spot), -0.5, 0.5) + shift, 0.01))


@pytest.mark.parametrize("right", [1, -1])
@pytest.mark.parametrize("averaged", [False, True])
def test_a_mark_is_the_closed_form(right: int, averaged: bool) -> None:
    spot, one = SPOT * np.exp(MOVES), contract(right)
    years = (400 - 37) * 5.0 / YEAR_MINUTES - (20.0 / YEAR_MINUTES if averaged else 0.0)
    expected = black(right, spot, one.strike_usd, years, vol_of(spot, one.strike_usd, SHIFTS))
    assert model(averaged=averaged).mark(one, 37, MOVES, SHIFTS).price_usd == pytest.approx(expected, rel=1e-11, abs=1e-9)


@pytest.mark.parametrize("right", [1, -1])
@pytest.mark.parametrize("step", [37, 397])
def test_greeks_are_the_slopes_of_the_value(right: int, step: int) -> None:
    """Central differences of the value; inside the settlement window (397 of 400) the sd is held, as its formula says, so only by vol."""
    told, average = model(averaged=True), SPOT * np.exp(MOVES + 0.001)
    near = Contract(right, 400, SPOT * np.exp(MOVES + np.linspace(-5e-4, 15e-4, 7))) if step == 397 else contract(right)

    def value(x: np.ndarray, s: np.ndarray) -> np.ndarray:
        return told.mark(near, step, x, s, average_usd=average).greeks

    spot, h = SPOT * np.exp(MOVES), 1e-5
    here = value(MOVES, SHIFTS)
    up, down = value(MOVES + h, SHIFTS), value(MOVES - h, SHIFTS)
    high, low = value(MOVES, SHIFTS + h), value(MOVES, SHIFTS - h)
    scale = np.abs(here[3]).max()
    assert here[3] == pytest.approx((high[0] - low[0]) / (2 * h), rel=1e-6, abs=1e-7 * scale)
    assert here[7] == pytest.approx((high[3] - low[3]) / (2 * h), rel=1e-5, abs=1e-6 * scale)
    if step == 37:
        assert here[1] == pytest.approx((up[0] - down[0]) / (2 * h * spot), rel=1e-6, abs=1e-8)
        assert here[2] == pytest.approx((up[1] - down[1]) / (2 * h * spot), rel=1e-5, abs=1e-12)
        assert here[5] == pytest.approx((high[1] - low[1]) / (2 * h), rel=1e-5, abs=1e-6)
        later = told.mark(near, step + 1, MOVES, SHIFTS, average_usd=average).greeks
        before = told.mark(near, step - 1, MOVES, SHIFTS, average_usd=average).greeks
        dt = 2 * 5.0 / YEAR_MINUTES
        assert here[4] == pytest.approx((later[0] - before[0]) / dt, rel=2e-3)
        assert here[6] == pytest.approx((later[1] - before[1]) / dt, rel=1e-3, abs=1e-4 * np.abs(here[6]).max())


@pytest.mark.parametrize("step", [37, 396, 399, 400])
@pytest.mark.parametrize("right", [1, -1])
def test_the_hedge_delta_has_the_slope_that_it_states(step: int, right: int) -> None:
    told, average = model(averaged=True), SPOT * np.exp(MOVES + 0.001)
    near = Contract(right, 400, SPOT * np.exp(MOVES + np.linspace(-3e-4, 14e-4, 7)))
    slots = OptionSlots.empty(told, 7).add(
        OptionFill(near, np.full(7, -3.0), np.ones(7), told.mark(near, step, MOVES, SHIFTS, average_usd=average))
    )
    h = 1e-7
    high, low = (slots.hedge_delta(step, MOVES + bump, SHIFTS)[0] for bump in (h, -h))
    delta, slope = slots.hedge_delta(step, MOVES, SHIFTS)
    assert slope == pytest.approx((high - low) / (2 * h), rel=1e-4, abs=1e-4 * np.abs(slope).max() + 1e-6)
    if step == 37:
        spot = SPOT * np.exp(MOVES)
        w = vol_of(spot, near.strike_usd, SHIFTS) * np.sqrt((363 * 5.0 - 20.0) / YEAR_MINUTES)
        d1 = np.log(spot / near.strike_usd) / w + 0.5 * w
        assert delta == pytest.approx(-3.0 * right * norm.cdf(right * d1), rel=1e-11)


def test_inside_the_window_the_value_is_that_of_the_average() -> None:
    """settlement = (1 - u) A + u M with M normal around S of sd S vol sqrt(t/3), u = t / 30 minutes."""
    told, average = model(averaged=True), SPOT * np.exp(MOVES + 0.002)
    near = Contract(-1, 400, SPOT * np.exp(MOVES + 0.0011))
    left, spot = 15.0 / YEAR_MINUTES, SPOT * np.exp(MOVES)
    mean = 0.5 * average + 0.5 * spot
    sd = spot * vol_of(spot, near.strike_usd, SHIFTS) * np.sqrt(left / 3.0) * 0.5
    d = (mean - near.strike_usd) / sd
    expected = (near.strike_usd - mean) * norm.cdf(-d) + sd * norm.pdf(d)
    assert told.mark(near, 397, MOVES, SHIFTS, average_usd=average).price_usd == pytest.approx(expected, rel=1e-10)


def test_a_strike_by_delta_has_that_delta() -> None:
    told = model(averaged=True)
    for right, delta in ((1, 0.1), (1, 0.63), (-1, -0.25)):
        strike = told.strike_at_delta(right, delta, step=12, expiry_step=400, log_price=MOVES, vol_shift=SHIFTS)
        spot = SPOT * np.exp(MOVES)
        w = vol_of(spot, strike, SHIFTS) * np.sqrt((388 * 5.0 - 20.0) / YEAR_MINUTES)
        assert right * norm.cdf(right * (np.log(spot / strike) / w + 0.5 * w)) == pytest.approx(np.full(7, delta), rel=1e-10)


def test_slots_add_net_and_free_themselves() -> None:
    told = model()
    call, put = contract(1), contract(-1)
    slots = OptionSlots.empty(told, 7, slots=2)
    bought = np.array([1.0, 0.0, -2.0, 3.0, 0.5, 0.0, 4.0])
    slots = slots.add(_fill(told, call, bought)).add(_fill(told, put, np.full(7, 2.0)))
    assert slots.of(call).tolist() == bought.tolist()
    third = contract(1, 401)
    assert slots.room(third).tolist() == [False, True, False, False, False, True, False]
    assert slots.room(call).tolist() == [True] * 7
    with pytest.raises(InputError, match="free slot"):
        slots.add(_fill(told, third, np.full(7, 1.0)))
    slots = slots.add(_fill(told, call, -bought))
    assert slots.room(third).all()
    expected = 2.0 * black(
        -1, SPOT * np.exp(MOVES), put.strike_usd, 363 * 5.0 / YEAR_MINUTES, vol_of(SPOT * np.exp(MOVES), put.strike_usd, SHIFTS)
    )
    assert slots.value(37, MOVES, SHIFTS) == pytest.approx(expected, rel=1e-10, abs=1e-9)
    spot, h = SPOT * np.exp(MOVES), 1e-5
    assert slots.delta(37, MOVES, SHIFTS) == pytest.approx(
        (slots.value(37, MOVES + h, SHIFTS) - slots.value(37, MOVES - h, SHIFTS)) / (2 * h * spot), rel=1e-6, abs=1e-8
    )
    assert slots.gamma(37, MOVES, SHIFTS) == pytest.approx(told.greeks(slots.held, 37, MOVES, SHIFTS)[2])
    assert slots.vega(37, MOVES, SHIFTS) == pytest.approx(
        (slots.value(37, MOVES, SHIFTS + h) - slots.value(37, MOVES, SHIFTS - h)) / (2 * h), rel=1e-6, abs=1e-3
    )


@pytest.mark.parametrize("averaged", [True, False])
def test_a_holding_earns_what_its_cash_and_value_say(averaged: bool) -> None:
    """Bought mid-way and held through the expiry along a random path: value changes and pay add up, and pay is that of the mean of six prices."""
    told, rng = model(averaged=averaged), np.random.default_rng(5)
    logs = np.cumsum(0.002 * rng.standard_normal((42, 7)), axis=0)
    one = Contract(1, 36, SPOT * np.exp(logs[36] - 0.001))
    for bought_at in (3, 33):
        holding, total, paid = OptionHolding.opened(told, 7, slots=3), np.zeros(7), np.zeros(7)
        for step in range(1, 42):
            before = logs[step - 1]
            if step == bought_at:
                seen = told.average_before(36, step, [SPOT * np.exp(row) for row in logs[:step]])
                fill = OptionFill(one, np.full(7, 2.5), np.full(7, 11.0), told.mark(one, step, before + 0.001, SHIFTS, average_usd=seen))
                holding, marked = holding.traded(fill), fill.model_price_usd
            earned, holding = holding.stepped(_move(step, before, logs[step]))
            total, paid = total + earned.total_usd, paid + earned.paid_usd
        settled = SPOT * np.exp(logs[31:37]).mean(axis=0) if averaged else SPOT * np.exp(logs[36])
        expected = 2.5 * np.maximum(settled - one.strike_usd, 0.0)
        assert paid == pytest.approx(expected, rel=1e-12)
        assert total == pytest.approx(expected - 2.5 * marked, rel=1e-9)
        assert holding.edge_usd == pytest.approx(2.5 * (marked - 11.0), rel=1e-12)
        assert not holding.value_usd.any()
        assert not holding.slots.coin.any()


def test_most_of_a_step_is_explained_by_greeks() -> None:
    told = model()
    one, rng = contract(1), np.random.default_rng(6)
    holding = OptionHolding.opened(told, 7).traded(_fill(told, one, np.full(7, 2.0), step=1, x=np.full(7, 0.003)))
    first, holding = holding.stepped(_move(1, np.zeros(7), np.full(7, 0.004)))
    second, holding = holding.stepped(_move(2, np.full(7, 0.004), 0.004 + 0.002 * rng.standard_normal(7)))
    for earned in (first, second):
        explained = earned.delta_usd + earned.gamma_theta_usd + earned.vanna_usd + earned.vega_usd
        assert explained == pytest.approx(earned.total_usd, abs=3e-3 * np.abs(earned.total_usd).max())


def test_matching_takes_the_best_first_and_shares_ties() -> None:
    quotes = [_quote(90.0, 110.0, 4.0, 2.0), _quote(95.0, 105.0, 1.0, 3.0), _quote(95.0, 105.0, 3.0, 1.0)]
    order = OptionOrder(Contract(1, 1, np.full(4, 100.0)), np.array([2.0, 5.0, -2.0, -20.0]))
    coin, price = matched(order, quotes)
    assert coin.T.tolist() == [[0.0, 1.5, 0.5], [1.0, 3.0, 1.0], [0.0, -0.5, -1.5], [-4.0, -1.0, -3.0]]
    assert price[:, 0].tolist() == [110.0, 105.0, 105.0]
    coin, _ = matched(OptionOrder(order.contract, order.coin, np.array([104.0, 105.0, 95.0, 90.5])), quotes)
    assert coin.sum(axis=0).tolist() == [0.0, 4.0, -2.0, -4.0]
    coin, price = matched(OptionOrder(order.contract, order.coin, auction=True), quotes)
    assert [row[row != 0][0] for row in np.where(coin != 0.0, price, 0.0).T] == [105.0, 110.0, 95.0, 90.0]


def test_impossible_terms_are_refused() -> None:
    with pytest.raises(UnitError, match="iv"):
        OptionTerms(60.0)
    with pytest.raises(UnitError, match="skew"):
        OptionTerms(0.6, -30.0)
    with pytest.raises(InputError, match="right"):
        Contract(0, 3, np.ones(2))
    with pytest.raises(InputError, match="strike"):
        Contract(1, 3, np.array([1.0, np.nan]))
    with pytest.raises(InputError, match="delta"):
        model().strike_at_delta(1, -0.2, step=0, expiry_step=3, log_price=MOVES, vol_shift=SHIFTS)
    with pytest.raises(InputError, match="slots"):
        OptionSlots.empty(model(), 3, slots=17)


def _quote(bid: float, ask: float, bid_coin: float, ask_coin: float) -> Quote:
    return Quote(*(np.full(4, value) for value in (bid, ask, bid_coin, ask_coin)))


def _fill(told: OptionModel, one: Contract, coin: np.ndarray, step: int = 37, x: np.ndarray = MOVES) -> OptionFill:
    return OptionFill(one, coin, np.zeros(7), told.mark(one, step, x, SHIFTS))


def _move(step: int, before: np.ndarray, after: np.ndarray) -> Move:
    spots = SPOT * np.exp(before), SPOT * np.exp(after)
    years = 5.0 / YEAR_MINUTES
    return Move(step, years, *spots, 0.5 * (spots[0] + spots[1]), before, after, SHIFTS, SHIFTS, np.ones(7, dtype=bool))
