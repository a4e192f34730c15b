"""Sweeps: a grid of scenarios times seeds, run wherever a map runs them, resumable, to the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.sweep_document import sweep_document
from tailwag.experiments.sweep_grid import Grid
from tailwag.experiments.sweep_maps import TaskMap, here
from tailwag.experiments.sweep_store import TaskStore
from tailwag.experiments.sweep_table import Row, columns, parquet_bytes
from tailwag.experiments.sweep_task import Result, SweepTask, code_versions

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A finished sweep: the grid, its rows in grid order, the table as Parquet bytes, and the document."""

    grid: Grid
    rows: tuple[Row, ...]
    table: bytes
    document: dict[str, Any]


def tasks_of(grid: Grid) -> dict[tuple[int, int], SweepTask]:
    """The runs of a grid by (point, seed), in grid order, seeds fastest; points that the scenario refuses have none."""
    made = code_versions()
    return {
        (point.number, seed): SweepTask(point.text, point.files, seed, made)
        for point in grid.points
        if point.refused is None
        for seed in grid.seeds
    }


def fingerprint(grid: Grid) -> str:
    """Digest of everything that decides a sweep's result: axes, seeds, every scenario, every named file, and the code."""
    axes = [[axis.name, list(axis.values)] for axis in grid.axes]
    points = [[point.text, point.files, point.refused] for point in grid.points]
    said = [axes, grid.seeds, grid.refused, points, code_versions()]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def run_sweep(grid: Grid, out: str | os.PathLike[str], *, run: TaskMap = here, progress: Progress | None = None) -> Sweep:
    """Run what is left of a sweep in the folder ``out`` and put its table together; the same bytes wherever and in whatever order it runs.

    Every result is on disk before the next is waited for: a sweep that is killed goes on from there.  InputError where ``out`` holds another
    sweep, and where a point turns out not to run and the grid does not say ``refused = "record"``.
    """
    tasks = tasks_of(grid)
    digest = fingerprint(grid)
    store = TaskStore.opened(out, digest)
    try:
        done = store.load([task.key for task in tasks.values()])
        _told(progress, len(done), len(tasks))
        for place, result in done_later(tasks, done, grid, run):
            store.save(place, result)
            done[place] = result
            _told(progress, len(done), len(tasks))
        _refuse_results(grid, tasks, done)
    finally:
        store.close()
    rows = tuple(_rows(grid, tasks, done))
    table = parquet_bytes(columns(grid, rows))
    return Sweep(grid, rows, table, sweep_document(grid, rows, fingerprint=digest, table=table))


def done_later(tasks: dict[tuple[int, int], SweepTask], done: dict[str, Result], grid: Grid, run: TaskMap) -> Iterator[tuple[str, Result]]:
    """The keys and results of the tasks that are not done yet, as they come; two equal tasks run once."""
    left = list({task.key: task for task in tasks.values() if task.key not in done}.values())
    if left:
        for place, result in run(left, grid.files):
            yield left[place].key, result


def _told(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def _refuse_results(grid: Grid, tasks: dict[tuple[int, int], SweepTask], done: dict[str, Result]) -> None:
    """Where the grid refuses what cannot run, so is what shows it only while running, such as a calibration that finds nothing."""
    if grid.refused == "record":
        return
    for (number, seed), task in tasks.items():
        sentence = done[task.key]["refused"]
        if sentence is not None:
            raise InputError(
                f'{grid.name}: point ({grid.described(grid.points[number])}), seed {seed}: {sentence}; mend the grid, or state refused = "record"'
            )


def _rows(grid: Grid, tasks: dict[tuple[int, int], SweepTask], done: dict[str, Result]) -> Iterator[Row]:
    for point in grid.points:
        for seed in grid.seeds:
            task = tasks.get((point.number, seed))
            result = refused_result(point.refused) if task is None else done[task.key]
            yield Row(point.number, seed, "" if task is None else task.key, result)


def refused_result(sentence: str | None) -> Result:
    """The result of a point whose scenario is refused."""
    return {"refused": sentence, "numbers": {}, "agents": {}}
