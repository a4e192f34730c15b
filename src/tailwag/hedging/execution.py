"""How an order reaches the market: at once, in even slices, on Almgren and Chriss's or Obizhaeva and Wang's schedule, or as a maker.

Every noun here has ``weights`` (slices,), the shares of an order traded in each slice, which add to one; the engine needs nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray, frozen

MOST_SLICES = 100_000


@dataclass(frozen=True, slots=True)
class AtOnce:
    """Everything in one slice: dearest in impact, no risk of waiting.

    >>> AtOnce().weights()
    array([1.])
    """

    @property
    def slices(self) -> int:
        """One."""
        return 1

    def weights(self) -> FloatArray:
        """All of it (1,)."""
        return np.ones(1)

    def __str__(self) -> str:
        return "the whole order at once"


@dataclass(frozen=True, slots=True)
class Twap:
    """The same share in every slice.

    >>> Twap(4).weights()
    array([0.25, 0.25, 0.25, 0.25])
    """

    slices: int

    def __post_init__(self) -> None:
        _check_slices(self.slices)

    def weights(self) -> FloatArray:
        """Equal shares (slices,)."""
        return np.full(self.slices, 1.0 / self.slices)

    def __str__(self) -> str:
        return f"{self.slices} equal slices"


@dataclass(frozen=True, slots=True)
class AlmgrenChriss:
    """More at the start, less later: the schedule that trades impact against the risk of waiting.

    share left after slice j = sinh(u (1 - j / n)) / sinh(u) with u = ``urgency``, kappa T of Almgren and Chriss 2000.  Urgency 0 is TWAP, a
    large one is at once.  Build it from market numbers with :meth:`from_market`.

    >>> AlmgrenChriss(slices=5, urgency=0.6070757 * 5).weights().round(6)
    array([0.458044, 0.252101, 0.141957, 0.085756, 0.062142])
    """

    slices: int
    urgency: float

    def __post_init__(self) -> None:
        _check_slices(self.slices)
        if not (math.isfinite(self.urgency) and self.urgency >= 0.0):
            raise RuleError(
                f"expected an urgency of 0 or more, got {self.urgency}; 0 is even slices, 3 trades nearly half in the first fifth"
            )

    @classmethod
    def from_market(cls, order: AlmgrenChrissOrder) -> AlmgrenChriss:
        """The schedule that is best for this order."""
        return cls(order.slices, order.kappa * order.horizon)

    def weights(self) -> FloatArray:
        """Shares (slices,), falling; written with exponentials of negative numbers so that no urgency overflows."""
        left = 1.0 - np.arange(self.slices + 1) / self.slices
        if self.urgency < 1e-6:
            return np.asarray(-np.diff(left))
        decayed = np.exp(-self.urgency * (1.0 - left))
        held = decayed * np.expm1(-2.0 * self.urgency * left) / math.expm1(-2.0 * self.urgency)
        return np.asarray(-np.diff(held))

    def __str__(self) -> str:
        return f"{self.slices} slices on Almgren and Chriss's schedule, {100.0 * float(self.weights()[0]):.0f} % in the first"


@dataclass(frozen=True, slots=True)
class AlmgrenChrissOrder:
    """An order and the market it meets, in any one set of units (coin, USD per coin, days).

    ``vol`` USD per coin per square root of time; ``fixed_cost`` per coin (half the spread and fees); ``permanent`` USD per coin per coin
    traded; ``temporary`` USD per coin per coin-per-time; ``risk_aversion`` per USD of variance.
    Source: Almgren and Chriss 2000.

    >>> order = AlmgrenChrissOrder(1e6, horizon=5.0, slices=5, vol=0.95, fixed_cost=0.0625, permanent=2.5e-7, temporary=2.5e-6, risk_aversion=1e-6)
    >>> round(order.kappa, 6), round(order.expected_cost(), 1), round(order.cost_sd(), 1)
    (0.607076, 911227.0, 603430.7)
    """

    quantity: float
    horizon: float
    slices: int
    vol: float
    fixed_cost: float
    permanent: float
    temporary: float
    risk_aversion: float

    def __post_init__(self) -> None:
        _check_slices(self.slices)
        for name in ("quantity", "horizon", "temporary"):
            _positive(name, getattr(self, name))
        for name in ("vol", "fixed_cost", "permanent", "risk_aversion"):
            _not_negative(name, getattr(self, name))
        if self.temporary_net <= 0.0:
            raise RuleError(
                f"expected temporary impact above half of permanent impact times the slice ({0.5 * self.permanent * self.step:g}), got "
                f"{self.temporary:g}; take shorter slices"
            )

    @property
    def step(self) -> float:
        """Length of a slice."""
        return self.horizon / self.slices

    @property
    def temporary_net(self) -> float:
        """Temporary impact less half of what a slice leaves behind, eta - permanent step / 2."""
        return self.temporary - 0.5 * self.permanent * self.step

    @property
    def kappa(self) -> float:
        """Urgency per time: 2 / step asinh(step / 2 sqrt(risk_aversion vol^2 / eta)), eta net of permanent impact."""
        stiffness = self.risk_aversion * self.vol**2 / self.temporary_net
        return 2.0 / self.step * math.asinh(0.5 * self.step * math.sqrt(stiffness))

    @property
    def schedule(self) -> AlmgrenChriss:
        """The best slices."""
        return AlmgrenChriss.from_market(self)

    def holdings(self) -> FloatArray:
        """Coin still to trade at the end of each slice under the best schedule (slices,)."""
        return np.asarray(self.quantity * (1.0 - np.cumsum(self.schedule.weights())))

    def expected_cost(self, weights: FloatArray | None = None) -> float:
        """Expected shortfall in USD of these shares (slices,), the best ones if none are given."""
        traded = self.quantity * self._shares(weights)
        return float(
            0.5 * self.permanent * self.quantity**2
            + self.fixed_cost * np.abs(traded).sum()
            + self.temporary_net / self.step * traded @ traded
        )

    def cost_sd(self, weights: FloatArray | None = None) -> float:
        """Standard deviation in USD of the shortfall, from holding what is not yet traded."""
        held = self.quantity * (1.0 - np.cumsum(self._shares(weights)))
        return float(self.vol * math.sqrt(self.step * float(held @ held)))

    def _shares(self, weights: FloatArray | None) -> FloatArray:
        return self.schedule.weights() if weights is None else checked_weights(weights, slices=self.slices)


@dataclass(frozen=True, slots=True)
class ObizhaevaWang:
    """A block at each end and an even stream between: best where impact fades exponentially and only cost counts.

    ``decays`` is rate times horizon, how often the book refills during the order.  In continuous time the blocks are 1 / (decays + 2) each
    and the stream decays / (decays + 2); the slices are the exact best at ``slices`` equally spaced moments, first and last included.
    Source: Obizhaeva and Wang 2013.

    >>> ObizhaevaWang(slices=1001, decays=2.2).weights()[[0, -1]].round(6)
    array([0.238357, 0.238357])
    """

    slices: int
    decays: float

    def __post_init__(self) -> None:
        _check_slices(self.slices)
        if not (math.isfinite(self.decays) and self.decays >= 0.0):
            raise RuleError(f"expected 0 or more refills during the order, got {self.decays}; it is refill rate times horizon")

    @property
    def block(self) -> float:
        """Share of each end block in continuous time."""
        return 1.0 / (self.decays + 2.0)

    @property
    def stream(self) -> float:
        """Share traded evenly between the blocks in continuous time."""
        return self.decays / (self.decays + 2.0)

    def weights(self) -> FloatArray:
        """Shares (slices,): 1 / (1 + a) at both ends and (1 - a) / (1 + a) between, a = e^(-decays / (slices - 1)), scaled to one."""
        if self.slices == 1:
            return np.ones(1)
        gap = self.decays / (self.slices - 1)
        between = -math.expm1(-gap)
        shares = np.full(self.slices, between)
        shares[[0, -1]] = 1.0
        return np.asarray(shares / shares.sum())

    def cost_usd(self, quantity: float, impact: float, weights: FloatArray | None = None) -> float:
        """Cost of pushing the price by ``impact`` per coin, each slice paying what is left of earlier ones and half of its own.

        0.5 n' G n with G = impact e^(-decays |i - j| / (slices - 1)); impact quantity^2 / (decays + 2) in continuous time.
        """
        traded = quantity * (self.weights() if weights is None else checked_weights(weights, slices=self.slices))
        left = math.exp(-self.decays / (self.slices - 1)) if self.slices > 1 else 0.0
        pushed, cost = 0.0, 0.0
        for amount in traded:
            pushed *= left
            cost += float(amount) * (pushed + 0.5 * impact * float(amount))
            pushed += impact * float(amount)
        return cost

    def continuous_cost_usd(self, quantity: float, impact: float) -> float:
        """Least cost in continuous time, impact quantity^2 / (decays + 2)."""
        return impact * quantity**2 * self.block

    def __str__(self) -> str:
        return f"{self.slices} slices, {100.0 * float(self.weights()[0]):.0f} % at each end and the rest evenly between"


@dataclass(frozen=True, slots=True)
class Maker:
    """Quote on the needed side and wait: each step the order is filled with ``fill_probability``, at the half-spread instead of paying it.

    What is not filled stays wanted and is quoted again.  RuleError unless 0 < probability <= 1.
    """

    fill_probability: float

    def __post_init__(self) -> None:
        if not 0.0 < self.fill_probability <= 1.0:
            raise RuleError(f"expected a fill probability above 0 and up to 1, got {self.fill_probability}; at 0 nothing is ever hedged")

    @property
    def slices(self) -> int:
        """One quote at a time."""
        return 1

    @property
    def expected_steps(self) -> float:
        """Mean number of steps until filled, 1 / probability."""
        return 1.0 / self.fill_probability

    def weights(self) -> FloatArray:
        """The whole order in one quote (1,)."""
        return np.ones(1)

    def __str__(self) -> str:
        return f"as a maker, filled with probability {self.fill_probability:g} a step"


Execution = AtOnce | Twap | AlmgrenChriss | ObizhaevaWang | Maker


def checked_weights(weights: FloatArray, *, slices: int) -> FloatArray:
    """A schedule of your own as read-only shares (slices,): as many as slices, finite, adding to one; else RuleError.

    >>> checked_weights(np.array([0.5, 0.5]), slices=2)
    array([0.5, 0.5])
    """
    shares = frozen(weights)
    if shares.shape != (slices,) or not np.isfinite(shares).all() or abs(float(shares.sum()) - 1.0) > 1e-9:
        raise RuleError(
            f"expected {slices} shares that add to one, got {shares.size} adding to {float(shares.sum()):g}; divide by their sum"
        )
    return shares


def _check_slices(slices: int) -> None:
    if not (isinstance(slices, int) and 1 <= slices <= MOST_SLICES):
        raise RuleError(f"expected slices as a whole number from 1 to {MOST_SLICES:,}, got {slices!r}")


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise RuleError(f"expected {name} above 0, got {value}; state the order as a positive number and its side elsewhere")


def _not_negative(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0.0):
        raise RuleError(f"expected {name} of 0 or more, got {value}; costs and risk are not negative")
