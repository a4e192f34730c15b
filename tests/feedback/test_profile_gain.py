"""The gain of a real profile: repricing, smile and attribution agree with finite differences and with each other."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from tests.exposure.stand_in import (
    STICKY_MONEYNESS,
    STICKY_STRIKE,
    Dynamics,
    StandInSurface,
    chain_of,
    demo_chain,
    held,
    profile_of,
    surface_of,
)

from tailwag.feedback import gain_inputs, loop_gain
from tailwag.liquidity import LinearImpact

DEPTH = LinearImpact(200e6)


@dataclass(frozen=True)
class BetaSurface(StandInSurface):
    """The stand-in with the slope that its own smile implies: vol moves by -(1 - R) * (skew + 2 * curvature * k) per unit log move."""

    def spot_vol_beta(self, dynamics: Any) -> Any:
        k = np.log(self.chain.strike_usd / self.forward_usd) + self.quoted_log_move
        return -(1.0 - dynamics.ratio) * (self.skew + 2.0 * self.curvature * k)


def smiling(dynamics: Dynamics) -> Any:
    chain = demo_chain(5)
    surface = BetaSurface(chain, chain.underlying_usd, skew=-0.15, curvature=0.3)
    position = np.where(np.arange(len(chain)) % 3 == 0, 1.0, -1.0) * chain.open_interest_contracts
    return profile_of(chain, position, dynamics=dynamics, surface=surface, spot_levels=101)


def test_gain_of_a_profile_is_its_gex_over_depth() -> None:
    profile = smiling(STICKY_STRIKE)
    gain = loop_gain(profile, DEPTH, move_pct=1)
    assert gain.value == pytest.approx(-profile.totals.gex_usd_per_pct / 200e6, rel=1e-14)
    assert gain.inputs.rule == "stated"


def test_expiries_and_strikes_sum_to_the_gain() -> None:
    gain = loop_gain(smiling(STICKY_STRIKE), DEPTH, move_pct=1, hedge_share=0.6)
    assert sum(part.value for part in gain.by_expiry) == pytest.approx(gain.value, rel=1e-11)
    assert sum(part.value for part in gain.by_strike) == pytest.approx(gain.value, rel=1e-11)


@pytest.mark.parametrize("dynamics", [STICKY_STRIKE, STICKY_MONEYNESS, Dynamics("ssr:1.4", 1.4)], ids=lambda d: d.name)
def test_small_repriced_moves_meet_the_gain_with_vanna(dynamics: Dynamics) -> None:
    """Repricing the whole book under the smile dynamic and -lambda (Gamma$ + beta Va$) are two roads to one number."""
    gain = loop_gain(smiling(dynamics), DEPTH, move_pct=1e-4)
    assert 0.5 * (gain.gain_up + gain.gain_down) == pytest.approx(gain.with_vanna, rel=1e-6)
    if dynamics.ratio == 1.0:
        assert gain.with_vanna == gain.value
    else:
        assert gain.with_vanna != pytest.approx(gain.value, rel=1e-3)


def test_short_call_buys_more_up_than_down_below_the_strike() -> None:
    """Gamma rises towards the strike, so the repriced gain of a rise exceeds that of a fall."""
    chain = chain_of([1], [66_000.0], [7.0], [0.6], [1000.0])
    gain = loop_gain(profile_of(chain, -1000.0), DEPTH, move_pct=2)
    assert gain.gain_up > gain.value > gain.gain_down > 0


def test_numeraire_changes_nothing() -> None:
    chain = demo_chain(7)
    usd, coin = (profile_of(chain, -1.0, numeraire=numeraire) for numeraire in ("usd", "coin"))
    one, two = (loop_gain(profile, DEPTH, move_pct=1) for profile in (usd, coin))
    assert (one.value, one.gain_up, one.gain_down) == (two.value, two.gain_up, two.gain_down)


def test_runaway_edges_are_where_the_profile_meets_the_depth() -> None:
    profile = profile_of(chain_of([1], [75_000.0], [14.0], [0.5], [1.0]), -20_000.0)
    depth = 0.5 * float(np.abs(profile.gex_usd_per_pct).max())
    gain = loop_gain(profile, LinearImpact(depth), move_pct=1)
    (zone,) = gain.runaway_zones
    at_edges = profile.gex_at([zone.low_usd, zone.high_usd])
    assert at_edges == pytest.approx([-depth, -depth], rel=2e-3)
    assert zone.low_usd < 75_000 < zone.high_usd
    assert gain.runaway_distance_pct == pytest.approx(100 * (zone.low_usd / 60_000 - 1), rel=1e-9)


def test_draws_become_a_band() -> None:
    chain = demo_chain(9)
    positions = held(chain, -1.0)
    draws = np.stack([np.full(len(chain), -0.5), np.full(len(chain), -1.5)])
    from tailwag.exposure import exposure_profile

    profile = exposure_profile(replace(positions, draws=draws), surface_of(chain), dynamics=STICKY_STRIKE)
    inputs = gain_inputs(profile)
    assert inputs.draws_gex_usd_per_pct == pytest.approx(np.array([0.5, 1.5]) * profile.totals.gex_usd_per_pct, rel=1e-12)
    gain = loop_gain(profile, DEPTH, move_pct=1)
    assert gain.low == pytest.approx(0.525 * gain.value, rel=1e-9)
    assert gain.high == pytest.approx(1.475 * gain.value, rel=1e-9)


def test_document_of_a_profile_is_strict_json() -> None:
    found = json.loads(json.dumps(loop_gain(smiling(STICKY_MONEYNESS), DEPTH, move_pct=1).document(), allow_nan=False))
    assert {
        "value",
        "law",
        "depth_usd_per_pct",
        "with_vanna",
        "low",
        "high",
        "break_even_depth_usd_per_pct",
        "amplification",
        "regime",
    } <= set(found)
    assert {"by_law", "by_rule", "by_expiry", "runaway_zones_usd"} <= set(found)
