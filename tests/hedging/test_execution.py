"""Schedules against linear algebra and a quadratic programme, and the printed numbers of Almgren and Chriss."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import RuleError
from tailwag.hedging.execution import AlmgrenChriss, AlmgrenChrissOrder, AtOnce, Execution, Maker, ObizhaevaWang, Twap, checked_weights

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "impact.json").read_text())
Row = dict[str, Any]
PRINTED = AlmgrenChrissOrder(
    1e6, horizon=5.0, slices=5, vol=0.95, fixed_cost=0.0625, permanent=2.5e-7, temporary=2.5e-6, risk_aversion=1e-6
)


@pytest.mark.parametrize("row", ANSWERS["almgren_chriss"])
def test_T12_almgren_chriss_is_the_optimum(row: Row) -> None:
    order = AlmgrenChrissOrder(**row["order"], fixed_cost=0.0)
    assert order.schedule.weights() == pytest.approx(row["weights"], rel=1e-9)
    assert order.expected_cost() == pytest.approx(row["cost_without_spread"], rel=1e-10)
    assert order.cost_sd() == pytest.approx(row["sd"], rel=1e-9)


def test_T12_printed_numbers_of_almgren_and_chriss() -> None:
    assert PRINTED.temporary_net == pytest.approx(2.375e-6, rel=1e-12)
    assert PRINTED.kappa == pytest.approx(0.607076, abs=5e-7)
    assert 1.0 / PRINTED.kappa == pytest.approx(1.6472, abs=5e-5)
    assert PRINTED.holdings()[:4] == pytest.approx([541955.6, 289854.2, 147897.5, 62141.8], abs=0.06)
    assert PRINTED.expected_cost() == pytest.approx(911_227.0, abs=0.06)
    assert PRINTED.cost_sd() == pytest.approx(603_430.7, abs=0.06)
    even = Twap(5).weights()
    assert PRINTED.expected_cost(even) == pytest.approx(662_500.0, abs=1e-6)
    assert PRINTED.cost_sd(even) == pytest.approx(1_040_672.9, abs=0.06)
    at_once = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
    assert PRINTED.expected_cost(at_once) == pytest.approx(2_562_500.0, abs=1e-6)
    assert PRINTED.cost_sd(at_once) == 0.0


def test_no_shift_between_slices_beats_the_schedule() -> None:
    """Cost plus risk rises for every shift of a little from one slice to another; a schedule with another urgency is dearer."""

    def objective(weights: np.ndarray) -> float:
        return PRINTED.expected_cost(weights) + PRINTED.risk_aversion * PRINTED.cost_sd(weights) ** 2

    best = PRINTED.schedule.weights()
    for one in range(5):
        for other in range(5):
            if one != other:
                shifted = best.copy()
                shifted[one] += 1e-3
                shifted[other] -= 1e-3
                assert objective(shifted) > objective(best)
    for factor in (0.8, 1.25):
        assert objective(AlmgrenChriss(5, PRINTED.kappa * 5.0 * factor).weights()) > objective(best) * (1 + 1e-6)


@pytest.mark.parametrize("row", ANSWERS["obizhaeva_wang"])
def test_T12_obizhaeva_wang_is_the_optimum(row: Row) -> None:
    schedule = ObizhaevaWang(row["slices"], row["decays"])
    weights = schedule.weights()
    assert weights[[0, row["slices"] // 2, -1]] == pytest.approx([row["first"], row["middle"], row["last"]], rel=1e-7)
    assert schedule.cost_usd(1.0, 1.0) == pytest.approx(row["cost"], rel=1e-10)
    if "cost_by_programme" in row:
        assert schedule.cost_usd(1.0, 1.0) == pytest.approx(row["cost_by_programme"], rel=1e-7)
    assert schedule.cost_usd(1.0, 1.0, Twap(row["slices"]).weights()) >= schedule.cost_usd(1.0, 1.0) * (1.0 - 1e-12)


def test_T12_printed_numbers_of_obizhaeva_and_wang() -> None:
    schedule = ObizhaevaWang(1001, 2.2)
    assert (schedule.block, schedule.stream) == pytest.approx((0.238095, 0.523810), abs=5e-7)
    assert schedule.weights()[0] == pytest.approx(0.238357, abs=5e-7)
    assert schedule.weights()[500] * 1000 == pytest.approx(0.523809, abs=1e-6)
    assert schedule.continuous_cost_usd(3.0, 2.0) == pytest.approx(2.0 * 9.0 / 4.2, rel=1e-12)
    assert schedule.cost_usd(3.0, 2.0) == pytest.approx(schedule.continuous_cost_usd(3.0, 2.0), rel=1e-5)
    block_cost = schedule.cost_usd(1.0, 1.0, np.eye(1, 1001)[0])
    assert block_cost == pytest.approx(0.5, rel=1e-12)


NOUNS: list[Execution] = [
    AtOnce(), Twap(1), Twap(7), AlmgrenChriss(1, 2.0), AlmgrenChriss(6, 0.0), AlmgrenChriss(6, 1e-9), AlmgrenChriss(6, 3.0), AlmgrenChriss(6, 5e3),
    ObizhaevaWang(1, 2.0), ObizhaevaWang(2, 2.0), ObizhaevaWang(9, 0.0), ObizhaevaWang(9, 1e5), Maker(0.3), Maker(1.0),
]  # fmt: skip


@pytest.mark.parametrize("execution", NOUNS, ids=str)
def test_every_execution_trades_the_whole_order(execution: Execution) -> None:
    weights = execution.weights()
    assert weights.shape == (execution.slices,)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert (weights >= 0.0).all()
    assert "\n" not in str(execution)


def test_urgency_runs_from_even_to_at_once() -> None:
    assert AlmgrenChriss(8, 0.0).weights() == pytest.approx(Twap(8).weights(), rel=1e-12)
    assert AlmgrenChriss(8, 1e-5).weights() == pytest.approx(AlmgrenChriss(8, 0.0).weights(), rel=1e-9)
    assert AlmgrenChriss(8, 1e4).weights()[0] == pytest.approx(1.0, abs=1e-12)
    first = [AlmgrenChriss(8, urgency).weights()[0] for urgency in (0.1, 1.0, 3.0, 10.0)]
    assert first == sorted(first)
    assert all(np.diff(AlmgrenChriss(8, 3.0).weights()) < 0.0)


def test_maker_waits_as_long_as_its_probability_says() -> None:
    generator = np.random.default_rng(3)
    waited = generator.geometric(0.2, 100_000)
    assert abs(Maker(0.2).expected_steps - waited.mean()) < 4.0 * waited.std() / math.sqrt(waited.size)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Twap(0),
        lambda: Twap(2.5),  # type: ignore[arg-type]
        lambda: AlmgrenChriss(5, -1.0),
        lambda: AlmgrenChriss(5, math.inf),
        lambda: ObizhaevaWang(5, math.nan),
        lambda: Maker(0.0),
        lambda: Maker(1.1),
        lambda: checked_weights(np.array([0.5, 0.6]), slices=2),
        lambda: checked_weights(np.array([1.0]), slices=2),
        lambda: AlmgrenChrissOrder(1.0, horizon=1.0, slices=1, vol=1.0, fixed_cost=0.0, permanent=3.0, temporary=1.0, risk_aversion=0.0),
        lambda: AlmgrenChrissOrder(-1.0, horizon=1.0, slices=1, vol=1.0, fixed_cost=0.0, permanent=0.0, temporary=1.0, risk_aversion=0.0),
    ],
)
def test_wrong_schedules_are_refused(call: Any) -> None:
    with pytest.raises(RuleError, match="expected"):
        call()
