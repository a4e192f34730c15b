"""A hedger of a constant dollar gamma: the book whose feedback has closed forms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.hedging.policies import NoHedge
from tailwag.kernels.arrays import FloatArray, IntArray, zero_row
from tailwag.kernels.booking import row
from tailwag.kernels.demands import GAMMA
from tailwag.sim.agents.empty_answers import HedgesNoVega
from tailwag.sim.agents.protocol import Account, Demand, Draws, Move, OptionStep, Orders, View, no_orders
from tailwag.sim.hedge_terms import HedgeTerms, decide
from tailwag.sim.walked import Walked


@dataclass(frozen=True, slots=True)
class GammaTrader(HedgesNoVega):
    """Answers a log move dx with -hedge_share Gamma$ dx USD; its options earn Gamma$ (dx^2 - iv^2 dt) / 2 beside their delta.

    State: the options' delta in coin, (paths,); it grows by Gamma$ dx / fill price, so that a hedger in the same step carries none.
    A constant dollar gamma has no vega of its own.
    """

    gamma_usd: float
    terms: HedgeTerms

    def init(self, paths: int, draw: Draws | None = None) -> FloatArray:
        """No delta at the start."""
        return np.zeros(paths)

    def start_coin(self, state: FloatArray) -> FloatArray:
        """No coin at the start."""
        return np.zeros(state.shape)

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: FloatArray) -> FloatArray:
        """The same everywhere; none where nothing is hedged."""
        if isinstance(self.terms.policy, NoHedge):
            return np.zeros(log_price.shape)
        return np.full(log_price.shape, self.terms.hedge_share * self.gamma_usd)

    def act(self, view: View, account: Account, state: FloatArray, draw: Draws) -> Orders:
        """Close the gap in USD: -Gamma$ (x - x0) less what was bought and what is on its way."""
        if isinstance(self.terms.policy, NoHedge):
            return no_orders(view.log_price.size)
        hedged = self.terms.hedge_share * self.gamma_usd
        owed = account.bought_usd + account.flight_usd
        decision = decide(
            self.terms,
            view,
            draw,
            gap=-hedged * view.log_price - owed,
            unit="usd",
            dollar_gamma_usd=np.full(owed.shape, hedged),
            vol=self.terms.iv + view.vol_shift,
            years_left=float("inf"),
        )
        nothing = zero_row(owed.size)
        if self.terms.delay_steps:
            return Orders(usd=decision.speed * (-hedged * view.log_price - owed - decision.offset), coin=nothing)

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            return decision.speed * (-hedged * log_price - owed - decision.offset), nothing, -hedged * decision.speed, nothing

        def some(paths: IntArray) -> Demand:
            mine, wants = owed[paths], decision.of(paths)

            def chosen(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
                return wants.speed * (-hedged * log_price - mine - wants.offset), nothing[:1], -hedged * wants.speed, nothing[:1]

            return chosen

        walked = Walked(GAMMA, (row(owed, owed.size), row(decision.offset, owed.size), row(decision.speed, owed.size)), (hedged,))
        return Orders(usd=nothing, coin=nothing, demand=demand, some=some, walked=walked)

    def options(self, move: Move, state: FloatArray) -> tuple[OptionStep, FloatArray]:
        """Delta carried over the step, and gamma against theta."""
        log_move = move.log_price - move.log_before
        delta = state * (move.spot_usd - move.spot_before_usd)
        gamma_theta = 0.5 * self.gamma_usd * (log_move**2 - self.terms.iv**2 * move.step_years) * move.live
        nothing = zero_row(state.size)
        after = state + self.gamma_usd * log_move / move.fill_usd
        return OptionStep(delta, gamma_theta, nothing, nothing, delta + gamma_theta, nothing), after

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: FloatArray
    ) -> FloatArray:
        """USD still to be bought, orders in flight not counted as bought."""
        return -self.terms.hedge_share * self.gamma_usd * log_price - account.bought_usd
