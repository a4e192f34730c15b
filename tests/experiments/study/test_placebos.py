"""Placebos by hand: signs flipped in whole blocks, dates shifted as a whole, and where the true figure ranks."""

from __future__ import annotations

import numpy as np
import pytest
from tests.experiments.study.markets import reversals

from tailwag.errors import InputError
from tailwag.experiments.study.inference import Design
from tailwag.experiments.study.placebos import Placebo, drawn_signs, first_coefficient, shifted, shifted_dates
from tailwag.experiments.study.simulated import uninformed
from tailwag.units import NS_PER_DAY


def made(rows: int = 120) -> Design:
    draw = np.random.default_rng(4)
    x = np.column_stack([draw.normal(size=rows), np.ones(rows), draw.normal(size=rows)])
    return Design(0.5 * x[:, 0] + 0.2 * x[:, 2] + draw.normal(size=rows), x, ("x", "constant", "z"), NS_PER_DAY * np.arange(rows), {})


def test_signs_are_flipped_in_whole_blocks() -> None:
    """Each draw again by least squares on the column, cleaned of its controls and then flipped."""
    design = made()
    controls, column = design.regressors[:, 1:], design.regressors[:, 0]
    cleaned = column - controls @ np.linalg.lstsq(controls, column, rcond=None)[0]
    found = drawn_signs(design, seed=9, draws=20, days=30)
    draw = np.random.default_rng(9)
    for value in found.values:
        signs = np.repeat(draw.choice([-1.0, 1.0], 4), 30)
        columns = np.column_stack([cleaned * signs, controls])
        assert value == pytest.approx(np.linalg.lstsq(columns, design.outcome, rcond=None)[0][0], rel=1e-9)
    assert found.true == pytest.approx(first_coefficient(design))


def test_a_rank_counts_the_true_figure() -> None:
    assert Placebo("x", 2.0, np.array([-3.0, 1.0, 2.0, 0.0])).as_far == pytest.approx(3 / 5)
    assert Placebo("x", 9.0, np.array([-3.0, 1.0])).as_far == pytest.approx(1 / 3)


def test_a_shift_moves_what_was_known_and_when_it_expires() -> None:
    rows = uninformed(NS_PER_DAY * np.arange(3), np.array([0.1, 0.2, 0.3]))
    later = shifted(rows, 10)
    assert ((later.known_ns - rows.known_ns) // NS_PER_DAY).tolist() == [10] * 3
    assert ((later.next_expiry_ns - rows.next_expiry_ns) // NS_PER_DAY).tolist() == [10] * 3
    assert later.gain is rows.gain


def test_shifts_that_leave_too_little_are_passed_over() -> None:
    design = made()
    short = Design(design.outcome[:40], design.regressors[:40], design.names, design.time_ns[:40], {})
    assert shifted_dates(design, [lambda: short, lambda: design]).values.tolist() == pytest.approx([first_coefficient(design)])
    with pytest.raises(InputError, match="at least one placebo"):
        shifted_dates(design, [lambda: short])


def test_where_the_gain_is_at_work_no_drawn_sign_does_as_well() -> None:
    (design,) = reversals(1, seed=71)
    assert drawn_signs(design, seed=1, draws=99).as_far == pytest.approx(0.01)
    (nothing,) = reversals(1, seed=72, still=True)
    assert drawn_signs(nothing, seed=1, draws=99).as_far > 0.05
