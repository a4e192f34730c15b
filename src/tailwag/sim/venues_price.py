"""Prices beside spot: a future's fundamental price sheds its carry, and the index is the capped median of the venues in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.kernels.arrays import FloatArray

if TYPE_CHECKING:
    from tailwag.sim.dynamics import PriceModel
    from tailwag.sim.prices_diffusion import State


@dataclass(frozen=True, slots=True)
class Carried:
    """The shocks of ``price`` and a drift of ``drift_per_year`` in the log price."""

    price: PriceModel
    drift_per_year: float

    @property
    def annual_vol(self) -> float:
        """That of the shocks."""
        return self.price.annual_vol

    def scaled(self, factor: float) -> Carried:
        """More or less of the shocks, the same carry."""
        return Carried(self.price.scaled(factor), self.drift_per_year)

    def init(self, paths: int) -> State:
        """The shocks' state."""
        return self.price.init(paths)

    def increments(self, state: State, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, State]:
        """The shock and the carry of a step."""
        moved, after = self.price.increments(state, step=step, step_years=step_years, seed=seed, first_path=first_path)
        return moved + self.drift_per_year * step_years, after


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
