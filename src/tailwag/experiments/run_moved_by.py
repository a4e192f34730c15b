"""Who moves price in a run, read off its document: hedgers, those who are liquidated, and others, each where they traded at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tailwag.experiments.report_view import part, records
from tailwag.experiments.run_report_words import value_of
from tailwag.sim.moved_by import MovedBy

HEDGERS = ("dealer", "margined-book", "lp-hedger", "crab", "quoting-dealer", "options-amm")
LIQUIDATED = ("liquidation-ladder", "leveraged-traders")
NOBODY_HEDGING = 'Here "nobody hedging" is the same market without a trade of anybody: no hedge, no liquidation and no other trade.'
"""What the twin without feedback leaves out, where that is more than hedges."""


def moved_by(document: Mapping[str, Any]) -> MovedBy:
    """Who trades in a run of schema ``tailwag.run/1``; hedging alone where nobody does.

    >>> desk, longs = {"name": "desk", "kind": "dealer"}, {"name": "longs", "kind": "leveraged-traders"}
    >>> str(moved_by({"assumptions": {"agents": [desk]}})), str(moved_by({"assumptions": {"agents": [desk, longs]}}))
    ('Hedging', 'Hedging and liquidations')
    """
    called = any(entry.get("paths_called") for entry in records(document, "takeovers"))
    return movers(records(document, "assumptions", "agents"), records(part(document, "metrics"), "agents"), called=called)


def movers(agents: Sequence[Mapping[str, Any]], measured: Sequence[Mapping[str, Any]], *, called: bool) -> MovedBy:
    """``agents`` with their kinds, of whom those count whose turnover in ``measured`` is not zero; ``called``: a margined book was taken over."""
    still = {str(row.get("name")) for row in measured if value_of(part(row, "turnover_usd_per_day")) == 0.0}
    kinds = {str(agent.get("kind", "dealer")) for agent in agents if str(agent.get("name")) not in still}
    hedging, liquidated = kinds.intersection(HEDGERS), kinds.intersection(LIQUIDATED)
    if not kinds:
        return MovedBy()
    return MovedBy(hedging=bool(hedging), liquidations=bool(liquidated) or called, other=bool(kinds - hedging - liquidated))
