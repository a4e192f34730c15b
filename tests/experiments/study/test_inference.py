"""Robust errors and the bootstrap against formulas written out by hand; Holm by his own example; what cannot be fitted is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tailwag.errors import InputError, MissingPackageError
from tailwag.experiments.study.inference import Design, block_bootstrap, holm, robust_fit, with_blocks
from tailwag.experiments.study.pinning import sign_flips


def made(rows: int = 300, seed: int = 5, slope: float = 0.7) -> Design:
    draw = np.random.default_rng(seed)
    x = np.column_stack([draw.normal(size=rows), np.ones(rows)])
    noise = np.convolve(draw.normal(size=rows + 4), np.ones(5), mode="valid") * (1.0 + np.abs(x[:, 0]))
    return Design(slope * x[:, 0] - 0.2 + noise, x, ("x", "constant"), np.arange(rows) * 10, {})


def without_each(design: Design, block_ns: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Fitted anew without the rows of every block in turn."""
    x, y = design.regressors, design.outcome
    number = [int(at) // block_ns for at in design.time_ns]
    whole = np.linalg.lstsq(x, y, rcond=None)[0]
    others = [[row for row, one in enumerate(number) if one != block] for block in sorted(set(number))]
    fits = [np.linalg.lstsq(x[rows], y[rows], rcond=None)[0] for rows in others]
    count = len(fits)
    return whole, np.sqrt((count - 1) / count * sum((fit - whole) ** 2 for fit in fits)), count


@pytest.mark.parametrize(("block_ns", "blocks", "student"), [(100, 30, 2.04523), (470, 7, 2.44691), (10, 300, 1.96793)])
def test_errors_come_from_leaving_blocks_out(block_ns: int, blocks: int, student: float) -> None:
    design = made()
    found = robust_fit(design, block_ns=block_ns)
    value, error, count = without_each(design, block_ns)
    assert count == blocks == found[0].blocks
    assert [one.value for one in found] == pytest.approx(value.tolist(), rel=1e-9)
    assert [one.error for one in found] == pytest.approx(error.tolist(), rel=1e-7)
    assert [(one.high - one.low) / 2.0 / one.error for one in found] == pytest.approx([student, student], rel=1e-5)


def test_power_is_where_four_of_five_samples_reject() -> None:
    """With 29 degrees of freedom 2.0452 + 0.8542 errors: Student's t at 97.5 and 80 %."""
    one = robust_fit(made(), block_ns=100)[0]
    assert one.seen_at == pytest.approx((2.04523 + 0.85419) * one.error, rel=1e-5)


def test_the_bootstrap_is_that_of_whole_blocks_laid_end_to_end() -> None:
    """Every draw again, row by row: the rows whose times fall in the drawn blocks, around the end."""
    design = made(60)
    found = block_bootstrap(design, block_ns=90, draws=20, seed=4)
    span = int(design.time_ns[-1]) + 1
    starts = np.random.default_rng(4).integers(0, span, (20, -(-span // 90)))
    for draw, begins in enumerate(starts):
        rows = [row for begin in begins for row, at in enumerate(design.time_ns) if begin <= at < begin + 90 or at < begin + 90 - span]
        fitted = np.linalg.lstsq(design.regressors[rows], design.outcome[rows], rcond=None)[0]
        assert found[draw] == pytest.approx(fitted, rel=1e-8)
    inside = with_blocks(robust_fit(design, block_ns=50), found)[0]
    assert inside.block_low == pytest.approx(np.percentile(found[:, 0], 2.5))
    assert inside.block_high == pytest.approx(np.percentile(found[:, 0], 97.5))


def test_both_intervals_must_leave_zero_out() -> None:
    one = robust_fit(made(slope=3.0), block_ns=100)[0]
    assert one.rejects_zero
    assert not robust_fit(made(slope=0.0), block_ns=100)[0].rejects_zero
    low, wide = one.value - 0.1, one.value + 0.1
    draws = np.column_stack([np.linspace(low, wide, 101), np.zeros(101)])
    assert with_blocks([one], draws)[0].rejects_zero
    assert not with_blocks([one], draws - one.value)[0].rejects_zero
    assert not with_blocks([one], draws - 2.0 * one.value)[0].rejects_zero, "two intervals on different sides agree on nothing"


def test_holm_stops_at_the_first_that_is_not_small_enough() -> None:
    assert holm({"a": 0.011, "b": 0.02, "c": 0.001, "d": 0.9}) == {"a": True, "b": True, "c": True, "d": False}
    assert holm({"a": 0.011, "b": 0.03, "c": 0.001, "d": 0.026}) == {"a": True, "b": False, "c": True, "d": False}, (
        "0.026 is above 0.05 / 2"
    )
    assert holm({"a": 0.02, "b": 0.02, "c": 0.02}) == {"a": False, "b": False, "c": False}


def test_sign_flips_give_the_exact_share_of_small_samples() -> None:
    """Of eight signs of three values, the mean is as far from 0 as 1 + 2 + 4 in two."""
    values = np.array([1.0, 2.0, 4.0])
    assert sign_flips(values, draws=9_999, seed=2) == pytest.approx(2 / 8, abs=0.02)
    assert sign_flips(values * [1, 1, -1], draws=9_999, seed=2) == pytest.approx(8 / 8, abs=1e-12), (
        "a mean of 1/3 of any sign: nothing is nearer"
    )


def test_what_cannot_be_fitted_is_refused() -> None:
    design = made(60)
    with pytest.raises(InputError, match="longer history"):
        robust_fit(Design(design.outcome[:8], design.regressors[:8], design.names, design.time_ns[:8], {}), block_ns=50)
    twice = np.column_stack([design.regressors, design.regressors[:, 0] * 2.0])
    with pytest.raises(InputError, match="follow from the others"):
        robust_fit(Design(design.outcome, twice, (*design.names, "x twice"), design.time_ns, {}), block_ns=50)
    with pytest.raises(InputError, match="finite"):
        robust_fit(Design(design.outcome * np.nan, design.regressors, design.names, design.time_ns, {}), block_ns=50)
    with pytest.raises(InputError, match="columns of"):
        Design(design.outcome, design.regressors, ("x",), design.time_ns, {})


def test_without_scipy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'tailwag\[study\]'"):
        robust_fit(made(), block_ns=100)
