"""What to measure on simulated paths: horizons, lags, strikes to watch, tail levels, the fan's checkpoints and the day's close."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray, IntArray, frozen
from tailwag.units import HOURS_PER_YEAR

MOST_CHECKPOINTS = 60
_ALIGNED = 1e-6


@dataclass(frozen=True, slots=True)
class PinWatch:
    """A strike, and how near to it the price must be at a step (the last one unless named) to count as pinned.

    >>> PinWatch(60_000.0, half_width_bps=10.0).half_width_log
    0.001
    """

    strike_usd: float
    half_width_bps: float
    step: int | None = None

    def __post_init__(self) -> None:
        if not (self.strike_usd > 0.0 and np.isfinite(self.strike_usd)):
            raise InputError(f"a strike above 0 USD expected, {self.strike_usd!r} came; give the strike in USD")
        if not 0.0 < self.half_width_bps < 1e4:
            raise InputError(f"a pin's half width between 0 and 10,000 bps expected, {self.half_width_bps!r} came")

    @classmethod
    def from_vol(cls, strike_usd: float, *, vol: float, years: float, share: float = 0.02) -> PinWatch:
        """Half width = share of vol sqrt(years), the customary 2 % of the horizon's own standard deviation.

        >>> round(PinWatch.from_vol(60_000.0, vol=0.6, years=7 / 365).half_width_bps, 3)
        16.618
        """
        return cls(strike_usd, 1e4 * share * vol * years**0.5)

    @property
    def half_width_log(self) -> float:
        """Half width as a log move."""
        return self.half_width_bps / 1e4


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """What is measured on every block of paths; the memory it takes depends on it alone, never on the number of paths.

    ``time_years`` (steps + 1,) is the grid; ``start_hour`` and ``close_hour`` are UTC hours of the day, the day's last
    ``close_window_hours`` are regressed on the rest of it (momentum).  Raises InputError where a part does not fit the grid.

    >>> plan = MetricPlan.for_grid(np.linspace(0.0, 1 / 365, 289), spot_usd=60_000.0)
    >>> plan.horizons_steps, plan.uniform, plan.day_steps
    ((1, 2, 5, 10, 20, 50, 100, 200, 288), True, 288)
    """

    time_years: FloatArray
    spot_usd: float
    horizons_steps: tuple[int, ...]
    lags_steps: tuple[int, ...]
    checkpoint_steps: tuple[int, ...]
    pins: tuple[PinWatch, ...] = ()
    tail_levels: tuple[float, ...] = (0.95, 0.99, 0.999)
    fan_quantiles: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)
    start_hour: float = 0.0
    close_hour: float | None = None
    close_window_hours: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_years", frozen(self.time_years))
        if self.steps < 1 or not bool((self.step_years > 0.0).all()):
            raise InputError("a time grid of at least two rising times expected; give time_years in years from the start")
        if not (self.spot_usd > 0.0 and np.isfinite(self.spot_usd)):
            raise InputError(f"a spot above 0 USD expected, {self.spot_usd!r} came")
        self._check_steps("horizons_steps", self.horizons_steps, least=1)
        self._check_steps("lags_steps", self.lags_steps, least=1)
        self._check_steps("checkpoint_steps", self.checkpoint_steps, least=0)
        self._check_steps("pins", tuple(pin.step for pin in self.pins if pin.step is not None), least=0)
        if len(self.checkpoint_steps) > MOST_CHECKPOINTS:
            raise InputError(f"at most {MOST_CHECKPOINTS} checkpoints expected, {len(self.checkpoint_steps)} came; a fan needs no more")
        levels = (*self.tail_levels, *self.fan_quantiles)
        if not all(0.0 < level < 1.0 for level in levels):
            raise InputError(f"tail levels and quantiles between 0 and 1 expected, {levels} came; write 0.99 for 99 %")

    def _check_steps(self, name: str, steps: tuple[int, ...], *, least: int) -> None:
        if any(step < least or step > self.steps for step in steps):
            raise InputError(f"{name} between {least} and the grid's {self.steps} steps expected, {steps} came")

    @classmethod
    def for_grid(cls, time_years: FloatArray, *, spot_usd: float, pins: tuple[PinWatch, ...] = (), start_hour: float = 0.0) -> MetricPlan:
        """The customary plan: horizons 1, 2, 5, 10, ... steps, three lags, 49 checkpoints."""
        steps = len(time_years) - 1
        series = [lead * 10**power for power in range(9) for lead in (1, 2, 5)]
        horizons = sorted({*(horizon for horizon in series if horizon <= steps), steps})
        lags = tuple(lag for lag in (1, 2, 3) if lag < steps)
        checkpoints = np.unique(np.round(np.linspace(0, steps, 49)).astype(int)).tolist()
        return cls(np.asarray(time_years), spot_usd, tuple(horizons), lags, tuple(checkpoints), pins, start_hour=start_hour)

    @property
    def steps(self) -> int:
        """Steps of the grid."""
        return len(self.time_years) - 1

    @property
    def step_years(self) -> FloatArray:
        """Length of each step."""
        return np.diff(self.time_years)

    @property
    def years(self) -> float:
        """The whole horizon."""
        return float(self.time_years[-1] - self.time_years[0])

    @property
    def uniform(self) -> bool:
        """Whether all steps are equally long, which returns by horizon need."""
        lengths = self.step_years
        return bool(np.ptp(lengths) <= _ALIGNED * lengths.mean())

    @property
    def day_steps(self) -> int | None:
        """Steps to a day, where a whole number of them makes one and the run has one."""
        if not self.uniform:
            return None
        steps = _whole(24.0 * self.steps / (self.years * HOURS_PER_YEAR))
        return steps if steps is not None and 1 <= steps <= self.steps else None

    @property
    def measured_horizons(self) -> tuple[int, ...]:
        """Horizons that this grid allows; one step always comes first."""
        return (1, *(h for h in sorted(set(self.horizons_steps)) if h > 1)) if self.uniform else (1,)

    @property
    def measured_lags(self) -> tuple[int, ...]:
        """Lags that this grid allows."""
        return tuple(lag for lag in self.lags_steps if lag < self.steps) if self.uniform else ()

    def hour_of_step(self) -> IntArray:
        """UTC hour of the day, 0 to 23, in which each step begins."""
        hours = self.start_hour + (self.time_years[:-1] - self.time_years[0]) * HOURS_PER_YEAR
        found: IntArray = np.floor(hours + _ALIGNED).astype(np.int64) % 24
        return found

    def hours_covered(self) -> FloatArray:
        """How many hours of the run fall into each hour of the day (24,)."""
        covered: FloatArray = np.bincount(self.hour_of_step(), weights=self.step_years * HOURS_PER_YEAR, minlength=24).astype(np.float64)
        return covered

    def close_steps(self) -> IntArray | None:
        """(days, 3) steps: the day's begin, where its last window begins, its close; None where no whole day fits the grid."""
        day = self.day_steps
        if day is None:
            return None
        close = self.start_hour if self.close_hour is None else self.close_hour
        first = _whole(((close - self.start_hour) % 24.0) * day / 24.0)
        window = _whole(self.close_window_hours * day / 24.0)
        if first is None or window is None or not 1 <= window < day or first + day > self.steps:
            return None
        begin = np.arange(first, self.steps - day + 1, day)
        return np.stack([begin, begin + day - window, begin + day], axis=1)


def _whole(number: float) -> int | None:
    nearest = round(number)
    return nearest if abs(number - nearest) <= _ALIGNED * max(1.0, number) else None
