"""Time grids of a simulation: uniform steps, or steps that get finer towards the end (an expiry)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray, frozen

MINUTES_PER_DAY = 1440.0
DAYS_PER_YEAR = 365.0
MOST_STEPS = 5_000_000
UNIFORM_TOLERANCE = 1e-9
MOST_DECIMALS, MOST_TRIED = 3, 2_000


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """The times at which the market clears, in years from the start.

    ``years`` (steps + 1,) starts at 0 and increases.  InputError for an empty, negative or unordered grid.

    >>> TimeGrid.uniform(horizon_days=1.0, step_minutes=60.0).steps
    24
    """

    years: FloatArray

    def __post_init__(self) -> None:
        years = frozen(self.years)
        if years.size < 2 or years[0] != 0.0 or not np.isfinite(years).all() or not (np.diff(years) > 0.0).all():
            raise InputError("expected grid times in years that start at 0 and increase, with one step at least; give horizon_days above 0")
        object.__setattr__(self, "years", years)

    @classmethod
    def uniform(cls, *, horizon_days: float, step_minutes: float) -> TimeGrid:
        """Steps of equal length; the horizon must be a whole number of them.

        >>> float(TimeGrid.uniform(horizon_days=7.0, step_minutes=5.0).years[-1] * 365)
        7.0
        """
        _positive("horizon_days", horizon_days)
        _positive("step_minutes", step_minutes)
        count = horizon_days * MINUTES_PER_DAY / step_minutes
        steps = round(count)
        _steps(steps)
        if abs(count - steps) > 1e-6 * max(count, 1.0):
            raise InputError(
                f"expected a horizon of a whole number of steps, got {horizon_days:g} days of {step_minutes:g} minutes "
                f"({count:g} steps); take step_minutes = {_fitting_minutes(horizon_days * MINUTES_PER_DAY, step_minutes):.12g}"
            )
        return cls(np.arange(steps + 1) / steps * (horizon_days / DAYS_PER_YEAR))

    @classmethod
    def graded(cls, *, horizon_days: float, steps: int, exponent: float) -> TimeGrid:
        """Steps that shrink towards the horizon: time left = horizon (1 - i / steps)^exponent.

        >>> grid = TimeGrid.graded(horizon_days=7.0, steps=100, exponent=4.0)
        >>> bool(grid.step_years[-1] < 1e-6 * grid.step_years[0])
        True
        """
        _positive("horizon_days", horizon_days)
        _steps(steps)
        if not 1.0 <= exponent <= 10.0:
            raise InputError(f"expected a grading exponent from 1 (uniform) to 10, got {exponent:g}; 4 resolves a pin at the strike")
        left = (1.0 - np.arange(steps + 1) / steps) ** exponent
        return cls((1.0 - left) * (horizon_days / DAYS_PER_YEAR))

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(self.years.size - 1)

    @property
    def step_years(self) -> FloatArray:
        """Length of every step in years; (steps,)."""
        return np.diff(self.years)

    @property
    def horizon_years(self) -> float:
        """The last time, in years."""
        return float(self.years[-1])

    @property
    def is_uniform(self) -> bool:
        """Whether all steps are of one length."""
        lengths = self.step_years
        return bool(np.ptp(lengths) <= UNIFORM_TOLERANCE * lengths.mean())


def _fitting_minutes(run_minutes: float, step_minutes: float) -> float:
    """The step nearest to the wanted one, and within a tenth of it, that has the fewest decimals and divides the run; else any that divides it.

    >>> _fitting_minutes(1440.0, 7.0), _fitting_minutes(1440.0, 11.0), _fitting_minutes(1000.0, 3.0)
    (7.2, 10.0, 3.125)
    """
    for decimals in range(MOST_DECIMALS + 1):
        centre = round(step_minutes * 10**decimals)
        reach = min(centre // 10, MOST_TRIED)
        tried: list[float] = [place / 10**decimals for place in range(max(centre - reach, 1), centre + reach + 1)]
        near = [minutes for minutes in tried if abs(minutes - step_minutes) <= 0.1 * step_minutes]
        fitting = [minutes for minutes in near if abs(run_minutes / minutes - round(run_minutes / minutes)) < 1e-9 * run_minutes / minutes]
        if fitting:
            return min(fitting, key=lambda minutes: abs(minutes - step_minutes))
    return run_minutes / max(round(run_minutes / step_minutes), 1)


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise InputError(f"expected {name} above 0, got {value:g}; time runs forward")


def _steps(steps: int) -> None:
    if not 1 <= steps <= MOST_STEPS:
        raise InputError(f"expected 1 to {MOST_STEPS:,} steps, got {steps:,}; lengthen step_minutes or shorten the horizon")
