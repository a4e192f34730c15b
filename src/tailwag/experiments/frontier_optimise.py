"""The best numbers of a hedging policy: a band's width, a grid's interval, a risk aversion, found on common random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from tailwag.errors import InputError, MissingPackageError
from tailwag.experiments.frontier import Frontier, compare_policies
from tailwag.experiments.frontier_results import cost, shortfall, variance
from tailwag.experiments.frontier_worlds import WORLDS, Question, word
from tailwag.hedging.policies import AtTimes, Band, Leland, Policy, WhalleyWilmott, Zakamouline, policy_to_mapping
from tailwag.sim.dynamics import expected_vol
from tailwag.sim.metrics_sentences import usd
from tailwag.sim.run import Progress
from tailwag.units import HOURS_PER_YEAR

OBJECTIVES = ("variance", "mean-es")
KINDS = ("band", "grid", "whalley-wilmott", "zakamouline", "leland")
BPS = 1e-4
SCAN, REFINE, SIMPLEX = 7, 12, 45
"""Points of the first scan, most trials of the refinement between the best point's neighbours, most trials with two numbers."""
DIGITS = 4
MINUTES_PER_YEAR = 60.0 * HOURS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Objective:
    """What is made small: cost + risk aversion/2 x variance of P&L, or cost + expected shortfall of P&L about its mean.  USD.

    >>> print(Objective("variance", 1e-7))
    cost + 1e-07/2 per USD x variance of P&L
    """

    kind: str = "mean-es"
    risk_aversion_per_usd: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in OBJECTIVES:
            raise InputError(f"expected an objective of {', '.join(OBJECTIVES)}, got {self.kind[:40]!a}")
        averse = self.risk_aversion_per_usd
        if self.kind == "variance" and averse is None:
            raise InputError("objective variance weighs risk by --risk-aversion-per-usd, got none; give it, such as 1e-7, or take mean-es")
        if averse is not None and not 0.0 < averse < 1e6:
            raise InputError(f"expected a risk aversion per USD above 0, got {averse:g}; 1e-6 for a desk, less for a whole market")

    def value_usd(self, frontier: Frontier, world: str) -> float:
        """The objective of the first policy of a comparison.

        InputError where too few paths reach the tail.
        """
        paid = cost(frontier, 0, world).value or 0.0
        if self.kind == "variance":
            return paid + 0.5 * float(self.risk_aversion_per_usd or 0.0) * variance(frontier, 0, world)
        metrics = getattr(frontier.runs[0], world)
        known = [(level, loss.value) for level, loss in shortfall(metrics) if loss.value is not None and level <= 0.99]
        if not known:
            raise InputError(f"objective mean-es needs 200 paths for a tail, got {frontier.paths}; take more paths")
        return paid + max(known)[1] + float(metrics.agents[0].pnl_usd.value or 0.0)

    def __str__(self) -> str:
        if self.kind == "variance":
            return f"cost + {self.risk_aversion_per_usd:g}/2 per USD x variance of P&L"
        return "cost + expected shortfall of P&L about its mean"


@dataclass(frozen=True, slots=True)
class Trial:
    """One policy tried, and its objective in both worlds, USD."""

    policy: Policy
    alone: float
    together: float


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best policy of its kind in one world, and every trial on the way.  ``at_edge``: the best lies where the search ended."""

    kind: str
    objective: Objective
    world: str
    policy: Policy
    value_usd: float
    at_edge: bool
    trials: tuple[Trial, ...]

    def document(self) -> dict[str, Any]:
        """Plain values; trials in the order in which they were made."""
        return {
            "kind": self.kind,
            "objective": self.objective.kind,
            "risk_aversion_per_usd": self.objective.risk_aversion_per_usd,
            "world": self.world,
            "policy": word(self.policy),
            "numbers": policy_to_mapping(self.policy),
            "value_usd": self.value_usd,
            "at_edge": self.at_edge,
            "trials": [{"policy": word(trial.policy), "alone_usd": trial.alone, "together_usd": trial.together} for trial in self.trials],
        }

    def __str__(self) -> str:
        world = "with hedging moving the market" if self.world == "together" else "were hedging to move nothing"
        edge = "; it lies at the edge of what was searched" if self.at_edge else ""
        value = usd({"value": self.value_usd, "standard_error": None})
        return f"Best {self.kind} {world}: {word(self.policy)} ({self.objective}: {value}, {len(self.trials)} trials{edge})."


class TrialKeeper(Protocol):
    """Where trials are kept, so that a killed search goes on where it was: objectives in both worlds by a policy's word."""

    def load(self) -> dict[str, tuple[float, float]]:
        """What was kept."""
        ...

    def save(self, values: Mapping[str, tuple[float, float]]) -> None:
        """Keep it, whole or not at all."""
        ...


@dataclass(frozen=True, slots=True)
class Search:
    """Which policies a point stands for, and how far the search goes: logs of each number from ``low`` to ``high``."""

    kind: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    made: Callable[..., Policy]
    step: float | None = None

    def policy(self, point: Sequence[float]) -> Policy:
        """The policy at a point, its numbers rounded to four figures (a grid's to whole steps), so that its word is the policy."""
        numbers = [math.exp(min(max(one, low), high)) for one, low, high in zip(point, self.low, self.high, strict=True)]
        if self.step is not None:
            numbers[-1] = max(1, round(numbers[-1] / self.step)) * self.step
        return self.made(*(float(f"{number:.{DIGITS}g}") for number in numbers))


@dataclass(slots=True)
class Memory:
    """Trials by the policy's word: both worlds of each are known at once, and none is made twice."""

    evaluate: Callable[[Policy], tuple[float, float]]
    keeper: TrialKeeper | None
    known: dict[str, tuple[float, float]]
    trials: dict[str, Trial] = field(default_factory=dict)

    def __call__(self, policy: Policy, *, world: str) -> float:
        name = word(policy)
        if name not in self.known:
            self.known[name] = self.evaluate(policy)
            if self.keeper is not None:
                self.keeper.save(self.known)
        alone, together = self.known[name]
        self.trials.setdefault(name, Trial(policy, alone, together))
        return alone if world == "alone" else together


def optimise_policy(
    question: Question,
    kind: str,
    objective: Objective,
    *,
    paths: int,
    seed: int,
    threads: int = 1,
    keeper: TrialKeeper | None = None,
    progress: Progress | None = None,
) -> tuple[Optimum, ...]:
    """The best policy of a kind in each world: were hedging to move nothing, and with everybody's hedging moving the price.

    Every trial is run on the same shocks, so the objective is as smooth in the numbers as the policy is.  One number: a scan, then Brent's
    bounded search between the best point's neighbours; two: Nelder and Mead's simplex.  Both are scipy's.
    MissingPackageError without scipy; InputError for a kind without numbers.
    """
    search = _search(question, kind)
    made = [0]

    def evaluate(policy: Policy) -> tuple[float, float]:
        frontier = compare_policies(question, (policy,), paths=paths, seed=seed, threads=threads)
        made[0] += 1
        if progress is not None:
            progress(made[0], len(WORLDS) * (SCAN + REFINE) if len(search.low) == 1 else len(WORLDS) * SIMPLEX)
        return objective.value_usd(frontier, "alone"), objective.value_usd(frontier, "together")

    memory = Memory(evaluate, keeper, {} if keeper is None else keeper.load())
    for world in WORLDS:
        _minimise(search, partial(memory, world=world))
    return tuple(_optimum(search, objective, world, memory) for world in WORLDS)


def _optimum(search: Search, objective: Objective, world: str, memory: Memory) -> Optimum:
    trials = tuple(memory.trials.values())
    best = min(trials, key=lambda trial: (getattr(trial, world), word(trial.policy)))
    ends = {word(search.policy(edge)) for edge in (search.low, search.high)}
    return Optimum(search.kind, objective, world, best.policy, getattr(best, world), word(best.policy) in ends, trials)


def _minimise(search: Search, value: Callable[[Policy], float]) -> None:
    try:
        from scipy import optimize
    except ImportError:
        raise MissingPackageError(
            "--optimise needs the package scipy, which is not installed: python -m pip install 'tailwag[optimise]'"
        ) from None
    low, high = np.array(search.low), np.array(search.high)
    if low.size > 1:
        start = 0.5 * (low + high)
        options = {"maxfev": SIMPLEX, "xatol": 0.02, "fatol": 1e-4 * abs(value(search.policy(start)))}
        optimize.minimize(
            lambda point: value(search.policy(point)),
            start,
            method="Nelder-Mead",
            bounds=list(zip(low, high, strict=True)),
            options=options,
        )
        return
    points = np.linspace(low[0], high[0], SCAN)
    best = int(np.argmin([value(search.policy((point,))) for point in points]))
    between = (float(points[max(best - 1, 0)]), float(points[min(best + 1, SCAN - 1)]))
    options = {"maxiter": REFINE, "xatol": 0.01}
    optimize.minimize_scalar(lambda point: value(search.policy((point,))), bounds=between, method="bounded", options=options)


def _search(question: Question, kind: str) -> Search:
    """Where to look: bands from a tenth of a step's change of delta to three times the whole run's; grids from a step to the run."""
    if kind not in KINDS:
        raise InputError(f"expected --optimise with one of {', '.join(KINDS)}, which have a number to choose, got {kind[:40]!a}")
    scenario = question.scenario
    gamma = abs(question.starting_dollar_gamma_usd())
    if gamma == 0.0:
        raise InputError("expected a book with gamma, got none: every rule hedges it alike, and there is nothing to optimise")
    years, step = scenario.grid.horizon_years, float(scenario.grid.step_years.min())
    vol = expected_vol(scenario.price, years)
    widths = (0.1 * gamma * vol * step**0.5, 3.0 * gamma * vol * years**0.5)
    minutes = (step * MINUTES_PER_YEAR, years * MINUTES_PER_YEAR)
    if kind == "band":
        return Search(kind, (math.log(widths[0]),), (math.log(widths[1]),), lambda width: Band(half_width_usd=width))
    if kind == "grid":
        return Search(kind, (math.log(minutes[0]),), (math.log(minutes[1]),), AtTimes, step=minutes[0])
    bps = scenario.costs.fee_bps + scenario.costs.half_spread_bps
    if bps <= 0.0:
        raise InputError(f"{kind} weighs a cost of trading, and fee and half-spread sum to {bps:g} bps here; state --fee-bps")
    if kind == "leland":
        low, high = (0.1 * bps, minutes[0]), (10.0 * bps, minutes[1])
        return Search(kind, tuple(map(math.log, low)), tuple(map(math.log, high)), Leland, step=minutes[0])
    averse = [math.log(1.5 * BPS * bps * gamma**2 / width**3) for width in (widths[1], widths[0])]
    rule = WhalleyWilmott if kind == "whalley-wilmott" else Zakamouline
    return Search(kind, (averse[0],), (averse[1],), lambda aversion: rule(aversion, bps))
