"""What an agent may see of others: a share of their orders on the way and of their liquidation levels, never what is sent at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.protocol import Agent, View
from tailwag.sim.orders import Flight, sum_in_order

Liquidation = tuple[Callable[[FloatArray, View, Any], FloatArray], Any]
"""How somebody's positions are liquidated at a log price, and what that one remembers."""


def sees_others(agent: Agent) -> bool:
    """Whether an agent says that it sees anything of others."""
    return _share(agent, "sees_levels_share") > 0.0 or _share(agent, "sees_flow_share") != 0.0


def _share(agent: Agent, name: str) -> float:
    return float(getattr(agent, name, 0.0))


def with_sight(agent: Agent, view: View, *, flights: Sequence[Flight], liquidations: Sequence[Liquidation]) -> View:
    """The view with the shares that an agent says it sees: of others' ``flights``, and of everybody's ``liquidations``."""
    levels = _share(agent, "sees_levels_share")
    if levels > 0.0:
        view = replace(view, seen_liquidations=_liquidated(view, liquidations, levels))
    share = _share(agent, "sees_flow_share")
    if share == 0.0:
        return view
    shape = view.spot_usd.shape
    following = sum_in_order([flight.usd[0] + flight.coin[0] * view.spot_usd for flight in flights], shape)
    whole = sum_in_order([flight.total_usd + flight.total_coin * view.spot_usd for flight in flights], shape)
    return replace(view, seen_next_usd=share * following, seen_later_usd=share * (whole - following))


def _liquidated(view: View, liquidations: Sequence[Liquidation], share: float) -> Callable[[FloatArray], FloatArray]:
    """What they would buy at a log price, times a share; orders on their way are not among them."""

    def seen(log_price: FloatArray) -> FloatArray:
        return share * sum_in_order([would(log_price, view, memory) for would, memory in liquidations], log_price.shape)

    return seen
