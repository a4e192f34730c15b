"""A taker who knows the market's price: it buys options that are quoted below what they are worth and sells what is bid above."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sim.agents.empty_answers import HedgesNothing
from tailwag.sim.agents.protocol import Account, Draws, Market, Move, OptionStep, Orders, Trader, View, no_orders
from tailwag.sim.option_market import Contract, OptionFill, OptionModel, OptionOrder
from tailwag.sim.option_slots import MOST_SLOTS, OptionHolding
from tailwag.units import HOURS_PER_YEAR

BPS = 1e-4


@dataclass(frozen=True, slots=True)
class StaleTaker:
    """Every step it bids for, and offers, ``coin`` of the option whose listed strike is nearest to the price, at the common model's price less
    (more) ``edge_bps`` of spot: it trades only with whose quote is off by more, such as a pool at an oracle's late price.

    The option is a call (``right`` +1) or a put, and expires at the first of ``first_expiry_hours`` + n ``expiry_every_hours`` that is at least
    ``least_hours`` away.  It holds to the expiry and does not hedge.  InputError for numbers that mean nothing.
    """

    name: str
    coin: float
    strike_step_usd: float
    first_expiry_hours: float
    expiry_every_hours: float = 168.0
    least_hours: float = 24.0
    edge_bps: float = 0.0
    right: int = 1
    slots: int = MOST_SLOTS
    stream: int = 0

    def __post_init__(self) -> None:
        for word in ("coin", "strike_step_usd", "first_expiry_hours", "expiry_every_hours"):
            if not 0.0 < getattr(self, word) < 1e12:
                raise InputError(f"agent {self.name!r}: expected {word} above 0, got {getattr(self, word):g}")
        if not (0.0 <= self.least_hours < math.inf and 0.0 <= self.edge_bps < 1e4):
            raise InputError(
                f"agent {self.name!r}: expected least_hours and edge_bps of 0 or more, got {self.least_hours:g}, {self.edge_bps:g}"
            )
        if self.right not in (1, -1) or not 1 <= self.slots <= MOST_SLOTS:
            raise InputError(
                f"agent {self.name!r}: expected right +1 or -1 and 1 to {MOST_SLOTS} slots, got {self.right!r} and {self.slots}"
            )

    def __str__(self) -> str:
        return f"{self.coin:g} coin of options off their price by more than {self.edge_bps:g} bp of spot"

    @property
    def delay_steps(self) -> int:
        """It trades options alone, at the prices quoted in the step."""
        return 1

    @property
    def trades_options(self) -> bool:
        """It has no place in a scenario without an option market."""
        return True

    def content(self) -> str:
        """Everything but the name."""
        return repr(["stale taker", *(getattr(self, entry.name) for entry in fields(self) if entry.name != "name")])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """None: nothing is hedged."""
        return 0.0

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """None: it trades no coin."""
        return 0.0

    def at_work(self, market: Market) -> Trader:
        """Ready to trade; InputError where there is no option market."""
        if market.option_model is None:
            raise InputError(f"agent {self.name!r}: expected an option market to trade in, got a scenario without; state [options]")
        return StaleTakerTrader(self, market, market.option_model)

    def expiry_step(self, market: Market, step: int) -> int:
        """The step of the expiry that it trades now; beyond the run its last step goes on."""
        years = market.grid.years
        wanted = float(years[step]) * HOURS_PER_YEAR + self.least_hours
        count = max(math.ceil((wanted - self.first_expiry_hours) / self.expiry_every_hours - 1e-9), 0)
        at = (self.first_expiry_hours + count * self.expiry_every_hours) / HOURS_PER_YEAR
        if at <= years[-1] * (1.0 + 1e-12):
            return int(np.searchsorted(years, at * (1.0 - 1e-12)))
        return int(years.size - 1 + math.ceil((at - years[-1]) / (years[-1] - years[-2]) - 1e-9))


@dataclass(frozen=True, slots=True)
class StaleTakerTrader(HedgesNothing):
    """The taker at work; all it remembers is its options, and it wants no hedge for them."""

    agent: StaleTaker
    market: Market
    model: OptionModel

    def init(self, paths: int, draw: Draws | None = None) -> OptionHolding:
        """Nothing held."""
        return OptionHolding.opened(self.model, paths, self.agent.slots)

    def start_coin(self, state: OptionHolding) -> FloatArray:
        """None."""
        return np.zeros(state.value_usd.shape)

    def option_orders(self, view: View, account: Account, state: OptionHolding, draw: Draws) -> tuple[OptionOrder, ...]:
        """A bid and an offer at what the option is worth, less its edge."""
        expiry = self.agent.expiry_step(self.market, view.step)
        if expiry <= view.step:
            return ()
        grid = self.agent.strike_step_usd
        contract = Contract(self.agent.right, expiry, np.maximum(np.round(view.spot_usd / grid), 1.0) * grid)
        worth = self.model.mark(contract, view.step, view.log_price, view.vol_shift).price_usd
        edge, coin = BPS * self.agent.edge_bps * view.spot_usd, np.full(worth.shape, self.agent.coin)
        return OptionOrder(contract, coin, np.maximum(worth - edge, 0.0)), OptionOrder(contract, -coin, worth + edge)

    def traded(self, fill: OptionFill, state: OptionHolding) -> OptionHolding:
        """What was traded; an order that found no quote as good is no failure, and is not counted."""
        return state.traded(replace(fill, wanted_coin=fill.coin))

    def option_room(self, contract: Contract, state: OptionHolding) -> BoolArray:
        """Paths with a slot for a contract."""
        return state.slots.room(contract)

    def act(self, view: View, account: Account, state: OptionHolding, draw: Draws) -> Orders:
        """Nothing."""
        return no_orders(view.log_price.size)

    def options(self, move: Move, state: OptionHolding) -> tuple[OptionStep, OptionHolding]:
        """What the options earned in a step."""
        return state.stepped(move)
