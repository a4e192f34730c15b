"""Round trips against impact: costs by honest double integrals, known verdicts, and a search checked by another optimiser."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import RuleError
from tailwag.liquidity import arbitrage
from tailwag.liquidity.arbitrage import ExponentialDecay, GivenDecay, NoDecay, PowerDecay, RoundTrip, round_trip_cost, scan_for_arbitrage

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "impact.json").read_text())
Row = dict[str, Any]


def decay_of(row: Row) -> arbitrage.Decay:
    if row["kind"] == "exponential":
        return ExponentialDecay(math.log(2.0) / row["parameter"])
    return PowerDecay(row["parameter"], unit=0.0 if row["kind"] == "power" else 1.0)


@pytest.mark.parametrize("row", ANSWERS["trip_costs"])
def test_T12_cost_of_a_strategy_is_its_double_integral(row: Row) -> None:
    trip = RoundTrip(np.array(row["rates"]), np.array(row["durations"]))
    tolerance = 1e-6 if row["kind"] == "power" else 1e-8
    assert round_trip_cost(decay_of(row), row["exponent"], trip) == pytest.approx(row["cost"], rel=tolerance)


@pytest.mark.parametrize("row", [row for row in ANSWERS["trip_costs"] if row["kind"] != "power"])
def test_a_kernel_given_as_a_function_costs_the_same(row: Row) -> None:
    known = {"exponential": lambda t: np.exp(-row["parameter"] * t), "bent": lambda t: (1.0 + t) ** -row["parameter"]}[row["kind"]]
    trip = RoundTrip(np.array(row["rates"]), np.array(row["durations"]))
    assert round_trip_cost(GivenDecay(known), row["exponent"], trip) == pytest.approx(row["cost"], rel=1e-4)


@pytest.mark.parametrize("row", ANSWERS["two_phase"])
def test_T12_least_cost_of_buying_at_one_rate_and_selling_at_another(row: Row) -> None:
    decay, rates = PowerDecay(row["decay"]), np.geomspace(1e-4, 1e4, 4001)
    costs = arbitrage.two_phase_cost(decay, row["exponent"], sell_rate=rates, buy_time=np.ones(1))
    assert costs.min() == pytest.approx(row["least"], rel=1e-8)
    assert (scan_for_arbitrage(decay, row["exponent"]).least_cost < 0.0) == (row["least"] < 0.0)


@pytest.mark.parametrize(("decay", "exponent"), [(0.3, 0.5), (0.1, 0.7), (0.6, 0.2)])
def test_T12_very_fast_sale_earns_the_printed_limit(decay: float, exponent: float) -> None:
    rate = np.array([1e5, 1e7])
    cost = arbitrage.two_phase_cost(PowerDecay(decay), exponent, sell_rate=rate, buy_time=np.ones(2))
    left = (cost + 1.0 / (2.0 - decay)) / rate ** (exponent + decay - 1.0)
    assert left == pytest.approx((1.0 + rate**-exponent) / ((1.0 - decay) * (2.0 - decay)), rel=1e-3)


@pytest.mark.parametrize(
    ("decay", "exponent", "admissible"),
    [
        (ExponentialDecay(30.0), 1.0, True),
        (PowerDecay(0.3), 1.0, True),
        (PowerDecay(0.05, unit=5.0), 1.0, True),
        (PowerDecay(1.0, unit=2.0), 1.0, True),
        (NoDecay(), 1.0, True),
        (PowerDecay(0.5), 0.5, True),
        (PowerDecay(0.45), 0.6, True),
        (PowerDecay(0.45), 0.5, False),
        (PowerDecay(0.3), 0.5, False),
        (PowerDecay(0.5), 0.3, False),
        (PowerDecay(0.3), 0.9, False),
        (ExponentialDecay(30.0), 0.5, False),
        (ExponentialDecay(30.0), 0.95, False),
        (ExponentialDecay(0.1), 1.3, False),
        (NoDecay(), 0.5, False),
        (NoDecay(), 1.2, False),
        (PowerDecay(0.5, unit=1.0), 0.6, False),
    ],
)
def test_T12_verdicts(decay: arbitrage.Decay, exponent: float, admissible: bool) -> None:
    report = scan_for_arbitrage(decay, exponent)
    assert report.admissible == admissible
    assert str(report).startswith("admissible" if admissible else "refused")
    assert "\n" not in str(report)


@pytest.mark.parametrize(
    ("shares", "admissible"),
    [
        (lambda t: np.exp(-t), True),
        (lambda t: np.maximum(1.0 - t, 0.0), True),
        (lambda t: np.exp(-t * t), True),
        (lambda t: 0.3 + 0.7 / (1.0 + t), True),
        (lambda t: np.maximum(1.0 - t * t, 0.0), False),
        (lambda t: 1.0 * (t < 1.0), False),
        (lambda t: 1.0 + 0.2 * np.minimum(t, 1e3), False),
        (lambda t: 1.0 - np.exp(-t), False),
    ],
)
def test_linear_impact_needs_a_positive_definite_kernel(shares: Any, admissible: bool) -> None:
    """Verdicts by the kernel's Fourier transform, which is known for each of these."""
    report = scan_for_arbitrage(GivenDecay(shares), 1.0)
    assert report.admissible == admissible
    if not admissible:
        rates, durations = report.strategy.rates, report.strategy.durations
        assert abs(rates @ durations) < 1e-9 * np.abs(rates) @ durations
        assert rates_cost(shares, rates, durations) < 0.0


def rates_cost(shares: Any, rates: np.ndarray, durations: np.ndarray) -> float:
    """Cost of the strategy that was found, by brute force on a fine clock."""
    steps = 4_000
    clock = np.linspace(0.0, durations.sum(), steps + 1)
    middle, width = 0.5 * (clock[1:] + clock[:-1]), clock[1] - clock[0]
    traded = rates[np.minimum(np.searchsorted(np.cumsum(durations), middle), rates.size - 1)]
    traded = traded - traded.mean()
    left = shares(np.maximum(np.arange(steps) * width, 1e-9))
    pushed = np.convolve(traded, left)[:steps] - 0.5 * left[0] * traded
    return float(traded @ pushed * width * width)


@pytest.mark.parametrize("row", ANSWERS["searched"])
def test_search_over_many_phases_is_no_worse_than_another_optimiser(row: Row) -> None:
    durations = np.full(16, 1.0 / 16)
    cross = arbitrage._phase_costs(PowerDecay(row["decay"]), durations)
    least, rates = arbitrage._descend(cross, durations, row["exponent"])
    assert least <= row["least"] * 1.02
    assert abs(rates @ durations) < 1e-12
    trip = RoundTrip(rates, durations)
    alone = np.diag(cross) @ np.abs(rates) ** (1.0 + row["exponent"])
    assert round_trip_cost(PowerDecay(row["decay"]), row["exponent"], trip) / alone == pytest.approx(least, rel=1e-6)


def test_found_round_trip_really_earns_and_is_flat() -> None:
    for decay, exponent in ((PowerDecay(0.3), 0.5), (ExponentialDecay(20.0), 0.5), (ExponentialDecay(20.0), 1.4)):
        report = scan_for_arbitrage(decay, exponent)
        assert round_trip_cost(decay, exponent, report.strategy) < 0.0
        assert abs(report.strategy.rates @ report.strategy.durations) < 1e-9 * np.abs(report.strategy.rates) @ report.strategy.durations


def test_gatherals_bound() -> None:
    assert pytest.approx(0.4150375, abs=1e-7) == arbitrage.LEAST_POWER_DECAY


@pytest.mark.parametrize(
    "call",
    [
        lambda: PowerDecay(0.0),
        lambda: PowerDecay(1.0),
        lambda: PowerDecay(0.5, unit=-1.0),
        lambda: ExponentialDecay(0.0),
        lambda: scan_for_arbitrage(NoDecay(), 0.0),
        lambda: scan_for_arbitrage(NoDecay(), math.nan),
        lambda: GivenDecay(lambda t: np.full_like(t, np.nan)),
        lambda: GivenDecay(lambda t: 1.0),  # type: ignore[arg-type, return-value]
    ],
)
def test_wrong_laws_are_refused(call: Any) -> None:
    with pytest.raises(RuleError, match="expected"):
        call()


def test_warning_for_the_square_root_says_what_to_do() -> None:
    assert "never to optimise execution" in arbitrage.square_root_warning()
