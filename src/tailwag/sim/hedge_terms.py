"""How a hedger trades, whatever it holds: policy, share, speed and late or same-step orders."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tailwag.hedging.policies import AtTimes, Decision, GapUnit, HedgeView, Policy
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.booking import row
from tailwag.kernels.hedge_band import at_speed
from tailwag.sim.agents.protocol import TO_DECIDE, Draws, View


class HedgeTerms(Protocol):
    """The part of a dealer that a trader reads."""

    @property
    def policy(self) -> Policy: ...
    @property
    def delay_steps(self) -> int: ...
    @property
    def speed(self) -> float: ...
    @property
    def hedge_share(self) -> float: ...
    @property
    def after_expiry(self) -> str: ...
    @property
    def vega_hedge_share(self) -> float: ...
    @property
    def iv(self) -> float: ...


def decide(
    terms: HedgeTerms,
    view: View,
    draw: Draws,
    *,
    gap: FloatArray,
    unit: GapUnit,
    dollar_gamma_usd: FloatArray,
    vol: FloatArray,
    years_left: float,
) -> Decision:
    """The policy's decision with the agent's own speed in it; paths that have stopped stay inactive."""
    decision = terms.policy.decide(
        hedge_view(terms, view, draw, gap=gap, unit=unit, dollar_gamma_usd=dollar_gamma_usd, vol=vol, years_left=years_left)
    )
    paths = view.live.size
    active, speed = np.empty(paths, dtype=np.bool_), np.empty(paths)
    called = np.ascontiguousarray(np.broadcast_to(np.asarray(decision.active, dtype=np.bool_), (paths,)))
    at_speed(called, view.live, row(decision.speed, paths), float(terms.speed), active, speed)
    return Decision(active=active, offset=decision.offset, speed=speed)


def hedge_view(
    terms: HedgeTerms,
    view: View,
    draw: Draws,
    *,
    gap: FloatArray,
    unit: GapUnit,
    dollar_gamma_usd: FloatArray,
    vol: FloatArray,
    years_left: float,
) -> HedgeView:
    """What the policy sees; a time grid with jitter draws once a period, so that it trades exactly once in each."""
    jittered = isinstance(terms.policy, AtTimes) and terms.policy.jitter_minutes > 0.0
    count = terms.policy.period(view.time_years) if jittered and isinstance(terms.policy, AtTimes) else view.step
    uniform = draw(TO_DECIDE, count) if jittered else np.full(gap.shape, 0.5)
    return HedgeView(
        step=view.step,
        time_years=view.time_years,
        step_years=view.step_years,
        spot_usd=view.spot_usd,
        gap=gap,
        unit=unit,
        dollar_gamma_usd=dollar_gamma_usd,
        vol=vol,
        years_left=years_left,
        market_gain=view.market_gain,
        uniform=uniform,
    )
