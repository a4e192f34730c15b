"""Kind liquidation-ladder of a scenario file: positions that are closed at the market when price reaches their levels."""

from __future__ import annotations

from tailwag.experiments.scenario_agent_setting import Read, Setting
from tailwag.experiments.scenario_tables import Table
from tailwag.sim.agents.ladder import Cluster, LiquidationLadder

TERMS = ("kind", "name", "delay_steps", "density_usd", "clusters", "levels_per_log", "level_usd", "reach_log", "stream")


def read_ladder(table: Table, name: str, setting: Setting) -> Read:
    """Leveraged positions that are closed at the market when price reaches their levels."""
    table.only(*TERMS)
    clusters = []
    for row in table.tables("clusters") if "clusters" in table else []:
        row.only("distance_log", "width_log", "notional_usd")
        with row.named():
            clusters.append(Cluster(row.number("distance_log"), row.number("width_log"), row.number("notional_usd")))
    with table.named():
        ladder = LiquidationLadder(
            name=name,
            delay_steps=table.whole(
                "delay_steps", least=0, hint="steps between a level that is reached and its liquidation; 0 cascades at once"
            ),
            density_usd=table.number("density_usd", 0.0),
            clusters=tuple(clusters),
            levels_per_log=table.number("levels_per_log", 0.0),
            level_usd=table.number("level_usd", 0.0),
            reach_log=table.number("reach_log", 0.7),
            stream=table.whole("stream", 0, least=0, most=2**31 - 1),
        )
    return ladder, ()
