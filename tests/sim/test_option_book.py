"""A book of options along a path: columns that refuse nonsense, value and greeks by 40-digit differentiation, settlement."""

from __future__ import annotations

import dataclasses

import mpmath
import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.kernels.netgreeks import NET_GREEKS
from tailwag.sim.option_book import SKEW_REACH_LOG, VOL_FLOOR, WINDOW_YEARS, OptionBook, book_greeks, settlement_value

SPOT = 60000.0
PLAIN = {"strike_usd": 65000.0, "expiry_years": 30 / 365, "contracts_coin": 1.0, "iv": 0.65}


def mixed(count: int = 12, seed: int = 0, *, averaged: bool = False) -> OptionBook:
    rng = np.random.default_rng(seed)
    return OptionBook(
        right=rng.choice([1, -1], count),
        strike_usd=SPOT * np.exp(rng.normal(0, 0.1, count)),
        expiry_years=rng.choice([2 / 365, 7 / 365, 0.3], count),
        contracts_coin=rng.normal(0, 20, count),
        iv=rng.uniform(0.3, 0.9, count),
        forward_ratio=rng.uniform(0.99, 1.03, count),
        skew=rng.normal(0, 0.3, count),
        averaged=np.full(count, averaged),
    )


def exact_value(book: OptionBook, time: mpmath.mpf, spot: mpmath.mpf, shift: mpmath.mpf) -> mpmath.mpf:
    """Undiscounted value in 40 digits, as a trader would write it down."""
    total = mpmath.mpf(0)
    x = mpmath.log(spot / SPOT)
    reach = mpmath.mpf(SKEW_REACH_LOG)
    for row in range(len(book)):
        strike, left = mpmath.mpf(book.strike_usd[row]), mpmath.mpf(book.expiry_years[row]) - time
        if book.averaged[row]:
            left -= mpmath.mpf(WINDOW_YEARS) * 2 / 3
        sigma = max(mpmath.mpf(book.iv[row]) + mpmath.mpf(book.skew[row]) * min(max(x, -reach), reach) + shift, mpmath.mpf(VOL_FLOOR))
        forward, w = mpmath.mpf(book.forward_ratio[row]) * spot, sigma * mpmath.sqrt(left)
        d1 = mpmath.log(forward / strike) / w + w / 2
        side = int(book.right[row])
        price = side * (forward * mpmath.ncdf(side * d1) - strike * mpmath.ncdf(side * (d1 - w)))
        total += mpmath.mpf(book.contracts_coin[row]) * price
    return total


@pytest.mark.parametrize(
    ("seed", "x", "shift", "averaged"), [(0, 0.0, 0.0, False), (1, -0.12, 0.07, False), (2, 0.09, -0.03, True), (3, 0.7, 0.1, False)]
)
def test_greeks_are_the_derivatives_of_the_value(seed: int, x: float, shift: float, averaged: bool) -> None:
    book, time = mixed(6, seed, averaged=averaged), 0.001
    ours = book_greeks(book, time, SPOT, np.array([x]), np.array([shift]))[:, 0]
    with mpmath.workdps(40):
        at = (mpmath.mpf(time), SPOT * mpmath.exp(mpmath.mpf(x)), mpmath.mpf(shift))

        def derivative(by_time: int, by_spot: int, by_shift: int) -> float:
            if by_time == by_spot == by_shift == 0:
                return float(exact_value(book, *at))
            return float(mpmath.diff(lambda t, s, v: exact_value(book, t, s, v), at, (by_time, by_spot, by_shift), h=mpmath.mpf(10) ** -9))

        orders = {"price": (0, 0, 0), "delta": (0, 1, 0), "gamma": (0, 2, 0), "vega": (0, 0, 1), "theta": (1, 0, 0)}
        orders |= {"vanna": (0, 1, 1), "charm": (1, 1, 0), "vomma": (0, 0, 2)}
        wanted = np.array([derivative(*orders[name]) for name in NET_GREEKS])
    assert ours == pytest.approx(wanted, rel=1e-9)


def test_black_greeks_of_the_textbook_case() -> None:
    greeks = book_greeks(OptionBook.single(**PLAIN), 0.0, SPOT, np.zeros(1), np.zeros(1))[:, 0]
    wanted = {"price": 2559.74182777, "delta": 0.368301172826, "gamma": 3.37181871788e-5, "vega": 6484.97736973}
    wanted |= {"theta": -25642.6813495, "vanna": 0.303170247278, "vomma": 1754.08784508, "charm": -1.19878568611}
    assert greeks == pytest.approx([wanted[name] for name in NET_GREEKS], rel=1e-10)


def test_call_less_put_is_the_forward() -> None:
    call = OptionBook.single("call", **PLAIN, forward_ratio=1.02, skew=0.2)
    put = OptionBook.single("put", **{**PLAIN, "contracts_coin": -1.0}, forward_ratio=1.02, skew=0.2)
    x = np.linspace(-0.8, 0.8, 9)
    greeks = book_greeks(call.merged(put), 0.0, SPOT, x, np.zeros(9))
    forward = 1.02 * SPOT * np.exp(x)
    assert greeks[0] == pytest.approx(forward - 65000.0, abs=1e-9)
    assert greeks[1] == pytest.approx(np.full(9, 1.02), abs=1e-12)
    assert np.max(np.abs(greeks[2:])) < 1e-7


def test_settled_and_expired_rows_count_for_nothing() -> None:
    book = OptionBook.single(**{**PLAIN, "expiry_years": 0.0}).merged(OptionBook.single(**{**PLAIN, "expiry_years": 1 / 365}))
    assert np.all(book_greeks(book, 1 / 365, SPOT, np.zeros(3), np.zeros(3)) == 0.0)
    assert np.all(book_greeks(book, 0.9 / 365, SPOT, np.full(3, 0.1), np.zeros(3))[0] > 0.0)


@pytest.mark.parametrize("ratio", [1.0, 1.001])
def test_settlement_average_takes_over_without_a_jump_and_fades(ratio: float) -> None:
    terms = {**PLAIN, "strike_usd": 60100.0, "expiry_years": 0.002, "skew": 0.2, "forward_ratio": ratio}
    book = OptionBook.single(**terms, averaged=True)
    x, still, average = np.array([-0.002, 0.001, 0.003]), np.zeros(3), np.full(3, SPOT)
    moments = [0.002 - WINDOW_YEARS * share for share in (1.0 + 1e-6, 1.0 - 1e-6)]
    before, after = (book_greeks(book, moment, SPOT, x, still, running_average_usd=average) for moment in moments)
    # the mean over a lognormal path taken as normal: a few thousandths of a standard deviation
    assert after[1] == pytest.approx(before[1], abs=4e-3)
    assert after[0] == pytest.approx(before[0], rel=2e-2)
    last = book_greeks(book, 0.002 - WINDOW_YEARS / 1e4, SPOT, x, still, running_average_usd=average)
    assert np.all(np.abs(last[1]) < 2e-4)


def test_gamma_inside_the_window_is_finite() -> None:
    window = WINDOW_YEARS
    book = OptionBook.single(strike_usd=1.0, expiry_years=window / 3, contracts_coin=1.0, iv=0.6, averaged=True)
    gamma = book_greeks(book, 0.0, 1.0, np.zeros(1), np.zeros(1), running_average_usd=np.ones(1))[2, 0]
    assert gamma == pytest.approx(88.0088, abs=5e-5)  # sqrt(3) phi(0) sqrt(tau)/(S vol W); 152.436 without the average
    plain = dataclasses.replace(book, averaged=np.array([False]))
    assert book_greeks(plain, 0.0, 1.0, np.zeros(1), np.zeros(1))[2, 0] == pytest.approx(152.436, abs=5e-4)


@pytest.mark.parametrize(("greek", "of", "by"), [(1, 0, "spot"), (3, 0, "shift"), (4, 0, "time"), (5, 3, "spot"), (7, 3, "shift")])
def test_greeks_inside_the_window_by_differences(greek: int, of: int, by: str) -> None:
    """Spot moves at a fixed absolute vol spot * vol, but for the skew; as time passes the average takes spot up."""
    book = OptionBook.single("put", strike_usd=100.0, expiry_years=0.01, contracts_coin=3.0, iv=0.6, skew=0.3, averaged=True)
    time, x, shift, average, gone = 0.01 - WINDOW_YEARS / 2, 0.0005, 0.01, 100.02, WINDOW_YEARS / 2
    vol, spot = 0.6 + 0.3 * x + shift, 100.0 * np.exp(x)
    step = {"spot": 1e-6, "shift": 1e-5, "time": WINDOW_YEARS * 1e-5}[by]

    def at(move: float) -> float:
        by_spot, by_shift, by_time = (move if by == name else 0.0 for name in ("spot", "shift", "time"))
        taken_up = np.array([(gone * average + by_time * spot) / (gone + by_time)])
        state = (np.array([x + by_spot]), np.array([shift + by_shift - vol * by_spot]))
        return float(book_greeks(book, time + by_time, 100.0, *state, running_average_usd=taken_up)[of, 0])

    ours = book_greeks(book, time, 100.0, np.array([x]), np.array([shift]), running_average_usd=np.array([average]))[:, 0]
    change = (at(step) - at(-step)) / (2 * step) / (spot if by == "spot" else 1.0)
    own = ours[3] / spot if (of, by) == (3, "spot") else 0.0  # vega is proportional to spot, which the absolute vol hides
    assert change - own == pytest.approx(ours[greek], rel=1e-5)


def test_settlement_pays_intrinsic_value() -> None:
    book = OptionBook.single("call", **{**PLAIN, "contracts_coin": -2.0}).merged(OptionBook.single("put", **PLAIN))
    price = np.array([60000.0, 65000.0, 70000.0])
    assert settlement_value(book, np.array([True, True]), price).tolist() == [5000.0, 0.0, -10000.0]
    assert settlement_value(book, np.array([True, False]), price).tolist() == [0.0, 0.0, -10000.0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"right": np.array([0])}, "right \\+1"),
        ({"strike_usd": np.array([-1.0])}, "strike_usd above 0"),
        ({"strike_usd": np.array([np.nan])}, "strike_usd above 0"),
        ({"iv": np.array([0.0])}, "iv of 0.01 or more"),
        ({"iv": np.array([65.0])}, "decimal"),
        ({"expiry_years": np.array([np.inf])}, "finite expiry_years"),
        ({"contracts_coin": np.array([1.0, 2.0])}, "one entry for each of 1 options"),
        ({"forward_ratio": np.array([0.0])}, "forward_ratio above 0"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(change: dict[str, np.ndarray], words: str) -> None:
    book = OptionBook.single(**PLAIN)
    with pytest.raises(InputError, match=words):
        dataclasses.replace(book, **change)


def test_columns_are_read_only_and_books_add_up() -> None:
    book = mixed(5)
    with pytest.raises(ValueError, match="read-only"):
        book.iv[0] = 1.0
    both = book.merged(mixed(7, 1))
    assert (len(both), both.rows, both.gross_coin) == (12, 12, pytest.approx(book.gross_coin + mixed(7, 1).gross_coin))


def test_window_without_its_average_is_refused() -> None:
    book = OptionBook.single(**{**PLAIN, "expiry_years": WINDOW_YEARS / 2}, averaged=True)
    with pytest.raises(InputError, match="running average"):
        book_greeks(book, 0.0, SPOT, np.zeros(2), np.zeros(2))
    with pytest.raises(InputError, match="for each of 2 paths"):
        book_greeks(book, 0.0, SPOT, np.zeros(2), np.zeros(2), running_average_usd=np.ones(3))
