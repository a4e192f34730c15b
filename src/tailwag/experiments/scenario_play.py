"""Play a scenario of the library: the run, its twins with each switch on the same seeds, and one document of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError
from tailwag.experiments.partial_runs import PartialRun
from tailwag.experiments.scenario_arms import Arm, PartialArm, finish_parts, run_arm
from tailwag.experiments.scenario_compare import compared
from tailwag.experiments.scenario_document import scenario_document
from tailwag.experiments.scenario_examples import shown_paths
from tailwag.experiments.scenario_outcomes import Watch
from tailwag.experiments.simulate import calibration_of, simulate_file
from tailwag.sim.calibrate import Calibration

if TYPE_CHECKING:
    from tailwag.experiments.scenario_files import ScenarioFile
    from tailwag.experiments.scenario_story import Story
    from tailwag.experiments.scenario_switches import Chosen
    from tailwag.sim.run import Run
    from tailwag.sim.scenario import Scenario

BASE = "base"
Say = Callable[[str], None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Played:
    """A story that was played: the base run, every arm with its outcomes by path (the base first), and the document."""

    run: Run
    arms: tuple[Arm, ...]
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """How a story is played: threads, the folder in which it may go on after a crash (None: nowhere), and who is told."""

    threads: int = 1
    out: Path | None = None
    say: Say = lambda text: None
    progress: Progress | None = None


def watch_of(story: Story) -> Watch:
    """What the story looks for on every path."""
    return Watch(story.strike_usd, story.strike_bps, story.dislocation_log, story.liquidation_usd)


def play(story: Story, file: ScenarioFile, switches: Sequence[Chosen] = (), *, stage: Stage | None = None, lenient: bool = False) -> Played:
    """Run a story, then each switch on the same seeds; the document is the same to the byte for any number of threads.

    A switch under which the scenario cannot run (no price clears, say) is refused with InputError before anything runs; where ``lenient`` it is
    left out and told in the document.
    """
    on = stage or Stage()
    on.say("calibrating" if file.vol_is == "observed" else "simulating")
    found = calibration_of(file)
    scenario = file.scenario if found is None else found.scenario
    twins, refused = switched(scenario, switches, lenient=lenient)
    done, base = _base(story, file, found, on)
    arms, rows, bases = [base], [], {base.engine: base}
    for chosen, twin in twins:
        arms.append(_arm(story, file, chosen.label, twin, on, engine="auto" if base.engine == "fast" else base.engine))
        engine = arms[-1].engine
        if engine not in bases:
            bases[engine] = _arm(story, file, BASE, base.scenario, on, engine=engine)
        rows.append(compared(bases[engine], arms[-1], chosen))
    shown = shown_paths(scenario, base.columns, seed=file.seed)
    document = scenario_document(story, done.document, base, rows, refused=refused, shown=shown)
    if on.out is not None:
        finish_parts(on.out)
    return Played(done.run, tuple(arms), document)


def switched(
    scenario: Scenario, switches: Sequence[Chosen], *, lenient: bool
) -> tuple[list[tuple[Chosen, Scenario]], list[dict[str, Any]]]:
    """Every switch with its twin of the scenario, and those under which it cannot run, with the reason."""
    twins: list[tuple[Chosen, Scenario]] = []
    refused: list[dict[str, Any]] = []
    for chosen in switches:
        try:
            twins.append((chosen, chosen(scenario)))
        except InputError as error:
            if not lenient:
                raise
            refused.append({"switch": chosen.label, "reason": str(error)})
    return twins, refused


def _base(story: Story, file: ScenarioFile, found: Calibration | None, on: Stage) -> tuple[Any, Arm]:
    """The run with all its metrics, and the same paths once more for their outcomes."""
    on.say("simulating")
    part = None if on.out is None else PartialRun.opened(on.out, file)
    done = simulate_file(file, threads=on.threads, calibration=found, part=part, progress=on.progress)
    return done, _arm(story, file, BASE, done.run.scenario, on)


def _arm(story: Story, file: ScenarioFile, label: str, scenario: Scenario, on: Stage, *, engine: str = "auto") -> Arm:
    on.say(label)
    said = {
        "arm": label,
        "engine": engine,
        "sha256": file.sha256,
        "files": file.files,
        "paths": file.paths,
        "seed": file.seed,
        "story": story.to_document(),
    }
    part = PartialArm.opened(on.out, said)
    arm = run_arm(
        label,
        scenario,
        watch_of(story),
        paths=file.paths,
        seed=file.seed,
        engine=engine,
        threads=on.threads,
        part=part,
        progress=on.progress,
    )
    part.write()
    return arm
