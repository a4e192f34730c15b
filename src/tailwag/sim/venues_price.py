"""Prices beside spot: a future's fundamental price sheds its carry, and the index is the capped median of the venues in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.option_book import WINDOW_YEARS
from tailwag.units import HOURS_PER_YEAR

if TYPE_CHECKING:
    from tailwag.sim.dynamics import PriceModel
    from tailwag.sim.prices_diffusion import State


SAME_TIME = 1e-9


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a future settles inside a run: at grid time ``step``, on the mean of the index over the ``count`` grid times up to it."""

    step: int
    count: int

    @property
    def first(self) -> int:
        """The first grid time that enters the mean."""
        return self.step - self.count + 1

    def share_left(self, step: int) -> float:
        """Part of the settlement that still moves with the index once a grid time is known: 1 before the window, 0 at the expiry.

        >>> [Expiry(step=10, count=4).share_left(step) for step in (3, 6, 7, 10, 12)]
        [1.0, 1.0, 0.75, 0.0, 0.0]
        """
        return min(max((self.step - step) / self.count, 0.0), 1.0)


def expiry_of(years: FloatArray, expiry_years: float) -> Expiry | None:
    """The expiry on a time grid, None where it comes after the run.

    Raises InputError for one inside the run that is not a grid time.

    >>> expiry_of(np.arange(25) * 0.25 / HOURS_PER_YEAR, 4.0 / HOURS_PER_YEAR)
    Expiry(step=16, count=2)
    """
    if expiry_years > float(years[-1]) * (1.0 + SAME_TIME):
        return None
    step = int(np.abs(years - expiry_years).argmin())
    if step == 0 or abs(float(years[step]) - expiry_years) > SAME_TIME * float(years[-1]):
        raise InputError(
            f"expected the expiry of a future at a step of the run, got {expiry_years * HOURS_PER_YEAR:g} h; the nearest is "
            f"{float(years[step]) * HOURS_PER_YEAR:.10g} h"
        )
    opens = float(years[step]) - WINDOW_YEARS * (1.0 - SAME_TIME)
    return Expiry(step, step + 1 - int(np.searchsorted(years, opens, side="right")))


@dataclass(frozen=True, slots=True)
class Carried:
    """The shocks of ``price`` and a drift of ``drift_per_year`` in the log price; with ``settles`` the shocks fade as the settlement is fixed.

    Step k of the n of a settlement window moves the expected mean by (n - k + 1) / n of the shock.
    """

    price: PriceModel
    drift_per_year: float
    settles: Expiry | None = None

    @property
    def annual_vol(self) -> float:
        """That of the shocks."""
        return self.price.annual_vol

    def scaled(self, factor: float) -> Carried:
        """More or less of the shocks, the same carry."""
        return Carried(self.price.scaled(factor), self.drift_per_year, self.settles)

    def init(self, paths: int) -> State:
        """The shocks' state."""
        return self.price.init(paths)

    def increments(self, state: State, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, State]:
        """The shock and the carry of a step."""
        moved, after = self.price.increments(state, step=step, step_years=step_years, seed=seed, first_path=first_path)
        share = 1.0 if self.settles is None else self.settles.share_left(step - 1)
        return moved * share + self.drift_per_year * step_years, after


def index_usd(prices_usd: Sequence[FloatArray], *, cap_share: float) -> FloatArray:
    """Mean of venues' prices, each first moved to within ``cap_share`` of their median, (paths,): tailwag.margin's index on every path.

    >>> index_usd([np.array([100.0]), np.array([101.0]), np.array([120.0])], cap_share=0.005).round(4).tolist()
    [101.0]
    """
    given = np.stack(prices_usd)
    middle = np.median(given, axis=0)
    capped = np.clip(given, middle * (1.0 - cap_share), middle * (1.0 + cap_share))
    total = np.zeros(middle.shape)
    for price in capped:
        total = total + price
    return np.asarray(total / len(prices_usd))


def same_shocks(one: Any, other: Any) -> bool:
    """Whether two price models yield the same shocks: of one class, with equal numbers and arrays."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    pairs = [(getattr(one, entry.name), getattr(other, entry.name)) for entry in fields(one)]
    return all(np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else bool(mine == theirs) for mine, theirs in pairs)
