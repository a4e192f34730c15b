"""Simulate a scenario file: calibrate where it says so, run, and put the outcome into one document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tailwag.experiments.run_document import run_document
from tailwag.experiments.scenario_files import ScenarioFile
from tailwag.sim.calibrate import CALIBRATION_PATHS, Calibration, calibrated
from tailwag.sim.resumed import Part, simulate_rest
from tailwag.sim.run import default_metric_plan, simulate

if TYPE_CHECKING:
    from tailwag.sim.run import KeptPaths, Run

Progress = Callable[[int, int], None]

LEAST_CALIBRATION_PATHS = 512
"""A calibration takes as many paths as its run, within bounds: the same shocks with and without hedging need few."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """A scenario file that was run: the run, its document, and the paths where the file asks for them."""

    file: ScenarioFile
    run: Run
    document: dict[str, Any]

    @property
    def kept(self) -> KeptPaths | None:
        """Trajectories, where [output] paths = true."""
        return self.run.kept


def calibration_of(file: ScenarioFile) -> Calibration | None:
    """The fundamental vol under which the closed loop shows the file's observed vol; None where its vol is fundamental or nobody hedges.

    InputError where there is none, such as paths that run away.
    """
    if file.vol_is != "observed" or not file.scenario.agents:
        return None
    paths = min(max(file.paths, LEAST_CALIBRATION_PATHS), CALIBRATION_PATHS)
    return calibrated(file.scenario, seed=file.seed, paths=paths)


def simulate_file(
    file: ScenarioFile,
    *,
    threads: int = 1,
    calibration: Calibration | None = None,
    part: Part | None = None,
    progress: Progress | None = None,
) -> Simulated:
    """Run a scenario file; the document is the same to the byte for any number of threads.

    Where [price] says that its vol is observed, the fundamental vol is calibrated first (unless the ``calibration`` is given).  With a
    ``part``, blocks that it holds are not run again, and new ones are added to it; a run that keeps its paths runs whole.
    """
    found = calibration or calibration_of(file)
    scenario = file.scenario if found is None else found.scenario
    plan = default_metric_plan(scenario)
    if part is None or file.write_paths:
        run = simulate(
            scenario, paths=file.paths, seed=file.seed, threads=threads, keep_paths=file.write_paths, progress=progress, plan=plan
        )
    else:
        run = simulate_rest(scenario, paths=file.paths, seed=file.seed, part=part, plan=plan, threads=threads, progress=progress)
    return Simulated(file, run, run_document(file, run, calibration=found))
