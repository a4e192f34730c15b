"""A squeeze in the answer of a played scenario: what it earned by path, its legs in a sentence, and a block sold into it as a switch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tailwag.experiments.run_report_words import dollars
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.block_seller import BlockSeller
from tailwag.sim.agents.squeezer import GammaSqueezer
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import BlockPaths
from tailwag.sim.venues_home import everybody

Parameters = Mapping[str, Any]
BLOCK_NAME = "block seller"


def squeezed_usd(scenario: Scenario, block: BlockPaths) -> FloatArray | None:
    """What all squeezers earned on each path, (paths,); None where there are none."""
    mine = [own.pnl_usd.sum(axis=0) for agent, own in zip(everybody(scenario), block.agents) if isinstance(agent, GammaSqueezer)]
    return np.sum(mine, axis=0) if mine else None


def squeeze_sentence(document: Mapping[str, Any]) -> str:
    """What the options of every squeezer earned, what its push did, and what both cost; empty where there is none."""
    squeezers = squeezers_of(document)
    return " ".join(_legs(entry, document["paths"]) for entry in document["run"].get("option_trades", ()) if entry["agent"] in squeezers)


def squeezers_of(document: Mapping[str, Any]) -> frozenset[str]:
    """Names of the squeezers of a played scenario; what they lose by a switch is no cost of it."""
    return frozenset(agent["name"] for agent in document["run"]["assumptions"]["agents"] if agent["kind"] == "squeezer")


def _legs(entry: Mapping[str, Any], paths: int) -> str:
    options, edge, costs, profit = (entry[key]["value"] for key in ("options_usd", "edge_usd", "hedge_costs_usd", "profit_usd"))
    words = [dollars({"value": value}, signed=True) for value in (options - edge, edge, profit - options + costs, -costs)]
    return (
        f"The squeeze of {entry['agent']}: options {words[0]} by the model and {words[1]} in their spreads, the push {words[2]} and {words[3]} in fees "
        f"and spreads; together {dollars(entry['profit_usd'], signed=True)} ({_mean_of(entry, paths)})."
    )


def _mean_of(entry: Mapping[str, Any], paths: int) -> str:
    first = "the first " if entry["paths"] < paths else ""
    return f"mean of {first}{entry['paths']} paths"


def sell_a_block(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Somebody who holds coin sells a block once price is so far above the start."""
    if any(agent.name == BLOCK_NAME for agent in scenario.agents):
        return scenario
    delay = 0 if scenario.clearing == "implicit" else 1
    return replace(scenario, agents=(*scenario.agents, BlockSeller(BLOCK_NAME, delay, numbers["block_usd"], numbers["at_log"])))
