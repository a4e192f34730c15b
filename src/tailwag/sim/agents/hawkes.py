"""Market orders that call forth market orders: a self-exciting (Hawkes) stream of buys and sells that nobody's price moves."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.empty_answers import HedgesNothing
from tailwag.sim.agents.protocol import Account, Draws, Market, Move, Orders, Trader, View
from tailwag.units import HOURS_PER_YEAR

CALLED_FORTH, OF_ITSELF, SIDE = 0, 1, 2
"""Kinds of draws: the wait for an order that others call forth, for one that comes of itself, and whether it buys."""
MOST_A_STEP = 1 << 20
"""Draws are numbered by step and by order in it: no more orders than this in one step."""
NUMBERS = 1 << 32
"""Draws of one kind: so many numbers."""
NUMBERED_STEPS = NUMBERS // MOST_A_STEP
"""Steps whose orders the first kinds of draws can number; those of later steps have kinds of their own."""
LATER_KINDS = 3
MOST_EXPECTED = 20_000.0
SETTLES = 4.0
"""Memory times that the stream has run before the start: second moments are then stationary to exp(-8)."""


@dataclass(frozen=True, slots=True)
class SelfExcitingOrders:
    """A stream of market orders of ``order_usd`` each, ``background_per_hour`` of them by themselves; each calls forth ``children`` more.

    intensity = background + children x beta sum exp(-beta age), beta = ln 2 / ``half_life_minutes``; ``same_side_share`` of the children trade on their
    parent's side.  Simulated exactly, order by order, from a stationary start.  Orders an hour: background / (1 - children).  No price moves it, so its loop gain is 0.
    InputError for children outside [0, 1) (the stream would explode) or a number that means nothing.

    >>> stream = SelfExcitingOrders("flow", 0, background_per_hour=12.0, children=0.6, half_life_minutes=20.0, order_usd=1e6)
    >>> round(stream.orders_per_hour, 6), round(stream.order_variance(24.0), 2)
    (30.0, 4310.65)
    """

    name: str
    delay_steps: int
    background_per_hour: float
    children: float
    half_life_minutes: float
    order_usd: float
    same_side_share: float = 1.0
    stream: int = 0

    def __post_init__(self) -> None:
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        for name in ("background_per_hour", "half_life_minutes", "order_usd"):
            if not 0.0 < getattr(self, name) < 1e12:
                raise InputError(f"agent {self.name!r}: expected {name} above 0, got {getattr(self, name):g}")
        if not 0.0 <= self.children <= 0.99:
            raise InputError(
                f"agent {self.name!r}: expected children from 0 to 0.99, got {self.children:g}; where each order calls forth one more, the stream explodes"
            )
        if not 0.0 <= self.same_side_share <= 1.0:
            raise InputError(
                f"agent {self.name!r}: expected same_side_share from 0 to 1, got {self.same_side_share:g}; 1: buys call forth buys"
            )

    @property
    def orders_per_hour(self) -> float:
        """Buys and sells together: background / (1 - children)."""
        return self.background_per_hour / (1.0 - self.children)

    @property
    def forgets_per_hour(self) -> float:
        """beta, by which one order's children thin out."""
        return 60.0 * math.log(2.0) / self.half_life_minutes

    @property
    def settling_hours(self) -> float:
        """How long the stream has run before the start."""
        return SETTLES / (self.forgets_per_hour * (1.0 - self.children))

    def order_variance(self, hours: float) -> float:
        """Variance of the number of orders in a time: rate T (k^2 + (1 - k^2) (1 - e^(-w T)) / (w T)), k = 1 / (1 - n), w = beta (1 - n)."""
        return self._variance(hours, self.children)

    def flow_variance_usd(self, hours: float) -> float:
        """Variance of the net flow of a time in USD^2: the same with n = children (2 same_side_share - 1), times order_usd^2."""
        return self.order_usd**2 * self._variance(hours, self.children * (2.0 * self.same_side_share - 1.0))

    def _variance(self, hours: float, children: float) -> float:
        amplified, memory = 1.0 / (1.0 - children) ** 2, self.forgets_per_hour * (1.0 - children) * hours
        return self.orders_per_hour * hours * (amplified - (1.0 - amplified) * math.expm1(-memory) / memory)

    def content(self) -> str:
        """Everything but the name."""
        return repr(["self-exciting orders", *(getattr(self, entry.name) for entry in fields(self) if entry.name != "name")])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """None: it answers orders, not prices."""
        return 0.0

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """None: it answers orders, not prices."""
        return 0.0

    def at_work(self, market: Market) -> Trader:
        """Ready to order; InputError where a step would hold more orders than can be drawn one by one."""
        expected = float(market.grid.step_years.max()) * HOURS_PER_YEAR * self.orders_per_hour
        if expected > MOST_EXPECTED:
            raise InputError(
                f"agent {self.name!r}: expected at most {MOST_EXPECTED:,.0f} orders in a step, got about {expected:,.0f}; they are drawn one by one: "
                "take fewer and larger orders, or shorter steps"
            )
        before = self.orders_per_hour * self.settling_hours
        if before > MOST_A_STEP:
            raise InputError(
                f"agent {self.name!r}: expected a memory over which at most {MOST_A_STEP:,} orders settle before the start, got about {before:,.0f}; "
                "shorten half_life_minutes, or take fewer and larger orders"
            )
        hours = market.grid.step_years * HOURS_PER_YEAR
        return OrderStream(self, tuple(hours.tolist()))


@dataclass(frozen=True, slots=True)
class StreamState:
    """Intensity above the background by side, per hour; orders of the step to come (count, and buys less sells); own draws.  (paths,)."""

    buys_per_hour: FloatArray
    sells_per_hour: FloatArray
    orders: FloatArray
    net: FloatArray
    draw: Draws


@dataclass(frozen=True, slots=True)
class OrderStream(HedgesNothing):
    """The stream at work: the orders of the step to come are drawn when the step before it has cleared."""

    agent: SelfExcitingOrders
    step_hours: tuple[float, ...]

    def init(self, paths: int, draw: Draws) -> StreamState:
        """The stream as it is long after it began, and the orders of the first step."""
        agent, nothing = self.agent, np.zeros(paths)
        each = np.full(paths, 0.5 * agent.orders_per_hour * agent.children)
        settled = self._orders(StreamState(each, each, nothing, nothing, draw), agent.settling_hours, 0)
        return self._orders(settled, self.step_hours[0], 1)

    def start_coin(self, state: StreamState) -> FloatArray:
        """Nothing held."""
        return np.zeros(state.net.shape)

    def act(self, view: View, account: Account, state: StreamState, draw: Draws) -> Orders:
        """The orders of the step to come."""
        return Orders(usd=np.where(view.live, self.agent.order_usd * state.net, 0.0), coin=np.zeros(state.net.shape))

    def options(self, move: Move, state: StreamState) -> tuple[None, StreamState]:
        """No options; draws the orders of the next step."""
        if move.step >= len(self.step_hours):
            return None, state
        return None, self._orders(state, self.step_hours[move.step], move.step + 1)

    def _orders(self, state: StreamState, hours: float, step: int) -> StreamState:
        """All orders of so many hours: the next is the earlier of one that comes of itself and one that the excited part calls forth.

        The excited part y of the intensity decays, so its next order may never come: with u uniform it comes after -ln(1 + beta ln(u) / y) / beta.
        """
        agent = self.agent
        beta, base = agent.forgets_per_hour, agent.background_per_hour
        own, other = (agent.children * beta * share for share in (agent.same_side_share, 1.0 - agent.same_side_share))
        buys, sells = state.buys_per_hour, state.sells_per_hour
        orders, net, left = np.zeros(buys.shape), np.zeros(buys.shape), np.full(buys.shape, hours)
        later, first, most = self._numbers(step)
        going, place = left > 0.0, first
        while going.any():
            called, itself, side = (state.draw(later + kind, place) for kind in (CALLED_FORTH, OF_ITSELF, SIDE))
            wait = np.minimum(_wait(called, buys + sells, beta), -np.log(itself) / base)
            passed = np.where(going, np.minimum(wait, left), 0.0)
            going, left, place = going & (wait < left), left - passed, place + 1
            faded = np.exp(-beta * passed)
            buys, sells = buys * faded, sells * faded
            buy = side * (base + buys + sells) < 0.5 * base + buys
            orders, net = orders + going, net + np.where(going, np.where(buy, 1.0, -1.0), 0.0)
            buys, sells = (
                buys + np.where(going, np.where(buy, own, other), 0.0),
                sells + np.where(going, np.where(buy, other, own), 0.0),
            )
            if place == first + most:
                raise InputError(f"agent {agent.name!r}: more than {most:,} orders in one step; lower children or shorten the steps")
        return StreamState(buys, sells, orders, net, state.draw)

    def _numbers(self, step: int) -> tuple[int, int, int]:
        """Where the draws of a step begin: added to the kind, the number of the first, and how many there are.

        Steps beyond the first kinds' numbers share those of three further kinds evenly.
        """
        if step < NUMBERED_STEPS:
            return 0, step * MOST_A_STEP, MOST_A_STEP
        most = min(MOST_A_STEP, NUMBERS // (len(self.step_hours) + 1 - NUMBERED_STEPS))
        return LATER_KINDS, (step - NUMBERED_STEPS) * most, most


def _wait(uniform: FloatArray, excited: FloatArray, beta: float) -> FloatArray:
    """Time until the excited part of the intensity brings an order; inf where it never does."""
    some = excited > 0.0
    reached = 1.0 + beta * np.log(uniform) / np.where(some, excited, 1.0)
    comes = some & (reached > 0.0)
    return np.where(comes, -np.log(np.where(comes, reached, 1.0)) / beta, np.inf)
