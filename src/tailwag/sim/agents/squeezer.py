"""A gamma squeezer: it buys short-dated options from dealers who hedge them, pushes the price, and unwinds both."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sim.agents.empty_answers import HedgesNothing
from tailwag.sim.agents.protocol import Account, Draws, Market, Move, OptionStep, Orders, Trader, View, no_orders
from tailwag.sim.option_market import Contract, OptionFill, OptionModel, OptionOrder
from tailwag.sim.option_slots import OptionHolding
from tailwag.sim.squeeze_plan import Hours, SqueezePlan, planned

LEAST_LIMIT_USD = 0.01
"""An option that costs less than a cent is not bought: its coin would be without bound."""


@dataclass(frozen=True, slots=True)
class GammaSqueezer:
    """Buys calls for at most ``premium_usd``, then coin for ``push_usd``, and sells the calls and then the coin, each evenly through its hours of the run.

    The strike is the one of ``strike_delta`` as it begins; it pays at most ``most_over_model`` above the model's price (0.2: a fifth), at which its
    budget is counted, and sells at as much below it at worst.  Where dealers sell it a part of the calls only, it pushes that part.  It buys no more coin once price is ``target_log``
    from the start.  ``right`` -1 buys puts and pushes down.  Options without ``sells_options_hours``, or that nobody takes back, go to their
    settlement at ``expiry_hours``.  It follows a clock and answers no move, so its own gain is 0; that of the dealers it makes short is not.

    Raises InputError or UnitError for what no squeezer can be.
    """

    name: str
    delay_steps: int
    premium_usd: float
    push_usd: float
    expiry_hours: float
    buys_hours: Hours
    pushes_hours: Hours
    sells_spot_hours: Hours
    sells_options_hours: Hours | None = None
    strike_delta: float = 0.3
    most_over_model: float = 0.2
    target_log: float = math.inf
    right: int = 1

    def __post_init__(self) -> None:
        if self.right not in (1, -1):
            raise InputError(f"agent {self.name!r}: expected right +1 (calls, pushes up) or -1 (puts, pushes down), got {self.right!r}")
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        for name in ("premium_usd", "push_usd"):
            if not 0.0 <= getattr(self, name) < 1e15:
                raise InputError(f"agent {self.name!r}: expected {name} of 0 or more USD, got {getattr(self, name):g}; right says the side")
        if not 0.0 < self.strike_delta < 1.0:
            raise UnitError(f"agent {self.name!r}: expected strike_delta between 0 and 1, got {self.strike_delta:g}; 0.3 is 30 delta")
        if not 0.0 <= self.most_over_model <= 10.0:
            raise UnitError(f"agent {self.name!r}: expected most_over_model from 0 to 10, got {self.most_over_model:g}; 0.2 is 20 %")
        if not self.target_log > 0.0:
            raise InputError(f"agent {self.name!r}: expected target_log above 0, got {self.target_log:g}; 0.05 stops pushing 5 % away")
        self._check_hours()

    def _check_hours(self) -> None:
        sells = self.sells_options_hours
        for name in ("buys_hours", "pushes_hours", "sells_spot_hours", "sells_options_hours"):
            hours = getattr(self, name)
            if hours is not None and not (len(hours) == 2 and 0.0 <= hours[0] < hours[1] < math.inf):
                raise InputError(f"agent {self.name!r}: expected {name} as two hours of the run, the first before the second, got {hours}")
        if self.sells_spot_hours[0] < self.pushes_hours[1] or (sells is not None and sells[0] < self.buys_hours[1]):
            raise InputError(f"agent {self.name!r}: expected it to sell after it has bought; let sells_* begin where buying ends")
        if not max(self.buys_hours[1], 0.0 if sells is None else sells[1]) < self.expiry_hours < math.inf:
            raise InputError(f"agent {self.name!r}: expected expiry_hours after its option trades, got {self.expiry_hours:g}")

    def __str__(self) -> str:
        return f"squeeze with {'calls' if self.right > 0 else 'puts'} of delta {self.strike_delta:g}"

    @property
    def trades_options(self) -> bool:
        """It has no place in a scenario without an option market."""
        return True

    def content(self) -> str:
        """Everything but the name."""
        return repr(["gamma squeezer", *(getattr(self, entry.name) for entry in fields(self) if entry.name != "name")])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """None: it hedges nothing."""
        return 0.0

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """None: it follows a clock."""
        return 0.0

    def at_work(self, market: Market) -> Trader:
        """With its hours laid on the grid; InputError where there is no option market, or where hours hold no step."""
        if market.option_model is None:
            raise InputError(f"agent {self.name!r}: expected an option market to buy options in, got a scenario without; state [options]")
        try:
            hours = (self.buys_hours, self.pushes_hours, self.sells_spot_hours, self.sells_options_hours)
            plan = planned(*hours, expiry_hours=self.expiry_hours, grid=market.grid)
        except InputError as error:
            raise type(error)(f"agent {self.name!r}: {error}") from None
        return SqueezeTrader(self, market.option_model, plan)


@dataclass(frozen=True, slots=True)
class SqueezeState:
    """Its options, their strike (0 before the first purchase), and how much of the budget is used, counted at limit prices.  (paths,)."""

    holding: OptionHolding
    strike_usd: FloatArray
    used_usd: FloatArray


@dataclass(frozen=True, slots=True)
class SqueezeTrader(HedgesNothing):
    """The squeezer at work."""

    agent: GammaSqueezer
    model: OptionModel
    plan: SqueezePlan

    def init(self, paths: int, draw: Draws) -> SqueezeState:
        """Nothing bought."""
        return SqueezeState(OptionHolding.opened(self.model, paths, 1), np.zeros(paths), np.zeros(paths))

    def start_coin(self, state: SqueezeState) -> FloatArray:
        """None."""
        return np.zeros(state.strike_usd.shape)

    def option_orders(self, view: View, account: Account, state: SqueezeState, draw: Draws) -> tuple[OptionOrder, ...]:
        """The slice of calls that is due, or of those held that is to be sold."""
        bought, left = self.plan.buys.done(view.step), self.plan.sells_options.left(view.step)
        if bought <= 0.0 and left == 0:
            return ()
        contract = Contract(self.agent.right, self.plan.expiry_step, self._strike(view, state))
        price = self.model.mark(contract, view.step, view.log_price, view.vol_shift).price_usd
        if left:
            worst = price * max(1.0 - self.agent.most_over_model, 0.0)
            return (OptionOrder(contract, np.where(view.live, -state.holding.slots.of(contract) / left, 0.0), worst),)
        most = price * (1.0 + self.agent.most_over_model)
        due = np.maximum(self.agent.premium_usd * bought - state.used_usd, 0.0)
        return (OptionOrder(contract, np.where(view.live & (most > LEAST_LIMIT_USD), due / np.maximum(most, LEAST_LIMIT_USD), 0.0), most),)

    def option_room(self, contract: Contract, state: SqueezeState) -> BoolArray:
        """Paths with a slot for a contract."""
        return state.holding.slots.room(contract)

    def traded(self, fill: OptionFill, state: SqueezeState) -> SqueezeState:
        """The options after a trade; the strike stays what it was at the first."""
        strike = np.where(state.strike_usd > 0.0, state.strike_usd, fill.contract.strike_usd)
        used = np.maximum(fill.coin, 0.0) * fill.model_price_usd * (1.0 + self.agent.most_over_model)
        return SqueezeState(state.holding.traded(fill), strike, state.used_usd + used)

    def act(self, view: View, account: Account, state: SqueezeState, draw: Draws) -> Orders:
        """The slice of the push that is due as the order arrives, or of the coin held that is to be sold then."""
        agent, arrives = self.agent, view.step + self.agent.delay_steps
        if (left := self.plan.sells_spot.left(arrives)) > 0:
            coin = -(account.position_coin + account.flight_coin) / left
            return Orders(usd=np.zeros(coin.shape), coin=np.where(view.live, coin, 0.0))
        if not self.plan.pushes.holds(arrives):
            return no_orders(view.log_price.size)
        whole, sent = agent.push_usd * self.bought_share(state), account.bought_usd + account.flight_coin * view.spot_usd
        due = np.maximum(self.plan.pushes.done(arrives) * whole - agent.right * sent, 0.0)
        wants = view.live & (agent.right * view.log_price < agent.target_log)
        return Orders(usd=np.zeros(due.shape), coin=np.where(wants, agent.right * due / view.spot_usd, 0.0))

    def bought_share(self, state: SqueezeState) -> FloatArray:
        """The part of the calls that dealers sold it, (paths,); 1 where it wants none."""
        if self.agent.premium_usd == 0.0:
            return np.ones(state.strike_usd.shape)
        return np.minimum(state.used_usd / self.agent.premium_usd, 1.0)

    def options(self, move: Move, state: SqueezeState) -> tuple[OptionStep, SqueezeState]:
        """What the options earned, settlement included."""
        earned, holding = state.holding.stepped(move)
        return earned, replace(state, holding=holding)

    def _strike(self, view: View, state: SqueezeState) -> FloatArray:
        if (state.strike_usd > 0.0).all():
            return state.strike_usd
        agent = self.agent
        return self.model.strike_at_delta(
            agent.right,
            agent.right * agent.strike_delta,
            step=view.step,
            expiry_step=self.plan.expiry_step,
            log_price=view.log_price,
            vol_shift=view.vol_shift,
        )
