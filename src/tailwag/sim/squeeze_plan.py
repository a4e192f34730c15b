"""The hours of a squeeze on the time grid of a run: when options are bought, price is pushed, and both are sold again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.sim.grid import TimeGrid
from tailwag.units import HOURS_PER_YEAR

Hours = tuple[float, float]
"""From and to, hours from the start of the run."""
SAME_HOURS = 1e-9


@dataclass(frozen=True, slots=True)
class Slices:
    """Steps ``first`` to ``last`` of a run, in which something is traded in even parts; none where ``last`` is before ``first``.

    >>> slices = Slices(3, 6)
    >>> [slices.done(step) for step in (2, 3, 6, 9)], [slices.left(step) for step in (2, 3, 6, 7)]
    ([0.0, 0.25, 1.0, 0.0], [0, 4, 1, 0])
    """

    first: int
    last: int

    def holds(self, step: int) -> bool:
        """Whether a step is one of them."""
        return self.first <= step <= self.last

    def done(self, step: int) -> float:
        """The part of the whole that is due up to and in a step; 0 outside."""
        return (step - self.first + 1) / (self.last - self.first + 1) if self.holds(step) else 0.0

    def left(self, step: int) -> int:
        """How many slices are left, this step's included; 0 outside."""
        return self.last - step + 1 if self.holds(step) else 0


@dataclass(frozen=True, slots=True)
class SqueezePlan:
    """What is traded in which steps, and the step at which the options expire."""

    buys: Slices
    pushes: Slices
    sells_spot: Slices
    sells_options: Slices
    expiry_step: int


def planned(
    buys: Hours, pushes: Hours, sells_spot: Hours, sells_options: Hours | None, *, expiry_hours: float, grid: TimeGrid
) -> SqueezePlan:
    """The plan on a grid: a step belongs to the hours that hold its time, the first hour excluded and the last included.

    InputError where the hours hold no step, or the run ends before the push is sold.
    """
    bought, pushed, sold = (slices_of(hours, grid) for hours in (buys, pushes, sells_spot))
    returned = Slices(0, -1) if sells_options is None else slices_of(sells_options, grid)
    return SqueezePlan(bought, pushed, sold, returned, expiry_step(expiry_hours, grid))


def slices_of(hours: Hours, grid: TimeGrid) -> Slices:
    """The steps whose time lies in (from, to].

    >>> slices_of((0.0, 1.0), TimeGrid.uniform(horizon_days=0.125, step_minutes=15.0))
    Slices(first=1, last=4)
    """
    times = grid.years * HOURS_PER_YEAR
    first, last = (int(np.searchsorted(times, hour + SAME_HOURS, side="right")) for hour in hours)
    if last <= first or hours[1] > times[-1] + SAME_HOURS:
        raise InputError(
            f"expected steps of the run from {hours[0]:g} to {hours[1]:g} hours, got none, or a run that ends after {times[-1]:g}; "
            "lengthen horizon_days or shorten step_minutes"
        )
    return Slices(first, last - 1)


def expiry_step(hours: float, grid: TimeGrid) -> int:
    """The first grid time at or after an hour; beyond the end in steps of the last one's length.

    >>> expiry_step(5.2, TimeGrid.uniform(horizon_days=0.125, step_minutes=30.0))
    11
    """
    times = grid.years * HOURS_PER_YEAR
    inside = int(np.searchsorted(times, hours - SAME_HOURS, side="left"))
    if inside <= grid.steps:
        return inside
    return grid.steps + int(np.ceil((hours - times[-1] - SAME_HOURS) / float(times[-1] - times[-2])))
