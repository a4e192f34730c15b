"""Sums: the same bits whatever the order, and nothing lost in cancellation (fault 24)."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from tailwag.exposure.sums import exact_sum, exact_sums_by


def test_a_million_tiny_and_one_huge_give_the_same_bits_in_any_order() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.uniform(-1e-6, 1e-6, 1_000_000), [1e18, -1e18 + 4096.0]])
    sums = {exact_sum(rng.permutation(values)) for _ in range(3)}
    assert len(sums) == 1
    assert sums == {exact_sum(values[::-1])}
    assert exact_sum(values[:-2]) + 4096.0 == sums.pop()


def test_a_sum_is_the_correctly_rounded_one() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=500) * 10.0 ** rng.integers(-12, 12, 500)
    assert exact_sum(values) == float(sum(Fraction(value) for value in values.tolist()))


def test_groups_hold_every_value_once() -> None:
    rng = np.random.default_rng(2)
    group, values = rng.integers(0, 7, 300), rng.normal(size=(2, 300))
    sums = exact_sums_by(group, values, 8)
    assert sums.shape == (2, 8)
    assert (sums[:, 7] == 0.0).all()
    for index in range(7):
        assert sums[0, index] == math.fsum(values[0, group == index])


def test_a_sum_that_no_float_holds_is_unknown_and_no_traceback() -> None:
    assert math.isnan(exact_sum([1e308, 1e308, 1e308]))
