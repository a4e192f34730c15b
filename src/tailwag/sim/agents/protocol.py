"""What an agent is: it sees a public view and its own account, and answers with orders; it never sees another agent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sim.grid import TimeGrid


@dataclass(frozen=True, slots=True)
class Market:
    """What everybody knows before the start: the first price, the times, and how far one USD moves the price."""

    spot_usd: float
    grid: TimeGrid
    impact_per_usd: float


@dataclass(frozen=True, slots=True)
class View:
    """What everybody sees at one decision.  Shapes: (paths,) arrays, scalars for the clock.

    ``log_price`` is ln(S / S0) at the decision: after the exogenous move and before trading for orders of the same step, the cleared price
    for orders that arrive later.  ``market_gain`` is the public estimate of everybody's loop gain there.
    """

    step: int
    time_years: float
    step_years: float
    log_price: FloatArray
    spot_usd: FloatArray
    vol_shift: FloatArray
    last_log_price: FloatArray
    market_gain: FloatArray
    live: BoolArray


@dataclass(frozen=True, slots=True)
class Account:
    """What an agent knows of itself: coin, cash, and orders on their way.  (paths,) arrays; + is long, + buys."""

    position_coin: FloatArray
    cash_usd: FloatArray
    bought_usd: FloatArray
    flight_usd: FloatArray
    flight_coin: FloatArray


@dataclass(frozen=True, slots=True)
class Orders:
    """What an agent wants to buy: fixed amounts in USD and in coin, and a demand sized at the clearing price (same-step orders only).

    ``demand(log_price, vol_shift)`` -> (usd, coin, slope_usd, slope_coin): amounts to buy if the step cleared there, and their slopes per
    unit of log price.  ``scale_log``: over what distance of log price the demand is smooth (the solver scans no coarser).
    """

    usd: FloatArray
    coin: FloatArray
    demand: Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray, FloatArray, FloatArray]] | None = None
    scale_log: float = float("inf")


@dataclass(frozen=True, slots=True)
class OptionStep:
    """What an agent's options did in one step, in USD: each part of the change of their value, and cash paid out at an expiry."""

    delta_usd: FloatArray
    gamma_theta_usd: FloatArray
    vanna_usd: FloatArray
    vega_usd: FloatArray
    total_usd: FloatArray
    paid_usd: FloatArray


Draws = Callable[[int], FloatArray]
"""``draw(i)``: the i-th uniform number in (0, 1) of this agent in this step, (paths,), the same bits in any block and order."""


@runtime_checkable
class Agent(Protocol):
    """One participant.  ``content()`` is what it is, without its name: agents are ordered, and draw, by content."""

    @property
    def name(self) -> str:
        """The name in reports; it changes no number."""
        ...

    @property
    def delay_steps(self) -> int:
        """Steps between seeing a move and trading on it; 0 trades in the same step."""
        ...

    def content(self) -> str:
        """Everything that decides what this agent does, as text, without its name."""
        ...

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """Dollar gamma that this agent hedges at the start, S^2 Gamma times the share it hedges; + long."""
        ...

    def init(self, market: Market, paths: int) -> Any:
        """This agent's own state at the start, for a block of paths."""
        ...

    def act(self, view: View, account: Account, state: Any, draw: Draws) -> tuple[Orders, Any]:
        """Orders for this decision, and the new state; writes into nothing."""
        ...
