"""The loop gain of strategies that anybody may hedge once a public rule calls: one hedge at the first price seen, and hedges that make others due."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sim.agents.power_perp import Crab
from tailwag.units import HOURS_PER_YEAR

if TYPE_CHECKING:
    from tailwag.experiments.scenario_gain_setting import Law, Setting

MOST_HEDGES = 400
"""Rounds of hedges after which a cascade has no end that matters."""
PROBE = np.linspace(-0.5, 0.5, 201)
Moved = Callable[[FloatArray, FloatArray], FloatArray]
"""``moved(usd, coin)`` -> log move of buying so much."""


def public_law(agent: Crab, setting: Setting) -> tuple[Law, str]:
    """2 N (e^s - e^h) / S0 coin where s, the first price seen, has moved by the threshold from the last hedge at h; nothing before.

    s is the exogenous move where everybody is late, else what same-step agents have made of it.  One hedge, worth its USD at s: see
    :func:`due_at_rest` for what that leaves out.
    """

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        seen = first_seen(setting, x, exogenous)
        coin = np.where(called_at(agent, setting, seen), _target(agent, setting, seen) - _start(agent, setting), 0.0)
        return coin * setting.spot_usd * np.exp(seen), 0.0 * x

    return law, "+2 N beyond the threshold"


def first_seen(setting: Setting, x: FloatArray, exogenous: FloatArray) -> FloatArray:
    """The price that the bumped step clears at, before anything late has arrived."""
    if setting.late:
        return exogenous
    return x if setting.first_seen is None else setting.first_seen(exogenous)


def called_at(agent: Crab, setting: Setting, seen: FloatArray) -> BoolArray:
    """Whether the rule calls at a price, by move or by clock."""
    hours = setting.now_years * HOURS_PER_YEAR + agent.hedged_hours_ago
    return np.asarray((np.abs(np.expm1(seen - agent.hedged_at_log)) >= agent.rule.move_share) | (hours >= agent.rule.every_hours))


def due_at_rest(agent: Any, setting: Setting, *, rest: FloatArray, exogenous: FloatArray) -> BoolArray:
    """Where price comes to rest a threshold or more from the hedge that the closed form knows of: the rule would call once more.

    False for every other kind of agent.  Where it is False for all, and price moves one way, the closed form holds every hedge.
    """
    inner = getattr(agent, "inner", agent)
    if not isinstance(inner, Crab):
        return np.zeros(rest.shape, dtype=np.bool_)
    seen = first_seen(setting, rest, exogenous)
    last = np.where(called_at(inner, setting, seen), seen, inner.hedged_at_log)
    return np.asarray(np.abs(np.expm1(rest - last)) >= inner.rule.move_share)


def only_public(agents: Sequence[Any], laws: Sequence[Law], setting: Setting) -> bool:
    """Whether strategies of public rules, all equally late, are the only ones who answer: then every round of their hedges is known."""
    crabs = [agent for agent in agents if isinstance(agent, Crab)]
    others = [law for agent, law in zip(agents, laws) if not isinstance(agent, Crab)]
    silent = all(not part.any() for law in others for part in law(PROBE, PROBE))
    return bool(crabs) and setting.late and not setting.fades and silent and len({agent.delay_steps for agent in crabs}) == 1


def public_rounds(
    agents: Sequence[Any], setting: Setting, moved: Moved, exogenous: FloatArray, *, bound_log: float
) -> tuple[FloatArray, list[FloatArray]]:
    """Where price rests after every round of hedges, and what each agent has bought by then in USD, (points,) each.

    Round k: whose last hedge was called a threshold away from x hedges at x, x -> x + impact(all of them at the price of x), until nobody is due
    or x lies beyond ``bound_log``; NaN where rounds do not end.
    """
    x, flows = exogenous.copy(), [np.zeros(exogenous.shape) for _ in agents]
    crabs = [(place, agent) for place, agent in enumerate(agents) if isinstance(agent, Crab)]
    last = {place: np.full(x.shape, agent.hedged_at_log) for place, agent in crabs}
    held = {place: np.full(x.shape, _start(agent, setting)) for place, agent in crabs}
    for round_number in range(MOST_HEDGES):
        bought_usd, bought_coin, hedged = np.zeros(x.shape), np.zeros(x.shape), False
        price = setting.spot_usd * np.exp(x)
        for place, agent in crabs:
            since = x - last[place]
            due = (np.abs(np.expm1(since)) >= agent.rule.move_share) & (since != 0.0) & (np.abs(x) <= bound_log)
            if round_number == 0:
                due = due | called_at(agent, setting, x)
            coin = np.where(due, _target(agent, setting, x) - held[place], 0.0)
            last[place], held[place] = np.where(due, x, last[place]), held[place] + coin
            flows[place] = flows[place] + coin * price
            bought_usd, bought_coin, hedged = bought_usd + coin * price, bought_coin + coin, hedged or bool(due.any())
        if not hedged:
            return x, flows
        x = x + moved(bought_usd, bought_coin)
    return np.where(hedged, math.nan, x), flows


def _target(agent: Crab, setting: Setting, x: FloatArray) -> FloatArray:
    """Coin that frees the short of delta at a price: 2 N e^x / S0, less what funding has worn off."""
    worn = math.exp(-agent.funding.rate_per_year(agent.iv) * setting.now_years)
    return np.asarray(2.0 * agent.notional_usd * worn * np.exp(x) / setting.spot_usd)


def _start(agent: Crab, setting: Setting) -> float:
    """Coin held since the last hedge."""
    return 2.0 * agent.notional_usd * math.exp(agent.hedged_at_log) / setting.spot_usd
