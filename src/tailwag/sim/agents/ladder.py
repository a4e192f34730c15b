"""Leveraged traders as a ladder of liquidations: longs are sold out as price falls through their levels, shorts bought in as it rises."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, zero_row
from tailwag.kernels.booking import row
from tailwag.kernels.demands import LADDER
from tailwag.kernels.ladder import fired_usd
from tailwag.kernels.normal_shares import normal_shares
from tailwag.sim.agents.empty_answers import WantsNoHedge
from tailwag.sim.agents.protocol import Account, Demand, Draws, Market, Move, Orders, Trader, View
from tailwag.sim.walked import Walked

MOST_LEVELS = 4096
SCAN_SHARE = 0.25
TO_START = 2
"""Kinds of draws from here on place the random levels, below and above."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Liquidation levels around one distance: ``notional_usd`` normally distributed at ``distance_log`` from the start, ``width_log`` wide.

    >>> cluster = Cluster(distance_log=-0.05, width_log=0.01, notional_usd=6e8)
    >>> round(float(cluster.passed_usd(np.array([-0.05]))[0]) / 1e6)
    300
    """

    distance_log: float
    width_log: float
    notional_usd: float

    def __post_init__(self) -> None:
        if not (self.distance_log != 0.0 and math.isfinite(self.distance_log)):
            raise InputError(f"expected a cluster's distance_log below 0 (longs) or above 0 (shorts), got {self.distance_log:g}")
        if not (self.width_log > 0.0 and self.notional_usd >= 0.0 and math.isfinite(self.notional_usd)):
            raise InputError(f"expected width_log above 0 and notional_usd of 0 or more, got {self.width_log:g} and {self.notional_usd:g}")

    def passed_usd(self, log_price: FloatArray) -> FloatArray:
        """Notional whose level lies between the start and a log price on the cluster's side, (paths,)."""
        side = math.copysign(1.0, self.distance_log)
        reach = np.maximum(side * log_price, 0.0)
        center = abs(self.distance_log)
        start = normal_shares(np.array([-center / self.width_log]))
        return np.asarray(self.notional_usd * (normal_shares((reach - center) / self.width_log) - start))

    def density_usd(self, log_price: FloatArray) -> FloatArray:
        """Notional per unit of log price there, (paths,); zero on the other side of the start."""
        side = math.copysign(1.0, self.distance_log)
        z = (side * log_price - abs(self.distance_log)) / self.width_log
        inside = side * log_price >= 0.0
        return np.asarray(np.where(inside, self.notional_usd / (self.width_log * math.sqrt(2.0 * math.pi)) * np.exp(-0.5 * z * z), 0.0))


@dataclass(frozen=True, slots=True)
class LiquidationLadder:
    """Leveraged positions that the venue closes at the market when price reaches their levels; each level fires once.

    ``density_usd``: notional per unit of log price, evenly spread on both sides.  ``clusters``: normal bumps beside it.  ``levels_per_log``
    with ``level_usd``: positions of one size at random levels, a Poisson number of them per unit of log price, different on every path.
    With ``delay_steps = 0`` a cascade is solved in its step: liquidations move the price onto further levels until it rests at the first
    price at which no further level is reached.
    """

    name: str
    delay_steps: int
    density_usd: float = 0.0
    clusters: tuple[Cluster, ...] = ()
    levels_per_log: float = 0.0
    level_usd: float = 0.0
    reach_log: float = 0.7
    stream: int = 0

    def __post_init__(self) -> None:
        for field in ("density_usd", "levels_per_log", "level_usd"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"agent {self.name!r}: expected {field} of 0 or more, got {value:g}")
        if self.levels_per_log * self.reach_log > MOST_LEVELS / 2:
            raise InputError(
                f"agent {self.name!r}: expected at most {MOST_LEVELS // 2} random levels a side, got {self.levels_per_log * self.reach_log:g}"
            )
        if not (0.0 < self.reach_log <= 5.0) or self.delay_steps < 0:
            raise InputError(f"agent {self.name!r}: expected reach_log in (0, 5] and delay_steps of 0 or more")

    def __str__(self) -> str:
        parts = [f"{self.density_usd:.3g} USD per unit of log price"] if self.density_usd else []
        parts += [f"{cluster.notional_usd:.3g} USD around {100 * cluster.distance_log:+.3g} %" for cluster in self.clusters]
        if self.levels_per_log * self.level_usd:
            parts.append(f"{self.levels_per_log:g} random levels of {self.level_usd:.3g} USD per unit of log price")
        return "liquidation of " + (", ".join(parts) or "nothing")

    def content(self) -> str:
        """Everything but the name."""
        return repr([getattr(self, entry.name) for entry in fields(self) if entry.name != "name"])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """Like short gamma of the notional that the next unit of log price liquidates (on the denser side)."""
        sides = [
            self.density_usd + sum(float(cluster.density_usd(np.array([edge]))[0]) for cluster in self.clusters) for edge in (-1e-12, 1e-12)
        ]
        return -(max(sides) + self.levels_per_log * self.level_usd)

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """USD bought per unit of log price of a small move from the start, the mean of both sides: half of the bumps go each way."""
        both = sum(float(cluster.density_usd(np.array([edge]))[0]) for cluster in self.clusters for edge in (-1e-12, 1e-12))
        return self.density_usd + 0.5 * both + self.levels_per_log * self.level_usd

    def at_work(self, market: Market) -> Trader:
        """Ready to be liquidated."""
        return LadderTrader(self, market.spot_usd)


@dataclass(frozen=True, slots=True)
class LadderState:
    """How far each path has been, how far it had been when orders were last sent, and its random levels.

    Shapes: (paths,); ``below`` and ``above`` (levels, paths), distances from the start in rising order.
    """

    lowest: FloatArray
    highest: FloatArray
    ordered_low: FloatArray
    ordered_high: FloatArray
    below: FloatArray
    above: FloatArray

    def of(self, paths: IntArray) -> LadderState:
        """Some of the paths."""
        lows, highs = (self.lowest[paths], self.highest[paths]), (self.ordered_low[paths], self.ordered_high[paths])
        return LadderState(*lows, *highs, self.below[:, paths], self.above[:, paths])


@dataclass(frozen=True, slots=True)
class LadderTrader(WantsNoHedge):
    """The ladder at work."""

    ladder: LiquidationLadder
    spot_usd: float

    def init(self, paths: int, draw: Draws) -> LadderState:
        """Nobody liquidated; every path has its own random levels."""
        nothing = np.zeros(paths)
        below, above = (_levels(self.ladder, paths, draw, TO_START + side) for side in range(2))
        return LadderState(nothing, nothing, nothing, nothing, below, above)

    def start_coin(self, state: LadderState) -> FloatArray:
        """Longs less shorts of the whole ladder at the first price."""
        far = np.full(state.lowest.shape, self.ladder.reach_log)
        return (self._sold(-far, state) - self._bought(far, state)) / self.spot_usd

    def act(self, view: View, account: Account, state: LadderState, draw: Draws) -> Orders:
        """Sell the longs and buy in the shorts whose levels were reached for the first time."""
        nothing = zero_row(view.log_price.size)
        if self.ladder.delay_steps:
            sold = self._sold(state.lowest, state) - self._sold(state.ordered_low, state)
            bought = self._bought(state.highest, state) - self._bought(state.ordered_high, state)
            return Orders(usd=np.where(view.live, bought - sold, 0.0), coin=nothing)

        def some(paths: IntArray) -> Demand:
            return self._fired(state.of(paths), view.live[paths])

        demand, scale, walked = self._fired(state, view.live), self._scale(view), self._walked(state, view.live)
        return Orders(usd=nothing, coin=nothing, demand=demand, scale_log=scale, some=some, walked=walked)

    def _walked(self, state: LadderState, live: BoolArray) -> Walked | None:
        """What is liquidated as compiled code reads it: of a ladder without random levels."""
        if state.below.shape[0] or state.above.shape[0]:
            return None
        clusters, paths = self._clusters(), live.size
        been = (row(state.lowest, paths), row(state.highest, paths))
        return Walked(LADDER, (*been, live, clusters, clusters.shape[0]), (self.ladder.density_usd,))

    def _clusters(self) -> FloatArray:
        """Distance, width and notional, (clusters, 3)."""
        return np.array([(one.distance_log, one.width_log, one.notional_usd) for one in self.ladder.clusters]).reshape(-1, 3)

    def _fired(self, state: LadderState, live: BoolArray) -> Demand:
        """What is sold and bought in on the way to a clearing price, and its slope."""
        clusters = self._clusters()

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            usd, slope, nothing = np.zeros(log_price.shape), np.zeros(log_price.shape), np.zeros(log_price.shape)
            if not state.below.shape[0] and not state.above.shape[0]:
                fired_usd(clusters, self.ladder.density_usd, live, (state.lowest, state.highest), log_price, usd, slope)
                return usd, nothing, slope, nothing
            fell, rose = np.flatnonzero(live & (log_price < state.lowest)), np.flatnonzero(live & (log_price > state.highest))
            if fell.size:  # only where price goes further than it ever was does anything happen
                there = state.of(fell)
                usd[fell] -= self._sold(log_price[fell], there) - self._sold(there.lowest, there)
                slope[fell] += self._density(log_price[fell])
            if rose.size:
                there = state.of(rose)
                usd[rose] += self._bought(log_price[rose], there) - self._bought(there.highest, there)
                slope[rose] += self._density(log_price[rose])
            return usd, nothing, slope, nothing

        return demand

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: LadderState) -> FloatArray:
        """Minus the notional per unit of log price at the frontier that the price touches, random levels by their mean."""
        at_edge = (log_price <= state.lowest) | (log_price >= state.highest)
        random = self.ladder.levels_per_log * self.ladder.level_usd
        return np.where(at_edge, -(self._density(log_price) + random), 0.0)

    def liquidation_usd(self, log_price: FloatArray, view: View, state: LadderState) -> FloatArray:
        """What it would buy (+) or sell (-) if price went to a log price: the levels that were not reached before, (paths,)."""
        sold = self._sold(np.minimum(log_price, state.lowest), state) - self._sold(state.lowest, state)
        bought = self._bought(np.maximum(log_price, state.highest), state) - self._bought(state.highest, state)
        return np.where(view.live, bought - sold, 0.0)

    def options(self, move: Move, state: LadderState) -> tuple[None, LadderState]:
        """No options; remembers how far the price has been at which anybody could trade: between auctions no level is reached."""
        traded = move.live if move.traded is None else move.live & move.traded
        low, high = np.minimum(state.lowest, move.log_price), np.maximum(state.highest, move.log_price)
        if not traded.all():
            low, high = np.where(traded, low, state.lowest), np.where(traded, high, state.highest)
        return None, LadderState(low, high, state.lowest, state.highest, state.below, state.above)

    def _sold(self, low: FloatArray, state: LadderState) -> FloatArray:
        """Longs liquidated once the price has been as low as ``low`` <= 0."""
        total = self.ladder.density_usd * -low
        for cluster in self.ladder.clusters:
            total = total + (cluster.passed_usd(low) if cluster.distance_log < 0.0 else 0.0)
        return np.asarray(total + self.ladder.level_usd * (state.below <= -low).sum(axis=0))

    def _bought(self, high: FloatArray, state: LadderState) -> FloatArray:
        """Shorts liquidated once the price has been as high as ``high`` >= 0."""
        total = self.ladder.density_usd * high
        for cluster in self.ladder.clusters:
            total = total + (cluster.passed_usd(high) if cluster.distance_log > 0.0 else 0.0)
        return np.asarray(total + self.ladder.level_usd * (state.above <= high).sum(axis=0))

    def _density(self, log_price: FloatArray) -> FloatArray:
        total = np.full(log_price.shape, self.ladder.density_usd)
        for cluster in self.ladder.clusters:
            total = total + cluster.density_usd(log_price)
        return total

    def _scale(self, view: View) -> FloatArray:
        """A cascade must not be scanned in strides that jump over a cluster's edge."""
        widths = [cluster.width_log for cluster in self.ladder.clusters]
        finest = SCAN_SHARE * min(widths) if widths else np.inf
        return np.full(view.live.shape, finest) if view.live.all() else np.where(view.live, finest, np.inf)


def _levels(ladder: LiquidationLadder, paths: int, draw: Draws, kind: int) -> FloatArray:
    """Distances of random levels on one side: a Poisson process, its gaps exponential; (levels, paths), inf beyond the reach."""
    if ladder.levels_per_log * ladder.level_usd == 0.0:
        return np.zeros((0, paths))
    rows: list[FloatArray] = []
    reached = np.zeros(paths)
    while (reached <= ladder.reach_log).any() and len(rows) < MOST_LEVELS:
        reached = reached - np.log(draw(kind, len(rows))) / ladder.levels_per_log
        rows.append(reached)
    levels = np.stack(rows)
    return np.where(levels <= ladder.reach_log, levels, np.inf)
