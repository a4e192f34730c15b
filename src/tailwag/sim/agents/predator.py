"""A predator, or searcher: it sees a share of others' orders on their way, or of their liquidation levels, and trades ahead of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sim.agents.empty_answers import HedgesNothing, HoldsNoOptions
from tailwag.sim.agents.protocol import Account, Draws, Market, Orders, Trader, View
from tailwag.sim.liquidation_push import LevelSight

UNWINDS = ("into", "after")


@dataclass(frozen=True, slots=True)
class Predator:
    """Sees ``sees_flow_share`` of the orders that others have sent and that have not arrived, and holds ``ahead`` times what it sees, at most ``most_usd``.

    It buys before a purchase that it sees and sells "into" it, in the very step in which it arrives, or "after" it, one step later.  Against lasting impact
    lambda per USD a victim who buys V pays lambda V P / 2 more, or lambda V P where it waits, with P the predator's position: that much is leaked, and that much, before
    costs, the predator earns.  It answers orders and no price, so its own loop gain is 0; it lengthens the push of whoever is seen.

    With ``levels`` it sees a share of others' liquidation levels as well.  While it holds nothing and sees no order, it makes the push that pays best,
    if one does: it sells until longs are liquidated (or buys until shorts are) and closes one step later, where the cascade has carried the price.
    InputError for a share outside [0, 1] or a number that means nothing.

    >>> Predator("searcher", 0, sees_flow_share=0.5, ahead=0.8).starting_flow_response_usd(6e4)
    0.0
    """

    name: str
    delay_steps: int
    sees_flow_share: float
    ahead: float = 1.0
    most_usd: float = math.inf
    unwinds: str = "into"
    levels: LevelSight | None = None

    def __post_init__(self) -> None:
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        if not 0.0 <= self.sees_flow_share <= 1.0:
            raise InputError(f"agent {self.name!r}: expected sees_flow_share from 0 to 1, got {self.sees_flow_share:g}; 0 is private flow")
        if not 0.0 < self.ahead <= 10.0:
            raise InputError(
                f"agent {self.name!r}: expected ahead above 0 and at most 10, got {self.ahead:g}; 1 buys as much as it sees coming"
            )
        if not self.most_usd > 0.0:
            raise InputError(f"agent {self.name!r}: expected most_usd above 0, got {self.most_usd:g}; leave it out for no cap")
        if self.unwinds not in UNWINDS:
            raise InputError(f"agent {self.name!r}: expected unwinds as one of {', '.join(UNWINDS)}, got {self.unwinds!r}")

    def content(self) -> str:
        """Everything but the name."""
        said = [getattr(self, entry.name) for entry in fields(self) if entry.name not in ("name", "levels")]
        return repr(["predator", *said] if self.levels is None else ["predator", *said, self.levels])

    @property
    def sees_levels_share(self) -> float:
        """Share of others' liquidation levels that it sees."""
        return 0.0 if self.levels is None else self.levels.share

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """None: it answers orders, not prices."""
        return 0.0

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """None of its own: it answers orders, not prices."""
        return 0.0

    def at_work(self, market: Market) -> Trader:
        """Ready to look."""
        return PredatorTrader(self)


@dataclass(frozen=True, slots=True)
class PredatorTrader(HedgesNothing, HoldsNoOptions):
    """The predator at work; it remembers nothing but its account.  Its state is a zero for each path."""

    agent: Predator

    def init(self, paths: int, draw: Draws | None = None) -> FloatArray:
        """Nothing to remember."""
        return np.zeros(paths)

    def start_coin(self, state: FloatArray) -> FloatArray:
        """Nothing held."""
        return np.zeros(state.shape)

    def act(self, view: View, account: Account, state: FloatArray, draw: Draws) -> Orders:
        """The position that what it sees asks for, in coin at the price, less what is held and on its way: a closed position is closed to the coin."""
        coming = _or_none(view.seen_later_usd, state)
        if self.agent.unwinds == "after":
            coming = coming + _or_none(view.seen_next_usd, state)
        owned = account.position_coin + account.flight_coin
        wanted_usd = np.clip(self.agent.ahead * coming, -self.agent.most_usd, self.agent.most_usd)
        wanted = (wanted_usd + self._push_usd(view, idle=(owned == 0.0) & (wanted_usd == 0.0) & view.live)) / view.spot_usd
        return Orders(usd=np.zeros(state.shape), coin=np.where(view.live, wanted - owned, 0.0))

    def _push_usd(self, view: View, *, idle: BoolArray) -> FloatArray:
        """The push that pays, where it has nothing else to do; a held one is not repeated, so that the step after it closes it."""
        sight, seen = self.agent.levels, view.seen_liquidations
        if sight is None or seen is None or not idle.any():
            return np.zeros(idle.shape)
        return np.where(idle, sight.best_usd(seen, view.log_price, self.agent.most_usd), 0.0)


def _or_none(seen: FloatArray | None, like: FloatArray) -> FloatArray:
    return np.zeros(like.shape) if seen is None else seen
