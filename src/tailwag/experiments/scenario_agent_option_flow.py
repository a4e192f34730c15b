"""Kind option-flow of a scenario file: those who trade options and do not quote them, by who they are."""

from __future__ import annotations

import math

from tailwag.experiments.scenario_agent_setting import Read, Setting
from tailwag.experiments.scenario_market import MOST_HOURS
from tailwag.experiments.scenario_tables import Table
from tailwag.sim.agents.option_flow import OptionFlow
from tailwag.sim.flow_arrivals import LAWS, SizeLaw
from tailwag.sim.flow_kinds import FLOW_KINDS, FlowKind, FlowLeg
from tailwag.sim.option_slots import MOST_SLOTS

TERMS = (
    "kind",
    "name",
    "who",
    "orders_per_hour",
    "coin",
    "size_law",
    "tail_exponent",
    "legs",
    "strike_step_usd",
    "first_expiry_hours",
    "expiry_every_hours",
    "least_hours",
    "most_over_model",
    "vol_threshold",
    "stops_hours",
    "slots",
    "stream",
)
LEG_TERMS = ("right", "side", "delta", "share")
RIGHTS, SIDES = {"call": 1, "put": -1}, {"buys": 1, "sells": -1}
NS_PER_HOUR = 3_600_000_000_000
EXPIRY_HOUR_UTC, DAY_HOURS = 8.0, 24.0
"""Daily options expire at 08:00 UTC (Deribit, contract specifications); where a file does not state first_expiry_hours."""


def read_option_flow(table: Table, name: str, setting: Setting) -> Read:
    """Orders for options that come by chance and are held to their expiry."""
    table.only(*TERMS)
    who = table.text("who", choices=tuple(FLOW_KINDS))
    kind = FLOW_KINDS[who]
    with table.named():
        agent = OptionFlow(
            name,
            who,
            orders_per_hour=table.number("orders_per_hour", least=0.0, above=True, hint="orders that come in an hour on average"),
            coin=table.number("coin", least=0.0, above=True, hint="coin of one order on average"),
            strike_step_usd=table.number("strike_step_usd", 500.0, least=0.0, above=True, hint="distance of listed strikes"),
            first_expiry_hours=_first_expiry(table, setting),
            expiry_every_hours=table.number("expiry_every_hours", DAY_HOURS, least=0.0, most=MOST_HOURS, above=True),
            least_hours=table.number(
                "least_hours", kind.least_hours, least=0.0, most=MOST_HOURS, hint="an order takes the first expiry this far away"
            ),
            size=SizeLaw(table.text("size_law", "fixed", choices=LAWS), table.number("tail_exponent", 1.5)),
            legs=tuple(map(_leg, table.tables("legs"))),
            most_over_model=table.number("most_over_model", 0.5, least=0.0, most=10.0, hint="0.5 pays half above the model at most"),
            vol_threshold=table.vol("vol_threshold") if "vol_threshold" in table else None,
            stops_hours=table.number("stops_hours", math.inf, least=0.0),
            slots=table.whole("slots", MOST_SLOTS, least=1, most=MOST_SLOTS),
            stream=table.whole("stream", 0, least=0, most=2**31 - 1),
        )
    return agent, (_note(table, agent, kind),)


def _leg(table: Table) -> FlowLeg:
    table.only(*LEG_TERMS)
    with table.named():
        return FlowLeg(
            RIGHTS[table.text("right", choices=tuple(RIGHTS))],
            SIDES[table.text("side", choices=tuple(SIDES))],
            table.number("delta", hint="without sign, 0.25 is 25 delta"),
            table.number("share", 1.0, least=0.0, most=1.0, hint="of the orders"),
        )


def _first_expiry(table: Table, setting: Setting) -> float:
    if "first_expiry_hours" in table:
        hint = "hours from the start of the run to an expiry"
        return table.number("first_expiry_hours", least=0.0, most=MOST_HOURS, above=True, hint=hint)
    if setting.start_ns is None:
        raise table.refuse("daily options expire at 08:00 UTC: state first_expiry_hours, or [run] start")
    return (EXPIRY_HOUR_UTC - setting.start_ns / NS_PER_HOUR) % DAY_HOURS or DAY_HOURS


def _note(table: Table, agent: OptionFlow, kind: FlowKind) -> str:
    """What was assumed of sides and strikes, and where it is from."""
    verbs = {(+1, False): "buy", (-1, False): "sell", (+1, True): "buys", (-1, True): "sells"}
    names, one = {number: call for call, number in RIGHTS.items()}, kind.together
    legs = [
        f"{'each order' if one else f'{100 * leg.share:g} % of orders'} {verbs[leg.side, one]} {names[leg.right]}s of {100 * leg.delta:g} delta"
        for leg in agent.legs
    ]
    from_file = "stated in the file" if "legs" in table else kind.source
    return f"{table.place}: {agent.who}: {' and '.join(legs)} ({from_file}); their number and size are assumptions of the file"
