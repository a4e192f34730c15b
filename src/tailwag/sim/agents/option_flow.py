"""Option flow of those who do not quote: retail call buyers, overwriters, buyers of protection, vol sellers, buyers of same-day options."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sim.agents.empty_answers import HedgesNothing
from tailwag.sim.agents.protocol import Account, Draws, Market, Move, OptionStep, Orders, Trader, View, no_orders
from tailwag.sim.flow_arrivals import Arrivals, SizeLaw, arrived_coin
from tailwag.sim.flow_kinds import FLOW_KINDS, FlowKind, FlowLeg
from tailwag.sim.option_market import Contract, OptionFill, OptionModel, OptionOrder
from tailwag.sim.option_slots import MOST_SLOTS, OptionHolding
from tailwag.sim.squeeze_plan import expiry_step
from tailwag.sim.vault_strikes import listed_strike
from tailwag.units import HOURS_PER_YEAR

FIXED = SizeLaw()


@dataclass(frozen=True, slots=True)
class OptionFlow:
    """Orders for options that come by chance, ``orders_per_hour`` on average, of ``coin`` each on average, and are held to their expiry, unhedged.

    ``who`` says what they are: see ``FLOW_KINDS``.  Each order is one of its legs, by their shares (vol sellers: both legs at once); the strike is
    the listed one nearest to the leg's delta, the expiry the first of ``first_expiry_hours`` + n ``expiry_every_hours`` that is at least
    ``least_hours`` away.  ``most_over_model``: a limit that far above (below, for sales) the model's price.  ``vol_threshold``: vol sellers sell
    while the model's vol at the money is above it.  Arrivals are drawn from the agent's own numbers and answer no price, so its gain is 0.

    Raises InputError for an unknown ``who``, or numbers that mean nothing.
    """

    name: str
    who: str
    orders_per_hour: float
    coin: float
    strike_step_usd: float
    first_expiry_hours: float
    expiry_every_hours: float = 24.0
    least_hours: float = 0.0
    size: SizeLaw = FIXED
    legs: tuple[FlowLeg, ...] = field(default=())
    most_over_model: float = 0.5
    vol_threshold: float | None = None
    stops_hours: float = math.inf
    slots: int = MOST_SLOTS
    stream: int = 0

    def __post_init__(self) -> None:
        if self.who not in FLOW_KINDS:
            raise InputError(f"agent {self.name!r}: expected who as one of {', '.join(FLOW_KINDS)}, got {self.who!r}")
        for name in ("orders_per_hour", "coin", "strike_step_usd", "first_expiry_hours", "expiry_every_hours"):
            if not 0.0 < getattr(self, name) < 1e12:
                raise InputError(f"agent {self.name!r}: expected {name} above 0, got {getattr(self, name):g}")
        if not 0.0 <= self.least_hours < math.inf:
            raise InputError(f"agent {self.name!r}: expected least_hours of 0 or more, got {self.least_hours:g}")
        if not 0.0 <= self.most_over_model <= 10.0:
            raise InputError(f"agent {self.name!r}: expected most_over_model from 0 to 10, got {self.most_over_model:g}; 0.5 is 50 %")
        if not 1 <= self.slots <= MOST_SLOTS:
            raise InputError(f"agent {self.name!r}: expected 1 to {MOST_SLOTS} slots, got {self.slots}")
        if (self.vol_threshold is None) == self.kind.above_vol:
            raise InputError(
                f"agent {self.name!r}: expected vol_threshold for vol-sellers and for nobody else, got {self.vol_threshold}; 0.7 is 70 %"
            )
        self._check_legs()

    def _check_legs(self) -> None:
        legs = self.legs or self.kind.legs
        shares = math.fsum(leg.share for leg in legs)
        if not self.kind.together and abs(shares - 1.0) > 1e-9:
            raise InputError(f"agent {self.name!r}: expected shares of its legs that sum to 1, got {shares:g}")
        object.__setattr__(self, "legs", legs)

    @property
    def kind(self) -> FlowKind:
        """What ``who`` stands for."""
        return FLOW_KINDS[self.who]

    @property
    def delay_steps(self) -> int:
        """It trades options alone, at the prices quoted in the step; nothing of it arrives later."""
        return 1

    def __str__(self) -> str:
        return f"{self.who}: {self.orders_per_hour:g} orders an hour of {self.coin:g} coin"

    @property
    def trades_options(self) -> bool:
        """It has no place in a scenario without an option market."""
        return True

    def content(self) -> str:
        """Everything but the name."""
        return repr(["option flow", *(getattr(self, entry.name) for entry in fields(self) if entry.name != "name")])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """None: nothing is hedged."""
        return 0.0

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """None: a move of the price makes it trade no coin."""
        return 0.0

    def at_work(self, market: Market) -> Trader:
        """Ready to order.  InputError where there is no option market, or where a step holds too many orders to be drawn one by one."""
        if market.option_model is None:
            raise InputError(f"agent {self.name!r}: expected an option market to trade in, got a scenario without; state [options]")
        arrivals = Arrivals(self.orders_per_hour, self.coin, self.size)
        try:
            arrivals.refuse_long_steps(float(market.grid.step_years.max()))
        except InputError as error:
            raise type(error)(f"agent {self.name!r}: {error}") from None
        return FlowTrader(self, market.option_model, arrivals)


@dataclass(frozen=True, slots=True)
class FlowTrader(HedgesNothing):
    """Option flow at work."""

    agent: OptionFlow
    model: OptionModel
    arrivals: Arrivals

    def init(self, paths: int, draw: Draws) -> OptionHolding:
        """Nothing held."""
        return OptionHolding.opened(self.model, paths, self.agent.slots)

    def start_coin(self, state: OptionHolding) -> FloatArray:
        """None."""
        return np.zeros(state.value_usd.shape)

    def option_orders(self, view: View, account: Account, state: OptionHolding, draw: Draws) -> tuple[OptionOrder, ...]:
        """What arrives in this step, one order for each leg that any path wants."""
        hours = view.step_years * HOURS_PER_YEAR
        if view.time_years * HOURS_PER_YEAR > self.agent.stops_hours + 1e-9:
            return ()
        wants, orders = view.live & self._sells_vol(view), []
        for place, leg in enumerate(self.agent.legs):
            number, share = (0, 1.0) if self.agent.kind.together else (place, leg.share)
            coin = arrived_coin(self.arrivals, draw, step=view.step, leg=number, hours=share * hours, wanted=wants)
            if coin.any():
                orders.append(self._order(leg, coin, view))
        return tuple(orders)

    def option_room(self, contract: Contract, state: OptionHolding) -> BoolArray:
        """Paths with a slot for a contract."""
        return state.slots.room(contract)

    def traded(self, fill: OptionFill, state: OptionHolding) -> OptionHolding:
        """The options after a trade."""
        return state.traded(fill)

    def act(self, view: View, account: Account, state: OptionHolding, draw: Draws) -> Orders:
        """No coin is traded."""
        return no_orders(view.log_price.size)

    def options(self, move: Move, state: OptionHolding) -> tuple[OptionStep, OptionHolding]:
        """What the options earned, settlements included."""
        return state.stepped(move)

    def _sells_vol(self, view: View) -> BoolArray:
        """Paths on which its condition holds: everywhere but for vol sellers."""
        if self.agent.vol_threshold is None:
            return np.ones(view.live.shape, dtype=bool)
        return np.asarray(self.model.vol(np.zeros(view.live.shape), view.vol_shift) > self.agent.vol_threshold)

    def _order(self, leg: FlowLeg, coin: FloatArray, view: View) -> OptionOrder:
        expiry = self._expiry(view)
        strike = listed_strike(
            self.model,
            leg.right,
            leg.delta,
            self.agent.strike_step_usd,
            step=view.step,
            expiry_step=expiry,
            log_price=view.log_price,
            vol_shift=view.vol_shift,
        )
        contract = Contract(leg.right, expiry, strike)
        price = self.model.mark(contract, view.step, view.log_price, view.vol_shift).price_usd
        limit = price * max(1.0 + leg.side * self.agent.most_over_model, 0.0)
        return OptionOrder(contract, leg.side * coin, limit)

    def _expiry(self, view: View) -> int:
        """The first expiry that is far enough and after this step."""
        agent, now = self.agent, view.time_years * HOURS_PER_YEAR
        number = max(math.ceil((now + agent.least_hours - agent.first_expiry_hours) / agent.expiry_every_hours - 1e-9), 0)
        while True:
            found = expiry_step(agent.first_expiry_hours + number * agent.expiry_every_hours, self.model.grid)
            if found > view.step:
                return found
            number += 1
