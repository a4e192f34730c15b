"""One run of a sweep as a pure task: a scenario's text, its files and a seed in; the figures of one row out, wherever it runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError, TailwagError
from tailwag.experiments.run_document import versions
from tailwag.experiments.scenario_files import Overrides, read_scenario
from tailwag.experiments.simulate import calibration_of, simulate_file
from tailwag.experiments.sweep_grid import POINT_NAME
from tailwag.sim.scenario import starting_gain
from tailwag.sources.opening import RawFile

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from tailwag.sim.run import Run

NOWHERE = "/files of a sweep come with it"
"""Tasks read no disk: whatever a scenario names travels with the sweep."""
Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SweepTask:
    """One run: the scenario as text, the digests of the files it names, its seed, and what it must be computed with."""

    text: str
    files: tuple[tuple[str, str], ...]
    seed: int
    versions: tuple[tuple[str, str], ...]

    @property
    def key(self) -> str:
        """Digest of everything that decides the result."""
        said = [hashlib.sha256(self.text.encode()).hexdigest(), self.files, self.seed, self.versions]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@cache
def code_versions() -> tuple[tuple[str, str], ...]:
    """What this process computes with: versions of the packages and a digest of tailwag's own source, so that a development copy counts too."""
    return (*sorted(versions().items()), ("source", _source_digest()))


ROOMS = ("hedging", "kernels", "liquidity", "sim")
MODULES = ("candles.py", "simulate.py", "sweep_task.py")
"""Beside the rooms that compute, the modules here that decide what a scenario file means."""


def _source_digest() -> str:
    root = files("tailwag")
    rows = [row for room in ROOMS for row in _sources(root / room, room)]
    rows += [(name, data) for name, data in _sources(root / "experiments", "") if name[1:] in MODULES or name.startswith("/scenario_")]
    return hashlib.sha256(b"".join(name.encode() + hashlib.sha256(data).digest() for name, data in rows)).hexdigest()


def _sources(folder: Traversable, before: str) -> list[tuple[str, bytes]]:
    rows: list[tuple[str, bytes]] = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        name = f"{before}/{entry.name}"
        if entry.name.endswith(".py"):
            rows.append((name, entry.read_bytes()))
        elif entry.is_dir() and not entry.name.startswith("__"):
            rows += _sources(entry, name)
    return rows


def run_task(task: SweepTask, given: Mapping[str, RawFile]) -> Result:
    """Run one task on one thread; a scenario that turns out not to run (a calibration that fails) is a result with its reason.

    The same task gives the same result in any process, thread, or machine of the same kind.  TailwagError where this process has other code.
    """
    if task.versions != code_versions():
        raise TailwagError(
            f"expected a worker with {_said(task.versions)}, got {_said(code_versions())}; install the same packages everywhere"
        )
    data = task.text.encode()
    raw = RawFile(POINT_NAME, data, hashlib.sha256(data).hexdigest())
    try:
        file = read_scenario(raw, NOWHERE, overrides=Overrides(seed=task.seed), given=given)
        found = calibration_of(file)
        done = simulate_file(file, threads=1, calibration=found)
    except InputError as error:
        return {"refused": str(error).removeprefix(f"{POINT_NAME}: "), "numbers": {}, "agents": {}}
    return {"refused": None, **_measured(done.run)}


def _said(found: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name} {version[:12]}" for name, version in found)


def _measured(run: Run) -> Result:
    """The figures of one run by name: counts of paths, then estimates, each with its standard error."""
    metrics = run.metrics
    numbers: dict[str, float | int | None] = {"paths": run.paths}
    numbers |= {f"{name}_paths": count for name, count in run.outcomes.items()}
    numbers["starting_gain"] = starting_gain(run.scenario)
    estimates: dict[str, Any] = {
        "amplification": metrics.amplification,
        "realised_vol": metrics.realised_vol.hedged,
        "fundamental_vol": metrics.realised_vol.fundamental,
        "runaway_probability": metrics.runaway,
        "vol_of_vol": metrics.vol_of_vol.hedged,
        "mean_drawdown": metrics.drawdown.mean.hedged,
    }
    numbers |= _with_errors(estimates)
    agents = {
        agent.name: _with_errors(
            {
                "pnl_usd": agent.pnl_usd,
                "pnl_deviation_usd": agent.pnl_deviation_usd,
                "cost_usd": agent.cost_usd,
                "turnover_usd_per_day": agent.turnover_usd_per_day,
                "mishedge_rms_usd": agent.mishedge_rms_usd,
            }
        )
        for agent in metrics.agents
    }
    return {"numbers": numbers, "agents": agents}


def _with_errors(estimates: Mapping[str, Any]) -> dict[str, float | int | None]:
    rows: dict[str, float | int | None] = {}
    for name, estimate in estimates.items():
        rows[name], rows[f"{name}_se"] = estimate.value, estimate.standard_error
    return rows
