"""The loop gain of everything, measured: bump the exogenous move of one step up and down on the same seeds and see what price and agents answer.

Price answers a bump of h with h / (1 - G) once everything has arrived, so G = 1 - (bump) / (answer).  Each agent's own flow per unit of the log
price that it answered gives its part; under linear impact the parts sum to G exactly, whatever they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.kernels.random import normals
from tailwag.sim.agents.protocol import Agent
from tailwag.sim.engine import RunPlan, init, plan_run, step
from tailwag.sim.estimates import Estimate
from tailwag.sim.grid import TimeGrid
from tailwag.sim.prices_checks import PRICE_STREAM
from tailwag.sim.scenario import MOST_PATHS, Scenario

__all__ = ["AgentGain", "Bump", "MeasuredGain", "StatedGain", "measure_gain", "stated_gains", "stated_response_usd"]

BLOCK = 512
STILL_YEARS = 1e-16
"""Three nanoseconds (or the least time that a clock can tell apart): no option ages, no impact passes, no block falls."""
SETTLED = 1e-8
"""All has arrived once a step's flow would move price by less than this share of the bump."""
MOST_SIZE_LOG = 0.5


@dataclass(frozen=True, slots=True)
class Bump:
    """How the market is bumped: ``size_log`` up and down in one step, beside that step's own move of standard deviation ``noise_log``.

    ``noise_log`` None: one step's vol of the scenario.  ``after_steps``: the scenario runs so long before, on its own clock and shocks.
    ``clock`` "still": after the bumped step time stands still until all orders have arrived (all impact counts, also what passes);
    "running": the scenario's own steps go on without shocks to its end (what passes has passed).  ``most_steps`` bounds the wait.

    >>> Bump(size_log=0.001).clock
    'still'

    Raises InputError for a size that is no log move above 0 and up to 0.5, or a clock of neither kind.
    """

    size_log: float = 1e-3
    noise_log: float | None = None
    after_steps: int = 0
    clock: str = "still"
    most_steps: int = 400

    def __post_init__(self) -> None:
        if not 0.0 < self.size_log <= MOST_SIZE_LOG:
            raise InputError(f"expected a bump above 0 and at most {MOST_SIZE_LOG:g} of log price, got {self.size_log:g}; 0.001 is 0.1 %")
        if self.noise_log is not None and not 0.0 <= self.noise_log <= MOST_SIZE_LOG:
            raise InputError(f"expected noise_log from 0 to {MOST_SIZE_LOG:g}, got {self.noise_log:g}; 0 bumps a market at rest")
        if self.clock not in ("still", "running"):
            raise InputError(f"expected clock 'still' or 'running', got {self.clock!r}")
        if self.after_steps < 0 or self.most_steps < 1:
            raise InputError(f"expected after_steps of 0 or more and most_steps of 1 or more, got {self.after_steps} and {self.most_steps}")

    def noise_of(self, scenario: Scenario) -> float:
        """Standard deviation of the bumped step's own move: the stated one, or one step of the scenario's vol."""
        if self.noise_log is not None:
            return self.noise_log
        return min(scenario.price.annual_vol * math.sqrt(float(scenario.grid.step_years[self.after_steps])), MOST_SIZE_LOG)


@dataclass(frozen=True, slots=True)
class AgentGain:
    """One agent's part: the flow response that it states and the one that was measured (USD bought per unit of log price), and its gain."""

    name: str
    stated_usd: float
    response_usd: Estimate
    gain: Estimate


@dataclass(frozen=True, slots=True)
class MeasuredGain:
    """The total gain G = 1 - bump / answer, and every agent's part of it, with standard errors over paths.

    ``amplification`` is 1 / (1 - G); ``steps`` is how long it took until everything had arrived.  ``reason`` says why nothing is known.
    """

    total: Estimate
    amplification: Estimate
    agents: tuple[AgentGain, ...]
    bump: Bump
    noise_log: float
    paths: int
    seed: int
    steps: int
    reason: str = ""

    @property
    def summed(self) -> float | None:
        """The agents' parts together: the measured total, to rounding, under linear impact."""
        parts = [agent.gain.value for agent in self.agents]
        return None if any(part is None for part in parts) else math.fsum(part for part in parts if part is not None)


@dataclass(frozen=True, slots=True)
class BumpedMove:
    """A price model until the bumped step; in it a normal move and the bump; afterwards nothing."""

    inner: Any
    bumped_step: int
    noise_log: float
    bump_log: float

    @property
    def annual_vol(self) -> float:
        """The inner model's."""
        return float(self.inner.annual_vol)

    def scaled(self, factor: float) -> BumpedMove:
        """The inner model scaled; the bump stays."""
        return replace(self, inner=self.inner.scaled(factor))

    def init(self, paths: int) -> Any:
        """The inner model's."""
        return self.inner.init(paths)

    def increments(self, state: Any, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, Any]:
        """Before the bumped step the inner model's moves."""
        if step < self.bumped_step:
            moves, after = self.inner.increments(state, step=step, step_years=step_years, seed=seed, first_path=first_path)
            return moves, after
        paths = state[0].size
        if step > self.bumped_step:
            return np.zeros(paths), state
        shocks = normals(seed, PRICE_STREAM, first_path, paths, step, 1)[0]
        return self.noise_log * shocks + self.bump_log, state


def stated_response_usd(agent: Agent, spot_usd: float) -> float:
    """What an agent says it answers a move with at the start: USD bought per unit of log price, + buys rises.

    Its ``starting_flow_response_usd(spot_usd)`` where it has one, else minus its starting dollar gamma.
    """
    own = getattr(agent, "starting_flow_response_usd", None)
    return float(own(spot_usd)) if callable(own) else -float(agent.starting_dollar_gamma_usd(spot_usd)) + 0.0


@dataclass(frozen=True, slots=True)
class StatedGain:
    """What one agent says it adds to the loop at the start: USD bought per unit of log price, and impact per USD times it; + amplifies."""

    name: str
    response_usd: float
    gain: float


def stated_gains(scenario: Scenario) -> tuple[StatedGain, ...]:
    """Every agent's stated response and gain at the start, for a small move at full depth; vol that follows spot is not in it."""
    per_usd = scenario.impact.small_signal_per_usd(scenario.spot_usd)
    said = [(agent.name, stated_response_usd(agent, scenario.spot_usd)) for agent in scenario.agents]
    return tuple(StatedGain(name, response, per_usd * response) for name, response in said)


def measure_gain(scenario: Scenario, *, paths: int, seed: int, bump: Bump | None = None) -> MeasuredGain:
    """Bump the exogenous move of one step by +-h on the same seeds and measure what price and every agent answer.

    G = 1 - mean(bump) / mean(answer); an agent's part is G times its share of the flow.  Standard errors over paths by the delta method.
    Unknown, with the reason, where a path stops or the answers do not settle within ``most_steps``.
    InputError for fewer than 2 paths, or a scenario shorter than the bump needs.
    """
    chosen = bump or Bump()
    if not 2 <= paths <= MOST_PATHS or seed < 0:
        raise InputError(f"expected 2 to {MOST_PATHS:,} paths and a seed of 0 or more, got {paths:,} and {seed}")
    if chosen.after_steps >= scenario.grid.steps:
        raise InputError(f"expected after_steps below the {scenario.grid.steps} steps of the run, got {chosen.after_steps}")
    plans = tuple(plan_run(bumped(scenario, chosen, side), seed=seed) for side in (+1.0, -1.0))
    parts = [_block(plans, first, min(BLOCK, paths - first), chosen) for first in range(0, paths, BLOCK)]
    return _read(scenario, chosen, (paths, seed), parts)


def bumped(scenario: Scenario, bump: Bump, side: float) -> Scenario:
    """The scenario with one step's exogenous move bumped by ``side`` times the size, and quiet after it."""
    first, years = bump.after_steps + 1, scenario.grid.years
    if bump.clock == "still":
        tick = max(STILL_YEARS, 4.0 * float(np.spacing(years[first])))
        years = np.concatenate((years[: first + 1], years[first] + tick * np.arange(1, bump.most_steps + 1)))
    price = BumpedMove(scenario.price, first, bump.noise_of(scenario), side * bump.size_log)
    return replace(scenario, grid=TimeGrid(years), price=price)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a block of paths answered, up less down: exogenous and cleared log moves (paths,), flows in USD (agents, paths)."""

    bump: FloatArray
    move: FloatArray
    flows: FloatArray
    steps: int
    stopped: BoolArray
    settled: bool


def _block(plans: tuple[RunPlan, ...], first_path: int, paths: int, bump: Bump) -> _Answer:
    plan = plans[0]
    states = [init(each, first_path, paths) for each in plans]
    flows = np.zeros((len(plan.seats), paths))
    least = plan.scenario.impact.small_signal_per_usd(plan.scenario.spot_usd)
    calm, wanted = 0, _calm_steps(plan)
    for now in range(1, plan.scenario.grid.steps + 1):
        states = [step(each, state) for each, state in zip(plans, states)]
        if now <= bump.after_steps:
            continue
        up, down = (np.stack(state.fills_usd) if state.fills_usd else flows for state in states)
        flows = flows + (up - down)
        moved = least * float(np.abs(up - down).max(initial=0.0)) > SETTLED * bump.size_log
        calm = 0 if moved else calm + 1
        if calm >= wanted and bump.clock == "still":
            break
    order = np.argsort([seat.position for seat in plan.seats], kind="stable")
    return _Answer(
        states[0].fundamental_log - states[1].fundamental_log,
        states[0].log_price - states[1].log_price,
        flows[order],
        states[0].step - bump.after_steps,
        ~(states[0].live & states[1].live),
        calm >= wanted or (bump.clock == "running" and calm > 0),
    )


def _calm_steps(plan: RunPlan) -> int:
    """So many quiet steps in a row and nothing can be on its way any more; makers may go unfilled for long, and auctions keep everybody waiting."""
    slowest = max([seat.agent.delay_steps + seat.weights.size for seat in plan.seats], default=1)
    fills = [seat.fill_probability for seat in plan.seats if seat.fill_probability]
    return max(slowest, math.ceil(16.0 / min(fills)) if fills else 1) + plan.scenario.batch_steps - 1


def _read(scenario: Scenario, bump: Bump, run: tuple[int, int], parts: list[_Answer]) -> MeasuredGain:
    given, moved = (np.concatenate([getattr(part, name) for part in parts]) for name in ("bump", "move"))
    flows, stopped = (np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in ("flows", "stopped"))
    noise, steps = bump.noise_of(scenario), max(part.steps for part in parts)
    stated = [(agent.name, stated_response_usd(agent, scenario.spot_usd)) for agent in scenario.agents]
    reason = _reason(stopped, all(part.settled for part in parts), steps)
    if reason:
        nothing = Estimate.unknown(reason)
        agents = tuple(AgentGain(name, said, nothing, nothing) for name, said in stated)
        return MeasuredGain(nothing, nothing, agents, bump, noise, *run, steps, reason)
    total, parts_of = _gains(given, moved, flows)
    responses = [_ratio(flow, moved) for flow in flows]
    agents = tuple(AgentGain(name, said, response, part) for (name, said), response, part in zip(stated, responses, parts_of))
    return MeasuredGain(total, _ratio(moved, given), agents, bump, noise, *run, steps)


def _reason(stopped: BoolArray, settled: bool, steps: int) -> str:
    if stopped.any():
        return (
            f"{int(stopped.sum()):,} of {stopped.size:,} bumped paths stopped: the bump starts what no gain describes; take a smaller one"
        )
    if not settled:
        return f"answers had not settled after {steps:,} steps: the loop swings or runs away where hedges are late; see the gain as stated"
    return ""


def _ratio(first: FloatArray, second: FloatArray) -> Estimate:
    """mean a / mean b with its standard error."""
    middle = float(second.mean())
    value = float(first.mean()) / middle
    return Estimate(value, _error((first - value * second) / middle))


def _gains(given: FloatArray, moved: FloatArray, flows: FloatArray) -> tuple[Estimate, list[Estimate]]:
    """G = 1 - F / X and its parts G q_i / Q, with errors from how each path pulls the three means."""
    bump, answer = float(given.mean()), float(moved.mean())
    gain = 1.0 - bump / answer
    pull = (bump / answer) * (moved / answer - given / bump)
    whole = flows.sum(axis=0)
    flow = float(whole.mean())
    parts = []
    for own in flows:
        if flow == 0.0:
            parts.append(Estimate(0.0, 0.0))
            continue
        share = float(own.mean()) / flow
        parts.append(Estimate(gain * share, _error(pull * share + gain * (own - share * whole) / flow)))
    return Estimate(gain, _error(pull)), parts


def _error(pulls: FloatArray) -> float:
    return float(pulls.std(ddof=1)) / math.sqrt(pulls.size)
