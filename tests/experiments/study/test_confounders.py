"""What could be taken for hedging: momentum and vol that follow the trend which gamma by most rules follows too. Nobody hedges in these markets.

The gain is the past 20 days' move with its sign changed, as positions taken at strikes that price has left behind make it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from tailwag.experiments.study.inference import Design, robust_fit
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.realised import realised_design
from tailwag.experiments.study.returns import Returns, grid_returns
from tailwag.experiments.study.reversal import reversal_design
from tailwag.experiments.study.simulated import START_NS, uninformed
from tailwag.units import NS_PER_DAY, NS_PER_MINUTE

MOST = 0.05 + 2.0 * (0.05 * 0.95 / 200) ** 0.5
"""Of 200 tests at 5 %: two standard errors above."""
STEP_NS, DAY, WARM_DAYS, DAYS = 15 * NS_PER_MINUTE, 96, 35, 150


def following_gain(price: np.ndarray, draw: np.random.Generator, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Times in steps from the end of the warming on, and the gain known there: minus the past 20 days' move beside some noise, spread 0.17."""
    at = np.arange(WARM_DAYS * DAY, price.size, every)
    moved = price[at] - price[at - 20 * DAY]
    noise = draw.normal(0.0, 0.5 * moved.std(), at.size)
    raw = -(moved + noise)
    return at, 0.17 * (raw - raw.mean()) / raw.std() - 0.13


def told(price: np.ndarray, at: np.ndarray, gain: np.ndarray, iv: np.ndarray | float) -> tuple[Known, Returns]:
    returns = grid_returns(START_NS + STEP_NS * np.arange(price.size), np.exp(price), STEP_NS)
    return replace(
        uninformed(returns.end_ns[at], gain, iv=0.5),
        atm_iv_1d=iv * np.ones(at.size),
        atm_iv_7d=iv * np.exp(0.05 * np.sin(0.3 * np.arange(at.size))),
    ), returns


def trending(runs: int, *, seed: int) -> Iterator[Design]:
    """Returns continue after five days of falls and reverse otherwise, whatever dealers hold."""
    draw = np.random.default_rng(seed)
    cells = (WARM_DAYS + DAYS) * DAY
    shocks = draw.normal(0.0, 0.5 * np.sqrt(1.0 / 365 / DAY), (cells, runs))
    price, before = np.zeros((cells, runs)), np.zeros(runs)
    for step in range(1, cells):
        fell = price[step - 1] < price[max(step - 1 - 5 * DAY, 0)]
        before = np.where(fell, 0.05, -0.03) * before + shocks[step]
        price[step] = price[step - 1] + before
    for run in range(runs):
        known, returns = told(price[:, run], *following_gain(price[:, run], draw, DAY // 4), 0.5)
        yield reversal_design(known, returns, most_age_hours=12)


def levered(runs: int, *, seed: int, hours: int) -> Iterator[Design]:
    """Vol lasts, and rises after falls; implied vol knows today's with an error of 12 % that lasts too."""
    draw = np.random.default_rng(seed)
    days = WARM_DAYS + DAYS
    for _ in range(runs):
        level, blurred, price = 0.0, 0.0, [0.0]
        vols, errors = np.empty(days), np.empty(days)
        for day in range(days):
            vols[day], errors[day] = 0.5 * np.exp(level), blurred
            moves = vols[day] * np.sqrt(1.0 / 365 / DAY) * draw.normal(size=DAY)
            price.extend(price[-1] + np.cumsum(moves))
            level = 0.95 * level + draw.normal(0.0, 0.08) - 2.5 * float(moves.sum())
            blurred = 0.95 * blurred + draw.normal(0.0, 0.12 * np.sqrt(1.0 - 0.95**2))
        path = np.array(price[1:])
        at, gain = following_gain(path, draw, DAY // 4)
        iv = (vols * np.exp(errors))[np.minimum((at + 1) // DAY, days - 1)]
        known, returns = told(path, at, gain, iv)
        yield realised_design(known, returns, hours=hours, gain_below=0.9, implied=False)


def without(design: Design, *words: str) -> Design:
    """The design of the plan's second version, without past returns."""
    kept = [place for place, name in enumerate(design.names) if not any(name.startswith(word) for word in words)]
    assert len(kept) < len(design.names)
    return replace(design, regressors=design.regressors[:, kept], names=tuple(design.names[place] for place in kept))


def rejected(designs: list[Design], days: int) -> float:
    return float(np.mean([robust_fit(one, block_ns=days * NS_PER_DAY)[0].p_value < 0.05 for one in designs]))


def test_a_momentum_that_follows_the_trend_is_not_taken_for_hedging() -> None:
    designs = list(trending(20, seed=3))
    held, bare = (
        np.array([robust_fit(one, block_ns=10 * NS_PER_DAY)[0].value for one in found])
        for found in (designs, [without(one, "past ") for one in designs])
    )
    assert abs(held.mean()) < 3.0 * held.std() / np.sqrt(20)
    assert bare.mean() > 3.0 * bare.std() / np.sqrt(20)


@pytest.mark.slow
def test_a_momentum_that_follows_the_trend_is_not_taken_for_hedging_in_200_markets() -> None:
    designs = list(trending(200, seed=4))
    assert rejected(designs, 10) <= MOST
    assert rejected([without(one, "past ") for one in designs], 10) >= 0.2


@pytest.mark.slow
@pytest.mark.parametrize(("hours", "least"), [(24, 0.4), (1, 0.1)])
def test_vol_that_rises_after_falls_is_not_taken_for_hedging_in_200_markets(hours: int, least: float) -> None:
    designs = list(levered(200, seed=5, hours=hours))
    assert rejected(designs, 5) <= MOST
    assert rejected([without(one, "return, past ") for one in designs], 5) >= least
