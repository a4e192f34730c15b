"""The compiled search for clearing prices against the plain one: the same prices to the bit, whatever the demand."""

from __future__ import annotations

import numpy as np
import pytest
from tests.sim import clearing_plain

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.kernels.clearing import excess_rows
from tailwag.sim.clearing import clear

PATHS = 400


class Crowd:
    """On every path hedgers around strikes, a level that fires once, and noise: x -> excess and slope, NaN where it was not asked."""

    def __init__(self, seed: int, *, fires: float) -> None:
        rng = np.random.default_rng(seed)
        self.size, self.strike = rng.normal(0.0, 1.2, (5, PATHS)), rng.uniform(-0.03, 0.03, (5, PATHS))
        self.width, self.push = rng.uniform(0.002, 0.01, (5, PATHS)), rng.normal(0.0, 0.01, PATHS) * rng.integers(0, 2, PATHS)
        self.level, self.fires, self.steady = rng.uniform(0.0, 0.02, PATHS), fires, rng.uniform(-0.5, 0.4, PATHS)
        self.asked = 0

    def __call__(self, x: FloatArray, wanted: BoolArray) -> tuple[FloatArray, FloatArray]:
        self.asked += int(wanted.sum())
        u = (x - self.strike) / self.width
        start = np.tanh(-self.strike / self.width)
        value = self.push + self.steady * x + (self.size * self.width * (np.tanh(u) - start)).sum(axis=0)
        value = value - self.fires * (x < -self.level) + self.fires * (x > self.level)
        slope = self.steady + (self.size / np.cosh(np.clip(u, -300.0, 300.0)) ** 2).sum(axis=0) - 1.0
        return np.where(wanted, value - x, np.nan), np.where(wanted, slope, np.nan)


@pytest.mark.parametrize("jumps", [False, True])
@pytest.mark.parametrize("fires", [0.0, 0.004])
@pytest.mark.parametrize("scale", [0.0005, np.inf])
def test_finds_what_the_plain_search_finds(jumps: bool, fires: float, scale: float) -> None:
    theirs, ours = Crowd(5, fires=fires), Crowd(5, fires=fires)
    start, scales = np.linspace(-0.01, 0.01, PATHS), np.full(PATHS, scale)
    plain = clearing_plain.clear(theirs, start, bound_log=0.05, scale_log=scales, jumps=jumps)
    fast = clear(ours, start, bound_log=0.05, scale_log=scales, jumps=jumps)
    assert fast.found.tolist() == plain.found.tolist()
    assert (fast.log_price == plain.log_price).all()
    assert ours.asked <= theirs.asked
    assert 0 < fast.found.sum() < PATHS  # some run away


def test_a_path_alone_clears_as_among_others() -> None:
    crowd = Crowd(7, fires=0.004)
    together = clear(crowd, np.zeros(PATHS), bound_log=0.05, scale_log=np.full(PATHS, 0.001), jumps=True)
    for path in (0, 17, 399):

        def alone(x: FloatArray, wanted: BoolArray, path: int = path) -> tuple[FloatArray, FloatArray]:
            value, slope = crowd(np.full(PATHS, x[0]), np.ones(PATHS, dtype=np.bool_))
            return value[path : path + 1], slope[path : path + 1]

        assert clear(alone, np.zeros(1), bound_log=0.05, scale_log=np.full(1, 0.001), jumps=True).log_price[0] == together.log_price[path]


def test_excess_of_many_demands() -> None:
    """Against the formula in NumPy, on a choice of paths; the others keep what they had."""
    rng = np.random.default_rng(3)
    answers, fixed = rng.normal(size=(3, 4, 5)) * 1e6, rng.normal(size=(2, 9)) * 1e6
    market, price = np.array((rng.uniform(5e4, 7e4, 9), rng.normal(size=9) * 0.01, rng.uniform(1.0, 2.0, 9))), rng.normal(size=9) * 0.01
    chosen, out = np.array([0, 2, 3, 7, 8]), np.full((2, 9), 7.0)
    excess_rows(answers, chosen, fixed, market, 2e-11, 3e-7, price, out)
    usd, coin, slope_usd, slope_coin = answers.sum(axis=0)
    (spot, log_pre, thin), usd, coin = market[:, chosen], fixed[0, chosen] + usd, fixed[1, chosen] + coin
    moved = thin * (2e-11 * (usd + coin * spot) + 3e-7 * (coin + usd / spot))
    steep = thin * (2e-11 * (slope_usd + slope_coin * spot) + 3e-7 * (slope_coin + slope_usd / spot))
    assert out[0, chosen] == pytest.approx(log_pre + moved - price[chosen], rel=1e-13)
    assert out[1, chosen] == pytest.approx(steep - 1.0, rel=1e-13)
    assert (out[:, [1, 4, 5, 6]] == 7.0).all()
