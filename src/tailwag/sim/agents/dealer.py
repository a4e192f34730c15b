"""A dealer: holds options (or a constant dollar gamma) and hedges their delta by a policy, late, in part, in slices, or at once."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.hedging.execution import AtOnce, Execution
from tailwag.hedging.policies import CharmOnly, Leland, NoHedge, Policy, Predictive, Zakamouline
from tailwag.sim.agents.protocol import Market, Trader
from tailwag.sim.book_trader import BookTrader, CharmTrader
from tailwag.sim.gamma_trader import GammaTrader
from tailwag.sim.net_delta import DirectNetDelta
from tailwag.sim.option_book import OptionBook

INSTRUMENTS = ("spot", "perp", "future")


@dataclass(frozen=True, slots=True)
class HedgeInstrument:
    """What the hedge is held in: spot, perp or dated future, with its funding (paid by longs) and the margin it ties up.

    >>> HedgeInstrument("perp", funding_per_year=0.1, margin_share=0.05).kind
    'perp'
    """

    kind: str = "spot"
    funding_per_year: float = 0.0
    margin_share: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in INSTRUMENTS:
            raise InputError(f"expected a hedge instrument of {', '.join(INSTRUMENTS)}, got {self.kind!r}")
        if not abs(self.funding_per_year) <= 10.0:
            raise UnitError(f"expected funding_per_year as a decimal within +-10, got {self.funding_per_year:g}; 0.1 is 10 % a year")
        if not 0.0 <= self.margin_share <= 1.0:
            raise UnitError(f"expected margin_share from 0 to 1, got {self.margin_share:g}; 0.05 ties up 5 % of the position's value")


@dataclass(frozen=True, slots=True)
class Dealer:
    """Holds ``gamma_usd`` (constant S^2 Gamma, + long) or ``options`` (contracts + long) and hedges by ``policy``.

    A constant dollar gamma answers a log move dx with q = -hedge_share * gamma_usd * dx USD, and its options earn
    gamma_usd (dx^2 - iv^2 dt) / 2.  An option book is hedged to minus its net Black delta in coin.  ``delay_steps``: 0 trades in the step
    of the move.  ``speed`` closes that fraction of the gap.  After an expiry the hedge is unwound, or held at its last size.
    ``vega_hedge_share`` of the vega is neutralised with listed options, which moves implied vol by the market's vega impact.
    ``stream`` separates the random numbers of two dealers that are alike in everything else.  ``opening_cost_usd`` was paid in half-spreads
    for options bought at the start (see :mod:`tailwag.sim.option_hedge`).
    Raises InputError or UnitError for a book that is neither or both, a delay below 0, a speed or share outside (0, 1] or [0, 1].
    """

    name: str
    policy: Policy
    delay_steps: int
    gamma_usd: float | None = None
    options: OptionBook | None = None
    iv: float = 0.0
    speed: float = 1.0
    hedge_share: float = 1.0
    after_expiry: str = "unwind"
    execution: Execution = field(default_factory=AtOnce)
    instrument: HedgeInstrument = field(default_factory=HedgeInstrument)
    vega_hedge_share: float = 0.0
    stream: int = 0
    opening_cost_usd: float = 0.0

    def __post_init__(self) -> None:
        if (self.gamma_usd is None) == (self.options is None):
            raise InputError(
                f"agent {self.name!r}: expected either gamma_usd or options, got {'neither' if self.options is None else 'both'}"
            )
        if self.gamma_usd is not None and not abs(self.gamma_usd) < 1e15:
            raise UnitError(f"agent {self.name!r}: expected gamma_usd as S^2 Gamma in USD, below 1e15 in size, got {self.gamma_usd:g}")
        if not 0.0 <= self.iv <= 10.0:
            raise UnitError(f"agent {self.name!r}: expected iv as a decimal from 0 to 10, got {self.iv:g}; 0.6 is 60 %")
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        if not 0.0 < self.speed <= 2.0:
            raise InputError(
                f"agent {self.name!r}: expected speed above 0 and at most 2 (share of the gap closed a step), got {self.speed:g}"
            )
        if not 0.0 <= self.hedge_share <= 1.0:
            raise InputError(f"agent {self.name!r}: expected hedge_share from 0 to 1, got {self.hedge_share:g}")
        if not 0.0 <= self.vega_hedge_share <= 1.0 or (self.vega_hedge_share and self.options is None):
            raise InputError(
                f"agent {self.name!r}: expected vega_hedge_share from 0 to 1, for a list of options, got {self.vega_hedge_share:g}"
            )
        if not 0.0 <= self.opening_cost_usd < 1e15:
            raise UnitError(f"agent {self.name!r}: expected opening_cost_usd of 0 or more, got {self.opening_cost_usd:g}")
        if self.after_expiry not in ("unwind", "hold"):
            raise InputError(f"agent {self.name!r}: expected after_expiry 'unwind' or 'hold', got {self.after_expiry!r}")
        if self.delay_steps == 0 and self.execution.slices > 1:
            raise InputError(
                f"agent {self.name!r}: orders in slices want delay_steps of 1 or more, got 0; the later slices are late anyway"
            )
        if isinstance(self.policy, Predictive) and self.delay_steps == 0:
            raise InputError(
                f"agent {self.name!r}: predictive hedging wants delay_steps of 1 or more, got 0; an order that is sized at its own clearing "
                "price has the market's answer in it already: use every-step"
            )
        if self.options is None and isinstance(self.policy, Leland | Zakamouline):
            raise InputError(
                f"agent {self.name!r}: hedging at a changed vol wants a list of options, got a constant gamma; use whalley-wilmott"
            )
        if isinstance(self.policy, CharmOnly) and (self.options is None or self.delay_steps != 0):
            raise InputError(f"agent {self.name!r}: charm-only hedging wants a list of options and delay_steps = 0")

    @property
    def unit(self) -> str:
        """The unit its gap is kept in: "usd" for a constant dollar gamma, "coin" for options."""
        return "usd" if self.options is None else "coin"

    def content(self) -> str:
        """Everything but the name, as text; a book by the digest of its columns.  A cost of the start that is zero changes no dealer."""
        skipped = ("name",) if self.opening_cost_usd else ("name", "opening_cost_usd")
        return repr([_plain(getattr(self, entry.name)) for entry in fields(self) if entry.name not in skipped])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """Hedged dollar gamma at the start; a policy that answers no price move has none."""
        if isinstance(self.policy, NoHedge | CharmOnly):
            return 0.0
        if self.options is None:
            return self.hedge_share * float(self.gamma_usd or 0.0)
        slope = DirectNetDelta(self.options, np.zeros(2), spot_usd).at(0, np.zeros(1), np.zeros(1))[1]
        return self.hedge_share * float(slope[0]) * spot_usd

    def at_work(self, market: Market) -> Trader:
        """The dealer in one market: with its net delta ready to be read."""
        if self.options is None:
            return GammaTrader(float(self.gamma_usd or 0.0), self)
        if isinstance(self.policy, CharmOnly):
            return CharmTrader(self.options, self, market)
        return BookTrader(self.options, self, market)


def _plain(value: Any) -> Any:
    return value.digest() if isinstance(value, OptionBook) else value
