"""Kinds squeezer and block-seller of a scenario file: who squeezes dealers short of calls, and who sells into it."""

from __future__ import annotations

import math

from tailwag.experiments.scenario_agent_setting import Read, Setting
from tailwag.experiments.scenario_market import MOST_HOURS
from tailwag.experiments.scenario_tables import Table, shown
from tailwag.sim.agents.block_seller import BlockSeller
from tailwag.sim.agents.squeezer import GammaSqueezer
from tailwag.units import HOURS_PER_YEAR

SQUEEZER_TERMS = (
    "kind",
    "name",
    "delay_steps",
    "buys",
    "premium_usd",
    "push_usd",
    "strike_delta",
    "expiry_hours",
    "buys_hours",
    "pushes_hours",
    "sells_options_hours",
    "sells_spot_hours",
    "most_over_model",
    "target_log",
)
BLOCK_TERMS = ("kind", "name", "delay_steps", "block_usd", "at_log", "slices")
TERMS = tuple(dict.fromkeys((*SQUEEZER_TERMS, *BLOCK_TERMS)))
"""Keys of both kinds of this module."""
BUYS = {"calls": 1, "puts": -1}


def read_squeezer(table: Table, name: str, setting: Setting) -> Read:
    """Who buys calls from quoting dealers, pushes the price, and sells both."""
    table.only(*SQUEEZER_TERMS)
    with table.named():
        agent = GammaSqueezer(
            name,
            table.whole("delay_steps", least=0, hint="steps between a decision to push and its trade; 0 trades in the same step"),
            premium_usd=table.number("premium_usd", least=0.0, hint="the most it pays for options, USD; 0 pushes alone"),
            push_usd=table.number("push_usd", least=0.0, hint="coin bought (with puts: sold) after the options, USD"),
            expiry_hours=table.number(
                "expiry_hours", least=0.0, most=MOST_HOURS, above=True, hint="hours from the start of the run to their expiry"
            ),
            buys_hours=_hours(table, "buys_hours"),
            pushes_hours=_hours(table, "pushes_hours"),
            sells_spot_hours=_hours(table, "sells_spot_hours"),
            sells_options_hours=_hours(table, "sells_options_hours") if "sells_options_hours" in table else None,
            strike_delta=table.number("strike_delta", 0.3, least=0.0, most=1.0, above=True, hint="0.3 is 30 delta"),
            most_over_model=table.number("most_over_model", 0.2, least=0.0, most=10.0, hint="0.2 pays a fifth above the model at most"),
            target_log=table.number("target_log", math.inf, hint="0.05 stops pushing 5 % from the start"),
            right=BUYS[table.text("buys", "calls", choices=tuple(BUYS))],
        )
    late = agent.expiry_hours > setting.horizon_years * HOURS_PER_YEAR * (1.0 + 1e-9)
    kept = "the run ends before; what is left is marked by the model" if late else "what nobody takes back settles then"
    return agent, (f"{table.place}: its options expire {agent.expiry_hours:g} hours into the run; {kept}",)


def read_block_seller(table: Table, name: str, setting: Setting) -> Read:
    """Who sells one block at a stated move."""
    table.only(*BLOCK_TERMS)
    with table.named():
        agent = BlockSeller(
            name,
            table.whole("delay_steps", least=0, hint="steps between seeing the move and selling; 0 sells in the same step"),
            table.number("block_usd", least=0.0, above=True, hint="the whole block, USD"),
            table.number("at_log", hint="0.03: once price is 3 % above the start; below 0 it buys at a fall"),
            slices=table.whole("slices", 1, least=1, most=10_000, hint="steps that the block is spread over"),
        )
    return agent, ()


def _hours(table: Table, key: str) -> tuple[float, float]:
    value = table.needed(key, "expected two hours of the run such as [0, 0.5]")
    if not isinstance(value, list) or len(value) != 2:
        raise table.refuse(f"expected {key} as two hours of the run such as [0, 0.5], got {shown(value)}")
    first, last = (Table(table.place, {key: hour}).number(key, least=0.0) for hour in value)
    return first, last
