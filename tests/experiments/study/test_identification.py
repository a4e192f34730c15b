"""Signs of parts of the book from returns: found where the parts move apart, and said to be one where they move together."""

from __future__ import annotations

import numpy as np
import pytest
from tests.experiments.study.markets import HALF_DAY

from tailwag.errors import InputError
from tailwag.experiments.study.identification import Identification, _turn, identification
from tailwag.experiments.study.simulated import GAINS, simulated_moves, stretched
from tailwag.units import NS_PER_DAY


def found(*, together: bool, seed: int = 5, segments: int = 300) -> Identification:
    """Half days in which dealers are short one part of the book and long the other; late hedging at their difference."""
    draw = np.random.default_rng(seed)
    calls = draw.choice([0.1, 0.2, 0.3, 0.4], segments)
    puts = calls.copy() if together else draw.choice([0.1, 0.2, 0.3, 0.4], segments)
    puts = puts + draw.normal(0.0, 0.002, segments)
    gains = np.asarray(GAINS)[np.abs((calls - puts)[:, None] - np.asarray(GAINS)).argmin(axis=1)]
    made = stretched(simulated_moves(gains, HALF_DAY, late=True, seed=seed), gains, gap=True)
    return identification(made.known, made.returns, {"calls": calls, "puts": puts}, most_age_hours=13, block_ns=5 * NS_PER_DAY)


def test_short_calls_and_long_puts_are_seen_where_they_move_apart() -> None:
    calls, puts = found(together=False).signs
    assert abs(calls.value - 1.0) < 4.0 * calls.error
    assert abs(puts.value + 1.0) < 4.0 * puts.error
    assert calls.low > 0.0 > puts.high
    assert calls.error < 0.2


def test_where_they_move_together_only_their_sum_is_seen() -> None:
    told = found(together=True)
    best, worst = told.contrasts
    assert told.correlation[0, 1] > 0.99
    assert best.information > 0.999
    assert abs(best.weights["calls"] - best.weights["puts"]) < 0.02
    assert abs(best.estimate.value) < 4.0 * best.estimate.error, "short one and long the other: the sum is nothing"
    assert worst.estimate.error > 20.0 * best.estimate.error
    assert told.signs[0].error > 10.0 * best.estimate.error


def test_contrasts_are_the_signs_turned() -> None:
    told = found(together=False)
    signs = np.array([one.value for one in told.signs])
    for contrast in told.contrasts:
        assert contrast.estimate.value == pytest.approx(np.array(list(contrast.weights.values())) @ signs, rel=1e-8)
    assert sum(one.information for one in told.contrasts) == pytest.approx(1.0)


def test_a_turn_keeps_lengths_and_begins_with_its_direction() -> None:
    direction = np.array([0.6, -0.8, 0.0])
    turn = _turn(direction)
    assert turn.T @ turn == pytest.approx(np.eye(3), abs=1e-12)
    assert turn[:, 0] == pytest.approx(direction)


def test_one_part_is_refused() -> None:
    with pytest.raises(InputError, match="two parts"):
        identification(None, None, {"calls": np.zeros(1)}, most_age_hours=1, block_ns=1)  # type: ignore[arg-type]
