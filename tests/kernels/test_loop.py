"""The compiled search for a clearing price takes the same root as the plain solver, also where there are several."""

import math

import numpy as np
import pytest
from tests.sim.clearing_plain import _stride

from tailwag.kernels.loop_clear import ALONG_CHORD, ALONG_SLOPE, NOWHERE, ONWARD, seek, stride
from tailwag.kernels.loop_rows import OWN_ROWS, PATH_ROWS, WIDTH
from tailwag.kernels.loop_value import pay, value_books
from tailwag.sim.clearing import clear

BOUND = 0.7


def crowd(rng, terms, gain):
    """Flow of `terms` hedgers around strikes of their own: x -> (impact(flow(x)), slope), with an exact and a partial slope."""
    size, strike, width = rng.normal(0.0, gain, terms), rng.uniform(-0.03, 0.03, terms), rng.uniform(0.002, 0.01, terms)
    push, steady = rng.normal(0.0, 0.01), rng.uniform(-0.5, 0.3)

    def flow(x):
        u = (x - strike) / width
        value = push + steady * x + float((size * width * np.tanh(u)).sum())
        return value, steady + float((size / np.cosh(u) ** 2).sum())

    return flow, 0.25 * float(width.min())


def search(flow, scale, *, slope_share=1.0):
    """The loop of the kernel around `seek`, on one function; `slope_share` spoils the slope, as vol does that moves with the price."""
    value, fall = flow(0.0)[0], slope_share * flow(0.0)[1] - 1.0
    if value == 0.0:
        return 0.0, True, 0
    direction = math.copysign(1.0, value)
    guess = direction * stride.py_func(value, fall, scale)
    state, market = (0.0, guess, 0.0, value, math.inf, 1.0), (direction, scale, BOUND, float(slope_share != 1.0))
    for reads in range(1, 20_200):
        there, slope = flow(guess)
        state, onward, verdict = seek.py_func(state, market, guess, there - guess, slope_share * slope - 1.0)
        if verdict == NOWHERE:
            return direction * BOUND, False, reads
        if verdict != ONWARD:
            assert verdict in (ALONG_CHORD, ALONG_SLOPE)
            return guess + onward, True, reads
        guess = onward
    raise AssertionError("no end")


@pytest.mark.parametrize("slope_share", [1.0, 0.9])
def test_takes_the_first_root_of_many(slope_share):
    rng = np.random.default_rng(11)
    several = 0
    for _ in range(150):
        flow, scale = crowd(rng, 6, 2.0)

        def excess(x, wanted, flow=flow):
            both = np.array([flow(float(one)) for one in x])
            return both[:, 0] - x, slope_share * both[:, 1] - 1.0

        theirs = clear(excess, np.zeros(1), bound_log=BOUND, scale_log=np.array([scale]))
        price, found, _ = search(flow, scale, slope_share=slope_share)
        assert found == theirs.found[0]
        assert price == pytest.approx(theirs.log_price[0], abs=1e-12)
        grid = np.linspace(-0.05, 0.05, 501)
        signs = np.sign([flow(x)[0] - x for x in grid])
        several += int((np.diff(signs) != 0).sum() > 1)
    assert several >= 10  # the test means something


def test_a_gentle_demand_is_read_once_or_twice():
    """Small moves of a smooth book, the everyday case: the first Newton step is the answer."""
    reads = [
        search(lambda x, push=push: (push - 0.3 * math.tanh(x / 0.05) * 0.05, -0.3 / math.cosh(x / 0.05) ** 2), 0.01)[2]
        for push in (1e-6, -3e-5)
    ]
    assert max(reads) <= 2


def test_no_root_is_said_so():
    price, found, _ = search(lambda x: (0.01 + 1.2 * x, 1.2), 0.01)
    assert not found
    assert price == BOUND


@pytest.mark.parametrize("slope", [-1.5, -1.0, -1e-4, 0.0, 0.4])
@pytest.mark.parametrize("value", [1e-18, -1e-6, 0.03])
@pytest.mark.parametrize("scale", [0.001, np.inf])
def test_strides_are_those_of_the_plain_solver(value, slope, scale):
    assert stride.py_func(value, slope, scale) == _stride(np.array([value]), np.array([slope]), np.array([scale]))[0]


def test_a_search_that_ignores_the_direction_fails_the_comparison():
    """Walking the wrong way ends at another price, so that the comparison above can fail."""

    def flow(x):
        return 0.003 + 1.5 * 0.004 * math.tanh(x / 0.004), 1.5 / math.cosh(x / 0.004) ** 2

    right = search(flow, 0.001)[0]
    wrong = -search(lambda x: (-flow(x)[0], -flow(x)[1]), 0.001)[0]
    assert abs(right - wrong) > 1e-3


def test_rows_do_not_overlap():
    from tailwag.kernels import loop_rows

    for count, first, last in ((PATH_ROWS, "LOG", "SHOCK"), (OWN_ROWS, "HELD", "PEAK")):
        assert getattr(loop_rows, first) == 0
        assert getattr(loop_rows, last) == (count - 1) * WIDTH


def test_values_of_several_books_are_those_of_each_book_alone():
    from tailwag.sim.fast_options import MergedBooks
    from tailwag.sim.option_book import OptionBook, book_greeks, time_left

    rng = np.random.default_rng(5)
    strike, days = 60_000 * np.exp(0.1 * rng.normal(size=30)), rng.choice([1.0, 7.0, 90.0], 30)
    shared = {
        "strike_usd": strike,
        "expiry_years": days / 365,
        "iv": rng.uniform(0.3, 0.9, 30),
        "forward_ratio": rng.uniform(0.98, 1.05, 30),
        "skew": rng.normal(0, 0.3, 30),
        "averaged": rng.random(30) < 0.5,
    }
    held = [OptionBook(right=rng.choice([-1, 1], 30), contracts_coin=rng.normal(size=30), **shared) for _ in range(3)]
    merged = MergedBooks.of(held)
    assert merged.options.rows == 30  # each option once, whoever holds it
    left, _, _ = time_left(merged.options, 0.0)
    one = merged.options
    columns = np.array((one.strike_usd, np.log(one.strike_usd / (one.forward_ratio * 60_000)), np.sqrt(left), one.iv, one.skew))
    x, shift = rng.normal(0, 0.3, 12), rng.normal(-0.1, 0.2, 12)
    values = np.empty((3, 12))
    value_books(columns, merged.positions, merged.puts, x, shift, values)
    for mine, book in zip(values, held):
        assert mine == pytest.approx(book_greeks(book, 0.0, 60_000.0, x, shift)[0], rel=1e-10, abs=1e-6)


def test_payments_are_those_of_each_option():
    price, paid = np.array([50.0, 100.0, 120.0]), np.ones(3)
    pay(np.array([1, -1, 1]), np.array([90.0, 110.0, 100.0]), np.array([2.0, -3.0, 0.5]), price, paid)
    assert paid == pytest.approx([1.0 - 180.0, 1.0 + 20.0 - 30.0, 1.0 + 60.0 + 10.0])
