"""The loop gain of everything as one document: every agent's response as stated, predicted and measured, and whether the sum rule holds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tailwag.experiments.run_document import agent_kind, versions
from tailwag.experiments.scenario_gain_law import PredictedGain, PredictedPart, predict_gain
from tailwag.sim.gain_bump import AgentGain, Bump, measure_gain, stated_gains

if TYPE_CHECKING:
    from tailwag.experiments.scenario_files import ScenarioFile
    from tailwag.sim.estimates import Estimate
    from tailwag.sim.scenario import Scenario

SCHEMA = "tailwag.gain/1"
RESOLUTION = 1e-7
"""What grids, finite steps and rounding leave of a gain: two numbers this near are not told apart, however small the error over paths."""
PASSES = 2.0
Document = dict[str, Any]


def gain_document(name: str, file: ScenarioFile, *, paths: int, seed: int, bump: Bump | None = None) -> Document:
    """Bump a scenario, predict the same bump by closed forms, and set both side by side (schema ``tailwag.gain/1``).

    InputError where no closed form holds or the scenario is too short for the bump.
    """
    chosen, scenario = bump or Bump(), file.scenario
    predicted = predict_gain(scenario, chosen)
    measured = measure_gain(scenario, paths=paths, seed=seed, bump=chosen)
    total = _against(measured.total, predicted, paths)
    agents = [_agent(scenario, place, measured.agents[place], predicted, paths) for place in range(len(scenario.agents))]
    return {
        "schema": SCHEMA,
        "headline": list(_headline(name, total, predicted, agents, chosen)),
        "scenario": {"name": name, "sha256": file.sha256, "files": file.files},
        "paths": paths,
        "seed": seed,
        "versions": versions(),
        "bump": {**asdict(chosen), "noise_log": measured.noise_log, "steps": measured.steps},
        "impact_per_usd": scenario.impact.small_signal_per_usd(scenario.spot_usd),
        "total": {"stated": math.fsum(one.gain for one in stated_gains(scenario)), **total},
        "amplification": {"measured": measured.amplification.to_document(), "predicted": predicted.amplification},
        "gain_by_agent": agents,
        "reason": measured.reason,
        "notes": list(_notes(scenario, agents, predicted)),
    }


def _notes(scenario: Scenario, agents: list[Document], predicted: PredictedGain) -> Iterator[str]:
    taken = [row["name"] for row in agents if row["law"] == "as stated"]
    if taken:
        yield f"taken at their word, having no closed form here: {', '.join(taken)}"
    if predicted.due_again > 0.0:
        yield (
            f"on {100.0 * predicted.due_again:.3g} % of moves price rests where a public rule calls once more: hedges that others' hedges make due are "
            "measured and not predicted here, so the two may differ"
        )
    if getattr(scenario, "elsewhere", None) is not None:
        yield "the first venue alone: what arbitrageurs carry to and from other venues is not bumped"
    if scenario.vol.moves:
        yield "vol follows spot: predicted and measured responses hold vanna, stated ones do not"


def z_score(measured: Estimate, predicted: float, *, least_error: float = 0.0) -> float | None:
    """(measured - predicted) / its standard error, which is taken as no less than the resolution; None where nothing was measured.

    ``least_error``: the one that the prediction has for as many paths.  Where few paths answer at all, the measured one misses what it did not meet.
    """
    if measured.value is None:
        return None
    return (measured.value - predicted) / math.hypot(max(measured.standard_error or 0.0, least_error), RESOLUTION)


def _against(measured: Estimate, predicted: PredictedGain | PredictedPart, paths: int) -> Document:
    gain = predicted.total if isinstance(predicted, PredictedGain) else predicted.gain
    z = z_score(measured, gain, least_error=predicted.deviation / math.sqrt(paths))
    return {"measured": measured.to_document(), "predicted": gain, "z": z}


def _agent(scenario: Scenario, place: int, measured: AgentGain, predicted: PredictedGain, paths: int) -> Document:
    part = predicted.agents[place]
    whole = predicted.total
    return {
        "name": measured.name,
        "kind": agent_kind(scenario.agents[place]),
        "law": part.by,
        "stated_response_usd": measured.stated_usd,
        "predicted_response_usd": part.response_usd,
        "measured_response_usd": measured.response_usd.to_document(),
        "gain": _against(measured.gain, part, paths),
        "share": None if whole == 0.0 else part.gain / whole,
    }


def _headline(name: str, total: Document, predicted: PredictedGain, agents: list[Document], bump: Bump) -> list[str]:
    measured, z = total["measured"], total["z"]
    size = f"a bump of {100.0 * bump.size_log:g} %"
    if measured["value"] is None:
        return [f"{name}: the gain that {size} meets is not known: {measured['reason']}; closed forms say {predicted.total:+.4f}"]
    verdict = "agree" if abs(z) < PASSES else "do NOT agree"
    error = measured["standard_error"] or 0.0
    lines = [
        f"{name}: {size} is answered with a total gain of {measured['value']:+.5f} +- {error:.1g}; closed forms of {len(agents)} "
        f"agent{'' if len(agents) == 1 else 's'} sum to {predicted.total:+.5f}: they {verdict} ({z:+.2f} standard errors)"
    ]
    grows = measured["value"] > 0.0
    answer = 100.0 * bump.size_log / (1.0 - measured["value"])
    lines.append(f"A{size[1:]} becomes {answer:.4g} % once everybody has answered: together they {'amplify' if grows else 'damp'} it")
    largest = max(agents, key=lambda agent: abs(agent["gain"]["predicted"]), default=None)
    if largest is not None and len(agents) > 1:
        lines.append(f"The largest part is {largest['name']} with {largest['gain']['predicted']:+.4f}")
    return lines
