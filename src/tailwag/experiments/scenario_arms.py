"""The arms of a comparison: one scenario and its switched twins on the same seeds, path by path, resumable."""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.run_document import versions
from tailwag.experiments.run_files import packed_arrays, write_whole
from tailwag.experiments.scenario_outcomes import Columns, Watch, joined, path_columns
from tailwag.sim import fast
from tailwag.sim.blocks import run_block
from tailwag.sim.engine import plan_run
from tailwag.sim.run import _blocks, _engine, _firsts, _refuse
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import BlockPaths

FOLDER = ".partial"
EVERY_SECONDS = 20.0
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of a comparison that was run: its label, its scenario, and every outcome by path."""

    label: str
    scenario: Scenario
    engine: str
    columns: Columns


@dataclass(slots=True)
class PartialArm:
    """The blocks of one arm that are done, on disk at most every ``every_seconds``; ``path`` None keeps nothing."""

    path: Path | None
    every_seconds: float = EVERY_SECONDS
    clock: Callable[[], float] = time.monotonic
    done: dict[int, Columns] = field(default_factory=dict)
    written: float = 0.0

    @classmethod
    def opened(cls, out: Path | None, said: dict[str, Any], **clockwork: Any) -> PartialArm:
        """What is left of this very arm in ``out``; a damaged part, or one of another run or version, counts for nothing."""
        name = hashlib.sha256(json.dumps({**said, "versions": versions()}, sort_keys=True).encode()).hexdigest()
        found = cls(None if out is None else out / FOLDER / f"{name}.npz", **clockwork)
        found.written = found.clock()
        if found.path is not None and found.path.is_file():
            found.done = _read(found.path.read_bytes())
        return found

    def add(self, first_path: int, columns: Columns) -> None:
        """One more block; on disk when it is time."""
        self.done[first_path] = columns
        if self.path is not None and self.clock() - self.written >= self.every_seconds:
            self.write()

    def write(self) -> None:
        """Put what is done on disk, whole."""
        if self.path is None or not self.done:
            return
        try:
            self.path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {FOLDER} in --out ({error.strerror}); name a folder that may be written") from None
        arrays = {f"{first}|{name}": values for first, columns in self.done.items() for name, values in columns.items()}
        data = packed_arrays(arrays)
        write_whole(self.path, hashlib.sha256(data).digest() + data)
        self.written = self.clock()


def finish_parts(out: Path) -> None:
    """Everything is done: parts that arms left are of no more use."""
    folder = out / FOLDER
    for path in folder.glob("*.npz"):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _read(data: bytes) -> dict[int, Columns]:
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        return {}
    found: dict[int, Columns] = {}
    try:
        with np.load(io.BytesIO(data[32:]), allow_pickle=False) as arrays:
            for key in arrays:
                first, _, name = key.partition("|")
                found.setdefault(int(first), {})[name] = arrays[key]
    except (ValueError, OSError, zipfile.BadZipFile):
        return {}
    return found


def engine_of(scenario: Scenario) -> str:
    """The engine that a scenario is stepped by: "fast" where that can be.  Arms are compared within one engine, whose roundings are the same."""
    return _engine(scenario, "auto")


def step_block(scenario: Scenario, *, seed: int, engine: str, threads: int = 1) -> Callable[..., BlockPaths]:
    """``step_block(first_path, paths, keep_agents=...)`` of a scenario."""
    plan = plan_run(scenario, seed=seed, tabulate=engine == "tabulated", full_pnl=False)
    if engine == "fast":
        return partial(fast.run_block, fast.prepare(plan, threads=threads))
    return partial(run_block, plan)


def run_arm(
    label: str,
    scenario: Scenario,
    watch: Watch,
    *,
    paths: int,
    seed: int,
    engine: str = "auto",
    threads: int = 1,
    part: PartialArm | None = None,
    progress: Progress | None = None,
) -> Arm:
    """Run one arm and keep every path's outcomes; blocks that ``part`` holds are not run again.  The same for any number of threads."""
    _refuse(scenario, paths, seed, threads, False)
    kept = PartialArm(None) if part is None else part
    chosen = engine_of(scenario) if engine == "auto" else engine
    stepped = step_block(scenario, seed=seed, engine=chosen, threads=threads)
    firsts = _firsts(scenario, paths)
    missing = [(first, size) for first, size in firsts if kept.done.get(first) is None or kept.done[first]["outcome"].size != size]
    done = paths - sum(size for _, size in missing)

    def columns(first_path: int, count: int, *, keep_agents: bool) -> Columns:
        return path_columns(scenario, stepped(first_path, count, keep_agents=keep_agents), watch)

    for (first, size), found in zip(missing, _blocks(columns, missing, threads, True)):
        kept.add(first, found)
        done += size
        if progress is not None:
            progress(done, paths)
    return Arm(label, scenario, chosen, joined({first: kept.done[first] for first, _ in firsts}))
