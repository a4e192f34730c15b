"""Kinds cpmm, lp-hedger and crab of a scenario file: pools and their arbitrage, owners who hedge them, and a public short of a squared perp."""

from __future__ import annotations

import math

import numpy as np

from tailwag.experiments.scenario_agent_setting import Read, Setting
from tailwag.experiments.scenario_market import MOST_USD
from tailwag.experiments.scenario_tables import Table
from tailwag.hedging.policies import policy_from_mapping, policy_from_text
from tailwag.liquidity.pools import Pool, RangePool, WeightedPool, break_even_volume_usd_per_day
from tailwag.market.clock import parse_time_ns
from tailwag.sim.agents.lp_hedger import LpHedger
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.agents.power_perp import Crab, PerpFunding, TimeOrThreshold
from tailwag.sim.pool_state import PoolFee, PoolTerms
from tailwag.sources.rules import load_rules

POOL_TERMS = ("value_usd", "range_usd", "weight", "fee_bps", "dynamic_fee", "block_minutes")
OF_CPMM = ("kind", "name", "delay_steps", "two_way_usd_per_day", *POOL_TERMS)
OF_LP_HEDGER = (*OF_CPMM, "policy", "hedge_share", "speed", "stream")
OF_CRAB = ("kind", "name", "delay_steps", "notional_usd", "iv", "policy", "rules", "stream", "last_hedge")
OF_LAST_HEDGE = ("hours_ago", "price_usd")
TERMS = tuple(dict.fromkeys((*OF_CPMM, *OF_LP_HEDGER, *OF_CRAB, *OF_LAST_HEDGE)))
RULES = ("squeeth_eth",)
UNDATED = "2026-01-01T00:00:00Z"
"""The day whose rules hold for a run without a start."""
PUBLIC_RULE = "time-or-threshold"


def read_pool(table: Table, name: str, setting: Setting) -> Read:
    """A pool whose arbitrageurs trade in this market."""
    table.only(*OF_CPMM)
    with table.named():
        agent = PoolArbitrage(name, _terms(table, setting), _delay(table))
    return agent, _pays(table, agent.terms, setting) if agent.terms.two_way_usd_per_day else ()


def read_lp_hedger(table: Table, name: str, setting: Setting) -> Read:
    """An owner of pool liquidity who hedges its delta."""
    table.only(*OF_LP_HEDGER)
    with table.named():
        terms = _terms(table, setting)
        given = table.needed("policy", 'state how it hedges, such as policy = {kind = "every-step"}')
        agent = LpHedger(
            name,
            terms,
            policy_from_text(given) if isinstance(given, str) else policy_from_mapping(given),
            _delay(table),
            hedge_share=table.number("hedge_share", 1.0, least=0.0, most=1.0, hint="0.8 is 80 %"),
            speed=table.number("speed", 1.0),
            stream=table.whole("stream", 0, least=0, most=2**31 - 1),
        )
    return agent, _pays(table, terms, setting)


def read_crab(table: Table, name: str, setting: Setting) -> Read:
    """A strategy short a squared perpetual, hedged by its protocol's public rule unless another is stated."""
    table.only(*OF_CRAB)
    rules = load_rules(table.text("rules", RULES[0], choices=RULES))
    at_ns = parse_time_ns(UNDATED) if setting.start_ns is None else setting.start_ns
    with table.named():
        figure = {key: rules.in_force(key, at_ns).value for key in rules.rows}
        funding = PerpFunding(figure["funding_period_hours"], figure["least_mark_ratio"], figure["most_mark_ratio"])
        agent = Crab(
            name,
            _delay(table),
            table.number("notional_usd", least=0.0, above=True, hint="what the squared perp that is sold is worth at the start"),
            table.vol("iv", setting.vol),
            _public_rule(table, figure["hedge_hours"], figure["hedge_move_share"]),
            funding,
            stream=table.whole("stream", 0, least=0, most=2**31 - 1),
            **_last_hedge(table, setting.spot_usd),
        )
    unsaid = () if "iv" in table else (f"{table.place}: iv is not stated; funding pays for {setting.vol:g}, the vol of [price]",)
    clamped = agent.iv**2 > funding.rate_per_year(agent.iv) * (1.0 + 1e-12)
    cut = (
        (f"{table.place}: funding is clamped: it pays for a vol of {math.sqrt(funding.rate_per_year(agent.iv)):.3g} at most",)
        if clamped
        else ()
    )
    return agent, (*unsaid, *cut)


def _last_hedge(table: Table, spot_usd: float) -> dict[str, float]:
    """When and where it was hedged before the start; at the start, at the first price, where that is not stated."""
    stated = table.table("last_hedge", {})
    stated.only(*OF_LAST_HEDGE)
    price = stated.number("price_usd", spot_usd, least=0.0, above=True)
    return {"hedged_hours_ago": stated.number("hours_ago", 0.0), "hedged_at_log": math.log(price / spot_usd)}


def _public_rule(table: Table, hours: float, move_share: float) -> TimeOrThreshold:
    if "policy" not in table:
        return TimeOrThreshold(hours, move_share)
    stated = table.table("policy")
    stated.only("kind", "every_hours", "move_share")
    stated.text("kind", choices=(PUBLIC_RULE,))
    with stated.named():
        return TimeOrThreshold(stated.number("every_hours", hours), stated.number("move_share", move_share))


def _terms(table: Table, setting: Setting) -> PoolTerms:
    return PoolTerms(
        _pool(table, setting.spot_usd),
        _fee(table, setting.vol),
        table.number("block_minutes", 0.0, least=0.0),
        table.number("two_way_usd_per_day", 0.0, least=0.0, most=MOST_USD),
    )


def _pool(table: Table, spot_usd: float) -> Pool:
    """The pool that is worth ``value_usd`` at the first price."""
    hint = "what the pool (or the owner's share of it) is worth at the first price"
    value = table.number("value_usd", least=0.0, most=MOST_USD, above=True, hint=hint)
    table.exclusive("range_usd", "weight")
    if "range_usd" not in table:
        weight = table.number("weight", 0.5, hint="share of the pool's value in coin; 0.5 is a constant product")
        return WeightedPool.worth(value, price_usd=spot_usd, weight=weight)
    bounds = table.values["range_usd"]
    if (
        not isinstance(bounds, list)
        or len(bounds) != 2
        or any(isinstance(edge, bool) or not isinstance(edge, int | float) for edge in bounds)
    ):
        raise table.refuse("expected range_usd as two prices, such as [54000, 66000]")
    return RangePool.worth(value, price_usd=spot_usd, low_usd=float(bounds[0]), high_usd=float(bounds[1]))


def _fee(table: Table, vol: float) -> PoolFee:
    base = table.number("fee_bps", hint="the pool's fee in basis points of log price; 30 is 0.30 %")
    if "dynamic_fee" not in table:
        return PoolFee(base)
    moving = table.table("dynamic_fee")
    moving.only("bps_per_vol", "half_life_minutes", "start_vol", "most_bps")
    with moving.named():
        return PoolFee(
            base,
            moving.number("bps_per_vol", hint="basis points for each 1.00 of recent annual vol"),
            moving.number("half_life_minutes", 60.0),
            moving.vol("start_vol", vol),
            moving.number("most_bps", 500.0),
        )


def _delay(table: Table) -> int:
    return table.whole("delay_steps", least=0, hint="steps between seeing a price and trading on it; 0 trades in the same step")


def _pays(table: Table, terms: PoolTerms, setting: Setting) -> tuple[str, ...]:
    """What uninformed trading would have to pass through the pool for its fees to pay for arbitrage, at the start."""
    fee = 1e-4 * terms.fee.starting_bps
    if fee == 0.0 or setting.vol == 0.0 or float(terms.pool.coin_per_usd(np.asarray(setting.spot_usd))) == 0.0:
        return ()
    wanted = break_even_volume_usd_per_day(terms.pool, setting.spot_usd, vol=setting.vol, fee_log=fee)
    return (
        f"{table.place}: uninformed trading of {wanted / 1e6:.3g} M USD a day would pay for the pool's loss versus rebalancing at a vol of "
        f"{setting.vol:g}; {terms.two_way_usd_per_day / 1e6:.3g} M passes through it",
    )
