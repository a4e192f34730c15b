"""The building blocks against mpmath: relative accuracy is the point of them."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

from tailwag.kernels.normal import exponential, log_ratio, mills, mills_pair, near_mills, near_mills_alone

mp.mp.dps = 50
LN_LARGEST = 700.0


def exact_mills(a: float) -> mp.mpf:
    with mp.workdps(50):
        return mp.sqrt(mp.pi / 2) * mp.erfc(mp.mpf(a) / mp.sqrt(2)) * mp.exp(mp.mpf(a) ** 2 / 2)


def test_exponential_keeps_its_last_digit_and_ends_in_zero() -> None:
    draws = np.random.default_rng(1).uniform(-708.0, 100.0, 500)
    assert max(abs(float(exponential(x) / mp.exp(mp.mpf(x)) - 1)) for x in [*draws, 0.0, -1e-12]) < 4e-16
    assert exponential(0.0) == 1.0
    assert exponential(-708.5) == 0.0
    assert exponential(-1e200) == 0.0
    assert math.isnan(exponential(math.nan)) or exponential(math.nan) == 0.0


@pytest.mark.parametrize("spread", [1e-15, 1e-9, 1e-3, 0.3, 5.0, 300.0])
def test_log_ratio_is_relatively_exact_however_close_the_two_are(spread: float) -> None:
    rng = np.random.default_rng(2)
    for _ in range(100):
        a = math.exp(rng.uniform(-100, 100))
        b = a * math.exp(rng.uniform(-spread, spread))
        exact = mp.log(mp.mpf(a) / mp.mpf(b))
        assert abs(log_ratio(a, b) - exact) <= 6e-16 * abs(exact)


@pytest.mark.parametrize("edge", [2 / 3, 0.75, 1.0, 4 / 3, 1.5, 2**0.5, 0.5, 2.0])
def test_log_ratio_has_no_seam_where_the_power_of_two_changes(edge: float) -> None:
    for b in (1.0, 1.0 + 2**-52, 1.3, 2.0 - 2**-52, 3e-60):
        for nudge in (-(2**-51), 0.0, 2**-51):
            a = b * edge * (1.0 + nudge)
            exact = mp.log(mp.mpf(a) / mp.mpf(b))
            assert abs(log_ratio(a, b) - exact) <= 6e-16 * abs(exact)


def test_near_mills_alone_agrees_with_the_pair() -> None:
    for a in np.random.default_rng(6).uniform(0.0, 12.0, 200):
        assert near_mills_alone(a) == pytest.approx(near_mills(a, 1.0)[0], rel=2e-15)


def test_log_ratio_of_equals_is_zero() -> None:
    assert log_ratio(60000.0, 60000.0) == 0.0


def test_mills_ratio_from_minus_one_to_the_dead_wings() -> None:
    places = [-1.0, 0.0, *np.random.default_rng(3).uniform(-1.0, 45.0, 400)]
    assert max(abs(float(mills(a) / exact_mills(a) - 1)) for a in places) < 1.5e-15


def test_mills_difference_is_exact_where_subtraction_has_no_digit_left() -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        low = rng.uniform(-1.0, 38.0)
        high = low + math.exp(rng.uniform(math.log(1e-12), math.log(20.0)))
        first, second, slope = mills_pair(low, high)
        exact = (exact_mills(low) - exact_mills(high)) / (mp.mpf(high) - mp.mpf(low))
        assert abs(float(slope / exact - 1)) < 3e-15
        assert abs(float(first / exact_mills(low) - 1)) < 3e-15
        assert abs(float(second / exact_mills(high) - 1)) < 3e-15


def test_the_coefficients_are_those_that_the_tool_derives() -> None:
    from tools.make_normal_coefficients import TARGET, module_text

    assert TARGET.read_text() == module_text()


def test_nothing_is_compiled_at_import() -> None:
    script = (
        "import sys; from numba.core import event\n"
        "class Count(event.Listener):\n"
        "    def on_start(self, e): raise SystemExit('compiled ' + str(e.data))\n"
        "    def on_end(self, e): pass\n"
        "event.register('numba:compile', Count())\n"
        "import tailwag.kernels.black, tailwag.kernels.implied, tailwag.kernels.netgreeks, tailwag.kernels.settlement\n"
        "assert 'scipy.special' not in sys.modules and 'scipy.optimize' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stderr


def test_near_mills_is_exact_as_far_as_a_sum_can_tell() -> None:
    places = np.random.default_rng(5).uniform(0.0, 8.5, (200, 2))
    for a, b in places:
        first, second = near_mills(a, b)
        assert abs(float(first / exact_mills(a) - 1)) < 2e-15
        assert abs(float(second / exact_mills(b) - 1)) < 2e-15
    assert near_mills(9.0, 1e30) == near_mills(8.5, 8.5)
