"""A comparison in numbers: cost, risk and market vol of every policy in both worlds, and every difference with its paired error."""

from __future__ import annotations

from typing import Any

from tailwag.experiments.frontier import Frontier
from tailwag.experiments.frontier_sums import PAID_PARTS
from tailwag.experiments.frontier_worlds import WORLDS
from tailwag.hedging.policies import policy_to_mapping
from tailwag.sim.estimates import Estimate
from tailwag.sim.metrics import Metrics

STOPPED = "paths stopped early, and vols are compared on the same paths only"
SQUARES = {"amplification": "step_squares", "amplification_horizon": "final_square"}
"""Market vol measured over one step and over the whole run: which numbers each is a ratio of."""


def policy_results(frontier: Frontier) -> list[dict[str, Any]]:
    """One entry for each policy, in the order given: what it is, and what came out in each world."""
    return [
        {
            "policy": run.name,
            "sentence": str(run.policy),
            "numbers": policy_to_mapping(run.policy),
            "alone": _world(frontier, place, run.alone, "alone"),
            "together": _world(frontier, place, run.together, "together"),
        }
        for place, run in enumerate(frontier.runs)
    ]


def differences(frontier: Frontier) -> list[dict[str, Any]]:
    """Every pair of policies: first less second, in both worlds, errors from the same shocks."""
    names, count = frontier.names, len(frontier.runs)
    pairs = [(first, second) for first in range(count) for second in range(first + 1, count)]
    return [
        {
            "policy": names[first],
            "less": names[second],
            **{world: _difference(frontier, first, second, world) for world in WORLDS},
        }
        for first, second in pairs
    ]


def cost(frontier: Frontier, place: int, world: str) -> Estimate:
    """What hedging by a policy costs, USD: all that is paid, and with feedback also what the moved price takes.

    Feedback = mean drop of P&L before payments from the world in which hedging moves nothing to the one in which everybody's moves the
    price, on the same shocks: the loss of the options to larger moves, less what fills before the end of a move earn.
    """
    return frontier.joint.linear({_cost_name(place, world): 1.0})


def risk(frontier: Frontier, place: int, world: str) -> Estimate:
    """Standard deviation over paths of the total P&L, USD."""
    size, slopes = frontier.joint.deviation(f"{place}.{world}.pnl")
    return frontier.joint.estimate(size, slopes)


def variance(frontier: Frontier, place: int, world: str) -> float:
    """Variance over paths of the total P&L, USD squared."""
    return frontier.joint.deviation(f"{place}.{world}.pnl")[0] ** 2


def shortfall(metrics: Metrics) -> list[tuple[float, Estimate]]:
    """Mean loss beyond each tail level, USD; + is a loss."""
    return [(tail.level, tail.expected_shortfall_usd) for tail in metrics.agents[0].tails]


def _cost_name(place: int, world: str) -> str:
    return f"{place}.alone.paid" if world == "alone" else f"{place}.cost"


def _world(frontier: Frontier, place: int, metrics: Metrics, world: str) -> dict[str, Any]:
    (hedgers,) = metrics.agents
    parts = hedgers.pnl_parts_usd
    margin = frontier.question.instrument.margin_share
    feedback = Estimate(0.0, 0.0) if world == "alone" else frontier.joint.linear({f"{place}.feedback": 1.0})
    estimates = {
        "cost_usd": cost(frontier, place, world),
        **{name: parts[name].times(-1.0).plus(0.0) for name in PAID_PARTS},
        "feedback_usd": feedback,
        "execution_usd": parts["execution_usd"],
        "pnl_usd": hedgers.pnl_usd,
        "risk_usd": risk(frontier, place, world),
        "mishedge_rms_usd": hedgers.mishedge_rms_usd,
        "turnover_usd_per_day": hedgers.turnover_usd_per_day,
        "trades_per_day": hedgers.trades_per_day,
        "peak_position_usd": hedgers.peak_position_usd,
        "margin_usd": hedgers.peak_position_usd.times(margin),
        "realised_vol": metrics.realised_vol.hedged,
        "amplification": metrics.amplification,
        "amplification_horizon": _whole_run(frontier, place, world, metrics),
    }
    return {
        **{name: estimate.to_document() for name, estimate in estimates.items()},
        "expected_shortfall": [{"level": level, "loss_usd": loss.to_document()} for level, loss in shortfall(metrics)],
        "horizons": [{"hours": row.hours, "amplification": row.amplification.to_document()} for row in metrics.horizons],
        "finished": metrics.finished.to_document(),
        "runaway": metrics.runaway.to_document(),
        "depth_exhausted": metrics.depth_exhausted.to_document(),
        "halted": metrics.halted.to_document(),
    }


def _whole_run(frontier: Frontier, place: int, world: str, metrics: Metrics) -> Estimate:
    """Hedged over unhedged vol of the whole run's move."""
    if metrics.finished.count < metrics.finished.total:
        return metrics.horizons[-1].amplification if metrics.horizons else Estimate.unknown(STOPPED)
    value, slopes = _amplification(frontier, place, world, "final_square")
    return frontier.joint.estimate(value, slopes)


def _amplification(frontier: Frontier, place: int, world: str, squares: str) -> tuple[float, dict[str, float]]:
    """sqrt(mean hedged square / mean unhedged square) and its slopes in both means."""
    hedged, plain = f"{place}.{world}.{squares}", f"fundamental.{squares}"
    top, bottom = frontier.joint.mean(hedged), frontier.joint.mean(plain)
    if top <= 0.0 or bottom <= 0.0:
        return 0.0, {}
    value = (top / bottom) ** 0.5
    return value, {hedged: 0.5 * value / top, plain: -0.5 * value / bottom}


def _difference(frontier: Frontier, first: int, second: int, world: str) -> dict[str, Any]:
    joint = frontier.joint
    found = {
        "cost_usd": joint.linear({_cost_name(first, world): 1.0, _cost_name(second, world): -1.0}),
        "pnl_usd": joint.linear({f"{first}.{world}.pnl": 1.0, f"{second}.{world}.pnl": -1.0}),
        "turnover_usd": joint.linear({f"{first}.{world}.turnover": 1.0, f"{second}.{world}.turnover": -1.0}),
        "risk_usd": _subtracted(frontier, joint.deviation(f"{first}.{world}.pnl"), joint.deviation(f"{second}.{world}.pnl")),
    }
    for name, squares in SQUARES.items():
        found[name] = _vol_difference(frontier, first, second, world, squares)
    return {name: estimate.to_document() for name, estimate in found.items()}


def _vol_difference(frontier: Frontier, first: int, second: int, world: str, squares: str) -> Estimate:
    runs = (frontier.runs[first], frontier.runs[second])
    shares = [run.together.finished if world == "together" else run.alone.finished for run in runs]
    if any(share.count < share.total for share in shares):
        return Estimate.unknown(STOPPED)
    return _subtracted(frontier, *(_amplification(frontier, place, world, squares) for place in (first, second)))


def _subtracted(frontier: Frontier, one: tuple[float, dict[str, float]], other: tuple[float, dict[str, float]]) -> Estimate:
    """The difference of two functions of means, whose slopes add where they share a mean."""
    slopes = dict(one[1])
    for name, slope in other[1].items():
        slopes[name] = slopes.get(name, 0.0) - slope
    return frontier.joint.estimate(one[0] - other[0], slopes)
