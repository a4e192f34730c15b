"""Kind liquidation-ladder of a scenario file: positions that are closed at the market when price reaches their levels."""

from __future__ import annotations

from tailwag.experiments.scenario_agent_setting import Read, Setting
from tailwag.experiments.scenario_tables import Table
from tailwag.sim.agents.ladder import Cluster, LiquidationLadder

TERMS = ("kind", "name", "delay_steps", "density_usd", "clusters", "levels_per_log", "level_usd", "reach_log", "stream")
FURTHEST_LOG = 3.0
"""A twentieth of the price, or twenty times it; a larger number is a percentage."""


def read_ladder(table: Table, name: str, setting: Setting) -> Read:
    """Leveraged positions that are closed at the market when price reaches their levels."""
    table.only(*TERMS)
    clusters = []
    for row in table.tables("clusters") if "clusters" in table else []:
        row.only("distance_log", "width_log", "notional_usd")
        with row.named():
            clusters.append(
                Cluster(
                    row.number(
                        "distance_log",
                        least=-FURTHEST_LOG,
                        most=FURTHEST_LOG,
                        hint="log of the distance from the start: -0.05 is 5 % below it",
                    ),
                    row.number("width_log", hint="standard deviation in logs: 0.01 is 1 %"),
                    row.number("notional_usd", hint="USD of positions in the cluster"),
                )
            )
    _something(table, clusters)
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


def _something(table: Table, clusters: list[Cluster]) -> None:
    """Refuse a ladder that holds nothing: no density, no clusters, or random levels without their size or their number."""
    density, number, size = (table.number(key, 0.0, least=0.0) for key in ("density_usd", "levels_per_log", "level_usd"))
    if (number > 0.0) != (size > 0.0):
        stated, lacking = ("levels_per_log", "level_usd") if number > 0.0 else ("level_usd", "levels_per_log")
        raise table.refuse(f"expected levels_per_log and level_usd above 0 together, got {stated} alone; state {lacking} or leave both out")
    if not (density > 0.0 or number > 0.0 or any(cluster.notional_usd > 0.0 for cluster in clusters)):
        raise table.refuse("expected something to liquidate, got none; state density_usd, clusters, or levels_per_log with level_usd")
