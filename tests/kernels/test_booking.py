"""The compiled books of one step against the plain ones: the same numbers to the bit, with and without options, costs and trades."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from tests.sim import booking_plain

from tailwag.kernels.arrays import zero_row
from tailwag.kernels.booking import row
from tailwag.sim.agents.protocol import Move, OptionStep
from tailwag.sim.ledger import Fill, Holding, Terms, book_step, with_gap
from tailwag.sim.scenario import Costs
from tailwag.sim.state import PNL_PARTS

PATHS = 60


def holding(rng: np.random.Generator) -> Holding:
    figures = [rng.normal(size=PATHS) * 10.0**power for power in (3, 8, 8)]
    trades, peaks = rng.integers(0, 9, PATHS), np.abs(rng.normal(size=PATHS)) * 1e8
    return Holding(
        *figures, tuple(rng.normal(size=(10, PATHS)) * 1e6), np.abs(rng.normal(size=PATHS)), trades, rng.uniform(size=PATHS), peaks
    )


def move(rng: np.random.Generator) -> Move:
    before, after, filled = (60_000.0 * np.exp(rng.normal(size=PATHS) * 0.01) for _ in range(3))
    logs, live = [rng.normal(size=PATHS) for _ in range(4)], rng.uniform(size=PATHS) < 0.8
    return Move(3, 1e-4, before, after, filled, logs[0], logs[1], logs[2], logs[3], live)


def options(rng: np.random.Generator, kind: str) -> OptionStep | None:
    """What options earned; ``rests``: nothing but delta, ``greeks rest``: no vanna and no vega, ``managed``: for a fee."""
    if kind == "none":
        return None
    parts, zero = [rng.normal(size=PATHS) * 1e5 for _ in range(6)], zero_row(PATHS)
    if kind == "rests":
        return OptionStep(parts[0], zero, zero, zero, parts[0], zero)
    if kind == "greeks rest":
        return OptionStep(parts[0], parts[1], zero, zero, parts[4], parts[5])
    if kind == "more than delta":  # a total that is the delta itself is not explained where something stands beside it
        return OptionStep(parts[0], parts[1], zero, zero, parts[0], zero)
    if kind == "managed delta":
        return OptionStep(parts[0], zero, zero, zero, parts[0], zero, fees_usd=7.0)
    return OptionStep(*parts, fees_usd=11.0 if kind == "managed" else 0.0)


@pytest.mark.parametrize("makes", [False, True])
@pytest.mark.parametrize("kind", ["none", "rests", "greeks rest", "more than delta", "managed delta", "all", "managed"])
@pytest.mark.parametrize("funding", [0.0, 0.07])
@pytest.mark.parametrize(
    "costs",
    [
        Costs(),
        Costs(fee_bps=3.0, half_spread_bps=1.5, gas_usd=4.0),
        Costs(fee_bps=3.0),
        Costs(half_spread_bps=1.5),
        Costs(gas_usd=4.0),
    ],
)
def test_books_are_the_plain_ones(makes: bool, kind: str, funding: float, costs: Costs) -> None:
    rng = np.random.default_rng(4)
    own, step, terms = holding(rng), move(rng), Terms(costs, makes, funding)
    coin = rng.normal(size=PATHS) * np.where(rng.uniform(size=PATHS) < 0.5, 1.0, 0.0)
    fill, share = Fill(coin * 6e4, coin), rng.uniform(size=PATHS)
    option = options(rng, kind)
    ours, theirs = (booked(own, fill, option, step, terms, open_share=share) for booked in (book_step, booking_plain.book_step))
    for entry in fields(Holding):
        assert np.array_equal(getattr(ours.holding, entry.name), getattr(theirs.holding, entry.name)), entry.name
    assert np.array_equal(ours.to_venue_usd, theirs.to_venue_usd)
    assert np.array_equal(ours.to_liquidity_usd, theirs.to_liquidity_usd)
    assert set((ours.holding.trades - own.trades).tolist()) == {0, 1}


def test_a_cause_that_cannot_move_is_the_row_that_it_was() -> None:
    rng = np.random.default_rng(6)
    own, step, coin = holding(rng), move(rng), rng.normal(size=PATHS)
    fill = Fill(coin * 6e4, coin)
    moved = {
        "none": {"delta_usd", "execution_usd"},
        "rests": {"delta_usd", "execution_usd"},
        "greeks rest": {"delta_usd", "execution_usd", "gamma_theta_usd", "residual_usd"},
        "managed": {"delta_usd", "execution_usd", "gamma_theta_usd", "vanna_usd", "vega_usd", "fees_usd", "residual_usd"},
    }
    for kind, names in moved.items():
        after = book_step(own, fill, options(rng, kind), step, Terms(Costs(), False, 0.0)).holding
        assert {name for name, was, now in zip(PNL_PARTS, own.causes_usd, after.causes_usd) if now is not was} == names


def test_the_row_of_zeros_is_one_array_that_nobody_can_write_to() -> None:
    assert zero_row(5) is zero_row(5)
    with pytest.raises(ValueError, match="read-only"):
        zero_row(5)[0] = 1.0


def test_the_squared_gap_grows_where_a_path_trades() -> None:
    rng = np.random.default_rng(5)
    own, step, gap = holding(rng), move(rng), rng.normal(size=PATHS) * 1e5
    expected = own.gap_squared_years + np.where(step.live, gap**2 * step.step_years, 0.0)
    assert np.array_equal(with_gap(own, gap, step).gap_squared_years, expected)
    assert np.array_equal(with_gap(own, np.zeros(1), step).gap_squared_years, own.gap_squared_years)


def test_a_row_is_the_array_itself_where_it_can_be() -> None:
    plain = np.arange(3.0)
    assert row(plain, 3) is plain
    for other in (plain[::-1], np.broadcast_to(np.ones(1), (3,)), np.arange(3), 2.0, np.ones(1)):
        made = row(other, 3)
        assert made.flags.carray
        assert made.tolist() == np.broadcast_to(np.asarray(other, dtype=float), (3,)).tolist()
