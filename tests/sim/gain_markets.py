"""Markets in which the sum rule is tested: every kind of agent that answers a move, beside one another, in time and late."""

from __future__ import annotations

from collections.abc import Sequence

from tailwag.hedging.policies import EveryStep
from tailwag.liquidity.pools import RangePool, WeightedPool
from tailwag.margin.contract import Contract
from tailwag.margin.funding import DeadBandFunding
from tailwag.margin.maintenance import SizeSlope
from tailwag.margin.rulebook import Rulebook
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.insurer import ConstantProportion, PortfolioInsurer, SyntheticPut
from tailwag.sim.agents.ladder import Cluster, LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.lp_hedger import LpHedger
from tailwag.sim.agents.momentum import TrendFollower
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.agents.power_perp import Crab, PerpFunding, TimeOrThreshold
from tailwag.sim.dynamics import Gbm
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.leverage_buckets import LeverageBucket
from tailwag.sim.option_book import OptionBook
from tailwag.sim.pool_state import PoolFee, PoolTerms
from tailwag.sim.scenario import Scenario

SPOT = 60_000.0
LASTING, PASSING = 2e-11, 1e-11
POOL = WeightedPool.worth(4e9, price_usd=SPOT)
RANGE = RangePool.worth(3e8, price_usd=SPOT, low_usd=54_000.0, high_usd=66_000.0)
PUTS = OptionBook.single("put", strike_usd=58_000.0, expiry_years=10 / 365, contracts_coin=-8_000.0, iv=0.6)
IMPACT = ImpactModel(permanent_per_usd=LASTING, transient_per_usd=PASSING, transient_half_life_minutes=30.0)


def market(*agents, clearing: str = "implicit", impact: ImpactModel = IMPACT, vol: float = 0.6, **changes) -> Scenario:
    """A day of five-minute steps."""
    grid = TimeGrid.uniform(horizon_days=1.0, step_minutes=5.0)
    return Scenario(SPOT, grid, Gbm(vol=vol), impact, tuple(agents), clearing, **changes)


def constant(gain: float, *, delay_steps: int = 0, name: str = "dealers", per_usd: float = LASTING + PASSING, **changes) -> Dealer:
    """A dealer whose loop gain is known."""
    return Dealer(name, EveryStep(), delay_steps, gamma_usd=-gain / per_usd, iv=0.6, **changes)


def everybody(delays: Sequence[int] = (0, 0, 0, 0, 0, 0)) -> Scenario:
    """Dealers, a ladder with random levels, owners of two pools, two insurers, trend followers, and a pool that leans against all of them."""
    dealers, ladder, owner, insurer, trend, pool = delays
    agents = (
        Dealer("dealers", EveryStep(), dealers, options=PUTS),
        LiquidationLadder(
            "ladder",
            ladder,
            density_usd=8e8,
            clusters=(Cluster(-0.05, 0.015, 1e8), Cluster(0.06, 0.02, 2e8)),
            levels_per_log=200.0,
            level_usd=3e6,
        ),
        LpHedger("pool owners", PoolTerms(POOL, PoolFee()), EveryStep(), owner),
        LpHedger("range owners", PoolTerms(RANGE, PoolFee()), EveryStep(), owner, hedge_share=0.7),
        PortfolioInsurer("insurers", SyntheticPut(0.9, 0.6, 90.0), 1e9, insurer),
        PortfolioInsurer("proportion", ConstantProportion(0.8, 4.0), 6e8, insurer),
        TrendFollower("trend", trend, usd_per_log=5e8, half_life_minutes=120.0),
        PoolArbitrage("pool", PoolTerms(POOL, PoolFee()), pool),
    )
    return market(*agents, clearing="lagged" if min(delays) > 0 else "implicit")


def leveraged(delay_steps: int = 0, accounts: int = 200) -> LeveragedTraders:
    """Longs and shorts whose levels begin near the start, whole positions, a fund that pays for what is ruined."""
    buckets = (
        LeverageBucket("long", 40.0, 6e8, 1e5, entry_width_log=0.012, accounts=accounts),
        LeverageBucket("short", 30.0, 4e8, 1e5, entry_width_log=0.015, accounts=accounts),
    )
    rules = Rulebook("made", Contract.LINEAR, SizeSlope(0.005, 0.0), DeadBandFunding(0.00025, 0.005, 8.0), 0.0075, False, True)
    return LeveragedTraders("leverage", delay_steps, buckets, rules, fund_usd=1e9, entries="drawn")


def crab() -> Crab:
    """A squared perpetual of 2 billion that anybody may re-hedge after 24 hours or 1 %."""
    return Crab("crab", 1, 2e9, 0.6, TimeOrThreshold(24.0, 0.01), PerpFunding(420.0, 0.8, 1.4))
