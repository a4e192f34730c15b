"""Vanna and vega in the loop: the gain of a whole spot-and-vol system, link by link against theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm
from tests.sim.anchors import SPOT, VOL

from tailwag.hedging.policies import EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Replay
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Scenario, VolDynamics

PRICE_IMPACT, VOL_IMPACT = 3.1e-11, 2e-10
YEARS, CONTRACTS = 30 / 365, 20_000.0
SMALL = 1e-5


def amplification(
    strike: float, right: str, beta: float, share: float, *, contracts: float = -CONTRACTS, vol_impact: float = VOL_IMPACT
) -> float:
    """Price move per exogenous move of one step, by a central difference; the step has no length, so that time decay plays no part."""
    book = OptionBook.single(right, strike_usd=strike, expiry_years=YEARS, contracts_coin=contracts, iv=VOL)
    ends = []
    for move in (SMALL, -SMALL):
        scenario = Scenario(
            spot_usd=SPOT,
            grid=TimeGrid(np.array([0.0, 1e-12])),
            price=Replay(log_returns=np.array([move])),
            impact=ImpactModel(permanent_per_usd=PRICE_IMPACT),
            agents=(Dealer("dealer", EveryStep(), 0, options=book, vega_hedge_share=share),),
            clearing="implicit",
            vol=VolDynamics(spot_vol_beta=beta, vega_impact_per_usd=vol_impact),
        )
        ends.append(float(run_block(plan_run(scenario, seed=0), 0, 1).log_price[0, -1]))
    return (ends[0] - ends[1]) / (2.0 * SMALL)


def theory(strike: float, right: str, beta: float, share: float, *, contracts: float = -CONTRACTS, vol_impact: float = VOL_IMPACT) -> float:
    """First entry of (I - B - K)^-1, from Black's greeks by SciPy: dx = e + g_SS dx + g_Sv ds, ds = beta dx + g_vS dx + g_vv ds."""
    spread = VOL * math.sqrt(YEARS)
    d1 = math.log(SPOT / strike) / spread + 0.5 * spread
    d2 = d1 - spread
    dollar_gamma = contracts * SPOT * norm.pdf(d1) / spread
    vanna = contracts * SPOT * -norm.pdf(d1) * d2 / VOL
    vega_by_log_price = vanna
    volga = contracts * SPOT * norm.pdf(d1) * math.sqrt(YEARS) * d1 * d2 / VOL
    links = np.array(
        [
            [1.0 + PRICE_IMPACT * dollar_gamma, PRICE_IMPACT * vanna],
            [-beta + vol_impact * share * vega_by_log_price, 1.0 + vol_impact * share * volga],
        ]
    )
    return float(np.linalg.inv(links)[0, 0])


@pytest.mark.parametrize(
    ("strike", "right", "beta", "gain", "hedged"),
    [
        (54_000.0, "put", -0.8, 0.07576, 1.08290),
        (54_000.0, "put", 0.4, 0.06352, None),
        (66_000.0, "call", -0.8, 0.06597, None),
        (66_000.0, "call", 0.4, 0.08300, 1.09216),
    ],
)
def test_t13g_printed_gains(strike: float, right: str, beta: float, gain: float, hedged: float | None) -> None:
    """g_eff = -lambda (Gamma$ + beta Va$) without vega hedging; with all of it hedged, the printed amplification."""
    assert 1.0 - 1.0 / amplification(strike, right, beta, 0.0) == pytest.approx(gain, abs=6e-6)
    if hedged is not None:
        assert amplification(strike, right, beta, 1.0) == pytest.approx(hedged, abs=6e-6)


@pytest.mark.parametrize("beta", [-1.5, -0.8, 0.0, 0.4])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("strike", "right"), [(50_000.0, "put"), (60_000.0, "call"), (75_000.0, "call")])
@pytest.mark.parametrize("contracts", [-CONTRACTS, 3.0 * CONTRACTS])
def test_t13g_system_of_price_and_vol(beta: float, share: float, strike: float, right: str, contracts: float) -> None:
    found = amplification(strike, right, beta, share, contracts=contracts)
    assert found == pytest.approx(theory(strike, right, beta, share, contracts=contracts), rel=2e-7)
    if beta:
        assert found != pytest.approx(theory(strike, right, -beta, share, contracts=contracts), rel=1e-4)


def test_t13g_vanna_leg_changes_sign_with_beta() -> None:
    gamma_only = amplification(54_000.0, "put", 0.0, 0.0)
    assert amplification(54_000.0, "put", -0.8, 0.0) > gamma_only > amplification(54_000.0, "put", 0.4, 0.0)


def test_t13g_late_vega_hedges_settle_at_the_same_place() -> None:
    """The permanent gain does not depend on lateness: after one shock and many quiet steps, late hedgers end where prompt ones do."""
    ends = {}
    for clearing, delay in (("implicit", 0), ("lagged", 1)):
        book = OptionBook.single("put", strike_usd=54_000.0, expiry_years=YEARS, contracts_coin=-CONTRACTS, iv=VOL)
        moves = np.zeros(80)
        moves[0] = SMALL
        scenario = Scenario(
            spot_usd=SPOT,
            grid=TimeGrid(np.arange(81) * 1e-12),
            price=Replay(log_returns=moves),
            impact=ImpactModel(permanent_per_usd=PRICE_IMPACT),
            agents=(Dealer("dealer", EveryStep(), delay, options=book, vega_hedge_share=1.0),),
            clearing=clearing,
            vol=VolDynamics(spot_vol_beta=-0.8, vega_impact_per_usd=VOL_IMPACT),
        )
        block = run_block(plan_run(scenario, seed=0), 0, 1)
        ends[clearing] = (float(block.log_price[0, -1]), float(block.vol_shift[0, -1]))
    assert ends["lagged"] == pytest.approx(ends["implicit"], rel=1e-6)
