"""Curves: the interpolated fallback goes through its knots, never overshoots, and keeps Lee's bound in its wings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailwag.kernels import svi
from tailwag.surface.curves import FlatCurve, KnotCurve, SviCurve, monotone_slopes

knots = st.lists(st.tuples(st.floats(0.01, 0.5), st.floats(0.001, 2.0)), min_size=2, max_size=12)


def curve_of(pairs: list[tuple[float, float]]) -> KnotCurve:
    return KnotCurve.through(np.cumsum([gap for gap, _ in pairs]) - 1.0, np.array([w for _, w in pairs]))


@given(pairs=knots)
@settings(max_examples=80, deadline=None)
def test_passes_its_knots_and_never_overshoots_inside(pairs: list[tuple[float, float]]) -> None:
    curve = curve_of(pairs)
    x, y = curve.log_moneyness, curve.variance
    assert curve.derivatives(x)[0] == pytest.approx(y, rel=1e-10)
    slopes = monotone_slopes(np.asarray(x), np.asarray(y))
    if slopes[0] != curve.slope[0] or slopes[-1] != curve.slope[-1]:
        return  # a clipped wing slope bends the outermost pieces
    for left in range(x.size - 1):
        inside = curve.derivatives(np.linspace(x[left], x[left + 1], 21))[0]
        assert inside.min() >= min(y[left], y[left + 1]) - 1e-12
        assert inside.max() <= max(y[left], y[left + 1]) + 1e-12


@given(pairs=knots)
@settings(max_examples=60, deadline=None)
def test_wings_are_straight_and_inside_lee(pairs: list[tuple[float, float]]) -> None:
    curve = curve_of(pairs)
    for far in (curve.log_moneyness[0] - 5.0, curve.log_moneyness[-1] + 5.0):
        value, slope, bend = curve.derivatives(np.array([far]))
        assert value[0] > 0.0
        assert abs(slope[0]) <= svi.MAX_WING_SLOPE
        assert slope[0] * np.sign(far - curve.log_moneyness[0] - 1e-9) >= 0.0
        assert bend[0] == 0.0


def test_slopes_of_scipy() -> None:
    from scipy.interpolate import PchipInterpolator

    x = np.array([-1.0, -0.4, -0.1, 0.0, 0.3, 0.9])
    y = np.array([0.9, 0.5, 0.31, 0.3, 0.35, 0.36])
    assert monotone_slopes(x, y) == pytest.approx(PchipInterpolator(x, y).derivative()(x), rel=1e-12)


@pytest.mark.parametrize(
    "curve", [curve_of([(0.3, 0.5), (0.4, 0.2), (0.3, 0.25), (0.5, 0.6)]), SviCurve(np.array([0.04, 0.1, -0.4, 0.0, 0.3]))]
)
def test_slopes_are_finite_differences(curve: KnotCurve | SviCurve) -> None:
    k = np.array([-1.2, -0.55, -0.2, 0.05, 0.31, 1.7])
    step = 1e-6
    _, slope, _ = curve.derivatives(k)
    assert slope == pytest.approx((curve.derivatives(k + step)[0] - curve.derivatives(k - step)[0]) / (2 * step), abs=1e-6)


def test_a_flat_curve_is_black_scholes() -> None:
    assert FlatCurve(0.04).butterfly_minimum(-1.0, 1.0) == (1.0, 0.0)
    assert [part.tolist() for part in FlatCurve(0.04).derivatives(np.array([-1.0, 2.0]))] == [[0.04, 0.04], [0.0, 0.0], [0.0, 0.0]]


def test_butterflies_between_knots_are_seen() -> None:
    bump = KnotCurve.through(np.array([-0.2, -0.1, 0.0, 0.1, 0.2]), np.array([0.05, 0.04, 0.08, 0.04, 0.05]))
    lowest, where = bump.butterfly_minimum(-0.2, 0.2)
    assert lowest < -1.0
    assert abs(where) < 0.1
