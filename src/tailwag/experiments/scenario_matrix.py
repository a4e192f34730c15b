"""Every mitigation against every scenario on common seeds: one table of effects with their errors, verdicts, and what each costs whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.run_document import versions
from tailwag.experiments.scenario_arms import Arm, PartialArm, run_arm
from tailwag.experiments.scenario_compare import compared, mean_of
from tailwag.experiments.scenario_files import Overrides, ScenarioFile
from tailwag.experiments.scenario_library import library_names, library_story, open_story, story_files
from tailwag.experiments.scenario_matrix_gamma import dealer_signs
from tailwag.experiments.scenario_matrix_history import history_cell, is_history
from tailwag.experiments.scenario_matrix_twins import Twin, twins
from tailwag.experiments.scenario_matrix_words import matrix_headline
from tailwag.experiments.scenario_outcomes import MEASURES, Measure
from tailwag.experiments.scenario_play import Stage, watch_of
from tailwag.experiments.scenario_story import Story
from tailwag.experiments.scenario_switches import SWITCHES, chosen_switch
from tailwag.experiments.scenario_verdicts import FAMILY_ERROR, HARMS, HELPS, NOTHING, judged, largest_bonferroni_z
from tailwag.experiments.simulate import calibration_of
from tailwag.sim.agents.manipulator import SettlementManipulator
from tailwag.sim.agents.predator import Predator
from tailwag.sim.agents.squeezer import GammaSqueezer
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import everybody

SCHEMA = "tailwag.scenario-matrix/1"
BASE = "base"
SOUGHT = (GammaSqueezer, Predator, SettlementManipulator)
"""Those whose profit is the harm: what they lose by a switch is no cost of it."""
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
    histories: list[Document] = field(default_factory=list)


def mitigations() -> tuple[str, ...]:
    """Every switch that somebody could throw, in the order of the library's list.

    >>> "circuit-breaker" in mitigations(), "flip-gamma" in mitigations()
    (True, False)
    """
    return tuple(switch.name for switch in SWITCHES if switch.kind == "mitigation")


def scenario_matrix(request: MatrixRequest, *, stage: Stage | None = None) -> Document:
    """Run every scenario and every switch on the scenario's own seeds (schema ``tailwag.scenario-matrix/1``).

    A cell is the paired difference of the scenario's own outcome, switched less base.  A switch that finds nothing to change in a scenario has no
    cell there but a reason; so has one under which the scenario cannot run, and a scenario of one path or without its data.  A replay of one history
    stands by itself under ``histories``: its differences have no error, no verdict and no part in what is counted.
    The same to the byte for any number of threads.  Raises InputError for an unknown scenario or switch.
    """
    on, sheet = stage or Stage(), Sheet()
    words = request.switches or mitigations()
    asked = [chosen_switch(word).label for word in words]
    _refuse_twice(asked, "switch")
    _refuse_twice(list(request.names), "scenario")
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
        "switches": _switch_rows(asked, sheet),
        "cells": sheet.cells,
        "does_not_apply": sheet.untouched,
        "left_out": sheet.left_out,
        "dealer_gamma": sheet.gamma,
        "histories": sheet.histories,
    }
    return {"headline": matrix_headline(document), **document}


def _refuse_twice(names: list[str], what: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"expected each {what} once, got {twice} twice; leave one out")


def _opened(story: Story, request: MatrixRequest, sheet: Sheet) -> ScenarioFile | None:
    """The scenario's file; None, with the reason on the sheet, where it has no data here or no errors."""
    try:
        file = open_story(story, overrides=Overrides(paths=request.paths, seed=request.seed), given=story_files(story))
    except InputError as error:
        if request.names and not story.needs:
            raise
        sheet.left_out.append({"scenario": story.name, "reason": str(error)})
        return None
    if is_history(file):
        return replace(file, paths=1)
    if file.paths < 2:
        sheet.left_out.append({"scenario": story.name, "reason": "one path has no standard error: tailwag scenario compare shows it"})
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
    found = calibration_of(file)
    scenario = file.scenario if found is None else found.scenario
    base = runner.arm(BASE, scenario)
    bases = {base.engine: base}

    def against(label: str, scenario: Scenario) -> tuple[Arm, Arm]:
        other = runner.arm(label, scenario, engine="auto" if base.engine == "fast" else base.engine)
        if other.engine not in bases:
            bases[other.engine] = runner.arm(BASE, base.scenario, engine=other.engine)
        return bases[other.engine], other

    row, cells, once = _scenario_row(story, file, base, measure), [], is_history(file)
    sought = frozenset(f"pnl:{agent.name}" for agent in everybody(scenario) if isinstance(agent, SOUGHT))
    for twin in twins(story, scenario, words):
        if twin.scenario is None:
            sheet.untouched.append(_untouched(story, twin))
            continue
        told = compared(*against(twin.chosen.label, twin.scenario), twin.chosen)
        cells.append(history_cell(told, story.answer, twin, sought) if once else _cell(story, told, twin, sought))
    if once:
        sheet.histories.append({**row, "cells": cells})
        return
    sheet.scenarios.append(row)
    sheet.cells.extend(cells)
    sheet.gamma.extend(dealer_signs(story.name, scenario, against))


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


def _untouched(story: Story, twin: Twin) -> Document:
    said = {"scenario": story.name, "asked": twin.asked, "row": twin.row, "switch": twin.chosen.label}
    return {**said, "cannot": twin.cannot, "reason": twin.reason}


def _cell(story: Story, row: Mapping[str, Any], twin: Twin, sought: frozenset[str]) -> Document:
    one = next(outcome for outcome in row["outcomes"] if outcome["outcome"] == story.answer)
    base = one["base"]["value"]
    change, error = one["difference"]["value"], one["difference"]["standard_error"]
    return {
        "scenario": story.name,
        "asked": twin.asked,
        "row": twin.row,
        "switch": twin.chosen.label,
        "name": twin.chosen.switch.name,
        "kind": twin.chosen.switch.kind,
        "harm": story.harm,
        **{key: one[key] for key in ("outcome", "words", "unit", "base", "switched", "difference", "z", "paths_that_differ")},
        "relative": {"value": change / abs(base), "standard_error": None if error is None else error / abs(base)} if base else None,
        "changes_nothing": row["changes_nothing"],
        "costs": list(_costs(row["outcomes"], sought)),
        "options_not_written": row["options_not_written"],
    }


def _costs(rows: Sequence[Mapping[str, Any]], sought: frozenset[str]) -> Iterator[Document]:
    """Outcomes that are a cost and rise, and accounts that earn less (but not of those whom mitigations are against), clear of errors, the largest z first."""
    told = [row for row in rows if row["more_is"] == "cost" or (row["outcome"].startswith("pnl:") and row["outcome"] not in sought)]
    kept = [row for row in told if row["verdict"] == "worse"]
    for row in sorted(kept, key=lambda row: -abs(row["z"] or 0.0)):
        yield {key: row[key] for key in ("outcome", "words", "unit", "base", "difference", "z")}


def _switch_rows(asked: Sequence[str], sheet: Sheet) -> list[Document]:
    """Every switch as it was asked for (one row for each agent or venue where it takes one), with where it helps, does nothing, harms."""
    rows = []
    for label in asked:
        switch = chosen_switch(label).switch
        once = [cell for row in sheet.histories for cell in row["cells"]]
        found = dict.fromkeys(one["row"] for one in (*sheet.cells, *once, *sheet.untouched) if one["asked"] == label)
        for row in [name for name in found if name != label] or found:
            said = {"switch": row, "asked": label, "name": switch.name, "kind": switch.kind}
            rows.append({**said, "sentence": switch.sentence, "asks": switch.asks, **_told(row, sheet)})
    return rows


def _told(row: str, sheet: Sheet) -> Document:
    """Where the switch of a row does what."""
    cells = {cell["scenario"]: cell["effect"] for cell in sheet.cells if cell["row"] == row}
    named = {word: [name for name, effect in cells.items() if effect == word] for word in (HELPS, NOTHING, HARMS)}
    return {**named, "does_not_apply": [one["name"] for one in sheet.scenarios if one["name"] not in cells]}
