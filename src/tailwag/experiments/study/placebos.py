"""Placebos: the same estimates where hedging cannot be the reason. They decide nothing; the rank of the true figure among them is printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.study.inference import Design
from tailwag.experiments.study.known import Known
from tailwag.kernels.arrays import FloatArray
from tailwag.units import NS_PER_DAY

SHIFTS_DAYS = tuple(7 * weeks for weeks in range(-9, 10) if abs(weeks) >= 3)
"""Whole weeks, so that days of the week stay, and far enough for the gain to be another."""
SIGN_DAYS, SIGN_DRAWS = 10, 999
HOURS = (14, 17, 20, 23)
"""Hours whose four hours before and after do not touch 08:00 of their day, and whose snapshot was known before."""


@dataclass(frozen=True, slots=True)
class Placebo:
    """A true figure among placebos: ``values`` (placebos,), and the share of them that lie as far from 0 or farther, the true one counted."""

    name: str
    true: float
    values: FloatArray

    @property
    def as_far(self) -> float:
        """1 where every placebo is as far out as the true figure, 1 / (placebos + 1) where none is."""
        return float((np.abs(self.values) >= abs(self.true)).sum() + 1) / (self.values.size + 1)


def first_coefficient(design: Design) -> float:
    """Least squares' coefficient of the first column."""
    return float(np.linalg.lstsq(design.regressors, design.outcome, rcond=None)[0][0])


def drawn_signs(design: Design, *, seed: int, draws: int = SIGN_DRAWS, days: int = SIGN_DAYS) -> Placebo:
    """The first column's sign drawn anew for blocks of days: size and persistence stay, and what the sign had to do with returns goes.

    By Frisch, Waugh and Lovell the controls are taken out of the outcome and of the column; the sign is drawn for what is left, since the part that the
    controls say would come back with another sign.
    """
    controls = np.linalg.qr(design.regressors[:, 1:])[0]
    left = design.outcome - controls @ (controls.T @ design.outcome)
    block = np.asarray(design.time_ns, dtype=np.int64) // (days * NS_PER_DAY)
    block = block - block[0]
    generator = np.random.default_rng(seed)
    column = design.regressors[:, 0] - controls @ (controls.T @ design.regressors[:, 0])
    values = np.empty(draws)
    for draw in range(draws):
        drawn = column * generator.choice([-1.0, 1.0], int(block[-1]) + 1)[block]
        drawn = drawn - controls @ (controls.T @ drawn)
        values[draw] = drawn @ left / (drawn @ drawn)
    return Placebo("signs", first_coefficient(design), values)


def shifted(known: Known, days: int) -> Known:
    """The same panel as if all of it had been known so many days later (earlier where below 0), expiries with it."""
    return replace(known, known_ns=known.known_ns + days * NS_PER_DAY, next_expiry_ns=known.next_expiry_ns + days * NS_PER_DAY)


def shifted_dates(true: Design, designs: Iterable[Callable[[], Design]]) -> Placebo:
    """The estimate on panels that are days off; a shift that leaves too few rows is passed over."""
    return Placebo("dates", first_coefficient(true), _values(designs, least_rows=true.outcome.size // 2))


def other_hours(true: Design, designs: Iterable[Callable[[], Design]]) -> Placebo:
    """The estimate at hours at which nothing expires."""
    return Placebo("hours", first_coefficient(true), _values(designs, least_rows=true.outcome.size // 2))


def _values(designs: Iterable[Callable[[], Design]], *, least_rows: int) -> FloatArray:
    made = [design() for design in designs]
    values = [first_coefficient(one) for one in made if one.outcome.size >= max(least_rows, 2 * len(one.names))]
    if not values:
        raise InputError("expected at least one placebo with half of the rows, got none; take a longer history")
    return np.asarray(values)
