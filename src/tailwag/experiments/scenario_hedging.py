"""Where dealers hedge in the answer of a played scenario: what it costs, what it moves, and what it ties up for a dollar of gamma."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tailwag.experiments.run_report_words import dollars, percent
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.ledger import PART
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import AgentPaths, BlockPaths
from tailwag.sim.venues import Venue
from tailwag.sim.venues_home import venues_of

SWITCH = "hedge-on"
COSTS = ("spread_usd", "fees_usd", "gas_usd", "funding_usd")
SHOWN = ("hedge_cost_usd", "hedge_gain", "hedge_push", "mishedge_usd", "hedge_margin_usd", "margin_per_gamma")
HEADS = ["dealers hedge", "cost", "own loop gain", "push of that venue", "mis-hedge", "margin", "margin per dollar of gamma"]
Document = Mapping[str, Any]


def hedging_columns(scenario: Scenario, block: BlockPaths) -> dict[str, FloatArray]:
    """What dealers' hedges cost, move and tie up on each path; empty with one venue, or without a dealer that has gamma.

    ``hedge_cost_usd``: spreads, fees, gas and funding that they pay.  ``hedge_push``: largest log distance of price from fundamental on a venue where
    they hedge.  ``hedge_gain``: the largest loop gain at the start of their gamma on a venue against that venue's depth.  ``hedge_margin_usd``: initial
    margin on each dealer's largest position by the venue's rule, and ``margin_per_gamma`` that over the S^2 Gamma that is hedged.
    """
    if scenario.elsewhere is None:
        return {}
    places = list(_places(scenario, block))
    gamma_usd = math.fsum(gamma for _, _, _, gamma in places)
    if gamma_usd == 0.0:
        return {}
    nothing = np.zeros(block.paths)
    cost, margin, push, gain = nothing, nothing, nothing, 0.0
    for venue, told, mine, gamma in places:
        for agent in mine:
            cost = cost - sum((agent.pnl_usd[PART[name]] for name in COSTS), start=nothing)
            margin = margin + venue.tied_up_usd(agent.peak_position_usd)
        push = np.maximum(push, np.abs(told.log_price - told.fundamental_log).max(axis=1)) if gamma else push
        gain = max(gain, _gain(venue), key=abs)
    return {
        "hedge_cost_usd": cost,
        "hedge_push": push,
        "hedge_gain": nothing + gain,
        "hedge_margin_usd": margin,
        "margin_per_gamma": margin / gamma_usd,
    }


def _places(scenario: Scenario, block: BlockPaths) -> Iterator[tuple[Venue, BlockPaths, list[AgentPaths], float]]:
    """Every venue with its paths, the accounts of its dealers, and the size of the gamma that they hedge there."""
    for venue, told in zip(venues_of(scenario).venues, (block, *block.others)):
        dealers = _dealers(venue)
        names = {dealer.name for dealer in dealers}
        gamma = math.fsum(abs(dealer.starting_dollar_gamma_usd(venue.scenario.spot_usd)) for dealer in dealers)
        yield venue, told, [agent for agent in told.agents if agent.name in names], gamma


def _dealers(venue: Venue) -> list[Any]:
    """Dealers of a venue, those behind a price band or a margin of their own among them."""
    return [agent for agent in venue.scenario.agents if isinstance(getattr(agent, "inner", agent), Dealer)]


def _gain(venue: Venue) -> float:
    spot = venue.scenario.spot_usd
    gamma = math.fsum(dealer.starting_dollar_gamma_usd(spot) for dealer in _dealers(venue))
    return -venue.scenario.impact.small_signal_per_usd(spot) * gamma + 0.0


def hedging_rows(document: Document) -> list[tuple[str, list[Document]]]:
    """The base and every venue that ``hedge-on`` moved the dealers to, with the estimates of ``SHOWN``; empty where nobody compared venues."""
    moved = [row for row in document["comparisons"] if row["switch"].partition(":")[0] == SWITCH]
    found: list[tuple[str, list[Document]]] = []
    for row in moved:
        by_name = {one["outcome"]: one for one in row["outcomes"]}
        if not set(SHOWN) <= set(by_name):
            return []
        if not found:
            found.append(("as it is", [{"unit": by_name[name]["unit"], **by_name[name]["base"]} for name in SHOWN]))
        found.append((f"on {row['parameters']['venue']}", [{"unit": by_name[name]["unit"], **by_name[name]["switched"]} for name in SHOWN]))
    return found


def hedging_sentence(document: Document) -> str:
    """Which venue is the cheapest to hedge on, which is pushed least, and which ties up least for a dollar of gamma; empty where nobody compared."""
    rows = hedging_rows(document)[1:]
    if len(rows) < 2:
        return ""
    told = []
    for name, words in (("hedge_cost_usd", "cheapest"), ("hedge_push", "pushed least"), ("margin_per_gamma", "ties up least margin")):
        place = SHOWN.index(name)
        least, most = (chosen(rows, key=lambda row: row[1][place]["value"]) for chosen in (min, max))
        told.append((words, name, least, most))
    parts = [f"{words} {least[0]} ({_words(least, name)}; most {most[0]}, {_words(most, name)})" for words, name, least, most in told]
    return f"Where to hedge: {', '.join(parts)}."


def _words(row: tuple[str, list[Document]], name: str) -> str:
    return _told(row[1][SHOWN.index(name)]) + (" of the gamma" if name == "margin_per_gamma" else "")


def _told(estimate: Document) -> str:
    if estimate["unit"] == "usd":
        return dollars(estimate)
    return plain_gain(estimate) if estimate["unit"] == "gain" else percent(estimate)


def plain_gain(estimate: Document, *, signed: bool = False) -> str:
    """A loop gain in three decimals; every path has the same.

    >>> plain_gain({"value": 0.04})
    '0.040'
    """
    return f"{estimate['value']:{'+' if signed else ''}.3f}"


def hedging_cells(document: Document) -> list[list[str]]:
    """One row for the base and for each venue, in the order of ``HEADS``."""
    return [[label, *map(_told, estimates)] for label, estimates in hedging_rows(document)]
