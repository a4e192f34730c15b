"""The vega loop: dealers who hedge vega with listed options move implied vol, and moved vol changes their vega.

shift s = base + beta (x - x_before) + vega_impact q_vega,  q_vega = -(share Vega(x, s) - what was hedged before), + buys vega.
Hedging options are taken to carry vega alone; they are bought from liquidity providers at the middle of the vol move they cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray

MOST_ROUNDS = 200
SETTLED_VOL = 1e-15
RESTING_VOL = 1e-9
MOST_SHIFT = 10.0
"""Beyond 1,000 % of vol, or where buying vega calls for more vega without end, vol has run away."""


class VegaHolder(Protocol):
    """A trader that hedges vega: its share of the book's vega in USD per 1.00 of vol, (paths,); zero where it hedges none."""

    def hedged_vega_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: Any) -> FloatArray:
        """Vega to be neutralised there."""
        ...


@dataclass(frozen=True, slots=True)
class VegaDesk:
    """One agent's vega hedge: what it holds against its book (minus the hedged vega), and orders on their way (slots, paths)."""

    held_usd: FloatArray
    flight_usd: FloatArray

    @classmethod
    def opened(cls, vega_usd: FloatArray, delay_steps: int) -> VegaDesk:
        """Hedged at the start, nothing on its way."""
        return cls(-vega_usd, np.zeros((max(delay_steps, 1), vega_usd.size)))

    def arrive(self) -> tuple[FloatArray, FloatArray]:
        """Vega that reaches the market now, and what is still on its way."""
        later = np.concatenate((self.flight_usd[1:], np.zeros((1, self.held_usd.size))))
        return self.flight_usd[0], later

    def submit(self, vega_usd: FloatArray, delay_steps: int) -> VegaDesk:
        """An order decided now; it arrives ``delay_steps`` steps later."""
        later = self.flight_usd.copy()
        later[delay_steps - 1] += vega_usd
        return VegaDesk(self.held_usd, later)


@dataclass(frozen=True, slots=True)
class VegaMarket:
    """A step's vol: the shift before vega trades, what one USD of vega moves it, and orders that arrived."""

    base: FloatArray
    impact_per_usd: float
    arrived_usd: FloatArray
    holders: Sequence[tuple[VegaHolder, FloatArray, Any]]
    step: int
    live: FloatArray

    def shift(self, log_price: FloatArray, tilt: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        """Vol shift at a clearing price and each same-step holder's purchase; ``tilt`` is what the price move alone does to vol.

        Solved by repeated substitution from the shift without vega trades: it settles where -vega_impact share Volga < 1 in size.
        """
        start = self.base + tilt + self.impact_per_usd * self.arrived_usd
        shift, bought = start, [np.zeros(start.shape) for _ in self.holders]
        for _ in range(MOST_ROUNDS if self.holders else 0):
            bought = [
                -(holder.hedged_vega_usd(self.step, log_price, shift, state) + held) * self.live for holder, held, state in self.holders
            ]
            total = np.zeros(start.shape)
            for part in bought:
                total = total + part
            after = start + self.impact_per_usd * total
            settled = np.abs(after - shift) <= SETTLED_VOL
            shift = after
            if settled.all():
                break
        return shift, bought

    def rests(self, log_price: FloatArray, tilt: FloatArray) -> BoolArray:
        """Paths whose vol is at rest within bounds at a clearing price; elsewhere each purchase of vega calls for a larger one."""
        shift, _ = self.shift(log_price, tilt)
        wanted = [-(holder.hedged_vega_usd(self.step, log_price, shift, state) + held) * self.live for holder, held, state in self.holders]
        again = self.base + tilt + self.impact_per_usd * self.arrived_usd
        for part in wanted:
            again = again + self.impact_per_usd * part
        return np.asarray((np.abs(again - shift) <= RESTING_VOL) & (np.abs(shift) <= MOST_SHIFT))
