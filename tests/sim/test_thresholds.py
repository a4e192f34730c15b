"""Levels that were passed, in one pass, against plain comparisons: the same paths in the same order."""

from __future__ import annotations

import numpy as np
import pytest

from tailwag.kernels.thresholds import due_or_far, passed


@pytest.mark.parametrize("paths", [0, 1, 6, 3000])
def test_the_paths_that_passed_a_level(paths: int) -> None:
    """At, inside and beyond levels, without levels, stopped paths, nobody and everybody."""
    rng = np.random.default_rng(paths)
    values = rng.integers(-3, 4, paths) / 4.0
    low, high = rng.choice([-0.75, -0.5, -np.inf, 0.0], paths), rng.choice([0.75, 0.5, np.inf], paths)
    for wanted in (rng.random(paths) < 0.6, np.zeros(paths, dtype=np.bool_), np.ones(paths, dtype=np.bool_)):
        found = np.empty(paths, dtype=np.int64)
        number = passed(values, low, high, wanted, found)
        assert (found[:number] == np.flatnonzero(wanted & ((values <= low) | (values >= high)))).all()


@pytest.mark.parametrize("levels", [(-0.5, 0.5), (-np.inf, 0.25), (0.0, 0.0)])
def test_who_is_old_and_who_moved_far(levels: tuple[float, float]) -> None:
    rng = np.random.default_rng(2)
    age, moved = rng.integers(0, 5, 500) / 4.0, rng.integers(-3, 4, 500) / 4.0
    due, far = np.empty(500, dtype=np.bool_), np.empty(500, dtype=np.int64)
    number = due_or_far(age, moved, 0.75, levels, due, far)
    assert (due == (age >= 0.75)).all()
    assert (far[:number] == np.flatnonzero((moved <= levels[0]) | (moved >= levels[1]))).all()
