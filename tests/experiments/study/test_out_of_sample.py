"""Forecasts on simulated markets: they know nothing of their own day, and get better exactly where the gain is at work."""

from __future__ import annotations

import numpy as np
import pytest
from tests.experiments.study.markets import vols

from tailwag.errors import InputError
from tailwag.experiments.study.inference import Design
from tailwag.experiments.study.out_of_sample import IMPLIED, PAST, out_of_sample
from tailwag.experiments.study.realised import AMPLIFICATION
from tailwag.units import NS_PER_DAY

NAMES = (AMPLIFICATION, "constant", IMPLIED, PAST)


def made(seed: int = 2, *, slope: float = 1.0, days: int = 150) -> Design:
    draw = np.random.default_rng(seed)
    gain, noise = draw.normal(0.0, 0.2, days), draw.normal(0.0, 0.1, days)
    implied = -0.5 + draw.normal(0.0, 0.1, days)
    outcome = slope * gain + 0.8 * implied + noise
    columns = np.column_stack([gain, np.ones(days), implied, np.concatenate([[0.0], outcome[:-1]])])
    return Design(outcome, columns, NAMES, NS_PER_DAY * np.arange(days), {})


def test_it_forecasts_as_by_hand() -> None:
    """Row by row: fitted on the rows at least a day older, from the sixtieth day on."""
    design = made()
    found = out_of_sample(design, horizon_ns=NS_PER_DAY)
    with_it, without = [], []
    for row in range(60, 150):
        for columns, errors in (([0, 1, 2, 3], with_it), ([1, 2, 3], without)):
            x = design.regressors[:, columns]
            fitted = np.linalg.pinv(x[:row]) @ design.outcome[:row]
            errors.append(design.outcome[row] - x[row] @ fitted)
    assert found.rows == 90
    assert found.r2 == pytest.approx(1.0 - np.sum(np.square(with_it)) / np.sum(np.square(without)), rel=1e-9)
    losses = np.exp(2.0 * np.array(without)) - 2.0 * np.array(without) - 1.0
    assert found.qlike["without"] == pytest.approx(losses.mean(), rel=1e-9)
    adjusted = np.square(without) - (np.square(with_it) - np.square(np.array(with_it) - np.array(without)))
    assert found.clark_west.value == pytest.approx(adjusted.mean(), rel=1e-9)
    assert found.clark_west.p_value < 1e-3
    assert min(found.qlike, key=lambda name: found.qlike[name]) in ("with", "held at 1")


def test_the_last_outcome_is_in_no_forecast() -> None:
    """Moved by a tenth, it changes the sum of adjusted differences by what its own row gives, and no other row."""
    design = made()
    short = out_of_sample(Design(design.outcome[:-1], design.regressors[:-1], NAMES, design.time_ns[:-1], {}), horizon_ns=NS_PER_DAY)
    moved = out_of_sample(
        Design(np.concatenate([design.outcome[:-1], design.outcome[-1:] + 0.1]), design.regressors, NAMES, design.time_ns, {}),
        horizon_ns=NS_PER_DAY,
    )
    whole = out_of_sample(design, horizon_ns=NS_PER_DAY)
    fits = [np.linalg.pinv(design.regressors[:149][:, columns]) @ design.outcome[:149] for columns in ([0, 1, 2, 3], [1, 2, 3])]
    told, plain = (float(design.regressors[149, columns] @ fit) for columns, fit in zip(([0, 1, 2, 3], [1, 2, 3]), fits))
    for found, last in ((whole, design.outcome[149]), (moved, design.outcome[149] + 0.1)):
        own = (last - plain) ** 2 - ((last - told) ** 2 - (plain - told) ** 2)
        assert 90 * found.clark_west.value - 89 * short.clark_west.value == pytest.approx(own, abs=1e-9)


def test_what_says_nothing_helps_nothing() -> None:
    found = [out_of_sample(made(seed, slope=0.0), horizon_ns=NS_PER_DAY) for seed in range(30)]
    assert np.mean([one.r2 for one in found]) < 0.0
    assert np.mean([one.clark_west.p_value < 0.05 for one in found]) <= 0.15


def test_too_short_a_history_is_refused() -> None:
    with pytest.raises(InputError, match="at least 20 forecasts"):
        out_of_sample(made(days=70), horizon_ns=NS_PER_DAY)


@pytest.mark.slow
def test_on_simulated_markets_the_gain_improves_the_forecast() -> None:
    found = [out_of_sample(design, horizon_ns=NS_PER_DAY) for design in vols(20, seed=61, blind=True, days=240)]
    assert all(one.r2 > 0.2 for one in found)
