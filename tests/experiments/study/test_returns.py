"""Candles on a grid, their scale and realised vol, against plain loops over dictionaries."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.experiments.study.expiry import expiry_days
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.returns import Returns, grid_returns, hourly, realised_vol, trailing_scale
from tailwag.experiments.study.rows import weekday, weekend_share
from tailwag.units import NS_PER_DAY, NS_PER_HOUR

STEP = 15 * 60 * 10**9
YEAR_STEPS = 365 * 96


def closes(seed: int, cells: int = 400, missing: float = 0.03) -> dict[int, float]:
    """Close by cell, some missing."""
    draw, price, found = random.Random(seed), 100.0, {}
    for cell in range(cells):
        price *= math.exp(draw.gauss(0.0, 0.003))
        if cell in (0, cells - 1) or draw.random() > missing:
            found[cell] = price
    return found


def made(found: dict[int, float]) -> Returns:
    return grid_returns(np.array([STEP * cell for cell in found]), np.array(list(found.values())), STEP)


@pytest.fixture(scope="module")
def market() -> tuple[dict[int, float], Returns]:
    found = closes(3)
    return found, made(found)


def move(found: dict[int, float], cell: int) -> float | None:
    return math.log(found[cell] / found[cell - 1]) if cell in found and cell - 1 in found else None


def test_returns_are_between_neighbours_and_no_gap_is_bridged(market: tuple[dict[int, float], Returns]) -> None:
    found, returns = market
    for cell, value in enumerate(returns.log_return):
        known = move(found, cell)
        assert math.isnan(value) if known is None else value == pytest.approx(known, abs=1e-12)
        assert returns.end_ns[cell] == STEP * (cell + 1)
    assert np.isnan(returns.log_return).sum() > 10


def test_the_scale_knows_only_what_came_before(market: tuple[dict[int, float], Returns]) -> None:
    found, returns = market
    scale = trailing_scale(returns, 40, least=36)
    for cell in range(returns.log_return.size):
        past = [value for back in range(max(cell - 40, 0), cell) if (value := move(found, back)) is not None]
        if len(past) < 36:
            assert math.isnan(scale[cell])
        else:
            assert scale[cell] == pytest.approx(math.sqrt(sum(value**2 for value in past) / len(past)), rel=1e-9)


def test_realised_vol_of_a_window(market: tuple[dict[int, float], Returns]) -> None:
    found, returns = market
    starts = [0, 7, 60, 150, 371, 380]
    vol = realised_vol(returns, STEP * np.array(starts), STEP * (np.array(starts) + 24), least_share=0.8)
    for start, value in zip(starts, vol):
        inside = [one for cell in range(start, start + 24) if (one := move(found, cell)) is not None]
        if start + 24 > 400 or len(inside) < 0.8 * 24:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(math.sqrt(sum(one**2 for one in inside) / len(inside) * YEAR_STEPS), rel=1e-9)
    assert np.isfinite(vol).sum() >= 3


def test_hours_are_sums_of_their_quarters(market: tuple[dict[int, float], Returns]) -> None:
    found, returns = market
    hours = hourly(returns, 4)
    for end, value in zip(hours.end_ns, hours.log_return):
        last = int(end // STEP) - 1
        parts = [move(found, last - back) for back in range(4)]
        assert end % NS_PER_HOUR == 0
        assert math.isnan(value) if None in parts else value == pytest.approx(sum(parts), abs=1e-12)  # type: ignore[arg-type]


def test_what_is_not_on_the_grid_is_refused() -> None:
    with pytest.raises(InputError, match="whole steps"):
        grid_returns(np.array([0, STEP + 1]), np.ones(2), STEP)
    with pytest.raises(InputError, match="cut the history"):
        grid_returns(np.array([0, STEP * 10**8]), np.ones(2), STEP)


def test_the_calendar() -> None:
    friday = 20_510 * NS_PER_DAY  # 2026-02-26 was a Thursday
    assert weekday(np.array([friday, friday + NS_PER_DAY])).tolist() == [3, 4]
    assert weekend_share(np.array([friday + NS_PER_DAY + 12 * NS_PER_HOUR]), 24).tolist() == [0.5]
    days = expiry_days(made({cell: 1.0 + 0.01 * (cell % 3) for cell in range(96 * 4)}))
    assert (days % NS_PER_DAY == 8 * NS_PER_HOUR).all()
    assert days.tolist() == [(day * 24 + 8) * NS_PER_HOUR for day in (1, 2, 3)]


def test_only_what_is_known_and_young_enough_stands() -> None:
    rows = Known(np.array([10, 20, 30]) * NS_PER_HOUR, *[np.zeros(3)] * 9)
    at = np.array([9, 10, 19, 20, 29, 30, 42, 43]) * NS_PER_HOUR
    assert rows.row_at(at, most_age_hours=12).tolist() == [-1, 0, 0, 1, 1, 2, 2, -1]
