"""Every mitigation against every scenario on common seeds: one table of effects with their errors, verdicts, and what each costs whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.run_document import versions
from tailwag.experiments.scenario_arms import Arm, PartialArm, run_arm
from tailwag.experiments.scenario_compare import compared, mean_of
from tailwag.experiments.scenario_files import Overrides, ScenarioFile
from tailwag.experiments.scenario_library import library_names, library_story, open_story, story_files
from tailwag.experiments.scenario_matrix_gamma import dealer_signs
from tailwag.experiments.scenario_matrix_words import matrix_headline, reason_for
from tailwag.experiments.scenario_outcomes import MEASURES, Measure
from tailwag.experiments.scenario_play import Stage, watch_of
from tailwag.experiments.scenario_story import Story
from tailwag.experiments.scenario_switches import SWITCHES, Chosen, chosen_switch, for_agents
from tailwag.experiments.scenario_verdicts import FAMILY_ERROR, judged, largest_bonferroni_z
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import venues_of

SCHEMA = "tailwag.scenario-matrix/1"
BASE = "base"
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MatrixRequest:
    """Which scenarios (none: every one of the library) against which switches (none: every mitigation); ``paths`` and ``seed`` None: the scenario's own."""

    names: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    paths: int | None = None
    seed: int | None = None


@dataclass(slots=True)
class Sheet:
    """What has been found so far."""

    scenarios: list[Document] = field(default_factory=list)
    cells: list[Document] = field(default_factory=list)
    untouched: list[Document] = field(default_factory=list)
    left_out: list[Document] = field(default_factory=list)
    gamma: list[Document] = field(default_factory=list)


def mitigations() -> tuple[str, ...]:
    """Every switch that somebody could throw, in the order of the library's list.

    >>> "circuit-breaker" in mitigations(), "flip-gamma" in mitigations()
    (True, False)
    """
    return tuple(switch.name for switch in SWITCHES if switch.kind == "mitigation")


def scenario_matrix(request: MatrixRequest, *, stage: Stage | None = None) -> Document:
    """Run every scenario and every switch on the scenario's own seeds (schema ``tailwag.scenario-matrix/1``).

    A cell is the paired difference of the scenario's own outcome, switched less base.  A switch that finds nothing to change in a scenario has no
    cell there but a reason; so has one under which the scenario cannot run, and a scenario of one path or without its data.
    The same to the byte for any number of threads.  Raises InputError for an unknown scenario or switch.
    """
    on, sheet = stage or Stage(), Sheet()
    words = request.switches or mitigations()
    for word in words:
        chosen_switch(word)
    stories = [library_story(name) for name in request.names or library_names()]
    for story in stories:
        file = _opened(story, request, sheet)
        if file is not None:
            _play(story, file, words, sheet, on)
    judged(sheet.cells)
    document = {
        "schema": SCHEMA,
        "asked": {
            "scenarios": list(request.names),
            "switches": list(request.switches),
            "paths": request.paths,
            "seed": request.seed,
        },
        "versions": versions(),
        "tried": len(sheet.cells),
        "family_error": FAMILY_ERROR,
        "bonferroni_z": largest_bonferroni_z(len(sheet.cells)),
        "scenarios": sheet.scenarios,
        "switches": _switch_rows(words, sheet),
        "cells": sheet.cells,
        "does_not_apply": sheet.untouched,
        "left_out": sheet.left_out,
        "dealer_gamma": sheet.gamma,
    }
    return {"headline": matrix_headline(document), **document}


def _opened(story: Story, request: MatrixRequest, sheet: Sheet) -> ScenarioFile | None:
    """The scenario's file; None, with the reason on the sheet, where it has no data here or no errors."""
    try:
        file = open_story(story, overrides=Overrides(paths=request.paths, seed=request.seed), given=story_files(story))
    except InputError as error:
        if request.names and not story.needs:
            raise
        sheet.left_out.append({"scenario": story.name, "reason": str(error)})
        return None
    if file.paths < 2 or file.vol_is == "observed":
        reason = (
            "one history has no standard error: tailwag scenario compare shows it"
            if file.paths < 2
            else "its vol is observed, and first has to be calibrated"
        )
        sheet.left_out.append({"scenario": story.name, "reason": reason})
        return None
    return file


@dataclass(frozen=True, slots=True)
class Runner:
    """How one scenario's arms are run: the story's watch, the file's paths and seed."""

    story: Story
    file: ScenarioFile
    on: Stage

    def arm(self, label: str, scenario: Scenario, *, engine: str = "auto") -> Arm:
        """One arm, resumed where parts of it are left."""
        self.on.say(f"{self.story.name}: {label}")
        said = {
            "matrix": label,
            "engine": engine,
            "sha256": self.file.sha256,
            "files": self.file.files,
            "paths": self.file.paths,
            "seed": self.file.seed,
            "story": self.story.to_document(),
        }
        part = PartialArm.opened(self.on.out, said)
        arm = run_arm(
            label,
            scenario,
            watch_of(self.story),
            paths=self.file.paths,
            seed=self.file.seed,
            engine=engine,
            threads=self.on.threads,
            part=part,
            progress=self.on.progress,
        )
        part.write()
        return arm


def _play(story: Story, file: ScenarioFile, words: Sequence[str], sheet: Sheet, on: Stage) -> None:
    runner, measure = Runner(story, file, on), _measure(story.answer)
    base = runner.arm(BASE, file.scenario)
    bases = {base.engine: base}

    def against(label: str, scenario: Scenario) -> tuple[Arm, Arm]:
        other = runner.arm(label, scenario, engine="auto" if base.engine == "fast" else base.engine)
        if other.engine not in bases:
            bases[other.engine] = runner.arm(BASE, base.scenario, engine=other.engine)
        return bases[other.engine], other

    sheet.scenarios.append(_scenario_row(story, file, base, measure))
    for chosen, twin in _twins(story, file.scenario, words, sheet):
        sheet.cells.append(_cell(story, compared(*against(chosen.label, twin), chosen), chosen))
    sheet.gamma.extend(dealer_signs(story.name, file.scenario, against))


def _measure(name: str) -> Measure:
    return next(measure for measure in MEASURES if measure.name == name)


def _scenario_row(story: Story, file: ScenarioFile, base: Arm, measure: Measure) -> Document:
    return {
        "name": story.name,
        "sentence": story.sentence,
        "outcome": measure.name,
        "words": measure.words,
        "unit": measure.unit,
        "harm": story.harm,
        "paths": file.paths,
        "seed": file.seed,
        "base": mean_of(base.columns[measure.name]).to_document(),
    }


def _twins(story: Story, scenario: Scenario, words: Sequence[str], sheet: Sheet) -> Iterator[tuple[Chosen, Scenario]]:
    """Every switch that changes something here; the others go on the sheet with the reason."""
    own = _signature(scenario)
    for word in words:
        for chosen in for_agents(chosen_switch(word, story.switch_parameters), scenario):
            try:
                twin = chosen(scenario)
            except InputError as error:
                sheet.untouched.append({"scenario": story.name, "switch": chosen.label, "cannot": True, "reason": str(error)})
                continue
            if _signature(twin) == own:
                sheet.untouched.append(
                    {"scenario": story.name, "switch": chosen.label, "cannot": False, "reason": reason_for(chosen.switch.name)}
                )
            else:
                yield chosen, twin


def _signature(scenario: Scenario) -> str:
    """Everything that a switch may change, as text: equal for two scenarios that run alike."""
    own = (
        [agent.content() for agent in scenario.agents],
        scenario.costs,
        scenario.vol,
        scenario.halt_log_move,
        scenario.batch_steps,
        scenario.impact,
    )
    if scenario.elsewhere is None:
        return repr(own)
    venues = venues_of(scenario)
    each = [(venue.name, venue.mark, _signature(venue.scenario)) for venue in venues.venues]
    return repr((each, [arbitrageur.content() for arbitrageur in venues.arbitrageurs]))


def _cell(story: Story, row: Mapping[str, Any], chosen: Chosen) -> Document:
    one = next(outcome for outcome in row["outcomes"] if outcome["outcome"] == story.answer)
    base = one["base"]["value"]
    change, error = one["difference"]["value"], one["difference"]["standard_error"]
    return {
        "scenario": story.name,
        "switch": chosen.label,
        "name": chosen.switch.name,
        "kind": chosen.switch.kind,
        "harm": story.harm,
        **{key: one[key] for key in ("outcome", "words", "unit", "base", "switched", "difference", "z", "paths_that_differ")},
        "relative": {"value": change / base, "standard_error": None if error is None else error / abs(base)} if base else None,
        "changes_nothing": row["changes_nothing"],
        "costs": list(_costs(row["outcomes"])),
        "options_not_written": row["options_not_written"],
    }


def _costs(rows: Sequence[Mapping[str, Any]]) -> Iterator[Document]:
    """Outcomes that are a cost and rise, and accounts that earn less, each clear of its error, the largest z first."""
    kept = [row for row in rows if (row["more_is"] == "cost" or row["outcome"].startswith("pnl:")) and row["verdict"] == "worse"]
    for row in sorted(kept, key=lambda row: -abs(row["z"] or 0.0)):
        yield {key: row[key] for key in ("outcome", "words", "unit", "base", "difference", "z")}


def _switch_rows(words: Sequence[str], sheet: Sheet) -> list[Document]:
    """Every switch with the scenarios in which it helps, does nothing, harms, and to which it does not apply."""
    rows = []
    for label in dict.fromkeys(row["switch"] for row in (*sheet.cells, *sheet.untouched)):
        switch = chosen_switch(label.partition(":")[0]).switch
        named = {
            word: [row["scenario"] for row in sheet.cells if row["switch"] == label and row["effect"] == word]
            for word in ("helps", "nothing", "harms")
        }
        rows.append(
            {
                "switch": label,
                "name": switch.name,
                "kind": switch.kind,
                "sentence": switch.sentence,
                "asks": switch.asks,
                **named,
                "does_not_apply": [row["scenario"] for row in sheet.untouched if row["switch"] == label],
            }
        )
    order = [word.partition(":")[0] for word in words]
    return sorted(rows, key=lambda row: order.index(row["name"]))
