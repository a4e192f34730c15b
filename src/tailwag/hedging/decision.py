"""What a hedging policy sees and what it answers: a public view in, a decision out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.kernels.booking import row
from tailwag.kernels.hedge_band import outside

GapUnit = Literal["usd", "coin"]


@dataclass(frozen=True, slots=True)
class HedgeView:
    """All that a dealer may look at when it decides: public prices, its own book and its own dice.

    ``gap``: target hedge less what is held and what is on its way, in ``unit``; + must be bought.  ``dollar_gamma_usd``: S^2 Gamma of the
    own book, long +.  ``vol``: decimal and positive, the book's representative vol.  ``years_left``: to the book's next expiry, inf for a
    constant gamma.  ``market_gain``: public estimate of -lambda times everybody's dollar gamma, 0 where unknown.  ``uniform``: own random
    numbers in (0, 1), new in every step; :class:`~tailwag.hedging.policies.AtTimes` with jitter keeps to exactly one trade a period where
    they are drawn once per its `period` instead.  The step that is decided ends at ``time_years`` and is ``step_years`` long.

    Shapes: every array (paths,).
    """

    step: int
    time_years: float
    step_years: float
    spot_usd: FloatArray
    gap: FloatArray
    unit: GapUnit
    dollar_gamma_usd: FloatArray
    vol: FloatArray
    years_left: float
    market_gain: FloatArray
    uniform: FloatArray

    def in_gap_unit(self, amount_coin: FloatArray) -> FloatArray:
        """An amount of coin in the unit of ``gap``, at the price of the decision."""
        return amount_coin * self.spot_usd if self.unit == "usd" else amount_coin


@dataclass(frozen=True, slots=True)
class Decision:
    """Who trades in this step, and how much of the gap stays open: the trade is speed * (gap at the clearing price - offset).

    ``active`` (paths,): trades at all.  ``offset`` (paths,), in the unit of the gap, always finite: 0 closes it, sign(gap) * H goes to the
    band's edge.
    ``speed`` (paths,): 1, or more where the policy allows for what hedging will do to the price.
    """

    active: BoolArray
    offset: FloatArray
    speed: FloatArray

    def of(self, paths: IntArray) -> Decision:
        """Some of the paths."""
        return Decision(self.active[paths], self.offset[paths], self.speed[paths])


@runtime_checkable
class Policy(Protocol):
    """A rule that decides when a dealer trades; a pure function of the view.

    ``decide`` answers for every path.  ``vol_shift`` (paths,) is added to the vol at which the target delta is read (0 for most rules) and
    must not look at ``view.gap``, which is not known yet.
    """

    def decide(self, view: HedgeView) -> Decision:
        """Who trades now, and how much of the gap stays open."""
        ...

    def vol_shift(self, view: HedgeView) -> FloatArray:
        """What to add to the vol at which the target delta is read."""
        ...


def trade_to(view: HedgeView, active: BoolArray) -> Decision:
    """Close the whole gap where ``active``."""
    return Decision(active, np.zeros(view.gap.shape), np.ones(view.gap.shape))


def trade_outside(view: HedgeView, half_width: FloatArray, *, to_edge: bool) -> Decision:
    """Trade where the gap is strictly wider than the band, back to its nearer edge or to its centre."""
    active, offset = np.empty(view.gap.shape, dtype=np.bool_), np.empty(view.gap.shape)
    outside(row(view.gap, active.size), row(half_width, active.size), to_edge, active, offset)
    return Decision(active, offset, np.ones(view.gap.shape))


def no_shift(view: HedgeView) -> FloatArray:
    """The target delta is read at the book's own vol."""
    return np.zeros(view.vol.shape)
