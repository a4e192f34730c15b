"""Kinds of a scenario file whose flow starts or ends a move: insurer, momentum, hawkes, manipulator, predator."""

from __future__ import annotations

import math

from tailwag.experiments.scenario_agent_dealer import _options
from tailwag.experiments.scenario_agent_setting import Read, Setting
from tailwag.experiments.scenario_tables import Table
from tailwag.hedging.policies import EveryStep, Policy, policy_from_mapping, policy_from_text
from tailwag.sim.agents.hawkes import SelfExcitingOrders
from tailwag.sim.agents.insurer import ConstantProportion, PortfolioInsurer, SyntheticPut
from tailwag.sim.agents.manipulator import SettlementManipulator
from tailwag.sim.agents.momentum import TrendFollower
from tailwag.sim.agents.predator import UNWINDS, Predator
from tailwag.sim.liquidation_push import LevelSight

MOST_STREAM = 2**31 - 1
INSURER_TERMS = ("kind", "name", "holding_usd", "rule", "policy", "delay_steps", "speed", "stream")
MOMENTUM_TERMS = ("kind", "name", "usd_per_log", "half_life_minutes", "most_usd", "delay_steps")
HAWKES_TERMS = (
    "kind",
    "name",
    "background_per_hour",
    "children",
    "half_life_minutes",
    "order_usd",
    "same_side_share",
    "delay_steps",
    "stream",
)
MANIPULATOR_TERMS = ("kind", "name", "options", "push_usd", "unwind_minutes", "reach_log", "delay_steps")
PREDATOR_TERMS = ("kind", "name", "sees_flow_share", "ahead", "most_usd", "unwinds", "delay_steps", "levels")
LEVEL_TERMS = ("share", "impact_per_usd", "reach_log", "passes_share", "cost_bps")
TERMS = tuple(dict.fromkeys((*INSURER_TERMS, *MOMENTUM_TERMS, *HAWKES_TERMS, *MANIPULATOR_TERMS, *PREDATOR_TERMS, *LEVEL_TERMS)))
"""Keys of all kinds of this module; each reader knows its own."""
RULE_TERMS: dict[str, tuple[str, ...]] = {
    "put": ("kind", "floor_share", "iv", "days"),
    "proportion": ("kind", "floor_share", "multiplier", "most_share"),
}


def read_insurer(table: Table, name: str, setting: Setting) -> Read:
    """A holding insured by trading it: the delta of a put, or a multiple of the cushion over a floor."""
    table.only(*INSURER_TERMS)
    with table.named():
        agent = PortfolioInsurer(
            name=name,
            rule=_rule(table.table("rule")),
            holding_usd=table.number("holding_usd", least=0.0, above=True, hint="what is insured at the start, USD"),
            delay_steps=_delay(table),
            policy=_policy(table),
            speed=table.number("speed", 1.0),
            stream=table.whole("stream", 0, least=0, most=MOST_STREAM),
        )
    return agent, ()


def read_momentum(table: Table, name: str, setting: Setting) -> Read:
    """A trend follower, or with a negative slope a contrarian."""
    table.only(*MOMENTUM_TERMS)
    with table.named():
        agent = TrendFollower(
            name=name,
            delay_steps=_delay(table),
            usd_per_log=table.number("usd_per_log", hint="USD held for a trend of one unit of log price; below 0 leans against it"),
            half_life_minutes=table.number("half_life_minutes", hint="after it a return counts half in the trend"),
            most_usd=table.number("most_usd", math.inf, hint="the largest position either way, USD"),
        )
    return agent, ()


def read_hawkes(table: Table, name: str, setting: Setting) -> Read:
    """Market orders that call forth market orders."""
    table.only(*HAWKES_TERMS)
    with table.named():
        agent = SelfExcitingOrders(
            name=name,
            delay_steps=table.whole("delay_steps", 0, least=0),
            background_per_hour=table.number(
                "background_per_hour",
                least=0.0,
                above=True,
                most=1e9,
                hint="orders an hour that come of themselves, buys and sells together",
            ),
            children=table.number("children", hint="orders that one order calls forth, from 0 to 0.99"),
            half_life_minutes=table.number(
                "half_life_minutes", least=0.0, above=True, most=1e9, hint="after it an order calls forth half as many"
            ),
            order_usd=table.number("order_usd", least=0.0, above=True, most=9e11, hint="size of one order, USD"),
            same_side_share=table.number("same_side_share", 1.0, least=0.0, most=1.0, hint="1: buys call forth buys only"),
            stream=table.whole("stream", 0, least=0, most=MOST_STREAM),
        )
    return agent, ()


def read_manipulator(table: Table, name: str, setting: Setting) -> Read:
    """Who trades inside the settlement average against options that it holds."""
    table.only(*MANIPULATOR_TERMS)
    with table.named():
        agent = SettlementManipulator(
            name=name,
            options=_options(table, setting.start_ns),
            delay_steps=_delay(table),
            push_usd=table.number("push_usd", hint="USD bought through the window, + buys; 0 holds the options and pushes nothing"),
            unwind_minutes=table.number("unwind_minutes", hint="within which the push is sold again after the settlement"),
            reach_log=table.number(
                "reach_log", math.inf, hint="0.01 pushes only where price is within 1 % of a strike as the window opens"
            ),
        )
    early = agent.expiry_years > setting.horizon_years
    return agent, (f"{table.place}: the run ends before its options settle; nothing is pushed",) if early else ()


def read_predator(table: Table, name: str, setting: Setting) -> Read:
    """Who sees a share of others' orders on their way, or of their liquidation levels, and trades ahead of them."""
    table.only(*PREDATOR_TERMS)
    with table.named():
        agent = Predator(
            name=name,
            delay_steps=_delay(table),
            sees_flow_share=table.number("sees_flow_share", hint="share of others' orders on their way that it sees; 0 is private flow"),
            ahead=table.number("ahead", 1.0, hint="1 buys as much as it sees coming"),
            most_usd=table.number("most_usd", math.inf, hint="the largest position either way, USD"),
            unwinds=table.text("unwinds", "into", choices=UNWINDS),
            levels=_levels(table.table("levels")) if "levels" in table else None,
        )
    return agent, ()


def _levels(table: Table) -> LevelSight:
    """What a predator sees of liquidation levels, and the market that it believes it would push."""
    table.only(*LEVEL_TERMS)
    with table.named():
        return LevelSight(
            share=table.number("share", hint="share of others' liquidation levels that it sees"),
            impact_per_usd=table.number(
                "impact_per_usd", hint="log price that a dollar moves at once, 0.01 / depth: what it believes of [impact]"
            ),
            reach_log=table.number("reach_log", 0.1),
            passes_share=table.number("passes_share", 0.0),
            cost_bps=table.number("cost_bps", 0.0),
        )


def _rule(table: Table) -> SyntheticPut | ConstantProportion:
    kind = table.text("kind", choices=RULE_TERMS)
    table.only(*RULE_TERMS[kind])
    floor = table.number("floor_share", least=0.0, above=True, hint="0.9 insures nine tenths of the holding")
    with table.named():
        if kind == "put":
            return SyntheticPut(floor, table.vol("iv"), table.number("days", hint="days from the start to the end of the copied put"))
        return ConstantProportion(
            floor,
            table.number("multiplier", hint="exposure over cushion; 1 over it is the fall that breaks the floor"),
            table.number("most_share", 1.0),
        )


def _policy(table: Table) -> Policy:
    given = table.values.get("policy")
    if given is None:
        return EveryStep()
    return policy_from_text(given) if isinstance(given, str) else policy_from_mapping(given)


def _delay(table: Table) -> int:
    return table.whole("delay_steps", least=0, hint="steps between seeing a move and trading on it; 0 trades in the same step")
