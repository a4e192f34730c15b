"""What a gamma squeeze earns under impact that stays: buy calls from dealers who hedge, push the price, sell the calls, then sell the push."""

from __future__ import annotations

from dataclasses import dataclass

from tailwag.errors import InputError, RuleError
from tailwag.sim.impact import ImpactModel


@dataclass(frozen=True, slots=True)
class Squeeze:
    """A squeeze in a still market, to second order in the move: impact lambda a USD that stays, calls of D = ``delta_usd`` and G = ``gamma_usd``.

    ``delta_usd`` is what the calls gain for a unit of log price at the start, ``gamma_usd`` how much that grows for a unit more (S^2 Gamma); dealers
    hedge the share eta of both, and are short ``others_gamma_usd`` O of gamma to others besides: their gain is g = lambda (eta G + O), and
    g0 = lambda O once the calls are sold back.  Calls lift the price by lambda eta D / (1 - g), a push of q USD by lambda q / (1 - g) more.
    Moves are small against the options' own width iv sqrt(tau): the calls' hedge alone moves price by about g of it.
    InputError for a gain of 1 or more: no price clears.

    >>> squeeze = Squeeze(per_usd=2e-11, delta_usd=2e7, gamma_usd=2e9, others_gamma_usd=2e10)
    >>> round(squeeze.gain, 2), round(squeeze.move_log(5e7), 5), round(squeeze.profit_usd(5e7) / 1e3, 1)
    (0.44, 0.0025, 17.6)
    """

    per_usd: float
    delta_usd: float
    gamma_usd: float
    hedge_share: float = 1.0
    others_gamma_usd: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.gain < 1.0:
            raise InputError(
                f"expected a gain from 0 to below 1 of dealers short the calls, got {self.gain:.3g}; no price clears at 1 or more"
            )

    @classmethod
    def under(
        cls,
        impact: ImpactModel,
        spot_usd: float,
        *,
        delta_usd: float,
        gamma_usd: float,
        hedge_share: float = 1.0,
        others_gamma_usd: float = 0.0,
    ) -> Squeeze:
        """The squeeze under a law of impact.  RuleError for a law that bends, passes, or whose depth reacts."""
        if not impact.is_linear or impact.passes or impact.depth_reacts is not None:
            raise RuleError("expected linear impact that stays for the closed form of a squeeze; simulate other laws")
        return cls(impact.lasting_per_usd(spot_usd), delta_usd, gamma_usd, hedge_share, others_gamma_usd)

    @property
    def gain(self) -> float:
        """g = lambda (eta G + O): the part of a move that the dealers' hedges add again."""
        return self.per_usd * (self.hedge_share * self.gamma_usd + self.others_gamma_usd)

    def move_log(self, push_usd: float) -> float:
        """How far calls and push lift the log price: lambda (eta D + q) / (1 - g)."""
        return self.per_usd * (self.hedge_share * self.delta_usd + push_usd) / (1.0 - self.gain)

    def options_usd(self, push_usd: float) -> float:
        """What the calls gain until they are sold at the top: D x + G x^2 / 2."""
        x = self.move_log(push_usd)
        return self.delta_usd * x + 0.5 * self.gamma_usd * x**2

    def spot_usd(self, push_usd: float) -> float:
        """What the push loses, sold once the calls are back: -lambda q ((2 eta D + q) / (1 - g) - q / (1 - g0)) / 2; 0 where nobody hedges the calls."""
        later = 1.0 - self.per_usd * self.others_gamma_usd
        return (
            -0.5 * self.per_usd * push_usd * ((2.0 * self.hedge_share * self.delta_usd + push_usd) / (1.0 - self.gain) - push_usd / later)
        )

    def profit_usd(self, push_usd: float, *, cost_usd: float = 0.0, cost_share: float = 0.0) -> float:
        """Both legs less ``cost_usd`` of trading the calls (their spread, their theta) and ``cost_share`` of each USD pushed, paid twice.

        With eta = 1, O = 0 and no costs: lambda ((2 - g) D^2 + 2 g D q + g^2 q^2) / (2 (1 - g)^2).  The push earns through the gamma of its own calls
        alone: without it, it earns nothing.  What is earned the dealers lose, for they buy high and sell low.
        """
        return self.options_usd(push_usd) + self.spot_usd(push_usd) - cost_usd - 2.0 * cost_share * abs(push_usd)
