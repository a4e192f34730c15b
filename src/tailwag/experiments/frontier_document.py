"""The document of one policy comparison: what was compared, on which assumptions, what came out (schema ``tailwag.frontier/1``)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tailwag.experiments.frontier import Frontier
from tailwag.experiments.frontier_books import Prepared
from tailwag.experiments.frontier_optimise import Optimum
from tailwag.experiments.frontier_results import differences, policy_results
from tailwag.experiments.frontier_sentences import cheapest, efficient, sentences
from tailwag.experiments.frontier_worlds import REST, WORLDS
from tailwag.experiments.run_document import versions
from tailwag.experiments.scenario_prices import price_kind
from tailwag.hedging.policies import EveryStep
from tailwag.market.clock import format_time
from tailwag.sim.scenario import starting_gain
from tailwag.units import HOURS_PER_YEAR

SCHEMA = "tailwag.frontier/1"


def frontier_document(frontier: Frontier, book: Prepared, optima: tuple[Optimum, ...] = ()) -> dict[str, Any]:
    """Plain values of one comparison, the same for any number of threads; strict JSON may be written from it as it is."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "headline": [],
        "source": {"kind": book.kind, "name": book.name, "sha256": book.sha256},
        "seed": frontier.seed,
        "paths": frontier.paths,
        "versions": versions(),
        "engine": frontier.engine,
        "assumptions": assumptions(frontier, book),
        "policies": policy_results(frontier),
        "differences": differences(frontier),
    }
    document["optimised"] = [optimum.document() for optimum in optima]
    document["cheapest"] = {world: cheapest(document, world) for world in WORLDS}
    document["efficient"] = {world: efficient(document, world) for world in WORLDS}
    document["headline"] = [*sentences(document), *(str(optimum) for optimum in optima)]
    return document


def assumptions(frontier: Frontier, book: Prepared) -> dict[str, Any]:
    """Everything that decides the result beside the policies."""
    question = frontier.question
    scenario, grid = question.scenario, question.scenario.grid
    everybody = question.world(EveryStep(), "together")
    return {
        "start": None if scenario.start_ns is None else format_time(scenario.start_ns),
        "spot_usd": scenario.spot_usd,
        "hours": grid.horizon_years * HOURS_PER_YEAR,
        "steps": grid.steps,
        "step_minutes": float(grid.step_years[0]) * HOURS_PER_YEAR * 60.0 if grid.is_uniform else None,
        "clearing": scenario.clearing,
        "price_model": price_kind(scenario.price),
        "price_vol": scenario.price.annual_vol,
        "vol_is": book.vol_is,
        "impact_per_usd": scenario.impact.small_signal_per_usd(scenario.spot_usd),
        "lasting_impact_per_usd": scenario.impact.lasting_per_usd(scenario.spot_usd),
        "starting_gain": starting_gain(everybody),
        "dollar_gamma_usd": question.starting_dollar_gamma_usd(),
        "costs": asdict(scenario.costs),
        "instrument": asdict(question.instrument),
        "market_share": question.market_share,
        "dealers": [
            {
                "name": dealer.name,
                "compared": dealer.name in question.compared,
                "delay_steps": dealer.delay_steps,
                "hedge_share": dealer.hedge_share,
                "execution": str(dealer.execution),
                "options": 0 if dealer.options is None else dealer.options.rows,
            }
            for dealer in question.dealers
        ],
        "rest": [agent.name for agent in everybody.agents if agent.name.endswith(REST)],
        "notes": list(book.notes),
    }
