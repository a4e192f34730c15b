"""What it costs to move a settlement average by trading inside its window, and when that pays: closed forms under linear impact."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.impact import ImpactModel


@dataclass(frozen=True, slots=True)
class SettlementPush:
    """One USD bought inside the window and sold after it: the log move of the mean, ``move_per_usd``, and its impact cost, ``cost_per_usd2`` per USD^2.

    A push Q against an option position of ``delta_usd`` (USD by which its payout rises for a unit of log settlement price) earns
    delta m Q - C Q^2 - 2 c |Q|, c being fee and half-spread as a share of value, paid twice.

    >>> push = SettlementPush(move_per_usd=1e-11, cost_per_usd2=5e-12)
    >>> round(push.best_usd(3e8, cost_share=2e-4) / 1e6), round(push.profit_usd(2.6e8, delta_usd=3e8, cost_share=2e-4) / 1e3)
    (260, 338)
    """

    move_per_usd: float
    cost_per_usd2: float

    def profit_usd(self, push_usd: float, *, delta_usd: float, cost_share: float) -> float:
        """What pushing earns, to first order in the move; USD."""
        return delta_usd * self.move_per_usd * push_usd - self.cost_per_usd2 * push_usd**2 - 2.0 * cost_share * abs(push_usd)

    def breaks_even_usd(self, *, cost_share: float) -> float:
        """The option position from which pushing pays at all: 2 c / m, in USD of delta; below it the costs of trading stop every push."""
        return 2.0 * cost_share / self.move_per_usd if self.move_per_usd > 0.0 else math.inf

    def best_usd(self, delta_usd: float, *, cost_share: float) -> float:
        """The push that earns most: (|delta| m - 2 c) / (2 C) towards the delta's side; 0 where none pays, inf where nothing bounds it."""
        edge = abs(delta_usd) * self.move_per_usd - 2.0 * cost_share
        if edge <= 0.0:
            return 0.0
        return math.copysign(edge / (2.0 * self.cost_per_usd2) if self.cost_per_usd2 > 0.0 else math.inf, delta_usd)


def even_push(impact: ImpactModel, spot_usd: float, *, step_minutes: float, window_steps: int, unwind_steps: int) -> SettlementPush:
    """An even purchase through the window, sold evenly right after it, in steps of equal length.

    The price is at the end of step i by sum_{j <= i} G(i - j) q_j above where it would be, G(k) = lasting + sum passing exp(-rate k); the mean over the window's
    steps moves by the mean of that, and the trades cost q'Gq / 2.  In the limit of short steps over a window W, unwound slowly: impact that stays moves the mean by
    lambda Q / 2 and costs nothing; impact that passes at rate kappa moves it by lambda Q h and costs lambda Q^2 h each way, h = 1/z - (1 - e^-z)/z^2, z = kappa W:
    who buys evenly pays the very average that he pushes.  RuleError for a law that is not linear, or depth that reacts.
    """
    if not impact.is_linear or impact.depth_reacts is not None:
        raise RuleError("expected linear impact of constant depth for the closed form of a settlement push; simulate other laws")
    count = window_steps + unwind_steps
    lag = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    response = np.full(lag.shape, impact.lasting_per_usd(spot_usd))
    for rate, per_usd, per_coin in zip(impact.rates_per_minute, impact.passing_per_usd, impact.passing_per_coin):
        response = response + (per_usd + per_coin / spot_usd) * np.exp(-rate * step_minutes * lag)
    trades: FloatArray = np.concatenate((np.full(window_steps, 1.0 / window_steps), np.full(unwind_steps, -1.0 / unwind_steps)))
    moved = (np.tril(response) @ trades)[:window_steps]
    return SettlementPush(float(moved.mean()), float(0.5 * trades @ response @ trades))
