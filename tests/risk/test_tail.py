"""Tails in closed form against quadrature to 20 digits, SciPy, sampling, and each other where one law is a limit of another."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tailwag.errors import InputError
from tailwag.risk.student import student_density, student_quantile, student_tail
from tailwag.risk.tail import (
    delta_gamma_tail,
    normal_tail,
    quantile_standard_error,
    short_gamma_tail,
    student_t_tail,
    with_feedback,
)

ANSWERS = json.loads((Path(__file__).parents[1] / "answers" / "tail.json").read_text())
TOLERANCE = 1e-10


def misses(kind: str, law: Any, names: tuple[str, ...], **change: float) -> float:
    """The largest relative miss of a law over the answers of one kind; ``change`` multiplies arguments (for mutations)."""
    worst = 0.0
    for row in ANSWERS[kind]:
        tail = law(row["level"], **{name: row[name] * change.get(name, 1.0) for name in names})
        for name in ("value_at_risk", "expected_shortfall"):
            worst = max(worst, abs(getattr(tail, name) / row[name] - 1.0))
    return worst


def test_t25_normal() -> None:
    assert misses("normal", normal_tail, ()) < TOLERANCE
    tail = normal_tail(0.99, mean=-3.0, deviation=2.5)
    assert tail.value_at_risk == pytest.approx(stats.norm.ppf(0.99, -3.0, 2.5), rel=1e-13)


def test_t25_student_t() -> None:
    assert misses("student_t", student_t_tail, ("degrees_of_freedom",)) < TOLERANCE
    assert misses("student_t", student_t_tail, ("degrees_of_freedom",), degrees_of_freedom=1.01) > 1e-5


def test_t25_delta_gamma() -> None:
    names = ("delta_usd", "gamma_usd", "move_deviation")
    assert misses("delta_gamma", delta_gamma_tail, names) < TOLERANCE
    assert misses("delta_gamma", delta_gamma_tail, names, move_deviation=1.0001) > 1e-5
    assert misses("delta_gamma", delta_gamma_tail, names, gamma_usd=-1.0) > 1e-2
    assert misses("delta_gamma", delta_gamma_tail, names, delta_usd=-1.0) < TOLERANCE, "a symmetric move makes delta's sign immaterial"


def test_noncentral_chi_square_of_scipy_agrees() -> None:
    rows = [row for row in ANSWERS["delta_gamma"] if row["scipy"] is not None]
    assert len(rows) >= 15
    for row in rows:
        tail = delta_gamma_tail(row["level"], delta_usd=row["delta_usd"], gamma_usd=row["gamma_usd"], move_deviation=row["move_deviation"])
        assert tail.value_at_risk == pytest.approx(row["scipy"], rel=1e-9)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99, 0.999, 0.9999])
@pytest.mark.parametrize("move", [0.002, 0.0314, 0.2])
def test_short_gamma_is_delta_gamma_without_delta(level: float, move: float) -> None:
    short = short_gamma_tail(level, gamma_usd=-5e9, move_deviation=move)
    mixed = delta_gamma_tail(level, delta_usd=0.0, gamma_usd=-5e9, move_deviation=move)
    assert short.value_at_risk == pytest.approx(mixed.value_at_risk, rel=1e-11)
    assert short.expected_shortfall == pytest.approx(mixed.expected_shortfall, rel=1e-11)


def test_short_gamma_is_a_chi_square() -> None:
    short = short_gamma_tail(0.99, gamma_usd=-5e9, move_deviation=0.0314)
    unit = 0.5 * 5e9 * 0.0314**2
    assert short.value_at_risk == pytest.approx(unit * stats.chi2.ppf(0.99, 1), rel=1e-12)
    assert short.expected_shortfall == pytest.approx(
        unit * stats.chi2.expect(args=(1,), lb=stats.chi2.ppf(0.99, 1), conditional=True), rel=1e-7
    )
    assert (round(short.value_at_risk), round(short.expected_shortfall)) == (16_354_357, 20_826_349)


@pytest.mark.parametrize("gamma_usd", [1e-6, -1e-6, 1.0, -1.0])
def test_vanishing_gamma_leaves_the_normal_tail(gamma_usd: float) -> None:
    tail = delta_gamma_tail(0.99, delta_usd=-2e8, gamma_usd=gamma_usd, move_deviation=0.03)
    normal = normal_tail(0.99, deviation=2e8 * 0.03)
    assert tail.value_at_risk == pytest.approx(normal.value_at_risk, rel=1e-9)
    assert tail.expected_shortfall == pytest.approx(normal.expected_shortfall, rel=1e-9)


def test_a_long_book_never_loses_more_than_its_delta_allows() -> None:
    for level in (0.9, 0.99, 0.999999):
        tail = delta_gamma_tail(level, delta_usd=1e8, gamma_usd=3e9, move_deviation=0.0314)
        assert tail.value_at_risk < tail.expected_shortfall <= 1e16 / (2 * 3e9)


def test_the_shortfall_is_the_mean_of_var_beyond() -> None:
    levels = 0.97 + 0.03 * (np.arange(400) + 0.5) / 400
    losses = [delta_gamma_tail(float(one), delta_usd=5e7, gamma_usd=-2e9, move_deviation=0.02).value_at_risk for one in levels]
    tail = delta_gamma_tail(0.97, delta_usd=5e7, gamma_usd=-2e9, move_deviation=0.02)
    assert np.mean(losses) == pytest.approx(tail.expected_shortfall, rel=2e-3)


@pytest.mark.parametrize("gain", [0.3, -0.5, 0.0, 0.9])
def test_t25_feedback_multiplies_once_or_twice(gain: float) -> None:
    plain = short_gamma_tail(0.99, gamma_usd=-5e9, move_deviation=0.0314)
    for including, power in ((False, 2), (True, 1)):
        gamma_usd, move = with_feedback(gain, gamma_usd=-5e9, move_deviation=0.0314, including_hedges=including)
        fed = short_gamma_tail(0.99, gamma_usd=gamma_usd, move_deviation=move)
        assert fed.value_at_risk / plain.value_at_risk == pytest.approx((1 - gain) ** -power, rel=1e-12)
        assert fed.expected_shortfall / plain.expected_shortfall == pytest.approx((1 - gain) ** -power, rel=1e-12)


def test_t25_feedback_against_a_simulated_loop() -> None:
    """A thousand-fold repeated step of the loop itself: the move r/(1 - g) and the hedge bought at the middle of its own impact."""
    random = np.random.default_rng(25)
    gain, gamma_usd, deviation, samples = 0.35, -4e9, 0.02, 1_000_000
    move = deviation * random.standard_normal(samples) / (1 - gain)
    marked = 0.5 * abs(gamma_usd) * move**2
    bought_usd, impact = abs(gamma_usd) * move, gain / abs(gamma_usd)
    paid = marked - 0.5 * impact * bought_usd**2  # bought before the second half of the move it made
    for loss, including in ((marked, False), (paid, True)):
        fed_gamma, fed_move = with_feedback(gain, gamma_usd=gamma_usd, move_deviation=deviation, including_hedges=including)
        tail = short_gamma_tail(0.99, gamma_usd=fed_gamma, move_deviation=fed_move)
        unit, z = 0.5 * abs(fed_gamma) * fed_move**2, stats.norm.ppf(0.995)
        density = stats.chi2.pdf(z * z, 1) / unit
        error = quantile_standard_error(0.99, samples=samples, density=density)
        found = float(np.quantile(loss, 0.99))
        assert abs(found - tail.value_at_risk) < 4 * error
        assert error < 0.01 * tail.value_at_risk
        mutant = tail.value_at_risk * (1 - gain) ** (1 if including else 2)
        assert abs(found - mutant) > 10 * error, "a tail without feedback must be seen to miss"


def test_quantile_error_against_repeated_samples() -> None:
    random = np.random.default_rng(7)
    found = np.quantile(random.standard_t(5, size=(2_000, 4_000)), 0.95, axis=1)
    predicted = quantile_standard_error(0.95, samples=4_000, density=student_density(student_quantile(0.95, 5), 5))
    error = predicted / math.sqrt(2 * 2_000)
    assert abs(found.std(ddof=1) - predicted) < 5 * error
    assert quantile_standard_error(0.99, samples=100_000, density=stats.norm.pdf(stats.norm.ppf(0.99))) == pytest.approx(0.0118, abs=5e-5)


@pytest.mark.parametrize("nu", [0.7, 1.5, 3.0, 30.0, 400.0])
def test_student_against_scipy(nu: float) -> None:
    for t in (0.0, 1e-6, 0.3, 1.0, 4.0, 30.0, 1e4):
        assert student_tail(t, nu) == pytest.approx(stats.t.sf(t, nu), rel=1e-10)
        assert student_density(t, nu) == pytest.approx(stats.t.pdf(t, nu), rel=1e-10)


def test_heavier_tails_lose_more_than_normal_ones_of_equal_deviation() -> None:
    heavy = student_t_tail(0.999, degrees_of_freedom=4, scale=math.sqrt(0.5))  # standard deviation 1
    assert heavy.value_at_risk > 1.3 * normal_tail(0.999).value_at_risk
    assert student_t_tail(0.99, degrees_of_freedom=1e7).value_at_risk == pytest.approx(normal_tail(0.99).value_at_risk, rel=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: normal_tail(99.0),
        lambda: normal_tail(1.0),
        lambda: normal_tail(math.nan),
        lambda: normal_tail(0.99, deviation=0.0),
        lambda: student_t_tail(0.99, degrees_of_freedom=1.0),
        lambda: student_t_tail(0.99, degrees_of_freedom=math.inf),
        lambda: short_gamma_tail(0.99, gamma_usd=5e9, move_deviation=0.03),
        lambda: short_gamma_tail(0.99, gamma_usd=-5e9, move_deviation=-0.03),
        lambda: delta_gamma_tail(0.99, delta_usd=0.0, gamma_usd=0.0, move_deviation=0.03),
        lambda: delta_gamma_tail(0.99, delta_usd=math.nan, gamma_usd=1.0, move_deviation=0.03),
        lambda: with_feedback(1.0, gamma_usd=-1.0, move_deviation=0.1, including_hedges=True),
        lambda: quantile_standard_error(0.99, samples=0, density=1.0),
    ],
)
def test_nonsense_is_refused_with_what_to_do(call: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        call()
