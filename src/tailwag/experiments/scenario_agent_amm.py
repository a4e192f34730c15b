"""Kinds options-amm and stale-taker of a scenario file: pools that quote options against deposits, and who trades when their quote is off."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tailwag.experiments.scenario_agent_dealer import read_policy
from tailwag.experiments.scenario_agent_setting import Read, Setting
from tailwag.experiments.scenario_market import MOST_HOURS
from tailwag.experiments.scenario_tables import Table
from tailwag.hedging.policies import NoHedge
from tailwag.market.clock import parse_time_ns
from tailwag.sim.agents.options_amm import KeeperRule, OptionsAmm
from tailwag.sim.agents.stale_taker import StaleTaker
from tailwag.sim.amm_oracle import OracleRule
from tailwag.sim.amm_pricing import FeeRule, VolRule
from tailwag.sim.option_slots import MOST_SLOTS
from tailwag.sources.rules import load_rules

EVERY_MODE = (
    "kind",
    "name",
    "mode",
    "deposit_usd",
    "delay_steps",
    "iv",
    "option_fee_share",
    "spot_fee_share",
    "least_delta",
    "cutoff_hours",
    "slots",
    "stream",
)
OF_RULES = ("rules", "rules_at", "standard_size_coin", "skew_share", "vega_factor")
OF_HEDGE = ("policy", "hedge_share", "speed", "hedge_margin_share")
OF_ORACLE = ("lag_seconds", "deviation_share", "heartbeat_hours")
OF_MODE = {
    "static": EVERY_MODE,
    "dynamic": (*EVERY_MODE, *OF_RULES, "hedge_hours", "hedge_cap_coin", "hedge_margin_share"),
    "managed": (*EVERY_MODE, *OF_RULES, *OF_HEDGE),
    "oracle": (*EVERY_MODE, *OF_ORACLE, *OF_HEDGE),
}
OF_TAKER = (
    "kind",
    "name",
    "coin",
    "strike_step_usd",
    "first_expiry_hours",
    "expiry_every_hours",
    "least_hours",
    "edge_bps",
    "right",
    "slots",
    "stream",
)
TERMS = tuple(dict.fromkeys((*EVERY_MODE, *OF_RULES, "hedge_hours", "hedge_cap_coin", *OF_HEDGE, *OF_ORACLE, *OF_TAKER)))
RULES = ("lyra-eth", "lyra-btc")
"""Protocols whose pools' rules are known: one dated table each."""
RIGHTS = {"call": 1, "put": -1}
UNDATED = "2026-01-01T00:00:00Z"
"""The day whose rules hold for a run without a start."""
LEAST_CUTOFF_HOURS = 0.5
FREE: Mapping[str, float] = {"option_fee_share": 0.0, "spot_fee_share": 0.0, "least_delta": 0.0, "cutoff_hours": LEAST_CUTOFF_HOURS}
"""What a pool without a protocol's rules charges and refuses."""


def read_options_amm(table: Table, name: str, setting: Setting) -> Read:
    """A pool that quotes options: static, dynamic, managed or oracle."""
    mode = table.text("mode", choices=tuple(OF_MODE))
    table.only(*OF_MODE[mode])
    figures = FREE if mode in ("static", "oracle") else _figures(table, setting)
    with table.named():
        agent = OptionsAmm(
            name=name,
            deposit_usd=table.number("deposit_usd", least=0.0, above=True, hint="what depositors put in; all of it stands behind options"),
            vols=_vols(table, figures),
            delay_steps=table.whole("delay_steps", least=0, hint="steps between a price and the hedge that answers it; 0 in the same step"),
            fees=_fees(table, figures),
            hedging=read_policy(table) if mode == "managed" or "policy" in table else NoHedge(),
            keeper=_keeper(table, figures) if mode == "dynamic" else None,
            oracle=_oracle(table) if mode == "oracle" else None,
            least_delta=table.number("least_delta", figures["least_delta"], least=0.0, most=0.5, hint="0.15 is 15 delta"),
            cutoff_hours=table.number("cutoff_hours", figures["cutoff_hours"], least=0.0),
            hedge_share=table.number("hedge_share", 1.0, least=0.0, most=1.0, hint="0.8 is 80 %"),
            hedge_margin_share=table.number("hedge_margin_share", 1.0, least=0.0, most=10.0, hint="0.2 ties up 20 % of the hedge's value"),
            speed=table.number("speed", 1.0),
            slots=table.whole("slots", MOST_SLOTS, least=1, most=MOST_SLOTS),
            stream=table.whole("stream", 0, least=0, most=2**31 - 1),
        )
    return agent, ()


def read_stale_taker(table: Table, name: str, setting: Setting) -> Read:
    """Whoever trades options that are quoted off their worth."""
    table.only(*OF_TAKER)
    with table.named():
        agent = StaleTaker(
            name,
            table.number("coin", least=0.0, above=True, hint="of one order"),
            table.number("strike_step_usd", least=0.0, above=True, hint="distance of listed strikes"),
            table.number(
                "first_expiry_hours", least=0.0, most=MOST_HOURS, above=True, hint="hours from the start of the run to the first expiry"
            ),
            expiry_every_hours=table.number("expiry_every_hours", 168.0, least=0.0, most=MOST_HOURS, above=True),
            least_hours=table.number("least_hours", 24.0, least=0.0, most=MOST_HOURS),
            edge_bps=table.number("edge_bps", 0.0, least=0.0, most=1e4, hint="of spot"),
            right=RIGHTS[table.text("right", "call", choices=tuple(RIGHTS))],
            slots=table.whole("slots", MOST_SLOTS, least=1, most=MOST_SLOTS),
            stream=table.whole("stream", 0, least=0, most=2**31 - 1),
        )
    return agent, ()


def _figures(table: Table, setting: Setting) -> Mapping[str, float]:
    """The protocol's figures on the day of ``rules_at``, else of the start of the run."""
    name = table.text("rules", RULES[0], choices=RULES)
    given = table.time_ns("rules_at") if "rules_at" in table else setting.start_ns
    at_ns = parse_time_ns(UNDATED) if given is None else given
    with table.named():
        rules = load_rules(f"amm_{name.replace('-', '_')}")
        return {key: rules.in_force(key, at_ns).value for key in rules.rows}


def _vols(table: Table, figures: Mapping[str, float]) -> VolRule:
    start = table.vol("iv") if "iv" in table else None
    if "standard_size_coin" not in figures:
        return VolRule(start_iv=start)
    bounds = {f"{side}_{word}": figures[f"{side}_{word}"] for side in ("least", "most") for word in ("base_iv", "skew", "vol")}
    return VolRule(
        start_iv=start,
        standard_size_coin=table.number(
            "standard_size_coin",
            figures["standard_size_coin"],
            least=0.0,
            above=True,
            hint="an order of this moves base vol by one vol point",
        ),
        skew_share=table.number("skew_share", figures["skew_share"], least=0.0, most=10.0),
        memory_hours=figures["memory_hours"],
        **bounds,
    )


def _fees(table: Table, figures: Mapping[str, float]) -> FeeRule:
    others = ("option_slow_weeks", "option_double_weeks", "spot_slow_weeks", "spot_double_weeks")
    variance = ("variance_share", "variance_floor", "variance_vega", "variance_skew", "variance_iv")
    return FeeRule(
        option_share=table.number("option_fee_share", figures["option_fee_share"], least=0.0, most=1.0, hint="0.01 is 1 % of the price"),
        spot_share=table.number("spot_fee_share", figures["spot_fee_share"], least=0.0, most=1.0, hint="0.001 is 0.1 % of spot a coin"),
        vega_factor=table.number("vega_factor", figures.get("vega_factor", 0.0), least=0.0),
        **{word: figures[word] for word in (*others, *variance) if word in figures},
    )


def _keeper(table: Table, figures: Mapping[str, float]) -> KeeperRule:
    cap = table.maybe("hedge_cap_coin", least=0.0, above=True)
    return KeeperRule(table.number("hedge_hours", figures["hedge_hours"], least=0.0, above=True), math.inf if cap is None else cap)


def _oracle(table: Table) -> OracleRule:
    heartbeat = table.maybe("heartbeat_hours", least=0.0, above=True)
    return OracleRule(
        table.number("lag_seconds", 0.0, least=0.0, hint="whole steps are taken, one at least"),
        table.number("deviation_share", 0.0, least=0.0, most=0.5, hint="0.005 reports moves of half a percent"),
        math.inf if heartbeat is None else heartbeat,
    )
