"""An option vault's clock, strikes and fees against answers made without tailwag."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import InputError, UnitError
from tailwag.sim.agents.vault import OptionVault
from tailwag.sim.grid import TimeGrid
from tailwag.sim.option_model import OptionModel, OptionTerms
from tailwag.sim.vault_account import VaultBooks, VaultFees
from tailwag.sim.vault_epochs import VaultEpochs, auction_steps, calendar, steps_at
from tailwag.sim.vault_strikes import listed_strike

POINTS = json.loads((Path(__file__).parent.parent / "answers" / "vault_strikes.json").read_text())["points"]
WEEKLY = VaultEpochs(first_hours=12.0, length_hours=168.0, auction_after_hours=2.25)
HALF_HOURS = TimeGrid.uniform(horizon_days=15.0, step_minutes=30.0)


@pytest.mark.parametrize("point", POINTS, ids=range(len(POINTS)))
def test_the_listed_strike_is_the_nearest_by_delta(point: dict[str, Any]) -> None:
    """Against QuantLib's strike of a delta, and against trying every strike of the grid in 30 digits."""
    hours = point["hours"]
    grid = TimeGrid.uniform(horizon_days=hours / 24, step_minutes=hours * 15.0)
    model, here = OptionModel(OptionTerms(point["iv"], point["skew"]), grid, point["spot_usd"]), np.zeros(2)
    moment = {"step": 0, "expiry_step": 4, "log_price": here, "vol_shift": here + point["vol_shift"]}
    exact = model.strike_at_delta(point["right"], point["right"] * point["delta"], **moment)
    assert exact == pytest.approx(point["strike_usd"], rel=1e-9)
    assert listed_strike(model, point["right"], point["delta"], point["step_usd"], **moment).tolist() == [point["listed_usd"]] * 2


def test_a_strike_depends_on_the_price_and_the_vol_of_its_own_path() -> None:
    model = OptionModel(OptionTerms(0.6), HALF_HOURS, 60_000.0)
    moment = {"step": 10, "expiry_step": 340, "log_price": np.array([-0.2, 0.0, 0.1]), "vol_shift": np.array([0.3, 0.0, -0.2])}
    whole = listed_strike(model, -1, 0.15, 500.0, **moment)
    for path in range(3):
        alone = {**moment, "log_price": moment["log_price"][path : path + 1], "vol_shift": moment["vol_shift"][path : path + 1]}
        assert listed_strike(model, -1, 0.15, 500.0, **alone)[0] == whole[path]
    assert whole[0] / np.exp(-0.2) < whole[1] < whole[2] / np.exp(0.1), "more vol is a strike further away"


def test_epochs_are_those_of_the_calendar() -> None:
    """Fridays at 08:00 from a Thursday at 20:00: start and expiry as Python's own calendar has them."""
    start = datetime(2026, 2, 5, 20, tzinfo=UTC)
    found = calendar(WEEKLY, HALF_HOURS)
    fridays = [
        moment for moment in (start + timedelta(hours=hour) for hour in range(15 * 24)) if moment.weekday() == 4 and moment.hour == 8
    ]
    assert found.start_step.tolist() == [(friday - start) // timedelta(minutes=30) for friday in fridays]
    assert found.expiry_step.tolist() == [(friday + timedelta(days=7) - start) // timedelta(minutes=30) for friday in fridays]
    assert found.due_hours.tolist() == [(friday - start) / timedelta(hours=1) + 2.25 for friday in fridays]


def test_auctions_are_due_at_the_next_grid_time_and_tranches_apart() -> None:
    epochs = VaultEpochs(first_hours=1.0, length_hours=48.0, auction_after_hours=2.25, tranches=3, tranche_hours=5.0)
    found = calendar(epochs, HALF_HOURS)
    steps = auction_steps(epochs, found, HALF_HOURS, _no_draw, 2)
    assert steps[:3].tolist() == [[7, 7], [17, 17], [27, 27]]
    assert (steps[3:6] - steps[:3] == 96).all()


def _no_draw(kind: int, count: int) -> np.ndarray[Any, Any]:
    raise AssertionError("a vault without jitter draws nothing")


def test_jitter_is_even_independent_of_tranche_and_epoch_and_never_early() -> None:
    """10,000 paths: mean and spread of a uniform delay, rounded up to the grid; nothing correlates."""
    epochs = VaultEpochs(first_hours=0.0, length_hours=168.0, auction_after_hours=2.0, jitter_hours=24.0, tranches=2, tranche_hours=48.0)
    rng, paths = np.random.default_rng(5), 10_000
    found = calendar(epochs, HALF_HOURS)
    uniforms = {number: rng.uniform(size=paths) for number in range(found.due_hours.size)}
    steps = auction_steps(epochs, found, HALF_HOURS, lambda kind, count: uniforms[count], paths)
    late = steps / 2.0 - found.due_hours[:, None]
    assert late.min() >= 0.0
    assert late.max() <= 24.0
    assert abs(late.mean(axis=1) - 12.25).max() < 4.0 * 24.0 / np.sqrt(12.0 * paths)
    assert abs(np.corrcoef(late) - np.eye(len(late))).max() < 4.0 / np.sqrt(paths)


def test_steps_beyond_the_run_go_on_with_the_last_length() -> None:
    hours = np.array([0.0, 0.2, 0.5, 359.9, 360.0, 360.1, 528.0])
    assert steps_at(hours, HALF_HOURS).tolist() == [0, 1, 1, 720, 720, 721, 1056]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"auction_after_hours": 170.0}, "before its expiry"),
        ({"jitter_hours": 166.0}, "before its expiry"),
        ({"tranches": 4, "tranche_hours": 60.0}, "before its expiry"),
        ({"tranches": 0}, "tranches"),
        ({"length_hours": 0.0}, "length_hours"),
        ({"jitter_hours": -1.0}, "jitter_hours"),
        ({"first_hours": float("nan")}, "first_hours"),
    ],
)
def test_epochs_that_cannot_be_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        VaultEpochs(**{"first_hours": 0.0, "length_hours": 168.0, "auction_after_hours": 2.25, **changes})


def test_a_run_that_ends_before_the_first_auction_has_none() -> None:
    late = VaultEpochs(first_hours=400.0, length_hours=168.0, auction_after_hours=2.25)
    assert calendar(late, HALF_HOURS).epochs == 0
    assert auction_steps(late, calendar(late, HALF_HOURS), HALF_HOURS, _no_draw, 3).shape == (0, 3)


def test_a_grid_too_coarse_for_an_epoch_is_refused() -> None:
    with pytest.raises(InputError, match="two steps"):
        calendar(VaultEpochs(first_hours=0.0, length_hours=0.5, auction_after_hours=0.1), HALF_HOURS)


def test_fees_are_taken_from_gains_alone() -> None:
    """10 % of the gain and 2 % a year of the assets for a week; an epoch that lost pays neither."""
    fees, week = VaultFees(0.1, 0.02), 168 / 8760
    taken = fees.of(np.array([12.0, 0.0, -3.0]), np.array([2012.0, 2000.0, 1997.0]), week)
    assert taken == pytest.approx([1.2 + 0.02 * 2012.0 * 7 / 365, 0.0, 0.0], rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"right": 0}, "right"),
        ({"assets": 0.0}, "assets"),
        ({"strike_delta": 10.0}, "strike_delta"),
        ({"strike_step_usd": -1.0}, "strike_step_usd"),
        ({"reserve_share": -0.1}, "reserve_share"),
        ({"most_strike_share": 0.0}, "most_strike_share"),
        ({"most_strike_share": 0.05}, "16 strikes and tranches"),
        ({"delay_steps": -1}, "delay_steps"),
    ],
)
def test_vaults_that_cannot_be_are_refused(changes: dict[str, Any], words: str) -> None:
    given = {"name": "v", "right": 1, "assets": 100.0, "strike_delta": 0.1, "strike_step_usd": 1000.0, "epochs": WEEKLY}
    with pytest.raises((InputError, UnitError), match=words):
        OptionVault(**{**given, **changes})


def test_books_without_assets_and_fees_in_percent_are_refused() -> None:
    with pytest.raises(InputError, match="assets"):
        VaultBooks.opened(0.0, 2)
    with pytest.raises(UnitError, match="decimal"):
        VaultFees(10.0)
