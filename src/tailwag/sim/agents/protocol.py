"""What an agent is: it sees a public view and its own account, and answers with orders; it never sees another agent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, is_zero
from tailwag.sim.grid import TimeGrid
from tailwag.sim.option_model import OptionModel
from tailwag.sim.walked import Walked


@dataclass(frozen=True, slots=True)
class Market:
    """What everybody knows before the start: the first price and the times; and how the run is to be computed.

    ``tabulate``: read net deltas from tables.  ``full_pnl``: split the options' profit by greeks at every step (slow for large books).
    ``vol_reach``: how far tables follow vol shifts (further ones are summed).  ``option_model``: how options that trade during the run are marked; None where there is no option market.
    """

    spot_usd: float
    grid: TimeGrid
    tabulate: bool = False
    full_pnl: bool = True
    option_model: OptionModel | None = None
    vol_reach: float = float("inf")


@dataclass(frozen=True, slots=True)
class View:
    """What everybody sees at one decision.  Shapes: (paths,) arrays, scalars for the clock.

    ``log_price`` is ln(S / S0) at the decision: after the exogenous move and before trading for orders of the same step, the cleared price
    for orders that arrive later.  ``market_gain`` is the public estimate of everybody's loop gain there.
    ``seen_next_usd`` and ``seen_later_usd``: what an agent of ``sees_flow_share`` above 0 sees of others' orders on their way, + buys: those that reach
    the market in the step that comes (in this one, for who trades in it), and those after it; None for everybody else.
    ``seen_liquidations``, for an agent of ``sees_levels_share`` above 0: that share of the USD that others' liquidations would buy (+) or sell (-) if price
    went to a log price, (paths,) -> (paths,).
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
    seen_next_usd: FloatArray | None = None
    seen_later_usd: FloatArray | None = None
    seen_liquidations: Callable[[FloatArray], FloatArray] | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """What an agent knows of itself: coin, cash, and orders on their way.  (paths,) arrays; + is long, + buys."""

    position_coin: FloatArray
    cash_usd: FloatArray
    bought_usd: FloatArray
    flight_usd: FloatArray
    flight_coin: FloatArray


Demand = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray, FloatArray, FloatArray]]


@dataclass(frozen=True, slots=True)
class Orders:
    """What an agent wants to buy: fixed amounts in USD and in coin, and a demand sized at the clearing price (same-step orders only).

    ``demand(log_price, vol_shift)`` -> (usd, coin, slope_usd, slope_coin): amounts to buy if the step cleared there, and their slopes per
    unit of log price.  ``some(paths)`` is the same demand of the chosen paths alone, same bits (None: it is asked about all of them).  ``scale_log`` (paths,): over what distance of log price the demand is smooth (the solver scans no coarser); inf
    where the agent does not trade.  ``walked``: the same demand as compiled code asks it, within rounding (None: it is asked here).
    """

    usd: FloatArray
    coin: FloatArray
    demand: Demand | None = None
    scale_log: FloatArray | None = None
    some: Callable[[IntArray], Demand] | None = None
    walked: Walked | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """One cleared step as the books see it: from (``before``) and to (``after``) log price and vol shift, and the price of all fills.

    Shapes: (paths,); ``step`` is the index of the grid time that was reached.  ``market_gain``: everybody's loop gain at the cleared price, for
    agents that say ``reads_gain``; None where nobody does.  ``traded``: paths on which the step's orders were filled, all that are live but those that
    stop in this step, and none between two auctions; None: all that are live.  ``orders``: the agent's own of this step, where compiled code has
    asked about them; what it was told on the way is in there.
    """

    step: int
    step_years: float
    spot_before_usd: FloatArray
    spot_usd: FloatArray
    fill_usd: FloatArray
    log_before: FloatArray
    log_price: FloatArray
    shift_before: FloatArray
    vol_shift: FloatArray
    live: BoolArray
    market_gain: FloatArray | None = None
    traded: BoolArray | None = None
    orders: Orders | None = None


@dataclass(frozen=True, slots=True)
class OptionStep:
    """What an agent's options did in one step, in USD: each part of the change of their value (cash paid at an expiry included).

    Parts that are :func:`tailwag.kernels.arrays.zero_row` are known to be zero and cost the books nothing.  ``fees_usd``: of the total (and of ``paid_usd``), what it paid for having its options managed; + is paid.
    """

    delta_usd: FloatArray
    gamma_theta_usd: FloatArray
    vanna_usd: FloatArray
    vega_usd: FloatArray
    total_usd: FloatArray
    paid_usd: FloatArray
    fees_usd: FloatArray | float = 0.0


Draws = Callable[[int, int], FloatArray]
"""``draw(kind, count)``: this agent's own uniform numbers in (0, 1), (paths,): one set per kind of use and count (a step, a period).

The same bits in any block of paths and any order of calls.
"""

TO_DECIDE, TO_FILL, TO_TRADE_OPTIONS = 0, 1, 2
"""Kinds of draws: for the policy's decision, for whether a resting order is filled, and for option orders (count: the step or the epoch)."""


def no_orders(paths: int) -> Orders:
    """Nothing to buy; arrays of their own, to be filled in."""
    return Orders(np.zeros(paths), np.zeros(paths))


class Trader(Protocol):
    """An agent at work in one market: ``init`` its state for a block of paths, then ``act`` at every step; both write into nothing.

    A trader without options returns None from ``options``; ``flight_unit`` says whether its late orders are USD or coin.
    """

    def init(self, paths: int, draw: Draws) -> Any:
        """This agent's own state at the start, for a block of paths."""
        ...

    def start_coin(self, state: Any) -> FloatArray:
        """Coin held before the first step, (paths,)."""
        ...

    def act(self, view: View, account: Account, state: Any, draw: Draws) -> Orders:
        """Orders for this decision."""
        ...

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: Any) -> FloatArray:
        """Dollar gamma that this agent answers moves with, (paths,); + long."""
        ...

    def hedged_vega_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: Any) -> FloatArray:
        """Vega of its book that it neutralises with listed options, USD per 1.00 of vol, (paths,); zero where it hedges none."""
        ...

    def options(self, move: Move, state: Any) -> tuple[OptionStep | None, Any]:
        """What the options earned in a cleared step, and the state after it."""
        ...

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: Any
    ) -> FloatArray:
        """Hedge still to be bought, in USD, (paths,)."""
        ...


@runtime_checkable
class Agent(Protocol):
    """A participant as it is written down.  ``content()`` is what it is, without its name: agents are ordered, and draw, by content."""

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

    def at_work(self, market: Market) -> Trader:
        """The agent with everything precomputed that all blocks of paths share."""
        ...


def missing_words(thing: object, protocol: type) -> str:
    """Names of ``protocol`` that an object lacks, joined by commas; empty where it has them all.

    >>> missing_words(object(), Agent)
    'at_work, content, delay_steps, name, starting_dollar_gamma_usd'
    """
    return ", ".join(sorted(name for name in vars(protocol) if not name.startswith("_") and not hasattr(thing, name)))


def checked_orders(name: str, orders: object, paths: int) -> Orders:
    """The orders of agent ``name`` as they are; InputError where they are none, where a path has no number, or where one is not finite."""
    if not isinstance(orders, Orders):
        raise InputError(
            f"agent {name!r}: expected act() to answer with Orders, got {type(orders).__name__}; no_orders(paths) buys nothing"
        )
    for unit, amount in (("usd", orders.usd), ("coin", orders.coin)):
        if np.shape(amount) != (paths,):
            raise InputError(
                f"agent {name!r}: expected orders with one number for each of {paths} paths, got {unit} of shape {np.shape(amount)}"
            )
        if not is_zero(amount) and not np.isfinite(amount).all():
            raise InputError(
                f"agent {name!r}: expected finite orders, got {amount[~np.isfinite(amount)][0]} {unit}; order 0 where it wants nothing"
            )
    return orders
