"""Simulate a scenario file: calibrate where it says so, run, and put the outcome into one document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.experiments.run_document import option_books, run_document
from tailwag.experiments.scenario_files import ScenarioFile
from tailwag.sim.calibrate import CALIBRATION_PATHS, Calibration, calibrated
from tailwag.sim.dynamics import expected_vol
from tailwag.sim.metric_plan import MetricPlan, PinWatch
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Scenario
from tailwag.units import NS_PER_DAY, NS_PER_HOUR

if TYPE_CHECKING:
    from tailwag.sim.run import KeptPaths, Run

Progress = Callable[[int, int], None]

LEAST_CALIBRATION_PATHS = 512
"""A calibration takes as many paths as its run, within bounds: the same shocks with and without hedging need few."""
PIN_STRIKES = 5
"""Strikes watched for each expiry inside the run: those with the most contracts."""
MOST_PINS = 20
PIN_REACH = 3.0
"""A strike further away than this many standard deviations at its expiry is not watched."""


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
    file: ScenarioFile, *, threads: int = 1, calibration: Calibration | None = None, progress: Progress | None = None
) -> Simulated:
    """Run a scenario file; the document is the same to the byte for any number of threads.

    Where [price] says that its vol is observed, the fundamental vol is calibrated first (unless the ``calibration`` is given).
    """
    found = calibration or calibration_of(file)
    scenario = file.scenario if found is None else found.scenario
    run = simulate(
        scenario,
        paths=file.paths,
        seed=file.seed,
        threads=threads,
        keep_paths=file.write_paths,
        progress=progress,
        plan=metric_plan(scenario),
    )
    return Simulated(file, run, run_document(file, run, notes=() if found is None else (str(found),)))


def metric_plan(scenario: Scenario) -> MetricPlan:
    """What is measured: the customary horizons, the hour of the day where the start is known, and pins at the strikes that expire inside."""
    hour = 0.0 if scenario.start_ns is None else (scenario.start_ns % NS_PER_DAY) / NS_PER_HOUR
    plan = MetricPlan.for_grid(scenario.grid.years, spot_usd=scenario.spot_usd, start_hour=hour)
    return replace(plan, pins=_pins(scenario))


def _pins(scenario: Scenario) -> tuple[PinWatch, ...]:
    """The strikes with the most contracts of each expiry inside the run, all agents together, watched at the step of their expiry."""
    years, ends = scenario.grid.years, scenario.grid.horizon_years * (1.0 + 1e-12)
    books = [book for _, book in option_books(scenario)]
    if not books:
        return ()
    expiry, strike, size = (
        np.concatenate([getattr(book, name) for book in books]) for name in ("expiry_years", "strike_usd", "contracts_coin")
    )
    pins: list[PinWatch] = []
    for at in np.unique(expiry[(expiry > 0.0) & (expiry <= ends)]):
        vol = expected_vol(scenario.price, float(at))
        spread = vol * float(at) ** 0.5
        near = (expiry == at) & (np.abs(np.log(strike / scenario.spot_usd)) <= PIN_REACH * spread)
        strikes = np.unique(strike[near])
        held = np.array([np.abs(size[near & (strike == one)]).sum() for one in strikes])
        step = max(int(np.searchsorted(years, at * (1.0 + 1e-12), side="right")) - 1, 1)
        chosen = strikes[np.lexsort((strikes, -held))[:PIN_STRIKES]]
        pins += [replace(PinWatch.from_vol(float(one), vol=vol, years=float(at)), step=step) for one in sorted(chosen)]
    return tuple(pins[:MOST_PINS])
