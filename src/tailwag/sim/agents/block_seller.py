"""A holder who sells one block into a rise (or buys one into a fall): the other side that ends a squeeze."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.empty_answers import HedgesNothing, HoldsNoOptions
from tailwag.sim.agents.protocol import Account, Draws, Market, Orders, Trader, View

DUST_USD = 1e-6


@dataclass(frozen=True, slots=True)
class BlockSeller:
    """Sells ``block_usd`` once, in ``slices`` even parts from the step on in which log price is ``at_log`` above the start.

    ``at_log`` below 0 buys the block at a fall of so much.  Its account starts at nothing: profit is against holding what it sells (or the cash).
    Until the price is there it answers no move.  InputError for a block or a move of nothing.
    """

    name: str
    delay_steps: int
    block_usd: float
    at_log: float
    slices: int = 1

    def __post_init__(self) -> None:
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        if not 0.0 < self.block_usd < 1e15:
            raise InputError(f"agent {self.name!r}: expected block_usd above 0, got {self.block_usd:g}; the sign of at_log says the side")
        if not 0.0 < abs(self.at_log) <= 5.0:
            raise InputError(f"agent {self.name!r}: expected at_log from -5 to 5 and not 0, got {self.at_log:g}; 0.03 sells 3 % up")
        if self.slices < 1 or int(self.slices) != self.slices:
            raise InputError(f"agent {self.name!r}: expected slices as a whole number of 1 or more, got {self.slices}")

    def content(self) -> str:
        """Everything but the name."""
        return repr(["block seller", *(getattr(self, entry.name) for entry in fields(self) if entry.name != "name")])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """None."""
        return 0.0

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """None for moves smaller than ``at_log``."""
        return 0.0

    def at_work(self, market: Market) -> Trader:
        """Waiting."""
        return BlockTrader(self)


@dataclass(frozen=True, slots=True)
class BlockTrader(HedgesNothing, HoldsNoOptions):
    """The block seller at work; its state is the paths' count, for it needs to remember nothing but its account."""

    agent: BlockSeller

    def init(self, paths: int, draw: Draws) -> FloatArray:
        """Nothing sold."""
        return np.zeros(paths)

    def start_coin(self, state: FloatArray) -> FloatArray:
        """None: the account is against holding."""
        return np.zeros(state.shape)

    def act(self, view: View, account: Account, state: FloatArray, draw: Draws) -> Orders:
        """A slice, once the price is there, until the whole block is sold or on its way."""
        agent, side = self.agent, -1.0 if self.agent.at_log > 0.0 else 1.0
        done = side * (account.bought_usd + account.flight_usd)
        begins = (side * (agent.at_log - view.log_price) >= 0.0) | (done > DUST_USD)
        slice_usd = np.minimum(agent.block_usd / agent.slices, agent.block_usd - done)
        usd = np.where(view.live & begins & (slice_usd > DUST_USD), side * slice_usd, 0.0)
        return Orders(usd=usd, coin=np.zeros(usd.shape))
