"""The loop gain of everything, predicted: what each agent answers a move with by its own closed form, and where price comes to rest.

Nothing here steps a market.  Each law says what an agent has bought once price rests at ln(S / S0) = x; price rests where
x = F + impact(everybody's purchases at x), F being the exogenous move; the first such price outward from the start counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.scenario_gain_agents import law_of
from tailwag.experiments.scenario_gain_public import due_at_rest, only_public, public_rounds
from tailwag.experiments.scenario_gain_setting import Law, Setting
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.power_perp import Crab
from tailwag.sim.agents.predator import Predator
from tailwag.sim.gain_bump import Bump
from tailwag.sim.scenario import Scenario

__all__ = ["Law", "PredictedGain", "PredictedPart", "Setting", "law_of", "predict_gain"]
POINTS = 12_001
MOST_ROUNDS = 60
NO_REST = 1e-6
"""Rounds that still differ by so much of log price after the last one go back and forth: price does not rest there."""
NOISE_POINTS = 1_601
NOISE_REACH = 7.0


@dataclass(frozen=True, slots=True)
class PredictedPart:
    """One agent's predicted part: flow response in USD per unit of log price, its gain, where the law comes from, and the gain's deviation.

    ``deviation``: how far one path's gain lies from the mean (standard deviation over the bumped step's own move).
    """

    name: str
    response_usd: float
    gain: float
    by: str
    deviation: float = 0.0


@dataclass(frozen=True, slots=True)
class PredictedGain:
    """The total gain that closed forms predict for a bump, and its parts, which sum to it; ``deviation`` as of a part.

    Over n paths the mean lies within about deviation / sqrt(n): where a bump is seldom answered, paths that answer may all be missed.
    ``due_again``: on which share of moves a public rule is due once more where price rests, after the one hedge that is counted here.
    """

    total: float
    amplification: float
    agents: tuple[PredictedPart, ...]
    deviation: float = 0.0
    due_again: float = 0.0


def predict_gain(scenario: Scenario, bump: Bump) -> PredictedGain:
    """G = 1 - 2 h / E[x(F + h) - x(F - h)], F normal with the bump's noise; an agent's part is its share of the flow.

    x(F): the first price outward from the start at which x = F + impact(flow(x)).
    InputError where no closed form holds: a bump after the start, depth that reacts, vega hedges that move vol.
    """
    _refuse(scenario, bump)
    noise = bump.noise_of(scenario)
    exogenous = noise * np.linspace(-NOISE_REACH, NOISE_REACH, NOISE_POINTS) if noise > 0.0 else np.zeros(1)
    weights = np.exp(-0.5 * (exogenous / noise) ** 2) if noise > 0.0 else np.ones(1)
    weights = weights / weights.sum()
    setting = _seeing(scenario, bump, reach=float(exogenous[-1]) + bump.size_log)
    laws = [law_of(agent, setting) for agent in scenario.agents]
    only, moves = [law for law, _ in laws], (exogenous + bump.size_log, exogenous - bump.size_log)
    whole_rounds = only_public(scenario.agents, only, setting)
    answers = _rounds(scenario, bump, setting, moves) if whole_rounds else _rests(scenario, bump, only, moves)
    (up, rises), (down, falls) = answers
    answer = float(weights @ (up - down))
    bought = [float(weights @ (rise - fall)) for rise, fall in zip(rises, falls)]
    due_again = 0.0 if whole_rounds else _due_again(scenario, setting, weights, answers, moves)
    total, whole = 1.0 - 2.0 * bump.size_log / answer, math.fsum(bought)
    apart = (2.0 * bump.size_log / answer**2) * math.sqrt(max(float(weights @ (up - down - answer) ** 2), 0.0))
    shares = [0.0 if whole == 0.0 else flow / whole for flow in bought]
    agents = tuple(
        PredictedPart(agent.name, flow / answer, total * share, by, apart * abs(share))
        for agent, flow, share, (_, by) in zip(scenario.agents, bought, shares, laws)
    )
    return PredictedGain(total, answer / (2.0 * bump.size_log), agents, apart, due_again)


Answer = tuple[FloatArray, list[FloatArray]]
"""Where price rests and what everybody has bought by then in USD, (points,) each."""


def _seeing(scenario: Scenario, bump: Bump, *, reach: float) -> Setting:
    """The setting, with what same-step agents make of a move at once where somebody late looks at that."""
    setting = _setting(scenario, bump)
    if setting.late or not any(isinstance(getattr(agent, "inner", agent), Crab) for agent in scenario.agents):
        return setting
    at_once = [law_of(agent, setting)[0] for agent in scenario.agents if not agent.delay_steps and not isinstance(agent, Predator)]
    grid, shocks, _ = _curve(scenario, bump, at_once, reach=reach)
    return replace(setting, first_seen=lambda exogenous: np.interp(exogenous, shocks, grid))


def _rests(scenario: Scenario, bump: Bump, laws: Sequence[Law], moves: tuple[FloatArray, FloatArray]) -> tuple[Answer, Answer]:
    """The market's answer to each of two rows of exogenous moves, where price comes to rest."""
    reach = float(max(np.abs(move).max() for move in moves))
    grid, shocks, flows = _curve(scenario, bump, laws, reach=reach)
    rests = [np.interp(move, shocks, grid) for move in moves]
    first, second = ((rest, [np.interp(rest, grid, flow) for flow in flows]) for rest in rests)
    return first, second


def _rounds(scenario: Scenario, bump: Bump, setting: Setting, moves: tuple[FloatArray, FloatArray]) -> tuple[Answer, Answer]:
    """The same where strategies of public rules alone answer: round after round of their hedges."""
    moved, bound = partial(_impact_log, scenario, bump), scenario.stop_log_move
    first, second = (public_rounds(scenario.agents, setting, moved, move, bound_log=bound) for move in moves)
    if not all((np.abs(rest) <= bound).all() for rest, _ in (first, second)):
        raise InputError("expected a price at which hedges of public rules come to rest, got none: each makes others due without end")
    return first, second


def _due_again(
    scenario: Scenario,
    setting: Setting,
    weights: FloatArray,
    answers: tuple[Answer, Answer],
    moves: tuple[FloatArray, FloatArray],
) -> float:
    """On which share of moves a public rule is due once more where price rests."""
    total = 0.0
    for (rest, _), move in zip(answers, moves):
        due = [due_at_rest(agent, setting, rest=rest, exogenous=move) for agent in scenario.agents]
        total += 0.5 * float(weights @ np.any(due, axis=0)) if due else 0.0
    return total


def _refuse(scenario: Scenario, bump: Bump) -> None:
    if bump.after_steps:
        raise InputError("expected a bump at the start: closed forms know the books there; a later one can be measured, not predicted")
    if scenario.impact.depth_reacts is not None:
        raise InputError("expected depth that does not react to trading: there is no closed form for it; leave depth_reacts out")
    if scenario.vol.vega_impact_per_usd > 0.0 and any(getattr(agent, "vega_hedge_share", 0.0) > 0.0 for agent in scenario.agents):
        raise InputError("expected no vega hedges that move vol: their gain is a matrix of its own; set vega_impact_per_usd = 0")
    if scenario.impact.square_root is not None and any(agent.delay_steps for agent in scenario.agents):
        raise InputError("expected linear impact where hedges are late: several small orders move a square-root market further than one")


def _setting(scenario: Scenario, bump: Bump) -> Setting:
    years = scenario.grid.years
    now = float(years[1] if bump.clock == "still" else years[-1])
    late = all(agent.delay_steps > 0 or isinstance(agent, Predator) for agent in scenario.agents)  # who answers orders answers no price
    return Setting(scenario.spot_usd, now, now - float(years[0]), scenario.vol.spot_vol_beta, late, bump.clock == "running")


def _curve(scenario: Scenario, bump: Bump, laws: Sequence[Law], *, reach: float) -> tuple[FloatArray, FloatArray, list[FloatArray]]:
    """Resting prices x, the exogenous move that leads to each, and everybody's purchases there in USD: first outward from the start."""
    bound, width = scenario.stop_log_move, reach
    while True:
        grid = np.linspace(-width, width, POINTS)
        shocks, flows = _led_to(scenario, bump, laws, grid)
        middle = POINTS // 2
        shocks = np.where(np.isnan(shocks), np.where(np.arange(POINTS) < middle, math.inf, -math.inf), shocks)
        outward = np.concatenate((np.minimum.accumulate(shocks[: middle + 1][::-1])[::-1], np.maximum.accumulate(shocks[middle:])[1:]))
        if outward[0] <= -reach and outward[-1] >= reach:
            return grid, outward, flows
        if width >= bound:
            raise InputError(f"expected a price at which a move of {100 * reach:.3g} % comes to rest, got none: the loop runs away from it")
        width = min(2.0 * width, bound)


def _led_to(scenario: Scenario, bump: Bump, laws: Sequence[Law], grid: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
    """Solve F = x - impact(flow(x, F)) on the grid; orders in coin are worth S0 exp(F), the price before they trade.

    NaN where no exogenous move comes to rest at x: a rule that calls at a threshold throws price across such a gap.
    """
    shocks = grid.copy()
    flows: list[FloatArray] = []
    for round_number in range(MOST_ROUNDS):
        price = scenario.spot_usd * np.exp(shocks)
        bought = [law(grid, shocks) for law in laws]
        flows = [usd + coin * price for usd, coin in bought]
        total = np.sum(flows, axis=0) if flows else np.zeros(grid.shape)
        after = grid - _impact_log(scenario, bump, total, total / price)
        apart = np.abs(after - shocks)
        if float(apart.max()) < 1e-13:
            break
        # whole steps may hop to and fro over a threshold that half of them come to rest beside
        shocks = after if round_number < MOST_ROUNDS // 2 else 0.5 * (shocks + after)
    return np.where(apart < NO_REST, shocks, math.nan), flows


def _impact_log(scenario: Scenario, bump: Bump, usd: FloatArray, coin: FloatArray) -> FloatArray:
    """Log move of buying so much: all of it while the clock stands still, what lasts when it has run."""
    impact = scenario.impact
    per_usd, per_coin = impact.permanent_per_usd, impact.permanent_per_coin
    if bump.clock == "still":
        per_usd, per_coin = per_usd + float(impact.passing_per_usd.sum()), per_coin + float(impact.passing_per_coin.sum())
    root = 0.0 if impact.square_root is None else impact.square_root.log_move(usd)
    return np.asarray(per_usd * usd + per_coin * coin + root)
