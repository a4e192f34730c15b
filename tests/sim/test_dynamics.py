"""What all price models share: pure, blind to how paths are split, scalable, and plain about what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import numpy as np
import pytest

from tailwag.errors import InputError, RuleError, TailwagError, UnitError
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.dynamics import (
    Bates,
    Bootstrap,
    Gbm,
    HawkesJumps,
    Heston,
    Kou,
    Merton,
    PriceModel,
    Replay,
    StudentT,
    expected_vol,
)

HOUR = 1 / 8760
RETURNS = 0.01 * np.sin(np.arange(1, 200) ** 2)
MODELS: dict[str, Any] = {
    "gbm": Gbm(0.6, 0.1),
    "student": StudentT(0.6, 3.5, 0.1),
    "heston": Heston(0.36, 3.0, 0.45, 1.2, -0.25, 0.1),
    "merton": Merton(0.5, 400.0, -0.02, 0.06, 0.1),
    "kou": Kou(0.5, 400.0, 0.4, 30.0, 20.0, 0.1),
    "bates": Bates(0.36, 3.0, 0.45, 1.2, -0.25, 400.0, -0.02, 0.06, 0.1),
    "hawkes": HawkesJumps(0.5, 200.0, 0.6, 4000.0, -0.01, 0.02, 0.1),
    "bootstrap": Bootstrap(RETURNS, HOUR, 6.0),
    "replay": Replay(RETURNS, years=RETURNS.size * HOUR),
}
MARTINGALES = {name: replace(MODELS[name], drift_per_year="martingale") for name in ("gbm", "heston", "merton", "kou", "bates", "hawkes")}


def trajectory(
    model: PriceModel, paths: int, *, first_path: int = 0, steps: int = 6, seed: int = 9
) -> tuple[FloatArray, tuple[FloatArray, ...]]:
    """Increments (steps, paths) with steps of 1, 2, 3, 1, ... hours."""
    state, made = model.init(paths), []
    for step in range(1, steps + 1):
        moves, state = model.increments(state, step=step, step_years=(1 + (step - 1) % 3) * HOUR, seed=seed, first_path=first_path)
        made.append(moves)
    return np.array(made), state


@pytest.mark.parametrize("name", MODELS)
def test_a_model_keeps_the_protocol_and_is_frozen(name: str) -> None:
    model = MODELS[name]
    assert all(callable(getattr(model, verb)) for verb in ("init", "increments", "scaled"))
    state = model.init(7)
    assert [row.shape for row in state] == [(7,)] * len(state)
    moves, new = model.increments(state, step=1, step_years=HOUR, seed=0, first_path=0)
    assert moves.shape == (7,)
    assert moves.dtype == np.float64
    assert [row.shape for row in new] == [(7,)] * len(state)
    assert model.annual_vol > 0.0
    with pytest.raises(FrozenInstanceError):
        setattr(model, fields(model)[0].name, 1.0)
    empty, _ = model.increments(model.init(0), step=1, step_years=HOUR, seed=0, first_path=3)
    assert empty.shape == (0,)


@pytest.mark.parametrize("name", MODELS)
def test_increments_never_write_what_they_were_given(name: str) -> None:
    model = MODELS[name]
    _, state = trajectory(model, 50)
    for row in state:
        if row.flags.writeable:
            row.setflags(write=False)
    copies = [row.copy() for row in state]
    first, _ = model.increments(state, step=7, step_years=HOUR, seed=1, first_path=0)
    again, _ = model.increments(state, step=7, step_years=HOUR, seed=1, first_path=0)
    assert np.array_equal(first, again)
    assert first is not again
    assert all(np.array_equal(row, copy) for row, copy in zip(state, copies, strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_no_split_into_blocks_changes_a_bit(name: str) -> None:
    whole, ends = trajectory(MODELS[name], 301)
    for cuts in ((0, 1, 301), (0, 128, 256, 301), (0, 77, 300, 301)):
        parts = [trajectory(MODELS[name], b - a, first_path=a) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]  # noqa: RUF007
        assert np.array_equal(np.hstack([part for part, _ in parts]), whole)
        for row, end in enumerate(ends):
            assert np.array_equal(np.concatenate([state[row] for _, state in parts]), end)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "replay"])
def test_seed_path_and_step_each_make_a_difference(name: str) -> None:
    model = MODELS[name]
    base, _ = trajectory(model, 64)
    assert not np.array_equal(trajectory(model, 64, seed=10)[0], base)
    assert not np.array_equal(trajectory(model, 64, first_path=64)[0], base)
    assert not np.array_equal(base[0], base[3])
    assert np.unique(base[0]).size > 32


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("factor", [0.5, 0.93, 1.7])
def test_scaling_multiplies_every_move(name: str, factor: float) -> None:
    """On the same shocks the scaled model's moves, drift left out, are `factor` times the model's: path by path, not on average."""
    model = MODELS[name]
    if hasattr(model, "drift_per_year"):
        model = replace(model, drift_per_year=0.0)
    scaled = model.scaled(factor)
    assert type(scaled) is type(model)
    assert np.allclose(trajectory(scaled, 200)[0], factor * trajectory(model, 200)[0], rtol=1e-11, atol=1e-15)
    assert scaled.annual_vol == pytest.approx(factor * model.annual_vol, rel=1e-12)
    assert expected_vol(scaled, 0.01) == pytest.approx(factor * expected_vol(model, 0.01), rel=1e-12)


@pytest.mark.parametrize("name", MARTINGALES)
@pytest.mark.parametrize("factor", [0.8, 1.3])
def test_a_scaled_martingale_is_a_martingale(name: str, factor: float) -> None:
    ratio = np.exp(trajectory(MARTINGALES[name].scaled(factor), 40_000, steps=9)[0].sum(axis=0))
    assert abs(ratio.mean() - 1.0) < 4 * ratio.std() / ratio.size**0.5


@pytest.mark.parametrize("name", MARTINGALES)
def test_a_stated_drift_is_the_drift_of_ln_s(name: str) -> None:
    """Path by path: drift a adds a dt to every increment."""
    slow, fast = replace(MODELS[name], drift_per_year=0.0), replace(MODELS[name], drift_per_year=5.0)
    lengths = np.array([1, 2, 3, 1, 2, 3])[:, None] * HOUR
    assert np.allclose(trajectory(fast, 99)[0] - trajectory(slow, 99)[0], 5.0 * lengths, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("student", "replay")])
def test_annual_vol_is_the_expected_sum_of_squares(name: str) -> None:
    model = MODELS[name]
    if hasattr(model, "drift_per_year"):
        model = replace(model, drift_per_year=0.0)
    if name in ("heston", "bates"):
        model = replace(model, v0=model.theta)
    if name in ("merton", "bates"):
        model = replace(model, jump_mean=0.0)  # short steps hold one jump, but the mean of its drift squared is not nothing
    n = 60_000
    squares = np.zeros(n)
    state = model.init(n)
    length = HOUR if name == "bootstrap" else 0.2 * HOUR
    for step in range(1, 9):
        moves, state = model.increments(state, step=step, step_years=length, seed=4, first_path=0)
        squares += moves**2
    yearly = squares / (8 * length)
    assert abs(yearly.mean() - model.annual_vol**2) < 4 * yearly.std() / n**0.5 + (
        0.02 * model.annual_vol**2 if name in ("kou", "hawkes") else 0
    )
    assert yearly.std() / n**0.5 < 0.05 * model.annual_vol**2


def test_expected_vol_starts_where_variance_starts() -> None:
    heston, bates = MODELS["heston"], MODELS["bates"]
    assert expected_vol(heston, 0.0) == pytest.approx(0.6)
    assert expected_vol(heston, 30 / 365) == pytest.approx(0.608471, abs=5e-7)
    assert expected_vol(heston, 1e4) == pytest.approx(heston.annual_vol, rel=1e-4)
    jumps = 400.0 * (0.02**2 + 0.06**2)
    assert expected_vol(bates, 30 / 365) == pytest.approx(math.sqrt(0.608471**2 + jumps), abs=1e-6)
    assert expected_vol(MODELS["merton"], 0.5) == MODELS["merton"].annual_vol
    with pytest.raises(InputError, match="expected years of 0 or more"):
        expected_vol(heston, -1.0)


def test_a_replay_is_what_was_given_on_every_path() -> None:
    model = MODELS["replay"]
    state = model.init(3)
    for step in range(1, RETURNS.size + 1):
        moves, state = model.increments(state, step=step, step_years=0.1, seed=step, first_path=5)
        assert moves.tolist() == [RETURNS[step - 1]] * 3
    assert model.annual_vol == pytest.approx(math.sqrt((RETURNS**2).sum() / (RETURNS.size * HOUR)), rel=1e-14)
    for step in (0, RETURNS.size + 1):
        with pytest.raises(InputError, match="expected a step from 1 to the 199 returns"):
            model.increments(state, step=step, step_years=0.1, seed=0, first_path=0)
    with pytest.raises(InputError, match="give Replay"):
        _ = Replay(RETURNS).annual_vol


def test_returns_are_copied_and_cannot_be_changed() -> None:
    mine = RETURNS.copy()
    model = Bootstrap(mine, HOUR, 6.0)
    mine[0] = 1.0
    assert model.log_returns[0] == RETURNS[0]
    with pytest.raises(ValueError, match="read-only"):
        model.log_returns[0] = 1.0


def test_a_variance_at_rest_stays_finite_and_a_bootstrap_of_whole_blocks_runs_in_order() -> None:
    quiet = Heston(0.0, 0.5, 1e-6, 2.0, -0.9, "martingale")
    moves, (variance,) = trajectory(quiet, 2000, steps=60)
    assert np.isfinite(moves).all()
    assert (variance >= 0.0).all()
    ordered = Bootstrap(RETURNS, HOUR, 1e12)
    state = ordered.init(20)
    _, state = ordered.increments(state, step=1, step_years=HOUR, seed=1, first_path=0)
    _, later = ordered.increments(state, step=2, step_years=50 * HOUR, seed=1, first_path=0)
    assert np.array_equal(later[0], (state[0] + 50) % RETURNS.size)


NAN = math.nan
REFUSED: list[tuple[Callable[[], Any], type[TailwagError], str]] = [
    (lambda: Gbm(60.0), UnitError, "write 60 % as 0.60"),
    (lambda: Gbm(-0.1), InputError, "expected vol"),
    (lambda: Gbm(NAN), InputError, "expected vol"),
    (lambda: Gbm(0.6, NAN), UnitError, "drift_per_year"),
    (lambda: Gbm(0.6, "forward"), RuleError, "martingale"),
    (lambda: StudentT(0.6, 2.0), InputError, "the variance is infinite"),
    (lambda: StudentT(0.6, math.inf), InputError, "degrees_of_freedom"),
    (lambda: StudentT(0.6, 4.0, "martingale"), RuleError, "infinite, so no drift keeps it still"),
    (lambda: Heston(60.0**2, 3.0, 0.36, 1.0, 0.0), UnitError, "a vol of 60 % is 0.36"),
    (lambda: Heston(-0.1, 3.0, 0.36, 1.0, 0.0), InputError, "expected v0"),
    (lambda: Heston(0.3, 0.0, 0.36, 1.0, 0.0), InputError, "expected kappa above 0"),
    (lambda: Heston(0.3, 3.0, 0.0, 1.0, 0.0), InputError, "expected theta"),
    (lambda: Heston(0.3, 3.0, 0.36, 0.0, 0.0), InputError, "take Gbm"),
    (lambda: Heston(0.3, 3.0, 0.36, 1.0, -1.0), InputError, "between -1 and 1"),
    (lambda: Heston(0.3, 3.0, 0.36, 1.0, 1.0), InputError, "between -1 and 1"),
    (lambda: Heston(0.3, 3.0, 0.36, 1.0, NAN), InputError, "between -1 and 1"),
    (lambda: Merton(0.5, -1.0, 0.0, 0.1), InputError, "jumps_per_year of 0 or more"),
    (lambda: Merton(0.5, 20.0, -10.0, 0.1), UnitError, "write -2 % as -0.02"),
    (lambda: Merton(0.5, 20.0, 0.0, 6.0), UnitError, "write 6 % as 0.06"),
    (lambda: Merton(0.5, math.inf, 0.0, 0.1), InputError, "jumps_per_year"),
    (lambda: Kou(0.5, 20.0, 1.2, 30.0, 20.0), InputError, "up_probability from 0 to 1"),
    (lambda: Kou(0.5, 20.0, 0.4, 1.0, 20.0), InputError, "infinite"),
    (lambda: Kou(0.5, 20.0, 0.4, 30.0, 0.0), InputError, "down_rate above 0"),
    (lambda: Kou(0.5, 20.0, 0.4, 2.0, 20.0).scaled(3.0), InputError, "infinite"),
    (lambda: Kou(0.5, 20.0, 0.4, 2.0, 20.0).scaled(0.0), InputError, "factor above 0"),
    (lambda: Bates(0.3, 3.0, 0.36, 1.0, 1.5, 20.0, 0.0, 0.1), InputError, "between -1 and 1"),
    (lambda: HawkesJumps(0.5, 10.0, 1.0, 100.0, 0.0, 0.1), InputError, "without end"),
    (lambda: HawkesJumps(0.5, 0.0, 0.5, 100.0, 0.0, 0.1), InputError, "base_jumps_per_year above 0"),
    (lambda: HawkesJumps(0.5, 10.0, 0.5, 0.0, 0.0, 0.1), InputError, "decay_per_year above 0"),
    (lambda: Bootstrap(np.array([1.0, -2.0, 40.0]), HOUR, 6.0), UnitError, "not per cent"),
    (lambda: Bootstrap(np.array([0.01, NAN]), HOUR, 6.0), InputError, "index 1"),
    (lambda: Bootstrap(np.array([0.01]), HOUR, 6.0), InputError, "one row of 2 or more"),
    (lambda: Bootstrap(np.zeros((2, 2)), HOUR, 6.0), InputError, "one row of 2 or more"),
    (lambda: Bootstrap(RETURNS, 0.0, 6.0), InputError, "candle_years above 0"),
    (lambda: Bootstrap(RETURNS, HOUR, 0.5), InputError, "at least one candle"),
    (lambda: Replay(np.array([])), InputError, "one row of 1 or more"),
    (lambda: Replay(RETURNS, years=-1.0), InputError, "expected years above 0"),
    (lambda: Gbm(0.6).init(-1), InputError, "number of paths"),
    (lambda: Gbm(0.6).scaled(100.0), UnitError, "write 60 %"),
]


@pytest.mark.parametrize(("make", "kind", "words"), REFUSED)
def test_what_no_price_can_be_is_refused_in_one_sentence(make: Callable[[], Any], kind: type[TailwagError], words: str) -> None:
    with pytest.raises(kind) as caught:
        make()
    message = str(caught.value)
    assert words in message
    assert message.startswith("expected ")
    assert "\n" not in message


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("step", "step_years", "words"), [(1, 0.0, "time cannot"), (1, -0.1, "time cannot"), (1, NAN, "time cannot"), (-1, 0.1, "step")]
)
def test_impossible_steps_are_refused(name: str, step: int, step_years: float, words: str) -> None:
    model = MODELS[name]
    with pytest.raises(InputError, match=words):
        model.increments(model.init(2), step=step, step_years=step_years, seed=0, first_path=0)


@pytest.mark.parametrize("minutes", [30.0, 90.0, 60.01])
def test_a_bootstrap_refuses_steps_that_cut_a_candle(minutes: float) -> None:
    model = MODELS["bootstrap"]
    with pytest.raises(InputError, match="whole number of candles"):
        model.increments(model.init(2), step=1, step_years=minutes / 525_600, seed=0, first_path=0)


def test_more_jumps_than_anybody_waits_for_are_refused() -> None:
    for model in (replace(MODELS["merton"], jumps_per_year=1e9), replace(MODELS["hawkes"], base_jumps_per_year=1e9)):
        with pytest.raises(InputError, match="jumps a step"):
            model.increments(model.init(2), step=1, step_years=1.0, seed=0, first_path=0)


def test_negative_seeds_are_refused() -> None:
    for name in MARTINGALES:
        with pytest.raises(InputError, match="expected seed"):
            trajectory(MODELS[name], 2, seed=-1)
